/**
 * From a failing seed to a short trace: simpler options first, then fewer draws. Bounded by a
 * number of runs and not by time, so that the same seed gives the same report, byte for byte.
 */
import { ACTIONS } from "./options.ts";
import type { SimOptions } from "./options.ts";
import { kindOf, optionsOf, runSeed } from "./run.ts";
import type { Run } from "./run.ts";

/** Runs spent on making a trace shorter. */
const RUNS_MAX = 400;
/** Lines of a trace that are printed; the end is what matters. */
const LINES_MAX = 200;

/** Parts of the options that are tried in a plainer form. */
const PLAINER: readonly ((options: SimOptions) => SimOptions)[] = [
  (options) => ({ ...options, interrupt: 0 }),
  (options) => ({ ...options, dieInside: 0 }),
  (options) => ({ ...options, workers: Math.min(options.workers, 2) }),
  (options) => ({ ...options, workers: 1 }),
  (options) => ({ ...options, proxies: options.proxies.slice(0, 1) }),
  (options) => ({ ...options, clientsMax: Math.min(options.clientsMax, 3) }),
  (options) => ({ ...options, payloadBytesMax: Math.min(options.payloadBytesMax, 20) }),
  (options) => ({ ...options, conduit: "pipe" }),
  (options) => ({ ...options, processMaxconn: 0 }),
  (options) => ({ ...options, queueEntries: 64 }),
  (options) => ({ ...options, habits: { ...options.habits, shortWrite: 0, spuriousDrain: 0 } }),
  ...ACTIONS.filter((action) => action !== "deliver").map(
    (action) =>
      (options: SimOptions): SimOptions => ({
        ...options,
        weights: { ...options.weights, [action]: 0 },
      }),
  ),
];

/** Everything about a failing seed, for people: seed, options, what broke, the shortest trace. */
export function reportFailure(seed: number): string {
  const first = runSeed(seed);
  if (first.failure === undefined) return `seed ${seed}: nothing is broken`;
  const kind = kindOf(first.failure);
  let runs = 0;
  let stepsMax = first.steps;
  const fails = (options: SimOptions, draws?: readonly number[]): Run | undefined => {
    if (runs >= RUNS_MAX) return undefined;
    runs++;
    const wishes = draws === undefined ? { options } : { options, draws };
    const run = runSeed(seed, { ...wishes, recorded: true, stepsMax });
    if (run.failure === undefined || kindOf(run.failure) !== kind) return undefined;
    stepsMax = Math.min(stepsMax, run.steps);
    return run;
  };
  let options = optionsOf(seed);
  for (const makePlainer of PLAINER) {
    const plainer = makePlainer(options);
    if (fails(plainer) !== undefined) options = plainer;
  }
  const recorded = runSeed(seed, { options, recorded: true, stepsMax });
  const draws = dropDraws(recorded.draws, (fewer) => fails(options, fewer)?.draws);
  const run = runSeed(seed, { options, draws, traced: true, stepsMax });
  return describe(seed, first, run, runs);
}

/** Leaves out ever smaller pieces of the draws while the failure stays. */
function dropDraws(
  draws: readonly number[],
  fails: (draws: readonly number[]) => readonly number[] | undefined,
): readonly number[] {
  let best = draws;
  for (let size = Math.ceil(best.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.length; at += size) {
      const fewer = [...best.slice(0, at), ...best.slice(at + size)];
      const used = fails(fewer);
      // A run that used fewer draws than it was given is told by what it used.
      if (used !== undefined && used.length < best.length) best = used;
    }
  }
  return best;
}

function describe(seed: number, first: Run, shortest: Run, runs: number): string {
  const { trace } = shortest;
  const shown = trace.slice(-LINES_MAX);
  const cut = trace.length - shown.length;
  return [
    `seed ${seed} fails: ${first.failure?.message}`,
    `repeat it: scripts/test sim --seed ${seed}`,
    `options: ${JSON.stringify(first.options)}`,
    `shortest trace found (${trace.length} lines, ${runs} runs), with the options`,
    `${JSON.stringify(shortest.options)}:`,
    ...(cut > 0 ? [`  … ${cut} lines`] : []),
    ...shown.map((line) => `  ${line}`),
    `  ${shortest.failure?.name}: ${shortest.failure?.message}`,
    `  ${shortest.failure?.stack?.split("\n").slice(1, 9).join("\n  ") ?? ""}`,
  ].join("\n");
}
