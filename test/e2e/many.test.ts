/** Many connections: descriptors and memory return to where they were. */
import { expect, test } from "bun:test";

import { runWrk, startHttpServer } from "../../bench/loads.ts";
import { findSluice } from "../support/haproxy.ts";
import { startEcho } from "../support/peers.ts";
import { descriptorCount, residentBytes, until } from "../support/procs.ts";
import { openWarmMany } from "../support/traffic.ts";
import { e2e, listenOver, startSluice } from "./sluice.ts";

const CONNECTIONS = Number(process.env["SLUICE_TEST_CONNECTIONS"] ?? 5_000);
const SOAK_CONNECTIONS = Number(process.env["SLUICE_TEST_SOAK"] ?? 200_000);
const LIMIT_MS = 180_000;
const MEGABYTE = 2 ** 20;

/** What memory may differ by, from one cycle to the next, when nothing leaks. */
const JITTER_BYTES = 48 * MEGABYTE;
const CYCLES = 5;

e2e(
  "5,000 concurrent connections come, idle and go, five times",
  async () => {
    await using server = startEcho();
    await using sluice = await startSluice(listenOver([server.port]), {
      workers: 2,
      global: "  maxconn 6000",
    });
    for (const one of await openWarmMany(sluice.port, 10)) one.close();
    await until("the first to be gone", () => server.open === 0);
    const descriptors = descriptorCount(sluice.pid);
    const peaks: number[] = [];
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      const connections = await openWarmMany(sluice.port, CONNECTIONS);
      expect(server.open).toBe(CONNECTIONS);
      expect(descriptorCount(sluice.pid)).toBeGreaterThanOrEqual(2 * CONNECTIONS);
      peaks.push(residentBytes(sluice.pid));
      for (const one of connections) one.close();
      await until("descriptors to return", () => descriptorCount(sluice.pid) <= descriptors + 4);
      expect(server.open).toBe(0);
    }
    // The first cycles fill pools and compile what is hot.
    expect((peaks.at(-1) ?? 0) - (peaks[1] ?? 0)).toBeLessThan(JITTER_BYTES);
  },
  LIMIT_MS,
);

const hasTools = Bun.which("wrk") !== null && Bun.which("nginx") !== null;

test.skipIf(findSluice() === undefined || !hasTools)(
  `a soak of ${SOAK_CONNECTIONS} connections leaves no growth${hasTools ? "" : " (without wrk)"}`,
  async () => {
    await using server = await startHttpServer();
    await using sluice = await startSluice(listenOver([server.port]), { workers: 2 });
    const load = { port: sluice.port, connections: 50, isOneShot: true };
    let total = 0;
    let afterWarmup = 0;
    while (total < SOAK_CONNECTIONS) {
      const { requests, errors } = await runWrk({ ...load, seconds: 3 });
      expect(errors).toBe(0);
      total += requests;
      if (afterWarmup === 0) afterWarmup = residentBytes(sluice.pid);
    }
    const growth = residentBytes(sluice.pid) - afterWarmup;
    expect(growth).toBeLessThan(JITTER_BYTES);
    // Three listeners, pipes and logs; not one per connection.
    await until("descriptors to return", () => descriptorCount(sluice.pid) < 100);
  },
  LIMIT_MS,
);
