import { expect, test } from "bun:test";

import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMs,
  formatShort,
} from "../../../../src/page/shared/format.ts";

const narrow = (text: string): string => text.replaceAll("\u202f", " ");

test("counts in full and in short", () => {
  const full: [number, string][] = [
    [0, "0"],
    [9999, "9999"],
    [10_000, "10 000"],
    [1_234_567, "1 234 567"],
    [9_007_199_254_740_991, "9 007 199 254 740 991"],
  ];
  for (const [value, text] of full) expect(narrow(formatCount(value))).toBe(text);
  const short: [number, string][] = [
    [0, "0"],
    [999, "999"],
    [1000, "1.00k"],
    [12_345, "12.3k"],
    [999_999, "1.00M"],
    [4.56e9, "4.56G"],
  ];
  for (const [value, text] of short) expect(formatShort(value)).toBe(text);
});

test("bytes go by 1024", () => {
  const rows: [number, string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.00 KiB"],
    [1536, "1.50 KiB"],
    [10 * 1024 * 1024, "10.0 MiB"],
    [1024 ** 4 * 3, "3.00 TiB"],
  ];
  for (const [value, text] of rows) expect(narrow(formatBytes(value))).toBe(text);
});

test("times in their two largest units", () => {
  const rows: [number, string][] = [
    [-1, "0s"],
    [59.9, "59s"],
    [60, "1m00s"],
    [3599, "59m59s"],
    [3600, "1h00m"],
    [86_400 * 12 + 3600 * 3, "12d3h"],
  ];
  for (const [value, text] of rows) expect(formatDuration(value)).toBe(text);
  expect(narrow(formatMs(12))).toBe("12 ms");
  expect(narrow(formatMs(1234))).toBe("1.23 s");
});
