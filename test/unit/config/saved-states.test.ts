/**
 * Server state files: which are read, what makes one unusable, and what of a line applies. The
 * outcomes of lines were recorded from HAProxy 2.6, file beside file.
 */
import { describe, expect, test } from "bun:test";

import { parseStateFile } from "../../../src/config/state-file.ts";
import type { Plan, SavedServerSpec } from "../../../src/tables/spec.ts";
import { linesOf, loadText, planOf, TIMEOUTS } from "./load-text.ts";

const HEAD =
  "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight " +
  "srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health " +
  "srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord " +
  "srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n";

/** What a line changes about a plain server: its state words, its tail. */
function line(server: string, states: string, tail = "- 80 - 0 0 - - 0", checks = "0"): string {
  return `3 b 1 ${server} 127.0.0.1 ${states} 1 0 2 ${checks} 0 0 0 ${tail}\n`;
}

const CONFIG =
  `global\n server-state-file /state\n${TIMEOUTS} load-server-state-from-file global\nbackend b\n` +
  " server plain 127.0.0.1:80 weight 10\n server off 127.0.0.1:80 disabled\n" +
  " server checked 127.0.0.1:80 check\n server named db.test:80\n server zero 127.0.0.1:80 weight 0\n";

async function load(
  state: string | undefined,
  config = CONFIG,
): Promise<{ plan: Plan; lines: string[] }> {
  const files: Record<string, string> = state === undefined ? {} : { "/state": state };
  const result = await loadText(config, { machine: { files } });
  return { plan: planOf(result), lines: linesOf(result) };
}

/** The saved state of one server from one line. */
async function saved(server: string, states: string, checks?: string): Promise<SavedServerSpec> {
  const { plan, lines } = await load(HEAD + line(server, states, undefined, checks));
  expect(lines).toEqual([]);
  const found = plan.savedServers.find((one) => one.server === server);
  if (found === undefined) throw new Error("nothing was saved");
  return found;
}

const UP = { isForcedMaint: false, isForcedDrain: false, health: "up" as const };

describe("states", () => {
  const CASES: readonly (readonly [
    why: string,
    server: string,
    states: string,
    expected: Partial<SavedServerSpec>,
  ])[] = [
    ["up", "plain", "2 0 10 10 7", { ...UP, sinceChangeSeconds: 7 }],
    ["down", "plain", "0 0 10 10 7", { ...UP, health: "down" }],
    ["warming up", "plain", "1 0 10 10 7", UP],
    ["stopping", "plain", "3 0 10 10 7", { ...UP, health: "stopping" }],
    ["maintenance", "plain", "0 1 10 10 7", { ...UP, isForcedMaint: true }],
    ["drain", "plain", "2 8 10 10 7", { ...UP, isForcedDrain: true }],
    ["inherited maintenance is found again", "plain", "0 2 10 10 7", { ...UP, health: "down" }],
    ["maintenance of an old configuration", "plain", "0 4 10 10 7", UP],
    ["maintenance of both", "plain", "0 5 10 10 7", UP],
    [
      "drain beside an old configuration's",
      "plain",
      "2 12 10 10 7",
      { ...UP, isForcedDrain: true },
    ],
    ["newly disabled", "off", "2 0 1 1 7", { ...UP, isForcedMaint: true }],
    ["disabled before and now", "off", "0 5 1 1 7", { ...UP, isForcedMaint: true }],
    ["enabled at run time", "off", "2 4 1 1 7", UP],
    ["drain that a weight of zero had meant", "plain", "2 8 0 0 7", UP],
    ["drain beside a weight of zero", "zero", "2 8 0 0 7", { ...UP, isForcedDrain: true }],
  ];
  for (const [why, server, states, expected] of CASES) {
    test(why, async () => expect(await saved(server, states)).toMatchObject(expected));
  }

  test("a weight, unless the configuration's has changed", async () => {
    expect((await saved("plain", "2 0 5 10 7")).weight).toBe(5);
    expect((await saved("plain", "2 0 50% 10 7")).weight).toBe(50);
    expect((await saved("plain", "2 0 7 9 7")).weight).toBeUndefined();
  });

  test("checks that were switched off", async () => {
    expect((await saved("checked", "2 0 1 1 7", "2")).areChecksOff).toBe(true);
    expect((await saved("checked", "2 0 1 1 7", "6")).areChecksOff).toBe(false);
    expect((await saved("plain", "2 0 10 10 7", "2")).areChecksOff).toBe(false);
  });
});

describe("agents and what checks said last", () => {
  const agents =
    `global\n server-state-file /state\n${TIMEOUTS} load-server-state-from-file global\n` +
    "backend b\n server on 127.0.0.1:80 check agent-check agent-port 9\n" +
    " server plain 127.0.0.1:80\n";
  const tail = "0 0 0 - 80 - 0 0 - 127.0.0.8 77";
  const wrong = (server: string): string =>
    `WARNING server-state partially applied for server 'b/${server}', agent checks are not ` +
    "enabled on this server";
  const row = (server: string, checks: string, agent: string): string =>
    `3 b 1 ${server} 127.0.0.1 2 0 1 1 7 ${checks} 6 ${agent} ${tail.slice(2)}\n`;

  test("where the agent is, if it is asked", async () => {
    const { plan, lines } = await load(HEAD + row("on", "16 4 2", "22"), agents);
    expect(lines).toEqual([]);
    expect(plan.savedServers[0]).toMatchObject({ isAgentOff: false, checkStatus: 16 });
    expect(plan.proxies[0]?.servers[0]?.agent).toMatchObject({
      address: { host: "127.0.0.8" },
      port: 77,
    });
  });

  test("one that was switched off stays off, where it was", async () => {
    const { plan, lines } = await load(HEAD + row("on", "6 3 4", "18"), agents);
    expect(lines).toEqual([wrong("on")]);
    expect(plan.savedServers[0]).toMatchObject({ isAgentOff: true });
    expect(plan.proxies[0]?.servers[0]?.agent).toMatchObject({ port: 9 });
  });

  test("one that the configuration has no more", async () => {
    const { plan, lines } = await load(HEAD + row("plain", "6 3 4", "18"), agents);
    expect(lines).toEqual([wrong("plain")]);
    expect(plan.savedServers[0]).toMatchObject({ isAgentOff: false });
  });
});

describe("addresses", () => {
  const serverOf = async (text: string, name: string, config?: string) => {
    const { plan, lines } = await load(HEAD + text, config);
    const server = plan.proxies[0]?.servers.find((one) => one.name === name);
    return { server, lines };
  };

  test("a port of its own", async () => {
    const { server } = await serverOf(line("plain", "2 0 10 10 7", "- 8181 - 0 0 - - 0"), "plain");
    expect(server?.address).toEqual({ family: "ipv4", host: "127.0.0.1", port: 8181 });
  });

  test("an address stays as configured, unless it was a name's", async () => {
    const text = line("plain", "2 0 10 10 7").replace("127.0.0.1", "10.0.0.9");
    expect((await serverOf(text, "plain")).server?.address).toMatchObject({ host: "127.0.0.1" });
    const named = line("named", "2 0 1 1 7", "db.test 80 - 0 0 - - 0");
    const moved = named.replace("127.0.0.1", "10.0.0.9");
    expect((await serverOf(moved, "named")).server?.address).toMatchObject({ host: "10.0.0.9" });
    const first = CONFIG.replace("db.test:80", "db.test:80 init-addr libc,last");
    const looked = await serverOf(moved, "named", first);
    expect(looked.server?.address).toMatchObject({ host: "10.9.8.7" });
  });

  test("a name that was set at run time", async () => {
    const text = line("named", "2 64 1 1 7", "other.test 80 - 0 0 - - 0");
    const { server } = await serverOf(text.replace("127.0.0.1", "10.0.0.9"), "named");
    expect(server).toMatchObject({
      hostName: "other.test",
      address: { host: "10.0.0.9", port: 80 },
    });
  });

  test("where checks go, if there are any", async () => {
    const tail = "- 80 - 0 1234 127.0.0.9 - 0";
    const { server } = await serverOf(line("checked", "2 0 1 1 7", tail), "checked");
    expect(server?.check).toMatchObject({ port: 1234, address: { host: "127.0.0.9" } });
    const { lines } = await serverOf(line("plain", "2 0 10 10 7", tail), "plain");
    expect(lines).toEqual([
      "WARNING server-state partially applied for server 'b/plain', health checks are not " +
        "enabled on this server",
    ]);
  });
});

describe("bad values", () => {
  test("are all named, and nothing of the line applies", async () => {
    const text = `3 b 1 plain 127.0.0.1 9 9 257 x -1 99 9 y 99 99 5 5 % 99999 - 0 0 - - 0\n`;
    const { plan, lines } = await load(HEAD + text);
    expect(plan.savedServers).toEqual([]);
    expect(lines).toEqual([
      "WARNING server-state application failed for server 'b/plain', invalid srv_op_state value " +
        "'9', invalid srv_admin_state value '9', invalid srv_uweight value '257', invalid " +
        "srv_iweight value 'x', invalid srv_last_time_change value '-1', invalid srv_check_status " +
        "value '99', invalid srv_check_result value '9', invalid srv_check_health value 'y', " +
        "invalid srv_check_state value '99', invalid srv_agent_state value '99', invalid " +
        "bk_f_forced_id value '5', invalid srv_f_forced_id value '5', invalid srv_fqdn value '%', " +
        "invalid srv_port value '99999'",
    ]);
  });

  test("servers and backends that are gone mean nothing", async () => {
    const other = line("nobody", "2 0 1 1 7") + line("plain", "2 0 1 1 7").replace(" b ", " c ");
    expect(await load(HEAD + other)).toMatchObject({ plan: { savedServers: [] }, lines: [] });
  });
});

describe("files", () => {
  const CASES: readonly (readonly [why: string, text: string, problem: string])[] = [
    ["empty", "", "Can't get version of the global server state file '/state'."],
    ["of another version", "2\n", "Can't get version of the global server state file '/state'."],
    [
      "a short line",
      `${HEAD}3 b 1 plain\n`,
      "corrupted global server state file '/state' at line 3.",
    ],
    [
      "cut off",
      HEAD + line("plain", "2 0 10 10 7").trimEnd(),
      "corrupted global server state file '/state' at line 3.",
    ],
  ];
  for (const [why, text, problem] of CASES) {
    test(why, async () => {
      const { plan, lines } = await load(text);
      expect(lines).toEqual([`WARNING config: ${problem}`]);
      expect(plan.savedServers).toEqual([]);
    });
  }

  test("missing", async () => {
    const { lines } = await load(undefined);
    expect(lines).toEqual([
      "WARNING config: Can't open global server state file '/state': No such file or directory",
    ]);
  });

  test("a backend that asks for one that nobody named", async () => {
    const { lines } = await load("", CONFIG.replace("server-state-file /state", ""));
    expect(lines).toEqual([
      "WARNING backend 'b' configured to load server state file from global section " +
        "'server-state-file' directive. Unfortunately, 'server-state-file' is not set!",
    ]);
  });

  test("of a backend, beside the base folder", async () => {
    const text =
      `global\n server-state-base /base\n${TIMEOUTS} load-server-state-from-file local\n` +
      "backend b\n server plain 127.0.0.1:80\nbackend c\n server-state-file-name other\n" +
      " server s 127.0.0.1:80\nbackend d\n server-state-file-name use-backend-name\n" +
      " server s 127.0.0.1:80\nbackend e\n load-server-state-from-file none\n server s 1.1.1.1:1\n";
    const files = {
      "/base/b": HEAD + line("plain", "0 1 1 1 7"),
      "/base/other": HEAD + line("s", "2 8 1 1 7").replace(" b ", " c "),
    };
    const result = await loadText(text, { machine: { files } });
    expect(linesOf(result)).toEqual([
      "WARNING Proxy 'd': Can't open server state file '/base/d': No such file or directory.",
    ]);
    expect(
      planOf(result).savedServers.map(({ backend, server }) => `${backend}/${server}`),
    ).toEqual(["b/plain", "c/s"]);
  });

  test("comments, blanks and words too many are passed over; the first line of a server counts", () => {
    const text =
      `${HEAD}\n  # note\n \t3\tb 1   plain 127.0.0.1 2 0 1 1 7 1 0 2 0 0 0 0 - 80 - 0 0 - - 0 more ` +
      `words\r\n${line("plain", "0 0 9 9 9")}`;
    const result = parseStateFile(text);
    if (!result.ok) throw new Error("refused");
    expect(result.lines.get("b")?.get("plain")?.srv_time_since_last_change).toBe("7");
  });

  test("old lines may lack the last fields", () => {
    const text = "1\n3 b 1 s 127.0.0.1 2 0 1 1 7 1 0 2 0 0 0 0 - 80 -\n";
    const result = parseStateFile(text);
    expect(result.ok && result.lines.get("b")?.get("s")?.srv_check_addr).toBe("-");
  });
});

test("words of the configuration", async () => {
  const text =
    `${TIMEOUTS}frontend f\n bind :1\n load-server-state-from-file global\nbackend b\n` +
    " load-server-state-from-file maybe\n server-state-file-name a b\n";
  expect(linesOf(await loadText(text))).toEqual([
    "WARNING parsing [t.cfg:7] : 'load-server-state-from-file' ignored because frontend 'f' has " +
      "no backend capability.",
    "ALERT parsing [t.cfg:9] : 'load-server-state-from-file' expects 'global', 'local' or " +
      "'none'. Got 'maybe'",
    "ALERT parsing [t.cfg:10] : 'server-state-file-name' cannot handle unexpected argument 'b'.",
  ]);
});

test("stats-file", async () => {
  const plan = planOf(await loadText("global\n stats-file /var/lib/counters\n"));
  expect(plan.global.statsFile).toBe("/var/lib/counters");
});
