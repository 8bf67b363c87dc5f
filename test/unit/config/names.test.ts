/** Host names: looked up at the start, within a deadline, and what `init-addr` makes of it. */
import { describe, expect, test } from "bun:test";

import { resolveNames } from "../../../src/config/resolve.ts";
import { linesOf, loadListen, loadText, planOf, proxyOf } from "./load-text.ts";

const FAILED = "ALERT [t.cfg:7] : 'server l/a' : could not resolve address 'no.such'.";
const DISABLED = FAILED.replace("ALERT", "WARNING").replace(/\.$/, ", disabling server.");

describe("init-addr", () => {
  const cases: [options: string, host: string | undefined, lines: string[]][] = [
    ["", undefined, [FAILED]],
    ["init-addr last", undefined, [FAILED.replace("could not", "no method found to")]],
    ["init-addr libc", undefined, [FAILED]],
    ["init-addr last,libc", undefined, [FAILED]],
    ["init-addr none", undefined, []],
    ["init-addr last,libc,none", undefined, [DISABLED]],
    ["init-addr libc,10.1.1.1", "10.1.1.1", []],
    ["init-addr 10.1.1.1,libc", "10.1.1.1", []],
    ["init-addr ::1", "::1", []],
  ];
  for (const [options, host, lines] of cases) {
    test(options === "" ? "(none)" : options, async () => {
      const result = await loadListen(` server a no.such:80 ${options}`);
      expect(linesOf(result)).toEqual(lines);
      if (result.plan === null) return;
      const server = proxyOf(planOf(result), "l").servers[0];
      expect(server?.hostName).toBe("no.such");
      const address = server?.address;
      const found = address === undefined || !("host" in address) ? undefined : address.host;
      expect(found).toBe(host);
    });
  }
  test("none before libc does not ask", async () => {
    const plan = planOf(await loadListen(" server a db.test:80 init-addr none,libc"));
    expect(proxyOf(plan, "l").servers[0]?.address).toBeUndefined();
  });
  test("from the defaults", async () => {
    const text = "defaults\n default-server init-addr none\nbackend b\n server a no.such:80\n";
    expect((await loadText(text)).plan).not.toBeNull();
  });
  test("-dr goes on without", async () => {
    const result = await loadListen(" server a no.such:80", {
      overrides: { ignoresResolution: true },
    });
    expect(proxyOf(planOf(result), "l").servers[0]?.address).toBeUndefined();
  });
});

test("a name that never answers does not hold the start up", async () => {
  const result = await loadListen(" server a slow.test:80\n server b db.test:80", {
    machine: { hangs: ["slow.test"] },
  });
  expect(linesOf(result)).toEqual([
    "ALERT [t.cfg:7] : 'server l/a' : could not resolve address 'slow.test'.",
  ]);
});

test("families are kept", async () => {
  const machine = { hosts: { "six.test": ["::5"], "both.test": ["10.0.0.1", "::6"] } };
  const text =
    " server a ipv6@both.test:1\n server b both.test:1\n server c six.test:1\n" +
    " server d ipv4@six.test:1 init-addr libc,none";
  const servers = proxyOf(planOf(await loadListen(text, { machine })), "l").servers;
  const hosts = servers.map(({ address }) =>
    address !== undefined && "host" in address ? address.host : undefined,
  );
  expect(hosts).toEqual(["::6", "10.0.0.1", "::5", undefined]);
});

test("names of listeners, logs, sources and check addresses", async () => {
  const text =
    "global\n log db.test:5140 local0\nlisten l\n bind localhost:7-8\n" +
    " server a 1.1.1.1:1 addr db.test source localhost\n timeout client 1s\n" +
    " timeout connect 1s\n timeout server 1s\n";
  const plan = planOf(await loadText(text));
  expect(plan.global.logs[0]?.sink).toEqual({
    kind: "udp",
    address: { family: "ipv4", host: "10.9.8.7", port: 5140 },
  });
  const proxy = proxyOf(plan, "l");
  expect(proxy.binds.map(({ address }) => address)).toEqual([
    { family: "ipv4", host: "127.0.0.1", port: 7 },
    { family: "ipv4", host: "127.0.0.1", port: 8 },
  ]);
  expect(proxy.servers[0]?.check.address).toMatchObject({ host: "10.9.8.7" });
  expect(proxy.servers[0]?.source?.address).toMatchObject({ host: "127.0.0.1" });
});

test("each name is asked for once", async () => {
  let count = 0;
  const lookup = (): Promise<readonly string[]> => {
    count++;
    return Promise.resolve(["10.0.0.1"]);
  };
  const names = Array.from({ length: 10 }, () => ({ name: "A.test", family: 0 as const }));
  const found = await resolveNames(names, lookup, () => new Promise(() => {}));
  expect(count).toBe(1);
  expect(found.get("0 a.test")).toEqual({ family: 4, host: "10.0.0.1" });
});
