/** Outlier ejection and peak-ewma with real connections: who is left alone, and who comes back. */
import { expect } from "bun:test";

import { askApiPort } from "../support/api.ts";
import { startNamed, startPeer } from "../support/peers.ts";
import type { Peer } from "../support/peers.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/procs.ts";
import { statOf } from "../support/server-stat.ts";
import { askName, askNames, countEach } from "../support/traffic.ts";
import { e2e, listenOver, startSluice } from "./sluice.ts";

const RETRYING = "  retries 3\n  option redispatch 1\n";

/** Says its name, late. */
function startLate(name: string, delayMs: number): Peer {
  return startPeer({ open: (socket) => void setTimeout(() => socket.write(`${name}\n`), delayMs) });
}

/** Starts sluice over these ports with lines of the section, and what asks its runtime API. */
async function startOver(ports: readonly number[], lines: string) {
  const api = freePort();
  const sluice = await startSluice(listenOver(ports, `${RETRYING}${lines}`), {
    workers: 2,
    global: `  stats socket 127.0.0.1:${api} level admin`,
  });
  const statusOf = async (server: string): Promise<string> =>
    (await statOf(api, "fe", server, ["status"]))["status"] ?? "";
  return { sluice, api, statusOf };
}

/** Clients come until the condition holds. */
async function askUntil(port: number, what: string, isSo: () => Promise<boolean>): Promise<void> {
  await until(what, async () => {
    await askNames({ port }, 20);
    return await isSo();
  });
}

e2e(
  "a server that refuses is ejected without a check, and comes back when it is well",
  async () => {
    await using a = startNamed("a");
    await using b = startNamed("b");
    await using dead = startNamed("c");
    dead.kill();
    const { sluice, statusOf } = await startOver(
      [a.port, b.port, dead.port],
      "  outlier-ejection interval 200ms samples 5 eject 1s",
    );
    await using _stop = sluice;
    const { port } = sluice;
    await askUntil(port, "s3 to be ejected", async () =>
      (await statusOf("s3")).startsWith("DRAIN"),
    );
    await using again = startNamed("c", dead.port);
    await askUntil(port, "s3 to be used again", async () => again.accepted > 0);
    expect(await statusOf("s3")).toBe("no check");
    const counts = countEach(await askNames({ port }, 60));
    expect(Object.keys(counts).toSorted()).toEqual(["a", "b", "c"]);
  },
);

e2e("a server that answers late is ejected: nobody meets it then", async () => {
  await using a = startNamed("a");
  await using b = startNamed("b");
  await using late = startLate("late", 200);
  const { sluice, api, statusOf } = await startOver(
    [a.port, b.port, late.port],
    "  outlier-ejection interval 200ms samples 5 eject 1h",
  );
  await using _stop = sluice;
  const { port } = sluice;
  await askUntil(
    port,
    "s3 to be ejected",
    async () => (await statusOf("s3")) === "DRAIN (ejected)",
  );
  const counts = countEach(await askNames({ port }, 100));
  expect(counts).toEqual({ a: 50, b: 50 });
  const told = await askApiPort(api, "show outliers fe");
  expect(told).toMatch(/s3: ejected, \S+ left \(its first byte takes \S+, more than 300% of/);
  expect(await askApiPort(api, "why server fe/s3")).toContain(", ejected for another ");
});

e2e("peak-ewma leaves a server that refuses alone after the first attempts", async () => {
  await using a = startNamed("a");
  await using b = startNamed("b");
  await using c = startNamed("c");
  await using dead = startNamed("d");
  dead.kill();
  const { sluice, api } = await startOver(
    [a.port, b.port, c.port, dead.port],
    "  balance peak-ewma decay 1h",
  );
  await using _stop = sluice;
  const names: string[] = [];
  for (let i = 0; i < 200; i++) names.push(await askName({ port: sluice.port }));
  expect(Object.keys(countEach(names)).toSorted()).toEqual(["a", "b", "c"]);
  const { wredis } = await statOf(api, "fe", "s4", ["wredis"]);
  // Each failure is a redispatch; blindly it would be fifty.
  expect(Number(wredis)).toBeGreaterThan(0);
  expect(Number(wredis)).toBeLessThan(10);
});

e2e("peak-ewma first-byte sends nearly nobody to a server that answers late", async () => {
  await using a = startNamed("a");
  await using b = startNamed("b");
  await using late = startLate("late", 100);
  const { sluice } = await startOver(
    [a.port, b.port, late.port],
    "  balance peak-ewma first-byte decay 1h",
  );
  await using _stop = sluice;
  const names: string[] = [];
  for (let i = 0; i < 150; i++) names.push(await askName({ port: sluice.port }));
  expect(countEach(names)["late"] ?? 0).toBeLessThan(10);
});
