/** `show dev`, `show libs`, `show fd`, `show threads`, `show errors` of a process with workers. */
import { describe, expect, test } from "bun:test";

import { MACHINE_COMMANDS } from "../../../../src/api/commands/machine.ts";
import { OBSERVE_COMMANDS } from "../../../../src/api/commands/observe.ts";
import { PROCESS_COMMANDS } from "../../../../src/api/commands/process.ts";
import type { Control } from "../../../../src/control/control.ts";
import { Events } from "../../../../src/control/events.ts";
import { RecordContext } from "../../../../src/control/logs/record-context.ts";
import { observersOf } from "../../../../src/control/stats/observers.ts";
import { LOG_KIND_SESSION_ERROR } from "../../../../src/tables/generated/enums.ts";
import * as log from "../../../../src/tables/generated/stream-log.ts";
import { CONN_PRX_NOT_HDR } from "../../../../src/wire/connection-error.ts";
import { Rig } from "../../../sim/rig.ts";
import { rigControl, RigPool, runLine } from "../../../support/rig-control.ts";

const COMMANDS = [...MACHINE_COMMANDS, ...OBSERVE_COMMANDS, ...PROCESS_COMMANDS];

type Setup = { rig: Rig; pool: RigPool; control: Control; say(line: string): Promise<string> };

function make(workers = 1): Setup {
  const rig = new Rig({ workers });
  const pool = new RigPool(rig);
  const global = { chroot: undefined };
  const control = Object.assign(rigControl(rig, pool), {
    hub: {},
    events: new Events(),
    plan: { global },
    startedAtMs: 0,
    startedEpochMs: 0,
  }) as unknown as Control;
  return { rig, pool, control, say: (line) => runLine(control, COMMANDS, line) };
}

describe("the machine", () => {
  test("show dev names platform and process", async () => {
    const { say } = make();
    const text = await say("show dev");
    expect(text).toContain("Platform info\n");
    expect(text).toMatch(/^ {2}OS name: Linux$/m);
    expect(text).toMatch(new RegExp(`^  pid: ${process.pid}$`, "m"));
  });

  test("show libs lists what is mapped to be run", async () => {
    const { say } = make();
    const lines = (await say("show libs")).trimEnd().split("\n");
    for (const line of lines) expect(line).toMatch(/^0x\w{16}-0x\w{16} \(0x\w{7,}\) \//);
    expect(lines.some((line) => line.includes("libc"))).toBe(true);
  });
});

describe("show fd", () => {
  test("lists open descriptors, chosen by number or kind", async () => {
    const { say } = make();
    const all = await say("show fd");
    expect(all).toMatch(/^ {6}0 : type=\w+ owner=process file=/m);
    expect(await say("show fd 0")).toMatch(/^ {6}0 : [^\n]*\n$/);
    expect(await say("show fd 1/0")).toBe(await say("show fd 0"));
    expect(await say("show fd c")).toBe("");
    expect((await say("show fd -p")).split("\n").length).toBeLessThanOrEqual(
      all.split("\n").length,
    );
    expect(await say("show fd x9")).toStartWith("BAD_ARGUMENT: ");
  });

  test("says when a worker does not tell its own", async () => {
    const { pool, say } = make();
    pool.silent.add(1);
    expect(await say("show fd")).toContain("# worker 1 does not answer");
  });
});

describe("show threads", () => {
  test("marks a worker that does not answer", async () => {
    const { pool, say } = make(2);
    pool.silent.add(2);
    const text = await say("show threads");
    expect(text).toMatch(/^ {2}Thread 1 : state=running .*\n.*answered in/);
    expect(text).toMatch(/^> Thread 2 : .*\n.*\(no answer\)$/m);
  });
});

describe("show errors", () => {
  test("remembers who broke the protocol, where and how", async () => {
    const { rig, control, say } = make();
    const { errors } = observersOf(control);
    const [proxy] = control.model.proxies;
    const words = new Int32Array(log.STREAM_LOG_STRIDE);
    words[log.STREAM_LOG_KIND] = LOG_KIND_SESSION_ERROR;
    words[log.STREAM_LOG_FRONT_ROW] = proxy!.row;
    words[log.STREAM_LOG_FRONT_GENERATION] = proxy!.generation;
    words[log.STREAM_LOG_TERMINATION] = CONN_PRX_NOT_HDR;
    words[log.STREAM_LOG_CLIENT_FAMILY] = 4;
    words[log.STREAM_LOG_CLIENT_PORT] = 4711;
    words[log.STREAM_LOG_CLIENT_ADDRESS] = (192 << 24) | 9;
    const context = new RecordContext(control.model, rig.world.clock, () => 0);
    context.load({ words, floats: new Float64Array(words.buffer) } as never, 0);
    for (let i = 0; i < 20; i++) errors.add(context, 1e15);
    const text = await say("show errors");
    expect(text).toContain(" : 20\n");
    // The oldest have made room.
    expect(text).not.toContain("event #3,");
    expect(text).toContain("event #19, src 192.0.0.9:4711\n");
    expect(text).toContain("does not look like a PROXY protocol header\n");
    expect(await say(`show errors ${proxy!.spec.name} response`)).not.toContain("event #");
  });
});
