import { expect, test } from "bun:test";

import { parsePageOptions, writePageOptions } from "../../../src/page/options.ts";

test("options come behind the address in any order", () => {
  expect(parsePageOptions("").form).toBe("html");
  expect(parsePageOptions(";csv;norefresh")).toMatchObject({ form: "csv", isStill: true });
  expect(parsePageOptions("?;csv;scope=b1")).toMatchObject({ form: "csv", scope: "b1" });
  expect(parsePageOptions(";up;scope=web&x=1#top")).toMatchObject({ upOnly: true, scope: "web" });
  expect(parsePageOptions(";json-schema").form).toBe("json-schema");
  expect(parsePageOptions(";no-maint;typed")).toMatchObject({ form: "typed", noMaint: true });
  expect(parsePageOptions(";st=DONE").outcome).toBe("DONE");
  expect(parsePageOptions(";why=be%2Fs%201").about).toBe("be/s 1");
});

test("a live question names sections by number", () => {
  const options = parsePageOptions(";live;since=ab.7;open=3,4,4,x,-1;fresh=5;find=WEB;show=up");
  expect(options).toMatchObject({ form: "live", since: "ab.7", open: [3, 4], fresh: [5] });
  expect(options).toMatchObject({ find: "web", show: "up" });
});

test("what makes no sense is left out", () => {
  expect(parsePageOptions(";scope=<script>").scope).toBe("");
  expect(parsePageOptions(`;scope=${"a".repeat(50)}`).scope).toHaveLength(20);
  expect(parsePageOptions(";why=%E0%A4%A").about).toBe("%E0%A4%A");
  expect(parsePageOptions(";__proto__=1;constructor=2").form).toBe("html");
});

test("links keep what was asked for", () => {
  const options = parsePageOptions(";up;scope=a.b;st=DONE");
  expect(writePageOptions(options)).toBe(";up;scope=a.b");
  expect(writePageOptions({ ...options, form: "csv", isStill: true })).toBe(
    ";csv;up;norefresh;scope=a.b",
  );
});
