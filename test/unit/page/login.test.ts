import { expect, test } from "bun:test";

import { Accounts, readBasic } from "../../../src/page/login.ts";

const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;
const accounts = new Accounts([
  { name: "admin", password: "AdMiN123" },
  { name: "ops", password: "a:b:c" },
  { name: "ünï", password: "" },
]);

test("each account is found by its own password only", () => {
  const rows: [string | undefined, string | undefined][] = [
    [basic("admin:AdMiN123"), "admin"],
    [basic("ops:a:b:c"), "ops"],
    [basic("ünï:"), "ünï"],
    [`basic   ${Buffer.from("ops:a:b:c").toString("base64")}  `, "ops"],
    [basic("admin:AdMiN12"), undefined],
    [basic("admin:"), undefined],
    [basic("Admin:AdMiN123"), undefined],
    [basic("ops:AdMiN123"), undefined],
    [basic("admin"), undefined],
    [basic(""), undefined],
    ["", undefined],
    [undefined, undefined],
    ["Basic", undefined],
    ["Basic !!!", undefined],
    ["Bearer abc", undefined],
    [`Basic ${"A".repeat(10_000)}`, undefined],
  ];
  for (const [header, name] of rows) expect(accounts.find(header)).toBe(name);
});

test("a page without accounts knows nobody", () => {
  const none = new Accounts([]);
  expect(none.isEmpty).toBe(true);
  expect(none.find(basic(":"))).toBeUndefined();
});

test("name and password are cut at the first colon", () => {
  expect(readBasic(basic("a:b:c"))).toEqual({ name: "a", password: "b:c" });
  expect(readBasic("Basic ?")).toBeUndefined();
});
