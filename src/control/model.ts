/**
 * The objects that control knows: proxies, listeners, servers, each with its row in the shared
 * tables, and the indexes by which they are found. One writer: the control plane changes them,
 * workers see rows and mutations.
 */
import { assert } from "../base/assert.ts";
import type { GuidIndex } from "../tables/guid-index.ts";
import type { QuicSettings } from "../tables/mutations.ts";
import type { BindSpec, Plan, ProxySpec, QuicServerSpec, ServerSpec } from "../tables/spec.ts";
import type { Tables } from "../tables/tables.ts";
import type { QuicUse } from "./quic-use.ts";

/** What all objects have. */
type Versioned = {
  readonly row: number;
  readonly generation: number;
  /** Moves on with each change that somebody asked for: what compare-and-set compares. */
  version: number;
  /** Made at run time, not by the configuration. */
  readonly isDynamic: boolean;
};

export type ServerObject = Versioned & {
  readonly backend: ProxyObject;
  /** As it is now: replaced as a whole when an address or the like changes. */
  spec: ServerSpec;
  /** As it was made, for what goes back to it (`set weight 100%`, state files). */
  readonly configured: ServerSpec;
  /** QUIC as it was spoken before the server was moved to TCP. */
  lastQuic?: QuicServerSpec;
};

export type ListenerObject = Versioned & {
  readonly frontend: ProxyObject;
  readonly spec: BindSpec;
  /** Bound descriptors, one a worker; empty = the workers bind. */
  fds: number[];
};

export type ProxyObject = Versioned & {
  spec: ProxySpec;
  readonly servers: ServerObject[];
  readonly serversByName: Map<string, ServerObject>;
  readonly serversById: Map<number, ServerObject>;
  /** No id of a server below it is free. */
  freeServerId: number;
  readonly listeners: ListenerObject[];
  /** A QUIC server is or was in it: see quic-use.ts. */
  quicUse?: QuicUse;
  /** A QUIC listener is or was in it. */
  hasQuicFront?: boolean;
};

/** All objects of the process. */
export class Model {
  readonly plan: Plan;
  readonly tables: Tables;
  /** The index of GUIDs, as control sees it; it comes with the workshop. */
  guids: GuidIndex | undefined;
  /** What workers were told to speak QUIC with; null = nothing yet. */
  quic: QuicSettings | null = null;
  readonly proxies: ProxyObject[] = [];
  readonly proxyByRow = new Map<number, ProxyObject>();
  readonly serverByRow = new Map<number, ServerObject>();
  readonly listenerByRow = new Map<number, ListenerObject>();
  readonly frontends = new Map<string, ProxyObject>();
  readonly backends = new Map<string, ProxyObject>();
  readonly proxyById = new Map<number, ProxyObject>();
  /** No id of a proxy below it is free. */
  freeProxyId = 1;
  /** Servers whose `track` names one, by the full name of that one, there or not. */
  readonly #trackers = new Map<string, Set<ServerObject>>();

  constructor(plan: Plan, tables: Tables) {
    this.plan = plan;
    this.tables = tables;
  }

  /**
   * Enters a proxy; a frontend and a backend may share a name.
   * @param at its place among the others
   */
  addProxy(proxy: ProxyObject, at: number = this.proxies.length): void {
    const { name, id, hasFront, hasBack } = proxy.spec;
    this.proxies.splice(at, 0, proxy);
    this.proxyByRow.set(proxy.row, proxy);
    if (!this.proxyById.has(id)) this.proxyById.set(id, proxy);
    while (this.proxyById.has(this.freeProxyId)) this.freeProxyId++;
    if (hasFront && !this.frontends.has(name)) this.frontends.set(name, proxy);
    if (hasBack && !this.backends.has(name)) this.backends.set(name, proxy);
  }

  /** Takes a proxy out; it has no servers and listeners any more. O(proxies). */
  removeProxy(proxy: ProxyObject): void {
    assert(proxy.servers.length === 0, "removeProxy: its servers are gone");
    assert(proxy.listeners.length === 0, "removeProxy: its listeners are gone");
    const { name, id } = proxy.spec;
    this.proxies.splice(this.proxies.indexOf(proxy), 1);
    this.proxyByRow.delete(proxy.row);
    if (this.proxyById.get(id) === proxy) this.proxyById.delete(id);
    this.freeProxyId = Math.min(this.freeProxyId, id);
    if (this.frontends.get(name) === proxy) this.frontends.delete(name);
    if (this.backends.get(name) === proxy) this.backends.delete(name);
  }

  /** Enters a server. @param at its place among the others */
  addServer(server: ServerObject, at: number = server.backend.servers.length): void {
    const { backend, spec } = server;
    backend.servers.splice(at, 0, server);
    if (!backend.serversByName.has(spec.name)) backend.serversByName.set(spec.name, server);
    if (!backend.serversById.has(spec.id)) backend.serversById.set(spec.id, server);
    while (backend.serversById.has(backend.freeServerId)) backend.freeServerId++;
    this.serverByRow.set(server.row, server);
    const tracked = trackedName(server);
    if (tracked === undefined) return;
    const trackers = this.#trackers.get(tracked) ?? new Set();
    this.#trackers.set(tracked, trackers.add(server));
  }

  /** Takes a server out of its backend: nobody finds it any more. O(servers of the backend). */
  removeServer(server: ServerObject): void {
    const { backend, spec } = server;
    const { servers, serversByName, serversById } = backend;
    servers.splice(servers.indexOf(server), 1);
    if (serversByName.get(spec.name) === server) serversByName.delete(spec.name);
    if (serversById.get(spec.id) === server) serversById.delete(spec.id);
    if (spec.id < backend.freeServerId) backend.freeServerId = spec.id;
    this.serverByRow.delete(server.row);
    const tracked = trackedName(server);
    if (tracked === undefined) return;
    const trackers = this.#trackers.get(tracked);
    trackers?.delete(server);
    if (trackers?.size === 0) this.#trackers.delete(tracked);
  }

  /** Servers whose `track` names this one, whether or not it is what they follow. */
  trackersOf(server: ServerObject): Iterable<ServerObject> {
    return this.#trackers.get(serverName(server)) ?? [];
  }

  /** Enters a listener. @param at its place among the others */
  addListener(listener: ListenerObject, at: number = listener.frontend.listeners.length): void {
    listener.frontend.listeners.splice(at, 0, listener);
    this.listenerByRow.set(listener.row, listener);
  }

  removeListener(listener: ListenerObject): void {
    const { listeners } = listener.frontend;
    listeners.splice(listeners.indexOf(listener), 1);
    this.listenerByRow.delete(listener.row);
  }
}

/** `<backend>/<server>` of a server as it is. */
export function serverName({ backend, spec }: ServerObject): string {
  return `${backend.spec.name}/${spec.name}`;
}

/** `<backend>/<server>` that a server tracks; undefined = none. It is the same all its life. */
function trackedName({ backend, configured: { track } }: ServerObject): string | undefined {
  return track === undefined || track.includes("/") ? track : `${backend.spec.name}/${track}`;
}
