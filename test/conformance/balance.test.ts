/** Which server answers: algorithms, weights, backups, limits, hashing. */
import { expect } from "bun:test";

import { startNamed } from "../support/peers.ts";
import { askName, askNames, countEach, type Visit, visit } from "../support/traffic.ts";
import { behaviour, conformance, type ConformanceCase, type Lab } from "./harness.ts";

const NAMES = ["s1", "s2", "s3"] as const;
const servers = Object.fromEntries(NAMES.map((name) => [name, () => startNamed(name)]));

/** One proxy over the three servers, `options` after each server's address. */
function listen(lab: Lab, head: string, options: readonly string[] = []): string {
  const lines = NAMES.map((name, i) => `  ${lab.line(name)} ${options[i] ?? ""}`);
  return `listen fe\n  ${lab.bind("fe")}\n${head}\n${lines.join("\n")}`;
}

/** Visits one after the other, each only after the balancer has logged that the last one left. */
async function visitInTurn(lab: Lab, count: number): Promise<string[]> {
  const names: string[] = [];
  for (let i = 0; i < count; i++) {
    names.push(await askName({ port: lab.port("fe") }));
    await lab.logs(i + 1);
  }
  return names;
}

/** Visits that stay. */
async function visitAndStay(lab: Lab, count: number): Promise<Visit[]> {
  const visits: Visit[] = [];
  for (let i = 0; i < count; i++) visits.push(await visit({ port: lab.port("fe") }));
  return visits;
}

const namesOf = (visits: readonly Visit[]): string[] => visits.map((one) => one.name);

/** 60 client addresses, each of which should always reach the same server. */
async function nameBySource(lab: Lab): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (let i = 1; i <= 60; i++) {
    const from = `127.0.${i % 7}.${i}`;
    found[from] = await askName({ port: lab.port("fe"), from });
  }
  return found;
}

function hashing(name: string, head: string, options: readonly string[] = []) {
  return behaviour({
    name,
    servers,
    config: (lab) => listen(lab, head, options),
    traffic: nameBySource,
  });
}

conformance("balance", [
  behaviour({
    name: "roundrobin with equal weights goes round in order",
    servers,
    config: (lab) => listen(lab, "  balance roundrobin"),
    traffic: (lab) => visitInTurn(lab, 9),
    logs: 9,
  }),
  behaviour({
    name: "roundrobin serves in proportion to weights",
    servers,
    config: (lab) => listen(lab, "  balance roundrobin", ["weight 1", "weight 2", "weight 5"]),
    traffic: async (lab) => countEach(await askNames({ port: lab.port("fe") }, 80)),
  }),
  behaviour({
    name: "static-rr serves in proportion to weights",
    servers,
    config: (lab) => listen(lab, "  balance static-rr", ["weight 3", "weight 2", "weight 1"]),
    traffic: async (lab) => countEach(await askNames({ port: lab.port("fe") }, 60)),
  }),
  behaviour({
    name: "weight 0 gets nobody",
    servers,
    config: (lab) => listen(lab, "  balance roundrobin", ["", "weight 0", ""]),
    traffic: (lab) => visitInTurn(lab, 6),
  }),
  behaviour({
    name: "leastconn fills the servers evenly and then where somebody left",
    servers,
    config: (lab) => listen(lab, "  balance leastconn"),
    async traffic(lab) {
      const visits = await visitAndStay(lab, 6);
      const before = namesOf(visits);
      const leavers = visits.filter((one) => one.name === "s2");
      for (const one of leavers) one.leave();
      await lab.logs(leavers.length);
      return { before, after: namesOf(await visitAndStay(lab, 2)) };
    },
  }),
  behaviour({
    name: "leastconn divides by weight",
    servers,
    config: (lab) => listen(lab, "  balance leastconn", ["weight 10", "weight 20", "weight 30"]),
    traffic: async (lab) => countEach(namesOf(await visitAndStay(lab, 12))),
  }),
  behaviour({
    name: "first fills one server before it takes the next",
    servers,
    config: (lab) => listen(lab, "  balance first", ["maxconn 2", "maxconn 2", "maxconn 2"]),
    async traffic(lab) {
      const visits = await visitAndStay(lab, 5);
      visits[0]?.leave();
      await lab.logs(1);
      return [...namesOf(visits), ...namesOf(await visitAndStay(lab, 2))];
    },
  }),
  behaviour({
    name: "random reaches every server about as often",
    servers,
    config: (lab) => listen(lab, "  balance random"),
    traffic: async (lab) => countEach(await askNames({ port: lab.port("fe") }, 150)),
    compare(sluice, haproxy) {
      expect(Object.keys(sluice)).toEqual(Object.keys(haproxy));
      for (const count of Object.values(sluice)) expect(count).toBeWithin(20, 90);
    },
  }),
  hashing("source, map-based, sends each address where haproxy does", "  balance source"),
  hashing("source, map-based, with weights", "  balance source", ["weight 10", "weight 20", ""]),
  hashing("source, consistent", "  balance source\n  hash-type consistent"),
  hashing("source, consistent, with weights", "  balance source\n  hash-type consistent", [
    "weight 10",
    "weight 20",
    "weight 50",
  ]),
  ...["sdbm", "djb2", "wt6", "crc32"].flatMap((name) => [
    hashing(`hash src by ${name}`, `  balance hash src\n  hash-type map-based ${name}`),
    hashing(
      `hash src by ${name} with avalanche, consistent`,
      `  balance hash src\n  hash-type consistent ${name} avalanche`,
    ),
  ]),
  hashing(
    "source, consistent, with one server gone: only its clients move",
    ["  balance source", "  hash-type consistent"].join("\n"),
    ["", "disabled", ""],
  ),
  behaviour({
    name: "hash-balance-factor keeps one address from filling one server",
    servers,
    config: (lab) =>
      listen(lab, "  balance source\n  hash-type consistent\n  hash-balance-factor 125"),
    async traffic(lab) {
      const counts = countEach(namesOf(await visitAndStay(lab, 12)));
      return Object.values(counts).sort();
    },
  }),
  behaviour({
    name: "a disabled server gets nobody",
    servers,
    config: (lab) => listen(lab, "  balance roundrobin", ["", "disabled", ""]),
    traffic: (lab) => visitInTurn(lab, 4),
  }),
  behaviour({
    name: "backup servers serve only without the others, the first of them alone",
    servers,
    config: (lab) => listen(lab, "  balance roundrobin", ["disabled", "backup", "backup"]),
    traffic: (lab) => visitInTurn(lab, 4),
  }),
  behaviour({
    name: "option allbackups uses all of them",
    servers,
    config: (lab) => listen(lab, "  option allbackups", ["disabled", "backup", "backup weight 1"]),
    traffic: (lab) => visitInTurn(lab, 4),
  }),
  behaviour({
    name: "a backup server waits while another one lives",
    servers,
    config: (lab) => listen(lab, "  balance roundrobin", ["backup", "", ""]),
    traffic: (lab) => visitInTurn(lab, 4),
  }),
] satisfies ConformanceCase<unknown>[]);
