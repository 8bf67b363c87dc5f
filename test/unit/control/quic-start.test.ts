/** How QUIC begins: what workers are told, when, and what is refused before anybody is. */
import { describe, expect, test } from "bun:test";

import { Lb } from "../../../src/balance/lb.ts";
import { Refusal } from "../../../src/base/refusals.ts";
import { quicModule } from "../../../src/conduit/quic/native-quic.ts";
import { addProxy, addServer, makeWorkshop } from "../../../src/control/build.ts";
import type { Workshop } from "../../../src/control/build.ts";
import { MutationLog } from "../../../src/control/mutation-log.ts";
import { moduleQuic, quicMessages } from "../../../src/control/quic-start.ts";
import type { QuicSource } from "../../../src/control/quic-start.ts";
import { replayOf } from "../../../src/control/replay.ts";
import type { Mutation, WorkerGlobals } from "../../../src/tables/mutations.ts";
import type { Plan, ServerSpec } from "../../../src/tables/spec.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";
import { PLAIN_PROXY, PLAIN_SERVER } from "../../sim/rig.ts";
import { makeProxySpec, makeServer } from "../../sim/specs.ts";
import { certificateSpec, nativeBind, nativeServer } from "../../support/native-lab.ts";
import { certificates } from "../../support/quic-certificates.ts";
import { serverSpec } from "../../support/sim-quic-lab.ts";

const SIZES = { proxies: 4, listeners: 4, servers: 8, queueEntries: 4, arenaWords: 4096 };
const SETTINGS = { addresses: { streamPeek: 1 }, secret: "ab", chunksMax: 7 };

const fake = (more: Partial<QuicSource> = {}): QuicSource => ({
  settings: () => SETTINGS,
  problemOfBind: () => "",
  problemOfServer: () => "",
  ...more,
});

function makePlan(): Plan {
  const servers = [makeServer(PLAIN_SERVER, "s1", 1, 9000)];
  return {
    version: 1,
    global: {} as Plan["global"],
    sluice: { logLevel: "error", logFormat: "off" },
    proxies: [makeProxySpec(PLAIN_PROXY, 0, servers)],
    pages: [],
    resolvers: [],
    mailers: [],
    savedServers: [],
  };
}

function makeShop(quic: QuicSource): {
  shop: Workshop;
  sent: () => Mutation["kind"][];
  plan: Plan;
} {
  const plan = makePlan();
  const tables = new Tables(reserveTables({ workers: 1, ...SIZES }));
  const kinds: Mutation["kind"][] = [];
  const log = new MutationLog(tables, (records) => {
    kinds.push(...records.map(({ mutation }) => mutation.kind));
  });
  const shop = makeWorkshop(plan, tables, new Lb(tables, 0, () => 0), log, null, 1);
  shop.quic = quic;
  return {
    shop,
    plan,
    sent: () => {
      log.flush();
      return kinds;
    },
  };
}

function quicServer(plan: Plan, name: string): ServerSpec {
  return { ...plan.proxies[0]!.servers[0]!, name, quic: serverSpec() };
}

describe("the first server that speaks QUIC", () => {
  test("is told after what it needs, and only once", () => {
    const { shop, plan, sent } = makeShop(fake());
    const backend = addProxy(shop, plan.proxies[0]!);
    addServer(shop, backend, plan.proxies[0]!.servers[0]!);
    addServer(shop, backend, { ...quicServer(plan, "q1"), id: 8 });
    addServer(shop, backend, { ...quicServer(plan, "q2"), id: 9 });
    expect(sent()).toEqual(["proxy.add", "server.link", "quic", "server.link", "server.link"]);
    // A worker that starts later is told first.
    const replay = replayOf(shop.model, {} as WorkerGlobals, 9);
    expect(replay.slice(0, 3).map(({ mutation }) => mutation.kind)).toEqual([
      "globals",
      "quic",
      "proxy.add",
    ]);
    expect(replay[1]!.mutation).toEqual({ kind: "quic", settings: SETTINGS });
  });

  test("is refused where there is no QUIC, and leaves nothing", () => {
    const { shop, plan, sent } = makeShop(fake({ settings: () => "built without it" }));
    const backend = addProxy(shop, plan.proxies[0]!);
    const before = shop.serverRows.count;
    expect(() => addServer(shop, backend, quicServer(plan, "q"))).toThrow(
      new Refusal("SYSTEM", "No QUIC: built without it."),
    );
    expect(shop.serverRows.count).toBe(before);
    expect(backend.servers).toEqual([]);
    expect(sent()).toEqual(["proxy.add"]);
  });

  test("is refused when its certificates cannot be used", () => {
    const { shop, plan } = makeShop(fake({ problemOfServer: () => "own.pem: no key in it" }));
    const backend = addProxy(shop, plan.proxies[0]!);
    expect(() => addServer(shop, backend, quicServer(plan, "q"))).toThrow(
      new Refusal("BAD_ARGUMENT", "own.pem: no key in it."),
    );
  });
});

describe.skipIf(quicModule() === null)("the module's", () => {
  test("secret is of this process, or follows from that of the cluster", () => {
    const secretOf = (cluster?: string, host?: string): string => {
      const settings = moduleQuic(cluster, host).settings();
      if (typeof settings === "string") throw new Error(settings);
      return settings.secret;
    };
    expect(secretOf()).toMatch(/^[0-9a-f]{128}$/);
    expect(secretOf()).not.toBe(secretOf());
    expect(secretOf("one")).toBe(secretOf("one"));
    expect(secretOf("one")).not.toBe(secretOf("two"));
    expect(secretOf("one")).toMatch(/^[0-9a-f]{128}$/);
    // Tokens and tickets are shared with other hosts, stateless resets are not.
    const [here, there] = [secretOf("one", "here"), secretOf("one", "there")];
    expect(here).toBe(secretOf("one", "here"));
    expect(here.slice(0, 64)).toBe(there.slice(0, 64));
    expect(here.slice(64)).not.toBe(there.slice(64));
    expect(here.slice(64)).not.toBe(secretOf("two", "here").slice(64));
  });

  test("certificates of a plan are alerts at their lines", () => {
    const plan = makePlan();
    const [proxy] = plan.proxies;
    const files = certificates();
    const mixed = { ...certificateSpec(files.server), key: certificateSpec(files.second).key };
    const [bind] = proxy!.binds;
    bind!.quic = nativeBind({ certificates: [mixed] }).bind!;
    const [first] = proxy!.servers;
    first!.quic = nativeServer({ certificate: { file: "c.pem", chain: "", key: "" } }).server!;
    first!.origin = { file: "lb.cfg", line: 12 };
    const source = moduleQuic(undefined);
    const texts = quicMessages(plan, source).map(({ text }) => text);
    expect(texts).toHaveLength(2);
    expect(texts[0]).toContain("test.pem: the key does not belong to the certificate");
    expect(texts[1]).toStartWith(`parsing [lb.cfg:12] : 'server ${first!.name}' : c.pem: `);
    // The same again, from memory.
    expect(quicMessages(plan, source).map(({ text }) => text)).toEqual(texts);
    bind!.quic = nativeBind().bind!;
    first!.quic = nativeServer().server!;
    expect(quicMessages(plan, source)).toEqual([]);
  });
});
