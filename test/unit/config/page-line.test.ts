/** Sections that answer about the process itself: pages of the plan, and what is none. */
import { describe, expect, test } from "bun:test";

import { hasListener } from "../../../src/config/plan.ts";
import type { PageSpec } from "../../../src/tables/spec.ts";
import { linesOf, loadText, planOf, TIMEOUTS } from "./load-text.ts";

/** The only page of a configuration that loads without a word. */
async function pageOf(text: string): Promise<PageSpec> {
  const result = await loadText(TIMEOUTS + text);
  expect(linesOf(result)).toEqual([]);
  const [page, ...others] = planOf(result).pages;
  if (page === undefined || others.length > 0) throw new Error("one page was expected");
  return page;
}

/** Lines in a page that listens. */
const PAGE = "listen p\n bind :1\n mode http\n stats enable\n";

test("what people write", async () => {
  const page = await pageOf(
    "listen stats\n bind *:8404\n bind 127.0.0.1:8405 name local\n mode http\n log global\n" +
      " option dontlognull\n maxconn 10\n timeout http-request 5s\n description d\n guid g\n" +
      " stats enable\n stats uri /haproxy\n stats realm Haproxy\\ Statistics\n" +
      " stats auth admin:pa:ss\n stats auth guest:\n stats refresh 30s\n stats hide-version\n" +
      " stats show-legends\n stats show-node\n stats show-desc A\\ text of mine\n" +
      " stats scope .\n stats scope web\n stats admin if TRUE\n",
  );
  expect(page).toMatchObject({
    name: "stats",
    id: 1,
    guid: "g",
    description: "d",
    section: "listen",
    disabled: false,
    maxconn: 10,
    dontlognull: true,
    timeouts: { client: 1000, httpRequest: 5000, httpKeepAlive: -1 },
    rules: [],
    monitorFail: [],
    stats: {
      uri: "/haproxy",
      realm: "Haproxy Statistics",
      users: [
        { name: "admin", password: "pa:ss" },
        { name: "guest", password: "" },
      ],
      refreshSeconds: 30,
      scopes: ["stats", "web"],
      showVersion: false,
      showLegends: true,
      showNode: "testhost",
      showDescription: "A text of mine",
      rules: [],
    },
  });
  expect(page.binds.map(({ id, name }) => [id, name])).toEqual([
    [1, undefined],
    [2, "local"],
  ]);
  expect(page.stats?.admin.map(({ text }) => text)).toEqual(["if TRUE"]);
});

describe("statistics", () => {
  test("any word enables them, with the settings of the manual", async () => {
    const { stats } = await pageOf("frontend p\n bind :1\n mode http\n stats show-version\n");
    expect(stats).toEqual({
      uri: "/haproxy?stats",
      realm: "HAProxy Statistics",
      users: [],
      refreshSeconds: 0,
      scopes: [],
      showVersion: true,
      showLegends: false,
      rules: [],
      admin: [],
    });
  });

  test("node and description are the section's own or the process's", async () => {
    const global = "global\n node n1\n description text of all\n";
    const own = `${PAGE} stats show-node n2\n stats show-desc\n`;
    const { stats } = await pageOf(global + own);
    expect(stats).toMatchObject({ showNode: "n2", showDescription: "text of all" });
  });

  test("are inherited whole, until a section has a line of its own", async () => {
    const text =
      `${TIMEOUTS} mode http\n stats uri /x\n stats auth a:b\n stats refresh 9s\n` +
      "listen one\n bind :1\nlisten two\n bind :2\n stats show-legends\n" +
      "listen three\n bind :3\n mode tcp\n server s 1.1.1.1:1\n";
    const plan = planOf(await loadText(text));
    const [one, two] = plan.pages;
    expect(one?.stats).toMatchObject({ uri: "/x", users: [{ name: "a" }], refreshSeconds: 9 });
    expect(two?.stats).toMatchObject({ uri: "/haproxy?stats", users: [], showLegends: true });
    expect(plan.proxies.map(({ name }) => name)).toEqual(["three"]);
  });

  test("rules say who may see them", async () => {
    const { stats } = await pageOf(
      `${PAGE} acl near src 10.0.0.0/8\n stats http-request allow if near\n` +
        " stats http-request auth realm Mine unless LOCALHOST\n stats http-request deny\n",
    );
    expect(stats?.rules.map(({ action, condition }) => [action, condition?.text])).toEqual([
      [{ kind: "allow" }, "if near"],
      [{ kind: "auth", realm: "Mine" }, "unless LOCALHOST"],
      [{ kind: "deny", status: 403 }, undefined],
    ]);
  });
});

describe("monitor and metrics", () => {
  test("a monitor that fails without servers", async () => {
    const text =
      "frontend m\n bind :1\n mode http\n monitor-uri /up\n monitor fail if { nbsrv(b) lt 1 }\n" +
      "backend b\n server s 1.1.1.1:1\n";
    const page = await pageOf(text);
    expect(page.monitorUri).toBe("/up");
    expect(page.stats).toBeUndefined();
    expect(page.monitorFail.map((condition) => condition.text)).toEqual(["if { nbsrv(b) lt 1 }"]);
  });

  test("rules in their order", async () => {
    const page = await pageOf(
      "frontend m\n bind :1\n mode http\n acl met path_beg -i /metrics\n" +
        " http-request deny deny_status 429 if { hdr_dom(host) -i evil.test }\n" +
        " http-request allow if METH_GET\n" +
        " http-request use-service prometheus-exporter if met\n" +
        ' http-request return status 404 content-type text/html string "a b"\n' +
        " http-request redirect location /metrics code 301 if { path / }\n",
    );
    expect(page.rules.map(({ action }) => action)).toEqual([
      { kind: "deny", status: 429 },
      { kind: "allow" },
      { kind: "prometheus" },
      { kind: "return", status: 404, contentType: "text/html", text: "a b" },
      { kind: "redirect", status: 301, location: "/metrics" },
    ]);
    expect(page.rules[0]?.condition?.anyOf[0]?.terms[0]?.acl.tests[0]).toMatchObject({
      sample: { fetch: { name: "hdr", args: [{ value: "host" }] } },
      method: "dom",
      ignoreCase: true,
    });
  });
});

describe("place in the plan", () => {
  test("pages take numbers among the proxies", async () => {
    const text =
      `${TIMEOUTS}listen a\n bind :1\nlisten p\n bind :2\n mode http\n stats enable\n` +
      "listen b\n bind :3\nlisten q\n id 9\n bind :4\n mode http\n stats enable\n";
    const plan = planOf(await loadText(text));
    expect(plan.proxies.map(({ name, id }) => [name, id])).toEqual([
      ["a", 1],
      ["b", 3],
    ]);
    expect(plan.pages.map(({ name, id }) => [name, id])).toEqual([
      ["p", 2],
      ["q", 9],
    ]);
  });

  test("a page alone is something to serve", async () => {
    expect(hasListener(planOf(await loadText(TIMEOUTS + PAGE)))).toBe(true);
    const disabled = planOf(await loadText(`${TIMEOUTS + PAGE} disabled\n`));
    expect(disabled.pages[0]?.disabled).toBe(true);
    expect(hasListener(disabled)).toBe(false);
  });

  test("a backend with statistics is left out, with a notice", async () => {
    const result = await loadText(`${TIMEOUTS}backend b\n mode http\n stats enable\n`);
    expect(linesOf(result)).toEqual([
      "NOTICE parsing [t.cfg:5] : backend 'b' (mode http) only shows statistics: no frontend " +
        "leads to it.",
    ]);
    expect(planOf(result).pages).toEqual([]);
  });
});

describe("what a page cannot be", () => {
  const PROXYING = [
    " server s 1.1.1.1:1",
    " default_backend p",
    " use_backend p if TRUE",
    " redirect location /x",
  ];
  for (const line of PROXYING) {
    test(`with${line}`, async () => {
      const result = await loadText(`${TIMEOUTS}${PAGE}${line}\n`);
      const all = linesOf(result).join("\n");
      expect(all).toContain("proxy 'p' in 'mode http' is not built yet");
      expect(
        planOf(await loadText(`${TIMEOUTS}${PAGE}${line}\n`, { skipComing: true })).pages,
      ).toBeEmpty();
    });
  }

  const ALERTS: readonly (readonly [line: string, message: string])[] = [
    ["stats uri", "'uri' needs an URI prefix."],
    ["stats realm", "'realm' needs an realm name."],
    ["stats auth admin", "'auth' needs a user:password account."],
    ["stats auth :x", "'auth' needs a user:password account."],
    ["stats refresh x", "'stats refresh' : unexpected character 'x'"],
    ["stats scope", "'scope' needs a proxy name."],
    ["stats show-node a/b", "invalid node name"],
    ["stats admin", "requires either 'if' or 'unless' followed by a condition."],
    ["stats admin if nobody", "no such ACL : 'nobody'"],
    ["stats http-request maybe", "expects 'allow', 'deny' or 'auth', got 'maybe'."],
    ["stats http-request deny now", "unexpected argument 'now'."],
    ["monitor fail", "requires either 'if' or 'unless' followed by a condition."],
    ["monitor fail if { nbsrv(zz) lt 1 }", "unable to find backend 'zz'"],
    ["http-request alow", "unknown action 'alow'; did you mean 'allow'?"],
    ["http-request allow maybe", "unexpected argument 'maybe'."],
    ["http-request return status 99", "'status' expects a number from 200 to 599."],
    ["http-request auth", "'http-request auth' is not built yet"],
    ["http-request tarpit", "'http-request tarpit' is not built yet"],
    ["http-request set-path /x", "'http-request set-path /x' is not built yet"],
    ["http-request use-service lua.x", "'http-request use-service lua.x' is not built yet"],
    ["http-request deny if { http_auth(u) }", "is a sample of HTTP, which is not available"],
    ["tcp-request connection reject", "'tcp-request connection' is not built yet"],
  ];
  for (const [line, message] of ALERTS) {
    test(line, async () => {
      const result = await loadText(`${TIMEOUTS}${PAGE} ${line}\n`);
      expect(result.plan).toBeNull();
      expect(linesOf(result).join("\n")).toContain(message);
    });
  }

  test("login and rules at the same time", async () => {
    const text = `${TIMEOUTS}${PAGE} stats auth a:b\n stats http-request allow\n`;
    expect(linesOf(await loadText(text))).toEqual([
      "ALERT proxy 'p': stats 'auth'/'realm' and 'http-request' can't be used at the same time.",
    ]);
  });
});

test("in sections that proxy TCP the words are without effect, and listed", async () => {
  const lines =
    "stats enable\n monitor-uri /up\n http-request deny\n timeout http-request 1s\n" +
    " monitor fail if x\n stats auth wrong\n";
  const result = await loadText(`${TIMEOUTS}listen l\n bind :1\n ${lines}`);
  expect(linesOf(result)).toEqual([
    "WARNING [t.cfg] : without effect in this program: 'stats enable' (line 7), 'monitor-uri' " +
      "(line 8), 'http-request' (line 9), 'timeout http-request' (line 10), 'monitor fail' " +
      "(line 11), 'stats auth' (line 12).",
  ]);
});

test("words about traffic are without effect on a page", async () => {
  const lines =
    "option httpchk\n log-format %ci\n stick-table type ip size 1k\n errorfile 400 /x\n";
  const result = await loadText(`${TIMEOUTS}${PAGE} ${lines}`);
  expect(planOf(result).pages).toHaveLength(1);
  expect(linesOf(result)).toEqual([
    "WARNING [t.cfg] : without effect in this program: 'option httpchk' (line 9), 'log-format' " +
      "(line 10), 'stick-table' (line 11), 'errorfile' (line 12).",
  ]);
});
