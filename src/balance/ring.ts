/**
 * The ring of `hash-type consistent`: every server of the tier in use has 16 nodes for each unit of
 * weight, at places that only its id decides, so that a server that comes or goes moves none but
 * its own hashes. A hash belongs to the nearest node (HAProxy's rule, and HAProxy's places).
 *
 *   ringBase ─▶ [ place, row ][ place, row ] …    sorted by place, as unsigned numbers
 *
 * With `hash-balance-factor` a server above its part of the load is passed over: the hash goes on
 * along the ring to the first one below it ("consistent hashing with bounded loads").
 *
 * @hot
 */
import {
  PROXY_BALANCE_FACTOR,
  PROXY_RING_BASE,
  PROXY_RING_COUNT,
  PROXY_SERVED,
  PROXY_TOTAL_WEIGHT,
} from "../tables/generated/proxy.ts";
import {
  SERVER_CUMULATIVE_WEIGHT,
  SERVER_SERVED,
  SERVER_TIER_WEIGHT,
} from "../tables/generated/server.ts";
import type { Lb } from "./lb.ts";

/** Words of a node. */
export const RING_NODE_WORDS = 2;

/**
 * The server that the hash belongs to, other than `excludeRow` if there is another; 0 when the
 * ring is empty. Needs the lock. O(log n), and a walk where servers are passed over.
 */
export function pickRing(lb: Lb, backendRow: number, hash: number, excludeRow: number): number {
  const count = lb.proxies[backendRow + PROXY_RING_COUNT]!;
  if (count === 0) return 0;
  const base = lb.proxies[backendRow + PROXY_RING_BASE]!;
  const isBounded = lb.proxies[backendRow + PROXY_BALANCE_FACTOR]! > 0;
  const nearest = nearestNode(lb.arena, base, count, hash);
  let at = nearest;
  for (let i = 0; i < count; i++) {
    const row = lb.arena[base + at * RING_NODE_WORDS + 1]!;
    if (row !== excludeRow && (!isBounded || isBelowBound(lb, backendRow, row))) return row;
    at = at + 1 === count ? 0 : at + 1;
  }
  return lb.arena[base + nearest * RING_NODE_WORDS + 1]!;
}

/**
 * Whether the server may take one more stream under `hash-balance-factor`: the backend's streams
 * (the new one among them) times the factor are dealt out over the weights, whole slots first, the
 * rest by position so that their sum is exact.
 */
export function isBelowBound(lb: Lb, backendRow: number, serverRow: number): boolean {
  const factor = lb.proxies[backendRow + PROXY_BALANCE_FACTOR]!;
  const streams = lb.proxies[backendRow + PROXY_SERVED]! + 1;
  const total = lb.proxyFloats[(backendRow + PROXY_TOTAL_WEIGHT) >> 1]!;
  const weight = lb.servers[serverRow + SERVER_TIER_WEIGHT]!;
  const before = lb.servers[serverRow + SERVER_CUMULATIVE_WEIGHT]!;
  const slots = Math.floor((streams * factor + 99) / 100);
  const rest = slots % total;
  const own =
    weight * Math.floor(slots / total) +
    Math.floor(((before + weight) * rest) / total) -
    Math.floor((before * rest) / total);
  return lb.servers[serverRow + SERVER_SERVED]! < (own > 1 ? own : 1);
}

/** Index of the node nearest to the hash; the one before it when both are as near. */
function nearestNode(arena: Int32Array, base: number, count: number, hash: number): number {
  const after = firstFrom(arena, base, count, hash);
  const next = after === count ? 0 : after;
  const previous = next === 0 ? count - 1 : next - 1;
  const behind = (hash - arena[base + previous * RING_NODE_WORDS]!) >>> 0;
  const ahead = (arena[base + next * RING_NODE_WORDS]! - hash) >>> 0;
  return behind <= ahead ? previous : next;
}

/**
 * Index of the first node at or after the hash, `count` when there is none. Places are spread
 * evenly, so the search begins where the hash would be and widens: all in a few lines of cache.
 */
function firstFrom(arena: Int32Array, base: number, count: number, hash: number): number {
  const guess = Math.floor((hash / 0x100000000) * count);
  let low = 0;
  let high = count;
  let step = 1;
  if (arena[base + guess * RING_NODE_WORDS]! >>> 0 < hash) {
    low = guess + 1;
    while (low + step < count && arena[base + (low + step) * RING_NODE_WORDS]! >>> 0 < hash) {
      low += step + 1;
      step *= 2;
    }
    if (low + step < count) high = low + step;
  } else {
    high = guess;
    while (high >= step && arena[base + (high - step) * RING_NODE_WORDS]! >>> 0 >= hash) {
      high -= step;
      step *= 2;
    }
    if (high >= step) low = high - step + 1;
  }
  while (low < high) {
    const middle = (low + high) >> 1;
    if (arena[base + middle * RING_NODE_WORDS]! >>> 0 < hash) low = middle + 1;
    else high = middle;
  }
  return low;
}
