import { expect, test } from "bun:test";

import { onNextTurn, sleepMs, startTimer, systemClock } from "../../../src/base/clock.ts";

test("the clocks go forward, and agree with the machine's", () => {
  const before = systemClock.nowMs();
  const epoch = systemClock.epochMicros();
  expect(Math.abs(epoch / 1000 - Date.now())).toBeLessThan(5000);
  expect(Number.isInteger(epoch)).toBe(true);
  expect(systemClock.nowMs()).toBeGreaterThanOrEqual(before);
});

test("a timer runs once, unless it is stopped", async () => {
  let runs = 0;
  startTimer(1, () => runs++);
  startTimer(1, () => runs++).stop();
  await sleepMs(30);
  expect(runs).toBe(1);
});

test("the next turn comes after this one", async () => {
  const order: string[] = [];
  const done = new Promise<void>((resolve) => {
    onNextTurn(() => {
      order.push("next");
      resolve();
    });
  });
  order.push("now");
  await done;
  expect(order).toEqual(["now", "next"]);
});
