/**
 * What answers wait for: a client that reads `done` may connect at once, so every worker must have
 * applied the change by then.
 */
import { startTimer } from "../base/clock.ts";
import { API_SETTLE_MS_MAX } from "../base/limits.ts";
import type { Control } from "../control/control.ts";

/** The log of changes as answers see it. */
export type Settling = {
  /** Number of the last change. */
  sequence(): number;
  /** Resolves when all workers have applied all changes; undefined = they have. */
  settle(): Promise<void> | undefined;
};

/** Answers wait for the workers of `control`; for one that stalls only so long. */
export function settlingOf({ shop, grace }: Pick<Control, "shop" | "grace">): Settling {
  const { log } = shop;
  return {
    sequence: () => log.sequence,
    settle() {
      if (grace.hasPassed(log.sequence)) {
        // What waited for this, such as a new server that may be chosen now, need not be rung for.
        grace.check();
        return undefined;
      }
      log.flush();
      return new Promise((resolve) => {
        const timer = startTimer(API_SETTLE_MS_MAX, resolve);
        grace.after(log.sequence, () => {
          timer.stop();
          resolve();
        });
      });
    },
  };
}
