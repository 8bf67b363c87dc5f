/**
 * The shape of the tables in docs/outliers.md, for a few seeds: who wins where, by wide margins.
 */
import { describe, expect, test } from "bun:test";

import { runQueues } from "./balance-queues.ts";
import type { QueueResult } from "./balance-queues.ts";
import { CASES, compare, CONTESTANTS } from "./balance-tables.ts";

const FOR_MS = 25_000;

/** Runs of one case with each seed. */
function each(
  subject: keyof typeof CASES,
  check: (result: (name: string) => QueueResult) => void,
): void {
  for (const seed of [1, 2, 3]) {
    test(`${CASES[subject].name}, seed ${seed}`, async () => {
      const results = await compare(CASES[subject], seed, FOR_MS);
      check((name) => results.get(name)!);
    });
  }
}

describe("where all are alike, nothing is lost", () => {
  each("equal", (result) => {
    const least = result("leastconn");
    for (const { name } of CONTESTANTS) {
      expect(result(name).p99).toBeLessThan(least.p99 * 1.2);
      expect(result(name).p50).toBeLessThan(least.p50 * 1.2);
      expect(result(name).ejections).toBe(0);
    }
    // Everybody takes part.
    const served = result("peak-ewma").served;
    expect(Math.min(...served) * 2).toBeGreaterThan(Math.max(...served));
  });
});

describe("a slow server", () => {
  each("slow", (result) => {
    for (const name of ["peak-ewma", "peak-ewma, ejection", "roundrobin, ejection"]) {
      expect(result(name).p99 * 10).toBeLessThan(result("roundrobin").p99);
      expect(result(name).p99 * 3).toBeLessThan(result("random(2)").p99);
    }
    expect(result("roundrobin, ejection").ejections).toBeGreaterThan(0);
  });
  // Where hardly anybody is served at a time, load says little: who measures answers wins.
  each("late", (result) => {
    for (const name of ["peak-ewma first-byte", "roundrobin, ejection"]) {
      expect(result(name).p99 * 2).toBeLessThan(result("leastconn").p99);
      expect(result(name).p99 * 3).toBeLessThan(result("roundrobin").p99);
    }
  });
});

describe("a server that connects late", () => {
  each("far", (result) => {
    for (const name of ["roundrobin", "leastconn", "random(2)"]) {
      expect(result("peak-ewma").p99 * 2).toBeLessThan(result(name).p99);
    }
  });
  // Where hardly anybody is served at a time, load says nothing and time says all.
  each("idle", (result) => {
    for (const name of ["roundrobin", "leastconn", "random(2)"]) {
      expect(result("peak-ewma").p99 * 2).toBeLessThan(result(name).p99);
    }
  });
});

describe("a server that refuses at once: the black hole of leastconn", () => {
  each("refusing", (result) => {
    expect(result("leastconn").failedPercent).toBeGreaterThan(30);
    expect(result("roundrobin").failedPercent).toBeGreaterThan(10);
    expect(result("peak-ewma").failedPercent).toBeLessThan(1);
    const ejecting = result("roundrobin, ejection");
    expect(ejecting.failedPercent * 5).toBeLessThan(result("roundrobin").failedPercent);
    for (const { name } of CONTESTANTS) expect(result(name).lost).toBeLessThan(100);
  });
});

describe("servers that stand still now and then", () => {
  each("pauses", (result) => {
    expect(result("peak-ewma").p99 * 1.2).toBeLessThan(result("roundrobin").p99);
    // All of them do it: nobody is worse than the others for long.
    for (const { name } of CONTESTANTS) expect(result(name).ejections).toBe(0);
  });
});

describe("weights", () => {
  test("a server of twice the weight has twice the streams where all are busy", async () => {
    const servers = [1, 1, 2, 4].map((weight) => {
      return { connectMs: 0.5, serviceMs: 40, slots: 1000, weight };
    });
    const subject = { name: "weights", servers, arrivalsPerSecond: 1500 };
    const contestant = { name: "peak-ewma", lines: " balance peak-ewma" };
    const { served } = await runQueues(subject, contestant, 1, FOR_MS);
    const unit = served.reduce((a, b) => a + b, 0) / 8;
    for (const [i, weight] of [1, 1, 2, 4].entries()) {
      expect(served[i]!).toBeGreaterThan(unit * weight * 0.7);
      expect(served[i]!).toBeLessThan(unit * weight * 1.4);
    }
  });
});

test("the same seed gives the same table", async () => {
  const once = await compare(CASES.slow, 7, 8000);
  expect(await compare(CASES.slow, 7, 8000)).toEqual(once);
});
