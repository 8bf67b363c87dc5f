/**
 * PROXY protocol version 2: a binary block of 16 bytes, addresses and TLVs. Any thread.
 * Source: the PROXY protocol specification, section 2.2. TLVs: `proxy-tlv.ts`.
 *
 * ```
 *    0            12    13    14      16
 *   │ signature   │2│cmd│fam│tr│ length │ addresses │ TLV … │
 * ```
 */
import { type IpAddress, readIp, writeIp } from "../base/address.ts";
import { crc32c } from "../base/crc32.ts";
import {
  PROXY_BAD_HDR,
  PROXY_NEED_MORE,
  PROXY_NOT_HDR,
  type ProxyEndpoints,
  type ProxyHeader,
  type ProxyV2Extras,
} from "./proxy-header.ts";
import { parseTlvs, PP2_CRC32C, writeTlvs } from "./proxy-tlv.ts";

/** The twelve bytes that no other protocol begins with. */
export const PROXY_V2_SIGNATURE: Uint8Array = new Uint8Array([
  0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
]);
/** Bytes before the addresses. */
export const PROXY_V2_FIXED_BYTES = 16;

const VERSION = 0x20;
const UNIX_PATH_BYTES = 108;
/** Bytes of the address block, by the family nibble. */
const ADDRESS_BYTES = [0, 12, 36, 2 * UNIX_PATH_BYTES] as const;
const TRANSPORTS = ["unspec", "stream", "dgram"] as const;

/**
 * Parses bytes that begin with the signature and hold the fixed part at least.
 * @returns length of the block, or a code of `proxy-header.ts`
 */
export function parseProxyV2(bytes: Uint8Array, out: ProxyHeader, limit: number): number {
  const versionAndCommand = bytes[12]!;
  const familyAndTransport = bytes[13]!;
  const length = (bytes[14]! << 8) | bytes[15]!;
  const end = PROXY_V2_FIXED_BYTES + length;
  const command = versionAndCommand & 15;
  // Another version is another protocol: nothing behind the signature can be trusted.
  if ((versionAndCommand & 0xf0) !== VERSION) return PROXY_NOT_HDR;
  if (command > 1) return PROXY_BAD_HDR;
  const family = familyAndTransport >> 4;
  const transport = TRANSPORTS[familyAndTransport & 15];
  const addressBytes = ADDRESS_BYTES[family];
  // LOCAL: the family is to be ignored, whatever it says.
  if (command === 1) {
    if (addressBytes === undefined || transport === undefined) return PROXY_BAD_HDR;
    if (length < addressBytes) return PROXY_BAD_HDR;
  }
  if (end > limit) return PROXY_BAD_HDR;
  if (bytes.length < end) return PROXY_NEED_MORE;
  out.version = 2;
  out.bytes = end;
  if (command === 0) return end;
  out.command = "proxy";
  out.transport = transport ?? "unspec";
  const isKnown = family !== 0 && out.transport !== "unspec";
  if (isKnown) readAddresses(bytes, family, out);
  // An unspecified transport may carry anything in place of the addresses: nothing to find there.
  const isOpaque = family === 0 || out.transport === "unspec";
  if (isOpaque) return end;
  const start = PROXY_V2_FIXED_BYTES + (addressBytes ?? 0);
  if (!parseTlvs(bytes, start, end, out)) {
    out.clear();
    return PROXY_BAD_HDR;
  }
  return end;
}

function readAddresses(bytes: Uint8Array, family: number, out: ProxyHeader): void {
  const at = PROXY_V2_FIXED_BYTES;
  if (family === 3) {
    out.family = 1;
    out.sourcePath = readPath(bytes, at);
    out.destinationPath = readPath(bytes, at + UNIX_PATH_BYTES);
    return;
  }
  const ip = family === 1 ? 4 : 6;
  const size = ip === 4 ? 4 : 16;
  out.family = ip;
  readIp(bytes, at, ip, out.source);
  readIp(bytes, at + size, ip, out.destination);
  const ports = at + 2 * size;
  out.sourcePort = (bytes[ports]! << 8) | bytes[ports + 1]!;
  out.destinationPort = (bytes[ports + 2]! << 8) | bytes[ports + 3]!;
}

/** A path up to its padding; a leading zero byte is an abstract name. */
function readPath(bytes: Uint8Array, at: number): string {
  let end = at + 1;
  while (end < at + UNIX_PATH_BYTES && bytes[end] !== 0) end++;
  if (bytes[at] === 0 && end === at + 1) return "";
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString("latin1");
}

/**
 * Makes the block for a server. Without IP addresses on both sides it is LOCAL, as HAProxy does;
 * an IPv4 address beside an IPv6 one is written in its mapped form.
 */
export function encodeProxyV2(endpoints: ProxyEndpoints, extras: ProxyV2Extras = {}): Uint8Array {
  const { source, destination } = endpoints;
  const hasAddresses = source.family !== 0 && destination.family !== 0;
  const isIpv4 = source.family === 4 && destination.family === 4;
  const addressBytes = !hasAddresses ? 0 : isIpv4 ? 12 : 36;
  const tlvs = writeTlvs(extras);
  const block = new Uint8Array(PROXY_V2_FIXED_BYTES + addressBytes + tlvs.length);
  block.set(PROXY_V2_SIGNATURE);
  block[12] = VERSION | (hasAddresses ? 1 : 0);
  block[13] = !hasAddresses ? 0 : isIpv4 ? 0x11 : 0x21;
  writePort(block, 14, addressBytes + tlvs.length);
  if (hasAddresses) {
    const size = isIpv4 ? 4 : 16;
    writeAddress(source, block, PROXY_V2_FIXED_BYTES, size);
    writeAddress(destination, block, PROXY_V2_FIXED_BYTES + size, size);
    writePort(block, PROXY_V2_FIXED_BYTES + 2 * size, endpoints.sourcePort);
    writePort(block, PROXY_V2_FIXED_BYTES + 2 * size + 2, endpoints.destinationPort);
  }
  const tlvStart = PROXY_V2_FIXED_BYTES + addressBytes;
  block.set(tlvs, tlvStart);
  // The checksum is the first TLV, and was zero while it was computed.
  if (tlvs[0] === PP2_CRC32C) {
    new DataView(block.buffer).setUint32(tlvStart + 3, crc32c(block));
  }
  return block;
}

function writeAddress(address: IpAddress, block: Uint8Array, at: number, size: number): void {
  if (size === 16 && address.family === 4) {
    block[at + 10] = 0xff;
    block[at + 11] = 0xff;
    writeIp(address, block, at + 12);
    return;
  }
  writeIp(address, block, at);
}

function writePort(block: Uint8Array, at: number, port: number): void {
  block[at] = port >> 8;
  block[at + 1] = port;
}
