/**
 * Streams that wait: entries of one table for the whole process, linked into a queue a server and
 * one a backend, each in order of arrival.
 *
 *   PROXY.queueHead ─▶ entry ⇄ entry ⇄ … ◀─ PROXY.queueTail      waits for any server
 *   SERVER.queueHead ─▶ entry ⇄ … ◀─ SERVER.queueTail            waits for this one
 *
 * The free list has a lock of its own, taken for a few words only and inside the backend's lock.
 *
 * @hot
 */
import { assert } from "../base/assert.ts";
import { giveLock, LOCK_BROKEN, takeLock } from "../base/lock.ts";
import { QUEUE_STATE_FREE, QUEUE_STATE_WAITING } from "../tables/generated/enums.ts";
import {
  PROCESS_QUEUE_FREE,
  PROCESS_QUEUE_LOCK,
  PROCESS_QUEUE_USED,
} from "../tables/generated/process.ts";
import {
  PROXY_QUEUE_HEAD,
  PROXY_QUEUE_LENGTH,
  PROXY_QUEUE_MAX,
  PROXY_QUEUE_TAIL,
  PROXY_QUEUE_TOTAL,
} from "../tables/generated/proxy.ts";
import {
  QUEUE_BACKEND_ROW,
  QUEUE_GENERATION,
  QUEUE_NEXT,
  QUEUE_PENDING_AHEAD,
  QUEUE_PREVIOUS,
  QUEUE_SEQUENCE,
  QUEUE_SERVER_ROW,
  QUEUE_STATE,
  QUEUE_STRIDE,
  QUEUE_WORKER,
} from "../tables/generated/queue.ts";
import {
  SERVER_QUEUE_HEAD,
  SERVER_QUEUE_LENGTH,
  SERVER_QUEUE_MAX,
  SERVER_QUEUE_TAIL,
} from "../tables/generated/server.ts";
import type { Lb } from "./lb.ts";

/** Takes an entry for a stream of this thread; it is in no queue yet. 0 when all are in use. */
export function allocateEntry(lb: Lb, backendRow: number): number {
  const words = lb.tables.process.words;
  lockEntries(lb);
  let entry = words[PROCESS_QUEUE_FREE]!;
  if (entry !== 0) {
    words[PROCESS_QUEUE_FREE] = lb.queue[entry + QUEUE_NEXT]!;
  } else {
    const used = words[PROCESS_QUEUE_USED]! + 1;
    if ((used + 1) * QUEUE_STRIDE <= lb.queue.length) {
      words[PROCESS_QUEUE_USED] = used;
      entry = used * QUEUE_STRIDE;
    }
  }
  if (entry !== 0) {
    lb.queue[entry + QUEUE_WORKER] = lb.self;
    lb.queue[entry + QUEUE_BACKEND_ROW] = backendRow;
    lb.queue[entry + QUEUE_SERVER_ROW] = 0;
    lb.queueFloats[(entry + QUEUE_SEQUENCE) >> 1] = 0;
    Atomics.store(lb.queue, entry + QUEUE_STATE, QUEUE_STATE_WAITING);
  }
  giveLock(words, PROCESS_QUEUE_LOCK);
  return entry;
}

/** Gives an entry back that is in no queue. */
export function freeEntry(lb: Lb, entry: number): void {
  const words = lb.tables.process.words;
  lockEntries(lb);
  assert(lb.queue[entry + QUEUE_STATE] !== QUEUE_STATE_FREE, "freeEntry: an entry in use");
  lb.queue[entry + QUEUE_GENERATION] = (lb.queue[entry + QUEUE_GENERATION]! + 1) | 0;
  Atomics.store(lb.queue, entry + QUEUE_STATE, QUEUE_STATE_FREE);
  lb.queue[entry + QUEUE_NEXT] = words[PROCESS_QUEUE_FREE]!;
  words[PROCESS_QUEUE_FREE] = entry;
  giveLock(words, PROCESS_QUEUE_LOCK);
}

/** Links an entry as the youngest waiter of the server, or of the backend when `serverRow` is 0. */
export function appendWaiter(lb: Lb, entry: number, serverRow: number): void {
  const backendRow = lb.queue[entry + QUEUE_BACKEND_ROW]!;
  const tail =
    serverRow === 0
      ? lb.proxies[backendRow + PROXY_QUEUE_TAIL]!
      : lb.servers[serverRow + SERVER_QUEUE_TAIL]!;
  lb.queue[entry + QUEUE_PENDING_AHEAD] =
    serverRow === 0
      ? lb.proxies[backendRow + PROXY_QUEUE_LENGTH]!
      : lb.servers[serverRow + SERVER_QUEUE_LENGTH]!;
  linkAfter(lb, entry, serverRow, tail);
}

/** Links an entry at the place that its arrival gives it. O(waiters younger than it). */
export function insertWaiter(lb: Lb, entry: number, serverRow: number): void {
  const backendRow = lb.queue[entry + QUEUE_BACKEND_ROW]!;
  const sequence = lb.queueFloats[(entry + QUEUE_SEQUENCE) >> 1]!;
  let older =
    serverRow === 0
      ? lb.proxies[backendRow + PROXY_QUEUE_TAIL]!
      : lb.servers[serverRow + SERVER_QUEUE_TAIL]!;
  while (older !== 0 && lb.queueFloats[(older + QUEUE_SEQUENCE) >> 1]! > sequence) {
    older = lb.queue[older + QUEUE_PREVIOUS]!;
  }
  linkAfter(lb, entry, serverRow, older);
}

/** Takes a waiting entry out of its queue. O(1). */
export function unlinkWaiter(lb: Lb, entry: number): void {
  const queue = lb.queue;
  const backendRow = queue[entry + QUEUE_BACKEND_ROW]!;
  const serverRow = queue[entry + QUEUE_SERVER_ROW]!;
  const older = queue[entry + QUEUE_PREVIOUS]!;
  const younger = queue[entry + QUEUE_NEXT]!;
  if (older !== 0) queue[older + QUEUE_NEXT] = younger;
  else if (serverRow === 0) lb.proxies[backendRow + PROXY_QUEUE_HEAD] = younger;
  else lb.servers[serverRow + SERVER_QUEUE_HEAD] = younger;
  if (younger !== 0) queue[younger + QUEUE_PREVIOUS] = older;
  else if (serverRow === 0) lb.proxies[backendRow + PROXY_QUEUE_TAIL] = older;
  else lb.servers[serverRow + SERVER_QUEUE_TAIL] = older;
  queue[entry + QUEUE_NEXT] = 0;
  queue[entry + QUEUE_PREVIOUS] = 0;
  if (serverRow === 0) {
    lb.proxies[backendRow + PROXY_QUEUE_LENGTH] = lb.proxies[backendRow + PROXY_QUEUE_LENGTH]! - 1;
  } else {
    lb.servers[serverRow + SERVER_QUEUE_LENGTH] = lb.servers[serverRow + SERVER_QUEUE_LENGTH]! - 1;
  }
  const total = lb.proxies[backendRow + PROXY_QUEUE_TOTAL]! - 1;
  assert(total >= 0, "unlinkWaiter: an entry that was counted");
  lb.proxies[backendRow + PROXY_QUEUE_TOTAL] = total;
}

function linkAfter(lb: Lb, entry: number, serverRow: number, older: number): void {
  const queue = lb.queue;
  const backendRow = queue[entry + QUEUE_BACKEND_ROW]!;
  let younger: number;
  if (older !== 0) {
    younger = queue[older + QUEUE_NEXT]!;
    queue[older + QUEUE_NEXT] = entry;
  } else if (serverRow === 0) {
    younger = lb.proxies[backendRow + PROXY_QUEUE_HEAD]!;
    lb.proxies[backendRow + PROXY_QUEUE_HEAD] = entry;
  } else {
    younger = lb.servers[serverRow + SERVER_QUEUE_HEAD]!;
    lb.servers[serverRow + SERVER_QUEUE_HEAD] = entry;
  }
  if (younger !== 0) queue[younger + QUEUE_PREVIOUS] = entry;
  else if (serverRow === 0) lb.proxies[backendRow + PROXY_QUEUE_TAIL] = entry;
  else lb.servers[serverRow + SERVER_QUEUE_TAIL] = entry;
  queue[entry + QUEUE_PREVIOUS] = older;
  queue[entry + QUEUE_NEXT] = younger;
  queue[entry + QUEUE_SERVER_ROW] = serverRow;
  countWaiter(lb, backendRow, serverRow);
}

function countWaiter(lb: Lb, backendRow: number, serverRow: number): void {
  const proxies = lb.proxies;
  proxies[backendRow + PROXY_QUEUE_TOTAL] = proxies[backendRow + PROXY_QUEUE_TOTAL]! + 1;
  if (serverRow === 0) {
    const length = proxies[backendRow + PROXY_QUEUE_LENGTH]! + 1;
    proxies[backendRow + PROXY_QUEUE_LENGTH] = length;
    if (length > proxies[backendRow + PROXY_QUEUE_MAX]!)
      proxies[backendRow + PROXY_QUEUE_MAX] = length;
    return;
  }
  const length = lb.servers[serverRow + SERVER_QUEUE_LENGTH]! + 1;
  lb.servers[serverRow + SERVER_QUEUE_LENGTH] = length;
  if (length > lb.servers[serverRow + SERVER_QUEUE_MAX]!)
    lb.servers[serverRow + SERVER_QUEUE_MAX] = length;
}

/** Makes the free list whole if a dead thread held its lock. */
export function repairEntries(lb: Lb): void {
  lockEntries(lb);
  giveLock(lb.tables.process.words, PROCESS_QUEUE_LOCK);
}

function lockEntries(lb: Lb): void {
  const words = lb.tables.process.words;
  if (takeLock(words, PROCESS_QUEUE_LOCK, lb.self, lb.isDead) === LOCK_BROKEN) relinkFree(lb);
}

/** Makes the free list anew after a thread died while it changed it. */
function relinkFree(lb: Lb): void {
  const words = lb.tables.process.words;
  let head = 0;
  const used = words[PROCESS_QUEUE_USED]!;
  for (let index = 1; index <= used; index++) {
    const entry = index * QUEUE_STRIDE;
    if (Atomics.load(lb.queue, entry + QUEUE_STATE) !== QUEUE_STATE_FREE) continue;
    lb.queue[entry + QUEUE_NEXT] = head;
    head = entry;
  }
  words[PROCESS_QUEUE_FREE] = head;
}
