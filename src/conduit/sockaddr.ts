/**
 * Addresses as sockaddr bytes (Linux layout) and back. Encoding is cold: once a server or listener.
 */
import { IpAddress, normaliseMapped, parseIp, readIp, writeIp } from "../base/address.ts";
import type { Address } from "../tables/spec.ts";

/** Address families of Linux. */
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;

/** A socket address: family and bytes for the native module. */
export type SocketAddress = { family: number; bytes: Uint8Array };

/** Where one end of a connection is. `family` 1 is a unix socket: no address, no port. */
export class Endpoint {
  family: 0 | 1 | 4 | 6 = 0;
  port = 0;
  readonly ip = new IpAddress();

  /** Becomes "not known". */
  clear(): void {
    this.family = 0;
    this.port = 0;
    this.ip.clear();
  }

  /** Becomes a copy of `other`. */
  copyFrom(other: Endpoint): void {
    this.family = other.family;
    this.port = other.port;
    this.ip.copyFrom(other.ip);
  }
}

/**
 * sockaddr of an address; `port` replaces the address's own when given.
 * @throws RangeError for a name that is no IP literal or a unix path longer than 107 bytes
 */
export function encodeSocketAddress(address: Address, port?: number): SocketAddress {
  switch (address.family) {
    case "ipv4":
    case "ipv6":
      return encodeIp(address.host, port ?? address.port);
    case "unix":
      return encodeUnix(address.path, false);
    case "abns":
      return encodeUnix(address.name, true);
    case "fd":
      throw new RangeError("a descriptor has no address of its own");
  }
}

function encodeIp(host: string, port: number): SocketAddress {
  const ip = new IpAddress();
  if (!parseIp(host, ip)) throw new RangeError(`not an IP address: ${host}`);
  const isV6 = ip.family === 6;
  const family = isV6 ? AF_INET6 : AF_INET;
  const bytes = new Uint8Array(isV6 ? 28 : 16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family, true);
  view.setUint16(2, port);
  writeIp(ip, bytes, isV6 ? 8 : 4);
  return { family, bytes };
}

function encodeUnix(name: string, abstract: boolean): SocketAddress {
  const text = new TextEncoder().encode(name);
  if (text.length > 107) throw new RangeError(`unix socket name longer than 107 bytes: ${name}`);
  // HAProxy pads abstract names to the full length of the structure (manual 2.9, `abns@`).
  const bytes = new Uint8Array(abstract ? 110 : 2 + text.length + 1);
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  bytes.set(text, abstract ? 3 : 2);
  return { family: AF_UNIX, bytes };
}

/**
 * Reads a sockaddr into `out`, without allocating. IPv4-mapped IPv6 addresses become IPv4.
 * @param length bytes of the sockaddr that are valid
 */
export function decodeSocketAddress(bytes: Uint8Array, length: number, out: Endpoint): void {
  const family = bytes[0]! | (bytes[1]! << 8);
  out.clear();
  if (family === AF_INET && length >= 8) {
    out.family = 4;
    readIp(bytes, 4, 4, out.ip);
  } else if (family === AF_INET6 && length >= 24) {
    readIp(bytes, 8, 6, out.ip);
    normaliseMapped(out.ip);
    out.family = out.ip.family;
  } else {
    out.family = family === AF_UNIX ? 1 : 0;
    return;
  }
  out.port = (bytes[2]! << 8) | bytes[3]!;
}
