/**
 * What balancing knows, for logs, samples and the runtime API. Read plainly and without the lock:
 * a number may be a moment old.
 */
import {
  PROXY_FLAG_ALL_BACKUPS,
  QUEUE_FLAG_MOVED,
  SERVER_STATE_DRAIN,
  SERVER_STATE_UP,
} from "../tables/generated/enums.ts";
import {
  PROXY_ACTIVE_UP,
  PROXY_BACKUP_UP,
  PROXY_FLAGS,
  PROXY_QUEUE_TOTAL,
  PROXY_STRIDE,
  PROXY_TOTAL_WEIGHT,
} from "../tables/generated/proxy.ts";
import { QUEUE_FLAGS, QUEUE_SERVER_ROW } from "../tables/generated/queue.ts";
import {
  SERVER_BACKEND_ROW,
  SERVER_MAXCONN,
  SERVER_MAXQUEUE,
  SERVER_QUEUE_LENGTH,
  SERVER_SERVED,
  SERVER_STATE,
  SERVER_TIER_WEIGHT,
} from "../tables/generated/server.ts";
import type { Lb } from "./lb.ts";
import { serverLimit, UNLIMITED } from "./limit.ts";
import { weightInForce } from "./tier.ts";
import { WEIGHT_SCALE } from "./weight.ts";

/** Whether `row` is the beginning of a record that the proxy table has room for. */
export function isInTables(lb: Lb, row: number): boolean {
  return row > 0 && row % PROXY_STRIDE === 0 && row + PROXY_STRIDE <= lb.proxies.length;
}

/** Neither down nor in maintenance (manual 7.3.2, `srv_is_up`): it may be drained. */
export function isServing(lb: Lb, serverRow: number): boolean {
  const state = lb.servers[serverRow + SERVER_STATE]!;
  return state === SERVER_STATE_UP || state === SERVER_STATE_DRAIN;
}

/** Usable servers as `nbsrv` counts them: of the tier in use, one if only the first backup is. */
export function usableServers(lb: Lb, backendRow: number): number {
  const active = lb.proxies[backendRow + PROXY_ACTIVE_UP]!;
  if (active > 0) return active;
  const backup = lb.proxies[backendRow + PROXY_BACKUP_UP]!;
  const isAll = (lb.proxies[backendRow + PROXY_FLAGS]! & PROXY_FLAG_ALL_BACKUPS) !== 0;
  return isAll ? backup : Math.min(backup, 1);
}

/** Total weight of the tier in use, as the configuration counts it. */
export function usableWeight(lb: Lb, backendRow: number): number {
  return Math.round(lb.proxyFloats[(backendRow + PROXY_TOTAL_WEIGHT) >> 1]! / WEIGHT_SCALE);
}

/** A server's weight with its slow start, as the configuration counts it (`srv_weight`). */
export function weightNow(lb: Lb, serverRow: number): number {
  return Math.ceil(weightInForce(lb, serverRow) / WEIGHT_SCALE);
}

/** Streams waiting per usable server (manual 7.3.2, `avg_queue`). */
export function averageQueue(lb: Lb, backendRow: number): number {
  const servers = usableServers(lb, backendRow);
  const total = lb.proxies[backendRow + PROXY_QUEUE_TOTAL]!;
  // Without a server one is expected back soon: the queue counts twice.
  return servers === 0 ? total * 2 : Math.ceil(total / servers);
}

/** Connections that a server may take more (manual 7.3.2, `srv_conn_free`); -1 = no limit. */
export function freeConnections(lb: Lb, serverRow: number): number {
  const limit = serverLimit(lb, lb.servers[serverRow + SERVER_BACKEND_ROW]!, serverRow);
  return limit === UNLIMITED ? -1 : Math.max(0, limit - lb.servers[serverRow + SERVER_SERVED]!);
}

/** The same of the servers in use (manual 7.3.2, `be_conn_free`); -1 when one has no limit. */
export function freeConnectionsOf(lb: Lb, servers: Iterable<{ readonly row: number }>): number {
  let free = 0;
  for (const { row } of servers) {
    if (lb.servers[row + SERVER_TIER_WEIGHT] === 0) continue;
    const one = freeConnections(lb, row);
    if (one < 0) return -1;
    free += one;
  }
  return free;
}

/**
 * Free connections and queue places of the servers that are up (manual 7.3.2, `connslots`); -1 when
 * there is no limit.
 */
export function connectionSlots(lb: Lb, servers: Iterable<{ readonly row: number }>): number {
  const words = lb.servers;
  let slots = 0;
  for (const { row } of servers) {
    if (!isServing(lb, row)) continue;
    const maxconn = words[row + SERVER_MAXCONN]!;
    const maxqueue = words[row + SERVER_MAXQUEUE]!;
    if (maxconn === 0 || maxqueue === 0) return -1;
    slots += maxconn - words[row + SERVER_SERVED]! + maxqueue - words[row + SERVER_QUEUE_LENGTH]!;
  }
  return slots;
}

/** Server that a queue entry waits for in particular; 0 = any of the backend. */
export function awaitedServer(lb: Lb, entry: number): number {
  return lb.queue[entry + QUEUE_SERVER_ROW]!;
}

/** Whether the server that a queue entry first waited for went away meanwhile. */
export function wasMoved(lb: Lb, entry: number): boolean {
  return (lb.queue[entry + QUEUE_FLAGS]! & QUEUE_FLAG_MOVED) !== 0;
}
