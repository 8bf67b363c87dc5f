import { describe, expect, test } from "bun:test";

import { compileAcl, compileCondition } from "../../../src/expr/evaluate.ts";
import { checkAclName, parseAclTest, parseCondition } from "../../../src/expr/parse.ts";
import type { AclSources } from "../../../src/expr/parse.ts";
import type { BoolExpression } from "../../../src/tables/expression.ts";
import { fakeContext } from "./fake-context.ts";
import { HAPROXY_ACLS } from "./haproxy-acls.ts";

const context = fakeContext({
  addresses: { client: "127.0.0.1", destination: "127.0.0.1" },
  ports: { client: 40_000, destination: 40_001 },
});

function decide(words: readonly string[], sources?: AclSources): boolean {
  const parsed = parseAclTest(words, sources);
  if (!parsed.ok) throw new Error(parsed.message);
  return compileAcl({ tests: [parsed.value] })(context);
}

function refusal(words: readonly string[], sources?: AclSources): string {
  const parsed = parseAclTest(words, sources);
  return parsed.ok ? "" : parsed.message;
}

describe("tests as HAProxy decided them", () => {
  for (const [text, expected] of HAPROXY_ACLS) {
    test(text, () => expect(decide(text.split(" "))).toBe(expected));
  }
});

describe("pattern files", () => {
  const files: Record<string, string> = {
    "nets.lst": "# private\n10.0.0.0/8\n\n  127.0.0.0/8\n",
    "names.lst": "One\r\nTwo\n",
    "bad.lst": "1.2.3.4\nnope\n",
  };
  const sources: AclSources = { readFile: (path) => files[path] };
  const run = (text: string): boolean => decide(text.split(" "), sources);
  test("networks are read, comments and blanks skipped", () => {
    expect(run("src -f nets.lst")).toBe(true);
    expect(run("ipv4(11.0.0.1) -f nets.lst")).toBe(false);
    expect(run("ipv4(11.0.0.1) -f nets.lst 11.0.0.1")).toBe(true);
  });
  test("-i does not reach back to files named before it", () => {
    expect(run("str(one) -f names.lst")).toBe(false);
    expect(run("str(one) -i -f names.lst")).toBe(true);
    expect(run("str(one) -f names.lst -i X")).toBe(false);
    expect(run("str(One) -f names.lst -i X")).toBe(true);
    expect(run("str(x) -f names.lst -i X")).toBe(true);
  });
  test("names of files: opt@ may be missing, virt@ is none", () => {
    expect(run("src -f opt@gone.lst -- 127.0.0.1")).toBe(true);
    expect(run("src -f virt@acl -- 10.0.0.1")).toBe(false);
    expect(run("src -f file@nets.lst")).toBe(true);
    expect(refusal(["src", "-f", "gone.lst"], sources)).toBe(
      "failed to open pattern file <gone.lst>",
    );
  });
  test("a wrong line is named", () => {
    expect(refusal(["src", "-f", "bad.lst"], sources)).toBe(
      "'nope' is not a valid IPv4 or IPv6 address at line 2 of file 'bad.lst'",
    );
  });
  test("host names are resolved through the caller, unless -n", () => {
    const resolving: AclSources = { resolve: () => ["127.0.0.1"] };
    expect(decide(["src", "localhost"], resolving)).toBe(true);
    expect(refusal(["src", "-n", "localhost"], resolving)).toContain("not a valid IPv4");
  });
});

describe("refusals", () => {
  const table: readonly (readonly [string, string])[] = [
    ["foo 1", "unknown fetch method 'foo' in ACL expression 'foo'"],
    ["src 1.2.3.4/33", "'1.2.3.4/33' is not a valid IPv4 or IPv6 address"],
    ["dst_port abc", "'abc' is not a number"],
    ["dst_port ge abc", "'abc' is neither a number nor a supported operator"],
    ["dst_port 10:5", "'10:5' is not a valid number range"],
    ["dst_port -m foo 3", "unknown matching method 'foo' when parsing ACL expression"],
    [
      "bin(41) a",
      "matching method must be specified first (using '-m') when using a sample fetch of this " +
        "type ('bin')",
    ],
    [
      "nbsrv(b) -x 1",
      "'-x' is not a valid ACL option. Please use '--' before any pattern beginning with a '-'",
    ],
    ["str(a) -m bin 6", "an even number of hex digit is expected"],
    [
      "src,ipmask(24)x 1",
      "missing comma after converter 'ipmask' in ACL expression 'src,ipmask(24)x'",
    ],
    ["str(a) -m reg (", "regex '(' is invalid (error=missing ))"],
    ["str(a) -m reg (?>a)", "regex '(?>a)' is invalid (it uses a form that only PCRE knows)"],
  ];
  for (const [text, message] of table) {
    test(text, () => expect(refusal(text.split(" "))).toBe(message));
  }
  test("no pattern is worth a warning", () => {
    const parsed = parseAclTest(["src"]);
    if (!parsed.ok) throw new Error(parsed.message);
    expect(parsed.warnings[0]).toContain("no pattern to match against were provided");
    const explicit = parseAclTest(["src", "--"]);
    expect(explicit.ok && explicit.warnings).toEqual([]);
  });
});

describe("conditions", () => {
  const yes: BoolExpression = acl("always_true");
  const no: BoolExpression = acl("always_false");
  const acls = new Map([
    ["yes", yes],
    ["no", no],
    ["any", { tests: [...no.tests, ...yes.tests] }],
  ]);
  function acl(word: string): BoolExpression {
    const parsed = parseAclTest([word]);
    if (!parsed.ok) throw new Error(parsed.message);
    return { tests: [parsed.value] };
  }
  function holds(text: string): boolean | string {
    const parsed = parseCondition(text.split(" "), acls);
    return parsed.ok ? compileCondition(parsed.value)(context) : parsed.message;
  }
  const table: readonly (readonly [string, boolean | string])[] = [
    ["if yes", true],
    ["if no", false],
    ["unless no", true],
    ["if any", true],
    ["if !any", false],
    ["if ! no", true],
    ["if !!yes", true],
    ["if yes no", false],
    ["if yes no || yes", true],
    ["if no or yes !no", true],
    ["if no || no yes", false],
    ["if yes ||", true],
    ["if || yes", true],
    ["if", false],
    ["unless", true],
    ["if { src 127.0.0.1 }", true],
    ["if !{ src 127.0.0.1 } or { dst_port 40001 }", true],
    ["if { src 127.0.0.1 } { dst_port 1 }", false],
    ["if TRUE !FALSE LOCALHOST", true],
    ["if nosuch", "no such ACL : 'nosuch'"],
    ["if { src 127.0.0.1", "missing closing '}' in condition"],
    ["if { }", "missing fetch method in ACL expression ''"],
    ["when yes", "conditions must start with either 'if' or 'unless', not 'when'"],
  ];
  for (const [text, expected] of table) test(text, () => expect(holds(text)).toBe(expected));
  test("words of HTTP are refused as such", () => {
    const parsed = parseCondition(["if", "METH_GET"], acls);
    expect(!parsed.ok && parsed.kind).toBe("http");
  });
  test("names of ACLs", () => {
    expect(checkAclName("a_b-c.d:9")).toBeUndefined();
    expect(checkAclName("a b")).toBe("character ' ' is not permitted in acl name 'a b'");
    expect(checkAclName("or")).toContain("will never match");
  });
});
