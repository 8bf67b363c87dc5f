/** What is logged of a connection, and in which shape. */
import { startNamed, startPeer } from "../support/peers.ts";
import { playClient } from "../support/tcp-script.ts";
import { askName, visit } from "../support/traffic.ts";
import { behaviour, conformance, type Lab } from "./harness.ts";

const servers = { s1: () => startNamed("s1") };

function listen(lab: Lab, text = "", options = ""): string {
  return `frontend fe
  ${lab.bind("fe")} ${options}
${text}
  default_backend be
backend be
  ${lab.line("s1")}`;
}

/** The text of the only line, without its syslog head, ports masked. */
async function text(lab: Lab, pattern: RegExp): Promise<string> {
  const [line] = await lab.syslog.matching(pattern, 1);
  return (line ?? "").replace(/^(<\d+>).*?\[\d+\]: /, "$1 ").replace(/\b\d{4,5}\b/g, "PORT");
}

/** One line of this format, after one visit. */
function formatted(name: string, format: string, options = "") {
  return behaviour({
    name: `log-format ${name}`,
    servers,
    config: (lab) => listen(lab, `  log-format "${format}"`, options),
    async traffic(lab) {
      await askName({ port: lab.port("fe"), from: "127.0.0.3" });
      return text(lab, /mark/);
    },
  });
}

conformance("logs", [
  behaviour({
    name: "option logasap logs when the server is there, with a plus",
    servers,
    defaults: "  option logasap",
    config: (lab) => listen(lab),
    async traffic(lab) {
      const one = await visit({ port: lab.port("fe") });
      const lines = await lab.logs(1);
      one.leave();
      return lines;
    },
  }),
  formatted("addresses and names", "mark %ci %fi %f %ft %b %s %si"),
  formatted("states and counts", "mark %ts %B %U %rc %sq %bq"),
  formatted("with quotes", "mark %{+Q}f %{+Q}b %{+Q,+X}B"),
  formatted("samples", "mark %[src] %[fe_name] %[str(a-b),upper] %[int(7)] %[src,ipmask(24)]"),
  formatted("a literal percent and unset values", "mark 100%% %[env(NO_SUCH_VARIABLE)]-"),
  behaviour({
    name: "numbers of connections, of a stream that is alone and of one that is not",
    servers,
    config: (lab) => listen(lab),
    async traffic(lab) {
      const where = { port: lab.port("fe") };
      const counts = async (count: number): Promise<string | undefined> =>
        / (\d+\/\d+\/\d+\/\d+\/\d+) /.exec(
          (await lab.syslog.matching(/be\/s1/, count)).at(-1) ?? "",
        )?.[1];
      const [first, second] = [await visit(where), await visit(where)];
      first.leave();
      const crowded = await counts(1);
      second.leave();
      return [crowded, await counts(2)];
    },
  }),
  behaviour({
    name: "log facility",
    servers,
    config: (lab) => `frontend fe
  ${lab.bind("fe")}
  no log
  log 127.0.0.1:${lab.syslog.port} daemon debug
  default_backend be
backend be
  ${lab.line("s1")}`,
    traffic: (lab) => askName({ port: lab.port("fe") }),
    logs: 1,
  }),
  behaviour({
    name: "a minimum level leaves lines of connections out",
    servers,
    config: (lab) =>
      `frontend fe
  ${lab.bind("fe")}
  no log
  log 127.0.0.1:${lab.syslog.port} daemon warning
  default_backend be
frontend fe2
  ${lab.bind("fe2")}
  default_backend be
backend be
  ${lab.line("s1")}`,
    async traffic(lab) {
      await askName({ port: lab.port("fe") });
      return askName({ port: lab.port("fe2") });
    },
    logs: 1,
  }),
  behaviour({
    name: "log-tag and log format rfc5424",
    servers,
    global: "  log-tag mybalancer",
    config: (lab) => `frontend fe
  ${lab.bind("fe")}
  no log
  log 127.0.0.1:${lab.syslog.port} format rfc5424 local1
  default_backend be
backend be
  ${lab.line("s1")}`,
    async traffic(lab) {
      await askName({ port: lab.port("fe") });
      const [line] = await lab.syslog.matching(/fe be\/s1/, 1);
      const masked = (line ?? "").replace(/\d{4}-\d\d-\d\dT[\d:.+-]+Z?/, "TIME");
      return masked.replace(/(mybalancer) \d+/, "$1 PID").replace(/127.0.0.1:.*/, "");
    },
  }),
  behaviour({
    name: "bytes that the server sent are counted",
    servers: { s1: () => startPeer({ open: (s) => void s.write("x".repeat(1234)) }) },
    config: (lab) => listen(lab),
    traffic: (lab) => playClient("read 1234; close", { port: lab.port("fe") }),
    logs: 1,
  }),
]);
