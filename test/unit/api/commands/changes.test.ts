/** Changes that are made: what they do to rows, specs, checks, workers and the log, and undoing. */
import { describe, expect, test } from "bun:test";

import { RunningCall } from "../../../../src/api/call.ts";
import { splitLine } from "../../../../src/api/lines.ts";
import { findCommand } from "../../../../src/api/registry.ts";
import { Draft } from "../../../../src/control/draft.ts";
import type { Change } from "../../../../src/control/draft.ts";
import * as e from "../../../../src/tables/generated/enums.ts";
import { LISTENER_STATE } from "../../../../src/tables/generated/listener.ts";
import * as process from "../../../../src/tables/generated/process.ts";
import * as proxy from "../../../../src/tables/generated/proxy.ts";
import * as server from "../../../../src/tables/generated/server.ts";
import { LAB_MAXCONN, makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";
import { adminAsker } from "../../../support/rig-control.ts";
import { CHANGES_CONFIG } from "../changes-config.ts";

const CLI = "by 'stats socket command'";

const makeLab = (): Promise<ControlLab> => makeControlLab(CHANGES_CONFIG);

/** One cell of a server's row. */
function cell(lab: ControlLab, path: string, offset: number): number {
  return lab.control.tables.servers.words[lab.server(path).row + offset]!;
}

function frontCell(lab: ControlLab, name: string, offset: number): number {
  const { row } = lab.control.model.frontends.get(name)!;
  return lab.control.tables.proxies.words[row + offset]!;
}

describe("state", () => {
  test("maintenance, drain and ready", async () => {
    const lab = await makeLab();
    const states: readonly (readonly [string, number, number])[] = [
      ["set server b/s2 state maint", e.SERVER_STATE_MAINT, e.SERVER_ADMIN_FORCED_MAINT],
      ["set server b/s2 state drain", e.SERVER_STATE_DRAIN, e.SERVER_ADMIN_FORCED_DRAIN],
      ["set server b/s2 state ready", e.SERVER_STATE_UP, 0],
      ["disable server #4/#2", e.SERVER_STATE_MAINT, e.SERVER_ADMIN_FORCED_MAINT],
      ["enable server @guid:be:1/s2", e.SERVER_STATE_UP, 0],
    ];
    for (const [index, [line, state, admin]] of states.entries()) {
      expect(await lab.ask(line)).toBe("");
      expect(cell(lab, "b/s2", server.SERVER_STATE)).toBe(state);
      expect(cell(lab, "b/s2", server.SERVER_ADMIN_STATE)).toBe(admin);
      expect(lab.server("b/s2").version).toBe(index + 2);
    }
    expect(await lab.ask("enable server b/s2")).toBe("");
    expect(lab.server("b/s2").version).toBe(states.length + 1);
  });

  test("`disabled` of the configuration ends with the first `enable`", async () => {
    const lab = await makeLab();
    expect(cell(lab, "b/s5", server.SERVER_ADMIN_STATE)).toBe(5);
    await lab.ask("enable server b/s5");
    expect(cell(lab, "b/s5", server.SERVER_ADMIN_STATE)).toBe(e.SERVER_ADMIN_CONFIG_MAINT);
    expect(cell(lab, "b/s5", server.SERVER_STATE)).toBe(e.SERVER_STATE_UP);
    expect(lab.told).toEqual(["5 Server b/s5 is UP/READY (leaving forced maintenance)."]);
  });

  test("tracking servers follow, through a chain", async () => {
    const lab = await makeLab();
    await lab.ask("set server @guid:srv:1 state maint");
    expect(cell(lab, "tr/t2", server.SERVER_STATE)).toBe(e.SERVER_STATE_MAINT);
    expect(cell(lab, "tr/t2", server.SERVER_ADMIN_STATE)).toBe(e.SERVER_ADMIN_INHERITED_MAINT);
    await lab.ask("set server b/s1 state drain");
    expect(cell(lab, "tr/t2", server.SERVER_ADMIN_STATE)).toBe(e.SERVER_ADMIN_INHERITED_DRAIN);
    await lab.ask("set server b/s1 state ready");
    await lab.ask("set server b/s1 health down");
    expect(cell(lab, "tr/t2", server.SERVER_STATE)).toBe(e.SERVER_STATE_DOWN);
    expect(lab.told.at(-1)).toContain("1 Server tr/t2 is DOWN via tr/t1.");
  });

  test("health, of servers with and without checks", async () => {
    const lab = await makeLab();
    await lab.ask("set server b/s2 health down");
    expect(cell(lab, "b/s2", server.SERVER_STATE)).toBe(e.SERVER_STATE_DOWN);
    await lab.ask("set server b/s2 health stopping");
    expect(cell(lab, "b/s2", server.SERVER_STATE)).toBe(e.SERVER_STATE_DRAIN);
    await lab.ask("set server b/s2 health up");
    expect(cell(lab, "b/s2", server.SERVER_STATE)).toBe(e.SERVER_STATE_UP);
    await lab.ask("set server b/s1 health down");
    expect(lab.control.checks.healthOf(lab.server("b/s1"))).toBe(0);
    await lab.ask("set server b/s1 health up");
    expect(lab.control.checks.healthOf(lab.server("b/s1"))).toBe(4);
  });

  test("maintenance resets the health of a server that is checked", async () => {
    const lab = await makeLab();
    await lab.ask("set server b/s1 health down");
    await lab.ask("disable server b/s1");
    expect(lab.told.at(-3)).toBe("5 Server b/s1 was DOWN and now enters maintenance.");
    await lab.ask("enable server b/s1");
    expect(cell(lab, "b/s1", server.SERVER_STATE)).toBe(e.SERVER_STATE_UP);
    expect(lab.control.checks.healthOf(lab.server("b/s1"))).toBe(2);
  });

  test("streams end with the state, where the server line wants it", async () => {
    const ends = "on-marked-down shutdown-sessions on-marked-up shutdown-backup-sessions";
    const lines = `backend b\n server s1 127.0.0.1:1 ${ends}\n server s2 127.0.0.1:2 backup\n`;
    const defaults = " timeout connect 1s\n timeout server 1s\n";
    const lab = await makeControlLab(`defaults\n mode tcp\n${defaults}${lines}`);
    await lab.ask("set server b/s1 state drain");
    expect(lab.shut).toEqual([]);
    await lab.ask("set server b/s1 state maint");
    await lab.ask("set server b/s1 state ready");
    expect(lab.shut).toEqual(["server down", "backups up"]);
  });

  test("checks are suspended and resumed", async () => {
    const lab = await makeLab();
    expect(await lab.ask("disable health b/s1")).toBe("");
    expect(cell(lab, "b/s1", server.SERVER_FLAGS) & e.SERVER_FLAG_CHECKS_OFF).not.toBe(0);
    expect(await lab.ask("enable health b/s1")).toBe("");
    expect(cell(lab, "b/s1", server.SERVER_FLAGS) & e.SERVER_FLAG_CHECKS_OFF).toBe(0);
    // Without a check there is nothing to suspend, nor to take back.
    expect(await lab.ask("disable health b/s2")).toBe("");
    const lines = "disable health b/s2\nset server b/s8 fqdn nobody.invalid";
    expect(await lab.ask("transaction", lines)).toEndWith("1 change before it taken back.");
    expect(lab.server("b/s2").version).toBe(1);
  });
});

describe("load", () => {
  const WEIGHTS: readonly (readonly [string, number])[] = [
    ["set weight b/s2 20", 20],
    ["set weight b/s2 50%", 5],
    ["set server b/s2 weight 0%", 0],
    ["set weight b/s2 10000000%", 256],
    ["set weight b/s2 256", 256],
    ["set weight b/s2 100%", 10],
  ];

  test("weights, absolute and in percent of the configured one", async () => {
    const lab = await makeLab();
    for (const [line, weight] of WEIGHTS) {
      expect(await lab.ask(line)).toBe("");
      expect(await lab.ask("get weight b/s2")).toBe(`${weight} (initial 10)`);
    }
  });

  test("a static algorithm takes none, and the configured one", async () => {
    const lab = await makeLab();
    for (const word of ["0", "100%", "10%", "5"]) {
      expect(await lab.ask(`set weight st/s1 ${word}`)).toBe("");
    }
    expect(await lab.ask("get weight st/s1")).toBe("5 (initial 5)");
  });

  test("limits: the lower end goes with the upper unless it has a range", async () => {
    const lab = await makeLab();
    const limits = (path: string): number[] => [
      cell(lab, path, server.SERVER_MAXCONN),
      cell(lab, path, server.SERVER_MINCONN),
    ];
    expect(await lab.ask("set maxconn server b/s2 7")).toBe("");
    expect(limits("b/s2")).toEqual([7, 7]);
    await lab.ask("set maxconn server b/s2 0");
    expect(limits("b/s2")).toEqual([0, 0]);
    await lab.ask("set maxconn server b/s8 5");
    expect(limits("b/s8")).toEqual([5, 2]);
    await lab.ask("set maxconn server b/s8 1");
    expect(limits("b/s8")).toEqual([1, 1]);
    await lab.ask("set maxconn server b/s8 9");
    expect(limits("b/s8")).toEqual([9, 2]);
  });
});

describe("address", () => {
  const MOVES: readonly (readonly [string, string])[] = [
    ["b/s1 addr 127.0.0.2", "IP changed from '127.0.0.1' to '127.0.0.2'"],
    ["b/s1 addr 127.0.0.2", "no need to change the addr"],
    [
      "b/s1 addr ::1 port 19902",
      "IP changed from '127.0.0.2' to '::1', port changed from '19901' to '19902'",
    ],
    ["b/s1 addr ::1 port 19902", "no need to change the addr, no need to change the port"],
    ["b/s1 addr /run/x", "IP changed from '::1' to '/run/x'"],
    ["b/s1 addr abns@x", "IP changed from '/run/x' to 'abns@x'"],
    [
      "b/s1 addr 10.0.0.1 port 80",
      "IP changed from 'abns@x' to '10.0.0.1', port changed from '0' to '80'",
    ],
    ["b/s4 addr 127.0.0.1 port +7", "no need to change the addr, port changed from '+3' to '+7'"],
    ["b/s4 addr 127.0.0.1 port -7", "no need to change the addr, port changed from '+7' to '-7'"],
    ["b/s4 addr 127.0.0.1 port 80", "no need to change the addr, port changed from '-7' to '80'"],
    ["b/s6 addr 127.0.0.1 port 80", "no need to change the addr, port changed from '+0' to '80'"],
    [
      "b/s7 addr 127.0.0.1 port +1",
      "no need to change the addr, port changed from '19905' to '+1'",
    ],
    [
      "u/un addr 127.0.0.1 port 5",
      "IP changed from '/tmp/backend.sock' to '127.0.0.1', port changed from '0' to '5'",
    ],
  ];

  test("of any family, told in HAProxy's words", async () => {
    const lab = await makeLab();
    for (const [words, text] of MOVES) {
      expect(await lab.ask(`set server ${words}`)).toBe(`${text} ${CLI}`);
    }
  });

  test("goes to workers and checks, and into the log", async () => {
    const lab = await makeLab();
    await lab.ask("set server b/s1 addr 127.0.0.2 port 80");
    const spec = lab.server("b/s1").spec;
    expect(spec.address).toEqual({ family: "ipv4", host: "127.0.0.2", port: 80 });
    expect(lab.mutations.at(-1)).toEqual({
      kind: "server.change",
      row: lab.server("b/s1").row,
      server: spec,
    });
    expect(lab.told).toEqual([
      `5 b/s1: IP changed from '127.0.0.1' to '127.0.0.2', port changed from '19901' to '80' ${CLI}.`,
    ]);
  });

  test("of the check alone", async () => {
    const lab = await makeLab();
    expect(await lab.ask("set server b/s1 check-addr ::1 port 81")).toBe("");
    expect(await lab.ask("set server b/s1 check-port 82")).toBe("");
    const { check } = lab.server("b/s1").spec;
    expect(check.address).toEqual({ family: "ipv6", host: "::1", port: 0 });
    expect(check.port).toBe(82);
  });

  test("by name: looked up once", async () => {
    const lab = await makeLab();
    const text = `b/s8 changed its FQDN from db.test to localhost ${CLI}`;
    expect(await lab.ask("set server b/s8 fqdn localhost")).toBe(text);
    const { address, hostName } = lab.server("b/s8").spec;
    expect(["127.0.0.1", "::1"]).toContain(
      address !== undefined && "host" in address ? address.host : "",
    );
    expect(hostName).toBe("localhost");
    expect(await lab.ask("set server b/s8 fqdn nobody.invalid")).toBe(
      "SYSTEM: could not resolve 'nobody.invalid'.",
    );
    expect(lab.server("b/s8").spec.hostName).toBe("localhost");
  });
});

test("a name moves with its server", async () => {
  const lab = await makeLab();
  expect(await lab.ask("set server b/s5 name s5")).toBe("Server name updated.");
  expect(await lab.ask("set server b/s5 name blue")).toBe("Server name updated.");
  expect(await lab.ask("enable server b/s5")).toBe("NO_SERVER: No such server.");
  expect(await lab.ask("enable server b/blue")).toBe("");
  expect(lab.told.at(-1)).toBe("5 Server b/blue is UP/READY (leaving forced maintenance).");
});

describe("frontends", () => {
  test("pause and resume their listeners", async () => {
    const lab = await makeLab();
    expect(await lab.ask("disable frontend f")).toBe("");
    expect(frontCell(lab, "f", proxy.PROXY_STATE)).toBe(e.PROXY_STATE_PAUSED);
    expect(lab.mutations.slice(-2).map(({ kind }) => kind)).toEqual([
      "listener.pause",
      "listener.pause",
    ]);
    expect(await lab.ask("enable frontend @guid:fe:1")).toBe("");
    expect(lab.mutations.at(-1)!.kind).toBe("listener.resume");
    await lab.ask("disable frontend l");
    expect(lab.told).toEqual([
      "4 Paused frontend f.",
      "4 Resumed frontend f.",
      "4 Paused proxy l.",
    ]);
  });

  test("are shut down for good", async () => {
    const lab = await makeLab();
    const { listeners } = lab.control.model.frontends.get("f")!;
    expect(await lab.ask("shutdown frontend #1")).toBe("");
    expect(listeners).toEqual([]);
    expect(frontCell(lab, "f", proxy.PROXY_STATE)).toBe(e.PROXY_STATE_STOPPED);
    expect(lab.told).toEqual(["4 Proxy f stopped (cumulated conns: FE: 0, BE: 0)."]);
  });

  test("that are paused keep an address waiting that is added meanwhile", async () => {
    const lab = await makeLab();
    await lab.ask("disable frontend f");
    expect(await lab.ask(`add bind f abns@sluice-${globalThis.process.pid}-late`)).toContain(
      "regist",
    );
    expect(lab.mutations.slice(-2).map(({ kind }) => kind)).toEqual([
      "listener.add",
      "listener.pause",
    ]);
    await lab.ask("enable frontend f");
    expect(lab.mutations.filter(({ kind }) => kind === "listener.resume")).toHaveLength(3);
  });

  test("are limited; a limit of 0 lets nobody in", async () => {
    const lab = await makeLab();
    expect(await lab.ask("set maxconn frontend f 50")).toBe("");
    expect(frontCell(lab, "f", proxy.PROXY_FRONT_MAXCONN)).toBe(50);
    await lab.ask("set maxconn frontend f 0");
    expect(frontCell(lab, "f", proxy.PROXY_FRONT_MAXCONN)).toBe(-1);
  });
});

test("limits of the process, and its environment", async () => {
  const lab = await makeLab();
  const words = lab.control.tables.process.words;
  expect(await lab.ask("set maxconn global 100")).toBe("");
  expect(words[process.PROCESS_MAXCONN]).toBe(100);
  await lab.ask("set maxconn global 0");
  expect(words[process.PROCESS_MAXCONN]).toBe(LAB_MAXCONN);
  await lab.ask("set rate-limit connections global 10");
  expect(words[process.PROCESS_MAXCONNRATE]).toBe(10);
  await lab.ask("set rate-limit sessions global 11");
  expect(words[process.PROCESS_MAXSESSRATE]).toBe(11);
  await lab.ask("set env COLOUR 'dark blue'");
  expect(lab.control.environment.get("COLOUR")).toBe("dark blue");
});

/** What a change is about, without counters of balancing and versions. */
function essence(lab: ControlLab): unknown {
  const { tables, model, environment } = lab.control;
  const words = tables.servers.words;
  const cells = [
    server.SERVER_ADMIN_STATE,
    server.SERVER_FLAGS,
    server.SERVER_STATE,
    server.SERVER_HEALTH,
    server.SERVER_WEIGHT,
    server.SERVER_MAXCONN,
    server.SERVER_MINCONN,
    server.SERVER_TIER_WEIGHT,
  ];
  const front = [proxy.PROXY_STATE, proxy.PROXY_FRONT_MAXCONN];
  return {
    servers: [...model.serverByRow.values()].map(({ row, spec }) => [
      structuredClone(spec),
      cells.map((one) => words[row + one]),
    ]),
    names: model.proxies.map(({ serversByName }) => [...serversByName.keys()].sort()),
    proxies: model.proxies.map(({ row }) => front.map((one) => tables.proxies.words[row + one])),
    listeners: [...model.listenerByRow.values()]
      .map(({ row, spec }) => `${spec.text} ${tables.listeners.words[row + LISTENER_STATE]}`)
      .sort(),
    process: [...tables.process.words.subarray(0, process.PROCESS_GRACE_WANTED)].filter(
      (_, at) => at !== process.PROCESS_PUBLISHED_SEQUENCE,
    ),
    environment: [...environment],
  };
}

function prepare(lab: ControlLab, line: string): Change {
  const raw = splitLine(line).commands[0]!;
  const { command, args } = findCommand(raw.words)!;
  const call = new RunningCall(lab.control, adminAsker(), raw);
  call.args = args;
  if (!("prepare" in command)) throw new Error(`${line} is no change`);
  return command.prepare(call, new Draft(lab.control.model));
}

const UNDONE = [
  "set server b/s1 state maint",
  "set server b/s1 state drain",
  "set server b/s5 state ready",
  "enable server b/s5",
  "disable server b/s2",
  "set server b/s1 health down",
  "set server b/s1 health stopping",
  "set server b/s2 health down",
  "disable health b/s1",
  "set server b/s2 weight 3",
  "set weight b/s2 0",
  "set maxconn server b/s2 9",
  "set maxconn server b/s8 1",
  "set server b/s1 addr ::1 port 1",
  "set server b/s4 addr /run/x",
  "set server b/s1 check-addr ::1 port 2",
  "set server b/s1 check-port 3",
  "set server b/s8 fqdn localhost",
  "set server b/s5 name blue",
  "disable frontend f",
  "shutdown frontend f",
  "set maxconn frontend f 7",
  "set maxconn global 9",
  "set rate-limit connections global 3",
  "set rate-limit sessions global 3",
  "set env NEW x",
];

test("every change can be taken back", async () => {
  const lab = await makeLab();
  for (const line of UNDONE) {
    const before = essence(lab);
    const change = prepare(lab, line);
    expect(essence(lab)).toEqual(before);
    expect(change.effect).not.toBe("");
    await change.apply();
    expect(essence(lab)).not.toEqual(before);
    await change.undo?.();
    lab.settle();
    expect({ line, state: essence(lab) }).toEqual({ line, state: before });
  }
});

test("a change of a server that went meanwhile is refused", async () => {
  const lab = await makeLab();
  const lines = [
    "enable server b/s5",
    "set weight b/s5 3",
    "set maxconn server b/s5 3",
    "set server b/s5 addr ::1",
  ];
  const changes = lines.map((line) => prepare(lab, line));
  expect(await lab.ask("del server b/s5")).toBe("Server deleted.");
  for (const change of changes) expect(() => change.apply()).toThrow("No such server.");
  expect(await lab.ask("enable server b/s5")).toBe("NO_SERVER: No such server.");
});
