import { expect, test } from "bun:test";
import { once } from "node:events";
import { Worker } from "node:worker_threads";

import {
  clockOriginMs,
  onNextTurn,
  sleepMs,
  startTimer,
  systemClock,
} from "../../../src/base/clock.ts";

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

test("a thread that is aligned counts from the moment of another", async () => {
  await sleepMs(50);
  const before = systemClock.nowMs();
  const thread = new Worker(new URL("./clock-thread.ts", import.meta.url), {
    workerData: clockOriginMs(),
  });
  const [theirs] = await once(thread, "message");
  await thread.terminate();
  expect(theirs).toBeGreaterThan(before - 20);
  expect(theirs).toBeLessThan(systemClock.nowMs() + 20);
});
