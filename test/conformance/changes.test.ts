/** Commands that change servers and frontends: the same answers and the same states as haproxy. */
import { expect } from "bun:test";

import { askApiPort } from "../support/api.ts";
import { startNamed } from "../support/peers.ts";
import { behaviour, conformance } from "./harness.ts";
import type { Lab } from "./harness.ts";

/**
 * Addresses where nobody needs to answer: states change on request alone. The one server that is
 * checked is checked first, and passes.
 */
const config = (lab: Lab): string => `global
  maxconn 500
  stats socket 127.0.0.1:${lab.port("api")} level admin
frontend f
  ${lab.bind("f")}
  maxconn 100
  default_backend b
listen l
  ${lab.bind("l")}
  server l1 127.0.0.1:19900
frontend fdis
  disabled
  bind 127.0.0.1:19899
  default_backend b
backend c
  ${lab.line("c1")} check inter 60s
backend b
  balance roundrobin
  server s1 127.0.0.1:19901 check inter 60s
  server s2 127.0.0.1:19902 weight 10
  server s3 127.0.0.1:19903 backup
  server s4 127.0.0.1:+3
  server s5 127.0.0.1:19905 disabled
  server s6 127.0.0.1
  server s7 127.0.0.1:19905 check inter 60s port 19904
backend st
  balance static-rr
  server s1 127.0.0.1:19901 weight 5
  server s2 127.0.0.1:19902 weight 5
backend src
  balance source
  server s1 127.0.0.1:19901 weight 5
backend tr
  server t1 127.0.0.1:19901 track b/s1
  server t2 127.0.0.1:19901 track t1
backend u
  server v6 [::1]:19901
`;

/** Commands whose answers are the same, letter by letter. */
const SAME = `
disable health b/s1
disable health b/s7
set server b/s1 state maint
set server b/s1 state maint
set server b/s1 state ready
set server b/s1 state drain
set server b/s1 state ready
set server b/s2 state maint
set server b/s2 state drain
set server b/s2 state foo
set server b/s2 state
set server b
set server
set server x/s1 state maint
set server b/sx state maint
set server b/ state maint
set server /s1 state maint
set server b/s1/x state ready
set server #99/s1 state ready
set server #b/s1 state ready
set server b/#99 state ready
set server b/#2 state maint
set server b/#2 state ready
disable server b/s1
disable server b/s1
set server tr/t1 state maint
enable server b/s1
set server tr/t1 state ready
disable server
disable server b
disable server b/zz
disable server q/zz
enable server b/s5
disable server b/s3
set server b/s1 health down
set server b/s1 health up
set server b/s1 health stopping
set server b/s1 health foo
set server b/s1 health
set server b/s2 health down
set server tr/t1 health down
enable health b/s2
enable health b
enable health b/zz
disable health b/s2
disable health b/zz
enable agent b/s1
set server b/s1 agent up
set server b/s1 agent-send x
set server b/s1 fqdn foo.local
set server b/s1 fqdn
get weight b/s2
get weight b/zz
get weight b
get weight
set weight b/s2 20
get weight b/s2
set weight b/s2 50%
get weight b/s2
set weight b/s2 0%
set weight b/s2 10000000%
get weight b/s2
set weight b/s2 257
set weight b/s2 -1
set weight b/s2 -1%
set weight b/s2 1.5
set weight b/s2 1.5%
set weight b/s2 0x10
set weight b/s2 abc
set weight b/s2 %
set weight b/s2
set weight b/s2 99999999999999999999
set server b/s2 weight 30
set server b/s2 weight
set server b/s2 weight 300
set weight st/s1 3
set weight st/s1 0
get weight st/s1
set weight st/s1 100%
set weight st/s1 5
set weight st/s1 50%
set weight st/s1 10%
set weight src/s1 3
set weight tr/t1 7
set weight b/s1 0
set maxconn server b/s1 10
set maxconn server b/s1 0
set maxconn server b/s1 abc
set maxconn server b/s1 10abc
set maxconn server b/s1
set maxconn server b/zz 1
set maxconn server
set server b/s1 addr 127.0.0.2
set server b/s1 addr 127.0.0.2
set server b/s1 addr 127.0.0.1 port 19902
set server b/s1 addr 127.0.0.1 port 19901
set server b/s1 addr 127.0.0.1 port 19901
set server b/s1 addr 127.0.0.1:19902
set server b/s1 addr
set server b/s1 addr localhost
set server b/s1 addr ::1
set server u/v6 addr ::2
set server u/v6 addr ::1 port 19902
set server u/v6 addr 127.0.0.1
set server b/s4 addr 127.0.0.1
set server b/s4 addr 127.0.0.1 port +7
set server b/s6 addr 127.0.0.1
set server b/s6 addr 127.0.0.1 port 80
set server b/s7 addr 127.0.0.1 port +1
set server c/c1 check-port 19902
set server c/c1 check-port 65536
set server c/c1 check-port -1
set server c/c1 check-port abc
set server c/c1 check-port
set server b/s2 check-port 80
set server c/c1 check-addr 127.0.0.2
set server c/c1 check-addr 127.0.0.2 port 19903
set server c/c1 check-addr foo
set server c/c1 check-addr
set server b/s2 check-addr 127.0.0.2
set maxconn frontend f 50
set maxconn frontend f -1
set maxconn frontend f
set maxconn frontend
set maxconn frontend zz 1
set maxconn frontend b 1
set maxconn global 100
set maxconn global 501
set maxconn global 0
set maxconn global
set rate-limit connections global 10
set rate-limit connections global 0
set rate-limit connections global -1
set rate-limit connections global
set rate-limit connections
set rate-limit sessions global 10
set rate-limit foo global 10
disable frontend f
disable frontend f
enable frontend f
enable frontend f
disable frontend zz
disable frontend
disable frontend b
disable frontend l
enable frontend l
disable frontend fdis
enable frontend fdis
shutdown frontend fdis
shutdown frontend zz
shutdown frontend
shutdown frontend f
shutdown frontend f
enable frontend f
disable frontend f
`;

/** Commands that both refuse, each with its words. */
const REFUSED = `
set server b/s2
set server b/s2 foo
set server b/s1 ssl on
set server b/s1 agent-addr 1.2.3.4
set server b/s1 addr 127.0.0.1 port abc
set server b/s1 addr 127.0.0.1 port
set server b/s1 addr 127.0.0.1 port +5
set server c/c1 check-addr 127.0.0.2 port abc
set maxconn frontend zz abc
set dynamic-cookie-key backend b
disable foo
set foo
`;

/** Commands that haproxy takes, and sluice refuses: words that it would ignore or cut. */
const STRICTER = `
set server b/s2 state maint extra
disable server b/s1 extra
get weight b/s2 extra
set weight b/s2 12 extra
set maxconn server b/s1 -1
set maxconn server b/s1 99999999999
set maxconn frontend l abc
set maxconn frontend l 12abc
set maxconn global -1
set maxconn global abc
set rate-limit connections global abc
set server b/s2 addr 127.0.0.1 foo
set server b/s1 addr 127.0.0.1 port 12abc
`;

const linesOf = (text: string): string[] => text.split("\n").filter((line) => line !== "");

/** Columns of `show servers state` that commands change. */
const COLUMNS = [
  "be_name",
  "srv_name",
  "srv_addr",
  "srv_op_state",
  "srv_admin_state",
  "srv_uweight",
  "srv_iweight",
  "srv_port",
  "srv_check_port",
  "srv_check_addr",
];

async function statesOf(lab: Lab): Promise<string[]> {
  const [, header = "", ...rows] = (await ask(lab, "show servers state")).split("\n");
  const names = header.split(" ").slice(1);
  return rows
    .filter((row) => row !== "")
    .map((row) => {
      const values = row.split(" ");
      const shown = COLUMNS.map((name) => values[names.indexOf(name)]).join(" ");
      return shown.replace(` ${lab.peer("c1").port} `, " PORT ");
    });
}

const ask = (lab: Lab, line: string): Promise<string> => askApiPort(lab.port("api"), line);

/** States are compared after each so many commands. */
const STATES_EVERY = 6;

conformance("changes over the runtime API", [
  behaviour({
    name: "the same answers, and the same states of servers after them",
    config,
    servers: { c1: () => startNamed("c1") },
    async traffic(lab) {
      const seen: unknown[] = [];
      for (const [index, line] of linesOf(SAME).entries()) {
        // haproxy ends some sentences with a newline and some without.
        seen.push({ line, answer: (await ask(lab, line)).trim() });
        if (index % STATES_EVERY === 0) seen.push({ line, states: await statesOf(lab) });
      }
      seen.push(await statesOf(lab));
      return seen;
    },
  }),
  behaviour({
    name: "the same refusals, in words of its own where haproxy's name another option",
    config,
    servers: { c1: () => startNamed("c1") },
    async traffic(lab) {
      const before = await statesOf(lab);
      const refused: unknown[] = [];
      for (const line of linesOf(REFUSED)) {
        refused.push({ line, isRefused: (await ask(lab, line)).trim() !== "" });
      }
      expect(await statesOf(lab)).toEqual(before);
      return refused;
    },
  }),
  behaviour({
    name: "words that haproxy ignores are refused, and change nothing",
    config,
    servers: { c1: () => startNamed("c1") },
    async traffic(lab) {
      const before = await statesOf(lab);
      for (const line of linesOf(STRICTER)) {
        const answer = (await ask(lab, line)).trim();
        if (lab.balancerName === "sluice") expect(`${line}: ${answer}`).not.toEndWith(": ");
      }
      if (lab.balancerName === "sluice") expect(await statesOf(lab)).toEqual(before);
      return undefined;
    },
  }),
]);
