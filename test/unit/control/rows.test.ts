import { describe, expect, test } from "bun:test";

import { RowAllocator } from "../../../src/control/rows.ts";

const STRIDE = 4;
/** The generation is the second word of each record. */
const GENERATION = 1;

function make(rows: number): { words: Int32Array; allocator: RowAllocator } {
  const words = new Int32Array(new SharedArrayBuffer(4 * STRIDE * (rows + 1)));
  return { words, allocator: new RowAllocator(words, STRIDE, GENERATION) };
}

describe("rows", () => {
  test("are given out until the table is full; row 0 never is", () => {
    const { allocator } = make(3);
    expect([1, 2, 3, 4].map(() => allocator.take())).toEqual([4, 8, 12, 0]);
    expect(allocator.count).toBe(3);
  });

  test("come back empty and one generation older", () => {
    const { words, allocator } = make(2);
    const row = allocator.take();
    expect(allocator.generation(row)).toBe(0);
    words[row] = 7;
    words[row + 3] = 9;
    allocator.give(row);
    expect(allocator.count).toBe(0);
    expect(allocator.take()).toBe(row);
    expect(allocator.generation(row)).toBe(1);
    expect([...words.subarray(row, row + STRIDE)]).toEqual([0, 1, 0, 0]);
  });

  test("what is no row is not taken back", () => {
    const { allocator } = make(2);
    allocator.take();
    expect(() => allocator.give(0)).toThrow();
    expect(() => allocator.give(5)).toThrow();
  });
});
