/**
 * Much at once through the native transport: streams by the thousand, events by the batch, bulk
 * without loss, and what it costs. Deaths of engines, certificates that are not to be trusted.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";

import { seededRandom32 } from "../../../../src/base/prng.ts";
import { nativeModule } from "../../../../src/conduit/native.ts";
import { quicModule } from "../../../../src/conduit/quic/native-quic.ts";
import {
  CAUSE_IDLE,
  CAUSE_PROTOCOL,
  CAUSE_RESET,
  CAUSE_TRANSPORT,
  CONNECTION_CERTIFICATE,
  CONNECTION_RESUMED,
  CONNECTION_VERIFIED,
  TRANSPORT_TLS,
} from "../../../../src/conduit/quic/transport.ts";
import type { StreamOwner } from "../../../../src/conduit/quic/transport.ts";
import {
  bindUdp,
  certificateSpec,
  dialTo,
  makeTransport,
  nativeBind,
  NativeLab,
  nativeServer,
  PROXY_ROW,
  pumpedHooks,
} from "../../../support/native-lab.ts";
import type { LabWishes } from "../../../support/native-lab.ts";
import { certificates } from "../../../support/quic-certificates.ts";
import { ConnectionEnd, CountingAccount, StreamEnd } from "../../../support/transport-suite.ts";

const WIDE = { streamsBidiMax: 20_000, streamWindow: 1 << 20, connectionWindow: 16 << 20 };
const KEEP = test.skipIf(quicModule() === null);

/** A lab, and the server's side of each connection. */
async function makeLab(wishes: LabWishes = {}): Promise<{ lab: NativeLab; ends: ConnectionEnd[] }> {
  const ends: ConnectionEnd[] = [];
  const lab: NativeLab = new NativeLab(
    {
      onAccepted: (connection) => {
        const end = new ConnectionEnd(lab.server);
        end.handle = connection;
        ends.push(end);
        return end;
      },
    },
    wishes,
  );
  return { lab, ends };
}

async function join(
  wishes: LabWishes = {},
): Promise<{ lab: NativeLab; client: ConnectionEnd; server: ConnectionEnd }> {
  const { lab, ends } = await makeLab(wishes);
  const client = new ConnectionEnd(lab.client);
  client.handle = lab.connect(client);
  expect(client.handle).toBeGreaterThan(0);
  await lab.until(() => client.isConnected && ends.length === 1);
  return { lab, client, server: ends[0]! };
}

describe("many streams", () => {
  KEEP("thousands opened in one turn are all told, each with its bytes", async () => {
    const { lab, client, server } = await join({ bind: { transport: WIDE } });
    server.onOpened = (stream) => (stream.isEcho = true);
    const count = 5000;
    const streams = Array.from({ length: count }, (_, index) => {
      const stream = client.open();
      stream.send(new Uint8Array(100).fill(index & 255));
      stream.finish();
      return stream;
    });
    await lab.until(() => streams.every((stream) => stream.hasEnd));
    expect(server.streams.length).toBe(count);
    for (const [index, stream] of streams.entries()) {
      const all = stream.all();
      expect([all.length, all[0], all[99]]).toEqual([100, index & 255, index & 255]);
    }
    lab.close();
  });

  KEEP("ten thousand one after the other leave nothing in C", async () => {
    const { lab, client, server } = await join({ bind: { transport: WIDE }, isOnLoop: true });
    server.onOpened = (stream) => (stream.isEcho = true);
    const before = [lab.client.chunksUsed, lab.server.chunksUsed];
    let done = 0;
    const live = new Set<StreamEnd>();
    while (done < 10_000) {
      while (live.size < 50) {
        const stream = client.open();
        stream.send(new Uint8Array(64));
        stream.finish();
        live.add(stream);
      }
      await lab.until(() => [...live].some((stream) => stream.hasEnd));
      for (const stream of live) {
        if (!stream.hasEnd) continue;
        expect(stream.receivedBytes).toBe(64);
        lab.client.release(stream.handle);
        live.delete(stream);
        done++;
      }
      for (const stream of server.streams.splice(0)) {
        if (stream.hasEnd) lab.server.release(stream.handle);
        else server.streams.push(stream);
      }
    }
    for (const stream of live) lab.client.reset(stream.handle, 0n);
    await lab.settle();
    for (const stream of live) lab.client.release(stream.handle);
    for (const stream of server.streams) {
      lab.server.reset(stream.handle, 0n);
      lab.server.release(stream.handle);
    }
    await lab.until(
      () => lab.client.chunksUsed === before[0] && lab.server.chunksUsed === before[1],
    );
    lab.close();
  });
});

describe("an arena that is too small for all", () => {
  KEEP("breaks streams off, ends none before its time, and is empty in the end", async () => {
    // 16 pieces of 32 KiB for eight streams that want more each.
    const { lab, client, server } = await join({ bind: { transport: WIDE }, chunksMax: 16 });
    server.onOpened = (stream) => {
      stream.isEcho = true;
      // What was broken off on its way here is not echoed whole: that is said too.
      stream.onStreamReset = (handle, code) => {
        stream.resetCode = code;
        lab.server.reset(handle, code);
      };
    };
    const before = [lab.client.chunksUsed, lab.server.chunksUsed];
    const streams = Array.from({ length: 8 }, (_, index) => {
      const stream = client.open();
      stream.send(new Uint8Array(200_000).fill(index + 1));
      stream.finish();
      return stream;
    });
    const isOver = (stream: StreamEnd): boolean =>
      stream.hasEnd || stream.resetCode !== undefined || stream.stopCode !== undefined;
    await lab.until(() => streams.every(isOver));
    for (const [index, stream] of streams.entries()) {
      if (stream.hasEnd) expect(stream.receivedBytes).toBe(200_000);
      expect(stream.all().every((byte) => byte === index + 1)).toBe(true);
      lab.client.reset(stream.handle, 0n);
      lab.client.release(stream.handle);
    }
    await lab.until(() => server.streams.length === 8 && server.streams.every(isOver));
    for (const { handle } of server.streams) {
      lab.server.reset(handle, 0n);
      lab.server.release(handle);
    }
    await lab.until(
      () => lab.client.chunksUsed === before[0] && lab.server.chunksUsed === before[1],
    );
    // Their connection goes on.
    const next = client.open();
    next.send(new Uint8Array(1000));
    next.finish();
    await lab.until(() => next.hasEnd);
    expect([next.receivedBytes, client.cause, server.cause]).toEqual([1000, 0, 0]);
    lab.close();
  });
});

/** Takes everything and adds it up, without keeping it. */
class Sink implements StreamOwner {
  bytes = 0;
  sum = 0;
  hasEnd = false;
  private readonly transport: NativeLab["server"];

  constructor(transport: NativeLab["server"]) {
    this.transport = transport;
  }

  onStreamData(stream: number): void {
    const { transport } = this;
    for (;;) {
      const length = transport.peek(stream);
      if (length <= 0) {
        this.hasEnd ||= length === 0 && transport.isEnd;
        return;
      }
      const { peekBytes, peekOffset } = transport;
      // Bytes of both ends of each piece: what is lost, doubled or moved changes the sum.
      this.sum += peekBytes[peekOffset]! * (this.bytes % 97);
      this.sum += peekBytes[peekOffset + length - 1]! * ((this.bytes + length - 1) % 97);
      this.bytes += length;
      transport.consume(stream, length);
    }
  }

  onStreamWritable(): void {}
  onStreamReset(): void {}
  onStreamStop(): void {}
}

describe("bulk", () => {
  KEEP(
    "a hundred megabytes arrive as they were sent",
    async () => {
      const total = 100 * 1024 * 1024;
      const { lab, client, server } = await join({ bind: { transport: WIDE }, isOnLoop: true });
      const sink = new Sink(lab.server);
      server.onOpened = ({ handle }) => {
        lab.server.ownStream(handle, sink);
        sink.onStreamData(handle);
      };
      // Each block is its own number over and over: an offset tells which byte must be there.
      const block = new Uint8Array(64 * 1024);
      const random32 = seededRandom32(5);
      for (let i = 0; i < block.length; i++) block[i] = random32() & 255;
      let sent = 0;
      const stream = lab.client.openStream(client.handle, false);
      const pump = (): void => {
        while (sent < total) {
          const at = sent % block.length;
          const taken = lab.client.write(stream, block, at, block.length - at);
          expect(taken).toBeGreaterThanOrEqual(0);
          sent += taken;
          if (taken < block.length - at) return;
        }
        lab.client.finish(stream);
      };
      lab.client.ownStream(stream, {
        onStreamData: () => {},
        onStreamWritable: pump,
        onStreamReset: () => {},
        onStreamStop: () => {},
      });
      const cpu = process.cpuUsage();
      const startedMs = performance.now();
      pump();
      await lab.until(() => sink.hasEnd);
      const seconds = (performance.now() - startedMs) / 1000;
      const { user, system } = process.cpuUsage(cpu);
      const perGb = ((user + system) / 1e6 / total) * 1e9;
      const rate = total / 1e6 / seconds;
      console.log(`bulk, both ends: ${rate.toFixed(0)} MB/s, ${perGb.toFixed(2)} s of CPU per GB`);
      expect(sink.bytes).toBe(total);
      lab.close();
    },
    120_000,
  );
});

describe("owners", () => {
  KEEP("one that throws does not take the events of others with it", async () => {
    const faults: string[] = [];
    const fault = (_where: string, text: string): void => void faults.push(text);
    const server = makeTransport(1, { ...pumpedHooks(), fault }, new CountingAccount());
    const { fd, port } = bindUdp();
    const ends: StreamEnd[] = [];
    server.listen(nativeBind(), fd, PROXY_ROW, {
      onAccepted: (connection) => {
        const end = new ConnectionEnd(server);
        end.handle = connection;
        end.onOpened = (stream) => {
          ends.push(stream);
          if (ends.length % 2 === 1) throw new Error("a bug of an owner");
        };
        return end;
      },
    });
    const client = makeTransport(2, pumpedHooks(), new CountingAccount());
    const end = new ConnectionEnd(client);
    end.handle = client.connect(dialTo(port, nativeServer()), end);
    for (let i = 0; i < 500 && !end.isConnected; i++) {
      server.turn(4);
      client.turn(4);
    }
    for (let i = 0; i < 20; i++) end.open().send(new Uint8Array(100));
    for (let i = 0; i < 500 && ends.filter((one) => one.receivedBytes === 100).length < 20; i++) {
      client.turn(4);
      server.turn(4);
    }
    expect(ends.map((one) => one.receivedBytes)).toEqual(Array.from({ length: 20 }, () => 100));
    expect(faults.length).toBe(10);
    client.destroy();
    server.destroy();
    nativeModule()!.close(fd);
  });
});

describe("a flush", () => {
  KEEP("that an owner asks for while it is told waits until all are told", async () => {
    const { lab, client, server } = await join({ bind: { transport: WIDE }, isOnLoop: true });
    let echoes = 0;
    server.onOpened = (stream) => {
      stream.isEcho = true;
      lab.server.flush();
      lab.server.pump(-1);
    };
    const streams = Array.from({ length: 300 }, () => client.open());
    for (const stream of streams) {
      stream.send(new Uint8Array(50));
      stream.finish();
    }
    await lab.until(() => streams.every((stream) => stream.hasEnd));
    for (const stream of streams) echoes += stream.receivedBytes;
    expect([server.streams.length, echoes]).toEqual([300, 300 * 50]);
    lab.close();
  });
});

describe("counters", () => {
  KEEP("both ends of a path without losses count the same packets", async () => {
    const { lab, client, server } = await join({ bind: { transport: WIDE } });
    server.onOpened = (stream) => (stream.isEcho = true);
    const streams = Array.from({ length: 20 }, () => client.open());
    for (const stream of streams) {
      stream.send(new Uint8Array(20_000));
      stream.finish();
    }
    await lab.until(() => streams.every((stream) => stream.hasEnd));
    await lab.settle();
    lab.client.closeConnection(client.handle, true, 0n, "");
    const { clientAccount, serverAccount } = lab;
    await lab.until(() => clientAccount.releasedCount === 1 && serverAccount.releasedCount === 1);
    const pairs = [
      [clientAccount, serverAccount],
      [serverAccount, clientAccount],
    ] as const;
    for (const [from, to] of pairs) {
      expect(from.sum("packetsLost")).toBe(0);
      expect(from.sum("packetsSent")).toBeGreaterThan(100);
      expect(to.sum("packetsReceived") + to.sum("packetsDropped")).toBe(from.sum("packetsSent"));
      expect(to.sum("bytesReceived")).toBe(from.sum("bytesSent"));
    }
    lab.close();
  });
});

describe("deaths", () => {
  KEEP("a peer that is gone without a word is an idle time-out, never an end", async () => {
    const transport = { idleTimeoutMs: 300 };
    const { lab, client, server } = await join({ bind: { transport } });
    const near = client.open();
    near.send(new Uint8Array(10));
    await lab.until(() => server.find(near.id)?.receivedBytes === 10);
    const far = server.find(near.id)!;
    lab.client.destroy();
    await lab.until(() => {
      lab.server.turn(8);
      return server.cause !== 0;
    });
    expect([server.cause, far.hasEnd, far.resetCode]).toEqual([CAUSE_IDLE, false, undefined]);
    lab.close();
  });

  KEEP("an engine that took the place of a dead one answers with stateless resets", async () => {
    const native = nativeModule()!;
    const { fd, port } = bindUdp();
    const profile = nativeBind();
    const accept = { onAccepted: () => new ConnectionEnd(first) };
    const first = makeTransport(1, pumpedHooks(), new CountingAccount(), { generation: 1 });
    const client = makeTransport(2, pumpedHooks(), new CountingAccount());
    first.listen(profile, fd, PROXY_ROW, accept);
    const end = new ConnectionEnd(client);
    end.handle = client.connect(dialTo(port, nativeServer()), end);
    const until = async (condition: () => boolean): Promise<void> => {
      for (let i = 0; i < 5000 && !condition(); i++) {
        client.turn(4);
        await Bun.sleep(1);
      }
      expect(condition()).toBe(true);
    };
    await until(() => {
      first.turn(4);
      return end.isConnected;
    });
    // Its handshake is confirmed: resets are believed.
    for (let i = 0; i < 20; i++) {
      first.turn(4);
      client.turn(4);
      await Bun.sleep(1);
    }
    first.destroy();
    const successorAccount = new CountingAccount();
    const second = makeTransport(1, pumpedHooks(), successorAccount, { generation: 2 });
    second.listen(profile, fd, PROXY_ROW, { onAccepted: () => new ConnectionEnd(second) });
    end.open().send(new Uint8Array(200));
    await until(() => {
      second.turn(4);
      return end.cause !== 0;
    });
    expect(end.cause).toBe(CAUSE_RESET);
    second.countLive();
    expect(successorAccount.sum("resetsSent")).toBeGreaterThan(0);
    // New clients are served as before.
    const next = new ConnectionEnd(client);
    next.handle = client.connect(dialTo(port, nativeServer()), next);
    await until(() => {
      second.turn(4);
      return next.isConnected;
    });
    client.destroy();
    second.destroy();
    native.close(fd);
  });
});

describe("trust", () => {
  KEEP("what a client thinks of its server's certificate", async () => {
    const files = certificates();
    const read = (path: string): string => readFileSync(path, "utf8");
    const cases: [string, LabWishes, string, boolean][] = [
      ["by the name that was asked for", {}, "", true],
      ["by another name that is in it", {}, "localhost", true],
      ["by its address", {}, "127.0.0.1", true],
      ["not by a name that is not in it", {}, "other.test", false],
      ["not one whose time is over", crt(files.expired), "", false],
      ["not one that signed itself", crt(files.stranger), "", false],
      [
        "not without its authority",
        { server: { authorities: read(files.otherAuthority) } },
        "",
        false,
      ],
      [
        "any, where none is asked for",
        { ...crt(files.stranger), server: { verify: "none" } },
        "",
        true,
      ],
    ];
    for (const [name, wishes, verifyName, isGood] of cases) {
      const { lab, ends } = await makeLab(wishes);
      const client = new ConnectionEnd(lab.client);
      client.handle = lab.client.connect(
        { ...dialTo(lab.port, lab.clientProfile), verifyName },
        client,
      );
      await lab.until(() => (isGood ? client.isConnected && ends.length === 1 : client.cause > 0));
      expect([name, client.isConnected]).toEqual([name, isGood]);
      if (!isGood) {
        expect([name, client.cause]).toEqual([name, CAUSE_PROTOCOL]);
        expect(client.code >= 0x100n && client.code <= 0x1ffn).toBe(true);
        expect(lab.client.connectionText(client.handle, "failure")).not.toBe("");
        expect(ends.every(({ isConnected }) => !isConnected)).toBe(true);
      }
      lab.close();
    }
  });

  KEEP("a client's certificate, where the listener wants one", async () => {
    const files = certificates();
    const authorities = readFileSync(files.authority, "utf8");
    const wants: LabWishes = { bind: { verify: "required", authorities } };
    const shows = { server: { certificate: certificateSpec(files.client) } };
    const good = await join({ ...wants, ...shows });
    const flags = good.lab.server.connectionFlags(good.server.handle);
    const both = CONNECTION_CERTIFICATE | CONNECTION_VERIFIED;
    expect(flags & both).toBe(both);
    expect(good.lab.server.connectionText(good.server.handle, "commonName")).toBe("client one");
    good.lab.close();
    const { lab, ends } = await makeLab(wants);
    const client = new ConnectionEnd(lab.client);
    client.handle = lab.connect(client);
    await lab.until(() => client.cause !== 0);
    expect([client.cause, ends.length]).toEqual([CAUSE_TRANSPORT, 0]);
    lab.close();
  });

  KEEP("certificates that are none are told, not used", async () => {
    const server = certificateSpec(certificates().server);
    const other = certificateSpec(certificates().second);
    const transport = makeTransport(1, pumpedHooks(), new CountingAccount());
    const { fd } = bindUdp();
    const accept = { onAccepted: () => new ConnectionEnd(transport) };
    for (const certificate of [
      { ...server, chain: "no PEM" },
      { ...server, key: other.key },
    ]) {
      const profile = nativeBind({ certificates: [certificate] });
      expect(transport.listen(profile, fd, PROXY_ROW, accept)).toBe(TRANSPORT_TLS);
      expect(transport.problem).toStartWith("test.pem: ");
    }
    transport.destroy();
    nativeModule()!.close(fd);
  });

  KEEP("a ticket makes the next handshake shorter", async () => {
    const { lab, client, server } = await join();
    await lab.until(() => lab.client.connectionTicket(client.handle) !== null);
    expect(lab.client.connectionFlags(client.handle) & CONNECTION_RESUMED).toBe(0);
    const ticket = lab.client.connectionTicket(client.handle);
    const next = new ConnectionEnd(lab.client);
    next.handle = lab.client.connect({ ...dialTo(lab.port, lab.clientProfile), ticket }, next);
    await lab.until(() => next.isConnected);
    expect(lab.client.connectionFlags(next.handle) & CONNECTION_RESUMED).not.toBe(0);
    expect(server.cause).toBe(0);
    lab.close();
  });
});

function crt(one: ReturnType<typeof certificates>["server"]): LabWishes {
  return { bind: { certificates: [certificateSpec(one)] } };
}
