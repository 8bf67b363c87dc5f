/**
 * Numbers of proxies and servers as conditions and log formats of control ask for them: what the
 * data plane reads in `data/route/numbers.ts`, read here from the same tables (manual 7.3.2).
 */
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
import { PROCESS_STOPPING } from "../../tables/generated/process.ts";
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
import type { Control } from "../control.ts";
import type { LiveNumbers } from "../logs/record-context.ts";
import type { ProxyObject, ServerObject } from "../model.ts";

/** The part of control that the numbers are read from. */
export type NumberSources = Pick<Control, "tables" | "shop" | "clock" | "startedAtMs">;

/** The numbers of a running process. */
export function liveNumbers(control: NumberSources): LiveNumbers {
  const { tables, clock, startedAtMs } = control;
  return {
    proxyInteger: (field, proxy) => proxyNumber(control, field, proxy),
    serverInteger: (field, server) => serverNumber(control, field, server),
    uptimeSeconds: () => Math.floor((clock.nowMs() - startedAtMs) / 1000),
    isStopping: () => tables.process.words[PROCESS_STOPPING] === 1,
  };
}

function proxyNumber(
  control: NumberSources,
  field: ProxyField,
  proxy: ProxyObject,
): number | undefined {
  const { words } = control.tables.proxies;
  const { row } = proxy;
  switch (field) {
    case "fe_conn":
      return words[row + PROXY_FRONT_CURRENT];
    case "be_conn":
      return words[row + PROXY_BACK_CURRENT];
    case "nbsrv":
      return usableServers(control.shop.lb, row);
    case "queue":
      return words[row + PROXY_QUEUE_TOTAL];
    case "avg_queue":
      return averageQueue(control.shop.lb, row);
    case "fe_sess_rate":
      return readRate(words, row + PROXY_RATE_SECOND, control.clock.nowMs());
    case "be_sess_rate":
      return readRate(words, row + PROXY_BACK_RATE_SECOND, control.clock.nowMs());
    case "be_conn_free":
      return freeConnectionsOf(control.shop.lb, proxy.servers);
    case "connslots":
      return connectionSlots(control.shop.lb, proxy.servers);
  }
}

function serverNumber(
  control: NumberSources,
  field: ServerField,
  server: ServerObject,
): number | undefined {
  const { words } = control.tables.servers;
  const { row } = server;
  switch (field) {
    case "srv_conn":
      return words[row + SERVER_SERVED];
    case "srv_conn_free":
      return freeConnections(control.shop.lb, row);
    case "srv_is_up":
      return isServing(control.shop.lb, row) ? 1 : 0;
    case "srv_queue":
      return words[row + SERVER_QUEUE_LENGTH];
    case "srv_weight":
      return weightNow(control.shop.lb, row);
    case "srv_uweight":
      return words[row + SERVER_WEIGHT];
    case "srv_iweight":
      return words[row + SERVER_CONFIG_WEIGHT];
    case "srv_sess_rate":
      return readRate(words, row + SERVER_RATE_SECOND, control.clock.nowMs());
  }
}
