import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { generatePageAssets } from "../../../scripts/page-assets.ts";

test("script and style are what scripts/generate makes of their sources", async () => {
  for (const { path, content } of await generatePageAssets()) {
    const there = readFileSync(join(import.meta.dir, "../../..", path), "utf8");
    expect([path, there === content]).toEqual([path, true]);
  }
});

test("the script asks nobody else for anything", async () => {
  for (const { content } of await generatePageAssets()) {
    const addresses = [...content.matchAll(/https?:\/\/[^"'`\s)]+/g)].map(([text]) => text);
    expect(addresses.filter((text) => text !== "http://www.w3.org/2000/svg")).toEqual([]);
    expect(content).not.toMatch(/\beval\(|new Function|innerHTML|document\.write/);
  }
});
