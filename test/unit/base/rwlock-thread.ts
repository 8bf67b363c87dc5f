/** One of the threads of rwlock.test.ts: obeys one order after the other, or hammers the lock. */
import { workerData } from "node:worker_threads";

import { RwLock } from "../../../src/base/rwlock.ts";

/** Words behind the lock's: a count that writers change plainly, in two cells. */
export const COUNT_A = 0;
export const COUNT_B = 1;
/** Readers that saw the two cells differ, and were not told to read again. */
export const TORN = 2;
/** Threads that wait for the start; negative = go. */
export const READY = 3;
/** Most readers inside at once. */
export const INSIDE = 4;
export const INSIDE_MAX = 5;
/** Times that somebody wrote while another thread was inside. */
export const CLASHES = 6;
/** First of a pair of words a thread: the order given, and the last one carried out. */
export const ORDERS = 16;
export const SHARED_WORDS = 64;

export const ORDER_READ = 1;
export const ORDER_END_READ = 2;
export const ORDER_WRITE = 3;
export const ORDER_END_WRITE = 4;
export const ORDER_EXIT = 5;

export type RwThreadData = {
  words: Int32Array<SharedArrayBuffer>;
  lockBase: number;
  threads: number;
  self: number;
  /** Rounds of hammering; 0 = obey orders. */
  rounds: number;
  /** Every n-th round writes; 0 = only reads. */
  writeEvery: number;
};

function hammer(lock: RwLock, words: Int32Array, rounds: number, writeEvery: number): void {
  let seen = Atomics.add(words, READY, 1) + 1;
  while (seen >= 0) {
    Atomics.wait(words, READY, seen, 100);
    seen = Atomics.load(words, READY);
  }
  for (let i = 1; i <= rounds; i++) {
    if (writeEvery > 0 && i % writeEvery === 0) {
      lock.takeWrite();
      if (Atomics.load(words, INSIDE) !== 0) Atomics.add(words, CLASHES, 1);
      words[COUNT_A] = words[COUNT_A]! + 1;
      words[COUNT_B] = words[COUNT_B]! + 1;
      lock.giveWrite();
      continue;
    }
    lock.takeRead();
    const inside = Atomics.add(words, INSIDE, 1) + 1;
    if (words[INSIDE_MAX]! < inside) words[INSIDE_MAX] = inside;
    const isTorn = words[COUNT_A] !== words[COUNT_B];
    Atomics.sub(words, INSIDE, 1);
    if (lock.giveRead() && isTorn) Atomics.add(words, TORN, 1);
  }
}

function obey(lock: RwLock, words: Int32Array, self: number): void {
  const at = ORDERS + 2 * self;
  let done = 0;
  for (;;) {
    const order = Atomics.load(words, at);
    if (order === done) {
      Atomics.wait(words, at, order, 100);
      continue;
    }
    // The order is told by its low bits; the rest makes each one different.
    switch (order & 7) {
      case ORDER_READ:
        lock.takeRead();
        break;
      case ORDER_END_READ:
        lock.giveRead();
        break;
      case ORDER_WRITE:
        lock.takeWrite();
        break;
      case ORDER_END_WRITE:
        lock.giveWrite();
        break;
      case ORDER_EXIT:
        return;
    }
    done = order;
    Atomics.store(words, at + 1, order);
    Atomics.notify(words, at + 1);
  }
}

if (workerData !== null && workerData !== undefined) {
  const data = workerData as RwThreadData;
  const { words, lockBase, threads, self } = data;
  // A thread that the system holds up for long must not be expelled here: the order is looked at.
  const lock = new RwLock(words, lockBase, threads, self, () => false, Infinity);
  if (data.rounds > 0) hammer(lock, words, data.rounds, data.writeEvery);
  else obey(lock, words, self);
}
