/**
 * Puts a backend right whose lock was held by a thread that died: everything the lock guards is
 * made again from what is written before it is relied upon.
 *
 *   shares of the workers   ─▶ served
 *   entries of the queue    ─▶ both kinds of queue, in order of arrival
 *   weights in force        ─▶ heaps
 *   journal of the grant    ─▶ finished, its stream told (a second note is harmless)
 *
 * Cold: O(servers + queue entries ever used), once for a dead worker. Needs the lock.
 */
import {
  QUEUE_STATE_GRANTED,
  QUEUE_STATE_WAITING,
  SERVER_STATE_FREE,
} from "../tables/generated/enums.ts";
import { PROCESS_QUEUE_USED } from "../tables/generated/process.ts";
import {
  PROXY_GRANT_ENTRY,
  PROXY_GRANT_SHARE,
  PROXY_HEAP_COUNT,
  PROXY_LOCK_BREAKS,
  PROXY_QUEUE_HEAD,
  PROXY_QUEUE_LENGTH,
  PROXY_QUEUE_TAIL,
  PROXY_QUEUE_TOTAL,
  PROXY_SERVED,
  PROXY_SERVER_COUNT,
  PROXY_SERVERS_BASE,
  PROXY_TOTAL_WEIGHT,
} from "../tables/generated/proxy.ts";
import {
  QUEUE_BACKEND_ROW,
  QUEUE_GRANTED_SERVER,
  QUEUE_SEQUENCE,
  QUEUE_SERVER_ROW,
  QUEUE_STATE,
  QUEUE_STRIDE,
  QUEUE_WORKER,
} from "../tables/generated/queue.ts";
import {
  SERVER_BACKEND_ROW,
  SERVER_HEAP_INDEX,
  SERVER_QUEUE_HEAD,
  SERVER_QUEUE_LENGTH,
  SERVER_QUEUE_TAIL,
  SERVER_SERVED,
  SERVER_STATE,
  SERVER_TIER_WEIGHT,
} from "../tables/generated/server.ts";
import { HEAP_KINDS } from "./heap.ts";
import type { Lb } from "./lb.ts";
import { settleServer } from "./place.ts";
import { noteGrant, offerSlots, shareAt } from "./slots.ts";
import { appendWaiter } from "./waiters.ts";

/** Rebuilds what the lock of the backend guards. */
export function recoverBackend(lb: Lb, backendRow: number): void {
  lb.proxies[backendRow + PROXY_LOCK_BREAKS] = lb.proxies[backendRow + PROXY_LOCK_BREAKS]! + 1;
  finishGrant(lb, backendRow);
  recountServers(lb, backendRow);
  relinkQueues(lb, backendRow);
  const base = lb.proxies[backendRow + PROXY_SERVERS_BASE]!;
  const count = lb.proxies[backendRow + PROXY_SERVER_COUNT]!;
  for (let i = 0; i < count; i++) settleServer(lb, backendRow, lb.arena[base + i]!);
  // The dead thread may have freed a slot and not offered it.
  for (let i = 0; i < count; i++) offerSlots(lb, backendRow, lb.arena[base + i]!);
}

function finishGrant(lb: Lb, backendRow: number): void {
  const entry = Atomics.load(lb.proxies, backendRow + PROXY_GRANT_ENTRY);
  if (entry === 0) return;
  const worker = lb.queue[entry + QUEUE_WORKER]!;
  const serverRow = lb.queue[entry + QUEUE_GRANTED_SERVER]!;
  lb.shares[worker]![shareAt(serverRow)] = lb.proxies[backendRow + PROXY_GRANT_SHARE]!;
  Atomics.store(lb.queue, entry + QUEUE_STATE, QUEUE_STATE_GRANTED);
  Atomics.store(lb.proxies, backendRow + PROXY_GRANT_ENTRY, 0);
}

function recountServers(lb: Lb, backendRow: number): void {
  const base = lb.proxies[backendRow + PROXY_SERVERS_BASE]!;
  const count = lb.proxies[backendRow + PROXY_SERVER_COUNT]!;
  for (let kind = 0; kind < HEAP_KINDS; kind++)
    lb.proxies[backendRow + PROXY_HEAP_COUNT + kind] = 0;
  let total = 0;
  let weight = 0;
  for (let i = 0; i < count; i++) {
    const row = lb.arena[base + i]!;
    let served = 0;
    for (let worker = 1; worker < lb.shares.length; worker++) {
      served += lb.shares[worker]![shareAt(row)]!;
    }
    lb.servers[row + SERVER_SERVED] = served;
    lb.servers[row + SERVER_HEAP_INDEX] = 0;
    lb.servers[row + SERVER_QUEUE_HEAD] = 0;
    lb.servers[row + SERVER_QUEUE_TAIL] = 0;
    lb.servers[row + SERVER_QUEUE_LENGTH] = 0;
    total += served;
    weight += lb.servers[row + SERVER_TIER_WEIGHT]!;
  }
  lb.proxies[backendRow + PROXY_SERVED] = total;
  lb.proxyFloats[(backendRow + PROXY_TOTAL_WEIGHT) >> 1] = weight;
}

function relinkQueues(lb: Lb, backendRow: number): void {
  lb.proxies[backendRow + PROXY_QUEUE_HEAD] = 0;
  lb.proxies[backendRow + PROXY_QUEUE_TAIL] = 0;
  lb.proxies[backendRow + PROXY_QUEUE_LENGTH] = 0;
  lb.proxies[backendRow + PROXY_QUEUE_TOTAL] = 0;
  const waiting: number[] = [];
  const used = lb.tables.process.words[PROCESS_QUEUE_USED]!;
  for (let index = 1; index <= used; index++) {
    const entry = index * QUEUE_STRIDE;
    if (lb.queue[entry + QUEUE_BACKEND_ROW] !== backendRow) continue;
    const state = Atomics.load(lb.queue, entry + QUEUE_STATE);
    if (state === QUEUE_STATE_WAITING) waiting.push(entry);
    // Its owner may not have been told: a note too many is told from a fresh one by its state.
    if (state === QUEUE_STATE_GRANTED) noteGrant(lb, entry);
  }
  const arrival = (entry: number): number => lb.queueFloats[(entry + QUEUE_SEQUENCE) >> 1]!;
  waiting.sort((a, b) => arrival(a) - arrival(b));
  for (const entry of waiting) {
    const row = lb.queue[entry + QUEUE_SERVER_ROW]!;
    const isThere =
      row !== 0 &&
      lb.servers[row + SERVER_BACKEND_ROW] === backendRow &&
      lb.servers[row + SERVER_STATE] !== SERVER_STATE_FREE;
    appendWaiter(lb, entry, isThere ? row : 0);
  }
}
