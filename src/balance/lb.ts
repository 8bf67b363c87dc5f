/**
 * What one thread holds to balance: views of the shared tables, its number, a source of random
 * numbers, and room for results that do not fit into one integer. One object a thread, made once.
 *
 * Everything that choosing and waiting decide lives in shared memory, under one lock a backend:
 *
 *   PROXY row    lock · three heaps of servers · map or ring · queue · clock of round robin
 *   SERVER row   served · queue · place in a heap · weight in force
 *   QUEUE row    one waiting stream
 *   SHARE row    which part of a server's `served` belongs to which worker
 */
import type { Tables } from "../tables/tables.ts";
import { isThreadDead } from "../tables/tables.ts";
import { Arena } from "./arena.ts";

/** No server of the backend may take new traffic. */
export const CHOICE_NO_SERVER = -1;
/** The server that must be used is full, and so is its queue (`maxqueue`). */
export const CHOICE_QUEUE_FULL = -2;
/** The stream waits: `lb.lastEntry` is its queue entry. */
export const CHOICE_QUEUED = -3;
/** All entries of the queue table are in use. */
export const CHOICE_NO_ENTRY = -4;

/** In place of a hash: the stream has none, round robin applies. */
export const HASH_NONE = -1;

/** Words of a note that waits to be posted: worker, entry, slot, generation. */
export const NOTE_WORDS = 4;

const NOTES_AT_FIRST = 64;
const NO_SHARES = new Int32Array(0);

/** Per-thread handle of balancing. `self` 0 is the control plane, which alone may link servers. */
export class Lb {
  readonly tables: Tables;
  /** Number of the thread: 0 = control, workers from 1. */
  readonly self: number;
  /** Uniform over 0 .. 2^32 - 1. */
  readonly random32: () => number;
  readonly isDead: (thread: number) => boolean;

  readonly proxies: Int32Array;
  readonly proxyFloats: Float64Array;
  readonly servers: Int32Array;
  readonly serverFloats: Float64Array;
  readonly queue: Int32Array;
  readonly queueFloats: Float64Array;
  readonly arena: Int32Array;
  readonly arenaFloats: Float64Array;
  /** SHARE words by worker number; nothing at 0. */
  readonly shares: readonly Int32Array[];
  /** Allocator of the arena: control only. */
  readonly memory: Arena | null;
  /** Rows of all backends that exist: kept by control only. */
  readonly backends: Set<number>;

  /** Monotonic milliseconds as an integer; the owner of the thread keeps it current. */
  nowMs = 0;
  /** Queue entry of the last CHOICE_QUEUED. */
  lastEntry = 0;
  /** Server whose queue was full, of the last CHOICE_QUEUE_FULL. */
  lastServer = 0;
  /** Whether the algorithm made the last choice, as opposed to a forced server. */
  lastByAlgorithm = false;
  /** Between a pick and its end: a heap named the server, not a map or draws. */
  fromHeap = false;
  /** Steps taken in heaps by this thread: a measure of cost that no clock disturbs. */
  heapSteps = 0;
  /** Grants whose note found an inbox full: the owner looks for them (NOTE_LOST). */
  lostNotes = 0;

  /** Grants made under the lock, told to their workers after it. */
  notes = new Int32Array(NOTES_AT_FIRST * NOTE_WORDS);
  noteCount = 0;

  constructor(tables: Tables, self: number, random32: () => number) {
    this.tables = tables;
    this.self = self;
    this.random32 = random32;
    const workers = tables.workers.words;
    this.isDead = (thread) => isThreadDead(workers, thread);
    this.proxies = tables.proxies.words;
    this.proxyFloats = tables.proxies.floats;
    this.servers = tables.servers.words;
    this.serverFloats = tables.servers.floats;
    this.queue = tables.queue.words;
    this.queueFloats = tables.queue.floats;
    this.arena = tables.arena.words;
    this.arenaFloats = tables.arena.floats;
    this.shares = [NO_SHARES, ...tables.perWorker.map((one) => one.shares.words)];
    this.backends = new Set();
    this.memory = self === 0 ? new Arena(this.arena.length) : null;
  }
}
