/** `on-error`: what a report of real traffic does to the schedule and the counter of a check. */
import { describe, expect, test } from "bun:test";

import { Checker } from "../../../src/check/checker.ts";
import type { CheckEvent, CheckSchedule } from "../../../src/check/checker.ts";
import type { ProbeEars } from "../../../src/check/probe.ts";
import { SimClock } from "../../support/sim-clock.ts";

const INTER_MS = 5000;
const FAST_MS = 1000;
/** rise 2, fall 3: full. */
const FULL = 4;

function makeLab(onError: CheckSchedule["onError"]) {
  const clock = new SimClock();
  const events: CheckEvent<string>[] = [];
  let ears: ProbeEars | undefined;
  let probes = 0;
  const checker = new Checker<string>({
    nowMs: () => clock.nowMs(),
    startTimer: (delayMs, run) => clock.start(0, delayMs, run),
    random32: () => 0,
    startProbe: (_job, given) => {
      probes++;
      ears = given;
      return { cancel: () => undefined, late: () => ({ code: "L4TOUT" }) };
    },
    spreadPercent: 0,
    maxSpreadMs: 0,
    isWanted: () => true,
    running: () => undefined,
    tell: (event) => void events.push(event),
  });
  const schedule: CheckSchedule = {
    kind: "check",
    intervalMs: INTER_MS,
    fastIntervalMs: FAST_MS,
    downIntervalMs: INTER_MS,
    rise: 2,
    fall: 3,
    onError,
    connectMs: -1,
    checkMs: -1,
  };
  checker.add({ key: "s", schedule, job: {} as never, health: FULL }, false);
  const wait = (ms: number): void => {
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(50);
      while (clock.fire(0) !== undefined);
    }
  };
  while (clock.fire(0) !== undefined);
  ears?.done({ code: "L4OK" });
  events.length = 0;
  return { checker, events, wait, probes: () => probes, pass: () => ears?.done({ code: "L4OK" }) };
}

describe("a report of errors", () => {
  const cases: [onError: CheckSchedule["onError"], healths: number[]][] = [
    // From 3/3: 2/3, 1/3, down. A server that is down already is not judged again.
    ["fail-check", [3, 2, 0]],
    ["sudden-death", [2, 0]],
    ["mark-down", [0]],
    ["fastinter", []],
  ];
  for (const [onError, healths] of cases) {
    test(`${onError}: the counter, and what is told`, () => {
      const { checker, events } = makeLab(onError);
      for (let i = 0; i < 4; i++) checker.reportErrors("s", "so many");
      expect(events.map(({ health }) => health)).toEqual(healths);
      for (const event of events) {
        expect(event.result).toEqual({ code: "HANA", info: "so many" });
        expect([event.durationMs, event.hasFailed]).toEqual([-1, true]);
        expect(event.isUp).toBe(event.health !== 0);
      }
    });
  }

  test("brings the next check forward, and never puts it off", () => {
    // Story: each report set the next check to fastinter from then, so errors that went on put it
    // off for ever.
    const { checker, wait, probes } = makeLab("fastinter");
    expect(probes()).toBe(1);
    for (let i = 0; i < 4; i++) {
      checker.reportErrors("s", "so many");
      wait(FAST_MS / 4);
    }
    expect(probes()).toBe(2);
  });

  test("leaves a check alone that is due sooner", () => {
    const { checker, wait, probes } = makeLab("fastinter");
    wait(INTER_MS - 200);
    checker.reportErrors("s", "so many");
    expect(probes()).toBe(1);
    wait(200);
    expect(probes()).toBe(2);
  });

  test("waits for a check that is under way", () => {
    const { checker, wait, probes, pass } = makeLab("fastinter");
    wait(INTER_MS);
    expect(probes()).toBe(2);
    checker.reportErrors("s", "so many");
    wait(FAST_MS * 2);
    expect(probes()).toBe(2);
    pass();
    wait(INTER_MS);
    expect(probes()).toBe(3);
  });

  test("starts no check of a server whose checks are suspended", () => {
    const { checker, wait, probes } = makeLab("fail-check");
    checker.suspend("s");
    checker.reportErrors("s", "so many");
    wait(2 * INTER_MS);
    expect(probes()).toBe(1);
  });
});
