/** Backends and servers that come, grow and go while streams are there. */
import { expect, test } from "bun:test";

import { buryWorker } from "../../../src/balance/bury.ts";
import { removeBackend, unlinkServer } from "../../../src/balance/control.ts";
import {
  awaitedServer,
  isInTables,
  usableServers,
  usableWeight,
  wasMoved,
} from "../../../src/balance/facts.ts";
import { CHOICE_NO_ENTRY, CHOICE_QUEUED } from "../../../src/balance/lb.ts";
import {
  SERVER_STATE_DOWN,
  SERVER_STATE_MAINT,
  WORKER_STATE_DEAD,
} from "../../../src/tables/generated/enums.ts";
import { Farm } from "../../support/balancer-farm.ts";
import { BALANCERS } from "../../support/balancer-suite.ts";

for (const { name, balance, hashed } of BALANCERS) {
  test(`${name}: servers linked one by one under traffic, then taken out again`, () => {
    const farm = new Farm({ balance, servers: [] });
    const held: [worker: number, index: number][] = [];
    const ask = (i: number) => (hashed ? { hash: (i * 0x9e3779b1) >>> 0 } : {});
    for (let i = 0; i < 60; i++) {
      farm.change(farm.link({ maxconn: 1 + (i % 3) }), {});
      const index = farm.choose(1 + (i % 2), ask(i));
      if (index >= 0) held.push([1 + (i % 2), index]);
      farm.check();
    }
    for (let one = held.pop(); one !== undefined; one = held.pop()) {
      const own = farm.leave(one[0], one[1]);
      const grants = own === 0 ? [] : [farm.grantOf(own)];
      for (const grant of [...grants, ...farm.allGrants()]) {
        held.push([grant.worker, farm.take(grant)]);
      }
    }
    for (let i = 59; i >= 0; i--) {
      farm.change(i, { state: SERVER_STATE_MAINT });
      unlinkServer(farm.control, farm.backend, farm.rows[i]!);
      farm.check();
    }
    removeBackend(farm.control, farm.backend);
    expect(farm.control.memory!.usedWords()).toBe(0);
    expect(farm.control.backends.size).toBe(0);
  });
}

test("many changes of weight leave no memory behind", () => {
  const farm = new Farm({
    balance: { algorithm: "source", hashType: "consistent" },
    servers: Array.from({ length: 10 }, () => ({ weight: 10 })),
  });
  farm.change(0, { weight: 11 });
  const used = farm.control.memory!.usedWords();
  for (let i = 0; i < 500; i++) farm.change(i % 10, { weight: 1 + (i % 10) });
  expect(farm.control.memory!.usedWords()).toBeLessThanOrEqual(used);
});

test("a grant is only for the very stream that waited", () => {
  const farm = new Farm({ servers: [{ maxconn: 1 }] });
  expect(farm.choose(1)).toBe(0);
  expect(farm.choose(2)).toBe(CHOICE_QUEUED);
  farm.leave(1, 0);
  const [grant] = farm.grants(2);
  expect(farm.take({ ...grant!, generation: grant!.generation + 1 })).toBe(-1);
  expect(farm.take({ ...grant!, slot: grant!.slot + 1 })).toBe(-1);
  expect(farm.take({ ...grant!, worker: 1 })).toBe(-1);
  expect(farm.take(grant!)).toBe(0);
});

test("a full queue table refuses streams, and takes them again", () => {
  const farm = new Farm({ servers: [{ maxconn: 1 }], queueEntries: 4 });
  expect(farm.choose(1)).toBe(0);
  for (let i = 0; i < 4; i++) expect(farm.choose(1)).toBe(CHOICE_QUEUED);
  expect(farm.choose(1)).toBe(CHOICE_NO_ENTRY);
  farm.leave(1, 0);
  const [grant] = farm.grants(1);
  expect(grant).toBeUndefined();
  farm.check();
});

test("a burial takes no more than the worker's, and repeats nothing", () => {
  const farm = new Farm({ servers: [{ maxconn: 3 }], workers: 3 });
  for (let i = 0; i < 9; i++) farm.choose(1 + (i % 3));
  farm.setWorkerState(2, WORKER_STATE_DEAD);
  expect(buryWorker(farm.control, 2)).toBe(1);
  farm.check();
  expect(farm.grants(1)).toHaveLength(1);
  expect(buryWorker(farm.control, 2)).toBe(0);
  farm.check();
});

test("facts for logs and samples", () => {
  const farm = new Farm({
    servers: [
      { weight: 3, maxconn: 1 },
      { weight: 5, maxconn: 1 },
      { backup: true },
      { backup: true },
    ],
  });
  const lb = farm.lbs[1]!;
  expect(usableServers(lb, farm.backend)).toBe(2);
  expect(usableWeight(lb, farm.backend)).toBe(8);
  expect(farm.choose(1, { forced: 0 })).toBe(0);
  expect(farm.choose(1, { forced: 0 })).toBe(CHOICE_QUEUED);
  const entry = lb.lastEntry;
  expect(awaitedServer(lb, entry)).toBe(farm.rows[0]!);
  expect(wasMoved(lb, entry)).toBe(false);
  expect(farm.choose(1, { forced: 1 })).toBe(1);
  expect(farm.change(0, { state: SERVER_STATE_DOWN })).toBe(1);
  expect(awaitedServer(lb, entry)).toBe(0);
  expect(wasMoved(lb, entry)).toBe(true);
  farm.change(1, { state: SERVER_STATE_DOWN });
  expect(usableServers(lb, farm.backend)).toBe(1);
  expect(isInTables(lb, farm.backend)).toBe(true);
  expect(isInTables(lb, farm.backend + 1)).toBe(false);
});
