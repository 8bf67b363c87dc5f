/** The list of errors: complete, raised, provoked, documented. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { errorsPage } from "../../../scripts/errors-page.ts";
import { errorRemedy, ERRORS, errorText, SluiceError } from "../../../src/base/errors.ts";
import type { ErrorRow } from "../../../src/base/errors.ts";
import { sourcesIn } from "../../support/source.ts";

const rows: [string, ErrorRow][] = Object.entries(ERRORS);

/** What no test can bring about from outside. */
const UNPROVOKED = new Set([
  "SLC_BACKGROUND",
  "SLC_UNEXPECTED",
  "SLC_INTERNAL",
  "SLC_WORKER_BEHIND",
]);

function codesIn(folder: string, left: string): Set<string> {
  const texts = sourcesIn(folder).filter(({ path }) => path !== left);
  return new Set(texts.flatMap(({ text }) => text.match(/\bSLC_[A-Z_]+\b/g) ?? []));
}

test("each error is raised somewhere, and provoked by a test", () => {
  const raised = codesIn("src", "src/base/errors.ts");
  const provoked = codesIn("test", "test/unit/base/errors.test.ts");
  const codes = rows.map(([code]) => code);
  expect(codes.filter((code) => !raised.has(code))).toEqual([]);
  expect(codes.filter((code) => !provoked.has(code) && !UNPROVOKED.has(code))).toEqual([]);
  expect([...raised, ...provoked].filter((code) => !codes.includes(code))).toEqual([]);
});

test("sentences and remedies are sentences", () => {
  for (const [code, { sentence, remedy }] of rows) {
    expect(code).toMatch(/^SLC(?:_[A-Z]+)+$/);
    expect(sentence.length).toBeGreaterThan(10);
    expect(remedy).toMatch(/^[A-Z].*\.$/);
  }
});

describe("texts", () => {
  test("ours end in their code", () => {
    const text = errorText("SLC_TABLE_FULL", { table: "server", rows: 7 });
    expect(text).toBe(
      "The server table is full: it holds 7 rows (see docs/limits.md). [SLC_TABLE_FULL]",
    );
  });
  test("HAProxy's stay as they are, and every hole of a name is filled", () => {
    const error = new SluiceError("SLC_DESCRIPTOR_LIMIT", { limit: 3, maxconn: 1, needed: 9 });
    expect(error.code).toBe("SLC_DESCRIPTOR_LIMIT");
    expect(error.message).toBe(
      "[sluice.main()] FD limit (3) too low for maxconn=1/maxsock=9. " +
        "Please raise 'ulimit-n' to 9 or more to avoid any trouble.",
    );
  });
  test("what a remedy begins with", () => {
    expect(errorRemedy("SLC_PID_FILE")).toStartWith("SLC_PID_FILE: The folder ");
  });
});

test("docs/errors.md is what scripts/generate-docs.ts makes of them", () => {
  const written = readFileSync(join(import.meta.dir, "../../../docs/errors.md"), "utf8");
  expect(written).toBe(errorsPage());
});
