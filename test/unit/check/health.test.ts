/** rise and fall, counted as HAProxy counts. Expected values were read off haproxy 2.6's log. */
import { describe, expect, test } from "bun:test";

import {
  healthAfterFail,
  healthAfterPass,
  healthProgress,
  initialHealth,
  intervalMs,
  isUp,
} from "../../../src/check/health.ts";
import type { CheckSpec } from "../../../src/tables/spec.ts";

const CHECK: CheckSpec = {
  enabled: true,
  intervalMs: 2000,
  fastIntervalMs: 500,
  downIntervalMs: 5000,
  rise: 2,
  fall: 3,
  port: 0,
  sendProxy: false,
};

/** Plays results, `+` or `-`. @returns the counter after each */
function play(health: number, results: string): number[] {
  const seen: number[] = [];
  for (const result of results) {
    health = result === "+" ? healthAfterPass(health, CHECK) : healthAfterFail(health, CHECK);
    seen.push(health);
  }
  return seen;
}

test("where it stands at the start", () => {
  const at = (initState: "up" | "fully-up" | "down" | "fully-down"): number =>
    initialHealth({ initState, check: CHECK });
  expect(at("up")).toBe(2);
  expect(at("fully-up")).toBe(4);
  expect(at("down")).toBe(1);
  expect(at("fully-down")).toBe(0);
});

const PLAYED: readonly [string, number, string, number[]][] = [
  ["a start that fails is down at once", 2, "-", [0]],
  ["a start that passes is fully up", 2, "+", [4]],
  ["three failures in a row", 4, "---", [3, 2, 0]],
  ["a pass between failures forgives all", 4, "--+", [3, 2, 4]],
  ["two passes bring it back", 0, "++", [1, 4]],
  ["a failure between passes begins anew", 0, "+-+", [1, 0, 1]],
  ["down: one pass is enough", 1, "+", [4]],
  ["never above the top, never below 0", 4, "++", [4, 4]],
  ["never below 0", 0, "--", [0, 0]],
];

describe("results", () => {
  for (const [name, start, results, expected] of PLAYED) {
    test(name, () => expect(play(start, results)).toEqual(expected));
  }
});

test("the interval follows the counter", () => {
  const intervals = [0, 1, 2, 3, 4].map((health) => intervalMs(health, CHECK));
  expect(intervals).toEqual([5000, 500, 500, 500, 2000]);
});

test("progress, as option log-health-checks prints it", () => {
  const shown = [0, 1, 2, 3, 4].map((health) => {
    const { counted, needed } = healthProgress(health, CHECK);
    return `${counted}/${needed} ${isUp(health, CHECK) ? "UP" : "DOWN"}`;
  });
  expect(shown).toEqual(["0/2 DOWN", "1/2 DOWN", "1/3 UP", "2/3 UP", "3/3 UP"]);
});
