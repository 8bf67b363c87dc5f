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
/** How long a scene takes, about. */
const SCENE_SECONDS = 3.5;
const SERVERS = 4;
const CLIENTS = 16;
const HOLDERS = 8;
/** A client gives up after that: longer than any server takes to be found out. */
const PATIENCE_MS = 4000;
const BYTES = 2000;
const POLL_MS = 10;

/** What happens to whom, one after the other; each lasts until it is seen, and a while longer. */
const SCENES: readonly (readonly (readonly [what: Fault, server: number])[])[] = [
  [["kill", 0]],
  [["freeze", 1]],
  [["restart", 2]],
  [
    ["freeze", 3],
    ["kill", 0],
  ],
];
const SCENE_MS = 1000;

type Fault = "kill" | "freeze" | "restart";

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

  async suffer(what: Fault): Promise<void> {
    if (what === "kill") await this.end("SIGKILL");
    if (what === "freeze") this.#child?.kill("SIGSTOP");
    if (what === "restart") {
      await this.end("SIGTERM");
      await this.start();
    }
  }

  async recover(what: Fault): Promise<void> {
    if (what === "kill") await this.start();
    if (what === "freeze") this.#child?.kill("SIGCONT");
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
  /** Longest wait for an answer of the runtime API. */
  answerMs: number;
};

async function measure(name: BalancerName): Promise<Report> {
  await using stack = new AsyncDisposableStack();
  const servers = Array.from({ length: SERVERS }, (_, i) => new CheckedServer(`s${i + 1}`));
  for (const server of servers) await stack.use(server).start();
  const [port, api] = [freePort(), freePort()];
  const env = { SLUICE_LOG_FORMAT: "off" };
  const config = configOf(servers, port, api);
  stack.use(await startBalancer(name, { config, ports: [port], env }));
  const none = { exchanges: 0, errors: {}, cuts: 0, p50Ms: 0, p99Ms: 0, answerMs: 0 };
  const report: Report = { ...none, found: [] };
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

/** The scenes, again and again, and how long each fault takes to be seen. */
async function play(servers: readonly CheckedServer[], api: number, report: Report): Promise<void> {
  // As many for the one as for the other, however fast they are.
  const count = Math.max(SCENES.length, Math.round(SECONDS / SCENE_SECONDS));
  for (let scene = 0; scene < count; scene++) {
    const faults = SCENES[scene % SCENES.length]!;
    await Bun.sleep(SCENE_MS);
    const seen = faults.map(async ([what, index]) => {
      const server = servers[index]!;
      const startMs = performance.now();
      await server.suffer(what);
      if (what === "restart") return;
      await comes(api, server, "DOWN", report);
      report.found.push({ fault: what, ms: performance.now() - startMs });
    });
    await Promise.all(seen);
    await Bun.sleep(SCENE_MS);
    await Promise.all(faults.map(([what, index]) => servers[index]!.recover(what)));
    for (const server of servers) await comes(api, server, "UP", report);
  }
}

async function comes(
  api: number,
  { name }: CheckedServer,
  status: string,
  report: Report,
): Promise<void> {
  await until(`${name} to be ${status}`, async () => {
    await Bun.sleep(POLL_MS);
    const askedMs = performance.now();
    const row = await statOf(api, "be", name, ["status"]);
    report.answerMs = Math.max(report.answerMs, performance.now() - askedMs);
    return row["status"]!.startsWith(status);
  });
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
  const { exchanges, errors, cuts, p50Ms, p99Ms, found, answerMs } = report;
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  const kinds = Object.entries(errors).map(([kind, count]) => `${kind} ${count}`);
  const seen = (fault: string): string => {
    const all = found.filter((one) => one.fault === fault).map(({ ms }) => Math.round(ms));
    return `${all.sort((a, b) => a - b).join(" ")} ms`;
  };
  const cells = [exchanges, sum(errors), kinds.join(", ") || "-", cuts];
  const times = [ms(p50Ms), ms(p99Ms), seen("kill"), seen("freeze"), ms(answerMs)];
  return [name.padEnd(7), ...cells, ...times].join(" | ");
}

e2e(
  `servers die, freeze and come back for ${SECONDS} seconds: no more errors than with haproxy`,
  async () => {
    const own = await measure("sluice");
    const reference = findBalancer("haproxy") === undefined ? undefined : await measure("haproxy");
    const head =
      "         exchanges | errors | of them | cut | p50 | p99 | kill seen | freeze seen | API";
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
