/**
 * The data plane of one worker: its views of the shared tables, its streams, timers and limits.
 *
 * Owns every stream of the worker. Runs on the worker's thread, or in the simulator, which hands in
 * another Environment. What happens to a connection stands in stream.ts.
 */
import { Lb } from "../balance/lb.ts";
import { assert, describeError } from "../base/assert.ts";
import type { Clock, Ticker } from "../base/clock.ts";
import { Wheel } from "../base/wheel.ts";
import type { Conduit, ConduitOwner, DialHints } from "../conduit/conduit.ts";
import type { QuicDesk } from "../conduit/quic/describe.ts";
import type { DialTarget } from "../conduit/tcp/dial.ts";
import { QUEUE_STREAM } from "../tables/generated/queue.ts";
import { SERVER_STRIDE } from "../tables/generated/server.ts";
import {
  WORKER_BELL,
  WORKER_BELL_ARMED,
  WORKER_GENERATION,
  WORKER_HEARTBEAT,
  WORKER_STREAMS,
  WORKER_STRIDE,
} from "../tables/generated/worker.ts";
import { GuidIndex } from "../tables/guid-index.ts";
import { drainInbox } from "../tables/inbox.ts";
import type { QuicSettings, WorkerGlobals } from "../tables/mutations.ts";
import type { BindSpec } from "../tables/spec.ts";
import type { Tables, WorkerTables } from "../tables/tables.ts";
import { checkDescriptors } from "./accept/descriptors.ts";
import { flushCounters } from "./account/counters.ts";
import { grantArrived } from "./connect/choose.ts";
import { handleNote } from "./notes.ts";
import { finishDeferred } from "./relay/relay.ts";
import { Stream } from "./stream.ts";
import type { ListenerView, ListeningSocket, ProxyView, ServerView } from "./views.ts";

/** What the engine needs of the world: sockets and time. */
export type Environment = {
  clock: Clock;
  /** Runs `run` once after `delayMs`. */
  startTimer(delayMs: number, run: () => void): Ticker;
  /** Runs `run` when the events of this turn of the loop have been handled. */
  nextTurn(run: () => void): void;
  /**
   * Begins a connection: a conduit, or CLOSE_* when it failed at once.
   * @param hints of a QUIC target; null for others
   */
  dial(target: DialTarget, owner: ConduitOwner, hints: DialHints | null): Conduit | number;
  /** No stream dials this target again: idle connections are closed, others after their streams. */
  forgetTarget(target: DialTarget): void;
  /**
   * Makes the listening socket of a bind; accepted conduits go to `onAccept`.
   * @param frontend row, and how long a connection without streams may last, ms, -1 = for ever
   */
  listen(
    spec: BindSpec,
    fd: number,
    frontend: { row: number; timeoutClient: number },
    onAccept: (conduit: Conduit) => void,
  ): ListeningSocket;
  /** 32 random bits, unsigned. */
  random32(): number;
  /** Describes the QUIC connections of this worker; null or left out = it speaks no QUIC. */
  readonly quic?: QuicDesk | null;
  /** Takes what the configuration says of sockets. */
  configure(globals: WorkerGlobals): void;
  /** Takes what the worker needs to speak QUIC. */
  configureQuic(settings: QuicSettings): void;
  /** Tells control of an exception that was survived: a bug. */
  fault(where: string, text: string): void;
  /** Is a descriptor to be had right now? */
  hasDescriptor(): boolean;
  /** CPU time that this thread has used so far, µs. */
  cpuMicros(): number;
  /** Wakes control: a log record waits. */
  ringControl(): void;
  /** Tells control something for the log; rare. */
  notice(text: string): void;
  /** `count` connections in a row to a server have failed: `error-limit` of them. */
  serverErrors(row: number, generation: number, count: number): void;
  /** Called when the worker stops and its last stream has ended. */
  stopped(): void;
};

/** Moved bytes and descriptors reach the shared counters at least this often, ms. */
const FLUSH_MS = 500;

export class Engine {
  readonly worker: number;
  readonly tables: Tables;
  /** This worker's own shards. */
  readonly shard: WorkerTables;
  readonly balance: Lb;
  readonly environment: Environment;
  readonly clock: Clock;
  readonly wheel: Wheel;
  readonly proxies = new Map<number, ProxyView>();
  readonly frontendsByName = new Map<string, ProxyView>();
  readonly backendsByName = new Map<string, ProxyView>();
  /** What bears which GUID, for names that are made at run time. */
  readonly guids: GuidIndex;
  /** Frontends whose rules are compiled: forgotten when a backend comes or goes. */
  readonly routed: ProxyView[] = [];
  readonly listeners = new Map<number, ListenerView>();
  /** By row / SERVER_STRIDE. */
  private readonly servers: (ServerView | undefined)[] = [];
  /** By slot; slot 0 is not used. */
  readonly streams: (Stream | null)[] = [null];
  private freeStreams: Stream[] = [];
  /** Ids tell the slots of a worker from those of the dead one whose place it took. */
  private readonly firstGeneration: number;
  globals: WorkerGlobals;
  streamCount = 0;
  isStopping = false;
  /** No descriptor was left: nothing is accepted until there is one. */
  isStarved = false;
  /** When that was told last. */
  starvedToldMs = -Infinity;
  private readonly grants: number[] = [];
  private isGranting = false;
  private armedAtMs = Infinity;
  private armed: Ticker | null = null;
  private flushAtMs = 0;
  private finishing: Stream[] = [];
  private finishingSpare: Stream[] = [];
  private readonly onTurnEnd: () => void;
  private readonly onTimer: () => void;
  private readonly onNote: (kind: number, a: number, b: number, c: number) => void;

  constructor(worker: number, tables: Tables, environment: Environment, globals: WorkerGlobals) {
    this.worker = worker;
    this.tables = tables;
    this.shard = tables.perWorker[worker - 1]!;
    this.guids = new GuidIndex(tables, worker);
    this.environment = environment;
    this.clock = environment.clock;
    this.balance = new Lb(tables, worker, environment.random32);
    this.globals = globals;
    this.firstGeneration =
      Atomics.load(tables.workers.words, worker * WORKER_STRIDE + WORKER_GENERATION) << 24;
    this.wheel = new Wheel(this.clock.nowMs(), (slot) => this.streams[slot]!.onTimer());
    this.onTurnEnd = () => this.finishAll();
    this.onTimer = () => this.runTimers();
    this.onNote = (kind, a, b, c) => handleNote(this, kind, a, b, c);
  }

  /** View of a server by its row. */
  server(row: number): ServerView | undefined {
    return this.servers[row / SERVER_STRIDE];
  }

  setServer(row: number, view: ServerView | undefined): void {
    this.servers[row / SERVER_STRIDE] = view;
  }

  /** All servers that the worker knows. */
  *allServers(): Generator<ServerView> {
    for (const view of this.servers) if (view !== undefined) yield view;
  }

  /** A stream from the pool, with a fresh generation. */
  takeStream(): Stream {
    let stream = this.freeStreams.pop();
    if (stream === undefined) {
      stream = new Stream(this, this.streams.length);
      stream.generation = this.firstGeneration;
      this.streams.push(stream);
    }
    stream.generation = (stream.generation + 1) | 0;
    this.streamCount++;
    // The once-a-period work runs while there are streams, whatever their timers.
    if (this.armed === null) this.arm(this.clock.nowMs() + FLUSH_MS);
    this.tables.workers.words[this.worker * WORKER_STRIDE + WORKER_STREAMS] = this.streamCount;
    return stream;
  }

  /** Gives an ended stream back. */
  giveStream(stream: Stream): void {
    assert(!this.wheel.has(stream.slot), "giveStream: an ended stream has no timer");
    this.streamCount--;
    this.tables.workers.words[this.worker * WORKER_STRIDE + WORKER_STREAMS] = this.streamCount;
    this.freeStreams.push(stream);
    if (this.isStopping && this.streamCount === 0) this.environment.stopped();
  }

  /**
   * A freed slot went to a waiting stream of this worker. It is served when the event under way is
   * done with: a queue of streams that fail at once must not nest.
   * @param entry queue entry, 0 = none
   */
  deferGrant(entry: number): void {
    if (entry !== 0) this.grants.push(entry);
  }

  /** Half-closes a side of the stream at the end of this loop turn, if it still lives then. */
  deferFinish(stream: Stream): void {
    if (this.finishing.length === 0) this.environment.nextTurn(this.onTurnEnd);
    this.finishing.push(stream);
  }

  private finishAll(): void {
    const batch = this.finishing;
    this.finishing = this.finishingSpare;
    // A stream that was freed and taken again meanwhile has no side to finish, or its own.
    for (let i = 0; i < batch.length; i++) finishDeferred(batch[i]!);
    batch.length = 0;
    this.finishingSpare = batch;
  }

  /** Serves the granted streams. */
  runGrants(): void {
    if (this.isGranting) return;
    this.isGranting = true;
    try {
      for (let i = 0; i < this.grants.length; i++) {
        const entry = this.grants[i]!;
        const words = this.tables.queue.words;
        const stream = this.streams[words[entry + QUEUE_STREAM]!];
        if (stream !== null && stream !== undefined) grantArrived(stream, entry);
      }
    } finally {
      this.grants.length = 0;
      this.isGranting = false;
    }
  }

  /** Sets the timer of a stream; earlier or later than before. */
  setTimer(slot: number, deadlineMs: number): void {
    this.wheel.set(slot, deadlineMs);
    if (deadlineMs < this.armedAtMs) this.arm(deadlineMs);
  }

  private arm(atMs: number): void {
    if (this.armed !== null) this.armed.stop();
    const delay = Math.max(1, atMs - this.clock.nowMs() + 1);
    this.armedAtMs = atMs;
    this.armed = this.environment.startTimer(delay, this.onTimer);
  }

  private runTimers(): void {
    const now = this.clock.nowMs();
    this.armed = null;
    this.armedAtMs = Infinity;
    const words = this.tables.workers.words;
    const row = this.worker * WORKER_STRIDE;
    words[row + WORKER_HEARTBEAT] = (words[row + WORKER_HEARTBEAT]! + 1) | 0;
    this.wheel.advance(now);
    if (now >= this.flushAtMs) {
      this.flushAtMs = now + FLUSH_MS;
      flushCounters(this);
      checkDescriptors(this);
    }
    if (this.streamCount === 0) return;
    const wheelDelay = this.wheel.delayMs(now);
    const next = wheelDelay < 0 ? this.flushAtMs : Math.min(now + wheelDelay, this.flushAtMs);
    if (next < this.armedAtMs) this.arm(next);
  }

  /** Reads the notes of other threads. */
  readNotes(): void {
    try {
      drainInbox(this.tables, this.worker, this.onNote);
    } catch (error) {
      // A bug of ours: told, and the notes behind it are read with the next ring.
      this.environment.fault("note", describeError(error));
    }
  }

  /** Reads the notes of other threads, then waits for the next ring of the bell. */
  listenToBell(): void {
    const words = this.tables.workers.words;
    const row = this.worker * WORKER_STRIDE;
    for (;;) {
      const bell = Atomics.load(words, row + WORKER_BELL);
      Atomics.store(words, row + WORKER_BELL_ARMED, 1);
      this.readNotes();
      const waiting = Atomics.waitAsync(words, row + WORKER_BELL, bell);
      if (waiting.async) {
        void waiting.value.then(() => this.listenToBell());
        return;
      }
    }
  }
}
