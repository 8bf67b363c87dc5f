/**
 * A worker is gone: what it held is given back. Control plane only, after the worker's state says
 * DEAD (so that locks it held can be taken over) and no thread bears its number any more.
 */
import {
  QUEUE_STATE_FREE,
  QUEUE_STATE_GRANTED,
  QUEUE_STATE_WAITING,
} from "../tables/generated/enums.ts";
import { PROCESS_QUEUE_USED } from "../tables/generated/process.ts";
import { PROXY_SERVED } from "../tables/generated/proxy.ts";
import {
  QUEUE_BACKEND_ROW,
  QUEUE_SERVER_ROW,
  QUEUE_STATE,
  QUEUE_STRIDE,
  QUEUE_WORKER,
} from "../tables/generated/queue.ts";
import { SERVER_SERVED } from "../tables/generated/server.ts";
import { freeInbox } from "../tables/inbox.ts";
import { lockBackend, unlockBackend } from "./guard.ts";
import type { Lb } from "./lb.ts";
import { settleServer } from "./place.ts";
import { noteGrant, offerSlots, shareAt } from "./slots.ts";
import { serverRows } from "./tier.ts";
import { freeEntry, repairEntries, unlinkWaiter } from "./waiters.ts";

/**
 * Drops the worker's queue entries, gives back its share of every server, and hands the slots to
 * waiters of other workers. O(entries ever used + servers).
 * @returns slots that it held
 */
export function buryWorker(lb: Lb, worker: number): number {
  freeLocks(lb);
  dropEntries(lb, worker);
  let slots = 0;
  for (const backendRow of lb.backends) {
    lockBackend(lb, backendRow);
    for (const row of serverRows(lb, backendRow)) {
      slots += giveShareBack(lb, backendRow, row, worker);
    }
    unlockBackend(lb, backendRow, false);
  }
  return slots;
}

/**
 * Locks outside of backends that it may have died with. They name it by its number: once the next
 * thread bears that, nobody could tell that their holder is gone.
 */
function freeLocks(lb: Lb): void {
  repairEntries(lb);
  for (let worker = 1; worker < lb.shares.length; worker++) {
    freeInbox(lb.tables, lb.self, worker);
  }
}

/** Takes the worker's waiters out first, so that no slot is granted to them any more. */
function dropEntries(lb: Lb, worker: number): void {
  const used = Atomics.load(lb.tables.process.words, PROCESS_QUEUE_USED);
  for (let index = 1; index <= used; index++) {
    const entry = index * QUEUE_STRIDE;
    const state = Atomics.load(lb.queue, entry + QUEUE_STATE);
    if (state === QUEUE_STATE_FREE) continue;
    const isIts = lb.queue[entry + QUEUE_WORKER] === worker;
    // A grant that the dead worker made to another may never have been told: once more.
    if (!isIts && state !== QUEUE_STATE_GRANTED) continue;
    const backendRow = lb.queue[entry + QUEUE_BACKEND_ROW]!;
    if (!lb.backends.has(backendRow)) continue;
    lockBackend(lb, backendRow);
    if (isIts) dropEntry(lb, backendRow, entry);
    else if (lb.queue[entry + QUEUE_STATE] === QUEUE_STATE_GRANTED) noteGrant(lb, entry);
    unlockBackend(lb, backendRow, false);
  }
}

function dropEntry(lb: Lb, backendRow: number, entry: number): void {
  // A granted slot is in the worker's share, which is given back as a whole.
  if (lb.queue[entry + QUEUE_STATE] === QUEUE_STATE_WAITING) {
    const serverRow = lb.queue[entry + QUEUE_SERVER_ROW]!;
    unlinkWaiter(lb, entry);
    if (serverRow !== 0) settleServer(lb, backendRow, serverRow);
  }
  freeEntry(lb, entry);
}

function giveShareBack(lb: Lb, backendRow: number, serverRow: number, worker: number): number {
  const shares = lb.shares[worker]!;
  const share = shares[shareAt(serverRow)]!;
  if (share === 0) return 0;
  shares[shareAt(serverRow)] = 0;
  lb.servers[serverRow + SERVER_SERVED] = lb.servers[serverRow + SERVER_SERVED]! - share;
  lb.proxies[backendRow + PROXY_SERVED] = lb.proxies[backendRow + PROXY_SERVED]! - share;
  settleServer(lb, backendRow, serverRow);
  offerSlots(lb, backendRow, serverRow);
  return share;
}
