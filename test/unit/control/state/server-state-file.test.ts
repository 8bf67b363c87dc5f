/** Saved states into rows before workers look, and into the checks once they run. */
import { describe, expect, test } from "bun:test";

import { Lb } from "../../../../src/balance/lb.ts";
import { buildPlan, makeWorkshop } from "../../../../src/control/build.ts";
import type { Workshop } from "../../../../src/control/build.ts";
import type { ProxyObject, ServerObject } from "../../../../src/control/model.ts";
import { MutationLog } from "../../../../src/control/mutation-log.ts";
import { stateRecord } from "../../../../src/control/server-state.ts";
import type { StateRecord } from "../../../../src/control/server-state.ts";
import { SlowStart } from "../../../../src/control/slowstart.ts";
import { restoreChecks, restoreServers } from "../../../../src/control/state/server-state-file.ts";
import * as e from "../../../../src/tables/generated/enums.ts";
import * as p from "../../../../src/tables/generated/proxy.ts";
import * as s from "../../../../src/tables/generated/server.ts";
import type { Plan, SavedServerSpec } from "../../../../src/tables/spec.ts";
import { reserveTables, Tables } from "../../../../src/tables/tables.ts";
import { PLAIN_PROXY, PLAIN_SERVER } from "../../../sim/rig.ts";
import { makeProxySpec, makeServer } from "../../../sim/specs.ts";

const SERVERS = 4;

const UP = {
  isForcedMaint: false,
  isForcedDrain: false,
  health: "up",
  areChecksOff: false,
  isAgentOff: false,
  checkStatus: 0,
  sinceChangeSeconds: 0,
} as const;

/** A backend of four servers, `s3` disabled by the configuration, after the start has restored. */
function restore(saved: Record<string, Partial<SavedServerSpec>>): Workshop {
  const sizes = { proxies: 1, listeners: 1, servers: SERVERS, queueEntries: 8, arenaWords: 4096 };
  const tables = new Tables(reserveTables({ workers: 1, ...sizes }));
  const options = { ...PLAIN_PROXY, servers: [] };
  const specs = Array.from({ length: SERVERS }, (_, index) => {
    const one = { ...PLAIN_SERVER, weight: 10, disabled: index === 2 };
    return { ...makeServer(one, `s${index + 1}`, index + 1, 9000 + index), slowstartMs: 60_000 };
  });
  const proxy = makeProxySpec(options, 0, specs);
  const plan: Plan = {
    version: 1,
    global: {} as never,
    sluice: { logLevel: "error", logFormat: "off" },
    proxies: [proxy],
    pages: [],
    resolvers: [],
    mailers: [],
    savedServers: Object.entries(saved).map(([server, state]) => {
      return { backend: proxy.name, server, ...UP, ...state };
    }),
  };
  const log = new MutationLog(tables, () => {});
  const shop = makeWorkshop(plan, tables, new Lb(tables, 0, () => 0), log, null, 1);
  expect(buildPlan(shop)).toEqual([]);
  restoreServers(shop);
  return shop;
}

function serverOf({ model }: Workshop, name: string): ServerObject {
  const server = model.proxies[0]?.serversByName.get(name);
  if (server === undefined) throw new Error(`no server ${name}`);
  return server;
}

function cellsOf(shop: Workshop, name: string): { state: number; admin: number; weight: number } {
  const { row } = serverOf(shop, name);
  const words = shop.tables.servers.words;
  return {
    state: words[row + s.SERVER_STATE]!,
    admin: words[row + s.SERVER_ADMIN_STATE]!,
    weight: words[row + s.SERVER_WEIGHT]!,
  };
}

function usable({ model, tables }: Workshop): number {
  return tables.proxies.words[model.proxies[0]!.row + p.PROXY_ACTIVE_UP]!;
}

describe("rows", () => {
  test("without a file are as configured", () => {
    const shop = restore({});
    expect(usable(shop)).toBe(3);
    expect(cellsOf(shop, "s1")).toEqual({ state: e.SERVER_STATE_UP, admin: 0, weight: 10 });
  });

  test("take states, weights and what balancing sees of them", () => {
    const shop = restore({
      s1: { isForcedMaint: true },
      s2: { isForcedDrain: true, weight: 3 },
      s3: {},
      s4: { health: "down" },
    });
    expect(cellsOf(shop, "s1").state).toBe(e.SERVER_STATE_MAINT);
    expect(cellsOf(shop, "s1").admin).toBe(e.SERVER_ADMIN_FORCED_MAINT);
    expect(cellsOf(shop, "s2")).toEqual({
      state: e.SERVER_STATE_DRAIN,
      admin: e.SERVER_ADMIN_FORCED_DRAIN,
      weight: 3,
    });
    // Enabled at run time: how it was configured stays known.
    expect(cellsOf(shop, "s3")).toEqual({
      state: e.SERVER_STATE_UP,
      admin: e.SERVER_ADMIN_CONFIG_MAINT,
      weight: 10,
    });
    expect(cellsOf(shop, "s4").state).toBe(e.SERVER_STATE_DOWN);
  });

  test("a server that was told to stop drains", () => {
    const shop = restore({ s1: { health: "stopping" } });
    expect(cellsOf(shop, "s1").state).toBe(e.SERVER_STATE_DRAIN);
    const flags = shop.tables.servers.words[serverOf(shop, "s1").row + s.SERVER_FLAGS]!;
    expect(flags & e.SERVER_FLAG_STOPPING).toBe(e.SERVER_FLAG_STOPPING);
  });
});

test("checks go on counting, or wait as they did", () => {
  const shop = restore({
    s1: { health: "down", sinceChangeSeconds: 60 },
    s2: { areChecksOff: true, isAgentOff: true, checkStatus: 16 },
    s3: { health: "stopping" },
    s4: {},
  });
  const asked: string[] = [];
  const keeper = {
    tables: shop.tables,
    model: shop.model,
    nowMs: () => 100_000,
    startedAtMs: 100_000,
    records: new WeakMap<ServerObject | ProxyObject, StateRecord>(),
    slowStart: slowStartOf(shop),
  };
  restoreChecks(keeper, {
    // s4 is not checked.
    healthOf: ({ spec }) => (spec.name === "s4" ? undefined : 1),
    setHealth: ({ spec }, health) => asked.push(`${spec.name} ${health}`),
    suspend: ({ spec }) => asked.push(`${spec.name} off`),
    suspendAgent: ({ spec }) => asked.push(`${spec.name} agent off`),
    remember: ({ spec }, { code }) => asked.push(`${spec.name} ${code}`),
  });
  const { rise, fall } = serverOf(shop, "s1").spec.check;
  const full = rise + fall - 1;
  expect(asked).toEqual(["s1 0", "s2 agent off", "s2 L7OKC", `s2 ${full}`, "s2 off", `s3 ${rise}`]);
  expect(stateRecord(keeper, serverOf(shop, "s1")).changedAtMs).toBe(40_000);
  expect(stateRecord(keeper, serverOf(shop, "s4")).changedAtMs).toBe(100_000);
});

function slowStartOf(shop: Workshop): SlowStart {
  const { tables, lb } = shop;
  const startTimer = (): { stop(): void } => ({ stop: () => undefined });
  return new SlowStart({ tables, lb, nowMs: () => 100_000, startTimer, ended: () => undefined });
}

test("a slow start goes on where it was, or is over by now", () => {
  const slow = { isStarting: true as const };
  const shop = restore({
    s1: { ...slow, sinceChangeSeconds: 15 },
    s2: { ...slow, sinceChangeSeconds: 90 },
    s4: { ...slow, sinceChangeSeconds: 15, health: "down" },
  });
  const { words } = shop.tables.servers;
  const throttles = (): number[] =>
    ["s1", "s2", "s4"].map((name) => words[serverOf(shop, name).row + s.SERVER_THROTTLE]!);
  // Before workers look: s1 has no more than its part for a moment.
  expect(throttles()).toEqual([25, 0, 25]);
  const slowStart = slowStartOf(shop);
  const keeper = {
    tables: shop.tables,
    model: shop.model,
    nowMs: () => 100_000,
    startedAtMs: 100_000,
    records: new WeakMap<ServerObject | ProxyObject, StateRecord>(),
    slowStart,
  };
  const nothing = (): undefined => undefined;
  restoreChecks(keeper, {
    healthOf: nothing,
    setHealth: nothing,
    suspend: nothing,
    suspendAgent: nothing,
    remember: nothing,
  });
  expect(throttles()).toEqual([25, 0, 0]);
  expect(slowStart.elapsedMs(serverOf(shop, "s1"))).toBe(15_000);
  expect(slowStart.count).toBe(1);
});
