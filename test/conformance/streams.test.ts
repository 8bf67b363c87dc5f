/** What both ends of a relayed connection see: data, half-closes, resets. */
import { expect } from "bun:test";

import { playClient, startScriptServer } from "../support/tcp-script.ts";
import { behaviour, conformance, type ConformanceCase, type Lab } from "./harness.ts";

/** What the two ends saw. */
interface Seen {
  client: string[];
  server: string[][];
}

/** One client and one server, each playing its script through the balancer. */
function dialogue(
  name: string,
  client: string,
  server: string,
  more: Partial<ConformanceCase<Seen>> = {},
): ConformanceCase<unknown> {
  return behaviour<Seen>({
    name,
    servers: { s1: (flags) => startScriptServer(server, { flags }) },
    config: (lab) => `frontend fe
  ${lab.bind("fe")}
  default_backend be
backend be
  ${lab.line("s1")}`,
    async traffic(lab) {
      const seen = await playClient(client, { port: lab.port("fe"), flags: lab.flags });
      return { client: seen, server: await lab.script("s1").finished(1) };
    },
    logs: 1,
    ...more,
  });
}

/**
 * haproxy closes the client's side of a connection that its server has reset with a FIN; sluice
 * passes the abort on as one. All else must agree.
 */
const RESET_PASSED_ON: Partial<ConformanceCase<Seen>> = {
  compare(sluice, haproxy) {
    const asHaproxy = sluice.client.map((word) => word.replace(/^reset/, "end"));
    expect(asHaproxy).toEqual(haproxy.client);
    expect(sluice.server).toEqual(haproxy.server);
  },
};

conformance("streams", [
  dialogue(
    "the client closes its side first and still gets the answer",
    "send hello; shut; read-end",
    "read-end; send answer; close",
  ),
  dialogue(
    "the server closes its side first and still gets the rest",
    "read-end; send rest; close",
    "send first; shut; read-end",
  ),
  dialogue("the server speaks first and closes", "read-end; close", "send banner; close"),
  dialogue(
    "several turns",
    "send a; read 1; send bb; read 2; send ccc; read 3; close",
    "read 1; send A; read 2; send BB; read 3; send CCC; read-end",
  ),
  dialogue(
    "both close their side at the same time",
    "send a; read 1; tell c; hear s; shut; read-end",
    "read 1; send b; tell s; hear c; shut; read-end",
  ),
  dialogue("the client closes without a word", "hear s; close", "tell s; read-end"),
  dialogue("the server resets before any data", "read-end", "reset", RESET_PASSED_ON),
  dialogue(
    "the server resets amid data",
    "send hello; read 5; tell go; read-end",
    "read 5; send world; hear go; reset",
    RESET_PASSED_ON,
  ),
  dialogue(
    "the client resets amid data",
    "send hello; read 5; reset",
    "read 5; send world; read-end",
  ),
  dialogue(
    "the client resets after it has closed its side",
    "send hello; shut; read 5; reset",
    "read-end; send world; tell sent; wait 200; close",
  ),
  dialogue(
    "the server resets after the client has closed its side",
    "send hello; shut; read-end",
    "read-end; reset",
    RESET_PASSED_ON,
  ),
  dialogue(
    "a large answer reaches a client that has closed its side",
    "send go; shut; read-end",
    "read-end; fill 3000000; close",
  ),
  dialogue(
    "a large request reaches a server that answers and closes its side first",
    "fill 3000000; read 2; close",
    "send ok; read 3000000; shut; read-end",
  ),
  dialogue("data just before the close arrives", "fill 200000; close", "read-end"),
  dialogue("the server's data just before its close arrives", "read-end", "fill 200000; close"),
  dialogue(
    "timeout client: closed both ways, logged cD",
    "send hello; read-end",
    "read 5; read-end",
    { timeouts: "timeout connect 5s\n timeout client 300ms\n timeout server 60s" },
  ),
  dialogue(
    "timeout server: closed both ways, logged sD",
    "send hello; read-end",
    "read 5; read-end",
    { timeouts: "timeout connect 5s\n timeout client 60s\n timeout server 300ms" },
  ),
  dialogue(
    "timeout client does not count while the server takes nothing",
    "fill 24000000; shut; read-end",
    "pause; wait 1600; resume; read-end; send ok; close",
    { timeouts: "timeout connect 5s\n timeout client 800ms\n timeout server 60s" },
  ),
  dialogue(
    "timeout server does not count while the client takes nothing",
    "pause; wait 1600; resume; read-end",
    "fill 24000000; close",
    { timeouts: "timeout connect 5s\n timeout client 60s\n timeout server 800ms" },
  ),
  dialogue("timeout client before the client has said anything", "read-end", "read-end", {
    timeouts: "timeout connect 5s\n timeout client 300ms\n timeout server 60s",
  }),
  dialogue("timeout tunnel replaces both", "send hello; read-end", "read 5; send x; read-end", {
    timeouts: "timeout connect 5s\n timeout client 60s\n timeout server 60s\n timeout tunnel 300ms",
  }),
  dialogue(
    "timeout server-fin ends a server that does not answer a half-close",
    "send hello; shut; read-end",
    "read-end; hear never",
    { timeouts: fin("server-fin"), traffic: clientOnly("send hello; shut; read-end") },
  ),
  dialogue(
    "timeout client-fin ends a client that does not answer a half-close",
    "read-end; wait 600; close",
    "send bye; shut; read-end",
    { timeouts: fin("client-fin") },
  ),
  dialogue(
    "timeout client-fin starts again with each byte",
    "read-end; send x; wait 200; send x; wait 200; send x; wait 600; close",
    "send bye; shut; read-end",
    { timeouts: fin("client-fin") },
  ),
  dialogue(
    "timeout client-fin does not hurry a server whose client has closed its side",
    "send hello; shut; read-end",
    "read-end; wait 600; send late; close",
    { timeouts: fin("client-fin") },
  ),
  dialogue(
    "timeout server-fin does not hurry a client whose server has closed its side",
    "read-end; wait 600; send late; close",
    "send bye; shut; read-end",
    { timeouts: fin("server-fin") },
  ),
]);

/** Long limits but this one. */
function fin(name: string): string {
  const others = "timeout connect 5s\n timeout client 60s\n timeout server 60s";
  return `${others}\n timeout ${name} 300ms`;
}

/** The client's part alone, for a server that never comes to its end. */
function clientOnly(script: string): (lab: Lab) => Promise<Seen> {
  return async (lab) => ({
    client: await playClient(script, { port: lab.port("fe") }),
    server: [],
  });
}
