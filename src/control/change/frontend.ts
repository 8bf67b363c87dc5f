/**
 * Frontends on an operator's request: paused, resumed, shut down for good, limited.
 *
 *   disable:  workers stop accepting ─▶ all have ─▶ the kernel refuses, the port is free
 *   enable:   the kernel listens again ─▶ workers accept
 *
 * Connections that stand go on in all cases. Inherited descriptors and unix sockets cannot be taken
 * back after that: of these the kernel goes on queueing clients.
 */
import { Refusal } from "../../base/refusals.ts";
import {
  LISTENER_STATE_PAUSED,
  LISTENER_STATE_READY,
  PROXY_STATE_DISABLED,
  PROXY_STATE_PAUSED,
  PROXY_STATE_READY,
  PROXY_STATE_STOPPED,
} from "../../tables/generated/enums.ts";
import { LISTENER_STATE } from "../../tables/generated/listener.ts";
import { PROXY_FRONT_MAXCONN, PROXY_STATE } from "../../tables/generated/proxy.ts";
import type { BindSpec } from "../../tables/spec.ts";
import type { Control, LifeControl } from "../control.ts";
import { madeProxy } from "../draft.ts";
import type { Change, DraftProxy } from "../draft.ts";
import { makeListener, removeListener } from "../life/listeners.ts";
import { frontendPaused, frontendResumed } from "../logs/sentences.ts";
import type { ListenerObject, ProxyObject } from "../model.ts";
import { stoppedNotice } from "../process/states.ts";
import { changed, unchanged } from "./change.ts";
import { wakeListeners } from "./wake.ts";

/** The part of control that changes of frontends need. */
export type FrontendControl = LifeControl &
  Pick<Control, "keeper"> & {
    /** Calls of the system on listening descriptors. */
    readonly sockets: ListeningCalls;
  };

/** `listen(2)` and `shutdown(2)`: 0, or -1. */
export type ListeningCalls = {
  listen(fd: number, backlog: number): number;
  shutdown(fd: number, how: number): number;
};

const SHUT_RD = 0;
/** Backlog of a socket that listens again, capped by the kernel. */
const BACKLOG = 4096;
const MAXCONN_MAX = 2 ** 31 - 1;
/** In the row: no connection at all. 0 there is no limit. */
const NOTHING = -1;

/** States of frontends as changes before in the same transaction leave them. */
const draftStates = new WeakMap<DraftProxy, number>();
/** Mutations that paused listeners; those whose sockets the kernel has closed. */
const pauses = new WeakMap<ListenerObject, number>();
const refusing = new WeakSet<ListenerObject>();

function stateOf({ tables }: FrontendControl, entry: DraftProxy): number {
  const drafted = draftStates.get(entry);
  if (drafted !== undefined) return drafted;
  const { object } = entry;
  if (object === undefined) return PROXY_STATE_READY;
  return tables.proxies.words[object.row + PROXY_STATE]!;
}

const isShut = (state: number): boolean =>
  state === PROXY_STATE_STOPPED || state === PROXY_STATE_DISABLED;

/** `enable frontend`, `disable frontend`. @throws Refusal */
export function prepareSwitch(control: FrontendControl, entry: DraftProxy, isOn: boolean): Change {
  const word = isOn ? "enable" : "disable";
  const state = stateOf(control, entry);
  if (isShut(state)) {
    throw new Refusal("WRONG_STATE", `Frontend was previously shut down, cannot ${word}.`);
  }
  const wanted = isOn ? PROXY_STATE_READY : PROXY_STATE_PAUSED;
  if (state === wanted) {
    throw new Refusal("WRONG_STATE", `All sockets are already ${word}d.`);
  }
  draftStates.set(entry, wanted);
  const { name } = entry.spec;
  return {
    effect: isOn ? `lets frontend ${name} accept again` : `stops frontend ${name} from accepting`,
    apply: () => {
      const frontend = madeProxy(control, entry);
      if (isOn) resume(control, frontend);
      else pause(control, frontend);
      return changed(control, "frontend-changed", frontend, `${name} ${word}d`);
    },
    undo: () => {
      const frontend = madeProxy(control, entry);
      if (isOn) pause(control, frontend);
      else resume(control, frontend);
      changed(control, "frontend-changed", frontend, `${name} ${word}d no more`);
    },
  };
}

function pause(control: FrontendControl, frontend: ProxyObject): void {
  const { tables, shop, grace, keeper } = control;
  Atomics.store(tables.proxies.words, frontend.row + PROXY_STATE, PROXY_STATE_PAUSED);
  for (const listener of frontend.listeners) {
    Atomics.store(tables.listeners.words, listener.row + LISTENER_STATE, LISTENER_STATE_PAUSED);
    pauses.set(listener, shop.log.append({ kind: "listener.pause", row: listener.row }));
  }
  const { sequence } = shop.log;
  const paused = [...frontend.listeners];
  grace.after(sequence, () => {
    for (const listener of paused) refuseClients(control, listener, sequence);
  });
  shop.log.flushSoon();
  keeper.tell(frontend, frontendPaused(frontend.spec.name, frontend.spec.section));
}

/** All workers have stopped accepting: the kernel may refuse, unless it was resumed since. */
function refuseClients(control: FrontendControl, listener: ListenerObject, sequence: number): void {
  const { address, quic } = listener.spec;
  const { family } = address;
  const pausedBy = pauses.get(listener);
  if (pausedBy === undefined || pausedBy > sequence) return;
  if (family !== "ipv4" && family !== "ipv6") return;
  // The same socket carries the connections that go on: new clients are not answered, that is all.
  if (quic !== undefined) return;
  if (control.shop.native === null) return;
  for (const fd of descriptorsOf(listener)) control.sockets.shutdown(fd, SHUT_RD);
  refusing.add(listener);
}

/** @throws Refusal SYSTEM when the port has been taken meanwhile */
function resume(control: FrontendControl, frontend: ProxyObject): void {
  const { tables, shop, keeper, sockets } = control;
  const again: number[] = [];
  for (const listener of frontend.listeners) {
    if (!refusing.has(listener)) continue;
    for (const fd of descriptorsOf(listener)) {
      if (sockets.listen(fd, listener.spec.backlog || frontend.spec.backlog || BACKLOG) === 0) {
        again.push(fd);
        continue;
      }
      for (const one of again) sockets.shutdown(one, SHUT_RD);
      const text = "Failed to resume frontend, check logs for precise cause (port conflict?).";
      throw new Refusal("SYSTEM", text);
    }
  }
  for (const listener of frontend.listeners) {
    refusing.delete(listener);
    pauses.delete(listener);
    Atomics.store(tables.listeners.words, listener.row + LISTENER_STATE, LISTENER_STATE_READY);
    shop.log.append({ kind: "listener.resume", row: listener.row });
  }
  Atomics.store(tables.proxies.words, frontend.row + PROXY_STATE, PROXY_STATE_READY);
  shop.log.flushSoon();
  keeper.tell(frontend, frontendResumed(frontend.spec.name, frontend.spec.section));
}

/** Descriptors of a listener; workers may share one. */
function descriptorsOf({ fds }: ListenerObject): number[] {
  return [...new Set(fds)].filter((fd) => fd >= 0);
}

/** `shutdown frontend`: its addresses are closed for good. @throws Refusal */
export function prepareShutdown(control: FrontendControl, entry: DraftProxy): Change {
  if (isShut(stateOf(control, entry))) {
    throw new Refusal("WRONG_STATE", "Frontend was already shut down.");
  }
  draftStates.set(entry, PROXY_STATE_STOPPED);
  const { name } = entry.spec;
  const words = control.tables.proxies.words;
  let before = PROXY_STATE_READY;
  let specs: BindSpec[] = [];
  return {
    effect: `closes all addresses of frontend ${name} for good`,
    apply: () => {
      const frontend = madeProxy(control, entry);
      before = words[frontend.row + PROXY_STATE]!;
      specs = frontend.listeners.map(({ spec }) => spec);
      Atomics.store(words, frontend.row + PROXY_STATE, PROXY_STATE_STOPPED);
      for (const listener of [...frontend.listeners]) removeListener(control, listener);
      control.keeper.tell(frontend, stoppedNotice(control.tables, frontend));
      return changed(control, "frontend-changed", frontend, `${name} shut down`);
    },
    undo: () => {
      const frontend = madeProxy(control, entry);
      for (const spec of specs) makeListener(control, frontend, spec);
      Atomics.store(words, frontend.row + PROXY_STATE, PROXY_STATE_READY);
      if (before === PROXY_STATE_PAUSED) pause(control, frontend);
      changed(control, "frontend-changed", frontend, `${name} shut down no more`);
    },
  };
}

/** `set maxconn frontend`: 0 lets nobody in. @throws Refusal */
export function prepareFrontMaxconn(
  control: FrontendControl,
  entry: DraftProxy,
  word: string,
): Change {
  if (!/^[+-]?\d+$/u.test(word)) throw new Refusal("BAD_ARGUMENT", "Integer value expected.");
  const maxconn = Number(word);
  if (maxconn < 0 || maxconn > MAXCONN_MAX) {
    throw new Refusal("BAD_ARGUMENT", "Value out of range.");
  }
  const { name } = entry.spec;
  const words = control.tables.proxies.words;
  const wanted = maxconn === 0 ? NOTHING : maxconn;
  const write = (frontend: ProxyObject, value: number): void => {
    words[frontend.row + PROXY_FRONT_MAXCONN] = value;
    wakeListeners(control.tables, frontend.row);
  };
  let before = wanted;
  return {
    effect: `limits frontend ${name} to ${maxconn} connections`,
    apply: () => {
      const frontend = madeProxy(control, entry);
      before = words[frontend.row + PROXY_FRONT_MAXCONN]!;
      if (before === wanted) return unchanged(frontend);
      write(frontend, wanted);
      return changed(control, "frontend-changed", frontend, `${name} maxconn ${maxconn}`);
    },
    undo: () => {
      const frontend = madeProxy(control, entry);
      if (before === wanted) return;
      write(frontend, before);
      changed(control, "frontend-changed", frontend, `${name} maxconn undone`);
    },
  };
}
