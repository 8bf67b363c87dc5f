/**
 * Connections to QUIC servers: shared by streams up to the server's limit, kept and given up as the
 * words of the `server` line say, and left by streams that were not sent yet when they die.
 */
import { expect, test } from "bun:test";

import type { Socket } from "bun";

import { askApi } from "../support/api.ts";
import { type Balancer, findSluice } from "../support/haproxy.ts";
import { freePort } from "../support/ports.ts";
import { temporaryFolder, until } from "../support/procs.ts";
import { quicRows } from "../support/quic-census.ts";
import { certificates } from "../support/quic-certificates.ts";
import { freeUdpPort } from "../support/quic-programs.ts";
import { findQuiche } from "../support/quic-quiche-native.ts";
import { type PeerOptions, QuicEndpoint } from "../support/quic-quiche.ts";
import { quicServer, startQuicSluice } from "../support/quic-sluice.ts";
import { playClient } from "../support/tcp-script.ts";

const isReady = findSluice() !== undefined && findQuiche() !== undefined;
const quic = test.skipIf(!isReady);

/** Echoes, and ends with the client. */
async function startQuicEcho(options: PeerOptions = {}): Promise<QuicEndpoint> {
  return await QuicEndpoint.open({
    certificate: certificates().server,
    ...options,
    onConnection(connection) {
      connection.onStream = (stream) => {
        stream.handlers = {
          data: (bytes) => void stream.write(bytes),
          end: () => stream.finish(),
        };
      };
    },
  });
}

type Front = Balancer & { port: number; backend(name: string): Promise<string> };

async function startFront(lines: string): Promise<Front> {
  const folder = temporaryFolder();
  const api = folder.file("api.sock");
  const port = freePort();
  const sections = `listen fe\n  bind 127.0.0.1:${port}\n${lines}`;
  const global = `  stats socket ${api} level admin`;
  const sluice = await startQuicSluice(sections, { global, tcpPorts: [port] });
  return {
    ...sluice,
    port,
    backend: async (name) => {
      const rows = quicRows(await askApi(api, "show stat"));
      return rows.get("fe/BACKEND")?.get(name) ?? "";
    },
    async [Symbol.asyncDispose]() {
      await sluice[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** A client that has had one byte echoed and stays. */
async function stay(port: number): Promise<Socket> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: { data: () => resolve(), open: (one) => void one.write("x") },
  });
  await promise;
  return socket;
}

/** Connections that live, of those from the `from`-th on: others may be a killed sluice's. */
const live = (server: QuicEndpoint, from = 0): number =>
  server.connections.slice(from).filter((one) => one.end === undefined).length;

quic("streams share a connection; at the server's limit another one is opened", async () => {
  await using server = await startQuicEcho({ streamsBidi: 4 });
  await using sluice = await startFront(`  server s ${quicServer(server.port)}`);
  const clients: Socket[] = [];
  for (let i = 0; i < 4; i++) clients.push(await stay(sluice.port));
  expect(live(server)).toBe(1);
  for (let i = 0; i < 8; i++) clients.push(await stay(sluice.port));
  expect(live(server)).toBe(3);
  for (const client of clients) client.end();
  // Idle ones are used again before new ones are made.
  await until("all streams to be over", async () => (await sluice.backend("scur")) === "0");
  for (let i = 0; i < 12; i++) clients.push(await stay(sluice.port));
  expect(server.counts.connections).toBe(3);
  for (const client of clients) client.end();
});

quic("pool-max-conn, max-reuse and pool-purge-delay", async () => {
  await using server = await startQuicEcho();
  const ask = (port: number): Promise<string[]> => playClient("send x; shut; read-end", { port });
  {
    await using none = await startFront(`  server s ${quicServer(server.port, "pool-max-conn 0")}`);
    for (let i = 0; i < 3; i++) expect(await ask(none.port)).toEqual(["open", 'end "x"']);
    expect(server.counts.connections).toBe(3);
    await until("none to be kept", () => live(server) === 0);
  }
  {
    const before = server.counts.connections;
    await using thrice = await startFront(`  server s ${quicServer(server.port, "max-reuse 2")}`);
    for (let i = 0; i < 6; i++) expect(await ask(thrice.port)).toEqual(["open", 'end "x"']);
    // The first stream of a connection is no reuse.
    expect(server.counts.connections - before).toBe(2);
  }
  {
    const words = "pool-purge-delay 300ms";
    await using purged = await startFront(`  server s ${quicServer(server.port, words)}`);
    const before = server.counts.connections;
    expect(await ask(purged.port)).toEqual(["open", 'end "x"']);
    expect(server.counts.connections - before).toBe(1);
    await until("it to be purged", () => live(server, before) === 0);
  }
});

quic("a dead server is left for another, before and in the middle of it all", async () => {
  await using a = await startQuicEcho();
  await using b = await startQuicEcho();
  const dead = freeUdpPort();
  const lines = `  option redispatch 1
  retries 2
  timeout connect 500ms
  server dead ${quicServer(dead)}
  server a ${quicServer(a.port)}
  server b ${quicServer(b.port)}`;
  await using sluice = await startFront(lines);
  const ask = (): Promise<string[]> => playClient("send x; shut; read-end", { port: sluice.port });
  for (let i = 0; i < 9; i++) expect(await ask()).toEqual(["open", 'end "x"']);
  expect(Math.min(a.counts.streamsAccepted, b.counts.streamsAccepted)).toBeGreaterThan(0);
  // Its idle connection is dead too now, and what is sent on it is tried elsewhere.
  a.kill();
  const answers = await Promise.all(Array.from({ length: 9 }, ask));
  const lost = answers.filter((answer) => answer[1] !== 'end "x"');
  // What had gone out when nobody listened any more is not sent twice; the other has its turns.
  expect(lost.length).toBeLessThan(6);
  for (let i = 0; i < 6; i++) expect(await ask()).toEqual(["open", 'end "x"']);
});
