/**
 * Random numbers, handed in everywhere else. Not for secrets.
 */

/** 32 random bits, unsigned. */
export function random32(): number {
  return Math.floor(Math.random() * 4_294_967_296);
}

/**
 * A seeded generator (xorshift32 after a hash of the seed): the same seed gives the same numbers.
 * @returns a function that yields 32 bits, unsigned
 */
export function seededRandom32(seed: number): () => number {
  let state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ 0xc2b2ae35) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
