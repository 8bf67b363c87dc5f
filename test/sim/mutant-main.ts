/**
 * Runs seeds on a mutant, in a process of its own: `bun test/sim/mutant-main.ts INDEX SEEDS`.
 * Prints one line of JSON: how many seeds it took until something broke, and what.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { CHECK_MUTANTS } from "./check-mutants.ts";
import { MUTANTS } from "./mutants.ts";

const number = Number(process.argv[2]);
const ofChecks = CHECK_MUTANTS[number - MUTANTS.length];
const mutant = MUTANTS[number] ?? ofChecks;
const seeds = Number(process.argv[3]);
if (mutant === undefined) throw new RangeError("no such mutant");
const file = join(import.meta.dir, "../../src", mutant.file);

function mutate({ find, replace }: { find: string; replace: string }): string {
  const source = readFileSync(file, "utf8");
  const parts = source.split(find);
  if (parts.length !== 2) throw new RangeError(`found ${parts.length - 1} times: ${find}`);
  return parts.join(replace);
}

const contents = mutate(mutant);
let isUsed = false;
Bun.plugin({
  name: "mutant",
  setup(build) {
    build.onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      if (path !== file) return { contents: readFileSync(path, "utf8"), loader: "ts" };
      isUsed = true;
      return { contents, loader: "ts" };
    });
  },
});

// Loaded after the plugin stands, so that the mutant takes the place of the original.
const run = ofChecks === undefined ? await streamRuns() : await checkRuns();

async function streamRuns(): Promise<(seed: number) => Error | undefined> {
  const { runSeed } = await import("./run.ts");
  return (seed) => runSeed(seed).failure;
}

async function checkRuns(): Promise<(seed: number) => Error | undefined> {
  const { loadCheckPlan, runCheckSeed } = await import("./check-run.ts");
  const plan = await loadCheckPlan();
  return (seed) => runCheckSeed(seed, plan).failure;
}

let found: { seed: number; message: string } | undefined;
for (let seed = 1; seed <= seeds && found === undefined; seed++) {
  const failure = run(seed);
  if (failure !== undefined) found = { seed, message: `${failure.name}: ${failure.message}` };
}
process.stdout.write(`${JSON.stringify({ isUsed, found })}\n`);
