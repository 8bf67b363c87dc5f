/**
 * The algorithms, from a hash or a turn to a server: the one place that knows which uses the heaps,
 * which a map and which a ring. All functions need the backend's lock.
 *
 * @hot
 */
import {
  ALGORITHM_HASH,
  ALGORITHM_PEAK_EWMA,
  ALGORITHM_RANDOM,
  ALGORITHM_SOURCE,
  ALGORITHM_STATIC_RR,
  HASH_TYPE_RING,
} from "../tables/generated/enums.ts";
import { PROXY_ALGORITHM, PROXY_HASH_TYPE } from "../tables/generated/proxy.ts";
import type { Lb } from "./lb.ts";
import { pickMapHash, pickMapTurn } from "./map.ts";
import { pickPeakEwma } from "./peak-ewma.ts";
import { hasRoom, passServer, pickServer, settleServer } from "./place.ts";
import { pickRandom } from "./random.ts";
import { pickRing } from "./ring.ts";
import { countPick } from "./slots.ts";

/** The server that a hash names, 0 when the algorithm does not hash. */
export function pickByHash(lb: Lb, backendRow: number, hash: number, excludeRow: number): number {
  const algorithm = lb.proxies[backendRow + PROXY_ALGORITHM];
  if (algorithm !== ALGORITHM_SOURCE && algorithm !== ALGORITHM_HASH) return 0;
  if (lb.proxies[backendRow + PROXY_HASH_TYPE] === HASH_TYPE_RING) {
    return pickRing(lb, backendRow, hash, excludeRow);
  }
  return pickMapHash(lb, backendRow, hash);
}

/**
 * The server that the algorithm names for a stream without a hash. Nothing is taken yet:
 * `finishPick` must follow once the stream is counted.
 * @returns its row; negative row of a server in whose queue to wait; 0 = none
 */
export function pickFree(lb: Lb, backendRow: number, excludeRow: number): number {
  const algorithm = lb.proxies[backendRow + PROXY_ALGORITHM];
  let row = 0;
  if (algorithm === ALGORITHM_STATIC_RR) row = pickMapTurn(lb, backendRow, excludeRow);
  else if (algorithm === ALGORITHM_RANDOM) row = pickRandom(lb, backendRow, excludeRow);
  else if (algorithm === ALGORITHM_PEAK_EWMA) row = pickPeakEwma(lb, backendRow, excludeRow);
  lb.fromHeap = row === 0;
  if (row !== 0) return row;
  row = pickServer(lb, backendRow, excludeRow);
  if (row === 0) return 0;
  return hasRoom(lb, backendRow, row) ? row : -row;
}

/** Tells the algorithm that the server it named has the stream now. O(log n). */
export function finishPick(lb: Lb, backendRow: number, serverRow: number): void {
  if (lb.fromHeap) passServer(lb, backendRow, serverRow);
  else settleServer(lb, backendRow, serverRow);
  countPick(lb, backendRow, serverRow);
}
