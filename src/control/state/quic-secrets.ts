/**
 * Certificates and keys of specs in a state file, of QUIC and of checks: names of files only. A key
 * never leaves the file that it is in; whoever begins with the state reads that file again, so that
 * a certificate that was renewed meanwhile is used. A file that is missing then is named.
 */
import type { RuntimeConfig } from "../../config/runtime.ts";
import type {
  BindSpec,
  CertificateSpec,
  CheckSpec,
  CheckTlsSpec,
  QuicBindSpec,
  QuicServerSpec,
  ServerSpec,
} from "../../tables/spec.ts";
import { PassingError } from "./kept.ts";
import { isFields } from "./specs.ts";

/** What reads files again, and knows the settings of this release. */
export type QuicReader = Pick<
  RuntimeConfig,
  "readCertificate" | "readAuthorities" | "quicSettings"
>;

/** A certificate without what is in its file. */
const nameOf = ({ file }: CertificateSpec): CertificateSpec => ({ file, chain: "", key: "" });

/** The spec as it is written down; itself where it has no TLS of its own. */
export function withoutKeys<T extends ServerSpec | BindSpec>(whole: T): T {
  const spec = withBareCheck(whole);
  const { quic } = spec;
  if (quic === undefined) return spec;
  const { authorities, ...rest } = quic;
  // Authorities are no secret: without a file they are kept as they are.
  const kept = quic.authoritiesFile === undefined && authorities !== undefined;
  const bare = { ...rest, ...(kept ? { authorities } : {}) };
  if ("certificates" in bare) {
    return { ...spec, quic: { ...bare, certificates: bare.certificates.map(nameOf) } };
  }
  const { certificate } = bare;
  return {
    ...spec,
    quic: { ...bare, ...(certificate === undefined ? {} : { certificate: nameOf(certificate) }) },
  };
}

function withBareCheck<T extends ServerSpec | BindSpec>(spec: T): T {
  if (!("check" in spec)) return spec;
  const { tls, stepTls } = spec.check;
  if (tls === undefined && stepTls === undefined) return spec;
  const check = {
    ...spec.check,
    ...(tls === undefined ? {} : { tls: bareTls(tls) }),
    ...(stepTls === undefined ? {} : { stepTls: bareTls(stepTls) }),
  };
  return { ...spec, check };
}

function bareTls({ authorities, certificate, ...rest }: CheckTlsSpec): CheckTlsSpec {
  const kept = rest.authoritiesFile === undefined && authorities !== undefined;
  return {
    ...rest,
    ...(kept ? { authorities } : {}),
    ...(certificate === undefined ? {} : { certificate: nameOf(certificate) }),
  };
}

/** Reads what `withoutKeys` left out of a check. @throws PassingError, as below */
export function checkWithKeys(reader: QuicReader, check: CheckSpec): CheckSpec {
  const { tls, stepTls } = check;
  return {
    ...check,
    ...(tls === undefined ? {} : { tls: tlsWithKeys(reader, tls) }),
    ...(stepTls === undefined ? {} : { stepTls: tlsWithKeys(reader, stepTls) }),
  };
}

/** Settings that are not as they must be are left out. */
function tlsWithKeys(reader: QuicReader, saved: CheckTlsSpec): CheckTlsSpec {
  const { sni } = saved;
  const tls = complete<CheckTlsSpec>({ alpn: [], verify: "required" }, saved);
  // A text here, an expression in QUIC's settings.
  if (typeof sni === "string") tls.sni = sni;
  const { certificate } = tls;
  if (certificate !== undefined) tls.certificate = made(reader.readCertificate(certificate.file));
  return readAuthorities(reader, tls);
}

/** Reads what `withoutKeys` left out. @throws PassingError that names a file it cannot read */
export function serverQuicOf(reader: QuicReader, backend: string, saved: unknown): QuicServerSpec {
  const quic = complete(made(reader.quicSettings(backend)), saved);
  const { certificate } = quic;
  if (certificate !== undefined) quic.certificate = made(reader.readCertificate(certificate.file));
  return readAuthorities(reader, quic);
}

/** The same of a listener. @throws PassingError */
export function bindQuicOf(reader: QuicReader, frontend: string, saved: unknown): QuicBindSpec {
  const { transport } = made(reader.quicSettings(frontend));
  const quic = complete<QuicBindSpec>(
    {
      map: "stream",
      certificates: [],
      strictSni: false,
      alpn: [],
      verify: "none",
      forceRetry: false,
      retryFrom: 0,
      halfOpenMax: 0,
      rejectLowPorts: false,
      transport,
    },
    saved,
  );
  quic.certificates = quic.certificates.map(({ file }) => made(reader.readCertificate(file)));
  return readAuthorities(reader, quic);
}

function readAuthorities<T extends QuicServerSpec | QuicBindSpec | CheckTlsSpec>(
  reader: QuicReader,
  quic: T,
): T {
  const { authoritiesFile } = quic;
  if (authoritiesFile !== undefined)
    quic.authorities = made(reader.readAuthorities(authoritiesFile));
  return quic;
}

/** @throws PassingError with the sentence of a refusal */
function made<T>(one: { ok: true; spec: T } | { ok: false; message: string }): T {
  if (!one.ok) throw new PassingError(one.message);
  return one.spec;
}

/** Settings that may be missing, and what they are when they are there. */
const OPTIONAL: Readonly<Record<string, (value: unknown) => boolean>> = {
  authorities: isText,
  authoritiesFile: isText,
  verifyHost: isText,
  sni: isFields,
  checkSni: isText,
  certificate: isCertificate,
};

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isCertificate(value: unknown): boolean {
  return isFields(value) && isText(value["file"]);
}

/** Words that a setting may be, where not every text will do. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  map: ["stream", "session"],
  verify: ["none", "optional", "required"],
  congestion: ["cubic", "newreno", "bbr"],
};

/** Settings of this release with the values of a saved one, where they are what they must be. */
function complete<T extends object>(base: T, saved: unknown): T {
  const result = { ...base } as Record<string, unknown>;
  if (!isFields(saved)) return base;
  for (const [key, value] of Object.entries(saved)) {
    const sample = result[key];
    const test = OPTIONAL[key];
    if (test !== undefined) {
      if (test(value)) result[key] = value;
    } else if (WORDS[key] !== undefined) {
      if (WORDS[key].includes(String(value)) && sample !== undefined) result[key] = value;
    } else if (key === "certificates") {
      if (Array.isArray(value) && value.every(isCertificate)) result[key] = value;
    } else if (Array.isArray(sample)) {
      if (Array.isArray(value) && value.every(isText)) result[key] = value;
    } else if (isFields(sample)) {
      if (isFields(value)) result[key] = complete(sample, value);
    } else if (sample !== undefined && typeof value === typeof sample) {
      if (typeof value !== "number" || Number.isFinite(value)) result[key] = value;
    }
  }
  // What may be missing was missing.
  for (const key of Object.keys(OPTIONAL)) if (!(key in saved)) delete result[key];
  return result as T;
}
