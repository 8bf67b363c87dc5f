/**
 * Servers that DNS keeps up to date, against knot with records that change: addresses that come and
 * go, names that vanish, a name server that fails, falls silent and comes back, templates that are
 * filled from SRV records under traffic, restarts while nobody answers. haproxy goes over the same
 * steps beside sluice; which server of a template gets which address is chance there, and not
 * compared.
 */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { askApi } from "../support/api.ts";
import { findBalancer, startBalancer } from "../support/haproxy.ts";
import type { Balancer, BalancerName } from "../support/haproxy.ts";
import { hasKnot, KnotZone } from "../support/knot-zone.ts";
import { startNamed } from "../support/peers.ts";
import { freePort } from "../support/ports.ts";
import { temporaryFolder, until } from "../support/procs.ts";
import { askName } from "../support/traffic.ts";
import { LONG_TIMEOUTS } from "./sluice.ts";

const withKnot = test.skipIf(!hasKnot || findBalancer("sluice") === undefined);

/** Generous: rounds are short, the machine may be slow. */
const LIMIT_MS = 20_000;

const HOLDS = ["nx", "refused", "timeout", "other"]
  .map((kind) => `  hold ${kind} 300ms`)
  .join("\n");

const LONG_HOLDS = HOLDS.replaceAll("300ms", "60s");

function resolversFor(zone: { port: number }, more = ""): string {
  return `resolvers d
  nameserver k 127.0.0.1:${zone.port}
  resolve_retries 2
  timeout resolve 100ms
  timeout retry 200ms
${HOLDS}
${more}
`;
}

type Running = Balancer & { ask(line: string): Promise<string> };

/** Starts a balancer over a body that begins with its sections. */
async function start(
  name: BalancerName,
  zone: { port: number },
  body: string,
  wants: { global?: string; env?: Record<string, string>; ports?: number[]; more?: string } = {},
): Promise<Running> {
  const folder = temporaryFolder();
  const api = folder.file("api.sock");
  // The haproxy of these tests takes both families, and has no word for it.
  const families = name === "sluice" ? "  dns-accept-family ipv4,ipv6\n" : "";
  const config = `global
  nbthread 2
  stats socket ${api} level admin
${families}${wants.global ?? ""}
${resolversFor(zone, wants.more)}
defaults
  mode tcp
${LONG_TIMEOUTS}
${body}
`;
  const env = { SLUICE_LOG_FORMAT: "off", ...wants.env };
  const balancer = await startBalancer(name, { config, ports: wants.ports ?? [], env });
  await until("the runtime API", async () => {
    try {
      return await askApi(api, "show info");
    } catch {
      return false;
    }
  });
  return {
    ...balancer,
    ask: (line) => askApi(api, line),
    async [Symbol.asyncDispose]() {
      await balancer[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** Servers of a backend: `name address:port`, or `name -` in maintenance for want of one. */
async function serversOf(balancer: Running, backend: string): Promise<Map<string, string>> {
  const lines = (await balancer.ask(`show servers state ${backend}`)).split("\n");
  return new Map(
    lines.flatMap((line) => {
      const fields = line.split(" ");
      if (fields.length < 20 || line.startsWith("#")) return [];
      const [, , , name = "", host = ""] = fields;
      const isLost = (Number(fields[6]) & 32) !== 0;
      return [[name, isLost ? "-" : `${host}:${fields[18]}`]];
    }),
  );
}

/** Waits until the servers of a backend are at these places, whichever is where. */
async function settled(balancer: Running, backend: string, places: string[]): Promise<void> {
  const wanted = places.toSorted().join(" ");
  let seen = "";
  try {
    await until(
      `${balancer.name} ${backend}`,
      async () => {
        seen = [...(await serversOf(balancer, backend)).values()].toSorted().join(" ");
        return seen === wanted;
      },
      LIMIT_MS,
    );
  } catch {
    expect(`${balancer.name} ${backend}: ${seen}`).toBe(`${balancer.name} ${backend}: ${wanted}`);
  }
}

const SERVERS = `backend one
  server s a.x.test:80 resolvers d init-addr none resolve-prefer ipv4
backend both
  server four b.x.test:80 resolvers d init-addr none resolve-prefer ipv4
  server six b.x.test:80 resolvers d init-addr none
backend many
  server-template t 3 t.x.test:80 resolvers d init-addr none resolve-prefer ipv4
backend shared
  server-template u 2 a.x.test:81 resolvers d init-addr none resolve-prefer ipv4 resolve-opts allow-dup-ip
backend near
  server n t.x.test:80 resolvers d init-addr none resolve-prefer ipv4 resolve-net 127.2.0.0/16
backend service
  server-template v 3 _h._tcp.x.test resolvers d init-addr none resolve-prefer ipv4
`;

type Places = Record<string, string[]>;

/** Records, and where that leaves the servers. A step without records is done to the server. */
const STEPS: {
  name: string;
  records?: string[];
  act?: (zone: KnotZone) => Promise<void> | void;
  places: Places;
}[] = [
  {
    name: "names appear",
    records: [
      "a A 127.0.0.2",
      "b A 127.0.0.3",
      "b AAAA ::1",
      "t A 127.0.0.4",
      "t A 127.2.0.5",
      "_h._tcp SRV 0 10 1001 h1",
      "h1 A 127.1.0.1",
    ],
    places: {
      one: ["127.0.0.2:80"],
      both: ["127.0.0.3:80", "::1:80"],
      many: ["127.0.0.4:80", "127.2.0.5:80", "-"],
      shared: ["127.0.0.2:81", "127.0.0.2:81"],
      near: ["127.2.0.5:80"],
      service: ["127.1.0.1:1001", "-", "-"],
    },
  },
  {
    name: "addresses and services change",
    records: [
      "a A 127.0.0.12",
      "b A 127.0.0.3",
      "t A 127.0.0.4",
      "t A 127.2.0.6",
      "t A 127.0.0.7",
      "t A 127.0.0.8",
      "_h._tcp SRV 0 10 1001 h1",
      "_h._tcp SRV 0 600 1002 h2",
      "_h._tcp SRV 0 0 1003 h3",
      "h1 A 127.1.0.1",
      "h2 A 127.1.0.2",
      "h3 A 127.1.0.3",
    ],
    places: {
      one: ["127.0.0.12:80"],
      // One address: what prefers the other family takes it all the same.
      both: ["127.0.0.3:80", "127.0.0.3:80"],
      shared: ["127.0.0.12:81", "127.0.0.12:81"],
      near: ["127.2.0.6:80"],
      service: ["127.1.0.1:1001", "127.1.0.2:1002", "127.1.0.3:1003"],
    },
  },
  {
    name: "names and services vanish",
    records: ["t A 127.0.0.8", "_h._tcp SRV 0 10 1002 h2", "h2 A 127.1.0.9"],
    places: {
      one: ["-"],
      both: ["-", "-"],
      many: ["127.0.0.8:80", "-", "-"],
      shared: ["-", "-"],
      near: ["127.0.0.8:80"],
      service: ["127.1.0.9:1002", "-", "-"],
    },
  },
  {
    name: "they are back",
    records: [
      "a A 127.0.0.2",
      "b A 127.0.0.3",
      "b AAAA ::1",
      "t A 127.0.0.8",
      "_h._tcp SRV 0 10 1001 h1",
      "h1 CNAME real",
      "real A 127.1.0.1",
    ],
    places: {
      one: ["127.0.0.2:80"],
      both: ["127.0.0.3:80", "::1:80"],
      many: ["127.0.0.8:80", "-", "-"],
      service: ["127.1.0.1:1001", "-", "-"],
    },
  },
  {
    name: "the name server fails",
    act: (zone) => zone.expire(),
    places: { one: ["-"], both: ["-", "-"], many: ["-", "-", "-"], service: ["-", "-", "-"] },
  },
  {
    name: "it serves again",
    records: ["a A 127.0.0.2", "t A 127.0.0.8", "_h._tcp SRV 0 10 1001 h1", "h1 A 127.1.0.1"],
    places: {
      one: ["127.0.0.2:80"],
      many: ["127.0.0.8:80", "-", "-"],
      service: ["127.1.0.1:1001", "-", "-"],
    },
  },
  {
    name: "it falls silent",
    act: (zone) => zone.freeze(),
    places: { one: ["-"], many: ["-", "-", "-"], service: ["-", "-", "-"] },
  },
  {
    name: "it wakes up",
    act: (zone) => zone.thaw(),
    places: { one: ["127.0.0.2:80"], service: ["127.1.0.1:1001", "-", "-"] },
  },
];

withKnot(
  "sluice and haproxy follow the same zone to the same places",
  async () => {
    await using zone = await KnotZone.start();
    const names: BalancerName[] = ["sluice"];
    if (findBalancer("haproxy") !== undefined) names.push("haproxy");
    await using both = new AsyncDisposableStack();
    const running: Running[] = [];
    for (const name of names) running.push(both.use(await start(name, zone, SERVERS)));
    for (const { name, records, act, places } of STEPS) {
      if (records !== undefined) await zone.set(records);
      await act?.(zone);
      for (const balancer of running) {
        for (const [backend, wanted] of Object.entries(places)) {
          await settled(balancer, backend, wanted);
        }
        const weights = await balancer.ask("show stat service 4 -1");
        expect([name, weights.includes("MAINT (resolution)")]).toEqual([
          name,
          places["service"]?.includes("-") === true,
        ]);
      }
    }
  },
  4 * 60_000,
);

withKnot(
  "weights of services become weights of servers",
  async () => {
    await using zone = await KnotZone.start([
      "_h._tcp SRV 0 0 1 h1",
      "_h._tcp SRV 0 1 2 h1",
      "_h._tcp SRV 0 600 3 h1",
      "_h._tcp SRV 0 65535 4 h1",
      "h1 A 127.1.0.1",
    ]);
    const names: BalancerName[] = ["sluice"];
    if (findBalancer("haproxy") !== undefined) names.push("haproxy");
    for (const name of names) {
      const more = "resolvers d init-addr none resolve-opts allow-dup-ip";
      const body = `backend b\n  server-template v 4 _h._tcp.x.test ${more}\n`;
      await using balancer = await start(name, zone, body);
      const weightsOf = async (): Promise<string> => {
        const lines = (await balancer.ask("show servers state b")).split("\n").slice(2);
        const fields = lines.map((line) => line.split(" ")).filter(({ length }) => length > 20);
        const found = fields.map((line) => `${line[18]}=${line[7]}`);
        return found.toSorted().join(" ");
      };
      await until(
        `${name}: weights`,
        async () => (await weightsOf()) === "1=0 2=1 3=3 4=256",
        LIMIT_MS,
      );
    }
  },
  2 * 60_000,
);

withKnot(
  "a template grows and shrinks with its records, and no client fails",
  async () => {
    const peers = Array.from({ length: 6 }, (_, i) => startNamed(`p${i}`));
    await using all = new AsyncDisposableStack();
    for (const peer of peers) all.use(peer);
    const records = (wanted: readonly number[]): string[] => [
      ...wanted.map((i) => `_h._tcp SRV 0 256 ${peers[i]!.port} n${i}`),
      ...peers.map((_, i) => `n${i} A 127.0.0.1`),
    ];
    await using zone = await KnotZone.start(records([0]));
    const port = freePort();
    await using balancer = await start(
      "sluice",
      zone,
      `listen l
  bind 127.0.0.1:${port}
  server-template v 5 _h._tcp.x.test resolvers d init-addr none check\n`,
      // A name server that reloads may fail for a moment: that is what these are for.
      { ports: [port], global: "  nbthread 4\n", more: LONG_HOLDS },
    );
    const whole = (await serversOf(balancer, "l")).size;
    expect(whole).toBe(5);
    await until("the first server", async () => (await askName({ port })) === "p0", LIMIT_MS);
    const answers: string[] = [];
    let isOver = false;
    const clients = Array.from({ length: 8 }, async () => {
      while (!isOver) answers.push(await askName({ port }));
    });
    const sets = [
      [0, 1, 2],
      [0, 1, 2, 3, 4],
      [3],
      [3, 5],
      [5, 0, 1, 2, 4],
      [4, 2],
      [0, 1, 2, 3, 5],
    ];
    for (const wanted of sets) {
      await zone.set(records(wanted));
      await until(
        `traffic to ${wanted.join(", ")}`,
        async () => {
          const from = answers.length;
          await until("40 answers", () => answers.length >= from + 40, LIMIT_MS);
          const names = [...new Set(answers.slice(from))].toSorted();
          return (
            names.join() ===
            wanted
              .map((i) => `p${i}`)
              .toSorted()
              .join()
          );
        },
        LIMIT_MS,
      );
    }
    isOver = true;
    await Promise.all(clients);
    expect([...new Set(answers)].toSorted()).toEqual(peers.map((_, i) => `p${i}`));
  },
  4 * 60_000,
);

withKnot("what is truncated over UDP comes over TCP, and TCP alone does too", async () => {
  const hosts = Array.from({ length: 90 }, (_, i) => `127.0.2.${i + 1}`);
  await using zone = await KnotZone.start(hosts.map((host) => `t A ${host}`));
  const body = `backend b
  server-template t 90 t.x.test:80 resolvers d init-addr none resolve-prefer ipv4
resolvers tcp
  nameserver k tcp@127.0.0.1:${zone.port}
  timeout resolve 100ms
backend c
  server-template t 90 t.x.test:80 resolvers tcp init-addr none resolve-prefer ipv4
`;
  await using balancer = await start("sluice", zone, body);
  const places = hosts.map((host) => `${host}:80`);
  await settled(balancer, "b", places);
  await settled(balancer, "c", places);
  expect(await balancer.ask("show resolvers d")).toMatch(/truncated: +[1-9]/);
});

withKnot("examples/names.cfg serves what DNS says", async () => {
  const peers = ["one", "two", "three"].map((name) => startNamed(name));
  await using all = new AsyncDisposableStack();
  for (const peer of peers) all.use(peer);
  const [one, two, three] = peers.map(({ port }) => port);
  await using zone = await KnotZone.start([
    // Two instances on one machine.
    `_cache._tcp SRV 0 256 ${one} n`,
    `_cache._tcp SRV 0 256 ${two} n`,
    "n A 127.0.0.1",
    "orders-db A 127.0.0.1",
  ]);
  using folder = temporaryFolder();
  const [cache, orders] = [freePort(), freePort()];
  const text = readFileSync(join(import.meta.dir, "../../examples/names.cfg"), "utf8");
  const config = text
    .replaceAll(/10\.0\.[01]\.53:53/g, `127.0.0.1:${zone.port}`)
    .replaceAll("_cache._tcp.service.example.com", "_cache._tcp.x.test")
    .replace("orders-db.example.com:5432", `orders-db.x.test:${three}`)
    .replace(":7200", `:${cache}`)
    .replace(":7201", `:${orders}`)
    .replace("/tmp/sluice-names.sock", folder.file("api.sock"));
  expect(config).not.toContain("example.com");
  const env = { SLUICE_LOG_FORMAT: "off" };
  await using balancer = await startBalancer("sluice", { config, ports: [cache, orders], env });
  for (const [port, name] of [
    [cache, "one"],
    [cache, "two"],
    [orders, "three"],
  ] as const) {
    await until(name, async () => (await askName({ port })) === name, LIMIT_MS);
  }
  expect(balancer.hasExited()).toBe(false);
});

withKnot(
  "what DNS has said outlives the process while nobody answers",
  async () => {
    await using peer = startNamed("alive");
    await using zone = await KnotZone.start([
      `_h._tcp SRV 0 512 ${peer.port} n`,
      "n A 127.0.0.1",
      "a A 127.0.0.1",
    ]);
    using folder = temporaryFolder();
    const ports = [freePort(), freePort()];
    const saved = folder.file("servers");
    writeFileSync(saved, "1\n");
    const body = (init: string): string => `listen l
  bind 127.0.0.1:${ports[0]}
  server-template v 2 _h._tcp.x.test resolvers d init-addr ${init}
listen m
  bind 127.0.0.1:${ports[1]}
  server s a.x.test:${peer.port} resolvers d init-addr ${init} resolve-prefer ipv4
`;
    const served = async (): Promise<void> => {
      for (const port of ports) {
        await until("a server", async () => (await askName({ port })) === "alive", LIMIT_MS);
      }
    };
    const own = { env: { SLUICE_STATE_FILE: folder.file("state") }, ports };
    {
      await using first = await start("sluice", zone, body("none"), own);
      await served();
      writeFileSync(saved, `${await first.ask("show servers state")}\n`);
      first.kill("SIGTERM");
      await first.exited;
    }
    zone.freeze();
    {
      await using second = await start("sluice", zone, body("none"), { ...own, more: LONG_HOLDS });
      await served();
      expect((await serversOf(second, "l")).get("v1")).toBe(`127.0.0.1:${peer.port}`);
    }
    const load = `  server-state-file ${saved}\n`;
    const from = "defaults\n  mode tcp\n  load-server-state-from-file global\n";
    await using third = await start(
      "sluice",
      zone,
      `${from}${LONG_TIMEOUTS}\n${body("last,none")}`,
      {
        global: load,
        ports,
        more: LONG_HOLDS,
      },
    );
    await served();
    const line = (await third.ask("show servers state l")).split("\n")[2];
    expect(line?.split(" ").slice(17, 20)).toEqual(["n.x.test", `${peer.port}`, "_h._tcp.x.test"]);
    // Once it answers again, it counts.
    zone.thaw();
    await zone.set([`_h._tcp SRV 0 512 ${peer.port} m`, "m A 127.0.0.9", "a A 127.0.0.1"]);
    await settled(third, "l", [`127.0.0.9:${peer.port}`, "-"]);
  },
  2 * 60_000,
);
