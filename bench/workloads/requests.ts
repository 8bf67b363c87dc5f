/** CPU and latency of small requests: over kept-alive connections, and one connection each. */
import { runWrk, startHttpServer } from "../loads.ts";
import type { Context, Workload } from "../workload.ts";

const CONNECTIONS = 32;
const MICROSECONDS = 1e6;

async function measureRequests(context: Context, isOneShot: boolean): Promise<number[]> {
  const { effort } = context;
  await using server = await startHttpServer();
  await using proxy = await context.start({ serverPort: server.port });
  const load = { port: proxy.frontPort, connections: CONNECTIONS, isOneShot };
  if (effort.warmupSeconds > 0) await runWrk({ ...load, seconds: effort.warmupSeconds });
  const before = proxy.cpuSeconds();
  const result = await runWrk({ ...load, seconds: effort.seconds });
  const cpuUs = (proxy.cpuSeconds() - before) * MICROSECONDS;
  // A lost answer would make the others look cheap.
  if (result.errors > 0) throw new Error(`${context.contestant}: ${result.errors} errors in wrk`);
  return [
    cpuUs / result.requests,
    result.requests / result.seconds / 1_000,
    result.p50Us,
    result.p99Us,
  ];
}

/** Requests over kept-alive connections. */
export const requests: Workload = {
  name: "requests",
  what: `wrk, ${CONNECTIONS} kept-alive connections`,
  metrics: [
    { name: "CPU per request", unit: "µs", better: "lower", goal: 1.1 },
    { name: "rate", unit: "k/s", better: "higher" },
    { name: "p50", unit: "µs", better: "lower" },
    { name: "p99", unit: "µs", better: "lower", goal: 1.1 },
  ],
  run: (context) => measureRequests(context, false),
};

/** Connect, one request, close. */
export const connections: Workload = {
  name: "connections",
  what: `wrk, connect + one request + close, ${CONNECTIONS} at a time`,
  metrics: [
    { name: "CPU per connection", unit: "µs", better: "lower", goal: 1.1 },
    { name: "rate", unit: "k/s", better: "higher" },
    { name: "p50", unit: "µs", better: "lower" },
    { name: "p99", unit: "µs", better: "lower", goal: 1.1 },
  ],
  run: (context) => measureRequests(context, true),
};
