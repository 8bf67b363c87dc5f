/**
 * A server is marked down or up under load, with four workers: whoever is to end ends by its own
 * worker, nobody else does, and nobody is sent to a server that has been marked down.
 */
import { expect } from "bun:test";

import { askApiPort } from "../support/api.ts";
import { type Peer, startNamed } from "../support/peers.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/procs.ts";
import { askName, type Visit, visit } from "../support/traffic.ts";
import { e2e, startSluice } from "./sluice.ts";

const WORKERS = 4;
const HELD = 200;
const CLIENTS = 8;
/** For what was under way when a server was marked: connections that its kernel has taken. */
const SETTLE_MS = 300;
/** How long nobody may come after that. */
const WATCH_MS = 1500;

type Lab = { port: number; api: (line: string) => Promise<string> };

async function hold(port: number, count: number): Promise<Visit[]> {
  const visits: Visit[] = [];
  for (let left = count; left > 0; left -= 20) {
    visits.push(...(await Promise.all(Array.from({ length: 20 }, () => visit({ port })))));
  }
  return visits;
}

/** Clients that come and go until they are told to stop. @returns answers, counted */
function load(port: number): { stop(): Promise<Map<string, number>> } {
  const answers = new Map<string, number>();
  let isOver = false;
  const runs = Array.from({ length: CLIENTS }, async () => {
    while (!isOver) {
      const name = await askName({ port });
      answers.set(name, (answers.get(name) ?? 0) + 1);
    }
  });
  return {
    async stop() {
      isOver = true;
      await Promise.all(runs);
      return answers;
    },
  };
}

/** Runs a case over two servers, which are checked once at the start and never again. */
async function withServers(
  lines: (s1: Peer, s2: Peer) => string,
  run: (lab: Lab, s1: Peer, s2: Peer) => Promise<void>,
): Promise<void> {
  await using s1 = startNamed("s1");
  await using s2 = startNamed("s2");
  const api = freePort();
  await using sluice = await startSluice(
    (port) => `listen be\n  bind 127.0.0.1:${port}\n${lines(s1, s2)}`,
    { workers: WORKERS, global: `  stats socket 127.0.0.1:${api} level admin` },
  );
  await run({ port: sluice.port, api: (line) => askApiPort(api, line) }, s1, s2);
}

const LIMIT_MS = 120_000;

e2e(
  "on-marked-down shutdown-sessions under load: its streams end, those of others go on",
  () =>
    withServers(
      (s1, s2) => `  balance roundrobin
  server s1 127.0.0.1:${s1.port} check inter 600s on-marked-down shutdown-sessions
  server s2 127.0.0.1:${s2.port} check inter 600s`,
      async ({ port, api }, s1, s2) => {
        const held = await hold(port, HELD);
        const running = load(port);
        expect(s1.open).toBeGreaterThanOrEqual(HELD / 2);
        const onOther = held.filter(({ name }) => name === "s2");
        await api("set server be/s1 health down");
        await until("its streams to end", () => s1.open === 0);
        const answers = await running.stop();
        // Those of the other are there yet; nobody was hit but who was on s1 in that moment.
        await until("the load to leave", () => s2.open === onOther.length);
        const hit = (answers.get("closed") ?? 0) + (answers.get("reset") ?? 0);
        expect(hit).toBeLessThanOrEqual(CLIENTS);
        expect(answers.get("s2")).toBeGreaterThan(10);
        for (const one of held) one.leave();
      },
    ),
  LIMIT_MS,
);

e2e(
  "on-marked-up shutdown-backup-sessions under load: streams of backups end",
  () =>
    withServers(
      (s1, s2) => `  balance roundrobin
  server s1 127.0.0.1:${s1.port} check inter 600s on-marked-up shutdown-backup-sessions
  server s2 127.0.0.1:${s2.port} backup`,
      async ({ port, api }, s1, s2) => {
        const early = await visit({ port });
        expect(early.name).toBe("s1");
        await api("set server be/s1 health down");
        const held = await hold(port, HELD);
        expect(new Set(held.map(({ name }) => name))).toEqual(new Set(["s2"]));
        await api("set server be/s1 health up");
        await until("the backup's streams to end", () => s2.open === 0);
        expect(s1.open).toBe(1);
        expect(await askName({ port })).toBe("s1");
        for (const one of [early, ...held]) one.leave();
      },
    ),
  LIMIT_MS,
);

for (const [title, more] of [
  ["", ""],
  [", with streams that wait for slots", " maxconn 2"],
] as const) {
  e2e(
    `nobody is sent to a server that is marked down${title}`,
    () =>
      withServers(
        (s1, s2) => `  balance leastconn
  option redispatch
  server s1 127.0.0.1:${s1.port} check inter 600s${more}
  server s2 127.0.0.1:${s2.port} check inter 600s${more}`,
        async ({ port, api }, s1, s2) => {
          const running = load(port);
          for (const [down, up] of [
            ["health down", "health up"],
            ["state maint", "state ready"],
          ] as const) {
            await until("both to serve", () => s1.accepted > 50 && s2.accepted > 50);
            await api(`set server be/s1 ${down}`);
            await Bun.sleep(SETTLE_MS);
            const before = [s1.accepted, s2.accepted] as const;
            await Bun.sleep(WATCH_MS);
            expect(s1.accepted).toBe(before[0]);
            expect(s2.accepted).toBeGreaterThan(before[1] + 20);
            await api(`set server be/s1 ${up}`);
            await until("it to serve again", () => s1.accepted > before[0] + 50);
          }
          const answers = await running.stop();
          expect([...answers.keys()].sort()).toEqual(["s1", "s2"]);
        },
      ),
    LIMIT_MS,
  );
}
