/**
 * The control plane: long answers, changes over one connection, and what a storm of changes does to
 * the requests that are proxied meanwhile. nginx has no runtime API and is left out.
 */
import { connectRuntime } from "../loads-runtime.ts";
import type { RuntimeClient } from "../loads-runtime.ts";
import { runWrk, startHttpServer } from "../loads.ts";
import type { Context, Running, Workload } from "../workload.ts";

const BACKENDS = 10_000;
const SERVERS = 10;
const MEGABYTE = 1e6;
/** Backends that changes go round. */
const CHANGED_BACKENDS = 200;
const CONNECTIONS = 4;
const CONTESTANTS = ["sluice", "haproxy"] as const;

function bigSetup(context: Context, port: number): Promise<Running> {
  const extraBackends = Math.max(CHANGED_BACKENDS, Math.round(BACKENDS * context.effort.scale));
  return context.start({
    serverPort: port,
    extraBackends,
    extraServers: SERVERS,
    hasRuntime: true,
  });
}

/** `show stat` of 10,000 backends with 10 servers each. */
export const controlShow: Workload = {
  name: "control-show",
  what: "show stat, 10,000 backends with 10 servers each",
  contestants: CONTESTANTS,
  metrics: [
    { name: "rate", unit: "MB/s", better: "higher" },
    { name: "objects", unit: "1/ms", better: "higher" },
  ],
  async run(context) {
    await using origin = await startHttpServer();
    await using proxy = await bigSetup(context, origin.port);
    await using client = await connectRuntime(proxy.runtimeSocket);
    await client.ask("show stat");
    const begin = performance.now();
    const answer = await client.ask("show stat");
    const tookMs = performance.now() - begin;
    const lines = answer.split("\n").length;
    return [answer.length / MEGABYTE / (tookMs / 1000), lines / tookMs];
  },
};

/** `add server` and `enable server` one after the other, while requests are proxied. */
export const controlChanges: Workload = {
  name: "control-add",
  what: "add server + enable server over one connection, beside wrk",
  contestants: CONTESTANTS,
  metrics: [{ name: "servers added", unit: "1/s", better: "higher" }],
  async run(context) {
    await using origin = await startHttpServer();
    await using proxy = await bigSetup(context, origin.port);
    await using client = await connectRuntime(proxy.runtimeSocket);
    const seconds = context.effort.seconds + context.effort.warmupSeconds;
    const traffic = runWrk({ port: proxy.frontPort, connections: CONNECTIONS, seconds });
    await addServers(client, origin.port, context.effort.warmupSeconds * 500, "warm");
    const begin = performance.now();
    const untilMs = begin + context.effort.seconds * 800;
    let added = 0;
    while (performance.now() < untilMs) {
      await addServers(client, origin.port, 50, `n${added}x`);
      added += 50;
    }
    const rate = added / ((performance.now() - begin) / 1000);
    await traffic;
    return [rate];
  },
};

async function addServers(
  client: RuntimeClient,
  port: number,
  count: number,
  prefix: string,
): Promise<void> {
  for (let i = 0; i < count; i++) {
    const name = `extra${i % CHANGED_BACKENDS}/${prefix}${i}`;
    await client.expect(`add server ${name} 127.0.0.1:${port}`, "New server registered.");
    await client.expect(`enable server ${name}`, "");
  }
}

/** Requests alone, then beside a storm of changes to backends that they do not use. */
export const controlStorm: Workload = {
  name: "control-storm",
  what: `wrk, ${CONNECTIONS} kept-alive connections, beside add, enable, disable and del server`,
  contestants: CONTESTANTS,
  metrics: [
    { name: "p99 in the storm", unit: "µs", better: "lower" },
    { name: "p99 alone", unit: "µs", better: "lower" },
    { name: "storm / alone", unit: "×", better: "lower", valueMax: 1.2 },
    { name: "changes", unit: "1/s", better: "higher" },
  ],
  async run(context) {
    const { effort } = context;
    await using origin = await startHttpServer();
    await using proxy = await bigSetup(context, origin.port);
    await using client = await connectRuntime(proxy.runtimeSocket);
    const load = { port: proxy.frontPort, connections: CONNECTIONS, seconds: effort.seconds };
    if (effort.warmupSeconds > 0) await runWrk({ ...load, seconds: effort.warmupSeconds });
    const alone = await runWrk(load);
    let isOver = false;
    const storm = changeOn(client, origin.port, () => isOver);
    const crowded = await runWrk(load);
    isOver = true;
    const changes = (await storm) / effort.seconds;
    return [crowded.p99Us, alone.p99Us, crowded.p99Us / alone.p99Us, changes];
  },
};

/** A controller's pace: 400 servers a second come and go. @returns changes made */
const ROUNDS_PER_SECOND = 400;

async function changeOn(
  client: RuntimeClient,
  port: number,
  isOver: () => boolean,
): Promise<number> {
  let changes = 0;
  const begin = performance.now();
  for (let round = 0; !isOver(); round++) {
    const name = `extra${round % CHANGED_BACKENDS}/storm`;
    await client.expect(`add server ${name} 127.0.0.1:${port}`, "New server registered.");
    await client.expect(`enable server ${name}`, "");
    await client.expect(`disable server ${name}`, "");
    await client.expect(`del server ${name}`, "Server deleted.");
    changes += 4;
    const aheadMs = (round / ROUNDS_PER_SECOND) * 1000 - (performance.now() - begin);
    if (aheadMs > 1) await Bun.sleep(aheadMs);
  }
  return changes;
}
