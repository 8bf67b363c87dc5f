/**
 * Broken configurations: the loader never throws, answers in time, and every error has a file, a
 * line and a word. First the corpus as it is, then mangled. `SLUICE_FUZZ_SEED` repeats a run.
 */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { checkCondition } from "../../src/config/condition.ts";
import type { LoadResult } from "../../src/config/load.ts";
import { formatMessages } from "../../src/config/message.ts";
import { loadText } from "../unit/config/load-text.ts";
import { mutateText, seededRandom } from "./mutate.ts";

const folder = join(import.meta.dir, "corpus/config");
const corpus = readdirSync(folder)
  .filter((name) => name.endsWith(".cfg"))
  .toSorted()
  .map((name) => ({ name, text: readFileSync(join(folder, name), "latin1") }));

const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);
const ROUNDS = 4_000;
const CONDITIONS = 20_000;
const ALPHABET = "\"'\\ \t\n\r#${}[]*-.,:;/@%()!|&<>=0159aAzZ\0\x7fé";

/** Loads as users do, and as `--skip-coming` does. */
async function load(text: string, skipComing: boolean): Promise<LoadResult> {
  return await loadText(text, { skipComing, environment: { HOME: "/root", LIST: "a b c" } });
}

/** What must hold for any input. */
function checkMessages(text: string, result: LoadResult): void {
  const lineCount = text.split("\n").length;
  const alerts = result.messages.filter(({ severity }) => severity === "alert");
  expect(result.plan === null).toBe(alerts.length > 0);
  for (const message of result.messages) {
    expect(message.text.length).toBeGreaterThan(10);
    expect(message.text).not.toContain("undefined");
    if (message.severity !== "alert") continue;
    expect(message.file).toBe("t.cfg");
    expect(message.line).toBeGreaterThanOrEqual(1);
    expect(message.line).toBeLessThanOrEqual(lineCount);
    expect(message.text).toContain(`t.cfg:${message.line}]`);
  }
  expect(formatMessages(result.messages, 1).join("\n")).not.toMatch(/\bat .*\.ts:\d+/u);
}

/** Words of a line, as a reader of the message would look for them. */
function wordsOf(line: string): string[] {
  return line.split(/[\s"'\\]+/u).filter((word) => word !== "");
}

describe("corpus", () => {
  for (const { name, text } of corpus) {
    test(name, async () => {
      const result = await load(text, false);
      checkMessages(text, result);
      checkMessages(text, await load(text, true));
      const alerts = result.messages.filter(({ severity }) => severity === "alert");
      if (name === "valid.cfg") expect(result.messages).toEqual([]);
      else if (name.startsWith("valid-")) expect(alerts).toEqual([]);
      else expect(alerts.length).toBeGreaterThan(0);
      const lines = text.split("\n");
      for (const alert of alerts) {
        if (alert.text.includes("a NUL byte")) continue;
        const words = wordsOf(lines[(alert.line ?? 1) - 1] ?? "");
        const isNamed = words.some((word) => alert.text.includes(word));
        expect(isNamed ? "" : `${alert.text} (${words.join(" ")})`).toBe("");
      }
    });
  }
});

test("one broken line does not hide the next", async () => {
  const all = corpus.filter(({ name }) => name === "numbers.cfg");
  const result = await load(all.map(({ text }) => text).join(""), false);
  const lines = new Set(result.messages.map(({ line }) => line));
  expect(lines.size).toBeGreaterThanOrEqual(12);
});

test(`mangled files, seed ${seed}`, async () => {
  const random = seededRandom(seed);
  const texts = corpus.map(({ text }) => text).filter((text) => text.length < 3000);
  let loaded = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const text = mutateText(random, texts, ALPHABET);
    try {
      const result = await load(text, round % 2 === 1);
      checkMessages(text, result);
      if (result.plan !== null) loaded++;
    } catch (error) {
      throw new Error(`seed ${seed}, round ${round}: ${JSON.stringify(text)}`, { cause: error });
    }
  }
  expect(loaded).toBeGreaterThan(ROUNDS / 200);
});

test(`mangled conditions, seed ${seed}`, () => {
  const random = seededRandom(seed + 1);
  const seeds = [
    "1 && !0 || (defined(HOME))",
    "streq(\"$HOME\",'a b')",
    "version_atleast(3.5-dev5) && feature(OPENSSL)",
    "!(enabled(EPOLL) && strstr(abc,b))",
    "0x1f || -3",
  ];
  let answered = 0;
  for (let round = 0; round < CONDITIONS; round++) {
    const text = mutateText(random, seeds, ALPHABET);
    const result = checkCondition(text, (name) => (name === "HOME" ? "/root" : undefined));
    if (result.ok) answered++;
    else expect(result.message.length).toBeGreaterThan(5);
  }
  expect(answered).toBeGreaterThan(CONDITIONS / 100);
});
