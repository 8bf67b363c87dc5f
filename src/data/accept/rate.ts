/**
 * Sessions per second over all workers: four words (second, count, previous, most), changed with
 * atomics and exact but for the turn of the second.
 *
 * @hot
 */

const SECOND = 0;
const COUNT = 1;
const PREVIOUS = 2;
const MOST = 3;

/** Takes back what `claimRate` has just counted: something else refused the session. */
export function giveRate(words: Int32Array, at: number): void {
  Atomics.sub(words, at + COUNT, 1);
}

/**
 * Counts one session in the second of `nowMs`.
 * @param at first of the four words
 * @param limit sessions per second, 0 = none
 * @returns false when the limit is reached: nothing is counted
 */
export function claimRate(words: Int32Array, at: number, limit: number, nowMs: number): boolean {
  const second = (nowMs / 1000) | 0;
  const seen = Atomics.load(words, at + SECOND);
  if (seen !== second && Atomics.compareExchange(words, at + SECOND, seen, second) === seen) {
    const last = Atomics.exchange(words, at + COUNT, 0);
    words[at + PREVIOUS] = second === seen + 1 ? last : 0;
  }
  const now = Atomics.add(words, at + COUNT, 1) + 1;
  if (limit !== 0 && now > limit) {
    Atomics.sub(words, at + COUNT, 1);
    return false;
  }
  if (words[at + MOST]! < now) words[at + MOST] = now;
  return true;
}
