/**
 * Slots of servers: taken by the stream that chose, given back by the one that leaves, and handed
 * to the oldest stream that waits, whichever worker it lives on.
 *
 * All functions need the backend's lock.
 *
 * @hot
 */
import { assert } from "../base/assert.ts";
import {
  HEAP_ASLEEP,
  QUEUE_STATE_GRANTED,
  QUEUE_STATE_WAITING,
} from "../tables/generated/enums.ts";
import {
  PROXY_BACK_CURRENT,
  PROXY_GRANT_ENTRY,
  PROXY_GRANT_SHARE,
  PROXY_HEAP_COUNT,
  PROXY_QUEUE_HEAD,
  PROXY_QUEUE_TOTAL,
  PROXY_SERVED,
} from "../tables/generated/proxy.ts";
import {
  QUEUE_GRANTED_SERVER,
  QUEUE_SEQUENCE,
  QUEUE_STATE,
  QUEUE_STREAM,
  QUEUE_STREAM_GENERATION,
  QUEUE_WORKER,
} from "../tables/generated/queue.ts";
import {
  SERVER_LAST_PICK,
  SERVER_LAST_PICKED_MS,
  SERVER_PICKS,
  SERVER_QUEUE_HEAD,
  SERVER_SERVED,
  SERVER_SERVED_MAX,
  SERVER_STRIDE,
  SERVER_TIER_WEIGHT,
} from "../tables/generated/server.ts";
import { SHARE_SERVED, SHARE_STRIDE } from "../tables/generated/share.ts";
import { heapTop, heapTopKey } from "./heap.ts";
import { NOTE_WORDS } from "./lb.ts";
import type { Lb } from "./lb.ts";
import { serverLimit } from "./limit.ts";
import { settleServer } from "./place.ts";
import { nextSequence } from "./roundrobin.ts";
import { unlinkWaiter } from "./waiters.ts";

/** Word of a worker's share of a server, in `lb.shares[worker]`. */
export function shareAt(serverRow: number): number {
  return ((serverRow / SERVER_STRIDE) | 0) * SHARE_STRIDE + SHARE_SERVED;
}

/** Attaches a stream of `worker` to the server. The caller settles the server. O(1). */
export function takeSlot(lb: Lb, backendRow: number, serverRow: number, worker: number): void {
  const servers = lb.servers;
  const shares = lb.shares[worker]!;
  const share = shareAt(serverRow);
  shares[share] = shares[share]! + 1;
  const served = servers[serverRow + SERVER_SERVED]! + 1;
  servers[serverRow + SERVER_SERVED] = served;
  if (served > servers[serverRow + SERVER_SERVED_MAX]!)
    servers[serverRow + SERVER_SERVED_MAX] = served;
  servers[serverRow + SERVER_LAST_PICKED_MS] = lb.nowMs;
  lb.proxies[backendRow + PROXY_SERVED] = lb.proxies[backendRow + PROXY_SERVED]! + 1;
}

/** Counts a choice of the algorithm. */
export function countPick(lb: Lb, backendRow: number, serverRow: number): void {
  const cell = (serverRow + SERVER_PICKS) >> 1;
  lb.serverFloats[cell] = lb.serverFloats[cell]! + 1;
  lb.serverFloats[(serverRow + SERVER_LAST_PICK) >> 1] = nextSequence(lb, backendRow);
}

/** Detaches a stream of `worker`. The caller settles the server and offers the slot. O(1). */
export function dropSlot(lb: Lb, backendRow: number, serverRow: number, worker: number): void {
  const shares = lb.shares[worker]!;
  const share = shareAt(serverRow);
  const served = lb.servers[serverRow + SERVER_SERVED]!;
  assert(served > 0, "dropSlot: the server serves somebody");
  assert(shares[share]! > 0, "dropSlot: a stream of this worker is among them");
  lb.servers[serverRow + SERVER_SERVED] = served - 1;
  lb.proxies[backendRow + PROXY_SERVED] = lb.proxies[backendRow + PROXY_SERVED]! - 1;
  shares[share] = shares[share]! - 1;
}

/**
 * Hands free slots of the server to the oldest waiters: those for this server, and those for any
 * if it takes new traffic. Ends when either runs out. O(log n) a grant.
 */
export function offerSlots(lb: Lb, backendRow: number, serverRow: number): void {
  if (lb.proxies[backendRow + PROXY_QUEUE_TOTAL] === 0) return;
  let granted = false;
  for (;;) {
    const entry = oldestWaiter(lb, backendRow, serverRow);
    if (entry === 0) break;
    if (lb.servers[serverRow + SERVER_SERVED]! >= serverLimit(lb, backendRow, serverRow)) break;
    grantSlot(lb, backendRow, entry, serverRow);
    granted = true;
  }
  if (granted) settleServer(lb, backendRow, serverRow);
}

/** Wakes servers whose dynamic limit has grown with the load, and offers what they gained. */
export function wakeSleepers(lb: Lb, backendRow: number): void {
  while (lb.proxies[backendRow + PROXY_HEAP_COUNT + HEAP_ASLEEP]! > 0) {
    const load = Atomics.load(lb.proxies, backendRow + PROXY_BACK_CURRENT);
    if (heapTopKey(lb, backendRow, HEAP_ASLEEP) > load) return;
    const row = heapTop(lb, backendRow, HEAP_ASLEEP);
    offerSlots(lb, backendRow, row);
    settleServer(lb, backendRow, row);
    // The load may have come down again in between: the server sleeps on, and so do the others.
    if (heapTop(lb, backendRow, HEAP_ASLEEP) === row) return;
  }
}

/**
 * Passes a slot of the server to a waiting stream, on behalf of its own worker. The caller settles
 * the server. The journal lets whoever takes the lock from a dead thread finish the grant.
 */
export function grantSlot(lb: Lb, backendRow: number, entry: number, serverRow: number): void {
  assert(lb.queue[entry + QUEUE_STATE] === QUEUE_STATE_WAITING, "grantSlot: a stream that waits");
  const worker = lb.queue[entry + QUEUE_WORKER]!;
  unlinkWaiter(lb, entry);
  lb.queue[entry + QUEUE_GRANTED_SERVER] = serverRow;
  lb.proxies[backendRow + PROXY_GRANT_SHARE] = lb.shares[worker]![shareAt(serverRow)]! + 1;
  Atomics.store(lb.proxies, backendRow + PROXY_GRANT_ENTRY, entry);
  Atomics.store(lb.queue, entry + QUEUE_STATE, QUEUE_STATE_GRANTED);
  takeSlot(lb, backendRow, serverRow, worker);
  Atomics.store(lb.proxies, backendRow + PROXY_GRANT_ENTRY, 0);
  noteGrant(lb, entry);
}

/** Remembers that the owner of a granted entry is to be told after the lock. */
export function noteGrant(lb: Lb, entry: number): void {
  const at = lb.noteCount * NOTE_WORDS;
  if (at + NOTE_WORDS > lb.notes.length) growNotes(lb);
  lb.notes[at] = lb.queue[entry + QUEUE_WORKER]!;
  lb.notes[at + 1] = entry;
  lb.notes[at + 2] = lb.queue[entry + QUEUE_STREAM]!;
  lb.notes[at + 3] = lb.queue[entry + QUEUE_STREAM_GENERATION]!;
  lb.noteCount++;
}

/** Older of the server's and, if it takes new traffic, the backend's first waiter; 0 = none. */
function oldestWaiter(lb: Lb, backendRow: number, serverRow: number): number {
  const own = lb.servers[serverRow + SERVER_QUEUE_HEAD]!;
  if (lb.servers[serverRow + SERVER_TIER_WEIGHT] === 0) return own;
  const any = lb.proxies[backendRow + PROXY_QUEUE_HEAD]!;
  if (own === 0 || any === 0) return own === 0 ? any : own;
  const ownSequence = lb.queueFloats[(own + QUEUE_SEQUENCE) >> 1]!;
  return ownSequence <= lb.queueFloats[(any + QUEUE_SEQUENCE) >> 1]! ? own : any;
}

/** @cold */
function growNotes(lb: Lb): void {
  const larger = new Int32Array(lb.notes.length * 2);
  larger.set(lb.notes);
  lb.notes = larger;
}
