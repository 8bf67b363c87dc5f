/**
 * Hash functions against values that haproxy's converters gave (`str(KEY),sdbm(0)` and the
 * like).
 */
import { expect, test } from "bun:test";

import {
  hashBytes,
  hashDjb2,
  hashSdbm,
  hashSource,
  hashWt6,
  mixAvalanche,
} from "../../../src/balance/hash.ts";
import { HASH_NONE } from "../../../src/balance/lb.ts";
import { HASH_FUNCTION_CRC32, HASH_FUNCTION_NONE } from "../../../src/tables/generated/enums.ts";
import { Farm } from "../../support/balancer-farm.ts";

/** Key, then sdbm, djb2, wt6, crc32, each plain and with avalanche. */
const VALUES: readonly [string, ...number[]][] = [
  ["a", 97, 1830748055, 177670, 3548763807, 1900802597, 1986649387, 3904355907, 1288200982],
  ["abc", 807794786, 659243622, 193485963, 2235766107, 2483038440, 266135527, 891568578, 930845320],
  [
    "hello world",
    430867652,
    261123301,
    894552257,
    2328455893,
    1866899626,
    2174767729,
    222957957,
    2832483188,
  ],
  [
    "127.0.0.1",
    1894847165,
    88673145,
    1532542490,
    959482364,
    72828719,
    3180592676,
    3619153832,
    3849206273,
  ],
  [
    "The quick brown fox",
    2367138851,
    721029811,
    2546203896,
    2899348258,
    1623409869,
    3798313427,
    3074782430,
    3889597298,
  ],
];

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

for (const [key, ...values] of VALUES) {
  test(`hashes of "${key}"`, () => {
    const bytes = bytesOf(key);
    const hashes = [
      hashSdbm(bytes, 0, bytes.length),
      hashDjb2(bytes, 0, bytes.length),
      hashWt6(bytes, 0, bytes.length),
      hashBytes(HASH_FUNCTION_CRC32, bytes, 0, bytes.length),
    ];
    expect(hashes.flatMap((hash) => [hash, mixAvalanche(hash)])).toEqual(values);
  });
}

test("only the given part of the bytes is hashed", () => {
  const bytes = bytesOf("xxabcyy");
  expect(hashSdbm(bytes, 2, 5)).toBe(hashSdbm(bytesOf("abc"), 0, 3));
});

test("a key that is a number is its own hash", () => {
  for (const [text, value] of [
    ["0", 0],
    ["4711", 4711],
    ["4294967297", 1],
    ["-1", 0xffffffff],
    ["12abc", 12],
    ["", 0],
  ] as const) {
    const bytes = bytesOf(text);
    expect(hashBytes(HASH_FUNCTION_NONE, bytes, 0, bytes.length)).toBe(value);
  }
});

test("the source hash folds an address, and has nothing to say about a unix socket", () => {
  const farm = new Farm({ balance: { algorithm: "source" }, servers: [{}] });
  const lb = farm.lbs[1]!;
  const words = new Int32Array([9, 0x7f000001, 0x01020304, -1, 0x10]);
  expect(hashSource(lb, farm.backend, words, 1, 4)).toBe(0x7f000001);
  const folded = (0x7f000001 ^ 0x01020304 ^ -1 ^ 0x10) >>> 0;
  expect(hashSource(lb, farm.backend, words, 1, 6)).toBe(folded);
  expect(hashSource(lb, farm.backend, words, 1, 1)).toBe(HASH_NONE);
  expect(hashSource(lb, farm.backend, words, 1, 0)).toBe(HASH_NONE);
});
