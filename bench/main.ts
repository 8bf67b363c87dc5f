/**
 * `./scripts/bench [OPTION…] [NAME…]`: sluice beside haproxy and nginx, in one run.
 * Prints a table of medians and ratios and writes bench/results.json. NAME picks workloads; `quic`
 * and its kin run QUIC's, which have contestants of their own and write bench/results-quic.json,
 * and `checks` and its kin those of health checks, which write bench/results-checks.json.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";

import { CHECKS_NAMES, checksResultsFile, renderChecks, runChecks } from "./checks/run.ts";
import { type ContestantName, CONTESTANTS, missingPart } from "./contestants.ts";
import { QUIC_NAMES, quicResultsFile, renderQuic, runQuic } from "./quic/run.ts";
import { describeMachine, renderTable, resultsFile } from "./report.ts";
import { type Result, runPlan, WORKLOADS } from "./run.ts";
import { EFFORTS } from "./workload.ts";

const HELP = `usage: ./scripts/bench [OPTION...] [NAME...]

  --rounds N          interleaved rounds (default 3)
  --workers N[,N...]  numbers of workers (default 1,2)
  --only NAME[,...]   contestants: sluice, haproxy, nginx (not for QUIC)
  --quick | --tiny    shorter loads
  --out FILE          where the results go (default bench/results.json, results-quic.json,
                      results-checks.json)

workloads:
${WORKLOADS.map((w) => `  ${w.name.padEnd(17)} ${w.what}`).join("\n")}

workloads of QUIC, run when they are named ('quic' is all of them):
${QUIC_NAMES.map((w) => `  ${w.name.padEnd(17)} ${w.what}`).join("\n")}

workloads of health checks, run when they are named ('checks' is all of them), as root:
${CHECKS_NAMES.map((w) => `  ${w.name.padEnd(17)} ${w.what}`).join("\n")}
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
      out: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  // A name stands for those that begin with it, too: `control` for `control-show` and the like.
  const isWanted = (name: string, workload: string): boolean =>
    workload === name || workload.startsWith(`${name}-`);
  const known = [...WORKLOADS, ...QUIC_NAMES, ...CHECKS_NAMES];
  const unknown = positionals.find((name) => !known.some((w) => isWanted(name, w.name)));
  if (unknown !== undefined) fail(`no workload '${unknown}'\n\n${HELP}`);
  const workloads = WORKLOADS.filter(
    (w) => positionals.length === 0 || positionals.some((name) => isWanted(name, w.name)),
  );
  const quic = QUIC_NAMES.filter((w) => positionals.some((name) => isWanted(name, w.name)));
  const checks = CHECKS_NAMES.filter((w) => positionals.some((name) => isWanted(name, w.name)));
  const rounds = Number(values.rounds);
  const effort = values.tiny ? EFFORTS.tiny : values.quick ? EFFORTS.quick : EFFORTS.full;
  const workerCounts = values.workers.split(",").map(Number);
  if (![rounds, ...workerCounts].every((n) => Number.isInteger(n) && n > 0)) fail(HELP);

  const onStep = process.stderr.isTTY
    ? (text: string): void => void process.stderr.write(`\r\x1b[K${text}`)
    : undefined;
  const steps = onStep === undefined ? {} : { onStep };
  if (checks.length > 0) {
    if (workloads.length + quic.length > 0) fail("run the benchmarks of checks apart");
    const done = await runChecks({ names: checks.map((w) => w.name), rounds, effort, ...steps });
    const text = checksResultsFile(done.results, rounds);
    const out = values.out ?? join(import.meta.dir, "results-checks.json");
    return await tell(renderChecks(done.results), text, out, done);
  }
  if (quic.length > 0) {
    if (workloads.length > 0) fail("run the benchmarks of QUIC apart from the others");
    const names = quic.map((w) => w.name);
    const done = await runQuic({ names, workerCounts, rounds, effort, ...steps });
    const text = quicResultsFile(done.results, rounds);
    return await tell(
      renderQuic(done.results),
      text,
      values.out ?? join(import.meta.dir, "results-quic.json"),
      done,
    );
  }
  for (const tool of ["wrk", "iperf3", "nginx"]) {
    if (Bun.which(tool) === null) fail(`the benchmarks need ${tool} (Debian package of that name)`);
  }
  const contestants = chooseContestants(values.only);
  const results: Result[] = [];
  const failures: string[] = [];
  for (const workload of workloads) {
    try {
      const plan = { workloads: [workload], contestants, workerCounts, rounds, effort };
      results.push(...(await runPlan({ ...plan, ...steps })));
    } catch (error) {
      failures.push(`${workload.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const table = renderTable(results, contestants);
  const text = resultsFile(results, rounds);
  return await tell(table, text, values.out ?? join(import.meta.dir, "results.json"), { failures });
}

/** Prints the table, writes the file of results; the exit code. */
async function tell(
  table: string,
  text: string,
  out: string,
  { failures }: { failures: readonly string[] },
): Promise<number> {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  for (const [what, value] of Object.entries(describeMachine())) console.log(`${what}: ${value}`);
  console.log(`\n${table}`);
  await Bun.write(out, text);
  // The file is part of the project, whose format is checked.
  Bun.spawnSync([process.execPath, "fmt", "--no-script", out]);
  for (const failure of failures) console.error(`FAILED ${failure}`);
  return failures.length === 0 ? 0 : 1;
}

process.exit(await main());
