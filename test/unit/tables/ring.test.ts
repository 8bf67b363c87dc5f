/** Rings of log records and inboxes, between real threads and when they are full. */
import { describe, expect, test } from "bun:test";
import { Worker } from "node:worker_threads";

import { LOG_RING_RECORDS } from "../../../src/base/limits.ts";
import { WORKER_STATE_RUNNING } from "../../../src/tables/generated/enums.ts";
import { STREAM_LOG_BYTES_UP, STREAM_LOG_KIND } from "../../../src/tables/generated/stream-log.ts";
import { WORKER_STATE, WORKER_STRIDE } from "../../../src/tables/generated/worker.ts";
import { drainInbox, NOTE_LOST } from "../../../src/tables/inbox.ts";
import {
  beginRecord,
  commitRecord,
  droppedRecords,
  peekRecord,
  releaseRecord,
  RING_FULL,
} from "../../../src/tables/log-ring.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";
import { READER } from "./ring-thread.ts";
import type { RingThreadData } from "./ring-thread.ts";

const THREADS = 4;
const ENTRY = new URL("./ring-thread.ts", import.meta.url);

function makeTables(): Tables {
  const one = { proxies: 1, listeners: 1, servers: 1, queueEntries: 1, arenaWords: 16 };
  const tables = new Tables(reserveTables({ workers: THREADS, ...one }));
  // A lock is taken from threads that are not alive: these are.
  for (let thread = 1; thread <= THREADS; thread++) {
    tables.workers.words[thread * WORKER_STRIDE + WORKER_STATE] = WORKER_STATE_RUNNING;
  }
  return tables;
}

function startThread(workerData: RingThreadData): Promise<number> {
  const worker = new Worker(ENTRY, { workerData });
  return new Promise((resolve, reject) => {
    worker.on("error", reject);
    worker.on("exit", resolve);
  });
}

describe("log ring", () => {
  const write = (words: Int32Array, kind: number): boolean => {
    const row = beginRecord(words);
    if (row === RING_FULL) return false;
    words[row + STREAM_LOG_KIND] = kind;
    commitRecord(words);
    return true;
  };

  test("gives records in order, once", () => {
    const { words } = makeTables().perWorker[0]!.logRing;
    expect(peekRecord(words)).toBe(RING_FULL);
    for (let kind = 1; kind <= 3; kind++) expect(write(words, kind)).toBe(true);
    for (let kind = 1; kind <= 3; kind++) {
      expect(words[peekRecord(words) + STREAM_LOG_KIND]).toBe(kind);
      releaseRecord(words);
    }
    expect(peekRecord(words)).toBe(RING_FULL);
  });

  test("a record that is not committed is not there", () => {
    const { words } = makeTables().perWorker[0]!.logRing;
    beginRecord(words);
    expect(peekRecord(words)).toBe(RING_FULL);
  });

  test("a full ring drops the new ones and counts them", () => {
    const { words } = makeTables().perWorker[0]!.logRing;
    for (let i = 0; i < LOG_RING_RECORDS; i++) expect(write(words, i)).toBe(true);
    expect(write(words, -1)).toBe(false);
    expect(write(words, -1)).toBe(false);
    expect(droppedRecords(words)).toBe(2);
    expect(words[peekRecord(words) + STREAM_LOG_KIND]).toBe(0);
    releaseRecord(words);
    expect(write(words, 7)).toBe(true);
    expect(write(words, 7)).toBe(false);
  });

  test("indices wrap", () => {
    const { words } = makeTables().perWorker[0]!.logRing;
    words[0] = 0x7ffffffe;
    words[1] = 0x7ffffffe;
    for (let round = 0; round < 6; round++) {
      expect(write(words, round)).toBe(true);
      expect(words[peekRecord(words) + STREAM_LOG_KIND]).toBe(round);
      releaseRecord(words);
    }
    for (let i = 0; i < LOG_RING_RECORDS; i++) expect(write(words, i)).toBe(true);
    expect(write(words, 0)).toBe(false);
  });

  test("carries everything from one thread to another, untorn", async () => {
    const tables = makeTables();
    const count = 60_000;
    const thread = startThread({ kind: "records", blocks: tables.blocks, self: READER, count });
    const { words, floats } = tables.perWorker[READER - 1]!.logRing;
    let seen = 0;
    while (seen < count) {
      const row = peekRecord(words);
      if (row === RING_FULL) {
        await Bun.sleep(0);
        continue;
      }
      seen++;
      const value = floats[(row + STREAM_LOG_BYTES_UP) >> 1];
      if (words[row + STREAM_LOG_KIND] !== seen || value !== seen * 1e10) {
        throw new Error(`record ${seen} says ${words[row + STREAM_LOG_KIND]} and ${value}`);
      }
      releaseRecord(words);
    }
    expect(await thread).toBe(0);
  }, 60_000);
});

describe("inbox", () => {
  test("carries the notes of several threads, each in its order", async () => {
    const tables = makeTables();
    const count = 30_000;
    const senders = [2, 3, 4];
    const threads = senders.map((self) =>
      startThread({ kind: "notes", blocks: tables.blocks, self, count }),
    );
    const last = new Map(senders.map((self) => [self, 0]));
    let total = 0;
    while (total < count * senders.length) {
      drainInbox(tables, READER, (kind, self, index, negative) => {
        // A sender that finds the inbox full says so, and tries again.
        if (kind === NOTE_LOST) return;
        if (index !== last.get(self)! + 1 || negative !== -index) {
          throw new Error(`thread ${self}: ${index} after ${last.get(self)}`);
        }
        last.set(self, index);
        total++;
      });
      await Bun.sleep(0);
    }
    expect(await Promise.all(threads)).toEqual([0, 0, 0]);
    expect([...last.values()]).toEqual([count, count, count]);
  }, 60_000);
});
