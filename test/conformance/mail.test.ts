import { askApiPort } from "../support/api.ts";
/** `email-alert`: which mails are sent, to whom, and what is in them. */
import { startMailServer } from "../support/mail-server.ts";
import type { MailServer } from "../support/mail-server.ts";
import { startNamed } from "../support/peers.ts";
import { stateLines } from "../support/server-stat.ts";
import { behaviour, conformance } from "./harness.ts";
import type { Lab } from "./harness.ts";

const CHECK = "check inter 100ms fastinter 50ms downinter 100ms rise 2 fall 2";
const servers = { one: () => startMailServer(), two: () => startMailServer() };

const mailers = (lab: Lab): string => `global
  stats socket 127.0.0.1:${lab.port("api")} level admin
mailers m
  timeout mail 5s
  mailer one 127.0.0.1:${lab.server("one").port}
  mailer two 127.0.0.1:${lab.server("two").port}`;

const ALERT = `email-alert mailers m
  email-alert from from@lb.test
  email-alert to to@lb.test
  email-alert myhostname lb.test`;

const mailServer = (lab: Lab, name: string): MailServer => lab.server(name) as MailServer;

/** The mails that a server has taken, durations and dates masked, by their subjects. */
async function mails(lab: Lab, name: string, count: number): Promise<string[][]> {
  const taken = await mailServer(lab, name).mails(count);
  const masked = taken.map((lines) =>
    lines.map((line) =>
      line
        .replace(/duration: \d+ms/, "duration: N")
        // HAProxy adds the name of the zone in brackets.
        .replace(/^(Date: \w{3}, \d\d \w{3} \d{4} )[\d:]+( [+-]\d{4}).*$/, "$1T$2"),
    ),
  );
  return masked.toSorted((a, b) => (a.join() < b.join() ? -1 : 1));
}

/** What a client says before its mail; how it greets is the client's affair. */
const spoken = (lab: Lab): string[] =>
  (mailServer(lab, "one").sessions[0]?.said ?? []).map((line) => line.replace(/^EHLO/, "HELO"));

conformance("mails", [
  behaviour({
    name: "at alert: a server that goes down, to every mailer; not that it comes back",
    servers,
    config: (lab) => `${mailers(lab)}
backend b
  ${ALERT}
  server s1 127.0.0.1:${lab.port("late")} ${CHECK}
listen fe
  ${lab.bind("fe")}
  ${ALERT}
  server gone 127.0.0.1:${lab.port("closed")} ${CHECK}`,
    async traffic(lab) {
      await stateLines(lab.syslog, /b\/s1 is DOWN/, 1);
      await using _late = startNamed("late", lab.port("late"));
      await stateLines(lab.syslog, /b\/s1 is UP/, 1);
      return {
        one: await mails(lab, "one", 2),
        two: await mails(lab, "two", 2),
        spoken: spoken(lab).filter((line) => !line.startsWith("RSET")),
      };
    },
  }),
  behaviour({
    name: "at notice: up, drain, and who tracks; neither maintenance nor what is stopping",
    servers,
    config: (lab) => `${mailers(lab)}
defaults
  mode tcp
  log 127.0.0.1:${lab.syslog.port} local0
  timeout connect 5s
  timeout client 5s
  timeout server 5s
  ${ALERT}
  email-alert level notice
backend b
  server s1 127.0.0.1:${lab.port("late")} ${CHECK}
  server s2 127.0.0.1:${lab.port("late")} backup
backend tr
  server t1 127.0.0.1:${lab.port("late")} track b/s1
listen fe
  ${lab.bind("fe")}
  server s1 127.0.0.1:${lab.port("late")}`,
    async traffic(lab) {
      const ask = (line: string): Promise<string> => askApiPort(lab.port("api"), line);
      await stateLines(lab.syslog, /tr\/t1 is DOWN/, 1);
      await using _late = startNamed("late", lab.port("late"));
      await stateLines(lab.syslog, /tr\/t1 is UP/, 1);
      await ask("disable server b/s1");
      await ask("enable server b/s1");
      await ask("set server b/s1 state drain");
      await ask("set server b/s1 state ready");
      await ask("set server b/s2 health stopping");
      await ask("set server b/s2 health down");
      await ask("set server b/s2 health up");
      // DOWN twice, UP twice, drain twice, DOWN and UP of s2.
      return { mails: await mails(lab, "one", 8) };
    },
  }),
  behaviour({
    name: "at info: each result that option log-health-checks tells",
    servers,
    config: (lab) => `${mailers(lab)}
backend b
  option log-health-checks
  ${ALERT}
  email-alert level info
  server s1 127.0.0.1:${lab.port("late")} ${CHECK}
listen fe
  ${lab.bind("fe")}
  server s1 127.0.0.1:${lab.port("late")}`,
    async traffic(lab) {
      await stateLines(lab.syslog, /b\/s1 is DOWN/, 1);
      await using _late = startNamed("late", lab.port("late"));
      await stateLines(lab.syslog, /b\/s1 is UP/, 1);
      // failed, DOWN, succeeded twice, UP.
      return { mails: await mails(lab, "two", 5) };
    },
  }),
]);
