/**
 * `docs/limits.md` from src/base/limits.ts, its comments included, and from the sizes of the tables
 * that those maxima reserve.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import * as limits from "../src/base/limits.ts";
import { BACK_COUNT_STRIDE } from "../src/tables/generated/back-count.ts";
import { FRONT_COUNT_STRIDE } from "../src/tables/generated/front-count.ts";
import { LISTENER_STRIDE } from "../src/tables/generated/listener.ts";
import { PROXY_STRIDE } from "../src/tables/generated/proxy.ts";
import { QUEUE_STRIDE } from "../src/tables/generated/queue.ts";
import { SERVER_STRIDE } from "../src/tables/generated/server.ts";
import { SHARE_STRIDE } from "../src/tables/generated/share.ts";
import { STREAM_LOG_STRIDE } from "../src/tables/generated/stream-log.ts";
import { placeGuids } from "../src/tables/guid-places.ts";

/** One maximum, as its comment tells. */
export type LimitRow = {
  name: string;
  value: number;
  unit: string;
  reason: string;
  change: string;
};

const VALUES = new Map<string, number>(Object.entries(limits));

/** All maxima in the order of the file. @throws when a comment lacks its unit */
export function limitRows(): LimitRow[] {
  const text = readFileSync(join(import.meta.dir, "../src/base/limits.ts"), "utf8");
  const found = text.matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\/\nexport const (\w+) =/g);
  return [...found].map(([, comment = "", name = ""]) => {
    const words = comment.replace(/\n \* ?/g, " ").trim();
    const [reason = "", ...tags] = words.split(/ @(?=unit |change )/);
    const tag = (key: string): string | undefined =>
      tags.find((one) => one.startsWith(`${key} `))?.slice(key.length + 1);
    const unit = tag("unit");
    const value = VALUES.get(name);
    if (unit === undefined || value === undefined) throw new Error(`${name} has no unit or value`);
    return { name, value, unit: unit.trim(), reason, change: tag("change")?.trim() ?? "" };
  });
}

/** Bytes of address space of each kind of table at its maximum. `perWorker` comes once a thread. */
export function reservations(): { table: string; bytes: number; perWorker: boolean }[] {
  const row = (table: string, rows: number, stride: number, perWorker = false) => ({
    table,
    bytes: rows * stride * 4,
    perWorker,
  });
  const { PROXIES_MAX, LISTENERS_MAX, SERVERS_MAX } = limits;
  const objects = PROXIES_MAX + LISTENERS_MAX + SERVERS_MAX;
  return [
    row("proxies", PROXIES_MAX, PROXY_STRIDE),
    row("listeners", LISTENERS_MAX, LISTENER_STRIDE),
    row("servers", SERVERS_MAX, SERVER_STRIDE),
    row("queue entries", limits.QUEUE_ENTRIES_MAX, QUEUE_STRIDE),
    row("heaps, rings and maps", limits.ARENA_WORDS_MAX, 1),
    row("GUID index", placeGuids(limits.WORKERS_MAX + 1, objects).end, 1),
    row("counters of frontends", PROXIES_MAX, FRONT_COUNT_STRIDE, true),
    row("counters of backends", PROXIES_MAX, BACK_COUNT_STRIDE, true),
    row("counters of listeners", LISTENERS_MAX, FRONT_COUNT_STRIDE, true),
    row("counters of servers", SERVERS_MAX, BACK_COUNT_STRIDE, true),
    row("shares of servers", SERVERS_MAX, SHARE_STRIDE, true),
    row("inbox", limits.INBOX_ENTRIES, limits.INBOX_ENTRY_WORDS, true),
    row("log ring", limits.LOG_RING_RECORDS, STREAM_LOG_STRIDE, true),
  ];
}

/** `docs/limits.md`. */
export function limitsPage(): string {
  const lines = [
    "# Limits",
    "",
    "This page is generated from src/base/limits.ts (`bun scripts/generate-docs.ts`).",
    "",
    "Reaching a limit refuses or drops what is new and is told or counted; nothing grows without",
    "bound. Limits without a word in the last column are part of the build.",
    "",
    "| limit | value | unit | why | set by |",
    "|---|---:|---|---|---|",
  ];
  for (const { name, value, unit, reason, change } of limitRows()) {
    const word = change === "" ? "" : change.replace(/^([^,]+)/, "`$1`");
    lines.push(`| ${name} | ${value.toLocaleString("en")} | ${unit} | ${reason} | ${word} |`);
  }
  lines.push(
    "",
    "## Shared memory",
    "",
    "Address space that the tables reserve at the start. The system gives memory only for the rows",
    "that are used.",
    "",
    "| table | MiB | |",
    "|---|---:|---|",
  );
  for (const { table, bytes, perWorker } of reservations()) {
    const mebibytes = (bytes / 1_048_576).toLocaleString("en", { maximumFractionDigits: 1 });
    lines.push(`| ${table} | ${mebibytes} | ${perWorker ? "each worker" : ""} |`);
  }
  return `${lines.join("\n")}\n`;
}
