/**
 * How many connections the process can take: `maxconn`, `ulimit-n` and the limit of descriptors,
 * each deciding the others where it is not given (HAProxy manual 3.1, `maxconn`, `ulimit-n`,
 * `strict-limits`). Pure: limits come in, a decision goes out.
 */
import { errorText, SluiceError } from "../../base/errors.ts";
import {
  CHECKS_AT_ONCE_MIN,
  CHECKS_AT_ONCE_SHARE,
  DESCRIPTORS_MAX,
  DESCRIPTORS_RESERVED,
  PAGE_CONNECTIONS_MAX,
} from "../../base/limits.ts";
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

/**
 * Connections and checks at a time that are allowed, or why the start must not go on. `warnings`
 * are printed.
 */
export type LimitDecision =
  | { ok: true; maxconn: number; probesMax: number; descriptors: number; warnings: string[] }
  | { ok: false; error: SluiceError };

/** Decides `maxconn` and raises the limit of descriptors to what it needs. */
export function decideLimits(input: LimitInput): LimitDecision {
  const { plan, soft, hard } = input;
  const { global } = plan;
  const checks = checkDescriptors(input);
  const fixed = fixedDescriptors(input);
  const memoryMax = connectionsInMemory(input);
  const decided = (limit: number, share: Share, warnings: string[]): LimitDecision => {
    const maxconn = Math.min(share.connections, memoryMax);
    const rest = limit - fixed - maxconn * PER_CONNECTION;
    // Servers that are added at run time are checked too.
    const least = Math.min(CHECKS_AT_ONCE_MIN, Math.floor(limit / CHECKS_AT_ONCE_SHARE));
    return { ok: true, maxconn, probesMax: Math.max(rest, least), descriptors: limit, warnings };
  };
  if (global.maxconn === 0) {
    const wanted = global.ulimitN > 0 ? global.ulimitN : Math.min(hard, DESCRIPTORS_MAX);
    const inForce = wanted > soft ? input.raise(wanted) : soft;
    const limit = Math.min(Math.max(inForce, soft), wanted);
    const fitting = Math.floor((limit - fixed - checks) / PER_CONNECTION);
    const share = fitting < 1 && !global.strictLimits ? shareOut(limit - fixed, 0, checks) : null;
    const connections = share?.connections ?? fitting;
    const error = tooLow(limit, 1, fixed + checks + PER_CONNECTION);
    if (connections < 1) return { ok: false, error };
    const warnings = share === null ? [] : [error.message, limitedChecks(share, checks, limit)];
    return decided(limit, { connections, checks: share?.checks ?? checks }, warnings);
  }
  const needed = global.maxconn * PER_CONNECTION + fixed + checks;
  const wanted = global.ulimitN > 0 ? global.ulimitN : needed;
  const limit = wanted > soft ? input.raise(wanted) : soft;
  if (limit >= needed) return decided(limit, { connections: global.maxconn, checks }, []);
  const error =
    limit < wanted
      ? new SluiceError("SLC_DESCRIPTOR_RAISE", { wanted, limit })
      : tooLow(limit, global.maxconn, needed);
  const share = shareOut(limit - fixed, global.maxconn, checks);
  if (global.strictLimits || share.connections < 1) return { ok: false, error };
  const warnings = [error.message];
  if (share.connections < global.maxconn) {
    const maxconn = Math.min(share.connections, memoryMax);
    warnings.push(errorText("SLC_MAXCONN_LOWERED", { maxconn, descriptors: limit }));
  }
  if (share.checks < checks) warnings.push(limitedChecks(share, checks, limit));
  return decided(limit, share, warnings);
}

type Share = { connections: number; checks: number };

/**
 * Too few descriptors for everybody: checks, which are short, keep what connections leave, and a
 * quarter in any case.
 * @param connections how many are wanted; 0 = as many as possible
 */
function shareOut(available: number, connections: number, checks: number): Share {
  const left = connections === 0 ? 0 : available - connections * PER_CONNECTION;
  const kept = Math.max(0, Math.min(checks, Math.max(left, Math.floor(available / 4))));
  return { connections: Math.floor((available - kept) / PER_CONNECTION), checks: kept };
}

function limitedChecks({ checks }: Share, all: number, descriptors: number): string {
  return errorText("SLC_CHECKS_LIMITED", { checks, all, descriptors });
}

function tooLow(limit: number, maxconn: number, needed: number): SluiceError {
  return new SluiceError("SLC_DESCRIPTOR_LIMIT", { limit, maxconn, needed });
}

/** One for each check and each agent: all of them may be slow at the same time. */
function checkDescriptors({ plan }: LimitInput): number {
  let checks = 0;
  for (const proxy of plan.proxies) {
    for (const { check, agent } of proxy.servers) {
      if (check.enabled) checks++;
      if (agent.enabled) checks++;
    }
  }
  return checks;
}

/** Descriptors that are held whatever the number of connections and checks. */
function fixedDescriptors({ plan, workers }: LimitInput): number {
  let listeners = plan.global.statsSockets.length;
  for (const proxy of plan.proxies) {
    // Control's descriptor, and the worker's copy of it.
    listeners += proxy.binds.length * workers * 2;
  }
  let visitors = 0;
  for (const page of plan.pages) {
    const most = Math.min(page.maxconn || PAGE_CONNECTIONS_MAX, PAGE_CONNECTIONS_MAX);
    for (const _ of page.binds) visitors += most;
  }
  return DESCRIPTORS_RESERVED + listeners + visitors * PER_VISITOR + workers * PER_WORKER;
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
