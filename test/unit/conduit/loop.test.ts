/** The conduit of a worker's own loop: the shared suite over real sockets, and its errors. */
import { afterAll, describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";

import { systemClock } from "../../../src/base/clock.ts";
import { CLOSE_RESET, FRONT, WRITE_CLOSED } from "../../../src/conduit/conduit.ts";
import type { Conduit, ConduitOwner } from "../../../src/conduit/conduit.ts";
import type { ReadyHandler } from "../../../src/conduit/loop/events.ts";
import { ListeningDescriptor } from "../../../src/conduit/loop/loop-acceptor.ts";
import { adoptAccepted, dialOnLoop } from "../../../src/conduit/loop/loop-conduit.ts";
import { GO_ON, NativeLoop } from "../../../src/conduit/loop/native-loop.ts";
import { nativeModule, OPT_BACKLOG, OPT_COUNT } from "../../../src/conduit/native.ts";
import { encodeSocketAddress } from "../../../src/conduit/sockaddr.ts";
import { runConduitSuite } from "../../support/conduit-suite.ts";
import { makeTcpFarEnd, targetOf, until } from "../../support/tcp-far-end.ts";

const native = nativeModule();
const QUIET_MS = 40;
const EPERM = 1;
const EBADF = 9;

/** A loop that never sleeps: the tests' own sockets live on Bun's. */
function startLoop(): NativeLoop {
  const hooks = {
    prepareSleep: () => GO_ON,
    woken: () => {},
    fault: (_where: string, error: unknown): void => {
      throw error;
    },
  };
  const loop = new NativeLoop(native!, -1, systemClock, hooks, adoptAccepted);
  const inside = loop as unknown as { turn(mayRest: boolean): void };
  const timer = setInterval(() => inside.turn(true), 1);
  afterAll(() => clearInterval(timer));
  return loop;
}

function listen(loop: NativeLoop): { port: number; next(): Promise<Conduit> } {
  const { bytes } = encodeSocketAddress({ family: "ipv4", host: "127.0.0.1", port: 0 });
  const options = new Int32Array(OPT_COUNT);
  options[OPT_BACKLOG] = 16;
  const fd = native!.listen(bytes, bytes.length, options, null);
  const name = new Uint8Array(128);
  native!.name(fd, 0, name, name.length);
  const waiting: Conduit[] = [];
  const accept = (conduit: Conduit): void => {
    conduit.pause();
    waiting.push(conduit);
  };
  new ListeningDescriptor(loop, fd, accept, () => {}).start();
  return {
    port: (name[2]! << 8) | name[3]!,
    next: async () => {
      await until(() => waiting.length > 0);
      return waiting.shift()!;
    },
  };
}

if (native === null) {
  test.skip("the loop needs the native module", () => {});
} else {
  const loop = startLoop();
  const listener = listen(loop);
  const far = await makeTcpFarEnd();
  runConduitSuite({
    name: "the loop's conduit over real sockets",
    until,
    settle: () => Bun.sleep(QUIET_MS),
    accept: async (owner: ConduitOwner) => {
      const peer = await far.connect(listener.port);
      const conduit = await listener.next();
      conduit.setOwner(owner, FRONT);
      conduit.resume();
      return { conduit, peer };
    },
    dial: async (owner) => {
      far.accepted.length = 0;
      const conduit = dialOnLoop(loop, targetOf(far.port), owner);
      if (typeof conduit === "number") throw new Error(`dialling failed with ${conduit}`);
      return {
        conduit,
        peer: async () => {
          await until(() => far.accepted.length > 0);
          return far.accepted[0]!;
        },
      };
    },
    dialNobody: (owner) => dialOnLoop(loop, targetOf(far.nobodyPort), owner),
  });

  describe("errors", () => {
    // The system tells an error once: a write that met it first made an end in order of a reset.
    test("a reset that a write meets first is told as a reset", async () => {
      const told: string[] = [];
      const owner: ConduitOwner = {
        onOpen: () => {},
        onData: (_side, _bytes, _offset, length) => length,
        onDrain: () => {},
        onEnd: () => void told.push("end"),
        onEndAhead: () => {},
        onReset: () => {},
        onStop: () => {},
        onMoved: () => {},
        onClose: (_side, code) => void told.push(`close ${code}`),
      };
      const peer = await far.connect(listener.port);
      const conduit = await listener.next();
      conduit.setOwner(owner, FRONT);
      conduit.resume();
      peer.reset();
      // Before the loop has its next turn: the write is the first to hear of it.
      const limit = performance.now() + 5000;
      let taken = 0;
      while (taken !== WRITE_CLOSED && performance.now() < limit) {
        taken = conduit.write(new Uint8Array(10), 0, 10);
      }
      expect(taken).toBe(WRITE_CLOSED);
      await until(() => told.length > 0);
      expect(told).toEqual([`close ${CLOSE_RESET}`]);
    });
  });

  describe("descriptors that are no connections", () => {
    /** A descriptor that can be made readable: the bell of a loop that nobody runs. */
    function makeBell(): number {
      const events = new Int32Array(1024 * 4);
      const other = native!.loopNew(events, 1024, -1)!;
      return native!.dup(native!.loopBell(other));
    }

    function makeHandler(): ReadyHandler & { times: number } {
      return {
        generation: 0,
        times: 0,
        ready() {
          this.times++;
        },
      };
    }

    test("are told of as long as there is something to read", async () => {
      const bell = makeBell();
      const handler = makeHandler();
      expect(loop.watch(bell, handler, false)).toBe(0);
      await Bun.sleep(QUIET_MS);
      expect(handler.times).toBe(0);
      native.ring(bell);
      await until(() => handler.times >= 3);
      loop.unwatch(bell);
      const { times } = handler;
      await Bun.sleep(QUIET_MS);
      expect(handler.times).toBe(times);
      // It is the caller's still.
      expect(native.close(bell)).toBe(0);
    });

    test("are closed with the loop's interest, if they are the loop's", () => {
      const bell = makeBell();
      expect(loop.watch(bell, makeHandler(), true)).toBe(0);
      loop.unwatch(bell);
      expect(native.dup(bell)).toBe(-EBADF);
    });

    test("that cannot be watched stay the caller's", () => {
      const folder = openSync(import.meta.dir, "r");
      expect(loop.watch(folder, makeHandler(), true)).toBe(-EPERM);
      expect(() => closeSync(folder)).not.toThrow();
    });

    test("of a loop that is buried are closed if they were its own", () => {
      const events = new Int32Array(1024 * 4);
      const dead = native.loopNew(events, 1024, -1)!;
      const [own, other] = [makeBell(), makeBell()];
      expect(native.loopWatch(dead, own, 1)).toBeGreaterThan(0);
      expect(native.loopWatch(dead, other, 0)).toBeGreaterThan(0);
      native.loopDestroy(dead);
      expect(native.dup(own)).toBe(-EBADF);
      expect(native.close(other)).toBe(0);
    });
  });
}
