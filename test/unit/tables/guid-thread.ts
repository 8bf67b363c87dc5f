/**
 * A thread that looks GUIDs up while control inserts and removes them, and counts what cannot be:
 * see guid-stress.ts. Ends at the first. May run on a deliberately broken copy of the index.
 */
import { parentPort, workerData } from "node:worker_threads";

import type { SharedBlocks } from "../../../src/tables/tables.ts";
import { useMutant } from "./guid-mutants.ts";

export type GuidThreadData = {
  blocks: SharedBlocks;
  thread: number;
  /** Index in GUID_MUTANTS; -1 = none. */
  mutant: number;
  /** Word 0: go on while it is 0. Words 1 and 2: threads that have begun, and ended. */
  flags: Int32Array<SharedArrayBuffer>;
};

export type GuidThreadResult = { lookups: number; reads: number; found: number; wrong: string[] };

/** GUIDs that come and go, and GUIDs that are always there. */
export const MOVING = 48;
export const STEADY = 16;

export const movingGuid = (index: number): string => `moving:${"x".repeat(index)}${index}`;
export const steadyGuid = (index: number): string => `steady:${index}`;

/** What one generation of a moving GUID looks like: all of it follows from one number. */
export const rowOf = (generation: number): number => generation * 16;
export const kindOf = (generation: number): number => (generation % 3) + 1;

if (workerData !== null && workerData !== undefined && parentPort !== null) {
  const { blocks, thread, mutant, flags } = workerData as GuidThreadData;
  useMutant(mutant);
  const { Tables } = await import("../../../src/tables/tables.ts");
  const { GuidIndex } = await import("../../../src/tables/guid-index.ts");
  const index = new GuidIndex(new Tables(blocks), thread);
  const wrong: string[] = [];
  const texts = Array.from({ length: MOVING }, (_, at) => movingGuid(at));
  const steady = Array.from({ length: STEADY }, (_, at) => steadyGuid(at));
  let lookups = 0;
  let found = 0;
  const before = index.lock.reads;
  Atomics.add(flags, 1, 1);
  while (Atomics.load(flags, 0) === 0 && wrong.length === 0) {
    for (let at = 0; at < MOVING; at++) {
      lookups++;
      if (!index.find(texts[at]!)) continue;
      found++;
      const { kind, row, generation } = index;
      const isWhole = row === rowOf(generation) && kind === kindOf(generation);
      if (!isWhole || generation % MOVING !== at) {
        wrong.push(`${texts[at]} is ${kind} ${row} ${generation}`);
      }
    }
    for (let at = 0; at < STEADY; at++) {
      lookups++;
      if (!index.find(steady[at]!)) wrong.push(`${steady[at]} is not found`);
      else if (index.row !== at + 1) wrong.push(`${steady[at]} is in row ${index.row}`);
    }
  }
  Atomics.add(flags, 2, 1);
  const result: GuidThreadResult = { lookups, found, wrong, reads: index.lock.reads - before };
  parentPort.postMessage(result);
}
