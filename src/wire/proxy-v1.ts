/**
 * PROXY protocol version 1: one line of text, at most 107 bytes. Any thread.
 * Source: the PROXY protocol specification, section 2.1.
 */
import { formatIp, IpAddress, parseIpv4, parseIpv6 } from "../base/address.ts";
import {
  PROXY_BAD_HDR,
  PROXY_BAD_PROTO,
  PROXY_NEED_MORE,
  PROXY_TRUNCATED,
  type ProxyEndpoints,
  type ProxyHeader,
} from "./proxy-header.ts";

/** Longest line, with its CRLF. */
export const PROXY_V1_BYTES_MAX = 107;

const CR = 0x0d;
const LF = 0x0a;

/**
 * Parses bytes that begin with `PROXY `.
 * @returns length of the line, or a code of `proxy-header.ts`
 */
export function parseProxyV1(bytes: Uint8Array, out: ProxyHeader): number {
  const end = Math.min(bytes.length, PROXY_V1_BYTES_MAX);
  let at = 6;
  // A lone CR or LF ends nothing: the specification wants both, in this order.
  while (at < end && bytes[at] !== CR && bytes[at] !== LF) at++;
  if (at === end) return end === PROXY_V1_BYTES_MAX ? PROXY_TRUNCATED : PROXY_NEED_MORE;
  if (bytes[at] === LF || at + 1 >= PROXY_V1_BYTES_MAX) return PROXY_BAD_HDR;
  if (at + 1 === bytes.length) return PROXY_NEED_MORE;
  if (bytes[at + 1] !== LF) return PROXY_BAD_HDR;
  const result = parseWords(latin1(bytes, 6, at), out);
  if (result !== 0) {
    out.clear();
    return result;
  }
  out.version = 1;
  out.bytes = at + 2;
  return at + 2;
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");
}

function parseWords(text: string, out: ProxyHeader): number {
  const words = text.split(" ");
  const [protocol = "", source = "", destination = "", sourcePort = "", destinationPort = ""] =
    words;
  if (protocol === "UNKNOWN") {
    // Whatever follows is to be ignored, and the real addresses kept.
    out.command = "proxy";
    return 0;
  }
  if (protocol !== "TCP4" && protocol !== "TCP6") return PROXY_BAD_PROTO;
  if (words.length !== 5) return PROXY_BAD_HDR;
  const family = protocol === "TCP4" ? 4 : 6;
  if (!parseAddress(source, family, out.source)) return PROXY_BAD_HDR;
  if (!parseAddress(destination, family, out.destination)) return PROXY_BAD_HDR;
  out.sourcePort = parsePort(sourcePort);
  out.destinationPort = parsePort(destinationPort);
  if (out.sourcePort < 0 || out.destinationPort < 0) return PROXY_BAD_HDR;
  out.family = family;
  out.command = "proxy";
  out.transport = "stream";
  return 0;
}

function parseAddress(text: string, family: 4 | 6, out: IpAddress): boolean {
  if (family === 6) return parseIpv6(text, out);
  const word = parseIpv4(text);
  if (word < 0) return false;
  out.setIpv4(word);
  return true;
}

/** Decimal, without leading zeros. @returns -1 if it is none */
function parsePort(text: string): number {
  if (!/^(?:0|[1-9]\d{0,4})$/.test(text)) return -1;
  const port = Number(text);
  return port <= 65_535 ? port : -1;
}

/**
 * Makes the line for a server. Without IP addresses on both sides it is `PROXY UNKNOWN`; an IPv4
 * address beside an IPv6 one is written in its mapped form.
 */
export function encodeProxyV1(endpoints: ProxyEndpoints): Uint8Array {
  const { source, destination, sourcePort, destinationPort } = endpoints;
  if (source.family === 0 || destination.family === 0) return Buffer.from("PROXY UNKNOWN\r\n");
  const isIpv4 = source.family === 4 && destination.family === 4;
  const addresses = isIpv4
    ? `TCP4 ${formatIp(source)} ${formatIp(destination)}`
    : `TCP6 ${formatAsIpv6(source)} ${formatAsIpv6(destination)}`;
  return Buffer.from(`PROXY ${addresses} ${sourcePort} ${destinationPort}\r\n`);
}

function formatAsIpv6(address: IpAddress): string {
  return address.family === 4 ? `::ffff:${formatIp(address)}` : formatIp(address);
}
