/** What the thread of checks writes into a server's row. */
import { expect, test } from "bun:test";

import { CheckStation } from "../../../src/check/station.ts";
import * as row from "../../../src/tables/generated/server.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";
import { jobOf } from "../../support/check-memory.ts";

const SIZES = {
  workers: 1,
  proxies: 4,
  listeners: 2,
  servers: 4,
  queueEntries: 8,
  arenaWords: 8192,
};
const SERVER_ROW = row.SERVER_STRIDE;

test.each(["check", "agent"] as const)(
  "a %s that was under way in a thread before is so no more, even if it waits",
  (kind) => {
    const tables = new Tables(reserveTables(SIZES));
    const { words } = tables.servers;
    const running = kind === "check" ? row.SERVER_CHECK_RUNNING : row.SERVER_AGENT_RUNNING;
    const other = kind === "check" ? row.SERVER_AGENT_RUNNING : row.SERVER_CHECK_RUNNING;
    words[SERVER_ROW + running] = 1;
    words[SERVER_ROW + other] = 1;
    const station = new CheckStation({
      tables,
      nowMs: () => 0,
      startTimer: () => ({ stop: () => undefined }),
      random32: () => 0,
      startProbe: () => ({ cancel: () => undefined, late: () => ({ code: "L4TOUT" }) }),
      spreadPercent: 0,
      maxSpreadMs: 0,
      tell: () => undefined,
      soon: () => undefined,
      pong: () => undefined,
      useQuic: () => undefined,
    });
    const schedule = {
      kind,
      intervalMs: 1000,
      fastIntervalMs: 1000,
      downIntervalMs: 1000,
      rise: 1,
      fall: 1,
      onError: "fail-check",
      connectMs: -1,
      checkMs: -1,
    } as const;
    const generation = words[SERVER_ROW + row.SERVER_GENERATION]!;
    const known = { id: 1, epoch: 1, serverRow: SERVER_ROW, generation, health: 1 };
    const job = jobOf({ kind: "connect" });
    const check = { ...known, schedule, job, isSuspended: true };
    station.follow({ type: "add", checks: [check], isSpread: true });
    expect(words[SERVER_ROW + running]).toBe(0);
    expect(words[SERVER_ROW + other]).toBe(1);
  },
);
