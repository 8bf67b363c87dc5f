/** Servers that come back gently: weight, limit and shares over simulated time. */
import { describe, expect, test } from "bun:test";

import { chooseServer, leaveServer } from "../../../src/balance/choose.ts";
import { HASH_NONE, Lb } from "../../../src/balance/lb.ts";
import { serverLimit } from "../../../src/balance/limit.ts";
import { buildPlan, makeWorkshop } from "../../../src/control/build.ts";
import type { ServerObject } from "../../../src/control/model.ts";
import { MutationLog } from "../../../src/control/mutation-log.ts";
import {
  makeKeeper,
  restoreState,
  saveState,
  setAdmin,
  setHealth,
  stateRecord,
} from "../../../src/control/server-state.ts";
import type { StateKeeper } from "../../../src/control/server-state.ts";
import { throttleAt } from "../../../src/control/slowstart.ts";
import {
  SERVER_ADMIN_FORCED_DRAIN,
  SERVER_ADMIN_FORCED_MAINT,
} from "../../../src/tables/generated/enums.ts";
import { PROXY_RING_BASE } from "../../../src/tables/generated/proxy.ts";
import { SERVER_THROTTLE, SERVER_TIER_WEIGHT } from "../../../src/tables/generated/server.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";
import { SimClock } from "../../support/sim-clock.ts";
import { loadText, planOf } from "../config/load-text.ts";

const CONTROL = 0;

type Lab = {
  clock: SimClock;
  lb: Lb;
  keeper: StateKeeper;
  servers: readonly ServerObject[];
  backendRow: number;
  /** Lets time pass, timers in their order. */
  wait(ms: number): void;
  throttle(index: number): number;
  /** Scaled: sixteen a unit. */
  weight(index: number): number;
  /** Chooses and leaves at once. @returns index of the server */
  choose(): number;
};

async function makeLab(lines: readonly string[], head = "balance roundrobin"): Promise<Lab> {
  const text = `defaults\n mode tcp\nbackend b\n ${head}\n ${lines.join("\n ")}\n`;
  const plan = planOf(await loadText(text));
  const sizes = { proxies: 2, listeners: 1, servers: 600, queueEntries: 8, arenaWords: 1 << 18 };
  const tables = new Tables(reserveTables({ workers: 1, ...sizes }));
  let draws = 0;
  const lb = new Lb(tables, 0, () => Math.imul(draws++, 0x9e3779b1) >>> 0);
  const worker = new Lb(tables, 1, () => 0);
  const shop = makeWorkshop(plan, tables, lb, new MutationLog(tables, () => {}), null, 1);
  expect(buildPlan(shop)).toEqual([]);
  const clock = new SimClock();
  const keeper = makeKeeper({
    tables,
    model: shop.model,
    lb,
    nowMs: () => clock.nowMs(),
    startTimer: (delayMs, run) => clock.start(CONTROL, delayMs, run),
    pool: { shutdown: () => Promise.resolve(0) },
    tell: () => undefined,
  });
  const backend = shop.model.proxies[0]!;
  const { servers } = backend;
  const words = tables.servers.words;
  return {
    clock,
    lb,
    keeper,
    servers,
    backendRow: backend.row,
    wait(ms) {
      for (const until = clock.nowMs() + ms; clock.nowMs() < until;) {
        clock.advance(Math.min(until, Math.max(clock.nextAtMs(), clock.nowMs())) - clock.nowMs());
        while (clock.fire(CONTROL) !== undefined);
      }
    },
    throttle: (index) => words[servers[index]!.row + SERVER_THROTTLE]!,
    weight: (index) => words[servers[index]!.row + SERVER_TIER_WEIGHT]!,
    choose() {
      const row = chooseServer(worker, backend.row, HASH_NONE, 1, 1, 0, 0);
      leaveServer(worker, backend.row, row);
      return servers.findIndex((server) => server.row === row);
    },
  };
}

/** The server goes down and comes up again. */
function bounce({ keeper, servers }: Lab, index = 0): void {
  setHealth(keeper, servers[index]!, "down");
  setHealth(keeper, servers[index]!, "up");
}

/** What of the weight is in force, in sixteenths: HAProxy's formula. */
const formula = (elapsedMs: number, slowstartMs: number): number =>
  elapsedMs >= slowstartMs ? 16 : 1 + Math.floor((16 * elapsedMs) / slowstartMs);

const SLOW = "server slow 127.0.0.1:1 check slowstart 20s";
const FULL = "server full 127.0.0.1:2";

describe("throttleAt", () => {
  const cases: [elapsed: number, slowstart: number, percent: number][] = [
    [0, 20_000, 1],
    [-5000, 20_000, 1],
    [199, 20_000, 1],
    [10_000, 20_000, 50],
    [19_999, 20_000, 99],
    [20_000, 20_000, 0],
    [1, 1, 0],
    [0, 0, 0],
    [Number.MAX_SAFE_INTEGER, 20_000, 0],
  ];
  for (const [elapsed, slowstart, percent] of cases) {
    test(`${elapsed} of ${slowstart} ms: ${percent} %`, () => {
      expect(throttleAt(elapsed, slowstart)).toBe(percent);
    });
  }
});

test("shares over a slow start follow the formula, tenth by tenth", async () => {
  const lab = await makeLab([SLOW, FULL]);
  expect(lab.weight(0)).toBe(16);
  bounce(lab);
  expect(lab.weight(0)).toBe(1);
  for (let tenth = 0; tenth < 10; tenth++) {
    let own = 0;
    let expected = 0;
    for (let i = 0; i < 1000; i++) {
      const step = formula(tenth * 2000 + i * 2, 20_000);
      expected += step / (16 + step);
      if (lab.choose() === 0) own++;
      lab.wait(2);
    }
    // Steps of the formula fall between two percent: a tenth has one or two, 200 ms late at most.
    expect(Math.abs(own - expected)).toBeLessThan(20);
  }
  expect([lab.throttle(0), lab.weight(0), lab.keeper.slowStart.count]).toEqual([0, 16, 0]);
});

test("the limit goes up in percent, from one stream to all", async () => {
  const lab = await makeLab([`${SLOW} maxconn 300`, FULL]);
  const limit = (): number => serverLimit(lab.lb, lab.backendRow, lab.servers[0]!.row);
  bounce(lab);
  expect(limit()).toBe(3);
  for (let second = 1; second <= 20; second++) {
    lab.wait(1000);
    expect(limit()).toBe(second * 15);
  }
});

test("nothing happens at the start, nor without slowstart", async () => {
  const lab = await makeLab([SLOW, `${FULL} check`]);
  expect(lab.keeper.slowStart.count).toBe(0);
  bounce(lab, 1);
  expect([lab.weight(1), lab.keeper.slowStart.count]).toEqual([16, 0]);
});

describe("a server on its way up", () => {
  test("that goes down begins anew", async () => {
    const lab = await makeLab([SLOW, FULL]);
    bounce(lab);
    lab.wait(10_000);
    expect(lab.throttle(0)).toBe(50);
    setHealth(lab.keeper, lab.servers[0]!, "down");
    expect([lab.throttle(0), lab.keeper.slowStart.count]).toEqual([0, 0]);
    lab.wait(5000);
    expect(lab.throttle(0)).toBe(0);
    setHealth(lab.keeper, lab.servers[0]!, "up");
    expect(lab.throttle(0)).toBe(1);
    lab.wait(19_000);
    expect(lab.throttle(0)).toBe(95);
    lab.wait(1000);
    expect(lab.throttle(0)).toBe(0);
  });

  test("that was stopping, or in maintenance, begins slowly; drained, it begins anew", async () => {
    const lab = await makeLab([SLOW, FULL]);
    const { keeper } = lab;
    const server = lab.servers[0]!;
    for (const away of [
      () => setHealth(keeper, server, "stopping"),
      () => setAdmin(keeper, server, SERVER_ADMIN_FORCED_MAINT),
    ]) {
      away();
      expect(lab.weight(0)).toBe(0);
      setAdmin(keeper, server, 0);
      setHealth(keeper, server, "up");
      expect([lab.throttle(0), lab.weight(0)]).toEqual([1, 1]);
      lab.wait(10_000);
      expect(lab.weight(0)).toBe(9);
      setAdmin(keeper, server, SERVER_ADMIN_FORCED_DRAIN);
      lab.wait(3000);
      expect(lab.weight(0)).toBe(0);
      setAdmin(keeper, server, 0);
      expect([lab.throttle(0), lab.weight(0)]).toEqual([1, 1]);
      lab.wait(20_000);
      expect(lab.throttle(0)).toBe(0);
    }
    // With all of its weight it keeps that.
    setAdmin(keeper, server, SERVER_ADMIN_FORCED_DRAIN);
    setAdmin(keeper, server, 0);
    expect([lab.throttle(0), lab.weight(0)]).toEqual([0, 16]);
  });

  test("gets a new weight in its part", async () => {
    const lab = await makeLab([`${SLOW} weight 10`, FULL]);
    bounce(lab);
    lab.wait(10_000);
    expect(lab.weight(0)).toBe(90);
  });

  test("goes on where it was when a change is undone", async () => {
    const lab = await makeLab([SLOW, FULL]);
    bounce(lab);
    lab.wait(10_000);
    const before = saveState(lab.keeper, lab.servers[0]!);
    setAdmin(lab.keeper, lab.servers[0]!, SERVER_ADMIN_FORCED_MAINT);
    restoreState(lab.keeper, lab.servers[0]!, before);
    expect([lab.throttle(0), lab.weight(0)]).toEqual([50, 9]);
    lab.wait(10_000);
    const full = saveState(lab.keeper, lab.servers[0]!);
    setAdmin(lab.keeper, lab.servers[0]!, SERVER_ADMIN_FORCED_MAINT);
    restoreState(lab.keeper, lab.servers[0]!, full);
    expect([lab.throttle(0), lab.weight(0)]).toEqual([0, 16]);
  });

  test("is as it is since the end of it, as HAProxy's lastchg tells", async () => {
    const lab = await makeLab([SLOW, FULL]);
    bounce(lab);
    lab.wait(20_000);
    const endedAtMs = lab.clock.nowMs();
    lab.wait(500);
    expect(stateRecord(lab.keeper, lab.servers[0]!).changedAtMs).toBe(endedAtMs);
  });

  test("survives a clock that stands, jumps, or goes backwards", async () => {
    const lab = await makeLab([SLOW, FULL]);
    bounce(lab);
    lab.wait(4000);
    lab.clock.advance(-60_000);
    while (lab.clock.fire(CONTROL) !== undefined);
    expect(lab.throttle(0)).toBe(20);
    lab.clock.advance(500_000);
    while (lab.clock.fire(CONTROL) !== undefined);
    expect([lab.throttle(0), lab.keeper.slowStart.count]).toEqual([0, 0]);
  });
});

test("whoever tracks it begins at the same moment, by its own slowstart", async () => {
  const lab = await makeLab([
    SLOW,
    "server b 127.0.0.1:2 track slow slowstart 10s",
    "server c 127.0.0.1:3 track b",
  ]);
  bounce(lab);
  expect([0, 1, 2].map((index) => lab.weight(index))).toEqual([1, 1, 16]);
  lab.wait(5000);
  expect([0, 1, 2].map((index) => lab.throttle(index))).toEqual([25, 50, 0]);
});

test("maps do not follow it, rings and draws do; the limit of each does", async () => {
  const cases: [head: string, moves: boolean][] = [
    ["balance static-rr", false],
    ["balance source", false],
    ["balance source\n hash-type consistent", true],
    ["balance hash src\n hash-type map-based", false],
    ["balance random", true],
    ["balance leastconn", true],
    ["balance first", true],
  ];
  for (const [head, moves] of cases) {
    const lab = await makeLab([`${SLOW} maxconn 100`, FULL], head);
    const baseOf = (): number => lab.lb.proxies[lab.backendRow + PROXY_RING_BASE]!;
    bounce(lab);
    const base = baseOf();
    expect([head, lab.weight(0)]).toEqual([head, moves ? 1 : 16]);
    lab.wait(10_000);
    expect([head, lab.weight(0)]).toEqual([head, moves ? 9 : 16]);
    expect(serverLimit(lab.lb, lab.backendRow, lab.servers[0]!.row)).toBe(50);
    if (!moves) expect(baseOf()).toBe(base);
    lab.wait(10_000);
    expect([head, lab.weight(0), lab.throttle(0)]).toEqual([head, 16, 0]);
  }
});

test("five hundred servers at once have one timer, and come up together", async () => {
  const lines = Array.from(
    { length: 500 },
    (_, i) => `server s${i} 127.0.0.1:${i + 1} check slowstart 20s`,
  );
  const lab = await makeLab(lines);
  for (let i = 0; i < 500; i++) bounce(lab, i);
  const due = lab.clock.nextAtMs();
  expect(due).toBe(lab.clock.nowMs() + 200);
  lab.wait(10_000);
  expect(new Set(lab.servers.map((_, i) => lab.throttle(i)))).toEqual(new Set([50]));
  lab.wait(10_000);
  expect(lab.keeper.slowStart.count).toBe(0);
  expect(lab.clock.nextAtMs()).toBe(Infinity);
});
