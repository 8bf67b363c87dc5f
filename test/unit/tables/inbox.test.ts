/** Inboxes: wake-ups that are not lost, and notes that are. */
import { afterEach, describe, expect, test } from "bun:test";

import { INBOX_ENTRIES } from "../../../src/base/limits.ts";
import {
  WORKER_BELL,
  WORKER_BELL_ARMED,
  WORKER_INBOX_OVERFLOW,
  WORKER_STRIDE,
} from "../../../src/tables/generated/worker.ts";
import { drainInbox, NOTE_LOST, NOTE_RESUME, postNote } from "../../../src/tables/inbox.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";

const WORKER = 1;
const ROW = WORKER * WORKER_STRIDE;

function makeTables(): Tables {
  const one = { proxies: 1, listeners: 1, servers: 1, queueEntries: 1, arenaWords: 16 };
  return new Tables(reserveTables({ workers: 1, ...one }));
}

function post(tables: Tables, operand: number): boolean {
  return postNote(tables, 0, WORKER, NOTE_RESUME, operand, 0, 0);
}

function kindsIn(tables: Tables): number[] {
  const kinds: number[] = [];
  drainInbox(tables, WORKER, (kind) => void kinds.push(kind));
  return kinds;
}

describe("the bell", () => {
  const { add, exchange } = Atomics;
  afterEach(() => {
    Object.assign(Atomics, { add, exchange });
  });

  /** Runs `between` once, after the first of the two steps of a ring that is done. */
  function interruptRing(words: Int32Array, between: () => void): void {
    let isDone = false;
    const after = (result: number): number => {
      if (!isDone) {
        isDone = true;
        between();
      }
      return result;
    };
    const isBell = (array: unknown, at: number): boolean =>
      array === words && (at === ROW + WORKER_BELL || at === ROW + WORKER_BELL_ARMED);
    Object.assign(Atomics, {
      add: (array: Int32Array, at: number, value: number) => {
        const result = add(array, at, value);
        return isBell(array, at) ? after(result) : result;
      },
      exchange: (array: Int32Array, at: number, value: number) => {
        const result = exchange(array, at, value);
        return isBell(array, at) ? after(result) : result;
      },
    });
  }

  test("a worker that falls asleep in the middle of a ring hears that one or the next", async () => {
    // Story: rung first and disarmed then, the worker read the new bell, was disarmed, and slept on
    // a bell that nobody rang for it any more.
    const tables = makeTables();
    const { words } = tables.workers;
    let bell = -1;
    interruptRing(words, () => {
      bell = Atomics.load(words, ROW + WORKER_BELL);
      Atomics.store(words, ROW + WORKER_BELL_ARMED, 1);
      expect(kindsIn(tables)).toEqual([NOTE_RESUME]);
    });
    post(tables, 1);
    const waiting = Atomics.waitAsync(words, ROW + WORKER_BELL, bell);
    post(tables, 2);
    expect(waiting.async ? await waiting.value : waiting.value).not.toBe("timed-out");
    expect(kindsIn(tables)).toEqual([NOTE_RESUME]);
  }, 1000);
});

describe("a full inbox", () => {
  test("says with its last entry that notes are missing, once", () => {
    const tables = makeTables();
    for (let i = 1; i < INBOX_ENTRIES; i++) expect(post(tables, i)).toBe(true);
    for (let i = 0; i < 3; i++) expect(post(tables, i)).toBe(false);
    expect(tables.workers.words[ROW + WORKER_INBOX_OVERFLOW]).toBe(3);
    const kinds = kindsIn(tables);
    expect(kinds).toHaveLength(INBOX_ENTRIES);
    expect(kinds.indexOf(NOTE_LOST)).toBe(INBOX_ENTRIES - 1);
    expect(post(tables, 1)).toBe(true);
    expect(kindsIn(tables)).toEqual([NOTE_RESUME]);
  });
});
