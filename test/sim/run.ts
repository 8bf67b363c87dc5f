/** Runs one seed, or one list of draws, and says how it ended. */
import { Choices } from "../support/sim-random.ts";
import { step } from "./actions.ts";
import { endRun } from "./ending.ts";
import { Marks } from "./marks.ts";
import { drawOptions } from "./options.ts";
import type { SimOptions } from "./options.ts";
import { Violation } from "./violation.ts";
import { World } from "./world.ts";

/** How a run ended. */
export type Run = {
  options: SimOptions;
  marks: Marks;
  steps: number;
  /** Undefined = nothing was broken. */
  failure: Error | undefined;
  /** What happened, if it was asked for. */
  trace: string[];
  /** Draws of the steps, if they were asked for. */
  draws: number[];
};

export type RunWishes = {
  /** Options in place of the seed's own. */
  options?: SimOptions;
  /** Draws of the steps in place of the seed's own. */
  draws?: readonly number[];
  traced?: boolean;
  recorded?: boolean;
  /** The run is given up after so many steps, as one that breaks nothing. */
  stepsMax?: number;
};

/** Steps draw from another stream of numbers than options, so that either can be changed alone. */
const STEPS_SEED = 0x5bd1e995;

/** Options of a seed. */
export function optionsOf(seed: number): SimOptions {
  return drawOptions(new Choices(seed, false, null));
}

/** Simulates one seed. The same arguments give the same run, to the last byte of its trace. */
export function runSeed(seed: number, wishes: RunWishes = {}): Run {
  const options = wishes.options ?? optionsOf(seed);
  const choices = new Choices(seed ^ STEPS_SEED, wishes.recorded ?? false, wishes.draws ?? null);
  const trace: string[] = [];
  let world: World | undefined;
  let failure: Error | undefined;
  try {
    world = new World(options, choices, wishes.traced === true ? trace : null);
    const stepsMax = wishes.stepsMax ?? Infinity;
    for (let i = 0; i < options.steps && world.stepCount < stepsMax; i++) step(world);
    endRun(world, stepsMax);
  } catch (error) {
    failure = error instanceof Error ? error : new Violation(String(error));
  }
  return {
    options,
    marks: world?.marks ?? new Marks(),
    steps: world?.stepCount ?? 0,
    failure,
    trace,
    draws: choices.record ?? [],
  };
}

/** What was broken, without the detail: two runs with the same have found the same. */
export function kindOf(failure: Error): string {
  return `${failure.name}: ${failure.message.split(":")[0]}`;
}
