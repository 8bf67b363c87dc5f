/**
 * What is only known over time: CPU of the workers and bytes sent, looked at once a second, so that
 * `show info` can say what the last second was like. Main thread; one timer for all.
 */
import { startTimer } from "../../base/clock.ts";
import type { Ticker } from "../../base/clock.ts";
import { PROCESS_WORKER_COUNT } from "../../tables/generated/process.ts";
import {
  WORKER_BYTES_OUT,
  WORKER_CPU_MICROS,
  WORKER_STRIDE,
} from "../../tables/generated/worker.ts";
import type { Tables } from "../../tables/tables.ts";

const PERIOD_MS = 1000;

type Sample = { atMs: number; cpuMicros: Float64Array; bytesOut: number };

/** Looks at the workers every second. */
export class Sampler {
  readonly #tables: Tables;
  readonly #nowMs: () => number;
  #older: Sample;
  #newer: Sample;
  #timer: Ticker | undefined;

  constructor(tables: Tables, nowMs: () => number) {
    this.#tables = tables;
    this.#nowMs = nowMs;
    this.#older = this.#look();
    this.#newer = this.#older;
  }

  /** Begins to look. */
  start(): void {
    this.#timer = startTimer(PERIOD_MS, () => {
      this.sample();
      this.start();
    });
  }

  stop(): void {
    this.#timer?.stop();
  }

  /** One look; by itself once a second. */
  sample(): void {
    this.#older = this.#newer;
    this.#newer = this.#look();
  }

  /** Part of the last second in which a worker (1 …) used a processor, 0 to 1. */
  busyShare(worker: number): number {
    const { atMs, cpuMicros } = this.#newer;
    const elapsedMs = atMs - this.#older.atMs;
    if (elapsedMs <= 0) return 0;
    const used = (cpuMicros[worker] ?? 0) - (this.#older.cpuMicros[worker] ?? 0);
    return Math.min(1, Math.max(0, used / 1000 / elapsedMs));
  }

  /** Percent of the last second that the workers did not need, on average. */
  idlePercent(): number {
    const count = this.#tables.process.words[PROCESS_WORKER_COUNT]!;
    if (count === 0) return 100;
    let busy = 0;
    for (let worker = 1; worker <= count; worker++) busy += this.busyShare(worker);
    return Math.round(100 - (100 * busy) / count);
  }

  /** Bytes sent in the last second, to clients and servers. */
  bytesOutRate(): number {
    const elapsedMs = this.#newer.atMs - this.#older.atMs;
    if (elapsedMs <= 0) return 0;
    return Math.round(((this.#newer.bytesOut - this.#older.bytesOut) * 1000) / elapsedMs);
  }

  #look(): Sample {
    const { floats } = this.#tables.workers;
    const count = this.#tables.process.words[PROCESS_WORKER_COUNT]!;
    const cpuMicros = new Float64Array(count + 1);
    for (let worker = 1; worker <= count; worker++) {
      cpuMicros[worker] = floats[(worker * WORKER_STRIDE + WORKER_CPU_MICROS) >> 1]!;
    }
    return { atMs: this.#nowMs(), cpuMicros, bytesOut: totalBytesOut(this.#tables) };
  }
}

/** Bytes that the process has sent so far, to clients and servers. */
export function totalBytesOut({ workers, process }: Tables): number {
  let sum = 0;
  for (let worker = 1; worker <= process.words[PROCESS_WORKER_COUNT]!; worker++) {
    sum += workers.floats[(worker * WORKER_STRIDE + WORKER_BYTES_OUT) >> 1]!;
  }
  return sum;
}
