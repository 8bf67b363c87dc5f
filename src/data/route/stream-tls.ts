/**
 * TLS of a stream's client, as rules, logs and headers ask for it: of a QUIC connection, which ends
 * here. Cold: read when something asks.
 */
import type { ConnectionFacts } from "../../conduit/conduit.ts";
import type { LogFormat } from "../../tables/expression.ts";
import type { ProxyHead } from "../../tables/mutations.ts";
import type { Stream } from "../stream.ts";

/** What is known of it; null = the client does not speak TLS to us. */
export function tlsOf(stream: Stream): ConnectionFacts | null {
  const { tls, front, listener } = stream;
  if (listener!.spec.quic === undefined) return null;
  // While the handshake goes on, more becomes known; afterwards nothing changes.
  if (tls !== null && tls.isComplete) return tls;
  const fresh = front?.facts?.() ?? null;
  // A connection that is gone knows nothing any more: what it said before counts.
  if (fresh !== null && (fresh.isComplete || tls === null)) stream.tls = fresh;
  return stream.tls;
}

/** Do logs of a frontend tell about it? @param isJson they are JSON lines */
export function logsTls(spec: ProxyHead, isJson: boolean): boolean {
  return isJson || [spec.logFormat, spec.errorLogFormat, spec.uniqueIdFormat].some(asksForTls);
}

function asksForTls(format: LogFormat | undefined): boolean {
  const parts = format?.parts ?? [];
  return parts.some((part) => {
    if (part.kind === "alias") return part.name === "sslc" || part.name === "sslv";
    return part.kind === "sample" && part.sample.fetch.name.startsWith("ssl_");
  });
}
