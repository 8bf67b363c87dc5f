/**
 * What was removed at run time is left out of the plan before anything of it is made: no address is
 * bound that somebody has given up, no server begins that somebody has deleted. Only where the
 * configuration still says what it said then, and nothing in it needs the object. At the start.
 */
import type { Plan, ProxySpec, ServerSpec } from "../../tables/spec.ts";
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
  const named = namedProxies(plan);
  const places = new Map<string, Places>();
  for (const grave of graves) {
    if (grave.kind === "server") leaveServer(plan, grave, result, places);
    else if (grave.kind === "listener") leaveListener(plan, grave, result);
  }
  for (const [name, { gone }] of places) {
    const proxy = backendOf(plan, name);
    if (proxy !== undefined && gone.size > 0) {
      proxy.servers = proxy.servers.filter((server) => !gone.has(server));
    }
  }
  for (const grave of graves) if (grave.kind === "proxy") leaveProxy(plan, grave, named, result);
  return result;
}

/** Servers of one backend by name, and those that are left out. */
type Places = { servers: Map<string, ServerSpec>; gone: Set<ServerSpec>; needed: Set<string> };

const backendOf = (plan: Plan, name: string): ProxySpec | undefined =>
  plan.proxies.find((proxy) => proxy.hasBack && proxy.name === name);

function leaveServer(
  plan: Plan,
  grave: SavedGrave & { kind: "server" },
  result: LeftOut,
  places: Map<string, Places>,
): void {
  let place = places.get(grave.backend);
  if (place === undefined) {
    const proxy = backendOf(plan, grave.backend);
    place = {
      servers: new Map(proxy?.servers.map((server) => [server.name, server])),
      gone: new Set(),
      needed: neededServers(plan, proxy),
    };
    places.set(grave.backend, place);
  }
  const server = place.servers.get(grave.spec.name);
  // Its line is gone as well: nothing is left to remember.
  if (server === undefined) return;
  const title = `server ${grave.backend}/${server.name}`;
  if (!isSameSettings(grave.spec, server)) {
    result.overruled.push(`${title} was deleted, its line has changed since: it is back`);
  } else if (place.needed.has(server.name)) {
    result.overruled.push(`${title} was deleted, the configuration names it now: it is back`);
  } else {
    place.gone.add(server);
    result.graves.push(grave);
  }
}

/** Names of servers that rules and other servers refer to. */
function neededServers(plan: Plan, proxy: ProxySpec | undefined): Set<string> {
  const needed = new Set<string>();
  if (proxy === undefined) return needed;
  for (const { server } of proxy.useServers) needed.add(server);
  for (const { name: backend, servers } of plan.proxies) {
    for (const { track } of servers) {
      if (track === undefined) continue;
      const [first = "", second] = track.split("/");
      if (second !== undefined && first === proxy.name) needed.add(second);
      if (second === undefined && backend === proxy.name) needed.add(first);
    }
  }
  return needed;
}

function leaveListener(
  plan: Plan,
  grave: SavedGrave & { kind: "listener" },
  result: LeftOut,
): void {
  const proxy = plan.proxies.find(({ hasFront, name }) => hasFront && name === grave.proxy);
  const index = proxy?.binds.findIndex((bind) => isSameSettings(grave.spec, bind)) ?? -1;
  if (proxy === undefined || index < 0) return;
  proxy.binds = proxy.binds.toSpliced(index, 1);
  result.graves.push(grave);
}

/** Names of backends that rules of the configuration need. */
function namedProxies(plan: Plan): Set<string> {
  const names = new Set<string>();
  for (const { defaultBackend, useBackends } of plan.proxies) {
    if (defaultBackend !== undefined) names.add(defaultBackend.name);
    for (const { backend } of useBackends) if (backend.kind === "name") names.add(backend.name);
  }
  return names;
}

function leaveProxy(
  plan: Plan,
  grave: SavedGrave & { kind: "proxy" },
  named: ReadonlySet<string>,
  result: LeftOut,
): void {
  const { name } = grave.spec;
  const isFront = grave.side === "front";
  const index = plan.proxies.findIndex(
    (one) => one.name === name && (isFront ? one.hasFront : one.hasBack),
  );
  const proxy = plan.proxies[index];
  if (proxy === undefined) return;
  const { binds, servers, ...head } = proxy;
  const title = `${proxy.section} ${name}`;
  if (!isSameSettings(grave.spec, head)) {
    result.overruled.push(`${title} was deleted, its settings have changed since: it is back`);
  } else if (!isFront && named.has(name)) {
    result.overruled.push(`${title} was deleted, the configuration names it now: it is back`);
  } else if (binds.length > 0 || servers.length > 0) {
    const what = binds.length > 0 ? "binds" : "servers";
    result.overruled.push(`${title} was deleted and has other ${what} now: it is back`);
  } else {
    plan.proxies.splice(index, 1);
    result.graves.push(grave);
  }
}
