/**
 * The shared memory of one process: all tables, with their views.
 *
 * Address space for the maxima of base/limits.ts is reserved at the start; the system gives memory
 * only for what is touched, so that a row never moves and every thread sees every row at once.
 */
import {
  ARENA_WORDS_MAX,
  INBOX_ENTRIES,
  INBOX_ENTRY_WORDS,
  LISTENERS_MAX,
  LOG_RING_RECORDS,
  PROXIES_MAX,
  QUEUE_ENTRIES_MAX,
  SERVERS_MAX,
  WORKERS_MAX,
} from "../base/limits.ts";
import { BACK_COUNT_STRIDE } from "./generated/back-count.ts";
import { WORKER_STATE_DEAD, WORKER_STATE_FREE } from "./generated/enums.ts";
import { FRONT_COUNT_STRIDE } from "./generated/front-count.ts";
import { LISTENER_STRIDE } from "./generated/listener.ts";
import { PROCESS_STRIDE } from "./generated/process.ts";
import { PROXY_STRIDE } from "./generated/proxy.ts";
import { QUEUE_STRIDE } from "./generated/queue.ts";
import { QUIC_COUNT_STRIDE } from "./generated/quic-count.ts";
import { SERVER_STRIDE } from "./generated/server.ts";
import { SHARE_STRIDE } from "./generated/share.ts";
import { STREAM_LOG_STRIDE } from "./generated/stream-log.ts";
import { WORKER_STATE, WORKER_STRIDE } from "./generated/worker.ts";
import { placeGuids } from "./guid-places.ts";
import type { GuidPlaces } from "./guid-places.ts";

/** A block of shared memory under both of its views. */
export class Table {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly floats: Float64Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.floats = new Float64Array(buffer);
  }
}

/** Blocks that belong to one worker: it writes, control reads. */
export type WorkerBlocks = {
  /** FRONT_COUNT rows of proxies, by proxy index. */
  proxyFront: SharedArrayBuffer;
  /** BACK_COUNT rows of proxies, by proxy index. */
  proxyBack: SharedArrayBuffer;
  /** FRONT_COUNT rows of listeners. */
  listenerFront: SharedArrayBuffer;
  /** BACK_COUNT rows of servers. */
  serverBack: SharedArrayBuffer;
  /** QUIC_COUNT rows of the client side of proxies, by proxy index. */
  quicFront: SharedArrayBuffer;
  /** QUIC_COUNT rows of their server side. */
  quicBack: SharedArrayBuffer;
  /** SHARE rows of servers. */
  shares: SharedArrayBuffer;
  inbox: SharedArrayBuffer;
  /** Ring of STREAM_LOG records behind one line of indices. */
  logRing: SharedArrayBuffer;
};

/** What a thread is given to see the tables: buffers only, no views. */
export type SharedBlocks = {
  process: SharedArrayBuffer;
  workers: SharedArrayBuffer;
  proxies: SharedArrayBuffer;
  listeners: SharedArrayBuffer;
  servers: SharedArrayBuffer;
  queue: SharedArrayBuffer;
  arena: SharedArrayBuffer;
  /** Lock, entries and texts of the GUID index, and where they are. */
  guids: SharedArrayBuffer;
  guidPlaces: GuidPlaces;
  perWorker: WorkerBlocks[];
};

/** Words in front of the records of a log ring: head, tail, dropped, armed. */
export const LOG_RING_HEAD_WORDS = 16;

/** The views of WorkerBlocks. */
export class WorkerTables {
  readonly proxyFront: Table;
  readonly proxyBack: Table;
  readonly listenerFront: Table;
  readonly serverBack: Table;
  readonly quicFront: Table;
  readonly quicBack: Table;
  readonly shares: Table;
  readonly inbox: Table;
  readonly logRing: Table;

  constructor(blocks: WorkerBlocks) {
    this.proxyFront = new Table(blocks.proxyFront);
    this.proxyBack = new Table(blocks.proxyBack);
    this.listenerFront = new Table(blocks.listenerFront);
    this.serverBack = new Table(blocks.serverBack);
    this.quicFront = new Table(blocks.quicFront);
    this.quicBack = new Table(blocks.quicBack);
    this.shares = new Table(blocks.shares);
    this.inbox = new Table(blocks.inbox);
    this.logRing = new Table(blocks.logRing);
  }
}

/** All views of one thread. */
export class Tables {
  readonly blocks: SharedBlocks;
  readonly process: Table;
  readonly workers: Table;
  readonly proxies: Table;
  readonly listeners: Table;
  readonly servers: Table;
  readonly queue: Table;
  readonly arena: Table;
  readonly guids: Table;
  readonly perWorker: readonly WorkerTables[];

  constructor(blocks: SharedBlocks) {
    this.blocks = blocks;
    this.process = new Table(blocks.process);
    this.workers = new Table(blocks.workers);
    this.proxies = new Table(blocks.proxies);
    this.listeners = new Table(blocks.listeners);
    this.servers = new Table(blocks.servers);
    this.queue = new Table(blocks.queue);
    this.arena = new Table(blocks.arena);
    this.guids = new Table(blocks.guids);
    this.perWorker = blocks.perWorker.map((one) => new WorkerTables(one));
  }
}

/** How many rows each table has room for; tests reserve less. */
export type TableSizes = {
  workers: number;
  proxies: number;
  listeners: number;
  servers: number;
  queueEntries: number;
  arenaWords: number;
};

/** The maxima of base/limits.ts for a process with `workers` data-plane threads. */
export function fullSizes(workers: number): TableSizes {
  return {
    workers,
    proxies: PROXIES_MAX,
    listeners: LISTENERS_MAX,
    servers: SERVERS_MAX,
    queueEntries: QUEUE_ENTRIES_MAX,
    arenaWords: ARENA_WORDS_MAX,
  };
}

/** Reserves all tables. `perWorker[0]` belongs to worker 1: control has no shard. */
export function reserveTables(sizes: TableSizes): SharedBlocks {
  const perWorker: WorkerBlocks[] = [];
  for (let i = 0; i < sizes.workers; i++) {
    perWorker.push({
      proxyFront: reserve(sizes.proxies + 1, FRONT_COUNT_STRIDE),
      proxyBack: reserve(sizes.proxies + 1, BACK_COUNT_STRIDE),
      listenerFront: reserve(sizes.listeners + 1, FRONT_COUNT_STRIDE),
      serverBack: reserve(sizes.servers + 1, BACK_COUNT_STRIDE),
      quicFront: reserve(sizes.proxies + 1, QUIC_COUNT_STRIDE),
      quicBack: reserve(sizes.proxies + 1, QUIC_COUNT_STRIDE),
      shares: reserve(sizes.servers + 1, SHARE_STRIDE),
      inbox: reserve(INBOX_ENTRIES, INBOX_ENTRY_WORDS),
      logRing: new SharedArrayBuffer(
        4 * (LOG_RING_HEAD_WORDS + LOG_RING_RECORDS * STREAM_LOG_STRIDE),
      ),
    });
  }
  const objects = sizes.proxies + sizes.listeners + sizes.servers;
  const guidPlaces = placeGuids(sizes.workers + 1, objects);
  return {
    process: reserve(1, PROCESS_STRIDE),
    workers: reserve(WORKERS_MAX + 1, WORKER_STRIDE),
    proxies: reserve(sizes.proxies + 1, PROXY_STRIDE),
    listeners: reserve(sizes.listeners + 1, LISTENER_STRIDE),
    servers: reserve(sizes.servers + 1, SERVER_STRIDE),
    queue: reserve(sizes.queueEntries + 1, QUEUE_STRIDE),
    arena: reserve(sizes.arenaWords, 1),
    guids: reserve(guidPlaces.end, 1),
    guidPlaces,
    perWorker,
  };
}

function reserve(records: number, strideWords: number): SharedArrayBuffer {
  // Whole pairs of words, so that the float view covers the block.
  return new SharedArrayBuffer(8 * Math.ceil((records * strideWords) / 2));
}

/** Is the thread with this number gone? Thread 0 is the control plane and never is. */
export function isThreadDead(workers: Int32Array, thread: number): boolean {
  if (thread <= 0) return false;
  const state = Atomics.load(workers, thread * WORKER_STRIDE + WORKER_STATE);
  return state === WORKER_STATE_DEAD || state === WORKER_STATE_FREE;
}
