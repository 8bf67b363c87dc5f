/**
 * Bytes over each of the four bridges: 100 MB of random ones each way at once, over streams side by
 * side, equal by hash; and readers that stop, which must stop their senders and cost no memory.
 */
import { expect, test } from "bun:test";

import { findSluice } from "../support/haproxy.ts";
import { residentBytes, until } from "../support/procs.ts";
import { certificates, SERVER_NAME } from "../support/quic-certificates.ts";
import {
  arrivals,
  exchange,
  type Pipe,
  type PipeClient,
  type PipeOwner,
  type PipeServer,
  pipesToQuic,
  pipesToTcp,
  servePipesQuic,
  servePipesTcp,
} from "../support/quic-pipe.ts";
import { findQuiche } from "../support/quic-quiche-native.ts";
import { type Bridge, BRIDGES, startBridge } from "../support/quic-sluice.ts";

const MEGABYTE = 2 ** 20;
const TOTAL_BYTES = 100_000_000;
const EXCHANGE_LIMIT_MS = 100_000;
/** How long stopped readers stay stopped, over all bridges. */
const STOPPED_MS = Number(process.env["SLUICE_TEST_STOPPED_MS"] ?? 10_000);
const STOPPED_STREAMS = 8;
/** What a stream may hold: windows and buffers of two QUIC ends, or the kernel's for TCP. */
const HELD_BYTES_MAX = 24 * MEGABYTE;
/** Steady memory may still wander by this much. */
const WANDER_BYTES = 16 * MEGABYTE;

/** Nobody who is slow is cut off by these. */
const PATIENT = `  timeout connect 20s
  timeout client 1h
  timeout server 1h`;

const isReady = findSluice() !== undefined && findQuiche() !== undefined;

async function serve(bridge: Bridge, onPipe: (pipe: Pipe) => void): Promise<PipeServer> {
  if (!bridge.isBackQuic) return servePipesTcp(onPipe);
  return await servePipesQuic({ certificate: certificates().server }, onPipe);
}

async function connect(bridge: Bridge, port: number): Promise<PipeClient> {
  if (!bridge.isFrontQuic) return pipesToTcp(port);
  return await pipesToQuic(port, SERVER_NAME, { authority: certificates().authority });
}

for (const bridge of BRIDGES) {
  for (const [streams, total] of [
    [10, TOTAL_BYTES],
    [1, TOTAL_BYTES / 5],
  ] as const) {
    const title = `${bridge.name}: ${total / 1e6} MB each way at once over ${streams} streams`;
    test.skipIf(!isReady)(title, async () => {
      const bytes = total / streams;
      const arrived = arrivals(bytes);
      await using server = await serve(bridge, arrived.onPipe);
      await using sluice = await startBridge(bridge, server.port, {}, { workers: 2 });
      await using client = await connect(bridge, sluice.port);
      const pipes = await Promise.all(Array.from({ length: streams }, () => client.open()));
      await exchange(pipes, arrived, bytes, EXCHANGE_LIMIT_MS);
      expect(sluice.hasExited()).toBe(false);
    });
  }
}

/** Floods as long as somebody takes it. */
class Flood implements PipeOwner {
  static readonly chunk = Buffer.alloc(262_144, "f");
  sent = 0;
  readonly #pipe: Pipe;

  constructor(pipe: Pipe) {
    this.#pipe = pipe;
    pipe.owner = this;
    this.writable();
  }

  writable(): void {
    for (;;) {
      const taken = this.#pipe.write(Flood.chunk);
      if (taken > 0) this.sent += taken;
      if (taken < Flood.chunk.length) return;
    }
  }

  data(): void {}
  end(): void {}
  abort(): void {}
}

/** Reads nothing until it is told to. */
class Stopped implements PipeOwner {
  received = 0;
  readonly pipe: Pipe;

  constructor(pipe: Pipe) {
    this.pipe = pipe;
    pipe.owner = this;
    pipe.pause();
  }

  data(bytes: Uint8Array): void {
    this.received += bytes.length;
  }

  writable(): void {}
  end(): void {}
  abort(): void {}
}

const sumOf = (floods: readonly Flood[]): number => floods.reduce((sum, one) => sum + one.sent, 0);

/** Waits until the senders have stood still for a while. */
async function standstill(floods: readonly Flood[]): Promise<void> {
  let last = -1;
  let since = performance.now();
  await until("the senders to stop", async () => {
    const now = sumOf(floods);
    if (now !== last) since = performance.now();
    last = now;
    await Bun.sleep(20);
    return now > 0 && performance.now() - since > 400;
  });
}

for (const bridge of BRIDGES) {
  for (const isUp of [true, false]) {
    const who = isUp ? "server" : "client";
    test.skipIf(!isReady)(`${bridge.name}: a ${who} that stops reading`, async () => {
      const floods: Flood[] = [];
      const readers: Stopped[] = [];
      const onPipe = (pipe: Pipe): void =>
        void (isUp ? readers.push(new Stopped(pipe)) : floods.push(new Flood(pipe)));
      await using server = await serve(bridge, onPipe);
      await using sluice = await startBridge(bridge, server.port, {}, { timeouts: PATIENT });
      await using client = await connect(bridge, sluice.port);
      for (let i = 0; i < STOPPED_STREAMS; i++) {
        const pipe = await client.open();
        if (isUp) floods.push(new Flood(pipe));
        else {
          readers.push(new Stopped(pipe));
          // A stream is not there before its first byte.
          pipe.write(Buffer.from("?"));
        }
      }
      await until("all streams", () => Math.min(floods.length, readers.length) === STOPPED_STREAMS);
      await standstill(floods);
      const sent = sumOf(floods);
      const resident = residentBytes(sluice.pid);
      expect(sent / STOPPED_STREAMS).toBeLessThan(HELD_BYTES_MAX);
      await Bun.sleep(STOPPED_MS / BRIDGES.length / 2);
      // It held from the first moment: not a byte more was taken, and memory stands still.
      expect(sumOf(floods)).toBe(sent);
      expect(residentBytes(sluice.pid) - resident).toBeLessThan(WANDER_BYTES);
      for (const reader of readers) reader.pipe.resume();
      await until("the rest to flow", () => sumOf(floods) > sent + 10 * MEGABYTE);
      await until("it to arrive", () => readers.every((one) => one.received > MEGABYTE));
      expect(sluice.hasExited()).toBe(false);
    });
  }
}
