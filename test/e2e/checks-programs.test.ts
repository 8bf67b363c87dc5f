/**
 * Programs as checks, agents, and servers that misbehave, beside haproxy: what programs' ends and
 * agents' words do, and that nothing of a program that was late stays.
 */
import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";

import { playCases, readStats } from "../support/check-cases.ts";
import { CHECK_SCRIPTS } from "../support/check-scripts.ts";
import { findBalancer, startBalancer } from "../support/haproxy.ts";
import { startPeer, startSource } from "../support/peers.ts";
import { freePort } from "../support/ports.ts";
import {
  processTree,
  residentBytes,
  residentBytesMax,
  temporaryFolder,
  until,
} from "../support/procs.ts";
import { startRedis } from "../support/real-servers.ts";
import { beside, BothBalancers } from "./checks-beside.ts";
import { e2e } from "./sluice.ts";

const FORKS = "  external-check\n  insecure-fork-wanted";

beside("external-check: a client of Redis", ["redis-server", "redis-cli"], async () => {
  await using server = await startRedis();
  using folder = temporaryFolder();
  const script = folder.file("ask");
  writeFileSync(script, `#!/bin/sh\ntest "$(redis-cli -h "$3" -p "$4" ping)" = PONG\n`);
  chmodSync(script, 0o755);
  await using both = await BothBalancers.start(
    "external-check",
    `backend program
  option external-check
  external-check command ${script}
  external-check path ${process.env["PATH"]}
  server s 127.0.0.1:${server.port} check inter 300ms
`,
    FORKS,
  );
  await both.sees("up", { program: "UP PROCOK/0" });
  server.freeze();
  await both.sees("frozen", { program: "DOWN PROCTOUT/0" });
  server.thaw();
  await both.sees("thawed", { program: "UP PROCOK/0" });
  await server.stop();
  await both.sees("stopped", { program: "DOWN PROCERR/1" });
  await server.start();
  await both.sees("restarted", { program: "UP PROCOK/0" });
});

beside("external-check: ends of a program", [], async () => {
  using folder = temporaryFolder();
  chmodSync(folder.path, 0o777);
  const script = folder.file("script");
  const say = (text: string): void => {
    writeFileSync(`${script}.new`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    // In one step: a check may begin at any time.
    Bun.spawnSync(["mv", `${script}.new`, script]);
  };
  say("exit 0");
  await using both = await BothBalancers.start(
    "external-check",
    `listen program
  bind 127.0.0.1:${freePort()}
  option external-check
  external-check command ${script}
  external-check path /usr/bin:/bin
  server s 127.0.0.1:81 check maxconn 7
`,
    process.getuid?.() === 0 ? `${FORKS}\n  user nobody` : FORKS,
  );
  await both.sees("exit 0", { program: "UP PROCOK/0" });
  say("exit 7");
  await both.sees("exit 7", { program: "DOWN PROCERR/7" });
  say(`echo "$* $HAPROXY_SERVER_NAME $HAPROXY_SERVER_MAXCONN" > ${folder.path}/said.$PPID`);
  await both.sees("exit 0 again", { program: "UP PROCOK/0" });
  const said = folder.file(`said.${both.sluicePid}`);
  await until("sluice's program to have said something", () => existsSync(said));
  expect(readFileSync(said, "utf8")).toMatch(/^127\.0\.0\.1 \d+ 127\.0\.0\.1 81 s 7\n$/);
  rmSync(script);
  await both.sees("no such program", { program: "DOWN PROCERR/255" });
  say("exit 0");
  await both.sees("the program is back", { program: "UP PROCOK/0" });
});

beside("external-check: of a program that is late nothing stays", [], async () => {
  using folder = temporaryFolder();
  chmodSync(folder.path, 0o777);
  const script = folder.file("script");
  const pids = folder.file("pids");
  const text = `#!/bin/sh
trap "" TERM
(trap "" TERM; exec sleep 1000) &
echo $$ $! >> ${pids}
wait
`;
  writeFileSync(script, text, { mode: 0o755 });
  await using both = await BothBalancers.start(
    "external-check",
    `backend program
  option external-check
  external-check command ${script}
  external-check path /usr/bin:/bin
  server s 127.0.0.1:81 check
`,
    FORKS,
  );
  try {
    await both.sees("never ends", { program: "DOWN PROCTOUT/0" });
    const ofSluice = (): number[] => processTree(both.sluicePid).slice(1);
    const mine = (): number[] =>
      started(pids).filter((pid) => ofSluice().includes(pid) || isOrphan(pid, both.sluicePid));
    // At most the one that is under way, and its child.
    await until("what was late to be gone", () => mine().length <= 2);
    expect(ofSluice().filter(isZombie)).toEqual([]);
  } finally {
    await both[Symbol.asyncDispose]();
    for (const pid of started(pids)) if (isAlive(pid)) process.kill(pid, "SIGKILL");
  }
});

function started(path: string): number[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8").trim().split(/\s+/).map(Number);
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "State:\tX";
  }
}

const isZombie = (pid: number): boolean => /^State:\s+Z/m.test(statusOf(pid));
const isAlive = (pid: number): boolean => !/^State:\s+[XZ]/m.test(statusOf(pid));

/** Has it lived in a session of its own, as sluice's programs do, and lost its parent? */
function isOrphan(pid: number, parent: number): boolean {
  const isOurs = Number(/^NSsid:\s+(\d+)/m.exec(statusOf(pid))?.[1]) !== sessionOf(parent);
  return isAlive(pid) && isOurs;
}

function sessionOf(pid: number): number {
  return Number(/^NSsid:\s+(\d+)/m.exec(statusOf(pid))?.[1]);
}

/** What an agent says, what both make of it, and the weight that the server then has. */
const AGENT_WORDS: [line: string, words: string][] = [
  ["up 100%", "UP L7OK/0"],
  ["50%", "UP CHECKED"],
  ["drain", "DRAIN (agent) CHECKED"],
  ["ready", "UP CHECKED"],
  ["down #planned", "DOWN (agent) L7STS/0"],
  ["up", "UP L7OK/0"],
  ["maint", "MAINT CHECKED"],
  ["ready up maxconn:9", "UP L7OK/0"],
  ["stopped", "DOWN (agent) L7STS/0"],
  ["fail#disk", "DOWN (agent) CHECKED"],
  ["up ready", "UP L7OK/0"],
  ["nonsense", "UP CHECKED"],
];

beside("agent-check: an agent's words, one after the other", [], async () => {
  let line: string | undefined = "up";
  const agent = startPeer({
    open: (socket) => void (line === undefined ? 0 : socket.write(`${line}\n`)),
  });
  await using server = startPeer();
  await using both = await BothBalancers.start(
    "agent-check",
    `backend agent
  server s 127.0.0.1:${server.port} check agent-check agent-inter 100ms agent-port ${agent.port}
`,
  );
  for (const [said, words] of AGENT_WORDS) {
    line = said;
    await both.sees(`says '${said}'`, { agent: words }, "agent");
  }
  // An agent that cannot be asked changes nothing.
  line = undefined;
  await both.sees("says nothing", { agent: "UP L7TOUT" }, "agent");
  agent.kill();
  await both.sees("stopped", { agent: "UP L4CON" }, "agent");
});

describe("servers that answer badly, over sockets", () => {
  // One of each kind of misbehaviour: all of them are played in memory.
  const names =
    /: (good|half of it|half of it, then closed|closed when asked|garbage|40,000 bytes|nothing)$/;
  const cases = CHECK_SCRIPTS.filter(({ name }) => names.test(name));
  test.skipIf(findBalancer("sluice") === undefined)("verdicts as recorded of haproxy", async () => {
    const { default: recorded } = await import("../support/check-verdicts.json");
    const verdicts = await playCases("sluice", cases);
    const wanted: Record<string, unknown> = recorded;
    const found = Object.fromEntries(cases.map(({ name }, i) => [name, verdicts[i]?.status]));
    const statuses = cases.map(({ name }) => [name, (wanted[name] as { status: string }).status]);
    // mysql's login waits for the greeting: see test/unit/check/protocols.
    const ours = {
      "mysql user: closed when asked": "L7RSP",
      "mysql pre-41: closed when asked": "L7RSP",
    };
    expect(found).toEqual({ ...Object.fromEntries(statuses), ...ours });
  });
});

/** What a check is that is answered without end, by the lines that ask for it. */
const FLOODED: [option: string, status: string][] = [
  ["option redis-check", "L7STS"],
  ["option pgsql-check user u", "L7STS"],
  ["option mysql-check user u", "L7RSP"],
  ["option smtpchk", "L7RSP"],
  ["option ldap-check", "L7RSP"],
  ["option ssl-hello-chk", "L6RSP"],
  ["option spop-check", "L7RSP"],
];
const SERVERS_FLOODED = 6;
/** Answers are kept up to 16 kB each; the rest is what the runtime takes at its ease. */
const GROWTH_BYTES_MAX = 96 * 1024 * 1024;

e2e("servers that never stop talking are judged, in bounded memory", async () => {
  await using source = startSource();
  using folder = temporaryFolder();
  const socket = folder.file("api");
  const lines = Array.from(
    { length: SERVERS_FLOODED },
    (_, i) => `  server s${i} 127.0.0.1:${source.port} check agent-check agent-port ${source.port}`,
  );
  const backends = FLOODED.map(
    ([option], i) => `backend b${i}\n  ${option}\n${lines.join("\n")}\n`,
  );
  const config = `global
  stats socket ${socket} level admin
  max-spread-checks 200ms
defaults
  mode tcp
  timeout connect 500ms
  timeout check 500ms
  timeout client 5s
  timeout server 5s
  default-server inter 200ms agent-inter 200ms
${backends.join("")}`;
  await using sluice = await startBalancer("sluice", { config, ports: [] });
  await until("sluice to answer", () => readStats(socket).catch(() => undefined));
  const before = residentBytes(sluice.pid);
  // Each in its time: they all take from one loopback and two processors.
  const seen = new Set<string>();
  const wanted = FLOODED.length * SERVERS_FLOODED * 2;
  await until(
    "a verdict on every server",
    async () => {
      const stats = await readStats(socket);
      for (const [i, [, status]] of FLOODED.entries()) {
        for (const [at] of lines.entries()) {
          const fields = stats.get(`b${i}/s${at}`);
          if (fields?.["check_status"] === status) seen.add(`b${i}/s${at}`);
          if (fields?.["agent_status"] === "L7TOUT") seen.add(`b${i}/s${at} agent`);
        }
      }
      return seen.size === wanted;
    },
    60_000,
  );
  // The peak, and again after more rounds of them.
  await until("many more checks", () => source.accepted > 500, 60_000);
  expect(residentBytesMax(sluice.pid) - before).toBeLessThan(GROWTH_BYTES_MAX);
});
