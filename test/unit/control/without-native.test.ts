/** Words that only the native part can do are named, each with its place (SLC_NEEDS_NATIVE). */
import { expect, test } from "bun:test";

import { nativeNeeds } from "../../../src/control/without-native.ts";
import { loadText, planOf } from "../config/load-text.ts";

const HEAD = "defaults\n mode tcp\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n";

test("a plain plan needs nothing", async () => {
  const text = `${HEAD}listen l\n bind 127.0.0.1:80\n server s 127.0.0.1:81 weight 3\n`;
  expect(nativeNeeds(planOf(await loadText(text)))).toEqual([]);
});

test("options of binds and servers, and keep-alives, are named", async () => {
  const lines = [
    "listen l",
    "bind 127.0.0.1:80 tfo mss 1400",
    "server s 127.0.0.1:81 source 127.0.0.2",
  ];
  const text = `${HEAD} option tcpka\n${lines.join("\n ")}\n`;
  const needs = nativeNeeds(planOf(await loadText(text)));
  expect(needs.some((need) => need.includes("'tfo'"))).toBe(true);
  expect(needs.some((need) => need.includes("'mss'"))).toBe(true);
  expect(needs.some((need) => need.includes("'source'"))).toBe(true);
  expect(needs.some((need) => need.includes("keep-alive"))).toBe(true);
});
