/**
 * From the plan to rows, sockets and the first mutations: starting up is the same path as every
 * change at run time. Rows are filled before the mutation that names them is appended.
 */
import { createBackend, linkServer } from "../balance/control.ts";
import type { Lb } from "../balance/lb.ts";
import { refreshBackend } from "../balance/refresh.ts";
import { systemClock } from "../base/clock.ts";
import type { Clock } from "../base/clock.ts";
import { SluiceError } from "../base/errors.ts";
import type { Native } from "../conduit/native.ts";
import {
  LISTENER_STATE_PAUSED,
  LISTENER_STATE_READY,
  PROXY_FLAG_ALL_BACKUPS,
  PROXY_FLAG_BACK,
  PROXY_FLAG_FRONT,
  PROXY_FLAG_PUBLISHED,
  PROXY_STATE_DISABLED,
  PROXY_STATE_PAUSED,
  PROXY_STATE_READY,
  SERVER_ADMIN_CONFIG_MAINT,
  SERVER_ADMIN_FORCED_MAINT,
  SERVER_ADMIN_RESOLUTION_MAINT,
  SERVER_FLAG_AGENT_OFF,
  SERVER_FLAG_BACKUP,
  SERVER_FLAG_CHECKED,
  SERVER_FLAG_CHECKS_OFF,
  SERVER_FLAG_DOWN,
  SERVER_FLAG_DYNAMIC,
  SERVER_FLAG_NEW,
} from "../tables/generated/enums.ts";
import * as listenerRow from "../tables/generated/listener.ts";
import * as proxyRow from "../tables/generated/proxy.ts";
import * as serverRow from "../tables/generated/server.ts";
import { GuidIndex } from "../tables/guid-index.ts";
import { CONTROL_THREAD } from "../tables/inbox.ts";
import type { BindSpec, Plan, ProxySpec, ServerSpec } from "../tables/spec.ts";
import type { Tables } from "../tables/tables.ts";
import { ensureFullconn } from "./fullconn.ts";
import { enterGuid, refuseTakenGuid } from "./guids.ts";
import { bindListener, tryBind } from "./listen.ts";
import type { ProxyObject, ServerObject } from "./model.ts";
import { Model } from "./model.ts";
import type { MutationLog } from "./mutation-log.ts";
import { beginQuicListener, beginQuicServer, moduleQuic } from "./quic-start.ts";
import type { QuicSource } from "./quic-start.ts";
import { noteQuicServer } from "./quic-use.ts";
import { headOf } from "./replay.ts";
import { RowAllocator } from "./rows.ts";
import { mergeState } from "./server-state.ts";

/** A server that came at run time: neither its check nor its agent begins by itself. */
const DYNAMIC_FLAGS =
  SERVER_FLAG_DYNAMIC | SERVER_FLAG_NEW | SERVER_FLAG_CHECKS_OFF | SERVER_FLAG_AGENT_OFF;

/** What is needed to make objects, at the start and later. */
export type Workshop = {
  tables: Tables;
  model: Model;
  lb: Lb;
  log: MutationLog;
  /** What bears which GUID. */
  guids: GuidIndex;
  native: Native | null;
  workers: number;
  /** Where QUIC comes from. */
  quic: QuicSource;
  clock: Pick<Clock, "epochMicros">;
  proxyRows: RowAllocator;
  serverRows: RowAllocator;
  listenerRows: RowAllocator;
};

/** A bind that failed, for the message. */
export type BindFailure = { proxy: string; section: string; bind: BindSpec; errno: number };

/** An empty workshop over fresh tables. */
export function makeWorkshop(
  plan: Plan,
  tables: Tables,
  lb: Lb,
  log: MutationLog,
  native: Native | null,
  workers: number,
): Workshop {
  const { proxies, servers, listeners } = tables;
  const model = new Model(plan, tables);
  const guids = new GuidIndex(tables, CONTROL_THREAD);
  model.guids = guids;
  return {
    tables,
    model,
    lb,
    log,
    guids,
    native,
    workers,
    quic: moduleQuic(plan.global.clusterSecret),
    clock: systemClock,
    proxyRows: new RowAllocator(proxies.words, proxyRow.PROXY_STRIDE, proxyRow.PROXY_GENERATION),
    serverRows: new RowAllocator(
      servers.words,
      serverRow.SERVER_STRIDE,
      serverRow.SERVER_GENERATION,
    ),
    listenerRows: new RowAllocator(
      listeners.words,
      listenerRow.LISTENER_STRIDE,
      listenerRow.LISTENER_GENERATION,
    ),
  };
}

/**
 * Makes everything of the plan: proxies first, then servers, then sockets.
 * @returns the binds that failed; empty = all listen
 */
export function buildPlan(shop: Workshop): BindFailure[] {
  const failures: BindFailure[] = [];
  const objects: ProxyObject[] = [];
  for (const spec of shop.model.plan.proxies) objects.push(addProxy(shop, spec));
  for (const proxy of objects) {
    for (const server of proxy.spec.servers) addServer(shop, proxy, server);
    // One look at all servers: maps and rings are made once, not once a server.
    if (proxy.spec.hasBack) refreshBackend(shop.lb, proxy.row);
  }
  for (const proxy of objects) {
    if (proxy.spec.disabled) continue;
    for (const bind of proxy.spec.binds) {
      const errno = addListener(shop, proxy, bind);
      if (errno === 0) continue;
      failures.push({ proxy: proxy.spec.name, section: proxy.spec.section, bind, errno });
    }
  }
  return failures;
}

function tableFull(table: string, { rowsMax }: RowAllocator): SluiceError {
  return new SluiceError("SLC_TABLE_FULL", { table, rows: rowsMax });
}

/**
 * A row and a mutation for a proxy.
 * @param isDynamic made at run time: its backend is not published yet
 * @throws SluiceError when the table is full, Refusal when its GUID is taken
 */
export function addProxy(shop: Workshop, spec: ProxySpec, isDynamic = false): ProxyObject {
  const { tables, model, lb } = shop;
  refuseTakenGuid(shop, spec.guid);
  const row = shop.proxyRows.take();
  if (row === 0) throw tableFull("proxy", shop.proxyRows);
  const words = tables.proxies.words;
  const { options } = spec;
  words[row + proxyRow.PROXY_FLAGS] =
    (spec.hasFront ? PROXY_FLAG_FRONT : 0) |
    (spec.hasBack ? PROXY_FLAG_BACK : 0) |
    (spec.hasBack && !isDynamic ? PROXY_FLAG_PUBLISHED : 0) |
    (options.allbackups ? PROXY_FLAG_ALL_BACKUPS : 0);
  words[row + proxyRow.PROXY_ID] = spec.id;
  words[row + proxyRow.PROXY_FRONT_MAXCONN] = spec.hasFront ? spec.maxconn : 0;
  words[row + proxyRow.PROXY_RATE_LIMIT] = spec.rateLimitSessions;
  words[row + proxyRow.PROXY_FULLCONN] = spec.fullconn;
  words[row + proxyRow.PROXY_REDISPATCH] = options.redispatch ? options.redispatchInterval : 0;
  words[row + proxyRow.PROXY_RETRIES] = spec.retries;
  if (spec.hasBack) createBackend(lb, row, spec.balance);
  const state = spec.disabled ? PROXY_STATE_DISABLED : PROXY_STATE_READY;
  Atomics.store(words, row + proxyRow.PROXY_STATE, state);
  const generation = shop.proxyRows.generation(row);
  const proxy: ProxyObject = {
    row,
    generation,
    version: 1,
    isDynamic,
    spec,
    servers: [],
    serversByName: new Map(),
    serversById: new Map(),
    freeServerId: 1,
    listeners: [],
  };
  model.addProxy(proxy);
  enterGuid(shop, proxy);
  shop.log.append({ kind: "proxy.add", row, generation, proxy: headOf(spec) });
  return proxy;
}

/**
 * A row, a place in the balancing and a mutation for a server.
 * @param isDynamic made at run time: it begins in maintenance
 * @throws SluiceError when the table is full, Refusal when its GUID is taken
 */
export function addServer(
  shop: Workshop,
  backend: ProxyObject,
  spec: ServerSpec,
  isDynamic = false,
): ServerObject {
  refuseTakenGuid(shop, spec.guid);
  beginQuicServer(shop, spec);
  const row = shop.serverRows.take();
  if (row === 0) throw tableFull("server", shop.serverRows);
  if (isDynamic) ensureFullconn(shop.tables, shop.model, backend, spec);
  const words = shop.tables.servers.words;
  words[row + serverRow.SERVER_BACKEND_ROW] = backend.row;
  words[row + serverRow.SERVER_ID] = spec.id;
  words[row + serverRow.SERVER_WEIGHT] = spec.weight;
  words[row + serverRow.SERVER_CONFIG_WEIGHT] = spec.weight;
  words[row + serverRow.SERVER_MAXCONN] = spec.maxconn;
  words[row + serverRow.SERVER_MINCONN] = spec.minconn;
  words[row + serverRow.SERVER_MAXQUEUE] = spec.maxqueue;
  words[row + serverRow.SERVER_ORDER] = backend.servers.length;
  const isDown = spec.initState === "down" || spec.initState === "fully-down";
  words[row + serverRow.SERVER_FLAGS] =
    (spec.backup ? SERVER_FLAG_BACKUP : 0) |
    (spec.check.enabled ? SERVER_FLAG_CHECKED : 0) |
    (isDown ? SERVER_FLAG_DOWN : 0) |
    (isDynamic ? DYNAMIC_FLAGS : 0);
  const admin =
    (isDynamic ? SERVER_ADMIN_FORCED_MAINT : 0) |
    (spec.disabled ? SERVER_ADMIN_FORCED_MAINT | SERVER_ADMIN_CONFIG_MAINT : 0) |
    (spec.address === undefined ? SERVER_ADMIN_RESOLUTION_MAINT : 0);
  words[row + serverRow.SERVER_ADMIN_STATE] = admin;
  const state = mergeState(admin, isDown ? "down" : "up");
  Atomics.store(words, row + serverRow.SERVER_STATE, state);
  const generation = shop.serverRows.generation(row);
  const server: ServerObject = {
    row,
    generation,
    version: 1,
    isDynamic,
    backend,
    spec,
    configured: spec,
  };
  shop.model.addServer(server);
  enterGuid(shop, server);
  noteQuicServer(shop.tables, backend, spec, shop.clock.epochMicros() / 1000);
  const backendRow = backend.row;
  shop.log.append({ kind: "server.link", row, generation, backendRow, server: spec });
  linkServer(shop.lb, backendRow, row);
  return server;
}

/**
 * Sockets, a row and a mutation for a bind. @returns 0, or the errno that stopped it
 * @throws Refusal when its GUID is taken
 */
export function addListener(
  shop: Workshop,
  frontend: ProxyObject,
  bind: BindSpec,
  isDynamic = false,
): number {
  refuseTakenGuid(shop, bind.guid);
  beginQuicListener(shop, bind);
  let fds: number[] = [];
  if (shop.native !== null) {
    const { global } = shop.model.plan;
    const bound = bindListener(shop.native, global, frontend.spec, bind, shop.workers);
    if ("errno" in bound) return bound.errno;
    fds = bound.fds;
  } else {
    const errno = tryBind(bind);
    if (errno !== 0) return errno;
    // One process cannot bind a unix socket twice: the first worker has it.
    const isUnix = bind.address.family === "unix" || bind.address.family === "abns";
    if (isUnix) fds = Array.from({ length: shop.workers }, (_, i) => (i === 0 ? 0 : -1));
  }
  const row = shop.listenerRows.take();
  if (row === 0) throw tableFull("listener", shop.listenerRows);
  const words = shop.tables.listeners.words;
  words[row + listenerRow.LISTENER_PROXY_ROW] = frontend.row;
  words[row + listenerRow.LISTENER_ID] = bind.id;
  words[row + listenerRow.LISTENER_MAXCONN] = bind.maxconn;
  const front = shop.tables.proxies.words[frontend.row + proxyRow.PROXY_STATE];
  const isPaused = front === PROXY_STATE_PAUSED;
  const state = isPaused ? LISTENER_STATE_PAUSED : LISTENER_STATE_READY;
  Atomics.store(words, row + listenerRow.LISTENER_STATE, state);
  const generation = shop.listenerRows.generation(row);
  const listener = { row, generation, version: 1, isDynamic, frontend, spec: bind, fds };
  shop.model.addListener(listener);
  enterGuid(shop, listener);
  if (bind.quic !== undefined) frontend.hasQuicFront = true;
  shop.log.append({ kind: "listener.add", row, proxyRow: frontend.row, bind, fds });
  // It goes on with the others of its frontend.
  if (isPaused) shop.log.append({ kind: "listener.pause", row });
  return 0;
}
