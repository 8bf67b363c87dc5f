/** Conditions of `.if` and `-cc`: manual 2.4, and the edges that HAProxy's own tests look at. */
import { describe, expect, test } from "bun:test";

import { COMPATIBLE_VERSION } from "../../../src/base/version.ts";
import { checkCondition, evaluateCondition } from "../../../src/config/condition.ts";
import { compareVersions } from "../../../src/config/keywords/cc.ts";

const lookup = (name: string): string | undefined => ({ HOME: "/root", EMPTY: "" })[name];

const TRUE = [
  "1",
  "-1",
  "0x1",
  "!0",
  "!!1",
  "! 0",
  "  1  ",
  "1 && 1",
  "0 || 1",
  "1 || 0 && 0",
  "(0 || 1) && 1",
  "!(1 && 0)",
  "defined(HOME)",
  "defined(EMPTY)",
  "!defined(NOPE)",
  "streq(foo,'foo')",
  "streq(\"foo bar\",'foo bar')",
  'streq("$HOME","/root")',
  "strneq(a,b)",
  "strstr(abc,b)",
  "strstr(abc,)",
  "streq(,)",
  "1&&!0&&!((streq(a,b)||!streq(a,a)&&1)||strneq(a,a))",
  "1   &&!   0&&    !((streq(a,b)||!streq(a,a)&&1)||strneq(a,a))",
  "1 && !0 && !((streq(a,b) || !streq(a,a) && 1) || strneq(a,a))",
  "-1000 && 200",
  'defined(HOME) && streq("$HOME","/root")',
  "feature(OPENSSL) || !feature(OPENSSL)",
  "feature(OPENSSL)",
  "feature(THREAD)",
  "enabled(EPOLL)",
  "version_atleast(2.4)",
  "version_atleast(2.3-dev1)",
  "version_atleast(3.5-dev0)",
  "version_atleast(3.5-dev5)",
  "version_before(3.5)",
  "version_before(1024)",
  "version_atleast(nonsense)",
  "openssl_version_before(3.0.0)",
  "openssl_version_atleast(1.0.2)",
  "ssllib_name_startswith(Boring)",
];

const FALSE = [
  "",
  "   ",
  "0",
  "00",
  "0x0",
  "! 1",
  "1 && 0",
  "0 || 0",
  "defined( HOME )",
  "defined()",
  "streq(foo,bar)",
  "streq($HOME,/root)",
  "streq(0, 0)",
  "feature(NOSUCH)",
  "feature(LUA)",
  "enabled(nosuch)",
  "version_atleast(1024)",
  "version_atleast(3.5)",
  "version_before(3.5-dev5)",
  "fips_mode()",
  "1 && !0 && !((streq(a,b) || !streq(a,a) && 1) || strneq(a,b))",
  "1 && !0 && !((streq(a,a) || !streq(a,a) && 1) || strneq(a,a))",
  "ssllib_name_startswith(AWS-LC)",
  "awslc_api_atleast(1)",
];

const WRONG = [
  "200rrr",
  "!(0))",
  'streq(a,"a)',
  "1)",
  "(1",
  "()",
  "!",
  "1 &&",
  "1 ||",
  "1 & 1",
  "1 &&& 1",
  "1 0",
  "12abc",
  "foo",
  "streq(a)",
  "streq (a,a)",
  "streq(a,b,c)",
  "streq(a,b",
  "streq(a,a) x",
  "&& 1",
  "version_atleast",
  `${"(".repeat(100)}1${")".repeat(100)}`,
];

describe("answers", () => {
  for (const text of TRUE) {
    test(`true: ${text}`, () => {
      expect(checkCondition(text, lookup)).toEqual({ ok: true, value: true });
    });
  }
  for (const text of FALSE) {
    test(`false: ${JSON.stringify(text)}`, () => {
      expect(checkCondition(text, lookup)).toEqual({ ok: true, value: false });
    });
  }
  for (const text of WRONG) {
    test(`refused: ${text.slice(0, 30)}`, () => {
      const result = checkCondition(text, lookup);
      expect(result.ok).toBe(false);
      if (!result.ok) expect(result.message.length).toBeGreaterThan(5);
    });
  }
});

test("positions name the place", () => {
  const result = evaluateCondition("1 && nosuch(1)", lookup);
  expect(result).toEqual({
    ok: false,
    message: "unparsable conditional expression 'nosuch(1)'",
    position: 5,
  });
});

test("development versions come before their release", () => {
  expect(compareVersions("3.5-dev5", "3.5")).toBe(-1);
  expect(compareVersions("3.5-dev5", "3.4.9")).toBe(1);
  expect(compareVersions("3.5-dev10", "3.5-dev9")).toBe(1);
  expect(compareVersions("2.6.12", "2.6")).toBe(1);
  expect(compareVersions(COMPATIBLE_VERSION, COMPATIBLE_VERSION)).toBe(0);
});
