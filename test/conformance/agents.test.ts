/** Agents beside checks: states, columns, lines of the log and commands, as haproxy has them. */
import { askApiPort } from "../support/api.ts";
import { startNamed, startPeer } from "../support/peers.ts";
import type { Peer } from "../support/peers.ts";
import { until } from "../support/procs.ts";
import { stateOf, statOf } from "../support/server-stat.ts";
import { behaviour, conformance, type Lab } from "./harness.ts";

/** An agent that says what it is told to say. */
interface Agent extends Peer {
  says: string;
}

function startAgent(): Agent {
  const agent: Agent = Object.assign(
    startPeer({ open: (socket) => void (socket.write(agent.says), socket.end()) }),
    { says: "up\n" },
  );
  return agent;
}

const servers = { s1: () => startNamed("s1"), agent: () => startAgent() };
const TIMES = "inter 100ms agent-inter 100ms rise 2 fall 2";

const STAT = [
  "status",
  "weight",
  "chkdown",
  "check_status",
  "last_chk",
  "check_health",
  "agent_status",
  "agent_code",
  "last_agt",
  "agent_desc",
  "agent_rise",
  "agent_fall",
  "agent_health",
];
const STATE = [
  "srv_op_state",
  "srv_admin_state",
  "srv_uweight",
  "srv_check_status",
  "srv_check_health",
  "srv_check_state",
  "srv_agent_state",
];

function config(lab: Lab, words = "check agent-check"): string {
  const agent = `agent-port ${lab.server("agent").port}`;
  return `global
  stats socket 127.0.0.1:${lab.port("api")} level admin
defaults
  mode tcp
  log 127.0.0.1:${lab.syslog.port} local0
  timeout connect 20s
  timeout client 60s
  timeout server 60s
  timeout check 20s
listen fe
  ${lab.bind("fe")}
  ${lab.line("s1")} ${TIMES} ${words} ${agent} weight 100
  server t1 127.0.0.1:1 track s1
  server other 127.0.0.1:${lab.port("closed")}
backend logged
  option log-health-checks
  ${lab.line("s1")} ${TIMES} check agent-check ${agent} weight 100
  server other 127.0.0.1:${lab.port("closed")}`;
}

/** A running check begins with `* `, and has no result yet. */
function settled(row: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(row).map(([name, cell]) => {
      if (name.endsWith("_check_state") || name.endsWith("_agent_state")) {
        return [name, `${Number(cell) & ~1}`];
      }
      return [name, cell.replace(/^\* /, "")];
    }),
  );
}

/** What is said of the server and of the one that tracks it. */
async function look(lab: Lab): Promise<unknown> {
  const port = lab.port("api");
  return {
    stat: settled(await statOf(port, "fe", "s1", STAT)),
    tracker: await statOf(port, "fe", "t1", ["status", "agent_status", "tracked"]),
    state: settled(await stateOf(port, "fe", "s1", STATE)),
  };
}

/** Waits until both proxies' agents have been heard with what they say now. */
async function heard(lab: Lab, column: string, value: string): Promise<void> {
  for (const proxy of ["fe", "logged"]) {
    await until(`${column} of ${proxy} to be ${value}`, async () => {
      const cells = await statOf(lab.port("api"), proxy, "s1", [column]);
      return (cells[column] ?? "").replace(/^\* /, "") === value;
    });
  }
}

const sayAs = (lab: Lab, text: string): void => void ((lab.server("agent") as Agent).says = text);

/** Lines about the servers, durations masked; those of the two proxies come in any order. */
function lines(lab: Lab): Record<string, string[]> {
  const all = lab.syslog.lines.map((line) =>
    line.replace(/^(<\d+>).*?\[\d+\]: /, "$1 ").replace(/duration: \d+ms/, "duration: N"),
  );
  const about = (pattern: RegExp): string[] => all.filter((line) => pattern.test(line));
  return { plain: about(/ fe\//), logged: about(/ logged\//) };
}

conformance("agents", [
  behaviour({
    name: "up, down, weights, limits, drain and maintenance, and what is said of each",
    servers,
    config,
    async traffic(lab) {
      const seen: unknown[] = [];
      const story: [says: string, column: string, value: string][] = [
        ["up\n", "agent_status", "L7OK"],
        ["down #out for lunch\n", "last_agt", "via agent : down (out for lunch)"],
        ["up 75%\n", "weight", "75"],
        ["drain\n", "status", "DRAIN (agent)"],
        ["ready\n", "status", "UP"],
        ["maint\n", "status", "MAINT"],
        ["ready up\n", "status", "UP"],
        ["0%\n", "weight", "0"],
        ["up 100%\n", "weight", "100"],
        ["fail\n", "status", "DOWN (agent)"],
        ["stopped\n", "last_agt", "via agent : stopped"],
        ["up\n", "status", "UP"],
        ["nonsense\n", "agent_status", "CHECKED"],
      ];
      await heard(lab, "check_health", "3");
      for (const [says, column, value] of story) {
        sayAs(lab, says);
        await heard(lab, column, value);
        // The other proxy's server may lag behind by a check or two after maintenance.
        if (value !== "MAINT") await heard(lab, "check_health", "3");
        seen.push([says, await look(lab)]);
      }
      return { seen, lines: lines(lab) };
    },
  }),
  behaviour({
    name: "an agent alone: a server without a check goes down and comes back",
    servers,
    config: (lab) => config(lab, "agent-check"),
    async traffic(lab) {
      await heard(lab, "agent_status", "L7OK");
      const seen = [await look(lab)];
      sayAs(lab, "down\n");
      await heard(lab, "agent_health", "0");
      seen.push(await look(lab));
      sayAs(lab, "up\n");
      await heard(lab, "agent_health", "1");
      seen.push(await look(lab));
      return { seen, lines: lines(lab)["plain"] };
    },
  }),
  behaviour({
    name: "enable and disable agent, set server agent",
    servers,
    config,
    async traffic(lab) {
      const ask = (line: string): Promise<string> => askApiPort(lab.port("api"), line);
      const answers: string[] = [];
      const seen: unknown[] = [];
      await heard(lab, "agent_status", "L7OK");
      await heard(lab, "check_health", "3");
      sayAs(lab, "down\n");
      await heard(lab, "agent_health", "0");
      answers.push(await ask("disable agent fe/s1"));
      // Its check is asked alone from now on.
      await until("the server to be up", async () => {
        return (await statOf(lab.port("api"), "fe", "s1", ["status"]))["status"] === "UP";
      });
      seen.push(await look(lab));
      for (const line of [
        "set server fe/s1 agent up",
        "enable agent fe/other",
        "disable agent fe/other",
        "set server fe/other agent up",
        "set server fe/other agent-addr 127.0.0.1",
        "set server fe/other agent-port 1",
        "set server fe/other agent-send x",
        "set server fe/s1 agent-addr",
        "set server fe/s1 agent-addr 127.0.0.1 port x",
        "set server fe/s1 agent-port x",
        "set server fe/s1 agent-port 99999",
        "set server fe/s1 agent-send hello",
        "enable agent fe/nobody",
      ]) {
        answers.push(`${line}: ${await ask(line)}`);
      }
      // Asked again while it says down, haproxy leaves the server up, and sluice takes it down.
      sayAs(lab, "up\n");
      answers.push(await ask("enable agent fe/s1"));
      await heard(lab, "agent_health", "1");
      seen.push(await look(lab));
      return { answers, seen, lines: lines(lab)["plain"] };
    },
  }),
  behaviour({
    name: "set server agent: taken for its word until it speaks again",
    servers,
    config,
    async traffic(lab) {
      const ask = (line: string): Promise<string> => askApiPort(lab.port("api"), line);
      await heard(lab, "agent_status", "L7OK");
      await heard(lab, "check_health", "3");
      // It goes on being asked, and says nothing about health.
      sayAs(lab, "ready\n");
      await heard(lab, "agent_status", "CHECKED");
      const seen: unknown[] = [];
      await ask("set server fe/s1 agent down");
      await until("the server to be down", async () => {
        return (await statOf(lab.port("api"), "fe", "s1", ["status"]))["status"] === "DOWN (agent)";
      });
      seen.push(settled(await statOf(lab.port("api"), "fe", "s1", STAT)));
      await ask("set server fe/s1 agent up");
      await until("the server to be up", async () => {
        return (await statOf(lab.port("api"), "fe", "s1", ["status"]))["status"] === "UP";
      });
      return { seen, lines: lines(lab)["plain"] };
    },
  }),
]);
