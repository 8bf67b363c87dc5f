/** The PROXY header that a server is sent first (`send-proxy`, `send-proxy-v2`). Cold. */
import type { ProxyV2Extras } from "../../wire/proxy-header.ts";
import { encodeProxyV1 } from "../../wire/proxy-v1.ts";
import { encodeProxyV2 } from "../../wire/proxy-v2.ts";
import { destinationOf, uniqueIdOf } from "../route/stream-context.ts";
import type { Stream } from "../stream.ts";

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
  const extras: ProxyV2Extras = { crc32c: options.includes("crc32c") };
  if (received?.alpn !== undefined) extras.alpn = received.alpn;
  const wantsAuthority = options.includes("authority") && received?.authority !== undefined;
  if (wantsAuthority) extras.authority = received.authority!;
  const uniqueId = options.includes("unique-id") ? uniqueIdOf(stream) : "";
  if (uniqueId !== "") extras.uniqueId = new TextEncoder().encode(uniqueId);
  if (options.includes("ssl")) extras.tls = true;
  return encodeProxyV2(endpoints, extras);
}
