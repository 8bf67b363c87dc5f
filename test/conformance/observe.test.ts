/** `observe layer4`: servers judged by real connections, beside haproxy. */
import { startDeaf } from "../support/peers-raw.ts";
import { startNamed } from "../support/peers.ts";
import { until } from "../support/procs.ts";
import { stateLines, statOf } from "../support/server-stat.ts";
import { playClient } from "../support/tcp-script.ts";
import { askName } from "../support/traffic.ts";
import { behaviour, conformance, type ConformanceCase, type Lab } from "./harness.ts";

const COLUMNS = ["status", "check_status", "check_health", "econ", "wretr", "chkfail", "chkdown"];
const servers = { b: () => startNamed("b"), checked: () => startNamed("checked") };

const api = (lab: Lab): string => `global
  stats socket 127.0.0.1:${lab.port("api")} level admin
`;

/** A server that answers checks on another port, over one that the test opens and closes. */
function config(lab: Lab, words: string, more = ""): string {
  const address = `127.0.0.1:${lab.port("served")} port ${lab.server("checked").port}`;
  return `${api(lab)}listen fe
  ${lab.bind("fe")}
  retries 0
${more}
  server a ${address} check inter 60s rise 2 fall 3 ${words}
  ${lab.line("b")} backup`;
}

async function firstCheck(lab: Lab): Promise<void> {
  await until("the first check", async () => {
    return (await stat(lab))["check_status"] === "L4OK";
  });
}

const stat = (lab: Lab): Promise<Record<string, string>> =>
  statOf(lab.port("api"), "fe", "a", [...COLUMNS, "hanafail"]);

/** Clients one after the other, and what the server's row says after each. */
async function visits(lab: Lab, count: number): Promise<unknown[]> {
  const seen: unknown[] = [];
  for (let i = 0; i < count; i++) {
    const before = Number((await stat(lab))["econ"]);
    const answer = await askName({ port: lab.port("fe") });
    // What the errors lead to is decided elsewhere, and not before the client knows.
    if (answer === "closed") {
      await until("the error to be counted", async () => {
        return Number((await stat(lab))["econ"]) > before;
      });
      await Bun.sleep(100);
    }
    seen.push([answer, await stat(lab)]);
  }
  return seen;
}

/** `sessions active` is counted while the last stream leaves: one has it, the other not. */
const masked = (lines: string[]): string[] =>
  lines.map((line) => line.replace(/\d sessions active/, "N sessions active"));

function onError(mode: string, count: number, more = ""): ConformanceCase<unknown> {
  return behaviour({
    name: `on-error ${mode}${more === "" ? "" : `, ${more}`}`,
    servers,
    config: (lab) => config(lab, `observe layer4 error-limit 3 on-error ${mode}`, `  ${more}`),
    async traffic(lab) {
      await firstCheck(lab);
      const seen = await visits(lab, count);
      const lines = await stateLines(
        lab.syslog,
        /fe\/a.*Health analyze/,
        mode === "fastinter" ? 0 : 1,
      );
      return { seen, lines: masked(lines) };
    },
  });
}

conformance("observe layer4", [
  onError("mark-down", 5),
  onError("fail-check", 7, "option log-health-checks"),
  onError("sudden-death", 7, "option log-health-checks"),
  onError("fastinter", 7),
  behaviour({
    name: "each retry counts, and error-limit is 10 without being said",
    servers,
    config: (lab) => config(lab, "observe layer4 on-error mark-down", "  retries 4"),
    timeouts: "  timeout connect 50ms\n  timeout client 60s\n  timeout server 60s",
    async traffic(lab) {
      await firstCheck(lab);
      return await visits(lab, 3);
    },
  }),
  behaviour({
    name: "a connection that succeeds sets the count back",
    servers,
    config: (lab) => config(lab, "observe layer4 error-limit 3 on-error mark-down"),
    async traffic(lab) {
      await firstCheck(lab);
      const seen = [await visits(lab, 2)];
      await using served = startNamed("a", lab.port("served"));
      seen.push(await visits(lab, 1));
      served.kill();
      seen.push(await visits(lab, 2), await visits(lab, 1));
      return seen;
    },
  }),
  behaviour({
    name: "a server that breaks off what it has taken is no error of layer 4",
    servers,
    config: (lab) => config(lab, "observe layer4 error-limit 2 on-error mark-down"),
    async traffic(lab) {
      await firstCheck(lab);
      const served = Bun.listen({
        hostname: "127.0.0.1",
        port: lab.port("served"),
        socket: { data: (socket) => socket.terminate() },
      });
      for (let i = 0; i < 3; i++)
        await playClient("send hello; read-end", { port: lab.port("fe") });
      served.stop(true);
      const { status, hanafail } = await stat(lab);
      return { status, hanafail };
    },
  }),
  behaviour({
    name: "too late is an error, a client that leaves before is none",
    servers: { ...servers, deaf: startDeaf },
    timeouts: "  timeout connect 200ms\n  timeout client 60s\n  timeout server 60s",
    config: (lab) => `${api(lab)}listen fe
  ${lab.bind("fe")}
  retries 0
  option abortonclose
  server a 127.0.0.1:${lab.server("deaf").port} port ${lab.server("checked").port} check inter 60s rise 2 fall 3 observe layer4 error-limit 2 on-error mark-down
  ${lab.line("b")} backup`,
    async traffic(lab) {
      await firstCheck(lab);
      for (let i = 0; i < 4; i++) await playClient("shut; read-end", { port: lab.port("fe") });
      const left = await stat(lab);
      return { left, late: await visits(lab, 3) };
    },
  }),
]);
