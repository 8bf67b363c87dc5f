/**
 * roundrobin: each server in its turn, in proportion to its weight, as smoothly as possible.
 *
 * Time is counted in picks. A round lasts as many picks as all weights together. A server that has
 * not been picked in its round is *fresh*; after its first pick it has a *position*, the time at
 * which it is due again, and moves on by (all weights / its weight) with each pick. So:
 *
 *   1. a server that is due, the longest due first;
 *   2. else a fresh one, heaviest first, then the one whose last pick is longest ago;
 *   3. else the one that is due next;
 *   4. a server whose next position lies beyond the round is fresh in the next one.
 *
 * The order over equal and unequal weights is the one that HAProxy 2.6 shows. With equal weights
 * it is a strict rotation in the order of the configuration. A server that was away does not catch
 * up: its position is never before now, and now is never before the last pick. When servers go, the
 * round gets shorter with their weight, and all positions that were made for more neighbours are
 * used up before the next one begins.
 *
 * All functions need the backend's lock. The algorithms without an order of their own (maps, rings,
 * random) use these heaps too, for streams that have no hash or find their server full.
 *
 * @hot
 */
import { HEAP_FRESH, HEAP_READY } from "../tables/generated/enums.ts";
import {
  PROXY_ROUND,
  PROXY_ROUND_START,
  PROXY_ROUND_WEIGHT,
  PROXY_SEQUENCE,
  PROXY_TOTAL_WEIGHT,
  PROXY_VIRTUAL_TIME,
} from "../tables/generated/proxy.ts";
import {
  SERVER_HEAP_INDEX,
  SERVER_HEAP_KIND,
  SERVER_POSITION,
  SERVER_REMAINDER,
  SERVER_TIER_WEIGHT,
} from "../tables/generated/server.ts";
import {
  heapKeyOf,
  heapPush,
  heapRemove,
  heapSequenceOf,
  heapTop,
  heapTopKey,
  heapUpdate,
} from "./heap.ts";
import type { Lb } from "./lb.ts";
import { SCALED_WEIGHT_MAX, WEIGHT_SCALE } from "./weight.ts";

/** Position of a server that was never picked. */
export const NEVER_PICKED = -1;

/** Distance of two rounds in the keys of fresh servers: above any scaled weight. */
const ROUND_KEYS = 8192;
/** Distance of two positions in the keys of the others: above any plain weight. */
const POSITION_KEYS = 257;

/** Puts a server that is in no heap where its position says. O(log n). */
export function enterRoundrobin(lb: Lb, backendRow: number, serverRow: number): void {
  const floats = lb.proxyFloats;
  const position = lb.serverFloats[(serverRow + SERVER_POSITION) >> 1]!;
  const round = floats[(backendRow + PROXY_ROUND) >> 1]!;
  const sequence = nextSequence(lb, backendRow);
  if (position < floats[(backendRow + PROXY_ROUND_START) >> 1]!) {
    heapPush(lb, backendRow, HEAP_FRESH, serverRow, freshKey(lb, serverRow, round), sequence);
    return;
  }
  if (position >= endOfRound(lb, backendRow)) {
    heapPush(lb, backendRow, HEAP_FRESH, serverRow, freshKey(lb, serverRow, round + 1), sequence);
    return;
  }
  const now = floats[(backendRow + PROXY_VIRTUAL_TIME) >> 1]!;
  if (position < now) lb.serverFloats[(serverRow + SERVER_POSITION) >> 1] = now;
  heapPush(lb, backendRow, HEAP_READY, serverRow, readyKey(lb, serverRow), sequence);
}

/** The server whose turn it is, 0 when there is none. Changes nothing that matters. O(1). */
export function pickRoundrobin(lb: Lb, backendRow: number): number {
  const floats = lb.proxyFloats;
  const ready = heapTop(lb, backendRow, HEAP_READY);
  const fresh = heapTop(lb, backendRow, HEAP_FRESH);
  if (ready !== 0) {
    const now = floats[(backendRow + PROXY_VIRTUAL_TIME) >> 1]!;
    if (fresh === 0 || lb.serverFloats[(ready + SERVER_POSITION) >> 1]! <= now) return ready;
  }
  if (fresh === 0) return 0;
  const round = floats[(backendRow + PROXY_ROUND) >> 1]!;
  if (heapTopKey(lb, backendRow, HEAP_FRESH) < (round + 1) * ROUND_KEYS) return fresh;
  if (ready !== 0) return ready;
  startRound(lb, backendRow, round + 1);
  return fresh;
}

/**
 * Moves the server's position on after it was picked.
 * @param stays whether it can be picked again now; otherwise it leaves its heap. O(log n).
 */
export function passRoundrobin(
  lb: Lb,
  backendRow: number,
  serverRow: number,
  stays: boolean,
): void {
  const floats = lb.proxyFloats;
  const cell = (serverRow + SERVER_POSITION) >> 1;
  const total = floats[(backendRow + PROXY_TOTAL_WEIGHT) >> 1]!;
  const weight = lb.servers[serverRow + SERVER_TIER_WEIGHT]!;
  let now = floats[(backendRow + PROXY_VIRTUAL_TIME) >> 1]!;
  let position = lb.serverFloats[cell]!;
  if (lb.servers[serverRow + SERVER_HEAP_KIND] === HEAP_FRESH) {
    if (floats[(backendRow + PROXY_ROUND_WEIGHT) >> 1] === 0) {
      floats[(backendRow + PROXY_ROUND_WEIGHT) >> 1] = total;
    }
    position = now;
  } else if (position > now) {
    // Nobody was due: the clock jumps, so that those who are away now are not owed the gap.
    now = position;
  }
  const remainder = lb.servers[serverRow + SERVER_REMAINDER]! + (total % weight);
  const carry = remainder >= weight ? 1 : 0;
  lb.serverFloats[cell] = position + Math.floor(total / weight) + carry;
  lb.servers[serverRow + SERVER_REMAINDER] = remainder - carry * weight;
  floats[(backendRow + PROXY_VIRTUAL_TIME) >> 1] = now + 1;
  if (stays) replace(lb, backendRow, serverRow);
  else heapRemove(lb, backendRow, serverRow);
}

/** A load that changed does not change the order. */
export function weighRoundrobin(_lb: Lb, _backendRow: number, _serverRow: number): void {}

/**
 * Follows a weight that changed: a server that waits for its turn does not wait longer than its
 * new weight asks for. The server may be in a heap or not. O(log n).
 */
export function reweighRoundrobin(lb: Lb, backendRow: number, serverRow: number): void {
  const floats = lb.proxyFloats;
  const cell = (serverRow + SERVER_POSITION) >> 1;
  const weight = lb.servers[serverRow + SERVER_TIER_WEIGHT]!;
  lb.servers[serverRow + SERVER_REMAINDER] = 0;
  const position = lb.serverFloats[cell]!;
  if (weight > 0 && position !== NEVER_PICKED) {
    const now = floats[(backendRow + PROXY_VIRTUAL_TIME) >> 1]!;
    const stride = Math.floor(floats[(backendRow + PROXY_TOTAL_WEIGHT) >> 1]! / weight);
    if (position > now + stride) lb.serverFloats[cell] = now + stride;
  }
  if (lb.servers[serverRow + SERVER_HEAP_INDEX] === 0) return;
  if (lb.servers[serverRow + SERVER_HEAP_KIND] === HEAP_READY) {
    heapUpdate(
      lb,
      backendRow,
      serverRow,
      readyKey(lb, serverRow),
      heapSequenceOf(lb, backendRow, serverRow),
    );
    return;
  }
  const round = Math.floor(heapKeyOf(lb, backendRow, serverRow) / ROUND_KEYS);
  const sequence = heapSequenceOf(lb, backendRow, serverRow);
  heapUpdate(lb, backendRow, serverRow, freshKey(lb, serverRow, round), sequence);
}

/** Moves the server between or within the heaps after its position changed. */
function replace(lb: Lb, backendRow: number, serverRow: number): void {
  const position = lb.serverFloats[(serverRow + SERVER_POSITION) >> 1]!;
  const kind = position >= endOfRound(lb, backendRow) ? HEAP_FRESH : HEAP_READY;
  if (kind !== lb.servers[serverRow + SERVER_HEAP_KIND]) {
    heapRemove(lb, backendRow, serverRow);
    enterRoundrobin(lb, backendRow, serverRow);
    return;
  }
  const round = lb.proxyFloats[(backendRow + PROXY_ROUND) >> 1]! + 1;
  const key = kind === HEAP_FRESH ? freshKey(lb, serverRow, round) : readyKey(lb, serverRow);
  heapUpdate(lb, backendRow, serverRow, key, nextSequence(lb, backendRow));
}

function startRound(lb: Lb, backendRow: number, round: number): void {
  const floats = lb.proxyFloats;
  const now = floats[(backendRow + PROXY_VIRTUAL_TIME) >> 1]!;
  const end = endOfRound(lb, backendRow);
  const start = end > now ? end : now;
  floats[(backendRow + PROXY_ROUND) >> 1] = round;
  floats[(backendRow + PROXY_ROUND_START) >> 1] = start;
  floats[(backendRow + PROXY_VIRTUAL_TIME) >> 1] = start;
  floats[(backendRow + PROXY_ROUND_WEIGHT) >> 1] = floats[(backendRow + PROXY_TOTAL_WEIGHT) >> 1]!;
}

/** First position that belongs to the next round. */
function endOfRound(lb: Lb, backendRow: number): number {
  const floats = lb.proxyFloats;
  const length = floats[(backendRow + PROXY_ROUND_WEIGHT) >> 1]!;
  const total = floats[(backendRow + PROXY_TOTAL_WEIGHT) >> 1]!;
  const start = floats[(backendRow + PROXY_ROUND_START) >> 1]!;
  return start + (length !== 0 && length < total ? length : total);
}

/** Order among fresh servers: by round, then the heaviest first. */
function freshKey(lb: Lb, serverRow: number, round: number): number {
  return round * ROUND_KEYS + SCALED_WEIGHT_MAX - lb.servers[serverRow + SERVER_TIER_WEIGHT]!;
}

/** Order among the others: by position; at the same one, the heaviest first. */
function readyKey(lb: Lb, serverRow: number): number {
  const weight = lb.servers[serverRow + SERVER_TIER_WEIGHT]!;
  const late = SCALED_WEIGHT_MAX + lb.servers[serverRow + SERVER_REMAINDER]! - weight;
  const position = lb.serverFloats[(serverRow + SERVER_POSITION) >> 1]!;
  return POSITION_KEYS * position + Math.floor(late / WEIGHT_SCALE);
}

/** Moves the backend's tie-breaker on. */
export function nextSequence(lb: Lb, backendRow: number): number {
  const cell = (backendRow + PROXY_SEQUENCE) >> 1;
  const sequence = lb.proxyFloats[cell]! + 1;
  lb.proxyFloats[cell] = sequence;
  return sequence;
}
