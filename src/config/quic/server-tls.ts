/**
 * What a `server` line says about QUIC and its TLS, and the spec that it becomes. Words are kept as
 * they were written until the address is known: on `default-server` lines nobody knows it. Pure:
 * files were read by whoever parsed the words.
 */
import type { SampleExpression } from "../../tables/expression.ts";
import type { CertificateSpec, Origin, QuicServerSpec } from "../../tables/spec.ts";
import { transportOf } from "./tuning.ts";
import type { Congestion, QuicTuning } from "./tuning.ts";

/** An option whose meaning depends on the address; `value` is "" where it takes none. */
export type ServerWord = { name: string; value: string; origin: Origin };

/** See the words of the same names (manual 5.2). */
export type ServerTls = {
  hasSsl: boolean;
  alpn: string[];
  verify: QuicServerSpec["verify"];
  /** Undefined: the system's. */
  authorities: string | undefined;
  authoritiesFile: string | undefined;
  verifyHost: string | undefined;
  sni: SampleExpression | undefined;
  checkSni: string | undefined;
  certificate: CertificateSpec | undefined;
  poolMaxConn: number;
  poolPurgeDelayMs: number;
  maxReuse: number;
  congestion: Congestion | undefined;
  warnings: Set<string>;
};

/**
 * Before any word.
 * @param base what a server that runs has, whose settings are copied
 */
export function newServerTls(
  verify: QuicServerSpec["verify"],
  base: QuicServerSpec | undefined,
): ServerTls {
  const congestion =
    base === undefined
      ? undefined
      : { algorithm: base.transport.congestion, cwndMax: base.transport.cwndMax };
  return {
    hasSsl: base !== undefined,
    alpn: base?.alpn ?? [],
    verify: base?.verify ?? verify,
    authorities: base?.authorities,
    authoritiesFile: base?.authoritiesFile,
    verifyHost: base?.verifyHost,
    sni: base?.sni,
    checkSni: base?.checkSni,
    certificate: base?.certificate,
    poolMaxConn: base?.poolMaxConn ?? -1,
    poolPurgeDelayMs: base?.poolPurgeDelayMs ?? 5_000,
    maxReuse: base?.maxReuse ?? -1,
    congestion,
    warnings: new Set(),
  };
}

/** The spec. Whole sessions may be mapped onto it, so all kinds of streams are taken. */
export function quicServerOf(tls: ServerTls, tuning: QuicTuning): QuicServerSpec {
  const { authorities, authoritiesFile, verifyHost, sni, checkSni } = tls;
  const { certificate, congestion } = tls;
  return {
    alpn: tls.alpn,
    verify: tls.verify,
    ...(authorities === undefined ? {} : { authorities }),
    ...(authoritiesFile === undefined ? {} : { authoritiesFile }),
    ...(verifyHost === undefined ? {} : { verifyHost }),
    ...(sni === undefined ? {} : { sni }),
    ...(checkSni === undefined ? {} : { checkSni }),
    ...(certificate === undefined ? {} : { certificate }),
    poolMaxConn: tls.poolMaxConn,
    poolPurgeDelayMs: tls.poolPurgeDelayMs,
    maxReuse: tls.maxReuse,
    streamsMax: tuning.back.streamsMax,
    transport: transportOf(tuning.back, { takesAll: true, early: false, congestion }),
  };
}
