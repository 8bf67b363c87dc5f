/**
 * Four real threads on one backend: limits hold, nothing is lost, order is kept, and a thread that
 * is killed at any moment, lock in hand or not, leaves nothing behind.
 */
import { expect, test } from "bun:test";
import { Worker } from "node:worker_threads";

import { buryWorker } from "../../../src/balance/bury.ts";
import { WORKER_STATE_DEAD } from "../../../src/tables/generated/enums.ts";
import { Farm } from "../../support/balancer-farm.ts";
import type { FarmOptions } from "../../support/balancer-farm.ts";
import {
  WATCH_DONE,
  WATCH_OVER,
  WATCH_OVERTAKEN,
  WATCH_SERVERS,
  WATCH_STARTED,
  WATCH_WAITED,
  WATCH_WRONG,
} from "../../support/balancer-hammer.ts";
import type { HammerData } from "../../support/balancer-hammer.ts";

const WORKERS = 4;
const ENTRY = new URL("../../support/balancer-hammer.ts", import.meta.url);

type Thread = { worker: Worker; ended: Promise<number> };

function start(
  farm: Farm,
  watch: SharedArrayBuffer,
  streams: number,
  concurrency: number,
): Thread[] {
  const threads: Thread[] = [];
  for (let number = 1; number <= WORKERS; number++) {
    const data: HammerData = {
      blocks: farm.tables.blocks,
      worker: number,
      backend: farm.backend,
      streams,
      concurrency,
      seed: number,
      watch,
    };
    const worker = new Worker(ENTRY, { workerData: data });
    const ended = new Promise<number>((resolve, reject) => {
      worker.on("error", reject);
      worker.on("exit", resolve);
    });
    threads.push({ worker, ended });
  }
  return threads;
}

function watchOf(servers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(4 * (WATCH_SERVERS + servers));
}

const CASES: { name: string; options: FarmOptions; streams: number; concurrency: number }[] = [
  {
    name: "one server, maxconn 1",
    options: { servers: [{ maxconn: 1 }] },
    streams: 1500,
    concurrency: 8,
  },
  {
    name: "leastconn over five servers with limits",
    options: {
      balance: { algorithm: "leastconn" },
      servers: [1, 2, 3, 1, 2].map((maxconn) => ({ maxconn })),
    },
    streams: 3000,
    concurrency: 6,
  },
  {
    name: "consistent hash over three servers with queues of their own",
    options: {
      balance: { algorithm: "source", hashType: "consistent" },
      servers: [{ maxconn: 1 }, { maxconn: 2 }, {}],
    },
    streams: 3000,
    concurrency: 6,
  },
];

for (const { name, options, streams, concurrency } of CASES) {
  test(`four threads: ${name}`, async () => {
    const farm = new Farm({ ...options, workers: WORKERS });
    const watch = watchOf(options.servers.length);
    const threads = start(farm, watch, streams, concurrency);
    expect(await Promise.all(threads.map((thread) => thread.ended))).toEqual([0, 0, 0, 0]);
    const seen = new Int32Array(watch);
    expect(seen[WATCH_DONE]).toBe(WORKERS * streams);
    expect(seen[WATCH_OVER]).toBe(0);
    expect(seen[WATCH_WRONG]).toBe(0);
    expect(seen[WATCH_OVERTAKEN]).toBe(0);
    expect(seen[WATCH_WAITED]).toBeGreaterThan(0);
    options.servers.forEach((_, index) => expect(farm.served(index)).toBe(0));
    farm.check();
  }, 30_000);
}

test("four threads: two are killed in the middle, the others end their work", async () => {
  const farm = new Farm({ servers: [{ maxconn: 1 }, { maxconn: 2 }], workers: WORKERS });
  const watch = watchOf(2);
  const seen = new Int32Array(watch);
  const threads = start(farm, watch, 4000, 8);
  while (seen[WATCH_STARTED]! < WORKERS || Atomics.load(seen, WATCH_DONE) < 500) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const number of [1, 3]) {
    await threads[number - 1]!.worker.terminate();
    // Dead first, so that a lock it held can be taken over; then buried.
    farm.setWorkerState(number, WORKER_STATE_DEAD);
    buryWorker(farm.control, number);
  }
  expect(await Promise.all([threads[1]!.ended, threads[3]!.ended])).toEqual([0, 0]);
  expect(seen[WATCH_DONE]!).toBeGreaterThanOrEqual(2 * 4000);
  expect(seen[WATCH_WRONG]).toBe(0);
  expect(farm.served(0) + farm.served(1)).toBe(0);
  expect(farm.queueTotal()).toBe(0);
  farm.check();
}, 30_000);
