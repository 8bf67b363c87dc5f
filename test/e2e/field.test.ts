/**
 * Twenty configurations of different services, as people publish them (in words of our own; the
 * mess is theirs: http-only words, statistics pages, tabs, names used twice, old words, a last line
 * without an end). Ports and addresses become local ones; then each loads and carries traffic.
 */
import { describe, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { startBalancer } from "../support/haproxy.ts";
import { temporaryFolder } from "../support/procs.ts";
import { askName, countEach } from "../support/traffic.ts";
import { relocate } from "./relocate.ts";
import { e2e } from "./sluice.ts";

/** By file: its ports, and which servers answer there. */
const EXPECTED: Record<string, Record<number, string[]>> = {
  "patroni-postgresql": { 5000: ["pg-a", "pg-b", "pg-c"], 5001: ["pg-a", "pg-b"] },
  galera: { 3306: ["db1"], 3307: ["db1", "db2", "db3"] },
  rabbitmq: { 5672: ["rabbit1", "rabbit2", "rabbit3"], 15672: ["rabbit1", "rabbit2"] },
  mqtt: { 1883: ["broker-1", "broker-2"] },
  "kubernetes-api": { 6443: ["cp-1", "cp-2", "cp-3"] },
  openshift: {
    6443: ["master0", "master1"],
    22623: ["master0"],
    443: ["worker0", "worker1"],
    80: ["worker0", "worker1"],
  },
  ldap: { 389: ["ds1", "ds2"], 636: ["ds1", "ds2"] },
  "ssh-bastion": { 2222: ["jump-admin", "jump1", "jump2"] },
  "dns-over-tls": { 853: ["unbound-a", "unbound-b"] },
  mail: {
    25: ["mta1", "mta2"],
    587: ["mta1", "mta2"],
    143: ["dovecot1", "dovecot2"],
    993: ["dovecot1", "dovecot2"],
  },
  minecraft: { 25565: ["survival"] },
  "redis-sentinel": { 6379: ["R1"] },
  cassandra: { 9042: ["ring1", "ring2", "ring3"], 9160: ["ring1"] },
  mongodb: { 27017: ["router-a", "router-b", "router-c"] },
  kafka: {
    9092: ["broker0", "broker1", "broker2"],
    9093: ["broker0"],
    9094: ["broker1"],
    9095: ["broker2"],
  },
  "web-pass-through": { 80: ["w1", "w2"], 443: ["w1", "w2"] },
  vpn: { 1194: ["gate1"], 8000: ["gate1"], 8003: ["gate1"] },
  etcd: { 2379: ["node"] },
  "remote-desktop": { 3389: ["desktop1", "desktop2"] },
  xmpp: { 5222: ["node1", "node2", "tarpit"], 5269: ["node1", "node2"] },
};

/** Pages of those files: port, path, who asks, and what the answer holds. */
const PAGES: Record<string, readonly (readonly [number, string, string, RegExp])[]> = {
  galera: [
    [9000, "/haproxy-stats", "admin:change me", /galera_write/],
    [9000, "/haproxy-stats;csv", "admin:change me", /^# pxname,svname,[^]*galera_read,db3,/],
  ],
  openshift: [[1936, "/stats", "admin:secret", /Stats for the cluster/]],
  "patroni-postgresql": [[7000, "/", "", /master/]],
  "redis-sentinel": [
    [8404, "/health", "", /^OK$/],
    [8404, "/stats;csv", "", /bk_redis,R1,/],
  ],
};

/** What a page answers. @param login `user:password`, or nothing */
async function askPage(port: number, path: string, login: string): Promise<string> {
  const headers = login === "" ? {} : { authorization: `Basic ${btoa(login)}` };
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
  expect(answer.status).toBe(200);
  return await answer.text();
}

/** As many client addresses, so that every server of a hash is met. */
const VISITS = 70;

describe("configurations from the field", () => {
  for (const [name, ports] of Object.entries(EXPECTED)) {
    e2e(name, async () => {
      using folder = temporaryFolder();
      const text = readFileSync(join(import.meta.dir, "field", `${name}.cfg`), "utf8");
      await using moved = relocate(text, folder.path);
      const bound = Object.keys(ports).map((port) => moved.portOf(Number(port)));
      await using sluice = await startBalancer("sluice", { config: moved.text, ports: bound });
      for (const [port, servers] of Object.entries(ports)) {
        const names: string[] = [];
        for (let i = 1; i <= VISITS; i++) {
          const where = { port: moved.portOf(Number(port)), from: `127.0.0.${i}` };
          names.push(await askName(where));
        }
        expect(Object.keys(countEach(names))).toEqual(servers);
      }
      for (const [port, path, login, expected] of PAGES[name] ?? []) {
        expect(await askPage(moved.portOf(port), path, login)).toMatch(expected);
        if (login === "") continue;
        const stranger = await fetch(`http://127.0.0.1:${moved.portOf(port)}${path}`);
        expect(stranger.status).toBe(401);
      }
      expect(sluice.hasExited()).toBe(false);
    });
  }
});
