/**
 * How many streams a server may have now: `maxconn`, or with `minconn` a limit that follows the
 * load of the backend (manual 5.2 `minconn`, 4.2 `fullconn`), cut down during a slow start.
 *
 * @hot
 */
import { PROXY_BACK_CURRENT, PROXY_FULLCONN } from "../tables/generated/proxy.ts";
import { SERVER_MAXCONN, SERVER_MINCONN, SERVER_THROTTLE } from "../tables/generated/server.ts";
import type { Lb } from "./lb.ts";

/** Limit of a server without `maxconn`. */
export const UNLIMITED = 0x7fffffff;

/**
 * Whether the limit moves with the load. A `minconn` at or above `maxconn` is a fixed limit.
 */
export function isLimitDynamic(lb: Lb, backendRow: number, serverRow: number): boolean {
  const minconn = lb.servers[serverRow + SERVER_MINCONN]!;
  if (minconn === 0) return false;
  if (minconn >= lb.servers[serverRow + SERVER_MAXCONN]!) return false;
  return lb.proxies[backendRow + PROXY_FULLCONN]! > 0;
}

/**
 * Streams that the server may have at the backend's load of now; UNLIMITED without `maxconn`.
 * @param backendRow its backend: `backCurrent` is the load, read atomically
 */
export function serverLimit(lb: Lb, backendRow: number, serverRow: number): number {
  const maxconn = lb.servers[serverRow + SERVER_MAXCONN]!;
  const minconn = lb.servers[serverRow + SERVER_MINCONN]!;
  // `minconn` alone, or above `maxconn`, is the limit.
  let limit = maxconn > minconn ? maxconn : minconn;
  if (limit === 0) return UNLIMITED;
  if (minconn !== 0 && minconn < maxconn) {
    const fullconn = lb.proxies[backendRow + PROXY_FULLCONN]!;
    const load = Atomics.load(lb.proxies, backendRow + PROXY_BACK_CURRENT);
    if (load < fullconn) {
      const ramp = Math.floor((load * maxconn) / fullconn);
      limit = ramp > minconn ? ramp : minconn;
    }
  }
  const throttle = lb.servers[serverRow + SERVER_THROTTLE]!;
  if (throttle === 0) return limit;
  const cut = Math.floor((limit * throttle) / 100);
  return cut > 1 ? cut : 1;
}

/**
 * The load of the backend at which a full server with a dynamic limit has room for one more.
 * @param served streams that the server has
 * @returns a value of `backCurrent`, or UNLIMITED when `maxconn` itself is reached
 */
export function loadForRoom(lb: Lb, backendRow: number, serverRow: number, served: number): number {
  const maxconn = lb.servers[serverRow + SERVER_MAXCONN]!;
  const fullconn = lb.proxies[backendRow + PROXY_FULLCONN]!;
  const throttle = lb.servers[serverRow + SERVER_THROTTLE]!;
  const needed = throttle === 0 ? served + 1 : Math.ceil(((served + 1) * 100) / throttle);
  if (needed > maxconn) return UNLIMITED;
  const load = Math.ceil((needed * fullconn) / maxconn);
  return load < fullconn ? load : fullconn;
}
