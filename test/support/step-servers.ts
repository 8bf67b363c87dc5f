/**
 * Servers for the tests of `tcp-check` and `http-check`: each does what its script says to whoever
 * connects, and remembers what it was sent.
 */
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";

import { openLibc } from "../../src/base/libc.ts";

/** What a server does, one after the other; after the last it stays as it is. Text is Latin-1. */
export type StepAct =
  | ["send", string]
  /** Waits for the first byte. */
  | ["wait"]
  /** Waits until it was sent this. */
  | ["waitfor", string]
  /** One byte at a time. */
  | ["drip", string]
  /** That many bytes `x`, then this. */
  | ["big", number, string]
  /** This, again and again, as long as somebody reads. */
  | ["flood", string]
  | ["pause", number]
  | ["close"]
  | ["reset"]
  | ["hang"];

/** A check: lines of its backend, words of its server, and what the server does. */
export type StepCase = {
  name: string;
  lines: string[];
  script: StepAct[];
  srv?: string;
  tls?: boolean;
  /** `refused`: nobody listens. `blackhole`: nobody answers at all. */
  port?: "refused" | "blackhole";
  /** What haproxy says of it, as recorded by `record-steps.ts`. */
  verdict: StepVerdict;
};

/** What haproxy said: columns of `show stat`, and the request that its check sent. */
export type StepVerdict = {
  status: string;
  number: number | null;
  info: string;
  request?: string;
};

/** A server under way. */
export type StepServer = {
  port: number;
  /** What the last client sent. */
  heard(): string;
  /** Clients that are connected. */
  clients(): number;
  stop(): void;
};

const DRIP_MS = 2;

/** Starts one on a free port of 127.0.0.1. @param tls its certificate and key, PEM */
export async function startStepServer(
  script: readonly StepAct[],
  tls?: { cert: string; key: string },
): Promise<StepServer> {
  let heard = "";
  const sockets = new Set<Socket>();
  const accept = (socket: Socket): void => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.on("close", () => void sockets.delete(socket));
    void play(socket, script, (text) => (heard = text));
  };
  const server: Server =
    tls === undefined
      ? createServer({ allowHalfOpen: true }, accept)
      : createTlsServer(tls, accept).on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return {
    port: (server.address() as AddressInfo).port,
    heard: () => heard,
    clients: () => sockets.size,
    stop: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** What a script sees of its client. */
class Client {
  readonly socket: Socket;
  heard = "";
  isGone = false;
  #wake: () => void = () => undefined;

  constructor(socket: Socket, tell: (heard: string) => void) {
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.heard += bytes.toString("latin1");
      tell(this.heard);
      this.#wake();
    });
    socket.on("close", () => {
      this.isGone = true;
      this.#wake();
    });
  }

  async until(isThere: () => boolean): Promise<void> {
    while (!isThere() && !this.isGone) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

async function play(
  socket: Socket,
  script: readonly StepAct[],
  tell: (heard: string) => void,
): Promise<void> {
  const client = new Client(socket, tell);
  for (const act of script) {
    if (client.isGone) return;
    await perform(client, act);
  }
}

async function perform(client: Client, act: StepAct): Promise<void> {
  const { socket } = client;
  switch (act[0]) {
    case "send":
      socket.write(latin(act[1]));
      return;
    case "big":
      socket.write(latin("x".repeat(act[1]) + act[2]));
      return;
    case "wait":
      return await client.until(() => client.heard !== "");
    case "waitfor":
      return await client.until(() => client.heard.includes(act[1]));
    case "drip":
      for (const char of act[1]) {
        if (client.isGone) return;
        socket.write(latin(char));
        await Bun.sleep(DRIP_MS);
      }
      return;
    case "flood":
      return await flood(client, latin(act[1].repeat(5_000)));
    case "pause":
      return await Bun.sleep(act[1]);
    case "close":
      socket.end();
      return;
    case "reset":
      socket.resetAndDestroy();
      return;
    case "hang":
  }
}

async function flood(client: Client, bytes: Buffer): Promise<void> {
  const { socket } = client;
  while (!client.isGone) {
    if (socket.write(bytes)) continue;
    await new Promise<void>((resolve) => {
      socket.once("drain", () => resolve());
      socket.once("close", () => resolve());
    });
  }
}

function latin(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

const LIBC = {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
} as const;
const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCKADDR_BYTES = 16;

let blackhole: { port: number } | undefined;

/** A port of 127.0.0.1 that answers nobody: its backlog is full, and stays so. */
export function blackholePort(): number {
  blackhole ??= makeBlackhole();
  return blackhole.port;
}

function makeBlackhole(): { port: number } {
  const libc = openLibc(LIBC);
  const fd = libc.socket(AF_INET, SOCK_STREAM, 0);
  const address = new Uint8Array(SOCKADDR_BYTES);
  address.set([AF_INET, 0, 0, 0, 127, 0, 0, 1]);
  libc.bind(fd, address, SOCKADDR_BYTES);
  libc.listen(fd, 0);
  libc.getsockname(fd, address, new Uint32Array([SOCKADDR_BYTES]));
  const port = (address[2] ?? 0) * 256 + (address[3] ?? 0);
  for (let i = 0; i < 4; i++)
    connect(port, "127.0.0.1")
      .on("error", () => undefined)
      .unref();
  return { port };
}
