/** One seed of the simulation of checks. */
import type { Plan } from "../../src/tables/spec.ts";
import { loadText, planOf } from "../unit/config/load-text.ts";
import { CheckWorld } from "./check-world.ts";
import { Violation } from "./violation.ts";

const SERVERS = 6;

/** The plan that seeds vary. */
export async function loadCheckPlan(): Promise<Plan> {
  const servers = Array.from({ length: SERVERS }, (_, i) => ` server s${i} 127.0.0.1:1 check`);
  return planOf(await loadText(`defaults\n mode tcp\nbackend b\n${servers.join("\n")}\n`));
}

/** Runs it. @returns rare things that happened, and what was violated, if anything */
export function runCheckSeed(
  seed: number,
  plan: Plan,
): { marks: ReadonlySet<string>; failure?: Violation } {
  const world = new CheckWorld(seed, plan);
  try {
    world.run();
    return { marks: world.marks };
  } catch (error) {
    if (error instanceof Violation) return { marks: world.marks, failure: error };
    throw error;
  }
}
