import { expect, test } from "bun:test";

import { mayBeBrowser, Tokens } from "../../../src/page/token.ts";

const HOUR_MICROS = 3_600_000_000;
const use = { section: "stats", user: "admin", host: "lb:8404" };

function clockAt(epochMicros: number): { nowMs: () => number; epochMicros: () => number } {
  return { nowMs: () => 0, epochMicros: () => epochMicros };
}

test("a token fits its own section, login and host", () => {
  const tokens = new Tokens(clockAt(1e15));
  const token = tokens.make(use);
  expect(tokens.check(token, use)).toBe(true);
  expect(tokens.check(token, { ...use, section: "other" })).toBe(false);
  expect(tokens.check(token, { ...use, user: "" })).toBe(false);
  expect(tokens.check(token, { ...use, host: "evil" })).toBe(false);
  // Parts cannot be shifted into each other.
  expect(
    tokens.check(tokens.make({ ...use, user: "a", host: "bc" }), { ...use, user: "ab", host: "c" }),
  ).toBe(false);
});

test("a token of another process, a cut one, and none do not fit", () => {
  const tokens = new Tokens(clockAt(1e15));
  const other = new Tokens(clockAt(1e15)).make(use);
  for (const bad of ["", "x", other, tokens.make(use).slice(1), `${tokens.make(use)}A`, "%00"]) {
    expect(tokens.check(bad, use)).toBe(false);
  }
});

test("a token holds twelve hours at least and a day at most", () => {
  let now = 1e15;
  const tokens = new Tokens({ nowMs: () => 0, epochMicros: () => now });
  const token = tokens.make(use);
  now += 12 * HOUR_MICROS;
  expect(tokens.check(token, use)).toBe(true);
  now += 12 * HOUR_MICROS;
  expect(tokens.check(token, use)).toBe(false);
});

test("whatever a browser sends gives it away", () => {
  const of =
    (headers: Record<string, string>) =>
    (name: string): string | undefined =>
      headers[name];
  expect(mayBeBrowser(of({ "user-agent": "curl/8.5" }))).toBe(false);
  expect(mayBeBrowser(of({}))).toBe(false);
  for (const headers of [
    { origin: "null" },
    { referer: "" },
    { "sec-fetch-site": "same-origin" },
    { "sec-fetch-mode": "no-cors" },
    { cookie: "a=b" },
    { "user-agent": "Mozilla/5.0 (X11)" },
    { "user-agent": "Opera/9.80" },
  ]) {
    expect(mayBeBrowser(of(headers))).toBe(true);
  }
});
