/** Numbers, times and sizes with their units and limits: manual 2.5 and 2.6. */
import { describe, expect, test } from "bun:test";

import { parseInteger, parseSize, parseTime } from "../../../src/config/numbers.ts";

describe("times in milliseconds", () => {
  const cases: [text: string, ms: number][] = [
    ["0", 0],
    ["5", 5],
    ["5ms", 5],
    ["5s", 5_000],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    ["1500us", 2],
    ["1000us", 1],
    ["2147483647", 2_147_483_647],
  ];
  for (const [text, ms] of cases) {
    test(text, () => {
      expect(parseTime(text)).toEqual({ ok: true, value: ms });
    });
  }
  const refused: [text: string, message: string][] = [
    ["", "a time is missing"],
    ["x", "unexpected character 'x'"],
    ["5x", "unexpected character 'x'"],
    ["5 s", "unexpected character ' '"],
    ["0.5s", "unexpected character '.'"],
    ["-5s", "unexpected character '-'"],
    ["5S", "unexpected character 'S'"],
    ["25d", "timer overflow in argument '25d' (maximum value is 2147483647 ms or ~24.8 days)"],
    ["5us", "timer underflow in argument '5us' (minimum non-null value is 1 ms)"],
  ];
  for (const [text, message] of refused) {
    test(`refused: ${text}`, () => {
      expect(parseTime(text)).toEqual({ ok: false, message });
    });
  }
});

test("seconds as the unit of a bare number", () => {
  expect(parseTime("10", "s")).toEqual({ ok: true, value: 10 });
  expect(parseTime("2m", "s")).toEqual({ ok: true, value: 120 });
  expect(parseTime("1500ms", "s")).toEqual({ ok: true, value: 2 });
  expect(parseTime("5ms", "s").ok).toBe(false);
});

test("sizes", () => {
  expect(parseSize("16384")).toEqual({ ok: true, value: 16_384 });
  expect(parseSize("64k")).toEqual({ ok: true, value: 65_536 });
  expect(parseSize("1M")).toEqual({ ok: true, value: 1_048_576 });
  expect(parseSize("1g")).toEqual({ ok: true, value: 1_073_741_824 });
  for (const text of ["", "k", "1t", "1kb", "4g", "1.5m", "-1"]) {
    expect(parseSize(text).ok).toBe(false);
  }
});

test("integers", () => {
  expect(parseInteger("10", 0, 100)).toEqual({ ok: true, value: 10 });
  expect(parseInteger("-1", -10, 100)).toEqual({ ok: true, value: -1 });
  for (const text of ["", "x", "1x", "101", "-1", "+", "1e3", "9".repeat(400)]) {
    expect(parseInteger(text, 0, 100).ok).toBe(false);
  }
});
