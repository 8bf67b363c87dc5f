/** What `show stat`, `show servers state` and `show info` say: as haproxy says it. */
import { expect } from "bun:test";

import { askApiPort } from "../support/api.ts";
import { startNamed } from "../support/peers.ts";
import { until } from "../support/procs.ts";
import {
  type Flags,
  playClient,
  type ScriptServer,
  startScriptServer,
} from "../support/tcp-script.ts";
import { askName, visit } from "../support/traffic.ts";
import { behaviour, conformance } from "./harness.ts";
import type { Lab } from "./harness.ts";

const ask = (lab: Lab, line: string): Promise<string> => askApiPort(lab.port("api"), line);

/** A row of the CSV by its names. */
type Row = Record<string, string>;

/** Columns whose values are times, rates, or addresses with a port of the run. */
const UNSTABLE = [
  // How many sessions are there at once when clients come and go quickly.
  "smax",
  "lastchg",
  "downtime",
  "lastsess",
  "check_duration",
  "rate",
  "rate_max",
  "conn_rate",
  "conn_rate_max",
  "qtime",
  "ctime",
  "rtime",
  "ttime",
  "qtime_max",
  "ctime_max",
  "rtime_max",
  "ttime_max",
  "addr",
  // HAProxy counts the connections of health checks here, and estimates what it will need.
  "need_conn_est",
  // Some time after the last stream: connections are released by and by.
  "used_conn_cur",
];

async function rows(lab: Lab, command = "show stat"): Promise<Map<string, Row>> {
  const [head = "", ...lines] = (await ask(lab, command)).trimEnd().split("\n");
  const names = head.replace(/^# /, "").split(",");
  // What stands behind the column `-` differs from version to version.
  const known = names.slice(0, names.indexOf("agg_check_status") + 1);
  return new Map(
    lines.map((line) => {
      const values = line.split(",");
      const row = Object.fromEntries(known.map((name, at) => [name, values[at] ?? "?"]));
      return [`${row["pxname"]}/${row["svname"]}`, row];
    }),
  );
}

/** Rows without what moves. */
function stable(all: Map<string, Row>): Record<string, Row> {
  const seen: Record<string, Row> = {};
  for (const [name, row] of all) {
    seen[name] = { ...row };
    for (const column of UNSTABLE) {
      if (seen[name][column] !== "") seen[name][column] = "*";
    }
  }
  return seen;
}

const API = (lab: Lab): string => `global
  maxconn 500
  stats socket 127.0.0.1:${lab.port("api")} level admin`;

const config = (lab: Lab): string => `${API(lab)}
frontend fe
  ${lab.bind("fe")} name one
  ${lab.bind("fe2")}
  option socket-stats
  maxconn 77
  rate-limit sessions 1000
  default_backend be
frontend lost
  ${lab.bind("lost")}
  default_backend none
backend be
  balance roundrobin
  option redispatch 1
  retries 2
  timeout connect 200ms
  fullconn 30
  ${lab.line("s1")} weight 2 maxqueue 5 maxconn 10
  ${lab.line("s2")} id 40
  server gone 127.0.0.1:${lab.port("closed")}
  server down 127.0.0.1:${lab.port("closed2")} check inter 100ms fastinter 50ms fall 1
  server fine 127.0.0.1:${lab.server("s1").port} check inter 100ms fastinter 50ms disabled
  server spare 127.0.0.1:${lab.server("s1").port} backup
  server tracking 127.0.0.1:${lab.server("s1").port} track be/down
backend none
  retries 1
  server gone 127.0.0.1:${lab.port("closed")}
backend leastconn
  balance leastconn
backend static
  id 77
  balance static-rr
  server off 127.0.0.1:1 disabled
listen both
  ${lab.bind("both")}
  balance source
  server s1 127.0.0.1:${lab.server("s1").port}`;

const servers = { s1: () => startNamed("s1"), s2: () => startNamed("s2") };

/** Clients, one after the other, until everything has been counted. */
async function play(lab: Lab): Promise<void> {
  await until("the check to fail", async () => {
    return (await rows(lab)).get("be/down")?.["status"] === "DOWN";
  });
  for (let i = 0; i < 8; i++) await askName({ port: lab.port("fe") });
  for (let i = 0; i < 3; i++) await askName({ port: lab.port("fe2") });
  await askName({ port: lab.port("lost") });
  await askName({ port: lab.port("both") });
  await until("all to have left", async () => {
    const all = await rows(lab);
    return [...all.values()].every(({ scur }) => scur === "0");
  });
}

/** A server that greets, and breaks off at the first word. */
const rude = (flags: Flags): ScriptServer =>
  startScriptServer('send "rude\\n"; read 1; reset', { flags });

/** Ends a visit by reset once the name has come. */
async function abort(port: number): Promise<void> {
  const visited = await visit({ port });
  visited.reset();
}

async function idle(lab: Lab): Promise<void> {
  await until("all to have left", async () => {
    const all = await rows(lab);
    return [...all.values()].every(({ scur }) => scur === "0");
  });
}

/** Names of the rows that a command shows; a refusal as it is. */
async function shown(lab: Lab, command: string): Promise<string> {
  const text = await ask(lab, command);
  if (!text.startsWith("# ")) return text.trim();
  const lines = text.trimEnd().split("\n").slice(1);
  return lines.map((line) => line.split(",", 2).join("/")).join(" ");
}

const SELECTIONS = [
  "show stat be 4 1",
  "show stat be 4 40",
  "show stat be 7 -1",
  "show stat be -1 -1",
  "show stat 77 -1 -1",
  "show stat 78 -1 -1",
  "show stat -1 1 -1",
  "show stat -1 2 -1",
  "show stat -1 3 -1",
  "show stat -1 8 -1",
  "show stat -1 -1 2",
  "show stat fe -1 -1",
  "show stat be",
  "show stat be 4",
  "show stat nope -1 -1",
  "show stat 0 -1 -1",
  "show stat x y z",
  "show stat up",
  "show stat no-maint",
  "show stat -1 4 -1 up",
  "show stat -1 4 -1 no-maint",
  "show stat domain proxy be 2 -1",
  "show stat domain",
  "show stat domain foo",
  "show stat foo",
];

/** Fields of `show info` that 2.6 has under a name that was corrected since. */
const RENAMED: Record<string, string> = { TotalSplicdedBytesOut: "TotalSplicedBytesOut" };

/** Fields whose values are the same in both, whatever the product. */
const SAME_INFO = [
  "Nbthread",
  "Nbproc",
  "Process_num",
  "Memmax_MB",
  "PoolFailed",
  "Maxconn",
  "Hard_maxconn",
  "CurrConns",
  "MaxSslConns",
  "CurrSslConns",
  "CumSslConns",
  "Maxpipes",
  "PipesUsed",
  "PipesFree",
  "ConnRateLimit",
  "SessRateLimit",
  "SslRate",
  "CompressBpsIn",
  "node",
  "description",
  "Stopping",
  "Unstoppable Jobs",
  "Listeners",
  "ActivePeers",
  "DroppedLogs",
  "BusyPolling",
  "FailedResolutions",
  "DebugCommandsIssued",
  "CumRecvLogs",
  "Memmax_bytes",
  "Tainted",
];

/** `name: value` lines. */
function info(text: string): Map<string, string> {
  return new Map(
    text.split("\n").map((line) => {
      const at = line.indexOf(": ");
      return [line.slice(0, at), line.slice(at + 2)];
    }),
  );
}

/** `place.name tags type` of typed lines: three tags, since 2.6 has no fourth. */
function typedHeads(text: string): string[] {
  return text.split("\n").map((line) => {
    const [, head = "", tags = "", type = ""] =
      /^((?:[FBLS]\.\d+\.\d+\.)?\d+\.[\w -]+)\.1:(\w{3})\w?:(\w+):/.exec(line) ?? [];
    return `${head} ${tags} ${type}`;
  });
}

/** Server states, with what moves masked: since when, and the port of the run. */
function states(text: string): string[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => {
      if (!/^\d+ /.test(line)) return line;
      const columns = line.split(" ");
      columns[9] = "T";
      if (columns[18] !== "0") columns[18] = "P";
      // haproxy leaves the counter of a server that goes into maintenance while it is down.
      if (columns[3] === "tracking") columns[12] = "H";
      // A check may be under way at this moment: bit 1.
      columns[13] = String(Number(columns[13]) & ~1);
      return columns.join(" ");
    });
}

conformance("show", [
  behaviour({
    name: "show stat: the same columns, rows and values after the same traffic",
    servers,
    config,
    async traffic(lab) {
      await play(lab);
      return stable(await rows(lab));
    },
  }),
  behaviour({
    name: "show stat: aborts, bad PROXY headers and failed connections count alike",
    servers: { s1: () => startNamed("s1"), rude },
    config: (lab) => `${API(lab)}
frontend fe
  ${lab.bind("fe")}
  default_backend be
frontend behind
  bind 127.0.0.1:${lab.port("behind")} accept-proxy
  default_backend be
frontend rough
  ${lab.bind("rough")}
  default_backend rough
backend be
  ${lab.line("s1")}
backend rough
  ${lab.line("rude")}`,
    async traffic(lab) {
      for (let i = 0; i < 3; i++) await abort(lab.port("fe"));
      const answers = [
        await askName({ port: lab.port("behind") }, "no header at all\n"),
        await askName({ port: lab.port("behind") }, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
      ];
      await playClient("read-line; send x; read-end", { port: lab.port("rough") });
      await idle(lab);
      return { answers, rows: stable(await rows(lab)) };
    },
  }),
  behaviour({
    name: "show stat: states of servers and frontends by command",
    servers,
    config,
    async traffic(lab) {
      await until("the check to fail", async () => {
        return (await rows(lab)).get("be/down")?.["status"] === "DOWN";
      });
      const seen: unknown[] = [];
      for (const command of [
        "disable frontend fe",
        "set server be/s1 state drain",
        "disable server be/s2",
        "set server be/down state maint",
        "set weight be/s1 50%",
        "set server be/gone weight 0",
        "disable server be/spare",
        "set server be/gone state maint",
        "enable server be/s2",
        "set server be/s1 state ready",
        "enable frontend fe",
      ]) {
        await ask(lab, command);
        const all = await rows(lab);
        seen.push(
          command,
          [...all].map(([name, { status, weight, uweight, act, bck, chkdown }]) => {
            // A server that is checked again may have failed again by now.
            const isChecked = name === "be/down" || name === "be/tracking" || name === "be/fine";
            return isChecked && status !== "MAINT"
              ? name
              : [name, status, weight, uweight, act, bck, chkdown].join(" ");
          }),
        );
      }
      return seen;
    },
  }),
  behaviour({
    name: "show stat selects the same rows, or refuses with the same words",
    servers,
    config,
    async traffic(lab) {
      await until("the check to fail", async () => {
        return (await rows(lab)).get("be/down")?.["status"] === "DOWN";
      });
      const seen: Record<string, string> = {};
      for (const command of SELECTIONS) seen[command] = await shown(lab, command);
      return seen;
    },
  }),
  behaviour({
    name: "show stat typed, show info typed: the same places, names, tags and types",
    servers,
    config,
    async traffic(lab) {
      await play(lab);
      const isKnown = (head: string): boolean => {
        const place = Number(/\.(\d+)\.[a-z]/.exec(head)?.[1]);
        return place <= 102;
      };
      const stat = typedHeads((await ask(lab, "show stat typed")).trimEnd());
      return {
        // 2.6 calls the rates of backends gauges by mistake.
        stat: stat.filter((head) => isKnown(head) && !/^B.*\.rate(_max)? /.test(head)),
        info: typedHeads((await ask(lab, "show info typed")).trimEnd())
          .filter((head) => Number.parseInt(head) <= 71)
          .map((head) => head.replace("Splicded", "Spliced")),
        json: JSON.stringify((JSON.parse(await ask(lab, "show stat json")) as object[][])[0]![0]),
      };
    },
  }),
  behaviour({
    name: "clear counters: what is a maximum, what is a counter",
    servers,
    config,
    async traffic(lab) {
      await play(lab);
      await ask(lab, "clear counters");
      const maxima = [...(await rows(lab)).values()].map(({ smax, qmax, rate_max, stot }) => {
        return [smax, qmax, rate_max, stot].join(" ");
      });
      await ask(lab, "clear counters all");
      // The server that is down is checked on: its failures count again.
      await ask(lab, "disable health be/down");
      await ask(lab, "clear counters all");
      const all = await rows(lab);
      await askName({ port: lab.port("fe") });
      await idle(lab);
      return { maxima, cleared: stable(all), after: stable(await rows(lab)) };
    },
  }),
  behaviour({
    name: "show servers state: the same lines but for times",
    servers,
    config,
    async traffic(lab) {
      await until("the check to fail", async () => {
        return (await rows(lab)).get("be/down")?.["status"] === "DOWN";
      });
      const before = states(await ask(lab, "show servers state"));
      for (const command of [
        "set server be/s1 state drain",
        "disable server be/s2",
        "set server be/down state maint",
        "set weight be/s1 50%",
        "disable health be/fine",
      ]) {
        await ask(lab, command);
      }
      return {
        before,
        after: states(await ask(lab, "show servers state")),
        one: states(await ask(lab, "show servers state static")),
        byId: states(await ask(lab, "show servers state #77")),
        refused: [
          await ask(lab, "show servers state nope"),
          await ask(lab, "show servers state 77"),
          await ask(lab, "show servers conn nope"),
        ],
        conn: (await ask(lab, "show servers conn be"))
          .trimEnd()
          .split("\n")
          .slice(1)
          .map((line) => line.split(" ", 3).join(" ")),
        backends: await ask(lab, "show backend"),
      };
    },
  }),
  behaviour({
    name: "show info: every field of 2.6 is there",
    servers,
    global: "  node here\n  description some words\n  ulimit-n 4000",
    config,
    async traffic(lab) {
      await play(lab);
      return info(await ask(lab, "show info"));
    },
    compare(sluice, haproxy) {
      const names = [...haproxy.keys()].map((name) => RENAMED[name] ?? name);
      expect([...sluice.keys()].filter((name) => names.includes(name))).toEqual(names);
      for (const name of SAME_INFO) {
        expect(`${name}: ${sluice.get(name)}`).toBe(`${name}: ${haproxy.get(name)}`);
      }
    },
  }),
  behaviour({
    name: "other answers that tools read",
    servers,
    config,
    async traffic(lab) {
      const seen: Record<string, string> = {};
      for (const command of [
        "show events nope",
        "show events buf0 -x",
        "get var",
        "get var proc.none",
        "set profiling",
        "set profiling tasks",
        "set profiling tasks maybe",
        "set profiling memory on",
        "show errors nope",
      ]) {
        seen[command] = await ask(lab, command);
      }
      const schema = JSON.parse(await ask(lab, "show schema json")) as { $schema: string };
      return { seen, schema: schema.$schema };
    },
  }),
]);
