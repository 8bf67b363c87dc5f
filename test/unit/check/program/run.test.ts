/** Lists of steps in memory: where connections go, what is said on them, and what is remembered. */
import { expect, test } from "bun:test";

import type { CheckEnvironment, CheckTarget } from "../../../../src/check/probe.ts";
import { startRun } from "../../../../src/check/program/run.ts";
import type { CheckResult } from "../../../../src/check/result.ts";
import type { Sample } from "../../../../src/expr/evaluate.ts";
import { jobOf, TEST_ENVIRONMENT } from "../../../support/check-memory.ts";
import { MemoryConnection } from "../../../support/step-memory.ts";
import { programOf } from "../../config/checks/programs.ts";

const TCP = " option tcp-check\n";
const HTTP = " option httpchk\n";

/** What a check does, step by step. */
class Play {
  readonly connections: MemoryConnection[] = [];
  readonly heard: string[] = [];
  result: CheckResult | undefined;

  static async start(
    lines: string,
    more: Partial<CheckTarget> = {},
    environment: Partial<CheckEnvironment> = {},
    variables = new Map<string, Sample>(),
  ): Promise<Play> {
    const program = await programOf(lines, { global: " ssl-server-verify none" });
    if (program.kind !== "tcp" && program.kind !== "http") throw new Error(program.kind);
    const play = new Play();
    const { target } = jobOf({ kind: "redis" });
    startRun(
      { target: { ...target, ...more }, program },
      program,
      {
        environment: { ...TEST_ENVIRONMENT, ...environment },
        variables,
        open: (to, _max, ears) => {
          const connection = new MemoryConnection(to, ears);
          play.connections.push(connection);
          return connection;
        },
      },
      {
        connecting: () => void play.heard.push("connecting"),
        connected: () => void play.heard.push("connected"),
        done: (result) => {
          play.heard.push("done");
          play.result = result;
        },
      },
    );
    return play;
  }

  get last(): MemoryConnection {
    const connection = this.connections.at(-1);
    if (connection === undefined) throw new Error("no connection");
    return connection;
  }
}

test("each connection begins its time again; the one before is reset, or closed in order", async () => {
  const steps = ["connect", "expect string one", "connect port 81 linger", "expect string two"];
  const play = await Play.start(TCP + steps.map((step) => ` tcp-check ${step}`).join("\n"));
  expect(play.heard).toEqual(["connecting"]);
  play.last.ears.opened();
  play.last.deliver("one");
  const [first] = play.connections;
  expect(first).toMatchObject({ isClosed: true, isOrderly: false });
  expect(play.heard).toEqual(["connecting", "connected", "connecting"]);
  expect(play.last.target.address).toEqual({ family: "ipv4", host: "127.0.0.1", port: 81 });
  play.last.ears.opened();
  // What the first one said is gone.
  expect(play.result).toBeUndefined();
  play.last.deliver("two");
  expect(play.result).toEqual({ code: "L7OK", info: "(tcp-check)" });
  expect(play.last).toMatchObject({ isClosed: true, isOrderly: true });
});

const OWN = { verify: "required", alpn: ["own"], sni: "own.test", verifyHost: "h.test" } as const;
const SERVER: Partial<CheckTarget> = {
  proxyHeader: 2,
  tls: { ...OWN, alpn: ["own"] },
  stepTls: { ...OWN, alpn: ["own"] },
};

/** What a step says of its connection, and what is opened: of the server with words of its own. */
const TARGETS: readonly [string, object, string[]][] = [
  ["connect", { proxyHeader: 0 }, ["tls"]],
  ["connect send-proxy", { proxyHeader: 2 }, ["tls"]],
  ["connect default", { proxyHeader: 2, tls: OWN }, []],
  ["connect port 81", { address: { family: "ipv4", host: "127.0.0.1", port: 81 } }, ["tls"]],
  ["connect port int(82)", { address: { port: 82 } }, []],
  ["connect port var(check.none)", { address: { port: 1 } }, []],
  ["connect addr 10.9.8.7", { address: { family: "ipv4", host: "10.9.8.7", port: 1 } }, []],
  ["connect addr 10.9.8.7 port 83", { address: { host: "10.9.8.7", port: 83 } }, []],
  ["connect ssl", { tls: { verify: "required", verifyHost: "h.test", alpn: [] } }, ["tls.sni"]],
  ["connect ssl sni a.test alpn b", { tls: { sni: "a.test", alpn: ["b"] } }, []],
  ["connect ssl default", { tls: OWN }, []],
];

test.each([...TARGETS])("%s", async (words, wanted, absent) => {
  const play = await Play.start(`${TCP} tcp-check ${words}`, SERVER);
  expect(play.last.target).toMatchObject(wanted);
  for (const path of absent) expect(play.last.target).not.toHaveProperty(path);
});

test("without a written connection the server's own settings hold", async () => {
  const play = await Play.start(`${TCP} tcp-check send x`, SERVER);
  expect(play.last.target).toMatchObject({ proxyHeader: 2, tls: OWN });
});

test("variables of a check end with it, those of the process stay", async () => {
  const variables = new Map<string, Sample>();
  const write = [
    "connect",
    "expect string hello",
    "set-var(check.own) res.payload(0,2)",
    "set-var(proc.all) res.payload(0,5)",
    "set-var-fmt(proc.text) <%[var(check.own)]>",
    "send-lf %[var(check.own)]-%[var(proc.all)]",
  ];
  const first = await Play.start(
    TCP + write.map((step) => ` tcp-check ${step}`).join("\n"),
    {},
    {},
    variables,
  );
  first.last.ears.opened();
  first.last.deliver("hello");
  expect(first.last.sent).toBe("he-hello");
  const lines = " tcp-check connect\n tcp-check send-lf ";
  const read = "[%[var(check.own)]][%[var(proc.all)]][%[var(proc.text)]][%[var(sess.no,else)]]";
  const second = await Play.start(`${TCP}${lines}${read}`, {}, {}, variables);
  second.last.ears.opened();
  expect(second.last.sent).toBe("[][hello][<he>][else]");
});

test("what HTTP answered may be asked for", async () => {
  const format = '"%[status] %[res.ver] %[res.hdr(x-a,1)] %[res.hdr_cnt(x-a)] %[res.fhdr(x-a)] ';
  const more = '%[res.hdr(x-b)] %[res.body] %[res.body_len] %[res.hdr_val(x-n)]"';
  const play = await Play.start(`${HTTP} http-check expect on-success ${format}${more} status 200`);
  play.last.ears.opened();
  play.last.deliver("HTTP/1.1 200 OK\r\nX-A: one, two\r\nX-N: 42x\r\nContent-Length: 3\r\n\r\nabc");
  expect(play.result).toEqual({
    code: "L7OK",
    number: 200,
    info: "200 1.1 one 2 one, two  abc 3 42",
  });
});

test("the server's state goes with each request, as it is then", async () => {
  const state = "UP 2/3; name=b/s; node=n; weight=1/2; scur=0/0; qcur=0";
  const lines = `${HTTP} http-check send-state\n http-check send hdr X-A b`;
  const play = await Play.start(lines, {}, { stateOf: () => state });
  play.last.ears.opened();
  expect(play.last.sent).toBe(
    `OPTIONS / HTTP/1.0\r\nx-a: b\r\nx-haproxy-server-state: ${state}\r\n\r\n`,
  );
});

test("a 404 of a server that is down is a failure, whatever disable-on-404 says", async () => {
  for (const isDown of [false, true]) {
    const lines = `${HTTP} http-check disable-on-404`;
    const play = await Play.start(lines, {}, { isDown: () => isDown });
    play.last.ears.opened();
    play.last.deliver("HTTP/1.1 404 Not Found\r\n\r\n");
    const failed = { code: "L7STS", number: 404, info: "Not Found" } as const;
    expect(play.result).toEqual(isDown ? failed : { code: "L7OKC", number: 404 });
  }
});

test("a value that a format makes cannot begin another header, nor another request", async () => {
  const set = "http-check set-var(check.x) bin(610d0a582d493a2062)";
  const send = "http-check send uri-lf /%[var(check.x)] hdr X-A %[var(check.x)]";
  const play = await Play.start(`${HTTP} ${set}\n ${send}`);
  play.last.ears.opened();
  expect(play.last.sent).toBe("OPTIONS /aX-I:b HTTP/1.0\r\nx-a: a X-I: b\r\n\r\n");
});
