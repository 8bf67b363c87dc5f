/**
 * Listeners that come and go at run time, by the same rules as servers.
 *
 *   add:  socket bound ─▶ row ─▶ mutation ─▶ workers accept
 *   del:  mutation: workers stop accepting ─▶ all have ─▶ sockets closed ─▶ its connections end
 *         ─▶ row freed
 */
import { renameSync, rmSync } from "node:fs";

import { Refusal } from "../../base/refusals.ts";
import {
  LISTENER_STATE_CLOSED,
  LISTENER_STATE_PAUSED,
  PROXY_STATE_PAUSED,
  PROXY_STATE_READY,
} from "../../tables/generated/enums.ts";
import { FRONT_COUNT_STRIDE } from "../../tables/generated/front-count.ts";
import {
  LISTENER_CURRENT,
  LISTENER_STATE,
  LISTENER_STRIDE,
} from "../../tables/generated/listener.ts";
import { PROXY_STATE } from "../../tables/generated/proxy.ts";
import type { BindSpec } from "../../tables/spec.ts";
import { addListener } from "../build.ts";
import type { LifeControl } from "../control.ts";
import { madeProxy } from "../draft.ts";
import type { Change, Draft, DraftProxy } from "../draft.ts";
import { enterGuid, removeGuid } from "../guids.ts";
import type { ListenerObject, ProxyObject } from "../model.ts";
import { refuseTakenAddress } from "./conflicts.ts";
import { freeWhenIdle, purgeLater } from "./removal.ts";
import { isSessionBind, refuseSessions } from "./session-map.ts";

/** Checks that binds can be added to a frontend; they are bound when it is applied. */
export function prepareAddBinds(
  control: LifeControl,
  draft: Draft,
  entry: DraftProxy,
  specs: readonly BindSpec[],
): Change {
  refuseStopped(control, entry);
  const taken = new Set(entry.object?.listeners.map(({ spec }) => spec.name));
  for (const { name } of specs) {
    if (name !== undefined && taken.has(name)) {
      throw new Refusal("EXISTS", `Already exists a listener with the name '${name}'.`);
    }
  }
  refuseSessions(draft, entry, specs);
  const session = specs.find(isSessionBind);
  if (session !== undefined) draft.sessionBinds.set(entry, session);
  const made: ListenerObject[] = [];
  const takeBack = (): void => {
    // What was shut down and made again meanwhile has its number still.
    const ids = new Set(made.splice(0).map(({ spec }) => spec.id));
    for (const listener of [...(entry.object?.listeners ?? [])]) {
      if (ids.has(listener.spec.id)) removeListener(control, listener);
    }
  };
  return {
    effect: `binds ${specs.map(({ text }) => text).join(", ")} for ${entry.spec.name}`,
    apply: () => {
      const frontend = madeProxy(control, entry);
      try {
        for (const spec of specs) made.push(makeListener(control, frontend, spec));
      } catch (error) {
        takeBack();
        throw error;
      }
      return { text: `New listener${specs.length === 1 ? "" : "s"} registered.` };
    },
    undo: takeBack,
  };
}

/** A frontend that was shut down takes no listeners; a disabled one does, they wait with it. */
function refuseStopped({ tables }: LifeControl, { object, spec }: DraftProxy): void {
  if (object === undefined) return;
  const state = Atomics.load(tables.proxies.words, object.row + PROXY_STATE);
  if (state === PROXY_STATE_READY || state === PROXY_STATE_PAUSED) return;
  throw new Refusal("WRONG_STATE", `Frontend ${spec.name} is shut down.`);
}

/** Binds an address of a frontend that runs. @throws Refusal SYSTEM with the reason */
export function makeListener(
  control: LifeControl,
  frontend: ProxyObject,
  spec: BindSpec,
): ListenerObject {
  const { shop, events } = control;
  const id = spec.id === 0 ? freeListenerId(frontend) : spec.id;
  refuseTakenAddress(control, spec);
  const errno = addListener(shop, frontend, { ...spec, id }, true);
  if (errno !== 0) {
    const why = control.describeErrno(errno);
    throw new Refusal("SYSTEM", `cannot bind socket (${why}) for [${spec.text}].`);
  }
  const listener = frontend.listeners.at(-1)!;
  shop.log.flushSoon();
  events.changed("listener-added", listener, `${frontend.spec.name}: ${spec.text} bound`);
  return listener;
}

function freeListenerId(frontend: ProxyObject): number {
  const used = new Set(frontend.listeners.map(({ spec }) => spec.id));
  let id = 1;
  while (used.has(id)) id++;
  return id;
}

/** Checks that a bind can be removed: always, its connections go on. */
export function prepareDelBind(
  control: LifeControl,
  draft: Draft,
  listener: ListenerObject,
): Change {
  draft.closing.add(listener);
  let takeBack = (): void => undefined;
  return {
    effect: `stops listening on ${listener.spec.text}`,
    apply: () => {
      if (control.model.listenerByRow.get(listener.row) !== listener) {
        throw new Refusal("NO_LISTENER", "No such listener.");
      }
      takeBack = removeListener(control, listener);
      return { text: "Listener deleted." };
    },
    undo: () => takeBack(),
  };
}

/**
 * Stops listening; connections that were accepted go on.
 * @returns what takes it back, for a transaction that fails later, as long as it is not closed
 */
export function removeListener(control: LifeControl, listener: ListenerObject): () => void {
  const { shop, model, tables, grace, events } = control;
  const { row, frontend } = listener;
  const place = frontend.listeners.indexOf(listener);
  const state = Atomics.load(tables.listeners.words, row + LISTENER_STATE);
  Atomics.store(tables.listeners.words, row + LISTENER_STATE, LISTENER_STATE_CLOSED);
  model.removeListener(listener);
  removeGuid(shop, listener);
  // Aside at once: another listener may take the path before the grace period is over.
  const aside = setAside(listener);
  const sequence = shop.log.append({ kind: "listener.close", row });
  const takeBack = purgeLater(grace, sequence, {
    purge: () => {
      aside.drop();
      for (const fd of new Set(listener.fds)) if (fd >= 0) shop.native?.close(fd);
      listener.fds = [];
      freeWhenIdle(events, () => freeRow(control, row));
    },
    putBack: () => {
      aside.restore();
      putBack(control, listener, place, state);
    },
    late: `${listener.spec.text} is closed.`,
  });
  shop.log.flushSoon();
  events.changed(
    "listener-removed",
    listener,
    `${frontend.spec.name}: ${listener.spec.text} closed`,
  );
  return takeBack;
}

/** A removal is taken back: the workers listen again, on the descriptors that are still open. */
function putBack(
  { shop, model, tables, events }: LifeControl,
  listener: ListenerObject,
  place: number,
  state: number,
): void {
  const { row, frontend, spec: bind, fds } = listener;
  model.addListener(listener, place);
  enterGuid(shop, listener);
  Atomics.store(tables.listeners.words, row + LISTENER_STATE, state);
  shop.log.append({ kind: "listener.add", row, proxyRow: frontend.row, bind, fds });
  if (state === LISTENER_STATE_PAUSED) shop.log.append({ kind: "listener.pause", row });
  shop.log.flushSoon();
  events.changed("listener-added", listener, `${frontend.spec.name}: ${bind.text} is back`);
}

/** Takes the path of a unix listener out of the way, so that it can be had again. */
function setAside({ spec: { address }, row }: ListenerObject): {
  drop(): void;
  restore(): void;
} {
  if (address.family !== "unix") return { drop: () => undefined, restore: () => undefined };
  const { path } = address;
  const away = `${path}.closing-${process.pid}-${row}`;
  const move = (from: string, to: string): void => {
    try {
      renameSync(from, to);
    } catch {
      // Somebody has removed it: nobody reaches the listener by it any more.
    }
  };
  move(path, away);
  return { drop: () => rmSync(away, { force: true }), restore: () => move(away, path) };
}

/** Frees the row if no connection that was accepted there is left. @returns whether it is freed */
function freeRow({ shop, tables }: LifeControl, row: number): boolean {
  if (Atomics.load(tables.listeners.words, row + LISTENER_CURRENT) !== 0) return false;
  const index = row / LISTENER_STRIDE;
  for (const { listenerFront } of tables.perWorker) {
    listenerFront.words.fill(0, index * FRONT_COUNT_STRIDE, (index + 1) * FRONT_COUNT_STRIDE);
  }
  shop.listenerRows.give(row);
  return true;
}
