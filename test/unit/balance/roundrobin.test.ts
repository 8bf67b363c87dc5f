/**
 * What is particular to round robin: strict turns, fair shares, and no flood for those who
 * return.
 */
import { describe, expect, test } from "bun:test";

import { SERVER_STATE_DOWN, SERVER_STATE_UP } from "../../../src/tables/generated/enums.ts";
import { Farm, makeRandom } from "../../support/balancer-farm.ts";

/** Indices of `count` streams that come and go one by one, over alternating workers. */
function turns(farm: Farm, count: number): number[] {
  const workers = farm.lbs.length - 1;
  return Array.from({ length: count }, (_, i) => {
    const worker = 1 + (i % workers);
    const index = farm.choose(worker);
    farm.leave(worker, index);
    return index;
  });
}

function counts(indices: number[], servers: number): number[] {
  const out = new Array<number>(servers).fill(0);
  for (const index of indices) out[index]!++;
  return out;
}

describe("turns", () => {
  for (const count of [1, 2, 3, 7, 100, 1000]) {
    test(`${count} streams over ${count} equal servers visit each once, whoever accepts`, () => {
      const farm = new Farm({ servers: Array.from({ length: count }, () => ({})), workers: 4 });
      const inOrder = Array.from({ length: count }, (_, i) => i);
      for (let lap = 0; lap < 20; lap++) expect(turns(farm, count)).toEqual(inOrder);
      farm.check();
    });
  }

  test("of long streams too, and with limits", () => {
    const farm = new Farm({ servers: Array.from({ length: 50 }, () => ({ maxconn: 1 })) });
    const inOrder = Array.from({ length: 50 }, (_, i) => i);
    expect(inOrder.map((i) => farm.choose(1 + (i % 2)))).toEqual(inOrder);
    for (const i of inOrder) farm.leave(1 + (i % 2), i);
    expect(turns(farm, 50)).toEqual(inOrder);
  });
});

describe("weights", () => {
  test("each server gets its part of every round, whatever the weights", () => {
    const random = makeRandom(21);
    for (let run = 0; run < 40; run++) {
      const weights = Array.from({ length: 1 + (random() % 8) }, () => 1 + (random() % 256));
      const total = weights.reduce((a, b) => a + b, 0);
      const farm = new Farm({ servers: weights.map((weight) => ({ weight })) });
      // A round of the clock counts weights in sixteenths.
      const got = counts(turns(farm, total * 16), weights.length);
      got.forEach((count, i) => {
        expect(Math.abs(count - weights[i]! * 16)).toBeLessThanOrEqual(weights.length);
      });
    }
  });

  test("a change of weight counts from now on", () => {
    const farm = new Farm({ servers: [{ weight: 10 }, { weight: 10 }, { weight: 10 }] });
    turns(farm, 45);
    farm.change(0, { weight: 40 });
    const got = counts(turns(farm, 600), 3);
    expect(Math.abs(got[0]! - 400)).toBeLessThanOrEqual(24);
    farm.change(0, { weight: 1 });
    const later = counts(turns(farm, 630), 3);
    expect(Math.abs(later[0]! - 30)).toBeLessThanOrEqual(24);
    farm.check();
  });

  test("a server that became heavier does not wait out the turn of its old weight", () => {
    const farm = new Farm({ servers: Array.from({ length: 100 }, () => ({})) });
    turns(farm, 150);
    farm.change(20, { weight: 100 });
    expect(turns(farm, 10)).toContain(20);
    expect(counts(turns(farm, 200), 100)[20]).toBeGreaterThan(95);
  });

  test("a slow start gives its part of the weight, never nothing", () => {
    const farm = new Farm({ servers: [{}, {}] });
    // A quarter of the way: the fifth of sixteen steps.
    farm.change(0, { throttle: 25 });
    const got = counts(turns(farm, 420), 2);
    expect(Math.abs(got[0]! - 100)).toBeLessThanOrEqual(12);
    farm.change(0, { throttle: 1 });
    const slow = counts(turns(farm, 680), 2);
    expect(slow[0]).toBeGreaterThan(20);
    expect(slow[0]).toBeLessThan(70);
  });
});

describe("servers that return", () => {
  for (const lap of [0, 1, 5, 33]) {
    test(`are not flooded after ${lap} laps without them`, () => {
      const count = 20;
      const farm = new Farm({ servers: Array.from({ length: count }, () => ({})) });
      turns(farm, 57);
      farm.change(4, { state: SERVER_STATE_DOWN });
      turns(farm, lap * count + 3);
      farm.change(4, { state: SERVER_STATE_UP });
      const after = turns(farm, 5 * count);
      const got = counts(after, count);
      expect(got[4]).toBeGreaterThanOrEqual(3);
      expect(got[4]).toBeLessThanOrEqual(6);
      for (let i = 1; i < after.length; i++)
        expect(after[i] === 4 && after[i - 1] === 4).toBe(false);
    });
  }

  test("nor is a newcomer among the few that are left of many", () => {
    const farm = new Farm({ servers: Array.from({ length: 300 }, () => ({})) });
    turns(farm, 300 * 3 + 100);
    for (let i = 10; i < 300; i++) farm.change(i, { state: SERVER_STATE_DOWN });
    const added = farm.link({});
    farm.change(added, {});
    const got = counts(turns(farm, 110), 301);
    for (const index of [0, 3, 9, added]) {
      expect(got[index]).toBeGreaterThanOrEqual(8);
      expect(got[index]).toBeLessThanOrEqual(13);
    }
    farm.check();
  });

  test("those who carried all while the others were full are not starved afterwards", () => {
    const farm = new Farm({
      servers: Array.from({ length: 100 }, (_, i) => (i < 2 ? {} : { maxconn: 1 })),
    });
    for (let i = 0; i < 102; i++) farm.choose(1);
    turns(farm, 700);
    for (let i = 2; i < 100; i++) farm.leave(1, i);
    for (const count of counts(turns(farm, 1000), 100)) {
      expect(count).toBeGreaterThanOrEqual(9);
      expect(count).toBeLessThanOrEqual(11);
    }
  });

  test("a server that was full gets its turn when a slot frees, and only one", () => {
    const farm = new Farm({ servers: [{ maxconn: 1 }, {}, {}] });
    expect(farm.choose(1)).toBe(0);
    const others = counts(turns(farm, 40), 3);
    expect(others).toEqual([0, 20, 20]);
    farm.leave(1, 0);
    const got = counts(turns(farm, 30), 3);
    expect(got[0]).toBeGreaterThanOrEqual(9);
    expect(got[0]).toBeLessThanOrEqual(11);
  });
});
