/**
 * The health of a checked server, counted as HAProxy counts it (manual 5.2 `rise`, `fall`).
 *
 * ```
 *   health   0 … rise-1        rise … rise+fall-1
 *            down              up
 *   a pass   +1; reaching rise: up, and straight to rise+fall-1
 *   a fail   -1; falling below rise: down, and straight to 0
 * ```
 * A server that starts "up" stands at `rise`: its first failure takes it down. Pure.
 */
import type { CheckSpec, ServerSpec } from "../tables/spec.ts";

/** Where the counter stands at the start (`init-state`). */
export function initialHealth(spec: Pick<ServerSpec, "initState" | "check">): number {
  const { rise, fall } = spec.check;
  switch (spec.initState) {
    case "up":
      return rise;
    case "fully-up":
      return rise + fall - 1;
    case "down":
      return rise - 1;
    case "fully-down":
      return 0;
  }
}

/** Is a server with this counter up? */
export function isUp(health: number, check: Pick<CheckSpec, "rise">): boolean {
  return health >= check.rise;
}

/** The counter after a check that passed. */
export function healthAfterPass(health: number, check: Pick<CheckSpec, "rise" | "fall">): number {
  const full = check.rise + check.fall - 1;
  return health + 1 >= check.rise ? full : health + 1;
}

/** The counter after a check that failed. */
export function healthAfterFail(health: number, check: Pick<CheckSpec, "rise">): number {
  const next = health - 1;
  return next < check.rise ? 0 : next;
}

/** Milliseconds between the end of a check and the next (manual 5.2 `inter`). */
export function intervalMs(
  health: number,
  check: Pick<CheckSpec, "rise" | "fall" | "intervalMs" | "fastIntervalMs" | "downIntervalMs">,
): number {
  if (health === check.rise + check.fall - 1) return check.intervalMs;
  return health === 0 ? check.downIntervalMs : check.fastIntervalMs;
}

/** How far the counter is on its side: the `2/3` of `option log-health-checks`. */
export function healthProgress(
  health: number,
  check: Pick<CheckSpec, "rise" | "fall">,
): { counted: number; needed: number } {
  return isUp(health, check)
    ? { counted: health - check.rise + 1, needed: check.fall }
    : { counted: health, needed: check.rise };
}
