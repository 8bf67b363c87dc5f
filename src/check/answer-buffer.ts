/**
 * What a check keeps of an answer: up to a limit, however much comes. What was read beyond it (the
 * rest of one read; reading pauses then) waits until room is made, itself bounded.
 */
import { CHECK_EXCESS_BYTES_MAX } from "../base/limits.ts";

const NOTHING = new Uint8Array(0);

/** Bytes of an answer, front dropped as it is understood. */
export class AnswerBuffer {
  /** Most bytes that are kept. */
  readonly bytesMax: number;
  /** Room for `#end` and more bytes; the answer is from `#start` to `#end`. */
  #room: Uint8Array = NOTHING;
  #start = 0;
  #end = 0;
  /** Whole reads, or their ends, for which there is no room. */
  #excess: Uint8Array[] = [];
  #excessBytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** The answer so far: a view, valid until the next call of anything here. */
  get bytes(): Uint8Array {
    return this.#room.subarray(this.#start, this.#end);
  }

  get isFull(): boolean {
    return this.#end - this.#start >= this.bytesMax;
  }

  /** There is no room, or something waits for it. */
  get isCrowded(): boolean {
    return this.isFull || this.#excess.length > 0;
  }

  /** Takes bytes, which are the buffer's from now on. */
  add(bytes: Uint8Array): void {
    const taken = this.#excess.length > 0 ? 0 : this.#take(bytes);
    if (taken === bytes.length) return;
    const rest = bytes.subarray(taken);
    // A runtime that reads on while it is asked to pause: what cannot be kept is lost.
    if (this.#excessBytes + rest.length > CHECK_EXCESS_BYTES_MAX) return;
    this.#excess.push(rest);
    this.#excessBytes += rest.length;
  }

  /** Forgets bytes from the front. */
  drop(count: number): void {
    this.#start = Math.min(this.#start + count, this.#end);
    if (this.#start < this.#end) return;
    this.#room = NOTHING;
    this.#start = 0;
    this.#end = 0;
  }

  /** Takes in what waits, as far as there is room. @returns whether there was something */
  refill(): boolean {
    let hasGrown = false;
    while (this.#excess.length > 0 && !this.isFull) {
      const first = this.#excess[0]!;
      const taken = this.#take(first);
      this.#excessBytes -= taken;
      if (taken === first.length) this.#excess.shift();
      else this.#excess[0] = first.subarray(taken);
      hasGrown = true;
    }
    return hasGrown;
  }

  /** Forgets everything. */
  clear(): void {
    this.#room = NOTHING;
    this.#start = 0;
    this.#end = 0;
    this.#excess = [];
    this.#excessBytes = 0;
  }

  /** @returns how many bytes there was room for */
  #take(bytes: Uint8Array): number {
    const length = this.#end - this.#start;
    const count = Math.min(bytes.length, this.bytesMax - length);
    if (length === 0) {
      // The usual case: one read is the whole answer, and is kept as it came.
      this.#room = bytes.subarray(0, count);
      this.#start = 0;
      this.#end = count;
      return count;
    }
    if (this.#end + count > this.#room.length) {
      const room = new Uint8Array(Math.min(this.bytesMax, 2 * (length + count)));
      room.set(this.bytes);
      this.#room = room;
      this.#start = 0;
      this.#end = length;
    }
    this.#room.set(bytes.subarray(0, count), this.#end);
    this.#end += count;
    return count;
  }
}
