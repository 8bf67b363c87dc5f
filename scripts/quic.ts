/**
 * Builds dist/native/sluice-quic.so: native/quic over ngtcp2 and a TLS library.
 *
 * ngtcp2 is an installed one that is new enough, else it is compiled from Debian's source package.
 * TLS is OpenSSL 3.5 or newer, static where it can be had, so that the module needs the C library
 * only; else GnuTLS of the system. SLUICE_QUIC_TLS=openssl or gnutls allows only that one. What is
 * compiled is kept in the cache; nothing is done when nothing has changed.
 *
 * Without these parts the module is an empty file, and sluice works without QUIC.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";

import {
  fetchNgtcp2,
  fetchOpenssl,
  NGTCP2_OLDEST,
  OPENSSL_OLDEST,
  QUIC_CACHE,
  Unavailable,
} from "./quic-packages.ts";

const ROOT = join(import.meta.dir, "..");
const SOURCE = join(ROOT, "native/quic");
const DIST = join(ROOT, "dist");
const GNUTLS_OLDEST = "3.7.2";
const APACHE_LICENSE = "/usr/share/common-licenses/Apache-2.0";

const REMEDY =
  `It needs libngtcp2-dev >= ${NGTCP2_OLDEST} with libngtcp2-crypto-ossl-dev or ` +
  "libngtcp2-crypto-gnutls-dev, or gcc, libc6-dev, xz-utils and a Debian mirror within reach.";

/** For C of ours. */
export const OWN_FLAGS = [
  "-std=gnu11",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-fPIC",
  "-fvisibility=hidden",
];
const LINK_FLAGS = [
  "-shared",
  "-s",
  "-Wl,-z,defs",
  "-Wl,-z,relro,-z,now",
  // What the library has handed out outlives every dlclose: threads end with OpenSSL's handlers.
  "-Wl,-z,nodelete",
  "-Wl,--gc-sections",
  "-Wl,-Bsymbolic",
  `-Wl,--version-script=${join(SOURCE, "exports.map")}`,
];
/** What ngtcp2's configure finds on Linux with glibc or musl. */
const NGTCP2_FLAGS = [
  "-std=gnu11",
  "-fPIC",
  "-fvisibility=hidden",
  "-DNGTCP2_STATICLIB",
  ...["ARPA_INET_H", "NETINET_IN_H", "NETINET_IP_H", "NETINET_UDP_H", "UNISTD_H", "ENDIAN_H"],
  ...["BYTESWAP_H", "ASM_TYPES_H", "LINUX_NETLINK_H", "LINUX_RTNETLINK_H", "EXPLICIT_BZERO=1"],
  ...["DECL_BE64TOH=1", "DECL_BSWAP_64=1"],
].map((flag) => (flag.startsWith("-") ? flag : `-DHAVE_${flag}`));
const SECTIONS = ["-ffunction-sections", "-fdata-sections"];
/** How the module and ngtcp2 are compiled for use. */
export const RELEASE_FLAGS = ["-O2", "-DNDEBUG", ...SECTIONS];

export type TlsLibrary = "openssl" | "gnutls";

/** Everything that compiling and linking against QUIC's parts takes. */
export interface Toolchain {
  tls: TlsLibrary;
  /** The parts with their versions, for people. */
  parts: string;
  compileFlags: string[];
  linkFlags: string[];
  /** C files of ours that go with these parts. */
  sources: string[];
  /** Files with copyright notices that go with the module. */
  notices: { part: string; file: string }[];
}

/** A command of the build has failed. */
export class BuildError extends Error {}

interface Outcome {
  isOk: boolean;
  output: string;
}

async function attempt(command: string[]): Promise<Outcome> {
  const child = Bun.spawn(command, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { isOk: (await child.exited) === 0, output: out + err };
}

async function demand(command: string[]): Promise<void> {
  const { isOk, output } = await attempt(command);
  if (isOk) return;
  throw new BuildError(`'${command.join(" ")}' failed:\n${output}`);
}

/** A C compiler, or undefined. `SLUICE_NO_NATIVE=1` builds as if there were none. */
export function findCompiler(): string | undefined {
  if (process.env["SLUICE_NO_NATIVE"] === "1") return undefined;
  const candidates = [process.env["CC"], "cc", "gcc", "clang"];
  return candidates.find((name) => name !== undefined && name !== "" && Bun.which(name) !== null);
}

function hash(...parts: string[]): string {
  const digest = createHash("sha256");
  for (const part of parts) digest.update(`${part.length}:${part}`);
  return digest.digest("hex").slice(0, 16);
}

/** Version of an installed library, or undefined if it is not there or older than `oldest`. */
async function installedVersion(name: string, oldest: string): Promise<string | undefined> {
  if (Bun.which("pkg-config") === null) return undefined;
  if (!(await attempt(["pkg-config", `--atleast-version=${oldest}`, name])).isOk) return undefined;
  return (await attempt(["pkg-config", "--modversion", name])).output.trim();
}

async function packageFlags(...words: string[]): Promise<string[]> {
  const { output } = await attempt(["pkg-config", ...words]);
  return output.split(/\s+/).filter((flag) => flag !== "");
}

async function libraryNotice(part: string, name: string): Promise<Toolchain["notices"]> {
  const file = `/usr/share/doc/${name}/copyright`;
  return existsSync(file) ? [{ part, file }] : [];
}

/** TLS with the includes and libraries that it takes. */
interface TlsPart extends Omit<Toolchain, "compileFlags" | "sources"> {
  includes: string[];
  /** C files that this way of linking needs besides. */
  extra: string[];
}

function staticOpenssl(version: string, includes: string[], libraries: string): TlsPart {
  const archives = ["libssl.a", "libcrypto.a"].map((name) => join(libraries, name));
  return {
    tls: "openssl",
    parts: `OpenSSL ${version}, static`,
    includes,
    linkFlags: [...archives, "-ldl", "-pthread"],
    extra: ["openssl-static.c"],
    notices: [],
  };
}

async function findOpenssl(): Promise<TlsPart[]> {
  const found: TlsPart[] = [];
  const installed = await installedVersion("libssl", OPENSSL_OLDEST);
  const names = ["libssl", "libcrypto"];
  const includes = installed === undefined ? [] : await packageFlags("--cflags", ...names);
  if (installed !== undefined) {
    const [folder = ""] = await packageFlags("--variable=libdir", "libssl");
    if (existsSync(join(folder, "libssl.a"))) {
      const notices = await libraryNotice("OpenSSL", "libssl-dev");
      found.push({ ...staticOpenssl(installed, includes, folder), notices });
    }
  } else {
    const { version, folder, notice } = await fetchOpenssl();
    const libraries = new Bun.Glob("usr/lib/*/libssl.a").scanSync({ cwd: folder });
    const [archive] = [...libraries];
    if (archive === undefined) throw new Unavailable("libssl-dev has no static library");
    const libraryFolder = join(folder, archive, "..");
    const headers = join(folder, "usr/include");
    const flags = [`-I${headers}`, `-I${join(headers, basename(libraryFolder))}`];
    const notices = [{ part: "OpenSSL", file: notice }];
    found.push({ ...staticOpenssl(version, flags, libraryFolder), notices });
  }
  if (installed !== undefined) {
    const linkFlags = await packageFlags("--libs", ...names);
    const parts = `OpenSSL ${installed}`;
    found.push({ tls: "openssl", parts, includes, linkFlags, extra: [], notices: [] });
  }
  return found;
}

async function findGnutls(): Promise<TlsPart[]> {
  const version = await installedVersion("gnutls", GNUTLS_OLDEST);
  if (version === undefined) {
    throw new Unavailable(`libgnutls28-dev >= ${GNUTLS_OLDEST} is not installed (by pkg-config)`);
  }
  const includes = await packageFlags("--cflags", "gnutls");
  const linkFlags = await packageFlags("--libs", "gnutls");
  const parts = `GnuTLS ${version}`;
  return [{ tls: "gnutls", parts, includes, linkFlags, extra: [], notices: [] }];
}

/** Runs tasks, as many at a time as there are processors. */
async function inParallel<T>(items: T[], task: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const lane = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await task(item);
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, lane));
}

/** Compiles C files, several at a time, into `folder`; returns the objects. @throws BuildError */
export async function compileObjects(
  compiler: string,
  flags: string[],
  sources: string[],
  folder: string,
): Promise<string[]> {
  const objectOf = (source: string): string => join(folder, `${basename(source, ".c")}.o`);
  mkdirSync(folder, { recursive: true });
  await inParallel(sources, (source) =>
    demand([compiler, ...flags, "-c", source, "-o", objectOf(source)]),
  );
  return sources.map(objectOf);
}

/** ngtcp2 as an archive, compiled from its source with `flags`, or from the cache. */
async function compileNgtcp2(
  compiler: string,
  source: { version: string; folder: string },
  tls: TlsPart,
  flags: string[],
): Promise<string> {
  const backend = tls.tls === "openssl" ? "ossl" : "gnutls";
  const all = [...NGTCP2_FLAGS, ...flags];
  const { output: compilerVersion } = await attempt([compiler, "--version"]);
  const key = hash(source.version, tls.parts, compilerVersion, ...all);
  const archive = join(QUIC_CACHE, `libngtcp2-${backend}-${key}.a`);
  if (existsSync(archive)) return archive;
  const inSource = (...names: string[]): string => join(source.folder, ...names);
  const sources = readdirSync(inSource("lib"))
    .filter((name) => name.endsWith(".c"))
    .map((name) => inSource("lib", name));
  sources.push(inSource("crypto/shared.c"), inSource("crypto", backend, `${backend}.c`));
  const folders = ["lib", "lib/includes", "crypto", "crypto/includes"];
  const includes = folders.map((name) => `-I${inSource(name)}`);
  const work = `${archive}.${process.pid}`;
  try {
    const objects = await compileObjects(
      compiler,
      [...all, ...includes, ...tls.includes],
      sources,
      work,
    );
    const fresh = join(work, "fresh.a");
    await demand(["ar", "rcs", fresh, ...objects]);
    renameSync(fresh, archive);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return archive;
}

/** The C files of the module for a TLS library. */
function ownSources(tls: TlsLibrary, extra: readonly string[]): string[] {
  const isOther = tls === "openssl" ? /^tls-gnutls/ : /^tls-openssl/;
  return readdirSync(SOURCE)
    .filter((name) => name.endsWith(".c") && !isOther.test(name))
    .filter((name) => name !== "openssl-static.c" || extra.includes(name))
    .sort()
    .map((name) => join(SOURCE, name));
}

/** An installed ngtcp2 with its crypto library, or undefined. */
async function installedToolchain(tls: TlsLibrary): Promise<Toolchain | undefined> {
  const version = await installedVersion("libngtcp2", NGTCP2_OLDEST);
  const crypto = tls === "openssl" ? "libngtcp2_crypto_ossl" : "libngtcp2_crypto_gnutls";
  const library = tls === "openssl" ? "libssl" : "gnutls";
  const oldest = tls === "openssl" ? OPENSSL_OLDEST : GNUTLS_OLDEST;
  const cryptoVersion = await installedVersion(crypto, NGTCP2_OLDEST);
  const tlsVersion = await installedVersion(library, oldest);
  if (version === undefined || cryptoVersion === undefined || tlsVersion === undefined) {
    return undefined;
  }
  const names = ["libngtcp2", crypto, library, ...(tls === "openssl" ? ["libcrypto"] : [])];
  return {
    tls,
    parts: `ngtcp2 ${version}, ${tls === "openssl" ? "OpenSSL" : "GnuTLS"} ${tlsVersion}`,
    compileFlags: await packageFlags("--cflags", ...names),
    linkFlags: await packageFlags("--libs", ...names),
    sources: ownSources(tls, []),
    notices: [],
  };
}

/**
 * The parts that can be had, the best first, each looked for when it is asked for; linking decides
 * which of them do. `flags` are those that ngtcp2 is compiled with (RELEASE_FLAGS, or sanitizers).
 * @throws Unavailable at the end, with what is missing; BuildError when ngtcp2 does not compile
 */
export async function* findToolchains(
  compiler: string,
  wanted: readonly TlsLibrary[],
  flags: string[],
): AsyncGenerator<Toolchain, void> {
  for (const tls of wanted) {
    const installed = await installedToolchain(tls);
    if (installed !== undefined) yield installed;
  }
  const reasons = new Set<string>();
  for (const tls of wanted) {
    try {
      const [source, parts] = await Promise.all([
        fetchNgtcp2(),
        tls === "openssl" ? findOpenssl() : findGnutls(),
      ]);
      for (const part of parts) yield await sourceToolchain(compiler, source, part, flags);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      reasons.add(error.message);
    }
  }
  if (reasons.size > 0) throw new Unavailable([...reasons].join("; "));
}

async function sourceToolchain(
  compiler: string,
  source: Awaited<ReturnType<typeof fetchNgtcp2>>,
  tls: TlsPart,
  flags: string[],
): Promise<Toolchain> {
  const archive = await compileNgtcp2(compiler, source, tls, flags);
  const includes = ["lib/includes", "crypto/includes"].map(
    (name) => `-I${join(source.folder, name)}`,
  );
  return {
    tls: tls.tls,
    parts: `ngtcp2 ${source.version}, ${tls.parts}`,
    compileFlags: ["-DNGTCP2_STATICLIB", ...includes, ...tls.includes],
    linkFlags: [archive, ...tls.linkFlags],
    sources: ownSources(tls.tls, tls.extra),
    notices: [{ part: "ngtcp2", file: source.notice }, ...tls.notices],
  };
}

/** TLS libraries that may be used, by SLUICE_QUIC_TLS. */
export function wantedTls(): TlsLibrary[] {
  const choice = process.env["SLUICE_QUIC_TLS"] ?? "";
  if (choice === "") return ["openssl", "gnutls"];
  if (choice === "openssl" || choice === "gnutls") return [choice];
  throw new BuildError(`SLUICE_QUIC_TLS is '${choice}' (known: openssl, gnutls)`);
}

/** Digest of everything that the module is made of. */
async function moduleKey(compiler: string): Promise<string> {
  const files = readdirSync(SOURCE).sort();
  const records = ["ngtcp2.json", "libssl-dev.json"].map((name) => join(QUIC_CACHE, name));
  const scripts = ["quic.ts", "quic-packages.ts"].map((name) => join(import.meta.dir, name));
  const contents = [...files.map((name) => join(SOURCE, name)), ...records, ...scripts].map(
    (file) => (existsSync(file) ? readFileSync(file, "utf8") : ""),
  );
  const versions = await Promise.all([
    attempt([compiler, "--version"]).then(({ output }) => output),
    installedVersion("libngtcp2", NGTCP2_OLDEST),
    installedVersion("libssl", OPENSSL_OLDEST),
    installedVersion("gnutls", GNUTLS_OLDEST),
  ]);
  return hash(...files, ...contents, ...versions.map(String), wantedTls().join());
}

/** Compiles and links the module with these parts; false if they do not link. */
async function linkModule(compiler: string, tools: Toolchain, out: string): Promise<Outcome> {
  const work = `${out}.objects`;
  const flags = [...OWN_FLAGS, ...RELEASE_FLAGS, ...tools.compileFlags];
  try {
    const objects = await compileObjects(compiler, flags, tools.sources, work);
    return await attempt([compiler, ...LINK_FLAGS, "-o", out, ...objects, ...tools.linkFlags]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function writeNotice(tools: Toolchain, file: string): void {
  const rule = "=".repeat(78);
  const sections = tools.notices.map(
    (notice) => `${notice.part}\n\n${readFileSync(notice.file, "utf8")}`,
  );
  if (tools.tls === "openssl" && existsSync(APACHE_LICENSE)) {
    sections.push(readFileSync(APACHE_LICENSE, "utf8"));
  }
  const head = `sluice's QUIC module contains: ${tools.parts}. Their notices follow.\n`;
  writeFileSync(file, [head, ...sections].join(`\n${rule}\n`));
}

/** Builds the module into `library` unless that is done. Returns why not. @throws BuildError */
async function makeModule(library: string, notice: string): Promise<string | undefined> {
  if (process.env["SLUICE_NO_QUIC"] === "1") return "SLUICE_NO_QUIC=1";
  const compiler = findCompiler();
  if (compiler === undefined) return "no C compiler: it needs gcc and libc6-dev";
  const keyFile = `${library}.key`;
  const isBuilt = existsSync(library) && existsSync(keyFile);
  if (isBuilt && readFileSync(keyFile, "utf8") === (await moduleKey(compiler))) return undefined;
  const fresh = `${library}.${process.pid}`;
  const problems: string[] = [];
  try {
    for await (const tools of findToolchains(compiler, wantedTls(), RELEASE_FLAGS)) {
      const { isOk, output } = await linkModule(compiler, tools, fresh);
      if (isOk) {
        renameSync(fresh, library);
        writeNotice(tools, notice);
        writeFileSync(keyFile, await moduleKey(compiler));
        return undefined;
      }
      const lines = output.trim().split("\n").slice(-3);
      problems.push(`${tools.parts} does not link: ${lines.join(" ")}`);
    }
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    problems.push(error.message);
  } finally {
    rmSync(fresh, { force: true });
  }
  return `${problems.join("; ")}\n  ${REMEDY}`;
}

/**
 * Writes native/sluice-quic.so and NOTICE below `folder`; the module is empty where its parts are
 * missing, and a message says which. Does nothing when nothing has changed.
 * @throws BuildError when our own code or ngtcp2 does not compile
 */
export async function buildQuic(folder = DIST): Promise<void> {
  const library = join(folder, "native/sluice-quic.so");
  mkdirSync(join(folder, "native"), { recursive: true });
  // Whatever happens below: what embeds the file finds one.
  if (!existsSync(library)) writeFileSync(library, "");
  const problem = await makeModule(library, join(folder, "NOTICE"));
  if (problem === undefined) return;
  rmSync(`${library}.key`, { force: true });
  const fresh = `${library}.${process.pid}`;
  writeFileSync(fresh, "");
  renameSync(fresh, library);
  console.error(`scripts/build: building without QUIC: ${problem}`);
}
