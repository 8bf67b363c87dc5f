/**
 * A read-write lock over shared words: readers side by side, one writer alone. For what is read by
 * many threads and changed now and then. Held for microseconds, by any thread, control included.
 *
 * ```
 *   line 0        writer · broken · writes · expelled
 *   line 1 + t    reader · wants · reads               one line a thread: readers share none
 * ```
 * A reader says so in its own line, then looks at `writer`; a writer says so in `writer`, then
 * waits for the lines of readers: one of the two sees the other. Nobody is passed over:
 * - while a writer holds or waits, readers that come wait (no reader can starve a writer);
 * - who gives the write lock back first lets in the readers that wait (no writer can starve a
 *   reader), then hands the lock to the next thread in turn that wants to write.
 *
 * The dead: `writer` names its owner, and whoever waits for a thread that has ended takes the lock
 * over and marks it broken. A reader in whose line nothing moves is expelled, at once if it is
 * dead, else after PATIENCE_SLEEPS: control learns of deaths in its own turns, so it must never
 * wait for one here. An expelled reader that lives is told by `giveRead` and reads again.
 *
 * @hot
 */
import { assert } from "./assert.ts";
import { LOCK_BROKEN, LOCK_TAKEN } from "./lock.ts";

/** Words of one line of 64 bytes. */
export const RWLOCK_LINE = 16;

/** Words of line 0: owner's number + 1 while it writes or waits for readers to leave, else 0. */
export const RWLOCK_WRITER = 0;
const BROKEN = 1;
const WRITES = 2;
const EXPELLED = 3;

/** Words of a thread's line: its turn, in steps of 4, and what it does. */
export const RWLOCK_READER = 0;
const WANTS = 1;
const READS = 2;

/** The two low bits of RWLOCK_READER: outside, inside, or waiting for a writer. */
export const READER_IDLE = 0;
export const READER_INSIDE = 1;
export const READER_WAITING = 2;
const READER_BITS = 3;

const SPINS = 200;
const SLEEP_MS = 1;
/** Sleeps of SLEEP_MS that a writer grants a reader before it is expelled. */
const PATIENCE_SLEEPS = 50;

/** Words that a lock of `threads` threads takes. */
export function rwlockWords(threads: number): number {
  return RWLOCK_LINE * (threads + 1);
}

/** The lock as one thread sees it. */
export class RwLock {
  private readonly words: Int32Array;
  private readonly base: number;
  private readonly threads: number;
  private readonly self: number;
  private readonly isDead: (thread: number) => boolean;
  private readonly patience: number;
  /** Word of this thread's line. */
  private readonly line: number;
  private turn = 0;

  /**
   * @param base first of the lock's words, whole lines of RWLOCK_LINE
   * @param threads how many may use it: 0 … threads - 1
   * @param self number of this thread
   * @param isDead tells whether a thread has ended
   * @param patience sleeps of a millisecond after which a reader that stands still is expelled
   */
  constructor(
    words: Int32Array,
    base: number,
    threads: number,
    self: number,
    isDead: (thread: number) => boolean,
    patience: number = PATIENCE_SLEEPS,
  ) {
    assert(self >= 0 && self < threads, "RwLock: a thread that the lock has a line for");
    this.words = words;
    this.base = base;
    this.threads = threads;
    this.self = self;
    this.isDead = isDead;
    this.patience = patience;
    this.line = base + RWLOCK_LINE * (self + 1);
    // The thread that had the number before may have died inside: its turn is over.
    this.turn = words[this.line + RWLOCK_READER]! & ~READER_BITS;
  }

  /**
   * Begins to read. A thread reads once at a time, and not while it writes.
   * @returns LOCK_TAKEN, or LOCK_BROKEN while nobody has mended what a dead writer left
   */
  takeRead(): number {
    const { words, line, base } = this;
    const turn = (this.turn + READER_BITS + 1) | 0;
    this.turn = turn;
    words[line + READS] = (words[line + READS]! + 1) | 0;
    Atomics.store(words, line + RWLOCK_READER, turn | READER_INSIDE);
    while (Atomics.load(words, base + RWLOCK_WRITER) !== 0) {
      Atomics.store(words, line + RWLOCK_READER, turn | READER_WAITING);
      Atomics.notify(words, line + RWLOCK_READER);
      if (this.isLetIn(turn)) break;
      Atomics.store(words, line + RWLOCK_READER, turn | READER_INSIDE);
    }
    return Atomics.load(words, base + BROKEN) === 0 ? LOCK_TAKEN : LOCK_BROKEN;
  }

  /** Waits until a writer lets this reader in (true), or none is there (false). */
  private isLetIn(turn: number): boolean {
    const { words, line, base } = this;
    const at = line + RWLOCK_READER;
    for (let spin = 0; ; spin++) {
      const word = Atomics.load(words, at);
      if (word !== (turn | READER_WAITING)) return word === (turn | READER_INSIDE);
      const held = Atomics.load(words, base + RWLOCK_WRITER);
      if (held === 0) return false;
      if (spin < SPINS) continue;
      if (this.isDead(held - 1)) this.release(held - 1);
      else Atomics.wait(words, at, turn | READER_WAITING, SLEEP_MS);
    }
  }

  /** Ends reading. @returns false when a writer did not wait for it: what was read may be torn */
  giveRead(): boolean {
    const { words, line, base, turn } = this;
    const at = line + RWLOCK_READER;
    const inside = turn | READER_INSIDE;
    const wasInside = Atomics.compareExchange(words, at, inside, turn) === inside;
    if (Atomics.load(words, base + RWLOCK_WRITER) !== 0) Atomics.notify(words, at);
    return wasInside;
  }

  /**
   * Begins to write: waits for the writers before it, then for readers to leave.
   * @returns LOCK_TAKEN; LOCK_BROKEN: a writer died, rebuild what the lock guards and `mend`
   */
  takeWrite(): number {
    const { words, line, base, self } = this;
    const mine = self + 1;
    Atomics.store(words, line + WANTS, 1);
    for (let spin = 0; ; spin++) {
      const held = Atomics.compareExchange(words, base + RWLOCK_WRITER, 0, mine);
      // Free, or handed over by the one before.
      if (held === 0 || held === mine) break;
      if (spin < SPINS) continue;
      if (this.isDead(held - 1)) this.release(held - 1);
      else Atomics.wait(words, base + RWLOCK_WRITER, held, SLEEP_MS);
    }
    Atomics.store(words, line + WANTS, 0);
    for (let thread = 0; thread < this.threads; thread++) this.waitForReader(thread);
    words[base + WRITES] = (words[base + WRITES]! + 1) | 0;
    return Atomics.load(words, base + BROKEN) === 0 ? LOCK_TAKEN : LOCK_BROKEN;
  }

  /** What a dead writer left has been put right. The caller holds the write lock. */
  mend(): void {
    Atomics.store(this.words, this.base + BROKEN, 0);
  }

  /** Ends writing: readers that wait go in, then the next that wants to write. */
  giveWrite(): void {
    const { words, base, self, threads } = this;
    let next = 0;
    for (let step = 1; step <= threads; step++) {
      const thread = (self + step) % threads;
      const line = base + RWLOCK_LINE * (thread + 1);
      const word = Atomics.load(words, line + RWLOCK_READER);
      if ((word & READER_BITS) === READER_WAITING) {
        const inside = (word & ~READER_BITS) | READER_INSIDE;
        // It may have seen by itself that it can go on.
        Atomics.compareExchange(words, line + RWLOCK_READER, word, inside);
        Atomics.notify(words, line + RWLOCK_READER);
      }
      if (next === 0 && Atomics.load(words, line + WANTS) === 1 && !this.isDead(thread)) {
        next = thread + 1;
      }
    }
    Atomics.store(words, base + RWLOCK_WRITER, next);
    Atomics.notify(words, base + RWLOCK_WRITER);
  }

  /**
   * Takes what a thread that has ended may still hold, before its number is used again.
   * @param thread not this one
   */
  bury(thread: number): void {
    const { words, base } = this;
    const line = base + RWLOCK_LINE * (thread + 1);
    Atomics.store(words, line + WANTS, 0);
    const word = Atomics.load(words, line + RWLOCK_READER);
    Atomics.store(words, line + RWLOCK_READER, word & ~READER_BITS);
    Atomics.notify(words, line + RWLOCK_READER);
    if (Atomics.load(words, base + RWLOCK_WRITER) === thread + 1) this.release(thread);
  }

  /** Times that this thread has read. */
  get reads(): number {
    return this.words[this.line + READS]!;
  }

  /** Times that any thread has written. */
  get writes(): number {
    return this.words[this.base + WRITES]!;
  }

  /** Readers that a writer did not wait for. */
  get expelled(): number {
    return this.words[this.base + EXPELLED]!;
  }

  /** Gives the lock on in the place of a writer that is dead. */
  private release(dead: number): void {
    const { words, base, self } = this;
    const at = base + RWLOCK_WRITER;
    if (Atomics.compareExchange(words, at, dead + 1, self + 1) !== dead + 1) return;
    Atomics.store(words, base + RWLOCK_LINE * (dead + 1) + WANTS, 0);
    Atomics.store(words, base + BROKEN, 1);
    this.giveWrite();
  }

  /** Waits until a reader has left, is dead, or has had its time. */
  private waitForReader(thread: number): void {
    const { words, base } = this;
    const at = base + RWLOCK_LINE * (thread + 1) + RWLOCK_READER;
    for (let spin = 0; ; spin++) {
      const word = Atomics.load(words, at);
      if ((word & READER_BITS) !== READER_INSIDE) return;
      if (spin < SPINS) continue;
      if (spin - SPINS >= this.patience || this.isDead(thread)) {
        if (Atomics.compareExchange(words, at, word, word & ~READER_BITS) !== word) continue;
        Atomics.add(words, base + EXPELLED, 1);
        return;
      }
      Atomics.wait(words, at, word, SLEEP_MS);
    }
  }
}
