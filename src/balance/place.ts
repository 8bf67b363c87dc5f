/**
 * Which heap a server belongs in, whatever the algorithm: the one place that knows them all.
 *
 *   can be chosen                        READY (round robin: or FRESH)
 *   full, but its limit grows with load  ASLEEP, by the load at which it has room
 *   full, drained, down                  none; it returns when that changes
 *
 * All functions need the backend's lock.
 *
 * @hot
 */
import { ALGORITHM_FIRST, ALGORITHM_LEASTCONN, HEAP_ASLEEP } from "../tables/generated/enums.ts";
import { PROXY_ALGORITHM } from "../tables/generated/proxy.ts";
import {
  SERVER_HEAP_INDEX,
  SERVER_HEAP_KIND,
  SERVER_MAXCONN,
  SERVER_MAXQUEUE,
  SERVER_MINCONN,
  SERVER_QUEUE_LENGTH,
  SERVER_SERVED,
  SERVER_TIER_WEIGHT,
} from "../tables/generated/server.ts";
import { enterFirst, passFirst, pickFirst, reweighFirst, weighFirst } from "./first.ts";
import { heapKeyOf, heapPush, heapRemove, heapSequenceOf, heapUpdate } from "./heap.ts";
import type { Lb } from "./lb.ts";
import {
  enterLeastconn,
  passLeastconn,
  pickLeastconn,
  reweighLeastconn,
  weighLeastconn,
} from "./leastconn.ts";
import { isLimitDynamic, loadForRoom, serverLimit, UNLIMITED } from "./limit.ts";
import {
  enterRoundrobin,
  passRoundrobin,
  pickRoundrobin,
  reweighRoundrobin,
  weighRoundrobin,
} from "./roundrobin.ts";

/** Whether one more stream may go to the server at once: nobody waits for it and a slot is free. */
export function hasRoom(lb: Lb, backendRow: number, serverRow: number): boolean {
  const servers = lb.servers;
  if (servers[serverRow + SERVER_QUEUE_LENGTH] !== 0) return false;
  if (servers[serverRow + SERVER_MAXCONN] === 0 && servers[serverRow + SERVER_MINCONN] === 0) {
    return true;
  }
  return servers[serverRow + SERVER_SERVED]! < serverLimit(lb, backendRow, serverRow);
}

/**
 * Whether the algorithm may name the server. leastconn also fills the queue of a full server with
 * a `maxqueue` up to it (manual 5.2 `maxqueue`).
 */
export function isPickable(lb: Lb, backendRow: number, serverRow: number): boolean {
  const servers = lb.servers;
  if (servers[serverRow + SERVER_TIER_WEIGHT] === 0) return false;
  const maxqueue = servers[serverRow + SERVER_MAXQUEUE]!;
  if (maxqueue > 0 && lb.proxies[backendRow + PROXY_ALGORITHM] === ALGORITHM_LEASTCONN) {
    const streams = servers[serverRow + SERVER_SERVED]! + servers[serverRow + SERVER_QUEUE_LENGTH]!;
    return streams < serverLimit(lb, backendRow, serverRow) + maxqueue;
  }
  return hasRoom(lb, backendRow, serverRow);
}

/** Puts the server where it belongs after its load, limit or weight changed. O(log n). */
export function settleServer(lb: Lb, backendRow: number, serverRow: number): void {
  const index = lb.servers[serverRow + SERVER_HEAP_INDEX]!;
  const isAsleep = index !== 0 && lb.servers[serverRow + SERVER_HEAP_KIND] === HEAP_ASLEEP;
  if (isPickable(lb, backendRow, serverRow)) {
    if (isAsleep) heapRemove(lb, backendRow, serverRow);
    if (index !== 0 && !isAsleep) weighServer(lb, backendRow, serverRow);
    else enterServer(lb, backendRow, serverRow);
    return;
  }
  if (index !== 0 && !isAsleep) heapRemove(lb, backendRow, serverRow);
  layToSleep(lb, backendRow, serverRow, isAsleep);
}

/** Settles a server that the algorithm has just chosen. O(log n). */
export function passServer(lb: Lb, backendRow: number, serverRow: number): void {
  const stays = isPickable(lb, backendRow, serverRow);
  switch (lb.proxies[backendRow + PROXY_ALGORITHM]) {
    case ALGORITHM_LEASTCONN:
      passLeastconn(lb, backendRow, serverRow, stays);
      break;
    case ALGORITHM_FIRST:
      passFirst(lb, backendRow, serverRow, stays);
      break;
    default:
      passRoundrobin(lb, backendRow, serverRow, stays);
  }
  if (!stays) layToSleep(lb, backendRow, serverRow, false);
}

/** Follows a weight that changed, in whatever heap the server is. O(log n). */
export function reweighServer(lb: Lb, backendRow: number, serverRow: number): void {
  if (
    lb.servers[serverRow + SERVER_HEAP_INDEX] !== 0 &&
    lb.servers[serverRow + SERVER_HEAP_KIND] === HEAP_ASLEEP
  ) {
    return;
  }
  switch (lb.proxies[backendRow + PROXY_ALGORITHM]) {
    case ALGORITHM_LEASTCONN:
      reweighLeastconn(lb, backendRow, serverRow);
      return;
    case ALGORITHM_FIRST:
      reweighFirst(lb, backendRow, serverRow);
      return;
    default:
      reweighRoundrobin(lb, backendRow, serverRow);
  }
}

/**
 * The server that the order of the heaps names, other than `excludeRow` if there is another.
 * @returns its row, in a heap and pickable; 0 when there is none. O(log n).
 */
export function pickServer(lb: Lb, backendRow: number, excludeRow: number): number {
  const row = pickTop(lb, backendRow);
  if (row === 0 || row !== excludeRow) return row;
  const kind = lb.servers[row + SERVER_HEAP_KIND]!;
  const key = heapKeyOf(lb, backendRow, row);
  const sequence = heapSequenceOf(lb, backendRow, row);
  heapRemove(lb, backendRow, row);
  const other = pickTop(lb, backendRow);
  heapPush(lb, backendRow, kind, row, key, sequence);
  return other === 0 ? row : other;
}

function pickTop(lb: Lb, backendRow: number): number {
  for (;;) {
    const row = pickByOrder(lb, backendRow);
    if (row === 0 || isPickable(lb, backendRow, row)) return row;
    // Its limit has come down with the load since it was put here.
    settleServer(lb, backendRow, row);
  }
}

function pickByOrder(lb: Lb, backendRow: number): number {
  switch (lb.proxies[backendRow + PROXY_ALGORITHM]) {
    case ALGORITHM_LEASTCONN:
      return pickLeastconn(lb, backendRow);
    case ALGORITHM_FIRST:
      return pickFirst(lb, backendRow);
    default:
      return pickRoundrobin(lb, backendRow);
  }
}

function enterServer(lb: Lb, backendRow: number, serverRow: number): void {
  switch (lb.proxies[backendRow + PROXY_ALGORITHM]) {
    case ALGORITHM_LEASTCONN:
      enterLeastconn(lb, backendRow, serverRow);
      return;
    case ALGORITHM_FIRST:
      enterFirst(lb, backendRow, serverRow);
      return;
    default:
      enterRoundrobin(lb, backendRow, serverRow);
  }
}

function weighServer(lb: Lb, backendRow: number, serverRow: number): void {
  switch (lb.proxies[backendRow + PROXY_ALGORITHM]) {
    case ALGORITHM_LEASTCONN:
      weighLeastconn(lb, backendRow, serverRow);
      return;
    case ALGORITHM_FIRST:
      weighFirst(lb, backendRow, serverRow);
      return;
    default:
      weighRoundrobin(lb, backendRow, serverRow);
  }
}

/** A full server with a dynamic limit wakes when the load has grown enough. */
function layToSleep(lb: Lb, backendRow: number, serverRow: number, isAsleep: boolean): void {
  const key = wakeLoad(lb, backendRow, serverRow);
  if (key === UNLIMITED) {
    if (isAsleep) heapRemove(lb, backendRow, serverRow);
    return;
  }
  if (isAsleep) heapUpdate(lb, backendRow, serverRow, key, serverRow);
  else heapPush(lb, backendRow, HEAP_ASLEEP, serverRow, key, serverRow);
}

function wakeLoad(lb: Lb, backendRow: number, serverRow: number): number {
  if (!isLimitDynamic(lb, backendRow, serverRow)) return UNLIMITED;
  const servers = lb.servers;
  const isWanted =
    servers[serverRow + SERVER_TIER_WEIGHT] !== 0 || servers[serverRow + SERVER_QUEUE_LENGTH] !== 0;
  if (!isWanted) return UNLIMITED;
  return loadForRoom(lb, backendRow, serverRow, servers[serverRow + SERVER_SERVED]!);
}
