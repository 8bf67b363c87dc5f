/**
 * What a stream does with servers: choose one or begin to wait, be granted a slot, leave.
 *
 *   forced server ─▶ hash ─▶ somebody waits for any server already? ─▶ algorithm ─▶ queue
 *
 * While somebody waits for any server of the backend no server has a free slot (whoever frees one
 * hands it on), so a newcomer that queues behind them loses nothing and overtakes nobody.
 *
 * @hot
 */
import { assert } from "../base/assert.ts";
import {
  HEAP_ASLEEP,
  QUEUE_FLAG_FORCED,
  QUEUE_FLAG_HASHED,
  QUEUE_STATE_GRANTED,
  QUEUE_STATE_WAITING,
} from "../tables/generated/enums.ts";
import {
  PROXY_HEAP_COUNT,
  PROXY_QUEUE_LENGTH,
  PROXY_REDISPATCH,
  PROXY_TOTAL_WEIGHT,
} from "../tables/generated/proxy.ts";
import {
  QUEUE_BACKEND_ROW,
  QUEUE_FLAGS,
  QUEUE_GRANTED_SERVER,
  QUEUE_HASH,
  QUEUE_SEQUENCE,
  QUEUE_SERVER_ROW,
  QUEUE_STATE,
  QUEUE_STREAM,
  QUEUE_STREAM_GENERATION,
  QUEUE_WORKER,
} from "../tables/generated/queue.ts";
import { SERVER_MAXQUEUE, SERVER_QUEUE_LENGTH } from "../tables/generated/server.ts";
import { lockBackend, unlockBackend } from "./guard.ts";
import {
  CHOICE_NO_ENTRY,
  CHOICE_NO_SERVER,
  CHOICE_QUEUE_FULL,
  CHOICE_QUEUED,
  HASH_NONE,
} from "./lb.ts";
import type { Lb } from "./lb.ts";
import { finishPick, pickByHash, pickFree } from "./pick.ts";
import { hasRoom, settleServer } from "./place.ts";
import { nextSequence } from "./roundrobin.ts";
import { countPick, dropSlot, offerSlots, takeSlot, wakeSleepers } from "./slots.ts";
import { allocateEntry, appendWaiter, freeEntry, unlinkWaiter } from "./waiters.ts";

/**
 * Chooses a server for a stream of this thread, which has been counted in `backCurrent` already.
 * @param backendRow row of the backend
 * @param hash 0 .. 2^32 - 1 for `source` and `hash`, HASH_NONE where there is nothing to hash
 * @param streamSlot the stream, as a grant will name it
 * @param streamGeneration its generation
 * @param excludeRow server to avoid if there is another (redispatch); 0 = none
 * @param forcedRow server to use whatever the algorithm says (`use-server`); 0 = none
 * @returns row of a server with a slot taken for the stream, or CHOICE_*. `lb.lastEntry` is the
 *   queue entry of CHOICE_QUEUED, `lb.lastByAlgorithm` tells who decided. O(log n). Workers.
 */
export function chooseServer(
  lb: Lb,
  backendRow: number,
  hash: number,
  streamSlot: number,
  streamGeneration: number,
  excludeRow: number,
  forcedRow: number,
): number {
  lockBackend(lb, backendRow);
  if (lb.proxies[backendRow + PROXY_HEAP_COUNT + HEAP_ASLEEP]! > 0) wakeSleepers(lb, backendRow);
  const choice = decide(lb, backendRow, hash, streamSlot, streamGeneration, excludeRow, forcedRow);
  unlockBackend(lb, backendRow, false);
  return choice;
}

/**
 * The one way to leave a server, after the stream has been detached from it: `served` - 1, then
 * the algorithm is told, then the slot goes to the oldest waiter, whichever worker it lives on.
 * @returns queue entry of a stream of this very thread that was granted a slot (to be handled as a
 *   NOTE_GRANT that has just come in), else 0. O(log n). Workers.
 */
export function leaveServer(lb: Lb, backendRow: number, serverRow: number): number {
  lockBackend(lb, backendRow);
  dropSlot(lb, backendRow, serverRow, lb.self);
  settleServer(lb, backendRow, serverRow);
  offerSlots(lb, backendRow, serverRow);
  return unlockBackend(lb, backendRow, true);
}

/**
 * Ends the waiting of a stream of this thread (timeout, abort), and frees its entry.
 * @returns 0, or the row of the server whose slot had been granted already: it is the caller's
 *   now, to use or to give back with `leaveServer`. O(1). Workers.
 */
export function leaveQueue(lb: Lb, entry: number): number {
  const backendRow = lb.queue[entry + QUEUE_BACKEND_ROW]!;
  lockBackend(lb, backendRow);
  assert(lb.queue[entry + QUEUE_WORKER] === lb.self, "leaveQueue: an entry of this thread");
  const state = lb.queue[entry + QUEUE_STATE]!;
  let granted = 0;
  if (state === QUEUE_STATE_WAITING) {
    const serverRow = lb.queue[entry + QUEUE_SERVER_ROW]!;
    unlinkWaiter(lb, entry);
    if (serverRow !== 0) settleServer(lb, backendRow, serverRow);
  } else {
    assert(state === QUEUE_STATE_GRANTED, "leaveQueue: an entry in use");
    granted = lb.queue[entry + QUEUE_GRANTED_SERVER]!;
  }
  freeEntry(lb, entry);
  unlockBackend(lb, backendRow, false);
  return granted;
}

/**
 * Turns a grant into the slot that it stands for, and frees the entry.
 * @param entry as NOTE_GRANT names it, with `slot` and `generation`
 * @returns row of the server; 0 when the note is stale and nothing is to be done. O(1). Workers.
 */
export function takeGrant(lb: Lb, entry: number, slot: number, generation: number): number {
  if (Atomics.load(lb.queue, entry + QUEUE_STATE) !== QUEUE_STATE_GRANTED) return 0;
  if (lb.queue[entry + QUEUE_WORKER] !== lb.self) return 0;
  if (lb.queue[entry + QUEUE_STREAM] !== slot) return 0;
  if (lb.queue[entry + QUEUE_STREAM_GENERATION] !== generation) return 0;
  const granted = lb.queue[entry + QUEUE_GRANTED_SERVER]!;
  freeEntry(lb, entry);
  return granted;
}

/** Whether a stream of this thread that waits has been granted a slot: see NOTE_LOST. O(1). */
export function isGranted(lb: Lb, entry: number): boolean {
  return Atomics.load(lb.queue, entry + QUEUE_STATE) === QUEUE_STATE_GRANTED;
}

function decide(
  lb: Lb,
  backendRow: number,
  hash: number,
  streamSlot: number,
  streamGeneration: number,
  excludeRow: number,
  forcedRow: number,
): number {
  lb.lastByAlgorithm = forcedRow === 0;
  if (forcedRow !== 0) {
    const flags = QUEUE_FLAG_FORCED;
    const choice = join(lb, backendRow, forcedRow, hash, streamSlot, streamGeneration, flags);
    if (!mayGoElsewhere(lb, backendRow, choice)) return choice;
    lb.lastByAlgorithm = true;
  }
  if (lb.proxyFloats[(backendRow + PROXY_TOTAL_WEIGHT) >> 1] === 0) return CHOICE_NO_SERVER;
  const flags = hash === HASH_NONE ? 0 : QUEUE_FLAG_HASHED;
  if (hash !== HASH_NONE) {
    const row = pickByHash(lb, backendRow, hash, excludeRow);
    if (row !== 0 && row !== excludeRow) {
      const choice = join(lb, backendRow, row, hash, streamSlot, streamGeneration, flags);
      if (choice > 0) countPick(lb, backendRow, choice);
      if (!mayGoElsewhere(lb, backendRow, choice)) return choice;
    }
  }
  let row = 0;
  if (lb.proxies[backendRow + PROXY_QUEUE_LENGTH] === 0) {
    row = pickFree(lb, backendRow, excludeRow);
    if (row > 0) {
      takeSlot(lb, backendRow, row, lb.self);
      finishPick(lb, backendRow, row);
      return row;
    }
  }
  // leastconn may name a full server whose own queue has room.
  return enqueue(lb, backendRow, -row, hash, streamSlot, streamGeneration, flags);
}

/**
 * Whether a stream whose server has a full queue is to be tried on another: that server cannot be
 * picked again, so nothing needs to exclude it.
 */
function mayGoElsewhere(lb: Lb, backendRow: number, choice: number): boolean {
  return choice === CHOICE_QUEUE_FULL && lb.proxies[backendRow + PROXY_REDISPATCH] !== 0;
}

/** Takes a slot of this very server, or queues for it. */
function join(
  lb: Lb,
  backendRow: number,
  serverRow: number,
  hash: number,
  streamSlot: number,
  streamGeneration: number,
  flags: number,
): number {
  if (hasRoom(lb, backendRow, serverRow)) {
    takeSlot(lb, backendRow, serverRow, lb.self);
    settleServer(lb, backendRow, serverRow);
    return serverRow;
  }
  const maxqueue = lb.servers[serverRow + SERVER_MAXQUEUE]!;
  if (maxqueue > 0 && lb.servers[serverRow + SERVER_QUEUE_LENGTH]! >= maxqueue) {
    lb.lastServer = serverRow;
    return CHOICE_QUEUE_FULL;
  }
  return enqueue(lb, backendRow, serverRow, hash, streamSlot, streamGeneration, flags);
}

function enqueue(
  lb: Lb,
  backendRow: number,
  serverRow: number,
  hash: number,
  streamSlot: number,
  streamGeneration: number,
  flags: number,
): number {
  const entry = allocateEntry(lb, backendRow);
  if (entry === 0) return CHOICE_NO_ENTRY;
  lb.queue[entry + QUEUE_STREAM] = streamSlot;
  lb.queue[entry + QUEUE_STREAM_GENERATION] = streamGeneration;
  lb.queue[entry + QUEUE_GRANTED_SERVER] = 0;
  lb.queue[entry + QUEUE_HASH] = hash;
  lb.queue[entry + QUEUE_FLAGS] = flags;
  lb.queueFloats[(entry + QUEUE_SEQUENCE) >> 1] = nextSequence(lb, backendRow);
  appendWaiter(lb, entry, serverRow);
  if (serverRow !== 0) settleServer(lb, backendRow, serverRow);
  lb.lastEntry = entry;
  return CHOICE_QUEUED;
}
