/**
 * How many connections the process can take: `maxconn`, `ulimit-n` and the limit of descriptors,
 * each deciding the others where it is not given (HAProxy manual 3.1, `maxconn`, `ulimit-n`,
 * `strict-limits`). Pure: limits come in, a decision goes out.
 */
import { errorText, SluiceError } from "../../base/errors.ts";
import { DESCRIPTORS_MAX, DESCRIPTORS_RESERVED, PAGE_CONNECTIONS_MAX } from "../../base/limits.ts";
import type { Plan } from "../../tables/spec.ts";

/** Two for a relayed connection. */
const PER_CONNECTION = 2;
/** For a visitor of a page: its connection, and both ends of the one to the HTTP server. */
const PER_VISITOR = 3;
/** What a thread's event loop holds. */
const PER_WORKER = 16;
/**
 * Memory of the process without connections, and of one connection: an idle one has 4 KiB, a
 * stalled one a read of up to `tune.bufsize` besides. HAProxy reckons with as much.
 */
const BASE_MB = 64;
const CONNECTION_BYTES = 40_960;
const MEGABYTE = 1_048_576;

/** What the plan and the system say. */
export type LimitInput = {
  plan: Plan;
  workers: number;
  /** Limits of descriptors now. */
  soft: number;
  hard: number;
  /** Raises the soft limit towards a value; answers the limit then in force. */
  raise: (wanted: number) => number;
  /** `-m`. */
  memoryLimitMb?: number;
};

/** Connections allowed, or why the start must not go on. `warnings` are printed. */
export type LimitDecision =
  | { ok: true; maxconn: number; descriptors: number; warnings: string[] }
  | { ok: false; error: SluiceError };

/** Decides `maxconn` and raises the limit of descriptors to what it needs. */
export function decideLimits(input: LimitInput): LimitDecision {
  const { plan, soft, hard } = input;
  const { global } = plan;
  const fixed = fixedDescriptors(input);
  const fitting = (limit: number): number => Math.floor((limit - fixed) / PER_CONNECTION);
  const memoryMax = connectionsInMemory(input);
  if (global.maxconn === 0) {
    const wanted = global.ulimitN > 0 ? global.ulimitN : Math.min(hard, DESCRIPTORS_MAX);
    const inForce = wanted > soft ? input.raise(wanted) : soft;
    const limit = Math.min(Math.max(inForce, soft), wanted);
    const maxconn = Math.min(fitting(limit), memoryMax);
    if (maxconn >= 1) return { ok: true, maxconn, descriptors: limit, warnings: [] };
    return { ok: false, error: tooLow(limit, 1, fixed + PER_CONNECTION) };
  }
  const needed = global.maxconn * PER_CONNECTION + fixed;
  const wanted = global.ulimitN > 0 ? global.ulimitN : needed;
  const limit = wanted > soft ? input.raise(wanted) : soft;
  if (limit >= needed) {
    const maxconn = Math.min(global.maxconn, memoryMax);
    return { ok: true, maxconn, descriptors: limit, warnings: [] };
  }
  const error =
    limit < wanted
      ? new SluiceError("SLC_DESCRIPTOR_RAISE", { wanted, limit })
      : tooLow(limit, global.maxconn, needed);
  if (global.strictLimits || fitting(limit) < 1) return { ok: false, error };
  const maxconn = Math.min(fitting(limit), memoryMax);
  const lowered = errorText("SLC_MAXCONN_LOWERED", { maxconn, descriptors: limit });
  const warnings = [error.message, lowered];
  return { ok: true, maxconn, descriptors: limit, warnings };
}

function tooLow(limit: number, maxconn: number, needed: number): SluiceError {
  return new SluiceError("SLC_DESCRIPTOR_LIMIT", { limit, maxconn, needed });
}

/** Descriptors that are held whatever the number of connections. */
function fixedDescriptors({ plan, workers }: LimitInput): number {
  let listeners = plan.global.statsSockets.length;
  let checks = 0;
  for (const proxy of plan.proxies) {
    // Control's descriptor, and the worker's copy of it.
    listeners += proxy.binds.length * workers * 2;
    for (const server of proxy.servers) if (server.check.enabled) checks++;
  }
  let visitors = 0;
  for (const page of plan.pages) {
    const most = Math.min(page.maxconn || PAGE_CONNECTIONS_MAX, PAGE_CONNECTIONS_MAX);
    for (const _ of page.binds) visitors += most;
  }
  const fixed = listeners + checks + visitors * PER_VISITOR;
  return DESCRIPTORS_RESERVED + fixed + workers * PER_WORKER;
}

function connectionsInMemory({ memoryLimitMb }: LimitInput): number {
  if (memoryLimitMb === undefined) return Number.POSITIVE_INFINITY;
  const bytes = Math.max(0, memoryLimitMb - BASE_MB) * MEGABYTE;
  return Math.max(1, Math.floor(bytes / CONNECTION_BYTES));
}

/** Soft and hard limit of descriptors in the text of /proc/self/limits. */
export function readDescriptorLimits(text: string | undefined): { soft: number; hard: number } {
  const found = /^Max open files\s+(\S+)\s+(\S+)/m.exec(text ?? "");
  const count = (word: string | undefined): number =>
    word === "unlimited" ? DESCRIPTORS_MAX : Number(word ?? 1024);
  return { soft: count(found?.[1]), hard: count(found?.[2]) };
}
