/**
 * Changes at full load: nothing dies but what was shut down, nothing stays behind.
 */
import { expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { ApiConnection } from "../support/api.ts";
import { freePort } from "../support/ports.ts";
import { residentBytes, until } from "../support/procs.ts";
import { Choices } from "../support/sim-random.ts";
import type { Death, StormReport } from "../support/storm-peers.ts";
import { Storm } from "../support/storm.ts";
import { e2e, startSluice } from "./sluice.ts";

/** Length of the storm; a longer one shows more of memory. */
const SECONDS = Number(process.env["SLUICE_TEST_STORM_SECONDS"] ?? 60);
const CLIENTS = 3;
const SERVERS = 6;
const WORKERS = 4;
/** Memory may move by this much between the first third and the end, in bytes. */
const GROWTH_MAX = 40 * 2 ** 20;

type Backend = { name: string; origins: Record<string, number> };

function makeBackends(client: number): Backend[] {
  return ["x", "y"].map((letter) => {
    const name = `${letter}${client}`;
    const names = Array.from({ length: SERVERS }, (_, i) => `${name}s${i}`);
    return { name, origins: Object.fromEntries(names.map((one) => [one, freePort()])) };
  });
}

e2e(
  `a storm of changes for ${SECONDS} seconds`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-storm-"));
    const path = join(folder, "api.sock");
    const backends = Array.from({ length: CLIENTS }, (_, i) => makeBackends(i));
    const stable = { stable1: freePort(), stable2: freePort() };
    const ports = backends.flatMap((own) => own.map(() => freePort()));
    const names = backends.flat().map(({ name }) => name);
    const frontends = names.map(
      (name, i) => `frontend f_${name}
  bind 127.0.0.1:${ports[i]}
  use_backend %[str(${name})]
  default_backend stable`,
    );
    const servers = Object.entries(stable).map(
      ([name, port]) => `  server ${name} 127.0.0.1:${port}`,
    );
    await using sluice = await startSluice(
      (port) => `defaults plain
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  balance leastconn
frontend quiet
  bind 127.0.0.1:${port}
  default_backend stable
${frontends.join("\n")}
backend stable
${servers.join("\n")}`,
      { workers: WORKERS, global: `  stats socket ${path} level admin` },
    );
    const origins = Object.assign({}, stable, ...backends.flat().map((one) => one.origins));
    const peers = await startPeers({
      origins,
      ports: [sluice.port, ...ports],
      shortClients: 3,
      longClients: 4,
    });
    const before = await footprint(path);
    const storms = backends.map((own, i) => new Storm(new Choices(i + 1, false, null), own));
    const untilMs = Date.now() + SECONDS * 1000;
    const running = storms.map((storm) => storm.run(path, untilMs));
    await Bun.sleep((SECONDS * 1000) / 3);
    const memoryEarly = residentBytes(sluice.pid);
    await Promise.all(running);
    const memoryLate = residentBytes(sluice.pid);
    const report = await peers.stop();
    expect(storms.flatMap(({ faults }) => faults).slice(0, 5)).toEqual([]);
    const isExplained = (death: Death): boolean => storms.some((storm) => storm.isExplained(death));
    expect(report.deaths.filter((death) => !isExplained(death)).slice(0, 5)).toEqual([]);
    expect(report.shorts).toBeGreaterThan(SECONDS * 50);
    for (const { counts } of storms) expect(counts["del server"]).toBeGreaterThan(SECONDS / 4);
    await until("everything to be freed", async () => {
      return JSON.stringify(await footprint(path)) === JSON.stringify(before);
    });
    const deleted = storms.reduce((sum, { counts }) => sum + (counts["del server"] ?? 0), 0);
    expect(await freedServers(path)).toBe(deleted);
    // Heaps of threads find their size within a minute.
    if (SECONDS >= 180) expect(memoryLate - memoryEarly).toBeLessThan(GROWTH_MAX);
    rmSync(folder, { recursive: true });
  },
  (SECONDS + 60) * 1000,
);

/** Rows in use, references held and objects: what must be the same before and after. */
async function footprint(path: string): Promise<unknown> {
  await using api = await ApiConnection.open(path);
  const { result } = await api.ask("show objects");
  const { tables, references, gracePeriods } = result as Record<string, unknown>;
  return { tables, references, gracePeriods };
}

/** Rows of servers that were freed: each has moved its generation on. */
async function freedServers(path: string): Promise<number | undefined> {
  await using api = await ApiConnection.open(path);
  const { result } = await api.ask("show objects");
  const { freed } = result as { freed: { name: string; freed: number }[] };
  return freed.find(({ name }) => name === "servers")?.freed;
}

async function startPeers(order: object): Promise<{ stop(): Promise<StormReport> }> {
  const script = join(import.meta.dir, "../support/storm-peers.ts");
  const child = Bun.spawn([process.execPath, script], { stdin: "pipe", stdout: "pipe" });
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  let text = "";
  const read = async (): Promise<boolean> => {
    const { value, done } = await reader.read();
    text += decoder.decode(value);
    return done;
  };
  child.stdin.write(`${JSON.stringify(order)}\n`);
  await child.stdin.flush();
  while (!text.includes("ready\n")) if (await read()) throw new Error("the peers are gone");
  child.stdin.write("go\n");
  await child.stdin.flush();
  return {
    async stop() {
      await child.stdin.end();
      while (!(await read()));
      await child.exited;
      return JSON.parse(text.slice(text.indexOf("\n") + 1)) as StormReport;
    },
  };
}
