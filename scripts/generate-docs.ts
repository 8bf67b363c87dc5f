/**
 * Writes docs/configuration.md and docs/environment.md from the tables of src/config,
 * docs/limits.md and docs/errors.md from src/base, and docs/runtime-api.md from src/api.
 * `bun scripts/generate-docs.ts` writes them; with `--check` it only compares, and fails on drift.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { configurationPage, environmentPage } from "../src/config/documents.ts";
import { errorsPage } from "./errors-page.ts";
import { limitsPage } from "./limits-page.ts";
import { runtimeApiPage } from "./runtime-api-page.ts";

const root = join(import.meta.dir, "..");
const pages = [
  { path: "docs/configuration.md", text: configurationPage() },
  { path: "docs/environment.md", text: environmentPage() },
  { path: "docs/limits.md", text: limitsPage() },
  { path: "docs/errors.md", text: errorsPage() },
  { path: "docs/runtime-api.md", text: runtimeApiPage() },
];

const isCheck = process.argv.includes("--check");
let stale = 0;
for (const { path, text } of pages) {
  const file = join(root, path);
  if (!isCheck) {
    writeFileSync(file, text);
    console.log(`wrote ${path}`);
  } else if (readOrEmpty(file) !== text) {
    console.error(`${path} differs from the tables: run bun scripts/generate-docs.ts`);
    stale++;
  }
}
if (stale > 0) process.exit(1);

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
