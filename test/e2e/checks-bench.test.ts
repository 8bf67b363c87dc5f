/** The benchmarks of health checks run, in their tiny size, so that none rots. */
import { describe, expect, test } from "bun:test";

import {
  checksPerSecond,
  deviationsOf,
  quantile,
  readArrivals,
} from "../../bench/checks/arrivals.ts";
import { CHECKS_CONTESTANTS, missingChecksPart } from "../../bench/checks/contestants.ts";
import { CHECKS_METRICS, CHECKS_WORKLOADS, measureChecks } from "../../bench/checks/measure.ts";
import { type ChecksResult, renderChecks } from "../../bench/checks/run.ts";
import { EFFORTS } from "../../bench/workload.ts";

describe("benchmarks of checks, tiny", () => {
  for (const [i, workload] of CHECKS_WORKLOADS.entries()) {
    // Once is enough to see that the measurement fits haproxy, too.
    for (const name of i === 0 ? CHECKS_CONTESTANTS : (["sluice"] as const)) {
      const missing = missingChecksPart(name);
      const title = `${workload.name}, ${name}${missing === undefined ? "" : `: no ${missing}`}`;
      test.skipIf(missing !== undefined)(title, async () => {
        const values = await measureChecks(name, workload, EFFORTS.tiny);
        const { parts } = workload;
        const bad = CHECKS_METRICS.filter(({ part }, at) => {
          return (part === undefined || parts.includes(part)) && !Number.isFinite(values[at]);
        });
        expect(bad.map((metric) => metric.name)).toEqual([]);
        const unnoticed = CHECKS_METRICS.findIndex((one) => one.unit === "servers");
        expect(values[unnoticed]).toBe(parts.includes("death") ? 0 : Number.NaN);
      });
    }
  }
});

describe("arrivals", () => {
  /** A file of tcpdump: first packets to servers, by number, at times in ms. */
  function capture(packets: readonly (readonly [atMs: number, server: number])[]): Uint8Array {
    const bytes = new Uint8Array(24 + packets.length * (16 + 54));
    const view = new DataView(bytes.buffer);
    for (const [i, [atMs, server]] of packets.entries()) {
      const at = 24 + i * (16 + 54);
      view.setUint32(at, Math.floor(atMs / 1000), true);
      view.setUint32(at + 4, (atMs % 1000) * 1000, true);
      view.setUint32(at + 8, 54, true);
      bytes.set([127, 1 + (server >> 16), (server >> 8) & 255, server & 255], at + 16 + 14 + 16);
    }
    return bytes;
  }

  test("are told apart by server, and half a record at the end is left out", () => {
    const whole = capture([
      [1000, 0],
      [1010, 300],
      [6001, 0],
      [6020, 300],
    ]);
    const arrivals = readArrivals(whole.subarray(0, whole.length - 10), 301);
    expect(arrivals.byServer[0]).toEqual([1000, 6001]);
    expect(arrivals.byServer[300]).toEqual([1010]);
    expect(arrivals.count).toBe(3);
  });

  test("checks a second are those of each server, not those that happen to be seen", () => {
    const times: (readonly [number, number])[] = [1, 2].flatMap((server) =>
      [1000, 6000, 11_000].map((atMs) => [atMs + server, server] as const),
    );
    expect(checksPerSecond(readArrivals(capture(times), 3))).toBeCloseTo(2 / 5);
  });

  test("deviations are those from the interval, each way, of each server", () => {
    const times: (readonly [number, number])[] = [
      [1000, 1],
      [2000, 2],
      [5900, 1],
      [7300, 2],
    ];
    const off = deviationsOf(readArrivals(capture(times), 3), 5000);
    expect([...off]).toEqual([100, 300]);
    expect([quantile(off, 0), quantile(off, 1)]).toEqual([100, 300]);
  });
});

test("the table says whether an aim is met", () => {
  const metric = { name: "with / without", unit: "×", better: "lower", valueMax: 1.1 } as const;
  const samples = { sluice: [1.05, 1.2, 1], haproxy: [1, 1, 1] };
  const result: ChecksResult = { workload: "checks-x", what: "", metric, samples };
  expect(renderChecks([result])).toContain("≤ 1.1: met");
  const slow = { ...result, samples: { ...samples, sluice: [1.2, 1.3, 1] } };
  expect(renderChecks([slow])).toContain("≤ 1.1: MISSED");
});
