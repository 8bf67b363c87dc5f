/**
 * The data-plane threads: started, fed with mutations, replaced when they die.
 *
 * A worker that dies is buried: its share of every server's `served`, its queue entries and its
 * connections are given back in shared memory, the log says so, and a new thread takes its number,
 * its listening descriptors and so its backlog.
 */
import type { Pointer } from "bun:ffi";
import { Worker } from "node:worker_threads";

import { buryWorker } from "../balance/bury.ts";
import type { Lb } from "../balance/lb.ts";
import { describeError } from "../base/assert.ts";
import { clockOriginMs, sleepMs, startTimer, systemClock } from "../base/clock.ts";
import { nativeAddresses, nativeModule } from "../conduit/native.ts";
import { ENGINE_MEMORY_BYTES } from "../conduit/quic/engine-memory.ts";
import {
  WORKER_STATE_DEAD,
  WORKER_STATE_RUNNING,
  WORKER_STATE_STARTING,
} from "../tables/generated/enums.ts";
import { PROCESS_STOPPING } from "../tables/generated/process.ts";
import {
  WORKER_BELL_DESCRIPTOR,
  WORKER_GENERATION,
  WORKER_LOOP,
  WORKER_QUIC_ENGINE,
  WORKER_STATE,
  WORKER_STRIDE,
} from "../tables/generated/worker.ts";
import { CONTROL_THREAD, NOTE_RESUME, postNote, ringMail } from "../tables/inbox.ts";
import { packMutations } from "../tables/mutations.ts";
import type {
  FromWorker,
  MutationRecord,
  ShutdownSelector,
  ToWorker,
  WorkerStart,
} from "../tables/mutations.ts";
import { unpackAnswer } from "../tables/questions.ts";
import type { Question } from "../tables/questions.ts";
import type { Tables } from "../tables/tables.ts";
import { ANSWER_MS, Asks } from "./ask.ts";
import type { Told } from "./ask.ts";
import { buryQuic, resetWorkerRow, returnConnections } from "./burial.ts";
import type { HeldRows } from "./burial.ts";

/** What the pool tells the serving process. */
export type PoolEvents = {
  /** Something for the process log. */
  notice(severity: "notice" | "warning" | "alert", text: string): void;
  /** A worker has ended its last stream after a stop. */
  stopped(worker: number): void;
  /** Rows in which a worker may hold connections. */
  rows(): HeldRows;
  /** The mutation log so far, for a worker that starts. */
  log(): MutationRecord[];
};

/** Deaths of one worker within a minute after which it is not replaced at once, but later. */
const RESTART_PAUSE_MS = 1000;

/** How long threads may take to send their last QUIC packets at the end, ms. */
const LEAVE_MS = 250;

type Member = { thread: Worker; ready: boolean; startedAtMs: number; isStopped: boolean };
type Shutdown = {
  left: Set<number>;
  count: number;
  done: (outcome: ShutdownOutcome) => void;
};

/** How many streams were shut down, and which workers did not answer in time. */
export type ShutdownOutcome = { count: number; silent: number[] };

/** All threads of the data plane, by number. Main thread. */
export class WorkerPool {
  private readonly tables: Tables;
  private readonly lb: Lb;
  private readonly url: URL;
  private readonly events: PoolEvents;
  private readonly members = new Map<number, Member>();
  private readonly questions = new Map<number, Shutdown>();
  /** Eventfds by worker: each serves all threads that bear the number, one after the other. */
  private readonly bells = new Map<number, number>();
  /** What their QUIC engines write, by worker: it outlives the thread. */
  private readonly quicMemory = new Map<number, SharedArrayBuffer>();
  private nextQuestion = 1;
  private readonly asks = new Asks((worker, id, question) =>
    this.post(worker, { type: "ask", id, question }),
  );
  private isClosing = false;
  /** Threads that died and were replaced since the start. */
  losses = 0;
  /** Times that one was silent for more than a second (watchdog.ts). */
  stalls = 0;
  /** Called when `count` connections in a row to the server of a row have failed. */
  onErrors: (row: number, generation: number, count: number) => void = () => {};
  /** Called when a dead worker has been buried. */
  onLost: () => void = () => {};

  /** @param url of the worker's entry module */
  constructor(tables: Tables, lb: Lb, url: URL, events: PoolEvents) {
    this.tables = tables;
    this.lb = lb;
    this.url = url;
    this.events = events;
  }

  /** Starts workers 1 … count and resolves when all of them serve. */
  async start(count: number): Promise<void> {
    const all = Array.from({ length: count }, (_, i) => this.spawn(i + 1));
    await Promise.all(all);
  }

  private spawn(worker: number): Promise<void> {
    const words = this.tables.workers.words;
    const row = worker * WORKER_STRIDE;
    resetWorkerRow(this.tables, worker);
    Atomics.store(words, row + WORKER_STATE, WORKER_STATE_STARTING);
    Atomics.add(words, row + WORKER_GENERATION, 1);
    const start: WorkerStart = {
      worker,
      blocks: this.tables.blocks,
      log: packMutations(this.events.log()),
      native: nativeAddresses(),
      bell: this.bells.get(worker) ?? -1,
      clockOriginMs: clockOriginMs(),
      quicMemory: this.quicMemoryOf(worker),
    };
    const thread = new Worker(this.url, { workerData: start });
    const member = { thread, ready: false, startedAtMs: systemClock.nowMs(), isStopped: false };
    this.members.set(worker, member);
    return new Promise((resolve, reject) => {
      thread.on("message", (message: FromWorker) => {
        if (message.type === "ready") {
          member.ready = true;
          Atomics.store(words, row + WORKER_STATE, WORKER_STATE_RUNNING);
          resolve();
        } else this.receive(worker, member, message);
      });
      thread.on("error", (error: unknown) => {
        this.events.notice("alert", `Worker ${worker} failed: ${describeError(error)}`);
      });
      thread.on("exit", (code: number) => {
        if (!member.ready) reject(new Error(`worker ${worker} ended with ${code} at its start`));
        this.lost(worker, member, code);
      });
    });
  }

  private quicMemoryOf(worker: number): SharedArrayBuffer {
    const memory = this.quicMemory.get(worker) ?? new SharedArrayBuffer(ENGINE_MEMORY_BYTES);
    this.quicMemory.set(worker, memory);
    return memory;
  }

  private receive(worker: number, member: Member, message: FromWorker): void {
    switch (message.type) {
      case "shut":
        this.answer(message.id, worker, message.count);
        return;
      case "answer":
        this.asks.receive(message.id, unpackAnswer(message.answer));
        return;
      case "fault":
        this.events.notice("alert", `Worker ${worker}: ${message.text}`);
        return;
      case "notice":
        this.events.notice("warning", `Worker ${worker}: ${message.text}`);
        return;
      case "errors":
        this.onErrors(message.row, message.generation, message.count);
        return;
      case "stopped":
        member.isStopped = true;
        this.events.stopped(worker);
        return;
      case "ready":
        return;
    }
  }

  /** Sends to every worker that runs or starts. */
  broadcast(message: ToWorker): void {
    for (const [worker, { thread }] of this.members) {
      thread.postMessage(message);
      ringMail(this.tables, worker);
    }
  }

  private post(worker: number, message: ToWorker): boolean {
    const member = this.members.get(worker);
    if (member === undefined) return false;
    member.thread.postMessage(message);
    ringMail(this.tables, worker);
    return true;
  }

  /** Numbers of the workers that serve. */
  serving(): number[] {
    return [...this.members].filter(([, { ready }]) => ready).map(([worker]) => worker);
  }

  /** Asks a worker something, see tables/questions.ts. Never rejects, never waits for ever. */
  ask<Q extends Question>(worker: number, question: Q, limitMs = ANSWER_MS): Promise<Told<Q>> {
    return this.asks.ask(worker, question, limitMs);
  }

  /**
   * Has the streams of a selector shut down by the workers that own them.
   * @returns how many were ended, when all owners have answered or a stalled one was given up on
   */
  async shutdown(selector: ShutdownSelector, cause: string): Promise<number> {
    return (await this.shutdownStreams(selector, cause)).count;
  }

  /** The same, and who did not answer: what those have ended, or will, is not counted. */
  shutdownStreams(
    selector: ShutdownSelector,
    cause: string,
    limitMs = ANSWER_MS,
  ): Promise<ShutdownOutcome> {
    const id = this.nextQuestion++;
    return new Promise((resolve) => {
      const left = new Set<number>();
      const timer = startTimer(limitMs, () => this.giveUp(id));
      const done = (outcome: ShutdownOutcome): void => {
        timer.stop();
        resolve(outcome);
      };
      this.questions.set(id, { left, count: 0, done });
      for (const worker of this.members.keys()) {
        if (selector.kind === "stream" && selector.worker !== worker) continue;
        left.add(worker);
        this.post(worker, { type: "shutdown", id, selector, cause });
      }
      if (left.size === 0) this.giveUp(id);
    });
  }

  private answer(id: number, worker: number, count: number): void {
    const question = this.questions.get(id);
    if (question === undefined) return;
    question.count += count;
    question.left.delete(worker);
    if (question.left.size === 0) this.giveUp(id);
  }

  private giveUp(id: number): void {
    const question = this.questions.get(id);
    if (question === undefined) return;
    this.questions.delete(id);
    question.done({ count: question.count, silent: [...question.left] });
  }

  /** A thread is gone: bury it, replace it. */
  private lost(worker: number, member: Member, code: number): void {
    if (this.members.get(worker) !== member) return;
    this.members.delete(worker);
    const row = worker * WORKER_STRIDE;
    Atomics.store(this.tables.workers.words, row + WORKER_STATE, WORKER_STATE_DEAD);
    for (const id of [...this.questions.keys()]) this.answer(id, worker, 0);
    this.asks.lost(worker);
    if (this.isClosing) return;
    this.losses++;
    const { streams, slots, quic } = this.bury(worker);
    this.wakeAll();
    this.onLost();
    const text =
      `Worker ${worker} is gone (exit code ${code}): ${streams} connections lost, ` +
      (quic === 0 ? "" : `${quic} of QUIC cut off, `);
    if (this.isStopping()) {
      // Its listeners are closed already, and its streams are gone with it.
      this.events.notice("alert", `${text}${slots} server slots given back`);
      this.events.stopped(worker);
      return;
    }
    this.events.notice("alert", `${text}${slots} server slots given back, starting a new one`);
    const restart = (): void => {
      if (this.isClosing || this.isStopping()) return;
      this.spawn(worker).catch((error: unknown) => {
        this.events.notice("alert", `Worker ${worker} cannot be replaced: ${describeError(error)}`);
      });
    };
    // A worker that dies at once would otherwise be started in a tight loop.
    if (systemClock.nowMs() - member.startedAtMs > RESTART_PAUSE_MS) restart();
    else startTimer(RESTART_PAUSE_MS, restart);
  }

  private isStopping(): boolean {
    return this.tables.process.words[PROCESS_STOPPING] === 1;
  }

  /** Sockets of the worker's own loop: the thread cannot close them any more. */
  private closeSockets(worker: number): void {
    const row = worker * WORKER_STRIDE;
    const bell = this.tables.workers.words[row + WORKER_BELL_DESCRIPTOR]!;
    if (bell > 0) this.bells.set(worker, bell);
    const at = (row + WORKER_LOOP) >> 1;
    const loop = this.tables.workers.floats[at]!;
    this.tables.workers.floats[at] = 0;
    if (loop !== 0) nativeModule()?.loopDestroy(loop as Pointer);
  }

  private bury(worker: number): { streams: number; slots: number; quic: number } {
    const rows = this.events.rows();
    const quic = buryQuic(this.tables, worker, this.quicMemoryOf(worker), rows.serverRows);
    this.closeSockets(worker);
    const slots = buryWorker(this.lb, worker);
    const streams = returnConnections(this.tables, worker, rows);
    return { streams, slots, quic };
  }

  /** Room was given back under every limit: whoever paused at one looks again. */
  private wakeAll(): void {
    for (const other of this.members.keys()) {
      postNote(this.tables, CONTROL_THREAD, other, NOTE_RESUME, 0, 0, 0);
    }
  }

  /** Ends all threads now; those with QUIC connections tell the peers first. */
  async close(): Promise<void> {
    this.isClosing = true;
    const members = [...this.members];
    this.members.clear();
    for (const [, { thread }] of members) thread.removeAllListeners();
    this.asks.close();
    const leaving = members.filter(([worker]) => this.hasQuic(worker));
    await Promise.race([
      Promise.all(leaving.map(([worker, { thread }]) => this.leave(worker, thread))),
      sleepMs(leaving.length === 0 ? 0 : LEAVE_MS),
    ]);
    for (const [worker] of members) ringMail(this.tables, worker);
    await Promise.all(members.map(([, { thread }]) => thread.terminate()));
  }

  private hasQuic(worker: number): boolean {
    return this.tables.workers.floats[(worker * WORKER_STRIDE + WORKER_QUIC_ENGINE) >> 1] !== 0;
  }

  /** Resolves when the thread has ended by itself. */
  private leave(worker: number, thread: Worker): Promise<void> {
    const message: ToWorker = { type: "exit" };
    thread.postMessage(message);
    ringMail(this.tables, worker);
    return new Promise((resolve) => thread.once("exit", () => resolve()));
  }
}
