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
  proxies: Plan["proxies"] = [],
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
    proxies,
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
    expect(decision).toEqual({
      ok: true,
      maxconn: 5000,
      probesMax: 256,
      descriptors: 10_116,
      warnings: [],
    });
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

describe("with checks", () => {
  /** A backend whose servers are checked, the first of them by agents too. */
  function backend(checks: number, agents: number): Plan["proxies"] {
    const servers = Array.from({ length: checks }, (_, i) => {
      return { check: { enabled: true }, agent: { enabled: i < agents } };
    });
    return [{ binds: [], servers }] as unknown as Plan["proxies"];
  }

  test("each check and each agent has a descriptor", () => {
    const limits = { soft: 100, hard: 100_000 };
    const { decision, raised } = decide({ maxconn: 1000 }, limits, backend(3000, 500));
    expect(raised).toEqual([2000 + 3500 + FIXED]);
    expect(decision).toMatchObject({ ok: true, maxconn: 1000, probesMax: 3500, warnings: [] });
  });

  test("without maxconn: what they leave is for connections", () => {
    const limits = { soft: 100, hard: 1000 + FIXED };
    const { decision } = decide({ maxconn: 0 }, limits, backend(500, 100));
    expect(decision).toMatchObject({ ok: true, maxconn: 200, probesMax: 600 });
  });

  test("strict limits: too few for all of them is too few to start", () => {
    const settings = { maxconn: 100, strictLimits: true };
    const { decision } = decide(settings, { soft: 500, hard: 1000 }, backend(5000, 0));
    expect(decision).toMatchObject({ ok: false, error: { code: "SLC_DESCRIPTOR_RAISE" } });
  });

  test("no strict limits: checks take turns, and connections keep theirs", () => {
    const settings = { maxconn: 100, strictLimits: false };
    const limits = { soft: 500, hard: 1000 + FIXED };
    const { decision } = decide(settings, limits, backend(5000, 0));
    const wanted = 200 + 5000 + FIXED;
    expect(decision).toMatchObject({
      ok: true,
      maxconn: 100,
      probesMax: 800,
      warnings: [
        `[sluice.main()] Cannot raise FD limit to ${wanted}, limit is 1116.`,
        "At most 800 of 5000 checks run at a time, which 1116 descriptors allow; " +
          "others that are due wait. [SLC_CHECKS_LIMITED]",
      ],
    });
  });

  test("no strict limits: a quarter is for checks however many connections are wanted", () => {
    const settings = { maxconn: 5000, strictLimits: false };
    const limits = { soft: 500, hard: 1000 + FIXED };
    const { decision } = decide(settings, limits, backend(5000, 0));
    expect(decision).toMatchObject({ ok: true, maxconn: 375, probesMax: 250 });
  });

  test("no strict limits, no maxconn: the same", () => {
    const limits = { soft: 500, hard: 1000 + FIXED };
    const { decision } = decide({ maxconn: 0, strictLimits: false }, limits, backend(5000, 0));
    expect(decision).toMatchObject({ ok: true, maxconn: 375, probesMax: 250 });
    const strict = decide({ maxconn: 0, strictLimits: true }, limits, backend(5000, 0));
    expect(strict.decision.ok).toBe(false);
  });
});

test("reads /proc/self/limits", () => {
  const text =
    "Limit  Soft Limit  Hard Limit  Units\nMax open files    1024    unlimited    files\n";
  expect(readDescriptorLimits(text)).toEqual({ soft: 1024, hard: 1_048_576 });
  expect(readDescriptorLimits(undefined)).toEqual({ soft: 1024, hard: 1024 });
});
