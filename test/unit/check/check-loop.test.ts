/** Sockets of checks over the native loop: order of what is told, pauses, ends, faults. */
import { describe, expect, test } from "bun:test";

import { CheckLoop, checkLoop } from "../../../src/check/check-loop.ts";
import type { CarrierOwner, CheckSocket } from "../../../src/check/check-loop.ts";
import { nativeModule, OPT_COUNT } from "../../../src/conduit/native.ts";
import { encodeSocketAddress } from "../../../src/conduit/sockaddr.ts";
import { startPeer } from "../../support/peers.ts";
import { freePort } from "../../support/ports.ts";
import { descriptorCount, until } from "../../support/procs.ts";

/** Writes down what it is told. */
class Owner implements CarrierOwner {
  readonly told: string[] = [];
  bytes = 0;
  socket: CheckSocket | undefined;
  onWritable: () => void = () => undefined;
  onBytes: () => void = () => undefined;

  writable(): void {
    this.told.push("writable");
    this.onWritable();
  }

  plainBytes(bytes: Uint8Array): void {
    if (this.told.at(-1) !== "bytes") this.told.push("bytes");
    this.bytes += bytes.length;
    this.onBytes();
  }

  plainEnd(): void {
    this.told.push("end");
  }

  lost(errno: number): void {
    this.told.push(`lost ${errno}`);
  }

  broke(error: unknown): void {
    this.told.push(`broke ${String(error)}`);
    this.socket?.terminate();
  }
}

function open(port: number, owner: Owner): void {
  const address = encodeSocketAddress({ family: "ipv4", host: "127.0.0.1", port }).bytes;
  const options = new Int32Array(OPT_COUNT);
  const dial = { address, source: null, options, interfaceName: null };
  const socket = checkLoop()!.connect(dial, owner);
  if (typeof socket === "number") throw new Error(`connect: ${socket}`);
  owner.socket = socket;
}

describe.skipIf(checkLoop() === null)("a socket of the loop of checks", () => {
  test("refused: the system's number, and nothing else", async () => {
    const owner = new Owner();
    open(freePort(), owner);
    await until("the refusal", () => owner.told.length > 0);
    expect(owner.told).toEqual(["lost 111"]);
  });

  test("a server that speaks and ends at once: there, bytes, end", async () => {
    await using server = startPeer({
      open: (socket) => {
        socket.write("hello");
        socket.shutdown();
      },
    });
    const owner = new Owner();
    open(server.port, owner);
    await until("the end", () => owner.told.includes("end"));
    owner.socket?.terminate();
    expect(owner.told).toEqual(["writable", "bytes", "end"]);
    expect(owner.bytes).toBe(5);
  });

  test("paused within a read, nothing comes; resumed, all the rest and the end do", async () => {
    const all = 1_000_000;
    let sent = 0;
    const write = (socket: { write(bytes: Uint8Array, at: number, length: number): number }) => {
      const bytes = new Uint8Array(all - sent);
      if (bytes.length > 0) sent += Math.max(0, socket.write(bytes, 0, bytes.length));
    };
    await using server = startPeer({
      open: write,
      drain: (socket) => {
        write(socket);
        if (sent === all) socket.shutdown();
      },
    });
    const owner = new Owner();
    owner.onBytes = () => owner.socket?.pause();
    open(server.port, owner);
    await until("the first bytes", () => owner.bytes > 0);
    const first = owner.bytes;
    await Bun.sleep(50);
    expect(owner.bytes).toBe(first);
    owner.onBytes = () => undefined;
    owner.socket?.resume();
    await until("everything", () => owner.bytes === all || owner.told.includes("end"));
    expect(owner.bytes).toBe(all);
    owner.socket?.terminate();
  });

  test("a reset is told after what came before it", async () => {
    await using server = startPeer({ data: (socket) => socket.terminate() });
    const owner = new Owner();
    owner.onWritable = () => {
      owner.onWritable = () => undefined;
      owner.socket?.write(new Uint8Array([1, 2, 3]), 0, 3);
    };
    open(server.port, owner);
    await until("the reset", () => owner.told.some((text) => text.startsWith("lost")));
    expect(owner.told.at(-1)).toBe("lost 104");
    expect(owner.socket?.write(new Uint8Array(1), 0, 1)).toBe(-1);
  });

  test("an owner that throws is told so, and others go on", async () => {
    await using server = startPeer({ open: (socket) => void socket.write("hello") });
    const [bad, good] = [new Owner(), new Owner()];
    bad.onBytes = () => {
      throw new Error("of the owner");
    };
    open(server.port, bad);
    open(server.port, good);
    await until("both", () => good.bytes === 5 && bad.told.length === 3);
    expect(bad.told).toEqual(["writable", "bytes", "broke Error: of the owner"]);
    good.socket?.terminate();
  });

  test("thousands come and go, and no descriptor is left", async () => {
    await using server = startPeer({});
    const before = descriptorCount(process.pid);
    let ends = 0;
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 200; i++) {
        const owner = new Owner();
        owner.onWritable = () => {
          ends++;
          owner.socket?.terminate();
        };
        open(server.port, owner);
      }
      await until("a round of them", () => ends === 200 * (round + 1));
    }
    await until("the server's side", () => descriptorCount(process.pid) <= before);
    expect(ends).toBe(2000);
  });
});

test.skipIf(nativeModule() === null)("after a quiet time it is looked at soon again", async () => {
  const native = nativeModule()!;
  const turns: (() => void)[] = [];
  let timers: { delayMs: number; run: () => void }[] = [];
  const loop = new CheckLoop(native, {
    onNextTurn: (run) => void turns.push(run),
    startTimer: (delayMs, run) => {
      const timer = { delayMs, run };
      timers.push(timer);
      return { stop: () => (timers = timers.filter((one) => one !== timer)) };
    },
  });
  const runTurns = (): void => {
    for (const run of turns.splice(0)) run();
  };
  await using server = startPeer({});
  const silent = { family: "ipv4", host: "127.0.0.1", port: server.port } as const;
  const options = new Int32Array(OPT_COUNT);
  const address = encodeSocketAddress(silent).bytes;
  const dial = { address, source: null, options, interfaceName: null };
  const socket = loop.connect(dial, new Owner());
  if (typeof socket === "number") throw new Error(`connect: ${socket}`);
  runTurns();
  for (let looks = 0; looks < 20; looks++) {
    const [timer, ...others] = timers;
    expect(others).toEqual([]);
    timers = [];
    timer?.run();
    runTurns();
  }
  expect(timers.map(({ delayMs }) => delayMs)).toEqual([10]);
  loop.lookSoon();
  loop.lookSoon();
  runTurns();
  expect(timers.map(({ delayMs }) => delayMs)).toEqual([2]);
  socket.terminate();
  loop.lookSoon();
  runTurns();
  expect(timers).toEqual([]);
  const bell = native.loopBell(loop.pointer);
  native.loopDestroy(loop.pointer);
  native.close(bell);
});
