/**
 * What all removals at run time share: what was taken out is purged when all workers have forgotten
 * it, unless it is put back before; and a row is freed when the last stream on it has ended.
 */
import { Refusal } from "../../base/refusals.ts";
import type { Events } from "../events.ts";
import type { Grace } from "./grace.ts";

/** Both ends that a removal may come to; one of them happens, once. */
export type Removal = {
  /** All workers have forgotten it. */
  purge(): void;
  /** It is to be what it was. */
  putBack(): void;
  /** The sentence for who wants it back too late. */
  late: string;
};

/**
 * Purges after the grace period of a mutation, unless it is taken back before.
 * @returns what takes it back, for a transaction that fails later; it throws when it is too late
 */
export function purgeLater(grace: Grace, sequence: number, removal: Removal): () => void {
  let isDecided = false;
  grace.after(sequence, () => {
    if (isDecided) return;
    isDecided = true;
    removal.purge();
  });
  return () => {
    if (isDecided) throw new Refusal("WRONG_STATE", removal.late);
    isDecided = true;
    removal.putBack();
  };
}

/** Frees something now, or when the last stream on it has ended. @param free says whether it did */
export function freeWhenIdle(events: Events, free: () => boolean): void {
  if (free()) return;
  const stopWaiting = events.awaitIdle();
  const stop = events.listen(({ kind }) => {
    if ((kind !== "idle" && kind !== "worker-lost") || !free()) return;
    stop();
    stopWaiting();
  });
}
