/** Broken configurations: every message names file, line and word, and all come in one go. */
import { describe, expect, test } from "bun:test";

import { formatMessages } from "../../../src/config/message.ts";
import { linesOf, loadListen, loadText, planOf, proxyOf, TIMEOUTS } from "./load-text.ts";

const COMING = "is not built yet; remove it, or go on without";
const SKIP = "by --skip-coming or SLUICE_SKIP_COMING=1.";

/** One line of a `listen` section (line 7) and the message it ends in. */
const LISTEN: [line: string, message: string][] = [
  ["blance x", "'blance' unknown keyword in 'listen' section; did you mean 'balance'?"],
  ["frontned x", "'frontned' unknown keyword in 'listen' section; did you mean 'frontend'?"],
  ["option foo", "unknown option 'foo'"],
  ["option tcplogg", "unknown option 'tcplogg'; did you mean 'tcplog'?"],
  ["option", "'option' expects an option name."],
  ["option tcpka x", "'option tcpka' cannot handle unexpected argument 'x'."],
  ["timeout conect 3s", "; did you mean 'connect'?"],
  ["timeout connect", "'timeout connect' expects an integer value (in milliseconds)"],
  ["timeout connect 5x", "unexpected character 'x' in 'timeout connect'"],
  ["timeout connect 99d", "timer overflow in argument '99d'"],
  ["timeout connect 1s 2s", "unexpected extra argument '2s' after value '1s'."],
  ["balance foo", "(got 'foo')"],
  ["balance roundrobn", "did you mean 'roundrobin'?"],
  ["balance leastconn x", "'balance' cannot handle unexpected argument 'x'."],
  ["balance random(0)", "balance random : number of draws must be at least 1."],
  ["balance hash", "balance hash requires a sample expression."],
  ["balance hash nosuch", "nosuch"],
  ["hash-type foo", "'hash-type' only supports 'consistent' and 'map-based'"],
  ["hash-type consistent foo", "hash functions"],
  ["hash-type consistent sdbm foo", "only supports 'avalanche' as a modifier"],
  ["hash-balance-factor 50", "'hash-balance-factor' must be 0 or greater than 100."],
  ["retries -1", "'retries' : value must be between 0"],
  ["retries", "'retries' expects an integer argument."],
  ["maxconn 1 2", "'maxconn' cannot handle unexpected argument '2'."],
  ["mode tcpp", "unknown proxy mode 'tcpp'; did you mean 'tcp'?."],
  ["id 0", "custom id has to be > 0."],
  ["no maxconn", "negation/default currently supported only for options"],
  ["bind", "'bind' expects {<path>|[addr1]:port1[-end1]}"],
  ["bind 80", "'bind' : missing port specification in '80'"],
  ["bind :80 foo", "'bind :80' in section 'listen': unknown keyword 'foo'"],
  ["bind :80 acept-proxy", "did you mean 'accept-proxy'?"],
  ["bind :80 name", "'bind :80' in section 'listen' : 'name' : missing value (<name>)."],
  ["bind :80 mode 9", "invalid mode '9' (octal integer expected)"],
  ["bind :80 user nobody-here", "unknown user name 'nobody-here'"],
  ["bind :80-81 id 3", "'id' can only be used with a single socket"],
  ["bind no.such:80", "could not resolve 'no.such:80'"],
  ["server", "'server' expects <name> and <addr>[:<port>] as arguments."],
  ["server a", "'server' expects <name> and <addr>[:<port>] as arguments."],
  ["server a/b 1.1.1.1:1", "character '/' is not permitted in server name 'a/b'."],
  ["server a 1.1.1.1:99999", "'server l/a' : invalid port '99999'"],
  ["server a no.such:1", "'server l/a' : could not resolve address 'no.such'."],
  [
    "server a 1.1.1.1:1 chek",
    "'server l/a' : unknown keyword 'chek'; did you mean 'check' maybe ?",
  ],
  ["server a 1.1.1.1:1 weight", "'weight' : missing value (<0..256>)."],
  ["server a 1.1.1.1:1 weight 257", "weight of server a is not within 0 and 256 (257)."],
  ["server a 1.1.1.1:1 inter 0", "'inter' : invalid value 0 for server a."],
  ["server a 1.1.1.1:1 rise 0", "'rise' : has to be > 0."],
  ["server a 1.1.1.1:1 init-addr foo", "unknown init-addr method 'foo'"],
  ["server a 1.1.1.1:1 on-error x", "'on-error' : expects one of 'fastinter'"],
  ["server a 1.1.1.1:1 on-marked-down x", "expects 'shutdown-sessions' but got 'x'."],
  ["server a 1.1.1.1:1 source", "'source' expects <addr>"],
  ["server a fd@3", "a descriptor cannot be connected to: 'fd@3'"],
  ["server-template a b c", "Wrong server-template number or range arg 'b'."],
  ["server-template a 5-3 x:1", "Wrong server-template number or range arg '5-3'."],
  ["server-template a 999999 x:1", "'server-template' makes at most"],
  ["server a 1.1.1.1:1 from nobody", "'from' : nothing is known as 'nobody'"],
  ["server a 1.1.1.1:1 weight 3 from none", "'server l/a' : unknown keyword 'from'"],
  ["default-server from srv:nobody", "'from' : nothing is known as 'srv:nobody'"],
  ["default-server name", "'default-server' : 'name' : missing value."],
  ["default-server foo", "'default-server' : unknown keyword 'foo'"],
  ["default-server id 3", "'id' : not permitted here"],
  ["acl", "'acl' expects a name and a criterion."],
  ["acl a", "error detected while parsing ACL 'a' : missing fetch method"],
  ["acl a/b src 1.1.1.1", "character '/' is not permitted in acl name 'a/b'."],
  ["acl a nosuchfetch x", "nosuchfetch"],
  ["use_backend", "'use_backend' expects a backend name."],
  ["use_backend x when y", "unexpected keyword 'when' after switching rule"],
  ["use_backend x if nosuch", "no such ACL : 'nosuch'"],
  ["use_backend nope", "Proxy 'l': unable to find required use_backend: 'nope'."],
  ["default_backend nope", "Proxy 'l': unable to find required default_backend: 'nope'."],
  [
    "use-server x if { src 1.1.1.1 }",
    "unable to find server 'x' referenced in a 'use-server' rule.",
  ],
  ["use-server x", "'use-server' requires either 'if' or 'unless'"],
  ["use_backend l if { nbsrv(nope) gt 1 }", "unable to find backend 'nope'"],
  ["log", "log : expects <address> and <facility> or global as arguments"],
  ["log 1.1.1.1 local9", "log : unknown log facility 'local9'; did you mean 'local0'?"],
  ["log 1.1.1.1 local0 foo", "log : unknown optional log level 'foo'"],
  ["log 1.1.1.1 local0 info err x", "log : cannot handle unexpected argument 'x'."],
  ["log 1.1.1.1 len 5 local0", "log : invalid log length '5'"],
  ["log 1.1.1.1 format x local0", "log : unknown log format 'x'"],
  ["log 1.1.1.1 sample 3:2 local0", "log : invalid sample '3:2'"],
  ["log no.such local0", "log : could not resolve address 'no.such'"],
  ["log-format", "'log-format' expects an argument."],
  ["log-format a b", "don't forget to escape spaces!"],
  ["log-format %[nosuch]", "nosuch"],
  ["source no.such", "'source no.such' : the host name could not be resolved"],
  ["guid a!b", "'guid' : invalid character '!' in 'a!b'."],
  ["chroot /x", "'chroot' unknown keyword in 'listen' section"],
  ['server "a', "unmatched quote at position 9:"],
  ['server "${A"', "unmatched brace in environment variable name at position 11:"],
  ["server a\\x4g", "truncated or invalid hexadecimal sequence at position 10:"],
  [".if nosuch", "unparsable conditional expression 'nosuch' in '.if' at position 1:"],
  [".endif", "lone '.endif' with no matching '.if'."],
  [".else", "lone '.else' with no matching '.if'."],
  [".iff 1", "'.iff' unknown directive; did you mean '.if'?"],
  ['.alert "not so"', "'not so'."],
];

describe("one line of a section", () => {
  for (const [line, message] of LISTEN) {
    test(line, async () => {
      const result = await loadText(`${TIMEOUTS}listen l\n bind :1\n ${line}\n`);
      expect(result.plan).toBeNull();
      const alerts = result.messages.filter(({ severity }) => severity === "alert");
      const texts = alerts.map(({ text }) => text).join("\n");
      expect(texts).toContain(message);
      for (const alert of alerts) {
        expect(alert.file).toBe("t.cfg");
        expect(alert.text).toContain(`t.cfg:${alert.line}]`);
      }
      expect(alerts.some((alert) => alert.line === 7)).toBe(true);
    });
  }
});

/** Whole texts and the alerts they end in, in order. */
const TEXTS: [title: string, text: string, alerts: string[]][] = [
  ["outside a section", "foo\nbar\n", ["parsing [t.cfg:1] : 'foo' unknown keyword out of section"]],
  [
    "a mistyped section",
    "bakend b\n server s 1.1.1.1:1\n",
    ["parsing [t.cfg:1] : 'bakend' unknown keyword out of section; did you mean 'backend'?"],
  ],
  [
    "names of sections",
    "frontend\nbackend a/b\nbackend c d\n",
    [
      "parsing [t.cfg:1] : 'frontend' expects an <id> argument",
      "parsing [t.cfg:2] : character '/' is not permitted in 'backend' name 'a/b'.",
      "parsing [t.cfg:3] : 'backend' cannot handle unexpected argument 'd'.",
    ],
  ],
  [
    "one name twice",
    "backend b\nbackend b\nfrontend f\n bind :1\nlisten f\n bind :2\n",
    [
      "parsing [t.cfg:2] : backend 'b' has the same name as backend 'b' declared at t.cfg:1.",
      "parsing [t.cfg:5] : proxy 'f' has the same name as frontend 'f' declared at t.cfg:3.",
    ],
  ],
  [
    "defaults that are not there",
    "defaults base\nbackend b from bse\nbackend c from\n",
    [
      "parsing [t.cfg:2] : defaults section 'bse' not found for proxy 'b'; did you mean 'base'?.",
      "parsing [t.cfg:3] : 'from' expects the name of a defaults section.",
    ],
  ],
  [
    "defaults named twice",
    "defaults a\ndefaults a\nbackend b from a\n",
    ["parsing [t.cfg:3] : there are 2 defaults sections named 'a'."],
  ],
  [
    "numbers used twice",
    "backend a\n id 5\nbackend b\n id 5\n server s 1.1.1.1:1 id 3\n server t 1.1.1.1:1 id 3\n",
    [
      "parsing [t.cfg:3] : backend b reuses same custom id as backend a (declared at t.cfg:1).",
      "[t.cfg:6] : 'server b/t' : 'id' : custom id 3 already used at t.cfg:5 ('server s').",
    ],
  ],
  [
    "identifiers used twice",
    "backend a\n guid x\nbackend b\n guid x\n server s 1.1.1.1:1 guid x\n",
    [
      "parsing [t.cfg:4] : 'guid' : duplicate entry 'x', used by backend 'a'.",
      "parsing [t.cfg:5] : 'guid' : duplicate entry 'x', used by backend 'a'.",
    ],
  ],
  [
    "an identifier that a range of ports uses too",
    "listen a\n bind :1-3 guid-prefix x\n server s 1.1.1.1:1 guid x-2\n",
    ["parsing [t.cfg:3] : 'guid' : duplicate entry 'x-2', used by 'bind :1-3' of proxy 'a'."],
  ],
  [
    "an open condition",
    "global\n.if 1\n daemon\n",
    ["parsing [t.cfg:2] : '.if' without matching '.endif'."],
  ],
  [
    "conditions out of order",
    ".if 0\n.else\n.elif 1\n.else\n.endif\n",
    [
      "parsing [t.cfg:3] : '.elif' after '.else' is not permitted.",
      "parsing [t.cfg:4] : '.else' after '.else' is not permitted.",
    ],
  ],
  [
    "servers in a frontend",
    `${TIMEOUTS}frontend f\n bind :1\n server s 1.1.1.1:1\n default-server weight 3\n`,
    [
      "parsing [t.cfg:7] : 'server' not allowed because frontend 'f' has no backend capability.",
      "parsing [t.cfg:8] : 'default-server' not allowed because frontend 'f' " +
        "has no backend capability.",
    ],
  ],
  [
    "checks without a port",
    `${TIMEOUTS}backend b\n server s 1.1.1.1 check\n server any : check\n`,
    ["[t.cfg:6] : 'server b/s' : server 's' has neither service port nor check port."],
  ],
  [
    "bind in defaults",
    "defaults\n bind :1\n",
    [
      "parsing [t.cfg:2] : 'bind' is not allowed in 'defaults' section; it belongs " +
        "to 'frontend', 'listen'.",
    ],
  ],
  [
    "rules in defaults without a name",
    "defaults\n http-request deny\n acl x src 1.1.1.1\n tcp-request content accept\n",
    [
      "parsing [t.cfg:2] : 'http-request' is only allowed in named defaults sections.",
      "parsing [t.cfg:3] : 'acl' is only allowed in named defaults sections.",
      "parsing [t.cfg:4] : 'tcp-request content' is only allowed in named defaults sections.",
    ],
  ],
  [
    "a NUL byte",
    "global\n da\0emon\n",
    ["parsing [t.cfg:2] : a NUL byte in the line: this is no text file."],
  ],
  [
    "global",
    "global x\n nbthread 0\n maxconn x\n user nobody-here\n tune.bufsize 10\n " +
      "setenv a\n stats socket\n stats socket /x level boss\n stats foo\n spread-checks " +
      "51\n unix-bind foo bar\n log global\n nosuch\n",
    [
      "parsing [t.cfg:1] : 'global' cannot handle unexpected argument 'x'.",
      "parsing [t.cfg:2] : 'nbthread' value must be between 1 and 128 (was 0)",
      "parsing [t.cfg:3] : 'maxconn' : unexpected character 'x' in integer value 'x'",
      "parsing [t.cfg:4] : cannot find user id for 'nobody-here'",
      "parsing [t.cfg:5] : 'tune.bufsize' : size must be between 1024 and 2147483647 " +
        "bytes (was 10)",
      "parsing [t.cfg:6] : 'setenv' expects a name and a value.",
      "parsing [t.cfg:7] : 'stats socket' in global section expects an address " +
        "or a path to a UNIX socket",
      "parsing [t.cfg:8] : 'stats socket' : 'level' : only supports 'user', 'operator', " +
        "and 'admin' (got 'boss')",
      "parsing [t.cfg:9] : 'stats' supports 'bind-process', 'calculate-max-counters', " +
        "'maxconn', 'socket', 'timeout' (got 'foo')",
      "parsing [t.cfg:10] : 'spread-checks' needs a positive value in range 0..50.",
      "parsing [t.cfg:11] : 'unix-bind' only supports the 'prefix', 'mode', 'uid', " +
        "'gid', 'user' and 'group' options (got 'foo').",
      "parsing [t.cfg:12] : 'log global' is not permitted in the global section.",
      "parsing [t.cfg:13] : 'nosuch' unknown keyword in 'global' section",
    ],
  ],
];

describe("whole texts", () => {
  for (const [title, text, alerts] of TEXTS) {
    test(title, async () => {
      const result = await loadText(text);
      expect(result.plan).toBeNull();
      const found = linesOf(result).filter((line) => line.startsWith("ALERT "));
      expect(found.map((line) => line.slice("ALERT ".length))).toEqual(alerts);
    });
  }
});

test("the shape and the closing lines are HAProxy's", async () => {
  const result = await loadText("backend b\n blance roundrobin\n");
  expect(formatMessages(result.messages, 1234)).toEqual([
    "[ALERT]    (1234) : config : parsing [t.cfg:2] : 'blance' unknown keyword " +
      "in 'backend' section; did you mean 'balance'?",
    "[ALERT]    (1234) : config : Error(s) found in configuration file : t.cfg",
    "[ALERT]    (1234) : config : Fatal errors found in configuration.",
  ]);
});

describe("words that are not built yet", () => {
  test("are refused by name", async () => {
    const result = await loadListen(
      " stick-table type ip size 1m\n persist rdp-cookie\n server a 1.1.1.1:1 namespace blue",
    );
    expect(result.plan).toBeNull();
    expect(linesOf(result)).toEqual([
      `ALERT parsing [t.cfg:7] : 'stick-table' ${COMING} it ${SKIP}`,
      `ALERT parsing [t.cfg:8] : 'persist rdp-cookie' ${COMING} it ${SKIP}`,
      `ALERT parsing [t.cfg:9] : 'server l/a' : 'namespace' ${COMING} it ${SKIP}`,
    ]);
  });
  test("are skipped with a warning each when asked", async () => {
    const text = " stick-table type ip size 1m\n server a 1.1.1.1:1 namespace blue weight 7";
    const result = await loadListen(text, { skipComing: true });
    expect(linesOf(result)).toEqual([
      "WARNING parsing [t.cfg:7] : 'stick-table' is not built yet: going on without it.",
      "WARNING parsing [t.cfg:8] : 'server l/a' : 'namespace' is not built yet: " +
        "going on without it.",
    ]);
    expect(proxyOf(planOf(result), "l").servers[0]?.weight).toBe(7);
    const byFlag = await loadListen(text, { flags: { skipComing: true } });
    expect(byFlag.plan).not.toBeNull();
  });
  test("TLS leaves its listener or server out as a whole", async () => {
    const text =
      " bind :443 ssl crt /x.pem\n server a 1.1.1.1:1 ssl verify none\n server b 1.1.1.1:1";
    const plan = planOf(await loadListen(text, { skipComing: true }));
    const proxy = proxyOf(plan, "l");
    expect(proxy.binds.length).toBe(1);
    expect(proxy.servers.map((server) => server.name)).toEqual(["b"]);
  });
  test("an ACL that cannot be read takes its rules with it", async () => {
    const text = " acl web req.ssl_sni -i a.test\n use_backend l if web\n server a 1.1.1.1:1";
    expect((await loadListen(text)).plan).toBeNull();
    const result = await loadListen(text, { skipComing: true });
    expect(proxyOf(planOf(result), "l").useBackends).toEqual([]);
    expect(result.messages.length).toBe(2);
  });
  test("in defaults they count where a tcp section takes them over", async () => {
    const defaults = `${TIMEOUTS} mode http\n persist rdp-cookie\n`;
    const page = "listen stats\n bind :2\n stats enable\n";
    expect((await loadText(`${defaults}${page}`)).plan).not.toBeNull();
    const front = "frontend f\n mode tcp\n bind :3\n";
    expect((await loadText(`${defaults}${page}${front}`)).plan).not.toBeNull();
    const back = "backend b\n mode tcp\n server s 1.1.1.1:1 check\nbackend c\n mode tcp\n";
    expect(linesOf(await loadText(`${defaults}${back}`))).toEqual([
      `ALERT parsing [t.cfg:6] : 'persist rdp-cookie' ${COMING} it ${SKIP}`,
    ]);
  });
  test("whole sections, whose words are still checked", async () => {
    const result = await loadText("peers r\n peer a 1.1.1.1:53\n per b\n");
    expect(linesOf(result)).toEqual([
      `ALERT parsing [t.cfg:1] : section 'peers r' ${COMING} the whole section ${SKIP}`,
      "ALERT parsing [t.cfg:3] : 'per' unknown keyword in 'peers' section; " +
        "did you mean 'peer'?",
    ]);
  });
});

describe("words without effect", () => {
  test("one warning a file names them all", async () => {
    const text =
      "global\n tune.ssl.default-dh-param 2048\n key-base /x\n no numa-cpu-mapping\n" +
      "defaults\n option forwardfor\n timeout http-request 5s\n timeout client 1s\n" +
      " timeout connect 1s\n timeout server 1s\nlisten l\n bind :1\n option forwardfor\n" +
      " server a 1.1.1.1:1 cookie a\n";
    const result = await loadText(text);
    expect(linesOf(result)).toEqual([
      "WARNING [t.cfg] : without effect in this program: 'tune.ssl.default-dh-param' " +
        "(line 2), 'key-base' (line 3), 'numa-cpu-mapping' (line 4), 'option forwardfor' " +
        "(line 6), 'timeout http-request' (line 7), 'server … cookie' (line 14).",
    ]);
    expect(result.messages[0]?.harmless).toBe(true);
    planOf(result);
  });
});

describe("sections in mode http", () => {
  test("that proxy are refused, or skipped with what leads to them", async () => {
    const text =
      `${TIMEOUTS} mode http\nfrontend web\n bind :80\n default_backend b\nbackend ` +
      `b\n server s 1.1.1.1:1\nlisten l\n mode tcp\n bind :2\n use_backend b ` +
      `if { dst_port 2 }\n server t 1.1.1.1:2\n`;
    expect((await loadText(text)).plan).toBeNull();
    const plan = planOf(await loadText(text, { skipComing: true }));
    expect(plan.proxies.map((proxy) => proxy.name)).toEqual(["l"]);
    expect(proxyOf(plan, "l").useBackends).toEqual([]);
  });
});

test.each(["bind 80", "bind :80 foo", "bind :443 ssl crt /x.pem", "bind quic4@:443 ssl crt /no"])(
  "refused: %s; that nobody listens then is not said again",
  async (line) => {
    const lines = linesOf(await loadText(`${TIMEOUTS}listen l\n ${line}\n server s 1.1.1.1:1\n`));
    expect(lines.map((one) => one.split(" ")[0])).toEqual(["ALERT"]);
  },
);

test("a listener that is left out on request is no error: that nobody listens is said", async () => {
  const text = `${TIMEOUTS}listen l\n bind :443 ssl crt /x.pem\n server s 1.1.1.1:1\n`;
  const lines = linesOf(await loadText(text, { skipComing: true }));
  expect(lines.map((one) => one.split(" ")[0])).toEqual(["WARNING", "WARNING"]);
  expect(lines[1]).toContain("proxy 'l' has no 'bind' directive.");
});

describe("warnings that HAProxy gives too", () => {
  const warns = async (text: string, warning: string): Promise<void> => {
    const result = await loadText(text);
    planOf(result);
    expect(linesOf(result).map((line) => line.split("\n")[0])).toEqual([`WARNING ${warning}`]);
  };
  test("missing timeouts", () =>
    warns("backend b\n server s 1.1.1.1:1\n", "missing timeouts for backend 'b'."));
  test("nowhere to listen", () =>
    warns(
      `${TIMEOUTS}listen l\n`,
      "proxy 'l' has no 'bind' directive. Please declare it as a backend if this was intended.",
    ));
  test("a log format without log", () =>
    warns(
      `${TIMEOUTS}listen l\n bind :1\n option tcplog\n`,
      "log format ignored for proxy 'l' since it has no log address.",
    ));
  test("option httplog in mode tcp", () =>
    warns(
      `${TIMEOUTS}listen l\n bind :1\n log 1.1.1.1 local0\n option httplog\n`,
      "parsing [t.cfg:8] : 'option httplog' not usable with proxy 'l' (needs " +
        "'mode http'). Falling back to 'option tcplog'.",
    ));
  test("option tcplog in a backend", () =>
    warns(
      `${TIMEOUTS}backend b\n option tcplog\n`,
      "parsing [t.cfg:6] : backend 'b' : 'option tcplog' directive is ignored in backends.",
    ));
  test("front words in a backend", () =>
    warns(
      `${TIMEOUTS}backend b\n maxconn 5\n`,
      "parsing [t.cfg:6] : 'maxconn' ignored because backend 'b' has no frontend " +
        "capability. Maybe you want 'fullconn' instead ?",
    ));
  test("back words in a frontend", () =>
    warns(
      `${TIMEOUTS}frontend f\n bind :1\n balance first\n`,
      "parsing [t.cfg:7] : 'balance' ignored because frontend 'f' has no backend capability.",
    ));
});
