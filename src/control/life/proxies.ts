/**
 * Backends and frontends that come and go at run time, and backends that take traffic or not.
 *
 *   add:  row ─▶ mutation; a backend begins unpublished
 *   del:  nothing holds it ─▶ out of the model ─▶ mutation ─▶ all have forgotten it ─▶ purge
 */
import { removeBackend } from "../../balance/control.ts";
import { assert } from "../../base/assert.ts";
import { SluiceError } from "../../base/errors.ts";
import { Refusal } from "../../base/refusals.ts";
import type { Holder } from "../../base/refusals.ts";
import { BACK_COUNT_STRIDE } from "../../tables/generated/back-count.ts";
import {
  PROXY_FLAG_PUBLISHED,
  PROXY_STATE_DISABLED,
  PROXY_STATE_FREE,
} from "../../tables/generated/enums.ts";
import { FRONT_COUNT_STRIDE } from "../../tables/generated/front-count.ts";
import {
  PROXY_BACK_CURRENT,
  PROXY_FLAGS,
  PROXY_FRONT_CURRENT,
  PROXY_REFERENCES,
  PROXY_STATE,
  PROXY_STRIDE,
  PROXY_WATCHED,
} from "../../tables/generated/proxy.ts";
import { QUIC_COUNT_STRIDE, QUIC_COUNT_USED } from "../../tables/generated/quic-count.ts";
import type { ProxySpec } from "../../tables/spec.ts";
import { addProxy } from "../build.ts";
import type { LifeControl } from "../control.ts";
import { madeProxy } from "../draft.ts";
import type { Change, Draft, DraftProxy } from "../draft.ts";
import { claimGuid, enterGuid, removeGuid } from "../guids.ts";
import type { ProxyObject } from "../model.ts";
import { quicConnections } from "../quic-use.ts";
import { headOf } from "../replay.ts";
import { withStreamAges } from "./explain.ts";
import { BACKEND_REASONS, backendHolders, frontendHolders, holderClause } from "./holders.ts";
import { freeWhenIdle, purgeLater } from "./removal.ts";
import { isDynamicAlgorithm, staticReason } from "./servers.ts";

/** Checks that a backend or frontend can be added, and enters it. @throws Refusal */
export function prepareAddProxy(control: LifeControl, draft: Draft, spec: ProxySpec): Change {
  const other =
    (spec.hasBack ? draft.findBackend(spec.name) : undefined) ??
    draft.findFrontend(spec.name) ??
    draft.findBackend(spec.name);
  if (other !== undefined) throw nameTaken(other.spec);
  claimGuid(control.shop, draft, spec.guid);
  const entry = draft.addProxy(spec);
  const word = spec.hasFront ? "frontend" : "backend";
  const title = spec.hasFront ? "Frontend" : "backend";
  return {
    effect: `adds ${word} ${spec.name}`,
    apply: () => {
      const complete = { ...spec, id: spec.id === 0 ? freeProxyId(control) : spec.id };
      entry.spec = complete;
      entry.object = makeProxy(control, complete);
      const isStatic = spec.hasBack && !isDynamicAlgorithm(entry);
      const tail = isStatic ? ` (no support for dynamic servers: ${staticReason(spec)})` : "";
      return { text: `New ${title} registered${tail}.` };
    },
    undo: () => {
      const { object } = entry;
      // A later change of the same transaction may have removed it.
      if (object === undefined || control.model.proxyByRow.get(object.row) !== object) return;
      removeProxy(control, object);
    },
  };
}

const nameTaken = ({ section, name }: ProxySpec): Refusal =>
  new Refusal("EXISTS", `name is already used by other proxy '${section} ${name}'.`);

function freeProxyId({ model, plan }: LifeControl): number {
  const pages = new Set(plan.pages.map(({ id }) => id));
  let id = model.freeProxyId;
  while (model.proxyById.has(id) || pages.has(id)) id++;
  return id;
}

/** Makes a proxy of a running process. @throws Refusal */
export function makeProxy(control: LifeControl, spec: ProxySpec): ProxyObject {
  const { shop, events, model } = control;
  // Others may have made one since this was checked.
  const other = model.backends.get(spec.name) ?? model.frontends.get(spec.name);
  if (other !== undefined) throw nameTaken(other.spec);
  let proxy: ProxyObject;
  try {
    proxy = addProxy(shop, { ...spec, binds: [], servers: [] }, true);
  } catch (error) {
    if (error instanceof SluiceError) throw new Refusal("TOO_MANY", error.message);
    throw error;
  }
  shop.log.flushSoon();
  const kind = spec.hasFront ? "frontend-added" : "backend-added";
  events.changed(kind, proxy, `${spec.name} added`);
  return proxy;
}

/** `publish backend`, `unpublish backend`: whether rules that name it send it traffic. */
export function preparePublish(
  control: LifeControl,
  entry: DraftProxy,
  isPublished: boolean,
): Change {
  const { name } = entry.spec;
  const { proxies } = control.tables;
  const isDisabled =
    entry.object !== undefined &&
    proxies.words[entry.object.row + PROXY_STATE] === PROXY_STATE_DISABLED;
  if (isDisabled) throw new Refusal("WRONG_STATE", "No effect on a disabled backend.");
  const was = entry.isPublished;
  entry.isPublished = isPublished;
  const set = (value: boolean): void => {
    const backend = madeProxy(control, entry);
    const { row } = backend;
    if (value) Atomics.or(proxies.words, row + PROXY_FLAGS, PROXY_FLAG_PUBLISHED);
    else Atomics.and(proxies.words, row + PROXY_FLAGS, ~PROXY_FLAG_PUBLISHED);
    const text = `${name} ${value ? "published" : "unpublished"}`;
    control.events.changed("backend-changed", backend, text);
  };
  return {
    effect: `${isPublished ? "publishes" : "unpublishes"} backend ${name}`,
    apply: () => {
      set(isPublished);
      return { text: `Backend ${isPublished ? "published" : "unpublished"}.` };
    },
    undo: () => set(was),
  };
}

/** Checks that a backend can be removed (manual 9.3, `del backend`). @throws Refusal */
export function prepareDelBackend(control: LifeControl, entry: DraftProxy): Change {
  const { spec, object } = entry;
  refuseBackend(control, entry);
  entry.isDeleted = true;
  let takeBack = (): void => undefined;
  return {
    effect: `removes backend ${spec.name}`,
    apply: () => {
      // What this transaction has already taken away is gone by now.
      const backend = madeProxy(control, entry);
      refuseBackend(control, entry);
      takeBack = removeProxy(control, backend);
      return { text: "Backend deleted." };
    },
    // One that this transaction has added is to be gone anyway.
    undo: () => (object === undefined ? undefined : takeBack()),
  };
}

const unique = (holders: readonly Holder[]): Holder[] => [
  ...new Map(holders.map((holder) => [holder.text, holder])).values(),
];

/** What changes before in the draft add to the holders that there are. */
function draftHolders(entry: DraftProxy): Holder[] {
  const holders: Holder[] = [];
  if (entry.isPublished) holders.push({ kind: "state", text: "the backend is published" });
  for (const { spec, isDeleted, object } of entry.servers.values()) {
    // Also one that was deleted before: once it is made, the backend is marked for good.
    if (spec.quic !== undefined) {
      holders.push({ kind: "quic", text: `QUIC server ${spec.name}, linked before` });
    }
    if (isDeleted || object !== undefined) continue;
    holders.push({ kind: "server", text: `server ${spec.name}, added before` });
  }
  return holders;
}

/** @throws Refusal for the first kind of holder that HAProxy would name */
function refuseBackend(control: LifeControl, entry: DraftProxy): void {
  const holders = [...draftHolders(entry)];
  if (entry.object !== undefined) holders.push(...backendHolders(control, entry.object));
  for (const { kind, text, code } of BACKEND_REASONS) {
    const found = unique(holders.filter((holder) => holder.kind === kind));
    if (found.length === 0) continue;
    // A transaction may have taken its publication away before; a server that it deletes holds
    // the backend until all workers have forgotten it.
    if (kind === "state" && !entry.isPublished) continue;
    const refusal = new Refusal(code, `${text} Held by: ${holderClause(found)}.`, found);
    const row = entry.object?.row;
    if (row !== undefined) {
      refusal.elaborate = () => withStreamAges(control, refusal, "backend", row, text);
    }
    throw refusal;
  }
}

/**
 * Takes a proxy without servers, listeners and streams out for good. Servers of it that are not
 * purged yet (a transaction that is taken back) are, before it is: purges keep their order.
 * @returns what takes it back, for a transaction that fails later, as long as it is not purged
 */
export function removeProxy(control: LifeControl, proxy: ProxyObject): () => void {
  const { shop, model, tables, grace, events, references, runtime } = control;
  const { row, spec } = proxy;
  const { words } = tables.proxies;
  const isFree = references.holders(proxy).every(({ kind }) => kind === "purge");
  assert(isFree, "removeProxy: nobody refers to it");
  const place = model.proxies.indexOf(proxy);
  const state = Atomics.load(words, row + PROXY_STATE);
  Atomics.store(words, row + PROXY_STATE, PROXY_STATE_FREE);
  Atomics.store(words, row + PROXY_WATCHED, 1);
  model.removeProxy(proxy);
  removeGuid(shop, proxy);
  const sequence = shop.log.append({ kind: "proxy.remove", row });
  const takeBack = purgeLater(grace, sequence, {
    purge: () => {
      // Another may have taken the name meanwhile.
      const isTaken = model.backends.has(spec.name) || model.frontends.has(spec.name);
      if (proxy.isDynamic && !isTaken) runtime.forget(spec.name);
      // A stream that was routed just before the mutation may still be on it.
      freeWhenIdle(events, () => purgeProxy(control, proxy));
    },
    putBack: () => putBack(control, proxy, place, state),
    late: `${spec.name} is purged.`,
  });
  shop.log.flushSoon();
  const kind = spec.hasFront ? "frontend-removed" : "backend-removed";
  events.changed(kind, proxy, `${spec.name} removed`);
  return takeBack;
}

/** A removal is taken back: the proxy is what it was. */
function putBack(
  { shop, model, tables, events }: LifeControl,
  proxy: ProxyObject,
  place: number,
  state: number,
): void {
  const { row, generation, spec } = proxy;
  const { words } = tables.proxies;
  model.addProxy(proxy, place);
  enterGuid(shop, proxy);
  Atomics.store(words, row + PROXY_WATCHED, 0);
  Atomics.store(words, row + PROXY_STATE, state);
  shop.log.append({ kind: "proxy.add", row, generation, proxy: headOf(spec) });
  shop.log.flushSoon();
  events.changed(spec.hasFront ? "frontend-added" : "backend-added", proxy, `${spec.name} is back`);
}

/** Frees the row if no stream and no QUIC connection is on it. @returns whether it is freed */
function purgeProxy(control: LifeControl, proxy: ProxyObject): boolean {
  const { shop, tables, events } = control;
  const { row, spec } = proxy;
  const { words } = tables.proxies;
  const isUsed =
    Atomics.load(words, row + PROXY_BACK_CURRENT) !== 0 ||
    Atomics.load(words, row + PROXY_FRONT_CURRENT) !== 0 ||
    quicConnections(tables, row, true) !== 0 ||
    quicConnections(tables, row, false) !== 0;
  if (isUsed) return false;
  assert(words[row + PROXY_REFERENCES] === 0, "purgeProxy: nobody refers to it");
  if (spec.hasBack) removeBackend(shop.lb, row);
  const index = row / PROXY_STRIDE;
  for (const { proxyBack, proxyFront, quicFront, quicBack } of tables.perWorker) {
    proxyBack.words.fill(0, index * BACK_COUNT_STRIDE, (index + 1) * BACK_COUNT_STRIDE);
    proxyFront.words.fill(0, index * FRONT_COUNT_STRIDE, (index + 1) * FRONT_COUNT_STRIDE);
    // Most proxies never count QUIC: what was never touched is not touched here either.
    for (const { words: counts, floats } of [quicFront, quicBack]) {
      const at = index * QUIC_COUNT_STRIDE;
      if (floats[(at + QUIC_COUNT_USED) >> 1] !== 0) counts.fill(0, at, at + QUIC_COUNT_STRIDE);
    }
  }
  shop.proxyRows.give(row);
  const kind = spec.hasBack ? "backend-purged" : "frontend-purged";
  events.tell({ kind, proxy, text: spec.name });
  return true;
}

/** Checks that a frontend can be removed: no listeners, no sessions. @throws Refusal */
export function prepareDelFrontend(control: LifeControl, entry: DraftProxy): Change {
  const { spec, object } = entry;
  if (spec.hasBack) throw new Refusal("CONFIGURED", "Cannot delete a listen section.");
  if (object !== undefined) refuseFrontend(control, object);
  entry.isDeleted = true;
  let takeBack = (): void => undefined;
  return {
    effect: `removes frontend ${spec.name}`,
    apply: () => {
      const frontend = madeProxy(control, entry);
      refuseFrontend(control, frontend);
      takeBack = removeProxy(control, frontend);
      return { text: "Frontend deleted." };
    },
    undo: () => (object === undefined ? undefined : takeBack()),
  };
}

function refuseFrontend(control: LifeControl, proxy: ProxyObject): void {
  if (proxy.listeners.length > 0) {
    const holders = proxy.listeners.map(({ spec }): Holder => ({
      kind: "listener",
      text: `listener ${spec.name ?? `#${spec.id}`} on ${spec.text}`,
      clear: `del bind ${proxy.spec.name}/${spec.name ?? `#${spec.id}`}`,
    }));
    const clause = holderClause(holders);
    const text = `Only a frontend without listener can be deleted. Held by: ${clause}.`;
    throw new Refusal("IN_USE", text, holders);
  }
  const holders = frontendHolders(control, proxy);
  if (holders.length === 0) return;
  const text = `Frontend still has sessions on it. Held by: ${holderClause(holders)}.`;
  throw new Refusal("IN_USE", text, holders);
}
