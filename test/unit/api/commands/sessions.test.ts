/** `show sess` and `shutdown session…`: words, lines, filters, silent workers, stale ids. */
import { describe, expect, test } from "bun:test";

import { SESSION_COMMANDS } from "../../../../src/api/commands/sessions.ts";
import { ASK_STREAMS_MAX } from "../../../../src/base/limits.ts";
import type { Control } from "../../../../src/control/control.ts";
import type { SimClient } from "../../../sim/far.ts";
import { PLAIN_PROXY, PLAIN_SERVER, Rig } from "../../../sim/rig.ts";
import { adminAsker, rigControl, RigPool, runLine } from "../../../support/rig-control.ts";

type Setup = { rig: Rig; pool: RigPool; control: Control; run(line: string): Promise<string> };

const timeouts = { ...PLAIN_PROXY.timeouts, client: 50_000, server: 40_000, queue: 5000 };

function make(options: ConstructorParameters<typeof Rig>[0] = {}): Setup {
  const rig = new Rig({ proxies: [{ ...PLAIN_PROXY, timeouts }], ...options });
  const pool = new RigPool(rig);
  const control = rigControl(rig, pool);
  return { rig, pool, control, run: (line) => runLine(control, SESSION_COMMANDS, line) };
}

function connected(rig: Rig, count: number, worker = 1): SimClient[] {
  return Array.from({ length: count }, () => {
    const client = rig.connect({ worker });
    rig.answer(client);
    return client;
  });
}

const idsOf = (text: string): string[] => [...text.matchAll(/^(0x[0-9a-f]+):/gm)].map((m) => m[1]!);
const field = (text: string, name: string): string | undefined =>
  new RegExp(` ${name}=(\\S*)`).exec(text)?.[1];

describe("show sess", () => {
  test("is a line a stream in HAProxy's shape", async () => {
    const { rig, run } = make();
    rig.answer(rig.connect({ payload: 3 }));
    rig.wait(6500);
    const line = await run("show sess");
    expect(line.replace(/src=[0-9.]+:[0-9]+/, "src=X")).toMatch(
      new RegExp(
        "^0x1[0-9a-f]{14}: proto=tcpv4 src=X fe=p1 be=p1 srv=s1 ts=00 epoch=0 age=6s calls=0 " +
          "rate=0 cpu=0 lat=0 rq\\[f=000000h,i=0,an=00h,ax=\\] rp\\[f=000000h,i=0,an=00h,ax=\\] " +
          "scf=\\[8,0h,fd=1/-1,rex=43s,wex=\\] scb=\\[8,1h,fd=1/-1,rex=33s,wex=\\] exp=33s rc=0 " +
          "c_exp= worker=1 state=relay in=0 out=0 idle=6s\n$",
      ),
    );
  });

  test("shows who waits, without a server", async () => {
    const servers = [{ ...PLAIN_SERVER, maxconn: 1 }];
    const { rig, run } = make({ proxies: [{ ...PLAIN_PROXY, timeouts, servers }] });
    connected(rig, 1);
    rig.connect();
    rig.wait(1000);
    const [, line = ""] = (await run("show sess")).split("\n");
    expect(field(line, "srv")).toBe("<none>");
    expect(line).toContain("scb=[2,1h,fd=1/-1,rex=,wex=]");
    expect(field(line, "c_exp")).toBe("4s");
    const [id] = idsOf(line);
    expect(await run(`show sess ${id}`)).toContain("\n  queue: place=1 waited=1s\n");
  });

  test("by id: some lines of facts; an id that is stale finds nothing", async () => {
    const { rig, run } = make();
    const [client] = connected(rig, 1);
    const [id] = idsOf(await run("show sess"));
    const text = await run(`show sess ${id}`);
    expect(text).toStartWith(`${id}: [`);
    expect(text).toContain(
      "\n  frontend=p1 (id=1 mode=tcp), listener=? (id=1) addr=127.0.0.1:8000\n",
    );
    expect(text).toContain("\n  server=s1 (id=1)");
    expect(
      text
        .split("\n")
        .slice(1, -1)
        .every((line) => line.startsWith("  ")),
    ).toBe(true);
    rig.end(client!);
    rig.connect();
    expect(await run(`show sess ${id}`)).toBe("NO_SESSION: Session not found.");
    expect(await run("show sess 0x1234")).toBe("NO_SESSION: Session not found.");
  });

  test("all: the same lines for every stream", async () => {
    const { rig, run } = make({ workers: 2 });
    connected(rig, 2);
    connected(rig, 1, 2);
    const all = await run("show sess all");
    expect(idsOf(all)).toEqual(idsOf(await run("show sess")));
    expect(idsOf(all)).toHaveLength(3);
    expect(all.match(/^ {2}scb: state=EST/gm)).toHaveLength(3);
  });

  test("filters", async () => {
    const servers = [PLAIN_SERVER, PLAIN_SERVER];
    const { rig, run } = make({ proxies: [{ ...PLAIN_PROXY, timeouts, servers }] });
    connected(rig, 4);
    rig.wait(2500);
    connected(rig, 2);
    const count = async (words: string): Promise<number> =>
      idsOf(await run(`show sess ${words}`)).length;
    expect(await count("server p1/s1")).toBe(3);
    expect(await count("server p1/#2")).toBe(3);
    expect(await count("backend p1")).toBe(6);
    expect(await count("frontend p1")).toBe(6);
    expect(await count("older 2")).toBe(4);
    expect(await count("older 1500ms server p1/s1")).toBe(2);
    // Fractions of a second are rounded up, as in HAProxy.
    expect(await count("older 2400ms")).toBe(0);
    expect(await count("older 1h")).toBe(0);
    expect(await count("show-uri")).toBe(6);
    expect(await count("susp")).toBe(0);
    expect(await count("all susp older 1s")).toBe(0);
  });

  test("susp says what is wrong", async () => {
    const { rig, run } = make({ proxies: [PLAIN_PROXY] });
    connected(rig, 1);
    expect(await run("show sess susp")).toEndWith(' susp="no time limit"\n');
  });

  test.each([
    ["older", "Expects a minimum age (in seconds by default)."],
    ["older x", "Invalid age."],
    ["server", "Missing server name (<backend>/<server>)."],
    ["server p1", "Require 'backend/server'."],
    ["server p1/x", "No such server."],
    ["server x/s1", "No such backend."],
    ["backend", "Missing backend name."],
    ["backend x", "No such backend."],
    ["frontend", "Missing frontend name."],
    ["frontend x", "No such frontend."],
    ["backend p1 frontend p1", "Only one of backend, frontend or server may be set."],
    ["zzz", "Unsupported option 'zzz', try 'help' for more info."],
    ["all zzz", "Unsupported option 'zzz', try 'help' for more info."],
  ])("refuses %p", async (words, sentence) => {
    const { run } = make();
    expect((await run(`show sess ${words}`)).replace(/^[A-Z_]+: /, "")).toBe(sentence);
  });

  test("help tells the words", async () => {
    const text = await make().run("show sess help");
    for (const word of ["older <age>", "susp", "server <b/s>", "backend <b>", "frontend <f>"]) {
      expect(text).toContain(word);
    }
  });

  test("is asked for page by page, as it is read", async () => {
    const { rig, pool, control } = make();
    connected(rig, ASK_STREAMS_MAX + 44);
    const [showSess] = SESSION_COMMANDS;
    if (showSess === undefined || !("run" in showSess)) throw new Error("no command");
    const asker = adminAsker();
    const call = { control, asker, words: [], args: [], isJson: false } as never;
    const reply = await showSess.run(call);
    if (reply.kind !== "pieces") throw new Error("another answer");
    const iterator = (reply.pieces as AsyncIterable<string>)[Symbol.asyncIterator]();
    expect(pool.asked).toHaveLength(0);
    const { value } = await iterator.next();
    expect(idsOf(value as string)).toHaveLength(ASK_STREAMS_MAX);
    expect(pool.asked).toHaveLength(1);
    rig.wait(10);
    connected(rig, 20);
    const second = await iterator.next();
    expect(idsOf(second.value as string)).toHaveLength(44);
    expect((await iterator.next()).done).toBe(true);
  });

  test("a worker that is silent is named, and the others' streams are there", async () => {
    const { rig, pool, run } = make({ workers: 3 });
    for (const worker of [1, 2, 3]) connected(rig, 1, worker);
    const [id] = idsOf(await run("show sess"));
    pool.silent.add(1);
    pool.gone.add(2);
    const text = await run("show sess");
    expect(text).toStartWith("# Worker 1 did not answer in time: its streams are not listed.\n0x3");
    expect(idsOf(text)).toHaveLength(1);
    expect(await run(`show sess ${id}`)).toBe("TIMEOUT: Worker 1 did not answer in time.");
  });

  test("as JSON", async () => {
    const { rig, pool, control } = make({ workers: 2 });
    connected(rig, 2);
    pool.silent.add(2);
    const text = await runLine(control, SESSION_COMMANDS, "show sess", adminAsker(), true);
    const read = JSON.parse(text) as {
      streams: Record<string, unknown>[];
      silentWorkers: number[];
    };
    expect(read.silentWorkers).toEqual([2]);
    expect(read.streams).toHaveLength(2);
    expect(read.streams[0]).toMatchObject({ frontend: "p1", server: "s1", state: "relay" });
    pool.silent.add(1);
    const none = await runLine(control, SESSION_COMMANDS, "show sess", adminAsker(), true);
    expect(JSON.parse(none)).toEqual({ streams: [], silentWorkers: [1, 2] });
  });

  test("names and addresses are hidden from whoever wants no names", async () => {
    const { rig, control } = make();
    connected(rig, 1);
    const asker = { ...adminAsker(), anonymKey: 42 };
    for (const line of ["show sess", "show sess all"]) {
      const text = await runLine(control, SESSION_COMMANDS, line, asker);
      expect(text).not.toMatch(/p1|s1\b|127\.0\.0\.1/);
    }
  });
});

describe("shutdown", () => {
  test("session: the one that is named, once", async () => {
    const { rig, run } = make();
    const clients = connected(rig, 2);
    const [first] = idsOf(await run("show sess"));
    expect(await run(`shutdown session ${first}`)).toBe("");
    expect(clients.map((client) => client.outcome?.termination)).toEqual(["K-", undefined]);
    const missing = "NO_SESSION: No such session (use 'show sess').";
    expect(await run(`shutdown session ${first}`)).toBe(missing);
    expect(await run("shutdown session 0x12")).toBe(missing);
  });

  test.each(["", " zzz", " 0"])("session%s is refused", async (words) => {
    expect(await make().run(`shutdown session${words}`)).toBe(
      "BAD_ARGUMENT: Session pointer expected (use 'show sess').",
    );
  });

  test("sessions server and sessions backend: all of them, on all workers", async () => {
    const servers = [PLAIN_SERVER, PLAIN_SERVER];
    const { rig, control, run } = make({
      workers: 2,
      proxies: [{ ...PLAIN_PROXY, timeouts, servers }],
    });
    connected(rig, 4, 1);
    connected(rig, 4, 2);
    const line = "shutdown sessions server p1/s1";
    expect(await runLine(control, SESSION_COMMANDS, line, adminAsker(), true)).toBe('{"ended":4}');
    expect(idsOf(await run("show sess server p1/s2"))).toHaveLength(4);
    expect(await run("shutdown sessions backend p1")).toBe("");
    expect(await run("show sess")).toBe("");
  });

  test.each([
    ["server", "Require 'backend/server'."],
    ["server p1", "Require 'backend/server'."],
    ["server p1/x", "No such server."],
    ["server x/s1", "No such backend."],
    ["backend x", "No such backend."],
    ["backend", "A backend name is expected."],
  ])("sessions %s is refused", async (words, sentence) => {
    const text = await make().run(`shutdown sessions ${words}`);
    expect(text.replace(/^[A-Z_]+: /, "")).toBe(sentence);
  });

  test("names the workers that did not answer", async () => {
    const { rig, pool, run } = make({ workers: 3 });
    for (const worker of [1, 2, 3]) connected(rig, 2, worker);
    const [id] = idsOf(await run("show sess"));
    pool.silent.add(1);
    expect(await run("shutdown sessions backend p1")).toBe(
      "TIMEOUT: Worker 1 did not answer in time: 4 streams of the others were shut down.",
    );
    expect(await run(`shutdown session ${id}`)).toBe("TIMEOUT: Worker 1 did not answer in time.");
    pool.silent.add(2);
    expect(await run("shutdown sessions backend p1")).toStartWith("TIMEOUT: Workers 1, 2 did not");
  });
});
