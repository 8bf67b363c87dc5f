/**
 * How a process leaves its QUIC clients: a soft stop lets streams end and then says good-bye, a
 * hard one tells everybody before it goes. Nobody has to wait for a time-out.
 */
import { expect } from "bun:test";

import { quicModule } from "../../src/conduit/quic/native-quic.ts";
import type { NativeTransport } from "../../src/conduit/quic/native-transport.ts";
import { CAUSE_APPLICATION, CAUSE_TRANSPORT } from "../../src/conduit/quic/transport.ts";
import type { Balancer } from "../support/haproxy.ts";
import { dialTo, makeTransport, nativeServer, pumpedHooks } from "../support/native-lab.ts";
import { startEcho } from "../support/peers.ts";
import { freeUdpPort } from "../support/quic-programs.ts";
import { quicBind, startQuicSluice } from "../support/quic-sluice.ts";
import { ConnectionEnd, CountingAccount } from "../support/transport-suite.ts";
import { e2e } from "./sluice.ts";

const CLIENTS = 20;
const ROUNDS_MAX = 20_000;
const quic = quicModule() === null ? e2e.skip : e2e;

class Clients {
  readonly transport: NativeTransport = makeTransport(9, pumpedHooks(), new CountingAccount());
  readonly ends: ConnectionEnd[];

  constructor(port: number) {
    const profile = nativeServer();
    this.ends = Array.from({ length: CLIENTS }, () => {
      const end = new ConnectionEnd(this.transport);
      end.handle = this.transport.connect(dialTo(port, profile), end);
      return end;
    });
  }

  async until(condition: () => boolean): Promise<void> {
    for (let i = 0; i < ROUNDS_MAX && !condition(); i++) {
      this.transport.turn(8);
      await Bun.sleep(1);
    }
    expect(condition()).toBe(true);
  }

  /** How the connections ended: cause and code of each. */
  ended(): string[] {
    return this.ends.map(({ cause, code }) => `${cause} ${code}`);
  }
}

async function withClients(
  test: (clients: Clients, sluice: Balancer) => Promise<void>,
): Promise<void> {
  await using server = startEcho();
  const port = freeUdpPort();
  const section = `listen fe\n  bind ${quicBind(port)}\n  server s1 127.0.0.1:${server.port}`;
  await using sluice = await startQuicSluice(section, { workers: 2, udpPorts: [port] });
  const clients = new Clients(port);
  await clients.until(() => clients.ends.every(({ isConnected }) => isConnected));
  await test(clients, sluice);
  clients.transport.destroy();
}

const everyone = (text: string): string[] => Array.from({ length: CLIENTS }, () => text);

quic("a soft stop closes connections without streams, and ends", async () => {
  await withClients(async (clients, sluice) => {
    sluice.kill("SIGUSR1");
    await clients.until(() => clients.ends.every(({ cause }) => cause !== 0));
    expect(clients.ended()).toEqual(everyone(`${CAUSE_APPLICATION} 0`));
    expect(await sluice.exited).toBe(0);
  });
});

quic("a soft stop lets streams go on to their end, then closes in order", async () => {
  await withClients(async (clients, sluice) => {
    const streams = clients.ends.map((end) => end.open());
    for (const stream of streams) stream.send(new Uint8Array(1000));
    await clients.until(() => streams.every(({ receivedBytes }) => receivedBytes === 1000));
    sluice.kill("SIGUSR1");
    await clients.until(() => sluice.output().includes("Proxy fe stopped"));
    expect(clients.ends.every(({ cause }) => cause === 0)).toBe(true);
    for (const stream of streams) {
      stream.send(new Uint8Array(300_000));
      stream.finish();
    }
    await clients.until(() => streams.every(({ hasEnd }) => hasEnd));
    for (const stream of streams) expect(stream.receivedBytes).toBe(301_000);
    await clients.until(() => clients.ends.every(({ cause }) => cause !== 0));
    expect(clients.ended()).toEqual(everyone(`${CAUSE_APPLICATION} 0`));
    expect(await sluice.exited).toBe(0);
  });
});

quic("a hard stop is told to everybody", async () => {
  await withClients(async (clients, sluice) => {
    const streams = clients.ends.map((end) => end.open());
    for (const stream of streams) stream.send(new Uint8Array(1000));
    await clients.until(() => streams.every(({ receivedBytes }) => receivedBytes === 1000));
    sluice.kill("SIGTERM");
    await clients.until(() => clients.ends.every(({ cause }) => cause !== 0));
    expect(clients.ended()).toEqual(everyone(`${CAUSE_TRANSPORT} 0`));
    // What was cut short looks like no end.
    expect(streams.some(({ hasEnd }) => hasEnd)).toBe(false);
  });
});
