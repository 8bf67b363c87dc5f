/**
 * The map or ring of a backend in the arena: made anew beside the one in use, then put in its place
 * under the lock, so that a choice never waits for the making. Control plane only.
 */
import {
  ALGORITHM_HASH,
  ALGORITHM_PEAK_EWMA,
  ALGORITHM_RANDOM,
  ALGORITHM_SOURCE,
  ALGORITHM_STATIC_RR,
  HASH_TYPE_RING,
} from "../tables/generated/enums.ts";
import {
  PROXY_ALGORITHM,
  PROXY_HASH_TYPE,
  PROXY_RING_BASE,
  PROXY_RING_CAPACITY,
  PROXY_RING_COUNT,
} from "../tables/generated/proxy.ts";
import {
  SERVER_CONFIG_WEIGHT,
  SERVER_ID,
  SERVER_THROTTLE,
  SERVER_TIER_WEIGHT,
} from "../tables/generated/server.ts";
import { buildRing, commonDivisor, mergeRing, spreadWeights } from "./build-table.ts";
import type { Lb } from "./lb.ts";
import { takeMemory } from "./memory.ts";
import { RING_NODE_WORDS } from "./ring.ts";
import { hasFixedWeights, serverRows, tierWeightOf } from "./tier.ts";
import type { Tier } from "./tier.ts";
import { WEIGHT_SCALE } from "./weight.ts";

/** A table that is ready in the arena. */
export type NewTable = {
  base: number;
  /** Words asked for: what is given back when the table is replaced. */
  words: number;
  /** Entries. */
  count: number;
};

/** What a backend chooses from beside its heaps. */
export function tableKind(lb: Lb, backendRow: number): "map" | "ring" | "none" {
  switch (lb.proxies[backendRow + PROXY_ALGORITHM]) {
    case ALGORITHM_STATIC_RR:
    case ALGORITHM_RANDOM:
    case ALGORITHM_PEAK_EWMA:
      return "map";
    case ALGORITHM_SOURCE:
    case ALGORITHM_HASH:
      return lb.proxies[backendRow + PROXY_HASH_TYPE] === HASH_TYPE_RING ? "ring" : "map";
    default:
      return "none";
  }
}

/**
 * Makes the table that `tier` wants. Outside of the lock.
 * @param onlyRow the one server that differs from the table in use; 0 = many may
 * @returns undefined when the backend has none, or the one in use is right already
 */
export function makeTable(
  lb: Lb,
  backendRow: number,
  tier: Tier,
  onlyRow: number,
): NewTable | undefined {
  const kind = tableKind(lb, backendRow);
  if (kind === "none") return undefined;
  if (kind === "map") {
    if (onlyRow !== 0 && keepsMap(lb, backendRow, tier, onlyRow)) return undefined;
    return store(lb, makeMap(lb, backendRow, tier), 1);
  }
  if (onlyRow === 0) return store(lb, makeRing(lb, backendRow, tier), RING_NODE_WORDS);
  const weight = tierWeightOf(lb, onlyRow, tier);
  if (weight === lb.servers[onlyRow + SERVER_TIER_WEIGHT]) return undefined;
  const base = lb.proxies[backendRow + PROXY_RING_BASE]!;
  const words = lb.proxies[backendRow + PROXY_RING_COUNT]! * RING_NODE_WORDS;
  const id = lb.servers[onlyRow + SERVER_ID]!;
  const merged = mergeRing(lb.arena.subarray(base, base + words), { row: onlyRow, id, weight });
  return store(lb, merged, RING_NODE_WORDS);
}

/** Puts a table into use. Under the lock; the caller releases the old one after it. */
export function swapTable(lb: Lb, backendRow: number, table: NewTable): NewTable {
  const old = {
    base: lb.proxies[backendRow + PROXY_RING_BASE]!,
    words: lb.proxies[backendRow + PROXY_RING_CAPACITY]!,
    count: lb.proxies[backendRow + PROXY_RING_COUNT]!,
  };
  lb.proxies[backendRow + PROXY_RING_BASE] = table.base;
  lb.proxies[backendRow + PROXY_RING_CAPACITY] = table.words;
  lb.proxies[backendRow + PROXY_RING_COUNT] = table.count;
  return old;
}

/** Does the map stay as it is, now that one server has changed? */
function keepsMap(lb: Lb, backendRow: number, tier: Tier, onlyRow: number): boolean {
  const base = lb.proxies[backendRow + PROXY_RING_BASE]!;
  const map = lb.arena.subarray(base, base + lb.proxies[backendRow + PROXY_RING_COUNT]!);
  let count = 0;
  for (const row of map) if (row === onlyRow) count++;
  if (count !== mapWeights(lb, backendRow, [onlyRow], tier)[0]) return false;
  // It counts in other units while there is a slow start.
  let total = 0;
  for (const weight of mapWeights(lb, backendRow, serverRows(lb, backendRow), tier))
    total += weight;
  return total === map.length;
}

function makeMap(lb: Lb, backendRow: number, tier: Tier): Int32Array {
  const rows = serverRows(lb, backendRow);
  const indices = spreadWeights(mapWeights(lb, backendRow, rows, tier));
  return indices.map((index) => rows[index]!);
}

function makeRing(lb: Lb, backendRow: number, tier: Tier): Int32Array {
  const servers = [...serverRows(lb, backendRow)]
    .map((row) => ({ row, id: lb.servers[row + SERVER_ID]!, weight: tierWeightOf(lb, row, tier) }))
    .filter((server) => server.weight > 0);
  return buildRing(servers);
}

/**
 * Weights as the map counts them: divided by what those of the configuration have in common. Maps
 * that are drawn from follow a slow start, in sixteenths while there is one; others do not.
 */
function mapWeights(lb: Lb, backendRow: number, rows: Iterable<number>, tier: Tier): number[] {
  const isFine = !hasFixedWeights(lb, backendRow) && hasSlowStart(lb, backendRow);
  const divisor = divisorOf(lb, backendRow) * (isFine ? 1 : WEIGHT_SCALE);
  const weights: number[] = [];
  for (const row of rows) weights.push(Math.ceil(tierWeightOf(lb, row, tier) / divisor));
  return weights;
}

function hasSlowStart(lb: Lb, backendRow: number): boolean {
  for (const row of serverRows(lb, backendRow)) {
    if (lb.servers[row + SERVER_THROTTLE] !== 0) return true;
  }
  return false;
}

function divisorOf(lb: Lb, backendRow: number): number {
  const weights: number[] = [];
  for (const row of serverRows(lb, backendRow)) {
    const weight = lb.servers[row + SERVER_CONFIG_WEIGHT]!;
    if (weight > 0) weights.push(weight);
  }
  return commonDivisor(weights);
}

function store(lb: Lb, content: Int32Array, entryWords: number): NewTable {
  const words = content.length;
  if (words === 0) return { base: 0, words: 0, count: 0 };
  const base = takeMemory(lb, words);
  lb.arena.set(content, base);
  return { base, words, count: words / entryWords };
}
