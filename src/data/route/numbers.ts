/** Numbers of proxies and servers as samples ask for them: manual 7.3.2. Read plainly. */
import { usableServers } from "../../balance/facts.ts";
import { serverLimit, UNLIMITED } from "../../balance/limit.ts";
import type { ProxyField, ServerField } from "../../expr/keyword.ts";
import { SERVER_STATE_UP } from "../../tables/generated/enums.ts";
import {
  PROXY_BACK_CURRENT,
  PROXY_FRONT_CURRENT,
  PROXY_QUEUE_TOTAL,
  PROXY_RATE_COUNT,
} from "../../tables/generated/proxy.ts";
import {
  SERVER_CONFIG_WEIGHT,
  SERVER_MAXCONN,
  SERVER_MAXQUEUE,
  SERVER_QUEUE_LENGTH,
  SERVER_SERVED,
  SERVER_STATE,
  SERVER_TIER_WEIGHT,
  SERVER_WEIGHT,
} from "../../tables/generated/server.ts";
import type { Engine } from "../engine.ts";
import type { ProxyView, ServerView } from "../views.ts";

/** A counter of a proxy; undefined where sluice does not have it. */
export function proxyNumber(
  engine: Engine,
  proxy: ProxyView,
  field: ProxyField,
): number | undefined {
  const words = engine.tables.proxies.words;
  const { row } = proxy;
  switch (field) {
    case "fe_conn":
      return words[row + PROXY_FRONT_CURRENT];
    case "be_conn":
      return words[row + PROXY_BACK_CURRENT];
    case "nbsrv":
      return usableServers(engine.balance, row);
    case "queue":
      return words[row + PROXY_QUEUE_TOTAL];
    case "avg_queue": {
      const servers = usableServers(engine.balance, row);
      const total = words[row + PROXY_QUEUE_TOTAL]!;
      // One server is expected back soon: the queue counts twice.
      return servers === 0 ? total * 2 : Math.ceil(total / servers);
    }
    case "fe_sess_rate":
      return words[row + PROXY_RATE_COUNT];
    case "be_sess_rate":
      return undefined;
    case "be_conn_free":
      return freeConnections(engine, proxy);
    case "connslots":
      return connectionSlots(engine, proxy);
  }
}

/** Manual 7.3.2 `be_conn_free`: of the servers in use; -1 when one has no limit. */
function freeConnections(engine: Engine, proxy: ProxyView): number {
  let free = 0;
  for (const server of proxy.serversByName.values()) {
    if (engine.tables.servers.words[server.row + SERVER_TIER_WEIGHT] === 0) continue;
    const one = serverNumber(engine, server, "srv_conn_free") ?? -1;
    if (one < 0) return -1;
    free += one;
  }
  return free;
}

/** Manual 7.3.2 `connslots`: free connections and queue places; -1 when there is no limit. */
function connectionSlots(engine: Engine, proxy: ProxyView): number {
  const words = engine.tables.servers.words;
  let slots = 0;
  for (const { row } of proxy.serversByName.values()) {
    if (words[row + SERVER_STATE] !== SERVER_STATE_UP) continue;
    const maxconn = words[row + SERVER_MAXCONN]!;
    const maxqueue = words[row + SERVER_MAXQUEUE]!;
    if (maxconn === 0 || maxqueue === 0) return -1;
    slots += maxconn - words[row + SERVER_SERVED]! + maxqueue - words[row + SERVER_QUEUE_LENGTH]!;
  }
  return slots;
}

/** A state or counter of a server; undefined where sluice does not have it. */
export function serverNumber(
  engine: Engine,
  server: ServerView,
  field: ServerField,
): number | undefined {
  const words = engine.tables.servers.words;
  const { row } = server;
  switch (field) {
    case "srv_conn":
      return words[row + SERVER_SERVED];
    case "srv_conn_free": {
      const limit = serverLimit(engine.balance, server.backend.row, row);
      return limit === UNLIMITED ? -1 : Math.max(0, limit - words[row + SERVER_SERVED]!);
    }
    case "srv_is_up":
      return words[row + SERVER_STATE] === SERVER_STATE_UP ? 1 : 0;
    case "srv_queue":
      return words[row + SERVER_QUEUE_LENGTH];
    case "srv_weight":
    case "srv_uweight":
      return words[row + SERVER_WEIGHT];
    case "srv_iweight":
      return words[row + SERVER_CONFIG_WEIGHT];
    case "srv_sess_rate":
      return undefined;
  }
}
