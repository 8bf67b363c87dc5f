/**
 * What this program says it is: its own version, the HAProxy version whose configuration language
 * and command line it answers to, and the features that `-vv`, `.if feature(…)` and `-cc` report.
 * One place, so that a claim is made or withdrawn everywhere at once.
 */

/** sluice's own version. */
export const SLUICE_VERSION = "0.1.0";

/** The HAProxy version whose language is spoken: `version_atleast()` compares with it. */
export const COMPATIBLE_VERSION = "3.5-dev5";

/** Date of that version, as `-v` prints it. */
export const COMPATIBLE_DATE = "2026/08/21";

/** Branch of that version: the environment variable `HAPROXY_BRANCH`. */
export const COMPATIBLE_BRANCH = "3.5";

/** `TARGET  =` line of `-vv`; HAProxy's regression tests exclude tests by it. */
export const BUILD_TARGET = "linux-glibc";

/** The TLS library of the runtime, for `ssllib_name_startswith()`. */
export const TLS_LIBRARY_NAME = "BoringSSL";

/** The OpenSSL version whose programming interface that library claims. */
export const TLS_LIBRARY_OPENSSL_VERSION = "1.1.1";

/**
 * One word of the feature list of `-vv`; `present` decides `feature(NAME)`. "quic": as the build
 * had its libraries, see `setQuicFeature`.
 */
export type Feature = { name: string; present: boolean | "quic" };

/** The feature list, in the order in which `-vv` prints it. */
export const FEATURES: readonly Feature[] = [
  { name: "51DEGREES", present: false },
  { name: "ACCEPT4", present: true },
  { name: "BACKTRACE", present: false },
  { name: "CPU_AFFINITY", present: false },
  { name: "CRYPT_H", present: false },
  { name: "DEVICEATLAS", present: false },
  { name: "DL", present: true },
  { name: "ENGINE", present: false },
  { name: "EPOLL", present: true },
  { name: "EVPORTS", present: false },
  { name: "GETADDRINFO", present: true },
  { name: "HAVE_WORKING_TCP_MD5SIG", present: false },
  { name: "KQUEUE", present: false },
  { name: "LIBCRYPT", present: false },
  { name: "LINUX_CAP", present: false },
  { name: "LINUX_SPLICE", present: false },
  { name: "LINUX_TPROXY", present: false },
  { name: "LUA", present: false },
  { name: "MATH", present: true },
  { name: "MEMORY_PROFILING", present: false },
  { name: "NETFILTER", present: true },
  { name: "NS", present: false },
  { name: "OBSOLETE_LINKER", present: false },
  // The runtime carries a TLS library; the configuration says of each TLS word what it does.
  { name: "OPENSSL", present: true },
  { name: "OT", present: false },
  { name: "PCRE", present: false },
  { name: "PCRE2", present: false },
  { name: "POLL", present: true },
  { name: "PRCTL", present: true },
  { name: "PROMEX", present: true },
  { name: "QUIC", present: "quic" },
  { name: "RT", present: true },
  { name: "SLZ", present: false },
  { name: "SSL", present: true },
  { name: "SYSTEMD", present: false },
  { name: "TFO", present: true },
  { name: "THREAD", present: true },
  { name: "THREAD_DUMP", present: false },
  { name: "TPROXY", present: false },
  { name: "WURFL", present: false },
  { name: "ZLIB", present: false },
];

let hasQuic: () => boolean = () => false;

/** Says how to find out whether QUIC is there. Once, at the start of the program. */
export function setQuicFeature(ask: () => boolean): void {
  hasQuic = ask;
}

/** Is a feature of the list there? */
export function isPresent({ present }: Feature): boolean {
  return present === "quic" ? hasQuic() : present;
}

/** True when `name` is listed as present (`feature(NAME)`). */
export function hasFeature(name: string): boolean {
  return FEATURES.some((feature) => feature.name === name && isPresent(feature));
}
