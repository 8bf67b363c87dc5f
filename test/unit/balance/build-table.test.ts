import { describe, expect, test } from "bun:test";

import {
  buildRing,
  commonDivisor,
  mergeRing,
  nodePlace,
  spreadWeights,
} from "../../../src/balance/build-table.ts";
/** Maps and rings as they are built, against plain versions of the same rules. */
import { TABLE_ENTRIES_MAX } from "../../../src/base/limits.ts";
import { makeRandom } from "../../support/balancer-farm.ts";

/** The rule of the map, as its description says it. */
function spreadSlowly(weights: number[]): number[] {
  const total = weights.reduce((a, b) => a + b, 0);
  const scores = weights.map(() => 0);
  const out: number[] = [];
  for (let step = 0; step < total; step++) {
    weights.forEach((weight, server) => (scores[server] = scores[server]! + weight));
    let best = -1;
    let highest = -Infinity;
    scores.forEach((score, server) => {
      const whole = Math.floor(score / total);
      if (weights[server]! > 0 && whole > highest) [best, highest] = [server, whole];
    });
    out.push(best);
    scores[best] = scores[best]! - total;
  }
  return out;
}

describe("maps", () => {
  test("agree with the slow rule for random weights", () => {
    const random = makeRandom(9);
    for (let round = 0; round < 300; round++) {
      const weights = Array.from({ length: 1 + (random() % 9) }, () =>
        random() % 4 === 0 ? 0 : 1 + (random() % 40),
      );
      expect([...spreadWeights(weights)]).toEqual(spreadSlowly(weights));
    }
  });

  test("hold each server as often as its weight says", () => {
    const weights = Array.from({ length: 2000 }, (_, i) => i % 257);
    const counts = new Int32Array(weights.length);
    for (const server of spreadWeights(weights)) counts[server]!++;
    expect([...counts]).toEqual(weights);
  });

  test("are empty without weights, and shrink when they would grow too long", () => {
    expect(spreadWeights([])).toHaveLength(0);
    expect(spreadWeights([0, 0])).toHaveLength(0);
    const many = Array.from({ length: 5 }, () => TABLE_ENTRIES_MAX / 4);
    const map = spreadWeights(many);
    expect(map.length).toBeLessThanOrEqual(TABLE_ENTRIES_MAX);
    expect(new Set(map).size).toBe(5);
  });

  test("divide by what the weights have in common", () => {
    expect(commonDivisor([])).toBe(1);
    expect(commonDivisor([10, 20, 30])).toBe(10);
    expect(commonDivisor([7, 21, 5])).toBe(1);
  });
});

describe("rings", () => {
  const servers = Array.from({ length: 20 }, (_, i) => ({ row: 100 + i, id: i + 1, weight: 16 }));
  const rows = (ring: Int32Array): number[] => [...ring].filter((_, i) => i % 2 === 1);

  test("are sorted by place, with 16 nodes for a weight of 1", () => {
    const ring = buildRing(servers);
    expect(ring.length).toBe(20 * 16 * 2);
    for (let i = 2; i < ring.length; i += 2) {
      expect(ring[i]! >>> 0).toBeGreaterThanOrEqual(ring[i - 2]! >>> 0);
    }
    expect(rows(ring).filter((row) => row === 105)).toHaveLength(16);
    expect(nodePlace(1, 0)).toBe(nodePlace(1, 0) >>> 0);
  });

  test("that change by one server are as if built anew", () => {
    const ring = buildRing(servers);
    for (const [index, weight] of [
      [3, 0],
      [0, 48],
      [19, 1],
    ] as const) {
      const changed = { ...servers[index]!, weight };
      const anew = buildRing(servers.map((server, i) => (i === index ? changed : server)));
      expect([...mergeRing(ring, changed)]).toEqual([...anew]);
    }
    const added = { row: 999, id: 77, weight: 16 };
    expect([...mergeRing(ring, added)]).toEqual([...buildRing([...servers, added])]);
  });
});
