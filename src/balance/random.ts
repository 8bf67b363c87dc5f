/**
 * random(n): n servers are drawn, each in proportion to its weight, and the one with the fewest
 * streams for its weight wins; between equals, the one not chosen for longer.
 *
 * Draws come from the map and not from a ring of hashed places (as HAProxy's do): an index drawn
 * from the map meets every server exactly as often as its weight says.
 *
 * @hot
 */
import {
  PROXY_BALANCE_FACTOR,
  PROXY_DRAWS,
  PROXY_RING_BASE,
  PROXY_RING_COUNT,
} from "../tables/generated/proxy.ts";
import { SERVER_LAST_PICK, SERVER_SERVED, SERVER_TIER_WEIGHT } from "../tables/generated/server.ts";
import type { Lb } from "./lb.ts";
import { hasRoom } from "./place.ts";
import { isBelowBound } from "./ring.ts";

/** The best server of the draws with room for a stream; 0 when all that were drawn are full. */
export function pickRandom(lb: Lb, backendRow: number, excludeRow: number): number {
  const count = lb.proxies[backendRow + PROXY_RING_COUNT]!;
  if (count === 0) return 0;
  const base = lb.proxies[backendRow + PROXY_RING_BASE]!;
  const draws = lb.proxies[backendRow + PROXY_DRAWS]!;
  const isBounded = lb.proxies[backendRow + PROXY_BALANCE_FACTOR]! > 0;
  let best = 0;
  for (let i = 0; i < draws; i++) {
    // The high bits decide: a product of two 32-bit numbers stays below 2^53 for maps up to 2^21,
    // and beyond that loses bits that do not matter.
    const index = Math.floor((lb.random32() / 0x100000000) * count);
    const row = lb.arena[base + index]!;
    if (row === best || row === excludeRow || !hasRoom(lb, backendRow, row)) continue;
    if (isBounded && !isBelowBound(lb, backendRow, row)) continue;
    if (best === 0 || isBetter(lb, row, best)) best = row;
  }
  return best;
}

function isBetter(lb: Lb, row: number, best: number): boolean {
  const servers = lb.servers;
  const load = servers[row + SERVER_SERVED]! * servers[best + SERVER_TIER_WEIGHT]!;
  const bestLoad = servers[best + SERVER_SERVED]! * servers[row + SERVER_TIER_WEIGHT]!;
  if (load !== bestLoad) return load < bestLoad;
  return (
    lb.serverFloats[(row + SERVER_LAST_PICK) >> 1]! <
    lb.serverFloats[(best + SERVER_LAST_PICK) >> 1]!
  );
}
