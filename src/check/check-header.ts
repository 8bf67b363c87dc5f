/**
 * The PROXY header that a check says first: version 1 carries the check's own addresses, version 2
 * says LOCAL. Source: the PROXY protocol specification, section 2.2.
 */
import { IpAddress } from "../base/address.ts";
import { nativeModule } from "../conduit/native.ts";
import { decodeSocketAddress, Endpoint } from "../conduit/sockaddr.ts";
import type { ProxyEndpoints } from "../wire/proxy-header.ts";
import { encodeProxyV1 } from "../wire/proxy-v1.ts";
import { encodeProxyV2 } from "../wire/proxy-v2.ts";

const NOTHING = new Uint8Array(0);
const SOCKADDR_BYTES = 128;

/** @param version 0 = no header @param socket the connection, which is there */
export function checkHeader(version: 0 | 1 | 2, socket: object): Uint8Array {
  if (version === 0) return NOTHING;
  const none: ProxyEndpoints = {
    source: new IpAddress(),
    sourcePort: 0,
    destination: new IpAddress(),
    destinationPort: 0,
  };
  if (version === 2) return encodeProxyV2(none);
  const fd = "fd" in socket ? Number(socket.fd) : -1;
  return encodeProxyV1(fd < 0 ? none : endpointsOf(fd));
}

function endpointsOf(fd: number): ProxyEndpoints {
  const [own, other] = [new Endpoint(), new Endpoint()];
  for (const [index, endpoint] of [own, other].entries()) {
    const bytes = new Uint8Array(SOCKADDR_BYTES);
    const length = nativeModule()?.name(fd, index, bytes, bytes.length) ?? -1;
    if (length > 0) decodeSocketAddress(bytes, length, endpoint);
  }
  return {
    source: own.ip,
    sourcePort: own.port,
    destination: other.ip,
    destinationPort: other.port,
  };
}
