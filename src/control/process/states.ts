/**
 * The states of proxies and servers as sentences, in HAProxy's words: what SIGHUP puts into the
 * log and what a soft stop says of each proxy.
 */
import { BACK_COUNT_SESSIONS, BACK_COUNT_STRIDE } from "../../tables/generated/back-count.ts";
import { SERVER_STATE_DOWN, SERVER_STATE_MAINT } from "../../tables/generated/enums.ts";
import { FRONT_COUNT_CONNECTIONS, FRONT_COUNT_STRIDE } from "../../tables/generated/front-count.ts";
import * as proxyRow from "../../tables/generated/proxy.ts";
import * as serverRow from "../../tables/generated/server.ts";
import type { Tables } from "../../tables/tables.ts";
import { proxyStopped } from "../logs/sentences.ts";
import type { Notice } from "../logs/sentences.ts";
import type { Model, ProxyObject, ServerObject } from "../model.ts";

/** One sentence a server, one a proxy. O(servers). */
export function describeStates(model: Model): string[] {
  const lines: string[] = [];
  for (const proxy of model.proxies) {
    for (const server of proxy.servers) lines.push(describeServer(model.tables, server));
    lines.push(describeProxy(model.tables, proxy));
  }
  return lines;
}

function describeServer(tables: Tables, { row, spec, backend }: ServerObject): string {
  const words = tables.servers.words;
  const state = Atomics.load(words, row + serverRow.SERVER_STATE);
  const isDown = state === SERVER_STATE_DOWN || state === SERVER_STATE_MAINT;
  const active = words[row + serverRow.SERVER_SERVED];
  const pending = words[row + serverRow.SERVER_QUEUE_LENGTH];
  const total = sessionsOf(tables, "serverBack", row / serverRow.SERVER_STRIDE);
  return (
    `SIGHUP: Server ${backend.spec.name}/${spec.name} is ${isDown ? "DOWN" : "UP"}. ` +
    `Conn: ${active} act, ${pending} pend, ${total} tot.`
  );
}

function describeProxy(tables: Tables, { row, spec, servers }: ProxyObject): string {
  const words = tables.proxies.words;
  const front = words[row + proxyRow.PROXY_FRONT_CURRENT];
  const back = words[row + proxyRow.PROXY_BACK_CURRENT];
  const unassigned = words[row + proxyRow.PROXY_QUEUE_LENGTH];
  const pending = words[row + proxyRow.PROXY_QUEUE_TOTAL];
  const index = row / proxyRow.PROXY_STRIDE;
  const counts =
    `Conn: act(FE+BE): ${front}+${back}, ${pending} pend (${unassigned} unass), ` +
    `tot(FE+BE): ${acceptedOf(tables, index)}+${sessionsOf(tables, "proxyBack", index)}.`;
  const active = words[row + proxyRow.PROXY_ACTIVE_UP]!;
  const backup = words[row + proxyRow.PROXY_BACKUP_UP]!;
  if (servers.length === 0) return `SIGHUP: Proxy ${spec.name} has no servers. ${counts}`;
  if (active + backup === 0)
    return `SIGHUP: Proxy ${spec.name} has no server available ! ${counts}`;
  if (active === 0) return `SIGHUP: Proxy ${spec.name} is running on backup servers. ${counts}`;
  const tiers = `${active} active and ${backup} backup servers available.`;
  return `SIGHUP: Proxy ${spec.name} has ${tiers} ${counts}`;
}

/** What a soft stop says of each proxy, with the connections that it has seen. */
export function describeStopped(model: Model): { proxy: ProxyObject; notice: Notice }[] {
  return model.proxies.map((proxy) => ({ proxy, notice: stoppedNotice(model.tables, proxy) }));
}

/** What is said of a proxy that has stopped, with the connections that it has seen. */
export function stoppedNotice(tables: Tables, { row, spec }: ProxyObject): Notice {
  const index = row / proxyRow.PROXY_STRIDE;
  const front = acceptedOf(tables, index);
  return proxyStopped(spec.name, front, sessionsOf(tables, "proxyBack", index));
}

/** What a hard stop says of each proxy that still has connections. */
export function describeCut(model: Model): { proxy: ProxyObject; notice: Notice }[] {
  const words = model.tables.proxies.words;
  return model.proxies.flatMap((proxy) => {
    const count = words[proxy.row + proxyRow.PROXY_FRONT_CURRENT]!;
    if (count === 0) return [];
    const rest = `hard-stopped (${count} remaining conns will be closed).`;
    return [{ proxy, notice: { level: 4, text: `Proxy ${proxy.spec.name} ${rest}` } }];
  });
}

function sessionsOf(tables: Tables, shard: "serverBack" | "proxyBack", index: number): number {
  const cell = (index * BACK_COUNT_STRIDE + BACK_COUNT_SESSIONS) >> 1;
  return tables.perWorker.reduce((sum, worker) => sum + worker[shard].floats[cell]!, 0);
}

function acceptedOf(tables: Tables, index: number): number {
  const cell = (index * FRONT_COUNT_STRIDE + FRONT_COUNT_CONNECTIONS) >> 1;
  return tables.perWorker.reduce((sum, worker) => sum + worker.proxyFront.floats[cell]!, 0);
}
