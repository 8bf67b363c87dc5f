/** The QUIC benchmarks: what is started, and which numbers are taken. */
import type { Effort, Metric } from "../workload.ts";
import { type QuicChain, type QuicContestant, startChain } from "./contestants.ts";

const MEGABYTE = 1e6;
const GIGABYTE = 1e9;
const KIBIBYTE = 1_024;
const SETTLE_MS = 500;
/** Streams that wait at a time, on one connection and over many. */
const PARALLEL = 50;
/** A bulk transfer begins before, and ends after, what is measured beside it. */
const MARGIN_MS = 1_500;

/** A benchmark of QUIC. */
export interface QuicWorkload {
  name: string;
  what: string;
  metrics: readonly Metric[];
  /** Who can run it; all unless said. */
  contestants?: readonly QuicContestant[];
  /** It takes long, and says the same each time: one round and one number of workers are enough. */
  isOnce?: boolean;
  run(name: QuicContestant, workers: number, effort: Effort): Promise<number[]>;
}

const OVER_TRANSPORT: readonly QuicContestant[] = [
  "transport",
  "tcp-quic",
  "quic-tcp",
  "quic-quic",
  "session",
];
const QUIC_FRONTS: readonly QuicContestant[] = [
  "transport",
  "node:quic",
  "quic-tcp",
  "quic-quic",
  "session",
];

/** Effort of a run: how long, how many. */
function times(effort: Effort): { warmupMs: number; measureMs: number } {
  return { warmupMs: effort.warmupSeconds * 400, measureMs: effort.seconds * 1_000 };
}

function scaled(connections: number, effort: Effort): number {
  return Math.max(1, Math.min(connections, Math.round(connections * effort.scale * 5)));
}

/** Bulk upwards over `connections`, one stream each. */
function bulk(connections: number): QuicWorkload {
  return {
    name: `quic-bulk-${connections}`,
    what: `bulk, ${connections} connections with one stream each`,
    metrics: [
      { name: "throughput", unit: "MB/s", better: "higher" },
      { name: "CPU per GB", unit: "s", better: "lower", goal: 1.25 },
    ],
    async run(name, workers, effort) {
      await using chain = await startChain(name, workers);
      const load = { what: "bulk", connections: scaled(connections, effort) } as const;
      const result = await chain.run({ ...load, ...times(effort) }).measured();
      return [result.bytes / MEGABYTE / result.seconds, (result.cpu / result.bytes) * GIGABYTE];
    },
  };
}

const echo: QuicWorkload = {
  name: "quic-echo",
  what: "bulk both ways at once: one stream, echoed",
  contestants: OVER_TRANSPORT,
  metrics: [
    { name: "throughput each way", unit: "MB/s", better: "higher" },
    { name: "CPU per GB echoed", unit: "s", better: "lower", goal: 1.25 },
  ],
  async run(name, workers, effort) {
    await using chain = await startChain(name, workers);
    const result = await chain.run({ what: "echo", ...times(effort) }).measured();
    return [result.bytes / MEGABYTE / result.seconds, (result.cpu / result.bytes) * GIGABYTE];
  },
};

/** Short streams, 100 bytes echoed. */
function streams(connections: number): QuicWorkload {
  return {
    name: `quic-streams-${connections}`,
    what: `streams of 100 bytes, echoed; ${connections} connections`,
    metrics: [
      { name: "streams", unit: "/s", better: "higher" },
      { name: "CPU per stream", unit: "µs", better: "lower" },
      { name: "p50", unit: "µs", better: "lower" },
      { name: "p99", unit: "µs", better: "lower" },
    ],
    async run(name, workers, effort) {
      await using chain = await startChain(name, workers);
      const many = scaled(connections, effort);
      const load = { what: "streams", connections: many } as const;
      const each = many === 1 ? PARALLEL : 1;
      const result = await chain.run({ ...load, streams: each, ...times(effort) }).measured();
      const { count, seconds, cpu, p50Us, p99Us } = result;
      return [count / seconds, (cpu / count) * 1e6, p50Us, p99Us];
    },
  };
}

const handshakes: QuicWorkload = {
  name: "quic-handshakes",
  what: "connect, one byte echoed, close; 8 at a time",
  contestants: QUIC_FRONTS,
  metrics: [
    { name: "handshakes", unit: "/s", better: "higher" },
    { name: "CPU per handshake", unit: "ms", better: "lower" },
  ],
  async run(name, workers, effort) {
    await using chain = await startChain(name, workers);
    const result = await chain
      .run({ what: "handshakes", connections: 8, ...times(effort) })
      .measured();
    return [result.count / result.seconds, (result.cpu / result.count) * 1_000];
  },
};

const latency: QuicWorkload = {
  name: "quic-latency",
  what: "100 bytes to and fro on one open stream, one at a time",
  metrics: [
    { name: "p50", unit: "µs", better: "lower" },
    { name: "p99", unit: "µs", better: "lower" },
  ],
  async run(name, workers, effort) {
    await using chain = await startChain(name, workers);
    const result = await chain.run({ what: "latency", ...times(effort) }).measured();
    return [result.p50Us, result.p99Us];
  },
};

/** The transfer's ends run at the lowest priority, or the scheduler would be measured. */
const beside: QuicWorkload = {
  name: "quic-beside",
  what: "100 bytes to and fro on 4 streams, alone and beside one bulk stream",
  metrics: [
    { name: "p99 beside bulk", unit: "µs", better: "lower", valueMax: 5_000 },
    { name: "p99 alone", unit: "µs", better: "lower" },
    { name: "bulk", unit: "MB/s", better: "higher" },
  ],
  async run(name, workers, effort) {
    await using chain = await startChain(name, workers);
    const small = { what: "latency", streams: 4, ...times(effort) } as const;
    const alone = await chain.run(small).measured();
    const isTiny = effort.seconds < 1;
    const margin = isTiny ? 100 : MARGIN_MS;
    const big = { what: "bulk", warmupMs: margin, measureMs: effort.seconds * 1_000 } as const;
    const transfer = chain.run(big, true).measured();
    await Bun.sleep(margin);
    const crowded = await chain.run({ ...small, warmupMs: 0 }).measured();
    const { bytes, seconds } = await transfer;
    return [crowded.p99Us, alone.p99Us, bytes / MEGABYTE / seconds];
  },
};

async function memoryOf(chain: QuicChain, connections: number, each: number): Promise<number> {
  const before = chain.residentBytes();
  await chain.run({ what: "idle", connections, streams: each }).idle();
  await Bun.sleep(SETTLE_MS);
  return (chain.residentBytes() - before) / (connections * each) / KIBIBYTE;
}

const memory: QuicWorkload = {
  name: "quic-memory",
  what: "idle after one byte each way: 2,000 connections; 5,000 streams on 100 connections",
  // node:quic's connections are idle too long before all are there.
  contestants: OVER_TRANSPORT,
  metrics: [
    { name: "per connection with one stream", unit: "KiB", better: "lower" },
    { name: "per stream", unit: "KiB", better: "lower" },
  ],
  async run(name, workers, effort) {
    const values: number[] = [];
    for (const [connections, each] of [
      [2_000, 1],
      [100, 50],
    ] as const) {
      await using chain = await startChain(name, workers);
      // What is allocated once does not count.
      await chain.run({ what: "idle", connections: 4, streams: 1 }).idle();
      await Bun.sleep(SETTLE_MS);
      values.push(await memoryOf(chain, scaled(connections, effort), each));
    }
    return values;
  },
};

const STREAMS_MANY = 1_000_000;
const CONNECTIONS_MANY = 100_000;
/** What is allocated once is there after this part of them. */
const WARM_PART = 0.05;

/** Resident memory before and after so many streams, or connections. */
const growth: QuicWorkload = {
  name: "quic-growth",
  what: "memory after 1,000,000 streams, and after 100,000 connections, against before",
  contestants: ["quic-tcp", "quic-quic", "session"],
  isOnce: true,
  metrics: [
    { name: "over the streams", unit: "MiB", better: "lower", valueMax: 32 },
    { name: "over the connections", unit: "MiB", better: "lower", valueMax: 32 },
  ],
  async run(name, workers, effort) {
    const values: number[] = [];
    for (const [load, many] of [
      [{ what: "streams", streams: PARALLEL }, STREAMS_MANY],
      [{ what: "handshakes", connections: 16 }, CONNECTIONS_MANY],
    ] as const) {
      await using chain = await startChain(name, workers);
      const count = Math.max(200, Math.round(many * effort.scale));
      const first = Math.round(count * WARM_PART);
      await chain.run({ ...load, countMax: first }).measured();
      await Bun.sleep(SETTLE_MS);
      const before = chain.residentBytes();
      await chain.run({ ...load, countMax: count }).measured();
      await Bun.sleep(SETTLE_MS);
      values.push((chain.residentBytes() - before) / KIBIBYTE / KIBIBYTE);
    }
    return values;
  },
};

/** All of them, in the order of the table. */
export const QUIC_WORKLOADS: readonly QuicWorkload[] = [
  bulk(1),
  bulk(100),
  bulk(2_000),
  echo,
  streams(1),
  streams(100),
  streams(2_000),
  handshakes,
  latency,
  beside,
  memory,
  growth,
];
