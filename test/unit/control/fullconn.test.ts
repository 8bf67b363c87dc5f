/** `fullconn` of backends that get servers with a range of limits at run time. */
import { expect, test } from "bun:test";

import { Lb } from "../../../src/balance/lb.ts";
import { addServer, buildPlan, makeWorkshop } from "../../../src/control/build.ts";
import { MutationLog } from "../../../src/control/mutation-log.ts";
import { PROCESS_MAXCONN } from "../../../src/tables/generated/process.ts";
import { PROXY_FULLCONN } from "../../../src/tables/generated/proxy.ts";
import type { Plan } from "../../../src/tables/spec.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";
import { PLAIN_PROXY, PLAIN_SERVER } from "../../sim/rig.ts";
import { makeProxySpec, makeServer } from "../../sim/specs.ts";

test("the first server with a range has it worked out", () => {
  const sizes = { proxies: 1, listeners: 1, servers: 4, queueEntries: 8, arenaWords: 4096 };
  const tables = new Tables(reserveTables({ workers: 1, ...sizes }));
  tables.process.words[PROCESS_MAXCONN] = 500;
  const plan: Plan = {
    version: 1,
    global: {} as never,
    sluice: { logLevel: "error", logFormat: "off" },
    proxies: [makeProxySpec({ ...PLAIN_PROXY, servers: [] }, 0, [])],
    pages: [],
    resolvers: [],
    mailers: [],
    savedServers: [],
  };
  const log = new MutationLog(tables, () => {});
  const shop = makeWorkshop(plan, tables, new Lb(tables, 0, () => 0), log, null, 1);
  buildPlan(shop);
  const backend = shop.model.proxies[0]!;
  const fullconn = (): number => tables.proxies.words[backend.row + PROXY_FULLCONN]!;
  const before = fullconn();
  const limits = (minconn: number, maxconn: number) => ({ ...PLAIN_SERVER, minconn, maxconn });
  addServer(shop, backend, makeServer(limits(10, 10), "s1", 1, 9001), true);
  expect(fullconn()).toBe(before);
  tables.proxies.words[backend.row + PROXY_FULLCONN] = 0;
  addServer(shop, backend, makeServer(limits(2, 10), "s2", 2, 9002), true);
  const maxconn = backend.spec.maxconn > 0 ? backend.spec.maxconn : 500;
  expect(fullconn()).toBe(backend.spec.fullconn > 0 ? backend.spec.fullconn : maxconn / 10);
});
