/**
 * Blocks of the arena for the control plane, which alone has the allocator.
 */
import { assert } from "../base/assert.ts";
import { SluiceError } from "../base/errors.ts";
import type { Arena } from "./arena.ts";
import type { Lb } from "./lb.ts";

/** The allocator; the calling thread must be the control plane. */
function memoryOf(lb: Lb): Arena {
  assert(lb.memory !== null, "memoryOf: only the control plane allocates");
  return lb.memory;
}

/**
 * A block of at least `words`, aligned to 16.
 * @throws SluiceError when ARENA_WORDS_MAX is reached; nothing has been changed by then
 */
export function takeMemory(lb: Lb, words: number): number {
  const base = memoryOf(lb).allocate(words);
  if (base === 0) throw new SluiceError("SLC_ARENA_FULL", {});
  return base;
}

/** Gives a block back. Nobody may read it any more: it was taken out of use under the lock. */
export function giveMemory(lb: Lb, base: number, words: number): void {
  memoryOf(lb).release(base, words);
}
