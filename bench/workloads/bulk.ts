/** Throughput and CPU per gigabyte, one way and both ways at once. */
import { runIperf, startIperfServer } from "../loads.ts";
import type { Context, Metric, Workload } from "../workload.ts";

const METRICS: readonly Metric[] = [
  { name: "CPU per GB", unit: "s", better: "lower", goal: 0.75 },
  { name: "throughput", unit: "GB/s", better: "higher" },
];

const GIGABYTE = 1e9;
const STREAMS_PER_WORKER = 2;

async function measureBulk(context: Context, isBidirectional: boolean): Promise<number[]> {
  const { effort } = context;
  await using server = await startIperfServer();
  await using proxy = await context.start({ serverPort: server.port });
  const load = {
    port: proxy.frontPort,
    streams: STREAMS_PER_WORKER * context.workers,
    isBidirectional,
    ...(effort.bytesMax === undefined ? {} : { bytesMax: effort.bytesMax }),
  };
  if (effort.warmupSeconds > 0) await runIperf({ ...load, seconds: effort.warmupSeconds });
  const before = proxy.cpuSeconds();
  const { bytes, seconds } = await runIperf({ ...load, seconds: effort.seconds });
  const gigabytes = bytes / GIGABYTE;
  return [(proxy.cpuSeconds() - before) / gigabytes, gigabytes / seconds];
}

/** iperf3 in one direction. */
export const bulk: Workload = {
  name: "bulk",
  what: "iperf3, one way",
  metrics: METRICS,
  run: (context) => measureBulk(context, false),
};

/** iperf3 in both directions at once. */
export const duplex: Workload = {
  name: "duplex",
  what: "iperf3, both ways at once",
  metrics: METRICS,
  run: (context) => measureBulk(context, true),
};
