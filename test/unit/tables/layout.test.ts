/** The layouts of shared memory: sound in themselves, and the same in TypeScript and in C. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { placeFields } from "../../../scripts/generate.ts";
import { ENUMS, LAYOUTS, LINE_WORDS } from "../../../src/tables/schema.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";

const ROOT = join(import.meta.dir, "../../..");
const GENERATED = join(ROOT, "src/tables/generated");
const compiler = Bun.which("cc") ?? Bun.which("gcc") ?? Bun.which("clang");

describe.each([...LAYOUTS])("$name", (layout) => {
  const { fields, stride } = placeFields(layout);

  test("no two fields overlap, none leaves the record", () => {
    let end = 0;
    for (const field of fields) {
      expect(field.offset).toBeGreaterThanOrEqual(end);
      end = field.offset + field.words;
    }
    expect(end).toBeLessThanOrEqual(stride);
  });

  test("floats are aligned, records keep them so", () => {
    for (const field of fields) if (field.type === "f64") expect(field.offset % 2).toBe(0);
    if (fields.some((field) => field.type === "f64")) expect(stride % 2).toBe(0);
  });

  test("what different threads write is on different lines", () => {
    const lines = new Map<number, string>();
    for (const { offset, words, writer } of fields) {
      for (let word = offset; word < offset + words; word++) {
        const line = Math.floor(word / LINE_WORDS);
        expect(lines.get(line) ?? writer).toBe(writer);
        lines.set(line, writer);
      }
    }
    if (layout.groups.length > 1) expect(stride % LINE_WORDS).toBe(0);
  });
});

test("values of a set are different, bits are bits", () => {
  for (const { name, flags, values } of ENUMS) {
    const numbers = values.map(([, value]) => value);
    expect([name, new Set(numbers).size]).toEqual([name, numbers.length]);
    if (flags) {
      for (const value of numbers) expect([name, value & (value - 1)]).toEqual([name, 0]);
    }
  }
});

/** All numbers that the generated modules export, by name. */
async function typescriptNumbers(): Promise<Map<string, number>> {
  const numbers = new Map<string, number>();
  for (const file of readdirSync(GENERATED)) {
    const names = (await import(join(GENERATED, file))) as Record<string, unknown>;
    for (const [name, value] of Object.entries(names)) {
      if (typeof value === "number") numbers.set(name, value);
    }
  }
  return numbers;
}

test.skipIf(compiler === null)(
  "C agrees with TypeScript on every number",
  async () => {
    const numbers = await typescriptNumbers();
    expect(numbers.size).toBeGreaterThan(200);
    const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
    try {
      const lines = [...numbers.keys()].map(
        (name) => `printf("%s %d\\n", "${name}", (int)${name});`,
      );
      const head = '#include <stdio.h>\n#include "tables.h"\nint main(void) {\n';
      const source = `${head}${lines.join("\n")}\nreturn 0;\n}\n`;
      writeFileSync(join(folder, "print.c"), source);
      const include = join(ROOT, "native/generated");
      const flags = ["-Wall", "-Werror", "-I", include, "-o", "print", "print.c"];
      const built = Bun.spawnSync([compiler!, ...flags], { cwd: folder });
      expect(built.stderr.toString()).toBe("");
      const printed = Bun.spawnSync([join(folder, "print")]).stdout.toString();
      const told = new Map(
        printed
          .trim()
          .split("\n")
          .map((line) => [line.split(" ")[0]!, Number(line.split(" ")[1])]),
      );
      expect(told).toEqual(numbers);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  60_000,
);

test("tables hold the rows that were asked for, and both views of them", () => {
  const sizes = { proxies: 3, listeners: 2, servers: 5, queueEntries: 4, arenaWords: 64 };
  const tables = new Tables(reserveTables({ workers: 2, ...sizes }));
  expect(tables.perWorker).toHaveLength(2);
  for (const table of [tables.proxies, tables.servers, tables.queue, tables.arena]) {
    expect(table.floats.length * 2).toBe(table.words.length);
    table.floats[0] = 1;
    expect(table.words[1]).toBe(0x3ff00000);
  }
});
