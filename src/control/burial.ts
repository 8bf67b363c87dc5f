/**
 * What a dead worker held besides server slots: connections of process, frontends, listeners and
 * backends, and its QUIC engine. Its shards say how many; they are taken off the totals and the
 * shards are zeroed. What its QUIC connections had not counted yet is counted first.
 */
import type { Pointer } from "bun:ffi";

import { assert } from "../base/assert.ts";
import { giveLock, takeLock } from "../base/lock.ts";
import { QuicAccount } from "../conduit/quic/account.ts";
import { EngineMemory, isFrontOf, proxyRowOf } from "../conduit/quic/engine-memory.ts";
import { quicModule } from "../conduit/quic/native-quic.ts";
import type { Quic } from "../conduit/quic/native-quic.ts";
import { buryServerPresence } from "../conduit/quic/presence.ts";
import { CAUSE_INTERNAL, QUIC_COUNTS, QUIC_MOMENTS } from "../conduit/quic/transport.ts";
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
  WORKER_QUIC_ENGINE,
  WORKER_STATE,
  WORKER_STRIDE,
} from "../tables/generated/worker.ts";
import { buryGuidReader } from "../tables/guid-index.ts";
import { CONTROL_THREAD } from "../tables/inbox.ts";
import { isThreadDead } from "../tables/tables.ts";
import type { Tables } from "../tables/tables.ts";

/** Which rows there are to look at, as offsets into the tables. */
export type HeldRows = {
  proxyRows: Iterable<number>;
  listenerRows: Iterable<number>;
  serverRows: Iterable<number>;
};

/** Connections that are looked at in one call. */
const PAGE = 256;
const NO_CODE = 0n;

/** Takes a dead worker's connections off all totals. @returns how many client connections */
export function returnConnections(
  tables: Tables,
  worker: number,
  rows: Pick<HeldRows, "proxyRows" | "listenerRows">,
): number {
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
 * Counts what the QUIC engine of a dead worker has counted since it was asked last, takes its
 * connections off the proxies and servers that they held, and destroys it: nothing is sent. Its
 * successor answers packets of theirs with stateless resets.
 * @param memory what the engine wrote into
 * @returns how many connections there were
 */
export function buryQuic(
  tables: Tables,
  worker: number,
  memory: SharedArrayBuffer,
  serverRows: Iterable<number>,
): number {
  const at = (worker * WORKER_STRIDE + WORKER_QUIC_ENGINE) >> 1;
  const engine = tables.workers.floats[at]! as Pointer;
  tables.workers.floats[at] = 0;
  if ((engine as number) === 0) return 0;
  const quic = quicModule();
  assert(quic !== null, "buryQuic: control has the module that it gave its workers");
  // Whoever waits for the proxies looks again when the burial is over.
  const account = new QuicAccount(tables, worker, () => undefined);
  const ended = new EngineMemory(memory);
  // Endpoints first: with the last connection released, nobody holds their proxy any more.
  const growth = new Float64Array(QUIC_COUNTS);
  for (const { endpoint, tag } of ended.taggedEndpoints()) {
    if (quic.endpointDeltas(engine, endpoint, growth) < 0) continue;
    account.count(proxyRowOf(tag), isFrontOf(tag), growth);
    if (isFrontOf(tag)) account.halfOpen(proxyRowOf(tag), 0);
  }
  const count = countConnections(quic, engine, ended, account);
  for (const row of serverRows) buryServerPresence(tables, worker, row);
  quic.engineDestroy(engine);
  return count;
}

function countConnections(
  quic: Quic,
  engine: Pointer,
  memory: EngineMemory,
  account: QuicAccount,
): number {
  const tags = new Map([...memory.taggedEndpoints()].map(({ endpoint, tag }) => [endpoint, tag]));
  // A client whose handshake was under way: the worker had not heard of it yet.
  const open = (connection: number): number => {
    const tag = tags.get(quic.connEndpoint(engine, connection)) ?? 0;
    if (tag !== 0) account.opened(proxyRowOf(tag), isFrontOf(tag));
    return tag;
  };
  const page = new Uint32Array(PAGE);
  const numbers = new Float64Array(QUIC_COUNTS + QUIC_MOMENTS.length);
  let total = 0;
  let from = 0;
  do {
    const count = quic.conns(engine, from, page, PAGE);
    from = memory.io[0]!;
    for (let i = 0; i < count; i++) {
      const tag = quic.connTag(engine, page[i]!) || open(page[i]!);
      if (tag === 0) continue;
      const [proxyRow, isFront] = [proxyRowOf(tag), isFrontOf(tag)];
      const isKnown = quic.connDeltas(engine, page[i]!, numbers) >= 0;
      if (isKnown) account.count(proxyRow, isFront, numbers);
      if (tag > 0) account.closed(proxyRow, isFront, CAUSE_INTERNAL, NO_CODE);
      account.released(proxyRow, isFront, isKnown ? numbers : undefined);
      total++;
    }
    if (count < PAGE) return total;
  } while (from > 0);
  return total;
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
