/**
 * One measurement of checks: traffic without checks, then a fresh start with them: CPU, arrivals,
 * traffic, answers of the runtime API, and the death of half of the servers.
 */
import { join } from "node:path";

import { runProcess } from "../../test/support/procs.ts";
import { connectRuntime } from "../loads-runtime.ts";
import type { RuntimeClient } from "../loads-runtime.ts";
import type { Effort, Metric } from "../workload.ts";
import { checksPerSecond, deviationsOf, quantile, recordArrivals } from "./arrivals.ts";
import type { CheckKind, ChecksBalancer, ChecksContestant, ChecksSetup } from "./contestants.ts";
import { startChecks } from "./contestants.ts";
import { watchDeaths } from "./deaths.ts";
import type { DeathWatch } from "./deaths.ts";
import { startFarm } from "./peers.ts";
import type { SteadyJob, SteadyResult } from "./steady.ts";

/** A benchmark of checks. */
export interface ChecksWorkload {
  name: string;
  what: string;
  kind: CheckKind;
  backends: number;
  spreadPercent: number;
  /** What is measured beside the checks themselves. */
  parts: readonly ChecksPart[];
}

/** Other traffic with its comparison, and the death of half of the servers. */
export type ChecksPart = "traffic" | "death";

/** Servers in a full run, and checks a second that they are worth. */
const SERVERS = 20_000;
const CHECKS_PER_SECOND = 4_000;
const SERVERS_MIN = 100;
const INTERVAL_MIN_MS = 200;
const MANY = 2_000;

/** All of them, in the order of the report. */
export const CHECKS_WORKLOADS: readonly ChecksWorkload[] = [
  {
    name: "checks-connect",
    what: "20,000 servers in one backend, each connected to every 5 s",
    kind: "connect",
    backends: 1,
    spreadPercent: 0,
    parts: ["traffic", "death"],
  },
  {
    name: "checks-many",
    what: "the same in 2,000 backends",
    kind: "connect",
    backends: MANY,
    spreadPercent: 0,
    parts: ["death"],
  },
  {
    name: "checks-spread",
    what: "the same in one, with spread-checks 20",
    kind: "connect",
    backends: 1,
    spreadPercent: 20,
    parts: [],
  },
  {
    name: "checks-http",
    what: "the same in one, option httpchk",
    kind: "http",
    backends: 1,
    spreadPercent: 0,
    parts: ["traffic", "death"],
  },
  {
    name: "checks-tcp",
    what: "the same in one, tcp-check send and expect",
    kind: "tcp",
    backends: 1,
    spreadPercent: 0,
    parts: ["traffic", "death"],
  },
];

const lower = (name: string, unit: string, rest: Partial<ChecksMetric> = {}): ChecksMetric => {
  return { name, unit, better: "lower", ...rest };
};

/** A number, and the part that it belongs to; none: the checks themselves. */
export type ChecksMetric = Metric & { part?: ChecksPart };

const TRAFFIC = { part: "traffic" } as const;
const DEATH = { part: "death" } as const;

/** What each of them reports. */
export const CHECKS_METRICS: readonly ChecksMetric[] = [
  { name: "checks", unit: "1/s", better: "higher" },
  lower("CPU per check", "µs"),
  lower("CPU per check, its thread", "µs"),
  lower("interval off by, p50", "ms"),
  lower("interval off by, p99", "ms"),
  lower("interval off by, most", "ms"),
  lower("memory", "MiB"),
  lower("p99 of requests, with checks", "µs", TRAFFIC),
  lower("p99 of requests, without", "µs", TRAFFIC),
  lower("with / without", "×", { ...TRAFFIC, valueMax: 1.1 }),
  lower("show info", "ms"),
  lower("show servers state", "ms"),
  lower("half die: down after, p50", "intervals", DEATH),
  lower("half die: down after, most", "intervals", DEATH),
  lower("half die: not noticed", "servers", DEATH),
  lower("half die: show info, longest", "ms", DEATH),
];

/** Before anything is measured: first checks are over, hot code is compiled. */
const WARM_INTERVALS = 2.2;
/** Three checks of each server, two intervals. */
const RECORD_INTERVALS = 3.2;
/** Fall is 3; one interval until the first, two between, one for delays. */
const DEATH_INTERVALS_MAX = 5;
const STEADY = { rate: 1_000, connections: 10 };
/** p99 of shorter traffic means nothing. */
const TRAFFIC_FACTOR = 4;
const INFO_ASKS = 20;
const LONG_ASKS = 3;
const MEGABYTE = 1_048_576;
const NO_TRAFFIC = { p99Us: Number.NaN };
const NO_DEATH = [Number.NaN, Number.NaN, Number.NaN, Number.NaN];

/** Measures once: the values of `CHECKS_METRICS`, in order; NaN of parts that are left out. */
export async function measureChecks(
  name: ChecksContestant,
  workload: ChecksWorkload,
  effort: Effort,
): Promise<number[]> {
  const servers = Math.max(SERVERS_MIN, Math.round(SERVERS * effort.scale));
  const intervalMs = Math.max(INTERVAL_MIN_MS, (servers / CHECKS_PER_SECOND) * 1000);
  const [living, dying] = [await startFarm(true), await startFarm(true)];
  const own = await startFarm(false);
  using deaths = await watchDeaths();
  try {
    const { kind, spreadPercent } = workload;
    const setup: ChecksSetup = {
      servers,
      backends: Math.min(workload.backends, servers),
      intervalMs,
      kind,
      spreadPercent,
      isChecked: true,
      ports: [living.port, dying.port],
      trafficServerPort: own.port,
      logPort: deaths.port,
    };
    const hasTraffic = workload.parts.includes("traffic");
    const without = hasTraffic ? await trafficAlone(name, setup, effort) : NO_TRAFFIC;
    await using balancer = await startChecks(name, setup);
    await Bun.sleep(intervalMs * WARM_INTERVALS);
    const cpu = await cpuOf(balancer, effort.seconds * TRAFFIC_FACTOR * 1000);
    const arrivals = await recordArrivals(setup.ports, servers, intervalMs * RECORD_INTERVALS);
    const perSecond = checksPerSecond(arrivals);
    const off = deviationsOf(arrivals, intervalMs);
    const memory = balancer.residentBytes() / MEGABYTE;
    const traffic = hasTraffic ? await steadyTraffic(balancer.frontPort, effort) : NO_TRAFFIC;
    await using runtime = await connectRuntime(balancer.runtimeSocket);
    const info = await longestAnswer(runtime, "show info", INFO_ASKS);
    const state = await longestAnswer(runtime, "show servers state", LONG_ASKS);
    let death = NO_DEATH;
    if (workload.parts.includes("death")) {
      deaths.clear();
      const killedAtMs = performance.now();
      await dying[Symbol.asyncDispose]();
      death = await followDeaths(deaths, runtime, servers >> 1, intervalMs, killedAtMs);
    }
    return [
      perSecond,
      (cpu.whole / perSecond) * 1e6,
      (cpu.thread / perSecond) * 1e6,
      quantile(off, 0.5),
      quantile(off, 0.99),
      quantile(off, 1),
      memory,
      traffic.p99Us,
      without.p99Us,
      traffic.p99Us / without.p99Us,
      info,
      state,
      ...death,
    ];
  } finally {
    for (const farm of [living, dying, own]) await farm[Symbol.asyncDispose]();
  }
}

async function trafficAlone(
  name: ChecksContestant,
  setup: ChecksSetup,
  effort: Effort,
): Promise<SteadyResult> {
  await using balancer = await startChecks(name, { ...setup, isChecked: false });
  return await steadyTraffic(balancer.frontPort, effort);
}

/** A warm-up, then what is measured. */
async function steadyTraffic(port: number, effort: Effort): Promise<SteadyResult> {
  const seconds = effort.seconds * TRAFFIC_FACTOR;
  if (effort.warmupSeconds > 0) await steadyRun({ ...STEADY, port, seconds: effort.warmupSeconds });
  return await steadyRun({ ...STEADY, port, seconds });
}

async function steadyRun(job: SteadyJob): Promise<SteadyResult> {
  const script = join(import.meta.dir, "steady.ts");
  const command = [process.execPath, script, JSON.stringify(job)];
  const { output } = await runProcess(command, { limitMs: job.seconds * 1000 + 20_000 });
  const text = /^RESULT (.*)$/m.exec(output)?.[1];
  if (text === undefined) throw new Error(`steady traffic failed: ${output}`);
  return JSON.parse(text) as SteadyResult;
}

/** CPU a second: of the whole process, and of the thread that has most of it. */
async function cpuOf(
  balancer: ChecksBalancer,
  durationMs: number,
): Promise<{ whole: number; thread: number }> {
  const before = balancer.cpu();
  const begin = performance.now();
  await Bun.sleep(durationMs);
  const seconds = (performance.now() - begin) / 1000;
  const after = balancer.cpu();
  let thread = 0;
  for (const [id, cpu] of after.threads) {
    thread = Math.max(thread, cpu - (before.threads.get(id) ?? 0));
  }
  return { whole: (after.whole - before.whole) / seconds, thread: thread / seconds };
}

/** The longest of some answers, ms. */
async function longestAnswer(
  runtime: RuntimeClient,
  command: string,
  count: number,
): Promise<number> {
  let longestMs = 0;
  for (let i = 0; i < count; i++) {
    const begin = performance.now();
    await runtime.ask(command);
    longestMs = Math.max(longestMs, performance.now() - begin);
    await Bun.sleep(20);
  }
  return longestMs;
}

/** @returns values of the metrics of `half die` */
async function followDeaths(
  deaths: DeathWatch,
  runtime: RuntimeClient,
  dying: number,
  intervalMs: number,
  killedAtMs: number,
): Promise<number[]> {
  const limitMs = killedAtMs + intervalMs * DEATH_INTERVALS_MAX + 2_000;
  let longestMs = 0;
  while (deaths.downAtMs.size < dying && performance.now() < limitMs) {
    longestMs = Math.max(longestMs, await longestAnswer(runtime, "show info", 1));
  }
  const after = Float64Array.from(deaths.downAtMs.values(), (atMs) => {
    return (atMs - killedAtMs) / intervalMs;
  }).sort();
  const missing = dying - after.length;
  return [quantile(after, 0.5), quantile(after, 1), missing, longestMs];
}
