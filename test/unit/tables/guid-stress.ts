/**
 * Look-ups of real threads beside insertions and removals of this one:
 * `bun guid-stress.ts MUTANT MS`, MUTANT an index in GUID_MUTANTS or -1. Prints a line of JSON.
 */
import { Worker } from "node:worker_threads";

import { useMutant } from "./guid-mutants.ts";
import { kindOf, MOVING, movingGuid, rowOf, STEADY, steadyGuid } from "./guid-thread.ts";
import type { GuidThreadData, GuidThreadResult } from "./guid-thread.ts";

const mutant = Number(process.argv[2]);
const forMs = Number(process.argv[3]);
const THREADS = 2;
useMutant(mutant);

const { GuidIndex } = await import("../../../src/tables/guid-index.ts");
const { reserveTables, Tables } = await import("../../../src/tables/tables.ts");
const { WORKER_STATE, WORKER_STRIDE } = await import("../../../src/tables/generated/worker.ts");
const { WORKER_STATE_RUNNING } = await import("../../../src/tables/generated/enums.ts");

const sizes = { proxies: 8, listeners: 8, servers: 2000, queueEntries: 8, arenaWords: 64 };
const tables = new Tables(reserveTables({ workers: THREADS, ...sizes }));
const index = new GuidIndex(tables, 0);
const flags = new Int32Array(new SharedArrayBuffer(16));
for (let at = 0; at < STEADY; at++) index.insert(steadyGuid(at), 1, at + 1, 1);

const ends = Array.from({ length: THREADS }, (_, at) => {
  const thread = at + 1;
  Atomics.store(tables.workers.words, thread * WORKER_STRIDE + WORKER_STATE, WORKER_STATE_RUNNING);
  const workerData: GuidThreadData = { blocks: tables.blocks, thread, mutant, flags };
  const worker = new Worker(new URL("./guid-thread.ts", import.meta.url), { workerData });
  return new Promise<GuidThreadResult>((resolve, reject) => {
    worker.on("message", resolve);
    worker.on("error", reject);
  });
});
while (Atomics.load(flags, 1) < THREADS) await Bun.sleep(1);

const generations = Array.from({ length: MOVING }, (_, at) => MOVING + at);
const isIn = generations.map(() => false);
const endMs = performance.now() + forMs;
let operations = 0;
const writesBefore = index.lock.writes;
for (let random = 12_345; performance.now() < endMs;) {
  for (let i = 0; i < 2000; i++) {
    random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
    const at = (random >>> 16) % MOVING;
    const generation = generations[at]!;
    if (isIn[at]!) {
      index.remove(movingGuid(at), kindOf(generation), rowOf(generation));
      // Wraps before a row leaves 32 bits.
      generations[at] = generation > 50_000_000 ? MOVING + at : generation + MOVING;
    } else index.insert(movingGuid(at), kindOf(generation), rowOf(generation), generation);
    isIn[at] = !isIn[at];
    operations++;
  }
  // A thread that has seen enough ends it early.
  if (Atomics.load(flags, 2) > 0) break;
  await Bun.sleep(0);
}
const writes = index.lock.writes - writesBefore;
Atomics.store(flags, 0, 1);
const threads = await Promise.all(ends);
const wrong = threads.flatMap((thread) => thread.wrong);
const reads = threads.map((thread) => thread.reads);
const lookups = threads.map((thread) => thread.lookups);
const found = threads.map((thread) => thread.found);
const { expelled } = index.lock;
process.stdout.write(
  `${JSON.stringify({ wrong, operations, writes, lookups, reads, found, expelled })}\n`,
);
process.exit(0);
