/** An owner that throws is a bug of ours: it is told, and costs nobody but its own stream. */
import { describe, expect, test } from "bun:test";

import { systemClock } from "../../../src/base/clock.ts";
import { FRONT } from "../../../src/conduit/conduit.ts";
import { adoptAccepted } from "../../../src/conduit/loop/loop-conduit.ts";
import type { LoopConduit } from "../../../src/conduit/loop/loop-conduit.ts";
import { GO_ON, NativeLoop } from "../../../src/conduit/loop/native-loop.ts";
import { nativeModule } from "../../../src/conduit/native.ts";
import { SessionPool } from "../../../src/conduit/quic/bridge.ts";
import { QuicHub } from "../../../src/conduit/quic/hub.ts";
import type { ServerPool } from "../../../src/conduit/quic/pool.ts";
import type { QuicConduit } from "../../../src/conduit/quic/quic-conduit.ts";
import { QuicLab } from "../../support/quic-lab.ts";

/** Something that has its turn, and throws if it is told to. */
class Reader {
  isWaitingTurn = false;
  turns = 0;
  private readonly isBad: boolean;

  constructor(isBad: boolean) {
    this.isBad = isBad;
  }

  pump(): void {
    this.turns++;
    if (this.isBad) throw new Error("an owner's bug");
  }
}

const BUG = "Error: an owner's bug";

function faults(): { told: string[]; fault(where: string, error: unknown): void } {
  const told: string[] = [];
  return { told, fault: (where, error) => void told.push(`${where}: ${String(error)}`) };
}

/** Gives three readers two turns, the second of which is the bad one. */
function twoTurns(readLater: (reader: Reader) => void, turn: () => void): void {
  const readers = [new Reader(false), new Reader(true), new Reader(false)];
  for (let i = 1; i <= 2; i++) {
    for (const reader of readers) readLater(reader);
    turn();
    expect(readers.map(({ turns }) => turns)).toEqual([i, i, i]);
  }
}

describe("a worker's loop", () => {
  const native = test.skipIf(nativeModule() === null);

  function makeLoop(): { loop: NativeLoop; told: string[]; turn(): void } {
    const { told, fault } = faults();
    const hooks = { prepareSleep: () => GO_ON, woken: () => {}, fault };
    const loop = new NativeLoop(nativeModule()!, -1, systemClock, hooks, adoptAccepted);
    const inside = loop as unknown as { turn(mayRest: boolean): void };
    return { loop, told, turn: () => inside.turn(true) };
  }

  native("goes on with readers behind one that throws", () => {
    const { loop, told, turn } = makeLoop();
    twoTurns((reader) => loop.readLater(reader as unknown as LoopConduit), turn);
    expect(told).toEqual([`event loop: ${BUG}`, `event loop: ${BUG}`]);
  });

  native("goes on with what was put off to the end of the turn, and with timers", () => {
    const { loop, told, turn } = makeLoop();
    const ran: string[] = [];
    const bad = (): void => {
      throw new Error("an owner's bug");
    };
    loop.nextTurn(bad);
    loop.nextTurn(() => ran.push("end of turn"));
    loop.startTimer(0, bad);
    loop.startTimer(0, () => ran.push("timer"));
    turn();
    expect(ran).toEqual(["end of turn", "timer"]);
    expect(told).toEqual([`event loop: ${BUG}`, `event loop: ${BUG}`]);
  });

  native("goes on with events behind one whose handler throws", () => {
    const { loop, told, turn } = makeLoop();
    const module = nativeModule()!;
    const seen: number[] = [];
    const bells = [makeLoop().loop.bell, makeLoop().loop.bell, makeLoop().loop.bell];
    for (const bell of bells) {
      const handler = {
        generation: 0,
        ready: () => {
          seen.push(bell);
          throw new Error("an owner's bug");
        },
      };
      expect(loop.watch(bell, handler, false)).toBe(0);
      module.ring(bell);
    }
    turn();
    expect(seen.toSorted()).toEqual(bells.toSorted());
    expect(told).toHaveLength(bells.length);
  });
});

describe("QUIC of a worker", () => {
  function makeHub(): { hub: QuicHub; lab: QuicLab; told: string[]; turn(): void } {
    const { told, fault } = faults();
    const lab = new QuicLab();
    const turns: (() => void)[] = [];
    const hub = new QuicHub({
      transport: lab.near,
      tables: lab.tables,
      worker: 1,
      clock: lab.clock,
      startTimer: (delayMs, run) => lab.clock.start(1, delayMs, run),
      nextTurn: (run) => turns.push(run),
      fault,
    });
    return { hub, lab, told, turn: () => turns.shift()?.() };
  }

  test("goes on with streams behind one that throws", () => {
    const { hub, told, turn } = makeHub();
    twoTurns((reader) => hub.readLater(reader as unknown as QuicConduit), turn);
    expect(told).toEqual([`QUIC stream: ${BUG}`, `QUIC stream: ${BUG}`]);
  });

  test("goes on with streams of sessions behind one that throws", () => {
    const { told, fault } = faults();
    const { near } = new QuicLab();
    const turns: (() => void)[] = [];
    const pool = new SessionPool(near, (run) => turns.push(run), fault);
    const streams = [pool.take(FRONT, false), pool.take(FRONT, false), pool.take(FRONT, false)];
    const ran: number[] = [];
    for (const [index, stream] of streams.entries()) {
      stream.goOn = () => {
        ran.push(index);
        if (index === 1) throw new Error("an owner's bug");
      };
      pool.goOnLater(stream);
    }
    turns.shift()!();
    expect(ran).toEqual([0, 1, 2]);
    expect(told).toEqual([`QUIC session stream: ${BUG}`]);
  });

  test("looks at the other pools, and again later, when one throws", () => {
    const { hub, lab, told } = makeHub();
    const looks = [0, 0];
    const pools = looks.map((_, index) => ({
      tick: () => {
        looks[index]!++;
        if (index === 0) throw new Error("an owner's bug");
      },
    }));
    const inside = hub as unknown as { pools: Set<ServerPool> };
    for (const pool of pools) inside.pools.add(pool as unknown as ServerPool);
    hub.keepTime();
    for (let i = 0; i < 2; i++) {
      lab.clock.advance(500);
      lab.clock.fire(1);
    }
    expect(looks).toEqual([2, 2]);
    expect(told).toEqual([`QUIC tick: ${BUG}`, `QUIC tick: ${BUG}`]);
  });
});
