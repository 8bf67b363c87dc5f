import { expect, test } from "bun:test";

import { random32, seededRandom32 } from "../../../src/base/prng.ts";

test("the same seed gives the same numbers, another one others", () => {
  const take = (seed: number): number[] => {
    const next = seededRandom32(seed);
    return Array.from({ length: 20 }, next);
  };
  expect(take(5)).toEqual(take(5));
  expect(take(5)).not.toEqual(take(6));
  for (const seed of [0, 1, -1, 0x9e3779b9 | 0, 2 ** 31]) {
    for (const value of take(seed)) {
      expect(Number.isInteger(value) && value >= 0 && value <= 0xffffffff).toBe(true);
    }
  }
});

test("numbers are spread evenly", () => {
  const next = seededRandom32(3);
  const counts = new Int32Array(16);
  for (let i = 0; i < 160_000; i++) counts[next() % 16]!++;
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(600);
});

test("random32 is 32 bits, unsigned", () => {
  for (let i = 0; i < 100; i++) {
    const value = random32();
    expect(Number.isInteger(value) && value >= 0 && value <= 0xffffffff).toBe(true);
  }
});
