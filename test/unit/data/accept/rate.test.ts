import { describe, expect, test } from "bun:test";

import { claimRate } from "../../../../src/data/accept/rate.ts";

describe("claimRate", () => {
  test("lets in so many in a second, and as many in the next", () => {
    const words = new Int32Array(8);
    const claim = (nowMs: number): boolean => claimRate(words, 2, 3, nowMs);
    expect([1000, 1100, 1500, 1600, 1999].map(claim)).toEqual([true, true, true, false, false]);
    expect([2000, 2001, 2002, 2003].map(claim)).toEqual([true, true, true, false]);
  });

  test("without a limit it only counts", () => {
    const words = new Int32Array(4);
    for (let i = 0; i < 50; i++) expect(claimRate(words, 0, 0, 5000 + i)).toBe(true);
    expect([...words]).toEqual([5, 50, 0, 50]);
  });

  test("remembers the second before, and the highest of all", () => {
    const words = new Int32Array(4);
    for (let i = 0; i < 7; i++) claimRate(words, 0, 0, 1000);
    claimRate(words, 0, 0, 2000);
    expect([...words]).toEqual([2, 1, 7, 7]);
    // A second without any counts as one: what came before it is not the second before.
    claimRate(words, 0, 0, 4000);
    expect([...words]).toEqual([4, 1, 0, 7]);
  });

  test("a refusal counts for nothing", () => {
    const words = new Int32Array(4);
    claimRate(words, 0, 1, 1000);
    for (let i = 0; i < 5; i++) expect(claimRate(words, 0, 1, 1000)).toBe(false);
    expect([...words]).toEqual([1, 1, 0, 1]);
  });
});
