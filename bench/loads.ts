/**
 * Servers and clients of the benchmarks: iperf3 for bulk, wrk and nginx as an HTTP server for
 * requests, and small peers of this process where only connections count.
 */
import { writeFileSync } from "node:fs";

import { freePort, isListening } from "../test/support/ports.ts";
import { runProcess, startProcess, temporaryFolder, until } from "../test/support/procs.ts";

/** Something that listens on `port` until disposed of. */
export interface Origin extends AsyncDisposable {
  readonly port: number;
}

const LOAD_LIMIT_MS = 60_000;

/** Put before a command that must not take the processor from what is measured. */
const NICE = ["nice", "-n", "19"];

/** An iperf3 server. */
export async function startIperfServer(isNice = false): Promise<Origin> {
  const port = freePort();
  const command = ["iperf3", "-s", "-B", "127.0.0.1", "-p", String(port)];
  const child = startProcess(isNice ? [...NICE, ...command] : command);
  await until("iperf3 listens", () => isListening(port));
  return { port, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}

/** nginx as a small HTTP server: answers every request with five bytes and keeps connections. */
export async function startHttpServer(): Promise<Origin> {
  const port = freePort();
  const folder = temporaryFolder();
  const path = folder.file("nginx.conf");
  writeFileSync(
    path,
    `daemon off;
master_process off;
pid ${folder.path}/nginx.pid;
error_log stderr crit;
events { worker_connections 16000; }
http {
  access_log off;
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { return 200 "hello"; }
  }
}
`,
  );
  const child = startProcess(["nginx", "-p", folder.path, "-c", path, "-e", "stderr"]);
  await until("nginx listens", () => isListening(port));
  return {
    port,
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** Connections that fill the backlog of a frozen server, and one more. */
const FROZEN_FILL = 4;

/** A server that is there and stands still: its backlog is full, connections to it do not open. */
export async function startFrozenServer(): Promise<Origin> {
  const port = freePort();
  const folder = temporaryFolder();
  const path = folder.file("nginx.conf");
  writeFileSync(
    path,
    `daemon off;
master_process off;
pid ${folder.path}/nginx.pid;
error_log stderr crit;
events { worker_connections 64; }
http { access_log off; server { listen 127.0.0.1:${port} backlog=1; } }
`,
  );
  const child = startProcess(["nginx", "-p", folder.path, "-c", path, "-e", "stderr"]);
  await until("nginx listens", () => isListening(port));
  child.kill("SIGSTOP");
  const fillers: { end(): void }[] = [];
  for (let i = 0; i < FROZEN_FILL; i++) {
    const socket = { data: () => {}, error: () => {}, connectError: () => {} };
    void Bun.connect({ hostname: "127.0.0.1", port, socket }).then(
      (opened) => void fillers.push(opened),
      () => undefined,
    );
  }
  await until("its backlog is full", () => fillers.length >= 1);
  await Bun.sleep(100);
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.end();
      child.kill("SIGCONT");
      await child[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** Bytes that came out at the far end, both directions together, and how long it took. */
export interface BulkResult {
  bytes: number;
  seconds: number;
}

/** How an iperf3 client runs. `bytes` ends it early, for tests. */
export interface BulkOptions {
  port: number;
  seconds: number;
  streams: number;
  isBidirectional: boolean;
  bytesMax?: number;
  /** Whether everything else on the machine goes first. */
  isNice?: boolean;
}

/** Tries of an iperf3 whose server is not yet free again. */
const IPERF_ATTEMPTS = 20;

/** Runs an iperf3 client through `port`. */
export async function runIperf(options: BulkOptions): Promise<BulkResult> {
  const amount =
    options.bytesMax === undefined
      ? ["-t", String(Math.ceil(options.seconds))]
      : ["-n", String(options.bytesMax)];
  const direction = options.isBidirectional ? ["--bidir"] : [];
  const command = options.isNice === true ? [...NICE] : [];
  command.push("iperf3", "-J", "-c", "127.0.0.1", "-p", String(options.port));
  command.push("-P", String(options.streams), ...amount, ...direction);
  for (let attempt = 1; ; attempt++) {
    const { code, output } = await runProcess(command, { limitMs: LOAD_LIMIT_MS });
    if (code === 0) return parseIperf(JSON.parse(output));
    // Its server takes one test at a time, and is a moment late to notice that one is over.
    if (!output.includes("busy") || attempt === IPERF_ATTEMPTS) {
      throw new Error(`iperf3 failed: ${output}`);
    }
    await Bun.sleep(200);
  }
}

interface IperfSum {
  bytes: number;
  seconds: number;
}

function parseIperf(report: {
  error?: string;
  end: { sum_sent: IperfSum; sum_received: IperfSum; sum_received_bidir_reverse?: IperfSum };
}): BulkResult {
  if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`);
  const { sum_sent: sent, sum_received: received, sum_received_bidir_reverse: back } = report.end;
  // The far end counts nothing when a tiny transfer is over before its first interval.
  const forth = received.bytes > 0 ? received : sent;
  return { bytes: forth.bytes + (back?.bytes ?? 0), seconds: forth.seconds };
}

/** What wrk saw. */
export interface RequestResult {
  requests: number;
  seconds: number;
  errors: number;
  p50Us: number;
  p99Us: number;
}

/** How wrk runs. */
export interface RequestOptions {
  port: number;
  seconds: number;
  connections: number;
  /** One connection per request instead of kept-alive ones. */
  isOneShot?: boolean;
}

const WRK_REPORT = `
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"errors":%d,"p50Us":%d,"p99Us":%d}\\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
`;

/** Runs wrk against `port`. Less than a second works too: it is interrupted then. */
export async function runWrk(options: RequestOptions): Promise<RequestResult> {
  using folder = temporaryFolder();
  const script = folder.file("report.lua");
  writeFileSync(script, WRK_REPORT);
  const command = ["wrk", "-t", "1", "-c", String(options.connections)];
  command.push("-d", `${Math.ceil(options.seconds)}s`, "--latency", "-s", script);
  if (options.isOneShot === true) command.push("-H", "Connection: close");
  await using child = startProcess([...command, `http://127.0.0.1:${options.port}/`]);
  if (options.seconds < 1) {
    await Bun.sleep(options.seconds * 1_000);
    child.kill("SIGINT");
  }
  await child.exited;
  const line = /^RESULT (.*)$/m.exec(child.output())?.[1];
  if (line === undefined) throw new Error(`wrk failed: ${child.output()}`);
  const result: RequestResult = JSON.parse(line);
  if (result.requests === 0) throw new Error(`wrk got no answer: ${child.output()}`);
  return result;
}

/** An echo server in this process. */
export function startEcho(): Origin {
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket, bytes) => void socket.write(bytes, 0, bytes.length) },
  });
  return {
    port: listener.port,
    async [Symbol.asyncDispose]() {
      listener.stop(true);
    },
  };
}
