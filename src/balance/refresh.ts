/**
 * Brings a backend in line with the rows of its servers after the control plane has changed them:
 * state, weight, limits, slow start, backup. Everything that takes time (a new map or ring) is
 * made before the lock is taken; under it, the change of one server costs O(log n).
 *
 * Slots that a change sets free go to waiters in order of arrival. Waiters of a server that went
 * away find another: by their hash, or in the queue of the backend, at the place that their arrival
 * gives them.
 */
import {
  QUEUE_FLAG_FORCED,
  QUEUE_FLAG_HASHED,
  QUEUE_FLAG_MOVED,
  SERVER_STATE_DRAIN,
  SERVER_STATE_UP,
} from "../tables/generated/enums.ts";
import {
  PROXY_ACTIVE_UP,
  PROXY_BACKUP_UP,
  PROXY_BALANCE_FACTOR,
  PROXY_FIRST_BACKUP,
  PROXY_ON_BACKUP,
  PROXY_QUEUE_HEAD,
  PROXY_TOTAL_WEIGHT,
} from "../tables/generated/proxy.ts";
import { QUEUE_FLAGS, QUEUE_HASH, QUEUE_NEXT } from "../tables/generated/queue.ts";
import {
  SERVER_CUMULATIVE_WEIGHT,
  SERVER_QUEUE_HEAD,
  SERVER_QUEUE_LENGTH,
  SERVER_STATE,
  SERVER_TIER_WEIGHT,
  SERVER_USABLE,
} from "../tables/generated/server.ts";
import { lockBackend, unlockBackend } from "./guard.ts";
import type { Lb } from "./lb.ts";
import { giveMemory } from "./memory.ts";
import { finishPick, pickByHash, pickFree } from "./pick.ts";
import { reweighServer, settleServer } from "./place.ts";
import { grantSlot, offerSlots } from "./slots.ts";
import { makeTable, swapTable } from "./table.ts";
import { isUsable, planTier, serverRows, tierWeightOf } from "./tier.ts";
import type { Tier } from "./tier.ts";
import { insertWaiter, unlinkWaiter } from "./waiters.ts";

/**
 * Takes account of what control has written to the row of one server.
 * @returns streams that waited for this very server and wait elsewhere now ("requeued")
 */
export function refreshServer(lb: Lb, backendRow: number, serverRow: number): number {
  return refresh(lb, backendRow, serverRow);
}

/**
 * Takes account of the rows of all servers, and of the backend's flags and `fullconn`: at the
 * start, once after all servers were linked. O(n log n).
 * @returns streams requeued
 */
export function refreshBackend(lb: Lb, backendRow: number): number {
  return refresh(lb, backendRow, 0);
}

function refresh(lb: Lb, backendRow: number, serverRow: number): number {
  const tier = planTier(lb, backendRow, serverRow);
  // When the tier itself changes, every server may.
  const onlyRow = changesTier(lb, backendRow, tier) ? 0 : serverRow;
  const table = makeTable(lb, backendRow, tier, onlyRow);
  const rows = onlyRow === 0 ? serverRows(lb, backendRow) : [onlyRow];
  lockBackend(lb, backendRow);
  const old = table === undefined ? undefined : swapTable(lb, backendRow, table);
  applyTier(lb, backendRow, tier, rows);
  let requeued = 0;
  for (const row of rows) {
    requeued += requeueWaiters(lb, backendRow, row);
    if (lb.servers[row + SERVER_QUEUE_LENGTH] !== 0) offerSlots(lb, backendRow, row);
  }
  serveWaiters(lb, backendRow);
  unlockBackend(lb, backendRow, false);
  if (old !== undefined) giveMemory(lb, old.base, old.words);
  return requeued;
}

function changesTier(lb: Lb, backendRow: number, tier: Tier): boolean {
  const wasOnBackup = lb.proxies[backendRow + PROXY_ON_BACKUP] === 1;
  if (wasOnBackup !== tier.onBackup) return true;
  const wasFirst = lb.proxies[backendRow + PROXY_FIRST_BACKUP];
  return tier.onBackup && !tier.allBackups && wasFirst !== tier.firstBackup;
}

/** Gives the servers their weights and places. Needs the lock. */
function applyTier(lb: Lb, backendRow: number, tier: Tier, rows: Iterable<number>): void {
  const changed: number[] = [];
  const totalCell = (backendRow + PROXY_TOTAL_WEIGHT) >> 1;
  let total = lb.proxyFloats[totalCell]!;
  for (const row of rows) {
    const weight = tierWeightOf(lb, row, tier);
    total += weight - lb.servers[row + SERVER_TIER_WEIGHT]!;
    if (weight !== lb.servers[row + SERVER_TIER_WEIGHT]) changed.push(row);
    lb.servers[row + SERVER_TIER_WEIGHT] = weight;
    lb.servers[row + SERVER_USABLE] = isUsable(lb, row) ? 1 : 0;
  }
  lb.proxyFloats[totalCell] = total;
  lb.proxies[backendRow + PROXY_ACTIVE_UP] = tier.activeUp;
  lb.proxies[backendRow + PROXY_BACKUP_UP] = tier.backupUp;
  lb.proxies[backendRow + PROXY_FIRST_BACKUP] = tier.firstBackup;
  lb.proxies[backendRow + PROXY_ON_BACKUP] = tier.onBackup ? 1 : 0;
  for (const row of changed) {
    if (lb.servers[row + SERVER_TIER_WEIGHT] !== 0) reweighServer(lb, backendRow, row);
  }
  for (const row of rows) settleServer(lb, backendRow, row);
  if (lb.proxies[backendRow + PROXY_BALANCE_FACTOR] !== 0) accumulateWeights(lb, backendRow);
}

function accumulateWeights(lb: Lb, backendRow: number): void {
  let sum = 0;
  for (const row of serverRows(lb, backendRow)) {
    lb.servers[row + SERVER_CUMULATIVE_WEIGHT] = sum;
    sum += lb.servers[row + SERVER_TIER_WEIGHT]!;
  }
}

/**
 * Moves waiters away from a server that will not serve them: all if it is down or in maintenance,
 * all that did not ask for this very server if it drains or has no weight. Needs the lock.
 */
function requeueWaiters(lb: Lb, backendRow: number, serverRow: number): number {
  const state = lb.servers[serverRow + SERVER_STATE]!;
  const isServing = state === SERVER_STATE_UP || state === SERVER_STATE_DRAIN;
  if (isServing && isUsable(lb, serverRow)) return 0;
  let count = 0;
  let entry = lb.servers[serverRow + SERVER_QUEUE_HEAD]!;
  while (entry !== 0) {
    const younger = lb.queue[entry + QUEUE_NEXT]!;
    const flags = lb.queue[entry + QUEUE_FLAGS]!;
    if (!isServing || (flags & QUEUE_FLAG_FORCED) === 0) {
      unlinkWaiter(lb, entry);
      lb.queue[entry + QUEUE_FLAGS] = flags | QUEUE_FLAG_MOVED;
      const hashed = (flags & QUEUE_FLAG_HASHED) !== 0;
      const hash = lb.queue[entry + QUEUE_HASH]! >>> 0;
      const row = hashed ? pickByHash(lb, backendRow, hash, serverRow) : 0;
      insertWaiter(lb, entry, row === serverRow ? 0 : row);
      if (row !== 0 && row !== serverRow) offerSlots(lb, backendRow, row);
      count++;
    }
    entry = younger;
  }
  if (count > 0) settleServer(lb, backendRow, serverRow);
  return count;
}

/** Serves the backend's queue while a server has room. Needs the lock. */
function serveWaiters(lb: Lb, backendRow: number): void {
  for (;;) {
    const entry = lb.proxies[backendRow + PROXY_QUEUE_HEAD]!;
    if (entry === 0) return;
    const row = pickFree(lb, backendRow, 0);
    if (row === 0) return;
    if (row < 0) break;
    grantSlot(lb, backendRow, entry, row);
    finishPick(lb, backendRow, row);
  }
  // leastconn named a full server whose queue has room; one less preferred may have a free slot.
  for (const row of serverRows(lb, backendRow)) offerSlots(lb, backendRow, row);
}
