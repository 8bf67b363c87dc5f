/**
 * What one bulk transfer does to the latency of small requests through the same workers.
 *
 * The two ends of the bulk run at the lowest priority: on a small machine they would otherwise take
 * the processor from the requests, and the scheduler would be measured instead of the balancer.
 */
import { runIperf, runWrk, startHttpServer, startIperfServer } from "../loads.ts";
import type { Workload } from "../workload.ts";

const CONNECTIONS = 4;
const GIGABYTE = 1e9;

/** The bulk starts earlier and ends later than the requests that are measured. */
const MARGIN_SECONDS = 1;

/** Small requests alone, then beside an unthrottled transfer on another frontend. */
export const beside: Workload = {
  name: "beside",
  what: `wrk, ${CONNECTIONS} kept-alive connections, beside one bulk transfer`,
  metrics: [
    { name: "p99 beside bulk", unit: "µs", better: "lower" },
    { name: "p99 alone", unit: "µs", better: "lower" },
    { name: "beside / alone", unit: "×", better: "lower", valueMax: 3 },
    { name: "bulk", unit: "GB/s", better: "higher" },
  ],
  async run({ start, effort }) {
    await using small = await startHttpServer();
    await using big = await startIperfServer(true);
    await using proxy = await start({ serverPort: small.port, bulkServerPort: big.port });
    const load = { port: proxy.frontPort, connections: CONNECTIONS };
    if (effort.warmupSeconds > 0) await runWrk({ ...load, seconds: effort.warmupSeconds });
    const alone = await runWrk({ ...load, seconds: effort.seconds });
    const transfer = runIperf({
      port: proxy.bulkFrontPort,
      seconds: effort.seconds + 2 * MARGIN_SECONDS,
      streams: 1,
      isBidirectional: false,
      isNice: true,
      ...(effort.bytesMax === undefined ? {} : { bytesMax: effort.bytesMax }),
    });
    if (effort.warmupSeconds > 0) await Bun.sleep(MARGIN_SECONDS * 1_000);
    const crowded = await runWrk({ ...load, seconds: effort.seconds });
    const { bytes, seconds } = await transfer;
    const ratio = crowded.p99Us / alone.p99Us;
    return [crowded.p99Us, alone.p99Us, ratio, bytes / GIGABYTE / seconds];
  },
};
