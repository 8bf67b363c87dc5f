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
 * The weight in force.
 * @param weight 0 .. 256
 * @param throttle percent of a slow start, 0 = none under way
 * @returns 0 .. SCALED_WEIGHT_MAX; above 0 if `weight` is
 */
export function scaleWeight(weight: number, throttle: number): number {
  if (weight <= 0) return 0;
  const scaled = weight * WEIGHT_SCALE;
  if (throttle === 0) return scaled;
  const cut = Math.floor((scaled * throttle) / 100);
  return cut > 1 ? cut : 1;
}
