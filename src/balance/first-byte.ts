/**
 * Times to first byte as 32 counts by length: what workers add to and what `outlier-ejection` reads
 * a median from. Each bucket ends at √2 times the one before, from half a millisecond to 16 s; all
 * that is longer is in the last.
 *
 * @hot
 */

/** Buckets of a server. */
export const FIRST_BYTE_BUCKETS = 32;

/** End of the first bucket, ms. */
const FIRST_END_MS = 0.5;

/** Bucket of a time in ms: 0 .. FIRST_BYTE_BUCKETS - 1. */
export function firstByteBucket(ms: number): number {
  if (ms <= FIRST_END_MS) return 0;
  const bucket = Math.ceil(2 * Math.log2(ms / FIRST_END_MS));
  return bucket < FIRST_BYTE_BUCKETS ? bucket : FIRST_BYTE_BUCKETS - 1;
}

/** Where a bucket ends, ms. */
export function firstByteEndMs(bucket: number): number {
  return FIRST_END_MS * Math.pow(2, bucket / 2);
}

/**
 * The time that half of the streams did not take longer than, within its bucket in proportion.
 * @param counts streams by bucket
 * @returns ms; 0 when there are none
 */
export function firstByteMedian(counts: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < FIRST_BYTE_BUCKETS; i++) total += counts[i]!;
  let left = total / 2;
  for (let i = 0; i < FIRST_BYTE_BUCKETS; i++) {
    const count = counts[i]!;
    if (count > 0 && left <= count) {
      const begin = i === 0 ? 0 : firstByteEndMs(i - 1);
      return begin + ((firstByteEndMs(i) - begin) * left) / count;
    }
    left -= count;
  }
  return 0;
}
