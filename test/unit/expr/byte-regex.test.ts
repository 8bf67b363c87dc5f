/** Regular expressions over bytes: against the JavaScript engine, in parts, and in linear time. */
import { describe, expect, test } from "bun:test";

import { ByteMatcher, compileByteRegex } from "../../../src/expr/byte-regex.ts";

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

function matcherOf(pattern: string): ByteMatcher {
  const regex = compileByteRegex(pattern);
  if (!regex.ok) throw new Error(regex.message);
  return new ByteMatcher(regex.value);
}

/** Matches at once and byte by byte, which must agree at each byte with a fresh look. */
function matches(pattern: string, text: string): boolean {
  const whole = matcherOf(pattern);
  whole.feed(bytesOf(text));
  const parts = matcherOf(pattern);
  for (const [index, char] of [...text].entries()) {
    parts.feed(bytesOf(char));
    const upTo = matcherOf(pattern);
    upTo.feed(bytesOf(text.slice(0, index + 1)));
    expect(parts.matches()).toBe(upTo.matches());
  }
  const isFound = whole.matches();
  // Asking changes nothing.
  expect(whole.matches()).toBe(isFound);
  return isFound;
}

/** A pattern, and what JavaScript calls it. */
const PATTERNS: readonly [string, RegExp][] = [
  ["a", /a/],
  ["^a", /^a/],
  ["a$", /a(?=\n?(?![^]))/],
  ["^$", /^(?=\n?(?![^]))/],
  ["", /(?:)/],
  ["a|b", /a|b/],
  ["(ab)+", /(ab)+/],
  ["a{2,3}b", /a{2,3}b/],
  ["[a-c]x", /[a-c]x/],
  ["[^a]", /[^a]/],
  ["\\d+", /\d+/],
  ["\\bfo\\b", /\bfo\b/],
  ["^(a|b)*c$", /^(a|b)*c(?=\n?(?![^]))/],
  ["x?y", /x?y/],
  ["a.b", /a[^\n]b/],
  ["(?i)Ho", /ho/i],
  ["(?i:H)o", /[hH]o/],
  ["[[:alpha:]]+\\d", /[A-Za-z]+\d/],
  ["^\\s*$", /^\s*(?=\n?(?![^]))/],
  ["\\Aab\\z", /^ab(?![^])/],
  ["(?m)^b$", /^b$/m],
  ["a\\Z", /a(?=\n?(?![^]))/],
  ["(?s)a.b", /a.b/s],
  ["\\Bb", /\Bb/],
  ["(a*)*b", /(a*)*b/],
  ["(a|ab)+$", /(a|ab)+(?=\n?(?![^]))/],
  ["[]a]", /[\]a]/],
  ["[a\\]b-]x", /[a\]b-]x/],
  ["a*?b+?", /a*?b+?/],
  ["(?<n>a)(?:b)", /ab/],
];

describe("as JavaScript sees it", () => {
  test.each([...PATTERNS])("%s", (pattern, known) => {
    const letters = ["a", "b", "c", "x", "y", " ", "\n", "1", "f", "o", "H"];
    let seed = 7;
    const draw = (count: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (seed >> 8) % count;
    };
    for (let round = 0; round < 150; round++) {
      const text = Array.from({ length: draw(9) }, () => letters[draw(letters.length)]).join("");
      expect({ text, isFound: matches(pattern, text) }).toEqual({
        text,
        isFound: known.test(text),
      });
    }
  });
});

test("bytes are characters, and the pattern's are its UTF-8", () => {
  expect(matches("^..$", "\xc3\xa9")).toBe(true);
  expect(matches("é", "\xc3\xa9")).toBe(true);
  expect(matches("\\xC3\\x{a9}", "\xc3\xa9")).toBe(true);
  expect(matches("a\\x00b", "a\0b")).toBe(true);
  expect(matches("\\Qa.b\\E\\101", "a.bA")).toBe(true);
});

test("comments and flags are no groups in groups", () => {
  expect(matches(`^${"(?#x)a".repeat(300)}$`, "a".repeat(300))).toBe(true);
  expect(matches(`^${"(?i)A".repeat(300)}$`, "a".repeat(300))).toBe(true);
  expect(matches("a(?#)b", "ab")).toBe(true);
});

const REFUSED: readonly [string, string][] = [
  ["(", "missing )"],
  [")", "unmatched )"],
  ["[a", "missing terminating ] for a class"],
  ["*", "nothing to repeat"],
  ["a{3,2}", "numbers out of order in {} quantifier"],
  ["a{1,1001}", "number too big in {} quantifier"],
  ["a++", "possessive quantifiers are not taken here"],
  ["(?=a)", "this kind of group is not taken here"],
  ["(?x)a", "option 'x' is not taken here"],
  ["(a)\\1", "back references are not taken"],
  ["\\K", "'\\K' is not taken here"],
  ["a\\", "\\ at end of pattern"],
  ["[[:nix:]]", "unknown POSIX class name"],
  ["(a{500}){500}", "it is too large"],
  ["(?#abc", "missing ) after (?# comment"],
  ["a(?#", "missing ) after (?# comment"],
  ["(".repeat(300), "its groups are nested too deep"],
];

test.each([...REFUSED])("%s is refused", (pattern, why) => {
  const message = `regex '${pattern}' is invalid (error=${why})`;
  expect(compileByteRegex(pattern)).toEqual({ ok: false, message });
});

test("no answer makes a pattern slow, however it comes", () => {
  const answer = new Uint8Array(16_384).fill(97);
  for (const pattern of ["(a*)*b", "(a|aa)+$x", "((a+)+)+!", "a.{0,900}b", "^(.*a){20}x"]) {
    const matcher = matcherOf(pattern);
    for (let at = 0; at < answer.length; at++) {
      matcher.feed(answer.subarray(at, at + 1));
      if (at % 64 === 0) expect(matcher.matches()).toBe(false);
    }
    expect(matcher.matches()).toBe(false);
  }
});
