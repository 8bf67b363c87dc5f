/** States as words: recorded from HAProxy 2.6. */
import { describe, expect, test } from "bun:test";

import { csvText, serverStatus } from "../../../../src/control/stats/words.ts";
import type { StatusFacts } from "../../../../src/control/stats/words.ts";
import * as e from "../../../../src/tables/generated/enums.ts";
import { readRate } from "../../../../src/tables/rates.ts";

const CHECK = { rise: 2, fall: 3 };
const UP: StatusFacts = {
  admin: 0,
  state: e.SERVER_STATE_UP,
  flags: 0,
  check: CHECK,
  health: 4,
  agent: "none",
  via: "",
};
const MAINT = { state: e.SERVER_STATE_MAINT };
const DOWN = { state: e.SERVER_STATE_DOWN };
const DRAIN = { state: e.SERVER_STATE_DRAIN };

describe("status of a server", () => {
  const cases: readonly (readonly [string, Partial<StatusFacts>])[] = [
    ["UP", {}],
    ["UP 1/3", { health: 2 }],
    ["UP 2/3", { health: 3 }],
    ["no check", { check: undefined }],
    ["DOWN", { ...DOWN, health: 0 }],
    ["DOWN 1/2", { ...DOWN, health: 1 }],
    ["DOWN", { ...DOWN, check: undefined, health: 1 }],
    ["MAINT", { ...MAINT, admin: e.SERVER_ADMIN_FORCED_MAINT | e.SERVER_ADMIN_CONFIG_MAINT }],
    ["MAINT (resolution)", { ...MAINT, admin: e.SERVER_ADMIN_RESOLUTION_MAINT }],
    ["MAINT (via b/s)", { ...MAINT, admin: e.SERVER_ADMIN_INHERITED_MAINT, via: "b/s" }],
    // `disabled` of the configuration stays as a bit when the server was enabled.
    ["UP", { admin: e.SERVER_ADMIN_CONFIG_MAINT }],
    ["DRAIN", { ...DRAIN, admin: e.SERVER_ADMIN_FORCED_DRAIN }],
    ["DRAIN", { ...DRAIN, admin: e.SERVER_ADMIN_INHERITED_DRAIN }],
    ["DOWN", { ...DOWN, health: 0, admin: e.SERVER_ADMIN_FORCED_DRAIN }],
    ["UP", { agent: "well" }],
    ["DOWN 1/2", { ...DOWN, health: 1, agent: "well" }],
    ["DOWN (agent)", { ...DOWN, health: 4, agent: "ill" }],
    ["DOWN (agent)", { ...DOWN, health: 0, agent: "ill" }],
    ["DOWN (agent)", { ...DOWN, check: undefined, agent: "ill" }],
    ["DOWN 4/2", { ...DOWN, health: 4 }],
    ["DRAIN (agent)", { ...DRAIN, admin: e.SERVER_ADMIN_FORCED_DRAIN, agent: "well" }],
    ["MAINT", { ...MAINT, admin: e.SERVER_ADMIN_FORCED_MAINT, agent: "ill" }],
    ["DRAIN (ejected)", { flags: e.SERVER_FLAG_EJECTED }],
    ["DOWN", { state: e.SERVER_STATE_DOWN, flags: e.SERVER_FLAG_EJECTED, health: 0 }],
    ["NOLB", { ...DRAIN, flags: e.SERVER_FLAG_STOPPING }],
    ["NOLB 2/3", { ...DRAIN, flags: e.SERVER_FLAG_STOPPING, health: 3 }],
  ];
  for (const [status, facts] of cases) {
    test(`${status} of ${JSON.stringify(facts)}`, () => {
      expect(serverStatus({ ...UP, ...facts })).toBe(status);
    });
  }
});

describe("text in CSV", () => {
  test("is quoted only where it must be", () => {
    expect(csvText("Connection refused")).toBe("Connection refused");
    expect(csvText('a "b", c')).toBe('"a ""b"", c"');
    expect(csvText("a\nb")).toBe('"a b"');
  });
});

describe("a rate", () => {
  const words = Int32Array.of(0, 10, 6, 20, 17);
  test("takes this second and what is left of the one before", () => {
    expect(readRate(words, 1, 10_250)).toBe(6 + 15);
    expect(readRate(words, 1, 10_999)).toBe(6);
  });
  test("fades when nothing comes", () => {
    expect(readRate(words, 1, 11_500)).toBe(3);
    expect(readRate(words, 1, 12_000)).toBe(0);
  });
});
