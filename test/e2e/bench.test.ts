/** Every benchmark runs, in its tiny size, for everyone who is there: so that none rots. */
import { describe, expect, test } from "bun:test";

import { CONTESTANTS, missingPart } from "../../bench/contestants.ts";
import { median, ratioToReference, renderTable } from "../../bench/report.ts";
import { type Result, runPlan, WORKLOADS } from "../../bench/run.ts";
import { EFFORTS } from "../../bench/workload.ts";

const missing = ["wrk", "iperf3", "nginx"].filter((tool) => Bun.which(tool) === null);
const contestants = CONTESTANTS.filter((name) => missingPart(name) === undefined);

describe("benchmarks, tiny", () => {
  for (const workload of WORKLOADS) {
    const title = missing.length > 0 ? ` (without ${missing.join(", ")})` : "";
    test.skipIf(missing.length > 0)(`${workload.name}${title}`, async () => {
      const results = await runPlan({
        workloads: [workload],
        contestants,
        workerCounts: [1],
        rounds: 1,
        effort: EFFORTS.tiny,
      });
      expect(results.length).toBe(workload.metrics.length);
      for (const { metric, samples } of results) {
        for (const name of contestants) {
          if (workload.contestants?.includes(name) === false) continue;
          expect([metric.name, name, Number.isFinite(samples[name]?.[0])]).toEqual([
            metric.name,
            name,
            true,
          ]);
        }
      }
    });
  }
});

describe("report", () => {
  const result: Result = {
    workload: "w",
    what: "",
    workers: 1,
    metric: { name: "m", unit: "s", better: "lower", goal: 0.75 },
    samples: { sluice: [1, 2, 6], haproxy: [2, 8, 8] },
  };

  test("medians of odd and even counts", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });

  test("the ratio is the median over the rounds, not the ratio of medians", () => {
    expect(ratioToReference(result, "sluice")).toBe(0.5);
    expect(ratioToReference(result, "nginx")).toBeUndefined();
  });

  test("the table says whether a goal is met", () => {
    expect(renderTable([result], ["sluice", "haproxy"])).toContain("ratio ≤ 0.75 met");
  });
});
