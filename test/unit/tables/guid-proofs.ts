/**
 * What must hold of the GUID index whatever threads do, tried step by step in one thread:
 * `bun guid-proofs.ts MUTANT`, an index in GUID_MUTANTS or -1. Prints the names of what fails.
 */
import { useMutant } from "./guid-mutants.ts";

useMutant(Number(process.argv[2]));

const { GuidIndex } = await import("../../../src/tables/guid-index.ts");
const { reserveTables, Tables } = await import("../../../src/tables/tables.ts");
const { WORKER_STATE, WORKER_STRIDE } = await import("../../../src/tables/generated/worker.ts");
const { GUID_KIND_SERVER, WORKER_STATE_STARTING } =
  await import("../../../src/tables/generated/enums.ts");

const sizes = { proxies: 8, listeners: 8, servers: 100, queueEntries: 8, arenaWords: 64 };
const failed: string[] = [];

function prove(name: string, holds: (tables: InstanceType<typeof Tables>) => boolean): void {
  const tables = new Tables(reserveTables({ workers: 2, ...sizes }));
  if (!holds(tables)) failed.push(name);
}

function start(tables: InstanceType<typeof Tables>, worker: number): void {
  const words = tables.workers.words;
  Atomics.store(words, worker * WORKER_STRIDE + WORKER_STATE, WORKER_STATE_STARTING);
}

prove("a look-up reads under the lock", (tables) => {
  const control = new GuidIndex(tables, 0);
  const worker = new GuidIndex(tables, 1);
  control.insert("a", GUID_KIND_SERVER, 16, 1);
  worker.find("a");
  worker.find("b");
  control.find("a");
  return worker.lock.reads === 2 && control.lock.reads === 1;
});

prove("insertion, removal and growth write under the lock", (tables) => {
  const control = new GuidIndex(tables, 0);
  control.insert("a", GUID_KIND_SERVER, 16, 1);
  control.insert("b", GUID_KIND_SERVER, 32, 1);
  control.remove("a", GUID_KIND_SERVER, 16);
  return control.lock.writes === 3;
});

prove("a reader that a writer did not wait for reads again", (tables) => {
  const control = new GuidIndex(tables, 0);
  start(tables, 1);
  const worker = new GuidIndex(tables, 1);
  control.insert("a", GUID_KIND_SERVER, 16, 1);
  const { lock } = worker;
  const giveRead = lock.giveRead.bind(lock);
  let isFirst = true;
  // It stands still just before it ends: the writer loses patience and goes on.
  lock.giveRead = () => {
    if (isFirst) control.remove("a", GUID_KIND_SERVER, 16);
    isFirst = false;
    return giveRead();
  };
  return !worker.find("a") && lock.expelled === 1 && lock.reads === 2;
});

prove("a look-up of the preload asserts that no worker has been started", (tables) => {
  const control = new GuidIndex(tables, 0);
  control.insert("a", GUID_KIND_SERVER, 16, 1);
  if (!control.preloadLookup("a") || control.row !== 16 || control.lock.reads !== 0) return false;
  start(tables, 2);
  try {
    control.preloadLookup("a");
    return false;
  } catch {
    return true;
  }
});

process.stdout.write(JSON.stringify(failed));
