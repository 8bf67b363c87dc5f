/** Environment flags: what they mean alone, beside a file, and what a bad value says. */
import { describe, expect, test } from "bun:test";

import { FLAGS, readFlags } from "../../../src/config/flags.ts";
import type { SluiceFlags } from "../../../src/config/flags.ts";
import { linesOf, loadText, planOf, proxyOf, TIMEOUTS } from "./load-text.ts";

const FILES: Record<string, string> = { "/run/secret": "db=10.0.0.9:5432;check\n" };
const readText = (path: string): string | undefined => FILES[path];

function flagsOf(environment: Record<string, string>): SluiceFlags {
  const { flags, messages } = readFlags(environment, readText);
  expect(messages).toEqual([]);
  return flags;
}

function problemsOf(environment: Record<string, string>): string[] {
  return readFlags(environment, readText).messages.map(
    ({ severity, text }) => `${severity}: ${text}`,
  );
}

describe("values", () => {
  const cases: [name: string, text: string, flags: SluiceFlags][] = [
    ["SLUICE_CONFIG", "/etc/sluice", { config: "/etc/sluice" }],
    ["SLUICE_TLS_CERT", "/etc/ssl/site.pem", { tlsCert: "/etc/ssl/site.pem" }],
    ["SLUICE_TLS_CA", "@system-ca", { tlsAuthorities: "@system-ca" }],
    ["SLUICE_ALPN", "doq,h3", { alpn: "doq,h3" }],
    ["SLUICE_BALANCE", "leastconn", { balance: "leastconn" }],
    ["SLUICE_WORKERS", "auto", { workers: 0 }],
    ["SLUICE_WORKERS", "4", { workers: 4 }],
    ["SLUICE_MAXCONN", "5000", { maxconn: 5000 }],
    ["SLUICE_BUFSIZE", "64k", { bufsize: 65_536 }],
    ["SLUICE_TIMEOUT_CONNECT", "500ms", { timeoutConnect: 500 }],
    ["SLUICE_TIMEOUT_CLIENT", "5s", { timeoutClient: 5000 }],
    ["SLUICE_TIMEOUT_SERVER", "0", { timeoutServer: -1 }],
    ["SLUICE_STATS_SOCKET", "/run/s.sock", { statsSocket: "/run/s.sock" }],
    ["SLUICE_STATS_LEVEL", "operator", { statsLevel: "operator" }],
    ["SLUICE_LOG_LEVEL", "warning", { logLevel: "warning" }],
    ["SLUICE_LOG_FORMAT", "off", { logFormat: "off" }],
    ["SLUICE_SEND_PROXY", "v2", { sendProxy: 2 }],
    ["SLUICE_ACCEPT_PROXY", "yes", { acceptProxy: true }],
    ["SLUICE_PIDFILE", "/run/pid", { pidfile: "/run/pid" }],
    ["SLUICE_STATE_FILE", "/run/state", { stateFile: "/run/state" }],
    ["SLUICE_STATE_INTERVAL", "250ms", { stateInterval: 250 }],
    ["SLUICE_SKIP_COMING", "1", { skipComing: true }],
    ["SLUICE_LOOP", "bun", { loop: "bun" }],
    ["SLUICE_NATIVE", "off", { native: "off" }],
  ];
  for (const [name, text, flags] of cases) {
    test(`${name}=${text}`, () => {
      expect(flagsOf({ [name]: text })).toEqual(flags);
    });
  }
  test("every flag but the pair of addresses is in this list", () => {
    const names = new Set(cases.map(([name]) => name));
    const others = FLAGS.map((flag) => flag.name).filter((name) => !names.has(name));
    expect(others).toEqual(["SLUICE_BIND", "SLUICE_SERVERS"]);
  });
});

describe("what is wrong", () => {
  const cases: [environment: Record<string, string>, problem: string][] = [
    [
      { SLUICE_WORKERS: "many" },
      "alert: environment : 'SLUICE_WORKERS' : unexpected character 'm'",
    ],
    [{ SLUICE_WORKERS: "0" }, "value must be between 1 and 128 (was 0)"],
    [{ SLUICE_BUFSIZE: "10" }, "size must be between 1024"],
    [{ SLUICE_TIMEOUT_CLIENT: "5x" }, "unexpected character 'x' (expects time)."],
    [{ SLUICE_STATS_LEVEL: "adm" }, "'adm' is none of 'user', 'operator', 'admin'"],
    [{ SLUICE_LOG_FORMAT: "jsn" }, "did you mean 'json'?"],
    [{ SLUICE_ACCEPT_PROXY: "maybe" }, "'maybe' is neither 1 nor 0"],
    [{ SLUICE_CONFIG: "" }, "the value is empty"],
    [{ SLUICE_BIND: ":1" }, "alert: environment : 'SLUICE_BIND' needs 'SLUICE_SERVERS'."],
    [{ SLUICE_SERVERS: "1.1.1.1:1" }, "alert: environment : 'SLUICE_SERVERS' needs 'SLUICE_BIND'."],
    [{ SLUICE_SERVERS: "a:1,,b:2", SLUICE_BIND: ":1" }, "an entry is empty"],
    [{ SLUICE_SERVERS: "a:1;wait=3", SLUICE_BIND: ":1" }, "'wait=3' is no server option"],
    [
      { SLUICE_WORKER: "2" },
      "warning: environment : 'SLUICE_WORKER' is no flag; did you mean 'SLUICE_WORKERS'?",
    ],
    [{ SLUICE_MAXCONN_FILE: "/none" }, "'SLUICE_MAXCONN_FILE' : cannot read file '/none'."],
    [
      { SLUICE_MAXCONN_FILE: "/run/secret", SLUICE_MAXCONN: "1" },
      "'SLUICE_MAXCONN' is set as well.",
    ],
  ];
  for (const [environment, problem] of cases) {
    test(JSON.stringify(environment), () => {
      expect(problemsOf(environment).join("\n")).toContain(problem);
    });
  }
});

describe("plans", () => {
  test("listeners and servers without a file", async () => {
    const flags = flagsOf({
      SLUICE_BIND: "127.0.0.1:5432,[::1]:5432",
      SLUICE_SERVERS: "a=10.0.0.1:5432;weight=3;maxconn=9;check, 10.0.0.2:5432;backup",
      SLUICE_BALANCE: "leastconn",
      SLUICE_WORKERS: "2",
      SLUICE_STATS_SOCKET: "/run/s.sock",
    });
    const result = await loadText("", { flags });
    expect(linesOf(result)).toEqual([]);
    const plan = planOf(result);
    expect(plan.global).toMatchObject({ nbthread: 2 });
    expect(plan.global.statsSockets[0]).toMatchObject({ level: "admin", mode: 0o600 });
    const front = proxyOf(plan, "sluice");
    expect(front.binds.map((bind) => bind.text)).toEqual(["127.0.0.1:5432", "[::1]:5432"]);
    expect(front.timeouts.client).toBe(50_000);
    const back = proxyOf(plan, "sluice", true);
    expect(back.balance.algorithm).toBe("leastconn");
    expect(back.timeouts).toMatchObject({ connect: 5000, server: 50_000 });
    expect(back.servers[0]).toMatchObject({ name: "a", weight: 3, maxconn: 9 });
    expect(back.servers[0]?.check.enabled).toBe(true);
    expect(back.servers[1]).toMatchObject({ name: "s2", backup: true });
  });
  test("a value from a file", () => {
    const flags = flagsOf({ SLUICE_BIND: ":1", SLUICE_SERVERS_FILE: "/run/secret" });
    expect(flags.servers).toEqual([{ name: "db", address: "10.0.0.9:5432", options: ["check"] }]);
  });
  test("flags win over the file, the command line over both", async () => {
    const text =
      `global\n maxconn 1\n nbthread 1\n${TIMEOUTS}listen l\n bind :1\n server ` + `s 1.1.1.1:1\n`;
    const flags = flagsOf({
      SLUICE_MAXCONN: "2",
      SLUICE_WORKERS: "3",
      SLUICE_TIMEOUT_SERVER: "7s",
      SLUICE_SEND_PROXY: "v1",
      SLUICE_ACCEPT_PROXY: "1",
      SLUICE_BALANCE: "first",
    });
    const plan = planOf(
      await loadText(text, { flags, overrides: { maxconn: 9, proxyMaxconn: 8 } }),
    );
    expect(plan.global).toMatchObject({ maxconn: 9, nbthread: 3 });
    const proxy = proxyOf(plan, "l");
    expect(proxy.timeouts).toMatchObject({ client: 1000, server: 7000 });
    expect(proxy.binds[0]?.acceptProxy).toBe(true);
    expect(proxy.servers[0]?.sendProxy).toEqual({ version: 1, options: [] });
    expect(proxy.balance.algorithm).toBe("first");
    expect(proxy.maxconn).toBe(8);
  });
  test("errors in addresses and algorithms name the environment", async () => {
    const flags = flagsOf({
      SLUICE_BIND: "5432,quic4@:443",
      SLUICE_SERVERS: "1.1.1.1:99999",
      SLUICE_BALANCE: "fastest",
    });
    const result = await loadText("", { flags });
    expect(result.plan).toBeNull();
    const lines = linesOf(result).filter((line) => line.startsWith("ALERT"));
    expect(lines[0]).toContain("'quic4@:443' needs a certificate: set 'SLUICE_TLS_CERT'");
    expect(lines[1]).toContain("'bind' : missing port specification in '5432'");
    expect(lines[2]).toContain("'server sluice/s1' : invalid port '99999'");
    expect(lines.at(-1)).toContain("balance only supports");
    for (const line of lines) expect(line).toContain("[environment:");
  });
});
