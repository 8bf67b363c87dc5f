/** Servers that go and come back: slow starts, tracking, backups, drain, redispatch. */
import { expect } from "bun:test";

import { askApiPort } from "../support/api.ts";
import { startDeaf } from "../support/peers-raw.ts";
import { startNamed } from "../support/peers.ts";
import { until } from "../support/procs.ts";
import { stateLines, stateOf, statOf } from "../support/server-stat.ts";
import { askName, askNames, countEach, visit } from "../support/traffic.ts";
import { behaviour, conformance, type Lab } from "./harness.ts";

const two = { s1: () => startNamed("s1"), s2: () => startNamed("s2") };
const NEVER = "check inter 600s";

const api = (lab: Lab): string => `global
  stats socket 127.0.0.1:${lab.port("api")} level admin
`;

const ask = (lab: Lab, line: string): Promise<string> => askApiPort(lab.port("api"), line);

/** Commands one after the other, each with what `look` sees after it. */
async function each<T>(
  lab: Lab,
  commands: readonly string[],
  look: () => Promise<T>,
): Promise<[string, T][]> {
  const seen: [string, T][] = [["start", await look()]];
  for (const command of commands) {
    await ask(lab, command);
    seen.push([command, await look()]);
  }
  return seen;
}

/** Weight, throttle and operational state of a server. */
async function ramp(lab: Lab, server: string, proxy = "be"): Promise<string> {
  const port = lab.port("api");
  const { status, weight, throttle } = await statOf(port, proxy, server, [
    "status",
    "weight",
    "throttle",
  ]);
  const { srv_op_state: state } = await stateOf(port, proxy, server, ["srv_op_state"]);
  // Of a server that is out of use HAProxy tells the weight that it had then.
  const isUp = /^(UP|no check)/.test(status ?? "");
  return `${status} weight ${isUp ? weight : "-"} throttle ${throttle} state ${state}`;
}

const firstCheck = (lab: Lab): Promise<boolean> =>
  until("the first check", async () => (await ramp(lab, "s1")).startsWith("UP weight"));

const slowstart = (balance: string) => (lab: Lab) => `${api(lab)}listen be
  ${lab.bind("be")}
  balance ${balance}
  ${lab.line("s1")} ${NEVER} weight 10 maxconn 100 slowstart 600s
  ${lab.line("s2")} ${NEVER} weight 10`;

/** Ways to come back, with long ramps: nothing of them passes in the time of a test. */
const WAYS = [
  "set server be/s1 health down",
  "set server be/s1 health up",
  "set server be/s1 state maint",
  "set server be/s1 state ready",
  "set weight be/s1 50%",
  "set weight be/s1 0",
  "set weight be/s1 100%",
  "set server be/s1 state drain",
  "set server be/s1 state ready",
  "disable health be/s1",
  "set server be/s1 health stopping",
  "set server be/s1 health up",
  "disable server be/s1",
  "set server be/s1 health down",
  "enable server be/s1",
] as const;

const slowly = (balance: string, title: string) =>
  behaviour({
    name: `slowstart: ${title}`,
    servers: two,
    config: slowstart(balance),
    async traffic(lab) {
      await firstCheck(lab);
      return await each(lab, WAYS, () => ramp(lab, "s1"));
    },
  });

conformance("slowstart", [
  slowly("roundrobin", "every way to come back begins with a sixteenth"),
  slowly("leastconn", "the same of leastconn"),
  behaviour({
    name: "slowstart: maps have all of the weight, and are on their way none the less",
    servers: two,
    config: slowstart("static-rr"),
    async traffic(lab) {
      await firstCheck(lab);
      const ways = WAYS.filter((line) => !line.includes("50%"));
      return await each(lab, ways, () => ramp(lab, "s1"));
    },
  }),
  behaviour({
    name: "slowstart: it ends, and the server is as before",
    servers: two,
    config: (lab) =>
      slowstart("roundrobin")(lab)

        .replace("slowstart 600s", "slowstart 3s"),
    async traffic(lab) {
      await firstCheck(lab);
      const before = await ramp(lab, "s1");
      await ask(lab, "set server be/s1 health down");
      await ask(lab, "set server be/s1 health up");
      const first = await ramp(lab, "s1");
      const weights: number[] = [];
      await until("the end of it", async () => {
        const text = await ramp(lab, "s1");
        weights.push(Number(/weight (\d+)/.exec(text)?.[1]));
        return text.endsWith("state 2");
      });
      const isRising = weights.every((weight, i) => i === 0 || weight >= weights[i - 1]!);
      return { before, first, isRising, last: await ramp(lab, "s1") };
    },
  }),
  behaviour({
    name: "slowstart: whoever tracks the server begins with it, by a time of its own",
    servers: two,
    config: (lab) => `${slowstart("roundrobin")(lab)}
backend t
  server t1 127.0.0.1:1 track be/s1 weight 10 slowstart 300s
  server t2 127.0.0.1:1 track t1 weight 10`,
    async traffic(lab) {
      await firstCheck(lab);
      return await each(lab, WAYS.slice(0, 4), async () => [
        await ramp(lab, "s1"),
        await ramp(lab, "t1", "t"),
        await ramp(lab, "t2", "t"),
      ]);
    },
  }),
]);

/** Statuses of a chain, and what the log has said of it so far. */
async function chain(lab: Lab): Promise<string[]> {
  const port = lab.port("api");
  return await Promise.all(
    [
      ["a", "s1"],
      ["b", "t1"],
      ["c", "u1"],
      ["c", "u2"],
    ].map(async ([proxy, server]) => {
      const {
        status,
        act,
        lastchg: _lastchg,
        ...rest
      } = await statOf(port, proxy!, server!, ["status", "act", "lastchg", "tracked", "chkdown"]);
      const { srv_op_state: op, srv_admin_state: admin } = await stateOf(port, proxy!, server!, [
        "srv_op_state",
        "srv_admin_state",
      ]);
      return `${server} ${status} ${act} ${op} ${admin} ${JSON.stringify(rest)}`;
    }),
  );
}

conformance("track", [
  behaviour({
    name: "a chain follows in one step: down, maintenance, drain, stopping",
    servers: two,
    config: (lab) => `${api(lab)}listen a
  ${lab.bind("a")}
  ${lab.line("s1")} ${NEVER}
backend b
  server t1 127.0.0.1:1 track a/s1
backend c
  server u1 127.0.0.1:1 track b/t1
  server u2 127.0.0.1:1 track u1`,
    async traffic(lab) {
      await until("the first check", async () => (await chain(lab))[0]!.startsWith("s1 UP 1 "));
      const seen = await each(
        lab,
        [
          "set server a/s1 health down",
          "set server a/s1 health up",
          "set server a/s1 health stopping",
          "set server a/s1 health up",
          "set server a/s1 state drain",
          "set server c/u1 state maint",
          "set server a/s1 state ready",
          "set server c/u1 state ready",
          "set server a/s1 state maint",
          "set server b/t1 state drain",
          "set server a/s1 state ready",
          "set server b/t1 state ready",
          "set server a/s1 health down",
          "set server b/t1 state maint",
          "set server a/s1 health up",
          "set server b/t1 state ready",
        ],
        () => chain(lab),
      );
      const lines = await stateLines(lab.syslog, /Server [abc]\//, 40);
      return { seen, lines };
    },
  }),
]);

conformance("backup servers", [
  ...["", "option allbackups"].map((option) =>
    behaviour({
      name: `who serves as servers go and come${option === "" ? "" : `, ${option}`}`,
      servers: {
        ...two,
        b1: () => startNamed("b1"),
        b2: () => startNamed("b2"),
      },
      config: (lab) => `${api(lab)}listen be
  ${lab.bind("be")}
  balance roundrobin
  ${option}
  ${lab.line("s1")} ${NEVER}
  ${lab.line("s2")}
  ${lab.line("b1")} backup ${NEVER}
  ${lab.line("b2")} backup`,
      traffic: (lab) =>
        each(
          lab,
          [
            "set server be/s1 health down",
            "set weight be/s2 0",
            "set server be/b1 health down",
            "set server be/b2 state drain",
            "set server be/b1 health up",
            "set server be/b2 state ready",
            "set server be/b1 state drain",
            "set server be/s1 health up",
            "set server be/s1 state drain",
            "set weight be/s2 1",
            "set server be/s2 state maint",
          ],
          async () => countEach(await askNames({ port: lab.port("be") }, 8)),
        ),
    }),
  ),
  behaviour({
    name: "on-marked-up shutdown-backup-sessions: whoever is on a backup server ends",
    servers: two,
    config: (lab) => `${api(lab)}listen be
  ${lab.bind("be")}
  ${lab.line("s1")} ${NEVER} on-marked-up shutdown-backup-sessions
  ${lab.line("s2")} backup`,
    async traffic(lab) {
      await ask(lab, "set server be/s1 health down");
      const held = await visit({ port: lab.port("be") });
      await ask(lab, "set server be/s1 health up");
      await until("the stream to end", () => lab.peer("s2").open === 0);
      return [held.name, await askName({ port: lab.port("be") })];
    },
    logs: 2,
  }),
]);

const FAST = "  timeout connect 200ms\n  timeout client 60s\n  timeout server 60s";

/** A rule names s1, of which nobody listens. */
const named = (lab: Lab, options: string): string => `${api(lab)}listen be
  ${lab.bind("be")}
  retries 2
${options}
  use-server s1 if { always_true }
  server s1 127.0.0.1:${lab.port("closed")} ${NEVER}
  ${lab.line("s2")}`;

conformance("persist and redispatch", [
  ...["", "  option persist", "  option redispatch", "  option persist\n  option redispatch"].map(
    (options) =>
      behaviour({
        name: `a rule names a server that is down; ${options.replace("\n", ",") || "no options"}`,
        servers: { s2: two.s2 },
        timeouts: FAST,
        config: (lab) => named(lab, options),
        async traffic(lab) {
          await until("the first check", async () => {
            return (await statOf(lab.port("api"), "be", "s1", ["status"]))["status"] === "DOWN";
          });
          return await askName({ port: lab.port("be") });
        },
        logs: 1,
      }),
  ),
  behaviour({
    name: "a rule names a server that is drained, or has no weight, or is in maintenance",
    servers: two,
    config: (lab) => `${api(lab)}listen be
  ${lab.bind("be")}
  use-server s1 if { always_true }
  ${lab.line("s1")} ${NEVER}
  ${lab.line("s2")}`,
    traffic: (lab) =>
      each(
        lab,
        [
          "set server be/s1 state drain",
          "set server be/s1 state ready",
          "set weight be/s1 0",
          "set weight be/s1 1",
          "set server be/s1 health stopping",
          "set server be/s1 state maint",
        ],
        () => askName({ port: lab.port("be") }),
      ),
  }),
  ...(["state maint", "health down"] as const).map((command) =>
    behaviour({
      name: `redispatch: a server gets "${command}" while a stream connects to it`,
      servers: { deaf: startDeaf, s2: two.s2 },
      timeouts: "  timeout connect 1s\n  timeout client 60s\n  timeout server 60s",
      config: (lab) => `${api(lab)}listen be
  ${lab.bind("be")}
  balance leastconn
  retries 3
  option redispatch
  server s1 127.0.0.1:${lab.server("deaf").port}
  ${lab.line("s2")} backup`,
      async traffic(lab) {
        const held = visit({ port: lab.port("be") });
        await until("the stream to be on s1", async () => {
          return (await statOf(lab.port("api"), "be", "s1", ["scur"]))["scur"] === "1";
        });
        await ask(lab, `set server be/s1 ${command}`);
        const { name } = await held;
        const { wretr, wredis } = await statOf(lab.port("api"), "be", "s1", ["wretr", "wredis"]);
        return { name, wretr, wredis };
      },
    }),
  ),
  behaviour({
    name: "redispatch: streams that wait for a server which goes down are served by others",
    servers: two,
    config: (lab) => `${api(lab)}listen be
  ${lab.bind("be")}
  balance source
  option redispatch
  ${lab.line("s1")} ${NEVER} maxconn 1
  ${lab.line("s2")} ${NEVER} maxconn 9`,
    async traffic(lab) {
      const at = { port: lab.port("be") };
      const first = await visit(at);
      const other = first.name === "s1" ? "s2" : "s1";
      await ask(lab, `set maxconn server be/${first.name} 1`);
      await ask(lab, `set maxconn server be/${other} 9`);
      const waiting = [visit(at), visit(at), visit(at)];
      await until("all to wait", async () => {
        const { qcur } = await statOf(lab.port("api"), "be", first.name, ["qcur"]);
        return qcur === "3";
      });
      await ask(lab, `set server be/${first.name} health down`);
      const names = (await Promise.all(waiting)).map(({ name }) => name === other);
      const [line] = await stateLines(lab.syslog, /is DOWN/, 1);
      expect(line).toContain("3 requeued");
      return { names };
    },
  }),
]);

/** HTTP checks of a server that says what a flag tells. */
conformance("conditional passes", [
  behaviour({
    name: "disable-on-404: NOLB, no new streams, then up again",
    servers: two,
    config: (lab) => `${api(lab)}listen be
  ${lab.bind("be")}
  option httpchk GET /
  http-check disable-on-404
  ${lab.line("s1")} port ${lab.port("http")} check inter 100ms rise 2 fall 2
  ${lab.line("s2")}
backend t
  option httpchk GET /
  http-check disable-on-404
  server t1 127.0.0.1:1 track be/s1`,
    async traffic(lab) {
      let code = 200;
      const web = Bun.serve({
        hostname: "127.0.0.1",
        port: lab.port("http"),
        fetch: () => new Response("", { status: code }),
      });
      const names: Record<string, number>[] = [];
      const look = async (): Promise<unknown> => {
        names.push(countEach(await askNames({ port: lab.port("be") }, 4)));
        const columns = ["status", "check_status", "check_code"];
        const own = await statOf(lab.port("api"), "be", "s1", columns);
        const follower = await statOf(lab.port("api"), "t", "t1", ["status"]);
        return {
          ...own,
          follower,
          op: await stateOf(lab.port("api"), "be", "s1", ["srv_op_state"]),
        };
      };
      const comes = (status: string): Promise<boolean> =>
        until(`status ${status}`, async () => {
          return (await statOf(lab.port("api"), "be", "s1", ["status"]))["status"] === status;
        });
      const seen: unknown[] = [];
      for (const [status, answer] of [
        ["UP", 200],
        ["NOLB", 404],
        ["UP", 200],
        ["NOLB", 404],
        ["DOWN", 500],
        ["UP", 200],
      ] as const) {
        code = answer;
        await comes(status);
        await until("the check that follows", async () => {
          const { check_code: last } = await statOf(lab.port("api"), "be", "s1", ["check_code"]);
          return last === String(answer);
        });
        seen.push([status, await look()]);
      }
      web.stop(true);
      const lines = await stateLines(lab.syslog, /Server (be|t)\//, 10);
      // The first check may have come before the server did.
      const first = lines.findIndex((line) => line.includes("stopping"));
      return { seen, names, lines: lines.slice(first, first + 6) };
    },
  }),
]);
