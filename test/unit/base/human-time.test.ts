/** Times in words, as the running HAProxy prints them. */
import { expect, test } from "bun:test";

import { humanTime } from "../../../src/base/human-time.ts";

test.each([
  [0, "0s"],
  [0.9, "0s"],
  [59, "59s"],
  [60, "1m"],
  [65, "1m5s"],
  [3600, "1h"],
  [3605, "1h5s"],
  [3660, "1h1m"],
  [3725, "1h2m"],
  [86_400, "1d"],
  [90_061, "1d1h"],
  [86_400 * 12 + 59, "12d59s"],
  [-0.4, "0s"],
  [-1, "?"],
])("%p seconds", (seconds, text) => {
  expect(humanTime(seconds)).toBe(text);
});
