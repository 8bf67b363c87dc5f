/**
 * Counts what QUIC connections and endpoints did for their proxies: growth goes into this worker's
 * QUIC_COUNT rows, plainly; `quicFront` and `quicBack` of the PROXY row say how many connections
 * hold the proxy, atomically. The row of a proxy is not freed before they are 0, and a transport
 * counts the last growth of a connection before it is released: so nothing is ever added to a row
 * that is somebody else's.
 *
 * One writer a shard: the worker's thread. When it has died, whoever buries it makes an account of
 * the same number, and gives it what the dead engine had not counted.
 *
 *   opened ─▶ count … count ─▶ closed ─▶ count ─▶ released      a connection
 *   count … count                                              an endpoint, before its last
 *                                                              connection is released
 */
import { assert } from "../../base/assert.ts";
import {
  PROXY_QUIC_BACK,
  PROXY_QUIC_FRONT,
  PROXY_STRIDE,
  PROXY_WATCHED,
} from "../../tables/generated/proxy.ts";
import * as quic from "../../tables/generated/quic-count.ts";
import { QUIC_CODES_KEPT, QUIC_TRANSPORT_ERRORS } from "../../tables/schema.ts";
import type { Tables } from "../../tables/tables.ts";
import {
  CAUSE_APPLICATION,
  CAUSE_PROTOCOL,
  CAUSE_TRANSPORT,
  QUIC_COUNTS,
  QUIC_MOMENTS,
} from "./transport.ts";
import type { TransportAccount } from "./transport.ts";

/** Transport errors by index: the codes 0x0 to 0x10 (RFC 9000 section 20.1), then these two. */
export const ERROR_CRYPTO = QUIC_TRANSPORT_ERRORS - 2;
export const ERROR_UNKNOWN = QUIC_TRANSPORT_ERRORS - 1;

/** TLS alerts are 0x100 and the alert's number. */
const CRYPTO_FIRST = 0x100n;
const CRYPTO_LAST = 0x1ffn;

const RTT_AT = QUIC_COUNTS + QUIC_MOMENTS.indexOf("rttSmoothMicros");
const CWND_AT = QUIC_COUNTS + QUIC_MOMENTS.indexOf("cwnd");

const LOW_32 = 0xffff_ffffn;

/** Where a transport error is counted: 0 … QUIC_TRANSPORT_ERRORS - 1. */
export function transportErrorIndex(code: bigint): number {
  if (code < BigInt(ERROR_CRYPTO)) return Number(code);
  return code >= CRYPTO_FIRST && code <= CRYPTO_LAST ? ERROR_CRYPTO : ERROR_UNKNOWN;
}

/** The account of one worker. Not to be shared by threads. */
export class QuicAccount implements TransportAccount {
  readonly #proxies: Int32Array;
  readonly #shard: Tables["perWorker"][number];
  readonly #ringControl: () => void;

  /**
   * @param worker number of the worker, from 1
   * @param ringControl tells control that nobody holds a proxy any more which it watches; from
   *   control itself: whatever has it look again
   */
  constructor(tables: Tables, worker: number, ringControl: () => void) {
    const shard = tables.perWorker[worker - 1];
    assert(shard !== undefined, "QuicAccount: a worker that there is");
    this.#proxies = tables.proxies.words;
    this.#shard = shard;
    this.#ringControl = ringControl;
  }

  opened(proxyRow: number, isFront: boolean): void {
    const before = Atomics.add(this.#proxies, holdersAt(proxyRow, isFront), 1);
    assert(before >= 0, "QuicAccount.opened: as many as were released, or more");
    this.#add(proxyRow, isFront, quic.QUIC_COUNT_OPENED, 1);
  }

  count(proxyRow: number, isFront: boolean, growth: Float64Array): void {
    const at = rowAt(proxyRow);
    const { floats } = this.#table(isFront);
    let hasGrown = false;
    for (let i = 0; i < QUIC_COUNTS; i++) {
      const value = growth[i]!;
      if (value === 0) continue;
      floats[(at >> 1) + i] = floats[(at >> 1) + i]! + value;
      hasGrown = true;
    }
    if (hasGrown) floats[(at + quic.QUIC_COUNT_USED) >> 1] = 1;
  }

  halfOpen(proxyRow: number, connections: number): void {
    const at = rowAt(proxyRow);
    const { floats } = this.#shard.quicFront;
    floats[(at + quic.QUIC_COUNT_HALF_OPEN) >> 1] = connections;
    if (connections > 0) floats[(at + quic.QUIC_COUNT_USED) >> 1] = 1;
  }

  closed(proxyRow: number, isFront: boolean, cause: number, code: bigint): void {
    this.#add(proxyRow, isFront, quic.QUIC_COUNT_ENDED + 2 * cause, 1);
    if (cause === CAUSE_APPLICATION) this.#countCode(proxyRow, isFront, code);
    else if (cause === CAUSE_TRANSPORT || cause === CAUSE_PROTOCOL) {
      const isReceived = cause === CAUSE_TRANSPORT;
      const list = isReceived ? quic.QUIC_COUNT_ERRORS_RECEIVED : quic.QUIC_COUNT_ERRORS_SENT;
      this.#add(proxyRow, isFront, list + 2 * transportErrorIndex(code), 1);
    }
  }

  released(proxyRow: number, isFront: boolean, last?: Float64Array): void {
    if (last !== undefined) this.#sample(proxyRow, isFront, last);
    this.#add(proxyRow, isFront, quic.QUIC_COUNT_RELEASED, 1);
    // The counters first: with the last connection off the total the row may be freed.
    const before = Atomics.sub(this.#proxies, holdersAt(proxyRow, isFront), 1);
    assert(before > 0, "QuicAccount.released: a connection is released once");
    if (before === 1 && Atomics.load(this.#proxies, proxyRow + PROXY_WATCHED) !== 0) {
      this.#ringControl();
    }
  }

  /** Round-trip time and congestion window of a connection at its end. */
  #sample(proxyRow: number, isFront: boolean, last: Float64Array): void {
    const rtt = last[RTT_AT] ?? 0;
    const cwnd = last[CWND_AT] ?? 0;
    // Nothing was ever acknowledged: the window is where every connection begins.
    if (rtt === 0) return;
    this.#add(proxyRow, isFront, quic.QUIC_COUNT_RTT_SAMPLES, 1);
    this.#add(proxyRow, isFront, quic.QUIC_COUNT_RTT_SUM, rtt);
    this.#stretch(proxyRow, isFront, quic.QUIC_COUNT_RTT_MIN, quic.QUIC_COUNT_RTT_MAX, rtt);
    if (cwnd > 0) {
      this.#add(proxyRow, isFront, quic.QUIC_COUNT_CWND_SAMPLES, 1);
      this.#add(proxyRow, isFront, quic.QUIC_COUNT_CWND_SUM, cwnd);
      this.#stretch(proxyRow, isFront, quic.QUIC_COUNT_CWND_MIN, quic.QUIC_COUNT_CWND_MAX, cwnd);
    }
  }

  #stretch(row: number, isFront: boolean, lowest: number, highest: number, value: number): void {
    const at = rowAt(row);
    const { floats } = this.#table(isFront);
    const low = floats[(at + lowest) >> 1]!;
    if (low === 0 || value < low) floats[(at + lowest) >> 1] = value;
    if (value > floats[(at + highest) >> 1]!) floats[(at + highest) >> 1] = value;
  }

  /** A code that a peer chose: the first few have a place of their own, so memory is bounded. */
  #countCode(proxyRow: number, isFront: boolean, code: bigint): void {
    const at = rowAt(proxyRow);
    const { words, floats } = this.#table(isFront);
    const low = Number(code & LOW_32) | 0;
    const high = Number((code >> 32n) & LOW_32) | 0;
    for (let i = 0; i < QUIC_CODES_KEPT; i++) {
      const count = (at + quic.QUIC_COUNT_CODE_COUNT + 2 * i) >> 1;
      if (floats[count] === 0) {
        words[at + quic.QUIC_COUNT_CODE_LOW + i] = low;
        words[at + quic.QUIC_COUNT_CODE_HIGH + i] = high;
      } else if (words[at + quic.QUIC_COUNT_CODE_LOW + i] !== low) continue;
      else if (words[at + quic.QUIC_COUNT_CODE_HIGH + i] !== high) continue;
      floats[count] = floats[count]! + 1;
      return;
    }
    this.#add(proxyRow, isFront, quic.QUIC_COUNT_CODES_OTHER, 1);
  }

  #add(proxyRow: number, isFront: boolean, field: number, value: number): void {
    const at = rowAt(proxyRow);
    const { floats } = this.#table(isFront);
    floats[(at + field) >> 1] = floats[(at + field) >> 1]! + value;
    floats[(at + quic.QUIC_COUNT_USED) >> 1] = 1;
  }

  #table(isFront: boolean): { words: Int32Array; floats: Float64Array } {
    return isFront ? this.#shard.quicFront : this.#shard.quicBack;
  }
}

function rowAt(proxyRow: number): number {
  assert(proxyRow > 0 && proxyRow % PROXY_STRIDE === 0, "QuicAccount: the row of a proxy");
  return (proxyRow / PROXY_STRIDE) * quic.QUIC_COUNT_STRIDE;
}

function holdersAt(proxyRow: number, isFront: boolean): number {
  return proxyRow + (isFront ? PROXY_QUIC_FRONT : PROXY_QUIC_BACK);
}
