import { describe, expect, test } from "bun:test";
import { Worker } from "node:worker_threads";

import { giveLock, LOCK_BROKEN, LOCK_TAKEN, takeLock } from "../../../src/base/lock.ts";
import { LOCK_CELL, LOCK_COUNT, LOCK_READY } from "./lock-thread.ts";
import type { LockThreadData } from "./lock-thread.ts";

const NOBODY_DEAD = (): boolean => false;
const ENTRY = new URL("./lock-thread.ts", import.meta.url);

function startThread(
  words: Int32Array<SharedArrayBuffer>,
  owner: number,
  rounds: number,
): Promise<number> {
  const workerData: LockThreadData = { words, owner, rounds };
  const worker = new Worker(ENTRY, { workerData });
  return new Promise((resolve, reject) => {
    worker.on("error", reject);
    worker.on("exit", resolve);
  });
}

describe("lock", () => {
  test("is taken, told by its word, and given back", () => {
    const words = new Int32Array(4);
    expect(takeLock(words, 2, 7, NOBODY_DEAD)).toBe(LOCK_TAKEN);
    expect(words[2]).toBe(8);
    giveLock(words, 2);
    expect(words[2]).toBe(0);
    expect(takeLock(words, 2, 0, NOBODY_DEAD)).toBe(LOCK_TAKEN);
    expect(words[2]).toBe(1);
  });

  test("that its own thread has lost is taken over", () => {
    const words = new Int32Array(4);
    takeLock(words, 0, 3, NOBODY_DEAD);
    expect(takeLock(words, 0, 3, NOBODY_DEAD)).toBe(LOCK_BROKEN);
    expect(words[0]).toBe(4);
  });

  test("of a dead owner is broken, once", () => {
    const words = new Int32Array(new SharedArrayBuffer(16));
    takeLock(words, 0, 3, NOBODY_DEAD);
    const isDead = (thread: number): boolean => thread === 3;
    expect(takeLock(words, 0, 1, isDead)).toBe(LOCK_BROKEN);
    expect(words[0]).toBe(2);
    giveLock(words, 0);
    expect(takeLock(words, 0, 2, isDead)).toBe(LOCK_TAKEN);
  });

  test("of an owner that dies while others wait is broken", () => {
    const words = new Int32Array(new SharedArrayBuffer(16));
    takeLock(words, 0, 3, NOBODY_DEAD);
    let looks = 0;
    // It is alive at first: the waiter sleeps on the word, and looks again.
    const isDead = (): boolean => ++looks > 3;
    expect(takeLock(words, 0, 1, isDead)).toBe(LOCK_BROKEN);
    expect(looks).toBe(4);
  });

  test("keeps real threads apart", async () => {
    const words = new Int32Array(new SharedArrayBuffer(64));
    const ROUNDS = 20_000;
    const threads = [1, 2, 3].map((owner) => startThread(words, owner, ROUNDS));
    // All begin at once, or they would hardly meet.
    while (Atomics.load(words, LOCK_READY) < threads.length) await Bun.sleep(1);
    Atomics.store(words, LOCK_READY, -1);
    Atomics.notify(words, LOCK_READY);
    expect(await Promise.all(threads)).toEqual([0, 0, 0]);
    // The count is changed plainly: any two threads inside at once would lose some.
    expect(words[LOCK_COUNT]).toBe(3 * ROUNDS);
    expect(words[LOCK_CELL]).toBe(0);
  }, 60_000);
});
