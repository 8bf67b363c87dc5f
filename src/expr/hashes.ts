/**
 * The hash functions that configurations name: sdbm, djb2, wt6, xxh32 and the avalanche. All give
 * unsigned 32-bit numbers and agree with HAProxy bit for bit (held by tests). CRCs: `base/crc32`.
 * Pure, any thread. O(bytes).
 */

/** Daniel Bernstein's hash, times 33, from 5381. */
export function hashDjb2(bytes: Uint8Array): number {
  let hash = 5381;
  for (let i = 0; i < bytes.length; i++) hash = (Math.imul(hash, 33) + bytes[i]!) | 0;
  return hash >>> 0;
}

/** The hash of the sdbm library, times 65599. */
export function hashSdbm(bytes: Uint8Array): number {
  let hash = 0;
  for (let i = 0; i < bytes.length; i++) hash = (Math.imul(hash, 65_599) + bytes[i]!) | 0;
  return hash >>> 0;
}

/** WT6: two words that rotate by amounts taken from themselves; good on addresses. */
export function hashWt6(bytes: Uint8Array): number {
  let first = 0xa53c965a | 0;
  let second = 0x5ca6953a | 0;
  let turnSecond = 6;
  let turnFirst = 18;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    first = ~(first ^ byte);
    second = ~(second + byte);
    const rotated = (second << turnSecond) | (turnSecond === 0 ? 0 : second >>> (32 - turnSecond));
    second = (first << turnFirst) | (turnFirst === 0 ? 0 : first >>> (32 - turnFirst));
    first = rotated;
    const mixed = ((first >>> 16) ^ second) & 0xffff;
    turnSecond = mixed & 31;
    turnFirst = mixed >>> 11;
  }
  return (first ^ second) >>> 0;
}

/** Spreads a hash over all its bits: Bob Jenkins' full-avalanche mix of integers, then a prime. */
export function avalanche(hash: number): number {
  let word = hash | 0;
  word = (word + 0x7ed55d16 + (word << 12)) | 0;
  word = word ^ 0xc761c23c ^ (word >>> 19);
  word = (word + 0x165667b1 + (word << 5)) | 0;
  word = ((word + 0xd3a2646c) | 0) ^ (word << 9);
  word = (word + 0xfd7046c5 + (word << 3)) | 0;
  word = word ^ 0xb55a4f09 ^ (word >>> 16);
  return Math.imul(word, 3_221_225_473) >>> 0;
}

const XXH_PRIME1 = 0x9e3779b1 | 0;
const XXH_PRIME2 = 0x85ebca77 | 0;
const XXH_PRIME3 = 0xc2b2ae3d | 0;
const XXH_PRIME4 = 0x27d4eb2f | 0;
const XXH_PRIME5 = 0x165667b1 | 0;

/** xxHash, 32 bits (the published specification of Yann Collet). */
export function hashXxh32(bytes: Uint8Array, seed: number): number {
  const { length } = bytes;
  const word = (at: number): number =>
    bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  let at = 0;
  let hash: number;
  if (length >= 16) {
    let lane1 = (seed + XXH_PRIME1 + XXH_PRIME2) | 0;
    let lane2 = (seed + XXH_PRIME2) | 0;
    let lane3 = seed | 0;
    let lane4 = (seed - XXH_PRIME1) | 0;
    for (; at <= length - 16; at += 16) {
      lane1 = xxhRound(lane1, word(at));
      lane2 = xxhRound(lane2, word(at + 4));
      lane3 = xxhRound(lane3, word(at + 8));
      lane4 = xxhRound(lane4, word(at + 12));
    }
    hash = rotate(lane1, 1) + rotate(lane2, 7) + rotate(lane3, 12) + rotate(lane4, 18);
  } else {
    hash = seed + XXH_PRIME5;
  }
  hash = (hash + length) | 0;
  for (; at <= length - 4; at += 4) {
    hash = (hash + Math.imul(word(at), XXH_PRIME3)) | 0;
    hash = Math.imul(rotate(hash, 17), XXH_PRIME4);
  }
  for (; at < length; at++) {
    hash = (hash + Math.imul(bytes[at]!, XXH_PRIME5)) | 0;
    hash = Math.imul(rotate(hash, 11), XXH_PRIME1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), XXH_PRIME2);
  hash = Math.imul(hash ^ (hash >>> 13), XXH_PRIME3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function xxhRound(lane: number, word: number): number {
  return Math.imul(rotate((lane + Math.imul(word, XXH_PRIME2)) | 0, 13), XXH_PRIME1);
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
