/**
 * What balancing knows, for logs, samples and the runtime API. Read plainly and without the lock:
 * a number may be a moment old.
 */
import { PROXY_FLAG_ALL_BACKUPS, QUEUE_FLAG_MOVED } from "../tables/generated/enums.ts";
import {
  PROXY_ACTIVE_UP,
  PROXY_BACKUP_UP,
  PROXY_FLAGS,
  PROXY_STRIDE,
  PROXY_TOTAL_WEIGHT,
} from "../tables/generated/proxy.ts";
import { QUEUE_FLAGS, QUEUE_SERVER_ROW } from "../tables/generated/queue.ts";
import type { Lb } from "./lb.ts";
import { WEIGHT_SCALE } from "./weight.ts";

/** Whether `row` is the beginning of a record that the proxy table has room for. */
export function isInTables(lb: Lb, row: number): boolean {
  return row > 0 && row % PROXY_STRIDE === 0 && row + PROXY_STRIDE <= lb.proxies.length;
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

/** Server that a queue entry waits for in particular; 0 = any of the backend. */
export function awaitedServer(lb: Lb, entry: number): number {
  return lb.queue[entry + QUEUE_SERVER_ROW]!;
}

/** Whether the server that a queue entry first waited for went away meanwhile. */
export function wasMoved(lb: Lb, entry: number): boolean {
  return (lb.queue[entry + QUEUE_FLAGS]! & QUEUE_FLAG_MOVED) !== 0;
}
