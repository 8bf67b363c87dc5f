/**
 * What is due when: a binary heap of items by time, and one timer of the runtime for the first of
 * them, however many there are. O(log n) to add; nothing is ever taken out before its time, an item
 * that no longer matters is told apart by whoever receives it.
 */

/** Begins a timer; see `startTimer` of base/clock.ts. */
export type StartTimer = (delayMs: number, run: () => void) => { stop(): void };

/** Items of one turn: after a pause of the machine all are due, and sockets want to be read too. */
const TURN_MAX = 256;
/** With so many items the thread would wake for every few of them: it wakes so often then, ms. */
const CROWD_MIN = 1024;
const CROWD_PAUSE_MS = 4;

/** Longest delay that a timer of the runtime keeps; it looks again then. */
const TIMER_MAX_MS = 2 ** 31 - 1;

type Entry<T> = { dueMs: number; order: number; item: T };

/** Items by due time. Main thread. */
export class DueList<T> {
  readonly #now: () => number;
  readonly #startTimer: StartTimer;
  readonly #receive: (item: T) => void;
  readonly #heap: Entry<T>[] = [];
  #timer: { stop(): void } | undefined;
  #timerDueMs = Number.POSITIVE_INFINITY;
  #order = 0;
  readonly #onTimer = (): void => this.#fire();
  #isFiring = false;
  #isStopped = false;

  /**
   * @param receive is called with each item when its time has come, never before; among thousands
   * of items some milliseconds after it
   */
  constructor(now: () => number, startTimer: StartTimer, receive: (item: T) => void) {
    this.#now = now;
    this.#startTimer = startTimer;
    this.#receive = receive;
  }

  /** Adds an item that is due in `delayMs`. */
  add(item: T, delayMs: number): void {
    if (this.#isStopped) return;
    this.#push({ dueMs: this.#now() + delayMs, order: this.#order++, item });
    this.#arm();
  }

  /** Items that are waiting for their time. */
  get length(): number {
    return this.#heap.length;
  }

  /** Forgets everything. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.stop();
    this.#heap.length = 0;
  }

  #arm(): void {
    const first = this.#heap[0];
    if (this.#isFiring || first === undefined || first.dueMs >= this.#timerDueMs) return;
    const leftMs = first.dueMs - this.#now();
    const leastMs = leftMs > 0 && this.#heap.length >= CROWD_MIN ? CROWD_PAUSE_MS : 0;
    this.#timer?.stop();
    this.#timerDueMs = first.dueMs;
    // Whole milliseconds, rounded up: a timer of the runtime may fire a fraction early.
    const delayMs = Math.min(Math.ceil(leftMs), TIMER_MAX_MS);
    this.#timer = this.#startTimer(Math.max(leastMs, delayMs), this.#onTimer);
  }

  #fire(): void {
    this.#timerDueMs = Number.POSITIVE_INFINITY;
    const now = this.#now();
    this.#isFiring = true;
    try {
      for (let taken = 0; taken < TURN_MAX; taken++) {
        const first = this.#heap[0];
        if (first === undefined || first.dueMs > now) break;
        this.#pop();
        this.#receive(first.item);
      }
    } finally {
      this.#isFiring = false;
      this.#arm();
    }
  }

  #push(entry: Entry<T>): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entry, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore<T>(left: Entry<T>, right: Entry<T>): boolean {
  return left.dueMs < right.dueMs || (left.dueMs === right.dueMs && left.order < right.order);
}
