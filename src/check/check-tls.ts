/**
 * TLS of checks: settings for the runtime's TLS, and what the end of a handshake means. The
 * certificate is judged here, after the handshake, so that each reason has its own sentence.
 * Source: HAProxy manual 5.2 (`check-ssl`, `check-sni`, `check-alpn`, `verify`, `verifyhost`).
 */
import { checkServerIdentity, getCACertificates } from "node:tls";
import type { PeerCertificate } from "node:tls";

import type { CheckTlsSpec } from "../tables/spec.ts";
import type { CheckResult } from "./result.ts";

const OPTIONS = new WeakMap<CheckTlsSpec, Bun.TLSOptions>();

/** Settings of the runtime's TLS, made once for each spec. */
export function tlsOptionsOf(spec: CheckTlsSpec): Bun.TLSOptions {
  const known = OPTIONS.get(spec);
  if (known !== undefined) return known;
  const options: Bun.TLSOptions = {
    // Judged by `handshakeProblem`.
    rejectUnauthorized: false,
    ...(spec.verify === "none" ? {} : { ca: spec.authorities ?? getCACertificates("system") }),
    ...(spec.sni === undefined ? {} : { serverName: spec.sni }),
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
 * What is wrong with a handshake that is over; undefined = nothing.
 * @param socket undefined: the connection was closed meanwhile
 * @param error what the runtime says: of the handshake, or of the certificate
 */
export function handshakeProblem(
  spec: CheckTlsSpec,
  socket: Bun.Socket<unknown> | undefined,
  isDone: boolean,
  error: unknown,
): CheckResult | undefined {
  if (!isDone || socket === undefined) return { code: "L6RSP", info: failureWords(error) };
  if (spec.verify === "none") return undefined;
  if (error !== null && error !== undefined)
    return { code: "L6RSP", info: "SSL handshake failure" };
  // The name that was asked for is the one to be shown; without one, the name given for that.
  const name = spec.sni ?? spec.verifyHost;
  if (name === undefined) return undefined;
  const certificate = socket.getPeerCertificate?.() as PeerCertificate | undefined;
  const isNamed = certificate !== undefined && checkServerIdentity(name, certificate) === undefined;
  return isNamed ? undefined : { code: "L6RSP", info: "SSL handshake failure" };
}

function failureWords(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ECONNRESET" || code === "" || code === "EPIPE") {
    return "Connection closed during SSL handshake";
  }
  return "SSL handshake failure";
}
