/** Times to first byte in buckets, and the median out of them. */
import { expect, test } from "bun:test";

import {
  FIRST_BYTE_BUCKETS,
  firstByteBucket,
  firstByteEndMs,
  firstByteMedian,
} from "../../../src/balance/first-byte.ts";
import { LAYOUTS } from "../../../src/tables/schema.ts";

test("each time is in the bucket that ends at or after it", () => {
  for (let ms = 0; ms < 20_000; ms = ms * 1.07 + 0.01) {
    const bucket = firstByteBucket(ms);
    expect(bucket).toBeGreaterThanOrEqual(0);
    expect(bucket).toBeLessThan(FIRST_BYTE_BUCKETS);
    if (bucket < FIRST_BYTE_BUCKETS - 1) expect(ms).toBeLessThanOrEqual(firstByteEndMs(bucket));
    if (bucket > 0) expect(ms).toBeGreaterThan(firstByteEndMs(bucket - 1));
  }
  expect(firstByteBucket(1e9)).toBe(FIRST_BYTE_BUCKETS - 1);
  expect(firstByteBucket(-1)).toBe(0);
});

test("the median is right to a bucket's width, whatever a few others took", () => {
  for (const typical of [0.2, 1, 3, 42, 210, 5000]) {
    const counts = new Int32Array(FIRST_BYTE_BUCKETS);
    for (let i = 0; i < 60; i++) counts[firstByteBucket(typical)]!++;
    for (let i = 0; i < 40; i++) counts[firstByteBucket(9000)]!++;
    const median = firstByteMedian(counts);
    expect(median).toBeLessThanOrEqual(Math.max(0.5, typical * Math.SQRT2));
    expect(median).toBeGreaterThanOrEqual(typical < 0.5 ? 0 : typical / Math.SQRT2);
  }
  expect(firstByteMedian(new Int32Array(FIRST_BYTE_BUCKETS))).toBe(0);
});

test("the table has as many buckets as are counted into", () => {
  const fields = LAYOUTS.flatMap(({ groups }) => groups.flatMap((group) => group.fields));
  expect(fields.find(({ name }) => name === "firstByte")?.count).toBe(FIRST_BYTE_BUCKETS);
});
