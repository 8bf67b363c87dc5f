/**
 * The type-length-value fields behind the addresses of a PROXY v2 header. Any thread.
 * Source: the PROXY protocol specification, section 2.2.1 to 2.2.8.
 *
 * ```
 *   │ type (1) │ length (2, big-endian) │ value (length) │ …
 * ```
 */
import { crc32c } from "../base/crc32.ts";
import type { ProxyHeader, ProxyTls, ProxyV2Extras } from "./proxy-header.ts";

/** Protocol negotiated inside TLS. */
export const PP2_ALPN = 0x01;
/** Host name that the client asked for. */
export const PP2_AUTHORITY = 0x02;
/** Checksum of the whole header. */
export const PP2_CRC32C = 0x03;
/** Id of the connection. */
export const PP2_UNIQUE_ID = 0x05;
/** Facts of the client's TLS, with fields of its own. */
export const PP2_SSL = 0x20;
/** Version of TLS. */
export const PP2_SSL_VERSION = 0x21;
/** Common name of the client's certificate. */
export const PP2_SSL_CN = 0x22;
/** Cipher. */
export const PP2_SSL_CIPHER = 0x23;
/** How our certificate is signed. */
export const PP2_SSL_SIG_ALG = 0x24;
/** Kind of our certificate's key. */
export const PP2_SSL_KEY_ALG = 0x25;
/** Key exchange. */
export const PP2_SSL_GROUP = 0x26;
/** How the handshake was signed. */
export const PP2_SSL_SIG_SCHEME = 0x27;
/** The client's certificate, DER. */
export const PP2_SSL_CLIENT_CERT = 0x28;
/** Name space of the network. */
export const PP2_NETNS = 0x30;

/** Longest host name (RFC 1035), and longest unique id of the specification. */
const AUTHORITY_BYTES_MAX = 255;
const UNIQUE_ID_BYTES_MAX = 128;
/** Names in certificates may be longer than a header should be. */
const TLS_TEXT_BYTES_MAX = 255;
const HEAD_BYTES = 3;

/** Calls `take` for each TLV of a range; false when one does not fit or `take` says false. */
function forEachTlv(
  bytes: Uint8Array,
  start: number,
  end: number,
  take: (type: number, from: number, to: number) => boolean,
): boolean {
  let at = start;
  while (at < end) {
    if (end - at < HEAD_BYTES) return false;
    const from = at + HEAD_BYTES;
    const to = from + ((bytes[at + 1]! << 8) | bytes[at + 2]!);
    if (to > end || !take(bytes[at]!, from, to)) return false;
    at = to;
  }
  return true;
}

/**
 * Reads the TLVs of `bytes[start..end)` into a header; `bytes[0..end)` is the header as received.
 * @returns false when one is malformed, too long, or the checksum is wrong
 */
export function parseTlvs(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: ProxyHeader,
): boolean {
  return forEachTlv(bytes, start, end, (type, from, to) => {
    switch (type) {
      case PP2_ALPN:
        out.alpn = text(bytes, from, to);
        return true;
      case PP2_AUTHORITY:
        out.authority = text(bytes, from, to);
        return to - from <= AUTHORITY_BYTES_MAX;
      case PP2_CRC32C:
        return to - from === 4 && hasChecksum(bytes, from, end);
      case PP2_UNIQUE_ID:
        out.uniqueId = bytes.slice(from, to);
        return to - from <= UNIQUE_ID_BYTES_MAX;
      case PP2_SSL:
        return parseTls(bytes, from, to, out);
      case PP2_NETNS:
        out.netns = text(bytes, from, to);
        return true;
      // NOOP, custom and future types are skipped.
      default:
        return true;
    }
  });
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("utf8");
}

function hasChecksum(bytes: Uint8Array, at: number, end: number): boolean {
  const header = bytes.slice(0, end);
  const view = new DataView(header.buffer);
  const received = view.getUint32(at);
  view.setUint32(at, 0);
  return crc32c(header) === received;
}

function parseTls(bytes: Uint8Array, from: number, to: number, out: ProxyHeader): boolean {
  if (to - from < 5) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset + from, 5);
  const tls: ProxyTls = { client: view.getUint8(0), verify: view.getUint32(1) };
  out.tls = tls;
  return forEachTlv(bytes, from + 5, to, (type, start, end) => {
    switch (type) {
      case PP2_SSL_VERSION:
        tls.version = text(bytes, start, end);
        break;
      case PP2_SSL_CN:
        tls.commonName = text(bytes, start, end);
        break;
      case PP2_SSL_CIPHER:
        tls.cipher = text(bytes, start, end);
        break;
      case PP2_SSL_SIG_ALG:
        tls.signatureAlgorithm = text(bytes, start, end);
        break;
      case PP2_SSL_KEY_ALG:
        tls.keyAlgorithm = text(bytes, start, end);
        break;
      case PP2_SSL_GROUP:
        tls.group = text(bytes, start, end);
        break;
      case PP2_SSL_SIG_SCHEME:
        tls.signatureScheme = text(bytes, start, end);
        break;
      case PP2_SSL_CLIENT_CERT:
        tls.certificate = bytes.slice(start, end);
        break;
      default:
        break;
    }
    return true;
  });
}

/** The TLVs to send, in HAProxy's order; a checksum comes first and is zero. */
export function writeTlvs(extras: ProxyV2Extras): Uint8Array {
  const { parts, add } = newTlvs();
  if (extras.crc32c === true) add(PP2_CRC32C, new Uint8Array(4));
  if (extras.alpn !== undefined) add(PP2_ALPN, Buffer.from(extras.alpn));
  if (extras.authority !== undefined) {
    add(PP2_AUTHORITY, Buffer.from(extras.authority).subarray(0, AUTHORITY_BYTES_MAX));
  }
  if (extras.uniqueId !== undefined) {
    add(PP2_UNIQUE_ID, extras.uniqueId.subarray(0, UNIQUE_ID_BYTES_MAX));
  }
  if (extras.tls !== undefined) add(PP2_SSL, writeTls(extras.tls));
  if (extras.netns !== undefined) add(PP2_NETNS, Buffer.from(extras.netns));
  return Buffer.concat(parts);
}

type Tlvs = { parts: Uint8Array[]; add: (type: number, value: Uint8Array) => void };

function newTlvs(): Tlvs {
  const parts: Uint8Array[] = [];
  const add: Tlvs["add"] = (type, value) => {
    parts.push(new Uint8Array([type, value.length >> 8, value.length & 255]), value);
  };
  return { parts, add };
}

/** The value of PP2_TYPE_SSL: bits, result of the verification, what is known; HAProxy's order. */
function writeTls(tls: ProxyTls): Uint8Array {
  const head = new Uint8Array(5);
  head[0] = tls.client;
  new DataView(head.buffer).setUint32(1, tls.verify);
  const { parts, add } = newTlvs();
  const addText = (type: number, value: string | undefined): void => {
    if (value === undefined || value === "") return;
    add(type, Buffer.from(value).subarray(0, TLS_TEXT_BYTES_MAX));
  };
  addText(PP2_SSL_VERSION, tls.version);
  addText(PP2_SSL_CN, tls.commonName);
  addText(PP2_SSL_KEY_ALG, tls.keyAlgorithm);
  addText(PP2_SSL_SIG_ALG, tls.signatureAlgorithm);
  addText(PP2_SSL_CIPHER, tls.cipher);
  return Buffer.concat([head, ...parts]);
}
