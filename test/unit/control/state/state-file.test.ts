/** What was changed at run time, in a process that begins again; what an edited file overrules. */
import { describe, expect, test } from "bun:test";

import { presetCounter } from "../../../../src/control/state/counters.ts";
import { Shards } from "../../../../src/control/stats/shards.ts";
import * as back from "../../../../src/tables/generated/back-count.ts";
import { PROXY_STATE_DISABLED, SERVER_STATE_UP } from "../../../../src/tables/generated/enums.ts";
import * as front from "../../../../src/tables/generated/front-count.ts";
import { PROCESS_MAXCONN } from "../../../../src/tables/generated/process.ts";
import { PROXY_STATE } from "../../../../src/tables/generated/proxy.ts";
import { SERVER_STATE, SERVER_THROTTLE } from "../../../../src/tables/generated/server.ts";
import { LAB_MAXCONN } from "../../../support/control-lab.ts";
import { begin, describeControl, fileOf } from "../../../support/state-lab.ts";
import type { StateLab } from "../../../support/state-lab.ts";
import { A } from "../../config/quic-texts.ts";

const NAME = `abns@sluice-state-${process.pid}`;
const CONFIG = `
global
  maxconn 500
defaults base
  mode tcp
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  default-server weight 7
frontend f from base
  guid fe:1
  bind ${NAME}-1 name one guid-prefix li
  bind ${NAME}-2 name two
  maxconn 100
  default_backend b
backend b from base
  guid be:1
  server s1 127.0.0.1:19901 check inter 200ms guid srv:1
  server s2 127.0.0.1:19902 weight 10
  server s3 127.0.0.1:19903 backup
  server s4 127.0.0.1:19904 disabled
  server s5 127.0.0.1:19905 maxconn 9
backend spare from base
  server x1 127.0.0.1:19911
  server x2 127.0.0.1:19912
`;

async function change(lab: StateLab, lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    const said = await lab.ask(line);
    lab.settle();
    if (/^[A-Z_]+: /u.test(said)) throw new Error(`${line}: ${said}`);
  }
}

/** One of everything that can be changed. */
const EVERYTHING = [
  "set weight b/s1 50",
  "set server b/s2 addr 127.0.0.2 port 8888",
  "set server b/s3 state drain",
  "set server b/s4 state ready",
  "set maxconn server b/s5 30",
  "disable server b/s5",
  "set server b/s5 name renamed",
  "set server b/s1 health down",
  "disable health b/s1",
  "add server b/dyn 127.0.0.9:1 weight 3 guid dyn:1 check inter 300ms",
  "enable server b/dyn",
  "add server b/s5 127.0.0.9:5",
  "set weight b/s5 9",
  "add backend made from base guid made:1",
  "add server made/m1 [::1]:80 send-proxy-v2 maxconn 4",
  "enable server made/m1",
  "set server made/m1 addr 127.0.0.3 port 81",
  "set server made/m1 state maint",
  "set server made/m1 name first",
  "publish backend made",
  `add frontend fdyn from base default_backend made maxconn 12`,
  `add bind fdyn ${NAME}-9 name nine`,
  "disable server spare/x1",
  "del server spare/x1",
  "disable server spare/x2",
  "del server spare/x2",
  "unpublish backend spare",
  "del backend spare",
  "del bind f/two",
  "set maxconn frontend f 77",
  "disable frontend f",
  "set maxconn global 123",
  "set rate-limit connections global 45",
  "set rate-limit sessions global 46",
  "set env STATE_TEST here",
];

/** What checks and agents have, of the configuration and made at run time. */
const CHECKED = `
mailers m
  mailer one 127.0.0.1:25
defaults base
  mode tcp
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  option tcp-check
  tcp-check send PING\\ \\n
  tcp-check expect string PONG comment "an answer"
  email-alert mailers m
  email-alert from a@x.test
  email-alert to b@x.test
frontend f
  mode tcp
  timeout client 1s
  bind ${NAME}-1
  default_backend b
backend b from base
  server s1 127.0.0.1:1 check agent-check agent-port 9 agent-inter 3s agent-send hi
  server s2 127.0.0.1:2 agent-check agent-port 9
  server s3 127.0.0.1:3 check agent-check agent-port 9
  server s4 127.0.0.1:4 check check-ssl verify none check-sni a.test crt /own.pem
`;

const CHANGED_CHECKS = [
  "set server b/s1 agent-addr 127.0.0.9 port 99",
  "set server b/s1 agent-send bye",
  "set server b/s1 check-addr 127.0.0.8 port 88",
  "disable agent b/s2",
  "set server b/s3 agent down",
  "disable health b/s4",
  "add backend made from base",
  "add server made/m1 127.0.0.1:5 check check-ssl verify none check-sni b.test crt /own.pem",
  "add server made/m2 127.0.0.1:6 agent-check agent-port 7 agent-addr 127.0.0.7 agent-send x",
  "enable agent made/m2",
  "enable server made/m2",
];

test("a server on its way up goes on from where it was", async () => {
  const config = CONFIG.replace("guid srv:1", "guid srv:1 slowstart 600s");
  const first = await begin(config);
  await change(first, ["set server b/s1 health down", "set server b/s1 health up"]);
  const server = first.server("b/s1");
  first.control.keeper.slowStart.begin(server, 150_000);
  const second = await begin(config, fileOf(first));
  const elapsedMs = second.control.keeper.slowStart.elapsedMs(second.server("b/s1")) ?? 0;
  expect(elapsedMs).toBeGreaterThanOrEqual(150_000);
  expect(elapsedMs).toBeLessThan(300_000);
  const { row } = second.server("b/s1");
  expect(second.control.tables.servers.words[row + SERVER_THROTTLE]).toBeGreaterThanOrEqual(25);
  // What was edited out is not brought back.
  const third = await begin(CONFIG, fileOf(first));
  expect(third.control.keeper.slowStart.count).toBe(0);
  for (const { control } of [first, second, third]) control.keeper.slowStart.stop();
});

test("a process that begins again has checks and agents as they were left", async () => {
  const machine = { files: { "/own.pem": A.chain + A.key } };
  const first = await begin(CHECKED, undefined, { machine });
  await change(first, CHANGED_CHECKS);
  const wanted = describeControl(first.control);
  const file = fileOf(first);
  // A key stays in its own file.
  expect(Buffer.from(file).toString("latin1")).not.toContain(A.key.split("\n")[1]!);
  const second = await begin(CHECKED, file, { machine });
  expect(second.leftOut).toEqual([]);
  expect(describeControl(second.control)).toEqual(wanted);
  expect(second.server("b/s1").spec.agent).toMatchObject({ port: 99, send: "bye" });
  expect(second.server("made/m1").spec.check.tls?.certificate?.key).toBe(A.key);
  expect(second.server("made/m1").backend.spec.checkProgram).toMatchObject({ kind: "tcp" });
  expect(second.server("made/m1").backend.spec.emailAlert).toMatchObject({ mailers: "m" });
  const { checks } = second.control;
  // Neither a check that passes nor an agent that is not asked may take it up.
  expect(checks.isAgentDown(second.server("b/s3"))).toBe(true);
  second.hear("b/s3", { result: { code: "L4OK" }, health: 4, isUp: true, hasChanged: true });
  expect(await second.ask("set server b/s3 health up")).toBe("");
  second.hear("b/s3", { result: { code: "L7OK" }, health: 1, isUp: true }, "agent");
  expect(checks.isAgentDown(second.server("b/s3"))).toBe(false);
  // An edited interval is the configuration's; the address that an operator set stays.
  const edited = CHECKED.replace("agent-inter 3s", "agent-inter 4s");
  const third = await begin(edited, file, { machine });
  expect(third.overruled).toEqual([]);
  expect(third.server("b/s1").spec.agent).toMatchObject({ intervalMs: 4000, port: 99 });
});

describe("a process that begins again", () => {
  test("has everything that was changed, twice over", async () => {
    const first = await begin(CONFIG);
    await change(first, EVERYTHING);
    const wanted = describeControl(first.control);
    const second = await begin(CONFIG, fileOf(first));
    expect(second.leftOut).toEqual([]);
    expect(second.overruled).toEqual([]);
    expect(describeControl(second.control)).toEqual(wanted);
    // The file of the second says the same: nothing wears off.
    const third = await begin(CONFIG, fileOf(second));
    expect(third.leftOut).toEqual([]);
    expect(describeControl(third.control)).toEqual(wanted);
  });

  test("goes on from there: dynamic objects take changes, GUIDs are taken, settings known", async () => {
    const first = await begin(CONFIG);
    await change(first, EVERYTHING);
    const second = await begin(CONFIG, fileOf(first));
    const refused = (line: string): Promise<string> => second.ask(line);
    expect(await refused("add server b/other 127.0.0.1:1 guid dyn:1")).toMatch(/^EXISTS/);
    expect(await refused("add server b/dyn 127.0.0.1:1")).toMatch(/^EXISTS/);
    await change(second, [
      "add server made/m2 127.0.0.1:1",
      "set server made/m2 state maint",
      "del server made/m2",
      "del server made/first",
      "unpublish backend made",
      "enable frontend f",
      "set server b/renamed state ready",
      "set weight b/s1 100%",
    ]);
    const third = await begin(CONFIG, fileOf(second));
    expect(describeControl(third.control)).toEqual(describeControl(second.control));
  });

  test("without changes begins as the configuration says", async () => {
    const first = await begin(CONFIG);
    const wanted = describeControl(first.control);
    const second = await begin(CONFIG, fileOf(first));
    expect(describeControl(second.control)).toEqual(wanted);
    const edited = CONFIG.replace("weight 10", "weight 11").replace("19903 backup", "19999");
    const third = await begin(edited, fileOf(first));
    expect(third.leftOut).toEqual([]);
    expect(describeControl(third.control)).toEqual(describeControl((await begin(edited)).control));
  });

  test("has its counters, of renamed, dynamic and deleted objects too", async () => {
    const first = await begin(CONFIG);
    await change(first, EVERYTHING);
    const { model, tables } = first.control;
    const f = model.frontends.get("f")!;
    const b = model.backends.get("b")!;
    const listener = f.listeners[0]!;
    const server = b.serversByName.get("renamed")!;
    const dynamic = b.serversByName.get("dyn")!;
    presetCounter(tables, { kind: "frontend", object: f }, front.FRONT_COUNT_SESSIONS, 11);
    presetCounter(tables, { kind: "listener", object: listener }, front.FRONT_COUNT_BYTES_IN, 12);
    presetCounter(tables, { kind: "backend", object: b }, back.BACK_COUNT_BYTES_OUT, 2 ** 52 + 1);
    presetCounter(tables, { kind: "server", object: server }, back.BACK_COUNT_RETRIES, 14);
    presetCounter(tables, { kind: "server", object: dynamic }, back.BACK_COUNT_PICKS, 15);
    presetCounter(tables, { kind: "server", object: dynamic }, back.BACK_COUNT_CURRENT, 3);
    const second = await begin(CONFIG, fileOf(first));
    const shards = new Shards(second.control.tables);
    const again = second.control.model;
    shards.readFrontend(again.frontends.get("f")!);
    expect(shards.front[front.FRONT_COUNT_SESSIONS >> 1]).toBe(11);
    shards.readListener(again.frontends.get("f")!.listeners[0]!);
    expect(shards.front[front.FRONT_COUNT_BYTES_IN >> 1]).toBe(12);
    shards.readBackend(again.backends.get("b")!);
    expect(shards.back[back.BACK_COUNT_BYTES_OUT >> 1]).toBe(2 ** 52 + 1);
    shards.readServer(again.backends.get("b")!.serversByName.get("renamed")!);
    expect(shards.back[back.BACK_COUNT_RETRIES >> 1]).toBe(14);
    shards.readServer(again.backends.get("b")!.serversByName.get("dyn")!);
    expect(shards.back[back.BACK_COUNT_PICKS >> 1]).toBe(15);
    // Nobody is connected to a process that begins.
    expect(shards.back[back.BACK_COUNT_CURRENT >> 1]).toBe(0);
  });

  test("may exchange the names of two servers", async () => {
    const first = await begin(CONFIG);
    await change(first, [
      "disable server b/s2",
      "disable server b/s3",
      "set server b/s2 name tmp",
      "set server b/s3 name s2",
      "set server b/tmp name s3",
    ]);
    const second = await begin(CONFIG, fileOf(first));
    expect(second.leftOut).toEqual([]);
    expect(second.server("b/s3").spec.address).toMatchObject({ port: 19902 });
    expect(second.server("b/s2").spec.address).toMatchObject({ port: 19903 });
  });

  // The deleted tracker in the file was taken for one that needs the other: that came back.
  test("without a deleted server that only a deleted one tracked", async () => {
    const config = CONFIG.replace("backup", "backup\n  server t1 127.0.0.1:19909 track s1");
    const first = await begin(config);
    await change(first, [
      "disable server b/t1",
      "del server b/t1",
      "disable server b/s1",
      "del server b/s1",
    ]);
    const second = await begin(config, fileOf(first));
    expect(second.overruled).toEqual([]);
    expect([...second.control.model.backends.get("b")!.serversByName.keys()]).toEqual([
      "s2",
      "s3",
      "s4",
      "s5",
    ]);
  });

  test("knows a server by its GUID where its name was edited", async () => {
    const first = await begin(CONFIG);
    await change(first, ["set weight b/s1 50"]);
    const edited = CONFIG.replace("server s1 ", "server other ");
    const second = await begin(edited, fileOf(first));
    expect(await second.ask("get weight b/other")).toBe("50 (initial 7)");
  });
});

describe("an edited configuration counts", () => {
  const edited = async (lines: readonly string[], from: string, to: string): Promise<StateLab> => {
    expect(CONFIG).toContain(from);
    const first = await begin(CONFIG);
    await change(first, lines);
    return await begin(CONFIG.replace(from, to), fileOf(first));
  };

  test("a weight", async () => {
    const lab = await edited(["set weight b/s2 50"], "weight 10", "weight 20");
    expect(await lab.ask("get weight b/s2")).toBe("20 (initial 20)");
    expect(lab.leftOut).toEqual([
      "server b/s2: the configuration has changed since in weight, and counts",
    ]);
  });

  test("an address; what else was changed stays", async () => {
    const lines = ["set server b/s2 addr 127.0.0.2 port 8888", "set weight b/s2 50"];
    const lab = await edited(lines, "127.0.0.1:19902", "127.0.0.1:19992");
    expect(lab.server("b/s2").spec.address).toMatchObject({ host: "127.0.0.1", port: 19992 });
    expect(await lab.ask("get weight b/s2")).toBe("50 (initial 10)");
    expect(lab.leftOut).toEqual([
      "server b/s2: the configuration has changed since in address, and counts",
    ]);
  });

  test("the health of another machine is not taken over", async () => {
    const lines = ["set server b/s1 health down"];
    const lab = await edited(lines, "127.0.0.1:19901", "127.0.0.1:19991");
    const { row } = lab.server("b/s1");
    expect(lab.control.tables.servers.words[row + SERVER_STATE]).toBe(SERVER_STATE_UP);
  });

  test("a deleted server whose line was edited is back", async () => {
    const lines = ["disable server b/s2", "del server b/s2"];
    const lab = await edited(lines, "weight 10", "weight 20");
    expect(lab.server("b/s2")).toBeDefined();
    expect(lab.overruled).toEqual([
      "server b/s2 was deleted, its line has changed since: it is back",
    ]);
    expect(lab.graves).toEqual([]);
  });

  test("a deleted server stays away where other lines were edited", async () => {
    const lines = ["disable server b/s2", "del server b/s2"];
    const lab = await edited(lines, "server s1 127", "server s0 127.0.0.1:1\n  server s1 127");
    expect(lab.server("b/s2")).toBeUndefined();
    expect(lab.server("b/s0")).toBeDefined();
  });

  test("a deleted server that a rule names now is back", async () => {
    const lines = ["disable server b/s2", "del server b/s2"];
    const rule = "guid be:1\n  use-server s2 if { src 192.0.2.1 }";
    const lab = await edited(lines, "guid be:1", rule);
    expect(lab.server("b/s2")).toBeDefined();
  });

  test("a deleted backend that a rule names now is back, and empty", async () => {
    const lines = [
      "disable server spare/x1",
      "del server spare/x1",
      "disable server spare/x2",
      "del server spare/x2",
      "unpublish backend spare",
      "del backend spare",
    ];
    const lab = await edited(lines, "default_backend b", "default_backend spare");
    expect(lab.control.model.backends.get("spare")?.servers).toEqual([]);
  });

  test("a server that is in the file now wins over the one that was added", async () => {
    const lines = ["add server b/dyn 127.0.0.9:1"];
    const own = "server s1 127.0.0.1:19901";
    const lab = await edited(lines, own, `server dyn 127.0.0.8:1\n  ${own}`);
    expect(lab.server("b/dyn").isDynamic).toBe(false);
    expect(lab.leftOut).toEqual(["server b/dyn: the configuration has one of this name now"]);
  });

  test("a GUID that is taken now leaves the added server out", async () => {
    const lines = ["add server b/dyn 127.0.0.9:1 guid g"];
    const lab = await edited(
      lines,
      "server s2 127.0.0.1:19902",
      "server s2 127.0.0.1:19902 guid g",
    );
    expect(lab.server("b/dyn")).toBeUndefined();
    expect(lab.leftOut).toEqual(["server b/dyn: 'guid' : duplicate entry with server b/s2"]);
  });

  test("an id that is taken now is given out anew", async () => {
    const lines = ["add server b/dyn 127.0.0.9:1 id 40"];
    const lab = await edited(lines, "weight 10", "weight 10 id 40");
    expect(lab.server("b/dyn").spec.id).toBe(2);
  });

  test("a backend that is gone takes its added servers along", async () => {
    const lines = ["add server spare/dyn 127.0.0.9:1"];
    const spare = CONFIG.slice(CONFIG.indexOf("backend spare"));
    const lab = await edited(lines, spare, "");
    expect(lab.leftOut).toEqual(["server spare/dyn: its backend is gone"]);
  });

  test("a defaults section that is gone: a backend made from it keeps what it had", async () => {
    const first = await begin(CONFIG);
    await change(first, ["add backend made from base", "add server made/m 127.0.0.1:1"]);
    const was = first.control.model.backends.get("made")!.spec;
    const second = await begin(CONFIG.replaceAll("base", "another"), fileOf(first));
    expect(second.leftOut).toEqual([]);
    const is = second.control.model.backends.get("made")!.spec;
    expect(is.timeouts).toEqual(was.timeouts);
    expect(is.balance).toEqual(was.balance);
    expect(await second.ask("add server made/n 127.0.0.1:2")).toBe("New server registered.");
  });

  test("a limit of the process", async () => {
    const lab = await edited(["set maxconn global 123"], "maxconn 500", "maxconn 400");
    expect(lab.control.tables.process.words[PROCESS_MAXCONN]).toBe(LAB_MAXCONN);
    expect(lab.leftOut).toEqual([
      "global: the configuration has changed since in maxconn, and counts",
    ]);
  });

  test("limits and states of servers and frontends", async () => {
    const words = ["set maxconn frontend f 77", "set server b/s4 state ready"];
    const lab = await edited(words, "maxconn 100", "maxconn 200");
    expect(lab.leftOut).toEqual([
      "proxy f: the configuration has changed since in maxconn, and counts",
    ]);
    const ready = await edited(words, " disabled", " disabled weight 3");
    expect(ready.leftOut).toEqual([]);
    const out = await edited(["disable server b/s2"], "weight 10", "weight 10 disabled");
    expect(out.leftOut).toEqual([
      "server b/s2: the configuration has changed since in disabled, and counts",
    ]);
  });

  test("a frontend that was paused and is disabled now", async () => {
    const lab = await edited(["disable frontend f"], "maxconn 100", "maxconn 100\n  disabled");
    expect(lab.leftOut).toEqual([
      "proxy f: the configuration has changed since in disabled, and counts",
    ]);
    const { row } = lab.control.model.frontends.get("f")!;
    expect(lab.control.tables.proxies.words[row + PROXY_STATE]).toBe(PROXY_STATE_DISABLED);
  });
});
