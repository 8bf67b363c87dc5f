/** QUIC of `bind` and `server` lines and of `global`: what they make, and what they refuse. */
import { describe, expect, test } from "bun:test";

import type { BindSpec, ServerSpec } from "../../../src/tables/spec.ts";
import { linesOf, loadText, planOf, proxyOf, testSystem, TIMEOUTS } from "./load-text.ts";
import { A, B, MACHINE } from "./quic-texts.ts";

const SKIP = "remove it, or go on without it by --skip-coming or SLUICE_SKIP_COMING=1.";

/** A configuration whose sixth line and those behind it are the given ones. */
async function load(
  lines: string,
  options: Parameters<typeof loadText>[1] & { global?: string } = {},
): Promise<Awaited<ReturnType<typeof loadText>>> {
  const { global = "", ...rest } = options;
  const text = `${TIMEOUTS}global\n${global}\n${lines}\n`;
  return await loadText(text, { machine: MACHINE, ...rest });
}

const LISTEN = "listen l\n";

async function bind(words: string, global = ""): Promise<BindSpec> {
  const plan = planOf(await load(`${LISTEN} bind ${words}`, { global }));
  const [first] = proxyOf(plan, "l").binds;
  if (first === undefined) throw new Error("no listener");
  return first;
}

async function server(words: string, more = "", global = ""): Promise<ServerSpec> {
  const plan = planOf(await load(`${LISTEN} bind :1\n${more} server s ${words}`, { global }));
  const [first] = proxyOf(plan, "l").servers;
  if (first === undefined) throw new Error("no server");
  return first;
}

/** The messages without those that both sides always have. */
async function said(lines: string, options: Parameters<typeof load>[1] = {}): Promise<string[]> {
  return linesOf(await load(lines, options));
}

const SSL = "ssl crt /tls/a.pem alpn doq";

describe("bind", () => {
  test("the defaults are those of the manual", async () => {
    const { address, quic, text } = await bind("quic4@127.0.0.1:853 ssl crt /tls/a.pem alpn doq");
    expect(address).toEqual({ family: "ipv4", host: "127.0.0.1", port: 853 });
    expect(text).toBe("quic4@127.0.0.1:853");
    expect(quic).toEqual({
      map: "stream",
      certificates: [{ file: "/tls/a.pem", chain: A.chain, key: A.key }],
      strictSni: false,
      alpn: ["doq"],
      verify: "none",
      forceRetry: false,
      retryFrom: 100,
      halfOpenMax: 1024,
      rejectLowPorts: true,
      transport: {
        idleTimeoutMs: 30_000,
        handshakeTimeoutMs: 10_000,
        keepAliveMs: 10_000,
        streamsBidiMax: 100,
        streamsUniMax: 0,
        streamWindow: 1_474_560,
        connectionWindow: 1_638_400,
        sendBuffer: 524_288,
        congestion: "cubic",
        cwndMax: 491_520,
        datagramMax: 0,
        udpPayloadMax: 0,
        early: false,
        gso: true,
      },
    });
  });
  test("every option arrives", async () => {
    const words =
      "ssl crt /tls/a.pem alpn moq,h3 strict-sni verify required ca-file /tls/b.pem allow-0rtt " +
      "quic-force-retry quic-cc-algo bbr(1m) quic-map session quic-socket listener backlog 77";
    const { quic } = await bind(`quic6@[::1]:443 ${words}`);
    expect(quic).toMatchObject({
      map: "session",
      strictSni: true,
      alpn: ["moq", "h3"],
      verify: "required",
      authorities: B.chain,
      forceRetry: true,
      halfOpenMax: 77,
    });
    expect(quic?.transport).toMatchObject({
      early: true,
      congestion: "bbr",
      cwndMax: 1_048_576,
      streamsUniMax: 100,
      datagramMax: 65_535,
    });
  });
  test("certificates: files, folders, bundles, lists, keys beside them", async () => {
    const filesOf = async (words: string): Promise<string[]> => {
      const { quic } = await bind(`quic4@:443 ssl alpn x ${words}`, " crt-base /tls\n");
      return quic?.certificates.map(({ file }) => file) ?? [];
    };
    expect(await filesOf("crt a.pem crt /tls/b.pem")).toEqual(["/tls/a.pem", "/tls/b.pem"]);
    expect(await filesOf("crt /tls/all")).toEqual(["/tls/all/1.pem", "/tls/all/2.pem"]);
    const bundle = ["/tls/bundle.pem.ecdsa", "/tls/bundle.pem.rsa"];
    expect(await filesOf("crt bundle.pem")).toEqual(bundle);
    expect(await filesOf("crt-list list")).toEqual(["/tls/a.pem", "/tls/b.pem"]);
    expect(await filesOf("crt a.pem default-crt b.pem")).toEqual(["/tls/b.pem", "/tls/a.pem"]);
    const apart = await bind("quic4@:443 ssl alpn x crt /tls/apart.pem crt /tls/ending.crt");
    expect(apart.quic?.certificates.map(({ key }) => key)).toEqual([A.key, A.key]);
    const chain = await bind("quic4@:443 ssl alpn x crt /tls/chain.pem");
    expect(chain.quic?.certificates[0]?.chain).toBe(A.chain + B.chain);
  });
  test("authorities: a folder, the system's", async () => {
    const words = "ssl crt /tls/a.pem alpn x verify optional ca-file";
    const folder = await bind(`quic4@:443 ${words} authorities`, " ca-base /tls/\n");
    expect(folder.quic).toMatchObject({ verify: "optional", authorities: A.chain + B.chain });
    const system = await bind(`quic4@:443 ${words} @system-ca`);
    expect(system.quic).not.toHaveProperty("authorities");
  });
  test("a range and several addresses each make one; TCP beside it stays TCP", async () => {
    const lines = `${LISTEN} bind quic4@:443-444,quic6@:443 ${SSL}\n bind :443 name tcp`;
    const { binds } = proxyOf(planOf(await load(lines)), "l");
    expect(binds.map(({ text, quic }) => `${text} ${quic !== undefined}`)).toEqual([
      "quic4@:443-444 true",
      "quic4@:443-444 true",
      "quic6@:443 true",
      ":443 false",
    ]);
  });
  test("without 'alpn' it is h3, with a warning where streams are balanced", async () => {
    const lines = `${LISTEN} bind quic4@:443 ssl crt /tls/a.pem`;
    expect((await said(lines)).join()).toContain("WARNING parsing [t.cfg:8] : 'bind quic4@:443'");
    expect((await bind("quic4@:443 ssl crt /tls/a.pem")).quic?.alpn).toEqual(["h3"]);
    expect(await said(`${LISTEN} bind quic4@:443 ssl crt /tls/a.pem quic-map session`)).toEqual([]);
    expect((await bind("quic4@:443 ssl crt /tls/a.pem no-alpn")).quic?.alpn).toEqual([]);
  });
  test("what is about TCP or older TLS is named as without effect", async () => {
    const words = "mss 1400 tfo tcp-ut 1s defer-accept ciphers X no-tlsv10 ssl-min-ver TLSv1.2";
    expect(await said(`${LISTEN} bind quic4@:443 ${SSL} ${words}`)).toEqual([
      "WARNING [t.cfg] : without effect in this program: 'bind … mss' (line 8), 'bind … tfo' " +
        "(line 8), 'bind … tcp-ut' (line 8), 'bind … defer-accept' (line 8), 'bind … ciphers' " +
        "(line 8), 'bind … no-tlsv10' (line 8), 'bind … ssl-min-ver' (line 8).",
    ]);
    const { mss, tfo, tcpUserTimeoutMs, deferAccept } = await bind(`quic4@:443 ${SSL} ${words}`);
    expect({ mss, tfo, tcpUserTimeoutMs, deferAccept }).toEqual({
      mss: 0,
      tfo: false,
      tcpUserTimeoutMs: 0,
      deferAccept: false,
    });
  });
  test("'quic-socket connection' and certificates out of their time are warned about", async () => {
    const lines = `${LISTEN} bind quic4@:443 ssl alpn x quic-socket connection`;
    const warnings = await said(`${lines} crt /tls/old.pem crt /tls/unborn.pem`);
    expect(warnings.map((line) => line.slice(0, 90))).toEqual([
      "WARNING parsing [t.cfg:8] : 'bind quic4@:443' in section 'listen' : 'quic-socket connectio",
      "WARNING parsing [t.cfg:8] : 'bind quic4@:443' in section 'listen' : the certificate of '/t",
      "WARNING parsing [t.cfg:8] : 'bind quic4@:443' in section 'listen' : the certificate of '/t",
    ]);
    expect(warnings[1]).toContain("'/tls/old.pem' has expired");
    expect(warnings[2]).toContain("'/tls/unborn.pem' is not valid before");
  });
  const REFUSED: [words: string, problem: string][] = [
    ["", "QUIC cannot do without TLS: add 'ssl crt <file>'."],
    ["crt /tls/a.pem", "QUIC cannot do without TLS: add 'ssl'."],
    ["ssl", "no certificate: add 'crt <file>'; QUIC cannot do without one."],
    ["ssl crt /tls/empty", "'crt' names no certificate; QUIC cannot do without one."],
    ["ssl crt /no", "'crt' : unable to load '/no' : No such file or directory."],
    ["ssl crt /tls/text.pem", "'crt' : '/tls/text.pem' has no certificate (PEM)."],
    [
      "ssl crt /tls/keyless.pem",
      "'crt' : '/tls/keyless.pem' has no private key, and there is none in '/tls/keyless.pem.key'.",
    ],
    [
      "ssl crt /tls/wrong.pem",
      "'crt' : '/tls/wrong.pem' : the private key does not belong to the certificate.",
    ],
    ["ssl crt /tls/damaged.pem", "'crt' : '/tls/damaged.pem' : a certificate is damaged"],
    ["ssl crt /tls/locked.pem", "it asks for a pass phrase, which is not built yet."],
    [
      "ssl crt-list /tls/list-names",
      "'crt-list' : '/tls/list-names:1' : unable to load 'a.pem' : No such file or directory.",
    ],
    [`${SSL} verify required`, "'verify required' needs 'ca-file'"],
    [`${SSL} verify always`, "'verify' : expects 'none', 'optional' or 'required' (got 'always')."],
    [`${SSL} alpn a,,b`, "'alpn' : an empty name in 'a,,b'."],
    [`${SSL} quic-cc-algo nocc`, "'quic-cc-algo' : 'nocc' is not available"],
    [`${SSL} quic-cc-algo cubic(1k)`, "size must be between 10240 and 4294967296 bytes (was 1k)."],
    [`${SSL} quic-cc-algo cubic(1m,2)`, "'2' is not built yet: only a size is taken."],
    [`${SSL} quic-cc-algo reno`, "expects 'cubic', 'newreno' or 'bbr'"],
    [`${SSL} quic-map packet`, "'quic-map' : expects 'stream' or 'session' (got 'packet')."],
    [`${SSL} accept-proxy`, "'accept-proxy' : such a header cannot precede a QUIC connection."],
    [`${SSL} cc bbr`, "'cc' : it is about TCP: 'quic-cc-algo' chooses for QUIC."],
    [`${SSL} ssl-max-ver TLSv1.2`, "'ssl-max-ver' : QUIC needs TLS 1.3."],
    [`${SSL} no-tlsv13`, "'no-tlsv13' : QUIC needs TLS 1.3."],
    [`${SSL} proto h2`, "'proto' : 'h2' cannot be spoken over QUIC here."],
  ];
  for (const [words, problem] of REFUSED) {
    test(`refused: ${words === "" ? "nothing" : words}`, async () => {
      const result = await load(`${LISTEN} bind quic4@:443 ${words}`);
      expect(result.plan).toBeNull();
      const alert = linesOf(result).find((line) => line.startsWith("ALERT")) ?? "";
      expect(alert).toStartWith("ALERT parsing [t.cfg:8] : 'bind quic4@:443' in section 'listen'");
      expect(alert).toContain(problem);
    });
  }
  test("names and options in a crt-list are not passed over", async () => {
    for (const [list, what, at] of [
      ["list-names", "names", 2],
      ["list-options", "options", 1],
    ]) {
      const lines = `${LISTEN} bind quic4@:443 ssl crt-list ${list} alpn x`;
      expect((await said(lines, { global: " crt-base /tls" })).join()).toContain(
        `'crt-list' : '/tls/${list}:${at}' : ${what} behind a certificate are not built yet.`,
      );
    }
  });
  test("TLS on TCP addresses is refused as ever, also beside QUIC on one line", async () => {
    const skipped = "remove it, or go on without this listener by";
    const lines = `${LISTEN} bind :443,quic4@:443 ${SSL}`;
    expect((await said(lines)).join()).toContain(
      `'bind :443,quic4@:443 … ssl' is not built yet; ${skipped}`,
    );
    const { binds } = proxyOf(planOf(await load(lines, { skipComing: true })), "l");
    expect(binds.map(({ text }) => text)).toEqual(["quic4@:443"]);
  });
});

describe("server", () => {
  const QUIC = "quic4@10.0.0.1:853 ssl";
  test("the defaults verify, and offer no protocol", async () => {
    const { address, quic } = await server(QUIC);
    expect(address).toEqual({ family: "ipv4", host: "10.0.0.1", port: 853 });
    expect(quic).toMatchObject({
      alpn: [],
      verify: "required",
      poolMaxConn: -1,
      poolPurgeDelayMs: 5000,
      maxReuse: -1,
      streamsMax: 100,
    });
    expect(Object.keys(quic ?? {})).toEqual([
      "alpn",
      "verify",
      "poolMaxConn",
      "poolPurgeDelayMs",
      "maxReuse",
      "streamsMax",
      "transport",
    ]);
    expect(quic?.transport).toMatchObject({ streamsUniMax: 100, datagramMax: 65_535 });
  });
  test("every option arrives", async () => {
    const words =
      "verify required ca-file /tls/a.pem sni str(b.test) verifyhost c.test alpn doq,x " +
      "crt /tls/b.pem quic-cc-algo newreno pool-max-conn 3 pool-purge-delay 7s " +
      "max-reuse 9 check check-sni d.test weight 5";
    const { quic, weight, check } = await server(`${QUIC} ${words}`);
    expect(quic).toMatchObject({
      alpn: ["doq", "x"],
      verify: "required",
      authorities: A.chain,
      verifyHost: "c.test",
      checkSni: "d.test",
      sni: { fetch: { name: "str", args: [{ kind: "str", value: "b.test" }] } },
      certificate: { file: "/tls/b.pem", chain: B.chain, key: B.key },
      poolMaxConn: 3,
      poolPurgeDelayMs: 7000,
      maxReuse: 9,
    });
    expect(quic?.transport).toMatchObject({ congestion: "newreno", early: false });
    expect({ weight, enabled: check.enabled }).toEqual({ weight: 5, enabled: true });
  });
  test("'ssl-server-verify none', -dV and 'pool-purge-delay 0' say what the manual says", async () => {
    const spec = await server(`${QUIC} pool-purge-delay 0`, "", " ssl-server-verify none");
    expect(spec.quic).toMatchObject({ verify: "none", poolMaxConn: 0 });
    const lines = `${LISTEN} bind :1\n server s ${QUIC}\n server t ${QUIC} verify required`;
    const plan = planOf(await load(lines, { overrides: { serverVerifyNone: true } }));
    const { servers } = proxyOf(plan, "l");
    expect(servers.map(({ quic }) => quic?.verify)).toEqual(["none", "required"]);
  });
  test("the system's authorities are read at once where 'chroot' will hide them", async () => {
    const file = "/etc/ssl/certs/ca-certificates.crt";
    const machine = { ...MACHINE, files: { ...MACHINE.files, [file]: A.chain } };
    const quicOf = async (words: string, global: string): Promise<unknown> => {
      const text = `${LISTEN} bind :1\n server s ${QUIC} ${words}`;
      return proxyOf(planOf(await load(text, { machine, global })), "l").servers[0]?.quic;
    };
    const read = { authorities: A.chain, authoritiesFile: file };
    expect(await quicOf("", " chroot /var/empty")).toMatchObject(read);
    for (const [words, global] of [
      ["", ""],
      ["verify none", " chroot /var/empty"],
    ] as const) {
      expect(await quicOf(words, global)).not.toHaveProperty("authorities");
    }
  });
  test("a name is looked up, and host and port may be left out as for TCP", async () => {
    expect(await server("quic4@db.test:853 ssl")).toMatchObject({
      address: { family: "ipv4", host: "10.9.8.7", port: 853 },
      hostName: "db.test",
    });
    expect(await server("quic6@[::1] ssl")).toMatchObject({ portMode: "client" });
  });
  test("words of default-server wait for the address", async () => {
    const defaults = " default-server ssl verify none alpn doq pool-max-conn 2 tfo\n";
    const lines = `${LISTEN} bind :1\n${defaults} server q quic4@1.1.1.1:1 verify required`;
    const result = await load(lines);
    expect(linesOf(result)).toEqual([
      "WARNING [t.cfg] : without effect in this program: 'server … tfo' (line 9).",
    ]);
    const [quic] = proxyOf(planOf(result), "l").servers;
    expect(quic?.quic).toMatchObject({ verify: "required", alpn: ["doq"], poolMaxConn: 2 });
    const tcp = await said(`${lines}\n server t 1.1.1.1:2\n server u 1.1.1.1:3`);
    expect(tcp.filter((line) => line.startsWith("ALERT"))).toEqual([
      "ALERT parsing [t.cfg:9] : 'default-server' : 'ssl' is not built yet; remove it, or go on " +
        "without this server by --skip-coming or SLUICE_SKIP_COMING=1.",
    ]);
    const plain = await load(`${LISTEN} bind :1\n${defaults} server t 1.1.1.1:2 no-ssl`);
    expect(plain.plan).toBeNull();
  });
  // It was taken, and nothing was ever sent before the handshake was done.
  test("'allow-0rtt' of a server is named as without effect", async () => {
    const lines = `${LISTEN} bind :1\n server s ${QUIC} verify none allow-0rtt`;
    expect(await said(lines)).toEqual([
      "WARNING [t.cfg] : without effect in this program: 'server … allow-0rtt' (line 9).",
    ]);
  });
  test("templates make as many QUIC servers", async () => {
    const lines = `${LISTEN} bind :1\n server-template s 2 quic4@1.1.1.1:1 ssl alpn x`;
    const { servers } = proxyOf(planOf(await load(lines)), "l");
    expect(servers.map(({ name, quic }) => `${name} ${quic?.alpn}`)).toEqual(["s1 x", "s2 x"]);
  });
  const REFUSED: [words: string, problem: string][] = [
    ["quic4@1.1.1.1:1", "QUIC cannot do without TLS: add 'ssl'."],
    ["quic4@1.1.1.1:1 ssl no-ssl", "QUIC cannot do without TLS: add 'ssl'."],
    [`${QUIC} verify optional`, "'verify' : expects 'none' or 'required' (got 'optional')."],
    [`${QUIC} ca-file /no`, "'ca-file' : unable to load '/no' : No such file or directory."],
    [`${QUIC} crt /tls/all`, "'crt' : '/tls/all' : one certificate is taken."],
    [`${QUIC} sni nothing`, "'sni' : unknown fetch method 'nothing'"],
    [`${QUIC} sni bc_src`, "'sni' : 'bc_src' : its value is known only when the server has been"],
    [`${QUIC} verifyhost a/b`, "'verifyhost' : 'a/b' is no name of a host."],
    [`${QUIC} check-sni a/b`, "'check-sni' : 'a/b' is no name of a host."],
    [`${QUIC} max-reuse -2`, "'max-reuse' : value must be between -1 and"],
    [`${QUIC} cc bbr`, "'cc' : it is about TCP"],
    [`${QUIC} crl-file /x`, "'server l/s' : 'crl-file' is not built yet"],
    [`${QUIC} force-tlsv12`, "'force-tlsv12' : QUIC needs TLS 1.3."],
    ["quic+unix@/x ssl", "QUIC needs an IP address: 'quic+unix@/x'"],
  ];
  for (const [words, problem] of REFUSED) {
    test(`refused: ${words}`, async () => {
      const result = await load(`${LISTEN} bind :1\n server s ${words}`);
      expect(result.plan).toBeNull();
      expect(linesOf(result).join()).toContain("[t.cfg:9] : 'server l/s' : ");
      expect(linesOf(result).join()).toContain(problem);
    });
  }
});

describe("global", () => {
  const TUNING =
    " tune.quic.fe.max-idle-timeout 9s\n tune.quic.fe.cc.max-win-size 64k\n" +
    " tune.quic.fe.stream.max-concurrent 10\n tune.quic.fe.stream.data-ratio 50\n" +
    " tune.quic.fe.tx.udp-gso off\n tune.quic.fe.sec.retry-threshold 5\n" +
    " harden.reject-privileged-ports.quic off\n cluster-secret s3cret\n" +
    " ssl-default-bind-options strict-sni\n tune.quic.be.stream.rxbuf 1m\n" +
    " tune.quic.be.max-idle-timeout 0\n tune.quic.be.stream.max-concurrent 8\n";
  test("tune.quic.* of either side", async () => {
    const lines = `${LISTEN} bind quic4@:1 ${SSL}\n server s quic4@1.1.1.1:1 ssl`;
    const plan = planOf(await load(lines, { global: TUNING }));
    const { binds, servers } = proxyOf(plan, "l");
    expect(binds[0]?.quic).toMatchObject({ retryFrom: 5, rejectLowPorts: false, strictSni: true });
    expect(binds[0]?.quic?.transport).toMatchObject({
      idleTimeoutMs: 9000,
      keepAliveMs: 3000,
      cwndMax: 65_536,
      streamsBidiMax: 10,
      connectionWindow: 163_840,
      streamWindow: 81_920,
      gso: false,
    });
    expect(servers[0]?.quic?.streamsMax).toBe(8);
    expect(servers[0]?.quic?.transport).toMatchObject({
      idleTimeoutMs: 0,
      keepAliveMs: 0,
      connectionWindow: 1_048_576,
      gso: true,
    });
    expect(plan.global.clusterSecret).toBe("s3cret");
    expect(plan.global).not.toHaveProperty("quic");
    expect(plan.global).not.toHaveProperty("tls");
  });
  test("older names say the same", async () => {
    const global =
      " tune.quic.frontend.max-idle-timeout 9s\n tune.quic.frontend.max-streams-bidi 7\n" +
      " tune.quic.frontend.default-max-window-size 64k\n tune.quic.retry-threshold 4\n" +
      " tune.quic.frontend.stream-data-ratio 50\n tune.quic.frontend.max-data-size 32k\n" +
      " tune.quic.disable-udp-gso\n";
    const { quic } = await bind(`quic4@:1 ${SSL}`, global);
    expect(quic).toMatchObject({ retryFrom: 4 });
    expect(quic?.transport).toMatchObject({
      idleTimeoutMs: 9000,
      streamsBidiMax: 7,
      cwndMax: 65_536,
      connectionWindow: 32_768,
      streamWindow: 16_384,
      gso: false,
    });
  });
  test("what has no effect is named", async () => {
    const global = " tune.quic.fe.tx.pacing off\n limited-quic\n tune.quic.fe.cc.reorder-ratio 60";
    expect(await said(`${LISTEN} bind :1`, { global })).toEqual([
      "WARNING [t.cfg] : without effect in this program: 'tune.quic.fe.tx.pacing' (line 6), " +
        "'limited-quic' (line 7), 'tune.quic.fe.cc.reorder-ratio' (line 8).",
    ]);
  });
  test("'tune.quic.listen off' leaves QUIC listeners out", async () => {
    const lines = `${LISTEN} bind :1\n bind quic4@:1 ${SSL}`;
    const result = await load(lines, { global: " tune.quic.listen off" });
    expect(linesOf(result)).toEqual([
      "WARNING parsing [t.cfg:9] : 'bind quic4@:1' : left out, since 'tune.quic.listen' is off.",
    ]);
    expect(proxyOf(planOf(result), "l").binds.map(({ text }) => text)).toEqual([":1"]);
  });
  const WRONG: [line: string, problem: string][] = [
    ["tune.quic.fe.tx.udp-gso yes", "'tune.quic.fe.tx.udp-gso' expects 'on' or 'off' (got 'yes')."],
    ["tune.quic.fe.cc.max-win-size 1k", "size must be between 10240 and 4294967296"],
    ["tune.quic.be.stream.data-ratio 101", "value must be between 1 and 100 (was 101)"],
    ["ssl-server-verify maybe", "expects 'none' or 'required' (got 'maybe')."],
    ["cluster-secret", "'cluster-secret' expects the secret."],
  ];
  for (const [line, problem] of WRONG) {
    test(`refused: ${line}`, async () => {
      const result = await load(`${LISTEN} bind :1`, { global: ` ${line}` });
      expect(result.plan).toBeNull();
      expect(linesOf(result).join()).toContain(problem);
    });
  }
});

test("'timeout client-hs' and 'backlog' of the section bound handshakes", async () => {
  const words = ` timeout client-hs 3s\n backlog 55\n bind quic4@:1 ${SSL}\n`;
  const { binds } = proxyOf(planOf(await load(`${LISTEN}${words}`)), "l");
  expect(binds[0]?.quic?.halfOpenMax).toBe(55);
  expect(binds[0]?.quic?.transport.handshakeTimeoutMs).toBe(3000);
});

describe("whole sessions", () => {
  const FRONT = `frontend f\n bind quic4@:1 ${SSL} quic-map session\n`;
  test("go to QUIC servers only: an error names server and line", async () => {
    const lines = `${FRONT} default_backend b\nbackend b\n server q quic4@1.1.1.1:1 ssl\n server t 1.1.1.1:2`;
    expect(await said(lines)).toEqual([
      "ALERT [t.cfg:12] : 'server b/t' : 'bind quic4@:1 … quic-map session' (t.cfg:8) hands whole " +
        "QUIC sessions to its backend: it needs a 'quic4@' address.",
    ]);
  });
  test("so they do by rules, and in a section of their own", async () => {
    const rule = `${FRONT} use_backend b if { src 1.1.1.1 }\nbackend b\n server t 1.1.1.1:2`;
    expect((await said(rule)).join()).toContain("[t.cfg:11] : 'server b/t'");
    const own = `listen l\n bind quic4@:1 ${SSL} quic-map session\n server t 1.1.1.1:2`;
    expect((await said(own)).join()).toContain("[t.cfg:9] : 'server l/t'");
    const streams = `listen l\n bind quic4@:1 ${SSL}\n server t 1.1.1.1:2`;
    expect(await said(streams)).toEqual([]);
  });
  test("have no place for a PROXY header", async () => {
    const lines = `${FRONT} default_backend b\nbackend b\n server q quic4@1.1.1.1:1 ssl send-proxy`;
    expect((await said(lines)).join()).toContain("where 'send-proxy' has no place");
  });
});

test("a page does not answer over QUIC", async () => {
  const lines = `listen p\n mode http\n stats enable\n bind quic4@:1 ${SSL}`;
  expect((await said(lines)).join()).toContain("'bind quic4@:1' : proxy 'p' answers HTTP/1 itself");
});

describe("without the QUIC part", () => {
  const system = { ...testSystem(MACHINE), quicProblem: () => "it was not built" };
  const lines = `${LISTEN} bind :1\n bind quic4@:1 ${SSL}\n server s quic4@1.1.1.1:1 ssl`;
  test("addresses are refused with the reason", async () => {
    const reason = "QUIC is not to be had: it was not built.";
    expect(await said(lines, { system })).toEqual([
      `ALERT parsing [t.cfg:9] : 'bind quic4@:1' : ${reason}`,
      `ALERT parsing [t.cfg:10] : 'server l/s' : ${reason}`,
    ]);
  });
  test("or left out on request", async () => {
    const plan = planOf(await load(lines, { system, skipComing: true }));
    const { binds, servers } = proxyOf(plan, "l");
    expect(binds.map(({ text }) => text)).toEqual([":1"]);
    expect(servers).toEqual([]);
  });
  test("and nobody asks for it where no address needs it", async () => {
    let asked = 0;
    const quicProblem = (): string => `asked ${++asked}`;
    await load(`${LISTEN} bind :1`, { system: { ...system, quicProblem } });
    expect(asked).toBe(0);
  });
});

test("flags alone make a QUIC proxy", async () => {
  const flags = {
    bind: ["quic4@:853", ":853"],
    servers: [
      { name: "q", address: "quic4@1.1.1.1:1", options: ["verify=none", "sni=a.test"] },
      { name: "t", address: "1.1.1.1:2", options: [] },
    ],
    tlsCert: "/tls/a.pem",
    tlsAuthorities: "/tls/b.pem",
    alpn: "doq",
    acceptProxy: true,
  };
  const result = await loadText("", { machine: MACHINE, flags });
  expect(linesOf(result)).toEqual([]);
  const plan = planOf(result);
  const { binds } = proxyOf(plan, "sluice");
  expect(binds.map(({ acceptProxy, quic }) => [acceptProxy, quic?.alpn])).toEqual([
    [false, ["doq"]],
    [true, undefined],
  ]);
  const [quic, tcp] = proxyOf(plan, "sluice", true).servers;
  expect(quic?.quic).toMatchObject({ verify: "none", alpn: ["doq"], authorities: B.chain });
  expect(quic?.quic?.sni?.text).toBe("str(a.test)");
  expect(tcp?.quic).toBeUndefined();
});

test("quic-initial rules stay refused by name", async () => {
  const lines = `frontend f\n bind quic4@:1 ${SSL}\n quic-initial reject if { src 1.1.1.1 }`;
  expect(await said(lines)).toEqual([
    `ALERT parsing [t.cfg:9] : 'quic-initial' is not built yet; ${SKIP}`,
  ]);
});

describe("quic_enabled", () => {
  const asks = `${LISTEN} bind :1\n use_backend l if { quic_enabled }`;
  const isEnabled = async (lines: string, options: Parameters<typeof load>[1]): Promise<boolean> =>
    planOf(await load(lines, options)).global.isQuicEnabled;
  test("is what is there and what 'tune.quic.listen' says", async () => {
    const without = { ...testSystem(MACHINE), quicProblem: () => "it was not built" };
    expect(await isEnabled(asks, {})).toBe(true);
    expect(await isEnabled(asks, { global: " tune.quic.listen off" })).toBe(false);
    expect(await isEnabled(asks, { system: without })).toBe(false);
  });
  test("costs a look at the QUIC part only where something asks", async () => {
    let asked = 0;
    const system = { ...testSystem(MACHINE), quicProblem: () => `asked ${++asked}` };
    await load(`${LISTEN} bind :1`, { system });
    expect(asked).toBe(0);
    await load(asks, { system });
    expect(asked).toBe(1);
  });
});
