/** Numbers of proxies and servers as samples ask for them: manual 7.3.2. Read plainly. */
import {
  averageQueue,
  connectionSlots,
  freeConnections,
  freeConnectionsOf,
  isServing,
  usableServers,
  weightNow,
} from "../../balance/facts.ts";
import type { ProxyField, ServerField } from "../../expr/keyword.ts";
import {
  PROXY_BACK_CURRENT,
  PROXY_BACK_RATE_SECOND,
  PROXY_FRONT_CURRENT,
  PROXY_QUEUE_TOTAL,
  PROXY_RATE_SECOND,
} from "../../tables/generated/proxy.ts";
import {
  SERVER_CONFIG_WEIGHT,
  SERVER_QUEUE_LENGTH,
  SERVER_RATE_SECOND,
  SERVER_SERVED,
  SERVER_WEIGHT,
} from "../../tables/generated/server.ts";
import { readRate } from "../../tables/rates.ts";
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
    case "avg_queue":
      return averageQueue(engine.balance, row);
    case "fe_sess_rate":
      return readRate(words, row + PROXY_RATE_SECOND, engine.clock.nowMs());
    case "be_sess_rate":
      return readRate(words, row + PROXY_BACK_RATE_SECOND, engine.clock.nowMs());
    case "be_conn_free":
      return freeConnectionsOf(engine.balance, proxy.serversByName.values());
    case "connslots":
      return connectionSlots(engine.balance, proxy.serversByName.values());
  }
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
    case "srv_conn_free":
      return freeConnections(engine.balance, row);
    case "srv_is_up":
      return isServing(engine.balance, row) ? 1 : 0;
    case "srv_queue":
      return words[row + SERVER_QUEUE_LENGTH];
    case "srv_weight":
      return weightNow(engine.balance, row);
    case "srv_uweight":
      return words[row + SERVER_WEIGHT];
    case "srv_iweight":
      return words[row + SERVER_CONFIG_WEIGHT];
    case "srv_sess_rate":
      return readRate(words, row + SERVER_RATE_SECOND, engine.clock.nowMs());
  }
}
