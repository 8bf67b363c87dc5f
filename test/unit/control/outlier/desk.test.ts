/** Ejecting servers and letting them back, under control, with a clock by hand. */
import { describe, expect, test } from "bun:test";

import { adminAfter, setAdmin, setHealth } from "../../../../src/control/server-state.ts";
import { SERVER_THROTTLE } from "../../../../src/tables/generated/server.ts";
import { OutlierLab } from "../../../support/outlier-lab.ts";
import type { Traffic } from "../../../support/outlier-lab.ts";

const servers = (count: number): string =>
  Array.from({ length: count }, (_, i) => ` server s${i + 1} 127.0.0.1:${i + 1}`).join("\n");

const lab = async (line = "", count = 4): Promise<OutlierLab> =>
  await OutlierLab.make(` outlier-ejection ${line}\n${servers(count)}`);

const GOOD: Traffic = { attempts: 50, firstByteMs: 2 };
const FAILING: Traffic = { attempts: 50, failed: 40, firstByteMs: 2 };

/** One interval with this traffic. */
function span(one: OutlierLab, others: Record<string, Traffic> = {}): void {
  one.feedAll(GOOD, others);
  one.clock.advance(10_000);
}

describe("ejection", () => {
  test("a server that fails is out of balancing for its time, then back", async () => {
    const one = await lab();
    span(one, { s2: FAILING });
    expect(one.out()).toEqual(["s2"]);
    expect(one.isChosen("s2")).toBe(false);
    expect(one.told).toEqual([
      "Server b/s2 is ejected for 30s, reason: 40 of 50 connections failed, more than 50%." +
        " 3 active and 0 backup servers left." +
        " 0 sessions active, 0 requeued, 0 remaining in queue.",
    ]);
    expect(one.changes).toEqual(["s2"]);
    one.clock.advance(29_999);
    expect(one.out()).toEqual(["s2"]);
    one.clock.advance(1);
    expect(one.out()).toEqual([]);
    expect(one.isChosen("s2")).toBe(true);
    expect(one.told[1]).toBe(
      "Server b/s2 is back from ejection, its time is over." +
        " 4 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.",
    );
    expect(one.changes).toEqual(["s2", "s2"]);
  });

  test("streams that it breaks off before its first byte are failures", async () => {
    const one = await lab();
    span(one, { s3: { attempts: 50, broken: 30 } });
    expect(one.out()).toEqual(["s3"]);
  });

  test("a server that is slow to answer is out, and says why", async () => {
    const one = await lab();
    span(one, { s4: { attempts: 50, firstByteMs: 200 } });
    expect(one.out()).toEqual(["s4"]);
    expect(one.told[0]).toMatch(
      /^Server b\/s4 is ejected for 30s, reason: its first byte takes 2\d\dms, more than 300% of 1\.\dms elsewhere\./,
    );
  });

  test("too few connections are collected over some intervals, and then forgotten", async () => {
    const one = await lab();
    span(one, { s1: { attempts: 19, failed: 19 } });
    expect(one.out()).toEqual([]);
    span(one, { s1: { attempts: 1, failed: 1 } });
    expect(one.out()).toEqual(["s1"]);
    const other = await lab();
    for (let i = 0; i < 20; i++) span(other, { s1: { attempts: 3, failed: 3 } });
    expect(other.out()).toEqual([]);
  });

  test("what was enough to judge by is not looked at again", async () => {
    const one = await lab();
    span(one);
    span(one, { s1: { attempts: 19, failed: 19 } });
    expect(one.out()).toEqual([]);
  });

  test("time in service forgives as much as it is long", async () => {
    const one = await lab("eject 10s");
    const watch = () => one.desk.watchOf(one.server("s1"))!;
    span(one, { s1: FAILING });
    expect(watch().ejection).toMatchObject({ times: 1, untilMs: 20_000 });
    one.clock.advance(10_000);
    span(one, { s1: FAILING });
    expect(watch().ejection?.times).toBe(1);
    one.clock.advance(10_000);
    one.feedAll(GOOD, { s1: FAILING });
    one.clock.advance(9_999);
    expect(one.out()).toEqual([]);
    one.clock.advance(1);
    // In service for 10 s, as long as it was out: the first is forgiven.
    expect(watch().ejection?.times).toBe(1);
    expect(watch().count).toBe(3);
  });

  test("the time out grows up to a limit", async () => {
    const one = await lab("interval 1s eject 5s");
    const times: number[] = [];
    for (let i = 0; i < 150; i++) {
      one.feedAll(GOOD, { s1: FAILING });
      one.clock.advance(1000);
      const { ejection } = one.desk.watchOf(one.server("s1"))!;
      if (ejection !== null && ejection.times !== times.at(-1)) times.push(ejection.times);
    }
    expect(times.slice(0, 5)).toEqual([1, 2, 3, 4, 5]);
    for (let i = 0; i < 1500; i++) {
      one.feedAll(GOOD, { s1: FAILING });
      one.clock.advance(1000);
    }
    expect(one.desk.watchOf(one.server("s1"))!.times).toBe(10);
  });

  test("many servers are looked at in several turns, and judged together", async () => {
    const one = await lab("", 300);
    for (const round of [1, 2]) {
      one.feedAll(GOOD, { s299: FAILING, s3: FAILING });
      one.clock.advance(round === 1 ? 10_000 : 9_999);
      // The second turn comes a little later.
      expect(one.out()).toHaveLength(round === 1 ? 0 : 2);
      one.clock.advance(1);
      expect(one.out()).toEqual(["s3", "s299"]);
    }
  });

  test("one with a slow start comes back by it", async () => {
    const one = await lab();
    const server = one.server("s1");
    server.spec = { ...server.spec, slowstartMs: 100_000 };
    span(one, { s1: FAILING });
    one.clock.advance(30_000);
    const throttle = (): number =>
      one.keeper.tables.servers.words[one.server("s1").row + SERVER_THROTTLE]!;
    expect(throttle()).toBe(1);
    one.clock.advance(50_000);
    expect(throttle()).toBe(50);
  });

  test("without the word nobody is watched", async () => {
    const one = await OutlierLab.make(servers(3));
    one.feedAll(GOOD, { s1: FAILING });
    one.clock.advance(100_000);
    expect(one.out()).toEqual([]);
    expect(one.desk.watchOf(one.server("s1"))).toBeUndefined();
  });
});

describe("the ceiling", () => {
  test("no more than max-ejected percent go, the worst first", async () => {
    const one = await lab("max-ejected 50");
    const bad = (failed: number) => ({ ...FAILING, failed });
    span(one, { s1: bad(30), s2: bad(50), s3: bad(40) });
    expect(one.out()).toEqual(["s2", "s3"]);
    span(one, { s1: bad(30), s2: bad(0), s3: bad(0) });
    expect(one.out()).toEqual(["s2", "s3"]);
  });

  test("all bad at once: nobody goes", async () => {
    const one = await lab("max-ejected 100");
    one.feedAll(FAILING);
    one.clock.advance(10_000);
    expect(one.out()).toEqual([]);
    one.feedAll({ attempts: 50, firstByteMs: 900 });
    one.clock.advance(10_000);
    expect(one.out()).toEqual([]);
  });

  test("one after the other, the last stays", async () => {
    const one = await lab("max-ejected 100 eject 10m");
    for (const name of ["s1", "s2", "s3", "s4"]) {
      one.feedAll(GOOD, { [name]: FAILING });
      one.clock.advance(10_000);
    }
    expect(one.out()).toEqual(["s1", "s2", "s3"]);
    expect(one.isChosen("s4")).toBe(true);
  });

  test("a server that goes down brings back who was out longest, before it goes", async () => {
    const one = await lab("max-ejected 50");
    span(one, { s1: FAILING });
    span(one, { s2: FAILING });
    expect(one.out()).toEqual(["s1", "s2"]);
    setHealth(one.keeper, one.server("s3"), "down");
    expect(one.out()).toEqual(["s2"]);
    expect(one.told.slice(2)).toEqual([
      expect.stringContaining("Server b/s1 is back from ejection, too few others are usable."),
      expect.stringContaining("Server b/s3 is DOWN"),
    ]);
    setHealth(one.keeper, one.server("s4"), "down");
    // One of two may be out.
    expect(one.out()).toEqual(["s2"]);
    setHealth(one.keeper, one.server("s1"), "down");
    expect(one.out()).toEqual([]);
    expect(one.told.some((text) => text.includes("has no server available"))).toBe(false);
    setHealth(one.keeper, one.server("s2"), "down");
    expect(one.told.at(-1)).toContain("has no server available");
  });

  test("maintenance ends an ejection, a failed check does not", async () => {
    const one = await lab();
    span(one, { s1: FAILING });
    setHealth(one.keeper, one.server("s1"), "down");
    expect(one.isOut("s1")).toBe(true);
    setHealth(one.keeper, one.server("s1"), "up");
    expect(one.isOut("s1")).toBe(true);
    expect(one.isChosen("s1")).toBe(false);
    setAdmin(one.keeper, one.server("s1"), adminAfter(0, "maint"));
    setAdmin(one.keeper, one.server("s1"), adminAfter(0, "ready"));
    expect(one.isOut("s1")).toBe(false);
    expect(one.isChosen("s1")).toBe(true);
  });

  test("its time may run out while it is down: it comes up unmarked, and nothing is said", async () => {
    const one = await lab();
    span(one, { s1: FAILING });
    setHealth(one.keeper, one.server("s1"), "down");
    const said = one.told.length;
    one.clock.advance(30_000);
    expect(one.isOut("s1")).toBe(false);
    expect(one.told).toHaveLength(said);
    setHealth(one.keeper, one.server("s1"), "up");
    expect(one.isChosen("s1")).toBe(true);
  });

  test("backup servers are judged among themselves", async () => {
    const lines = [
      " outlier-ejection",
      servers(2),
      ...[3, 4].map((i) => ` server s${i} 127.0.0.1:${i} backup`),
    ];
    const one = await OutlierLab.make(lines.join("\n"));
    span(one, { s1: FAILING, s3: FAILING });
    expect(one.out()).toEqual(["s1", "s3"]);
    // The other active server carries the traffic: no backup server does.
    expect(["s1", "s2", "s3", "s4"].filter((name) => one.isChosen(name))).toEqual(["s2"]);
  });
});
