import { expect, test } from "bun:test";

import type { PageActor } from "../../../src/page/actions.ts";
import { parseForm, refuseForged, runForm } from "../../../src/page/actions.ts";
import type { PageRequest } from "../../../src/page/request.ts";
import { Tokens } from "../../../src/page/token.ts";

const clock = { nowMs: () => 0, epochMicros: () => 1e15 };
const tokens = new Tokens(clock);
const all = (): boolean => true;

function request(headers: Record<string, string>, localAddress = "192.0.2.1"): PageRequest {
  return {
    method: "POST",
    target: "/stats",
    visitor: {
      address: "192.0.2.9",
      port: 1,
      localAddress,
      localPort: 80,
      bind: { family: "ipv4", host: "0.0.0.0", port: 80 },
    },
    header: (name) => headers[name],
    body: () => Promise.resolve(""),
    gone: new AbortController().signal,
  };
}

function actor(): PageActor & { made: string[] } {
  const made: string[] = [];
  return {
    made,
    findBackend: (text) => (text === "be" || text === "#3" ? "be" : undefined),
    hasServer: (backend, server) => backend === "be" && /^s[123]$/.test(server),
    act: (action, backend, server) => {
      made.push(`${action} ${backend}/${server}`);
      return Promise.resolve();
    },
  };
}

test("forms are read as HAProxy's are", () => {
  expect(parseForm("s=s1&s=s2&s=s1&action=maint&b=%233")).toEqual({
    servers: ["s1", "s2"],
    action: "maint",
    backend: "#3",
    token: "",
  });
  expect(parseForm("s=a+b%26c&action=disable&b=be&t=x\n")).toMatchObject({
    servers: ["a b&c"],
    action: "maint",
    token: "x",
  });
  expect(parseForm("&&=&s=&x").servers).toEqual([]);
});

test("each form has HAProxy's outcome", async () => {
  const rows: [string, string, string[]][] = [
    ["s=s1&s=s2&action=drain&b=be", "DONE", ["drain be/s1", "drain be/s2"]],
    ["s=s1&action=ready&b=%233", "DONE", ["ready be/s1"]],
    ["s=s1&s=s9&action=ready&b=be", "PART", ["ready be/s1"]],
    ["s=s9&action=ready&b=be", "ERRP", []],
    ["s=s1&action=explode&b=be", "ERRP", []],
    ["s=s1&action=ready&b=nowhere", "ERRP", []],
    ["action=ready&b=be", "ERRP", []],
    ["s=s1&action=&b=be", "NONE", []],
    ["", "NONE", []],
  ];
  for (const [body, outcome, made] of rows) {
    const to = actor();
    expect([body, await runForm(parseForm(body), to, all, [])]).toEqual([body, outcome]);
    expect(to.made).toEqual(made);
  }
  const hidden = actor();
  const form = parseForm("s=s1&action=ready&b=be");
  expect(await runForm(form, hidden, () => false, [])).toBe("DENY");
  expect(hidden.made).toEqual([]);
});

const use = { section: "stats", user: "admin", host: "lb:8404" };
const form = (token = ""): ReturnType<typeof parseForm> =>
  parseForm(`s=s1&action=ready&b=be&t=${token}`);

test("scripts need no token", () => {
  const sent = request({ host: "lb:8404", "user-agent": "curl/8" });
  expect(refuseForged(sent, form(), tokens, use)).toBeUndefined();
});

test("browsers need the token, and our own origin", () => {
  const host = "lb:8404";
  const good = form(tokens.make(use));
  const own = { host, origin: "http://lb:8404", "sec-fetch-site": "same-origin" };
  expect(refuseForged(request(own), good, tokens, use)).toBeUndefined();
  expect(refuseForged(request(own), form(), tokens, use)).toContain("token");
  expect(refuseForged(request(own), form("AAAA"), tokens, use)).toContain("token");
  const foreign = { ...own, origin: "http://evil.example" };
  expect(refuseForged(request(foreign), good, tokens, use)).toContain("Origin");
  const opaque = { host, origin: "null" };
  expect(refuseForged(request(opaque), good, tokens, use)).toContain("Origin");
  const cross = { host, "sec-fetch-site": "cross-site" };
  expect(refuseForged(request(cross), good, tokens, use)).toContain("another site");
  const old = { host, "user-agent": "Mozilla/4.0" };
  expect(refuseForged(request(old), form(), tokens, use)).toContain("token");
});

test("a name that points at loopback is no way in where nobody logs in", () => {
  const nobody = { section: "stats", user: "", host: "rebind.example:8404" };
  const headers = { host: nobody.host, origin: `http://${nobody.host}` };
  const good = form(tokens.make(nobody));
  expect(refuseForged(request(headers, "127.0.0.1"), good, tokens, nobody)).toContain("loopback");
  expect(refuseForged(request(headers, "192.0.2.1"), good, tokens, nobody)).toBeUndefined();
  for (const host of ["127.0.0.1:8404", "localhost:8404", "[::1]:8404", "LOCALHOST"]) {
    const asked = { ...nobody, host };
    const token = form(tokens.make(asked));
    const sent = request({ host, origin: `http://${host}` }, "127.0.0.1");
    expect(refuseForged(sent, token, tokens, asked)).toBeUndefined();
  }
});
