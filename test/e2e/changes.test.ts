/** Changes over the runtime API under real connections: who stays, who goes where, who waits. */
import { expect } from "bun:test";

import { askApi } from "../support/api.ts";
import type { Balancer } from "../support/haproxy.ts";
import { type Peer, startNamed, startPeer } from "../support/peers.ts";
import { freePort, isListening } from "../support/ports.ts";
import { temporaryFolder, until, within } from "../support/procs.ts";
import { askName, askNames, countEach, visit } from "../support/traffic.ts";
import { e2e, startSluice } from "./sluice.ts";

type Api = Balancer & { port: number; ask(line: string): Promise<string> };

/** A sluice with a runtime socket. */
async function start(sections: (port: number) => string, workers = 2): Promise<Api> {
  const folder = temporaryFolder();
  const socket = folder.file("api.sock");
  const global = `  stats socket ${socket} level admin`;
  const balancer = await startSluice(sections, { workers, global });
  return {
    ...balancer,
    ask: (line) => askApi(socket, line),
    async [Symbol.asyncDispose]() {
      await balancer[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** A frontend over a backend with these server lines. */
const over =
  (...lines: string[]) =>
  (port: number): string => `
frontend fe
  bind 127.0.0.1:${port}
  default_backend be
backend be
  ${lines.join("\n  ")}`;

/** A server that says its name, and then whatever it is told. */
function startTalker(name: string): Peer {
  return startPeer({
    open: (socket) => void socket.write(`${name}\n`),
    data: (socket, bytes) => void socket.write(bytes),
  });
}

/** A client that stays and can ask again. */
async function talk(port: number): Promise<{ say(word: string): Promise<string>; leave(): void }> {
  let text = "";
  let wake = (): void => undefined;
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_socket, bytes) => {
        text += bytes.toString();
        wake();
      },
      close: () => wake(),
      connectError() {},
    },
  });
  const heard = async (word: string): Promise<string> => {
    while (!text.includes(word)) await new Promise<void>((resolve) => (wake = resolve));
    return text;
  };
  return {
    say(word) {
      socket.write(word);
      return within(`to hear ${word}`, heard(word));
    },
    leave: () => void socket.end(),
  };
}

e2e("a new address takes new connections; old ones stay where they are", async () => {
  await using a = startTalker("a");
  await using b = startTalker("b");
  await using sluice = await start(over(`server s1 127.0.0.1:${a.port}`));
  const old = await talk(sluice.port);
  expect(await old.say("one")).toBe("a\none");
  const answer = await sluice.ask(`set server be/s1 addr 127.0.0.1 port ${b.port}`);
  expect(answer).toContain(`port changed from '${a.port}' to '${b.port}'`);
  await until("new clients to reach b", async () => (await askName({ port: sluice.port })) === "b");
  expect(countEach(await askNames({ port: sluice.port }, 10))).toEqual({ b: 10 });
  expect(await old.say("two")).toBe("a\nonetwo");
  old.leave();
});

e2e("an address of another family: from IPv4 to a unix socket and to IPv6", async () => {
  await using a = startNamed("a");
  const folder = temporaryFolder();
  const path = folder.file("server.sock");
  const options = { socket: { open: (s: Bun.Socket) => void s.end("unix\n"), data() {} } };
  const unix = Bun.listen({ unix: path, ...options });
  const six = Bun.listen({
    hostname: "::1",
    port: 0,
    socket: { open: (s) => void s.end("six\n"), data() {} },
  });
  await using sluice = await start(over(`server s1 127.0.0.1:${a.port}`));
  const reaches = (name: string): Promise<unknown> =>
    until(`clients to reach ${name}`, async () => (await askName({ port: sluice.port })) === name);
  await reaches("a");
  await sluice.ask(`set server be/s1 addr ${path}`);
  await reaches("unix");
  await sluice.ask(`set server be/s1 addr ::1 port ${six.port}`);
  await reaches("six");
  await sluice.ask(`set server be/s1 addr 127.0.0.1 port ${a.port}`);
  await reaches("a");
  unix.stop(true);
  six.stop(true);
  folder[Symbol.dispose]();
});

e2e("a server of weight 0 keeps its connections and gets no new ones", async () => {
  await using a = startTalker("a");
  await using b = startTalker("b");
  const lines = [`server s1 127.0.0.1:${a.port}`, `server s2 127.0.0.1:${b.port}`];
  await using sluice = await start(over(...lines));
  const clients = [await talk(sluice.port), await talk(sluice.port)];
  await Promise.all(clients.map((client) => client.say("x")));
  expect(await sluice.ask("set weight be/s1 0%")).toBe("");
  expect(countEach(await askNames({ port: sluice.port }, 8))).toEqual({ b: 8 });
  for (const client of clients) expect(await client.say("still")).toContain("xstill");
  await sluice.ask("set weight be/s1 100%");
  expect(countEach(await askNames({ port: sluice.port }, 8))).toEqual({ a: 4, b: 4 });
  for (const client of clients) client.leave();
});

e2e("maintenance sends those who wait elsewhere; a raised limit lets them in", async () => {
  await using a = startTalker("a");
  await using b = startTalker("b");
  const lines = [
    "use-server s1 if { src 127.0.0.1 }",
    `server s1 127.0.0.1:${a.port} maxconn 1`,
    `server s2 127.0.0.1:${b.port} maxconn 1`,
  ];
  await using sluice = await start(over(...lines), 4);
  const first = await talk(sluice.port);
  await first.say("x");
  const waiting = Array.from({ length: 3 }, () => visit({ port: sluice.port }));
  await until("three to wait", async () =>
    (await sluice.ask("show stat")).includes("\nbe,s1,3,3,1,"),
  );
  await sluice.ask("disable server be/s1");
  // One place at s2; the others wait for it, until there are more.
  await until("one to be served", () => b.open === 1);
  expect(await sluice.ask("set maxconn server be/s2 3")).toBe("");
  const names = await Promise.all(waiting.map(async (one) => (await one).name));
  expect(countEach(names)).toEqual({ b: 3 });
  expect(await first.say("still here")).toContain("still here");
  expect(a.accepted).toBe(1);
});

// The path went when the grace period of the old listener was over: nobody found the new one.
e2e("a unix path is not taken from the listener that follows", async () => {
  using folder = temporaryFolder();
  await using a = startTalker("a");
  await using sluice = await start(over(`server s1 127.0.0.1:${a.port}`));
  const unix = folder.file("fe.sock");
  await sluice.ask(`add bind fe unix@${unix} name one`);
  await sluice.ask(`del bind fe/one; add bind fe unix@${unix} name two`);
  const graceDone = async (): Promise<boolean> =>
    (await sluice.ask("show objects")).includes("grace periods: 0");
  while (!(await graceDone()));
  const { promise, resolve } = Promise.withResolvers<string>();
  const data = (_socket: unknown, bytes: Buffer): void => resolve(bytes.toString());
  const client = await Bun.connect({ unix, socket: { data } });
  expect(await within("the greeting", promise)).toBe("a\n");
  client.terminate();
});

e2e("a frontend that is disabled refuses, one that is enabled accepts again", async () => {
  await using a = startTalker("a");
  const other = freePort();
  const sections = (port: number): string =>
    over(`server s1 127.0.0.1:${a.port}`)(port).replace(
      "default_backend",
      `bind 127.0.0.1:${other}\n  default_backend`,
    );
  await using sluice = await start(sections, 4);
  const old = await talk(sluice.port);
  await old.say("x");
  for (let round = 0; round < 3; round++) {
    expect(await sluice.ask("disable frontend fe")).toBe("");
    await until("the port to be free", () => !isListening(sluice.port) && !isListening(other));
    expect(await askName({ port: sluice.port })).toBe("refused");
    expect(await old.say(`${round}`)).toContain(`${round}`);
    expect(await sluice.ask("enable frontend fe")).toBe("");
    expect(countEach(await askNames({ port: sluice.port }, 16))).toEqual({ a: 16 });
    expect(await askName({ port: other })).toBe("a");
  }
  // At once, before all workers know of the first: the last word counts.
  await sluice.ask(
    "disable frontend fe; enable frontend fe; disable frontend fe; enable frontend fe",
  );
  expect(countEach(await askNames({ port: sluice.port }, 16))).toEqual({ a: 16 });
  expect(await sluice.ask("shutdown frontend fe")).toBe("");
  await until("both ports to be free", () => !isListening(sluice.port) && !isListening(other));
  expect(await old.say("last")).toContain("last");
});

e2e("somebody else may have the port of a disabled frontend", async () => {
  await using a = startTalker("a");
  await using sluice = await start(over(`server s1 127.0.0.1:${a.port}`));
  await sluice.ask("disable frontend fe");
  await until("the port to be free", () => !isListening(sluice.port));
  const thief = Bun.listen({
    hostname: "127.0.0.1",
    port: sluice.port,
    socket: { open: (s) => void s.end("thief\n"), data() {} },
  });
  expect(await askName({ port: sluice.port })).toBe("thief");
  expect(await sluice.ask("enable frontend fe")).toBe(
    "Failed to resume frontend, check logs for precise cause (port conflict?).",
  );
  thief.stop(true);
  await until("it to be enabled", async () => (await sluice.ask("enable frontend fe")) === "");
  expect(await askName({ port: sluice.port })).toBe("a");
});

e2e("a frontend's limit is raised and lowered under its clients", async () => {
  await using a = startTalker("a");
  await using sluice = await start(over(`server s1 127.0.0.1:${a.port}`), 4);
  await sluice.ask("set maxconn frontend fe 2");
  const visits = Array.from({ length: 5 }, () => visit({ port: sluice.port }));
  await until("two to be served", () => a.open === 2);
  await sluice.ask("set maxconn frontend fe 5");
  for (const { name } of await Promise.all(visits)) expect(name).toBe("a");
  await sluice.ask("set maxconn frontend fe 0");
  const late = visit({ port: sluice.port });
  for (const one of visits) (await one).leave();
  await until("all to be gone", () => a.open === 0);
  await sluice.ask("set maxconn frontend fe 100");
  expect((await late).name).toBe("a");
});

e2e("who connects right after an answer meets what it says", async () => {
  await using a = startNamed("a");
  await using b = startNamed("b");
  await using sluice = await start(over("balance random"), 4);
  const where = { port: sluice.port };
  for (let round = 0; round < 30; round++) {
    await sluice.ask(`add server be/s${round} 127.0.0.1:${a.port}`);
    await sluice.ask(`enable server be/s${round}`);
    expect(await askName(where)).toBe("a");
    await sluice.ask(`set server be/s${round} addr 127.0.0.1 port ${b.port}`);
    expect(await askName(where)).toBe("b");
    await sluice.ask(`disable server be/s${round}`);
  }
});
