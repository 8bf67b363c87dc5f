/**
 * TLS of checks: settings for the runtime's TLS, and what the end of a handshake means. The
 * certificate is judged here, after the handshake, so that each reason has its own sentence.
 * Source: HAProxy manual 5.2 (`check-ssl`, `check-sni`, `check-alpn`, `verify`, `verifyhost`).
 */
import { checkServerIdentity, getCACertificates } from "node:tls";
import type { PeerCertificate } from "node:tls";

import type { CheckTlsSpec } from "../tables/spec.ts";
import type { CheckResult } from "./result.ts";

const FAILURE = "SSL handshake failure";
const RESET = `${FAILURE} (Connection reset by peer)`;
/** The certificate bears another name. */
const NAME_CODE = "ERR_TLS_CERT_ALTNAME_INVALID";
/** What the runtime says of a certificate once the handshake is done, by X509_V_ERR_*. */
const CERTIFICATE_CODES = new Set([
  NAME_CODE,
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_CRL",
  "UNABLE_TO_DECRYPT_CERT_SIGNATURE",
  "UNABLE_TO_DECRYPT_CRL_SIGNATURE",
  "UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
  "CERT_SIGNATURE_FAILURE",
  "CRL_SIGNATURE_FAILURE",
  "CERT_NOT_YET_VALID",
  "CERT_HAS_EXPIRED",
  "CRL_NOT_YET_VALID",
  "CRL_HAS_EXPIRED",
  "ERROR_IN_CERT_NOT_BEFORE_FIELD",
  "ERROR_IN_CERT_NOT_AFTER_FIELD",
  "ERROR_IN_CRL_LAST_UPDATE_FIELD",
  "ERROR_IN_CRL_NEXT_UPDATE_FIELD",
  "OUT_OF_MEM",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_CHAIN_TOO_LONG",
  "CERT_REVOKED",
  "INVALID_CA",
  "PATH_LENGTH_EXCEEDED",
  "INVALID_PURPOSE",
  "CERT_UNTRUSTED",
  "CERT_REJECTED",
  "HOSTNAME_MISMATCH",
  "UNSPECIFIED",
]);

const OPTIONS = new WeakMap<CheckTlsSpec, Bun.TLSOptions>();

/** Settings of the runtime's TLS, made once for each spec. */
export function tlsOptionsOf(spec: CheckTlsSpec): Bun.TLSOptions {
  const known = OPTIONS.get(spec);
  if (known !== undefined) return known;
  const options: Bun.TLSOptions = {
    // Judged by `handshakeProblem`.
    rejectUnauthorized: false,
    ...(spec.verify === "none" ? {} : { ca: spec.authorities ?? getCACertificates("system") }),
    // Without a name Bun asks for the address.
    serverName: spec.sni ?? "",
    ...(spec.certificate === undefined
      ? {}
      : { cert: spec.certificate.chain, key: spec.certificate.key }),
    ...(spec.alpn.length === 0 ? {} : { ALPNProtocols: alpnBytes(spec.alpn) }),
  };
  OPTIONS.set(spec, options);
  return options;
}

/** The list as TLS sends it (RFC 7301): a length before each name. */
function alpnBytes(names: readonly string[]): string {
  return names.map((name) => String.fromCharCode(name.length) + name).join("");
}

/**
 * What is wrong with a handshake that is over; undefined = nothing. In HAProxy's words.
 * @param socket undefined: the connection was closed meanwhile
 * @param error what the runtime says: of the handshake, or of the certificate after it
 */
export function handshakeProblem(
  spec: CheckTlsSpec,
  socket: Bun.Socket<unknown> | undefined,
  error: unknown,
): CheckResult | undefined {
  const code = codeOf(error);
  const isDone = code === undefined || CERTIFICATE_CODES.has(code);
  if (socket === undefined && code === "ECONNRESET") return { code: "L6RSP", info: RESET };
  if (!isDone || socket === undefined) return { code: "L6RSP", info: FAILURE };
  if (spec.verify === "none") return undefined;
  // The runtime looks at the name last, and whether there was one to look for is our business.
  if (code !== undefined && code !== NAME_CODE) return { code: "L6RSP", info: FAILURE };
  return nameProblem(spec, socket);
}

/** The name that was asked for is the one to be shown; without one, the one given for that. */
function nameProblem(spec: CheckTlsSpec, socket: Bun.Socket<unknown>): CheckResult | undefined {
  const name = spec.sni ?? spec.verifyHost;
  if (name === undefined) return undefined;
  const certificate = socket.getPeerCertificate() as PeerCertificate | undefined;
  const isRight = certificate !== undefined && checkServerIdentity(name, certificate) === undefined;
  if (isRight) return undefined;
  const other = spec.sni === undefined ? "configured" : "expected";
  return {
    code: "L6RSP",
    info: `Server presented an SSL certificate different from the ${other} one`,
  };
}

function codeOf(error: unknown): string | undefined {
  if (error === null || error === undefined) return undefined;
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
