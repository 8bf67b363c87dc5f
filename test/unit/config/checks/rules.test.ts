/** Rules of `tcp-check` and `http-check`: what they make, and what is said about wrong ones. */
import { describe, expect, test } from "bun:test";

import { saidOf, stepsOf } from "./programs.ts";

const TCP = " option tcp-check\n";
const HTTP = " option httpchk GET /\n";
const OPEN = { kind: "connect", usesDefaults: false, sendProxy: false, linger: false };
const CONNECT = { ...OPEN, isTls: false, alpn: [] };

/** The step that a rule of `tcp-check` makes. */
async function tcp(words: string): Promise<object> {
  const steps = await stepsOf(`${TCP} tcp-check ${words}`);
  expect(steps).toHaveLength(1);
  return steps[0] ?? {};
}

/** What is said about a rule. @param option the line before it */
async function about(option: string, rule: string): Promise<string[]> {
  return (await saidOf(`${option} ${rule}`)).map((line) =>
    line.replace(/^(\w+) parsing \[[^\]]+\] : /u, "$1 "),
  );
}

const format = (text: string) => ({ text, parts: [{ kind: "text", text }] });
const sample = (text: string) => ({ text });

const STEPS: readonly (readonly [string, object])[] = [
  ["connect", CONNECT],
  ["connect port 80", { ...CONNECT, port: { kind: "port", port: 80 } }],
  ["connect port int(80)", { ...CONNECT, port: { kind: "sample", sample: sample("int(80)") } }],
  ["connect addr 1.2.3.4", { ...CONNECT, address: { family: "ipv4", host: "1.2.3.4", port: 0 } }],
  ["connect addr [::1]", { ...CONNECT, address: { family: "ipv6", host: "::1", port: 0 } }],
  ["connect addr unix@/x", { ...CONNECT, address: { family: "unix", path: "/x" } }],
  [
    "connect default send-proxy linger comment why",
    { ...CONNECT, usesDefaults: true, sendProxy: true, linger: true, comment: "why" },
  ],
  ["connect sni a.test alpn h2,http/1.1", { ...CONNECT, sni: "a.test", alpn: ["h2", "http/1.1"] }],
  ["connect proto none", CONNECT],
  ["send PING\\r\\n", { kind: "send", data: { kind: "bytes", hex: "50494e470d0a" } }],
  ["send a\\xff\\xc3\\xbc", { kind: "send", data: { kind: "bytes", hex: "61ffc3bc" } }],
  ["send a comment b", { kind: "send", comment: "b", data: { kind: "bytes", hex: "61" } }],
  ["send-binary 00Ff", { kind: "send", data: { kind: "bytes", hex: "00ff" } }],
  ["send-lf 'a b'", { kind: "send", data: { kind: "format", format: format("a b") } }],
  ["send-binary-lf 0a", { kind: "send", data: { kind: "binary-format", format: format("0a") } }],
  ["expect string ok", { kind: "expect", match: { kind: "string", pattern: "ok" }, minRecv: -1 }],
  ["expect string \\xfe", { match: { kind: "binary", pattern: "fe" } }],
  ["expect ! string ok", { isNegated: true }],
  ["expect !string ok", { isNegated: true }],
  ["expect ! ! string ok", { isNegated: false }],
  ["expect rstring ^a|b$", { isNegated: false, match: { kind: "regex", pattern: "^a|b$" } }],
  ["expect binary 0AfF", { match: { kind: "binary", pattern: "0aff" } }],
  ["expect rbinary ^0A", { match: { kind: "binary-regex", pattern: "^0A" } }],
  ["expect string-lf x", { match: { kind: "string-format", format: format("x") } }],
  ["expect binary-lf 00", { match: { kind: "binary-format", format: format("00") } }],
  ["expect min-recv 7 string a", { minRecv: 7 }],
  ["expect string a min-recv 0", { minRecv: 0 }],
  ["expect ok-status L4OK string a", { okStatus: "L4OK" }],
  ["expect error-status L7OKC string a", { errorStatus: "L7OKC" }],
  ["expect tout-status L6TOUT string a", { timeoutStatus: "L6TOUT" }],
  [
    "expect on-success yes on-error no string a",
    { onSuccess: format("yes"), onError: format("no") },
  ],
  ["expect status-code int(7) string a", { statusCode: sample("int(7)") }],
  ["expect comment 'a b' string a", { comment: "a b" }],
  [
    "set-var(check.x) int(1)",
    {
      kind: "set-var",
      scope: "check",
      name: "x",
      value: { kind: "sample", sample: sample("int(1)") },
    },
  ],
  ["set-var(proc.a.b) int(1)", { scope: "proc", name: "a.b" }],
  ["set-var(sess.x) int(1)", { scope: "check", name: "sess.x" }],
  ["set-var-fmt(check.x) y", { value: { kind: "format", format: format("y") } }],
  ["unset-var(check.x)", { kind: "unset-var", scope: "check", name: "x" }],
];

describe("tcp-check", () => {
  for (const [words, step] of STEPS) {
    test(words, async () => {
      expect(await tcp(words)).toMatchObject(step);
      expect(await about(TCP, `tcp-check ${words}`)).toEqual([]);
    });
  }
  test("rules stay in order", async () => {
    const rules = ["connect", "send a", "expect string b", "connect port 81", "expect string c"];
    const steps = await stepsOf(TCP + rules.map((rule) => ` tcp-check ${rule}`).join("\n"));
    expect(steps.map(({ kind }) => kind)).toEqual([
      "connect",
      "send",
      "expect",
      "connect",
      "expect",
    ]);
  });
  test("a comment is of the next rule, or of expectations in a row; it is a step", async () => {
    const lines =
      "comment one|connect|expect string a|comment two|send a comment own|expect string b|" +
      "comment three|expect string c|expect string d|set-var(check.x) int(1)|expect string e";
    const rules = lines.split("|").map((rule) => ` tcp-check ${rule}`);
    const steps = await stepsOf(TCP + rules.join("\n"));
    expect(steps.map(({ comment, number }) => [comment, number])).toEqual([
      ["one", 2],
      [undefined, 3],
      ["own", 5],
      [undefined, 6],
      ["three", 8],
      ["three", 9],
      [undefined, 10],
      [undefined, 11],
    ]);
  });
});

/** Sentences of both rule sets, the rule's name in front. */
const WRONG: readonly (readonly [string, string])[] = [
  [
    "connect foo",
    "expects 'comment', 'port', 'addr', 'send-proxy', 'ssl', 'sni', 'alpn' or " +
      "'via-socks4', 'linger', 'default' but got 'foo'.",
  ],
  ["connect port", "'port' expects a port number or a sample expression as argument."],
  [
    "connect port 0",
    "expects a valid TCP port (from range 1 to 65535) or a sample expression, got 0.",
  ],
  [
    "connect port 70000",
    "expects a valid TCP port (from range 1 to 65535) or a sample expression, got 70000.",
  ],
  [
    "connect port foo",
    "error detected while parsing port expression : unknown fetch method 'foo'.",
  ],
  ["connect addr", "'addr' expects <ipv4|ipv6> as argument."],
  ["connect addr a.test", "'addr' : invalid address: 'a.test'."],
  ["connect sni", "'sni' expects a string as argument."],
  ["connect alpn", "'alpn' : missing the comma-delimited ALPN protocol suite."],
  ["connect alpn a,,b", "'alpn' : an empty name in 'a,,b'."],
  ["connect proto foo", "'proto' : unknown MUX protocol 'foo'."],
  ["connect comment", "'comment' expects a string as argument."],
  ["comment", "expects a string as argument."],
  ["expect", "expects at least a matching pattern as arguments."],
  ["expect min-recv 3", "pattern not found."],
  ["expect min-recv", "'min-recv' expects a integer as argument."],
  ["expect min-recv -2 string a", "'min-recv' expects -1 or an integer from 0 to INT_MAX."],
  ["expect string", "'string' expects a <pattern> as argument."],
  ["expect string a string b", "only one pattern expected."],
  ["expect rstring (", "regex '(' is invalid (error=missing ))."],
  [
    "expect ok-status L7RSP string a",
    "'ok-status' only supports 'L4OK', 'L6OK', 'L7OK' or 'L7OKC' status (got 'L7RSP').",
  ],
  [
    "expect error-status L7OK string a",
    "'error-status' only supports 'L4CON', 'L6RSP', 'L7OKC', " +
      "'L7RSP' or 'L7STS' status (got 'L7OK').",
  ],
  [
    "expect tout-status x string a",
    "'tout-status' only supports 'L4TOUT', 'L6TOUT' or 'L7TOUT' status (got 'x').",
  ],
  ["expect on-error", "'on-error' expects a string as argument."],
  ["expect status-code", "'status-code' expects an expression as argument."],
  [
    "expect status-code foo string a",
    "error detected while parsing status-code expression : unknown fetch method 'foo'.",
  ],
  ["expect comment", "'comment' expects a string as argument."],
];

const MORE_TCP: typeof WRONG = [
  ["connect proto h2", "'proto' : invalid MUX protocol 'h2' for tcp-check."],
  ["send", "expects a string as argument."],
  ["send a b", "expects 'comment' but got 'b' as argument."],
  ["send a comment", "'comment' expects a string as argument."],
  ["send-binary", "expects a hexadecimal string as argument."],
  ["send-binary 123", "'123' invalid binary string (an even number of hex digit is expected)."],
  ["send-binary xy", "'xy' invalid binary string (an hex digit is expected (found 'x'))."],
  ["expect binary 1", "invalid binary string (an even number of hex digit is expected)."],
  [
    "expect status 200",
    "only supports 'min-recv', '[!]string', '[!]rstring', '[!]string-lf', " +
      "'[!]binary', '[!]rbinary', '[!]binary-lf' or 'comment' but got 'status'.",
  ],
];

const MORE_HTTP: typeof WRONG = [
  ["connect proto none", "'proto' : invalid MUX protocol 'none' for http-check."],
  ["send meth", "'meth' expects a string as argument."],
  ["send uri-lf", "'uri-lf' expects a string as argument."],
  ["send hdr A", "'hdr' expects <name> and <value> as arguments."],
  ["send hdr 'a b' c", "'hdr' : 'a b' is no name of a header."],
  [
    "send foo",
    "expects 'comment', 'meth', 'uri', 'uri-lf', 'ver', 'hdr', " +
      "'body' or 'body-lf' but got 'foo' as argument.",
  ],
  ["expect status", "'status' expects a <pattern> as argument."],
  ["expect status abc", "invalid character 'a' in the list of status codes."],
  ["expect status 200-", "invalid range of status codes '200-'."],
  ["expect status 300-200", "invalid range of status codes '300-200'."],
  ["expect hdr", "'hdr' expects at the name keyword as first argument followed by a pattern."],
  ["expect hdr name", "'hdr' expects at the name keyword as first argument followed by a pattern."],
  [
    "expect hdr value a",
    "'hdr' expects at the name keyword as first argument followed by a pattern.",
  ],
  [
    "expect hdr name -m",
    "'hdr' : '-m' expects at a matching pattern ('str', 'beg', 'end', 'sub' or 'reg').",
  ],
  [
    "expect hdr name -m x a",
    "'hdr' : '-m' only supports 'str', 'beg', 'end', 'sub' or 'reg' (got 'x').",
  ],
  ["expect hdr name a value", "'hdr' expect a pattern with the value keyword."],
  [
    "expect hdr name-lf -m reg a",
    "'hdr': log-format string is not supported with a regex matching method.",
  ],
  [
    "expect binary 00",
    "only supports 'min-recv', '[!]status', '[!]rstatus', '[!]hdr', '[!]fhdr', " +
      "'[!]string', '[!]rstring', '[!]string-lf' or 'comment' but got 'binary'.",
  ],
];

describe("wrong rules", () => {
  const sets = [
    ["tcp-check", TCP, [...WRONG, ...MORE_TCP]],
    // An expectation needs a request, which the option is.
    ["http-check", HTTP, [...WRONG, ...MORE_HTTP]],
  ] as const;
  for (const [name, option, cases] of sets) {
    for (const [words, sentence] of cases) {
      test(`${name} ${words}`, async () => {
        const verb = words.split(" ")[0] ?? "";
        expect(await about(option, `${name} ${words}`)).toEqual([
          `ALERT '${name} ${verb}' : ${sentence}`,
        ]);
      });
    }
  }
  test("words that nobody knows", async () => {
    expect(await about(TCP, "tcp-check sent x")).toEqual([
      "ALERT 'tcp-check' supports 'comment', 'connect', 'expect', 'send', 'send-binary', " +
        "'send-binary-lf', 'send-lf', 'set-var()', 'set-var-fmt()', 'unset-var()' (got 'sent'); " +
        "did you mean 'send'?",
    ]);
  });
  const VARIABLES: readonly (readonly [string, string])[] = [
    [
      "set-var(a) int(1)",
      "invalid variable name 'a'. A variable name must start with its scope. " +
        "The scope can be 'proc', 'sess' or 'check'.",
    ],
    [
      "set-var(txn.a) int(1)",
      "invalid variable name 'txn.a'. A variable name must start with its scope. " +
        "The scope can be 'proc', 'sess' or 'check'.",
    ],
    ["set-var(check.a-b) int(1)", "invalid syntax at char '-'."],
    ["set-var(check.a,ifgone) int(1)", 'unknown condition "ifgone".'],
    ["set-var(check.a)", "missing fetch method."],
    ["set-var-fmt(check.a)", "missing format."],
    [
      "set-var(check.a) foo",
      "error detected while parsing the expression : unknown fetch method 'foo'.",
    ],
    [
      "set-var(check.a int(1)",
      "invalid or incomplete action 'set-var'. Expects 'set-var(<var-name>)', " +
        "'set-var-fmt(<var-name>)' or 'unset-var(<var-name>)'.",
    ],
  ];
  for (const [words, sentence] of VARIABLES) {
    test(words, async () => {
      const verb = words.split(" ")[0] ?? "";
      expect(await about(TCP, `tcp-check ${words}`)).toEqual([
        `ALERT 'tcp-check ${verb}' : ${sentence}`,
      ]);
    });
  }
  test("conditions of variables are refused by name", async () => {
    const [line = ""] = await about(TCP, "tcp-check set-var(check.a,ifnotset) int(1)");
    expect(line).toStartWith(
      "ALERT 'tcp-check set-var(check.a,ifnotset)' : condition 'ifnotset' is not built yet;",
    );
  });
});

describe("order", () => {
  const FIRST =
    "first step MUST also be a 'connect', optionally preceded by a 'set-var', an 'unset-var' or " +
    "a 'comment', when there is a 'connect' step in the tcp-check ruleset.";
  test("a connect step comes first, if there is one", async () => {
    expect(await about(TCP, "tcp-check send a\n tcp-check connect")).toEqual([
      `ALERT 'tcp-check connect' : ${FIRST}`,
    ]);
    const before = "tcp-check comment x\n tcp-check set-var(check.a) int(1)\n tcp-check connect";
    expect(await about(TCP, before)).toEqual([]);
    expect(await about(HTTP, "http-check send uri /\n http-check connect")).toEqual([
      `ALERT 'http-check connect' : ${FIRST}`,
    ]);
  });
  test("requests follow connections, expectations requests", async () => {
    const twice = "http-check connect\n http-check send uri /\n http-check send uri /";
    expect(await about(HTTP, twice)).toEqual([
      "ALERT 'http-check send' : unable to add http-check send rule at step 3 " +
        "(missing connect rule).",
    ]);
    expect(await about(HTTP, "http-check expect status 200\n http-check send uri /")).toEqual([
      "ALERT 'http-check send' : unable to add http-check send rule at step 2 " +
        "(missing connect rule).",
    ]);
    expect(await about(HTTP, "http-check connect\n http-check expect status 200")).toEqual([
      "ALERT 'http-check expect' : unable to add http-check expect rule at step 2 " +
        "(missing send rule).",
    ]);
    expect(await about(HTTP, "http-check expect status 200\n http-check expect string a")).toEqual(
      [],
    );
  });
  test("the option's request stands behind the first connection", async () => {
    const alone = await stepsOf(`${HTTP} http-check connect`);
    expect(alone.map(({ kind }) => kind)).toEqual(["connect", "http-send", "expect"]);
    const variable = " http-check set-var(check.a) int(1)\n http-check connect";
    const late = await stepsOf(HTTP + variable);
    expect(late.map(({ kind }) => kind)).toEqual(["set-var", "connect", "http-send", "expect"]);
    const without = await stepsOf(`${HTTP} http-check expect string a`);
    expect(without.map(({ kind }) => kind)).toEqual(["http-send", "expect"]);
  });
  test("only the last request has an expectation of its own", async () => {
    const first = " http-check connect\n http-check send uri /1\n http-check expect string a";
    const second = " http-check connect port 81\n http-check send uri /2";
    const steps = await stepsOf(`${HTTP}${first}\n${second}`);
    expect(steps.map(({ kind }) => kind)).toEqual(
      "connect http-send expect connect http-send expect".split(" ") as never,
    );
    expect(steps[1]).toMatchObject({ method: "GET", uri: { text: "/1" } });
    // The option speaks for the first request only.
    expect(steps[4]).toMatchObject({ method: "OPTIONS", uri: { text: "/2" } });
    expect(steps[5]).toMatchObject({ match: { kind: "status", ranges: [{ from: 200, to: 399 }] } });
  });
});

const MATCHES: readonly (readonly [string, object])[] = [
  ["status 200", { kind: "status", ranges: [{ from: 200, to: 200 }] }],
  [
    "status 200-299,401,",
    {
      kind: "status",
      ranges: [
        { from: 200, to: 299 },
        { from: 401, to: 401 },
      ],
    },
  ],
  ["rstatus ^2", { kind: "status-regex", pattern: "^2" }],
  ["string a", { kind: "string", pattern: "a" }],
  ["rstring a+", { kind: "regex", pattern: "a+" }],
  ["string-lf a", { kind: "string-format", format: format("a") }],
  [
    "hdr name a",
    {
      kind: "header",
      isFull: false,
      name: { kind: "text", text: "a" },
      nameMethod: "str",
      valueMethod: "str",
    },
  ],
  [
    "hdr name -m beg x- value -m reg ^a",
    { kind: "header", nameMethod: "beg", value: { kind: "text", text: "^a" }, valueMethod: "reg" },
  ],
  [
    "fhdr name a value-lf -m sub b",
    { isFull: true, value: { kind: "format", format: format("b") }, valueMethod: "sub" },
  ],
  ["hdr name-lf a value b", { name: { kind: "format", format: format("a") } }],
];

describe("http-check", () => {
  for (const [words, match] of MATCHES) {
    test(`expect ${words}`, async () => {
      const [, step] = await stepsOf(`${HTTP} http-check expect ${words}`);
      expect(step).toMatchObject({ kind: "expect", match });
    });
  }
  test("send with all it takes", async () => {
    const words =
      "meth POST uri /x ver HTTP/1.1 hdr Host a.test hdr X %[srv_name] hdr Content-Length 9 " +
      "body 'a b' comment why";
    const [step] = await stepsOf(` option httpchk\n http-check send ${words}`);
    expect(step).toMatchObject({
      kind: "http-send",
      method: "POST",
      uri: { kind: "text", text: "/x" },
      version: "HTTP/1.1",
      headers: [{ name: "Host", value: format("a.test") }, { name: "X" }],
      body: { kind: "text", text: "a b" },
      comment: "why",
    });
    expect((step as { headers: object[] }).headers).toHaveLength(2);
    const [made] = await stepsOf(" option httpchk\n http-check send uri-lf /%[be_name] body-lf x");
    expect(made).toMatchObject({ uri: { kind: "format" }, body: { kind: "format" } });
  });
});
