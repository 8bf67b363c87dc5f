/** `show stat`, `clear counters`, `show info`, `show servers …`, `show events` as commands. */
import { describe, expect, test } from "bun:test";

import { INFO_COMMANDS } from "../../../../src/api/commands/info.ts";
import { OBSERVE_COMMANDS } from "../../../../src/api/commands/observe.ts";
import { PROCESS_COMMANDS } from "../../../../src/api/commands/process.ts";
import { SERVERS_STATE_COMMANDS } from "../../../../src/api/commands/servers-state.ts";
import { STAT_COMMANDS } from "../../../../src/api/commands/stat.ts";
import { STAT_CSV_HEADER } from "../../../../src/control/stats/dump.ts";
import { INFO_FIELDS } from "../../../../src/control/stats/info.ts";
import * as count from "../../../../src/tables/generated/back-count.ts";
import { PROCESS_WORKER_COUNT } from "../../../../src/tables/generated/process.ts";
import { PROXY_FRONT_CURRENT_MAX } from "../../../../src/tables/generated/proxy.ts";
import { SERVER_SERVED_MAX, SERVER_STRIDE } from "../../../../src/tables/generated/server.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";
import { adminAsker, runLine } from "../../../support/rig-control.ts";
import { CHANGES_CONFIG } from "../changes-config.ts";

const COMMANDS = [
  ...STAT_COMMANDS,
  ...INFO_COMMANDS,
  ...SERVERS_STATE_COMMANDS,
  ...OBSERVE_COMMANDS,
  ...PROCESS_COMMANDS,
];

type Lab = ControlLab & { say(line: string, isJson?: boolean): Promise<string> };

async function makeLab(): Promise<Lab> {
  const lab = await makeControlLab(CHANGES_CONFIG);
  lab.control.tables.process.words[PROCESS_WORKER_COUNT] = 1;
  Object.assign(lab.control.hub, { dropped: () => 0 });
  Object.assign(lab.control.pump, { dropped: 0 });
  const say = (line: string, isJson = false): Promise<string> =>
    runLine(lab.control, COMMANDS, line, adminAsker(), isJson);
  return { ...lab, say };
}

function sessions(lab: ControlLab, path: string, value: number): void {
  const index = lab.server(path).row / SERVER_STRIDE;
  const at = (index * count.BACK_COUNT_STRIDE + count.BACK_COUNT_SESSIONS) >> 1;
  lab.control.tables.perWorker[0]!.serverBack.floats[at] = value;
}

const column = (text: string, name: string, line = 1): string | undefined => {
  const [head = "", ...lines] = text.split("\n");
  return lines[line - 1]?.split(",")[head.slice(2).split(",").indexOf(name)];
};

describe("show stat", () => {
  test("selects by three words, and takes modifiers anywhere else", async () => {
    const lab = await makeLab();
    const b = await lab.say("show stat b 2 -1");
    expect(b.split("\n").length).toBe(3);
    expect(column(b, "svname")).toBe("BACKEND");
    const id = column(b, "iid");
    expect(await lab.say(`show stat ${id} 2 -1`)).toBe(b);
    expect(await lab.say(`show stat #${id} 2 -1`)).toBe(b);
    expect(await lab.say("show stat @guid:be:1 2 -1")).toBe(b);
    expect(await lab.say("show stat domain proxy b 2 -1")).toBe(b);
    expect(await lab.say("show stat 999 2 -1")).toBe(STAT_CSV_HEADER);
    // Fewer words select nothing in particular: HAProxy shows all.
    expect((await lab.say("show stat b")).length).toBeGreaterThan(b.length * 2);
    expect((await lab.say("show stat typed desc up")).startsWith("F.")).toBe(true);
    expect((await lab.say("show stat b 2 -1 json")).startsWith('[[{"objType":"Backend"')).toBe(
      true,
    );
  });

  test("refuses in HAProxy's words", async () => {
    const lab = await makeLab();
    expect(await lab.say("show stat nope -1 -1")).toBe("NO_PROXY: No such proxy.");
    expect(await lab.say("show stat domain dns")).toBe("BAD_ARGUMENT: Invalid statistics domain.");
    expect(await lab.say("show stat domain resolvers")).toStartWith("# id,pid,sent,");
  });

  test("has records for programs", async () => {
    const lab = await makeLab();
    const rows = JSON.parse(await lab.say("show stat b 4 2", true)) as unknown[];
    expect(rows).toMatchObject([{ pxname: "b", svname: "s2", weight: 10 }]);
  });

  test("has a schema that parses", async () => {
    const lab = await makeLab();
    expect(JSON.parse(await lab.say("show schema json"))).toHaveProperty("definitions.tags");
  });
});

describe("clear counters", () => {
  test("without `all` resets maxima only", async () => {
    const lab = await makeLab();
    const { servers, proxies } = lab.control.tables;
    const front = lab.control.model.frontends.get("f")!.row;
    sessions(lab, "b/s2", 7);
    servers.words[lab.server("b/s2").row + SERVER_SERVED_MAX] = 5;
    proxies.words[front + PROXY_FRONT_CURRENT_MAX] = 9;
    expect(await lab.say("clear counters")).toBe("");
    const text = await lab.say("show stat b 4 2");
    expect([column(text, "stot"), column(text, "smax")]).toEqual(["7", "0"]);
    expect(proxies.words[front + PROXY_FRONT_CURRENT_MAX]).toBe(0);
  });

  test("all, or one server", async () => {
    const lab = await makeLab();
    sessions(lab, "b/s1", 3);
    sessions(lab, "b/s2", 7);
    expect(await lab.say("clear counters server b/s1")).toBe("Server counters cleared.");
    const stot = async (): Promise<(string | undefined)[]> =>
      [1, 2].map((line) => column(text, "stot", line));
    let text = await lab.say("show stat b 4 -1");
    expect(await stot()).toEqual(["0", "7"]);
    expect(await lab.say("clear counters all")).toBe("");
    sessions(lab, "b/s2", 9);
    text = await lab.say("show stat b 4 -1");
    expect(await stot()).toEqual(["0", "2"]);
    expect(await lab.say("clear counters server b/none")).toBe("NO_SERVER: No such server.");
    expect(await lab.say("show events buf0")).toContain("counters-cleared");
  });
});

describe("show info", () => {
  test("plain, typed, described and as JSON", async () => {
    const lab = await makeLab();
    const plain = (await lab.say("show info")).split("\n");
    expect(plain).toContain("Maxconn: 500");
    expect(plain.every((line) => /^[\w -]+: /.test(line))).toBe(true);
    const typed = (await lab.say("show info typed desc")).split("\n");
    expect(typed).toContain('15.Maxconn.1:CLPV:u32:500:"Limit of connections"');
    expect(await lab.say("show info float")).toMatch(/Uptime_sec: \d+\.\d{6}\n/);
    const json = JSON.parse(await lab.say("show info json")) as { field: { name: string } }[];
    // The description is not set, and so it is not shown.
    expect(json.length).toBe(INFO_FIELDS.length - 1);
    const record = JSON.parse(await lab.say("show info", true)) as Record<string, unknown>;
    expect(record["Maxconn"]).toBe(500);
  });
});

describe("servers", () => {
  test("show servers state has HAProxy's columns", async () => {
    const lab = await makeLab();
    const all = (await lab.say("show servers state")).trimEnd().split("\n");
    expect(all[0]).toBe("1");
    const columns = all[1]!.split(" ").length - 1;
    for (const line of all.slice(2)) expect(line.split(" ").length).toBe(columns);
    const b = (await lab.say("show servers state b")).trimEnd().split("\n");
    const since = /^((?:\S+ ){9})\d+/;
    const line = (at: number): string => b[at]!.replace(since, "$1T");
    const id = lab.control.model.backends.get("b")!.spec.id;
    expect(line(3)).toBe(`${id} b 2 s2 127.0.0.1 2 0 10 10 T 1 0 2 0 0 0 0 - 19902 - 0 0 - - 0`);
    expect(line(6)).toBe(`${id} b 5 s5 127.0.0.1 0 5 1 1 T 1 0 0 8 0 0 0 - 19905 - 0 0 - - 0`);
    expect(line(9)).toStartWith(`${id} b 8 s8 10.9.8.7 2 0 `);
    expect(line(9)).toEndWith(" db.test 19908 - 0 0 - - 0");
    expect(await lab.say("show servers state nope")).toBe("NO_BACKEND: Can't find backend.");
  });

  test("show servers conn has a column a thread", async () => {
    const lab = await makeLab();
    const [head = "", ...lines] = (await lab.say("show servers conn")).trimEnd().split("\n");
    expect(head).toEndWith(" idle_per_thr[1]");
    for (const line of lines) expect(line.split(" ").length).toBe(head.split(" ").length - 1);
    expect(await lab.say("show servers conn nope")).toBe("NO_BACKEND: Can't find backend.");
  });

  test("show backend lists, and knows each", async () => {
    const lab = await makeLab();
    expect(await lab.say("show backend")).toStartWith("# name\nl\nb\nst\ntr\nu\n");
    expect(await lab.say("show backend nope")).toBe("NO_BACKEND: No such backend.");
    expect(await lab.say("show defaults")).toBe("");
  });
});

test("names are hashes for a connection that wants none", async () => {
  const lab = await makeLab();
  const asker = { ...adminAsker(), anonymKey: 7 };
  const say = (line: string): Promise<string> => runLine(lab.control, COMMANDS, line, asker);
  for (const line of ["show stat", "show servers state", "show servers conn", "show backend"]) {
    const text = await say(line);
    expect(text).not.toMatch(/127\.0\.0\.1|\bs1\b|\bst\b|db\.test/);
  }
  expect(await say("show stat")).toMatch(/\n[0-9a-f]{6},FRONTEND,/);
  expect(await say("show servers state")).toMatch(/\n\d+ [0-9a-f]{6} 1 [0-9a-f]{6} [0-9a-f]{6} /);
});

describe("what happens", () => {
  test("show events lists its sink, refuses others", async () => {
    const lab = await makeLab();
    expect(await lab.say("show events")).toContain("buf0       : type=buffer, 0 dropped");
    expect(await lab.say("show events nope")).toBe("BAD_ARGUMENT: No such event sink");
    expect(await lab.say("show events buf0 -x")).toBe("BAD_ARGUMENT: unknown option");
    await lab.ask("disable server b/s2");
    const text = await lab.say("show events buf0");
    expect(text).toMatch(/^\S+Z server-health b\/s2 maint\n/m);
    expect(await lab.say("show events buf0 -n")).toBe("");
  });

  test("show errors knows its proxies", async () => {
    const lab = await makeLab();
    expect(await lab.say("show errors")).toMatch(/^Total events captured on \[.+\] : 0\n$/);
    expect(await lab.say("show errors f request")).toContain(" : 0\n");
    expect(await lab.say("show errors nope")).toBe("NO_PROXY: No such proxy.");
  });

  test("there are no process variables", async () => {
    const lab = await makeLab();
    expect(await lab.say("get var")).toContain("Missing process-wide variable identifier.");
    expect(await lab.say("get var proc.x")).toContain("Variable not found.");
  });
});

describe("the process", () => {
  test("show activity by thread, cleared with the counters", async () => {
    const lab = await makeLab();
    const { words } = lab.control.tables.workers;
    expect(await lab.say("show activity")).toMatch(/^thread_id: 0 \(1\.\.1\)\ndate_now: /);
    expect(await lab.say("show activity 7")).toStartWith("BAD_ARGUMENT: ");
    words.fill(3);
    expect(await lab.say("show activity 1")).toContain("\nmail: 3\n");
    await lab.say("clear counters");
    expect(await lab.say("show activity 1")).toContain("\nmail: 0\n");
    expect(await lab.say("show activity 1")).toContain("\nstreams: 3\n");
  });

  test("show pools sorts and selects", async () => {
    const lab = await makeLab();
    expect(await lab.say("show pools match server byname 1")).toMatch(
      /^Dumping pools usage\..*\n {2}- Pool server \(\d+ bytes\) : 17 allocated .*\nTotal: 3 pools/,
    );
  });

  test("set profiling takes HAProxy's words", async () => {
    const lab = await makeLab();
    expect(await lab.say("set profiling")).toEndWith("Expects either 'tasks' or 'memory'.");
    expect(await lab.say("set profiling tasks")).toEndWith("Expects 'on', 'auto', or 'off'.");
    expect(await lab.say("set profiling memory on")).toEndWith("Memory profiling not compiled in.");
    expect(await lab.say("set profiling tasks on")).toBe("");
    expect(await lab.say("show profiling status")).toContain(
      "Per-task CPU profiling              : on            # set profiling tasks {on|auto|off}\n",
    );
    expect(await lab.say("show profiling tasks")).toContain("  worker_1 ");
  });
});
