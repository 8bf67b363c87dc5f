/** Thousands of checks: how many are under way at a time, and what is kept for their limits. */
import { describe, expect, test } from "bun:test";

import { Checker } from "../../../src/check/checker.ts";
import type { Checked } from "../../../src/check/checker.ts";
import type { CheckTarget, ProbeEars } from "../../../src/check/probe.ts";
import type { CheckResult } from "../../../src/check/result.ts";

const INTERVAL_MS = 1000;

/** A checker of servers that are numbers, over a clock that the test moves. */
class Lab {
  now = 0;
  /** Servers in the order in which they were asked. */
  readonly asked: number[] = [];
  readonly underWay = new Map<number, ProbeEars>();
  most = 0;
  /** Answers within the start of a probe, where there is one. */
  answer: CheckResult | undefined;
  /** What was told of those that wait: `delayed/late/waiting@ms`. */
  readonly crowds: string[] = [];
  readonly checker: Checker<number>;
  #timers: { atMs: number; run: () => void }[] = [];

  constructor(probesMax: number) {
    this.checker = new Checker<number>({
      nowMs: () => this.now,
      startTimer: (delayMs, run) => {
        const timer = { atMs: this.now + delayMs, run };
        this.#timers.push(timer);
        return { stop: () => (this.#timers = this.#timers.filter((one) => one !== timer)) };
      },
      random32: () => 0,
      startProbe: ({ target }, ears) => {
        const key = target.mark;
        this.asked.push(key);
        if (this.answer !== undefined) {
          ears.done(this.answer);
        } else {
          this.underWay.set(key, ears);
          this.most = Math.max(this.most, this.underWay.size);
        }
        return { cancel: () => this.underWay.delete(key), late: () => ({ code: "L4TOUT" }) };
      },
      running: () => undefined,
      spreadPercent: 0,
      maxSpreadMs: 0,
      probesMax,
      isWanted: () => true,
      tell: () => undefined,
      crowded: ({ delayed, late, waiting }) =>
        void this.crowds.push(`${delayed}/${late}/${waiting}@${this.now}`),
    });
  }

  run(untilMs: number): void {
    for (;;) {
      const due = this.#timers
        .filter(({ atMs }) => atMs <= untilMs)
        .toSorted((left, right) => left.atMs - right.atMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== due);
      this.now = Math.max(this.now, due.atMs);
      due.run();
    }
    this.now = untilMs;
  }

  finish(key: number): void {
    const ears = this.underWay.get(key);
    this.underWay.delete(key);
    ears?.done({ code: "L4OK" });
  }
}

function servers(count: number, checkMs = -1): Checked<number>[] {
  return Array.from({ length: count }, (_, key) => {
    const schedule = {
      kind: "check",
      intervalMs: INTERVAL_MS,
      fastIntervalMs: INTERVAL_MS,
      downIntervalMs: INTERVAL_MS,
      rise: 2,
      fall: 3,
      onError: "fail-check",
      connectMs: checkMs === -1 ? -1 : INTERVAL_MS,
      checkMs,
    } as const;
    const target = { mark: key } as unknown as CheckTarget;
    return { key, schedule, job: { target, program: { kind: "connect" } }, health: 4 };
  });
}

describe("more checks are due than may run", () => {
  test("no more run than may, and each has its turn, the first the first", () => {
    const lab = new Lab(3);
    for (const server of servers(10)) lab.checker.add(server, false);
    lab.run(1);
    expect(lab.asked).toEqual([0, 1, 2]);
    lab.finish(1);
    expect(lab.asked).toEqual([0, 1, 2, 3]);
    // Nobody answers: each has all of its time, from when it began.
    lab.run(4 * INTERVAL_MS);
    expect(new Set(lab.asked).size).toBe(10);
    expect(lab.asked.slice(0, 10)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(lab.most).toBe(3);
  });

  test("one that is given up while it waits is not asked; the others are", () => {
    const lab = new Lab(1);
    for (const server of servers(5)) lab.checker.add(server, false);
    lab.run(1);
    lab.checker.remove(1);
    lab.checker.suspend(2);
    lab.checker.restart(3);
    lab.checker.remove(0);
    expect(lab.asked).toEqual([0, 4]);
    lab.finish(4);
    lab.run(INTERVAL_MS + 1);
    expect(lab.asked).toEqual([0, 4, 3]);
    expect([...lab.underWay.keys()]).toEqual([3]);
  });

  test("the end of all checks asks nobody any more", () => {
    const lab = new Lab(1);
    for (const server of servers(5)) lab.checker.add(server, false);
    lab.run(1);
    lab.checker.stop();
    lab.run(10 * INTERVAL_MS);
    expect(lab.asked).toEqual([0]);
    expect(lab.underWay.size).toBe(0);
  });

  test("thousands that fail at once do not nest", () => {
    const lab = new Lab(1);
    for (const server of servers(50_000)) lab.checker.add(server, false);
    lab.run(1);
    lab.answer = { code: "L4CON" };
    lab.run(200);
    lab.finish(0);
    expect(lab.asked.length).toBe(50_000);
  });
});

describe("those that wait are told of", () => {
  test("a second after the first, with those that wait longer than their interval", () => {
    const lab = new Lab(1);
    for (const server of servers(5)) lab.checker.add(server, false);
    lab.run(500);
    lab.finish(0);
    expect(lab.crowds).toEqual([]);
    lab.run(1001);
    expect(lab.crowds).toEqual(["4/0/3@1000"]);
    // Number 1 goes on until its time is over at 1500: by then number 2 has waited too long.
    lab.run(1501);
    expect(lab.asked).toEqual([0, 1, 2]);
    lab.run(60_999);
    expect(lab.crowds.length).toBe(1);
    lab.run(61_001);
    expect(lab.crowds.length).toBe(2);
    const [delayed, late] = lab.crowds[1]!.split("/").map(Number);
    expect(delayed).toBeGreaterThan(10);
    expect(late).toBeGreaterThan(10);
  });

  test("not again when nobody waits any more, and again when somebody does", () => {
    const lab = new Lab(1);
    const finishAll = (): void => {
      for (const key of [...lab.underWay.keys()]) lab.finish(key);
    };
    for (const server of servers(2)) lab.checker.add(server, false);
    lab.run(2);
    finishAll();
    finishAll();
    lab.checker.suspend(0);
    lab.checker.suspend(1);
    lab.run(200_000);
    expect(lab.crowds).toEqual(["1/0/0@1000"]);
    lab.checker.resume(0);
    lab.checker.resume(1);
    lab.run(202_000);
    expect(lab.crowds.length).toBe(2);
  });

  test("where all have their turn nobody is told", () => {
    const lab = new Lab(3);
    for (const server of servers(3)) lab.checker.add(server, false);
    lab.run(200_000);
    expect(lab.crowds).toEqual([]);
  });
});

test("time limits of an hour are not kept for an hour", () => {
  const lab = new Lab(1000);
  const count = 5;
  for (const server of servers(count, 3_600_000)) lab.checker.add(server, false);
  for (let turn = 1; turn <= 200; turn++) {
    lab.run(turn * INTERVAL_MS);
    for (const key of [...lab.underWay.keys()]) {
      lab.underWay.get(key)?.connected();
      lab.finish(key);
    }
  }
  expect(lab.asked.length).toBeGreaterThan(count * 90);
  // One start and one look of each, and those of the last seconds.
  expect(lab.checker.dueCount).toBeLessThan(count * 15);
});
