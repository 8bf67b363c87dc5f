/** The GUID index against a map, under real threads, and the proofs of its rules. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";

import {
  GUID_KIND_LISTENER,
  GUID_KIND_PROXY,
  GUID_KIND_SERVER,
} from "../../../src/tables/generated/enums.ts";
import { GuidIndex, guidProblem, isSingleThreaded } from "../../../src/tables/guid-index.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";
import { GUID_MUTANTS } from "./guid-mutants.ts";

function makeTables(servers = 4000): Tables {
  const rest = { proxies: 8, listeners: 8, queueEntries: 8, arenaWords: 64 };
  return new Tables(reserveTables({ workers: 2, servers, ...rest }));
}

const LONG = "x".repeat(127);

describe("one thread", () => {
  test("what was inserted is found by its text, until it is removed", () => {
    const tables = makeTables();
    const index = new GuidIndex(tables, 0);
    expect(index.find("web:1")).toBe(false);
    expect(index.insert("web:1", GUID_KIND_SERVER, 64, 7)).toBe(true);
    expect(index.insert("web-1", GUID_KIND_PROXY, 96, 2)).toBe(true);
    expect(index.insert(LONG, GUID_KIND_LISTENER, 32, 0)).toBe(true);
    expect(index.count).toBe(3);
    // A worker sees the same.
    const worker = new GuidIndex(tables, 2);
    expect(worker.find("web:1")).toBe(true);
    expect([worker.kind, worker.row, worker.generation]).toEqual([GUID_KIND_SERVER, 64, 7]);
    expect(worker.find(LONG)).toBe(true);
    expect([worker.kind, worker.row, worker.generation]).toEqual([GUID_KIND_LISTENER, 32, 0]);
    expect(worker.find("WEB:1")).toBe(false);
    expect(worker.find("web:11")).toBe(false);
    expect(index.remove("web:1", GUID_KIND_SERVER, 64)).toBe(true);
    expect(worker.find("web:1")).toBe(false);
    expect(worker.find("web-1")).toBe(true);
    expect(index.count).toBe(2);
  });

  test("a GUID is borne once, and taken from its bearer only", () => {
    const index = new GuidIndex(makeTables(), 0);
    expect(index.insert("a", GUID_KIND_SERVER, 64, 1)).toBe(true);
    expect(index.insert("a", GUID_KIND_PROXY, 96, 1)).toBe(false);
    expect(index.find("a")).toBe(true);
    expect(index.row).toBe(64);
    expect(index.remove("a", GUID_KIND_PROXY, 64)).toBe(false);
    expect(index.remove("a", GUID_KIND_SERVER, 128)).toBe(false);
    expect(index.remove("b", GUID_KIND_SERVER, 64)).toBe(false);
    expect(index.remove("a", GUID_KIND_SERVER, 64)).toBe(true);
    expect(index.insert("a", GUID_KIND_PROXY, 96, 1)).toBe(true);
  });

  test.each([
    ["", "empty string"],
    ["a b", "invalid character ' '"],
    ["a/b", "invalid character '/'"],
    ["é", "invalid character 'é'"],
    [`${LONG}x`, `'${LONG}x' too long`],
    [LONG, ""],
    ["AZaz09.:-_", ""],
  ])("'%s'", (guid, problem) => {
    expect(guidProblem(guid)).toBe(problem);
    if (problem === "") return;
    const index = new GuidIndex(makeTables(), 0);
    expect(index.insert(guid, GUID_KIND_SERVER, 64, 1)).toBe(false);
    expect(index.find(guid)).toBe(false);
  });

  test("thousands come and go in any order, as in a map", () => {
    const tables = makeTables();
    const index = new GuidIndex(tables, 0);
    const model = new Map<string, number>();
    let random = 1;
    const next = (below: number): number => {
      random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
      return (random >>> 12) % below;
    };
    const textUsedMax = (): number => tables.guids.words[tables.blocks.guidPlaces.head + 3]!;
    for (let round = 0; round < 40_000; round++) {
      // Fills up to most of what there is room for, empties, fills again.
      const isFilling = round % 20_000 < 12_000;
      const number = next(4000);
      const guid = number % 3 === 0 ? `${LONG.slice(0, 100)}${number}` : `n${number}`;
      const row = model.get(guid);
      if (row === undefined) {
        if (!isFilling && next(4) !== 0) continue;
        expect(index.insert(guid, GUID_KIND_SERVER, (number + 1) * 64, round)).toBe(true);
        model.set(guid, (number + 1) * 64);
      } else if (!isFilling || next(8) === 0) {
        expect(index.remove(guid, GUID_KIND_SERVER, row)).toBe(true);
        model.delete(guid);
      }
      if (round % 1000 !== 0) continue;
      expect(index.count).toBe(model.size);
      for (const [text, at] of model) {
        expect(index.find(text)).toBe(true);
        expect(index.row).toBe(at);
      }
    }
    // Cells are used again: never more than there were texts at once.
    expect(textUsedMax()).toBeLessThan(4000 * (128 + 32));
    for (const [text, at] of model) expect(index.remove(text, GUID_KIND_SERVER, at)).toBe(true);
    expect(index.count).toBe(0);
  });

  test("every object of the tables can bear one", () => {
    const index = new GuidIndex(makeTables(4000), 0);
    for (let i = 1; i <= 4016; i++) {
      expect(index.insert(`g${i}`, GUID_KIND_SERVER, i * 64, 1)).toBe(true);
    }
    for (let i = 1; i <= 4016; i++) {
      expect(index.find(`g${i}`)).toBe(true);
      expect(index.row).toBe(i * 64);
    }
  });

  test("a process is single-threaded until a worker is started", () => {
    expect(isSingleThreaded(makeTables())).toBe(true);
  });
});

function run(main: string, ...args: string[]): unknown {
  const child = Bun.spawnSync([process.execPath, join(import.meta.dir, main), ...args]);
  expect(child.stderr.toString()).toBe("");
  return JSON.parse(child.stdout.toString());
}

type Stress = {
  wrong: string[];
  operations: number;
  writes: number;
  lookups: number[];
  reads: number[];
  found: number[];
};

describe("real threads", () => {
  test("look-ups beside changes never see half an entry", () => {
    const result = run("guid-stress.ts", "-1", "2000") as Stress;
    expect(result.wrong).toEqual([]);
    expect(result.operations).toBeGreaterThan(100);
    expect(result.writes).toBe(result.operations);
    // A look-up that was not waited for is done again.
    result.reads.forEach((reads, thread) => {
      expect(reads).toBeGreaterThanOrEqual(result.lookups[thread]!);
    });
    expect(Math.min(...result.found)).toBeGreaterThan(0);
  }, 30_000);

  test.each([0, 1])(
    "they do where a lock is not taken (mutant %d)",
    (mutant) => {
      const result = run("guid-stress.ts", String(mutant), "3000") as Stress;
      expect(result.wrong.length).toBeGreaterThan(0);
    },
    30_000,
  );
});

describe("rules, and what breaks them", () => {
  const PROOFS = [
    "a look-up reads under the lock",
    "insertion, removal and growth write under the lock",
    "a reader that a writer did not wait for reads again",
    "a look-up of the preload asserts that no worker has been started",
  ] as const;
  const BROKEN: readonly (readonly string[])[] = [
    [PROOFS[0], PROOFS[2], PROOFS[3]],
    [PROOFS[1], PROOFS[2]],
    [PROOFS[2]],
    [PROOFS[3]],
  ];

  test("all hold", () => expect(run("guid-proofs.ts", "-1")).toEqual([]));

  GUID_MUTANTS.forEach(({ name }, mutant) => {
    test(name, () => {
      const failed = run("guid-proofs.ts", String(mutant)) as string[];
      // Whatever else fails with it: what the mutant is about does.
      expect(BROKEN[mutant]).toContain(failed[0]!);
      for (const one of failed) expect(BROKEN[mutant]).toContain(one);
    });
  });
});
