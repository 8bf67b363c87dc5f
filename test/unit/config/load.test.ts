/** Configuration text to plan: sections, inheritance, numbers, and what is tolerated. */
import { describe, expect, test } from "bun:test";

import { automaticFullconn, hasListener } from "../../../src/config/plan.ts";
import { TIME_UNSET } from "../../../src/tables/spec.ts";
import { linesOf, loadListen, loadText, planOf, proxyOf, TIMEOUTS } from "./load-text.ts";

const SIMPLE = `
global
    maxconn 1000
    log 127.0.0.1:5140 local0 info
    stats socket /run/s.sock level admin mode 600 expose-fd listeners
defaults
    mode tcp
    log global
    option tcplog
    timeout connect 5s
    timeout client 50s
    timeout server 1m
frontend in
    bind 127.0.0.1:8080,[::1]:8081 name web
    bind :9000-9002
    acl local src 127.0.0.0/8
    use_backend two if local { dst_port 8080 }
    default_backend one
backend one
    balance leastconn
    server s1 127.0.0.1:9001 check inter 3s rise 4 fall 5
    server s2 db.test:9002 weight 5 maxconn 10
backend two
    server-template w 2-4 localhost:80
`;

test("a frontend over two backends", async () => {
  const result = await loadText(SIMPLE);
  expect(linesOf(result)).toEqual([]);
  const plan = planOf(result);
  expect(hasListener(plan)).toBe(true);
  expect(plan.global.maxconn).toBe(1000);
  expect(plan.global.statsSockets[0]).toMatchObject({
    address: { family: "unix", path: "/run/s.sock" },
    level: "admin",
    mode: 0o600,
    exposeFd: true,
  });
  const front = proxyOf(plan, "in");
  expect(front.binds.map((bind) => bind.address)).toEqual([
    { family: "ipv4", host: "127.0.0.1", port: 8080 },
    { family: "ipv6", host: "::1", port: 8081 },
    { family: "ipv4", host: "0.0.0.0", port: 9000 },
    { family: "ipv4", host: "0.0.0.0", port: 9001 },
    { family: "ipv4", host: "0.0.0.0", port: 9002 },
  ]);
  expect(front.binds.map((bind) => bind.id)).toEqual([1, 2, 3, 4, 5]);
  expect(front.binds.map((bind) => bind.name)).toEqual(["web", "web", ...Array(3)]);
  expect(front.useBackends[0]).toMatchObject({ backend: { kind: "name", name: "two" } });
  expect(front.useBackends[0]?.condition?.anyOf[0]?.terms.length).toBe(2);
  expect(front.defaultBackend?.name).toBe("one");
  expect(front.logFormatKind).toBe("tcplog");
  expect(front.logs[0]).toMatchObject({
    sink: { kind: "udp", address: { family: "ipv4", host: "127.0.0.1", port: 5140 } },
    facility: 16,
    levelMax: 6,
  });
  const one = proxyOf(plan, "one");
  expect(one.balance.algorithm).toBe("leastconn");
  expect(one.timeouts).toMatchObject({ connect: 5000, server: 60_000, queue: TIME_UNSET });
  expect(one.servers[0]).toMatchObject({
    name: "s1",
    id: 1,
    check: { enabled: true, intervalMs: 3000, fastIntervalMs: 3000, rise: 4, fall: 5 },
  });
  expect(one.servers[1]).toMatchObject({
    hostName: "db.test",
    address: { family: "ipv4", host: "10.9.8.7", port: 9002 },
    weight: 5,
    maxconn: 10,
    minconn: 10,
  });
  expect(proxyOf(plan, "two").servers.map((server) => server.name)).toEqual(["w2", "w3", "w4"]);
});

describe("defaults", () => {
  test("each unnamed section starts afresh", async () => {
    const plan = planOf(
      await loadText(
        "defaults\n retries 7\n timeout queue 1s\ndefaults\n timeout check 2s\nbackend b\n",
      ),
    );
    expect(proxyOf(plan, "b")).toMatchObject({ retries: 3, timeouts: { queue: -1, check: 2000 } });
  });
  test("a named one is inherited through from", async () => {
    const text =
      "defaults a\n retries 7\n option nolinger\n default-server inter 9s\n" +
      "defaults b from a\n no option nolinger\n balance first\n" +
      "backend x from b\n server s 1.1.1.1:1\nbackend y from a\n default-server weight 3\n" +
      " server s 1.1.1.1:1\n";
    const plan = planOf(await loadText(text));
    const x = proxyOf(plan, "x");
    expect(x).toMatchObject({ retries: 7, options: { nolinger: false } });
    expect(x.balance.algorithm).toBe("first");
    expect(x.servers[0]?.check.intervalMs).toBe(9000);
    const y = proxyOf(plan, "y");
    expect(y.options.nolinger).toBe(true);
    expect(y.servers[0]).toMatchObject({ weight: 3, check: { intervalMs: 9000 } });
  });
  test("what one section changes stays with it", async () => {
    const text =
      `${TIMEOUTS}backend x\n option nolinger\n balance first\n log 1.1.1.1 local0\nbackend ` +
      `y\n`;
    const y = proxyOf(planOf(await loadText(text)), "y");
    expect(y).toMatchObject({ options: { nolinger: false }, logs: [] });
    expect(y.balance.algorithm).toBe("roundrobin");
  });
  test("default option restores, no option switches off", async () => {
    const text = "defaults\n option redispatch 3\nbackend a\nbackend b\n no option redispatch\n";
    const plan = planOf(await loadText(text));
    expect(proxyOf(plan, "a").options).toMatchObject({ redispatch: true, redispatchInterval: 3 });
    expect(proxyOf(plan, "b").options).toMatchObject({ redispatch: false, redispatchInterval: 0 });
  });
});

describe("numbers", () => {
  // The rest is in ids.test.ts.
  test("sections that are not served keep their numbers", async () => {
    const text =
      `${TIMEOUTS}listen stats\n mode http\n bind :1\n stats enable\n` +
      "frontend a\n bind :2\nbackend b\n id 3\nbackend c\nbackend d\n";
    const plan = planOf(await loadText(text));
    expect(plan.proxies.map((proxy) => [proxy.name, proxy.id])).toEqual([
      ["a", 2],
      ["b", 3],
      ["c", 4],
      ["d", 5],
    ]);
  });
  test("servers and listeners too", async () => {
    const plan = planOf(
      await loadListen(" bind :2 id 1\n server a 1.1.1.1:1\n server b 1.1.1.1:1 id 1"),
    );
    const { binds, servers } = proxyOf(plan, "l");
    expect(binds.map((bind) => bind.id)).toEqual([2, 1]);
    expect(servers.map((server) => server.id)).toEqual([2, 1]);
  });
});

describe("server settings", () => {
  test("limits are completed as HAProxy does", async () => {
    const plan = planOf(
      await loadListen(
        " server a 1.1.1.1:1 minconn 5\n server b 1.1.1.1:1 maxconn 9\n" +
          " server c 1.1.1.1:1 minconn 2 maxconn 9\n server d 1.1.1.1:1",
      ),
    );
    const limits = proxyOf(plan, "l").servers.map(({ minconn, maxconn }) => [minconn, maxconn]);
    expect(limits).toEqual([
      [5, 5],
      [9, 9],
      [2, 9],
      [0, 0],
    ]);
  });
  test("ports: fixed, absent, offset", async () => {
    const plan = planOf(
      await loadListen(
        " server a 1.1.1.1:7\n server b 1.1.1.1\n server c 1.1.1.1:+5\n server d /x.sock",
      ),
    );
    expect(
      proxyOf(plan, "l").servers.map((server) => [server.portMode, server.portOffset]),
    ).toEqual([
      ["fixed", 0],
      ["client", 0],
      ["offset", 5],
      ["fixed", 0],
    ]);
  });
  test("checks greet as connections do, unless they go elsewhere", async () => {
    const plan = planOf(
      await loadListen(
        " server a 1.1.1.1:7 check send-proxy\n server b 1.1.1.1:7 check send-proxy port 8\n" +
          " server c 1.1.1.1:7 check send-proxy port 8 check-send-proxy",
      ),
    );
    expect(proxyOf(plan, "l").servers.map((server) => server.check.sendProxy)).toEqual([
      true,
      false,
      true,
    ]);
  });
  test("a source with a range of ports and an interface", async () => {
    const plan = planOf(
      await loadListen(" server a 1.1.1.1:7 source 10.0.0.1:1024-2048 interface eth0 weight 2"),
    );
    expect(proxyOf(plan, "l").servers[0]).toMatchObject({
      weight: 2,
      source: {
        address: { family: "ipv4", host: "10.0.0.1", port: 1024 },
        portMax: 2048,
        interfaceName: "eth0",
      },
    });
  });
  test("PROXY protocol out", async () => {
    const plan = planOf(
      await loadListen(" server a 1.1.1.1:7 send-proxy-v2 proxy-v2-options crc32c,unique-id"),
    );
    expect(proxyOf(plan, "l").servers[0]?.sendProxy).toEqual({
      version: 2,
      options: ["crc32c", "unique-id"],
    });
  });
});

test("servers take settings from named and unnamed defaults, and from each other", async () => {
  const text = `${TIMEOUTS}backend be
 default-server weight 10
 default-server inter 5s
 server a 1.1.1.1:1
 server b 1.1.1.1:1 from none
 default-server from none
 server c 1.1.1.1:1
 default-server weight 10
 default-server name other
 server d 1.1.1.1:1 from srv:other
 default-server name other from be:
 server e 1.1.1.1:1 from srv:other maxconn 3
 default-server name other from none
 server f 1.1.1.1:1 from srv:other
 default-server name other weight 5
 server g 1.1.1.1:1 from srv:other
 server h 1.1.1.1:1 from srv:e
backend second
 server i 1.1.1.1:1 from be:be
 server j 1.1.1.1:1 from srv:be/g
`;
  const plan = planOf(await loadText(text));
  const weights = (name: string): number[] =>
    proxyOf(plan, name).servers.map(({ weight }) => weight);
  expect(weights("be")).toEqual([10, 1, 1, 1, 10, 1, 5, 10]);
  expect(weights("second")).toEqual([10, 5]);
  expect(proxyOf(plan, "be").servers.at(-1)?.maxconn).toBe(3);
});

describe("tolerated, as files in the field have it", () => {
  const good = async (text: string, warnings: string[]): Promise<void> => {
    const result = await loadText(text);
    expect(linesOf(result)).toEqual(warnings);
    planOf(result);
  };
  test("no newline at the end", () =>
    good(`${TIMEOUTS}backend b`, [
      "NOTICE parsing [t.cfg:5] : no newline after the last line; the file may " +
        "have been cut short.",
    ]));
  test("frontend and backend of one name", () =>
    good(
      `${TIMEOUTS}frontend x\n bind :1\n default_backend x\nbackend x\n server s 1.1.1.1:1\n`,
      [],
    ));
  test("indented sections, several globals", () =>
    good(`  global\n\tmaxconn 5\n\tglobal\n daemon\n ${TIMEOUTS}   backend b\n`, []));
  test("an address on the section line", () =>
    good(`${TIMEOUTS}listen l 127.0.0.1:80\n server s 1.1.1.1:1\n`, [
      "WARNING parsing [t.cfg:5] : please use the 'bind' keyword for listening addresses.",
    ]));
  test("nbproc and old timeouts", () =>
    good(
      "global\n nbproc 2\ndefaults\n clitimeout 1s\n contimeout 2s\n srvtimeout 3s\nbackend b\n",
      [
        "WARNING parsing [t.cfg:2] : nbproc is not supported any more: threads " +
          "are used, one per processor.",
        "WARNING parsing [t.cfg:4] : the 'clitimeout' directive is obsolete. Use 'timeout client'.",
        "WARNING parsing [t.cfg:5] : the 'contimeout' directive is obsolete. Use " +
          "'timeout connect'.",
        "WARNING parsing [t.cfg:6] : the 'srvtimeout' directive is obsolete. Use 'timeout server'.",
      ],
    ));
  test("two servers of one name", () =>
    good(`${TIMEOUTS}backend b\n server s 1.1.1.1:1\n server s 1.1.1.2:1\n`, [
      "WARNING parsing [t.cfg:7] : backend 'b', another server named 's' was " +
        "already defined at line 6, please use distinct names.",
    ]));
  test("an empty configuration", () => good("", []));
  test("a line that goes on", async () => {
    const plan = planOf(await loadListen(" balance \\\n   leastconn # c \\\n server s 1.1.1.1:1"));
    expect(proxyOf(plan, "l").balance.algorithm).toBe("leastconn");
    expect(proxyOf(plan, "l").servers.length).toBe(1);
  });
});

describe("environment", () => {
  test("setenv and its kin change what follows", async () => {
    const text =
      "global\n presetenv A other\n setenv B two\n unsetenv C\n" +
      '.if defined(B) && !defined(C)\n description "$A-$B-${C-none}"\n.endif\n';
    const plan = planOf(await loadText(text, { environment: { A: "one", C: "gone" } }));
    expect(plan.global.description).toBe("one-two-none");
    expect(plan.global.environment).toMatchObject({ A: "one", B: "two" });
    expect(plan.global.environment["C"]).toBeUndefined();
  });
  test("resetenv keeps what it names", async () => {
    const plan = planOf(
      await loadText("global\n resetenv A\n", { environment: { A: "1", B: "2" } }),
    );
    expect(plan.global.environment["A"]).toBe("1");
    expect(plan.global.environment["B"]).toBeUndefined();
  });
  test("pseudo-variables", async () => {
    const text = `${TIMEOUTS}backend b\n description "$.FILE:$.LINE:$.SECTION"\n`;
    expect(proxyOf(planOf(await loadText(text)), "b").description).toBe("t.cfg:6:b");
  });
  test("the log formats that HAProxy offers", async () => {
    const text =
      `${TIMEOUTS}frontend f\n bind :1\n log 1.1.1.1 local0\n` +
      ` log-format "\${HAPROXY_TCP_LOG_FMT} ` +
      `x"\n`;
    const front = proxyOf(planOf(await loadText(text)), "f");
    expect(front.logFormatKind).toBe("custom");
    expect(front.logFormat?.text).toContain("%ci:%cp [%t]");
  });
});

test("fullconn is a tenth of what the frontends may bring", async () => {
  const text =
    `${TIMEOUTS}frontend a\n bind :1\n maxconn 500\n default_backend b\n` +
    "frontend c\n bind :2\n use_backend b if { dst_port 2 }\nbackend b\n server s 1.1.1.1:1\n";
  const plan = planOf(await loadText(text));
  expect(automaticFullconn(plan, proxyOf(plan, "b"), 1501)).toBe(201);
});
