/** Options that choose what checks ask, and what sections take over from their defaults. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { pack, unpack } from "msgpackr";

import type { CheckProgramSpec } from "../../../../src/tables/spec.ts";
import { linesOf, loadText, planOf, proxyOf } from "../load-text.ts";
import { programOf, saidOf, stepsOf } from "./programs.ts";

const PLAIN: readonly (readonly [string, CheckProgramSpec])[] = [
  ["", { kind: "connect" }],
  ["option tcp-check", { kind: "tcp", steps: [] }],
  ["option redis-check", { kind: "redis" }],
  ["option ldap-check", { kind: "ldap" }],
  ["option ssl-hello-chk", { kind: "ssl-hello" }],
  ["option spop-check", { kind: "spop" }],
  ["option pgsql-check user postgres", { kind: "pgsql", user: "postgres" }],
  ["option mysql-check", { kind: "mysql", version: "post-41" }],
  ["option mysql-check user u", { kind: "mysql", user: "u", version: "post-41" }],
  ["option mysql-check user u pre-41", { kind: "mysql", user: "u", version: "pre-41" }],
  ["option mysql-check user u post-80", { kind: "mysql", user: "u", version: "post-80" }],
  ["option smtpchk", { kind: "smtp", hello: "HELO", domain: "localhost" }],
  ["option smtpchk EHLO", { kind: "smtp", hello: "HELO", domain: "localhost" }],
  ["option smtpchk EHLO mx.test", { kind: "smtp", hello: "EHLO", domain: "mx.test" }],
  ["option smtpchk LHLO mx.test", { kind: "smtp", hello: "HELO", domain: "mx.test" }],
];

describe("protocols without rules", () => {
  for (const [lines, program] of PLAIN) {
    test(lines === "" ? "none" : lines, async () => {
      expect(await programOf(` ${lines}`)).toEqual(program);
      expect(await saidOf(` ${lines}`)).toEqual([]);
    });
  }
  test("the last option counts", async () => {
    expect(await programOf(" option redis-check\n option ldap-check")).toEqual({ kind: "ldap" });
    expect(await programOf(" option tcp-check", { defaults: "option redis-check" })).toEqual({
      kind: "tcp",
      steps: [],
    });
    expect(await programOf("", { defaults: "option redis-check" })).toEqual({ kind: "redis" });
  });
});

const WRONG: readonly (readonly [string, string])[] = [
  ["option tcp-check x", "'option tcp-check' cannot handle unexpected argument 'x'."],
  ["option redis-check x", "'option redis-check' cannot handle unexpected argument 'x'."],
  ["option ssl-hello-chk x", "'option ssl-hello-chk' cannot handle unexpected argument 'x'."],
  ["option httpchk a b c d e", "'option httpchk' cannot handle unexpected argument 'e'."],
  ["option httpchk G@T /", "'option httpchk' : 'G@T' is no method of HTTP."],
  ["option mysql-check x", "'option mysql-check' only supports optional values: 'user' (got 'x')."],
  ["option mysql-check user", "'option mysql-check user' expects <username> as argument."],
  [
    "option mysql-check user u post-99",
    "keyword 'user' only supports 'post-41', 'pre-41' and 'post-80' (got 'post-99').",
  ],
  [
    "option mysql-check user u pre-41 x",
    "'option mysql-check' cannot handle unexpected argument 'x'.",
  ],
  ["option pgsql-check", "'option pgsql-check' expects 'user <username>' as argument."],
  ["option pgsql-check user", "'option pgsql-check' expects 'user <username>' as argument."],
  ["option pgsql-check x y", "'option pgsql-check' only supports optional values: 'user'."],
  ["option pgsql-check user a b", "'option pgsql-check' cannot handle unexpected argument 'b'."],
  ["option smtpchk EHLO a b", "'option smtpchk' cannot handle unexpected argument 'b'."],
  ["external-check command", "missing argument after 'command'."],
  ["external-check path", "missing argument after 'path'."],
  ["external-check command a b", "'external-check' cannot handle unexpected argument 'b'."],
  ["external-check run x", "'external-check' supports 'command', 'path' (got 'run')"],
];

describe("wrong options", () => {
  for (const [lines, sentence] of WRONG) {
    test(lines, async () => {
      expect(await saidOf(` ${lines}`)).toEqual([`ALERT parsing [t.cfg:7] : ${sentence}`]);
    });
  }
  test("no option takes them away, as in HAProxy", async () => {
    expect(await saidOf(" no option httpchk")).toEqual([
      "ALERT parsing [t.cfg:7] : negation/default is not supported for option 'httpchk'.",
    ]);
  });
  test("frontends have no servers to check", async () => {
    const lines = "option httpchk\n option redis-check\n tcp-check connect\n http-check send\n";
    const text = `defaults\n timeout client 1s\nfrontend f\n bind :1\n ${lines}`;
    const said = linesOf(await loadText(text));
    expect(said).toEqual(
      ["httpchk", "redis-check", "tcp-check", "http-check"].map((word, index) => {
        const why = "because frontend 'f' has no backend capability.";
        return `WARNING parsing [t.cfg:${index + 5}] : '${word}' ignored ${why}`;
      }),
    );
  });
});

const REQUEST = { kind: "http-send", method: "OPTIONS", version: "HTTP/1.0", headers: [] };
const ROOT = { kind: "text", text: "/" };
const WELL = {
  kind: "expect",
  isNegated: false,
  match: { kind: "status", ranges: [{ from: 200, to: 399 }] },
  minRecv: -1,
};

/** A header whose value is plain text. */
function header(name: string, text: string): object {
  return { name, value: { text, parts: [{ kind: "text", text }] } };
}

const HTTP: readonly (readonly [string, object])[] = [
  ["", { uri: ROOT }],
  ["/health", { uri: { kind: "text", text: "/health" } }],
  // One word alone is the address, even if it looks like a method.
  ["HEAD", { uri: { kind: "text", text: "HEAD" } }],
  ["GET /h", { method: "GET", uri: { kind: "text", text: "/h" } }],
  ["GET * HTTP/1.1", { method: "GET", uri: { kind: "text", text: "*" }, version: "HTTP/1.1" }],
  [
    "GET / HTTP/1.1 www.test",
    { method: "GET", uri: ROOT, version: "HTTP/1.1", headers: [header("Host", "www.test")] },
  ],
];

describe("option httpchk", () => {
  for (const [words, request] of HTTP) {
    test(words === "" ? "alone" : words, async () => {
      const steps = await stepsOf(` option httpchk ${words}`);
      expect(steps as object[]).toEqual([{ ...REQUEST, ...request }, WELL]);
    });
  }
  test("the host may be a format", async () => {
    const [request] = await stepsOf(" option httpchk GET / HTTP/1.1 %[srv_name].test");
    expect(request).toMatchObject({
      headers: [{ name: "Host", value: { parts: [{ kind: "sample" }, { text: ".test" }] } }],
    });
  });
  test("headers and a body behind the version are taken with a warning", async () => {
    const line =
      " option httpchk POST /x HTTP/1.1\\r\\nHost:\\ www\\r\\nX-A:b:c\\r\\n" +
      "Content-Length:\\ 9\\r\\n\\r\\nbody\\r\\nmore";
    const said = await saidOf(line);
    expect(said).toEqual([
      "WARNING parsing [t.cfg:7] : 'option httpchk' : hiding headers or body at the end of the " +
        "version string is deprecated. Please, consider " +
        "to use 'http-check send' directive instead.",
    ]);
    const [request] = await stepsOf(line);
    expect(request).toEqual({
      ...REQUEST,
      kind: "http-send",
      method: "POST",
      version: "HTTP/1.1",
      uri: { kind: "text", text: "/x" },
      headers: [header("Host", "www"), header("X-A", "b:c")] as never,
      body: { kind: "text", text: "body\r\nmore" },
    });
  });
  for (const version of ["HTTP/2", "HTTP/0.9", "1.1"]) {
    test(`HTTP/1.1 is spoken where ${version} is asked for, which is said`, async () => {
      const line = ` option httpchk GET / ${version}`;
      const [request] = await stepsOf(line);
      expect(request).toMatchObject({ version: "HTTP/1.1" });
      expect(await saidOf(line)).toEqual([
        `WARNING parsing [t.cfg:7] : 'option httpchk' : checks speak HTTP/1.1 where '${version}' ` +
          "is asked for.",
      ]);
    });
  }
  test("a request of the rules is completed by the option, the later one wins", async () => {
    const send = " http-check send meth POST uri /s hdr X y";
    const option = " option httpchk GET /o HTTP/1.1 www";
    const own = { ...REQUEST, version: "HTTP/1.1" };
    expect((await stepsOf(`${option}\n${send}`))[0]).toEqual({
      ...own,
      method: "POST",
      uri: { kind: "text", text: "/s" },
      headers: [header("X", "y")],
    } as never);
    expect((await stepsOf(`${send}\n${option}`))[0]).toEqual({
      ...own,
      method: "GET",
      uri: { kind: "text", text: "/o" },
      headers: [header("Host", "www")],
    } as never);
  });
  test("its switches", async () => {
    const switches = " http-check disable-on-404\n http-check send-state";
    expect(await programOf(` option httpchk\n${switches}`)).toMatchObject({
      disableOn404: true,
      sendState: true,
    });
    const inherited = await programOf(" option httpchk", { defaults: "http-check send-state" });
    expect(inherited).toMatchObject({ disableOn404: false, sendState: true });
  });
});

describe("what is taken over from defaults", () => {
  const EXPECT_404 = { match: { kind: "status", ranges: [{ from: 404, to: 404 }] } };
  /** Steps of a backend whose defaults have two lines about checks. */
  async function steps(first: string, second: string, lines: string): Promise<object[]> {
    const text =
      "defaults\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n" +
      ` ${first}\n ${second}\nbackend b\n${lines}\n server s 10.0.0.1:1 check\n`;
    const program = proxyOf(planOf(await loadText(text)), "b").checkProgram;
    return program.kind === "tcp" || program.kind === "http" ? program.steps : [];
  }
  test("rules with their option", async () => {
    const found = await steps("option httpchk GET /d", "http-check expect status 404", "");
    expect(found).toMatchObject([{ method: "GET" }, EXPECT_404]);
  });
  test("own rules replace the rules, not the request", async () => {
    const own = " http-check expect string fine";
    const found = await steps("option httpchk GET /d", "http-check expect status 404", own);
    expect(found).toMatchObject([{ method: "GET" }, { match: { pattern: "fine" } }]);
    expect(found).toHaveLength(2);
  });
  test("an own option httpchk begins anew", async () => {
    const own = " option httpchk HEAD /own";
    const found = await steps("option httpchk GET /d", "http-check expect status 404", own);
    expect(found).toMatchObject([{ method: "HEAD" }, WELL]);
  });
  test("rules of tcp-check stay where their option was on", async () => {
    const send = "tcp-check send x";
    const own = " option tcp-check";
    expect(await steps(send, "option tcp-check", own)).toMatchObject([{ kind: "send" }]);
    expect(await steps(send, "option httpchk", own)).toEqual([]);
    const found = await steps(send, "option tcp-check", " tcp-check expect string y");
    expect(found).toMatchObject([{ kind: "expect" }]);
  });
  test("rules without their option are told", async () => {
    expect(await saidOf(" tcp-check send x")).toEqual([
      "WARNING backend 'b' uses tcp-check rules without 'option tcp-check', so the rules are " +
        "ignored.",
    ]);
    expect(await saidOf(" option tcp-check\n http-check send uri /")).toEqual([
      "WARNING backend 'b' uses http-check rules without 'option httpchk', so the rules are " +
        "ignored.",
    ]);
    expect(await saidOf(" option redis-check\n http-check disable-on-404")).toEqual([
      "WARNING 'disable-on-404' will be ignored for backend 'b' (requires 'option httpchk').",
    ]);
    expect(await saidOf(" option redis-check\n http-check send-state")).toEqual([
      "WARNING 'send-state' will be ignored for backend 'b' (requires 'option httpchk').",
    ]);
    expect(await saidOf(" http-check send-state")).toEqual([]);
    expect(await saidOf("", { defaults: "tcp-check send x" })).toEqual([]);
  });
});

describe("option external-check", () => {
  const OPTION = " option external-check";
  const COMMAND = `${OPTION}\n external-check command /bin/true\n external-check path /bin`;
  const GLOBAL = " external-check\n insecure-fork-wanted";
  test("command, path and what global allows", async () => {
    const program = { kind: "external", command: "/bin/true", path: "/bin" };
    expect(await programOf(COMMAND, { global: GLOBAL })).toEqual({
      ...program,
      preservesEnvironment: false,
      mayFork: true,
    } as CheckProgramSpec);
    const global = " external-check preserve-env";
    expect(await programOf(COMMAND, { global })).toEqual({
      ...program,
      preservesEnvironment: true,
      mayFork: false,
    } as CheckProgramSpec);
    const undone = `${GLOBAL}\n no insecure-fork-wanted`;
    expect(await programOf(COMMAND, { global: undone })).toMatchObject({ mayFork: false });
  });
  test("what it needs", async () => {
    const subject = "Proxy 'b' : 'option external-check'";
    expect(await saidOf(OPTION)).toEqual([
      `ALERT [t.cfg:7] : ${subject} unable to find required 'global.external-check'.`,
      `ALERT [t.cfg:7] : ${subject} unable to find required 'external-check command'.`,
      "WARNING Proxy 'b' : 'insecure-fork-wanted' not enabled in the global section, " +
        "'option external-check' will likely fail.",
    ]);
    expect(await saidOf(`${OPTION}\n external-check command true`, { global: GLOBAL })).toEqual([
      "ALERT [t.cfg:7] : Proxy 'b' : 'external-check command' does not have a leading '/' and " +
        "'external-check path' is not set.",
    ]);
    expect(await saidOf(COMMAND, { global: GLOBAL })).toEqual([]);
  });
  test("its words without it", async () => {
    expect(await saidOf(" external-check command /x\n external-check path /y")).toEqual([
      "WARNING 'external-check command' will be ignored for backend 'b' (requires 'option " +
        "external-check').",
      "WARNING 'external-check path' will be ignored for backend 'b' (requires 'option " +
        "external-check').",
    ]);
  });
  test("global takes one word", async () => {
    const [line] = await saidOf("", { global: " external-check x" });
    expect(line).toEndWith(
      "'external-check' only supports 'preserve-env' as an argument, found 'x'.",
    );
  });
});

test("programs survive being handed over, and being written", async () => {
  const path = join(import.meta.dir, "../../../fuzz/corpus/config/valid-checks.cfg");
  const plan = planOf(await loadText(readFileSync(path, "utf8")));
  const kinds = plan.proxies.map(({ checkProgram }) => checkProgram.kind);
  expect(kinds).toEqual(["tcp", "http", "http", "external", "spop"]);
  expect(structuredClone(plan)).toEqual(plan);
  expect(unpack(pack(plan))).toEqual(plan);
});
