/**
 * Watches that workers answer: each is asked twice a second, and one that is silent for more than a
 * second is told in the log once, and once more when it goes on. A stalled worker is not ended: its
 * streams would be lost, and what holds it up may pass. Main thread.
 */
import { startTimer } from "../base/clock.ts";
import type { Clock, Ticker } from "../base/clock.ts";
import type { AskedPool } from "./ask.ts";

const PERIOD_MS = 500;
/** Silence that is a stall. */
const STALL_MS = 1000;
/** A tick that is later than this says that control itself did not run: no worker is to blame. */
const OWN_DELAY_MS = 250;
/** A question is given up on after this and asked anew. */
const LIMIT_MS = 3_600_000;

/** What the watchdog works with; tests hand in their own. */
export type WatchdogParts = {
  pool: AskedPool & { stalls: number };
  clock: Clock;
  say(severity: "notice" | "warning" | "alert", text: string): void;
  startTimer?: typeof startTimer;
};

type Watched = { askedAtMs: number; isTold: boolean };

export class Watchdog {
  readonly #parts: WatchdogParts;
  readonly #startTimer: typeof startTimer;
  /** Workers that have not answered yet. */
  readonly #waiting = new Map<number, Watched>();
  #tickedAtMs: number;
  #timer: Ticker;

  /** Begins to watch. */
  constructor(parts: WatchdogParts) {
    this.#parts = parts;
    this.#startTimer = parts.startTimer ?? startTimer;
    this.#tickedAtMs = parts.clock.nowMs();
    this.#timer = this.#arm();
  }

  /** Ends it. */
  stop(): void {
    this.#timer.stop();
  }

  #arm(): Ticker {
    return this.#startTimer(PERIOD_MS, () => this.#tick());
  }

  #tick(): void {
    const now = this.#parts.clock.nowMs();
    const lateMs = this.#lateMs(now);
    this.#tickedAtMs = now;
    for (const [worker, watched] of this.#waiting) {
      watched.askedAtMs += lateMs;
      const silentMs = now - watched.askedAtMs;
      if (silentMs <= STALL_MS || watched.isTold) continue;
      watched.isTold = true;
      this.#parts.pool.stalls++;
      const text = `Worker ${worker} has not answered for ${seconds(silentMs)}: it is stalled`;
      this.#parts.say("warning", text);
    }
    for (const worker of this.#parts.pool.serving()) {
      if (!this.#waiting.has(worker)) void this.#ask(worker, now);
    }
    this.#timer = this.#arm();
  }

  /** How much later than wanted the next tick is already: 0 = not worth a word. */
  #lateMs(now: number): number {
    const lateMs = now - this.#tickedAtMs - PERIOD_MS;
    return lateMs > OWN_DELAY_MS ? lateMs : 0;
  }

  async #ask(worker: number, now: number): Promise<void> {
    const watched = { askedAtMs: now, isTold: false };
    this.#waiting.set(worker, watched);
    const told = await this.#parts.pool.ask(worker, { kind: "ping" }, LIMIT_MS);
    if (this.#waiting.get(worker) === watched) this.#waiting.delete(worker);
    // Of a worker that is gone the pool has said so.
    if (told.kind !== "answer") return;
    const answeredAt = this.#parts.clock.nowMs();
    const silentMs = answeredAt - watched.askedAtMs - this.#lateMs(answeredAt);
    if (watched.isTold) {
      this.#parts.say("notice", `Worker ${worker} goes on after ${seconds(silentMs)}`);
    } else if (silentMs > STALL_MS) {
      this.#parts.pool.stalls++;
      this.#parts.say("warning", `Worker ${worker} was stalled for ${seconds(silentMs)}`);
    }
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
