/**
 * The production data plane over simulated conduits, clock and workers: thousands of seeds, with
 * invariants after every step. `scripts/test sim --seed N` repeats one.
 *
 *   SLUICE_SIM_SEED=N    only that seed (also SLUICE_TEST_SEED, which --seed sets)
 *   SLUICE_SIM_SEEDS=N   so many seeds
 *   SLUICE_SIM_FIRST=N   beginning with this one
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { Marks } from "./marks.ts";
import { runSeed } from "./run.ts";
import { reportFailure } from "./shrink.ts";

const one = process.env["SLUICE_SIM_SEED"] ?? process.env["SLUICE_TEST_SEED"];
const SEEDS = Number(process.env["SLUICE_SIM_SEEDS"] ?? 2000);
const FIRST = Number(process.env["SLUICE_SIM_FIRST"] ?? 1);
/** Seeds of one test: short enough for its time limit on a slow machine. */
const SEEDS_PER_TEST = 250;
/** A run of fewer seeds says nothing about rare events. */
const FULL_RUN_SEEDS = 2000;

const marks = new Marks();

function runOne(seed: number): void {
  const run = runSeed(seed);
  marks.add(run.marks);
  if (run.failure !== undefined) throw new Error(reportFailure(seed));
}

/** Seeds that failed before. */
function keptSeeds(): number[] {
  const text = readFileSync(join(import.meta.dir, "seeds.txt"), "utf8");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => Number(line.split(" ")[0]));
}

if (one !== undefined) {
  test(`seed ${one}`, () => runOne(Number(one)));
} else {
  describe("seeds that failed before", () => {
    for (const seed of keptSeeds()) test(`seed ${seed}`, () => runOne(seed));
  });
  describe(`seeds ${FIRST} to ${FIRST + SEEDS - 1}`, () => {
    for (let from = FIRST; from < FIRST + SEEDS; from += SEEDS_PER_TEST) {
      const to = Math.min(from + SEEDS_PER_TEST, FIRST + SEEDS);
      test(`seeds ${from} to ${to - 1}`, () => {
        for (let seed = from; seed < to; seed++) runOne(seed);
      });
    }
    test.if(SEEDS >= FULL_RUN_SEEDS)("every rare event happened", () => {
      expect(marks.missing()).toEqual([]);
    });
  });
  test("a seed gives the same run each time, to the last byte of its trace", () => {
    for (const seed of [1, 7, 42]) {
      const [first, second] = [0, 0].map(() => runSeed(seed, { traced: true }));
      expect(first!.trace.length).toBeGreaterThan(50);
      expect(second!.trace.join("\n")).toBe(first!.trace.join("\n"));
    }
  });
}
