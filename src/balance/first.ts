/**
 * first: the server with the lowest id that has a free slot. Weights do not count.
 * All functions need the backend's lock.
 *
 * @hot
 */
import { HEAP_READY } from "../tables/generated/enums.ts";
import { SERVER_ID, SERVER_ORDER } from "../tables/generated/server.ts";
import { heapPush, heapRemove, heapTop } from "./heap.ts";
import type { Lb } from "./lb.ts";

/** Puts a server that is in no heap where its id says. O(log n). */
export function enterFirst(lb: Lb, backendRow: number, serverRow: number): void {
  const id = lb.servers[serverRow + SERVER_ID]!;
  heapPush(lb, backendRow, HEAP_READY, serverRow, id, lb.servers[serverRow + SERVER_ORDER]!);
}

/** The server with the lowest id, 0 when there is none. O(1). */
export function pickFirst(lb: Lb, backendRow: number): number {
  return heapTop(lb, backendRow, HEAP_READY);
}

/** After a pick: the server stays the first until it is full. O(log n). */
export function passFirst(lb: Lb, backendRow: number, serverRow: number, stays: boolean): void {
  if (!stays) heapRemove(lb, backendRow, serverRow);
}

/** Load does not count. */
export function weighFirst(_lb: Lb, _backendRow: number, _serverRow: number): void {}

/** Weight does not count. */
export function reweighFirst(_lb: Lb, _backendRow: number, _serverRow: number): void {}
