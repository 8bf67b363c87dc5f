/**
 * Hashes of `balance source` and `balance hash`, equal to HAProxy's bit for bit (manual 4.2
 * `hash-type`), as unsigned 32-bit numbers. Pure, except for the two functions that read how a
 * backend hashes.
 *
 * @hot
 */
import { crc32 } from "../base/crc32.ts";
import {
  HASH_FUNCTION_CRC32,
  HASH_FUNCTION_DJB2,
  HASH_FUNCTION_NONE,
  HASH_FUNCTION_WT6,
} from "../tables/generated/enums.ts";
import { PROXY_AVALANCHE, PROXY_HASH_FUNCTION } from "../tables/generated/proxy.ts";
import { HASH_NONE } from "./lb.ts";
import type { Lb } from "./lb.ts";

/**
 * Hash of a client's address, as `balance source` wants it: its words folded together by
 * exclusive-or. `hash-type`'s function is not used, its avalanche is.
 * @param words holds the address at `at`, big-endian words as in STREAM_LOG.clientAddress
 * @param family 4 or 6; any other has nothing to hash
 * @returns the hash, or HASH_NONE
 */
export function hashSource(
  lb: Lb,
  backendRow: number,
  words: Int32Array,
  at: number,
  family: number,
): number {
  if (family !== 4 && family !== 6) return HASH_NONE;
  let hash = words[at]!;
  if (family === 6) hash ^= words[at + 1]! ^ words[at + 2]! ^ words[at + 3]!;
  return lb.proxies[backendRow + PROXY_AVALANCHE] === 0 ? hash >>> 0 : mixAvalanche(hash);
}

/**
 * Hash of a key, as `balance hash` wants it: the backend's function, then its avalanche.
 * @param bytes the sample as binary: an address in network order, a string, an integer in 8 bytes
 */
export function hashKey(
  lb: Lb,
  backendRow: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  const hash = hashBytes(lb.proxies[backendRow + PROXY_HASH_FUNCTION]!, bytes, start, end);
  return lb.proxies[backendRow + PROXY_AVALANCHE] === 0 ? hash : mixAvalanche(hash);
}

/** Hash of `bytes[start..end)` by one of HASH_FUNCTION_*. O(bytes). */
export function hashBytes(
  hashFunction: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  switch (hashFunction) {
    case HASH_FUNCTION_DJB2:
      return hashDjb2(bytes, start, end);
    case HASH_FUNCTION_WT6:
      return hashWt6(bytes, start, end);
    case HASH_FUNCTION_CRC32:
      return crc32(bytes, start, end);
    case HASH_FUNCTION_NONE:
      return parseKey(bytes, start, end);
    default:
      return hashSdbm(bytes, start, end);
  }
}

/** sdbm: of the public-domain ndbm clone. */
export function hashSdbm(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 65599) + bytes[i]!) | 0;
  return hash >>> 0;
}

/** djb2: Dan Bernstein's hash with the multiplier 33. */
export function hashDjb2(bytes: Uint8Array, start: number, end: number): number {
  let hash = 5381;
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 33) + bytes[i]!) | 0;
  return hash >>> 0;
}

/** wt6: two words, rotated by amounts that their own bits give. */
export function hashWt6(bytes: Uint8Array, start: number, end: number): number {
  let even = 0xa53c965a | 0;
  let odd = 0x5ca6953a;
  let evenTurn = 6;
  let oddTurn = 18;
  for (let i = start; i < end; i++) {
    const mixed = ~(even ^ bytes[i]!);
    even = rotateLeft(~(odd + bytes[i]!) | 0, evenTurn);
    odd = rotateLeft(mixed, oddTurn);
    const turns = ((even >>> 16) ^ odd) & 0xffff;
    evenTurn = turns & 31;
    oddTurn = turns >>> 11;
  }
  return (even ^ odd) >>> 0;
}

/** none: the key itself is a number, in decimal; its low 32 bits count. */
function parseKey(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  const isNegative = at < end && bytes[at] === 45;
  if (isNegative) at++;
  let value = 0;
  for (; at < end; at++) {
    const digit = bytes[at]! - 48;
    if (digit < 0 || digit > 9) break;
    value = (Math.imul(value, 10) + digit) | 0;
  }
  return (isNegative ? -value : value) >>> 0;
}

/**
 * Mixes a 32-bit number so that each bit of it moves about half the bits of the result (Bob
 * Jenkins, "4-byte integer hashing", full avalanche). The last factor, which moves the low bits
 * into the highest two as well, is what HAProxy 2.6 was seen to compute.
 */
export function mixAvalanche(value: number): number {
  let a = value | 0;
  a = (a + 0x7ed55d16 + (a << 12)) | 0;
  a = a ^ 0xc761c23c ^ (a >>> 19);
  a = (a + 0x165667b1 + (a << 5)) | 0;
  a = ((a + 0xd3a2646c) | 0) ^ (a << 9);
  a = (a + 0xfd7046c5 + (a << 3)) | 0;
  a = a ^ 0xb55a4f09 ^ (a >>> 16);
  return Math.imul(a, 0xc0000001) >>> 0;
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> ((32 - bits) & 31));
}
