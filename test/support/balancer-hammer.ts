/**
 * A thread that hammers one backend as a worker would: streams that choose, wait, hold a slot for a
 * few turns, and leave. Started by test/unit/balance/threads.test.ts.
 *
 * What the threads see of each other they tell in a block of their own (`Watch`), so that a broken
 * lock shows as two streams in one slot.
 */
import { parentPort, workerData } from "node:worker_threads";

import { chooseServer, isGranted, leaveServer, takeGrant } from "../../src/balance/choose.ts";
import { CHOICE_QUEUED, Lb } from "../../src/balance/lb.ts";
import { QUEUE_SEQUENCE } from "../../src/tables/generated/queue.ts";
import { SERVER_MAXCONN, SERVER_STRIDE } from "../../src/tables/generated/server.ts";
import { WORKER_BELL, WORKER_STRIDE } from "../../src/tables/generated/worker.ts";
import { drainInbox, NOTE_GRANT } from "../../src/tables/inbox.ts";
import { Tables } from "../../src/tables/tables.ts";
import type { SharedBlocks } from "../../src/tables/tables.ts";
import { makeRandom } from "./balancer-farm.ts";

/** What a thread is started with. */
export type HammerData = {
  blocks: SharedBlocks;
  worker: number;
  backend: number;
  /** Streams to carry in all. */
  streams: number;
  /** Streams at the same time. */
  concurrency: number;
  seed: number;
  /** WATCH_* words, then one word a server: streams inside it now. */
  watch: SharedArrayBuffer;
};

/** Streams carried, over all threads. */
export const WATCH_DONE = 0;
/** Times that a server held more streams than its maxconn. */
export const WATCH_OVER = 1;
/** Times that a grant overtook an older one (only counted on a single server of maxconn 1). */
export const WATCH_OVERTAKEN = 2;
/** Anything else that cannot be. */
export const WATCH_WRONG = 3;
/** Threads that have begun. */
export const WATCH_STARTED = 4;
/** Arrival (low bits) of the last stream that was granted the single server. */
export const WATCH_ARRIVAL = 5;
/** Streams that had to wait, over all threads. */
export const WATCH_WAITED = 6;
/** First word of the counts by server. */
export const WATCH_SERVERS = 16;

type Stream = { generation: number; entry: number; row: number; turns: number };

class Hammer {
  readonly lb: Lb;
  readonly watch: Int32Array;
  readonly streams: Stream[];
  readonly random: () => number;
  readonly data: HammerData;
  left: number;

  constructor(data: HammerData) {
    this.data = data;
    this.lb = new Lb(new Tables(data.blocks), data.worker, makeRandom(data.seed));
    this.watch = new Int32Array(data.watch);
    this.random = makeRandom(data.seed + 77);
    this.left = data.streams;
    this.streams = Array.from({ length: data.concurrency }, () => ({
      generation: 1,
      entry: 0,
      row: 0,
      turns: 0,
    }));
  }

  run(): void {
    const { tables } = this.lb;
    const { worker } = this.data;
    const bell = worker * WORKER_STRIDE + WORKER_BELL;
    Atomics.add(this.watch, WATCH_STARTED, 1);
    for (;;) {
      const rung = Atomics.load(tables.workers.words, bell);
      drainInbox(tables, worker, (kind, entry, slot, generation) => {
        if (kind === NOTE_GRANT) this.granted(entry, slot, generation);
      });
      let busy = 0;
      let isIdle = true;
      this.streams.forEach((stream, slot) => {
        if (this.turn(stream, slot)) isIdle = false;
        if (stream.row !== 0 || stream.entry !== 0) busy++;
      });
      if (busy === 0 && this.left === 0) return;
      if (isIdle) Atomics.wait(tables.workers.words, bell, rung, 1);
    }
  }

  /** One turn of a stream. @returns whether it did anything */
  private turn(stream: Stream, slot: number): boolean {
    if (stream.row !== 0) {
      if (stream.turns-- <= 0) this.leave(stream);
      return true;
    }
    if (stream.entry !== 0 || this.left === 0) return false;
    this.left--;
    stream.generation++;
    const { backend } = this.data;
    const row = chooseServer(this.lb, backend, this.random(), slot, stream.generation, 0, 0);
    if (row > 0) this.enter(stream, row);
    else if (row === CHOICE_QUEUED) {
      stream.entry = this.lb.lastEntry;
      Atomics.add(this.watch, WATCH_WAITED, 1);
    } else Atomics.add(this.watch, WATCH_WRONG, 1);
    return true;
  }

  private granted(entry: number, slot: number, generation: number): void {
    const stream = this.streams[slot]!;
    if (stream.entry !== entry || stream.generation !== generation) return;
    const arrival = this.lb.queueFloats[(entry + QUEUE_SEQUENCE) >> 1]! | 0;
    const wasGranted = isGranted(this.lb, entry);
    const row = takeGrant(this.lb, entry, slot, generation);
    if (row === 0) return;
    if (!wasGranted) Atomics.add(this.watch, WATCH_WRONG, 1);
    stream.entry = 0;
    this.enter(stream, row);
    if (this.watch.length > WATCH_SERVERS + 1) return;
    const before = Atomics.exchange(this.watch, WATCH_ARRIVAL, arrival);
    if (before >= arrival) Atomics.add(this.watch, WATCH_OVERTAKEN, 1);
  }

  private enter(stream: Stream, row: number): void {
    const at = WATCH_SERVERS + row / SERVER_STRIDE - 1;
    const inside = Atomics.add(this.watch, at, 1) + 1;
    const maxconn = this.lb.servers[row + SERVER_MAXCONN]!;
    if (maxconn !== 0 && inside > maxconn) Atomics.add(this.watch, WATCH_OVER, 1);
    stream.row = row;
    stream.turns = this.random() % 3;
  }

  private leave(stream: Stream): void {
    const { row } = stream;
    stream.row = 0;
    Atomics.sub(this.watch, WATCH_SERVERS + row / SERVER_STRIDE - 1, 1);
    Atomics.add(this.watch, WATCH_DONE, 1);
    const own = leaveServer(this.lb, this.data.backend, row);
    if (own === 0) return;
    const slot = this.streams.findIndex((other) => other.entry === own);
    if (slot < 0) Atomics.add(this.watch, WATCH_WRONG, 1);
    else this.granted(own, slot, this.streams[slot]!.generation);
  }
}

if (parentPort !== null) {
  new Hammer(workerData as HammerData).run();
  parentPort.postMessage("done");
}
