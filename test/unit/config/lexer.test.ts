/** Cutting lines into words: the table of the manual's section 2.2, and its variables (2.3). */
import { describe, expect, test } from "bun:test";

import { lexLine } from "../../../src/config/lexer.ts";

const VARIABLES: Record<string, string> = { A: "one", LIST: "x y  z", EMPTY: "", ".LINE": "7" };
const lookup = (name: string): string | undefined => VARIABLES[name];

function words(line: string): string[] {
  const result = lexLine(line, lookup);
  if (!result.ok) throw new Error(`${result.error.message} at ${result.error.column}`);
  return result.words;
}

function problem(line: string): string {
  const result = lexLine(line, lookup);
  return result.ok ? "" : `${result.error.message} at ${result.error.column}`;
}

describe("words", () => {
  const cases: [line: string, words: string[]][] = [
    ["", []],
    ["   \t ", []],
    ["a b\tc", ["a", "b", "c"]],
    ["  a  b  ", ["a", "b"]],
    ["a b\r", ["a", "b"]],
    ["# all", []],
    ["a#b c", ["a"]],
    ["a \\#b", ["a", "#b"]],
    ["a\\ b", ["a b"]],
    ['a "b c" d', ["a", "b c", "d"]],
    ["a 'b c' d", ["a", "b c", "d"]],
    [`a"b 'c'"d`, ["ab 'c'd"]],
    [`'a"b'`, ['a"b']],
    [`"a'b"`, ["a'b"]],
    [`"a\\"b"`, ['a"b']],
    [`'a\\b'`, ["a\\b"]],
    ["a\\\\b", ["a\\b"]],
    ["a\\tb\\nc\\rd", ["a\tb\nc\rd"]],
    ["a\\x41\\x0a", ["aA\n"]],
    ["\\xc3\\xbc \\xfc \\xff\\xc3\\xbc", ["ü", "\udcfc", "\udcff\udcc3\udcbc"]],
    ["a\\1b", ["a\\1b"]],
    ["a\\qb", ["a\\qb"]],
    [`a "" b`, ["a", "", "b"]],
    ["$A ${A}", ["$A", "${A}"]],
    ['"$A" "${A}b" "$Ab"', ["one", "oneb", ""]],
    ['"${NONE-def ault}" "${EMPTY-x}"', ["def ault", ""]],
    ['"\\$A"', ["$A"]],
    ["'$A'", ["$A"]],
    ['pre"${LIST[*]}"post', ["prex", "y", "zpost"]],
    ['a "${NONE[*]}" b', ["a", "b"]],
    ['"$.LINE"', ["7"]],
    ["# unbalanced ' quote", []],
    ['a # "b', ["a"]],
    ["größe # ümläut", ["größe"]],
  ];
  for (const [line, expected] of cases) {
    test(JSON.stringify(line), () => {
      expect(words(line)).toEqual(expected);
    });
  }
});

describe("what cannot be read", () => {
  const cases: [line: string, problem: string][] = [
    ['a "b', "unmatched quote at 3"],
    ["a 'b", "unmatched quote at 3"],
    ["a \\x4", "truncated or invalid hexadecimal sequence at 3"],
    ['"$1"', "forbidden first char in environment variable name at 3"],
    ['"${A"', "unmatched brace in environment variable name at 3"],
    ['"${A b}"', "unmatched brace in environment variable name at 3"],
    ['"${LIST[x]}"', "truncated or invalid word expansion sequence at 8"],
    ['"$.NOPE"', "unknown pseudo-variable '.NOPE' at 2"],
    ["w ".repeat(65), "too many words, truncating after word 64 at 130"],
  ];
  for (const [line, expected] of cases) {
    test(JSON.stringify(line.slice(0, 30)), () => {
      expect(problem(line)).toBe(expected);
    });
  }
});

test("the fast path and the careful one agree", () => {
  for (const line of ["a b", "\ta  b ", "x", "a:$b{}", "ä ö"]) {
    expect(words(line)).toEqual(words(`${line} #`));
  }
});
