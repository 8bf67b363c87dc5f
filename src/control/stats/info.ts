/**
 * What `show info` says of the process: HAProxy's fields in HAProxy's order, each with where its
 * value comes from. What layer 4 has not (compression, peers) is 0, as in an HAProxy that does none
 * of it; TLS connections are those of QUIC. Main thread.
 */
import { COMPATIBLE_DATE, COMPATIBLE_VERSION, SLUICE_VERSION } from "../../base/version.ts";
import { readTextOrNone } from "../../config/system.ts";
import {
  PROCESS_CONN_SECOND,
  PROCESS_CURRENT,
  PROCESS_MAXCONN,
  PROCESS_MAXCONN_REACHED,
  PROCESS_MAXCONNRATE,
  PROCESS_MAXSESSRATE,
  PROCESS_STOPPING,
  PROCESS_UNIQUE_COUNTER,
  PROCESS_WORKER_COUNT,
} from "../../tables/generated/process.ts";
import { QUIC_COUNT_OPENED } from "../../tables/generated/quic-count.ts";
import {
  WORKER_INBOX_HEAD,
  WORKER_INBOX_TAIL,
  WORKER_STREAMS,
  WORKER_STRIDE,
} from "../../tables/generated/worker.ts";
import { readRate, readRateMax } from "../../tables/rates.ts";
import type { Control } from "../control.ts";
import type { ProxyObject } from "../model.ts";
import { controlNames } from "../names/names.ts";
import { readDescriptorLimits } from "../process/descriptors.ts";
import { isQuicUsed, quicConnections } from "../quic-use.ts";
import type { FieldType, StatValue } from "./fields.ts";
import { listPools, sumPools } from "./pools.ts";
import type { Sampler } from "./sampler.ts";
import { totalBytesOut } from "./sampler.ts";
import { statisticsOf } from "./statistics.ts";

/** One field. */
export type InfoField = {
  /** Place in typed output; never changes. */
  readonly at: number;
  readonly name: string;
  readonly type: FieldType;
  /** Origin, nature, scope, persistence (management manual 9.2). */
  readonly tags: string;
  readonly about: string;
  /** Undefined: not shown. A fraction is shown as such with `float`, else cut. */
  readonly read: (facts: InfoFacts) => StatValue;
};

/** What the values are made of, gathered once for all of them. */
export type InfoFacts = {
  control: Control;
  sampler: Sampler;
  process: Int32Array;
  nowMs: number;
  uptimeSeconds: number;
  pools: { allocated: number; used: number };
  streams: number;
  descriptors: number;
};

const MEGABYTE = 1 << 20;

function field(
  at: number,
  name: string,
  type: FieldType,
  tags: string,
  about: string,
  read: InfoField["read"],
): InfoField {
  return { at, name, type, tags: `${tags}V`, about, read };
}

const none = (): number => 0;

/** Proxies that speak TLS, which is QUIC; both sides of them count. */
function sumTls(
  { control }: InfoFacts,
  read: (proxy: ProxyObject, isFront: boolean) => number,
): number {
  let sum = 0;
  for (const proxy of control.model.proxies) {
    if (proxy.hasQuicFront === true) sum += read(proxy, true);
    if (isQuicUsed(control.tables, proxy)) sum += read(proxy, false);
  }
  return sum;
}

function tlsNow(facts: InfoFacts): number {
  const { tables } = facts.control;
  return sumTls(facts, ({ row }, isFront) => Math.max(0, quicConnections(tables, row, isFront)));
}

function tlsTotal(facts: InfoFacts): number {
  const { quic } = statisticsOf(facts.control);
  return sumTls(facts, (proxy, isFront) => {
    quic.read(proxy, isFront);
    return quic.cells[QUIC_COUNT_OPENED >> 1]!;
  });
}

const unsigned = (value: number): number => value >>> 0;

const PRODUCT: readonly InfoField[] = [
  field(0, "Name", "str", "POS", "Name of the program", () => "sluice"),
  field(1, "Version", "str", "POS", "HAProxy version spoken", () => COMPATIBLE_VERSION),
  field(2, "Release_date", "str", "POS", "Date of that version", () => COMPATIBLE_DATE),
  field(3, "Nbthread", "u32", "CGS", "Worker threads", ({ process }) => {
    return process[PROCESS_WORKER_COUNT]!;
  }),
  field(4, "Nbproc", "u32", "CGS", "Processes, always 1", () => 1),
  field(5, "Process_num", "u32", "KGP", "Number of this process, always 1", () => 1),
  field(6, "Pid", "u32", "SGP", "Process id", () => process.pid),
  field(7, "Uptime", "str", "MDP", "Time since the start", (facts) => {
    return uptimeText(facts.uptimeSeconds);
  }),
  field(8, "Uptime_sec", "u32", "MDP", "The same in seconds", (facts) => facts.uptimeSeconds),
];

const MEMORY: readonly InfoField[] = [
  field(9, "Memmax_MB", "u32", "CLP", "Limit of memory, 0 = none", none),
  field(10, "PoolAlloc_MB", "u32", "MGP", "Memory of the tables", ({ pools }) => {
    return Math.floor(pools.allocated / MEGABYTE);
  }),
  field(11, "PoolUsed_MB", "u32", "MGP", "Memory of rows in use", ({ pools }) => {
    return Math.floor(pools.used / MEGABYTE);
  }),
  field(12, "PoolFailed", "u32", "MCP", "Rows that could not be had", none),
];

const LIMITS: readonly InfoField[] = [
  field(13, "Ulimit-n", "u32", "CLP", "Limit of descriptors", (facts) => facts.descriptors),
  field(14, "Maxsock", "u32", "CLP", "Limit of sockets", (facts) => facts.descriptors),
  field(15, "Maxconn", "u32", "CLP", "Limit of connections", ({ process }) => {
    return process[PROCESS_MAXCONN]!;
  }),
  field(16, "Hard_maxconn", "u32", "CLP", "Highest limit that can be set", ({ control }) => {
    return control.maxconnHard;
  }),
  field(17, "CurrConns", "u32", "MGP", "Client connections now", ({ process }) => {
    return process[PROCESS_CURRENT]!;
  }),
  field(18, "CumConns", "u32", "MCP", "Client connections so far", ({ process }) => {
    return unsigned(process[PROCESS_UNIQUE_COUNTER]!);
  }),
  field(19, "CumReq", "u32", "MCP", "Streams so far", ({ process }) => {
    return unsigned(process[PROCESS_UNIQUE_COUNTER]!);
  }),
  field(20, "MaxSslConns", "u32", "MMP", "Limit of TLS connections", none),
  field(21, "CurrSslConns", "u32", "MGP", "TLS connections now", tlsNow),
  field(22, "CumSslConns", "u32", "MCP", "TLS connections so far", tlsTotal),
  field(23, "Maxpipes", "u32", "CLP", "Limit of pipes for splicing", none),
  field(24, "PipesUsed", "u32", "MGP", "Pipes in use", none),
  field(25, "PipesFree", "u32", "MGP", "Pipes that wait for use", none),
];

/** At layer 4 every connection is a session. */
const rateNow = ({ process, nowMs }: InfoFacts): number =>
  readRate(process, PROCESS_CONN_SECOND, nowMs);
const rateMax = ({ process }: InfoFacts): number => readRateMax(process, PROCESS_CONN_SECOND);

const RATES: readonly InfoField[] = [
  field(26, "ConnRate", "u32", "MRP", "Connections in the last second", rateNow),
  field(27, "ConnRateLimit", "u32", "CLP", "Limit of it: maxconnrate", ({ process }) => {
    return process[PROCESS_MAXCONNRATE]!;
  }),
  field(28, "MaxConnRate", "u32", "MMP", "Most connections in a second", rateMax),
  field(29, "SessRate", "u32", "MRP", "Sessions in the last second", rateNow),
  field(30, "SessRateLimit", "u32", "CLP", "Limit of it: maxsessrate", ({ process }) => {
    return process[PROCESS_MAXSESSRATE]!;
  }),
  field(31, "MaxSessRate", "u32", "MRP", "Most sessions in a second", rateMax),
  field(32, "SslRate", "u32", "MRP", "TLS connections in the last second", none),
  field(33, "SslRateLimit", "u32", "CLP", "Limit of it", none),
  field(34, "MaxSslRate", "u32", "MMP", "Most TLS connections in a second", none),
  field(35, "SslFrontendKeyRate", "u32", "MGP", "TLS keys of clients in the last second", none),
  field(36, "SslFrontendMaxKeyRate", "u32", "MMP", "Most of them in a second", none),
  field(37, "SslFrontendSessionReuse_pct", "u32", "MGP", "TLS sessions resumed, percent", none),
  field(38, "SslBackendKeyRate", "u32", "MRP", "TLS keys of servers in the last second", none),
  field(39, "SslBackendMaxKeyRate", "u32", "MMP", "Most of them in a second", none),
  field(40, "SslCacheLookups", "u32", "MCP", "Look-ups of TLS sessions", none),
  field(41, "SslCacheMisses", "u32", "MCP", "Look-ups that found none", none),
  field(42, "CompressBpsIn", "u32", "MRP", "Bytes into compression in the last second", none),
  field(43, "CompressBpsOut", "u32", "MRP", "Bytes out of it", none),
  field(44, "CompressBpsRateLim", "u32", "CLP", "Limit of them", none),
];

const ACTIVITY: readonly InfoField[] = [
  field(47, "Tasks", "u32", "MGP", "Streams, listeners and checked servers", (facts) => {
    const { model, checks } = facts.control;
    return facts.streams + model.listenerByRow.size + checks.count;
  }),
  field(48, "Run_queue", "u32", "MGP", "Notes that workers have not read", waitingNotes),
  field(49, "Idle_pct", "u32", "MaP", "Time that workers did not need, percent", (facts) => {
    return facts.sampler.idlePercent();
  }),
  field(50, "node", "str", "COS", "Name of this machine: node", ({ control }) => {
    return control.plan.global.node;
  }),
  field(51, "description", "str", "COS", "Words of the configuration", ({ control }) => {
    return control.plan.global.description || undefined;
  }),
  field(52, "Stopping", "u32", "MGP", "1 while a stop is under way", ({ process }) => {
    return process[PROCESS_STOPPING]!;
  }),
  field(53, "Jobs", "u32", "MGP", "Listeners and client connections", (facts) => {
    return listeners(facts) + facts.process[PROCESS_CURRENT]!;
  }),
  field(54, "Unstoppable Jobs", "u32", "MGP", "What a stop does not wait for", none),
  field(55, "Listeners", "u32", "MGP", "Sockets that listen", listeners),
  field(56, "ActivePeers", "u32", "MGP", "Peers that exchange tables", none),
  field(57, "ConnectedPeers", "u32", "MGP", "Peers that are connected", none),
  field(58, "DroppedLogs", "u32", "MGP", "Log lines and records lost", ({ control }) => {
    return control.hub.dropped() + control.pump.dropped;
  }),
  field(59, "BusyPolling", "u32", "MGP", "1 if threads never sleep", none),
  field(60, "FailedResolutions", "u32", "MGP", "Names that could not be resolved", (facts) => {
    return unsigned(controlNames(facts.control).failed);
  }),
  field(61, "TotalBytesOut", "u64", "MGP", "Bytes sent to clients and servers", ({ control }) => {
    return totalBytesOut(control.tables);
  }),
  field(62, "TotalSplicedBytesOut", "u64", "MGP", "Of these, through pipes", none),
  field(63, "BytesOutRate", "u64", "MRP", "Bytes sent in the last second", ({ sampler }) => {
    return sampler.bytesOutRate();
  }),
];

const REST: readonly InfoField[] = [
  field(64, "DebugCommandsIssued", "u32", "MGP", "Commands that endanger the process", none),
  field(65, "CumRecvLogs", "u32", "MCP", "Log messages received", none),
  field(66, "Build info", "str", "POS", "sluice's own version and runtime", () => {
    return `sluice ${SLUICE_VERSION}, Bun ${Bun.version}`;
  }),
  field(67, "Memmax_bytes", "u32", "CLP", "Limit of memory, 0 = none", none),
  field(68, "PoolAlloc_bytes", "u64", "MGP", "Memory of the tables", ({ pools }) => {
    return pools.allocated;
  }),
  field(69, "PoolUsed_bytes", "u64", "MGP", "Memory of rows in use", ({ pools }) => pools.used),
  field(70, "Start_time_sec", "u32", "MDP", "Start, seconds since the epoch", ({ control }) => {
    return control.startedEpochMs / 1000;
  }),
  field(71, "Tainted", "str", "SGP", "What makes the process less trustworthy", () => "0"),
  field(72, "TotalWarnings", "u32", "MCP", "Warnings of the start", ({ control }) => {
    return control.startupLines.filter((line) => line.startsWith("[WARNING]")).length;
  }),
  field(73, "MaxconnReached", "u32", "MCP", "Times that maxconn was reached", ({ process }) => {
    return unsigned(process[PROCESS_MAXCONN_REACHED]!);
  }),
  field(74, "BootTime_ms", "u32", "MCP", "Time that the start took, ms", ({ control }) => {
    return Math.round(control.startedAtMs);
  }),
  field(75, "Niced_tasks", "u32", "MGP", "Tasks of another priority", none),
  field(76, "CurrStreams", "u64", "MGP", "Streams now", ({ streams }) => streams),
  field(77, "CumStreams", "u64", "MCP", "Streams so far", ({ process }) => {
    return unsigned(process[PROCESS_UNIQUE_COUNTER]!);
  }),
  field(78, "BlockedTrafficWarnings", "u32", "MCP", "Times that traffic stood still", none),
  field(79, "PatternsAdded", "u64", "MCP", "Patterns added at run time", none),
  field(80, "PatternsFreed", "u64", "MCP", "Patterns removed at run time", none),
];

/** All fields, in the order of their places. */
export const INFO_FIELDS: readonly InfoField[] = [
  ...PRODUCT,
  ...MEMORY,
  ...LIMITS,
  ...RATES,
  ...ACTIVITY,
  ...REST,
];

/** Gathers what the fields read. */
export function infoFacts(control: Control, sampler: Sampler): InfoFacts {
  const { tables, clock, startedAtMs, shop } = control;
  const nowMs = clock.nowMs();
  return {
    control,
    sampler,
    process: tables.process.words,
    nowMs,
    uptimeSeconds: (nowMs - startedAtMs) / 1000,
    pools: sumPools(listPools(shop)),
    streams: currentStreams(control),
    descriptors: readDescriptorLimits(readTextOrNone("/proc/self/limits")).soft,
  };
}

function currentStreams({ tables }: Control): number {
  let sum = 0;
  for (let worker = 1; worker <= tables.process.words[PROCESS_WORKER_COUNT]!; worker++) {
    sum += tables.workers.words[worker * WORKER_STRIDE + WORKER_STREAMS]!;
  }
  return sum;
}

function waitingNotes({ control, process }: InfoFacts): number {
  const { words } = control.tables.workers;
  let sum = 0;
  for (let worker = 1; worker <= process[PROCESS_WORKER_COUNT]!; worker++) {
    const row = worker * WORKER_STRIDE;
    sum += (words[row + WORKER_INBOX_TAIL]! - words[row + WORKER_INBOX_HEAD]!) | 0;
  }
  return Math.max(0, sum);
}

function listeners({ control }: InfoFacts): number {
  return control.model.listenerByRow.size + control.plan.global.statsSockets.length;
}

/** `1d 2h03m04s`. */
export function uptimeText(allSeconds: number): string {
  const total = Math.floor(allSeconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  const hours = Math.floor(total / 3600) % 24;
  const minutes = Math.floor(total / 60) % 60;
  return `${Math.floor(total / 86_400)}d ${hours}h${two(minutes)}m${two(total % 60)}s`;
}
