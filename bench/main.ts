/**
 * `./scripts/bench [OPTION…] [NAME…]`: sluice beside haproxy and nginx, in one run.
 * Prints a table of medians and ratios and writes bench/results.json. NAME picks workloads.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";

import { type ContestantName, CONTESTANTS, missingPart } from "./contestants.ts";
import { describeMachine, renderTable, resultsFile } from "./report.ts";
import { type Result, runPlan, WORKLOADS } from "./run.ts";
import { EFFORTS } from "./workload.ts";

const HELP = `usage: ./scripts/bench [OPTION...] [NAME...]

  --rounds N          interleaved rounds (default 3)
  --workers N[,N...]  numbers of workers (default 1,2)
  --only NAME[,...]   contestants: sluice, haproxy, nginx
  --quick | --tiny    shorter loads
  --out FILE          where the results go (default bench/results.json)

workloads:
${WORKLOADS.map((w) => `  ${w.name.padEnd(15)} ${w.what}`).join("\n")}
`;

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

function chooseContestants(only: string | undefined): ContestantName[] {
  const wanted = only?.split(",") ?? [...CONTESTANTS];
  const unknown = wanted.find((name) => !CONTESTANTS.some((known) => known === name));
  if (unknown !== undefined) fail(`no contestant '${unknown}': ${CONTESTANTS.join(", ")}`);
  return CONTESTANTS.filter((name) => {
    if (!wanted.includes(name)) return false;
    const missing = missingPart(name);
    if (missing !== undefined) console.error(`without ${name}: ${missing} is missing`);
    return missing === undefined;
  });
}

/** Measures, one workload after the other; what is done is reported even if a later one fails. */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: "string", default: "3" },
      workers: { type: "string", default: "1,2" },
      only: { type: "string" },
      quick: { type: "boolean", default: false },
      tiny: { type: "boolean", default: false },
      out: { type: "string", default: join(import.meta.dir, "results.json") },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  for (const tool of ["wrk", "iperf3", "nginx"]) {
    if (Bun.which(tool) === null) fail(`the benchmarks need ${tool} (Debian package of that name)`);
  }
  // A name stands for those that begin with it, too: `control` for `control-show` and the like.
  const isWanted = (name: string, workload: string): boolean =>
    workload === name || workload.startsWith(`${name}-`);
  const unknown = positionals.find((name) => !WORKLOADS.some((w) => isWanted(name, w.name)));
  if (unknown !== undefined) fail(`no workload '${unknown}'\n\n${HELP}`);
  const workloads = WORKLOADS.filter(
    (w) => positionals.length === 0 || positionals.some((name) => isWanted(name, w.name)),
  );
  const contestants = chooseContestants(values.only);
  const rounds = Number(values.rounds);
  const effort = values.tiny ? EFFORTS.tiny : values.quick ? EFFORTS.quick : EFFORTS.full;
  const workerCounts = values.workers.split(",").map(Number);
  if (![rounds, ...workerCounts].every((n) => Number.isInteger(n) && n > 0)) fail(HELP);

  const results: Result[] = [];
  const failures: string[] = [];
  const onStep = process.stderr.isTTY
    ? (text: string): void => void process.stderr.write(`\r\x1b[K${text}`)
    : undefined;
  for (const workload of workloads) {
    try {
      const plan = { workloads: [workload], contestants, workerCounts, rounds, effort };
      results.push(...(await runPlan({ ...plan, ...(onStep === undefined ? {} : { onStep }) })));
    } catch (error) {
      failures.push(`${workload.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (onStep !== undefined) process.stderr.write("\r\x1b[K");
  for (const [what, value] of Object.entries(describeMachine())) console.log(`${what}: ${value}`);
  console.log(`\n${renderTable(results, contestants)}`);
  await Bun.write(values.out, resultsFile(results, rounds));
  // The file is part of the project, whose format is checked.
  Bun.spawnSync([process.execPath, "fmt", "--no-script", values.out]);
  for (const failure of failures) console.error(`FAILED ${failure}`);
  return failures.length === 0 ? 0 : 1;
}

process.exit(await main());
