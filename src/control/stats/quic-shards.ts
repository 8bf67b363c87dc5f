/**
 * QUIC counters of one side of a proxy, summed over the shards of all workers, less what had been
 * counted when they were last cleared (see shards.ts for why it is done so). Main thread.
 */
import { PROXY_STRIDE } from "../../tables/generated/proxy.ts";
import * as quic from "../../tables/generated/quic-count.ts";
import { QUIC_CODES_KEPT } from "../../tables/schema.ts";
import type { Tables } from "../../tables/tables.ts";
import type { ProxyObject } from "../model.ts";

/** 64-bit cells of a record. */
const CELLS = quic.QUIC_COUNT_STRIDE >> 1;

/** How the shards' values of a cell become one. */
const ADDED = 0;
const HIGHEST = 1;
/** Of those that are not 0. */
const LOWEST = 2;
/** No number of its own. */
const SKIPPED = 3;
/** Of the moment: added, and not cleared. */
const PRESENT = 4;

const kinds = new Uint8Array(CELLS);
const codeCells = (quic.QUIC_COUNT_CODE_COUNT >> 1) + QUIC_CODES_KEPT;
const codeWords = (quic.QUIC_COUNT_CODE_HIGH + QUIC_CODES_KEPT) >> 1;
kinds.fill(SKIPPED, quic.QUIC_COUNT_CODE_COUNT >> 1, Math.max(codeCells, codeWords));
kinds.fill(SKIPPED, (quic.QUIC_COUNT_CWND_MAX >> 1) + 1);
for (const field of [quic.QUIC_COUNT_USED, quic.QUIC_COUNT_RTT_MAX, quic.QUIC_COUNT_CWND_MAX]) {
  kinds[field >> 1] = HIGHEST;
}
kinds[quic.QUIC_COUNT_HALF_OPEN >> 1] = PRESENT;
for (const field of [quic.QUIC_COUNT_RTT_MIN, quic.QUIC_COUNT_CWND_MIN]) kinds[field >> 1] = LOWEST;

/** What every `clear counters` sets to zero. */
const EXTREMES = [
  quic.QUIC_COUNT_RTT_MIN,
  quic.QUIC_COUNT_RTT_MAX,
  quic.QUIC_COUNT_CWND_MIN,
  quic.QUIC_COUNT_CWND_MAX,
];

/** What had been counted at some time. */
type Base = { cells: Float64Array; codes: Map<bigint, number> };

/** One reader; what it has read is valid until it reads again. */
export class QuicShards {
  /** By field offset / 2 (QUIC_COUNT_*); codes of applications are in `codes`. */
  readonly cells = new Float64Array(CELLS);
  /** Connections that the peer closed, by its code. */
  readonly codes = new Map<bigint, number>();
  /** Handshakes under way, also those that began before counters were cleared. */
  halfOpen = 0;
  readonly #fronts: readonly { words: Int32Array; floats: Float64Array }[];
  readonly #backs: readonly { words: Int32Array; floats: Float64Array }[];
  readonly #frontBase = new WeakMap<ProxyObject, Base>();
  readonly #backBase = new WeakMap<ProxyObject, Base>();

  constructor({ perWorker }: Tables) {
    this.#fronts = perWorker.map(({ quicFront }) => quicFront);
    this.#backs = perWorker.map(({ quicBack }) => quicBack);
  }

  /** Reads one side of a proxy into `cells` and `codes`. O(workers). */
  read(proxy: ProxyObject, isFront: boolean): void {
    this.#readAll(proxy, isFront);
    const base = (isFront ? this.#frontBase : this.#backBase).get(proxy);
    if (base === undefined) return;
    const { cells, codes } = this;
    for (let i = 0; i < CELLS; i++) {
      if (kinds[i] === ADDED) cells[i] = Math.max(0, cells[i]! - base.cells[i]!);
    }
    for (const [code, count] of base.codes) {
      const left = (codes.get(code) ?? 0) - count;
      if (left > 0) codes.set(code, left);
      else codes.delete(code);
    }
  }

  #readAll(proxy: ProxyObject, isFront: boolean): void {
    const at = (proxy.row / PROXY_STRIDE) * quic.QUIC_COUNT_STRIDE;
    const { cells, codes } = this;
    cells.fill(0);
    codes.clear();
    for (const { words, floats } of isFront ? this.#fronts : this.#backs) {
      if (floats[(at + quic.QUIC_COUNT_USED) >> 1] === 0) continue;
      for (let i = 0; i < CELLS; i++) {
        cells[i] = merged(kinds[i]!, cells[i]!, floats[(at >> 1) + i]!);
      }
      for (let i = 0; i < QUIC_CODES_KEPT; i++) {
        const count = floats[((at + quic.QUIC_COUNT_CODE_COUNT) >> 1) + i]!;
        if (count === 0) continue;
        const low = BigInt(words[at + quic.QUIC_COUNT_CODE_LOW + i]! >>> 0);
        const high = BigInt(words[at + quic.QUIC_COUNT_CODE_HIGH + i]! >>> 0);
        const code = (high << 32n) | low;
        codes.set(code, (codes.get(code) ?? 0) + count);
      }
    }
    if (isFront) {
      this.halfOpen = cells[quic.QUIC_COUNT_HALF_OPEN >> 1]!;
      return;
    }
    const ended =
      cells[quic.QUIC_COUNT_HANDSHAKES_DONE >> 1]! + cells[quic.QUIC_COUNT_HANDSHAKES_FAILED >> 1]!;
    this.halfOpen = Math.max(0, cells[quic.QUIC_COUNT_OPENED >> 1]! - ended);
  }

  /** Both sides of a proxy count from here on. */
  clear(proxy: ProxyObject): void {
    this.clearExtremes(proxy);
    for (const isFront of [true, false]) {
      this.#readAll(proxy, isFront);
      const base = { cells: this.cells.slice(), codes: new Map(this.codes) };
      (isFront ? this.#frontBase : this.#backBase).set(proxy, base);
    }
  }

  /** Shortest and longest times, smallest and largest windows begin anew. */
  clearExtremes(proxy: ProxyObject): void {
    const at = (proxy.row / PROXY_STRIDE) * quic.QUIC_COUNT_STRIDE;
    for (const { floats } of [...this.#fronts, ...this.#backs]) {
      if (floats[(at + quic.QUIC_COUNT_USED) >> 1] === 0) continue;
      for (const field of EXTREMES) floats[(at + field) >> 1] = 0;
    }
  }
}

function merged(kind: number, left: number, right: number): number {
  switch (kind) {
    case ADDED:
    case PRESENT:
      return left + right;
    case HIGHEST:
      return Math.max(left, right);
    case LOWEST:
      return left === 0 ? right : right === 0 ? left : Math.min(left, right);
    default:
      return 0;
  }
}
