/** Which backend a connection goes to, and how servers are named and addressed. */
import type { Socket } from "bun";

import { startNamed, startPeer } from "../support/peers.ts";
import { askName, askNames } from "../support/traffic.ts";
import { behaviour, conformance, type Lab } from "./harness.ts";

const servers = { a: () => startNamed("a"), b: () => startNamed("b"), c: () => startNamed("c") };

function backends(lab: Lab): string {
  return ["a", "b", "c"].map((name) => `backend ${name}\n  ${lab.line(name)}`).join("\n");
}

/** Who answers the client at each of these addresses. */
async function nameFrom(lab: Lab, sources: readonly string[]): Promise<string[]> {
  const names: string[] = [];
  for (const from of sources) names.push(await askName({ port: lab.port("fe"), from }));
  return names;
}

conformance("routing", [
  behaviour({
    name: "use_backend by destination port",
    servers,
    config: (lab) => `frontend fe
  ${lab.bind("fe")}
  ${lab.bind("fe2")}
  ${lab.bind("fe3")}
  use_backend b if { dst_port ${lab.port("fe2")} }
  use_backend c if { dst_port eq ${lab.port("fe3")} }
  default_backend a
${backends(lab)}`,
    async traffic(lab) {
      const ports = ["fe", "fe2", "fe3"].map((name) => lab.port(name));
      return Promise.all(ports.map((port) => askName({ port })));
    },
    logs: 3,
  }),
  behaviour({
    name: "use_backend by source networks, named and anonymous ACLs, if and unless",
    servers,
    config: (lab) => `frontend fe
  ${lab.bind("fe")}
  acl left src 127.0.1.0/24 127.0.2.7
  acl odd src 127.0.3.1
  use_backend b if left
  use_backend c if odd or { src 127.0.4.0/30 }
  use_backend b unless { src 127.0.0.0/8 }
  default_backend a
${backends(lab)}`,
    traffic: (lab) =>
      nameFrom(lab, [
        "127.0.0.1",
        "127.0.1.200",
        "127.0.2.7",
        "127.0.2.8",
        "127.0.3.1",
        "127.0.4.3",
        "127.0.4.4",
      ]),
    logs: 7,
  }),
  behaviour({
    name: "several conditions in one rule are all needed, negation included",
    servers,
    config: (lab) => `frontend fe
  ${lab.bind("fe")}
  acl local src 127.0.0.0/16
  acl one src 127.0.0.1
  use_backend b if local !one
  use_backend c if !local || one
  default_backend a
${backends(lab)}`,
    traffic: (lab) => nameFrom(lab, ["127.0.0.1", "127.0.0.2", "127.9.0.1"]),
  }),
  behaviour({
    name: "a backend's name made from a sample; an unknown one falls to the default",
    servers,
    config: (lab) => `frontend fe
  ${lab.bind("fe")}
  use_backend %[src,field(4,.)]
  default_backend a
backend 7
  ${lab.line("b")}
${backends(lab)}`,
    traffic: (lab) => nameFrom(lab, ["127.0.0.7", "127.0.0.8"]),
    logs: 2,
  }),
  behaviour({
    name: "nbsrv sees how many servers are usable",
    servers,
    config: (lab) => `frontend fe
  ${lab.bind("fe")}
  use_backend poor if { nbsrv(poor) ge 2 }
  use_backend rich if { nbsrv(rich) ge 2 }
  default_backend a
backend poor
  ${lab.line("c")}
  server off 127.0.0.1:9 disabled
backend rich
  ${lab.line("b")}
  server more 127.0.0.1:${lab.server("b").port}
${backends(lab)}`,
    traffic: (lab) => nameFrom(lab, ["127.0.0.1"]),
  }),
  behaviour({
    name: "no rule matches and there is no default: closed, logged with <NOSRV>",
    servers,
    config: (lab) => `frontend fe
  ${lab.bind("fe")}
  use_backend a if { src 127.0.0.2 }
${backends(lab)}`,
    traffic: (lab) => nameFrom(lab, ["127.0.0.1", "127.0.0.2"]),
    logs: 2,
  }),
  behaviour({
    name: "a range of ports bound, servers reached by port offset",
    config: (lab) => `listen fe
  ${lab.bindRange("fe", 3)}
  server same 127.0.0.2
  server shifted 127.0.0.3:+10`,
    async traffic(lab) {
      await using stack = new AsyncDisposableStack();
      const first = lab.port("fe");
      for (const i of [0, 1, 2]) {
        listenAs(stack, "127.0.0.2", first + i, `same ${i}`);
        listenAs(stack, "127.0.0.3", first + i + 10, `shifted ${i}`);
      }
      const names = [];
      for (const i of [2, 2, 0, 0, 1, 1]) names.push(await askName({ port: first + i }));
      return names;
    },
    logs: 6,
  }),
  behaviour({
    name: "server-template and default-server",
    servers: { a: () => startNamed("a") },
    config: (lab) => `listen fe
  ${lab.bind("fe")}
  default-server weight 7
  server-template t 3 127.0.0.1:${lab.server("a").port}`,
    traffic: (lab) => askNames({ port: lab.port("fe") }, 6),
    logs: 6,
  }),
  behaviour({
    name: "source: the server sees the address that was asked for",
    servers: { who: () => startPeer({ open: (s) => void s.write(`${s.remoteAddress}\n`) }) },
    config: (lab) => `listen fe
  ${lab.bind("fe")}
  ${lab.line("who")} source 127.0.5.5`,
    traffic: (lab) => askName({ port: lab.port("fe") }),
  }),
  behaviour({
    name: "defaults with a name, and from",
    servers,
    config: (lab) => `defaults other
  mode tcp
  timeout connect 5s
  timeout client 5s
  timeout server 5s
  balance first
defaults third from other
  balance roundrobin
listen fe from other
  ${lab.bind("fe")}
  ${lab.line("a")}
  ${lab.line("b")}
listen fe2 from third
  ${lab.bind("fe2")}
  ${lab.line("a")}
  ${lab.line("b")}`,
    traffic: async (lab) => [
      await askNames({ port: lab.port("fe") }, 3),
      await askNames({ port: lab.port("fe2") }, 3),
    ],
  }),
]);

/** A server at that very address, until the stack is left. */
function listenAs(stack: AsyncDisposableStack, hostname: string, port: number, name: string): void {
  const open = (socket: Socket): void => void socket.write(`${name}\n`);
  const listener = Bun.listen({ hostname, port, socket: { open, data() {} } });
  stack.defer(() => listener.stop(true));
}
