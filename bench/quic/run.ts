/**
 * Runs the benchmarks of QUIC in interleaved rounds, makes their table and the file of their
 * results. Ratios are to the transport alone: a relay receives and sends, and so do its two ends
 * together, whose CPU is counted there.
 */
import { quicLibraries } from "../../src/conduit/quic/native-quic.ts";
import { describeMachine, median, renderRows } from "../report.ts";
import type { Effort, Metric } from "../workload.ts";
import { missingQuicPart, QUIC_CONTESTANTS, type QuicContestant } from "./contestants.ts";
import { H3_CONTESTANTS, H3_METRICS, measureH3, missingH3Part } from "./h3.ts";
import { QUIC_WORKLOADS } from "./workloads.ts";

/** All rounds of one metric of one workload. */
export interface QuicResult {
  workload: string;
  what: string;
  workers: number;
  metric: Metric;
  /** A value per round, by contestant. */
  samples: Record<string, number[]>;
}

/** What to run. */
export interface QuicPlan {
  names: readonly string[];
  workerCounts: readonly number[];
  rounds: number;
  effort: Effort;
  onStep?(text: string): void;
}

const H3_NAME = "quic-h3";

/** Names of all workloads, and what they are. */
export const QUIC_NAMES: readonly { name: string; what: string }[] = [
  ...QUIC_WORKLOADS,
  { name: H3_NAME, what: "HTTP/3 by session mapping beside programs that terminate it" },
];

/** A workload with its contestants. */
type Bench = {
  name: string;
  what: string;
  metrics: readonly Metric[];
  contestants: readonly string[];
  hasWorkers: boolean;
  isOnce: boolean;
  run(contestant: string, workers: number, effort: Effort): Promise<number[]>;
};

function benches(names: readonly string[]): Bench[] {
  const quic = QUIC_WORKLOADS.map((workload): Bench => {
    const able = (workload.contestants ?? QUIC_CONTESTANTS).filter(
      (name) => missingQuicPart(name) === undefined,
    );
    const run = (name: string, workers: number, effort: Effort): Promise<number[]> =>
      workload.run(name as QuicContestant, workers, effort);
    const { isOnce = false } = workload;
    return { ...workload, contestants: able, hasWorkers: !isOnce, isOnce, run };
  });
  const h3: Bench = {
    name: H3_NAME,
    what: QUIC_NAMES.at(-1)?.what ?? "",
    metrics: H3_METRICS,
    contestants: H3_CONTESTANTS.filter((name) => missingH3Part(name) === undefined),
    hasWorkers: false,
    isOnce: false,
    run: (name, _workers, effort) => measureH3(name as (typeof H3_CONTESTANTS)[number], effort),
  };
  return [...quic, h3].filter((one) => names.includes(one.name));
}

/** Runs the plan; what fails is told in `failures`, and the rest goes on. */
export async function runQuic(
  plan: QuicPlan,
): Promise<{ results: QuicResult[]; failures: string[] }> {
  const results: QuicResult[] = [];
  const failures: string[] = [];
  for (const bench of benches(plan.names)) {
    for (const workers of bench.hasWorkers ? plan.workerCounts : [1]) {
      const rows = bench.metrics.map((metric): QuicResult => {
        return { workload: bench.name, what: bench.what, workers, metric, samples: {} };
      });
      results.push(...rows);
      for (let round = 0; round < (bench.isOnce ? 1 : plan.rounds); round++) {
        for (let turn = 0; turn < bench.contestants.length; turn++) {
          const name = bench.contestants[(turn + round) % bench.contestants.length] ?? "";
          // Nothing of these has workers: once is enough.
          const isFixed = name === "transport" || name === "node:quic";
          if (isFixed && workers !== plan.workerCounts[0]) continue;
          plan.onStep?.(`${bench.name}, ${workers} workers, round ${round + 1}: ${name}`);
          try {
            const values = await bench.run(name, workers, plan.effort);
            for (const [i, row] of rows.entries()) {
              (row.samples[name] ??= []).push(values[i] ?? Number.NaN);
            }
          } catch (error) {
            const text = error instanceof Error ? error.message : String(error);
            failures.push(`${bench.name}, ${name}, ${workers} workers: ${text}`);
          }
        }
      }
    }
  }
  return { results, failures };
}

const OWN: readonly string[] = ["tcp-quic", "quic-tcp", "quic-quic", "session"];
const NODE_GOAL = 0.5;

/** One table for the contestants of QUIC, one for those of HTTP/3. */
export function renderQuic(results: readonly QuicResult[]): string {
  const tables = [
    renderTable(
      results.filter((one) => one.workload !== H3_NAME),
      QUIC_CONTESTANTS,
    ),
    renderTable(
      results.filter((one) => one.workload === H3_NAME),
      H3_CONTESTANTS,
    ),
  ];
  return tables.filter((text) => text !== "").join("\n\n");
}

function renderTable(results: readonly QuicResult[], contestants: readonly string[]): string {
  if (results.length === 0) return "";
  const shown = contestants.filter((name) =>
    results.some((one) => one.samples[name] !== undefined),
  );
  const head = ["workload", "workers", "metric", ...shown, "aim"];
  const rows = results.map((result) => [
    result.workload,
    String(result.workers),
    `${result.metric.name} (${result.metric.unit})`,
    ...shown.map((name) => number(median(result.samples[name] ?? []))),
    aimOf(result, results),
  ]);
  return renderRows([head, ...rows]);
}

/** The worst of sluice's own against the aim. */
function aimOf(result: QuicResult, all: readonly QuicResult[]): string {
  const { goal, valueMax } = result.metric;
  const own = OWN.map((name) => median(result.samples[name] ?? [])).filter((n) => !Number.isNaN(n));
  if (own.length === 0) return "";
  const worst = Math.max(...own);
  if (valueMax !== undefined) return `≤ ${valueMax}: ${worst <= valueMax ? "met" : "MISSED"}`;
  if (goal === undefined) return "";
  const fixed = (name: string): number => {
    const same = all.find(
      (one) =>
        one.workload === result.workload &&
        one.metric === result.metric &&
        one.samples[name] !== undefined,
    );
    return median(same?.samples[name] ?? []);
  };
  const aims = [
    ["transport", goal],
    ["node:quic", NODE_GOAL],
  ] as const;
  return aims
    .filter(([name]) => !Number.isNaN(fixed(name)))
    .map(([name, most]) => {
      const ratio = worst / fixed(name);
      return `${ratio.toFixed(2)} × ${name} (≤ ${most}: ${ratio <= most ? "met" : "MISSED"})`;
    })
    .join(", ");
}

function number(value: number): string {
  if (Number.isNaN(value)) return "-";
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** What the file of results holds: every sample, with the medians beside them. */
export function quicResultsFile(results: readonly QuicResult[], rounds: number): string {
  const rows = results.map((result) => {
    const medians = Object.fromEntries(
      Object.entries(result.samples).map(([name, values]) => [name, median(values)]),
    );
    return { ...result, medians };
  });
  const machine = { ...describeMachine(), libraries: quicLibraries() };
  return `${JSON.stringify({ machine, rounds, results: rows }, null, 2)}\n`;
}
