/**
 * What one bad server of four does to clients, by algorithm: the time from a client's attempt to
 * the first byte of its answer, with all servers well, with one that answers 200 ms late, and with
 * one that is frozen, so that connecting to it takes the connect timeout of 200 ms.
 *
 * Clients come at a fixed rate whatever they meet, as many clients of a real service do: a load
 * that waits for each answer would ask the bad server less the worse it is.
 */
import type { Socket } from "bun";

import { freePort } from "../../test/support/ports.ts";
import { startFrozenServer } from "../loads.ts";
import type { Origin } from "../loads.ts";
import { median } from "../report.ts";
import type { Context, Workload } from "../workload.ts";

const RATE_PER_SECOND = 250;
/** What a well server takes to answer. */
const ANSWER_MS = 2;
const LATE_MS = 200;
/** An answer that takes so long is lost. */
const PATIENCE_MS = 5000;
/** Seconds until the algorithms have seen what there is to see; none in tiny runs. */
const SETTLE_SECONDS = 3;

/** Answers every connection's first bytes with one byte after `delayMs`, and closes. */
function startLateServer(delayMs: number): Origin {
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket) {
        setTimeout(() => socket.end("x"), delayMs);
      },
      error: () => {},
    },
  });
  return {
    port: listener.port,
    async [Symbol.asyncDispose]() {
      listener.stop(true);
    },
  };
}

/** One client: ms until its first byte; PATIENCE_MS if there is none. */
function ask(port: number): Promise<number> {
  const begin = performance.now();
  return new Promise((resolve) => {
    let opened: Socket | undefined;
    const end = (ms: number): void => {
      clearTimeout(timer);
      // Before the end of the socket, which is told at once.
      resolve(ms);
      opened?.end();
    };
    const timer = setTimeout(() => end(PATIENCE_MS), PATIENCE_MS);
    void Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        open(socket) {
          opened = socket;
          socket.write("?");
        },
        data: () => end(performance.now() - begin),
        close: () => end(PATIENCE_MS),
        error: () => end(PATIENCE_MS),
      },
    }).catch(() => end(PATIENCE_MS));
  });
}

/** Clients at a fixed rate. @returns their times, ms */
async function runClients(port: number, seconds: number): Promise<number[]> {
  const asked: Promise<number>[] = [];
  const begin = performance.now();
  const count = Math.max(1, Math.round(RATE_PER_SECOND * seconds));
  for (let i = 0; i < count; i++) {
    const wait = begin + (i * 1000) / RATE_PER_SECOND - performance.now();
    if (wait > 1) await Bun.sleep(wait);
    asked.push(ask(port));
  }
  return await Promise.all(asked);
}

function percentile(times: readonly number[], part: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

function listenText(name: string, port: number, lines: string, servers: readonly number[]): string {
  const list = servers.map((server, i) => `  server s${i + 1} 127.0.0.1:${server}`);
  return `listen ${name}
  bind 127.0.0.1:${port}
  timeout connect ${LATE_MS}ms
  option redispatch 1
  ${lines}
${list.join("\n")}
`;
}

async function measure({ start, effort }: Context, lines: string): Promise<number[]> {
  await using well = startLateServer(ANSWER_MS);
  await using late = startLateServer(ANSWER_MS + LATE_MS);
  await using frozen = await startFrozenServer();
  // The same peer four times: what it takes is its delay and nothing else.
  const three = [well.port, well.port, well.port];
  const ports = { well: freePort(), late: freePort(), frozen: freePort() };
  const moreText = [
    listenText("well", ports.well, lines, [...three, well.port]),
    listenText("late", ports.late, lines, [...three, late.port]),
    listenText("frozen", ports.frozen, lines, [...three, frozen.port]),
  ].join("");
  await using _proxy = await start({ serverPort: well.port, moreText });
  const all = Object.values(ports);
  const run = async (seconds: number): Promise<number[][]> =>
    await Promise.all(all.map((port) => runClients(port, seconds)));
  if (effort.warmupSeconds > 0) await run(SETTLE_SECONDS);
  const times = await run(effort.seconds * 2);
  return times.flatMap((some) => [median(some), percentile(some, 0.99)]);
}

function outliers(name: string, lines: string, contestants: Workload["contestants"]): Workload {
  const metric = (text: string) => ({ name: text, unit: "ms", better: "lower" as const });
  return {
    name: `outliers-${name}`,
    what: `first byte of ${RATE_PER_SECOND} clients a second over four servers, ${name}`,
    ...(contestants === undefined ? {} : { contestants }),
    metrics: [
      metric("p50, all well"),
      metric("p99, all well"),
      metric("p50, one late"),
      metric("p99, one late"),
      metric("p50, one frozen"),
      metric("p99, one frozen"),
    ],
    run: (context) => measure(context, lines),
  };
}

/** One for each way to balance; the first two are haproxy's as well. */
export const outlierWorkloads: readonly Workload[] = [
  outliers("roundrobin", "balance roundrobin", ["sluice", "haproxy"]),
  outliers("leastconn", "balance leastconn", ["sluice", "haproxy"]),
  outliers("peak-ewma", "balance peak-ewma", ["sluice"]),
  outliers("first-byte", "balance peak-ewma first-byte", ["sluice"]),
  outliers("ejection", "balance roundrobin\n  outlier-ejection interval 1s", ["sluice"]),
];
