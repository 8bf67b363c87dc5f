/**
 * Servers that are killed, frozen and started again under load, four workers: what clients see of
 * it, beside haproxy with the same configuration, one after the other. Prints the table.
 *
 *   SLUICE_TEST_CHECKS_SECONDS=60   how long each of them is loaded; the usual is short
 */
import { expect } from "bun:test";
import { join } from "node:path";

import type { Subprocess } from "bun";

import { type BalancerName, findBalancer, startBalancer } from "../support/haproxy.ts";
import { freePort, isListening } from "../support/ports.ts";
import { TEST_TIMEOUT_MS, until } from "../support/procs.ts";
import { statOf } from "../support/server-stat.ts";
import { e2e } from "./sluice.ts";

const SECONDS = Number(process.env["SLUICE_TEST_CHECKS_SECONDS"] ?? 14);
const SERVERS = 4;
const CLIENTS = 16;
const HOLDERS = 8;
/** A client gives up after that: longer than any server takes to be found out. */
const PATIENCE_MS = 4000;
const BYTES = 2000;

/** What happens to whom, in seconds of a cycle. */
const CYCLE_SECONDS = 13;
const EVENTS: readonly (readonly [at: number, what: Fault, server: number])[] = [
  [1, "kill", 0],
  [3, "start", 0],
  [4, "freeze", 1],
  [6.5, "thaw", 1],
  [8, "restart", 2],
  [9.5, "freeze", 3],
  [9.6, "kill", 0],
  [12, "thaw", 3],
  [12.1, "start", 0],
];

type Fault = "kill" | "start" | "freeze" | "thaw" | "restart";

/** A server in a process of its own. */
class CheckedServer implements AsyncDisposable {
  readonly name: string;
  readonly port = freePort();
  readonly checkPort = freePort();
  #child: Subprocess<"ignore", "pipe", "inherit"> | undefined;

  constructor(name: string) {
    this.name = name;
  }

  async start(): Promise<void> {
    const script = join(import.meta.dir, "../support/checked-server.ts");
    const { name, port, checkPort } = this;
    const command = [process.execPath, script, name, String(port), String(checkPort)];
    this.#child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
    await until(`${name} listens`, () => isListening(checkPort));
  }

  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    this.#child?.kill(signal);
    await this.#child?.exited;
  }

  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  async do(what: Fault): Promise<void> {
    if (what === "kill") await this.end("SIGKILL");
    if (what === "restart") await this.end("SIGTERM");
    if (what === "start" || what === "restart") await this.start();
    if (what === "freeze") this.freeze();
    if (what === "thaw") this.thaw();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}

/** How one exchange ended. */
type End = "done" | "refused" | "closed" | "reset" | "silent";

/** One exchange: the name comes, bytes go and come back. @param rounds of the echo */
async function exchange(port: number, rounds: number, pauseMs: number): Promise<End> {
  const { promise, resolve } = Promise.withResolvers<End>();
  const payload = Buffer.alloc(BYTES, "x");
  let wanted = -1;
  let left = rounds;
  const ask = (socket: Bun.Socket): void => {
    wanted = BYTES;
    socket.write(payload);
  };
  const timer = setTimeout(() => resolve("silent"), PATIENCE_MS + rounds * pauseMs);
  try {
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data(one, bytes) {
          // The greeting, in one piece: it is short.
          if (wanted < 0) return ask(one);
          wanted -= bytes.length;
          if (wanted > 0) return;
          left--;
          if (left <= 0) resolve("done");
          else setTimeout(() => ask(one), pauseMs);
        },
        close: (_socket, error) => resolve(error === undefined ? "closed" : "reset"),
        connectError() {},
      },
    });
    const end = await promise;
    socket.terminate();
    return end;
  } catch {
    return "refused";
  } finally {
    clearTimeout(timer);
  }
}

/** What clients have seen. */
type Report = {
  exchanges: number;
  errors: Record<string, number>;
  /** Exchanges of long streams that were cut: a server that dies takes its own with it. */
  cuts: number;
  p50Ms: number;
  p99Ms: number;
  /** From each fault to the moment at which the server was marked, ms. */
  found: { fault: string; ms: number }[];
};

async function measure(name: BalancerName): Promise<Report> {
  await using stack = new AsyncDisposableStack();
  const servers = Array.from({ length: SERVERS }, (_, i) => new CheckedServer(`s${i + 1}`));
  for (const server of servers) await stack.use(server).start();
  const [port, api] = [freePort(), freePort()];
  const env = { SLUICE_LOG_FORMAT: "off" };
  const config = configOf(servers, port, api);
  stack.use(await startBalancer(name, { config, ports: [port], env }));
  const report: Report = { exchanges: 0, errors: {}, cuts: 0, p50Ms: 0, p99Ms: 0, found: [] };
  const times: number[] = [];
  let isOver = false;
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (!isOver) {
      const startMs = performance.now();
      const end = await exchange(port, 1, 0);
      times.push(performance.now() - startMs);
      report.exchanges++;
      if (end !== "done") report.errors[end] = (report.errors[end] ?? 0) + 1;
      await Bun.sleep(2);
    }
  });
  const holders = Array.from({ length: HOLDERS }, async () => {
    while (!isOver) if ((await exchange(port, 20, 50)) !== "done") report.cuts++;
  });
  await play(servers, api, report);
  isOver = true;
  await Promise.all([...clients, ...holders]);
  times.sort((a, b) => a - b);
  report.p50Ms = times[Math.floor(times.length / 2)] ?? 0;
  report.p99Ms = times[Math.floor(times.length * 0.99)] ?? 0;
  return report;
}

/** The faults, in their order, and how long each takes to be seen. */
async function play(servers: readonly CheckedServer[], api: number, report: Report): Promise<void> {
  const startMs = performance.now();
  const waits: Promise<void>[] = [];
  for (let cycle = 0; ; cycle++) {
    for (const [at, what, index] of EVENTS) {
      const atMs = (cycle * CYCLE_SECONDS + at) * 1000;
      if (atMs > SECONDS * 1000) {
        await Promise.all(waits);
        return;
      }
      await Bun.sleep(Math.max(0, startMs + atMs - performance.now()));
      const server = servers[index]!;
      await server.do(what);
      if (what === "kill" || what === "freeze") waits.push(find(server, what, api, report));
    }
  }
}

async function find(
  { name }: CheckedServer,
  fault: string,
  api: number,
  report: Report,
): Promise<void> {
  const startMs = performance.now();
  await until(`${name} to be marked down`, async () => {
    return (await statOf(api, "be", name, ["status"]))["status"]!.startsWith("DOWN");
  });
  report.found.push({ fault, ms: performance.now() - startMs });
}

function configOf(servers: readonly CheckedServer[], port: number, api: number): string {
  const lines = servers.map(
    (one) => `  server ${one.name} 127.0.0.1:${one.port} port ${one.checkPort}`,
  );
  return `global
  nbthread 4
  stats socket 127.0.0.1:${api} level admin
defaults
  mode tcp
  retries 3
  option redispatch
  timeout connect 500ms
  timeout check 300ms
  timeout queue 2s
  timeout client 10s
  timeout server 10s
listen be
  bind 127.0.0.1:${port}
  balance roundrobin
  option redis-check
  default-server check inter 300ms fastinter 100ms downinter 200ms rise 2 fall 2
  default-server on-marked-down shutdown-sessions slowstart 2s
  default-server observe layer4 error-limit 5 on-error mark-down
${lines.join("\n")}
`;
}

const sum = (counts: Record<string, number>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

function rowOf(name: string, report: Report): string {
  const { exchanges, errors, cuts, p50Ms, p99Ms, found } = report;
  const kinds = Object.entries(errors).map(([kind, count]) => `${kind} ${count}`);
  const worst = (fault: string): string => {
    const all = found.filter((one) => one.fault === fault).map(({ ms }) => ms);
    return `${Math.round(Math.max(...all))} ms`;
  };
  const cells = [exchanges, sum(errors), kinds.join(", ") || "-", cuts];
  const times = [
    `${p50Ms.toFixed(1)} ms`,
    `${p99Ms.toFixed(1)} ms`,
    worst("kill"),
    worst("freeze"),
  ];
  return [name.padEnd(7), ...cells, ...times].join(" | ");
}

e2e(
  `servers die, freeze and come back for ${SECONDS} seconds: no more errors than with haproxy`,
  async () => {
    const own = await measure("sluice");
    const reference = findBalancer("haproxy") === undefined ? undefined : await measure("haproxy");
    const head =
      "         exchanges | errors | of them | cut | p50 | p99 | kill seen | freeze seen";
    const rows = [rowOf("sluice", own)];
    if (reference !== undefined) rows.push(rowOf("haproxy", reference));
    console.log([head, ...rows].join("\n"));
    expect(own.exchanges).toBeGreaterThan(SECONDS * 50);
    expect(own.found.length).toBeGreaterThan(0);
    if (reference === undefined) return;
    // A client is on a server when it dies, or is not: chance alone moves a count by its root.
    const most = sum(reference.errors);
    expect(sum(own.errors)).toBeLessThanOrEqual(most + 3 * Math.sqrt(most) + 3);
  },
  2 * (SECONDS * 1000 + 6 * TEST_TIMEOUT_MS),
);
