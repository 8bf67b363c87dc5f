/** Connections that fail in a row, as control hears of them; and servers that go down meanwhile. */
import { describe, expect, test } from "bun:test";

import {
  SERVER_FLAG_CHECKS_OFF,
  SERVER_STATE_DOWN,
  SERVER_STATE_MAINT,
  SERVER_STATE_UP,
} from "../../../../src/tables/generated/enums.ts";
import {
  SERVER_ERROR_REPORTS,
  SERVER_ERRORS_IN_ROW,
  SERVER_FLAGS,
  SERVER_THROTTLE,
} from "../../../../src/tables/generated/server.ts";
import { setState } from "../../../sim/control-actions.ts";
import type { ProxyOptions } from "../../../sim/options.ts";
import { PLAIN_PROXY, PLAIN_SERVER, Rig } from "../../../sim/rig.ts";

/** The first server of a rig is observed, with an `error-limit` of 3 (test/sim/specs.ts). */
function observed(workers = 1): {
  rig: Rig;
  reports: number[];
  attempt(worker?: number): void;
  cells(): { inRow: number; reports: number };
} {
  const rig = new Rig({ workers, proxies: [PLAIN_PROXY] });
  const { world } = rig;
  const reports: number[] = [];
  world.comingBack.report = (_row, _generation, count) => void reports.push(count);
  const server = world.servers[0]!;
  expect(server.object.spec.observe).toBe("layer4");
  const { words } = world.tables.servers;
  const { row } = server.object;
  return {
    rig,
    reports,
    attempt: (worker = 1) => void rig.connect({ worker }),
    cells: () => ({
      inRow: words[row + SERVER_ERRORS_IN_ROW]!,
      reports: words[row + SERVER_ERROR_REPORTS]!,
    }),
  };
}

describe("connection errors in a row", () => {
  test("are reported at the limit, and counted from zero then", () => {
    const { rig, reports, attempt, cells } = observed();
    rig.world.servers[0]!.mood = "refuse";
    attempt();
    attempt();
    expect([reports, cells()]).toEqual([[], { inRow: 2, reports: 0 }]);
    attempt();
    expect([reports, cells()]).toEqual([[3], { inRow: 0, reports: 1 }]);
    for (let i = 0; i < 3; i++) attempt();
    expect([reports, cells()]).toEqual([[3, 3], { inRow: 0, reports: 2 }]);
  });

  test("are those of all workers together", () => {
    const { rig, reports, attempt } = observed(3);
    rig.world.servers[0]!.mood = "refuse";
    for (const worker of [1, 2, 3]) attempt(worker);
    expect(reports).toEqual([3]);
  });

  test("are forgotten with a connection that opens, whatever becomes of it", () => {
    const { rig, reports, attempt, cells } = observed();
    const server = rig.world.servers[0]!;
    server.mood = "refuse";
    attempt();
    attempt();
    server.mood = "reset";
    rig.answer(rig.connect());
    expect(cells().inRow).toBe(0);
    server.mood = "refuse";
    attempt();
    attempt();
    expect(reports).toEqual([]);
  });

  test("say nothing while its checks are switched off", () => {
    const { rig, reports, attempt, cells } = observed();
    const { object } = rig.world.servers[0]!;
    rig.world.servers[0]!.mood = "refuse";
    rig.world.tables.servers.words[object.row + SERVER_FLAGS]! |= SERVER_FLAG_CHECKS_OFF;
    for (let i = 0; i < 4; i++) attempt();
    expect([reports, cells()]).toEqual([[], { inRow: 1, reports: 0 }]);
  });

  test("of a server that is not observed are not counted", () => {
    const servers = [PLAIN_SERVER, PLAIN_SERVER];
    const rig = new Rig({ proxies: [{ ...PLAIN_PROXY, servers }] });
    const other = rig.world.servers[1]!;
    expect(other.object.spec.observe).toBe("none");
    other.mood = "refuse";
    for (let i = 0; i < 8; i++) rig.connect();
    const at = other.object.row + SERVER_ERRORS_IN_ROW;
    expect(rig.world.tables.servers.words[at]).toBe(0);
  });
});

describe("a server that goes down between two attempts", () => {
  const redispatch: Partial<ProxyOptions> = {
    redispatch: -1,
    retries: 3,
    algorithm: "leastconn",
    servers: [PLAIN_SERVER, { ...PLAIN_SERVER, backup: true }],
  };

  function failing(proxy: Partial<ProxyOptions>): { rig: Rig; rows: number[] } {
    const rig = new Rig({ proxies: [{ ...PLAIN_PROXY, ...proxy }] });
    rig.world.servers[0]!.mood = "refuseLate";
    return { rig, rows: rig.world.servers.map(({ object }) => object.row) };
  }

  for (const state of [SERVER_STATE_DOWN, SERVER_STATE_MAINT]) {
    test(`is not dialled again after the pause (state ${state})`, () => {
      const { rig, rows } = failing(redispatch);
      const client = rig.connect();
      rig.answer(client);
      setState(rig.world, rig.world.servers[0]!, state);
      rig.wait(1020);
      expect(client.links.map(({ serverRow }) => serverRow)).toEqual(rows);
      rig.answer(client);
      rig.end(client);
      expect(client.outcome?.termination).toBe("--");
      expect(client.outcome?.retries).toBe(1);
    });
  }

  test("loses its stream at once when the attempt fails", () => {
    const { rig, rows } = failing(redispatch);
    const client = rig.connect();
    setState(rig.world, rig.world.servers[0]!, SERVER_STATE_DOWN);
    rig.answer(client);
    expect(client.links.map(({ serverRow }) => serverRow)).toEqual(rows);
  });

  test("that is just coming back is left as well", () => {
    const { rig, rows } = failing({ ...redispatch, servers: [PLAIN_SERVER, PLAIN_SERVER] });
    const [first] = rig.world.servers;
    setState(rig.world, first!, SERVER_STATE_DOWN);
    setState(rig.world, first!, SERVER_STATE_UP);
    const { words } = rig.world.tables.servers;
    expect(words[first!.object.row + SERVER_THROTTLE]).toBe(1);
    const client = rig.connect();
    if (client.link?.serverRow === rows[0]) {
      rig.answer(client);
      expect(client.links.map(({ serverRow }) => serverRow)).toEqual(rows);
    } else expect(client.link?.serverRow).toBe(rows[1]);
  });

  test("is tried again where redispatch is not allowed", () => {
    const { rig, rows } = failing({ ...redispatch, redispatch: 0 });
    const client = rig.connect();
    rig.answer(client);
    setState(rig.world, rig.world.servers[0]!, SERVER_STATE_DOWN);
    rig.wait(1020);
    expect(client.links.map(({ serverRow }) => serverRow)).toEqual([rows[0]!, rows[0]!]);
  });
});
