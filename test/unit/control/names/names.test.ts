/** What DNS does to servers, and what operators see and do: over simulated name servers. */
import { describe, expect, test } from "bun:test";

import { seededRandom32 } from "../../../../src/base/prng.ts";
import { observersOf } from "../../../../src/control/stats/observers.ts";
import { SERVER_FLAG_NEW } from "../../../../src/tables/generated/enums.ts";
import { SERVER_FLAGS } from "../../../../src/tables/generated/server.ts";
import { RCODE } from "../../../support/dns-server.ts";
import type { DnsRecord, DnsReply } from "../../../support/dns-server.ts";
import { makeNamesLab } from "../../../support/names-lab.ts";
import type { NamesLab } from "../../../support/names-lab.ts";

/** Records that every name server has; a code stands for all of a name. */
type Zone = Record<string, DnsRecord[] | number>;

const A =
  (...hosts: string[]) =>
  (name: string): DnsRecord[] =>
    hosts.map((data) => ({ name, type: data.includes(":") ? "AAAA" : "A", data }));

function replyFrom(zone: Zone, name: string, type: string): Exclude<DnsReply, undefined> {
  const found = zone[name] ?? RCODE.nx;
  if (typeof found === "number") return { rcode: found };
  return {
    answers: found.filter((record) => record.type === type && record.name === name),
    additionals: found.filter((record) => record.name !== name),
  };
}

type Lab = NamesLab & {
  zone: Zone;
  step(ms?: number): void;
  told(): string[];
  ask(line: string): Promise<string>;
};

/** One section, rounds of a second; `step` lets some of them pass. */
async function makeLab(servers: string, zone: Zone): Promise<Lab> {
  const config = `global
 dns-accept-family ipv4,ipv6
resolvers d
 nameserver k 127.0.0.1:53
 hold nx 5s\n hold other 5s
resolvers e
 nameserver k2 127.0.0.1:54
 nameserver k3 127.0.0.1:55
defaults
 timeout connect 1s\n timeout client 1s\n timeout server 1s
 default-server init-addr none resolvers d resolve-prefer ipv4
${servers}
`;
  const names = await makeNamesLab(
    config,
    (_port, { name, type }) => ({ reply: replyFrom(zone, name, type), latencyMs: 3 }),
    seededRandom32(1),
  );
  const { lab, clock, runTo } = names;
  // Who reads events begins with the first look.
  observersOf(lab.control);
  return {
    ...names,
    zone,
    step: (ms = 1500) => runTo(clock.nowMs() + ms),
    told: () => lab.told.splice(0),
    ask: async (line) => {
      const { code, reply } = await lab.run(line);
      if (reply.kind !== "pieces") return code === "OK" ? reply.text : `${code}: ${reply.text}`;
      let text = "";
      for await (const piece of reply.pieces) text += piece as string;
      return text;
    },
  };
}

const named = (records: (name: string) => DnsRecord[], name: string): Zone => ({
  [name]: records(name),
});

const service = (name: string, ...targets: [target: string, port: number, weight: number][]) =>
  targets.map(([target, port, weight]): DnsRecord => {
    return { name, type: "SRV", data: { target, port, weight } };
  });

describe("addresses", () => {
  const BACKEND = "backend b\n server s a.test:80\n";

  test("come, change and go, told in HAProxy's words", async () => {
    const lab = await makeLab(BACKEND, named(A("10.0.0.1"), "a.test"));
    lab.step();
    expect(lab.told()).toEqual([
      "5 b/s changed its IP from (none) to 10.0.0.1 by d/k.",
      "5 Server b/s ('a.test') is UP/READY (resolves again).",
      "5 Server b/s administratively READY thanks to valid DNS answer.",
    ]);
    Object.assign(lab.zone, named(A("10.0.0.2"), "a.test"));
    lab.step();
    expect(lab.told()).toEqual(["5 b/s changed its IP from 10.0.0.1 to 10.0.0.2 by d/k."]);
    lab.zone["a.test"] = RCODE.nx;
    lab.step(4000);
    expect(lab.told()).toEqual([]);
    lab.step(2500);
    const left = "0 active and 0 backup servers left. 0 sessions active, 0 requeued";
    expect(lab.told()).toEqual([
      `1 Server b/s is going DOWN for maintenance (DNS NX status). ${left}, 0 remaining in queue.`,
      "0 backend b has no server available!",
    ]);
    expect((await lab.ask("show servers state b")).split("\n")[2]).toMatch(
      /^\d+ b 1 s - 0 32 1 1 .* a\.test 80 - 0 0 - - 0$/,
    );
    const { lines } = linesOf(lab);
    expect(lines.filter((line) => line.includes("server-changed"))).toEqual([
      "server-changed b/s address 10.0.0.1 by d/k",
      "server-changed b/s address 10.0.0.2 by d/k",
      "server-changed b/s has no address: DNS NX status",
    ]);
  });

  test("workers are told of what changes, and of nothing else", async () => {
    const lab = await makeLab(BACKEND, named(A("10.0.0.1", "10.0.0.2"), "a.test"));
    lab.lab.mutations.length = 0;
    lab.step(20_000);
    expect(lab.lab.mutations).toMatchObject([
      { kind: "server.change", server: { address: { host: "10.0.0.1", port: 80 } } },
    ]);
    // The order of answers changes; what a server has is still there.
    Object.assign(lab.zone, named(A("10.0.0.2", "10.0.0.1"), "a.test"));
    lab.step(20_000);
    expect(lab.lab.mutations.length).toBe(1);
    // Who is on the way arrives: workers do not forget an address that nobody is sent to.
    lab.zone["a.test"] = RCODE.nx;
    lab.step(20_000);
    expect(lab.lab.mutations.length).toBe(1);
    expect(lab.lab.server("b/s").spec.address).toBeUndefined();
  });

  test("nobody is sent there before all workers know it", async () => {
    const lab = await makeLab(BACKEND, named(A("10.0.0.1"), "a.test"));
    lab.lab.control.grace.hasPassed = () => false;
    const check = lab.lab.control.grace.check.bind(lab.lab.control.grace);
    lab.lab.control.grace.check = () => undefined;
    lab.step();
    expect(await lab.ask("show servers state b")).toMatch(/ s 10\.0\.0\.1 0 32 /);
    check();
    lab.step(1);
    expect(await lab.ask("show servers state b")).toMatch(/ s 10\.0\.0\.1 2 0 /);
  });

  test("in maintenance for another reason, it stays there", async () => {
    const lab = await makeLab(BACKEND, named(A("10.0.0.1"), "a.test"));
    await lab.ask("disable server b/s");
    lab.told();
    lab.step();
    expect(lab.told()).toEqual([
      "5 b/s changed its IP from (none) to 10.0.0.1 by d/k.",
      "5 Server b/s ('a.test') resolves again but remains in maintenance.",
      "5 Server b/s administratively READY thanks to valid DNS answer.",
    ]);
  });

  test("servers of one name share the questions, and have each another address", async () => {
    const zone = named(A("10.0.0.1", "10.0.0.2"), "t.test");
    const lab = await makeLab("backend b\n server-template t 3 t.test:80\n", zone);
    lab.step();
    expect(lab.asked.length).toBe(2);
    expect(lab.told().filter((line) => line.includes("changed"))).toEqual([
      "5 b/t1 changed its IP from (none) to 10.0.0.1 by d/k.",
      "5 b/t2 changed its IP from (none) to 10.0.0.2 by DNS cache.",
    ]);
    Object.assign(lab.zone, named(A("10.0.0.2"), "t.test"));
    lab.step();
    expect(lab.told()[0]).toStartWith(
      "1 Server b/t1 is going DOWN for maintenance (No IP for server ). 1 active",
    );
  });

  test("a check that cannot reach the server asks at once", async () => {
    const lab = await makeLab(BACKEND, named(A("10.0.0.1"), "a.test"));
    lab.step(100);
    const before = lab.asked.length;
    lab.names.wake(lab.lab.server("b/s"));
    lab.step(10);
    expect(lab.asked.length).toBe(before + 1);
  });

  test("a server that is deleted is not asked for", async () => {
    const lab = await makeLab(BACKEND, named(A("10.0.0.1"), "a.test"));
    lab.step();
    await lab.ask("disable server b/s");
    expect(await lab.ask("del server b/s")).toBe("Server deleted.");
    const before = lab.asked.length;
    lab.step(10_000);
    expect(lab.asked.length).toBe(before);
  });
});

function linesOf({ lab, clock }: NamesLab): { lines: string[] } {
  const ring = observersOf(lab.control).events;
  expect(clock.nowMs()).toBeGreaterThan(0);
  const lines = ring.read(0).text.split("\n");
  return { lines: lines.map((line) => line.replace(/^\S+ /, "")) };
}

describe("services", () => {
  const TEMPLATE = "backend b\n server-template v 3 _h._tcp.test\n";
  const hosts = { ...named(A("10.1.0.1"), "h1.test"), ...named(A("10.1.0.2"), "h2.test") };
  const placesOf = (lab: Lab): string[] =>
    ["v1", "v2", "v3"].map((name) => {
      const { address, hostName } = lab.lab.server(`b/${name}`).spec;
      const place = address !== undefined && "host" in address ? address.host : "-";
      return `${hostName ?? "-"} ${place}`;
    });

  test("fill servers, whose addresses are asked for next", async () => {
    const zone = { ...hosts, "_h._tcp.test": service("_h._tcp.test", ["h1.test", 1001, 600]) };
    const lab = await makeLab(TEMPLATE, zone);
    lab.step();
    expect(lab.told()).toEqual([
      "5 b/v1 changed its FQDN from (null) to h1.test by 'SRV record'",
      "5 b/v1 changed its IP from (none) to 10.1.0.1 by d/k.",
      "5 Server b/v1 ('h1.test') is UP/READY (resolves again).",
      "5 Server b/v1 administratively READY thanks to valid DNS answer.",
    ]);
    expect((await lab.ask("show servers state b")).split("\n")[2]).toMatch(
      /^\d+ b 1 v1 10\.1\.0\.1 2 64 3 1 .* h1\.test 1001 _h\._tcp\.test 0 0 - - 0$/,
    );
    zone["_h._tcp.test"] = service("_h._tcp.test", ["h2.test", 1002, 0]);
    lab.step();
    expect(placesOf(lab)).toEqual(["- -", "h2.test 10.1.0.2", "- -"]);
    expect(lab.told()[0]).toStartWith(
      "1 Server b/v1 is going DOWN for maintenance (entry removed from SRV record). 0 active",
    );
    // h1.test is asked for no more.
    const from = lab.asked.length;
    lab.step(5000);
    expect(new Set(lab.asked.slice(from).map(({ name }) => name))).toEqual(
      new Set(["_h._tcp.test", "h2.test"]),
    );
  });

  test("bring addresses with them, until they do not", async () => {
    const records = service("_h._tcp.test", ["h1.test", 1001, 1], ["h2.test", 1002, 1]);
    const zone: Zone = { ...hosts, "_h._tcp.test": [...records, ...A("10.9.0.1")("h1.test")] };
    const lab = await makeLab(TEMPLATE, zone);
    lab.step();
    expect(placesOf(lab)).toEqual(["h1.test 10.9.0.1", "h2.test 10.1.0.2", "- -"]);
    expect(lab.told().slice(0, 2)).toEqual([
      "5 b/v1 changed its IP from (none) to 10.9.0.1 by DNS additional record.",
      "5 b/v1 changed its FQDN from (null) to h1.test by 'SRV record'",
    ]);
    expect(lab.asked.some(({ name }) => name === "h1.test")).toBe(false);
    zone["_h._tcp.test"] = records;
    lab.step(3000);
    expect(placesOf(lab)[0]).toBe("h1.test 10.1.0.1");
    zone["_h._tcp.test"] = [...records, ...A("10.9.0.2")("h1.test")];
    lab.step();
    expect(placesOf(lab)[0]).toBe("h1.test 10.9.0.2");
  });

  test("weights are taken over, unless they are not wanted", async () => {
    const zone = { ...hosts, "_h._tcp.test": service("_h._tcp.test", ["h1.test", 1, 600]) };
    const lab = await makeLab(
      `${TEMPLATE}backend c\n server-template w 1 _h._tcp.test weight 7 resolve-opts ignore-weight\n`,
      zone,
    );
    lab.step();
    expect(await lab.ask("get weight b/v1")).toBe("3 (initial 1)");
    expect(await lab.ask("get weight c/w1")).toBe("7 (initial 7)");
    zone["_h._tcp.test"] = service("_h._tcp.test", ["h1.test", 1, 0]);
    lab.step();
    expect(await lab.ask("get weight b/v1")).toBe("0 (initial 1)");
  });

  test("are held through failures, and then emptied", async () => {
    const zone: Zone = { ...hosts, "_h._tcp.test": service("_h._tcp.test", ["h1.test", 1001, 1]) };
    const lab = await makeLab(TEMPLATE, zone);
    lab.step();
    zone["_h._tcp.test"] = RCODE.servFail;
    lab.step(4000);
    expect(placesOf(lab)[0]).toBe("h1.test 10.1.0.1");
    lab.step(3000);
    expect(placesOf(lab)).toEqual(["- -", "- -", "- -"]);
  });

  test("an operator's address stays, and its record with it", async () => {
    const zone = { ...hosts, "_h._tcp.test": service("_h._tcp.test", ["h1.test", 1001, 1]) };
    const lab = await makeLab(TEMPLATE, zone);
    lab.step();
    await lab.ask("set server b/v1 addr 9.9.9.9");
    zone["_h._tcp.test"] = service("_h._tcp.test", ["h2.test", 1002, 1]);
    lab.step(20_000);
    expect(placesOf(lab)).toEqual(["h1.test 9.9.9.9", "h2.test 10.1.0.2", "- -"]);
    expect(await lab.ask("set server b/v1 fqdn h2.test")).toBe(
      "WRONG_STATE: set server <b>/<s> fqdn failed because SRV resolution is configured.",
    );
  });
});

describe("the runtime API", () => {
  const BACKEND = "backend b\n server s a.test:80\n server plain 1.2.3.4:80\n";
  const zone = (): Zone => ({
    ...named(A("10.0.0.1"), "a.test"),
    ...named(A("10.0.0.2", "::2"), "b.test"),
  });

  test("set server addr ends it, set server fqdn begins it again", async () => {
    const lab = await makeLab(BACKEND, zone());
    lab.step();
    expect(await lab.ask("set server b/s addr 9.9.9.9")).toBe(
      "IP changed from '10.0.0.1' to '9.9.9.9' by 'stats socket command'",
    );
    lab.step(5000);
    lab.zone["a.test"] = RCODE.nx;
    lab.step(20_000);
    expect(await lab.ask("show servers state b")).toContain(" s 9.9.9.9 2 0 ");
    expect(await lab.ask("set server b/s fqdn b.test")).toBe(
      "b/s changed its FQDN from a.test to b.test by 'stats socket command'",
    );
    // The address stays until there is an answer, which is asked for at once.
    expect(await lab.ask("show servers state b")).toContain(" s 9.9.9.9 2 64 ");
    lab.step(10);
    expect(await lab.ask("show servers state b")).toMatch(/ s 10\.0\.0\.2 2 64 .* b\.test 80 /);
    expect(await lab.ask("set server b/s fqdn b.test")).toBe(
      "no need to change the FDQN by 'stats socket command'",
    );
  });

  test("one that had no address is chosen when all workers know what was set", async () => {
    const lab = await makeLab(BACKEND, { "a.test": RCODE.nx });
    lab.step(20_000);
    const { control, server } = lab.lab;
    const { row } = server("b/s");
    const isHeldBack = (): boolean => {
      return (control.tables.servers.words[row + SERVER_FLAGS]! & SERVER_FLAG_NEW) !== 0;
    };
    expect(await lab.ask("show servers state b")).toContain(" s - 0 32 ");
    await lab.ask("set server b/s addr 9.9.9.9");
    expect(await lab.ask("show servers state b")).toContain(" s 9.9.9.9 2 0 ");
    expect(isHeldBack()).toBe(true);
    lab.lab.settle();
    expect(isHeldBack()).toBe(false);
    // Workers that know some address have somewhere to go.
    await lab.ask("set server b/s addr 9.9.9.8");
    expect(isHeldBack()).toBe(false);
  });

  test("a port that was set stays with the name", async () => {
    const lab = await makeLab(BACKEND, zone());
    lab.step();
    await lab.ask("set server b/s addr 9.9.9.9 port 81");
    await lab.ask("set server b/s fqdn b.test");
    lab.step();
    expect(await lab.ask("show servers state b")).toMatch(/ s 10\.0\.0\.2 .* b\.test 81 /);
  });

  const refusals: [line: string, text: string][] = [
    ["set server b/s fqdn", "BAD_ARGUMENT: set server <b>/<s> fqdn requires a FQDN."],
    [
      "set server b/s fqdn a..b",
      "BAD_ARGUMENT: could not update b/s FQDN by 'stats socket command'",
    ],
    ["show resolvers nowhere", "BAD_ARGUMENT: Can't find that resolvers section"],
    [
      "add server b/n a.test:80 resolvers d",
      "BAD_ARGUMENT: 'resolvers' option is not accepted for dynamic server",
    ],
  ];
  for (const [line, text] of refusals) {
    test(line, async () => {
      const lab = await makeLab(BACKEND, zone());
      expect(await lab.ask(line)).toBe(text);
    });
  }

  test("a server with an address and resolvers may be given a name", async () => {
    const lab = await makeLab(BACKEND, zone());
    lab.step();
    expect(await lab.ask("set server b/plain fqdn b.test")).toBe(
      "b/plain changed its FQDN from (null) to b.test by 'stats socket command'",
    );
    lab.step();
    expect(await lab.ask("show servers state b")).toMatch(/ plain 10\.0\.0\.2 .* b\.test 80 /);
  });

  test("add server takes a name, and asks nobody", async () => {
    const lab = await makeLab(BACKEND, zone());
    expect(await lab.ask("add server b/n b.test:80 from srv:b/s")).toBe("New server registered.");
    lab.step(5000);
    expect(lab.asked.some(({ name }) => name === "b.test")).toBe(false);
    expect(await lab.ask("show servers state b")).toMatch(/ n - 0 33 .* b\.test 80 /);
  });

  test("undone in a transaction, the name is what it was", async () => {
    const lab = await makeLab(`${BACKEND} server looked localhost:80 from none\n`, zone());
    lab.step();
    const { spec } = lab.lab.server("b/s");
    const lines = "set server b/s fqdn b.test\nset server b/looked fqdn nobody.invalid";
    expect(await lab.lab.ask("transaction", lines)).toEndWith("1 change before it taken back.");
    expect(lab.lab.server("b/s").spec).toEqual(spec);
    lab.step();
    expect(await lab.ask("show servers state b")).toMatch(/ s 10\.0\.0\.1 2 0 .* a\.test 80 /);
  });

  test("show resolvers, and its statistics", async () => {
    const lab = await makeLab(BACKEND, zone());
    lab.step(10);
    expect(await lab.ask("show resolvers d")).toBe(`Resolvers section d
 nameserver k:
  sent:        1
  snd_error:   0
  valid:       1
  update:      1
  cname:       0
  cname_error: 0
  any_err:     0
  nx:          0
  timeout:     0
  refused:     0
  other:       0
  invalid:     0
  too_big:     0
  truncated:   0
  outdated:    0
`);
    const all = await lab.ask("show resolvers");
    expect(all.match(/^(Resolvers section|\s+nameserver) .*$/gmu)).toEqual([
      "Resolvers section d",
      " nameserver k:",
      "Resolvers section e",
      " nameserver k2:",
      " nameserver k3:",
    ]);
    const columns = "sent,send_error,valid,update,cname,cname_error,any_err,nx,timeout,refused";
    expect(await lab.ask("show stat domain resolvers")).toBe(
      `# id,pid,${columns},other,invalid,too_big,truncated,outdated,\n` +
        "k,d,1,0,1,1,0,0,0,0,0,0,0,0,0,0,0,\n" +
        "k2,e,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,\n" +
        "k3,e,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,\n",
    );
    await lab.ask("clear counters all");
    expect(await lab.ask("show resolvers d")).toMatch(/sent: +0\n/);
  });

  test("rounds without a good answer are counted", async () => {
    const lab = await makeLab(BACKEND, {});
    lab.step(10_000);
    expect(lab.names.failed).toBeGreaterThan(5);
  });
});
