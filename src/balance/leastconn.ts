/**
 * leastconn: the server with the fewest streams for its weight, waiting ones included. Servers of
 * the same load take turns: whoever reached that load first is chosen first.
 *
 * The key is HAProxy's: 0 for a server without streams, else (streams + 1) / weight in 256ths.
 * All functions need the backend's lock.
 *
 * @hot
 */
import { WEIGHT_MAX } from "../base/limits.ts";
import { HEAP_READY } from "../tables/generated/enums.ts";
import {
  SERVER_HEAP_INDEX,
  SERVER_QUEUE_LENGTH,
  SERVER_SERVED,
  SERVER_TIER_WEIGHT,
} from "../tables/generated/server.ts";
import { heapKeyOf, heapPush, heapRemove, heapTop, heapUpdate } from "./heap.ts";
import type { Lb } from "./lb.ts";
import { nextSequence } from "./roundrobin.ts";
import { WEIGHT_SCALE } from "./weight.ts";

/** Puts a server that is in no heap where its load says. O(log n). */
export function enterLeastconn(lb: Lb, backendRow: number, serverRow: number): void {
  const key = leastconnKey(lb, serverRow);
  heapPush(lb, backendRow, HEAP_READY, serverRow, key, nextSequence(lb, backendRow));
}

/** The least loaded server, 0 when there is none. O(1). */
export function pickLeastconn(lb: Lb, backendRow: number): number {
  return heapTop(lb, backendRow, HEAP_READY);
}

/** After a pick, its stream being counted already. O(log n). */
export function passLeastconn(lb: Lb, backendRow: number, serverRow: number, stays: boolean): void {
  if (stays) weighLeastconn(lb, backendRow, serverRow);
  else heapRemove(lb, backendRow, serverRow);
}

/** Follows the load of a server in the heap. O(log n), O(1) if the key is the same. */
export function weighLeastconn(lb: Lb, backendRow: number, serverRow: number): void {
  const key = leastconnKey(lb, serverRow);
  if (key === heapKeyOf(lb, backendRow, serverRow)) return;
  heapUpdate(lb, backendRow, serverRow, key, nextSequence(lb, backendRow));
}

/** Follows a weight that changed; the server may be in the heap or not. O(log n). */
export function reweighLeastconn(lb: Lb, backendRow: number, serverRow: number): void {
  if (lb.servers[serverRow + SERVER_HEAP_INDEX] !== 0) weighLeastconn(lb, backendRow, serverRow);
}

function leastconnKey(lb: Lb, serverRow: number): number {
  const streams =
    lb.servers[serverRow + SERVER_SERVED]! + lb.servers[serverRow + SERVER_QUEUE_LENGTH]!;
  if (streams === 0) return 0;
  const weight = lb.servers[serverRow + SERVER_TIER_WEIGHT]!;
  return Math.floor(((streams + 1) * WEIGHT_MAX * WEIGHT_SCALE) / weight);
}
