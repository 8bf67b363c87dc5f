/** Runs the benchmarks of checks in interleaved rounds, makes their table and their file. */
import { describeMachine, median, renderRows } from "../report.ts";
import type { Effort, Metric } from "../workload.ts";
import { CHECKS_CONTESTANTS, missingChecksPart } from "./contestants.ts";
import type { ChecksContestant } from "./contestants.ts";
import { CHECKS_METRICS, CHECKS_WORKLOADS, measureChecks } from "./measure.ts";
import type { ChecksPart } from "./measure.ts";

/** All rounds of one metric of one workload. */
export interface ChecksResult {
  workload: string;
  what: string;
  metric: Metric;
  /** A value per round, by contestant. */
  samples: Partial<Record<ChecksContestant, number[]>>;
}

/** What to run. */
export interface ChecksPlan {
  names: readonly string[];
  rounds: number;
  effort: Effort;
  onStep?(text: string): void;
}

/** Names of all workloads, and what they are. */
export const CHECKS_NAMES: readonly { name: string; what: string }[] = CHECKS_WORKLOADS;

/** Runs the plan; what fails is told in `failures`, and the rest goes on. */
export async function runChecks(
  plan: ChecksPlan,
): Promise<{ results: ChecksResult[]; failures: string[] }> {
  const results: ChecksResult[] = [];
  const failures: string[] = [];
  const contestants = CHECKS_CONTESTANTS.filter((name) => {
    const missing = missingChecksPart(name);
    if (missing !== undefined) failures.push(`without ${name}: ${missing} is missing`);
    return missing === undefined;
  });
  for (const workload of CHECKS_WORKLOADS.filter((one) => plan.names.includes(one.name))) {
    const { name, what } = workload;
    const rows = CHECKS_METRICS.map((metric): ChecksResult => {
      return { workload: name, what, metric, samples: {} };
    });
    const isMeasured = (part?: ChecksPart): boolean =>
      part === undefined || workload.parts.includes(part);
    results.push(...rows.filter((_, i) => isMeasured(CHECKS_METRICS[i]?.part)));
    for (let round = 0; round < plan.rounds; round++) {
      for (let turn = 0; turn < contestants.length; turn++) {
        const contestant = contestants[(turn + round) % contestants.length];
        if (contestant === undefined) continue;
        plan.onStep?.(`${name}, round ${round + 1}: ${contestant}`);
        try {
          const values = await measureChecks(contestant, workload, plan.effort);
          for (const [i, row] of rows.entries()) {
            (row.samples[contestant] ??= []).push(values[i] ?? Number.NaN);
          }
        } catch (error) {
          const text = error instanceof Error ? error.message : String(error);
          failures.push(`${name}, ${contestant}: ${text}`);
        }
      }
    }
  }
  return { results, failures };
}

/** One row per metric: medians, their ratio, and whether the aim is met. */
export function renderChecks(results: readonly ChecksResult[]): string {
  const head = ["workload", "metric", ...CHECKS_CONTESTANTS, "sluice/haproxy", "aim"];
  const rows = results.map(({ workload, metric, samples }) => {
    const [own, other] = CHECKS_CONTESTANTS.map((name) => median(samples[name] ?? []));
    const { valueMax } = metric;
    const isMet = valueMax !== undefined && (own ?? Number.NaN) <= valueMax;
    return [
      workload,
      `${metric.name} (${metric.unit})`,
      number(own),
      number(other),
      number((own ?? Number.NaN) / (other || Number.NaN)),
      valueMax === undefined ? "" : `≤ ${valueMax}: ${isMet ? "met" : "MISSED"}`,
    ];
  });
  return renderRows([head, ...rows]);
}

function number(value = Number.NaN): string {
  if (Number.isNaN(value)) return "-";
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** What the file of results holds: every sample, with the medians beside them. */
export function checksResultsFile(results: readonly ChecksResult[], rounds: number): string {
  const rows = results.map((result) => {
    const medians = Object.fromEntries(
      Object.entries(result.samples).map(([name, values]) => [name, median(values)]),
    );
    return { ...result, medians };
  });
  return `${JSON.stringify({ machine: describeMachine(), rounds, results: rows }, null, 2)}\n`;
}
