/**
 * The PROXY protocol's header as a value: what was received, what is to be sent, and the codes of
 * the parsers. Any thread. Reading: `proxy-reader.ts`. Writing: `encodeProxyV1`, `encodeProxyV2`.
 * Source: the PROXY protocol specification, section 2.
 */
import { IpAddress } from "../base/address.ts";

/** The header is not complete yet. */
export const PROXY_NEED_MORE = -1;
/** The first bytes belong to no PROXY header. */
export const PROXY_NOT_HDR = -2;
/** It begins like one and is wrong. */
export const PROXY_BAD_HDR = -3;
/** Version 1 with a word other than TCP4, TCP6 and UNKNOWN. */
export const PROXY_BAD_PROTO = -4;

/** Version 1 whose line does not end where it must. */
export const PROXY_TRUNCATED = -5;

/** The TLS facts that a sender put into PP2_TYPE_SSL. */
export type ProxyTls = {
  /** PP2_CLIENT_* bits: 1 TLS, 2 certificate on this connection, 4 in its TLS session. */
  client: number;
  /** 0: the certificate was verified. */
  verify: number;
  version?: string;
  commonName?: string;
  cipher?: string;
  signatureAlgorithm?: string;
  keyAlgorithm?: string;
  group?: string;
  signatureScheme?: string;
  /** DER. */
  certificate?: Uint8Array;
};

/** A parsed header. One is kept per reader and filled in place. */
export class ProxyHeader {
  /** 0 = nothing parsed. */
  version: 0 | 1 | 2 = 0;
  /** `local`: made by the sender itself (a check): use the real addresses. */
  command: "local" | "proxy" = "local";
  /** Of the addresses: 0 none or unknown, 1 unix. */
  family: 0 | 1 | 4 | 6 = 0;
  transport: "unspec" | "stream" | "dgram" = "unspec";
  readonly source = new IpAddress();
  readonly destination = new IpAddress();
  sourcePort = 0;
  destinationPort = 0;
  /** Of AF_UNIX, without the padding. */
  sourcePath = "";
  destinationPath = "";
  alpn: string | undefined;
  authority: string | undefined;
  uniqueId: Uint8Array | undefined;
  netns: string | undefined;
  tls: ProxyTls | undefined;
  /** Bytes of the whole header. */
  bytes = 0;

  /**
   * True when the addresses replace the connection's own. False for LOCAL, UNKNOWN and UNSPEC,
   * for which the specification asks to keep the real ones, and for what is not TCP over IP.
   */
  hasAddresses(): boolean {
    const isIp = this.family === 4 || this.family === 6;
    return this.command === "proxy" && isIp && this.transport === "stream";
  }

  /** Forgets everything. */
  clear(): void {
    this.version = 0;
    this.command = "local";
    this.family = 0;
    this.transport = "unspec";
    this.source.clear();
    this.destination.clear();
    this.sourcePort = 0;
    this.destinationPort = 0;
    this.sourcePath = "";
    this.destinationPath = "";
    this.alpn = undefined;
    this.authority = undefined;
    this.uniqueId = undefined;
    this.netns = undefined;
    this.tls = undefined;
    this.bytes = 0;
  }
}

/** Whose connection is announced to a server. Family 0: no IP address (a unix socket, a check). */
export type ProxyEndpoints = {
  source: IpAddress;
  sourcePort: number;
  destination: IpAddress;
  destinationPort: number;
};

/** What goes along: `proxy-v2-options`. */
export type ProxyV2Extras = {
  crc32c?: boolean;
  alpn?: string;
  authority?: string;
  uniqueId?: Uint8Array;
  netns?: string;
  /** PP2_TYPE_SSL; with `client` 0 it announces that the client's connection is plain. */
  tls?: ProxyTls;
};
