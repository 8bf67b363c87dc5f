/** From exec to the first answer through the proxy, with a small and with big configurations. */
import { openWarm } from "../../test/support/traffic.ts";
import { startEcho } from "../loads.ts";
import type { Context, Wanted, Workload } from "../workload.ts";

const BACKENDS = 10_000;
const SERVERS = 20_000;
const STARTS = 5;
const RETRY_MS = 1;
const START_LIMIT_MS = 60_000;

/** Milliseconds until the first byte came back. */
async function measureStart(context: Context, wanted: Wanted): Promise<number> {
  const begin = performance.now();
  await using proxy = context.launch(wanted);
  for (;;) {
    try {
      (await openWarm(proxy.frontPort)).close();
      break;
    } catch {
      if (proxy.process.hasExited()) throw new Error(proxy.process.output());
      if (performance.now() - begin > START_LIMIT_MS) throw new Error("no answer");
      await Bun.sleep(RETRY_MS);
    }
  }
  return performance.now() - begin;
}

/** Start with a small configuration: the best of a few, since everything else is noise. */
export const start: Workload = {
  name: "start",
  what: `exec to first answer, best of ${STARTS}`,
  metrics: [{ name: "time", unit: "ms", better: "lower", valueMax: 150 }],
  async run(context) {
    await using server = startEcho();
    const times: number[] = [];
    for (let i = 0; i < STARTS; i++) {
      times.push(await measureStart(context, { serverPort: server.port }));
    }
    return [Math.min(...times)];
  },
};

/** Start with many backends. */
export const loadBackends: Workload = {
  name: "load-backends",
  what: "exec to first answer, 10,000 backends",
  metrics: [{ name: "time", unit: "ms", better: "lower" }],
  async run(context) {
    await using server = startEcho();
    const extraBackends = Math.round(BACKENDS * context.effort.scale);
    return [await measureStart(context, { serverPort: server.port, extraBackends })];
  },
};

/** Start with many servers in one backend. */
export const loadServers: Workload = {
  name: "load-servers",
  what: "exec to first answer, one backend with 20,000 servers",
  metrics: [{ name: "time", unit: "ms", better: "lower" }],
  async run(context) {
    await using server = startEcho();
    const servers = Math.round(SERVERS * context.effort.scale);
    return [await measureStart(context, { serverPort: server.port, servers })];
  },
};
