/** Medians, ratios to haproxy, the table, and the file of raw results. */
import { cpus, release } from "node:os";

import { type ContestantName, CONTESTANTS, missingPart, versionOf } from "./contestants.ts";
import type { Result } from "./run.ts";

const REFERENCE: ContestantName = "haproxy";

/** Middle of the values; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  if (sorted.length % 2 === 1) return upper;
  return ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Median over the rounds of `contestant` against haproxy, or undefined if either is missing. */
export function ratioToReference(result: Result, contestant: ContestantName): number | undefined {
  const own = result.samples[contestant];
  const reference = result.samples[REFERENCE];
  if (own === undefined || reference === undefined) return undefined;
  return median(own.map((value, round) => value / (reference[round] ?? Number.NaN)));
}

/** One row per metric: medians, ratios, and whether the goal is met. */
export function renderTable(results: readonly Result[], contestants: readonly ContestantName[]) {
  const others = contestants.filter((name) => name !== REFERENCE);
  const head = ["workload", "workers", "metric", ...contestants];
  head.push(...others.map((name) => `${name}/${REFERENCE}`), "goal");
  const rows = results.map((result) => [
    result.workload,
    String(result.workers),
    `${result.metric.name} (${result.metric.unit})`,
    ...contestants.map((name) => number(median(result.samples[name] ?? []))),
    ...others.map((name) => ratio(ratioToReference(result, name))),
    goalOf(result),
  ]);
  return renderRows([head, ...rows]);
}

function goalOf(result: Result): string {
  const { goal, valueMax } = result.metric;
  if (goal !== undefined) return verdict("ratio", goal, ratioToReference(result, "sluice"));
  const own = result.samples["sluice"];
  if (valueMax === undefined) return "";
  return verdict("value", valueMax, own === undefined ? undefined : median(own));
}

function verdict(what: string, most: number, reached: number | undefined): string {
  const goal = `${what} ≤ ${most}`;
  if (reached === undefined) return goal;
  return `${goal} ${reached <= most ? "met" : "MISSED"}`;
}

function number(value: number): string {
  if (Number.isNaN(value)) return "-";
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

function ratio(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? "-" : value.toFixed(2);
}

/** A Markdown table, padded so that it reads well on a terminal too. */
export function renderRows(rows: readonly string[][]): string {
  const widths = rows[0]?.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  const lines = rows.map(
    (row) => `| ${row.map((cell, i) => cell.padEnd(widths?.[i] ?? 0)).join(" | ")} |`,
  );
  const rule = `|${(widths ?? []).map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [lines[0], rule, ...lines.slice(1)].join("\n");
}

/** The machine and the versions, for whoever compares two files. */
export function describeMachine(): Record<string, string> {
  const cpu = cpus();
  const versions = CONTESTANTS.filter((name) => missingPart(name) === undefined).map(
    (name) => [name, versionOf(name)] as const,
  );
  return {
    cpu: `${cpu.length} × ${cpu[0]?.model ?? "unknown"}`,
    kernel: release(),
    date: new Date().toISOString(),
    ...Object.fromEntries(versions),
  };
}

/** What `bench/results.json` holds: every sample, with medians and ratios beside them. */
export function resultsFile(results: readonly Result[], rounds: number): string {
  const rows = results.map((result) => {
    const names = CONTESTANTS.filter((name) => result.samples[name] !== undefined);
    const of = (value: (name: ContestantName) => number | undefined): Record<string, unknown> =>
      Object.fromEntries(names.map((name) => [name, value(name)]));
    return {
      ...result,
      medians: of((name) => median(result.samples[name] ?? [])),
      ratiosToHaproxy: of((name) => ratioToReference(result, name)),
    };
  });
  return `${JSON.stringify({ machine: describeMachine(), rounds, results: rows }, null, 2)}\n`;
}
