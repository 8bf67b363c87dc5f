/** What checks find, as servers, waiters, streams and the log learn of it. */
import { expect, test } from "bun:test";

import { Lb } from "../../../src/balance/lb.ts";
import { buildPlan, makeWorkshop } from "../../../src/control/build.ts";
import type { ServerObject } from "../../../src/control/model.ts";
import { MutationLog } from "../../../src/control/mutation-log.ts";
import { applyHealth, makeKeeper, mergeState } from "../../../src/control/server-state.ts";
import {
  SERVER_ADMIN_CONFIG_MAINT,
  SERVER_ADMIN_FORCED_DRAIN,
  SERVER_ADMIN_FORCED_MAINT,
  SERVER_STATE_DOWN,
  SERVER_STATE_DRAIN,
  SERVER_STATE_MAINT,
  SERVER_STATE_UP,
} from "../../../src/tables/generated/enums.ts";
import { SERVER_STATE } from "../../../src/tables/generated/server.ts";
import type { ShutdownSelector } from "../../../src/tables/mutations.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";
import { loadText, planOf } from "../config/load-text.ts";

/** A backend over these `server` lines, and everything that it tells or asks for. */
async function makeLab(...lines: string[]): Promise<{
  servers: readonly ServerObject[];
  told: string[];
  shut: string[];
  apply: (index: number, isHealthy: boolean) => void;
  stateOf: (index: number) => number;
}> {
  const plan = planOf(await loadText(`defaults\n mode tcp\nbackend b\n ${lines.join("\n ")}\n`));
  const sizes = { proxies: 2, listeners: 1, servers: 8, queueEntries: 8, arenaWords: 4096 };
  const tables = new Tables(reserveTables({ workers: 1, ...sizes }));
  const lb = new Lb(tables, 0, () => 0);
  const log = new MutationLog(tables, () => {});
  const shop = makeWorkshop(plan, tables, lb, log, null, 1);
  expect(buildPlan(shop)).toEqual([]);
  const told: string[] = [];
  const shut: string[] = [];
  const keeper = makeKeeper({
    tables,
    model: shop.model,
    lb,
    nowMs: () => 0,
    pool: {
      shutdown: (selector: ShutdownSelector, cause: string) => {
        shut.push(`${selector.kind} ${cause}`);
        return Promise.resolve(0);
      },
    },
    tell: (_proxy: unknown, notice: { text: string }) => void told.push(notice.text),
  });
  const servers = shop.model.proxies[0]!.servers;
  const check = { reason: "Layer4 timeout", durationMs: 1 };
  return {
    servers,
    told,
    shut,
    apply: (index, isHealthy) =>
      applyHealth(keeper, servers[index]!, isHealthy ? "up" : "down", check),
    stateOf: (index) => tables.servers.words[servers[index]!.row + SERVER_STATE]!,
  };
}

test("administrative state and health make one state", () => {
  expect(mergeState(0, "up")).toBe(SERVER_STATE_UP);
  expect(mergeState(0, "stopping")).toBe(SERVER_STATE_DRAIN);
  expect(mergeState(0, "down")).toBe(SERVER_STATE_DOWN);
  expect(mergeState(SERVER_ADMIN_FORCED_DRAIN, "up")).toBe(SERVER_STATE_DRAIN);
  expect(mergeState(SERVER_ADMIN_FORCED_DRAIN, "down")).toBe(SERVER_STATE_DOWN);
  expect(mergeState(SERVER_ADMIN_FORCED_MAINT, "up")).toBe(SERVER_STATE_MAINT);
  // `disabled` of the configuration: how it came to its maintenance, not that it is in it.
  expect(mergeState(SERVER_ADMIN_CONFIG_MAINT, "up")).toBe(SERVER_STATE_UP);
});

test("the last server that goes down leaves its backend without any, and is told once", async () => {
  const lab = await makeLab("server s1 127.0.0.1:1 check", "server s2 127.0.0.1:2 check");
  lab.apply(0, false);
  lab.apply(0, false);
  expect(lab.stateOf(0)).toBe(SERVER_STATE_DOWN);
  expect(lab.told).toHaveLength(1);
  lab.apply(1, false);
  expect(lab.told.at(-1)).toBe("backend b has no server available!");
  expect(lab.told.at(-2)).toContain("Server b/s2 is DOWN, reason: Layer4 timeout");
});

test("a server in maintenance stays there whatever its checks find", async () => {
  const lab = await makeLab("server s1 127.0.0.1:1 check disabled");
  lab.apply(0, false);
  expect(lab.stateOf(0)).toBe(SERVER_STATE_MAINT);
  expect(lab.told).toEqual([]);
});

test("on-marked-down and on-marked-up end streams, but no backup server ends those of backups", async () => {
  // Story: a backup server that came up ended the streams of all backups, its own among them.
  const ends = "check on-marked-down shutdown-sessions on-marked-up shutdown-backup-sessions";
  const lab = await makeLab(
    `server s1 127.0.0.1:1 ${ends}`,
    `server s2 127.0.0.1:2 ${ends} backup`,
  );
  for (const index of [0, 1]) {
    lab.apply(index, false);
    lab.apply(index, true);
  }
  expect(lab.shut).toEqual(["server down", "backups up", "server down"]);
});
