/**
 * Maps: an array with each server of the tier in use as often as its weight says, in the order of
 * a smooth rotation. `static-rr` walks it, map-based hashes index it, random and peak-ewma draw
 * from it.
 *
 * The array is HAProxy's, entry by entry: weights are divided by their common divisor; each step
 * adds every weight to its server's score, takes the first server among those with the highest
 * whole number of (score / sum of weights), and subtracts that sum from its score. Equal hashes
 * therefore reach equal servers in both. It is built by the control plane, outside of the lock.
 *
 * @hot
 */
import { PROXY_CURSOR, PROXY_RING_BASE, PROXY_RING_COUNT } from "../tables/generated/proxy.ts";
import type { Lb } from "./lb.ts";
import { hasRoom } from "./place.ts";

/** Entries looked at in a turn before the heaps decide. */
const SCAN_MAX = 64;

/** The server that the hash names; 0 when the map is empty. Needs the lock. O(1). */
export function pickMapHash(lb: Lb, backendRow: number, hash: number): number {
  const count = lb.proxies[backendRow + PROXY_RING_COUNT]!;
  if (count === 0) return 0;
  return lb.arena[lb.proxies[backendRow + PROXY_RING_BASE]! + (hash % count)]!;
}

/**
 * The next server in turn with room for a stream, other than `excludeRow`.
 * @returns 0 when none is near: the caller asks the heaps. Needs the lock. O(1), bounded.
 */
export function pickMapTurn(lb: Lb, backendRow: number, excludeRow: number): number {
  const count = lb.proxies[backendRow + PROXY_RING_COUNT]!;
  if (count === 0) return 0;
  const base = lb.proxies[backendRow + PROXY_RING_BASE]!;
  let cursor = lb.proxies[backendRow + PROXY_CURSOR]!;
  if (cursor >= count) cursor = 0;
  const steps = count < SCAN_MAX ? count : SCAN_MAX;
  for (let i = 0; i < steps; i++) {
    const row = lb.arena[base + cursor]!;
    cursor = cursor + 1 === count ? 0 : cursor + 1;
    if (row === excludeRow || !hasRoom(lb, backendRow, row)) continue;
    lb.proxies[backendRow + PROXY_CURSOR] = cursor;
    return row;
  }
  return 0;
}
