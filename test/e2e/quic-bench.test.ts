/**
 * The benchmarks of QUIC run, in their tiny size: each over the transport alone and over one of
 * sluice's four ways in turn, so that none rots. Their table says whether an aim is met.
 */
import { describe, expect, test } from "bun:test";

import { missingQuicPart, type QuicContestant } from "../../bench/quic/contestants.ts";
import { H3_METRICS, measureH3, missingH3Part } from "../../bench/quic/h3.ts";
import { type QuicResult, renderQuic } from "../../bench/quic/run.ts";
import { QUIC_WORKLOADS } from "../../bench/quic/workloads.ts";
import { EFFORTS } from "../../bench/workload.ts";

const SLUICES: readonly QuicContestant[] = ["tcp-quic", "quic-tcp", "quic-quic", "session"];

describe("benchmarks of QUIC, tiny", () => {
  for (const [i, workload] of QUIC_WORKLOADS.entries()) {
    const able = SLUICES.filter((name) => workload.contestants?.includes(name) ?? true);
    const own = able[i % able.length] ?? "quic-quic";
    for (const name of ["transport", own] as const) {
      test.skipIf(missingQuicPart(name) !== undefined)(`${workload.name}, ${name}`, async () => {
        const values = await workload.run(name, 1, EFFORTS.tiny);
        expect(values.length).toBe(workload.metrics.length);
        expect(values.every(Number.isFinite)).toBe(true);
      });
    }
  }

  test.skipIf(missingQuicPart("node:quic") !== undefined)("quic-streams-1, node:quic", async () => {
    const streams = QUIC_WORKLOADS.find((one) => one.name === "quic-streams-1");
    const values = (await streams?.run("node:quic", 1, EFFORTS.tiny)) ?? [];
    expect(values.every((value) => value > 0)).toBe(true);
  });

  for (const name of ["sluice", "caddy"] as const) {
    test.skipIf(missingH3Part(name) !== undefined)(`quic-h3, ${name}`, async () => {
      const values = await measureH3(name, EFFORTS.tiny);
      expect(values.length).toBe(H3_METRICS.length);
      expect(values.every(Number.isFinite)).toBe(true);
    });
  }
});

test("the table holds sluice's worst way against its aims", () => {
  const metric = { name: "CPU per GB", unit: "s", better: "lower", goal: 1.25 } as const;
  const samples = { transport: [2], "node:quic": [5], "quic-tcp": [1], session: [2.4] };
  const result: QuicResult = { workload: "quic-x", what: "", workers: 1, metric, samples };
  expect(renderQuic([result])).toContain(
    "1.20 × transport (≤ 1.25: met), 0.48 × node:quic (≤ 0.5: met)",
  );
  const slow = { ...result, samples: { ...samples, session: [2.6] } };
  expect(renderQuic([slow])).toContain("1.30 × transport (≤ 1.25: MISSED)");
});
