/** Loads a backend's lines about checks: what its servers are asked, and what is said about it. */
import type { LoadInput } from "../../../../src/config/load.ts";
import type { CheckProgramSpec, CheckStepSpec } from "../../../../src/tables/spec.ts";
import { linesOf, loadText, planOf, proxyOf, TIMEOUTS } from "../load-text.ts";
import type { TestMachine } from "../load-text.ts";

/** What a test may add to a load. */
export type Surroundings = {
  /** Lines of `global`. */
  global?: string;
  /** A line of the defaults section, which has timeouts. */
  defaults?: string;
  /** The server line's words behind its name. */
  server?: string;
  /** Sections behind the backend. */
  more?: string;
  machine?: TestMachine;
} & Partial<LoadInput>;

/** Loads `lines` of backend `b`, whose first one is line 7 of `t.cfg`. */
export async function loadBackend(lines: string, around: Surroundings = {}) {
  const { global = "", defaults = "", server = "10.0.0.1:80 check", more = "", ...rest } = around;
  const backend = `backend b\n${lines}\n server s ${server}\n`;
  const text = `${TIMEOUTS} ${defaults}\n${backend}${more}\n`;
  return await loadText(global === "" ? text : `${text}global\n${global}\n`, rest);
}

/** What servers of the backend are asked. */
export async function programOf(
  lines: string,
  around: Surroundings = {},
): Promise<CheckProgramSpec> {
  return proxyOf(planOf(await loadBackend(lines, around)), "b").checkProgram;
}

/** Its steps, without where they were written. */
export async function stepsOf(
  lines: string,
  around: Surroundings = {},
): Promise<Partial<CheckStepSpec>[]> {
  const program = await programOf(lines, around);
  if (program.kind !== "tcp" && program.kind !== "http")
    throw new Error(`no steps: ${program.kind}`);
  return program.steps.map(({ origin: _origin, ...step }) => step);
}

/** What is said about the lines. */
export async function saidOf(lines: string, around: Surroundings = {}): Promise<string[]> {
  return linesOf(await loadBackend(lines, around));
}
