import { expect, test } from "bun:test";

import { LiveBoard } from "../../../src/page/live.ts";
import type { LiveQuestion } from "../../../src/page/live.ts";
import type { CellValue, ProxyHead } from "../../../src/page/shared/fields.ts";
import { ROW_AT, ROW_FIELDS } from "../../../src/page/shared/fields.ts";
import type { PageSource } from "../../../src/page/source.ts";

const question: LiveQuestion = {
  since: "",
  open: [],
  fresh: [],
  find: "",
  show: "",
  sees: () => true,
};

function headOf(id: number, serverCount: number): ProxyHead {
  const words = { mode: "tcp", algorithm: "roundrobin", description: "" };
  return { id, name: `be${id}`, hasFront: false, hasBack: true, serverCount, ...words };
}

class FakeSource implements PageSource {
  readonly sections = new Map<number, Map<string, CellValue[]>>();
  reads = 0;
  changes = 1;

  set(id: number, name: string, scur: number): void {
    const section = this.sections.get(id) ?? new Map<string, CellValue[]>();
    this.sections.set(id, section);
    if (!section.has(name)) this.changes++;
    const values: CellValue[] = ROW_FIELDS.map(() => null);
    values[ROW_AT.scur] = scur;
    section.set(name, values);
  }

  version(): number {
    return this.changes;
  }

  heads(): ProxyHead[] {
    return [...this.sections].map(([id, rows]) => headOf(id, rows.size));
  }

  head(id: number): ProxyHead | undefined {
    const rows = this.sections.get(id);
    return rows === undefined ? undefined : headOf(id, rows.size);
  }

  rows(id: number, from: number, count: number, sink: Parameters<PageSource["rows"]>[3]): void {
    this.reads++;
    const rows = [...(this.sections.get(id) ?? [])];
    rows.slice(from, from + count).forEach(([name, values], at) => {
      sink("server", from + at + 1, name, values);
    });
    if (from > 0) return;
    sink(
      "backend",
      0,
      "BACKEND",
      ROW_FIELDS.map(() => null),
    );
  }

  match(find: string): number[] {
    return [...this.sections.keys()].filter((id) => `be${id}`.includes(find));
  }

  facts(): ReturnType<PageSource["facts"]> {
    return {
      uptimeSeconds: 0,
      connections: 0,
      maxconn: 0,
      connectionRate: 0,
      sessionRate: 0,
      connectionsTotal: 0,
      bytesInTotal: 0,
      bytesOutTotal: 0,
      idlePercent: 100,
      stopping: false,
      serversUp: 0,
      serversDown: 0,
      serversOut: 0,
      serversUnchecked: 0,
    };
  }
}

function board(source: PageSource): { ask: LiveBoard["ask"]; pass: (ms: number) => void } {
  let now = 1000;
  const clock = { nowMs: () => now, epochMicros: () => now * 1000 };
  const made = new LiveBoard(source, clock, "e1", () => Promise.resolve());
  return { ask: (asked) => made.ask(asked), pass: (ms) => (now += ms) };
}

test("the first answer has all, the next only what changed", async () => {
  const source = new FakeSource();
  source.set(3, "s1", 1);
  source.set(3, "s2", 2);
  const { ask, pass } = board(source);
  const first = await ask({ ...question, fresh: [3] });
  expect(first.heads?.map(({ name }) => name)).toEqual(["be3"]);
  const rows = "rows" in first.open["3"]! ? first.open["3"].rows : [];
  expect(rows.map(([kind, id, name]) => `${kind} ${id} ${name}`)).toEqual([
    "server 1 s1",
    "server 2 s2",
    "backend 0 BACKEND",
  ]);
  pass(1000);
  source.set(3, "s2", 7);
  const second = await ask({ ...question, since: first.t, open: [3] });
  expect(second.heads).toBeUndefined();
  expect(second.open["3"]).toEqual({ cells: [1, ROW_AT.scur, 7] });
  pass(1000);
  const third = await ask({ ...question, since: second.t, open: [3] });
  expect(third.open["3"]).toEqual({ cells: [] });
});

test("a list of other rows comes whole", async () => {
  const source = new FakeSource();
  source.set(3, "s1", 1);
  const { ask, pass } = board(source);
  const first = await ask({ ...question, fresh: [3] });
  pass(1000);
  source.set(3, "s2", 1);
  const second = await ask({ ...question, since: first.t, open: [3] });
  expect(second.heads).toHaveLength(1);
  expect(second.open["3"]).toHaveProperty("rows");
});

test("askers at different moments lose nothing", async () => {
  const source = new FakeSource();
  for (let server = 0; server < 40; server++) source.set(3, `s${server}`, 0);
  const { ask, pass } = board(source);
  const askers = [0, 1, 2].map(() => ({ t: "", seen: new Map<number, CellValue>() }));
  let seed = 1;
  for (let turn = 0; turn < 300; turn++) {
    seed = (seed * 48_271) % 2_147_483_647;
    source.set(3, `s${seed % 40}`, turn);
    pass(seed % 700);
    const asker = askers[seed % 3]!;
    const asked = asker.t === "" ? { fresh: [3] } : { open: [3], since: asker.t };
    const answer = await ask({ ...question, ...asked });
    asker.t = answer.t;
    const section = answer.open["3"]!;
    if ("rows" in section) {
      section.rows.forEach((row, at) => asker.seen.set(at, row[3 + ROW_AT.scur] ?? null));
    } else {
      for (let at = 0; at < section.cells.length; at += 3) {
        expect(section.cells[at + 1]).toBe(ROW_AT.scur);
        asker.seen.set(Number(section.cells[at]), section.cells[at + 2] ?? null);
      }
    }
  }
  pass(1000);
  for (const asker of askers) {
    const answer = await ask({ ...question, since: asker.t, open: [3] });
    const section = answer.open["3"]!;
    const cells = "cells" in section ? section.cells : [];
    for (let at = 0; at < cells.length; at += 3) {
      asker.seen.set(Number(cells[at]), cells[at + 2] ?? null);
    }
    [...source.sections.get(3)!.values()].forEach((values, at) => {
      expect(asker.seen.get(at)).toBe(values[ROW_AT.scur]!);
    });
  }
});

test("who looks at the same moment reads once", async () => {
  const source = new FakeSource();
  source.set(3, "s1", 1);
  const { ask } = board(source);
  await Promise.all([1, 2, 3].map(() => ask({ ...question, fresh: [3] })));
  await ask({ ...question, fresh: [3] });
  expect(source.reads).toBe(1);
});

test("long sections are read in slices, and come whole", async () => {
  const source = new FakeSource();
  for (let server = 0; server < 600; server++) source.set(3, `s${server}`, 0);
  const { ask } = board(source);
  const { open } = await ask({ ...question, fresh: [3] });
  expect(source.reads).toBe(3);
  expect("rows" in open["3"]! ? open["3"].rows.length : 0).toBe(601);
});

test("what is out of scope, gone, or of another process is not told", async () => {
  const source = new FakeSource();
  source.set(3, "s1", 1);
  source.set(4, "s1", 1);
  const { ask } = board(source);
  const sees = ({ id }: ProxyHead): boolean => id === 4;
  const answer = await ask({ ...question, fresh: [3, 4, 99], sees });
  expect(Object.keys(answer.open)).toEqual(["4"]);
  expect(answer.heads?.map(({ id }) => id)).toEqual([4]);
  const foreign = await ask({ ...question, since: "other.999", open: [4] });
  expect(foreign.open["4"]).toHaveProperty("rows");
  expect(foreign.heads).toHaveLength(2);
});

test("a filter says which sections it leaves", async () => {
  const source = new FakeSource();
  source.set(3, "s1", 1);
  source.set(4, "s1", 1);
  const { ask } = board(source);
  expect((await ask({ ...question, find: "be4" })).found).toEqual([4]);
  expect((await ask(question)).found).toBeUndefined();
});
