/**
 * What a dead worker held besides server slots: connections of process, frontends, listeners and
 * backends. Its shards say how many; they are taken off the totals and the shards are zeroed.
 */
import { giveLock, takeLock } from "../base/lock.ts";
import { BACK_COUNT_CURRENT, BACK_COUNT_STRIDE } from "../tables/generated/back-count.ts";
import { FRONT_COUNT_CURRENT, FRONT_COUNT_STRIDE } from "../tables/generated/front-count.ts";
import { LISTENER_CURRENT, LISTENER_FULL, LISTENER_STRIDE } from "../tables/generated/listener.ts";
import { PROCESS_CURRENT, PROCESS_FULL } from "../tables/generated/process.ts";
import {
  PROXY_BACK_CURRENT,
  PROXY_FRONT_CURRENT,
  PROXY_FRONT_FULL,
  PROXY_STRIDE,
} from "../tables/generated/proxy.ts";
import {
  WORKER_ACCEPTED,
  WORKER_BYTES_OUT,
  WORKER_GENERATION,
  WORKER_INBOX_LOCK,
  WORKER_STATE,
  WORKER_STRIDE,
} from "../tables/generated/worker.ts";
import { buryGuidReader } from "../tables/guid-index.ts";
import { CONTROL_THREAD } from "../tables/inbox.ts";
import { isThreadDead } from "../tables/tables.ts";
import type { Tables } from "../tables/tables.ts";

/** Which rows there are to look at, as offsets into the tables. */
export type HeldRows = { proxyRows: Iterable<number>; listenerRows: Iterable<number> };

/** Takes a dead worker's connections off all totals. @returns how many client connections */
export function returnConnections(tables: Tables, worker: number, rows: HeldRows): number {
  const shard = tables.perWorker[worker - 1]!;
  const proxies = tables.proxies.words;
  const listeners = tables.listeners.words;
  let total = 0;
  for (const row of rows.proxyRows) {
    const index = row / PROXY_STRIDE;
    const front = takeOut(
      shard.proxyFront.floats,
      index * FRONT_COUNT_STRIDE + FRONT_COUNT_CURRENT,
    );
    const back = takeOut(shard.proxyBack.floats, index * BACK_COUNT_STRIDE + BACK_COUNT_CURRENT);
    if (front > 0) Atomics.sub(proxies, row + PROXY_FRONT_CURRENT, front);
    if (back > 0) Atomics.sub(proxies, row + PROXY_BACK_CURRENT, back);
    Atomics.store(proxies, row + PROXY_FRONT_FULL, 0);
    total += front;
  }
  for (const row of rows.listenerRows) {
    const index = row / LISTENER_STRIDE;
    const at = index * FRONT_COUNT_STRIDE + FRONT_COUNT_CURRENT;
    const front = takeOut(shard.listenerFront.floats, at);
    if (front > 0) Atomics.sub(listeners, row + LISTENER_CURRENT, front);
    Atomics.store(listeners, row + LISTENER_FULL, 0);
  }
  Atomics.sub(tables.process.words, PROCESS_CURRENT, total);
  Atomics.store(tables.process.words, PROCESS_FULL, 0);
  return total;
}

function takeOut(floats: Float64Array, word: number): number {
  const value = floats[word >> 1]!;
  floats[word >> 1] = 0;
  return value;
}

/**
 * Empties a worker's own row and inbox for the thread that comes next. Others may be writing to the
 * inbox at this moment, so its lock is taken; a dead thread does not keep it.
 */
export function resetWorkerRow(tables: Tables, worker: number): void {
  const words = tables.workers.words;
  const row = worker * WORKER_STRIDE;
  const lock = row + WORKER_INBOX_LOCK;
  takeLock(words, lock, CONTROL_THREAD, (thread) => isThreadDead(words, thread));
  for (let i = 0; i < WORKER_STRIDE; i++) {
    if (i === WORKER_STATE || i === WORKER_GENERATION || row + i === lock) continue;
    // What was counted stays counted: both words of each number.
    if (i === WORKER_BYTES_OUT || i === WORKER_BYTES_OUT + 1) continue;
    if (i === WORKER_ACCEPTED || i === WORKER_ACCEPTED + 1) continue;
    Atomics.store(words, row + i, 0);
  }
  giveLock(words, lock);
  buryGuidReader(tables, worker);
}
