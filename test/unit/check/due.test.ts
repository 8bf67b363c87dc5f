/** What is due when: order, never early, and few wake-ups among thousands of items. */
import { describe, expect, test } from "bun:test";

import { DueList } from "../../../src/check/due.ts";

type Timer = { atMs: number; run: () => void };

/** A clock that stands at the next timer's time whenever it is asked to go on. */
function lab() {
  const timers = new Set<Timer>();
  let nowMs = 0;
  let wakes = 0;
  return {
    now: () => nowMs,
    wakes: () => wakes,
    startTimer(delayMs: number, run: () => void) {
      const timer = { atMs: nowMs + delayMs, run };
      timers.add(timer);
      return { stop: () => void timers.delete(timer) };
    },
    /** Fires the next timer. @returns false when there is none */
    goOn(): boolean {
      const next = [...timers].sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) return false;
      timers.delete(next);
      nowMs = Math.max(nowMs, next.atMs);
      wakes++;
      next.run();
      return true;
    },
  };
}

describe("a due list", () => {
  test("gives items in the order of their times, the older first among equals", () => {
    const clock = lab();
    const got: string[] = [];
    const list = new DueList<string>(clock.now, clock.startTimer, (item) => void got.push(item));
    list.add("c", 20);
    list.add("a", 10);
    list.add("d", 20);
    list.add("b", 10);
    while (clock.goOn());
    expect(got).toEqual(["a", "b", "c", "d"]);
    expect(clock.now()).toBe(20);
  });

  test("of thousands none is early, none more than some milliseconds late", () => {
    const clock = lab();
    let [most, least, count] = [0, Number.POSITIVE_INFINITY, 0];
    const list = new DueList<number>(clock.now, clock.startTimer, (dueMs) => {
      most = Math.max(most, clock.now() - dueMs);
      least = Math.min(least, clock.now() - dueMs);
      count++;
    });
    for (let i = 0; i < 20_000; i++) list.add(i / 4, i / 4);
    while (clock.goOn());
    expect(count).toBe(20_000);
    expect(least).toBeGreaterThanOrEqual(0);
    expect(most).toBeLessThanOrEqual(5);
    // Four items a millisecond: woken for each of them it would be 5,000 times.
    expect(clock.wakes()).toBeLessThan(2_000);
  });

  test("an item that throws does not keep others from their time", () => {
    const clock = lab();
    const got: number[] = [];
    const list = new DueList<number>(clock.now, clock.startTimer, (item) => {
      if (item === 1) throw new Error("of an item");
      got.push(item);
    });
    for (const item of [1, 2, 3]) list.add(item, item);
    expect(() => clock.goOn()).toThrow("of an item");
    while (clock.goOn());
    expect(got).toEqual([2, 3]);
  });

  test("what is added while items are given has its turn", () => {
    const clock = lab();
    const got: number[] = [];
    const list: DueList<number> = new DueList<number>(clock.now, clock.startTimer, (item) => {
      got.push(item);
      if (item < 3) list.add(item + 1, 0);
    });
    list.add(1, 5);
    while (clock.goOn());
    expect(got).toEqual([1, 2, 3]);
  });

  test("a time further off than a timer can be is come to in steps", () => {
    const clock = lab();
    const got: number[] = [];
    const delays: number[] = [];
    const startTimer = (delayMs: number, run: () => void) => {
      delays.push(delayMs);
      return clock.startTimer(delayMs, run);
    };
    const list = new DueList<number>(clock.now, startTimer, (item) => void got.push(item));
    list.add(1, 2 ** 33);
    while (clock.goOn());
    expect(got).toEqual([1]);
    expect(clock.now()).toBe(2 ** 33);
    expect(Math.max(...delays)).toBeLessThan(2 ** 31);
  });
});
