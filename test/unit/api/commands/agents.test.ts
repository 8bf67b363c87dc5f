/** Agents of servers, changed and shown: commands, states and columns as HAProxy 2.6 had them. */
import { describe, expect, test } from "bun:test";

import type { CheckResult } from "../../../../src/check/result.ts";
import {
  prepareAgentHealth,
  prepareAgentSend,
} from "../../../../src/control/change/server-agent.ts";
import { Draft } from "../../../../src/control/draft.ts";
import { observersOf } from "../../../../src/control/stats/observers.ts";
import * as e from "../../../../src/tables/generated/enums.ts";
import * as server from "../../../../src/tables/generated/server.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";

const CONFIG = `
defaults
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
backend b
  server s1 127.0.0.1:1 check agent-check agent-port 9 agent-addr 127.0.0.9 agent-send hi
  server s2 127.0.0.1:2 agent-check agent-port 9
  server t1 127.0.0.1:3 track s1
  server s3 127.0.0.1:4 check
`;

const UP: CheckResult = { code: "L7OK", info: "via agent : up" };
const DOWN: CheckResult = { code: "L7STS", info: "via agent : down (lunch)" };
const PLAIN: CheckResult = { code: "CHECKED" };

const makeLab = (): Promise<ControlLab> => makeControlLab(CONFIG);

/** What the agent says of a server. */
function say(lab: ControlLab, path: string, result: CheckResult): void {
  const isUp = result.code !== "L7STS";
  lab.hear(path, { result, isUp, health: isUp ? 1 : 0, hasChanged: true }, "agent");
}

/** Columns of `show stat` of a server, by name; empty ones left out. */
async function stat(lab: ControlLab, path: string): Promise<Record<string, string>> {
  const lines = (await text(lab, "show stat")).trim().split("\n");
  const names = lines[0]!.slice(2).split(",");
  const [backend, name] = path.split("/");
  const line = lines.find((one) => one.startsWith(`${backend},${name},`))!;
  const cells = line.split(",").map((cell, at) => [names[at] ?? "", cell] as const);
  return Object.fromEntries(cells.filter(([key, cell]) => key !== "" && cell !== ""));
}

async function text(lab: ControlLab, line: string): Promise<string> {
  const { reply } = await lab.run(line);
  if (reply.kind !== "pieces") return reply.text;
  let whole = "";
  for await (const piece of reply.pieces) whole += piece;
  return whole;
}

/** The columns of a server's line of `show servers state` that its checks have. */
async function stateLine(lab: ControlLab, name: string): Promise<string> {
  const lines = (await text(lab, "show servers state b")).split("\n");
  const cells = lines.find((line) => line.split(" ")[3] === name)!.split(" ");
  return [...cells.slice(10, 15), ...cells.slice(21)].join(" ");
}

const agentOf = (lab: ControlLab, path: string) => lab.server(path).spec.agent;

describe("columns", () => {
  test("before the first answer", async () => {
    const lab = await makeLab();
    expect(await stat(lab, "b/s1")).toMatchObject({
      status: "UP 1/3",
      agent_status: "INI",
      agent_desc: "Initializing",
      agent_rise: "1",
      agent_fall: "1",
      agent_health: "1",
    });
    expect((await stat(lab, "b/s3"))["agent_status"]).toBeUndefined();
    expect(await stateLine(lab, "s1")).toBe("1 0 2 6 22 0 - 127.0.0.9 9");
    expect(await stateLine(lab, "s2")).toBe("1 0 2 0 22 0 - - 9");
    expect(await stateLine(lab, "s3")).toBe("1 0 2 6 0 0 - - 0");
  });

  test("of one that says down, and of who tracks it", async () => {
    const lab = await makeLab();
    say(lab, "b/s1", DOWN);
    expect(await stat(lab, "b/s1")).toMatchObject({
      status: "DOWN (agent)",
      agent_status: "L7STS",
      agent_code: "0",
      agent_desc: "Layer7 wrong status",
      last_agt: "via agent : down (lunch)",
      agent_health: "0",
    });
    expect(await stat(lab, "b/t1")).toMatchObject({ status: "DOWN (agent)" });
    expect(lab.told[0]).toStartWith(
      "1 Server b/s1 is DOWN, reason: Layer7 wrong status, code: 0, info: " +
        '"via agent : down (lunch)", check duration: 0ms. ',
    );
    expect(lab.told[1]).toStartWith("1 Server b/t1 is DOWN via b/s1. ");
  });

  test("of one that says nothing of health, in drain and in maintenance", async () => {
    const lab = await makeLab();
    say(lab, "b/s2", PLAIN);
    const row = await stat(lab, "b/s2");
    expect(row).toMatchObject({ agent_status: "CHECKED", agent_desc: "No status change" });
    expect(row["agent_code"]).toBeUndefined();
    await lab.ask("set server b/s2 state drain");
    expect((await stat(lab, "b/s2"))["status"]).toBe("DRAIN (agent)");
    await lab.ask("set server b/s2 state maint");
    expect(await stat(lab, "b/s2")).toMatchObject({ status: "MAINT", agent_status: "CHECKED" });
  });
});

describe("enable agent, disable agent", () => {
  test("it is asked no more, and then again", async () => {
    const lab = await makeLab();
    say(lab, "b/s1", DOWN);
    expect(await lab.ask("disable agent b/s1")).toBe("");
    const { words } = lab.control.tables.servers;
    const flags = (): number => words[lab.server("b/s1").row + server.SERVER_FLAGS]!;
    expect(flags() & e.SERVER_FLAG_AGENT_OFF).not.toBe(0);
    expect(lab.orders.some(({ type }) => type === "suspend")).toBe(true);
    // As HAProxy has it: down until its check speaks next.
    expect((await stat(lab, "b/s1"))["status"]).toBe("DOWN 2/2");
    expect((await stat(lab, "b/s1"))["agent_status"]).toBeUndefined();
    expect(await stateLine(lab, "s1")).toBe("1 0 2 6 18 0 - 127.0.0.9 9");
    const { version } = lab.server("b/s1");
    expect(await lab.ask("disable agent b/s1")).toBe("");
    expect(lab.server("b/s1").version).toBe(version);
    expect(await lab.ask("enable agent b/s1")).toBe("");
    expect(flags() & e.SERVER_FLAG_AGENT_OFF).toBe(0);
    expect(lab.orders.some(({ type }) => type === "resume")).toBe(true);
  });

  test("without an agent there is none to enable, and nothing to disable", async () => {
    const lab = await makeLab();
    expect(await lab.ask("enable agent b/s3")).toBe(
      "WRONG_STATE: Agent was not configured on this server, cannot enable.",
    );
    expect(await lab.ask("disable agent b/s3")).toBe("");
    expect(lab.server("b/s3").version).toBe(1);
  });

  test("a server that comes at run time is asked when it is enabled", async () => {
    const lab = await makeLab();
    await lab.ask("add server b/n1 127.0.0.1:5 agent-check agent-port 9");
    expect(await stateLine(lab, "n1")).toBe("1 0 0 0 18 0 - - 9");
    expect(await lab.ask("set server b/n1 agent up")).toBe(
      "WRONG_STATE: agent checks are not enabled on this server.",
    );
    expect(await lab.ask("enable agent b/n1")).toBe("");
    expect(await stateLine(lab, "n1")).toBe("1 0 0 0 22 0 - - 9");
  });
});

test("set server agent: up and down, until it speaks again", async () => {
  const lab = await makeLab();
  say(lab, "b/s2", UP);
  expect(await lab.ask("set server b/s2 agent down")).toBe("");
  expect(await stat(lab, "b/s2")).toMatchObject({ status: "DOWN (agent)", agent_health: "0" });
  expect(lab.told.at(-1)).toStartWith("1 Server b/s2 is DOWN, changed from CLI. ");
  expect(await lab.ask("set server b/s2 agent up")).toBe("");
  expect(lab.told.at(-1)).toStartWith("5 Server b/s2 is UP, changed from CLI. ");
  await lab.ask("set server b/s2 agent down");
  say(lab, "b/s2", UP);
  expect((await stat(lab, "b/s2"))["status"]).toBe("no check");
});

describe("where it is and what it is sent", () => {
  test("address, port and text are changed, and the thread is told", async () => {
    const lab = await makeLab();
    expect(await lab.ask("set server b/s1 agent-addr ::1 port 7")).toBe("");
    expect(agentOf(lab, "b/s1")).toMatchObject({ address: { host: "::1" }, port: 7, send: "hi" });
    expect(await lab.ask("set server b/s1 agent-addr localhost")).toBe("");
    expect(["127.0.0.1", "::1"]).toContain((agentOf(lab, "b/s1").address as { host: string }).host);
    expect(await lab.ask("set server b/s1 agent-port 8")).toBe("");
    expect(await lab.ask("set server b/s1 agent-send bye")).toBe("");
    expect(agentOf(lab, "b/s1")).toMatchObject({ port: 8, send: "bye" });
    expect(await lab.ask("set server b/s1 agent-send")).toBe("");
    expect(agentOf(lab, "b/s1").send).toBe("");
    const jobs = lab.orders.flatMap((order) => (order.type === "replace" ? [order.job] : []));
    const agents = jobs.filter(({ program }) => program.kind === "agent");
    expect(agents.at(-1)?.program).toEqual({ kind: "agent", send: "" });
    expect(agents.at(-1)?.target.address).toMatchObject({ port: 8 });
    expect(await stateLine(lab, "s1")).toEndWith(" 8");
  });

  const refused: readonly (readonly [line: string, answer: string])[] = [
    [
      "agent-addr",
      "BAD_ARGUMENT: set server <b>/<s> agent-addr requires an address and optionally a port.",
    ],
    ["agent-addr 127.0.0.1 foo", "BAD_ARGUMENT: Unknown argument 'foo': 'port' is expected."],
    ["agent-addr 127.0.0.1 port x", "BAD_ARGUMENT: provided port is not an integer"],
    ["agent-addr nohost.invalid", "SYSTEM: invalid addr 'nohost.invalid'"],
    ["agent-addr a,b", "BAD_ARGUMENT: invalid addr 'a,b'"],
    ["agent-port", "BAD_ARGUMENT: set server <b>/<s> agent-port requires a port."],
    ["agent-port abc", "BAD_ARGUMENT: provided port is not an integer"],
    ["agent-port 99999", "BAD_ARGUMENT: provided port is invalid"],
    ["agent-port 0", "BAD_ARGUMENT: provided port is invalid"],
    ["agent-send a b", "BAD_ARGUMENT: Too many arguments: 'b' is not expected."],
    ["agent sideways", "BAD_ARGUMENT: 'set server <srv> agent' expects 'up' or 'down'."],
  ];
  for (const [words, answer] of refused) {
    test(`refused: ${words}`, async () => {
      const lab = await makeLab();
      const before = lab.snapshot();
      expect(await lab.ask(`set server b/s1 ${words}`)).toBe(answer);
      expect(lab.snapshot()).toEqual(before);
    });
  }
});

test("events: results that move something, and what an agent orders", async () => {
  const lab = await makeLab();
  observersOf(lab.control);
  const refused: CheckResult = { code: "L4CON", info: "Connection refused" };
  const progress = { counted: 2, needed: 3 };
  lab.hear("b/s1", { result: refused, isUp: true, health: 3, ...progress });
  lab.hear("b/s1", { result: refused, isUp: true, health: 3, hasMoved: false, ...progress });
  say(lab, "b/s2", DOWN);
  const orders = { admin: "drain", weight: { percent: 75 }, maxconn: 7 } as const;
  for (let i = 0; i < 2; i++) say(lab, "b/s2", { ...PLAIN, orders });
  say(lab, "b/s2", UP);
  await lab.ask("disable health b/s1");
  await lab.ask("disable agent b/s1");
  const lines = (await text(lab, "show events buf0")).trim().split("\n");
  const said = lines.map((line) => line.replace(/^\S+ /u, ""));
  expect(said).toEqual([
    'server-check b/s1 check failed L4CON "Connection refused" 2/3 UP',
    'server-check b/s2 agent failed L7STS/0 "via agent : down (lunch)" 1/1 DOWN',
    "server-health b/s2 down",
    "server-health b/s2 down",
    "server-changed b/s2 state drain",
    "server-changed b/s2 weight 0",
    "server-changed b/s2 maxconn 7",
    "server-check b/s2 agent answered CHECKED 1/1 UP",
    "agent-orders b/s2 drain weight 75% maxconn 7",
    "server-check b/s2 agent answered CHECKED 1/1 UP",
    'server-check b/s2 agent passed L7OK/0 "via agent : up" 1/1 UP',
    "agent-orders b/s2 nothing any more",
    "server-health b/s2 drain",
    "server-changed b/s1 checks disabled",
    "server-changed b/s1 agent disabled",
  ]);
});

test("what was changed of an agent is taken back", async () => {
  const lab = await makeLab();
  say(lab, "b/s2", UP);
  const entry = (): ReturnType<Draft["findServer"]> & object => {
    const draft = new Draft(lab.control.model);
    return draft.findServer(draft.backend("b"), "s2")!;
  };
  const health = prepareAgentHealth(lab.control, entry(), "down");
  const before = await stat(lab, "b/s2");
  await health.apply();
  expect((await stat(lab, "b/s2"))["status"]).toBe("DOWN (agent)");
  await health.undo?.();
  expect(await stat(lab, "b/s2")).toMatchObject({
    status: before["status"]!,
    agent_health: before["agent_health"]!,
  });
  const send = prepareAgentSend(lab.control, entry(), "other");
  await send.apply();
  await send.undo?.();
  expect(agentOf(lab, "b/s2").send).toBe("");
});
