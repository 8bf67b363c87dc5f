/**
 * The grace period: "all workers have applied mutation n". After it no worker can begin to use what
 * the mutation removed. Workers ring control after a batch while somebody waits (`graceWanted` of
 * the process row), so nothing polls. Main thread.
 */
import { assert } from "../../base/assert.ts";
import { onNextTurn } from "../../base/clock.ts";
import { WORKER_STATE_RUNNING, WORKER_STATE_STARTING } from "../../tables/generated/enums.ts";
import { PROCESS_GRACE_WANTED, PROCESS_WORKER_COUNT } from "../../tables/generated/process.ts";
import {
  WORKER_APPLIED_SEQUENCE,
  WORKER_STATE,
  WORKER_STRIDE,
} from "../../tables/generated/worker.ts";
import type { Tables } from "../../tables/tables.ts";

type Waiter = { sequence: number; run: () => void };

export class Grace {
  readonly #tables: Tables;
  readonly #nextTurn: (run: () => void) => void;
  /** In the order of their sequence numbers. */
  #waiters: Waiter[] = [];

  /** @param nextTurn runs a callback in the next turn of the event loop */
  constructor(tables: Tables, nextTurn: (run: () => void) => void = onNextTurn) {
    this.#tables = tables;
    this.#nextTurn = nextTurn;
  }

  /** Runs `run` when all workers are past `sequence`; never in the caller's turn. */
  after(sequence: number, run: () => void): void {
    const last = this.#waiters.at(-1);
    assert(last === undefined || last.sequence <= sequence, "Grace: mutations come in order");
    this.#waiters.push({ sequence, run });
    Atomics.store(this.#tables.process.words, PROCESS_GRACE_WANTED, 1);
    // Without any worker nobody rings; one that was past it before the wish was there did not.
    if (this.hasPassed(sequence)) this.#nextTurn(() => this.check());
  }

  /** True when all workers are past `sequence`. */
  hasPassed(sequence: number): boolean {
    return this.#passed() >= sequence;
  }

  /** Waiting for a grace period now. */
  get pending(): number {
    return this.#waiters.length;
  }

  /**
   * Looks who may go on: called when a worker has rung, and when one has died (a dead worker uses
   * nothing, and the next one begins with the log as it is).
   */
  check(): void {
    if (this.#waiters.length === 0) return;
    const passed = this.#passed();
    let count = 0;
    while (count < this.#waiters.length && this.#waiters[count]!.sequence <= passed) count++;
    if (count === 0) return;
    const due = this.#waiters.splice(0, count);
    if (this.#waiters.length === 0) {
      Atomics.store(this.#tables.process.words, PROCESS_GRACE_WANTED, 0);
    }
    this.#runAll(due, 0);
  }

  /** Whatever one of them throws, which is a bug, the others are due all the same. */
  #runAll(due: readonly Waiter[], from: number): void {
    let at = from;
    try {
      while (at < due.length) due[at++]!.run();
    } finally {
      if (at < due.length) this.#runAll(due, at);
    }
  }

  /** The mutation that all running workers have applied. */
  #passed(): number {
    const words = this.#tables.workers.words;
    const count = this.#tables.process.words[PROCESS_WORKER_COUNT]!;
    let passed = Infinity;
    for (let worker = 1; worker <= count; worker++) {
      const row = worker * WORKER_STRIDE;
      // One that starts counts too: its log may have been written before the mutation.
      const state = Atomics.load(words, row + WORKER_STATE);
      if (state !== WORKER_STATE_RUNNING && state !== WORKER_STATE_STARTING) continue;
      const applied = Atomics.load(words, row + WORKER_APPLIED_SEQUENCE);
      if (applied < passed) passed = applied;
    }
    return passed;
  }
}
