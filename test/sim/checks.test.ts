/**
 * The production checks over simulated servers, channels and a clock that jumps, beside an
 * independent model of rise and fall (check-world.ts): thousands of seeds.
 *
 *   SLUICE_SIM_SEED=N    only that seed
 *   SLUICE_SIM_SEEDS=N   so many seeds
 */
import { describe, expect, test } from "bun:test";

import { loadCheckPlan, runCheckSeed } from "./check-run.ts";

const one = process.env["SLUICE_SIM_SEED"] ?? process.env["SLUICE_TEST_SEED"];
const SEEDS = Number(process.env["SLUICE_SIM_SEEDS"] ?? 2500);
const SEEDS_PER_TEST = 250;
/** What a full run must have met. */
const MARKS = [
  "agent set",
  "errors",
  "late answer",
  "maintained",
  "news of an older epoch",
  "slept",
];

const plan = await loadCheckPlan();
const marks = new Set<string>();

function runOne(seed: number): void {
  const run = runCheckSeed(seed, plan);
  for (const mark of run.marks) marks.add(mark);
  if (run.failure !== undefined) throw new Error(`seed ${seed}: ${run.failure.message}`);
}

if (one !== undefined) {
  test(`seed ${one}`, () => runOne(Number(one)));
} else {
  describe(`seeds 1 to ${SEEDS}`, () => {
    for (let from = 1; from <= SEEDS; from += SEEDS_PER_TEST) {
      const to = Math.min(from + SEEDS_PER_TEST - 1, SEEDS);
      test(`seeds ${from} to ${to}`, () => {
        for (let seed = from; seed <= to; seed++) runOne(seed);
      });
    }
    test("every rare event happened", () => {
      expect([...marks].toSorted()).toEqual(MARKS);
    });
  });
}
