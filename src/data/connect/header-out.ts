/** The PROXY header that a server is sent first (`send-proxy`, `send-proxy-v2`). Cold. */
import type { ConnectionFacts } from "../../conduit/conduit.ts";
import type { ProxyProtocolOut } from "../../tables/spec.ts";
import type { ProxyTls, ProxyV2Extras } from "../../wire/proxy-header.ts";
import { encodeProxyV1 } from "../../wire/proxy-v1.ts";
import { encodeProxyV2 } from "../../wire/proxy-v2.ts";
import { destinationOf, uniqueIdOf } from "../route/stream-context.ts";
import { tlsOf } from "../route/stream-tls.ts";
import type { Stream } from "../stream.ts";

/** Bits of PP2_TYPE_SSL's `client` (specification, 2.2.6). */
const PP2_CLIENT_SSL = 1;
const PP2_CLIENT_CERT_CONN = 2;
const PP2_CLIENT_CERT_SESS = 4;

/** Each of these asks for PP2_TYPE_SSL, as in HAProxy. */
const TLS_OPTIONS: ReadonlySet<ProxyProtocolOut["options"][number]> = new Set([
  "ssl",
  "cert-cn",
  "ssl-cipher",
  "cert-sig",
  "cert-key",
]);

/** Bytes of the header for the stream's server. */
export function proxyHeaderFor(stream: Stream): Uint8Array {
  const { client, server, header } = stream;
  const { version, options } = server!.spec.sendProxy!;
  if (client.family === 0) stream.front?.remoteEndpoint(client);
  const destination = destinationOf(stream);
  const endpoints = {
    source: client.ip,
    sourcePort: client.port,
    destination: destination.ip,
    destinationPort: destination.port,
  };
  if (version === 1) return encodeProxyV1(endpoints);
  const received = header?.header;
  const facts = tlsOf(stream);
  const extras: ProxyV2Extras = { crc32c: options.includes("crc32c") };
  const alpn = received?.alpn ?? facts?.alpn ?? "";
  if (alpn !== "") extras.alpn = alpn;
  const authority = received?.authority ?? facts?.sni ?? "";
  if (options.includes("authority") && authority !== "") extras.authority = authority;
  const uniqueId = options.includes("unique-id") ? uniqueIdOf(stream) : "";
  if (uniqueId !== "") extras.uniqueId = new TextEncoder().encode(uniqueId);
  if (options.some((option) => TLS_OPTIONS.has(option))) extras.tls = proxyTls(facts, options);
  return encodeProxyV2(endpoints, extras);
}

/** What PP2_TYPE_SSL says: of a QUIC client what the options ask, of others that it is plain. */
function proxyTls(facts: ConnectionFacts | null, options: ProxyProtocolOut["options"]): ProxyTls {
  if (facts === null) return { client: 0, verify: 0 };
  const { hasCertificate, isResumed, isVerified } = facts;
  const tls: ProxyTls = { client: PP2_CLIENT_SSL, verify: 0, version: "TLSv1.3" };
  if (hasCertificate) {
    tls.client |= PP2_CLIENT_CERT_SESS | (isResumed ? 0 : PP2_CLIENT_CERT_CONN);
    tls.verify = isVerified ? 0 : 1;
    if (options.includes("cert-cn")) tls.commonName = facts.commonName;
  }
  if (options.includes("cert-key")) tls.keyAlgorithm = facts.key;
  if (options.includes("cert-sig")) tls.signatureAlgorithm = facts.signature;
  if (options.includes("ssl-cipher")) tls.cipher = facts.cipher;
  return tls;
}
