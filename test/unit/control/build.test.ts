/** From the plan to rows and mutations; and a full table. */
import { describe, expect, test } from "bun:test";

import { Lb } from "../../../src/balance/lb.ts";
import { addServer, buildPlan, makeWorkshop } from "../../../src/control/build.ts";
import type { Workshop } from "../../../src/control/build.ts";
import { MutationLog } from "../../../src/control/mutation-log.ts";
import * as e from "../../../src/tables/generated/enums.ts";
import * as l from "../../../src/tables/generated/listener.ts";
import * as p from "../../../src/tables/generated/proxy.ts";
import * as s from "../../../src/tables/generated/server.ts";
import type { MutationRecord } from "../../../src/tables/mutations.ts";
import type { Plan } from "../../../src/tables/spec.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";
import type { ProxyOptions } from "../../sim/options.ts";
import { PLAIN_PROXY, PLAIN_SERVER } from "../../sim/rig.ts";
import { makeProxySpec, makeServer } from "../../sim/specs.ts";

/** What workers are told. */
const sent: MutationRecord[] = [];

function build(options: Partial<ProxyOptions>, servers = 4): Workshop {
  sent.length = 0;
  const sizes = { proxies: 2, listeners: 2, servers, queueEntries: 8, arenaWords: 4096 };
  const tables = new Tables(reserveTables({ workers: 2, ...sizes }));
  const lb = new Lb(tables, 0, () => 0);
  const all = { ...PLAIN_PROXY, ...options };
  const specs = all.servers.map((one, i) => makeServer(one, `s${i + 1}`, i + 1, 9000 + i));
  const proxies = [makeProxySpec(all, 0, specs)];
  const sluice = { logLevel: "error", logFormat: "off" } as const;
  const plan: Plan = {
    version: 1,
    global: {} as never,
    sluice,
    proxies,
    pages: [],
    resolvers: [],
    mailers: [],
    savedServers: [],
  };
  const log = new MutationLog(tables, (records) => sent.push(...records));
  const shop = makeWorkshop(plan, tables, lb, log, null, 2);
  expect(buildPlan(shop)).toEqual([]);
  log.flush();
  return shop;
}

describe("buildPlan", () => {
  test("fills the rows before it tells of them", () => {
    const shop = build({
      maxconn: 7,
      rateLimit: 3,
      listenerMaxconn: 5,
      retries: 2,
      redispatch: -1,
      fullconn: 40,
      allbackups: true,
      algorithm: "leastconn",
      servers: [
        { ...PLAIN_SERVER, maxconn: 9, minconn: 2, maxqueue: 4, weight: 30 },
        { ...PLAIN_SERVER, backup: true },
        { ...PLAIN_SERVER, disabled: true },
      ],
    });
    const { tables, model } = shop;
    const proxy = model.proxies[0]!;
    const proxies = tables.proxies.words;
    const at = (cell: number): number => proxies[proxy.row + cell]!;
    expect(at(p.PROXY_STATE)).toBe(e.PROXY_STATE_READY);
    expect(at(p.PROXY_FLAGS)).toBe(
      e.PROXY_FLAG_FRONT | e.PROXY_FLAG_BACK | e.PROXY_FLAG_PUBLISHED | e.PROXY_FLAG_ALL_BACKUPS,
    );
    expect(at(p.PROXY_FRONT_MAXCONN)).toBe(7);
    expect(at(p.PROXY_RATE_LIMIT)).toBe(3);
    expect(at(p.PROXY_FULLCONN)).toBe(40);
    expect(at(p.PROXY_RETRIES)).toBe(2);
    expect(at(p.PROXY_REDISPATCH)).toBe(-1);
    expect(at(p.PROXY_ALGORITHM)).toBe(e.ALGORITHM_LEASTCONN);
    expect([at(p.PROXY_ACTIVE_UP), at(p.PROXY_BACKUP_UP), at(p.PROXY_SERVER_COUNT)]).toEqual([
      1, 1, 3,
    ]);
    const rows = proxy.servers.map((server) => server.row);
    const servers = tables.servers.words;
    expect(rows.map((row) => servers[row + s.SERVER_BACKEND_ROW])).toEqual(
      rows.map(() => proxy.row),
    );
    const [first, backup, disabled] = rows as [number, number, number];
    expect(servers[first + s.SERVER_MAXCONN]).toBe(9);
    expect(servers[first + s.SERVER_MINCONN]).toBe(2);
    expect(servers[first + s.SERVER_MAXQUEUE]).toBe(4);
    expect(servers[first + s.SERVER_CONFIG_WEIGHT]).toBe(30);
    expect(servers[first + s.SERVER_STATE]).toBe(e.SERVER_STATE_UP);
    expect(servers[backup + s.SERVER_FLAGS]).toBe(e.SERVER_FLAG_BACKUP);
    expect(servers[disabled + s.SERVER_STATE]).toBe(e.SERVER_STATE_MAINT);
    expect(servers[disabled + s.SERVER_ADMIN_STATE]).toBe(
      e.SERVER_ADMIN_FORCED_MAINT | e.SERVER_ADMIN_CONFIG_MAINT,
    );
    const listener = proxy.listeners[0]!;
    expect(tables.listeners.words[listener.row + l.LISTENER_PROXY_ROW]).toBe(proxy.row);
    expect(tables.listeners.words[listener.row + l.LISTENER_MAXCONN]).toBe(5);
    const kinds = sent.map((record) => record.mutation.kind);
    expect(kinds).toEqual([
      "proxy.add",
      "server.link",
      "server.link",
      "server.link",
      "listener.add",
    ]);
  });

  test("a server without an address is in maintenance until it has one", () => {
    const shop = build({});
    const { address: _, ...spec } = makeServer(PLAIN_SERVER, "named", 9, 1);
    const server = addServer(shop, shop.model.proxies[0]!, { ...spec, hostName: "a.example" });
    const { words } = shop.tables.servers;
    expect(words[server.row + s.SERVER_STATE]).toBe(e.SERVER_STATE_MAINT);
    expect(words[server.row + s.SERVER_ADMIN_STATE]).toBe(e.SERVER_ADMIN_RESOLUTION_MAINT);
  });

  test("a table that is full says so", () => {
    const shop = build({ servers: [PLAIN_SERVER, PLAIN_SERVER] }, 2);
    const spec = makeServer(PLAIN_SERVER, "more", 9, 1);
    expect(() => addServer(shop, shop.model.proxies[0]!, spec)).toThrow("SLC_TABLE_FULL");
  });
});
