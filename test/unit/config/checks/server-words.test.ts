/** What server lines say about checks, TLS of checks, agents and real traffic. */
import { describe, expect, test } from "bun:test";

import type { CheckSpec, CheckTlsSpec, ServerSpec } from "../../../../src/tables/spec.ts";
import { linesOf, loadText, planOf, proxyOf, TIMEOUTS } from "../load-text.ts";
import { A, B, MACHINE } from "../quic-texts.ts";
import { loadBackend } from "./programs.ts";
import type { Surroundings } from "./programs.ts";

/** Server `s` of a backend, written so. */
async function serverOf(words: string, lines = "", around: Surroundings = {}): Promise<ServerSpec> {
  const result = await loadBackend(lines, { machine: MACHINE, ...around, server: words });
  const [server] = proxyOf(planOf(result), "b").servers;
  if (server === undefined) throw new Error("no server");
  return server;
}

async function tlsOf(words: string, lines = "", around: Surroundings = {}) {
  const { check } = await serverOf(`10.0.0.1:443 check ${words}`, lines, around);
  return check.tls;
}

async function saidOf(words: string, lines = "", around: Surroundings = {}): Promise<string[]> {
  return linesOf(await loadBackend(lines, { machine: MACHINE, ...around, server: words }));
}

const PLAIN: CheckTlsSpec = { alpn: [], verify: "required" };

describe("check-ssl", () => {
  const CASES: readonly (readonly [string, CheckTlsSpec])[] = [
    ["check-ssl", PLAIN],
    ["check-ssl verify none", { ...PLAIN, verify: "none" }],
    ["check-ssl check-sni a.test", { ...PLAIN, sni: "a.test" }],
    ["check-ssl check-alpn h2,http/1.1", { ...PLAIN, alpn: ["h2", "http/1.1"] }],
    ["check-ssl verifyhost a.test", { ...PLAIN, verifyHost: "a.test" }],
    ["check-ssl verifyhost a.test no-verifyhost", PLAIN],
    ["check-ssl ca-file @system-ca", PLAIN],
    [
      "check-ssl ca-file /tls/a.pem",
      { ...PLAIN, authorities: A.chain, authoritiesFile: "/tls/a.pem" },
    ],
    [
      "check-ssl crt /tls/b.pem",
      { ...PLAIN, certificate: { file: "/tls/b.pem", chain: B.chain, key: B.key } },
    ],
  ];
  for (const [words, spec] of CASES) {
    test(words, async () => {
      expect(await tlsOf(words)).toEqual(spec);
    });
  }
  test("without it, nothing is read nor asked for", async () => {
    expect(await tlsOf("verify none ca-file /nowhere crt /nowhere check-sni a")).toBeUndefined();
    expect(await tlsOf("check-ssl no-check-ssl")).toBeUndefined();
    expect(await saidOf("10.0.0.1:1 check verify none ca-file /nowhere")).toEqual([]);
  });
  test("defaults of global and of default-server count", async () => {
    const none = { ...PLAIN, verify: "none" as const };
    expect(await tlsOf("check-ssl", "", { global: " ssl-server-verify none" })).toEqual(none);
    expect(await tlsOf("", " default-server check-ssl verify none")).toEqual(none);
    const off = " default-server check-ssl verify none";
    expect(await tlsOf("no-check-ssl", off)).toBeUndefined();
    const file = await tlsOf("check-ssl ca-file a.pem", "", { global: " ca-base /tls" });
    expect(file?.authoritiesFile).toBe("/tls/a.pem");
  });
  test("files that cannot be read are refused", async () => {
    const subject = "ALERT [t.cfg:8] : 'server b/s'";
    expect(await saidOf("10.0.0.1:1 check check-ssl ca-file /gone")).toEqual([
      `${subject} : 'ca-file' : unable to load '/gone' : No such file or directory.`,
    ]);
    expect(await saidOf("10.0.0.1:1 check check-ssl crt /gone")).toEqual([
      `${subject} : 'crt' : unable to load '/gone' : No such file or directory.`,
    ]);
    expect(await saidOf("10.0.0.1:1 check check-ssl verify optional")).toEqual([
      `${subject} : 'verify' : expects 'none' or 'required' (got 'optional').`,
    ]);
    expect(await saidOf("10.0.0.1:1 check check-ssl check-alpn a,,b")).toEqual([
      `${subject} : 'check-alpn' : an empty name in 'a,,b'.`,
    ]);
    expect(await saidOf("10.0.0.1:1 check check-ssl check-sni a/b")).toEqual([
      `${subject} : 'check-sni' : 'a/b' is no name of a host.`,
    ]);
  });
  test("the host of the request is asked for, unless something else is said", async () => {
    const http = (host: string): string => ` option httpchk GET / HTTP/1.1 ${host}`;
    expect((await tlsOf("check-ssl", http("a.test:6443")))?.sni).toBe("a.test");
    expect((await tlsOf("check-ssl no-check-sni-auto", http("a.test")))?.sni).toBeUndefined();
    expect((await tlsOf("check-ssl check-sni b", http("a.test")))?.sni).toBe("b");
    expect((await tlsOf("check-ssl", http("10.0.0.1")))?.sni).toBeUndefined();
    expect((await tlsOf("check-ssl", http("%[srv_name]")))?.sni).toBeUndefined();
    const connect = `${http("a.test")}\n http-check connect default`;
    expect((await tlsOf("check-ssl", connect))?.sni).toBeUndefined();
    const undone = " default-server no-check-sni-auto\n";
    const words = "check-ssl check-sni-auto";
    expect((await tlsOf(words, undone + http("a.test")))?.sni).toBe("a.test");
  });
  test("steps that ask for TLS have the server's settings", async () => {
    const lines = " option tcp-check\n tcp-check connect port 443 ssl";
    const words = "10.0.0.1:1 check verify none check-sni a";
    const { check } = await serverOf(words, lines);
    expect(check.tls).toBeUndefined();
    expect(check.stepTls).toEqual({ ...PLAIN, verify: "none", sni: "a" });
    const both = await serverOf("10.0.0.1:1 check check-ssl verify none", lines);
    expect(both.check.stepTls).toEqual(both.check.tls!);
  });
  test("ssl stays what it was", async () => {
    const [line = ""] = await saidOf("10.0.0.1:1 check ssl verify none");
    expect(line).toStartWith("ALERT parsing [t.cfg:8] : 'server b/s' : 'ssl' is not built yet;");
  });
  test("a server of QUIC has its own", async () => {
    const words = "quic4@10.0.0.1:853 ssl verify none check check-ssl check-sni a.test";
    const { check, quic } = await serverOf(words);
    expect(check.tls).toBeUndefined();
    expect(quic).toMatchObject({ verify: "none", checkSni: "a.test" });
  });
});

describe("programs and servers of QUIC", () => {
  const QUIC = "quic4@10.0.0.1:853 ssl verify none check";
  test("their checks stay handshakes, which is said", async () => {
    expect(await saidOf(QUIC, " option httpchk\n server t 10.0.0.1:1 check")).toEqual([
      "WARNING backend 'b' : checks of servers that speak QUIC are handshakes, whatever else is " +
        "asked of the others: 's'.",
    ]);
    expect(await saidOf(QUIC)).toEqual([]);
    expect(await saidOf(QUIC.replace(" check", ""), " option httpchk")).toEqual([]);
  });
});

describe("agents", () => {
  const NONE = { enabled: false, port: 0, intervalMs: 2000, send: "" };
  const CASES: readonly (readonly [string, object])[] = [
    ["", NONE],
    ["agent-check agent-port 90", { ...NONE, enabled: true, port: 90 }],
    // The port of checks serves too.
    ["agent-check port 91", { ...NONE, enabled: true, port: 91 }],
    ["agent-port 90", { ...NONE, port: 90 }],
    ["agent-check agent-port 90 no-agent-check", { ...NONE, port: 90 }],
    [
      "agent-check agent-port 90 agent-inter 5s agent-send x\\n",
      { enabled: true, port: 90, intervalMs: 5000, send: "x\n" },
    ],
    [
      "agent-check agent-port 90 agent-addr 10.1.1.1",
      {
        ...NONE,
        enabled: true,
        port: 90,
        address: { family: "ipv4", host: "10.1.1.1", port: 90 },
      },
    ],
    [
      "agent-check agent-port 90 agent-addr db.test",
      {
        ...NONE,
        enabled: true,
        port: 90,
        address: { family: "ipv4", host: "10.9.8.7", port: 90 },
      },
    ],
  ];
  for (const [words, agent] of CASES) {
    test(words === "" ? "none" : words, async () => {
      expect((await serverOf(`10.0.0.1:1 ${words}`)).agent).toEqual(agent as ServerSpec["agent"]);
    });
  }
  test("default-server may ask for one, each server says its port", async () => {
    const lines = " default-server agent-check agent-inter 1s";
    const { agent } = await serverOf("10.0.0.1:1 agent-port 90", lines);
    expect(agent).toEqual({ ...NONE, enabled: true, port: 90, intervalMs: 1000 });
  });
  const WRONG: readonly (readonly [string, string])[] = [
    ["agent-check", "server s does not have agent port. Agent check has been disabled."],
    ["agent-port 70000", "'agent-port' : expects a port between 0 and 65535 (got '70000')."],
    ["agent-inter 0", "'agent-inter' : invalid value 0 for argument 'agent-inter' of server s."],
    [
      "agent-inter x",
      "'agent-inter' : unexpected character 'x' in 'agent-inter' argument of server s.",
    ],
    [
      "agent-addr 1.2.3.4:99",
      "'agent-addr' : parsing agent-addr failed. Check if '1.2.3.4:99' is correct address.",
    ],
    [
      "agent-addr unix@/x",
      "'agent-addr' : parsing agent-addr failed. Check if 'unix@/x' is correct address.",
    ],
    [
      "agent-check agent-port 1 agent-addr gone.test",
      "'agent-addr' : could not resolve 'gone.test'.",
    ],
    ["agent-send", "'agent-send' : missing value (<text>)."],
  ];
  for (const [words, sentence] of WRONG) {
    test(words, async () => {
      expect(await saidOf(`10.0.0.1:1 ${words}`)).toEqual([
        `ALERT [t.cfg:8] : 'server b/s' : ${sentence}`,
      ]);
    });
  }
  test("who has one can be followed", async () => {
    const other = " server t 10.0.0.1:1 agent-check agent-port 90";
    expect(await saidOf("10.0.0.1:1 track t", other)).toEqual([]);
    expect(await saidOf("10.0.0.1:1 track t", " server t 10.0.0.1:1")).toHaveLength(1);
  });
});

describe("what real traffic says, and coming back", () => {
  test("observe, error-limit, slowstart", async () => {
    const server = await serverOf(
      "10.0.0.1:1 check observe layer4 error-limit 7 on-error mark-down slowstart 30s",
    );
    expect(server).toMatchObject({
      observe: "layer4",
      errorLimit: 7,
      onError: "mark-down",
      slowstartMs: 30_000,
    });
    const undone = await serverOf("10.0.0.1:1 observe none", " default-server observe layer4");
    expect(undone.observe).toBe("none");
  });
  const WRONG: readonly (readonly [string, string])[] = [
    ["observe layer7", "'observe' : 'layer7' can only be used in http proxies."],
    ["observe x", "'observe' : expects one of 'none', 'layer4', 'layer7' but got 'x'."],
    ["slowstart x", "'slowstart' : unexpected character 'x' in 'slowstart' argument of server s."],
    [
      "check-proto h2",
      "'check-proto' : checks do not speak 'h2': 'h1' and 'none' are what they speak.",
    ],
    ["check-proto x", "'check-proto' : unknown MUX protocol 'x'."],
  ];
  for (const [words, sentence] of WRONG) {
    test(words, async () => {
      expect(await saidOf(`10.0.0.1:1 check ${words}`)).toEqual([
        `ALERT [t.cfg:8] : 'server b/s' : ${sentence}`,
      ]);
    });
  }
  test("words about connections that are used again have no effect", async () => {
    const words = "check-reuse-pool no-check-reuse-pool check-pool-conn-name x check-via-socks4";
    const [line = ""] = await saidOf(`10.0.0.1:1 check ${words}`);
    expect(line).toStartWith("WARNING [t.cfg] : without effect in this program:");
  });
});

describe("where a check goes", () => {
  const LACK = "server 's' has neither service port nor check port";
  const CASES: readonly (readonly [lines: string, said: string | undefined])[] = [
    ["", `${LACK}.`],
    [" option redis-check", `${LACK} nor tcp_check rule 'connect' with port information.`],
    [" option httpchk", `${LACK} nor tcp_check rule 'connect' with port information.`],
    [
      " option tcp-check\n tcp-check send x",
      `${LACK} nor tcp_check rule 'connect' with port information.`,
    ],
    [
      " option tcp-check\n tcp-check connect",
      `${LACK} nor tcp_check rule 'connect' with port information.`,
    ],
    [" option tcp-check\n tcp-check connect port 90", undefined],
    [
      " option tcp-check\n tcp-check connect port 90\n tcp-check connect",
      `${LACK}, and a tcp_check rule 'connect' with no port information.`,
    ],
  ];
  for (const [lines, said] of CASES) {
    test(lines === "" ? "no program" : lines.trim().replaceAll("\n", ","), async () => {
      const found = await saidOf("10.0.0.1 check", lines);
      const line = 8 + (lines === "" ? 0 : lines.split("\n").length - 1);
      const subject = `ALERT [t.cfg:${line}] : 'server b/s'`;
      expect(found).toEqual(said === undefined ? [] : [`${subject} : ${said}`]);
    });
  }
});

describe("healthcheck sections", () => {
  const SECTION = "healthcheck h\n type httpchk GET /h\n http-check expect status 201\n";
  async function checkOf(words: string, lines = "", more = SECTION): Promise<CheckSpec> {
    return (await serverOf(`10.0.0.1:1 check ${words}`, lines, { more })).check;
  }
  test("a server is asked that instead of its backend's program", async () => {
    const { program } = await checkOf("healthcheck h", " option redis-check");
    expect(program).toMatchObject({
      kind: "http",
      steps: [{ method: "GET" }, { match: { ranges: [{ from: 201, to: 201 }] } }],
    });
    expect((await checkOf("")).program).toBeUndefined();
    expect((await checkOf("", " default-server healthcheck h")).program?.kind).toBe("http");
  });
  test("all types", async () => {
    const types = [
      ["tcp-check", "tcp"],
      ["ssl-hello-chk", "ssl-hello"],
      ["smtpchk EHLO a", "smtp"],
      ["pgsql-check user a", "pgsql"],
      ["redis-check", "redis"],
      ["mysql-check user a", "mysql"],
      ["ldap-check", "ldap"],
      ["spop-check", "spop"],
    ] as const;
    for (const [type, kind] of types) {
      const { program } = await checkOf("healthcheck h", "", `healthcheck h\n type ${type}\n`);
      expect(program?.kind).toBe(kind);
    }
  });
  const WRONG: readonly (readonly [string, string])[] = [
    ["healthcheck\n", "ALERT parsing [t.cfg:9] : missing name for the healthcheck section."],
    ["healthcheck h\n", "ALERT parsing [t.cfg:9] : healthcheck section 'h' has no 'type'."],
    [
      "healthcheck h x\n",
      "ALERT parsing [t.cfg:9] : 'healthcheck' cannot handle unexpected argument 'x'.",
    ],
    [
      "healthcheck h\n type redis-chek\n type redis-check\n",
      "ALERT parsing [t.cfg:10] : 'type' : unknown type 'redis-chek'; did you mean 'redis-check'?.",
    ],
    [
      "healthcheck h\n type tcp-check\n tcp-check sent\n",
      "ALERT parsing [t.cfg:11] : 'tcp-check' only supports 'comment', 'connect', 'send', " +
        "'send-lf', 'send-binary', 'send-binary-lf', 'expect', 'set-var-fmt(*)', 'set-var(*)', " +
        "'unset-var(*)'. but got 'sent'",
    ],
    [
      "healthcheck h\n type redis-check\n tcp-check send x\n",
      "WARNING parsing [t.cfg:9] : healthcheck section 'h' uses tcp-check rules without 'type " +
        "tcp-check', so the rules are ignored.",
    ],
    [
      "healthcheck h\n type redis-check\nhealthcheck h\n type redis-check\n",
      "ALERT parsing [t.cfg:11] : healthcheck section 'h' already exists.",
    ],
  ];
  for (const [more, said] of WRONG) {
    test(more.trim().replaceAll("\n", ","), async () => {
      expect(await saidOf("10.0.0.1:1", "", { more })).toEqual([said]);
    });
  }
  test("one that is not there", async () => {
    expect(await saidOf("10.0.0.1:1 check healthcheck g", "", { more: SECTION })).toEqual([
      "ALERT [t.cfg:8] : 'server b/s' : 'healthcheck' : unable to find healthcheck section 'g'" +
        "; did you mean 'h'?.",
    ]);
  });
});

describe("at run time", () => {
  const TEXT =
    `${TIMEOUTS} option httpchk GET /d\nbackend b\n option tcp-check\n` +
    " tcp-check connect port 90 ssl\n" +
    " default-server agent-check agent-port 70 slowstart 5s\n" +
    " server s 10.0.0.1:443 check check-ssl verify none check-sni a.test agent-addr 10.0.0.9\n" +
    " server h 10.0.0.1:443 check healthcheck h\nhealthcheck h\n type redis-check\n";
  async function make(words: string) {
    const { runtime } = await loadText(TEXT, { machine: MACHINE });
    if (runtime === null) throw new Error("no plan");
    return runtime.makeServer("b", "n", words.split(" "));
  }
  test("a server takes after another one", async () => {
    const made = await make("10.0.0.2:443 from srv:s");
    expect(made).toMatchObject({
      ok: true,
      spec: {
        check: { tls: { verify: "none", sni: "a.test" }, stepTls: { verify: "none" } },
        agent: { enabled: true, port: 70, address: { host: "10.0.0.9", port: 70 } },
        slowstartMs: 5000,
      },
    });
    const undone = await make("10.0.0.2:443 from srv:s no-check-ssl check-sni b no-agent-check");
    if (!undone.ok) throw new Error(undone.message);
    expect(undone.spec.check.tls).toBeUndefined();
    expect(undone.spec.check.stepTls).toMatchObject({ sni: "b" });
    expect(undone.spec.agent.enabled).toBe(false);
  });
  test("and has its own words", async () => {
    const made = await make("10.0.0.2:443 check check-ssl ca-file /tls/a.pem healthcheck h");
    expect(made).toMatchObject({
      ok: true,
      spec: { check: { tls: { authorities: A.chain }, program: { kind: "redis" } } },
    });
    const copied = await make("10.0.0.2:443 from srv:h");
    expect(copied).toMatchObject({ ok: true, spec: { check: { program: { kind: "redis" } } } });
  });
  test("its checks do not take after its traffic", async () => {
    const plain = await make("10.0.0.2:443 check send-proxy");
    expect(plain).toMatchObject({ ok: true, spec: { check: { sendProxy: false } } });
    const said = await make("10.0.0.2:443 check send-proxy check-send-proxy");
    expect(said).toMatchObject({ ok: true, spec: { check: { sendProxy: true } } });
    const { check } = await serverOf("10.0.0.2:443 check send-proxy");
    expect(check.sendProxy).toBe(true);
  });
  test("what cannot work is refused", async () => {
    const sentences = [
      [
        "10.0.0.2:1 agent-check",
        "server n does not have agent port. Agent check has been disabled.",
      ],
      [
        "10.0.0.2:1 check healthcheck g",
        "'healthcheck' : unable to find healthcheck section 'g'; did you mean 'h'?.",
      ],
      [
        "10.0.0.2:1 check check-ssl ca-file /gone",
        "'ca-file' : unable to load '/gone' : No such file or directory.",
      ],
    ] as const;
    for (const [words, message] of sentences) {
      expect(await make(words)).toEqual({ ok: false, message });
    }
    // The rules of the backend say a port.
    expect((await make("10.0.0.2 check")).ok).toBe(true);
  });
});
