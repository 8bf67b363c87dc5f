/**
 * Weights as the algorithms count them: sixteenths, so that a slow start has room below weight 1.
 *
 * @hot
 */
import { WEIGHT_MAX } from "../base/limits.ts";

/** Parts of one unit of weight. */
export const WEIGHT_SCALE = 16;
/** Largest scaled weight. */
export const SCALED_WEIGHT_MAX = WEIGHT_MAX * WEIGHT_SCALE;

/**
 * The weight in force. A slow start goes up in sixteen equal steps, as HAProxy's, and begins with
 * the first of them.
 * @param weight 0 .. 256
 * @param throttle percent of a slow start that have passed, 0 = none under way
 * @returns 0 .. SCALED_WEIGHT_MAX; above 0 if `weight` is
 */
export function scaleWeight(weight: number, throttle: number): number {
  if (weight <= 0) return 0;
  if (throttle === 0) return weight * WEIGHT_SCALE;
  const step = 1 + Math.floor((throttle * WEIGHT_SCALE) / 100);
  return weight * (step < WEIGHT_SCALE ? step : WEIGHT_SCALE);
}
