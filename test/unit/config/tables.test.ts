/** The keyword tables are whole, and what is generated from them is up to date. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { demoPlan } from "../../../src/config/demo.ts";
import { configurationPage, environmentPage } from "../../../src/config/documents.ts";
import { dumpKeywords, KEYWORD_CLASSES } from "../../../src/config/dump.ts";
import { FLAGS } from "../../../src/config/flags.ts";
import { ACTIONS, RULE_SETS } from "../../../src/config/keywords/actions.ts";
import { BIND_KEYWORDS } from "../../../src/config/keywords/bind.ts";
import type { Keyword } from "../../../src/config/keywords/keyword.ts";
import { OTHER_SECTIONS } from "../../../src/config/keywords/other-sections.ts";
import { SERVER_KEYWORDS } from "../../../src/config/keywords/server.ts";
import { GLOBAL_INDEX, PROXY_INDEX } from "../../../src/config/keywords/tables.ts";
import { loadText, planOf, proxyOf } from "./load-text.ts";
import { A } from "./quic-texts.ts";

const TABLES: [title: string, rows: readonly Keyword<unknown>[]][] = [
  ["global", GLOBAL_INDEX.rows],
  ["proxies", PROXY_INDEX.rows],
  ["bind", BIND_KEYWORDS],
  ["server", SERVER_KEYWORDS],
];

const root = join(import.meta.dir, "../../..");

for (const [title, rows] of TABLES) {
  describe(title, () => {
    test("a parser exactly where a word is done", () => {
      const wrong = rows.filter((row) => (row.parse === undefined) === (row.state === "done"));
      expect(wrong.map((row) => row.name)).toEqual([]);
    });
    test("each word once", () => {
      const names = rows.map((row) => row.name);
      expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    });
    test("every row says what the word does, where it stands and where it is defined", () => {
      const poor = rows.filter((row) => {
        const isSentence = /^[A-Z0-9`].*\.$/u.test(row.effect);
        return !isSentence || row.sections.length === 0 || !/^\d/u.test(row.reference);
      });
      expect(poor.map((row) => row.name)).toEqual([]);
    });
  });
}

test("words that HAProxy's manual has in each chapter", () => {
  const has = (rows: readonly Keyword<unknown>[], words: string): string[] => {
    const names = new Set(rows.map((row) => row.name));
    return words.split(" ").filter((word) => !names.has(word));
  };
  const global = "chroot nbthread ulimit-n tune.quic.fe.tx.pacing ssl-default-bind-curves setcap";
  expect(has(GLOBAL_INDEX.rows, global)).toEqual([]);
  const proxies = "acl stick-table email-alert filter http-reuse be-unpublished quic-initial";
  expect(has(PROXY_INDEX.rows, proxies)).toEqual(["email-alert"]);
  expect(has(BIND_KEYWORDS, "guid-prefix shards tcp-md5sig quic-cc-algo ech")).toEqual([]);
  expect(has(SERVER_KEYWORDS, "hash-key init-state track ws sni-auto")).toEqual([]);
  expect(OTHER_SECTIONS.map((section) => section.name)).toEqual(
    (
      "acme cache crt-store fcgi-app healthcheck http-errors log-forward log-profile mailers " +
      "peers program resolvers ring traces userlist"
    ).split(" "),
  );
  const letters = ACTIONS.flatMap((action) => [...action.ruleSets]);
  expect(letters.filter((letter) => RULE_SETS[letter] === undefined)).toEqual([]);
});

describe("documents", () => {
  const pages: [path: string, text: string][] = [
    ["docs/configuration.md", configurationPage()],
    ["docs/environment.md", environmentPage()],
  ];
  for (const [path, text] of pages) {
    test(`${path} is what the tables say`, () => {
      expect(readFileSync(join(root, path), "utf8") === text).toBe(true);
    });
  }
  test("every flag is documented", () => {
    const page = environmentPage();
    for (const flag of FLAGS) expect(page).toContain(`## \`${flag.name}\``);
  });
});

describe("-dK", () => {
  test("help names the classes", () => {
    const lines = dumpKeywords("help") ?? [];
    expect(lines[0]).toBe("# List of supported keyword classes:");
    expect(lines.length).toBe(KEYWORD_CLASSES.length + 2);
  });
  test("all lists what can be used", () => {
    const lines = dumpKeywords("all", ["show stat"]) ?? [];
    expect(lines.filter((line) => line.startsWith("# ")).length).toBe(KEYWORD_CLASSES.length);
    for (const line of [
      "global",
      "\tnbthread",
      "\tbind <addr> accept-proxy",
      "\tbind <addr> backlog +1",
      "\tserver <name> <addr> weight +1",
      "\toption allbackups [ BE ]",
      "\toption nolinger [ FE BE ]",
      "show stat",
    ]) {
      expect(lines).toContain(line);
    }
    expect(lines.some((line) => line.includes("stick-table"))).toBe(false);
    expect(lines.some((line) => /^\[ Y.*\] src: addr$/u.test(line))).toBe(true);
  });
  test("unknown classes are refused", () => {
    expect(dumpKeywords("cfg,nosuch")).toBeUndefined();
    const services = ["# List of registered service names:", "prometheus-exporter"];
    expect(dumpKeywords("svc")).toEqual(services);
  });
});

test("the demonstration loads", async () => {
  const servers = [1, 2, 3].map((n) => ({ name: `demo${n}`, address: `127.0.0.1:900${n}` }));
  const text = demoPlan({ listen: "127.0.0.1:8080", servers, socket: "/run/a b's.sock" });
  const plan = planOf(await loadText(text.content));
  expect(proxyOf(plan, "demo").binds[0]?.address).toMatchObject({ port: 8080 });
  expect(proxyOf(plan, "demo-servers").servers.length).toBe(3);
  expect(plan.global.statsSockets[0]?.address).toEqual({ family: "unix", path: "/run/a b's.sock" });
});

test("so it does with a QUIC listener, whose certificate is in memory", async () => {
  const quic = { listen: "127.0.0.1:8443", certificate: "memory:demo.pem", alpn: "sluice-demo" };
  const servers = [{ name: "s", address: "127.0.0.1:9001" }];
  const text = demoPlan({ listen: "127.0.0.1:8080", servers, socket: "/run/s.sock", quic });
  const machine = { files: { "memory:demo.pem": A.chain + A.key } };
  const result = await loadText(text.content, { machine });
  expect(result.messages).toEqual([]);
  const bind = proxyOf(planOf(result), "demo").binds[1];
  expect(bind?.text).toBe("quic4@127.0.0.1:8443");
  expect(bind?.quic).toMatchObject({ alpn: ["sluice-demo"], map: "stream" });
});
