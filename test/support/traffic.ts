/** What clients do to a balancer in tests: visits to named servers, and bulk that is verified. */
import type { Socket } from "bun";

import { within } from "./procs.ts";

/** Where a client goes. */
export interface Destination {
  port?: number;
  unix?: string;
  host?: string;
  /** Source address, such as 127.0.0.7. */
  from?: string;
}

function addressOf(where: Destination): { hostname: string; port: number } {
  return {
    ...(where.unix === undefined
      ? { hostname: where.host ?? "127.0.0.1", port: where.port ?? 0 }
      : { unix: where.unix }),
    ...(where.from === undefined ? {} : { localAddress: where.from }),
  } as { hostname: string; port: number };
}

/** A connection to a server that says its name. */
export interface Visit {
  /** The name, or how the connection ended without one: `closed`, `reset`. */
  readonly name: string;
  readonly localPort: number;
  /** Closes it and waits until the socket is gone. */
  leave(): void;
  reset(): void;
}

/** Connects and waits for the server's name; keeps the connection. Rejects when refused. */
export async function visit(where: Destination, opening = ""): Promise<Visit> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = "";
  const socket: Socket = await Bun.connect({
    ...addressOf(where),
    socket: {
      open: (s) => void (opening === "" || s.write(opening)),
      data(_socket, bytes) {
        text += bytes.toString("latin1");
        if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
      },
      close: (_socket, error) => resolve(error === undefined ? "closed" : "reset"),
      connectError() {},
    },
  });
  const localPort = socket.localPort;
  return {
    name: await within("a server's name", promise),
    localPort,
    leave: () => void socket.end(),
    reset: () => socket.terminate(),
  };
}

/** Visits and leaves: who answered. `refused` when nobody listens. */
export async function askName(where: Destination, opening = ""): Promise<string> {
  try {
    const visited = await visit(where, opening);
    visited.leave();
    return visited.name;
  } catch {
    return "refused";
  }
}

/** `count` visits, one after the other. */
export async function askNames(where: Destination, count: number): Promise<string[]> {
  const names: string[] = [];
  for (let i = 0; i < count; i++) names.push(await askName(where));
  return names;
}

/** How often each value occurs, by value in order of the alphabet. */
export function countEach(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of [...values].sort()) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

/** A client connection that has had one byte echoed: both sides of the proxy are established. */
export interface WarmConnection {
  close(): void;
}

/** Opens a connection through `port` and waits for one echoed byte. Rejects when refused. */
export async function openWarm(port: number): Promise<WarmConnection> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (s) => void s.write("x"),
      data: () => resolve(),
      close: () => reject(new Error("closed before the answer")),
      // The promise of Bun.connect itself tells it.
      connectError() {},
    },
  });
  await promise;
  return { close: () => void socket.end() };
}

/** `count` warm connections through `port`, at most 64 being opened at once. */
export async function openWarmMany(port: number, count: number): Promise<WarmConnection[]> {
  const connections: WarmConnection[] = [];
  const atOnce = 64;
  while (connections.length < count) {
    const batch = Math.min(atOnce, count - connections.length);
    const opened = Array.from({ length: batch }, () => openWarm(port));
    connections.push(...(await Promise.all(opened)));
  }
  return connections;
}
