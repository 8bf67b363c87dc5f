/** maxconn, ulimit-n and the limit of descriptors: which decides which. */
import { describe, expect, test } from "bun:test";

import { newGlobalDraft } from "../../../../src/config/draft-global.ts";
import { decideLimits, readDescriptorLimits } from "../../../../src/control/process/descriptors.ts";
import type { LimitDecision } from "../../../../src/control/process/descriptors.ts";
import type { GlobalSpec, Plan } from "../../../../src/tables/spec.ts";

/** 100 reserved and 16 for the one worker. */
const FIXED = 116;

function decide(
  settings: Partial<GlobalSpec>,
  limits: { soft: number; hard: number; memoryLimitMb?: number },
): { decision: LimitDecision; raised: number[] } {
  const raised: number[] = [];
  const global = {
    ...newGlobalDraft("here"),
    statsSockets: [],
    ...settings,
  } as unknown as GlobalSpec;
  const plan: Plan = {
    version: 1,
    global,
    sluice: { logLevel: "info", logFormat: "off" },
    proxies: [],
    pages: [],
    resolvers: [],
    mailers: [],
    savedServers: [],
  };
  const raise = (wanted: number): number => {
    raised.push(wanted);
    return Math.min(wanted, limits.hard);
  };
  return { decision: decideLimits({ plan, workers: 1, raise, ...limits }), raised };
}

describe("without maxconn", () => {
  test("it comes from the hard limit", () => {
    const { decision, raised } = decide({ maxconn: 0 }, { soft: 1000, hard: 10_116 });
    expect(decision).toEqual({ ok: true, maxconn: 5000, descriptors: 10_116, warnings: [] });
    expect(raised).toEqual([10_116]);
  });

  test("ulimit-n stands in for the hard limit", () => {
    const { decision } = decide({ maxconn: 0, ulimitN: 316 }, { soft: 1000, hard: 10_000 });
    expect(decision).toMatchObject({ ok: true, maxconn: 100 });
  });

  test("-m keeps it to what fits into memory", () => {
    const limits = { soft: 100_000, hard: 100_000, memoryLimitMb: 74 };
    const { decision } = decide({ maxconn: 0, bufsize: 16_384 }, limits);
    expect(decision).toMatchObject({ ok: true, maxconn: 256 });
  });

  test("too few descriptors for one connection", () => {
    const { decision } = decide({ maxconn: 0 }, { soft: 64, hard: 64 });
    expect(decision.ok).toBe(false);
  });
});

describe("with maxconn", () => {
  test("the limit is raised to exactly what is needed", () => {
    const { decision, raised } = decide({ maxconn: 1000 }, { soft: 1000, hard: 10_000 });
    expect(decision).toMatchObject({ ok: true, maxconn: 1000 });
    expect(raised).toEqual([2000 + FIXED]);
  });

  test("a limit that is high enough stays", () => {
    expect(decide({ maxconn: 100 }, { soft: 1000, hard: 1000 }).raised).toEqual([]);
  });

  test("strict limits: the start ends, in HAProxy's words", () => {
    const { decision } = decide({ maxconn: 5000, strictLimits: true }, { soft: 500, hard: 1000 });
    expect(decision).toMatchObject({
      ok: false,
      error: {
        code: "SLC_DESCRIPTOR_RAISE",
        message: "[sluice.main()] Cannot raise FD limit to 10116, limit is 1000.",
      },
    });
  });

  test("no strict limits: maxconn gives way", () => {
    const { decision } = decide({ maxconn: 5000, strictLimits: false }, { soft: 500, hard: 1000 });
    expect(decision).toMatchObject({
      ok: true,
      maxconn: 442,
      warnings: [
        "[sluice.main()] Cannot raise FD limit to 10116, limit is 1000.",
        "maxconn is lowered to 442, which 1000 descriptors allow. [SLC_MAXCONN_LOWERED]",
      ],
    });
  });

  test("an ulimit-n that is too low for it", () => {
    const { decision } = decide(
      { maxconn: 1000, ulimitN: 300, strictLimits: true },
      { soft: 200, hard: 10_000 },
    );
    expect(decision).toMatchObject({
      ok: false,
      error: {
        code: "SLC_DESCRIPTOR_LIMIT",
        message:
          "[sluice.main()] FD limit (300) too low for maxconn=1000/maxsock=2116. " +
          "Please raise 'ulimit-n' to 2116 or more to avoid any trouble.",
      },
    });
  });
});

test("reads /proc/self/limits", () => {
  const text =
    "Limit  Soft Limit  Hard Limit  Units\nMax open files    1024    unlimited    files\n";
  expect(readDescriptorLimits(text)).toEqual({ soft: 1024, hard: 1_048_576 });
  expect(readDescriptorLimits(undefined)).toEqual({ soft: 1024, hard: 1024 });
});
