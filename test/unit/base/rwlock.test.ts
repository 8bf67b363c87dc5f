import { describe, expect, test } from "bun:test";
import { Worker } from "node:worker_threads";

import { LOCK_BROKEN, LOCK_TAKEN } from "../../../src/base/lock.ts";
import {
  READER_IDLE,
  READER_INSIDE,
  READER_WAITING,
  RwLock,
  RWLOCK_LINE,
  RWLOCK_READER,
  RWLOCK_WRITER,
  rwlockWords,
} from "../../../src/base/rwlock.ts";
import * as shared from "./rwlock-thread.ts";
import type { RwThreadData } from "./rwlock-thread.ts";

const ENTRY = new URL("./rwlock-thread.ts", import.meta.url);
const NOBODY_DEAD = (): boolean => false;
const THREADS = 6;

function makeWords(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4 * (shared.SHARED_WORDS + rwlockWords(THREADS))));
}

const BASE = shared.SHARED_WORDS;

function lockOf(
  words: Int32Array,
  self: number,
  isDead: (thread: number) => boolean = NOBODY_DEAD,
): RwLock {
  return new RwLock(words, BASE, THREADS, self, isDead);
}

const readerOf = (words: Int32Array, thread: number): number =>
  Atomics.load(words, BASE + RWLOCK_LINE * (thread + 1) + RWLOCK_READER) & 3;
const writerOf = (words: Int32Array): number => Atomics.load(words, BASE + RWLOCK_WRITER);

describe("one thread after the other", () => {
  test("readers are inside together, and leave no trace", () => {
    const words = makeWords();
    const [one, two] = [lockOf(words, 1), lockOf(words, 2)];
    expect(one.takeRead()).toBe(LOCK_TAKEN);
    expect(two.takeRead()).toBe(LOCK_TAKEN);
    expect([readerOf(words, 1), readerOf(words, 2)]).toEqual([READER_INSIDE, READER_INSIDE]);
    expect(one.giveRead()).toBe(true);
    expect(two.giveRead()).toBe(true);
    expect([readerOf(words, 1), readerOf(words, 2)]).toEqual([READER_IDLE, READER_IDLE]);
    expect([one.reads, two.reads, one.writes]).toEqual([1, 1, 0]);
  });

  test("a writer names itself, and is counted", () => {
    const words = makeWords();
    const lock = lockOf(words, 3);
    expect(lock.takeWrite()).toBe(LOCK_TAKEN);
    expect(writerOf(words)).toBe(4);
    lock.giveWrite();
    expect(writerOf(words)).toBe(0);
    expect(lock.writes).toBe(1);
  });

  test("a writer that died is taken over by the next one, which is told", () => {
    const words = makeWords();
    lockOf(words, 2).takeWrite();
    const next = lockOf(words, 1, (thread) => thread === 2);
    expect(next.takeWrite()).toBe(LOCK_BROKEN);
    next.mend();
    next.giveWrite();
    expect(lockOf(words, 3).takeWrite()).toBe(LOCK_TAKEN);
  });

  test("a writer that died is taken over by a reader, which is told until it is mended", () => {
    const words = makeWords();
    lockOf(words, 2).takeWrite();
    const reader = lockOf(words, 1, (thread) => thread === 2);
    expect(reader.takeRead()).toBe(LOCK_BROKEN);
    expect(readerOf(words, 1)).toBe(READER_INSIDE);
    expect(writerOf(words)).toBe(0);
    reader.giveRead();
    const writer = lockOf(words, 0);
    expect(writer.takeWrite()).toBe(LOCK_BROKEN);
    writer.mend();
    writer.giveWrite();
    expect(reader.takeRead()).toBe(LOCK_TAKEN);
  });

  test("a reader that died inside holds up nobody", () => {
    const words = makeWords();
    lockOf(words, 2).takeRead();
    const writer = lockOf(words, 0, (thread) => thread === 2);
    expect(writer.takeWrite()).toBe(LOCK_TAKEN);
    expect(writer.expelled).toBe(1);
    expect(readerOf(words, 2)).toBe(READER_IDLE);
  });

  test("a reader that stands still is expelled after a while, and told so if it lives", () => {
    const words = makeWords();
    const reader = lockOf(words, 2);
    reader.takeRead();
    const writer = lockOf(words, 0);
    expect(writer.takeWrite()).toBe(LOCK_TAKEN);
    expect(writer.expelled).toBe(1);
    writer.giveWrite();
    expect(reader.giveRead()).toBe(false);
    reader.takeRead();
    expect(reader.giveRead()).toBe(true);
  });

  test("who is buried holds nothing any more, and its number is used again", () => {
    const words = makeWords();
    lockOf(words, 2).takeRead();
    lockOf(words, 0).bury(2);
    expect(readerOf(words, 2)).toBe(READER_IDLE);
    lockOf(words, 3).takeWrite();
    lockOf(words, 0).bury(3);
    expect(writerOf(words)).toBe(0);
    const again = lockOf(words, 2);
    expect(again.takeRead()).toBe(LOCK_BROKEN);
    expect(again.giveRead()).toBe(true);
  });
});

/** A thread that does what it is told, one thing at a time. */
class Actor {
  readonly self: number;
  readonly #words: Int32Array;
  readonly #worker: Worker;
  #count = 0;
  #order = 0;

  constructor(words: Int32Array<SharedArrayBuffer>, self: number) {
    this.self = self;
    this.#words = words;
    const data: RwThreadData = {
      words,
      lockBase: BASE,
      threads: THREADS,
      self,
      rounds: 0,
      writeEvery: 0,
    };
    this.#worker = new Worker(ENTRY, { workerData: data });
  }

  tell(order: number): void {
    this.#order = ++this.#count * 8 + order;
    Atomics.store(this.#words, shared.ORDERS + 2 * this.self, this.#order);
    Atomics.notify(this.#words, shared.ORDERS + 2 * this.self);
  }

  get isDone(): boolean {
    return Atomics.load(this.#words, shared.ORDERS + 2 * this.self + 1) === this.#order;
  }

  async done(): Promise<void> {
    await until(() => this.isDone);
  }

  async end(): Promise<void> {
    this.tell(shared.ORDER_EXIT);
    await new Promise((resolve) => this.#worker.on("exit", resolve));
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await Bun.sleep(1);
}

describe("the order of threads", () => {
  test("a writer waits for readers inside, goes before later readers, then they go", async () => {
    const words = makeWords();
    const [early, writer, late, other] = [1, 2, 3, 4].map((self) => new Actor(words, self));
    const all = [early!, writer!, late!, other!];
    // Round and round, so that a state that is left behind would show.
    for (let round = 0; round < 5; round++) {
      early!.tell(shared.ORDER_READ);
      await early!.done();
      writer!.tell(shared.ORDER_WRITE);
      await until(() => writerOf(words) === writer!.self + 1);
      expect(writer!.isDone).toBe(false);
      late!.tell(shared.ORDER_READ);
      await until(() => readerOf(words, late!.self) === READER_WAITING);
      early!.tell(shared.ORDER_END_READ);
      await writer!.done();
      expect([early!.isDone, late!.isDone]).toEqual([true, false]);
      // A second writer is in line before the first one ends: the reader still goes first.
      other!.tell(shared.ORDER_WRITE);
      await until(() => Atomics.load(words, BASE + RWLOCK_LINE * (other!.self + 1) + 1) === 1);
      writer!.tell(shared.ORDER_END_WRITE);
      await late!.done();
      expect(writerOf(words)).toBe(other!.self + 1);
      expect(other!.isDone).toBe(false);
      late!.tell(shared.ORDER_END_READ);
      await other!.done();
      other!.tell(shared.ORDER_END_WRITE);
      await other!.done();
      expect(writerOf(words)).toBe(0);
    }
    expect(lockOf(words, 0).expelled).toBe(0);
    await Promise.all(all.map((actor) => actor.end()));
  }, 60_000);

  test("writers go in turn, from the number behind the one that ends", async () => {
    const words = makeWords();
    const actors = [1, 2, 3, 4].map((self) => new Actor(words, self));
    const [first] = actors;
    first!.tell(shared.ORDER_WRITE);
    await first!.done();
    for (const self of [4, 2, 3]) {
      actors[self - 1]!.tell(shared.ORDER_WRITE);
      await until(() => Atomics.load(words, BASE + RWLOCK_LINE * (self + 1) + 1) === 1);
    }
    const order: number[] = [];
    for (let writer = first!; order.length < 4;) {
      order.push(writer.self);
      writer.tell(shared.ORDER_END_WRITE);
      await writer.done();
      const next = writerOf(words);
      if (next === 0) break;
      writer = actors[next - 2]!;
      await writer.done();
    }
    expect(order).toEqual([1, 2, 3, 4]);
    await Promise.all(actors.map((actor) => actor.end()));
  }, 60_000);
});

describe("real threads at once", () => {
  const hammer = async (writeEvery: readonly number[], rounds: number): Promise<Int32Array> => {
    const words = makeWords();
    const exits = writeEvery.map((every, index) => {
      const workerData: RwThreadData = {
        words,
        lockBase: BASE,
        threads: THREADS,
        self: index + 1,
        rounds,
        writeEvery: every,
      };
      const worker = new Worker(ENTRY, { workerData });
      return new Promise((resolve, reject) => {
        worker.on("error", reject);
        worker.on("exit", resolve);
      });
    });
    await until(() => Atomics.load(words, shared.READY) === writeEvery.length);
    Atomics.store(words, shared.READY, -1);
    Atomics.notify(words, shared.READY);
    expect(await Promise.all(exits)).toEqual(writeEvery.map(() => 0));
    expect(words[shared.TORN]).toBe(0);
    expect(words[shared.CLASHES]).toBe(0);
    expect(writerOf(words)).toBe(0);
    return words;
  };

  test("readers and one writer", async () => {
    const words = await hammer([0, 0, 0, 1], 10_000);
    expect(words[shared.COUNT_A]).toBe(10_000);
    expect(words[shared.COUNT_B]).toBe(10_000);
    expect(lockOf(words, 0).writes).toBe(10_000);
  }, 60_000);

  test("everybody reads and writes", async () => {
    const words = await hammer([3, 2, 5, 4], 12_000);
    const total = 12_000 / 3 + 12_000 / 2 + 12_000 / 5 + 12_000 / 4;
    expect(words[shared.COUNT_A]).toBe(total);
    expect(words[shared.COUNT_B]).toBe(total);
  }, 60_000);
});
