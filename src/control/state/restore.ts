/**
 * A state file's changes, made again: after the configuration's objects have been made, before the
 * first worker runs. Objects are found by GUID first, then by name; where the configuration was
 * edited since, it counts (docs/state.md). What cannot be made any more is told and left out.
 * What needs checks and the rest of control comes later (`restore-late.ts`). Main thread.
 */
import { refreshBackend } from "../../balance/refresh.ts";
import { describeError } from "../../base/assert.ts";
import type { RuntimeConfig } from "../../config/runtime.ts";
import {
  PROXY_FLAG_PUBLISHED,
  PROXY_STATE_STOPPED,
  SERVER_ADMIN_RESOLUTION_MAINT,
  SERVER_FLAG_AGENT_OFF,
  SERVER_FLAG_CHECKS_OFF,
  SERVER_FLAG_DOWN,
  SERVER_FLAG_NEW,
  SERVER_FLAG_STOPPING,
} from "../../tables/generated/enums.ts";
import { PROXY_FLAGS, PROXY_FRONT_MAXCONN, PROXY_STATE } from "../../tables/generated/proxy.ts";
import * as serverRow from "../../tables/generated/server.ts";
import type { ServerSpec } from "../../tables/spec.ts";
import { addListener, addProxy, addServer } from "../build.ts";
import type { Workshop } from "../build.ts";
import { preloadByGuid } from "../guids.ts";
import type { ProxyObject, ServerObject } from "../model.ts";
import { beginQuicListener, beginQuicServer } from "../quic-start.ts";
import { markQuicUsed, noteQuicServer } from "../quic-use.ts";
import { mergeState } from "../server-state.ts";
import { readySlowStart } from "../slowstart.ts";
import { configuredAdmin, OWN_ADMIN } from "./collect.ts";
import { lastName, orLater, PassingError } from "./kept.ts";
import type { KeptItem } from "./kept.ts";
import { bindQuicOf, checkWithKeys, serverQuicOf, withoutKeys } from "./quic-secrets.ts";
import type { QuicReader } from "./quic-secrets.ts";
import type {
  Pair,
  SavedListener,
  SavedProxy,
  SavedServer,
  SavedState,
  Side,
  SpecDiff,
} from "./records.ts";
import { restoreCounters } from "./restore-counters.ts";
import { addressKey, applyDiff, completeSpec } from "./specs.ts";

/** What makes specs of this release. */
export type SpecMaker = Pick<RuntimeConfig, "makeServer" | "makeBinds" | "remakeProxy"> &
  QuicReader;

/** What restoring came to. */
export type Restored = {
  /** Objects that were made, and objects that were changed. */
  made: number;
  changed: number;
  /** Sentences about what was left out. */
  leftOut: string[];
  /** What of that a later start may have again. */
  kept: KeptItem[];
  /** Which saved server is which object, for what comes later. */
  servers: Map<SavedServer, ServerObject>;
  proxies: Map<SavedProxy, ProxyObject>;
};

/** Numbers that are given out among objects of one kind. */
class Ids {
  readonly #used: Set<number>;
  /** No lower one is free. */
  #lowest = 1;

  constructor(others: Iterable<{ spec: { id: number } }>, more: Iterable<{ id: number }> = []) {
    this.#used = new Set([...more].map(({ id }) => id));
    for (const { spec } of others) this.#used.add(spec.id);
  }

  /** The number that was wanted, or the lowest free one where it is taken. */
  take(wanted: number): number {
    let id = wanted;
    if (wanted <= 0 || this.#used.has(wanted)) {
      while (this.#used.has(this.#lowest)) this.#lowest++;
      id = this.#lowest;
    }
    this.#used.add(id);
    return id;
  }
}

/** A restoring under way: what it needs, what it has come to. */
type Work = {
  shop: Workshop;
  specs: SpecMaker;
  restored: Restored;
  proxyIds: Ids;
  /** Of the servers of each backend. */
  serverIds: Map<ProxyObject, Ids>;
};

/** Makes the changes of a file again. Never throws for what is in the file. */
export function restoreState(shop: Workshop, specs: SpecMaker, state: SavedState): Restored {
  const restored: Restored = {
    made: 0,
    changed: 0,
    leftOut: [],
    kept: [],
    servers: new Map(),
    proxies: new Map(),
  };
  const { model } = shop;
  const proxyIds = new Ids(model.proxies, model.plan.pages);
  const work: Work = { shop, specs, restored, proxyIds, serverIds: new Map() };
  const attempt = (what: string, run: () => string | undefined, item?: KeptItem): void => {
    let wrong: string | undefined;
    try {
      wrong = run();
    } catch (error) {
      if (error instanceof PassingError && item !== undefined) restored.kept.push(item);
      wrong = error instanceof Error ? error.message : describeError(error);
    }
    if (wrong !== undefined) restored.leftOut.push(`${what}: ${wrong}`);
  };
  for (const saved of state.proxies) {
    attempt(`proxy ${saved.name}`, () => restoreProxy(work, saved));
  }
  const title = ({ backend, name }: SavedServer): string => `server ${backend}/${name}`;
  // First those of the configuration: one that was made may bear a name that another had.
  for (const saved of state.servers) {
    if (saved.made !== undefined) continue;
    const server = savedServer(work, saved);
    if (server === undefined) continue;
    const item: KeptItem = { kind: "server", saved, server };
    attempt(title(saved), () => changeServer(work, saved, server), item);
  }
  renameServers(shop, restored);
  for (const saved of state.servers) {
    const { made } = saved;
    if (made === undefined) continue;
    const item: KeptItem = { kind: "server", saved };
    attempt(title(saved), () => remakeServer(work, saved, made), item);
  }
  for (const saved of state.listeners) {
    const what = `listener ${saved.proxy}/${saved.made.text}`;
    attempt(what, () => remakeListener(work, saved), { kind: "listener", saved });
  }
  const backends = new Set([...restored.servers.values()].map(({ backend }) => backend));
  for (const { row } of backends) refreshBackend(shop.lb, row);
  restoreCounters(shop, state.counters);
  return restored;
}

/** @throws Error with the sentence of a refusal */
function specOf<T>(made: { ok: true; spec: T } | { ok: false; message: string }): T {
  if (!made.ok) throw new Error(made.message);
  return made.spec;
}

const isSameAddress = (left: { address: object }, right: { address: object }): boolean =>
  Bun.deepEquals(left.address, right.address);

/**
 * What now says, where the configuration still says what was; where it was edited to something
 * else than that, its name goes to `overruled`.
 */
export function stands<T>(
  pair: Pair<T> | undefined,
  configured: T,
  setting: string,
  overruled: Set<string>,
): T | undefined {
  if (pair === undefined || pair[0] === configured) return pair?.[1];
  if (pair[1] !== configured) overruled.add(setting);
  return undefined;
}

/** The sentence about settings that were edited. @returns undefined where there are none */
export function overruledText(settings: ReadonlySet<string>): string | undefined {
  if (settings.size === 0) return undefined;
  return `the configuration has changed since in ${[...settings].join(", ")}, and counts`;
}

function proxyOf({ model }: Workshop, name: string, side: Side): ProxyObject | undefined {
  return (side === "front" ? model.frontends : model.backends).get(name);
}

function restoreProxy(work: Work, saved: SavedProxy): string | undefined {
  const { shop, restored } = work;
  const { tables } = shop;
  const words = tables.proxies.words;
  const bearer = saved.guid === undefined ? undefined : preloadByGuid(shop, saved.guid);
  const borne = bearer !== undefined && "servers" in bearer ? bearer : undefined;
  let proxy = borne ?? proxyOf(shop, saved.name, saved.side);
  if (saved.made !== undefined) {
    if (proxy !== undefined) return "the configuration has it now";
    proxy = remake(work, saved.made, saved.side);
    restored.made++;
  } else {
    if (proxy === undefined) return undefined;
    restored.changed++;
  }
  restored.proxies.set(saved, proxy);
  const { row, spec, isDynamic } = proxy;
  const overruled = new Set<string>();
  const configured = spec.hasFront ? spec.maxconn : 0;
  const maxconn = stands(saved.frontMaxconn, configured, "maxconn", overruled);
  if (maxconn !== undefined) words[row + PROXY_FRONT_MAXCONN] = maxconn;
  const wasPublished = spec.hasBack && !isDynamic;
  const isPublished = stands(saved.isPublished, wasPublished, "published", overruled);
  if (isPublished === true) words[row + PROXY_FLAGS]! |= PROXY_FLAG_PUBLISHED;
  if (isPublished === false) words[row + PROXY_FLAGS]! &= ~PROXY_FLAG_PUBLISHED;
  if (saved.quicUse !== undefined) markQuicUsed(tables, proxy, saved.quicUse);
  const state = stands(saved.state, words[row + PROXY_STATE]!, "disabled", overruled);
  // One that was shut down has no listener left: they are left out of the plan. A paused one is
  // paused once there are workers to tell.
  if (state === PROXY_STATE_STOPPED && proxy.listeners.length === 0) {
    Atomics.store(words, row + PROXY_STATE, state);
  }
  return overruledText(overruled);
}

function remake(
  { shop, specs, proxyIds }: Work,
  made: NonNullable<SavedProxy["made"]>,
  side: Side,
): ProxyObject {
  const section = side === "front" ? "frontend" : "backend";
  const base = specOf(specs.remakeProxy(section, made.spec.name, made.from));
  const spec = completeSpec(base, made.spec);
  const hasFront = side === "front";
  return addProxy(
    shop,
    {
      ...spec,
      ...{ hasFront, hasBack: !hasFront, section, madeFrom: made.from },
      id: proxyIds.take(spec.id),
      binds: [],
      servers: [],
    },
    true,
  );
}

/** The server of the configuration that a record is about. */
function savedServer({ shop }: Work, saved: SavedServer): ServerObject | undefined {
  const bearer = saved.guid === undefined ? undefined : preloadByGuid(shop, saved.guid);
  const borne = bearer !== undefined && "backend" in bearer ? bearer : undefined;
  return borne ?? shop.model.backends.get(saved.backend)?.serversByName.get(saved.name);
}

/** A server of the configuration. */
function changeServer(
  { shop, specs, restored }: Work,
  saved: SavedServer,
  server: ServerObject,
): string | undefined {
  const { spec, overruled } = changedSpec(specs, server, server.configured, saved.changes ?? {});
  // Its name comes later.
  if (spec !== server.configured) changeSpec(shop, server, { ...spec, name: server.spec.name });
  restored.changed++;
  restored.servers.set(saved, server);
  // What a name stood for at the start is no edit of the configuration.
  const isNamed = server.configured.hostName !== undefined;
  const settings = new Set(isNamed ? overruled.filter((name) => name !== "address") : overruled);
  restoreRow(shop, server, saved, settings);
  return overruledText(settings);
}

/** A server that was made at run time; it begins with the name that it had last. */
function remakeServer(
  { shop, specs, restored, serverIds }: Work,
  saved: SavedServer,
  made: ServerSpec,
): string | undefined {
  const { backend: backendName, changes } = saved;
  const backend = shop.model.backends.get(backendName);
  if (backend === undefined) return "its backend is gone";
  const { name: _name, ...rest } = changes ?? {};
  const last = lastName(saved);
  if (backend.serversByName.has(last)) return "the configuration has one of this name now";
  const base = specOf(specs.makeServer(backendName, last, ["127.0.0.1:1"]));
  let ids = serverIds.get(backend);
  if (ids === undefined) serverIds.set(backend, (ids = new Ids(backend.servers)));
  const id = ids.take(made.id);
  const spec = completeSpec(base, made);
  spec.check = checkWithKeys(specs, spec.check);
  if (made.quic !== undefined) spec.quic = serverQuicOf(specs, backendName, made.quic);
  const configured = { ...spec, name: last, id };
  // All that may be missing, before anything of it is there.
  const { spec: changed } = changedSpec(specs, { backend }, configured, rest);
  orLater(() => beginQuicServer(shop, configured));
  orLater(() => beginQuicServer(shop, changed));
  const server = addServer(shop, backend, configured, true);
  // The first workers know it from the beginning.
  shop.tables.servers.words[server.row + serverRow.SERVER_FLAGS]! &= ~SERVER_FLAG_NEW;
  restored.made++;
  restored.servers.set(saved, server);
  if (changed !== configured) changeSpec(shop, server, changed);
  restoreRow(shop, server, saved, new Set());
  return undefined;
}

function remakeListener(
  { shop, specs, restored }: Work,
  { proxy, made }: SavedListener,
): string | undefined {
  const frontend = shop.model.frontends.get(proxy);
  if (frontend === undefined) return "its frontend is gone";
  const isTaken = frontend.listeners.some(({ spec }) => isSameAddress(spec, made));
  if (isTaken) return "the configuration has this address now";
  const [base] = specOf(specs.makeBinds(proxy, ["127.0.0.1:1"]));
  const spec = completeSpec(base!, made);
  if (made.quic !== undefined) spec.quic = bindQuicOf(specs, proxy, made.quic);
  orLater(() => beginQuicListener(shop, spec));
  const id = new Ids(frontend.listeners).take(spec.id);
  const errno = addListener(shop, frontend, { ...spec, id }, true);
  if (errno !== 0) return `it cannot be bound (error ${errno})`;
  restored.made++;
  return undefined;
}

/** `applyDiff` where the file holds no keys. @throws PassingError that names a file */
function changedSpec(
  specs: SpecMaker,
  { backend }: Pick<ServerObject, "backend">,
  configured: ServerSpec,
  diff: SpecDiff,
): ReturnType<typeof applyDiff> {
  if (!("quic" in diff)) return applyDiff(configured, diff);
  const bare = withoutKeys(configured);
  const { spec, overruled } = applyDiff(bare, diff);
  if (spec === bare) return { spec: configured, overruled };
  const { quic: changed, ...rest } = spec;
  const { tls, stepTls } = configured.check;
  rest.check = {
    ...rest.check,
    ...(tls === undefined ? {} : { tls }),
    ...(stepTls === undefined ? {} : { stepTls }),
  };
  const quic =
    changed === bare.quic
      ? configured.quic
      : changed === undefined
        ? undefined
        : serverQuicOf(specs, backend.spec.name, changed);
  return { spec: { ...rest, ...(quic === undefined ? {} : { quic }) }, overruled };
}

function changeSpec(shop: Workshop, server: ServerObject, spec: ServerObject["spec"]): void {
  orLater(() => beginQuicServer(shop, spec));
  noteQuicServer(shop.tables, server.backend, spec, shop.clock.epochMicros() / 1000);
  server.spec = spec;
  shop.log.append({ kind: "server.change", row: server.row, server: spec });
}

/** Numbers and states of the row; `overruled` gets those that the configuration has changed. */
function restoreRow(
  shop: Workshop,
  server: ServerObject,
  saved: SavedServer,
  overruled: Set<string>,
): void {
  const words = shop.tables.servers.words;
  const { row, spec, configured } = server;
  const weight = stands(saved.weight, configured.weight, "weight", overruled);
  const maxconn = stands(saved.maxconn, configured.maxconn, "maxconn", overruled);
  const minconn = stands(saved.minconn, configured.minconn, "minconn", overruled);
  if (weight !== undefined) words[row + serverRow.SERVER_WEIGHT] = weight;
  if (maxconn !== undefined) words[row + serverRow.SERVER_MAXCONN] = maxconn;
  if (minconn !== undefined) words[row + serverRow.SERVER_MINCONN] = minconn;
  const rest = words[row + serverRow.SERVER_ADMIN_STATE]! & ~SERVER_ADMIN_RESOLUTION_MAINT;
  const own = stands(saved.admin, configuredAdmin(configured), "disabled", overruled);
  const admin =
    (own === undefined ? rest : (rest & ~OWN_ADMIN) | (own & OWN_ADMIN)) |
    (spec.address === undefined ? SERVER_ADMIN_RESOLUTION_MAINT : 0);
  words[row + serverRow.SERVER_ADMIN_STATE] = admin;
  const { health } = saved;
  let flags = words[row + serverRow.SERVER_FLAGS]!;
  if (health !== undefined && health.of === addressKey(spec.address)) {
    flags &= ~(SERVER_FLAG_DOWN | SERVER_FLAG_STOPPING | SERVER_FLAG_CHECKS_OFF);
    if (health.isDown) flags |= SERVER_FLAG_DOWN;
    else if (health.isStopping) flags |= SERVER_FLAG_STOPPING;
    if (health.areChecksOff) flags |= SERVER_FLAG_CHECKS_OFF;
    if (health.slowStartMs !== undefined) readySlowStart(words, server, health.slowStartMs);
    if (health.isAgentOff === true) flags |= SERVER_FLAG_AGENT_OFF;
    else if (health.isAgentOff === false) flags &= ~SERVER_FLAG_AGENT_OFF;
    words[row + serverRow.SERVER_FLAGS] = flags;
  }
  const isDown = (flags & SERVER_FLAG_DOWN) !== 0;
  const isStopping = (flags & SERVER_FLAG_STOPPING) !== 0;
  const state = mergeState(admin, isDown ? "down" : isStopping ? "stopping" : "up");
  Atomics.store(words, row + serverRow.SERVER_STATE, state);
}

/** Names, all together: two servers may have exchanged theirs. */
function renameServers(shop: Workshop, restored: Restored): void {
  const renames: { server: ServerObject; name: string }[] = [];
  for (const [{ changes }, server] of restored.servers) {
    const pair = changes?.["name"];
    if (pair === undefined || pair[0] !== server.configured.name) continue;
    const [, name] = pair;
    if (typeof name !== "string" || !/^[A-Za-z0-9_:.-]{1,255}$/u.test(name)) continue;
    renames.push({ server, name });
  }
  for (const { server } of renames) {
    const { serversByName } = server.backend;
    if (serversByName.get(server.spec.name) === server) serversByName.delete(server.spec.name);
  }
  for (const { server, name } of renames) {
    const { serversByName, spec: backend } = server.backend;
    const isFree = !serversByName.has(name);
    if (isFree) {
      serversByName.set(name, server);
      changeSpec(shop, server, { ...server.spec, name });
      continue;
    }
    const old = server.spec.name;
    if (!serversByName.has(old)) serversByName.set(old, server);
    restored.leftOut.push(`server ${backend.name}/${old}: another one is called ${name} now`);
  }
}
