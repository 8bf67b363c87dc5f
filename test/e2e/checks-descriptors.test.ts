/**
 * More slow servers than there are descriptors: checks take turns, each server is judged by its own
 * silence, and traffic and the runtime API have what they need.
 */
import { expect } from "bun:test";

import { askApi } from "../support/api.ts";
import { startNamed } from "../support/peers.ts";
import { descriptorCount, temporaryFolder, until } from "../support/procs.ts";
import { visit } from "../support/traffic.ts";
import { e2e, startSluice } from "./sluice.ts";

const DESCRIPTORS = 250;
const SERVERS = 400;

e2e("400 silent servers within 250 descriptors", async () => {
  using folder = temporaryFolder();
  const api = folder.file("api.sock");
  // It accepts and says nothing.
  using silent = Bun.listen({ hostname: "0.0.0.0", port: 0, socket: { data: () => undefined } });
  await using named = startNamed("t");
  const servers = Array.from({ length: SERVERS }, (_, i) => {
    const address = `127.1.${i >> 8}.${i & 255}:${silent.port}`;
    return `  server s${i} ${address} check inter 500ms rise 1 fall 1`;
  });
  await using sluice = await startSluice(
    (port) => `frontend fe
  bind 127.0.0.1:${port}
  default_backend traffic
backend traffic
  server t 127.0.0.1:${named.port}
backend slow
  option httpchk
  timeout check 300ms
${servers.join("\n")}`,
    {
      global: `  stats socket ${api} level admin\n  maxconn 10\n  no strict-limits`,
      shellBefore: `ulimit -n ${DESCRIPTORS}`,
    },
  );
  expect(sluice.output()).toContain("checks run at a time");
  let most = 0;
  const states = async (): Promise<Map<string, number>> => {
    most = Math.max(most, descriptorCount(sluice.pid));
    const found = new Map<string, number>();
    for (const line of (await askApi(api, "show stat")).split("\n")) {
      const fields = line.split(",");
      if (fields[0] !== "slow" || fields[1] === "BACKEND") continue;
      const state = `${fields[17]} ${fields[36]}`.replace("* ", "");
      found.set(state, (found.get(state) ?? 0) + 1);
    }
    return found;
  };
  await until("all to be down for their silence", async () => {
    await Bun.sleep(100);
    return (await states()).get("DOWN L7TOUT") === SERVERS;
  });
  expect((await visit({ port: sluice.port })).name).toBe("t");
  expect(most).toBeGreaterThan(DESCRIPTORS / 2);
  expect(most).toBeLessThanOrEqual(DESCRIPTORS);
});
