/**
 * A lock over one shared word. Held for a microsecond at most, by any thread, control included.
 *
 * The word holds the owner's number plus one, so that a lock whose owner has died is recognised and
 * taken over: the caller is told, and rebuilds what the lock guards. Waiting spins first, then
 * sleeps on the word in short steps; nobody can wait for ever on a dead thread, nor on itself.
 *
 * @hot
 */

/** The lock was free, or became free. */
export const LOCK_TAKEN = 0;
/** The lock belonged to a dead or failed thread: what it guards may be half changed. */
export const LOCK_BROKEN = 1;

const SPINS = 200;
const SLEEP_MS = 1;

/**
 * Takes the lock at `index` for thread `owner` (0 = control, workers from 1).
 * @param isDead tells whether a thread number belongs to a thread that has ended
 * @returns LOCK_TAKEN or LOCK_BROKEN
 */
export function takeLock(
  words: Int32Array,
  index: number,
  owner: number,
  isDead: (thread: number) => boolean,
): number {
  const mine = owner + 1;
  for (let spin = 0; ; spin++) {
    const held = Atomics.compareExchange(words, index, 0, mine);
    if (held === 0) return LOCK_TAKEN;
    if (spin < SPINS) continue;
    // Its own: it failed while it held the lock, and went on. Nobody else can put that right.
    const isLost = held === mine || isDead(held - 1);
    if (isLost && Atomics.compareExchange(words, index, held, mine) === held) {
      return LOCK_BROKEN;
    }
    Atomics.wait(words, index, held, SLEEP_MS);
  }
}

/** Gives the lock back. The caller must hold it. */
export function giveLock(words: Int32Array, index: number): void {
  Atomics.store(words, index, 0);
}
