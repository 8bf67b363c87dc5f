/**
 * What a `bind` line says about QUIC and its TLS, while it is read, and the spec that it becomes.
 * Pure: files were read by whoever parsed the words.
 */
import type { CertificateSpec, QuicBindSpec } from "../../tables/spec.ts";
import { transportOf } from "./tuning.ts";
import type { Congestion, QuicTuning } from "./tuning.ts";

/** See the words of the same names (manual 5.1); `quic-map` is this program's. */
export type BindTls = {
  hasSsl: boolean;
  /** A `crt` or `crt-list` was read, even if it held nothing. */
  hasCrt: boolean;
  certificates: CertificateSpec[];
  strictSni: boolean;
  /** Undefined: no word about it. */
  alpn: string[] | undefined;
  verify: QuicBindSpec["verify"];
  /** Undefined: no `ca-file`. Without `pem`: the system's. `file`: where it is from. */
  authorities: { pem?: string; file?: string } | undefined;
  early: boolean;
  forceRetry: boolean;
  congestion: Congestion | undefined;
  map: QuicBindSpec["map"];
  /** Told once for the whole line. */
  warnings: Set<string>;
};

/** Protocol of listeners that name none, as HAProxy has it. */
const ALPN_DEFAULT = ["h3"];

/** Before any option. @param strictSni what `ssl-default-bind-options` says */
export function newBindTls(strictSni: boolean): BindTls {
  return {
    hasSsl: false,
    hasCrt: false,
    certificates: [],
    strictSni,
    alpn: undefined,
    verify: "none",
    authorities: undefined,
    early: false,
    forceRetry: false,
    congestion: undefined,
    map: "stream",
    warnings: new Set(),
  };
}

/** What keeps the options from making a QUIC listener, with what to do; undefined = nothing. */
export function wrongBindTls(tls: BindTls): string | undefined {
  if (!tls.hasSsl) {
    const how = tls.hasCrt ? "add 'ssl'" : "add 'ssl crt <file>'";
    return `QUIC cannot do without TLS: ${how}.`;
  }
  if (tls.certificates.length === 0) {
    const what = tls.hasCrt ? "'crt' names no certificate" : "no certificate: add 'crt <file>'";
    return `${what}; QUIC cannot do without one.`;
  }
  if (tls.verify !== "none" && tls.authorities === undefined) {
    return `'verify ${tls.verify}' needs 'ca-file': whose certificates may clients show?`;
  }
  return undefined;
}

/** What loads and may not do what it seems to. */
export function bindTlsWarnings(tls: BindTls): string[] {
  const warnings = [...tls.warnings];
  if (tls.alpn === undefined && tls.map === "stream") {
    warnings.push(
      "without 'alpn' only clients of 'h3' are taken, as in HAProxy, and HTTP/3 is not " +
        "understood here: name the protocol with 'alpn', or pass whole sessions on with " +
        "'quic-map session'.",
    );
  }
  return warnings;
}

/** What the section of a listener says: handshakes under way at most, and their longest, ms. */
export type HandshakeLimits = { halfOpenMax: number; handshakeTimeoutMs: number };

/** The spec. */
export function quicBindOf(
  tls: BindTls,
  tuning: QuicTuning,
  { halfOpenMax, handshakeTimeoutMs }: HandshakeLimits,
): QuicBindSpec {
  const { map, certificates, strictSni, verify, forceRetry, early, congestion } = tls;
  const takesAll = map === "session";
  const { pem, file } = tls.authorities ?? {};
  return {
    map,
    certificates,
    strictSni,
    alpn: tls.alpn ?? ALPN_DEFAULT,
    verify,
    ...(pem === undefined ? {} : { authorities: pem }),
    ...(file === undefined ? {} : { authoritiesFile: file }),
    forceRetry,
    retryFrom: tuning.retryThreshold,
    halfOpenMax,
    rejectLowPorts: tuning.rejectLowPorts,
    transport: transportOf(tuning.front, { takesAll, early, congestion, handshakeTimeoutMs }),
  };
}
