import { type Peer, startNamed } from "../support/peers.ts";
/** Limits: maxconn of frontends and servers, queues and their order, rates. */
import { isAccepted } from "../support/ports.ts";
import { until } from "../support/procs.ts";
import { playClient } from "../support/tcp-script.ts";
import { countEach, type Visit, visit } from "../support/traffic.ts";
import { behaviour, conformance, type Lab } from "./harness.ts";

const servers = { s1: () => startNamed("s1"), s2: () => startNamed("s2") };

function backend(lab: Lab, text: string): string {
  return `frontend fe\n  ${lab.bind("fe")}\n  default_backend be\nbackend be\n${text}`;
}

/** Clients that queue in a known order: each is accepted before the next one connects. */
async function joinQueue(lab: Lab, count: number): Promise<{ names: string[]; visits: Visit[] }> {
  const port = lab.port("fe");
  const names: string[] = [];
  const visits: Visit[] = [];
  for (let i = 0; i < count; i++) {
    let isDone = false;
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data(s, bytes) {
          isDone = true;
          names.push(`client ${i}: ${bytes.toString().trim()}`);
          s.end();
        },
        close() {
          if (!isDone) names.push(`client ${i}: closed`);
          isDone = true;
        },
      },
    });
    const { localPort } = socket;
    await until("the balancer to accept", () => isDone || isAccepted(port, localPort));
  }
  return { names, visits };
}

conformance("limits", [
  behaviour({
    name: "server maxconn: never more, the others wait in order of arrival",
    servers,
    config: (lab) => backend(lab, `  ${lab.line("s1")} maxconn 1`),
    async traffic(lab) {
      const first = await visit({ port: lab.port("fe") });
      const { names } = await joinQueue(lab, 6);
      first.leave();
      await lab.logs(7);
      return { names, openMax: (lab.server("s1") as Peer).openMax };
    },
    logs: 7,
  }),
  behaviour({
    name: "two servers with maxconn share one queue",
    servers,
    config: (lab) => backend(lab, `  ${lab.line("s1")} maxconn 1\n  ${lab.line("s2")} maxconn 1`),
    async traffic(lab) {
      const held = [await visit({ port: lab.port("fe") }), await visit({ port: lab.port("fe") })];
      const { names } = await joinQueue(lab, 4);
      held[0]?.leave();
      held[1]?.leave();
      await lab.logs(6);
      const peers = [lab.server("s1") as Peer, lab.server("s2") as Peer];
      return { clients: names.length, openMax: peers.map((peer) => peer.openMax) };
    },
  }),
  behaviour({
    name: "timeout queue: sQ",
    servers,
    timeouts: "timeout connect 5s\n timeout client 20s\n timeout server 20s\n timeout queue 300ms",
    config: (lab) => backend(lab, `  ${lab.line("s1")} maxconn 1`),
    async traffic(lab) {
      const first = await visit({ port: lab.port("fe") });
      const seen = await playClient("read-end", { port: lab.port("fe") });
      first.leave();
      return seen;
    },
    logs: 2,
  }),
  behaviour({
    name: "a client that resets while queued: CQ, and its place is free",
    servers,
    config: (lab) => backend(lab, `  ${lab.line("s1")} maxconn 1`),
    async traffic(lab) {
      const first = await visit({ port: lab.port("fe") });
      const seen = await playClient("send hello; wait 200; reset", { port: lab.port("fe") });
      // Told when it has left: the next one then queues at its place.
      await lab.logs(1);
      const { names } = await joinQueue(lab, 1);
      first.leave();
      await lab.logs(3);
      return { seen, names };
    },
    logs: 3,
  }),
  behaviour({
    name: "option abortonclose: a client that closes its side leaves the queue",
    servers,
    defaults: "  option abortonclose",
    config: (lab) => backend(lab, `  ${lab.line("s1")} maxconn 1`),
    async traffic(lab) {
      const first = await visit({ port: lab.port("fe") });
      const seen = await playClient("send hello; shut; read-end", { port: lab.port("fe") });
      first.leave();
      return seen;
    },
    logs: 2,
  }),
  behaviour({
    name: "maxqueue: what becomes of who finds it full",
    servers,
    config: (lab) =>
      backend(
        lab,
        `  balance source
  ${lab.line("s1")} maxconn 1 maxqueue 1
  ${lab.line("s2")} maxconn 1 maxqueue 1`,
      ),
    async traffic(lab) {
      // One address: all four hash to the same server.
      const from = "127.0.0.1";
      const first = await visit({ port: lab.port("fe"), from });
      const { names } = await joinQueue(lab, 2);
      await until("the third to be answered", () => names.length === 1);
      first.leave();
      await lab.logs(3);
      return names;
    },
    logs: 3,
  }),
  behaviour({
    name: "frontend maxconn: the next client waits to be accepted, and is served later",
    servers,
    config: (lab) => `frontend fe
  ${lab.bind("fe")}
  maxconn 2
  default_backend be
backend be
  ${lab.line("s1")}`,
    async traffic(lab) {
      const held = [await visit({ port: lab.port("fe") }), await visit({ port: lab.port("fe") })];
      const third = visit({ port: lab.port("fe") });
      const early = await Promise.race([third.then(() => "served"), Bun.sleep(150)]);
      held[0]?.leave();
      const { name } = await third;
      return { early, name, openMax: (lab.server("s1") as Peer).openMax };
    },
  }),
  behaviour({
    name: "rate-limit sessions lets no more in per second",
    servers,
    config: (lab) => `frontend fe
  ${lab.bind("fe")}
  rate-limit sessions 5
  default_backend be
backend be
  ${lab.line("s1")}`,
    async traffic(lab) {
      const begin = performance.now();
      const visits = await Promise.all(
        Array.from({ length: 12 }, () => visit({ port: lab.port("fe") })),
      );
      const seconds = (performance.now() - begin) / 1000;
      return [countEach(visits.map((one) => one.name)), seconds > 0.8];
    },
  }),
  behaviour({
    name: "minconn and fullconn: the limit grows with the backend's load",
    servers,
    config: (lab) => backend(lab, `  fullconn 8\n  ${lab.line("s1")} minconn 2 maxconn 8`),
    async traffic(lab) {
      await joinQueueHeld(lab, 5);
      const peer = lab.server("s1") as Peer;
      await until("two to be served", () => peer.accepted >= 2);
      await Bun.sleep(100);
      return peer.openMax;
    },
  }),
]);

/** Clients that connect in order and stay, served or not. */
async function joinQueueHeld(lab: Lab, count: number): Promise<void> {
  const port = lab.port("fe");
  for (let i = 0; i < count; i++) {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    await until("the balancer to accept", () => isAccepted(port, socket.localPort));
  }
}
