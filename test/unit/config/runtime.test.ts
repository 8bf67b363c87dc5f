/** Words of the runtime API to specs, by the settings and keyword tables of the files. */
import { describe, expect, test } from "bun:test";

import type { Made, RuntimeConfig } from "../../../src/config/runtime.ts";
import { TIME_UNSET } from "../../../src/tables/spec.ts";
import type { ServerSpec } from "../../../src/tables/spec.ts";
import { linesOf, loadText } from "./load-text.ts";
import { MACHINE } from "./quic-texts.ts";

const FILE = `
global
    log 127.0.0.1 local0
    unix-bind prefix /run/ mode 600
defaults tcp
    mode tcp
    log global
    timeout connect 1s
    timeout client 2s
    timeout server 3s
    retries 7
    default-server inter 5s weight 20
defaults web
    mode http
    timeout client 1s
defaults silent
    timeout client 9s
defaults late
    mode tcp
    persist rdp-cookie
defaults twice
defaults twice
defaults
    timeout client 8s
    timeout connect 1s
    timeout server 1s
backend b from tcp
    balance leastconn
    default-server name strong weight 100 maxconn 5
    server s1 127.0.0.1:80 id 9 check port 81 inter 4s source 127.0.0.9:1000-1010 send-proxy-v2
backend plain from silent
`;

async function runtimeOf(
  text = FILE,
  options: Parameters<typeof loadText>[1] = {},
): Promise<RuntimeConfig> {
  const result = await loadText(text, options);
  if (result.runtime === null) throw new Error(linesOf(result).join("\n"));
  return result.runtime;
}

const wordsOf = (text: string): string[] => text.split(" ").filter((word) => word !== "");

function specOf<T>(made: Made<T>): T {
  if (!made.ok) throw new Error(made.message);
  return made.spec;
}

const messageOf = (made: Made<unknown>): string => (made.ok ? "(made)" : made.message);

/** A server `n` of backend `b`. */
async function server(words: string): Promise<ServerSpec> {
  return specOf((await runtimeOf()).makeServer("b", "n", wordsOf(words)));
}

describe("add server", () => {
  test("begins with the documented settings, not with default-server", async () => {
    const spec = await server("127.0.0.1:8080");
    expect(spec).toMatchObject({
      name: "n",
      id: 0,
      address: { family: "ipv4", host: "127.0.0.1", port: 8080 },
      portMode: "fixed",
      weight: 1,
      maxconn: 0,
      disabled: false,
    });
    expect(spec.check).toMatchObject({ enabled: false, intervalMs: 2000, rise: 2, fall: 3 });
  });

  test("takes the options of a server line", async () => {
    const spec = await server(
      "[::1]:80 id 5 guid g:1 weight 30 maxconn 10 minconn 2 maxqueue 3 backup disabled " +
        "check inter 1s fastinter 500ms rise 4 fall 5 on-marked-down shutdown-sessions " +
        "source 10.0.0.1 interface lo send-proxy tfo init-state fully-down",
    );
    expect(spec).toMatchObject({
      id: 5,
      guid: "g:1",
      address: { family: "ipv6", host: "::1", port: 80 },
      weight: 30,
      maxconn: 10,
      minconn: 2,
      maxqueue: 3,
      backup: true,
      disabled: true,
      onMarkedDown: "shutdown-sessions",
      source: { address: { host: "10.0.0.1" }, portMax: 0, interfaceName: "lo" },
      sendProxy: { version: 1 },
      initState: "fully-down",
    });
    expect(spec.check).toMatchObject({ enabled: true, intervalMs: 1000, fastIntervalMs: 500 });
    expect((await server("unix@/run/x")).address).toEqual({ family: "unix", path: "/run/x" });
    expect(await server("127.0.0.1:+5")).toMatchObject({ portMode: "offset", portOffset: 5 });
    expect(await server("127.0.0.1:1 track b/s1")).toMatchObject({ track: "b/s1" });
  });

  test("does not look names up", async () => {
    const spec = await server("db.test:80");
    expect(spec.hostName).toBe("db.test");
    expect(spec.address).toBeUndefined();
  });

  test("from copies settings", async () => {
    const usual = await server("127.0.0.1:80 from be:");
    expect(usual).toMatchObject({ weight: 20, check: { intervalMs: 5000 } });
    expect((await server("127.0.0.1:80 from be:b weight 3")).weight).toBe(3);
    expect((await server("127.0.0.1:80 from srv:strong")).maxconn).toBe(5);
    expect((await server("127.0.0.1:80 from none")).weight).toBe(1);
    const copy = await server("127.0.0.2:80 from srv:b/s1");
    expect(copy).toMatchObject({
      id: 0,
      weight: 20,
      address: { host: "127.0.0.2" },
      sendProxy: { version: 2 },
      source: { address: { host: "127.0.0.9", port: 1000 }, portMax: 1010 },
      check: { enabled: true, port: 81, intervalMs: 4000, fastIntervalMs: 4000 },
    });
    const undone = await server("127.0.0.2:80 from srv:b/s1 no-check no-send-proxy");
    expect(undone.check.enabled).toBe(false);
    expect(undone.sendProxy).toBeUndefined();
  });

  test("from a server that was made at run time", async () => {
    const runtime = await runtimeOf();
    const first = specOf(runtime.makeServer("b", "n1", wordsOf("127.0.0.1:1 weight 77")));
    const find = (backend: string, name: string): ServerSpec | undefined =>
      backend === "b" && name === "n1" ? first : undefined;
    const made = runtime.makeServer("b", "n2", wordsOf("127.0.0.1:2 from srv:n1"), find);
    expect(specOf(made)).toMatchObject({ name: "n2", weight: 77, address: { port: 2 } });
  });

  const REFUSED: readonly (readonly [words: string, message: string])[] = [
    ["", "'server' expects <name> and <addr>[:<port>] as arguments."],
    ["127.0.0.1:80 xyz", "unknown keyword 'xyz'."],
    ["127.0.0.1:80 weigt", "unknown keyword 'weigt'; did you mean 'weight' maybe ?"],
    ["127.0.0.1:99999", "invalid port '99999'"],
    ["127.0.0.1:1-5", "port range not permitted here in '127.0.0.1:1-5'"],
    ["127.0.0.1:80 weight", "'weight' : missing value (<0..256>)."],
    ["127.0.0.1:80 weight 300", "'weight' : weight of server n is not within 0 and 256 (300)."],
    ["127.0.0.1:80 id 0", "'id' : custom id has to be > 0."],
    ["127.0.0.1:80 resolvers r", "'resolvers' option is not accepted for dynamic server"],
    ["127.0.0.1:80 init-addr none", "'init-addr' option is not accepted for dynamic server"],
    ["127.0.0.1:80 tcp-md5sig secret", "'tcp-md5sig' is not built yet."],
    ["127.0.0.1:80 ssl", "'ssl' is not built yet."],
    ["quic4@127.0.0.1:80", "QUIC cannot do without TLS: add 'ssl'."],
    ["fd@5", "a descriptor cannot be connected to: 'fd@5'"],
    ["127.0.0.1:80 guid a/b", "'guid' : invalid character '/' in 'a/b'."],
    ["127.0.0.1:80 addr nowhere", "'addr' : invalid address: could not resolve 'nowhere'."],
    ["127.0.0.1:1 check track b/s1", "unable to enable checks and tracking at the same time!"],
    [
      "127.0.0.1 check",
      "config: backend 'b': server 'n' has neither service port nor check port nor tcp_check " +
        "rule 'connect' with port information.",
    ],
    [
      "127.0.0.1:80 from srv:nobody",
      "'from' : nothing is known as 'srv:nobody'; it takes 'none', 'be:[<backend>]' and " +
        "'srv:[<backend>/]<server>'.",
    ],
  ];
  for (const [words, message] of REFUSED) {
    test(`refused: ${words === "" ? "nothing" : words}`, async () => {
      expect(messageOf((await runtimeOf()).makeServer("b", "n", wordsOf(words)))).toBe(message);
    });
  }

  test("refused: a name that none may have", async () => {
    const made = (await runtimeOf()).makeServer("b", "s!", wordsOf("127.0.0.1:80"));
    expect(messageOf(made)).toBe("character '!' is not permitted in server name 's!'.");
  });

  test("words without effect are told", async () => {
    const made = (await runtimeOf()).makeServer("b", "n", wordsOf("127.0.0.1:80 cookie a"));
    const warnings = ["'server … cookie' is without effect in this program."];
    expect(made).toMatchObject({ ok: true, warnings });
  });

  test("what the start may skip is refused later all the same", async () => {
    const runtime = await runtimeOf(FILE, { skipComing: true });
    const made = runtime.makeServer("b", "n", wordsOf("127.0.0.1:80 tcp-md5sig secret"));
    expect(messageOf(made)).toBe("'tcp-md5sig' is not built yet.");
  });

  test("help lists what works", async () => {
    const keywords = (await runtimeOf()).serverKeywords();
    const names = keywords.map(({ name }) => name);
    expect(names).toContain("weight");
    expect(names).toContain("track");
    expect(names).toContain("from");
    expect(names).not.toContain("init-addr");
    expect(names).toContain("ssl");
    expect(names).not.toContain("resolvers");
    expect(names).toEqual(names.toSorted());
    expect(keywords.find(({ name }) => name === "weight")?.args).toBe("<0..256>");
  });
});

describe("add backend", () => {
  test("takes the settings of its defaults", async () => {
    const spec = specOf((await runtimeOf()).makeBackend("dyn", "tcp", ["guid", "g-1"]));
    expect(spec).toMatchObject({
      name: "dyn",
      id: 0,
      guid: "g-1",
      hasFront: false,
      hasBack: true,
      section: "backend",
      retries: 7,
      servers: [],
      binds: [],
      timeouts: { connect: 1000, server: 3000, tunnel: TIME_UNSET },
    });
    expect(spec.logs).toHaveLength(1);
  });

  test("gives servers what its defaults have, until it is forgotten", async () => {
    const runtime = await runtimeOf();
    const add = (): Made<ServerSpec> =>
      runtime.makeServer("dyn", "n", wordsOf("127.0.0.1:80 from be:"));
    expect(messageOf(add())).toContain("nothing is known as 'be:'");
    specOf(runtime.makeBackend("dyn", "tcp", []));
    expect(specOf(add()).weight).toBe(20);
    expect(specOf(runtime.makeServer("b", "n", wordsOf("1.1.1.1:1 from be:dyn"))).weight).toBe(20);
    runtime.forget("dyn");
    expect(messageOf(add())).toContain("nothing is known as 'be:'");
  });

  test("lists the defaults that it can be made from", async () => {
    const runtime = await runtimeOf();
    expect(runtime.defaultsNames).toEqual(["tcp", "web", "silent", "late", "twice"]);
    expect(runtime.defaultServers("b")).toEqual(["", "strong"]);
    expect(runtime.defaultServers("plain")).toEqual([]);
    expect(runtime.defaultServers("nobody")).toEqual([]);
  });

  const REFUSED: readonly (readonly [
    name: string,
    from: string,
    words: string,
    message: string,
  ])[] = [
    ["a b", "tcp", "", "character ' ' is not permitted in 'backend' name 'a b'."],
    ["", "tcp", "", "an empty text is not permitted in 'backend' name ''."],
    ["d", "nobody", "", "Cannot find default proxy 'nobody'."],
    ["d", "", "", "Cannot find default proxy ''."],
    ["d", "twice", "mode tcp", "There are 2 defaults sections named 'twice'."],
    ["d", "tcp", "mode http", "'mode http' : only proxies in mode tcp can be added."],
    ["d", "tcp", "mode log", "'mode' : unknown mode 'log'."],
    ["d", "tcp", "guid", "'guid' : missing value."],
    ["d", "tcp", "guid a/b", "'guid' : invalid character '/' in 'a/b'."],
    ["d", "tcp", "id 5", "unknown argument 'id': expected one of 'mode', 'guid'."],
    ["d", "tcp", "guid a guid b", "unknown argument 'guid': expected one of 'mode'."],
    [
      "d",
      "silent",
      "",
      "Mode is required as 'silent' default proxy does not explicitly defines it.",
    ],
    ["d", "tcp", "mode tcp guid a mode tcp", "unknown argument 'mode': nothing more is expected."],
    ["d", "web", "", "the defaults section is in 'mode http': 'mode tcp' must be given."],
    [
      "d",
      "late",
      "",
      "'persist rdp-cookie' of defaults section 'late' (t.cfg:20) is not built yet.",
    ],
  ];
  for (const [name, from, words, message] of REFUSED) {
    test(`refused: ${name} from ${from} ${words}`, async () => {
      const runtime = await runtimeOf();
      expect(messageOf(runtime.makeBackend(name, from, wordsOf(words)))).toBe(message);
    });
  }

  test("a mode that is given counts more than that of the defaults", async () => {
    const runtime = await runtimeOf();
    expect(specOf(runtime.makeBackend("d", "web", ["mode", "tcp"])).name).toBe("d");
    expect(specOf(runtime.makeBackend("e", "silent", ["mode", "tcp"])).name).toBe("e");
  });
});

describe("add frontend, add bind", () => {
  test("a frontend begins without listeners", async () => {
    const words = wordsOf("default_backend b maxconn 50 guid f-1");
    const spec = specOf((await runtimeOf()).makeFrontend("f", "tcp", words));
    expect(spec).toMatchObject({
      name: "f",
      guid: "f-1",
      hasFront: true,
      hasBack: false,
      section: "frontend",
      maxconn: 50,
      binds: [],
      defaultBackend: { name: "b" },
      timeouts: { client: 2000 },
    });
  });

  test("a listener an address", async () => {
    const words = wordsOf("127.0.0.1:80-81,/s.sock name x guid-prefix g accept-proxy maxconn 9");
    const binds = specOf((await runtimeOf()).makeBinds("f", words));
    expect(binds.map(({ address }) => address)).toEqual([
      { family: "ipv4", host: "127.0.0.1", port: 80 },
      { family: "ipv4", host: "127.0.0.1", port: 81 },
      { family: "unix", path: "/run//s.sock" },
    ]);
    expect(binds.map(({ id, guid }) => [id, guid])).toEqual([
      [0, "g-0"],
      [0, "g-1"],
      [0, "g-0"],
    ]);
    expect(binds[2]).toMatchObject({ mode: 0o600, acceptProxy: true, maxconn: 9, name: "x" });
    const numbered = specOf((await runtimeOf()).makeBinds("f", wordsOf(":80 id 7")));
    expect(numbered.map(({ id }) => id)).toEqual([7]);
  });

  const REFUSED: readonly (readonly [words: string, message: string])[] = [
    ["", "'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments."],
    ["127.0.0.1", "'bind' : missing port specification in '127.0.0.1'"],
    ["localhost:80", "'bind' : 'localhost:80' is not an IP address: names are not looked up here."],
    ["fd@3", "'bind' : a descriptor cannot be listened on at run time: 'fd@3'."],
    [
      "quic4@:443",
      "'bind quic4@:443' in section 'frontend' : QUIC cannot do without TLS: add 'ssl crt <file>'.",
    ],
    [":80 ssl crt x", "'bind :80 … ssl' is not built yet."],
    [":80 xyz", "'bind :80' in section 'frontend': unknown keyword 'xyz'"],
    [":80 guid-prefix a/b", "'guid' : invalid character '/' in 'a/b'."],
  ];
  for (const [words, message] of REFUSED) {
    test(`refused: ${words === "" ? "nothing" : words}`, async () => {
      expect(messageOf((await runtimeOf()).makeBinds("f", wordsOf(words)))).toBe(message);
    });
  }
});

test("specs survive a structured clone, as mutations need it", async () => {
  const runtime = await runtimeOf();
  const backend = specOf(runtime.makeBackend("d", "tcp", []));
  expect(structuredClone(backend)).toEqual(backend);
  const made = specOf(runtime.makeServer("b", "n", wordsOf("127.0.0.1:80 check")));
  expect(structuredClone(made)).toEqual(made);
});

describe("QUIC at run time", () => {
  const TEXT =
    "global\n tune.quic.be.max-idle-timeout 7s\ndefaults tcp\n mode tcp\n timeout connect 1s\n" +
    " timeout server 1s\nbackend b from tcp\n default-server verify none alpn doq\n" +
    " server q quic4@1.1.1.1:853 ssl ca-file /tls/a.pem verify required max-reuse 3\n";
  const load = (): Promise<RuntimeConfig> => runtimeOf(TEXT, { machine: MACHINE });

  test("a server takes the words of files, and the settings of global", async () => {
    const made = specOf(
      (await load()).makeServer(
        "b",
        "n",
        wordsOf("quic4@1.2.3.4:853 ssl verify none alpn x max-reuse 9"),
      ),
    );
    expect(made.quic).toMatchObject({ alpn: ["x"], verify: "none", maxReuse: 9 });
    expect(made.quic?.transport.idleTimeoutMs).toBe(7000);
  });
  test("'from' a QUIC server copies TLS and pool, words behind it win", async () => {
    const words = wordsOf("quic4@1.2.3.4:1 from srv:q max-reuse 4");
    const made = specOf((await load()).makeServer("b", "n", words));
    const first = specOf(
      (await load()).makeServer("b", "n", wordsOf("quic4@1.2.3.4:1 from srv:q")),
    );
    expect(first.quic).toMatchObject({ verify: "required", alpn: ["doq"], maxReuse: 3 });
    expect(made.quic).toEqual({ ...first.quic!, maxReuse: 4 });
  });
  test("'from' a QUIC server at a TCP address does not drop TLS in silence", async () => {
    const made = (await load()).makeServer("b", "n", wordsOf("1.2.3.4:1 from srv:q"));
    expect(messageOf(made)).toBe("'ssl' is not built yet.");
    const plain = (await load()).makeServer("b", "n", wordsOf("1.2.3.4:1 from srv:q no-ssl"));
    expect(specOf(plain)).not.toHaveProperty("quic");
  });
  test("a server that moves to QUIC gets what default-server says", async () => {
    const runtime = await load();
    expect(specOf(runtime.quicSettings("b"))).toMatchObject({ verify: "none", alpn: ["doq"] });
    expect(specOf(runtime.quicSettings("none"))).toMatchObject({ verify: "required", alpn: [] });
  });
  test("listeners", async () => {
    const words = wordsOf("quic4@127.0.0.1:853 ssl crt /tls/a.pem alpn doq");
    const [made] = specOf((await load()).makeBinds("f", words));
    expect(made).toMatchObject({ id: 0, text: "quic4@127.0.0.1:853" });
    expect(made?.quic).toMatchObject({ alpn: ["doq"], map: "stream" });
    const refused = (await load()).makeBinds("f", wordsOf("quic4@127.0.0.1:853 ssl crt /no"));
    expect(messageOf(refused)).toContain("'crt' : unable to load '/no'");
  });
});
