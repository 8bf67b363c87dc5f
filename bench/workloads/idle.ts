/** Memory of connections that have been used once and now wait. */
import { openWarmMany } from "../../test/support/traffic.ts";
import { startEcho } from "../loads.ts";
import type { Workload } from "../workload.ts";

const SETTLE_MS = 300;
const KILOBYTE = 1024;
const MEGABYTE = KILOBYTE * KILOBYTE;

/** Resident memory per idle proxied connection. */
export const idle: Workload = {
  name: "idle",
  what: "idle proxied connections, after one byte each way (5,000 in a full run)",
  metrics: [
    { name: "memory per connection", unit: "KiB", better: "lower", goal: 1.5 },
    { name: "memory before", unit: "MiB", better: "lower" },
  ],
  async run({ start, effort }) {
    await using server = startEcho();
    await using proxy = await start({ serverPort: server.port });
    // A few first, so that what is allocated once does not count as a connection's.
    for (const first of await openWarmMany(proxy.frontPort, 10)) first.close();
    await Bun.sleep(SETTLE_MS);
    const before = proxy.residentBytes();
    const connections = await openWarmMany(proxy.frontPort, effort.connections);
    await Bun.sleep(SETTLE_MS);
    const perConnection = (proxy.residentBytes() - before) / connections.length;
    for (const connection of connections) connection.close();
    return [perConnection / KILOBYTE, before / MEGABYTE];
  },
};
