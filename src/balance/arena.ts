/**
 * Memory for heaps, maps and rings inside the shared arena. Only the control plane allocates and
 * frees, so the books are plain objects of its thread; workers see nothing but offsets.
 *
 * Sizes are rounded up to powers of two, each with its own list of free blocks: a block that was
 * freed is found again in O(1), and growing by doubling wastes at most half. Offset 0 is never
 * given out, so that 0 means "none".
 */
import { assert } from "../base/assert.ts";

/** Smallest block, in words: one line of the cache, which also aligns floats. */
const BLOCK_WORDS_MIN = 16;

/** Allocator over `total` words of shared memory. */
export class Arena {
  readonly total: number;
  /** Next word never given out. */
  private fresh = BLOCK_WORDS_MIN;
  /** Free blocks by the logarithm of their size. */
  private readonly free: number[][] = [];
  /** Words in blocks that are given out. */
  private used = 0;

  constructor(total: number) {
    this.total = total;
  }

  /**
   * Takes a block of at least `words`; its content is arbitrary.
   * @returns offset of its first word, aligned to 16 words; 0 when the arena is exhausted
   */
  allocate(words: number): number {
    const size = blockWords(words);
    const list = this.free[log2(size)];
    const again = list?.pop();
    if (again !== undefined) {
      this.used += size;
      return again;
    }
    if (this.fresh + size > this.total) return 0;
    const base = this.fresh;
    this.fresh += size;
    this.used += size;
    return base;
  }

  /** Gives a block back; `words` as it was asked for. Offset 0 is ignored. */
  release(base: number, words: number): void {
    if (base === 0) return;
    assert(base % BLOCK_WORDS_MIN === 0, "Arena.release: an offset that was given out");
    const size = blockWords(words);
    const order = log2(size);
    (this.free[order] ??= []).push(base);
    this.used -= size;
    assert(this.used >= 0, "Arena.release: no more than was given out");
  }

  /** Words in use, rounded up to blocks. */
  usedWords(): number {
    return this.used;
  }
}

/** Words of the block that serves a request for `words`. */
export function blockWords(words: number): number {
  let size = BLOCK_WORDS_MIN;
  while (size < words) size *= 2;
  return size;
}

function log2(size: number): number {
  return 31 - Math.clz32(size);
}
