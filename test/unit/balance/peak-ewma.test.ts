/** What is particular to peak-ewma: the average, its peaks, its age, and what they decide. */
import { describe, expect, test } from "bun:test";

import { peakOf, samplePeak } from "../../../src/balance/peak-ewma.ts";
import { SERVER_PEAK_AT_MS } from "../../../src/tables/generated/server.ts";
import { Farm } from "../../support/balancer-farm.ts";
import type { FarmServer } from "../../support/balancer-farm.ts";

const DECAY_MS = 10_000;

function plant(servers: FarmServer[], draws = 2): Farm {
  const balance = { algorithm: "peak-ewma" as const, draws, decayMs: DECAY_MS };
  const farm = new Farm({ balance, servers });
  at(farm, 1000);
  return farm;
}

/** Time of all threads. */
function at(farm: Farm, nowMs: number): void {
  for (const lb of farm.lbs) lb.nowMs = nowMs | 0;
}

/** Worker 1 has connected to a server in so long. */
function sample(farm: Farm, server: number, ms: number, nowMs = 1000): void {
  samplePeak(farm.lbs[1]!, farm.backend, farm.rows[server]!, ms, nowMs);
}

const peak = (farm: Farm, server: number, nowMs: number): number =>
  peakOf(farm.lbs[2]!, farm.backend, farm.rows[server]!, nowMs);

/** How often each server is chosen, each stream leaving before the next. */
function counts(farm: Farm, picks: number): number[] {
  const result = farm.rows.map(() => 0);
  for (let i = 0; i < picks; i++) {
    const index = farm.choose(1 + (i % 2));
    result[index]!++;
    farm.leave(1 + (i % 2), index);
  }
  farm.check();
  return result;
}

describe("the average", () => {
  test("a peak counts at once, what is lower by age", () => {
    const farm = plant([{}]);
    sample(farm, 0, 4);
    expect(peak(farm, 0, 1000)).toBe(4);
    sample(farm, 0, 200, 1500);
    expect(peak(farm, 0, 1500)).toBe(200);
    sample(farm, 0, 4, 1500 + DECAY_MS);
    const expected = 200 / Math.E + 4 * (1 - 1 / Math.E);
    expect(peak(farm, 0, 1500 + DECAY_MS)).toBeCloseTo(expected, 6);
    // Where it is left alone, it is forgiven.
    expect(peak(farm, 0, 1500 + 11 * DECAY_MS)).toBeLessThan(0.01);
  });

  test("many samples at one moment weigh no more than one", () => {
    const farm = plant([{}]);
    sample(farm, 0, 100);
    for (let i = 0; i < 1000; i++) sample(farm, 0, 1);
    expect(peak(farm, 0, 1000)).toBe(100);
  });

  test("a sample after a long silence does not wake an old peak", () => {
    const farm = plant([{}]);
    sample(farm, 0, 5000);
    sample(farm, 0, 3, 1000 + 20 * DECAY_MS);
    expect(peak(farm, 0, 1000 + 20 * DECAY_MS)).toBeCloseTo(3, 3);
  });

  test("clocks that differ, and one that wraps, do no harm", () => {
    const farm = plant([{}]);
    sample(farm, 0, 50, 2000);
    // Another thread is a little behind.
    expect(peak(farm, 0, 1990)).toBe(50);
    sample(farm, 0, 40, 1990);
    expect(peak(farm, 0, 1990)).toBe(50);
    const beforeWrap = 2 ** 31 - 100;
    sample(farm, 0, 80, beforeWrap);
    expect(peak(farm, 0, beforeWrap + 200)).toBeCloseTo(80 * Math.exp(-200 / DECAY_MS), 6);
    // Silent for so long that its age is beyond what a word tells.
    expect(peak(farm, 0, beforeWrap + 2 ** 31 + 1_000_000)).toBe(0);
    expect(farm.lbs[1]!.servers[farm.rows[0]! + SERVER_PEAK_AT_MS]).toBe(beforeWrap);
  });

  test("nothing measured is told from nothing left", () => {
    const farm = plant([{}, {}]);
    expect(peak(farm, 0, 1000)).toBe(0);
    sample(farm, 0, 0);
    expect(peak(farm, 0, 1000)).toBeGreaterThan(0);
  });
});

describe("the choice", () => {
  test("the slower of two is chosen again when the other is as much busier", () => {
    const farm = plant([{}, {}]);
    sample(farm, 0, 9);
    sample(farm, 1, 1);
    // Costs: 10 and 2 × (streams + 1).
    expect(Array.from({ length: 6 }, () => farm.choose(1))).toEqual([1, 1, 1, 1, 0, 1]);
  });

  test("no server is drawn against itself: a bad one gets nothing", () => {
    for (const count of [2, 4, 20]) {
      const farm = plant(Array.from({ length: count }, () => ({})));
      for (let i = 0; i < count; i++) sample(farm, i, i === 0 ? 5000 : 1);
      const [bad, ...good] = counts(farm, 4000);
      // Eight draws more may all be the same: once in a thousand of two servers.
      expect(bad!).toBeLessThan(20);
      expect(Math.min(...good)).toBeGreaterThanOrEqual(0);
    }
  });

  test("even where it has nearly all of the weight", () => {
    const farm = plant([{ weight: 256 }, { weight: 1 }]);
    sample(farm, 0, 60_000);
    sample(farm, 1, 1);
    expect(counts(farm, 500)[0]!).toBe(0);
  });

  test("a bad server is tried again in time, and one good sample later is like the others", () => {
    const farm = plant([{}, {}, {}]);
    for (let i = 0; i < 3; i++) sample(farm, i, i === 0 ? 5000 : 1);
    expect(counts(farm, 300)[0]!).toBeLessThan(5);
    const later = 1000 + 12 * DECAY_MS;
    at(farm, later);
    for (let i = 1; i < 3; i++) sample(farm, i, 1, later);
    expect(counts(farm, 300)[0]!).toBeGreaterThan(100);
    for (let i = 0; i < 3; i++) sample(farm, i, 1, later);
    for (const count of counts(farm, 3000)) expect(count).toBeGreaterThan(500);
  });

  test("a fresh server begins neutral: it is neither flooded nor left out", () => {
    const farm = plant([{}, {}, {}, {}]);
    for (let i = 0; i < 3; i++) sample(farm, i, i === 0 ? 100 : 20);
    for (let i = 0; i < 200; i++) farm.choose(1);
    // By load alone against each of the others.
    expect(farm.served(3)).toBeGreaterThan(20);
    expect(farm.served(3)).toBeLessThan(100);
    farm.check();
  });

  test("a slow start holds a server back", () => {
    const farm = plant([{}, {}]);
    farm.change(0, { throttle: 10 });
    for (let i = 0; i < 110; i++) farm.choose(1);
    expect(farm.served(0)).toBeLessThan(20);
  });

  test("one draw is chance by weight", () => {
    const farm = plant([{ weight: 1 }, { weight: 3 }], 1);
    sample(farm, 1, 5000);
    sample(farm, 0, 1);
    const [light, heavy] = counts(farm, 4000);
    expect(heavy! / light!).toBeGreaterThan(2.5);
    expect(heavy! / light!).toBeLessThan(3.5);
  });
});
