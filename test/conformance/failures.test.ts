/** What clients and the log see when no server can be had. */
import { startDeaf } from "../support/peers-raw.ts";
import { startNamed } from "../support/peers.ts";
import { playClient } from "../support/tcp-script.ts";
import { askName, askNames } from "../support/traffic.ts";
import { behaviour, conformance, type ConformanceCase, type Lab } from "./harness.ts";

const WATCH = "read-end";

function listen(lab: Lab, text: string): string {
  return `frontend fe\n  ${lab.bind("fe")}\n  default_backend be\nbackend be\n${text}`;
}

/** A client that plays its script and finds no server. */
function alone(
  name: string,
  config: (lab: Lab) => string,
  client = WATCH,
  more: Partial<ConformanceCase<string[]>> = {},
): ConformanceCase<unknown> {
  return behaviour<string[]>({
    name,
    config: (lab) => listen(lab, config(lab)),
    traffic: (lab) => playClient(client, { port: lab.port("fe"), flags: lab.flags }),
    logs: 1,
    ...more,
  });
}

/** One server that never takes the connection. */
const deaf = { s1: startDeaf };

conformance("failures", [
  alone("a backend without servers", () => ""),
  alone("all servers disabled", () => "  server s1 127.0.0.1:9 disabled"),
  alone("the only server has weight 0", (lab) => `  server s1 127.0.0.1:${lab.port("x")} weight 0`),
  alone(
    "the connection is refused, no retries",
    (lab) => `  retries 0\n  server s1 127.0.0.1:${lab.port("closed")}`,
  ),
  alone(
    "the connection is refused, one retry",
    (lab) => `  retries 1\n  server s1 127.0.0.1:${lab.port("closed")}`,
  ),
  alone(
    "refused while the client has sent data already",
    (lab) => `  retries 0\n  server s1 127.0.0.1:${lab.port("closed")}`,
    "send hello; read-end",
  ),
  behaviour({
    name: "redispatch: the next server takes over after the last retry",
    servers: { s2: () => startNamed("s2") },
    config: (lab) =>
      listen(
        lab,
        `  retries 1
  option redispatch
  server s1 127.0.0.1:${lab.port("closed")}
  ${lab.line("s2")}`,
      ),
    traffic: (lab) => askNames({ port: lab.port("fe") }, 2),
    logs: 2,
  }),
  behaviour({
    name: "option redispatch 1: at once",
    servers: { s2: () => startNamed("s2") },
    config: (lab) =>
      listen(
        lab,
        `  retries 3
  option redispatch 1
  server s1 127.0.0.1:${lab.port("closed")}
  ${lab.line("s2")}`,
      ),
    traffic: (lab) => askNames({ port: lab.port("fe") }, 4),
    logs: 4,
  }),
  behaviour({
    name: "no redispatch: the same server is tried again",
    servers: { s2: () => startNamed("s2") },
    config: (lab) =>
      listen(
        lab,
        `  retries 1
  no option redispatch
  server s1 127.0.0.1:${lab.port("closed")}
  ${lab.line("s2")}`,
      ),
    traffic: (lab) => askNames({ port: lab.port("fe") }, 2),
    logs: 2,
  }),
  alone("timeout connect: sC", (lab) => `  retries 0\n  ${lab.line("s1")}`, WATCH, {
    servers: deaf,
    timeouts: "timeout connect 300ms\n timeout client 10s\n timeout server 10s",
  }),
  alone("timeout connect with a retry", (lab) => `  retries 1\n  ${lab.line("s1")}`, WATCH, {
    servers: deaf,
    timeouts: "timeout connect 300ms\n timeout client 10s\n timeout server 10s",
  }),
  alone(
    "the client resets while its server is being connected",
    (lab) => `  retries 0\n  ${lab.line("s1")}`,
    "send hello; wait 200; reset",
    {
      servers: deaf,
      timeouts: "timeout connect 1500ms\n timeout client 10s\n timeout server 10s",
    },
  ),
  alone(
    "the client closes its side while its server is being connected",
    (lab) => `  retries 0\n  ${lab.line("s1")}`,
    "send hello; shut; read-end",
    {
      servers: deaf,
      timeouts: "timeout connect 1s\n timeout client 10s\n timeout server 10s",
    },
  ),
  alone(
    "option abortonclose: a client that leaves ends the attempt",
    (lab) => `  retries 0\n  option abortonclose\n  ${lab.line("s1")}`,
    "send hello; shut; read-end",
    {
      servers: deaf,
      timeouts: "timeout connect 3s\n timeout client 10s\n timeout server 10s",
    },
  ),
  behaviour({
    name: "option dontlognull: a client that says nothing leaves no line",
    defaults: "  option dontlognull",
    servers: { s1: () => startNamed("s1") },
    config: (lab) => listen(lab, `  server gone 127.0.0.1:9 disabled\n  ${lab.line("s1")}`),
    traffic: async (lab) => [
      await playClient("close", { port: lab.port("fe") }),
      await askName({ port: lab.port("fe") }, "hello"),
    ],
    logs: 1,
  }),
]);
