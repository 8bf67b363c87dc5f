/** `show sess` and the commands that end sessions: the same lines, words and log as haproxy. */
import { askApiPort } from "../support/api.ts";
import { startDeaf } from "../support/peers-raw.ts";
import { startNamed } from "../support/peers.ts";
import { until } from "../support/procs.ts";
import { askName, visit } from "../support/traffic.ts";
import { behaviour, conformance, type Lab } from "./harness.ts";

const ask = (lab: Lab, line: string): Promise<string> => askApiPort(lab.port("api"), line);

/** Two frontends, two backends; the second one serves one client at a time. */
const config = (lab: Lab): string => `global
  stats socket 127.0.0.1:${lab.port("api")} level admin
frontend fe1
  ${lab.bind("fe1")}
  default_backend be1
frontend fe2
  ${lab.bind("fe2")}
  default_backend be2
backend be1
  ${lab.line("s1")}
backend be2
  ${lab.line("s2")} maxconn 1`;

const named = { s1: () => startNamed("s1"), s2: () => startNamed("s2") };

/** Lines of clients: the connection of whoever asks is a session of haproxy's too. */
const linesOf = (text: string): string[] =>
  text.split("\n").filter((line) => /^0x/.test(line) && !line.includes("fe=GLOBAL"));

const field = (line: string, name: string): string =>
  new RegExp(` ${name}=(\\S*)`).exec(line)?.[1] ?? "";

const idOf = (line: string): string => line.slice(0, line.indexOf(":"));

/** What a line says, its client by the name that it has in `clients`. */
function seen(line: string, clients: ReadonlyMap<number, string>): string {
  const port = Number(field(line, "src").split(":").at(-1));
  const facts = ["proto", "fe", "be", "srv", "rc"].map((name) => `${name}=${field(line, name)}`);
  const [, frontState = ""] = /scf=\[(\d+),/.exec(line) ?? [];
  const [, backState = ""] = /scb=\[(\d+),/.exec(line) ?? [];
  return [clients.get(port) ?? `port ${port}?`, ...facts, frontState, backState].join(" ");
}

/** Waits until so many sessions are there. */
async function sessions(lab: Lab, count: number): Promise<string[]> {
  return await until(`${count} sessions`, async () => {
    const lines = linesOf(await ask(lab, "show sess"));
    return lines.length === count ? lines : undefined;
  });
}

/** Two clients of the first frontend; of the second one that is served and two that wait. */
async function crowd(lab: Lab): Promise<{ clients: Map<number, string>; lines: string[] }> {
  const clients = new Map<number, string>();
  for (const name of ["a", "b"]) {
    clients.set((await visit({ port: lab.port("fe1") })).localPort, name);
  }
  clients.set((await visit({ port: lab.port("fe2") })).localPort, "c");
  for (const [i, name] of ["d", "e"].entries()) {
    void askName({ port: lab.port("fe2") });
    const lines = await sessions(lab, 4 + i);
    const ports = lines.map((line) => Number(field(line, "src").split(":").at(-1)));
    clients.set(ports.find((port) => !clients.has(port)) ?? 0, name);
  }
  return { clients, lines: await sessions(lab, 5) };
}

/** The head of the many-line form: what haproxy and sluice both say. */
function facts(text: string): string[] {
  const words = /proto=\S+|conn_retries=\d+|(?:frontend|backend|server|listener)=\S+ \(id=[^)]*\)/g;
  return text.match(words) ?? [];
}

conformance("sessions", [
  behaviour({
    name: "show sess: a line for each, with the same fields",
    servers: named,
    config,
    async traffic(lab) {
      const { clients, lines } = await crowd(lab);
      const shapes = lines.map((line) => {
        const first = ["proto", "src", "fe", "be", "srv", "ts", "epoch", "age", "calls", "rate"];
        const names = [...line.matchAll(/ ([a-z_]+)=/g)].map(([, name]) => name!);
        return {
          isId: /^0x[0-9a-f]+: proto=/.test(line),
          starts: names.slice(0, first.length).join(" ") === first.join(" "),
          has: ["cpu", "lat", "rq", "rp", "scf", "scb", "exp", "rc", "c_exp"].filter((name) =>
            names.includes(name),
          ),
        };
      });
      return { shapes, seen: lines.map((line) => seen(line, clients)).sort() };
    },
  }),
  behaviour({
    name: "show sess <id>, show sess all: the same names and ids",
    servers: named,
    config,
    async traffic(lab) {
      const { clients, lines } = await crowd(lab);
      const one: Record<string, string[]> = {};
      for (const line of lines) {
        const client = seen(line, clients).slice(0, 1);
        one[client] = facts(await ask(lab, `show sess ${idOf(line)}`));
      }
      const all = await ask(lab, "show sess all");
      const ids = linesOf(all).length - (all.includes("frontend=GLOBAL") ? 1 : 0);
      return { one, ids, missing: await ask(lab, "show sess 0x1234") };
    },
  }),
  behaviour({
    name: "shutdown session: the client is told, the log says K",
    servers: named,
    config,
    async traffic(lab) {
      const { clients, lines } = await crowd(lab);
      const told: string[] = [];
      const idOfClient = (name: string): string =>
        idOf(lines.find((line) => seen(line, clients).startsWith(`${name} `)) ?? "");
      // First one that waits, then one that is connected.
      for (const name of ["d", "a"]) {
        told.push(await ask(lab, `shutdown session ${idOfClient(name)}`));
        await until("it to be gone", async () => {
          const left = linesOf(await ask(lab, "show sess"));
          return !left.some((line) => idOf(line) === idOfClient(name));
        });
      }
      const left = linesOf(await ask(lab, "show sess")).map((line) => seen(line, clients));
      return { told, left: left.sort() };
    },
    logs: 2,
  }),
  behaviour({
    name: "shutdown session of one that connects",
    servers: { s1: startDeaf, s2: () => startNamed("s2") },
    config,
    async traffic(lab) {
      const name = askName({ port: lab.port("fe1") });
      const [line = ""] = await sessions(lab, 1);
      return { told: await ask(lab, `shutdown session ${idOf(line)}`), name: await name };
    },
    logs: 1,
  }),
  behaviour({
    name: "shutdown sessions server: all of it, and no other; who waits is served next",
    servers: named,
    config,
    async traffic(lab) {
      await crowd(lab);
      const first = await ask(lab, "shutdown sessions server be1/s1");
      await sessions(lab, 3);
      const second = await ask(lab, "shutdown sessions server be2/s2");
      // The two that waited have been served one after the other, and have left.
      await sessions(lab, 0);
      return { first, second };
    },
    logs: 5,
  }),
  behaviour({
    name: "the same words of refusal",
    servers: named,
    config,
    async traffic(lab) {
      const lines = [
        "show sess 0x1",
        "shutdown session",
        "shutdown session zzz",
        "shutdown session 0",
        "shutdown session 0x12",
        "shutdown sessions server",
        "shutdown sessions server be1",
        "shutdown sessions server be1/nobody",
        "shutdown sessions server nobody/s1",
      ];
      const answers: Record<string, string> = {};
      for (const line of lines) answers[line] = await ask(lab, line);
      return answers;
    },
  }),
]);
