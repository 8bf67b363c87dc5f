import { describe, expect, test } from "bun:test";

import { seededRandom32 } from "../../../src/base/prng.ts";
import { TICK_MS, Wheel } from "../../../src/base/wheel.ts";

/** One turn of the wheel, ms. */
const TURN_MS = 1024 * TICK_MS;

/** Advances to `nowMs` and tells what fired. */
function collect(startMs: number): { wheel: Wheel; fired: number[] } {
  const fired: number[] = [];
  return { wheel: new Wheel(startMs, (entry) => fired.push(entry)), fired };
}

describe("wheel", () => {
  test("fires in its tick, not before", () => {
    const { wheel, fired } = collect(0);
    wheel.set(3, 100);
    wheel.advance(99);
    expect(fired).toEqual([]);
    wheel.advance(100 + TICK_MS);
    expect(fired).toEqual([3]);
    expect(wheel.count).toBe(0);
  });

  test("a deadline in the past fires at the next tick", () => {
    const { wheel, fired } = collect(1000);
    wheel.set(1, 5);
    expect(wheel.has(1)).toBe(true);
    wheel.advance(1000 + 2 * TICK_MS);
    expect(fired).toEqual([1]);
  });

  test("a deadline of a later turn waits for its turn", () => {
    const { wheel, fired } = collect(0);
    wheel.set(1, 3 * TURN_MS + 40);
    for (let now = 0; now < 3 * TURN_MS; now += 100) wheel.advance(now);
    expect(fired).toEqual([]);
    wheel.advance(3 * TURN_MS + 40 + TICK_MS);
    expect(fired).toEqual([1]);
  });

  test("a leap over several turns fires everything that is due, once", () => {
    const { wheel, fired } = collect(0);
    for (let entry = 0; entry < 50; entry++) wheel.set(entry, entry * 977);
    wheel.advance(50 * 977 + TURN_MS);
    expect(fired.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  test("moving replaces, clearing removes, twice is harmless", () => {
    const { wheel, fired } = collect(0);
    wheel.set(1, 50);
    wheel.set(1, 500);
    wheel.set(2, 50);
    wheel.clear(2);
    wheel.clear(2);
    wheel.clear(9999);
    wheel.advance(100);
    expect(fired).toEqual([]);
    expect(wheel.count).toBe(1);
    wheel.advance(600);
    expect(fired).toEqual([1]);
  });

  // A stream that another's timer ended, or freed and took again, was woken in the same tick.
  test("a callback may clear or move what is due in the same tick", () => {
    const fired: number[] = [];
    const wheel = new Wheel(0, (entry) => {
      fired.push(entry);
      for (const other of [1, 2, 3]) if (other !== entry) wheel.clear(other);
      wheel.clear(4);
      wheel.set(4, 1000);
    });
    for (const entry of [4, 3, 2, 1]) wheel.set(entry, 64);
    wheel.advance(64);
    expect(fired).toEqual([1]);
    expect(wheel.has(4)).toBe(true);
    expect(wheel.count).toBe(1);
    wheel.advance(1000);
    expect(fired).toEqual([1, 4]);
  });

  test("a callback may set its own entry again", () => {
    const times: number[] = [];
    let now = 0;
    const wheel = new Wheel(0, (entry) => {
      times.push(now);
      if (times.length < 3) wheel.set(entry, now + 100);
    });
    wheel.set(1, 100);
    for (now = 0; now < 1000; now += TICK_MS) wheel.advance(now);
    expect(times).toEqual([104, 208, 312]);
  });

  test("tells when it wants to be looked at again", () => {
    const { wheel } = collect(0);
    expect(wheel.delayMs(0)).toBe(-1);
    wheel.set(1, 100);
    expect(wheel.delayMs(0)).toBe(104);
    expect(wheel.delayMs(50)).toBe(54);
    expect(wheel.delayMs(200)).toBe(1);
    wheel.set(2, 10 * TURN_MS);
    expect(wheel.delayMs(0)).toBeLessThanOrEqual(104);
  });
});

/** The plainest timers: a map of deadlines in ticks. */
class NaiveTimers {
  readonly deadlines = new Map<number, number>();
  tick: number;

  constructor(nowMs: number) {
    this.tick = Math.floor(nowMs / TICK_MS);
  }

  set(entry: number, deadlineMs: number): void {
    this.deadlines.set(entry, Math.max(Math.ceil(deadlineMs / TICK_MS), this.tick + 1));
  }

  due(nowMs: number): number[] {
    this.tick = Math.max(this.tick, Math.floor(nowMs / TICK_MS));
    const due = [...this.deadlines].filter(([, at]) => at <= this.tick).map(([entry]) => entry);
    for (const entry of due) this.deadlines.delete(entry);
    return due.toSorted((a, b) => a - b);
  }
}

describe("wheel against a naive model", () => {
  for (let seed = 1; seed <= 40; seed++) {
    test(`seed ${seed}`, () => runModel(seed));
  }
});

function runModel(seed: number): void {
  const random32 = seededRandom32(seed);
  const below = (bound: number): number => random32() % bound;
  let now = below(1_000_000);
  const { wheel, fired } = collect(now);
  const naive = new NaiveTimers(now);
  const entries = 1 + below(3000);
  const farMs = [100, 5000, 3 * TURN_MS, 50 * TURN_MS][below(4)]!;
  for (let i = 0; i < 2000; i++) {
    const entry = below(entries);
    const action = below(10);
    if (action < 6) {
      const deadline = now + below(farMs);
      wheel.set(entry, deadline);
      naive.set(entry, deadline);
    } else if (action < 8) {
      wheel.clear(entry);
      naive.deadlines.delete(entry);
    } else {
      now += below(action === 8 ? 50 : farMs);
      wheel.advance(now);
      expect(fired.toSorted((a, b) => a - b)).toEqual(naive.due(now));
      fired.length = 0;
    }
    expect(wheel.has(entry)).toBe(naive.deadlines.has(entry));
    expect(wheel.count).toBe(naive.deadlines.size);
  }
}
