/**
 * A timer wheel: one deadline a stream, O(1) to set, move and clear, no runtime timer each.
 *
 * Entries are small integers (stream slots) in doubly linked lists, one list a bucket of
 * `TICK_MS`. A deadline beyond one turn waits in its bucket and is looked at once a turn. Moving a
 * deadline later costs nothing: the owner keeps the true deadline, and when an entry comes up the
 * `fire` callback sets it again.
 *
 *   buckets  [0][1][2] … [1023]     index = (deadline / TICK_MS) mod 1024
 *              └→ slot ⇄ slot ⇄ …
 *
 * @hot
 */
import { assert } from "./assert.ts";

/** Resolution, ms: a timer fires up to one tick late, never early. */
export const TICK_MS = 8;
const BUCKETS = 1024;
const MASK = BUCKETS - 1;
const NONE = -1;
/** In place of a bucket: the entry's time has come, and its callback has not run yet. */
const DUE = -2;

/** Called when an entry's time has come; the entry is no longer in the wheel. */
export type FireTimer = (entry: number) => void;

export class Wheel {
  private readonly heads = new Int32Array(BUCKETS).fill(NONE);
  private next = new Int32Array(1024).fill(NONE);
  private previous = new Int32Array(1024).fill(NONE);
  /** Bucket of an entry, NONE when it has no timer, DUE for a moment before it fires. */
  private bucket = new Int32Array(1024).fill(NONE);
  private deadline = new Float64Array(1024);
  private readonly due: number[] = [];
  private readonly fire: FireTimer;
  private tick: number;
  /** Entries in the wheel. */
  count = 0;

  constructor(nowMs: number, fire: FireTimer) {
    this.tick = Math.floor(nowMs / TICK_MS);
    this.fire = fire;
  }

  /** Sets or moves the timer of `entry` to `deadlineMs` on the clock of `advance`. */
  set(entry: number, deadlineMs: number): void {
    if (entry >= this.bucket.length) this.grow(entry);
    if (this.bucket[entry]! >= 0) this.unlink(entry);
    let at = Math.ceil(deadlineMs / TICK_MS);
    if (at <= this.tick) at = this.tick + 1;
    const bucket = at & MASK;
    const head = this.heads[bucket]!;
    this.next[entry] = head;
    this.previous[entry] = NONE;
    if (head !== NONE) this.previous[head] = entry;
    this.heads[bucket] = entry;
    this.bucket[entry] = bucket;
    this.deadline[entry] = at;
    this.count++;
  }

  /** Removes the timer of `entry`, if it has one. */
  clear(entry: number): void {
    if (entry >= this.bucket.length) return;
    if (this.bucket[entry]! >= 0) this.unlink(entry);
    else this.bucket[entry] = NONE;
  }

  /** Has `entry` a timer? */
  has(entry: number): boolean {
    return entry < this.bucket.length && this.bucket[entry]! >= 0;
  }

  /** Fires everything that is due at `nowMs`. The callback may set and clear any timer. */
  advance(nowMs: number): void {
    const target = Math.floor(nowMs / TICK_MS);
    if (target - this.tick > BUCKETS) this.tick = target - BUCKETS;
    while (this.tick < target) {
      this.tick++;
      this.fireBucket(this.tick & MASK, target);
    }
  }

  /** Milliseconds until the next bucket that holds an entry, at least one tick; -1 = empty. */
  delayMs(nowMs: number): number {
    if (this.count === 0) return -1;
    for (let i = 1; i <= BUCKETS; i++) {
      if (this.heads[(this.tick + i) & MASK]! !== NONE) {
        return Math.max(1, (this.tick + i) * TICK_MS - nowMs);
      }
    }
    return -1;
  }

  /** One pass over a bucket; entries of a later turn stay. */
  private fireBucket(bucket: number, target: number): void {
    let entry = this.heads[bucket]!;
    if (entry === NONE) return;
    // Due entries are unlinked first: a callback may change any list.
    const due = this.due;
    while (entry !== NONE) {
      const following = this.next[entry]!;
      if (this.deadline[entry]! <= target) {
        this.unlink(entry);
        this.bucket[entry] = DUE;
        due.push(entry);
      }
      entry = following;
    }
    for (let i = 0; i < due.length; i++) {
      // A callback before this one may have set or cleared the timer: then it is not due.
      if (this.bucket[due[i]!]! !== DUE) continue;
      this.bucket[due[i]!] = NONE;
      this.fire(due[i]!);
    }
    due.length = 0;
  }

  private unlink(entry: number): void {
    const bucket = this.bucket[entry]!;
    assert(bucket >= 0, "wheel: an entry without a timer is not unlinked");
    const next = this.next[entry]!;
    const previous = this.previous[entry]!;
    if (previous === NONE) this.heads[bucket] = next;
    else this.next[previous] = next;
    if (next !== NONE) this.previous[next] = previous;
    this.bucket[entry] = NONE;
    this.count--;
  }

  private grow(entry: number): void {
    let size = this.bucket.length;
    while (size <= entry) size *= 2;
    this.next = enlarge(this.next, size);
    this.previous = enlarge(this.previous, size);
    this.bucket = enlarge(this.bucket, size);
    const deadline = new Float64Array(size);
    deadline.set(this.deadline);
    this.deadline = deadline;
  }
}

function enlarge(old: Int32Array, size: number): Int32Array<ArrayBuffer> {
  const fresh = new Int32Array(size).fill(NONE);
  fresh.set(old);
  return fresh;
}
