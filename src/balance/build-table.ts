/**
 * Builds maps and rings for a set of servers with weights. Cold and pure: the control plane calls
 * it outside of any lock and puts the result into the arena.
 */
import { RING_NODES_PER_WEIGHT, TABLE_ENTRIES_MAX } from "../base/limits.ts";
import { mixAvalanche } from "./hash.ts";
import { RING_NODE_WORDS } from "./ring.ts";
import { SCALED_WEIGHT_MAX, WEIGHT_SCALE } from "./weight.ts";

/** Distance of the seeds of two neighbouring ids: as many as the nodes of a server can be. */
const SEEDS_PER_ID = SCALED_WEIGHT_MAX;

/** Greatest common divisor of the weights above 0; 1 when there are none. */
export function commonDivisor(weights: readonly number[]): number {
  let divisor = 0;
  for (const weight of weights) {
    let a = weight;
    while (a !== 0) [divisor, a] = [a, divisor % a];
  }
  return divisor === 0 ? 1 : divisor;
}

/**
 * A smooth rotation over the servers: server i appears `weights[i]` times.
 *
 * At step s a server has the score (s + 1) × weight − total × (times it was taken). The first of
 * the servers with the highest whole score / total is taken. A server's whole score grows at steps
 * that are known beforehand, so each step handles the servers that grow there and asks a heap:
 * O(total × log) instead of O(total × servers).
 * @param weights 0 .. 256 each
 * @returns indices into `weights`; as many as the weights together (or TABLE_ENTRIES_MAX)
 */
export function spreadWeights(weights: readonly number[]): Int32Array {
  const fitting = fitWeights(weights, TABLE_ENTRIES_MAX);
  let total = 0;
  for (const weight of fitting) total += weight;
  const out = new Int32Array(total);
  if (total === 0) return out;
  if (rotateEqual(fitting, out)) return out;
  const levels = new Int32Array(fitting.length);
  const events = new StepList(total, fitting.length);
  const growths = new Float64Array(fitting.length);
  const best = new LevelHeap();
  fitting.forEach((weight, server) => {
    if (weight > 0) events.add(0, server);
  });
  for (let step = 0; step < total; step++) {
    for (let server = events.first(step); server >= 0; server = events.first(step)) {
      events.drop(step);
      const weight = fitting[server]!;
      levels[server] = levels[server]! + 1;
      growths[server] = growths[server]! + 1;
      best.push(levels[server]!, server);
      const next = Math.ceil((growths[server]! * total) / weight) - 1;
      if (next < total) events.add(Math.max(next, step), server);
    }
    const server = best.popValid(levels);
    out[step] = server;
    levels[server] = levels[server]! - 1;
    if (levels[server]! > 0) best.push(levels[server]!, server);
  }
  return out;
}

/** The common case: servers of one weight take turns in their order. @returns whether it is that */
function rotateEqual(weights: readonly number[], out: Int32Array): boolean {
  const servers: number[] = [];
  weights.forEach((weight, server) => {
    if (weight > 0) servers.push(server);
  });
  const weight = weights[servers[0]!]!;
  if (!servers.every((server) => weights[server] === weight)) return false;
  for (let turn = 0; turn < weight; turn++) out.set(servers, turn * servers.length);
  return true;
}

/** Servers by the step at which their level grows: linked lists in two arrays. */
class StepList {
  private readonly heads: Int32Array;
  private readonly nexts: Int32Array;

  constructor(steps: number, servers: number) {
    this.heads = new Int32Array(steps).fill(-1);
    this.nexts = new Int32Array(servers);
  }

  add(step: number, server: number): void {
    this.nexts[server] = this.heads[step]!;
    this.heads[step] = server;
  }

  first(step: number): number {
    return this.heads[step]!;
  }

  drop(step: number): void {
    this.heads[step] = this.nexts[this.heads[step]!]!;
  }
}

/** Highest level first, then lowest server. Entries may be out of date; `popValid` skips them. */
class LevelHeap {
  private readonly keys: number[] = [];

  push(level: number, server: number): void {
    const { keys } = this;
    const key = server - level * LEVEL_KEYS;
    let at = keys.length;
    keys.push(key);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[at] = keys[parent]!;
      at = parent;
    }
    keys[at] = key;
  }

  popValid(levels: Int32Array): number {
    for (;;) {
      const key = this.pop();
      const level = -Math.floor(key / LEVEL_KEYS);
      const server = key + level * LEVEL_KEYS;
      if (levels[server] === level) return server;
    }
  }

  private pop(): number {
    const { keys } = this;
    const top = keys[0]!;
    const last = keys.pop()!;
    if (keys.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= keys.length) break;
      if (child + 1 < keys.length && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= last) break;
      keys[at] = keys[child]!;
      at = child;
    }
    keys[at] = last;
    return top;
  }
}

/** Distance of two levels in the keys of LevelHeap: above any number of servers. */
const LEVEL_KEYS = 0x1000000;

/** A server of a ring. */
export type RingServer = {
  row: number;
  id: number;
  /** Scaled weight: as many nodes, unless the ring would grow too long. */
  weight: number;
};

/**
 * All nodes of a ring, sorted.
 * @returns (place, row) pairs, as the arena holds them
 */
export function buildRing(servers: readonly RingServer[]): Int32Array {
  const counts = fitWeights(
    servers.map((server) => (server.weight * RING_NODES_PER_WEIGHT) / WEIGHT_SCALE),
    TABLE_ENTRIES_MAX,
  );
  let total = 0;
  for (const count of counts) total += count;
  // Place and server in one number: both fit into the 53 bits of a float, and floats sort fast.
  const keys = new Float64Array(total);
  let at = 0;
  servers.forEach((server, index) => {
    for (let node = 0; node < counts[index]!; node++) {
      keys[at++] = nodePlace(server.id, node) * SERVERS_IN_KEY + index;
    }
  });
  keys.sort();
  const ring = new Int32Array(total * RING_NODE_WORDS);
  for (let i = 0; i < total; i++) {
    const key = keys[i]!;
    const place = Math.floor(key / SERVERS_IN_KEY);
    ring[i * RING_NODE_WORDS] = place;
    ring[i * RING_NODE_WORDS + 1] = servers[key - place * SERVERS_IN_KEY]!.row;
  }
  return ring;
}

/** Above the index of any server; times 2^32 it stays below 2^53. */
const SERVERS_IN_KEY = 0x200000;

/**
 * The ring with another number of nodes for one server: two sorted lists merged. O(nodes).
 * @param ring (place, row) pairs
 * @param server the one that changes; weight 0 = it leaves
 */
export function mergeRing(ring: Int32Array, server: RingServer): Int32Array {
  const own = buildRing(server.weight === 0 ? [] : [server]);
  const out = new Int32Array(ring.length + own.length);
  let length = 0;
  let mine = 0;
  for (let i = 0; i < ring.length; i += RING_NODE_WORDS) {
    if (ring[i + 1] === server.row) continue;
    const place = ring[i]! >>> 0;
    while (mine < own.length && own[mine]! >>> 0 < place) {
      out[length++] = own[mine++]!;
      out[length++] = own[mine++]!;
    }
    out[length++] = ring[i]!;
    out[length++] = ring[i + 1]!;
  }
  while (mine < own.length) out[length++] = own[mine++]!;
  return out.subarray(0, length);
}

/** Place of a server's node on the ring: HAProxy's, from the numeric id. */
export function nodePlace(id: number, node: number): number {
  return mixAvalanche((Math.imul(id, SEEDS_PER_ID) + node) | 0);
}

/** The weights, scaled down together where they exceed `limit`; none that is not 0 becomes 0. */
function fitWeights(weights: readonly number[], limit: number): number[] {
  let total = 0;
  for (const weight of weights) total += weight;
  if (total <= limit) return [...weights];
  return weights.map((weight) =>
    weight === 0 ? 0 : Math.max(1, Math.floor((weight * limit) / total)),
  );
}
