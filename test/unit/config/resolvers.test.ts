/** `resolvers` sections and words about names on server lines: meaning, and what is said. */
import { describe, expect, test } from "bun:test";

import type { ServerSpec } from "../../../src/tables/spec.ts";
import { linesOf, loadText, planOf, proxyOf, TIMEOUTS } from "./load-text.ts";
import type { TestMachine } from "./load-text.ts";

const SECTION = "resolvers d\n nameserver a 127.0.0.1:53\n";
const LISTEN = `${SECTION}${TIMEOUTS}listen l\n bind :1\n`;

async function serversOf(lines: string, machine: TestMachine = {}): Promise<ServerSpec[]> {
  const plan = planOf(await loadText(`${LISTEN}${lines}\n`, { machine }));
  return proxyOf(plan, "l").servers;
}

test("a section with everything", async () => {
  const text = `resolvers d
 nameserver a 127.0.0.1:5353
 nameserver b [::1]
 nameserver c tcp@db.test:54 maxconn 3
 accepted_payload_size 4096
 hold valid 1s\n hold obsolete 2s\n hold nx 3s\n hold refused 4s\n hold timeout 5s\n hold other 6
 resolve_retries 7
 timeout resolve 8s
 timeout retry 9s
resolvers e
 nameserver a 127.0.0.2:53
global
 dns-accept-family ipv4,ipv6
`;
  const { resolvers } = planOf(await loadText(text));
  expect(resolvers).toEqual([
    {
      name: "d",
      nameservers: [
        {
          name: "a",
          address: { family: "ipv4", host: "127.0.0.1", port: 5353 },
          isTcp: false,
          maxconn: 0,
        },
        { name: "b", address: { family: "ipv6", host: "::1", port: 53 }, isTcp: false, maxconn: 0 },
        {
          name: "c",
          address: { family: "ipv4", host: "10.9.8.7", port: 54 },
          isTcp: true,
          maxconn: 3,
        },
      ],
      families: "both",
      retries: 7,
      payloadBytes: 4096,
      resolveMs: 8000,
      retryMs: 9000,
      hold: { valid: 1000, obsolete: 2000, nx: 3000, refused: 4000, timeout: 5000, other: 6 },
      origin: { file: "t.cfg", line: 1 },
    },
    {
      name: "e",
      nameservers: [
        {
          name: "a",
          address: { family: "ipv4", host: "127.0.0.2", port: 53 },
          isTcp: false,
          maxconn: 0,
        },
      ],
      families: "both",
      retries: 3,
      payloadBytes: 512,
      resolveMs: 1000,
      retryMs: 1000,
      hold: {
        valid: 10_000,
        obsolete: 0,
        nx: 30_000,
        refused: 30_000,
        timeout: 30_000,
        other: 30_000,
      },
      origin: { file: "t.cfg", line: 15 },
    },
  ]);
});

describe("the system's name servers", () => {
  const RESOLV = "# old\nsearch x.test\nnameserver 10.0.0.53\nnameserver ::53\nnameserver x\n";
  const machine = { files: { "/etc/resolv.conf": `${RESOLV}nameserver 10.0.0.53\noptions edns0` } };
  const hostsOf = async (text: string, on: TestMachine = machine): Promise<string[]> => {
    const { resolvers } = planOf(await loadText(text, { machine: on }));
    return resolvers.map(({ name, nameservers }) => {
      return `${name}: ${nameservers.map((one) => one.name).join(" ")}`;
    });
  };

  test("stand where parse-resolv-conf stands", async () => {
    const text = "resolvers d\n nameserver a 1.1.1.1\n parse-resolv-conf\n nameserver b 1.1.1.2\n";
    expect(await hostsOf(text)).toEqual(["d: a 10.0.0.53 ::53 b", "default: 10.0.0.53 ::53"]);
  });
  test("are the section default, unless there is one, or none of them", async () => {
    expect(await hostsOf("")).toEqual(["default: 10.0.0.53 ::53"]);
    expect(await hostsOf("resolvers default\n nameserver a 1.1.1.1\n")).toEqual(["default: a"]);
    expect(await hostsOf("", {})).toEqual([]);
  });
  test("are missed where they are asked for", async () => {
    const lines = linesOf(await loadText("resolvers d\n parse-resolv-conf\n"));
    const text = "'parse-resolv-conf' : no name server in /etc/resolv.conf.";
    expect(lines).toEqual([`WARNING parsing [t.cfg:2] : ${text}`]);
  });
});

describe("what is said of a section", () => {
  const rows: [text: string, line: string][] = [
    ["nameserver", "'nameserver' expects <name> and <addr>[:<port>] as arguments."],
    ["nameserver a", "'nameserver' expects <name> and <addr>[:<port>] as arguments."],
    ["nameserver a x.y.z:53", "'nameserver a' : invalid address: 'x.y.z:53'"],
    ["nameserver a 1.2.3.4:5-6", "'nameserver a' : port range not permitted here in '1.2.3.4:5-6'"],
    ["nameserver a /tmp/x", "'nameserver a' : a name server has an IP address: '/tmp/x'"],
    [
      "nameserver a tcp@1.2.3.4:5 ssl",
      "'nameserver a' : 'ssl' is not built yet for name servers: only 'maxconn' may follow.",
    ],
    [
      "nameserver a 1.2.3.4:5 maxconn 3",
      "'nameserver a' : 'maxconn' is not built yet for name servers: nothing may follow over UDP.",
    ],
    ["parse-resolv-conf x", "'parse-resolv-conf' cannot handle unexpected argument 'x'."],
    [
      "hold nx",
      "'hold' expects an <event> and a <time> as arguments. <event> can be either 'valid', " +
        "'obsolete', 'nx', 'refused', 'timeout', or 'other'",
    ],
    [
      "hold foo 3s",
      "'hold' unknown <event>: 'foo', expects either 'nx', 'refused', 'timeout', 'valid', " +
        "'obsolete' or 'other'.",
    ],
    ["hold nx x", "unexpected character 'x' in argument to <hold>."],
    ["hold nx 3s 4s", "'hold' cannot handle unexpected argument '4s'."],
    ["resolve_retries", "'resolve_retries' expects <nb> as argument."],
    ["resolve_retries 0", "'resolve_retries' : value must be between 1 and 100 (was 0)."],
    ["timeout", "'timeout' expects 'retry' or 'resolve' and <time> as arguments."],
    ["timeout foo 3s", "'timeout' expects 'retry' or 'resolve' and <time> as arguments got 'foo'."],
    ["timeout resolve", "'timeout resolve' expects <time> as argument."],
    ["timeout resolve x", "unexpected character 'x' in argument to <timeout resolve>."],
    ["accepted_payload_size", "'accepted_payload_size' expects <nb> as argument."],
    [
      "accepted_payload_size 65536",
      "'accepted_payload_size' must be between 512 and 65535 inclusive (was 65536).",
    ],
    ["foo", "'foo' unknown keyword in 'resolvers' section"],
  ];
  for (const [text, line] of rows) {
    test(text, async () => {
      const lines = linesOf(await loadText(`resolvers d\n nameserver z 1.1.1.1\n ${text}\n`));
      expect(lines).toEqual([`ALERT parsing [t.cfg:3] : ${line}`]);
    });
  }
  const whole: [text: string, lines: string[]][] = [
    ["resolvers", ["ALERT parsing [t.cfg:1] : missing name for resolvers section."]],
    [
      "resolvers a%",
      ["ALERT parsing [t.cfg:1] : character '%' is not permitted in 'resolvers' name 'a%'."],
    ],
    ["resolvers a", ["WARNING resolvers 'a' [t.cfg:1] has no nameservers configured!"]],
    [
      `${SECTION} nameserver a 1.1.1.1`,
      [
        "ALERT parsing [t.cfg:3] : nameserver 'a' has same name as another nameserver " +
          "(declared at t.cfg:2).",
      ],
    ],
    [
      `${SECTION}resolvers d`,
      [
        "ALERT parsing [t.cfg:3] : resolvers 'd' has same name as another resolvers " +
          "(declared at t.cfg:1).",
      ],
    ],
    [
      "global\n dns-accept-family ipv5",
      [
        "ALERT parsing [t.cfg:2] : 'dns-accept-family' : unknown family 'ipv5', expects a list " +
          "of 'ipv4', 'ipv6' and 'auto'.",
      ],
    ],
  ];
  for (const [text, lines] of whole) {
    test(text.replaceAll("\n", " |"), async () => {
      expect(linesOf(await loadText(`${text}\n`))).toEqual(lines);
    });
  }
});

describe("a server's words", () => {
  test("are taken over and put together, in whatever order", async () => {
    const lines = ` default-server resolve-prefer ipv4 resolve-net 10.0.0.0/8,::1 init-addr none
 server s a.test:80 resolve-opts allow-dup-ip,ignore-weight resolvers d
 server t a.test resolve-opts prevent-dup-ip resolvers d resolve-prefer ipv6
 server u a.test:80
 server v 10.1.1.1:80 resolvers d`;
    const [s, t, u, v] = await serversOf(lines);
    const nets = [
      { family: 4, base: "10.0.0.0", bits: 8 },
      { family: 6, base: "::1", bits: 128 },
    ] as const;
    const resolution = { resolvers: "d", prefer: "ipv4", nets: [...nets] } as const;
    expect(s).toMatchObject({
      hostName: "a.test",
      namePort: 80,
      resolution: {
        ...resolution,
        allowsDuplicate: true,
        ignoresWeight: true,
        preventsDuplicate: false,
      },
    });
    expect(s?.address).toBeUndefined();
    const options = { allowsDuplicate: false, preventsDuplicate: true };
    expect(t?.resolution).toMatchObject({ ...resolution, prefer: "ipv6", ...options });
    expect(t).toMatchObject({ namePort: 0, portMode: "client" });
    expect([u?.hostName, u?.namePort, u?.resolution]).toEqual(["a.test", 80, undefined]);
    // It may be given a name at run time.
    expect([v?.hostName, v?.namePort]).toEqual([undefined, undefined]);
    expect(v?.resolution).toMatchObject(resolution);
  });

  test("a name that begins with _ is a service where there are resolvers", async () => {
    const [s1, s2, t] = await serversOf(` server-template s 2 _http._tcp.x.test resolvers d check
 server t _x.test:80 init-addr 10.0.0.1`);
    for (const server of [s1, s2]) {
      expect(server).toMatchObject({
        serviceName: "_http._tcp.x.test",
        namePort: 0,
        portMode: "fixed",
        resolution: { resolvers: "d", prefer: "ipv6" },
      });
      expect([server?.hostName, server?.address]).toEqual([undefined, undefined]);
    }
    expect(t?.hostName).toBe("_x.test");
    expect(t?.address).toEqual({ family: "ipv4", host: "10.0.0.1", port: 80 });
    expect(t?.serviceName).toBeUndefined();
  });

  const rows: [words: string, line: string][] = [
    [
      "db.test:80 resolvers nowhere",
      "ALERT proxy 'l', server 's': unable to find required resolvers 'nowhere'",
    ],
    [
      "1.2.3.4:80 resolvers nowhere",
      "ALERT proxy 'l', server 's': unable to find required resolvers 'nowhere'",
    ],
    [
      "a.test:80 resolve-prefer ipv5",
      "ALERT [t.cfg:9] : 'server l/s' : 'resolve-prefer' : expects either ipv4 or ipv6 as " +
        "argument.",
    ],
    [
      "a.test:80 resolve-net foo",
      "ALERT [t.cfg:9] : 'server l/s' : 'resolve-net' : invalid network 'foo'.",
    ],
    [
      "a.test:80 resolve-net 10.0.0.0/40",
      "ALERT [t.cfg:9] : 'server l/s' : 'resolve-net' : invalid network '10.0.0.0/40'.",
    ],
    [
      `a.test:80 resolve-net ${Array(6).fill("10.0.0.0/8").join(",")}`,
      "ALERT [t.cfg:9] : 'server l/s' : 'resolve-net' : exceed 5 networks.",
    ],
    [
      "a.test:80 resolve-opts allow-dup-ip,foo",
      "ALERT [t.cfg:9] : 'server l/s' : 'resolve-opts' : unknown resolve-opts option 'foo', " +
        "supported methods are 'allow-dup-ip', 'ignore-weight', and 'prevent-dup-ip'.",
    ],
    [
      `${"a".repeat(64)}.test:80 resolvers d init-addr none`,
      "ALERT [t.cfg:9] : 'server l/s' : Can't create DNS resolution for server 's'",
    ],
    [
      "_h._tcp.test resolvers d init-addr libc",
      "ALERT [t.cfg:9] : 'server l/s' : no method found to resolve address '_h._tcp.test'.",
    ],
    [
      "no.such:80 resolvers d",
      "WARNING [t.cfg:9] : 'server l/s' : could not resolve address 'no.such', disabling server.",
    ],
    [
      "no.such:80 init-addr last,libc,none",
      "WARNING [t.cfg:9] : 'server l/s' : could not resolve address 'no.such', disabling server.",
    ],
    ["no.such:80", "ALERT [t.cfg:9] : 'server l/s' : could not resolve address 'no.such'."],
  ];
  for (const [words, line] of rows) {
    test(words, async () => {
      const lines = linesOf(await loadText(`${LISTEN} server s ${words}\n`));
      expect(lines).toEqual([line]);
    });
  }
});

describe("with a server state file", () => {
  const FILE = "1\n# be_id\n";
  const stateLine = (fields: Record<number, string | number>): string => {
    const words = "2 l 1 s1 - 2 0 1 1 5 1 0 0 0 0 0 0 - 0 - 0 0 - - 0".split(" ");
    for (const [at, text] of Object.entries(fields)) words[Number(at)] = String(text);
    return `${words.join(" ")}\n`;
  };
  const load = async (server: string, line: string): Promise<ServerSpec | undefined> => {
    const text = `global\n server-state-file /s\n${LISTEN} load-server-state-from-file global\n`;
    const machine = { files: { "/s": FILE + line } };
    const plan = planOf(await loadText(`${text} ${server}\n`, { machine }));
    return proxyOf(plan, "l").servers[0];
  };
  const service = "server-template s 1 _h._tcp.x.test resolvers d init-addr";
  const record = { 4: "10.1.0.1", 17: "h1.x.test", 18: 1001, 19: "_h._tcp.x.test" };

  test("the record of a service goes on, and its address where `last` may", async () => {
    const filled = { hostName: "h1.x.test", namePort: 1001, serviceName: "_h._tcp.x.test" };
    const there = await load(`${service} last,none`, stateLine(record));
    expect(there).toMatchObject({
      ...filled,
      address: { family: "ipv4", host: "10.1.0.1", port: 1001 },
    });
    const without = await load(`${service} none`, stateLine(record));
    expect(without).toMatchObject(filled);
    expect(without?.address).toBeUndefined();
  });
  test("not that of another service", async () => {
    const other = await load(
      `${service} last,none`,
      stateLine({ ...record, 19: "_i._tcp.x.test" }),
    );
    expect([other?.hostName, other?.address]).toEqual([undefined, undefined]);
  });
  test("a name that was set goes on, with its address and port", async () => {
    const line = stateLine({ 4: "10.1.0.9", 6: 64, 17: "b.test", 18: 80 });
    const set = await load("server s1 a.test:80 resolvers d init-addr last,none", line);
    expect(set).toMatchObject({
      hostName: "b.test",
      address: { family: "ipv4", host: "10.1.0.9", port: 80 },
    });
  });
  test("the last address counts before the system's resolver is asked", async () => {
    const line = stateLine({ 4: "10.1.0.9", 17: "db.test", 18: 80 });
    const server = await load("server s1 db.test:80 resolvers d", line);
    expect(server?.address).toEqual({ family: "ipv4", host: "10.1.0.9", port: 80 });
  });
});
