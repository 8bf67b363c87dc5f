/** The allocator of the arena against a list of blocks that are out. */
import { expect, test } from "bun:test";

import { Arena, blockWords } from "../../../src/balance/arena.ts";
import { Lb } from "../../../src/balance/lb.ts";
import { takeMemory } from "../../../src/balance/memory.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";
import { makeRandom } from "../../support/balancer-farm.ts";

test("blocks are aligned, disjoint, never at 0, and found again after they are freed", () => {
  const random = makeRandom(3);
  const arena = new Arena(100_000);
  const out: { base: number; words: number }[] = [];
  for (let step = 0; step < 4000; step++) {
    if (out.length > 0 && random() % 2 === 0) {
      const [block] = out.splice(random() % out.length, 1);
      arena.release(block!.base, block!.words);
      continue;
    }
    const words = 1 + (random() % 900);
    const base = arena.allocate(words);
    if (base === 0) continue;
    expect(base % 16).toBe(0);
    expect(base + words).toBeLessThanOrEqual(100_000);
    for (const other of out) {
      expect(base + words <= other.base || other.base + other.words <= base).toBe(true);
    }
    out.push({ base, words });
  }
  expect(arena.usedWords()).toBe(out.reduce((sum, { words }) => sum + blockWords(words), 0));
  for (const { base, words } of out) arena.release(base, words);
  expect(arena.usedWords()).toBe(0);
});

test("an exhausted arena says so, and serves again after a release", () => {
  const arena = new Arena(64);
  const first = arena.allocate(16);
  expect(first).toBe(16);
  expect(arena.allocate(32)).toBe(32);
  expect(arena.allocate(1)).toBe(0);
  arena.release(first, 16);
  expect(arena.allocate(3)).toBe(first);
});

test("a backend that needs more than there is is refused by name", () => {
  const sizes = { workers: 1, proxies: 2, listeners: 1, servers: 2, queueEntries: 1 };
  const tables = new Tables(reserveTables({ ...sizes, arenaWords: 64 }));
  const lb = new Lb(tables, 0, makeRandom(1));
  expect(() => takeMemory(lb, 1000)).toThrow("SLC_ARENA_FULL");
});
