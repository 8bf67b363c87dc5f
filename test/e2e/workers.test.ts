/**
 * The loss of a worker: its streams end, everything it held is given back, a new one takes its
 * place, and nobody else notices. The program runs from its sources here, with a way to kill a
 * thread of it (lose-worker.ts): from outside a process no single thread can be killed.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { askApi } from "../support/api.ts";
import { startNamed } from "../support/peers.ts";
import { freePort, isListening } from "../support/ports.ts";
import { type Process, startProcess, temporaryFolder, until } from "../support/procs.ts";
import { askName, countEach, visit } from "../support/traffic.ts";
import { listenOver, LONG_TIMEOUTS } from "./sluice.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const PRELOAD = join(import.meta.dir, "lose-worker.ts");

interface Mortal extends Process {
  port: number;
  /** Socket of the runtime API. */
  api: string;
  /** Kills a worker and waits until the program says that it has noticed, for the n-th time. */
  loseWorker(): Promise<void>;
}

/** Starts the program from its sources, over these servers. */
async function startMortal(servers: readonly string[], workers: number): Promise<Mortal> {
  const folder = temporaryFolder();
  const port = freePort();
  const path = folder.file("haproxy.cfg");
  const api = folder.file("api.sock");
  const socket = `  stats socket ${api} level admin\n`;
  const head = `global\n  nbthread ${workers}\n${socket}defaults\n  mode tcp\n${LONG_TIMEOUTS}\n`;
  writeFileSync(path, `${head}${listenOver(servers)(port)}\n`);
  const command = [process.execPath, "--preload", PRELOAD, MAIN, "-db", "-f", path];
  const child = startProcess(command, { env: { SLUICE_LOG_FORMAT: "off" } });
  await until("sluice to listen", () => {
    if (child.hasExited()) throw new Error(child.output());
    return isListening(port);
  });
  let losses = 0;
  return {
    ...child,
    port,
    api,
    async loseWorker() {
      losses++;
      child.kill("SIGWINCH");
      const said = (): number => (child.output().match(/Worker \d+ is gone/g) ?? []).length;
      await until(`loss ${losses} to be noticed`, () => said() >= losses);
    },
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

test("lost workers: their clients are told, their places at the server are free again", async () => {
  await using server = startNamed("s1");
  await using sluice = await startMortal([`${server.port} maxconn 8`], 2);
  for (let i = 0; i < 8; i++) await visit({ port: sluice.port });
  await until("the server to be full", () => server.open === 8);
  // Both workers in turn: whichever had them, all eight places are free again afterwards.
  await sluice.loseWorker();
  await sluice.loseWorker();
  await until("its streams to end", () => server.open === 0);
  const names = [];
  for (let i = 0; i < 8; i++) names.push((await visit({ port: sluice.port })).name);
  expect(names).toEqual(Array.from({ length: 8 }, () => "s1"));
  expect(server.openMax).toBe(8);
});

test("a listener that was removed is forgotten although a worker with its clients dies", async () => {
  // Only what was still there was given back: the row was held for ever.
  await using server = startNamed("s1");
  await using sluice = await startMortal([`${server.port}`], 1);
  await visit({ port: sluice.port });
  const ask = (line: string): Promise<string> => askApi(sluice.api, line);
  expect(await ask(`del bind fe/127.0.0.1:${sluice.port}`)).toContain("Listener deleted");
  expect(await ask("show objects")).toContain("listeners: 0 objects, 1 rows");
  await sluice.loseWorker();
  await until("its row to be free", async () => {
    return (await ask("show objects")).includes("listeners: 0 objects, 0 rows");
  });
});

test("who waits in a queue is served although another worker dies", async () => {
  await using server = startNamed("s1");
  await using sluice = await startMortal([`${server.port} maxconn 1`], 2);
  const first = await visit({ port: sluice.port });
  const waiting = Array.from({ length: 6 }, () => askName({ port: sluice.port }));
  await sluice.loseWorker();
  first.leave();
  const counts = countEach(await Promise.all(waiting));
  // Those of the lost worker were closed, the others have been served one by one.
  expect((counts["s1"] ?? 0) + (counts["closed"] ?? 0) + (counts["reset"] ?? 0)).toBe(6);
  expect(server.openMax).toBe(1);
  expect(await askName({ port: sluice.port })).toBe("s1");
});

test("workers die under load: service goes on", async () => {
  await using a = startNamed("a");
  await using b = startNamed("b");
  await using sluice = await startMortal([String(a.port), String(b.port)], 2);
  const answers: string[] = [];
  let isOver = false;
  const loops = Array.from({ length: 10 }, async () => {
    while (!isOver) answers.push(await askName({ port: sluice.port }));
  });
  for (let i = 0; i < 4; i++) {
    const before = answers.length;
    await until("load", () => answers.length > before + 200);
    await sluice.loseWorker();
  }
  const before = answers.length;
  await until("load after the last loss", () => answers.length > before + 300);
  isOver = true;
  await Promise.all(loops);
  const counts = countEach(answers);
  // Each loss takes at most what its worker had: a connection per loop, and as many in its backlog.
  const failed = answers.length - (counts["a"] ?? 0) - (counts["b"] ?? 0);
  expect(failed).toBeLessThanOrEqual(4 * 2 * 10);
  expect(sluice.hasExited()).toBe(false);
  await until("the servers to be left", () => a.open + b.open === 0);
});
