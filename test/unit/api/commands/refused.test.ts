/** Changes that cannot be made: the code, the sentence, and that nothing has changed. */
import { expect, test } from "bun:test";

import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";
import { CHANGES_CONFIG } from "../changes-config.ts";

const PATH = "BAD_ARGUMENT: Require 'backend/server'.";
const NO_SERVER = "NO_SERVER: No such server.";
const NO_BACKEND = "NO_BACKEND: No such backend.";
const MORE = (word: string): string =>
  `BAD_ARGUMENT: Too many arguments: '${word}' is not expected.`;
const CLI = "by 'stats socket command'";
const WEIGHT = "BAD_ARGUMENT: Absolute weight can only be between 0 and 256 inclusive.";
const GARBAGE = "BAD_ARGUMENT: Trailing garbage in weight string";
const STATIC =
  "NOT_DYNAMIC: Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.";
const STATE = "BAD_ARGUMENT: 'set server <srv> state' expects 'ready', 'drain' and 'maint'.";
const HEALTH = "BAD_ARGUMENT: 'set server <srv> health' expects 'up', 'stopping', or 'down'.";
const NO_CHECK = "WRONG_STATE: health checks are not enabled on this server";
const NO_AGENT = "WRONG_STATE: agent checks are not enabled on this server";
const RANGE = "BAD_ARGUMENT: Value out of range.";
const NO_FRONTEND = "NO_FRONTEND: No such frontend.";
const FRONTEND = "BAD_ARGUMENT: A frontend name is expected.";
const INTEGER = "BAD_ARGUMENT: Expects an integer value.";

/** Command, and its answer. */
const REFUSED: readonly (readonly [string, string])[] = [
  ["set server", PATH],
  ["set server b", PATH],
  ["set server b/", PATH],
  ["set server /s1", PATH],
  ["set server b/s1/x state maint", NO_SERVER],
  ["set server x/s1 state maint", NO_BACKEND],
  ["set server b/sx state maint", NO_SERVER],
  ["set server #99/s1 state maint", NO_BACKEND],
  ["set server #b/s1 state maint", NO_BACKEND],
  ["set server #1/s1 state maint", NO_BACKEND],
  ["set server b/#99 state maint", NO_SERVER],
  ["set server b/#x state maint", NO_SERVER],
  ["set server @guid:nobody state maint", NO_SERVER],
  ["set server @guid:be:1 state maint", NO_SERVER],
  ["set server @guid:srv:1/s1 state maint", NO_BACKEND],
  ["set server st/@guid:srv:1 state maint", NO_SERVER],
  ["set server off/s1 state maint", "WRONG_STATE: Proxy is disabled."],
  ["set server b/s1 state", STATE],
  ["set server b/s1 state foo", STATE],
  ["set server b/s1 state maint now", MORE("now")],
  ["set server b/s1 health", HEALTH],
  ["set server b/s1 health bad", HEALTH],
  ["set server tr/t1 health down", "WRONG_STATE: cannot change health on a tracking server."],
  ["set server b/s1 weight", "BAD_ARGUMENT: Require <weight> or <weight%>."],
  ["set server b/s1 weight 257", WEIGHT],
  ["set server b/s1 weight -1", WEIGHT],
  ["set server b/s1 weight 99999999999999999999999", WEIGHT],
  ["set server b/s1 weight NaN", "BAD_ARGUMENT: Empty weight string empty or preceded by garbage"],
  ["set server b/s1 weight 1e2", GARBAGE],
  ["set server b/s1 weight 0x10", GARBAGE],
  ["set server b/s1 weight 1.5%", GARBAGE],
  ["set server b/s1 weight -1%", "BAD_ARGUMENT: Relative weight must be positive."],
  ["set server b/s1 weight 1 2", MORE("2")],
  ["set weight st/s1 3", STATIC],
  ["set weight st/s1 50%", STATIC],
  ["set weight b/s1", "BAD_ARGUMENT: Require <weight> or <weight%>."],
  ["set weight b/s1 1 2", MORE("2")],
  ["set weight", PATH],
  [
    "set server b/s1 addr",
    "BAD_ARGUMENT: set server <b>/<s> addr requires an address and optionally a port.",
  ],
  ["set server b/s1 addr localhost", `BAD_ARGUMENT: Invalid addr 'localhost' ${CLI}`],
  ["set server b/s1 addr 127.0.0.1:80", `BAD_ARGUMENT: Invalid addr '127.0.0.1:80' ${CLI}`],
  ["set server b/s1 addr fd@3", `BAD_ARGUMENT: Invalid addr 'fd@3' ${CLI}`],
  [
    "set server b/s1 addr 127.0.0.1 port",
    `BAD_ARGUMENT: problem converting port '' to an int ${CLI}`,
  ],
  [
    "set server b/s1 addr 127.0.0.1 port abc",
    `BAD_ARGUMENT: problem converting port 'abc' to an int ${CLI}`,
  ],
  [
    "set server b/s1 addr 127.0.0.1 port 65536",
    `BAD_ARGUMENT: port '65536' is out of range ${CLI}`,
  ],
  ["set server b/s1 addr 127.0.0.1 port 1 2", MORE("2")],
  [
    "set server b/s1 addr 127.0.0.1 prt 1",
    "BAD_ARGUMENT: Unknown argument 'prt': 'port' is expected.",
  ],
  ["set server b/s1 addr /run/x port 1", `BAD_ARGUMENT: '/run/x' has no port ${CLI}`],
  ["set server u/un addr 127.0.0.1", `BAD_ARGUMENT: a port is needed beside an IP address ${CLI}`],
  [
    "set server b/s1 addr 127.0.0.1 port +5",
    "WRONG_STATE: can't change <port> to port map because it is incompatible with current health " +
      `check port configuration (use 'port' statement from the 'server' directive. ${CLI}`,
  ],
  ["set server b/s1 check-port", "BAD_ARGUMENT: set server <b>/<s> check-port requires a port."],
  ["set server b/s1 check-port abc", "BAD_ARGUMENT: provided port is not an integer"],
  ["set server b/s1 check-port -1", "BAD_ARGUMENT: provided port is invalid"],
  ["set server b/s1 check-port 65536", "BAD_ARGUMENT: provided port is invalid"],
  ["set server b/s2 check-port 80", NO_CHECK],
  ["set server b/s2 check-addr 127.0.0.1", NO_CHECK],
  ["set server b/s1 check-addr foo", "BAD_ARGUMENT: invalid addr 'foo'"],
  ["set server b/s1 check-addr 127.0.0.1 port", "BAD_ARGUMENT: provided port is not an integer"],
  [
    "set server b/s1 check-addr",
    "BAD_ARGUMENT: set server <b>/<s> check-addr requires an address and optionally a port.",
  ],
  ["set server b/s1 fqdn", "BAD_ARGUMENT: set server <b>/<s> fqdn requires a FQDN."],
  [
    "set server b/s1 fqdn x.test",
    "WRONG_STATE: set server <b>/<s> fqdn failed because no resolution is configured.",
  ],
  ["set server b/s8 fqdn a/b", "BAD_ARGUMENT: Invalid FQDN 'a/b'."],
  ["set server b/s8 fqdn -", "BAD_ARGUMENT: Invalid FQDN '-'."],
  ["set server b/s1 name", "BAD_ARGUMENT: set server <b>/<s> name requires a new name."],
  [
    "set server b/s1 name new",
    "WRONG_STATE: Server must be in maintenance mode to be renamed (set server <b>/<s> state maint).",
  ],
  ["set server b/s5 name bad/name", "BAD_ARGUMENT: Server name contains invalid characters."],
  [
    "set server b/s5 name s1",
    "EXISTS: A server with the same name already exists in this backend.",
  ],
  [`set server b/s5 name ${"x".repeat(300)}`, "BAD_ARGUMENT: Server name too long."],
  ["set server b/s1 agent up", `${NO_AGENT}.`],
  ["set server b/s1 agent", "BAD_ARGUMENT: 'set server <srv> agent' expects 'up' or 'down'."],
  ["set server b/s1 agent-addr 127.0.0.1", NO_AGENT],
  ["set server b/s1 agent-port 1", NO_AGENT],
  ["set server b/s1 agent-send x", `${NO_AGENT}.`],
  [
    "set server b/s1 ssl on",
    "NOT_YET: TLS over TCP to servers is not in this release; QUIC always has it: " +
      "set server <b>/<s> addr quic4@<address>.",
  ],
  [
    "set server b/s1 constructor x",
    "BAD_ARGUMENT: usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | check-addr | check-port | fqdn | health | name | ssl | state | weight",
  ],
  ["enable agent b/s1", "WRONG_STATE: Agent was not configured on this server, cannot enable."],
  [
    "enable health b/s2",
    "WRONG_STATE: Health check was not configured on this server, cannot enable.",
  ],
  ["enable health", PATH],
  ["disable health b/s1 x", MORE("x")],
  ["enable server", PATH],
  ["enable server b/s1 b/s2", MORE("b/s2")],
  ["disable server b", PATH],
  ["disable server b/none", NO_SERVER],
  ["set maxconn server", PATH],
  ["set maxconn server b/s1", "BAD_ARGUMENT: Require <maxconn>."],
  ["set maxconn server b/s1 abc", "BAD_ARGUMENT: maxconn string empty or preceded by garbage"],
  ["set maxconn server b/s1 10abc", "BAD_ARGUMENT: Trailing garbage in maxconn string"],
  ["set maxconn server b/s1 -1", RANGE],
  ["set maxconn server b/s1 2147483648", RANGE],
  ["set maxconn server b/s1 1 2", MORE("2")],
  ["get weight", PATH],
  ["get weight b/none", NO_SERVER],
  ["get weight b/s1 x", MORE("x")],
  ["enable frontend", FRONTEND],
  ["enable frontend f", "WRONG_STATE: All sockets are already enabled."],
  ["enable frontend none", NO_FRONTEND],
  ["enable frontend b", NO_FRONTEND],
  ["enable frontend #5", NO_FRONTEND],
  ["enable frontend fdis", "WRONG_STATE: Frontend was previously shut down, cannot enable."],
  ["disable frontend fdis", "WRONG_STATE: Frontend was previously shut down, cannot disable."],
  ["disable frontend f x", MORE("x")],
  ["shutdown frontend", FRONTEND],
  ["shutdown frontend fdis", "WRONG_STATE: Frontend was already shut down."],
  ["shutdown frontend none", NO_FRONTEND],
  ["set maxconn frontend", FRONTEND],
  ["set maxconn frontend f", "BAD_ARGUMENT: Integer value expected."],
  ["set maxconn frontend f abc", "BAD_ARGUMENT: Integer value expected."],
  ["set maxconn frontend f -1", RANGE],
  ["set maxconn frontend f 99999999999", RANGE],
  ["set maxconn frontend b 1", NO_FRONTEND],
  ["set maxconn frontend f 1 2", MORE("2")],
  ["set maxconn global", INTEGER],
  ["set maxconn global abc", INTEGER],
  ["set maxconn global 501", RANGE],
  ["set maxconn global -1", RANGE],
  ["set maxconn global 1 2", MORE("2")],
  ["set rate-limit connections global", INTEGER],
  ["set rate-limit connections global abc", INTEGER],
  ["set rate-limit sessions global -1", RANGE],
  ["set rate-limit sessions global 1 2", MORE("2")],
  [
    "set rate-limit ssl-sessions global 1",
    "NOT_HERE: 'ssl-sessions' does not apply: connections are passed on as they are.",
  ],
  ["set env", "BAD_ARGUMENT: Usage: set env <name> <value>."],
  ["set env N", "BAD_ARGUMENT: Usage: set env <name> <value>."],
  ["set env 1N x", "BAD_ARGUMENT: '1N' is no name of a variable."],
  ["set env N x y", MORE("y")],
  ["enable dynamic-cookie backend b", "NOT_HERE: Cookies do not apply to a layer-4 proxy."],
  ["set dynamic-cookie-key backend b x", "NOT_HERE: Cookies do not apply to a layer-4 proxy."],
  ["transaction", "BAD_ARGUMENT: A transaction needs commands behind '<<', one a line."],
  ["transaction x", MORE("x")],
  ["dry-run", "BAD_ARGUMENT: A command that changes something is expected."],
  ["dry-run get weight b/s1", "BAD_ARGUMENT: 'get weight' is no command that changes objects."],
  ["dry-run enable server b/none", NO_SERVER],
  ["if-version", "BAD_ARGUMENT: <object>=<version> is expected."],
  ["if-version b/s1 enable server b/s1", "BAD_ARGUMENT: 'b/s1' is not <object>=<version>."],
  ["if-version b/s1=x enable server b/s1", "BAD_ARGUMENT: 'b/s1=x' is not <object>=<version>."],
  ["if-version b/s1=2 disable server b/s1", "VERSION: b/s1 is at version 1, not at 2."],
  ["if-version b/s1=1,f=1 disable server b/s1", "VERSION: there is no f, not at 1."],
  ["if-version b/s1=0 disable server b/s1", "VERSION: b/s1 is at version 1, not at 0."],
  ["if-version b/s1=1", "BAD_ARGUMENT: A command that changes something is expected."],
];

async function expectUnchanged(lab: ControlLab, line: string, answer: string): Promise<void> {
  const before = lab.snapshot();
  expect(await lab.ask(line)).toBe(answer);
  expect(lab.snapshot()).toEqual(before);
}

test("each refusal says why and changes nothing", async () => {
  const lab = await makeControlLab(CHANGES_CONFIG);
  for (const [line, answer] of REFUSED) await expectUnchanged(lab, line, answer);
  expect(lab.told).toEqual([]);
  expect(lab.mutations.filter(({ kind }) => kind === "server.change")).toEqual([]);
});

/** Words that no command takes as a name or value. */
const NONSENSE = [
  "",
  "\0",
  "\u{fffd}",
  "NaN",
  "Infinity",
  "-0.5",
  "x".repeat(20_000),
  "${x}",
  "%s%n",
  "../..",
  "__proto__",
  "b/__proto__",
];

test("nonsense in any place is refused and changes nothing", async () => {
  const lab = await makeControlLab(CHANGES_CONFIG);
  const heads = [
    "set server",
    "set server b/s1",
    "set server b/s1 state",
    "set server b/s1 health",
    "set server b/s1 weight",
    "set server b/s1 addr",
    "set server b/s1 addr 127.0.0.9 port",
    "set server b/s1 check-port",
    "set server b/s1 check-addr",
    "set server b/s8 fqdn",
    "set weight b/s1",
    "set maxconn server b/s1",
    "set maxconn frontend f",
    "set maxconn frontend",
    "set maxconn global",
    "set rate-limit connections global",
    "set rate-limit",
    "enable server",
    "disable frontend",
    "shutdown frontend",
    "enable health",
    "if-version",
    "dry-run",
    "set env",
  ];
  for (const head of heads) {
    const before = lab.snapshot();
    for (const word of NONSENSE) {
      const { code } = await lab.run(`${head} "${word}"`);
      expect(`${head} ${word.slice(0, 9)} ${code}`).not.toEndWith(" OK");
      expect(`${head} ${word.slice(0, 9)} ${code}`).not.toEndWith(" INTERNAL");
    }
    expect(lab.snapshot()).toEqual(before);
  }
});

test("a refusal within a state that a command has made", async () => {
  const lab = await makeControlLab(CHANGES_CONFIG);
  const cases = [
    ["disable frontend f", "All sockets are already disabled."],
    ["shutdown frontend f", "Frontend was already shut down."],
  ] as const;
  for (const [line, sentence] of cases) {
    expect(await lab.ask(line)).toBe("");
    await expectUnchanged(lab, line, `WRONG_STATE: ${sentence}`);
  }
  await expectUnchanged(
    lab,
    "enable frontend f",
    "WRONG_STATE: Frontend was previously shut down, cannot enable.",
  );
});

test("a server that rules or other servers name keeps its name", async () => {
  const lab = await makeControlLab(CHANGES_CONFIG);
  const why = "server's name is statically referenced (use-server, track, or sample argument)";
  for (const name of ["s1", "s2"]) {
    expect(await lab.ask(`disable server b/${name}`)).toBe("");
    await expectUnchanged(
      lab,
      `set server b/${name} name new`,
      `CONFIGURED: Cannot rename: ${why}.`,
    );
  }
});

test("what a server made at run time cannot track", async () => {
  const lab = await makeControlLab(CHANGES_CONFIG);
  expect(await lab.ask("add server b/own 127.0.0.1:1 track s1")).toBe("New server registered.");
  const cases: [string, string][] = [
    ["x/s1", "NO_BACKEND: unable to find required proxy 'x' for tracking."],
    ["b/x", "NO_SERVER: unable to find required server 'x' for tracking."],
    ["own", "NOT_DYNAMIC: unable to use b/own for tracking as it is a dynamic server."],
    [
      "b/s2",
      "WRONG_STATE: unable to use b/s2 for tracking as it does not have any check nor agent enabled.",
    ],
  ];
  for (const [track, answer] of cases) {
    await expectUnchanged(lab, `add server b/new 127.0.0.1:1 track ${track}`, answer);
  }
});

test("a server that an ACL names stays, though no rule uses the ACL", async () => {
  const lab = await makeControlLab(`${CHANGES_CONFIG}  acl busy srv_sess_rate(tr/t3) gt 50\n`);
  await lab.ask("disable server tr/t3");
  const text = "the expression srv_sess_rate(tr/t3) of off";
  expect(await lab.ask("del server tr/t3")).toContain(`Held by: ${text}.`);
});
