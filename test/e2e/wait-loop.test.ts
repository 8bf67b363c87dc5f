/** The whole life of a server and a backend, again and again, while traffic flows. */
import { expect } from "bun:test";
import { join } from "node:path";

import { ApiConnection } from "../support/api.ts";
import { startNamed } from "../support/peers.ts";
import { temporaryFolder } from "../support/procs.ts";
import { askName } from "../support/traffic.ts";
import { e2e, startSluice } from "./sluice.ts";

const ROUNDS = 1000;
const CLIENTS = 6;

e2e(
  `${ROUNDS} times: backend and server added, used, shut down, waited for and removed`,
  async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "api.sock");
    await using fixed = startNamed("fixed");
    await using changing = startNamed("changing");
    await using sluice = await startSluice(
      (port) => `defaults plain
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend fe
  bind 127.0.0.1:${port}
  use_backend %[str(coming)]
  default_backend stays
backend stays
  server s 127.0.0.1:${fixed.port}`,
      { workers: 4, global: `  stats socket ${path} level admin` },
    );
    await using api = await ApiConnection.open(path);
    const rowsBefore = await rows(api);
    let isOver = false;
    const names = new Map<string, number>();
    const loops = Array.from({ length: CLIENTS }, async () => {
      while (!isOver) {
        const name = await askName({ port: sluice.port });
        names.set(name, (names.get(name) ?? 0) + 1);
      }
    });
    const refused: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (const command of [
        "add backend coming from plain",
        `add server coming/s 127.0.0.1:${changing.port}`,
        "enable server coming/s",
        "publish backend coming",
        "unpublish backend coming",
        "disable server coming/s",
        "shutdown sessions server coming/s",
        "wait 5s srv-removable coming/s",
        "del server coming/s",
        "wait 5s be-removable coming",
        "del backend coming",
      ]) {
        const answer = await api.ask(command);
        if (answer.code !== "OK") refused.push(`${round}: ${command}: ${answer.text}`);
      }
    }
    isOver = true;
    await Promise.all(loops);
    expect(refused.slice(0, 3)).toEqual([]);
    // Clients reached both; who was shut down lost its connection, nobody else did.
    expect(names.get("fixed") ?? 0).toBeGreaterThan(0);
    expect(names.get("changing") ?? 0).toBeGreaterThan(0);
    expect(await rows(api)).toEqual(rowsBefore);
  },
  120_000,
);

async function rows(api: ApiConnection): Promise<unknown> {
  const { result } = await api.ask("show objects");
  return (result as { tables: unknown }).tables;
}
