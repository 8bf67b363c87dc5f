/** `outlier-ejection` and `balance peak-ewma`: words of this program's own. */
import { describe, expect, test } from "bun:test";

import { OUTLIER_DEFAULTS } from "../../../src/config/outlier-line.ts";
import { linesOf, loadListen, loadText, planOf, proxyOf, TIMEOUTS } from "./load-text.ts";

const SERVERS = " server a 127.0.0.1:1\n server b 127.0.0.1:2\n";

/** What is said about a line of a `listen` section with two servers. */
async function said(line: string): Promise<string[]> {
  return linesOf(await loadListen(` ${line}\n${SERVERS}`));
}

async function outlierOf(lines: string) {
  const result = await loadListen(`${lines}\n${SERVERS}`);
  expect(linesOf(result)).toEqual([]);
  return proxyOf(planOf(result), "l").outlier;
}

describe("outlier-ejection", () => {
  test("is off unless asked for, and can be turned off again", async () => {
    expect(await outlierOf("")).toBeUndefined();
    expect(await outlierOf(" outlier-ejection\n no outlier-ejection")).toBeUndefined();
  });

  test("alone it has its defaults", async () => {
    expect(await outlierOf(" outlier-ejection")).toEqual(OUTLIER_DEFAULTS);
  });

  test("takes all of its words, in any order", async () => {
    const words = "max-ejected 60 eject 2m samples 7 latency 250 errors 5 interval 500ms".split(
      " ",
    );
    expect(await outlierOf(` outlier-ejection ${words.join(" ")}`)).toEqual({
      intervalMs: 500,
      errorPercent: 5,
      latencyPercent: 250,
      samplesMin: 7,
      ejectMs: 120_000,
      ejectedPercentMax: 60,
    });
  });

  test("comes from defaults, for backends only", async () => {
    const result = await loadText(
      `${TIMEOUTS} outlier-ejection errors 7\nfrontend f\n bind :1\n default_backend b\n` +
        `backend b\n${SERVERS}backend c\n no outlier-ejection\n${SERVERS}`,
    );
    expect(linesOf(result)).toEqual([]);
    const plan = planOf(result);
    expect(proxyOf(plan, "f").outlier).toBeUndefined();
    expect(proxyOf(plan, "b").outlier?.errorPercent).toBe(7);
    expect(proxyOf(plan, "c").outlier).toBeUndefined();
  });

  const wrong: [line: string, message: string][] = [
    ["outlier-ejection error 5", "(got 'error'); did you mean 'errors'?"],
    ["outlier-ejection errors", "'outlier-ejection' : 'errors' needs a value."],
    ["outlier-ejection errors 100", "'errors' : value must be between 0 and 99"],
    ["outlier-ejection latency 100", "'latency' : value must be between 101 and"],
    ["outlier-ejection samples 0", "'samples' : value must be between 1 and"],
    ["outlier-ejection interval 10ms", "'interval' : the time must be at least 100 ms (was 10ms)"],
    ["outlier-ejection eject 0", "'eject' : the time must be at least 1 ms (was 0)"],
    ["outlier-ejection max-ejected 0", "'max-ejected' : value must be between 1 and 100"],
    ["outlier-ejection errors 0 latency 0", "'no outlier-ejection' turns it off"],
    ["no outlier-ejection errors 5", "(got 'errors')"],
  ];
  for (const [line, message] of wrong) {
    test(`refuses ${line}`, async () => {
      const lines = await said(line);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain(message);
      expect(lines[0]).toStartWith("ALERT");
    });
  }

  test("warns where the share that may be out is less than a server", async () => {
    expect(await said("outlier-ejection max-ejected 49")).toEqual([
      "WARNING proxy 'l': 'outlier-ejection' ejects nobody, since 49 percent of 2 servers are" +
        " less than one.",
    ]);
    expect(await said("outlier-ejection max-ejected 50")).toEqual([]);
  });

  test("is ignored, with a warning, where there are no servers", async () => {
    const result = await loadText(
      `${TIMEOUTS}frontend f\n bind :1\n outlier-ejection\n default_backend b\nbackend b\n`,
    );
    expect(linesOf(result).join("\n")).toContain("has no backend capability");
  });
});

describe("balance peak-ewma", () => {
  test("has two draws and 10 s unless it says more", async () => {
    for (const [line, draws, decayMs, timesFirstByte] of [
      ["balance peak-ewma", 2, 10_000, false],
      ["balance peak-ewma(3)", 3, 10_000, false],
      ["balance peak-ewma(4) decay 500ms", 4, 500, false],
      ["balance peak-ewma decay 1m", 2, 60_000, false],
      ["balance peak-ewma first-byte", 2, 10_000, true],
      ["balance peak-ewma first-byte decay 3s", 2, 3000, true],
    ] as const) {
      const result = await loadListen(` ${line}\n${SERVERS}`);
      expect(linesOf(result)).toEqual([]);
      const { balance } = proxyOf(planOf(result), "l");
      expect(balance).toMatchObject({
        algorithm: "peak-ewma",
        draws,
        decayMs,
        timesFirstByte,
      });
    }
  });

  const wrong: [line: string, message: string][] = [
    ["balance peak-ewma(0)", "number of draws must be between 1 and 256."],
    ["balance peak-ewma(257)", "number of draws must be between 1 and 256."],
    ["balance peak-ewma(x", "number of draws must be between 1 and 256."],
    [
      "balance peak-ewma half-life 3s",
      "only supports 'decay <time>' and 'first-byte' (got 'half-life').",
    ],
    ["balance peak-ewma decay", "'decay' : a time is missing."],
    ["balance peak-ewma decay 0", "'decay' : the time must be above 0."],
    ["balance peak-ewma decay 1s 2s", "(got '2s')."],
    ["balance peak-emwa", "did you mean 'peak-ewma'?"],
  ];
  for (const [line, message] of wrong) {
    test(`refuses ${line}`, async () => {
      const lines = await said(line);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain(message);
    });
  }
});
