/** When the state file is written, and what is there at any moment. */
import { afterEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Refusal } from "../../../../src/base/refusals.ts";
import { Kept } from "../../../../src/control/state/kept.ts";
import { readState } from "../../../../src/control/state/read-state.ts";
import type { SavedState } from "../../../../src/control/state/records.ts";
import { StateSaver } from "../../../../src/control/state/saver.ts";
import { StatePlace } from "../../../../src/control/state/state-place.ts";
import { WORKER_BYTES_OUT, WORKER_STRIDE } from "../../../../src/tables/generated/worker.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";

const CONFIG = `
defaults
  mode tcp
  timeout connect 2s
  timeout client 10s
  timeout server 10s
listen l
  bind abns@sluice-saver-${process.pid}
  server s1 127.0.0.1:1
  server s2 127.0.0.1:2
`;

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

type Bench = {
  lab: ControlLab;
  place: StatePlace;
  saver: StateSaver;
  folder: string;
  path: string;
  said: string[];
  /** Delays of timers that are armed. */
  armed: number[];
  /** Lets the timer that is armed run, and what follows settle. */
  tick(): Promise<void>;
};

async function makeBench(intervalMs = 500, kept = new Kept()): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-state-"));
  folders.push(folder);
  const path = join(folder, "state");
  const place = new StatePlace(path);
  const lab = await makeControlLab(CONFIG);
  const said: string[] = [];
  const armed: number[] = [];
  let due: (() => void) | undefined;
  const saver = new StateSaver({
    place,
    intervalMs,
    graves: [],
    startTimer: (delayMs, run) => {
      armed.push(delayMs);
      due = run;
      return { stop: () => (due = undefined) };
    },
    nextTurn: (run) => void setImmediate(run),
    say: (severity, text) => void said.push(`${severity} ${text}`),
  });
  saver.start(lab.control, kept);
  const tick = async (): Promise<void> => {
    const count = armed.length;
    due?.();
    while (armed.length === count) await Bun.sleep(1);
  };
  return { lab, place, saver, folder, path, said, armed, tick };
}

function stateIn(path: string): SavedState {
  const read = readState(readFileSync(path));
  if (!read.ok) throw new Error(read.reason);
  return read.state;
}

describe("the saver", () => {
  test("writes soon after the start, then when something has changed", async () => {
    const { lab, saver, path, tick, folder, armed } = await makeBench();
    expect(saver.facts).toMatchObject({ isDirty: true, writes: 0, writtenEpochMs: 0 });
    await tick();
    expect(stateIn(path).servers).toEqual([]);
    expect(saver.facts).toMatchObject({ isDirty: false, writes: 1, failures: 0 });
    expect(saver.facts.bytes).toBe(statSync(path).size);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    // Nothing has changed: nothing is written.
    await tick();
    expect(saver.facts.writes).toBe(1);
    await lab.ask("set weight l/s1 9");
    expect(saver.facts.isDirty).toBe(true);
    await tick();
    expect(stateIn(path).servers).toMatchObject([{ name: "s1", weight: [1, 9] }]);
    expect(saver.facts).toMatchObject({ isDirty: false, writes: 2 });
    expect(readdirSync(folder)).toEqual(["state"]);
    // From look to look: what writing took is part of it.
    expect(armed.every((delayMs) => delayMs >= 0 && delayMs <= 500)).toBe(true);
  });

  test("writes when workers have counted on", async () => {
    const { lab, saver, tick } = await makeBench();
    await tick();
    lab.control.tables.workers.floats[(WORKER_STRIDE + WORKER_BYTES_OUT) >> 1]! += 5;
    expect(saver.facts.isDirty).toBe(true);
    await tick();
    expect(saver.facts).toMatchObject({ isDirty: false, writes: 2 });
  });

  test("remembers what the configuration had and somebody removed", async () => {
    const { lab, path, tick } = await makeBench();
    for (const line of ["disable server l/s1", "del server l/s1", "add server l/s1 127.0.0.1:3"]) {
      await lab.ask(line);
      lab.settle();
    }
    await tick();
    const { graves, servers } = stateIn(path);
    expect(graves).toMatchObject([{ kind: "server", backend: "l", spec: { name: "s1" } }]);
    expect(servers).toMatchObject([{ name: "s1", made: { address: { port: 3 } } }]);
  });

  test("writes on request, and a copy beside", async () => {
    const { lab, saver, path, folder } = await makeBench(0);
    await lab.ask("set weight l/s1 9");
    await saver.save("copy");
    expect(existsSync(path)).toBe(false);
    expect(saver.facts).toMatchObject({ isDirty: true, writes: 0 });
    expect(stateIn(join(folder, "copy")).servers.length).toBe(1);
    await Promise.all([saver.save(), saver.save()]);
    expect(stateIn(path).servers.length).toBe(1);
    expect(saver.facts).toMatchObject({ isDirty: false, writes: 2 });
  });

  test("with an interval of 0 writes at the end only", async () => {
    const { lab, saver, path, armed } = await makeBench(0);
    await lab.ask("set weight l/s1 9");
    expect(armed).toEqual([]);
    saver.close();
    expect(stateIn(path).servers.length).toBe(1);
  });

  test("at the end has the last word over a write under way", async () => {
    const { lab, saver, path, folder, tick } = await makeBench();
    await tick();
    await lab.ask("set weight l/s1 9");
    const writing = saver.save();
    await lab.ask("set weight l/s2 8");
    saver.close();
    await writing;
    expect(stateIn(path).servers.map(({ weight }) => weight)).toEqual([
      [1, 9],
      [1, 8],
    ]);
    expect(readdirSync(folder)).toEqual(["state"]);
    // It is closed: nothing is written any more.
    saver.close();
    expect(saver.facts.failures).toBe(0);
  });

  test("leaves the file of another process alone, unless it is told to write", async () => {
    const { lab, saver, path, said, tick } = await makeBench();
    await tick();
    const other = `${path}.other`;
    writeFileSync(other, readFileSync(path));
    renameSync(other, path);
    const before = statSync(path).ino;
    await lab.ask("set weight l/s1 9");
    await tick();
    await tick();
    expect(statSync(path).ino).toBe(before);
    expect(said).toEqual([
      `notice State file ${path} belongs to another process now: not written.`,
    ]);
    saver.close();
    expect(statSync(path).ino).toBe(before);
    const again = await makeBench();
    writeFileSync(again.path, "something else");
    await again.saver.save();
    expect(stateIn(again.path).servers).toEqual([]);
  });

  test("says once that it cannot write, and goes on trying", async () => {
    const { lab, saver, path, folder, said, tick } = await makeBench();
    rmSync(folder, { recursive: true });
    await tick();
    await tick();
    expect(said.length).toBe(1);
    expect(said[0]).toStartWith(`warning State file ${path} cannot be written: `);
    expect(saver.facts).toMatchObject({ isDirty: true, failures: 2, writes: 0 });
    expect(saver.facts.lastFailure).toContain("ENOENT");
    const refusal = await saver.save().catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(Refusal);
    mkdirSync(folder);
    await lab.ask("set weight l/s1 9");
    await tick();
    expect(saver.facts).toMatchObject({ isDirty: false, lastFailure: "" });
    expect(stateIn(path).servers.length).toBe(1);
    // What happens next is news again.
    rmSync(folder, { recursive: true });
    await lab.ask("set weight l/s1 10");
    await tick();
    expect(said.length).toBe(2);
  });
});

describe("the place", () => {
  // A pipe at its place held up the start for ever.
  test("reads regular files only", async () => {
    const { place, path } = await makeBench();
    expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
    expect(() => place.read()).toThrow("it is no regular file");
  });

  test("puts refused files aside, each under its own number", async () => {
    const { place, path, folder } = await makeBench();
    expect(place.read()).toBeUndefined();
    for (const text of ["one", "two"]) {
      writeFileSync(path, text);
      place.putAside();
    }
    expect(readdirSync(folder).toSorted()).toEqual(["state.rejected-1", "state.rejected-2"]);
    expect(readFileSync(join(folder, "state.rejected-2"), "utf8")).toBe("two");
  });

  test("removes what processes that are gone have left unfinished", async () => {
    const { place, folder } = await makeBench();
    const names = ["state.new-1", "state.last-2", "state.new-3", "state.rejected-1", "state.new-x"];
    for (const name of names) writeFileSync(join(folder, name), "");
    place.clean((pid) => pid === 3);
    expect(readdirSync(folder).toSorted()).toEqual([
      "state.new-3",
      "state.new-x",
      "state.rejected-1",
    ]);
  });

  test("has another name within a root, or none", () => {
    const inside = new StatePlace("/var/lib/sluice/state");
    expect(inside.enterRoot("/var/lib/sluice")).toBe(true);
    expect(inside.beside("x")).toBe("/x");
    expect(new StatePlace("/var/lib/sluice-state").enterRoot("/var/lib/sluice")).toBe(false);
  });
});

test("what was left out at the start is written each time, until it is made anew", async () => {
  const saved = { backend: "l", name: "gone", weight: [1, 2] } as const;
  const bench = await makeBench(500, new Kept([{ kind: "server", saved }]));
  const { lab, path } = bench;
  const kept = (): unknown[] => stateIn(path).servers.filter(({ name }) => name === "gone");
  await bench.tick();
  expect(kept()).toEqual([saved]);
  await lab.ask("set weight l/s1 50");
  await bench.tick();
  expect(kept()).toEqual([saved]);
  await lab.ask("add server l/gone 127.0.0.1:3");
  await bench.tick();
  expect(kept()).toHaveLength(1);
  expect(kept()).toMatchObject([{ made: { name: "gone" } }]);
  bench.saver.close();
});
