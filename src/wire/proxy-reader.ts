/**
 * Reads the PROXY protocol's header from the start of a connection, in whatever pieces it comes.
 * Versions 1 and 2 are told apart by their first bytes. Any thread.
 *
 * Never throws, whatever comes; memory is bounded by `limit`. Parsing of a complete block:
 * `proxy-v1.ts`, `proxy-v2.ts`. Source: the PROXY protocol specification, section 2.
 *
 * ```
 *   push(chunk) ──▶ PROXY_NEED_MORE │ index in chunk where the payload begins │ PROXY_NOT_HDR …
 * ```
 */
import { PROXY_HEADER_BYTES_MAX } from "../base/limits.ts";
import {
  CONN_PRX_BAD_HDR,
  CONN_PRX_BAD_PROTO,
  CONN_PRX_EMPTY,
  CONN_PRX_NOT_HDR,
  CONN_PRX_TRUNCATED,
} from "./connection-error.ts";
import {
  PROXY_BAD_HDR,
  PROXY_BAD_PROTO,
  PROXY_NEED_MORE,
  PROXY_NOT_HDR,
  PROXY_TRUNCATED,
  ProxyHeader,
} from "./proxy-header.ts";
import { parseProxyV1, PROXY_V1_BYTES_MAX } from "./proxy-v1.ts";
import { parseProxyV2, PROXY_V2_FIXED_BYTES, PROXY_V2_SIGNATURE } from "./proxy-v2.ts";

const V1_START = new Uint8Array([0x50, 0x52, 0x4f, 0x58, 0x59, 0x20]);

/**
 * Parses the header at the start of `bytes`, which may hold less or more than it.
 * @param limit longest acceptable header in bytes
 * @returns its length in bytes, or PROXY_NEED_MORE, PROXY_NOT_HDR, PROXY_BAD_HDR, PROXY_BAD_PROTO
 */
export function parseProxyHeader(
  bytes: Uint8Array,
  out: ProxyHeader,
  limit = PROXY_HEADER_BYTES_MAX,
): number {
  out.clear();
  if (bytes.length === 0) return PROXY_NEED_MORE;
  if (startsLike(bytes, V1_START)) {
    return bytes.length < V1_START.length ? PROXY_NEED_MORE : parseProxyV1(bytes, out);
  }
  if (!startsLike(bytes, PROXY_V2_SIGNATURE)) return PROXY_NOT_HDR;
  if (bytes.length < PROXY_V2_FIXED_BYTES) return PROXY_NEED_MORE;
  return parseProxyV2(bytes, out, limit);
}

/** True if what is there of `bytes` agrees with `start`. */
function startsLike(bytes: Uint8Array, start: Uint8Array): boolean {
  const length = Math.min(bytes.length, start.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== start[i]) return false;
  return true;
}

/** Reads one header from the pieces of one connection. */
export class ProxyHeaderReader {
  readonly header = new ProxyHeader();
  private pending: Uint8Array | undefined;
  private readonly limit: number;

  constructor(limit = PROXY_HEADER_BYTES_MAX) {
    this.limit = Math.max(limit, PROXY_V1_BYTES_MAX);
  }

  /**
   * Takes the next bytes.
   * @returns the index in `chunk` at which the payload begins (its length if none follows), once
   *   the header is complete; PROXY_NEED_MORE before; another negative code ends the connection
   */
  push(chunk: Uint8Array): number {
    const before = this.pending?.length ?? 0;
    const all = this.pending === undefined ? chunk : concat(this.pending, chunk);
    const length = parseProxyHeader(all, this.header, this.limit);
    if (length === PROXY_NEED_MORE) {
      // A piece that completes nothing is at most as long as the header may be.
      if (all.length > this.limit) return PROXY_BAD_HDR;
      this.pending = all.slice();
      return PROXY_NEED_MORE;
    }
    this.pending = undefined;
    return length < 0 ? length : length - before;
  }

  /** Bytes held so far. */
  held(): number {
    return this.pending?.length ?? 0;
  }

  /** The code of `fc_err` for a negative result of `push`, or for an end of the stream now. */
  errorCode(result: number): number {
    switch (result) {
      case PROXY_NOT_HDR:
        return CONN_PRX_NOT_HDR;
      case PROXY_BAD_HDR:
        return CONN_PRX_BAD_HDR;
      case PROXY_TRUNCATED:
        return CONN_PRX_TRUNCATED;
      case PROXY_BAD_PROTO:
        return CONN_PRX_BAD_PROTO;
      default:
        return this.held() === 0 ? CONN_PRX_EMPTY : CONN_PRX_TRUNCATED;
    }
  }
}

function concat(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const all = new Uint8Array(head.length + tail.length);
  all.set(head);
  all.set(tail, head.length);
  return all;
}
