/**
 * The peers of a storm, in a process of their own: `bun storm-peers.ts` reads a line of JSON (what
 * to play) and plays until its standard input ends, then prints a line of JSON (what it saw).
 *
 * Origins greet with their name and echo. Short clients come and go; long ones send a byte now and
 * then. A client that is closed or reset before it leaves has died: when, on which server.
 */
import type { Socket } from "bun";

/** What to play. */
export type StormOrder = {
  /** Names of servers by port. */
  origins: Record<string, number>;
  /** Frontends of the proxy. */
  ports: number[];
  /** Clients at a time, of each kind and frontend. */
  shortClients: number;
  longClients: number;
};

/** A client that did not come to its own end. */
export type Death = {
  kind: "short" | "long";
  port: number;
  /** Who had greeted it; "" = nobody yet. */
  server: string;
  bornMs: number;
  diedMs: number;
  how: string;
};

/** What was seen. */
export type StormReport = { shorts: number; longs: number; echoes: number; deaths: Death[] };

/** Echoes after which a client has had enough. */
const SHORT_ECHOES = 2;
const LONG_ECHOES = 400;
const LONG_PAUSE_MS = 25;
const DEATHS_MAX = 5000;

type Client = Death & { echoes: number; greeting: string; isDone: boolean };

const report: StormReport = { shorts: 0, longs: 0, echoes: 0, deaths: [] };
let isOver = false;

function startOrigin(name: string, port: number): void {
  Bun.listen({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => void socket.write(`${name}\n`),
      data: (socket, bytes) => void socket.write(bytes),
      error: () => {},
    },
  });
}

function play(kind: Death["kind"], port: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const client: Client = {
    kind,
    port,
    server: "",
    bornMs: Date.now(),
    diedMs: 0,
    how: "",
    echoes: 0,
    greeting: "",
    isDone: false,
  };
  const die = (how: string): void => {
    if (!client.isDone && report.deaths.length < DEATHS_MAX && !isOver) {
      const { server, bornMs } = client;
      report.deaths.push({ kind, port, server, bornMs, diedMs: Date.now(), how });
    }
    client.isDone = true;
    resolve();
  };
  Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (socket, bytes) => answered(client, socket, bytes.toString("latin1")),
      end: () => die("end"),
      close: (_socket, error) => die(error === undefined ? "close" : "reset"),
      error: () => die("error"),
    },
  }).catch(() => die("refused"));
  return promise;
}

function answered(client: Client, socket: Socket, text: string): void {
  if (client.server === "") {
    client.greeting += text;
    const end = client.greeting.indexOf("\n");
    if (end < 0) return;
    client.server = client.greeting.slice(0, end);
    socket.write("x");
    return;
  }
  client.echoes++;
  report.echoes++;
  if (client.echoes >= (client.kind === "short" ? SHORT_ECHOES : LONG_ECHOES) || isOver) {
    client.isDone = true;
    socket.end();
  } else if (client.kind === "short") socket.write("x");
  else setTimeout(() => void socket.write("x"), LONG_PAUSE_MS);
}

async function repeat(kind: Death["kind"], port: number): Promise<void> {
  while (!isOver) {
    await play(kind, port);
    if (kind === "short") report.shorts++;
    else report.longs++;
    // A frontend that refuses is not asked in a tight loop.
    await Bun.sleep(kind === "short" ? 4 : LONG_PAUSE_MS);
  }
}

async function main(): Promise<void> {
  const input = process.stdin[Symbol.asyncIterator]();
  const first = await input.next();
  const order = JSON.parse(String(first.value)) as StormOrder;
  for (const [name, port] of Object.entries(order.origins)) startOrigin(name, port);
  const loops: Promise<void>[] = [];
  process.stdout.write("ready\n");
  await input.next();
  for (const port of order.ports) {
    for (let i = 0; i < order.shortClients; i++) loops.push(repeat("short", port));
    for (let i = 0; i < order.longClients; i++) loops.push(repeat("long", port));
  }
  while (!(await input.next()).done);
  isOver = true;
  await Promise.race([Promise.all(loops), Bun.sleep(5000)]);
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
}

if (import.meta.main) await main();
