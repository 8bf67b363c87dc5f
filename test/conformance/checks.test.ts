/** Checks by connecting: who is taken out, when it comes back, and what the log says. */
import { expect } from "bun:test";

import { startNamed } from "../support/peers.ts";
import { until } from "../support/procs.ts";
import { playClient } from "../support/tcp-script.ts";
import { askName, askNames, countEach } from "../support/traffic.ts";
import { behaviour, conformance, type Lab } from "./harness.ts";

const servers = { s1: () => startNamed("s1"), s2: () => startNamed("s2") };
const CHECK = "check inter 100ms fastinter 50ms downinter 100ms rise 2 fall 2";

/** Lines about states, durations masked. */
async function stateLines(lab: Lab, pattern: RegExp, count: number): Promise<string[]> {
  const lines = await lab.syslog.matching(pattern, count);
  return lines.map((line) =>
    line.replace(/^(<\d+>).*?\[\d+\]: /, "$1 ").replace(/duration: \d+ms/, "duration: N"),
  );
}

conformance("checks", [
  behaviour({
    name: "a server that refuses goes down, is skipped, and its sentence is logged",
    servers,
    config: (lab) => `listen fe
  ${lab.bind("fe")}
  ${lab.line("s1")} ${CHECK}
  server gone 127.0.0.1:${lab.port("closed")} ${CHECK}`,
    async traffic(lab) {
      const lines = await stateLines(lab, /fe\/gone is DOWN/, 1);
      return { lines, names: countEach(await askNames({ port: lab.port("fe") }, 6)) };
    },
  }),
  behaviour({
    name: "a server that comes back goes up again",
    servers,
    config: (lab) => `listen fe
  ${lab.bind("fe")}
  ${lab.line("s1")} ${CHECK}
  server late 127.0.0.1:${lab.port("late")} ${CHECK}`,
    async traffic(lab) {
      await stateLines(lab, /fe\/late is DOWN/, 1);
      await using late = startNamed("late", lab.port("late"));
      const lines = await stateLines(lab, /fe\/late is UP/, 1);
      const names = await askNames({ port: lab.port("fe") }, 4);
      return { lines, names: countEach(names), port: late.port === lab.port("late") };
    },
  }),
  behaviour({
    name: "the last server down: the backend has none, clients are turned away",
    config: (lab) => `listen fe
  ${lab.bind("fe")}
  server gone 127.0.0.1:${lab.port("closed")} ${CHECK}`,
    async traffic(lab) {
      const lines = [
        ...(await stateLines(lab, /fe\/gone is DOWN/, 1)),
        ...(await stateLines(lab, /has no server available/, 1)),
      ];
      return { lines, answer: await askName({ port: lab.port("fe") }) };
    },
    logs: 1,
  }),
  behaviour({
    name: "backup takes over when the checks fail, and steps back",
    servers: { s2: () => startNamed("s2") },
    config: (lab) => `listen fe
  ${lab.bind("fe")}
  server main 127.0.0.1:${lab.port("main")} ${CHECK}
  ${lab.line("s2")} ${CHECK} backup`,
    async traffic(lab) {
      const lines = await stateLines(lab, /fe\/main is DOWN/, 1);
      const during = await askName({ port: lab.port("fe") });
      await using main = startNamed("main", lab.port("main"));
      lines.push(...(await stateLines(lab, /fe\/main is UP/, 1)));
      await until("the server to be used", async () => {
        return (await askName({ port: lab.port("fe") })) === "main";
      });
      return { lines, during, main: main.accepted > 0 };
    },
  }),
  behaviour({
    name: "on-marked-down shutdown-sessions ends the streams of a server that goes down",
    servers: { s2: () => startNamed("s2") },
    config: (lab) => `listen fe
  ${lab.bind("fe")}
  default-server on-marked-down shutdown-sessions ${CHECK}
  server s1 127.0.0.1:${lab.port("served")} port ${lab.port("checked")}
  ${lab.line("s2")} no-check backup`,
    async traffic(lab) {
      await using served = startNamed("s1", lab.port("served"));
      const checked = startNamed("check", lab.port("checked"));
      await until("the server to be used", async () => {
        return (await askName({ port: lab.port("fe") })) === "s1";
      });
      await until("the first streams to be over", () => served.open === 0);
      const before = served.accepted;
      const held = playClient("read-line; read-end", { port: lab.port("fe") });
      await until("the stream", () => served.accepted > before && served.open === 1);
      checked.kill();
      const [line] = await lab.syslog.matching(/ fe fe\/s1 .* D[-\w] /, 1);
      const down = (await stateLines(lab, /fe\/s1 is DOWN/, 1)).at(-1);
      // haproxy counts after it has asked the owners: a quick one has made it 0 already.
      if (lab.balancerName === "sluice") expect(down).toContain(" 1 sessions active");
      const sentence = down?.replace(/[01] sessions active/, "N sessions active");
      return { sentence, held: await held, state: / (D[-\w]) /.exec(line ?? "")?.[1] };
    },
  }),
  behaviour({
    name: "port: checked there, served here; option tcp-check without rules is the same",
    servers,
    defaults: "  option tcp-check",
    config: (lab) => `listen fe
  ${lab.bind("fe")}
  ${lab.line("s1")} ${CHECK} port ${lab.port("closed")}
  ${lab.line("s2")} ${CHECK} addr 127.0.0.1`,
    async traffic(lab) {
      const lines = await stateLines(lab, /fe\/s1 is DOWN/, 1);
      return { lines, names: await askNames({ port: lab.port("fe") }, 3) };
    },
  }),
]);
