/** GUIDs of objects: each borne once, found by everyone, free again when the object goes. */
import { describe, expect, test } from "bun:test";

import { Lb } from "../../../src/balance/lb.ts";
import { Refusal } from "../../../src/base/refusals.ts";
import {
  addListener,
  addProxy,
  addServer,
  buildPlan,
  makeWorkshop,
} from "../../../src/control/build.ts";
import type { Workshop } from "../../../src/control/build.ts";
import { Draft } from "../../../src/control/draft.ts";
import {
  bearerTitle,
  claimGuid,
  findByGuid,
  preloadByGuid,
  removeGuid,
} from "../../../src/control/guids.ts";
import { MutationLog } from "../../../src/control/mutation-log.ts";
import type { Plan, ProxySpec } from "../../../src/tables/spec.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";
import { PLAIN_PROXY, PLAIN_SERVER } from "../../sim/rig.ts";
import { makeProxySpec, makeServer } from "../../sim/specs.ts";

/** A proxy, its listener and its two servers, each with a GUID but the last. */
function build(): Workshop {
  const sizes = { proxies: 4, listeners: 4, servers: 8, queueEntries: 8, arenaWords: 4096 };
  const tables = new Tables(reserveTables({ workers: 1, ...sizes }));
  const servers = ["s1", "s2"].map((name, i) => makeServer(PLAIN_SERVER, name, i + 1, 9000 + i));
  servers[0]!.guid = "srv";
  const spec: ProxySpec = { ...makeProxySpec(PLAIN_PROXY, 0, servers), guid: "px" };
  spec.binds[0]!.guid = "li-0";
  const plan = { version: 1, global: {}, sluice: {}, proxies: [spec], pages: [] };
  const log = new MutationLog(tables, () => {});
  const lb = new Lb(tables, 0, () => 0);
  const shop = makeWorkshop(plan as never as Plan, tables, lb, log, null, 1);
  expect(buildPlan(shop)).toEqual([]);
  return shop;
}

const titleOf = (shop: Workshop, guid: string): string | undefined => {
  const bearer = findByGuid(shop, guid);
  return bearer === undefined ? undefined : bearerTitle(bearer);
};

function refusalOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof Refusal) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "done";
}

describe("GUIDs of objects", () => {
  test("are found, under the lock and at the start", () => {
    const shop = build();
    const { name, binds } = shop.model.proxies[0]!.spec;
    expect(titleOf(shop, "px")).toBe(`listen ${name}`);
    expect(titleOf(shop, "srv")).toBe(`server ${name}/s1`);
    expect(titleOf(shop, "li-0")).toBe(`listener ${name}/${binds[0]!.name ?? binds[0]!.text}`);
    expect(preloadByGuid(shop, "srv")).toBe(shop.model.proxies[0]!.servers[0]!);
    expect(titleOf(shop, "other")).toBeUndefined();
  });

  test("are borne once, whatever bears them; a refusal changes nothing", () => {
    const shop = build();
    const [proxy] = shop.model.proxies;
    const server = { ...proxy!.spec.servers[1]!, name: "s3", id: 3, guid: "px" };
    const rows = shop.serverRows.count;
    const refused = "EXISTS: 'guid' : duplicate entry with";
    expect(refusalOf(() => addServer(shop, proxy!, server, true))).toStartWith(refused);
    expect(shop.serverRows.count).toBe(rows);
    expect(proxy!.servers.length).toBe(2);
    const other = { ...proxy!.spec, name: "other", id: 9, guid: "srv", binds: [], servers: [] };
    expect(refusalOf(() => addProxy(shop, other, true))).toStartWith(refused);
    const bind = { ...proxy!.spec.binds[0]!, guid: "srv" };
    expect(refusalOf(() => addListener(shop, proxy!, bind, true))).toStartWith(refused);
    expect(shop.guids.count).toBe(3);
  });

  test("are free when their object goes", () => {
    const shop = build();
    const [proxy] = shop.model.proxies;
    const [first] = proxy!.servers;
    shop.model.removeServer(first!);
    removeGuid(shop, first!);
    expect(titleOf(shop, "srv")).toBeUndefined();
    const again = addServer(shop, proxy!, { ...first!.spec, id: 3, name: "s3" }, true);
    expect(findByGuid(shop, "srv")).toBe(again);
  });

  test("are claimed once in a draft, where what bears them may be going", () => {
    const shop = build();
    const draft = new Draft(shop.model);
    const claim = (guid: string): string => refusalOf(() => claimGuid(shop, draft, guid));
    expect(claim("new")).toBe("done");
    expect(claim("new")).toBe("EXISTS: 'guid' : duplicate entry");
    expect(claim("a b")).toBe("BAD_ARGUMENT: 'guid' : invalid character ' '");
    const { name } = shop.model.proxies[0]!.spec;
    expect(claim("srv")).toBe(`EXISTS: 'guid' : duplicate entry with server ${name}/s1`);
    draft.server(draft.backend(name), "s1").isDeleted = true;
    expect(claim("srv")).toBe("done");
  });
});
