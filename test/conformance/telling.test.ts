/** What is told of checks that pass and fail on each layer: columns, state lines, the log. */
import { startPeer } from "../support/peers.ts";
import type { Peer } from "../support/peers.ts";
import { until } from "../support/procs.ts";
import { stateOf, statOf } from "../support/server-stat.ts";
import { behaviour, conformance, type Lab } from "./harness.ts";

/** Answers the first bytes of each connection, and closes. */
function startAnswering(text: string): Peer {
  return startPeer({ data: (socket) => void (socket.write(text), socket.end()) });
}

/** Says something at once, and stays. */
const startSaying = (text: string): Peer =>
  startPeer({ open: (socket) => void socket.write(text) });

const http = (status: string): string =>
  `HTTP/1.1 ${status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok`;

const servers = {
  silent: () => startPeer(),
  garbage: () => startSaying("garbage\r\n"),
  ok: () => startAnswering(http("200 OK")),
  gone: () => startAnswering(http("404 Not Found")),
  broken: () => startAnswering(http("503 Service Unavailable")),
  nonsense: () => startAnswering("nonsense\r\n\r\n"),
};

const STAT = [
  "status",
  "weight",
  "chkfail",
  "chkdown",
  "check_status",
  "check_code",
  "last_chk",
  "check_desc",
  "check_rise",
  "check_fall",
  "check_health",
  "agent_status",
  "hanafail",
];
const STATE = [
  "srv_op_state",
  "srv_admin_state",
  "srv_check_status",
  "srv_check_health",
  "srv_agent_state",
];

/** By backend: its options, and its servers with the words behind their address. */
type Farm = Record<string, { options: string; servers: Record<string, string> }>;

const CHECK = "check inter 500ms fall 2 rise 2";

/** Where the time is up in the end. Everywhere else it never is, however busy the machine. */
const SHORT = "timeout check 500ms";

const FARM: Farm = {
  l4: { options: "", servers: { ok: CHECK, closed: CHECK, silent: "", tracked: "track closed" } },
  // A handshake has the time of the interval.
  l6: {
    options: "",
    servers: { garbage: `${CHECK} inter 8s fastinter 500ms check-ssl verify none` },
  },
  l6late: { options: SHORT, servers: { silent: `${CHECK} check-ssl verify none` } },
  l7: {
    options: "option httpchk GET /\n  http-check disable-on-404",
    servers: { ok: CHECK, gone: CHECK, broken: CHECK, nonsense: CHECK },
  },
  l7late: { options: `${SHORT}\n  option httpchk GET /`, servers: { silent: CHECK } },
  tcp: {
    options: `${SHORT}\n  option tcp-check
  tcp-check expect string nope comment "my step"`,
    servers: { garbage: CHECK, silent: CHECK },
  },
  bad: {
    options: `option external-check\n  external-check path "/usr/bin:/bin"
  external-check command /bin/false`,
    servers: { ok: CHECK },
  },
  good: {
    options: `option external-check\n  external-check path "/usr/bin:/bin"
  external-check command /bin/true`,
    servers: { ok: CHECK },
  },
};

const portOf = (lab: Lab, name: string): number =>
  name in servers ? lab.server(name).port : lab.port(name);

function config(lab: Lab, option: string): string {
  const backends = Object.entries(FARM).map(([name, { options, servers: all }]) => {
    const lines = Object.entries(all).map(
      ([server, words]) => `  server ${server} 127.0.0.1:${portOf(lab, server)} ${words}`,
    );
    return `backend ${name}\n  ${option}\n  ${options}\n${lines.join("\n")}`;
  });
  return `global
  stats socket 127.0.0.1:${lab.port("api")} level admin
  external-check
  insecure-fork-wanted
defaults
  mode tcp
  log 127.0.0.1:${lab.syslog.port} local0
  timeout connect 20s
  timeout client 60s
  timeout server 60s
  timeout check 20s
listen fe
  ${lab.bind("fe")}
  server s 127.0.0.1:1
${backends.join("\n")}`;
}

/** Is it as it will stay? Its counter is at an end, and nothing of it is initial. */
async function isSettled(lab: Lab, backend: string, server: string): Promise<boolean> {
  const row = await statOf(lab.port("api"), backend, server, ["check_status", "check_health"]);
  const { check_status: status = "", check_health: health } = row;
  return status === "" || (/L|PROC/.test(status) && (health === "0" || health === "3"));
}

async function story(lab: Lab): Promise<unknown> {
  const seen: Record<string, unknown> = {};
  for (const [backend, { servers: all }] of Object.entries(FARM)) {
    for (const server of Object.keys(all)) {
      await until(`${backend}/${server} to settle`, () => isSettled(lab, backend, server));
      let row: Record<string, string> = {};
      // While a check runs, HAProxy has no text of the last one.
      await until("a pause between two checks", async () => {
        row = await statOf(lab.port("api"), backend, server, STAT);
        return row["check_status"]?.startsWith("* ") === false;
      });
      seen[`${backend}/${server}`] = [row, await stateOf(lab.port("api"), backend, server, STATE)];
    }
  }
  // Lines of servers that go one after the other; how many are left depends on the order.
  const lines = lab.syslog.lines.map((line) =>
    line
      .replace(/^(<\d+>).*?\[\d+\]: /, "$1 ")
      .replace(/duration: \d+ms/, "duration: N")
      .replace(/\d+ active and/, "N active and"),
  );
  return { seen, lines: [...new Set(lines)].toSorted() };
}

conformance("what is told of checks", [
  behaviour({
    name: "each with option log-health-checks",
    servers,
    config: (lab) => config(lab, "option log-health-checks"),
    traffic: story,
  }),
  behaviour({ name: "and without", servers, config: (lab) => config(lab, ""), traffic: story }),
]);
