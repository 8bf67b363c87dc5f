/** Stalled workers are told of once, and when they go on; control's own delays are not theirs. */
import { expect, test } from "bun:test";

import type { Told } from "../../../src/control/ask.ts";
import { Watchdog } from "../../../src/control/watchdog.ts";
import type { Question } from "../../../src/tables/questions.ts";
import { SimClock } from "../../support/sim-clock.ts";

type Setup = {
  clock: SimClock;
  said: string[];
  asked: number[];
  answer(worker: number, told?: Told<Question>): Promise<void>;
  pass(ms: number): void;
  pool: { stalls: number };
};

function make(workers: number[]): Setup {
  const clock = new SimClock();
  const said: string[] = [];
  const asked: number[] = [];
  const open = new Map<number, (told: Told<Question>) => void>();
  const pool = {
    stalls: 0,
    serving: () => workers,
    ask: <Q extends Question>(worker: number): Promise<Told<Q>> => {
      asked.push(worker);
      return new Promise((resolve) => {
        open.set(worker, resolve as (told: Told<Question>) => void);
      });
    },
  };
  new Watchdog({
    pool,
    clock,
    say: (severity, text) => said.push(`${severity}: ${text}`),
    startTimer: (delayMs, run) => clock.start(0, delayMs, run),
  });
  return {
    clock,
    said,
    asked,
    pool,
    async answer(worker, told = { kind: "answer", answer: { kind: "ping" } }) {
      open.get(worker)?.(told);
      open.delete(worker);
      await Promise.resolve();
      await Promise.resolve();
    },
    pass(ms) {
      for (let left = ms; left > 0; left -= 100) {
        clock.advance(Math.min(left, 100));
        while (clock.fire(0) !== undefined);
      }
    },
  };
}

test("a worker that answers is asked twice a second and not told of", async () => {
  const { asked, said, answer, pass } = make([1]);
  for (let i = 0; i < 6; i++) {
    pass(500);
    await answer(1);
  }
  expect(asked).toHaveLength(6);
  expect(said).toEqual([]);
});

test("a stall is told once, and when it is over", async () => {
  const { said, asked, answer, pass, pool } = make([1, 2]);
  pass(500);
  await answer(1);
  for (let i = 0; i < 20; i++) {
    pass(500);
    await answer(1);
  }
  expect(said).toEqual(["warning: Worker 2 has not answered for 1.5 s: it is stalled"]);
  expect(asked.filter((worker) => worker === 2)).toHaveLength(1);
  await answer(2);
  expect(said[1]).toBe("notice: Worker 2 goes on after 10.0 s");
  expect(pool.stalls).toBe(1);
  pass(500);
  await answer(2);
  expect(said).toHaveLength(2);
});

test("a short stall is told when it is over", async () => {
  const { said, answer, pass } = make([1]);
  pass(500);
  pass(1300);
  await answer(1);
  expect(said).toEqual(["warning: Worker 1 was stalled for 1.3 s"]);
});

test("a worker that dies is the pool's to tell", async () => {
  const { said, asked, answer, pass } = make([1]);
  pass(500);
  await answer(1, { kind: "gone" });
  pass(500);
  expect(asked).toHaveLength(2);
  expect(said).toEqual([]);
});

test("a process that stood still as a whole blames nobody", async () => {
  const { clock, said, answer, pass } = make([1, 2]);
  pass(500);
  clock.advance(30_000);
  // An answer that waited is read first, or the timer runs first.
  await answer(1);
  pass(100);
  expect(said).toEqual([]);
  pass(500);
  await answer(2);
  expect(said).toEqual([]);
});
