/** Who is an outlier, from what was measured. */
import { describe, expect, test } from "bun:test";

import { OUTLIER_DEFAULTS } from "../../../../src/config/outlier-line.ts";
import { findOutliers } from "../../../../src/control/outlier/judge.ts";
import type { Measure } from "../../../../src/control/outlier/judge.ts";
import { faultText, timeText } from "../../../../src/control/outlier/sentences.ts";
import type { OutlierSpec } from "../../../../src/tables/spec.ts";

/** Shares of errors, or times, by server `0`, `1`, …; 100 attempts each. */
function failing(...shares: number[]): Measure<number>[] {
  return shares.map((errors, server) => {
    return { server, attempts: 100, errors, firstBytes: 0, firstByteMs: 0 };
  });
}

function answering(...times: number[]): Measure<number>[] {
  return times.map((firstByteMs, server) => {
    return { server, attempts: 100, errors: 0, firstBytes: 100, firstByteMs };
  });
}

const out = (measures: Measure<number>[], spec: Partial<OutlierSpec> = {}): number[] =>
  findOutliers({ ...OUTLIER_DEFAULTS, ...spec }, measures).map(({ server }) => server);

describe("errors", () => {
  const cases: [what: string, shares: number[], outliers: number[]][] = [
    ["nobody fails", [0, 0, 0], []],
    ["a share at the limit is none", [50, 0, 0], []],
    ["one above it", [51, 0, 0], [0]],
    ["two, the worse first", [60, 100, 0], [1, 0]],
    ["all but one", [100, 90, 80, 10], [0, 1, 2]],
    ["all: nobody is the better choice", [100, 90, 80], []],
    ["the only server there is", [100], []],
  ];
  for (const [what, shares, outliers] of cases) {
    test(what, () => {
      expect(out(failing(...shares))).toEqual(outliers);
    });
  }

  test("too few attempts are not judged, but they show that others do no better", () => {
    const [first, second] = failing(100, 100) as [Measure<number>, Measure<number>];
    expect(out([{ ...first, attempts: 19, errors: 19 }, ...failing(0).slice(1)])).toEqual([]);
    expect(out([first, { ...second, attempts: 3, errors: 3 }])).toEqual([]);
    // One that was not asked may be better.
    expect(out([first, { ...second, attempts: 0, errors: 0 }])).toEqual([0]);
  });

  test("failures of attempts that began in the span before count once", () => {
    const [first, second] = failing(0, 0) as [Measure<number>, Measure<number>];
    const verdicts = findOutliers(OUTLIER_DEFAULTS, [
      { ...first, attempts: 5, errors: 30 },
      second,
    ]);
    expect(verdicts.map(({ fault }) => faultText(fault))).toEqual([
      "30 of 30 connections failed, more than 50%",
    ]);
  });

  test("are not looked at with errors 0", () => {
    expect(out(failing(100, 0), { errorPercent: 0 })).toEqual([]);
  });
});

describe("latency", () => {
  const cases: [what: string, times: number[], outliers: number[]][] = [
    ["all alike", [10, 11, 12, 10], []],
    ["three times the others is the limit, and allowed", [30, 10, 10, 10], []],
    ["more than that is not", [31, 10, 10, 10], [0]],
    ["two of four", [100, 1, 210, 1], [2, 0]],
    ["one of two", [200, 2], [0]],
    ["half of all slow: the median of the others is slow as well", [200, 200, 200, 2, 2], []],
    ["all slow", [500, 500, 500], []],
    ["below our own noise", [4, 1, 1, 1], []],
    ["a single server has no others", [500], []],
  ];
  for (const [what, times, outliers] of cases) {
    test(what, () => {
      expect(out(answering(...times))).toEqual(outliers);
    });
  }

  test("too few answers are neither judged nor compared with", () => {
    const [slow, fast] = answering(200, 2) as [Measure<number>, Measure<number>];
    expect(out([{ ...slow, firstBytes: 19 }, fast])).toEqual([]);
    expect(out([slow, { ...fast, firstBytes: 19 }])).toEqual([]);
  });

  test("is not looked at with latency 0", () => {
    expect(out(answering(500, 1), { latencyPercent: 0 })).toEqual([]);
  });
});

test("who fails goes before who is slow, and once", () => {
  const measures = [...failing(0, 80), ...failing(90)].map((one, server) => {
    return { ...one, server, firstBytes: 100, firstByteMs: server === 0 ? 1 : 100 };
  });
  const extra = { server: 3, attempts: 100, errors: 0, firstBytes: 100, firstByteMs: 1 };
  const more = { ...extra, server: 4, firstByteMs: 90 };
  const last = { ...extra, server: 5 };
  expect(out([...measures, extra, more, last])).toEqual([2, 1, 4]);
});

test("times are told in the unit that fits", () => {
  expect([0.44, 9.96, 210.4, 1000, 30_000, 90_500].map(timeText)).toEqual([
    "0.4ms",
    "10ms",
    "210ms",
    "1s",
    "30s",
    "90.5s",
  ]);
});
