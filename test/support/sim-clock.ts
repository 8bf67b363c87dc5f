/**
 * Simulated time: it stands still until the simulation moves it, and timers fire when the thread
 * that owns them gets its turn.
 */
import type { Clock, Ticker } from "../../src/base/clock.ts";

/** A timer that has been started. */
export type SimTimer = {
  readonly owner: number;
  readonly atMs: number;
  readonly run: () => void;
};

/** Begin of simulated time on the monotonic clock: not 0, so that 0 is not mistaken for "now". */
const START_MS = 100_000;
const EPOCH_OFFSET_MS = 1_700_000_000_000;

export class SimClock implements Clock {
  private now = START_MS;
  private timers: SimTimer[] = [];

  nowMs(): number {
    return this.now;
  }

  epochMicros(): number {
    return (this.now + EPOCH_OFFSET_MS) * 1000;
  }

  /** Moves time forward. */
  advance(byMs: number): void {
    this.now += byMs;
  }

  /** Starts a timer of a thread. */
  start(owner: number, delayMs: number, run: () => void): Ticker {
    const timer: SimTimer = { owner, atMs: this.now + delayMs, run };
    this.timers.push(timer);
    return { stop: () => this.drop(timer) };
  }

  private drop(timer: SimTimer): void {
    const at = this.timers.indexOf(timer);
    if (at >= 0) this.timers.splice(at, 1);
  }

  /** Forgets the timers of a thread that is gone. */
  dropOwner(owner: number): void {
    this.timers = this.timers.filter((timer) => timer.owner !== owner);
  }

  /** Has the thread a timer that is due? */
  isDue(owner: number): boolean {
    return this.timers.some((timer) => timer.owner === owner && timer.atMs <= this.now);
  }

  /** Runs the thread's earliest due timer. @returns its callback; undefined = none is due */
  fire(owner: number): (() => void) | undefined {
    let first: SimTimer | undefined;
    for (const timer of this.timers) {
      if (timer.owner !== owner || timer.atMs > this.now) continue;
      if (first === undefined || timer.atMs < first.atMs) first = timer;
    }
    if (first === undefined) return undefined;
    this.drop(first);
    first.run();
    return first.run;
  }

  /** When the next timer of any thread is due; Infinity = there is none. */
  nextAtMs(): number {
    let next = Infinity;
    for (const timer of this.timers) if (timer.atMs < next) next = timer.atMs;
    return next;
  }

  /** When a thread's timer with this callback is due; Infinity = it has none. */
  dueAtMs(owner: number, run: () => void): number {
    let next = Infinity;
    for (const timer of this.timers) {
      if (timer.owner === owner && timer.run === run && timer.atMs < next) next = timer.atMs;
    }
    return next;
  }
}
