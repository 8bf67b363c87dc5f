/**
 * Rates as they are now, from the four words that workers keep (data/accept/rate.ts): the second in
 * progress, what was counted in it, what in the one before, and the highest of all.
 */

const SECOND = 0;
const COUNT = 1;
const PREVIOUS = 2;
const MOST = 3;

/**
 * Events within the last 1000 ms: what this second has, and of the one before what is left of it.
 * @param at first of the four words
 * @param nowMs the clock that workers count on
 */
export function readRate(words: Int32Array, at: number, nowMs: number): number {
  const second = (nowMs / 1000) | 0;
  const seen = words[at + SECOND]!;
  const left = 1 - (nowMs / 1000 - Math.floor(nowMs / 1000));
  if (seen === second) return words[at + COUNT]! + Math.floor(words[at + PREVIOUS]! * left);
  return seen + 1 === second ? Math.floor(words[at + COUNT]! * left) : 0;
}

/** Highest count of one second. */
export function readRateMax(words: Int32Array, at: number): number {
  return words[at + MOST]!;
}

/** Forgets the highest count. A worker that writes at this moment wins. */
export function clearRateMax(words: Int32Array, at: number): void {
  Atomics.store(words, at + MOST, 0);
}
