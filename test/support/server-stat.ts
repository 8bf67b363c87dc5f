/** What a balancer says of its servers: rows of `show stat`, `show servers state`, the log. */
import { askApiPort } from "./api.ts";
import type { Syslog } from "./peers.ts";

/** Cells of one row of `show stat`. @param port of the runtime API */
export async function statOf(
  port: number,
  proxy: string,
  server: string,
  columns: readonly string[],
): Promise<Record<string, string>> {
  const lines = (await askApiPort(port, "show stat")).split("\n");
  const names = (lines[0] ?? "").replace(/^# /, "").split(",");
  const row = lines.map((line) => line.split(",")).find(([p, s]) => p === proxy && s === server);
  if (row === undefined) throw new Error(`show stat has no ${proxy}/${server}`);
  return Object.fromEntries(columns.map((name) => [name, row[names.indexOf(name)] ?? "?"]));
}

/** Fields of one line of `show servers state`. */
export async function stateOf(
  port: number,
  backend: string,
  server: string,
  fields: readonly string[],
): Promise<Record<string, string>> {
  const lines = (await askApiPort(port, "show servers state")).split("\n");
  const names = (lines[1] ?? "").replace(/^# /, "").split(" ");
  const row = lines
    .map((line) => line.split(" "))
    .find(([, b, , s]) => b === backend && s === server);
  if (row === undefined) throw new Error(`show servers state has no ${backend}/${server}`);
  return Object.fromEntries(fields.map((name) => [name, row[names.indexOf(name)] ?? "?"]));
}

/** Lines of the log that match, without stamps and durations; waits for `count` of them. */
export async function stateLines(
  syslog: Syslog,
  pattern: RegExp,
  count: number,
): Promise<string[]> {
  const lines = await syslog.matching(pattern, count);
  return lines.map((line) =>
    line.replace(/^(<\d+>).*?\[\d+\]: /, "$1 ").replace(/duration: \d+ms/, "duration: N"),
  );
}
