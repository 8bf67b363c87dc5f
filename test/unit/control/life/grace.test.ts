/** Grace periods over the shared rows of workers that the test plays. */
import { beforeEach, expect, test } from "bun:test";

import { Grace } from "../../../../src/control/life/grace.ts";
import { WORKER_STATE_RUNNING } from "../../../../src/tables/generated/enums.ts";
import {
  PROCESS_GRACE_WANTED,
  PROCESS_WORKER_COUNT,
} from "../../../../src/tables/generated/process.ts";
import {
  WORKER_APPLIED_SEQUENCE,
  WORKER_STATE,
  WORKER_STRIDE,
} from "../../../../src/tables/generated/worker.ts";
import { reserveTables, Tables } from "../../../../src/tables/tables.ts";

const WORKERS = 2;

let tables: Tables;
let grace: Grace;
let turns: (() => void)[];
let ended: string[];

beforeEach(() => {
  const sizes = { proxies: 2, listeners: 2, servers: 2, queueEntries: 2, arenaWords: 64 };
  tables = new Tables(reserveTables({ workers: WORKERS, ...sizes }));
  tables.process.words[PROCESS_WORKER_COUNT] = WORKERS;
  for (let worker = 1; worker <= WORKERS; worker++) {
    tables.workers.words[worker * WORKER_STRIDE + WORKER_STATE] = WORKER_STATE_RUNNING;
  }
  turns = [];
  ended = [];
  grace = new Grace(tables, (run) => void turns.push(run));
});

/** A worker has applied all up to `sequence`. @returns whether it would ring */
function apply(worker: number, sequence: number): boolean {
  tables.workers.words[worker * WORKER_STRIDE + WORKER_APPLIED_SEQUENCE] = sequence;
  return tables.process.words[PROCESS_GRACE_WANTED] === 1;
}

const after = (sequence: number, name: string): void =>
  grace.after(sequence, () => void ended.push(name));

test("ends when the last worker is past the mutation, in order", () => {
  after(1, "one");
  after(2, "two");
  expect(apply(1, 2)).toBe(true);
  grace.check();
  expect(ended).toEqual([]);
  expect(apply(2, 1)).toBe(true);
  grace.check();
  expect(ended).toEqual(["one"]);
  expect(apply(2, 2)).toBe(true);
  grace.check();
  expect(ended).toEqual(["one", "two"]);
  expect(apply(1, 3)).toBe(false);
});

test("ends in the next turn when all workers are past it already", () => {
  // They had applied it before anybody waited, so none of them rang: it was waited for until the
  // next change.
  expect([apply(1, 5), apply(2, 5)]).toEqual([false, false]);
  after(5, "late");
  expect(ended).toEqual([]);
  for (const run of turns.splice(0)) run();
  expect(ended).toEqual(["late"]);
  expect([grace.pending, tables.process.words[PROCESS_GRACE_WANTED]]).toEqual([0, 0]);
});

test("a worker that is gone is not waited for", () => {
  after(1, "one");
  apply(1, 1);
  tables.workers.words[2 * WORKER_STRIDE + WORKER_STATE] = 0;
  grace.check();
  expect(ended).toEqual(["one"]);
});

test("one that throws does not take the others along", () => {
  after(1, "one");
  grace.after(1, () => {
    throw new Error("a bug");
  });
  after(1, "two");
  apply(1, 1);
  apply(2, 1);
  expect(() => grace.check()).toThrow("a bug");
  expect(ended).toEqual(["one", "two"]);
});
