/**
 * Streams over the runtime API, through the program and real connections: listed, looked at, ended;
 * read slowly, thousands at a time; with a worker that does not answer.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { askApi } from "../support/api.ts";
import type { Balancer } from "../support/haproxy.ts";
import { startEcho, startNamed, startSyslog } from "../support/peers.ts";
import { freePort, isListening } from "../support/ports.ts";
import {
  residentBytes,
  startProcess,
  temporaryFolder,
  TEST_TIMEOUT_MS,
  until,
} from "../support/procs.ts";
import { askName, askNames, openWarmMany, visit } from "../support/traffic.ts";
import { e2e, LONG_TIMEOUTS, startSluice } from "./sluice.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const PRELOAD = join(import.meta.dir, "mute-worker.ts");
const LIMIT_MS = 6 * TEST_TIMEOUT_MS;
const MEGABYTE = 2 ** 20;

type Api = Balancer & { port: number; ask(line: string): Promise<string>; socket: string };

/** A sluice with a runtime socket. */
async function start(sections: (port: number) => string, workers = 2, global = ""): Promise<Api> {
  const folder = temporaryFolder();
  const socket = folder.file("api.sock");
  const balancer = await startSluice(sections, {
    workers,
    global: `  stats socket ${socket} level admin\n  stats timeout 1m\n${global}`,
  });
  return {
    ...balancer,
    socket,
    ask: (line) => askApi(socket, line),
    async [Symbol.asyncDispose]() {
      await balancer[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

const idsOf = (text: string): string[] => [...text.matchAll(/^(0x[0-9a-f]+):/gm)].map((m) => m[1]!);
const field = (text: string, name: string): string | undefined =>
  new RegExp(` ${name}=(\\S*)`).exec(text)?.[1];

/** A frontend whose clients go to one of two backends, by the port that they come to. */
const twoBackends =
  (other: number, a: number, b: number, more = "") =>
  (port: number): string => `
frontend fe
  bind 127.0.0.1:${port}
  bind 127.0.0.1:${other}
  use_backend second if { dst_port ${other} }
  default_backend first
backend first
  server s1 127.0.0.1:${a}
backend second
  server s2 127.0.0.1:${b} ${more}`;

e2e("show sess tells who is connected to whom, and filters", async () => {
  await using a = startNamed("a");
  await using b = startNamed("b");
  const other = freePort();
  await using sluice = await start(twoBackends(other, a.port, b.port));
  const first = await visit({ port: sluice.port });
  await visit({ port: other });
  await visit({ port: other });
  const all = await sluice.ask("show sess");
  expect(idsOf(all)).toHaveLength(3);
  const line = all.split("\n").find((one) => field(one, "src") === `127.0.0.1:${first.localPort}`)!;
  expect([field(line, "fe"), field(line, "be"), field(line, "srv")]).toEqual(["fe", "first", "s1"]);
  expect(field(line, "proto")).toBe("tcpv4");
  expect(field(line, "out")).toBe("2");
  const count = async (words: string): Promise<number> =>
    idsOf(await sluice.ask(`show sess ${words}`)).length;
  expect(await count("backend second")).toBe(2);
  expect(await count("server second/s2 older 0")).toBe(2);
  expect(await count("frontend fe")).toBe(3);
  expect(await count("older 1h")).toBe(0);
  const [id] = idsOf(line);
  const full = await sluice.ask(`show sess ${id}`);
  expect(full).toContain(`source=127.0.0.1:${first.localPort}`);
  expect(full).toContain(`server=s1 (id=1) addr=127.0.0.1:${a.port}`);
  expect(full).toContain(`backend=first (id=3 mode=tcp) addr=127.0.0.1:${a.clientPorts[0]}`);
  first.leave();
  await until("it to be gone", async () => (await count("backend first")) === 0);
  expect(await sluice.ask(`show sess ${id}`)).toBe("Session not found.");
});

e2e("shutdown session ends the one, shutdown sessions all of a server or backend", async () => {
  await using a = startNamed("a");
  await using b = startNamed("b");
  await using syslog = await startSyslog();
  const other = freePort();
  const sections = twoBackends(other, a.port, b.port, "maxconn 1");
  const log = `  log 127.0.0.1:${syslog.port} local0`;
  await using sluice = await start(
    (port) => sections(port).replace("frontend fe", "frontend fe\n  log global\n  option tcplog"),
    2,
    log,
  );
  const visits = [];
  for (let i = 0; i < 6; i++) visits.push(await visit({ port: sluice.port }));
  const waiting = [askName({ port: other }), askName({ port: other }), askName({ port: other })];
  await until("one to be served", () => b.accepted >= 1);
  const [id] = idsOf(await sluice.ask("show sess server first/s1"));
  expect(await sluice.ask(`shutdown session ${id}`)).toBe("");
  expect(await sluice.ask(`shutdown session ${id}`)).toBe("No such session (use 'show sess').");
  await until("the server to be told", () => a.open === 5);
  expect(await sluice.ask("shutdown sessions server first/s1")).toBe("");
  await until("all others to be told", () => a.open === 0);
  await Promise.all(waiting);
  const last = await visit({ port: other });
  const queued = askName({ port: other });
  await until(
    "it to wait",
    async () => idsOf(await sluice.ask("show sess backend second")).length === 2,
  );
  expect(await sluice.ask("shutdown sessions backend second")).toBe("");
  expect(await queued).toBe("closed");
  expect(last.name).toBe("b");
  // As many as were served before, and none for those that waited.
  expect(b.accepted).toBe(4);
  const killed = await syslog.matching(/ K[-QC] /, 8);
  expect(killed.filter((text) => / K- /.test(text))).toHaveLength(7);
  expect(killed.filter((text) => / second\/<NOSRV> .* KQ /.test(text))).toHaveLength(1);
  expect(await sluice.ask("show sess")).toBe("");
});

e2e(
  "a list of thousands of streams waits for whoever reads it; traffic does not",
  async () => {
    await using echo = startEcho();
    await using named = startNamed("a");
    const other = freePort();
    const streams = 4000;
    await using sluice = await start(
      twoBackends(other, echo.port, named.port),
      2,
      "  maxconn 6000",
    );
    const open = await openWarmMany(sluice.port, streams);
    await sluice.ask("show sess");
    const before = residentBytes(sluice.pid);
    let text = "";
    let isPaused = true;
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const reader = await Bun.connect({
      unix: sluice.socket,
      socket: {
        data(socket, bytes) {
          text += bytes.toString("latin1");
          if (isPaused) socket.pause();
        },
        close: () => resolve(),
      },
    });
    reader.write("show sess\n");
    await until("the list to begin", () => text.length > 0);
    // While nobody reads on, others are served, and may ask.
    const names = await askNames({ port: other }, 300);
    expect(new Set(names)).toEqual(new Set(["a"]));
    expect(idsOf(await sluice.ask("show sess backend second older 1h"))).toEqual([]);
    const late = await openWarmMany(sluice.port, 200);
    expect(residentBytes(sluice.pid) - before).toBeLessThan(48 * MEGABYTE);
    expect(idsOf(text).length).toBeLessThan(streams);
    isPaused = false;
    reader.resume();
    await closed;
    const ids = idsOf(text);
    expect(new Set(ids).size).toBe(ids.length);
    // Those that came after the command are not listed.
    expect(ids.length).toBe(streams);
    expect(text).toEndWith("\n\n");
    for (const one of [...open, ...late]) one.close();
  },
  LIMIT_MS,
);

test(
  "a worker that does not answer is named, and holds up nobody for ever",
  async () => {
    await using server = startNamed("a");
    using folder = temporaryFolder();
    const port = freePort();
    const path = folder.file("haproxy.cfg");
    const socket = folder.file("api.sock");
    writeFileSync(
      path,
      `global\n  nbthread 2\n  stats socket ${socket} level admin\n  stats timeout 1m\n` +
        `defaults\n  mode tcp\n${LONG_TIMEOUTS}\n` +
        `listen fe\n  bind 127.0.0.1:${port}\n  server s1 127.0.0.1:${server.port}\n`,
    );
    const command = [process.execPath, "--preload", PRELOAD, MAIN, "-db", "-f", path];
    await using sluice = startProcess(command, { env: { SLUICE_LOG_FORMAT: "off" } });
    await until("sluice to listen", () => isListening(port) && Bun.file(socket).size >= 0);
    await visit({ port });
    const ids = (): Promise<string[]> => askApi(socket, "show sess").then(idsOf);
    while (new Set((await ids()).map((id) => id.slice(0, 3))).size < 2) await visit({ port });
    const all = await ids();
    const mutes = all.filter((id) => id.startsWith("0x1")).length;
    sluice.kill("SIGWINCH");
    await until("the silence to be noticed", () =>
      /Worker 1 has not answered for \d/.test(sluice.output()),
    );
    const listing = askApi(socket, "show sess");
    const ending = askApi(socket, "shutdown sessions server fe/s1");
    // Meanwhile everything else goes on.
    expect(await askApi(socket, "show sess server fe/s1 older 1h;show sess 0x1234")).toContain(
      "Session not found.",
    );
    expect(await listing).toContain(
      "# Worker 1 did not answer in time: its streams are not listed.",
    );
    const others = all.length - mutes;
    expect(await ending).toBe(
      `Worker 1 did not answer in time: ${others} streams of the others were shut down.`,
    );
    sluice.kill("SIGWINCH");
    // Whoever sends something rings the thread's bell: what was withheld had none.
    await until("it to go on", async () => {
      await ids();
      return /Worker 1 goes on after/.test(sluice.output());
    });
    // What it was asked for it does as soon as it hears of it.
    await until("its streams to end", () => server.open === 0);
    expect(sluice.output().match(/Worker 1 has not answered/g)).toHaveLength(1);
    expect(await ids()).toEqual([]);
  },
  LIMIT_MS,
);
