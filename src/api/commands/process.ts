/**
 * What the process is made of and does, for whoever looks for the cause of something: workers, CPU,
 * memory, libraries, the machine (HAProxy management manual 9.3). HAProxy promises no format for
 * these; sluice keeps its shape and says what sluice has.
 */
import { Refusal } from "../../base/refusals.ts";
import type { Control } from "../../control/control.ts";
import {
  ACTIVITY,
  inboxLength,
  mutationsBehind,
  workerNumbers,
} from "../../control/stats/activity.ts";
import { infoFacts } from "../../control/stats/info.ts";
import { observersOf } from "../../control/stats/observers.ts";
import { listPools, sumPools } from "../../control/stats/pools.ts";
import type { Pool } from "../../control/stats/pools.ts";
import { nameWorkerState } from "../../tables/generated/enums.ts";
import {
  WORKER_CPU_MICROS,
  WORKER_STATE,
  WORKER_STREAMS,
  WORKER_STRIDE,
} from "../../tables/generated/worker.ts";
import { output } from "../command.ts";
import type { Call, Command, Reply } from "../command.ts";

/** How long a worker may take to say that it lives, ms. */
const PING_MS = 1000;
/** Nothing to say. */
const DONE: Reply = { kind: "output", text: "" };

/** The commands. */
export const PROCESS_COMMANDS: readonly Command[] = [
  {
    name: "show activity",
    usage: "[-1|0|thread_num]",
    summary: "show per-thread activity stats (for support/developers)",
    level: "user",
    run: showActivity,
  },
  {
    name: "show threads",
    usage: "",
    summary: "show some threads debugging information",
    level: "user",
    run: showThreads,
  },
  {
    name: "show pools",
    usage: "[by*] [detailed] [match <pfx>] [nb]",
    summary: "report information about the memory pools usage",
    level: "user",
    run: showPools,
  },
  {
    name: "show profiling",
    usage: "[<what>|<#lines>|<opts>]*",
    summary: "show profiling state (all,status,tasks,memory)",
    level: "user",
    run: showProfiling,
  },
  {
    name: "set profiling",
    usage: "<what> {auto|on|off}",
    summary: "enable/disable resource profiling (tasks,memory)",
    level: "admin",
    run: setProfiling,
  },
  {
    name: "show tasks",
    usage: "",
    summary: "show running tasks",
    level: "user",
    run: showTasks,
  },
  {
    name: "show startup-logs",
    usage: "",
    summary: "report logs emitted during HAProxy startup",
    level: "user",
    run: ({ control }) => {
      const lines = control.startupLines.map((line) => `${line.replace(/\n+$/, "")}\n`);
      return output(lines.join(""), control.startupLines);
    },
  },
];

function showActivity({ control, args }: Call): Reply {
  const { tables, clock } = control;
  const { activity } = observersOf(control);
  const workers = workerNumbers(tables);
  const wanted = /^-?\d+$/.test(args[0] ?? "") ? Number(args[0]) : -1;
  if (wanted > workers.length) {
    throw new Refusal("BAD_ARGUMENT", `Thread numbers range from 1 to ${workers.length}.`);
  }
  const seconds = (clock.epochMicros() / 1e6).toFixed(6);
  const lines = [`thread_id: 0 (1..${workers.length})`, `date_now: ${seconds}`];
  const data: Record<string, number | number[]> = {};
  for (const [index, { name }] of ACTIVITY.entries()) {
    const values = activity.read(index);
    data[name] = values;
    lines.push(`${name}: ${columnsOf(values, wanted)}`);
  }
  lines.push(`workers_lost: ${control.pool.losses}`);
  return output(lines.join("\n"), data);
}

/** The total and, in brackets, each; or the one that was asked for. */
function columnsOf(values: readonly number[], wanted: number): string {
  const total = values.reduce((sum, value) => sum + value, 0);
  if (wanted > 0) return String(values[wanted - 1]);
  return wanted === 0 || values.length === 1 ? String(total) : `${total} [ ${values.join(" ")} ]`;
}

/** Asks each worker whether it lives: one that is stuck is marked with `>`. */
async function showThreads({ control }: Call): Promise<Reply> {
  const { tables, pool } = control;
  const blocks = await Promise.all(
    workerNumbers(tables).map(async (number) => {
      const begunMs = control.clock.nowMs();
      const told = await pool.ask(number, { kind: "ping" }, PING_MS);
      const tookMs = control.clock.nowMs() - begunMs;
      return describeThread(control, number, told.kind === "answer" ? tookMs : undefined);
    }),
  );
  return output(
    blocks.map(({ text }) => text).join(""),
    blocks.map(({ data }) => data),
  );
}

/** @param tookMs how long it took to answer; undefined = it did not */
function describeThread(control: Control, number: number, tookMs: number | undefined) {
  const { tables } = control;
  const { sampler } = observersOf(control);
  const row = number * WORKER_STRIDE;
  const { words, floats } = tables.workers;
  const data = {
    worker: number,
    state: nameWorkerState(words[row + WORKER_STATE]!),
    streams: words[row + WORKER_STREAMS]!,
    cpuMicros: Math.round(floats[(row + WORKER_CPU_MICROS) >> 1]!),
    busyPercent: Math.round(100 * sampler.busyShare(number)),
    inbox: inboxLength(tables, number),
    mutationsBehind: mutationsBehind(tables, number),
    answeredMs: tookMs ?? null,
  };
  const answer = tookMs === undefined ? "no answer" : `answered in ${tookMs.toFixed(3)} ms`;
  const text =
    `${tookMs === undefined ? ">" : " "} Thread ${number} : state=${data.state}` +
    ` streams=${data.streams} inbox=${data.inbox} behind=${data.mutationsBehind}\n` +
    `             cpu_us=${data.cpuMicros} busy=${data.busyPercent}% (${answer})\n`;
  return { text, data };
}

/** What `show pools` may be told. */
const POOL_ORDERS: Record<string, (a: Pool, b: Pool) => number> = {
  byname: (a, b) => (a.name < b.name ? -1 : 1),
  bysize: (a, b) => b.itemBytes - a.itemBytes,
  byusage: (a, b) => b.used * b.itemBytes - a.used * a.itemBytes,
};

function showPools({ control, args }: Call): Reply {
  let pools = listPools(control.shop);
  let most = Number.POSITIVE_INFINITY;
  let isDetailed = false;
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!;
    if (Object.hasOwn(POOL_ORDERS, word)) pools.sort(POOL_ORDERS[word]);
    if (word === "byusage") pools = pools.filter(({ used }) => used > 0);
    if (word === "detailed") isDetailed = true;
    if (word === "match") {
      const prefix = args[++at] ?? "";
      pools = pools.filter(({ name }) => name.startsWith(prefix));
    } else if (/^\d+$/.test(word)) most = Number(word);
  }
  const lines = pools.slice(0, most).map((pool) => poolLine(pool, isDetailed));
  const { allocated, used } = sumPools(pools);
  const total = `Total: ${pools.length} pools, ${allocated} bytes allocated, ${used} used.`;
  const text = ["Dumping pools usage. Rows are reserved, memory is used for those taken."];
  const data = pools.map((pool) => ({ ...pool }));
  return output([...text, ...lines, total].join("\n"), data);
}

function poolLine(pool: Pool, isDetailed: boolean): string {
  const { name, itemBytes, allocated, used, most } = pool;
  const room = isDetailed ? `, room for ${most} (${most * itemBytes} bytes reserved)` : "";
  const memory = `${allocated} allocated (${allocated * itemBytes} bytes)`;
  return `  - Pool ${name} (${itemBytes} bytes) : ${memory}, ${used} used${room}`;
}

const STATUS_WIDTH = 36;
const VALUE_WIDTH = 14;

function showProfiling({ control, args }: Call): Reply {
  const { profile } = observersOf(control);
  const kinds = ["status", "tasks", "memory"];
  const named = args.filter((word) => kinds.includes(word));
  const wants = (kind: string): boolean => named.length === 0 || named.includes(kind);
  const lines: string[] = [];
  if (wants("status")) {
    lines.push(
      statusLine("Per-task CPU profiling", profile.mode, "set profiling tasks {on|auto|off}"),
      statusLine("Memory usage profiling", "off", "set profiling memory {on|off}"),
    );
  }
  const rows = profile.mode === "off" ? [] : profileRows(control);
  if (wants("tasks")) {
    lines.push("Tasks activity:", "  function        streams   accepted   cpu_tot   share");
    for (const { name, streams, accepted, cpuMs, percent } of rows) {
      lines.push(
        `  ${name.padEnd(14)}${pad(streams, 9)}${pad(accepted, 11)}` +
          `${pad(`${cpuMs}ms`, 10)}${pad(`${percent}%`, 8)}`,
      );
    }
  }
  return output(`${lines.join("\n")}\n`, { mode: profile.mode, workers: rows });
}

const pad = (value: string | number, width: number): string => String(value).padStart(width);

function statusLine(title: string, value: string, command: string): string {
  return `${title.padEnd(STATUS_WIDTH)}: ${value.padEnd(VALUE_WIDTH)}# ${command}`;
}

/** CPU of each worker since profiling was turned on, or since the start. */
function profileRows(control: Control) {
  const { profile } = observersOf(control);
  const elapsedMs = Math.max(1, control.clock.nowMs() - profile.sinceMs);
  const column = (name: string): number[] =>
    profile.activity.read(ACTIVITY.findIndex((metric) => metric.name === name));
  const streams = column("streams");
  const accepted = column("accepted");
  const cpu = column("cpu_ms");
  return workerNumbers(control.tables).map((number, index) => ({
    name: `worker_${number}`,
    streams: streams[index]!,
    accepted: accepted[index]!,
    cpuMs: cpu[index]!,
    percent: Math.round((100 * cpu[index]!) / elapsedMs),
  }));
}

function setProfiling({ control, args }: Call): Reply {
  const [what = "", how = ""] = args;
  if (what === "memory") throw new Refusal("NOT_HERE", "Memory profiling not compiled in.");
  if (what !== "tasks") {
    throw new Refusal("BAD_ARGUMENT", "Expects either 'tasks' or 'memory'.");
  }
  const { profile } = observersOf(control);
  switch (how) {
    case "on":
      profile.activity.clear();
      profile.sinceMs = control.clock.nowMs();
      profile.mode = how;
      return DONE;
    case "auto":
    case "off":
      profile.mode = how;
      return DONE;
    case "lock":
    case "no-lock":
    case "memory":
    case "no-memory":
      // Nothing of the kind is measured: there is nothing to turn off or on.
      return DONE;
    default:
      throw new Refusal("BAD_ARGUMENT", "Expects 'on', 'auto', or 'off'.");
  }
}

/** What waits to be done: notes in the inboxes of workers, streams in queues. */
function showTasks({ control }: Call): Reply {
  const { tables, model, grace, sampler } = { ...control, ...observersOf(control) };
  const facts = infoFacts(control, sampler);
  const numbers = workerNumbers(tables);
  const notes = numbers.reduce((sum, number) => sum + inboxLength(tables, number), 0);
  const rows = [
    ["worker_notes", notes],
    ["streams", facts.streams],
    ["listeners", model.listenerByRow.size],
    ["health_checks", control.checks.count],
    ["grace_periods", grace.pending],
  ] as const;
  const lines = rows.map(([name, count]) => `  ${name.padEnd(28)}${pad(count, 7)}`);
  const head = `Running tasks: ${notes} (${numbers.length} threads)`;
  const titles = "  function                     places";
  return output([head, titles, ...lines].join("\n"), Object.fromEntries(rows));
}
