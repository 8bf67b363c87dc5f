/** One of the threads of lock.test.ts: counts plainly under the lock. */
import { workerData } from "node:worker_threads";

import { giveLock, takeLock } from "../../../src/base/lock.ts";

export type LockThreadData = {
  words: Int32Array<SharedArrayBuffer>;
  owner: number;
  rounds: number;
};

/** Words of the shared block. */
export const LOCK_CELL = 0;
export const LOCK_COUNT = 1;
/** Threads that wait for the start; negative = go. */
export const LOCK_READY = 2;

if (workerData !== null && workerData !== undefined) {
  const { words, owner, rounds } = workerData as LockThreadData;
  let seen = Atomics.add(words, LOCK_READY, 1) + 1;
  while (seen >= 0) {
    Atomics.wait(words, LOCK_READY, seen, 100);
    seen = Atomics.load(words, LOCK_READY);
  }
  for (let i = 0; i < rounds; i++) {
    takeLock(words, LOCK_CELL, owner, () => false);
    words[LOCK_COUNT] = words[LOCK_COUNT]! + 1;
    giveLock(words, LOCK_CELL);
  }
}
