/**
 * From the objects of a running process to the records of a state file, in two steps: `cut` looks
 * at everything in one turn and notes what there is (specs are never changed in place, so a
 * reference to one is a copy of it); `batchesOf` turns that into records, a piece at a time, while
 * the process goes on. Main thread.
 */
import { initialHealth } from "../../check/health.ts";
import {
  PROXY_FLAG_PUBLISHED,
  PROXY_STATE_DISABLED,
  PROXY_STATE_READY,
  SERVER_ADMIN_CONFIG_MAINT,
  SERVER_ADMIN_FORCED_DRAIN,
  SERVER_ADMIN_FORCED_MAINT,
  SERVER_FLAG_AGENT_OFF,
  SERVER_FLAG_CHECKED,
  SERVER_FLAG_CHECKS_OFF,
  SERVER_FLAG_DOWN,
  SERVER_FLAG_STOPPING,
} from "../../tables/generated/enums.ts";
import {
  PROCESS_MAXCONN,
  PROCESS_MAXCONNRATE,
  PROCESS_MAXSESSRATE,
} from "../../tables/generated/process.ts";
import { PROXY_FLAGS, PROXY_FRONT_MAXCONN, PROXY_STATE } from "../../tables/generated/proxy.ts";
import * as serverRow from "../../tables/generated/server.ts";
import type { ServerSpec } from "../../tables/spec.ts";
import type { Control } from "../control.ts";
import type { ListenerObject, Model, ProxyObject, ServerObject } from "../model.ts";
import type { StateRecord } from "../server-state.ts";
import { QuicShards } from "../stats/quic-shards.ts";
import type { Shards } from "../stats/shards.ts";
import { countedOf, fieldsOf, groupsOf, hasItsRow, readCounters } from "./counters.ts";
import type { Counted, CountedGroup } from "./counters.ts";
import { Kept } from "./kept.ts";
import { collectQuic, countsQuic } from "./quic-counters.ts";
import { withoutKeys } from "./quic-secrets.ts";
import type {
  Pair,
  SavedAge,
  SavedCounters,
  SavedGlobals,
  SavedGrave,
  SavedHead,
  SavedHealth,
  SavedListener,
  SavedProxy,
  SavedServer,
  Side,
} from "./records.ts";
import { addressKey, diffSpec } from "./specs.ts";
import type { Batch } from "./state-format.ts";

/** The part of control that a cut looks at. */
export type CollectedControl = Pick<
  Control,
  "plan" | "tables" | "model" | "keeper" | "clock" | "environment" | "maxconnHard"
> & { readonly checks: Pick<Control["checks"], "isAgentDown"> };

/** Objects that one batch looks at: about a millisecond of work. */
const BATCH_RECORDS = 200;

/** Administrative bits that are a server's own. */
export const OWN_ADMIN =
  SERVER_ADMIN_FORCED_MAINT | SERVER_ADMIN_FORCED_DRAIN | SERVER_ADMIN_CONFIG_MAINT;

/** A server as it was at the moment of the cut. */
type ServerCut = {
  server: ServerObject;
  spec: ServerSpec;
  weight: number;
  maxconn: number;
  minconn: number;
  admin: number;
  flags: number;
  counter: number;
  isAgentDown: boolean;
  slowStartMs: number | undefined;
  age: SavedAge | undefined;
};

/** Everything at one moment. */
export type Cut = {
  head: SavedHead;
  globals: SavedGlobals;
  graves: SavedGrave[];
  proxies: SavedProxy[];
  listeners: SavedListener[];
  servers: ServerCut[];
  /** What is written down again as it was. */
  kept: { servers: SavedServer[]; counters: SavedCounters[] };
  counted: CountedGroup[];
};

/** Notes what there is. O(objects), about 0.2 microseconds each. */
export function cut(
  control: CollectedControl,
  head: SavedHead,
  graves: Iterable<SavedGrave>,
  kept = new Kept(),
): Cut {
  const { model, tables } = control;
  const words = tables.servers.words;
  const proxies: SavedProxy[] = [];
  const listeners: SavedListener[] = [];
  const servers: ServerCut[] = [];
  for (const proxy of model.proxies) {
    const saved = proxyRecord(control, proxy);
    if (saved !== undefined) proxies.push(saved);
    for (const listener of proxy.listeners) {
      if (!listener.isDynamic) continue;
      listeners.push({ proxy: proxy.spec.name, made: withoutKeys(listener.spec) });
    }
    for (const server of proxy.servers) {
      if (kept.has(server)) continue;
      const one = cutServer(control, words, server);
      if (one !== undefined) servers.push(one);
    }
  }
  listeners.push(...kept.listeners);
  const globals = globalsRecord(control);
  const counted = groupsOf(model.proxies);
  const again = { servers: kept.servers, counters: kept.counters };
  const objects = { proxies, listeners, servers, kept: again, counted };
  return { head, globals, graves: [...graves], ...objects };
}

/** What removing an object of the configuration leaves behind; undefined = nothing. */
export function graveOf(
  object: ProxyObject | ListenerObject | ServerObject,
): SavedGrave | undefined {
  if (object.isDynamic) return undefined;
  if ("servers" in object) {
    const { binds: _binds, servers: _servers, ...spec } = object.spec;
    return { kind: "proxy", side: sideOf(object), spec };
  }
  if ("backend" in object) {
    const { backend, configured } = object;
    return { kind: "server", backend: backend.spec.name, spec: withoutKeys(configured) };
  }
  return { kind: "listener", proxy: object.frontend.spec.name, spec: withoutKeys(object.spec) };
}

/** The side by which a proxy is found; a `listen` section is found by both. */
export const sideOf = ({ spec }: ProxyObject): Side => (spec.hasFront ? "front" : "back");

function globalsRecord(control: CollectedControl): SavedGlobals {
  const { plan, tables, environment } = control;
  const { words } = tables.process;
  const { maxconn, maxconnrate, maxsessrate } = plan.global;
  const variables: SavedGlobals["environment"] = {};
  for (const [name, value] of environment) {
    const was = plan.global.environment[name];
    if (was !== value) variables[name] = [was ?? null, value];
  }
  const limit = words[PROCESS_MAXCONN]!;
  return {
    ...(limit === control.maxconnHard ? {} : { maxconn: [maxconn, limit] }),
    ...changedPair("maxconnrate", maxconnrate, words[PROCESS_MAXCONNRATE]!),
    ...changedPair("maxsessrate", maxsessrate, words[PROCESS_MAXSESSRATE]!),
    environment: variables,
  };
}

/** The pair under its name where the two differ. */
function changedPair<K extends string, T>(name: K, was: T, now: T): { [P in K]?: Pair<T> } {
  if (was === now) return {};
  const made: { [P in K]?: Pair<T> } = {};
  made[name] = [was, now];
  return made;
}

function proxyRecord(control: CollectedControl, proxy: ProxyObject): SavedProxy | undefined {
  const { tables, keeper } = control;
  const { row, spec, isDynamic, quicUse } = proxy;
  const words = tables.proxies.words;
  const initial = spec.disabled ? PROXY_STATE_DISABLED : PROXY_STATE_READY;
  const isPublished = (words[row + PROXY_FLAGS]! & PROXY_FLAG_PUBLISHED) !== 0;
  const age = ageOf(control, keeper.records.get(proxy));
  const changes: Partial<SavedProxy> = {
    ...(isDynamic
      ? { made: { spec: { ...spec, binds: [], servers: [] }, from: spec.madeFrom ?? "" } }
      : {}),
    ...changedPair(
      "frontMaxconn",
      spec.hasFront ? spec.maxconn : 0,
      words[row + PROXY_FRONT_MAXCONN]!,
    ),
    ...changedPair("state", initial, words[row + PROXY_STATE]!),
    ...changedPair("isPublished", spec.hasBack && !isDynamic, isPublished),
    ...(quicUse === undefined ? {} : { quicUse }),
    ...(age === undefined ? {} : { age }),
  };
  if (Object.keys(changes).length === 0) return undefined;
  const guid = spec.guid === undefined ? {} : { guid: spec.guid };
  return { name: spec.name, side: sideOf(proxy), ...guid, ...changes };
}

/** Undefined: it is as it was at the start. */
function ageOf(
  { keeper, clock }: CollectedControl,
  record: StateRecord | undefined,
): SavedAge | undefined {
  if (record === undefined) return undefined;
  const { changedAtMs, downtimeMs, downs } = record;
  if (changedAtMs === keeper.startedAtMs && downs === 0 && downtimeMs === 0) return undefined;
  return { sinceMs: Math.max(0, clock.nowMs() - changedAtMs), downtimeMs, downs };
}

const HEALTH_FLAGS =
  SERVER_FLAG_DOWN | SERVER_FLAG_STOPPING | SERVER_FLAG_CHECKS_OFF | SERVER_FLAG_AGENT_OFF;

/** Undefined: it is in everything as it was configured. */
function cutServer(
  control: CollectedControl,
  words: Int32Array,
  server: ServerObject,
): ServerCut | undefined {
  const { row, spec, configured, isDynamic } = server;
  const weight = words[row + serverRow.SERVER_WEIGHT]!;
  const maxconn = words[row + serverRow.SERVER_MAXCONN]!;
  const minconn = words[row + serverRow.SERVER_MINCONN]!;
  const admin = words[row + serverRow.SERVER_ADMIN_STATE]! & OWN_ADMIN;
  const health = {
    spec,
    flags: words[row + serverRow.SERVER_FLAGS]!,
    counter: words[row + serverRow.SERVER_HEALTH]!,
    isAgentDown: control.checks.isAgentDown(server),
    slowStartMs: control.keeper.slowStart.elapsedMs(server),
    age: ageOf(control, control.keeper.records.get(server)),
  };
  const isAsConfigured =
    !isDynamic &&
    spec === configured &&
    weight === configured.weight &&
    maxconn === configured.maxconn &&
    minconn === configured.minconn &&
    admin === configuredAdmin(configured) &&
    !hasHealth(health);
  return isAsConfigured ? undefined : { server, weight, maxconn, minconn, admin, ...health };
}

/** Own administrative bits of a server that was configured so. */
export const configuredAdmin = ({ disabled }: ServerSpec): number =>
  disabled ? SERVER_ADMIN_CONFIG_MAINT | SERVER_ADMIN_FORCED_MAINT : 0;

type HealthCut = Pick<
  ServerCut,
  "flags" | "counter" | "isAgentDown" | "slowStartMs" | "spec" | "age"
>;

function hasHealth({ flags, counter, isAgentDown, slowStartMs, spec, age }: HealthCut): boolean {
  if ((flags & HEALTH_FLAGS) !== 0 || isAgentDown || age !== undefined) return true;
  if (slowStartMs !== undefined) return true;
  return (flags & SERVER_FLAG_CHECKED) !== 0 && counter !== initialHealth(spec);
}

function serverRecord(made: ServerCut): SavedServer {
  const { server, spec, weight, maxconn, minconn, admin } = made;
  const { configured, isDynamic, backend } = server;
  const guid = spec.guid === undefined ? {} : { guid: spec.guid };
  return {
    backend: backend.spec.name,
    name: configured.name,
    ...guid,
    ...(isDynamic ? { made: withoutKeys(configured) } : {}),
    ...(spec === configured
      ? {}
      : { changes: diffSpec(withoutKeys(configured), withoutKeys(spec)) }),
    ...changedPair("weight", configured.weight, weight),
    ...changedPair("maxconn", configured.maxconn, maxconn),
    ...changedPair("minconn", configured.minconn, minconn),
    ...(isDynamic
      ? { admin: [configuredAdmin(configured), admin] }
      : changedPair("admin", configuredAdmin(configured), admin)),
    ...(hasHealth(made) ? { health: healthRecord(made) } : {}),
  };
}

function healthRecord(made: ServerCut): SavedHealth {
  const { flags, counter, isAgentDown, slowStartMs, spec, age } = made;
  return {
    isDown: (flags & SERVER_FLAG_DOWN) !== 0,
    isStopping: (flags & SERVER_FLAG_STOPPING) !== 0,
    areChecksOff: (flags & SERVER_FLAG_CHECKS_OFF) !== 0,
    isAgentOff: (flags & SERVER_FLAG_AGENT_OFF) !== 0,
    isAgentDown,
    ...(slowStartMs === undefined ? {} : { slowStartMs }),
    counter: (flags & SERVER_FLAG_CHECKED) !== 0 ? counter : -1,
    age: age ?? { sinceMs: 0, downtimeMs: 0, downs: 0 },
    of: addressKey(spec.address),
  };
}

/**
 * The records, some at a time. Counters are read as their turn comes: what was removed since the
 * cut has none.
 */
export function* batchesOf(made: Cut, model: Model, shards: Shards): Generator<Batch> {
  yield { kind: "head", items: [made.head] };
  yield { kind: "globals", items: [made.globals] };
  yield* batched("grave", made.graves, (grave) => grave);
  yield* batched("proxy", made.proxies, (proxy) => proxy);
  yield* batched("listener", made.listeners, (listener) => listener);
  yield* batched("server", made.servers, serverRecord);
  yield* batched("server", made.kept.servers, (server) => server);
  yield* batched("counters", made.kept.counters, (counters) => counters);
  const quic = new QuicShards(model.tables);
  yield* batched("counters", countedOf(made.counted), (counted) =>
    hasItsRow(model, counted) ? countersRecord(model, shards, quic, counted) : undefined,
  );
}

function* batched<T>(
  kind: string,
  all: Iterable<T>,
  toRecord: (one: T) => unknown,
): Generator<Batch> {
  let items: unknown[] = [];
  let seen = 0;
  for (const one of all) {
    const record = toRecord(one);
    if (record !== undefined) items.push(record);
    seen++;
    if (seen % BATCH_RECORDS !== 0) continue;
    yield { kind, items };
    items = [];
  }
  if (items.length > 0) yield { kind, items };
}

/** Undefined: nothing was counted. */
function countersRecord(
  { tables }: Model,
  shards: Shards,
  quic: QuicShards,
  counted: Counted,
): SavedCounters | undefined {
  const { kind, object } = counted;
  const sums = readCounters(shards, counted);
  const fields: string[] = [];
  const values: number[] = [];
  for (const [name, offset] of fieldsOf(kind)) {
    const value = sums[offset >> 1]!;
    if (value === 0) continue;
    fields.push(name);
    values.push(value);
  }
  if (counted.kind === "frontend" || counted.kind === "backend") {
    const isFront = counted.kind === "frontend";
    const proxy = counted.object;
    if (countsQuic(tables, proxy, isFront)) collectQuic(quic, proxy, isFront, fields, values);
  }
  if (values.length === 0) return undefined;
  const owner =
    "backend" in object ? object.backend : "frontend" in object ? object.frontend : object;
  const name = object === owner ? "" : "backend" in object ? object.spec.name : listenerKey(object);
  return { kind, proxy: owner.spec.name, name, guid: object.spec.guid ?? "", fields, values };
}

/** What a listener is called in a file. */
export function listenerKey(object: Counted["object"]): string {
  return "frontend" in object ? (object.spec.name ?? object.spec.text) : "";
}
