/**
 * peak-ewma(n): n different servers are drawn, each in proportion to its weight, and the one with
 * the least cost wins:
 *
 *   cost = (peak-EWMA of connect time + 1 ms) × (streams + 1) / weight
 *
 * The average forgets by age, exp(-age / decay), and is sensitive to peaks: a sample above it takes
 * its place at once, so that one slow answer is enough to be careful. A server that is left alone
 * is forgiven in time and tried again. One that was never measured is compared by its load only.
 * The idea is that of the balancers of Finagle and linkerd; docs/outliers.md argues what differs.
 *
 * @hot
 */
import {
  PROXY_BALANCE_FACTOR,
  PROXY_DECAY_MS,
  PROXY_DRAWS,
  PROXY_RING_BASE,
  PROXY_RING_COUNT,
} from "../tables/generated/proxy.ts";
import {
  SERVER_LAST_PICK,
  SERVER_PEAK_AT_MS,
  SERVER_PEAK_MS,
  SERVER_SERVED,
  SERVER_TIER_WEIGHT,
} from "../tables/generated/server.ts";
import type { Lb } from "./lb.ts";
import { hasRoom, pickServer } from "./place.ts";
import { isBelowBound } from "./ring.ts";

/** Draws beyond those asked for, where the same server comes again or has no room. */
const REDRAWS = 8;

/** Added to every time: below a millisecond, differences are noise of our own loop. */
const FLOOR_MS = 1;

/** Least time that is remembered: 0 would mean that nothing was measured. */
const SAMPLE_MIN_MS = 0.001;

/** What another thread's clock may be ahead, ms; an age below it is one that has wrapped. */
const SKEW_MS = 60_000;

/**
 * The best server of the draws with room for a stream; 0 when all that were drawn are full. Needs
 * the lock, and `lb.nowMs`.
 */
export function pickPeakEwma(lb: Lb, backendRow: number, excludeRow: number): number {
  const count = lb.proxies[backendRow + PROXY_RING_COUNT]!;
  if (count === 0) return 0;
  const base = lb.proxies[backendRow + PROXY_RING_BASE]!;
  const draws = lb.proxies[backendRow + PROXY_DRAWS]!;
  const isBounded = lb.proxies[backendRow + PROXY_BALANCE_FACTOR]! > 0;
  let best = 0;
  let drawn = 0;
  for (let i = 0; i < draws + REDRAWS && drawn < draws; i++) {
    const index = Math.floor((lb.random32() / 0x100000000) * count);
    const row = lb.arena[base + index]!;
    // The same server twice is no choice: a bad one would get its part of the streams blindly.
    if (row === best || row === excludeRow || !hasRoom(lb, backendRow, row)) continue;
    if (isBounded && !isBelowBound(lb, backendRow, row)) continue;
    drawn++;
    if (best === 0 || isBetter(lb, backendRow, row, best)) best = row;
  }
  if (drawn !== 1 || draws === 1 || count === 1 || excludeRow !== 0 || isBounded) return best;
  // One server is nearly all of the map, or nearly all are full: the heaps know another at once.
  const other = pickServer(lb, backendRow, best);
  if (other === 0 || other === best) return best;
  return isBetter(lb, backendRow, other, best) ? other : best;
}

/**
 * Takes account of a connection that opened, or failed: then `sampleMs` is a time that no
 * connection takes. Without the lock: time and value are two cells, and of two threads at the same
 * moment one is not heard. The next sample is worth as much; nothing is counted here. O(1).
 * @param sampleMs how long it took, fractional
 * @param nowMs monotonic time
 */
export function samplePeak(
  lb: Lb,
  backendRow: number,
  serverRow: number,
  sampleMs: number,
  nowMs: number,
): void {
  const cell = (serverRow + SERVER_PEAK_MS) >> 1;
  const now = nowMs | 0;
  const sample = sampleMs > SAMPLE_MIN_MS ? sampleMs : SAMPLE_MIN_MS;
  const kept = keptPart(lb, backendRow, serverRow, now);
  const average = lb.serverFloats[cell]! * kept;
  lb.serverFloats[cell] = sample >= average ? sample : average + sample * (1 - kept);
  lb.servers[serverRow + SERVER_PEAK_AT_MS] = now;
}

/** The average as of now, ms; 0 = never measured. O(1). */
export function peakOf(lb: Lb, backendRow: number, serverRow: number, nowMs: number): number {
  const peak = lb.serverFloats[(serverRow + SERVER_PEAK_MS) >> 1]!;
  return peak === 0 ? 0 : peak * keptPart(lb, backendRow, serverRow, nowMs | 0);
}

function isBetter(lb: Lb, backendRow: number, row: number, best: number): boolean {
  const servers = lb.servers;
  let cost = (servers[row + SERVER_SERVED]! + 1) * servers[best + SERVER_TIER_WEIGHT]!;
  let bestCost = (servers[best + SERVER_SERVED]! + 1) * servers[row + SERVER_TIER_WEIGHT]!;
  const isMeasured =
    lb.serverFloats[(row + SERVER_PEAK_MS) >> 1] !== 0 &&
    lb.serverFloats[(best + SERVER_PEAK_MS) >> 1] !== 0;
  if (isMeasured) {
    cost *= peakOf(lb, backendRow, row, lb.nowMs) + FLOOR_MS;
    bestCost *= peakOf(lb, backendRow, best, lb.nowMs) + FLOOR_MS;
  }
  if (cost !== bestCost) return cost < bestCost;
  return (
    lb.serverFloats[(row + SERVER_LAST_PICK) >> 1]! <
    lb.serverFloats[(best + SERVER_LAST_PICK) >> 1]!
  );
}

/** Part of the average that is left at its age. */
function keptPart(lb: Lb, backendRow: number, serverRow: number, now: number): number {
  const age = (now - lb.servers[serverRow + SERVER_PEAK_AT_MS]!) | 0;
  if (age > 0) return Math.exp(-age / lb.proxies[backendRow + PROXY_DECAY_MS]!);
  return age > -SKEW_MS ? 1 : 0;
}
