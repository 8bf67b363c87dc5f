/**
 * What was removed at run time is left out of the plan before anything of it is made: no address is
 * bound that somebody has given up, no server begins that somebody has deleted. Only where the
 * configuration still says what it said then, and nothing that stays needs the object: removals
 * come in the order in which they were made, whoever needs something before what it needs. At the
 * start.
 */
import type { Plan, ProxySpec, ServerSpec } from "../../tables/spec.ts";
import { withoutKeys } from "./quic-secrets.ts";
import type { SavedGrave } from "./records.ts";
import { isSameSettings } from "./specs.ts";

/** What became of the removals. */
export type LeftOut = {
  /** Still in force: they are written down again. */
  graves: SavedGrave[];
  /** Sentences about those that the configuration has overruled. */
  overruled: string[];
};

/** Leaves out of `plan`, in place, what was removed. O(removals + objects). */
export function leaveOut(plan: Plan, graves: readonly SavedGrave[]): LeftOut {
  const result: LeftOut = { graves: [], overruled: [] };
  if (graves.length === 0) return result;
  const sections = indexSections(plan);
  const named = namedServers(plan);
  const places = new Map<string, Places>();
  for (const grave of graves) {
    if (grave.kind === "server") leaveServer(sections, grave, result, places, named);
    else if (grave.kind === "listener") leaveListener(sections, grave, result);
  }
  for (const { proxy, gone } of places.values()) {
    if (proxy === undefined || gone.size === 0) continue;
    proxy.servers = proxy.servers.filter((server) => !gone.has(server));
  }
  const backends = namedBackends(plan);
  const gone = new Set<ProxySpec>();
  for (const grave of graves) {
    if (grave.kind !== "proxy") continue;
    const proxy = leaveProxy(sections, grave, backends, result);
    if (proxy !== undefined) gone.add(proxy);
  }
  // In place: others hold the list.
  if (gone.size > 0) {
    const kept = plan.proxies.filter((proxy) => !gone.has(proxy));
    plan.proxies.splice(0, plan.proxies.length, ...kept);
  }
  return result;
}

/** The sections of a plan by name: the first of each side counts. */
type Sections = { fronts: Map<string, ProxySpec>; backs: Map<string, ProxySpec> };

function indexSections(plan: Plan): Sections {
  const fronts = new Map<string, ProxySpec>();
  const backs = new Map<string, ProxySpec>();
  for (const proxy of plan.proxies) {
    const { name, hasFront, hasBack } = proxy;
    if (hasFront && !fronts.has(name)) fronts.set(name, proxy);
    if (hasBack && !backs.has(name)) backs.set(name, proxy);
  }
  return { fronts, backs };
}

/** Servers of one backend by name, and those that are left out. */
type Places = {
  proxy: ProxySpec | undefined;
  servers: Map<string, ServerSpec>;
  gone: Set<ServerSpec>;
};

function leaveServer(
  { backs }: Sections,
  grave: SavedGrave & { kind: "server" },
  result: LeftOut,
  places: Map<string, Places>,
  named: Counts,
): void {
  let place = places.get(grave.backend);
  if (place === undefined) {
    const proxy = backs.get(grave.backend);
    const servers = new Map(proxy?.servers.map((server) => [server.name, server]));
    place = { proxy, servers, gone: new Set() };
    places.set(grave.backend, place);
  }
  const server = place.servers.get(grave.spec.name);
  // Its line is gone as well: nothing is left to remember.
  if (server === undefined) return;
  const title = `server ${grave.backend}/${server.name}`;
  if (!isSameSettings(grave.spec, withoutKeys(server))) {
    result.overruled.push(`${title} was deleted, its line has changed since: it is back`);
  } else if (isNamed(named, `${grave.backend}/${server.name}`)) {
    result.overruled.push(`${title} was deleted, the configuration names it now: it is back`);
  } else {
    place.gone.add(server);
    const tracked = trackedPath(grave.backend, server);
    if (tracked !== undefined) count(named, tracked, -1);
    result.graves.push(grave);
  }
}

/** How often something is named, by its name. */
type Counts = Map<string, number>;

function count(counts: Counts, name: string, change: 1 | -1): void {
  counts.set(name, (counts.get(name) ?? 0) + change);
}

const isNamed = (counts: Counts, name: string): boolean => (counts.get(name) ?? 0) > 0;

/** `backend/server` of the server that another one tracks. */
function trackedPath(backend: string, { track }: ServerSpec): string | undefined {
  return track === undefined || track.includes("/") ? track : `${backend}/${track}`;
}

/** Servers that rules and other servers refer to, by `backend/server`. */
function namedServers(plan: Plan): Counts {
  const named: Counts = new Map();
  for (const { name, useServers, servers } of plan.proxies) {
    for (const { server } of useServers) count(named, `${name}/${server}`, 1);
    for (const server of servers) {
      const tracked = trackedPath(name, server);
      if (tracked !== undefined) count(named, tracked, 1);
    }
  }
  return named;
}

function leaveListener(
  { fronts }: Sections,
  grave: SavedGrave & { kind: "listener" },
  result: LeftOut,
): void {
  const proxy = fronts.get(grave.proxy);
  const index =
    proxy?.binds.findIndex((bind) => isSameSettings(grave.spec, withoutKeys(bind))) ?? -1;
  if (proxy === undefined || index < 0) return;
  proxy.binds = proxy.binds.toSpliced(index, 1);
  result.graves.push(grave);
}

/** Names of the backends that a section's rules need. */
function backendNames({ defaultBackend, useBackends }: ProxySpec): string[] {
  const names = defaultBackend === undefined ? [] : [defaultBackend.name];
  for (const { backend } of useBackends) if (backend.kind === "name") names.push(backend.name);
  return names;
}

function namedBackends(plan: Plan): Counts {
  const named: Counts = new Map();
  for (const proxy of plan.proxies) {
    for (const name of backendNames(proxy)) count(named, name, 1);
  }
  return named;
}

/** @returns the section that is left out */
function leaveProxy(
  { fronts, backs }: Sections,
  grave: SavedGrave & { kind: "proxy" },
  named: Counts,
  result: LeftOut,
): ProxySpec | undefined {
  const { name } = grave.spec;
  const isFront = grave.side === "front";
  const proxy = (isFront ? fronts : backs).get(name);
  if (proxy === undefined) return undefined;
  const { binds, servers, ...head } = proxy;
  const title = `${proxy.section} ${name}`;
  if (!isSameSettings(grave.spec, head)) {
    result.overruled.push(`${title} was deleted, its settings have changed since: it is back`);
  } else if (!isFront && isNamed(named, name)) {
    result.overruled.push(`${title} was deleted, the configuration names it now: it is back`);
  } else if (binds.length > 0 || servers.length > 0) {
    const what = binds.length > 0 ? "binds" : "servers";
    result.overruled.push(`${title} was deleted and has other ${what} now: it is back`);
  } else {
    for (const backend of backendNames(proxy)) count(named, backend, -1);
    result.graves.push(grave);
    return proxy;
  }
  return undefined;
}
