import { expect, test } from "bun:test";

import { Refusal } from "../../../src/base/refusals.ts";
import type { PageDesk } from "../../../src/page/desk.ts";
import type { PageRequest } from "../../../src/page/request.ts";
import { pathOf, targetOf } from "../../../src/page/request.ts";
import { answerRequest, makePage } from "../../../src/page/route.ts";
import type { RuleWorld } from "../../../src/page/rules.ts";
import { Tokens } from "../../../src/page/token.ts";
import type { Condition } from "../../../src/tables/expression.ts";
import type { PageSpec, StatsPageSpec } from "../../../src/tables/spec.ts";

const origin = { file: "t", line: 1 };
const clock = { nowMs: () => 0, epochMicros: () => 1e15 };

/** `if path /x`, as a test of the text of a sample. */
function pathIs(path: string): Condition {
  const sample = {
    fetch: { name: "path", args: [] },
    converters: [],
    type: "str" as const,
    text: "path",
  };
  const patterns = [{ kind: "text" as const, value: path }];
  const test = { sample, method: "str" as const, ignoreCase: false, patterns };
  const terms = [{ negate: false, acl: { tests: [test] } }];
  return { negate: false, anyOf: [{ terms }], text: `path ${path}` };
}
const ALWAYS: Condition = { negate: true, anyOf: [], text: "TRUE" };

const stats: StatsPageSpec = {
  uri: "/stats",
  realm: 'a "b" \\c',
  users: [{ name: "admin", password: "secret" }],
  refreshSeconds: 0,
  scopes: [],
  showVersion: false,
  showLegends: false,
  rules: [],
  admin: [],
};

const page: PageSpec = {
  name: "stats",
  id: 2,
  disabled: false,
  binds: [],
  maxconn: 0,
  backlog: 0,
  logs: [],
  origin,
  section: "listen",
  timeouts: { client: -1, httpRequest: -1, httpKeepAlive: -1 },
  dontlognull: false,
  monitorUri: "/alive",
  monitorFail: [],
  rules: [],
  stats,
};

const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;
const AUTH = { authorization: basic("admin:secret") };

function request(
  method: string,
  target: string,
  headers: Record<string, string> = {},
  body = "",
): PageRequest {
  const bind = { family: "ipv4" as const, host: "0.0.0.0", port: 80 };
  const visitor = { address: "192.0.2.9", port: 1, localAddress: "192.0.2.1", localPort: 80, bind };
  return {
    method,
    target,
    visitor,
    header: (name) => headers[name.toLowerCase()],
    body: (limit) => Promise.resolve(body.length > limit ? undefined : body),
    gone: new AbortController().signal,
  };
}

type Told = { told: string[]; desk: PageDesk };

function deskOf(): Told {
  const told: string[] = [];
  const desk: PageDesk = {
    tokens: new Tokens(clock),
    actor: {
      findBackend: (text) => (text === "be" ? "be" : undefined),
      hasServer: () => true,
      act: (action, backend, server) => {
        if (server === "held") return Promise.reject(new Refusal("NOT_YET", "Not this one."));
        told.push(`${action} ${backend}/${server}`);
        return Promise.resolve();
      },
    },
    show: (_, options, __, use) => {
      told.push(`show ${options.form} ${use === undefined ? "read" : "admin"}`);
      return new Response("page");
    },
    metrics: () => new Response("metrics"),
    noteAction: ({ servers }) => void told.push(`noted ${servers.join()}`),
    close: () => undefined,
  };
  return { told, desk };
}

const world = { clock, random32: () => 0, environment: new Map() } as unknown as RuleWorld;

async function ask(
  spec: PageSpec,
  asked: PageRequest,
  { desk }: Told = deskOf(),
): Promise<{ status: number; body: string; headers: Headers }> {
  const answer = await answerRequest(makePage(spec), asked, world, desk);
  return { status: answer.status, body: await answer.text(), headers: answer.headers };
}

// The log kept silent about the servers before a refused one.
test("what was changed is noted, also before a refusal", async () => {
  const to = deskOf();
  const admin = { ...page, stats: { ...stats, admin: [ALWAYS] } };
  const body = "s=s1&s=held&s=s2&action=maint&b=be";
  const { headers } = await ask(admin, request("POST", "/stats", AUTH, body), to);
  expect(headers.get("location")).toBe("/stats;st=UNKN");
  expect(headers.get("x-refused")).toBe("Not this one.");
  expect(to.told).toEqual(["maint be/s1", "noted s1"]);
});

test("targets are what stands behind the host", () => {
  expect(targetOf("http://a:1/x;y?z#f")).toBe("/x;y?z#f");
  expect(targetOf("http://a")).toBe("/");
  expect(targetOf("http://a?x")).toBe("/?x");
  expect(targetOf("a:1")).toBe("a:1");
  expect(pathOf("/x;y?z")).toBe("/x;y");
});

test("the monitor answers before all else, whatever the method", async () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "POST"]) {
    expect((await ask(page, request(method, "/alive"))).status).toBe(200);
  }
  expect((await ask(page, request("GET", "/alive?x=1"))).status).toBe(200);
  expect((await ask(page, request("GET", "/alive/x"))).status).toBe(503);
  const failing = { ...page, monitorFail: [pathIs("/never"), ALWAYS] };
  expect((await ask(failing, request("GET", "/alive"))).status).toBe(503);
  const body = "<html><body><h1>200 OK</h1>\nService ready.\n</body></html>\n";
  expect((await ask(page, request("GET", "/alive"))).body).toBe(body);
});

test("before there is a process to tell of, all is unavailable", async () => {
  const answer = await answerRequest(
    makePage(page),
    request("GET", "/alive"),
    undefined,
    undefined,
  );
  expect(answer.status).toBe(503);
});

test("what is no page is not served, as in a frontend without backend", async () => {
  for (const target of ["/", "/stat", "/Stats", "*", "a:1", ""]) {
    expect([target, (await ask(page, request("GET", target, AUTH))).status]).toEqual([target, 503]);
  }
});

test("who does not log in learns nothing", async () => {
  const to = deskOf();
  for (const headers of [{}, { authorization: basic("admin:wrong") }, { authorization: "x" }]) {
    for (const target of ["/stats", "/stats;csv", "/stats;live", "/stats;why=be", "/statsX"]) {
      for (const method of ["GET", "HEAD", "POST", "PUT"]) {
        const asked = request(method, target, headers, "s=s1&action=ready&b=be");
        const { status, headers: sent, body } = await ask(page, asked, to);
        expect(status).toBe(401);
        expect(sent.get("www-authenticate")).toBe('Basic realm="a \\"b\\" \\\\c"');
        if (method !== "HEAD") expect(body).toContain("You need a valid user and password");
      }
    }
  }
  expect(to.told).toEqual([]);
});

test("who logs in sees the page, and changes nothing without the admin rule", async () => {
  const to = deskOf();
  await ask(page, request("GET", "/stats;csv", AUTH), to);
  const posted = await ask(page, request("POST", "/stats", AUTH, "s=s1&action=maint&b=be"), to);
  expect(posted.status).toBe(303);
  expect(posted.headers.get("location")).toBe("/stats;st=DENY");
  expect(to.told).toEqual(["show csv read"]);
});

test("the admin rule lets changes through, and tells the outcome", async () => {
  const admin = { ...page, stats: { ...stats, admin: [pathIs("/other"), ALWAYS] } };
  const to = deskOf();
  await ask(admin, request("GET", "/stats", AUTH), to);
  const body = "s=s1&action=maint&b=be";
  const posted = await ask(admin, request("POST", "/stats;up", AUTH, body), to);
  expect(posted.headers.get("location")).toBe("/stats;st=DONE;up");
  expect(to.told).toEqual(["show html admin", "maint be/s1", "noted s1"]);
  const json = { ...AUTH, accept: "application/json" };
  const told = await ask(admin, request("POST", "/stats", json, body), to);
  expect(JSON.parse(told.body)).toMatchObject({ outcome: "DONE", tone: "good" });
  const long = await ask(admin, request("POST", "/stats", AUTH, "s=x&".repeat(100_000)), to);
  expect(long.headers.get("location")).toBe("/stats;st=EXCD");
  const forged = { ...AUTH, origin: "http://evil", host: "lb" };
  const refused = await ask(admin, request("POST", "/stats", forged, body), to);
  expect(refused.headers.get("location")).toBe("/stats;st=DENY");
  expect(to.told).toHaveLength(5);
});

test("a scope hides other backends from actions", async () => {
  const scoped = { ...page, stats: { ...stats, admin: [ALWAYS], scopes: ["other"] } };
  const to = deskOf();
  const posted = request("POST", "/stats", AUTH, "s=s1&action=maint&b=be");
  expect((await ask(scoped, posted, to)).headers.get("location")).toBe("/stats;st=DENY");
  expect(to.told).toEqual([]);
});

test("rules are asked in their order", async () => {
  const rules: PageSpec["rules"] = [
    { action: { kind: "prometheus" }, condition: pathIs("/metrics"), origin },
    { action: { kind: "deny", status: 403 }, condition: pathIs("/no"), origin },
    { action: { kind: "return", status: 418, text: "tea" }, condition: pathIs("/tea"), origin },
    {
      action: { kind: "redirect", status: 302, location: "/stats" },
      condition: pathIs("/"),
      origin,
    },
    { action: { kind: "auth", realm: "r" }, condition: pathIs("/login"), origin },
    { action: { kind: "allow" }, origin },
    { action: { kind: "deny", status: 500 }, origin },
  ];
  const ruled = { ...page, rules };
  expect((await ask(ruled, request("GET", "/metrics?scope=global"))).body).toBe("metrics");
  expect((await ask(ruled, request("POST", "/metrics"))).status).toBe(405);
  expect((await ask(ruled, request("GET", "/no"))).status).toBe(403);
  expect(await ask(ruled, request("GET", "/tea"))).toMatchObject({ status: 418, body: "tea" });
  expect((await ask(ruled, request("GET", "/"))).headers.get("location")).toBe("/stats");
  expect((await ask(ruled, request("GET", "/login"))).status).toBe(401);
  expect((await ask(ruled, request("GET", "/stats", AUTH))).body).toBe("page");
});

test("access rules of the statistics come before the accounts", async () => {
  const denying: PageSpec = {
    ...page,
    stats: { ...stats, rules: [{ action: { kind: "deny", status: 403 }, origin }] },
  };
  expect((await ask(denying, request("GET", "/stats", AUTH))).status).toBe(403);
  const allowing: PageSpec = {
    ...page,
    stats: { ...stats, rules: [{ action: { kind: "allow" }, origin }] },
  };
  expect((await ask(allowing, request("GET", "/stats"))).status).toBe(200);
});
