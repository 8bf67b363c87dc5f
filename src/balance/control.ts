/**
 * Backends and servers as balancing knows them: made, linked, changed and removed by the control
 * plane, while workers choose and leave under the same lock.
 *
 * The state of a server (`state`, `weight`, `maxconn`…) is written to its row by control first;
 * `refreshServer` then brings heaps, map or ring, tier and queues in line with it.
 */
import { assert } from "../base/assert.ts";
import { DRAWS_MAX } from "../base/limits.ts";
import {
  ALGORITHM_FIRST,
  ALGORITHM_HASH,
  ALGORITHM_LEASTCONN,
  ALGORITHM_PEAK_EWMA,
  ALGORITHM_RANDOM,
  ALGORITHM_ROUNDROBIN,
  ALGORITHM_SOURCE,
  ALGORITHM_STATIC_RR,
  HASH_FUNCTION_CRC32,
  HASH_FUNCTION_DJB2,
  HASH_FUNCTION_NONE,
  HASH_FUNCTION_SDBM,
  HASH_FUNCTION_WT6,
  HASH_TYPE_MAP,
  HASH_TYPE_RING,
} from "../tables/generated/enums.ts";
import {
  PROXY_ALGORITHM,
  PROXY_AVALANCHE,
  PROXY_BALANCE_FACTOR,
  PROXY_DECAY_MS,
  PROXY_DRAWS,
  PROXY_FRONT_CURRENT,
  PROXY_HASH_FUNCTION,
  PROXY_HASH_TYPE,
  PROXY_HEAP_BASE,
  PROXY_HEAP_CAPACITY,
  PROXY_HEAP_COUNT,
  PROXY_LOCK,
  PROXY_QUEUE_TOTAL,
  PROXY_RING_BASE,
  PROXY_RING_CAPACITY,
  PROXY_SERVED,
  PROXY_SERVER_COUNT,
  PROXY_SERVERS_BASE,
  PROXY_SERVERS_CAPACITY,
} from "../tables/generated/proxy.ts";
import {
  SERVER_BACKEND_ROW,
  SERVER_HEAP_INDEX,
  SERVER_LAST_PICK,
  SERVER_POSITION,
  SERVER_QUEUE_LENGTH,
  SERVER_SERVED,
  SERVER_STRIDE,
} from "../tables/generated/server.ts";
import type { BalanceSpec } from "../tables/spec.ts";
import { blockWords } from "./arena.ts";
import { isInTables } from "./facts.ts";
import { lockBackend, unlockBackend } from "./guard.ts";
import { HEAP_ENTRY_WORDS, HEAP_KINDS, heapStart } from "./heap.ts";
import type { Lb } from "./lb.ts";
import { giveMemory, takeMemory } from "./memory.ts";
import { NEVER_PICKED } from "./roundrobin.ts";
import { serverRows } from "./tier.ts";

const ALGORITHMS: Record<BalanceSpec["algorithm"], number> = {
  roundrobin: ALGORITHM_ROUNDROBIN,
  "static-rr": ALGORITHM_STATIC_RR,
  leastconn: ALGORITHM_LEASTCONN,
  first: ALGORITHM_FIRST,
  source: ALGORITHM_SOURCE,
  random: ALGORITHM_RANDOM,
  hash: ALGORITHM_HASH,
  "peak-ewma": ALGORITHM_PEAK_EWMA,
};

const HASH_FUNCTIONS: Record<BalanceSpec["hashFunction"], number> = {
  sdbm: HASH_FUNCTION_SDBM,
  djb2: HASH_FUNCTION_DJB2,
  wt6: HASH_FUNCTION_WT6,
  crc32: HASH_FUNCTION_CRC32,
  none: HASH_FUNCTION_NONE,
};

const SERVERS_AT_FIRST = 8;

/**
 * Makes a row a backend without servers. Its `flags`, `fullconn` and `redispatch` are control's to
 * write; nobody may use the backend yet.
 */
export function createBackend(lb: Lb, backendRow: number, spec: BalanceSpec): void {
  assert(isInTables(lb, backendRow), "createBackend: a row of the proxy table");
  // All that the lock guards starts at 0; the workers' groups begin behind it.
  lb.proxies.fill(0, backendRow + PROXY_LOCK, backendRow + PROXY_FRONT_CURRENT);
  lb.proxies[backendRow + PROXY_ALGORITHM] = ALGORITHMS[spec.algorithm];
  lb.proxies[backendRow + PROXY_DRAWS] = Math.min(Math.max(spec.draws, 1), DRAWS_MAX);
  lb.proxies[backendRow + PROXY_HASH_TYPE] =
    spec.hashType === "consistent" ? HASH_TYPE_RING : HASH_TYPE_MAP;
  lb.proxies[backendRow + PROXY_HASH_FUNCTION] = HASH_FUNCTIONS[spec.hashFunction];
  lb.proxies[backendRow + PROXY_AVALANCHE] = spec.avalanche ? 1 : 0;
  lb.proxies[backendRow + PROXY_BALANCE_FACTOR] = spec.balanceFactor;
  lb.proxies[backendRow + PROXY_DECAY_MS] = Math.max(spec.decayMs, 1);
  lb.backends.add(backendRow);
}

/** Gives a backend's memory back. It must have no servers, streams or waiters. */
export function removeBackend(lb: Lb, backendRow: number): void {
  assert(lb.proxies[backendRow + PROXY_SERVER_COUNT] === 0, "removeBackend: without servers");
  assert(lb.proxies[backendRow + PROXY_SERVED] === 0, "removeBackend: without streams");
  assert(lb.proxies[backendRow + PROXY_QUEUE_TOTAL] === 0, "removeBackend: without waiters");
  const heap = {
    base: lb.proxies[backendRow + PROXY_HEAP_BASE]!,
    words: heapWords(lb, backendRow),
  };
  giveMemory(lb, heap.base, heap.words);
  giveMemory(
    lb,
    lb.proxies[backendRow + PROXY_SERVERS_BASE]!,
    lb.proxies[backendRow + PROXY_SERVERS_CAPACITY]!,
  );
  giveMemory(
    lb,
    lb.proxies[backendRow + PROXY_RING_BASE]!,
    lb.proxies[backendRow + PROXY_RING_CAPACITY]!,
  );
  lb.proxies.fill(0, backendRow + PROXY_LOCK, backendRow + PROXY_FRONT_CURRENT);
  lb.backends.delete(backendRow);
}

/**
 * Adds a server at the end of the backend's list. It takes no traffic until `refreshServer` (or,
 * for many at once, one `refreshBackend`) has looked at its row. O(1) amortised.
 */
export function linkServer(lb: Lb, backendRow: number, serverRow: number): void {
  const count = lb.proxies[backendRow + PROXY_SERVER_COUNT]!;
  if (count >= lb.proxies[backendRow + PROXY_SERVERS_CAPACITY]!) growList(lb, backendRow);
  if (count >= lb.proxies[backendRow + PROXY_HEAP_CAPACITY]!) growHeaps(lb, backendRow);
  lb.servers.fill(0, serverRow + SERVER_SERVED, serverRow + SERVER_STRIDE);
  lb.serverFloats[(serverRow + SERVER_POSITION) >> 1] = NEVER_PICKED;
  lb.serverFloats[(serverRow + SERVER_LAST_PICK) >> 1] = 0;
  lb.servers[serverRow + SERVER_BACKEND_ROW] = backendRow;
  lockBackend(lb, backendRow);
  lb.arena[lb.proxies[backendRow + PROXY_SERVERS_BASE]! + count] = serverRow;
  lb.proxies[backendRow + PROXY_SERVER_COUNT] = count + 1;
  unlockBackend(lb, backendRow, false);
}

/**
 * Takes a server off the backend's list. It must be out of use (`refreshServer` with a state other
 * than up). O(n).
 * @returns false, and nothing has changed, when it serves somebody or is waited for
 */
export function unlinkServer(lb: Lb, backendRow: number, serverRow: number): boolean {
  // Only control changes the list: it may be searched without the lock, which is never held by who
  // has failed.
  const rows = serverRows(lb, backendRow);
  const at = rows.indexOf(serverRow);
  assert(at >= 0, "unlinkServer: a server of this backend");
  lockBackend(lb, backendRow);
  const served = lb.servers[serverRow + SERVER_SERVED]!;
  if (served !== 0 || lb.servers[serverRow + SERVER_QUEUE_LENGTH] !== 0) {
    unlockBackend(lb, backendRow, false);
    return false;
  }
  const isOut = lb.servers[serverRow + SERVER_HEAP_INDEX] === 0;
  if (!isOut) unlockBackend(lb, backendRow, false);
  assert(isOut, "unlinkServer: out of use");
  rows.copyWithin(at, at + 1);
  lb.proxies[backendRow + PROXY_SERVER_COUNT] = rows.length - 1;
  unlockBackend(lb, backendRow, false);
  return true;
}

function growList(lb: Lb, backendRow: number): void {
  const rows = serverRows(lb, backendRow);
  const capacity = blockWords(Math.max(SERVERS_AT_FIRST, rows.length * 2));
  const base = takeMemory(lb, capacity);
  // Only control changes the list: it may be copied without the lock.
  lb.arena.set(rows, base);
  const old = lb.proxies[backendRow + PROXY_SERVERS_BASE]!;
  const oldCapacity = lb.proxies[backendRow + PROXY_SERVERS_CAPACITY]!;
  lockBackend(lb, backendRow);
  lb.proxies[backendRow + PROXY_SERVERS_BASE] = base;
  lb.proxies[backendRow + PROXY_SERVERS_CAPACITY] = capacity;
  unlockBackend(lb, backendRow, false);
  giveMemory(lb, old, oldCapacity);
}

/** Workers change heaps all the time: they are moved under the lock, one copy each. */
function growHeaps(lb: Lb, backendRow: number): void {
  const count = lb.proxies[backendRow + PROXY_SERVER_COUNT]!;
  const words = blockWords(Math.max(SERVERS_AT_FIRST, count * 2) * HEAP_KINDS * HEAP_ENTRY_WORDS);
  // An even capacity keeps all heaps aligned for floats.
  const capacity = Math.floor(words / (HEAP_KINDS * HEAP_ENTRY_WORDS)) & ~1;
  const base = takeMemory(lb, words);
  const old = lb.proxies[backendRow + PROXY_HEAP_BASE]!;
  const oldWords = heapWords(lb, backendRow);
  lockBackend(lb, backendRow);
  for (let kind = 0; kind < HEAP_KINDS; kind++) {
    const from = heapStart(lb, backendRow, kind);
    const length = lb.proxies[backendRow + PROXY_HEAP_COUNT + kind]! * HEAP_ENTRY_WORDS;
    lb.arena.copyWithin(base + kind * capacity * HEAP_ENTRY_WORDS, from, from + length);
  }
  lb.proxies[backendRow + PROXY_HEAP_BASE] = base;
  lb.proxies[backendRow + PROXY_HEAP_CAPACITY] = capacity;
  unlockBackend(lb, backendRow, false);
  giveMemory(lb, old, oldWords);
}

function heapWords(lb: Lb, backendRow: number): number {
  return lb.proxies[backendRow + PROXY_HEAP_CAPACITY]! * HEAP_KINDS * HEAP_ENTRY_WORDS;
}
