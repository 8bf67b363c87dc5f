/** Numbers of backends, as rules ask for them (manual 7.3.2). */
import { describe, expect, test } from "bun:test";

import type { Engine } from "../../../../src/data/engine.ts";
import { proxyNumber } from "../../../../src/data/route/numbers.ts";
import type { ProxyView } from "../../../../src/data/views.ts";
import { SERVER_STATE_DOWN } from "../../../../src/tables/generated/enums.ts";
import { Farm } from "../../../support/balancer-farm.ts";
import type { FarmOptions } from "../../../support/balancer-farm.ts";

const DOWN = { state: SERVER_STATE_DOWN };
const BACKUP = { backup: true, maxconn: 5 };

/** A worker's view of a farm, as far as numbers look at it. */
function ask(options: FarmOptions, field: "nbsrv" | "be_conn_free" | "avg_queue", load = 0) {
  const farm = new Farm({ workers: 1, ...options });
  for (let i = 0; i < load; i++) farm.choose(1);
  const engine = { tables: farm.tables, balance: farm.lbs[1] } as unknown as Engine;
  const proxy = { row: farm.backend } as ProxyView;
  const servers = farm.rows.map((row) => [`s${row}`, { row, backend: proxy }]);
  Object.assign(proxy, { serversByName: new Map(servers as never) });
  return proxyNumber(engine, proxy, field);
}

describe("usable servers", () => {
  test.each([
    ["active ones", { servers: [{}, {}, BACKUP] }, 2],
    ["the first backup alone", { servers: [DOWN, BACKUP, BACKUP] }, 1],
    [
      "all backups where they are all used",
      { servers: [DOWN, BACKUP, BACKUP], allBackups: true },
      2,
    ],
    ["none", { servers: [DOWN] }, 0],
  ])("%s", (_name, options, expected) => {
    expect(ask(options, "nbsrv")).toBe(expected);
  });
});

describe("free connections", () => {
  test.each([
    ["of active servers, not of backups", { servers: [{ maxconn: 3 }, BACKUP] }, 2],
    ["of the backup in use", { servers: [DOWN, BACKUP, BACKUP] }, 4],
    ["without a limit", { servers: [{}, { maxconn: 1 }] }, -1],
  ])("%s", (_name, options, expected) => {
    expect(ask(options, "be_conn_free", 1)).toBe(expected);
  });
});

test("the queue is divided among usable servers, rounded up", () => {
  const servers = [{ maxconn: 1 }, { maxconn: 1 }];
  expect(ask({ servers }, "avg_queue", 5)).toBe(2);
  expect(ask({ servers: [DOWN] }, "avg_queue")).toBe(0);
});
