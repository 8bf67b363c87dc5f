/**
 * Waiting for a server or a backend to be removable (manual 9.3, `wait`). Nothing polls: an event
 * of the model or the ring of the worker whose last stream left has it look again. Main thread.
 */
import { startTimer } from "../../base/clock.ts";
import { Refusal } from "../../base/refusals.ts";
import type { Holder } from "../../base/refusals.ts";
import type { LifeControl } from "../control.ts";
import type { ProxyObject, ServerObject } from "../model.ts";
import { BACKEND_REASONS, backendHolders, SERVER_REASONS, serverHolders } from "./holders.ts";
import { watch } from "./watches.ts";

/** How a wait ended. `held`: who holds the object still. */
export type WaitEnd =
  | { kind: "done" }
  | { kind: "expired" | "interrupted" | "failed"; held: readonly Holder[]; reason: string };

/** What the wait looks at: the object, or the sentence that it is gone. */
export type WaitLook = {
  object: ProxyObject | ServerObject;
  holders: Holder[];
  /** HAProxy's sentence for the first holder. */
  reason: string;
  /** It will not go by itself: waiting is of no use. */
  isHopeless: boolean;
};

/** Looks at a server. @throws Refusal when there is none any more */
export function lookAtServer(control: LifeControl, find: () => ServerObject): WaitLook {
  const object = find();
  const holders = serverHolders(control, object);
  const first = (kinds: readonly Holder["kind"][]): boolean =>
    holders.some(({ kind }) => kinds.includes(kind));
  if (first(["rule", "track"])) {
    return { object, holders, reason: SERVER_REASONS.named, isHopeless: true };
  }
  if (first(["state"])) return { object, holders, reason: SERVER_REASONS.state, isHopeless: true };
  return { object, holders, reason: SERVER_REASONS.used, isHopeless: false };
}

/** Looks at a backend. @throws Refusal when there is none any more */
export function lookAtBackend(control: LifeControl, find: () => ProxyObject): WaitLook {
  const object = find();
  const holders = backendHolders(control, object);
  const found = BACKEND_REASONS.find(({ kind }) => holders.some((one) => one.kind === kind));
  const isHopeless = found !== undefined && found.passes !== true;
  return { object, holders, reason: found?.text ?? "", isHopeless };
}

/**
 * Waits until nobody holds the object, the delay is over, or the caller leaves.
 * @param look asked again after each event
 */
export function waitRemovable(
  control: LifeControl,
  delayMs: number,
  gone: AbortSignal,
  look: () => WaitLook,
): Promise<WaitEnd> {
  const { promise, resolve } = Promise.withResolvers<WaitEnd>();
  let last = tryLook(look);
  if ("end" in last) return Promise.resolve(last.end);
  const unwatch = watch(control, last.look.object);
  // Whoever left between the look and the watch rang nobody.
  last = tryLook(look);
  const finish = (end: WaitEnd): void => {
    unwatch();
    unlisten();
    timer.stop();
    gone.removeEventListener("abort", onGone);
    resolve(end);
  };
  const held = (kind: "expired" | "interrupted"): WaitEnd => {
    const now = tryLook(look);
    if ("end" in now) return now.end;
    return { kind, held: now.look.holders, reason: now.look.reason };
  };
  const unlisten = control.events.listen(() => {
    const now = tryLook(look);
    if ("end" in now) finish(now.end);
  });
  const timer = startTimer(delayMs, () => finish(held("expired")));
  const onGone = (): void => finish(held("interrupted"));
  gone.addEventListener("abort", onGone);
  if ("end" in last) finish(last.end);
  else if (gone.aborted) onGone();
  return promise;
}

/** One look: the end of the wait, or what still holds. */
function tryLook(look: () => WaitLook): { end: WaitEnd } | { look: WaitLook } {
  let seen: WaitLook;
  try {
    seen = look();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { end: { kind: "failed", held: [], reason: error.message } };
  }
  if (seen.holders.length === 0) return { end: { kind: "done" } };
  const { holders: held, reason } = seen;
  return seen.isHopeless ? { end: { kind: "failed", held, reason } } : { look: seen };
}

/** Waits for a time. @returns whether it was waited out */
export function waitPlain(delayMs: number, gone: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const onGone = (): void => {
    timer.stop();
    resolve(false);
  };
  const timer = startTimer(delayMs, () => {
    gone.removeEventListener("abort", onGone);
    resolve(true);
  });
  if (gone.aborted) onGone();
  else gone.addEventListener("abort", onGone, { once: true });
  return promise;
}
