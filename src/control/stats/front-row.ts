/** The rows of frontends and listeners in `show stat`. */
import { PROXY_STATE_PAUSED, PROXY_STATE_READY } from "../../tables/generated/enums.ts";
import * as count from "../../tables/generated/front-count.ts";
import {
  LISTENER_CURRENT,
  LISTENER_CURRENT_MAX,
  LISTENER_FULL,
  LISTENER_MAXCONN,
} from "../../tables/generated/listener.ts";
import { PROCESS_MAXCONN } from "../../tables/generated/process.ts";
import * as proxyRow from "../../tables/generated/proxy.ts";
import { readRate, readRateMax } from "../../tables/rates.ts";
import type { ListenerObject, ProxyObject } from "../model.ts";
import { AT, STAT_KINDS } from "./fields.ts";
import type { StatRow } from "./fields.ts";
import type { Statistics } from "./statistics.ts";
import { addressText, protocolName } from "./words.ts";

/** Columns that a layer-4 proxy never counts in; those of HTTP responses it has not at all. */
const FRONT_ZEROS = [
  AT.dreq,
  AT.dresp,
  AT.req_rate,
  AT.req_rate_max,
  AT.req_tot,
  AT.comp_in,
  AT.comp_out,
  AT.comp_byp,
  AT.comp_rsp,
  AT.dcon,
  AT.dses,
  AT.wrew,
  AT.eint,
  AT.h1sess,
  AT.h2sess,
  AT.h3sess,
  AT.req_other,
  AT.h1req,
  AT.h2req,
  AT.h3req,
] as const;
const LISTENER_ZEROS = [AT.dreq, AT.dresp, AT.dcon, AT.dses, AT.wrew, AT.eint] as const;

/** Fills in a frontend. O(workers). */
export function fillFrontend(statistics: Statistics, proxy: ProxyObject, row: StatRow): void {
  const { tables, shards, nowMs } = statistics;
  const { words } = tables.proxies;
  const { row: at, spec } = proxy;
  shards.readFrontend(proxy);
  const sums = shards.front;
  row.fill(undefined);
  for (const cell of FRONT_ZEROS) row[cell] = 0;
  row[AT.pxname] = spec.name;
  row[AT.svname] = "FRONTEND";
  row[AT.scur] = words[at + proxyRow.PROXY_FRONT_CURRENT]!;
  row[AT.smax] = words[at + proxyRow.PROXY_FRONT_CURRENT_MAX]!;
  const maxconn = words[at + proxyRow.PROXY_FRONT_MAXCONN]!;
  row[AT.slim] = maxconn > 0 ? maxconn : tables.process.words[PROCESS_MAXCONN]!;
  row[AT.stot] = sums[count.FRONT_COUNT_SESSIONS >> 1]!;
  fillFrontCounters(sums, row);
  row[AT.status] = frontendStatus(words[at + proxyRow.PROXY_STATE]!);
  row[AT.pid] = 1;
  row[AT.iid] = spec.id;
  row[AT.sid] = 0;
  row[AT.type] = STAT_KINDS.frontend.number;
  const rate = readRate(words, at + proxyRow.PROXY_RATE_SECOND, nowMs);
  const rateMax = readRateMax(words, at + proxyRow.PROXY_RATE_SECOND);
  row[AT.rate] = rate;
  row[AT.rate_lim] = words[at + proxyRow.PROXY_RATE_LIMIT]!;
  row[AT.rate_max] = rateMax;
  row[AT.mode] = "tcp";
  // At layer 4 every connection is a session.
  row[AT.conn_rate] = rate;
  row[AT.conn_rate_max] = rateMax;
  row[AT.conn_tot] = sums[count.FRONT_COUNT_CONNECTIONS >> 1]!;
  row[AT.sess_other] = sums[count.FRONT_COUNT_SESSIONS >> 1]!;
}

/** Fills in a listener. O(workers). */
export function fillListener(statistics: Statistics, listener: ListenerObject, row: StatRow): void {
  const { tables, shards } = statistics;
  const { words } = tables.listeners;
  const { row: at, spec, frontend } = listener;
  shards.readListener(listener);
  const sums = shards.front;
  row.fill(undefined);
  for (const cell of LISTENER_ZEROS) row[cell] = 0;
  row[AT.pxname] = frontend.spec.name;
  row[AT.svname] = listenerName(listener);
  row[AT.scur] = words[at + LISTENER_CURRENT]!;
  row[AT.smax] = words[at + LISTENER_CURRENT_MAX]!;
  row[AT.slim] = words[at + LISTENER_MAXCONN]!;
  row[AT.stot] = sums[count.FRONT_COUNT_SESSIONS >> 1]!;
  fillFrontCounters(sums, row);
  row[AT.status] = words[at + LISTENER_FULL] === 1 ? "FULL" : "OPEN";
  row[AT.pid] = 1;
  row[AT.iid] = frontend.spec.id;
  row[AT.sid] = spec.id;
  row[AT.type] = STAT_KINDS.listener.number;
  row[AT.addr] = addressText(spec.address);
  row[AT.mode] = "tcp";
  row[AT.proto] = protocolName(spec);
}

/** Its name, or one made of its number, as HAProxy does. */
export function listenerName({ spec }: ListenerObject): string {
  return spec.name ?? `sock-${spec.id}`;
}

function fillFrontCounters(sums: Float64Array, row: StatRow): void {
  const bytesIn = sums[count.FRONT_COUNT_BYTES_IN >> 1]!;
  const bytesOut = sums[count.FRONT_COUNT_BYTES_OUT >> 1]!;
  row[AT.bin] = bytesIn;
  row[AT.bout] = bytesOut;
  row[AT.ereq] = sums[count.FRONT_COUNT_ERRORS_REQUEST >> 1]!;
  row[AT.reqbin] = bytesIn;
  row[AT.reqbout] = bytesIn;
  row[AT.resbin] = bytesOut;
  row[AT.resbout] = bytesOut;
}

function frontendStatus(state: number): string {
  if (state === PROXY_STATE_READY) return "OPEN";
  return state === PROXY_STATE_PAUSED ? "PAUSED" : "STOP";
}
