/** Calls of the QUIC module with what they need in the form that C wants. */
import type { Pointer } from "bun:ffi";

import { formatIp } from "../../base/address.ts";
import { decodeSocketAddress, Endpoint } from "../sockaddr.ts";
import { alpnWire, textBytes } from "./native-profile.ts";
import type { Quic } from "./native-quic.ts";
import type { QuicDial } from "./transport.ts";

const LOW_32 = 0xffff_ffffn;
const remoteEndpoint = new Endpoint();

/**
 * Begins a connection.
 * @param profile what C made of the profile of `dial`
 * @returns its handle, or a negative result
 */
export function beginConnection(
  quic: Quic,
  engine: Pointer,
  profile: Pointer,
  endpoint: number,
  dial: QuicDial,
): number {
  const { remote, ticket } = dial;
  const sni = bytesOrNull(textBytes(dial.sni));
  const verifyName = bytesOrNull(textBytes(nameOf(dial)));
  const alpn = bytesOrNull(alpnWire(dial.alpn));
  return quic.connect(
    engine,
    profile,
    endpoint,
    remote.bytes,
    remote.bytes.length,
    sni,
    sni?.length ?? 0,
    verifyName,
    verifyName?.length ?? 0,
    alpn,
    alpn?.length ?? 0,
    ticket,
    ticket?.length ?? 0,
  );
}

/** What the certificate must bear; "" = any name, of an authority that is trusted. */
function nameOf(dial: QuicDial): string {
  const { sni, verifyName } = dial;
  return verifyName === null ? sni : verifyName || sni || hostOf(dial);
}

/** The server's address in words: what a certificate without another name must bear. */
function hostOf({ remote }: QuicDial): string {
  decodeSocketAddress(remote.bytes, remote.bytes.length, remoteEndpoint);
  return remoteEndpoint.family === 0 ? "" : formatIp(remoteEndpoint.ip);
}

/** C takes no address of nothing. */
export function bytesOrNull(bytes: Uint8Array): Uint8Array | null {
  return bytes.length === 0 ? null : bytes;
}

/** The low word of a code. */
export function lowOf(code: bigint): number {
  return Number(code & LOW_32);
}

/** The high word. */
export function highOf(code: bigint): number {
  return Number((code >> 32n) & LOW_32);
}
