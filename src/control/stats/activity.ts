/**
 * What each worker has done and is doing: `show activity`, `show threads`, `show profiling`. What
 * is counted can be counted from here on (`clear counters`, `set profiling tasks on`). Main thread.
 */
import {
  PROCESS_PUBLISHED_SEQUENCE,
  PROCESS_WORKER_COUNT,
} from "../../tables/generated/process.ts";
import * as worker from "../../tables/generated/worker.ts";
import { droppedRecords } from "../../tables/log-ring.ts";
import type { Tables } from "../../tables/tables.ts";

/** One number of a worker. */
export type ActivityMetric = {
  name: string;
  /** Only grows: `clear counters` begins it anew. */
  isCounter: boolean;
  read(tables: Tables, worker: number): number;
};

const word =
  (offset: number) =>
  ({ workers }: Tables, number: number): number =>
    workers.words[number * worker.WORKER_STRIDE + offset]!;
const float =
  (offset: number) =>
  ({ workers }: Tables, number: number): number =>
    workers.floats[(number * worker.WORKER_STRIDE + offset) >> 1]!;

/** All of them, in the order in which they are shown. */
export const ACTIVITY: readonly ActivityMetric[] = [
  { name: "streams", isCounter: false, read: word(worker.WORKER_STREAMS) },
  { name: "accepted", isCounter: true, read: float(worker.WORKER_ACCEPTED) },
  { name: "bytes_out", isCounter: true, read: float(worker.WORKER_BYTES_OUT) },
  {
    name: "cpu_ms",
    isCounter: true,
    read: (tables, number) => Math.round(float(worker.WORKER_CPU_MICROS)(tables, number) / 1000),
  },
  { name: "timer_turns", isCounter: true, read: word(worker.WORKER_HEARTBEAT) },
  { name: "bell_rings", isCounter: true, read: word(worker.WORKER_BELL) },
  { name: "mail", isCounter: true, read: word(worker.WORKER_MAIL) },
  { name: "inbox_waiting", isCounter: false, read: inboxLength },
  { name: "inbox_overflow", isCounter: true, read: word(worker.WORKER_INBOX_OVERFLOW) },
  { name: "mutations_behind", isCounter: false, read: mutationsBehind },
  {
    name: "log_dropped",
    isCounter: true,
    read: ({ perWorker }, number) => droppedRecords(perWorker[number - 1]!.logRing.words),
  },
  {
    name: "replaced",
    isCounter: true,
    read: (tables, number) => word(worker.WORKER_GENERATION)(tables, number) - 1,
  },
];

/** Notes that a worker has not read yet. */
export function inboxLength(tables: Tables, number: number): number {
  const tail = word(worker.WORKER_INBOX_TAIL)(tables, number);
  return Math.max(0, (tail - word(worker.WORKER_INBOX_HEAD)(tables, number)) | 0);
}

/** Mutations that have been sent and that a worker has not applied yet. */
export function mutationsBehind(tables: Tables, number: number): number {
  const sent = tables.process.words[PROCESS_PUBLISHED_SEQUENCE]!;
  return Math.max(0, sent - word(worker.WORKER_APPLIED_SEQUENCE)(tables, number));
}

/** Numbers of the workers. */
export function workerNumbers({ process }: Tables): number[] {
  return Array.from({ length: process.words[PROCESS_WORKER_COUNT]! }, (_, index) => index + 1);
}

/** Counters since they were last cleared. */
export class Activity {
  readonly #tables: Tables;
  /** By metric, then by worker. */
  readonly #base: number[][] = [];

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** Values of a metric, one a worker. */
  read(index: number): number[] {
    const metric = ACTIVITY[index]!;
    const base = this.#base[index] ?? [];
    // A thread that was replaced counts from zero again.
    return workerNumbers(this.#tables).map((number) => {
      const value = metric.read(this.#tables, number);
      const from = metric.isCounter ? (base[number] ?? 0) : 0;
      return value >= from ? value - from : value;
    });
  }

  /** Counters begin anew. */
  clear(): void {
    for (const [index, metric] of ACTIVITY.entries()) {
      const base: number[] = [];
      for (const number of workerNumbers(this.#tables)) {
        base[number] = metric.read(this.#tables, number);
      }
      this.#base[index] = base;
    }
  }
}
