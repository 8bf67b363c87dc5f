/** The rows of backends and servers in `show stat`. */
import { weightInForce } from "../../balance/tier.ts";
import { WEIGHT_SCALE } from "../../balance/weight.ts";
import { shownNumber } from "../../check/result.ts";
import * as count from "../../tables/generated/back-count.ts";
import {
  PROXY_FLAG_PUBLISHED,
  SERVER_FLAG_AGENT_OFF,
  SERVER_FLAG_BACKUP,
  SERVER_FLAG_CHECKS_OFF,
  SERVER_STATE_DRAIN,
  SERVER_STATE_UP,
} from "../../tables/generated/enums.ts";
import * as proxyRow from "../../tables/generated/proxy.ts";
import * as serverRow from "../../tables/generated/server.ts";
import { readRate, readRateMax } from "../../tables/rates.ts";
import type { CheckRecord } from "../checks/desk.ts";
import { serverName } from "../model.ts";
import type { ProxyObject, ServerObject } from "../model.ts";
import { isInMaintenance } from "../state-notices.ts";
import { AT, STAT_KINDS } from "./fields.ts";
import type { StatRow } from "./fields.ts";
import type { Statistics } from "./statistics.ts";
import { addressText, algorithmName, checkMeaning, serverStatus } from "./words.ts";
import type { StatusFacts } from "./words.ts";

/** Columns that a layer-4 proxy never counts in. */
const BACK_ZEROS = [AT.dresp, AT.rtime, AT.rtime_max, AT.wrew, AT.reuse, AT.eint] as const;
const BACKEND_ZEROS = [
  AT.dreq,
  AT.comp_in,
  AT.comp_out,
  AT.comp_byp,
  AT.comp_rsp,
  AT.agg_server_status,
  AT.agg_server_check_status,
  AT.agg_check_status,
] as const;
const SERVER_ZEROS = [AT.srv_icur, AT.idle_conn_cur, AT.safe_conn_cur, AT.priv_idle_cur] as const;

/** An agent is ill at its first "no", and well again at its first "yes". */
const AGENT_RISE = 1;
const AGENT_FALL = 1;

/** Longest chain of tracked servers that is followed. */
const TRACK_DEPTH_MAX = 64;

/** Fills in a backend. O(workers + servers). */
export function fillBackend(statistics: Statistics, proxy: ProxyObject, row: StatRow): void {
  const { tables, shards, nowMs, parts } = statistics;
  const { words, floats } = tables.proxies;
  const { row: at, spec, servers } = proxy;
  shards.readBackend(proxy);
  row.fill(undefined);
  for (const cell of BACK_ZEROS) row[cell] = 0;
  for (const cell of BACKEND_ZEROS) row[cell] = 0;
  row[AT.pxname] = spec.name;
  row[AT.svname] = "BACKEND";
  row[AT.qcur] = words[at + proxyRow.PROXY_QUEUE_LENGTH]!;
  row[AT.qmax] = words[at + proxyRow.PROXY_QUEUE_MAX]!;
  row[AT.scur] = words[at + proxyRow.PROXY_BACK_CURRENT]!;
  row[AT.smax] = words[at + proxyRow.PROXY_BACK_CURRENT_MAX]!;
  row[AT.slim] = statistics.fullconn(proxy);
  fillBackCounters(statistics, row);
  const act = words[at + proxyRow.PROXY_ACTIVE_UP]!;
  const bck = words[at + proxyRow.PROXY_BACKUP_UP]!;
  const isUp = act + bck > 0 || servers.length === 0;
  const isPublished = (words[at + proxyRow.PROXY_FLAGS]! & PROXY_FLAG_PUBLISHED) !== 0;
  row[AT.status] = `${isUp ? "UP" : "DOWN"}${isPublished ? "" : " (UNPUB)"}`;
  const total = floats[(at + proxyRow.PROXY_TOTAL_WEIGHT) >> 1]!;
  row[AT.weight] = Math.ceil(total / WEIGHT_SCALE);
  row[AT.uweight] = userWeight(statistics, servers);
  row[AT.act] = act;
  row[AT.bck] = bck;
  const record = parts.keeper.records.get(proxy);
  const changedAtMs = record?.changedAtMs ?? parts.keeper.startedAtMs;
  row[AT.chkdown] = record?.downs ?? 0;
  row[AT.lastchg] = seconds(nowMs - changedAtMs);
  if (servers.length > 0) {
    const downMs = (record?.downtimeMs ?? 0) + (isUp ? 0 : nowMs - changedAtMs);
    row[AT.downtime] = seconds(downMs);
  }
  row[AT.pid] = 1;
  row[AT.iid] = spec.id;
  row[AT.sid] = 0;
  row[AT.type] = STAT_KINDS.backend.number;
  row[AT.rate] = readRate(words, at + proxyRow.PROXY_BACK_RATE_SECOND, nowMs);
  row[AT.rate_max] = readRateMax(words, at + proxyRow.PROXY_BACK_RATE_SECOND);
  row[AT.mode] = "tcp";
  row[AT.algo] = algorithmName(spec.balance);
}

/** Fills in a server. O(workers). */
export function fillServer(statistics: Statistics, server: ServerObject, row: StatRow): void {
  const { tables, shards, nowMs } = statistics;
  const { words } = tables.servers;
  const { row: at, spec, backend } = server;
  shards.readServer(server);
  row.fill(undefined);
  for (const cell of BACK_ZEROS) row[cell] = 0;
  for (const cell of SERVER_ZEROS) row[cell] = 0;
  const served = words[at + serverRow.SERVER_SERVED]!;
  row[AT.pxname] = backend.spec.name;
  row[AT.svname] = spec.name;
  row[AT.qcur] = words[at + serverRow.SERVER_QUEUE_LENGTH]!;
  row[AT.qmax] = words[at + serverRow.SERVER_QUEUE_MAX]!;
  row[AT.scur] = served;
  row[AT.smax] = words[at + serverRow.SERVER_SERVED_MAX]!;
  row[AT.slim] = words[at + serverRow.SERVER_MAXCONN]! || undefined;
  fillBackCounters(statistics, row);
  fillServerState(statistics, server, row);
  const weight = words[at + serverRow.SERVER_WEIGHT]!;
  const throttle = words[at + serverRow.SERVER_THROTTLE]!;
  const inForce = weightInForce({ servers: words, proxies: tables.proxies.words }, at);
  row[AT.weight] = Math.ceil(inForce / WEIGHT_SCALE);
  row[AT.uweight] = weight;
  const isBackup = (words[at + serverRow.SERVER_FLAGS]! & SERVER_FLAG_BACKUP) !== 0;
  row[AT.act] = isBackup ? 0 : 1;
  row[AT.bck] = isBackup ? 1 : 0;
  row[AT.qlimit] = words[at + serverRow.SERVER_MAXQUEUE]! || undefined;
  row[AT.pid] = 1;
  row[AT.iid] = backend.spec.id;
  row[AT.sid] = spec.id;
  // As HAProxy rounds it; nothing while no new traffic comes.
  const isUp = words[at + serverRow.SERVER_STATE] === SERVER_STATE_UP;
  const isRamping = throttle !== 0 && weight > 0 && isUp;
  const full = weight * WEIGHT_SCALE;
  if (isRamping) row[AT.throttle] = Math.floor((inForce * 100 + WEIGHT_SCALE - 1) / full);
  row[AT.type] = STAT_KINDS.server.number;
  row[AT.rate] = readRate(words, at + serverRow.SERVER_RATE_SECOND, nowMs);
  row[AT.rate_max] = readRateMax(words, at + serverRow.SERVER_RATE_SECOND);
  row[AT.addr] = addressText(spec.address);
  row[AT.mode] = "tcp";
  row[AT.used_conn_cur] = served;
  row[AT.need_conn_est] = served;
  if (spec.quic !== undefined) fillConnections(words, server, row);
  row[AT.srid] = server.generation;
}

/** Connections of a QUIC server, which carry many streams each and are kept. */
function fillConnections(words: Int32Array, { row: at, spec }: ServerObject, row: StatRow): void {
  const open = words[at + serverRow.SERVER_QUIC_OPEN]!;
  const idle = words[at + serverRow.SERVER_QUIC_IDLE]!;
  const limit = spec.quic!.poolMaxConn;
  row[AT.srv_icur] = idle;
  row[AT.src_ilim] = limit < 0 ? undefined : limit;
  row[AT.safe_conn_cur] = idle;
  row[AT.used_conn_cur] = Math.max(0, open - idle);
  row[AT.need_conn_est] = Math.max(0, open - idle);
}

/** Status, checks, and since when. */
function fillServerState(statistics: Statistics, server: ServerObject, row: StatRow): void {
  const { parts, nowMs, tables } = statistics;
  const { words } = tables.servers;
  const { row: at, spec } = server;
  const admin = words[at + serverRow.SERVER_ADMIN_STATE]!;
  const tracked = parts.keeper.tracking.trackedBy(server);
  const leader = leaderOf(statistics, server);
  const isChecked = leader.spec.check.enabled && !isSuspended(words, leader);
  row[AT.status] = serverStatus({
    admin,
    state: words[at + serverRow.SERVER_STATE]!,
    flags: words[at + serverRow.SERVER_FLAGS]!,
    check: isChecked ? leader.spec.check : undefined,
    health: words[leader.row + serverRow.SERVER_HEALTH]!,
    agent: agentState(statistics, leader),
    via: tracked === undefined ? "" : serverName(tracked),
  });
  const state = parts.keeper.records.get(server);
  const changedAtMs = state?.changedAtMs ?? parts.keeper.startedAtMs;
  row[AT.lastchg] = seconds(nowMs - changedAtMs);
  if (tracked !== undefined) row[AT.tracked] = serverName(tracked);
  fillAgent(statistics, server, row);
  if (!spec.check.enabled || isSuspended(words, server)) return;
  const record = parts.checks.recordOf(server);
  row[AT.chkfail] = record?.failures ?? 0;
  row[AT.chkdown] = state?.downs ?? 0;
  if (spec.observe !== "none") {
    row[AT.hanafail] = words[at + serverRow.SERVER_ERROR_REPORTS]! >>> 0;
  }
  const isServing = isServerServing(statistics, server);
  row[AT.downtime] = seconds((state?.downtimeMs ?? 0) + (isServing ? 0 : nowMs - changedAtMs));
  if (!isInMaintenance(admin)) fillCheck(statistics, server, record, row);
}

function fillCheck(
  { parts, tables }: Statistics,
  server: ServerObject,
  record: Readonly<CheckRecord> | undefined,
  row: StatRow,
): void {
  const { rise, fall } = server.spec.check;
  const result = record?.result;
  const running = parts.checks.isProbing(server) ? "* " : "";
  row[AT.check_status] = `${running}${result?.code ?? "INI"}`;
  // What real traffic has shown took no time of its own.
  const hasDuration = result !== undefined && record!.durationMs >= 0;
  if (hasDuration) row[AT.check_duration] = record!.durationMs;
  if (result !== undefined) row[AT.check_code] = shownNumber(result);
  row[AT.last_chk] = result?.info ?? "";
  row[AT.check_desc] = checkMeaning(result?.code);
  row[AT.check_rise] = rise;
  row[AT.check_fall] = fall;
  row[AT.check_health] = tables.servers.words[server.row + serverRow.SERVER_HEALTH]!;
}

/** The agent's columns, also in maintenance, which agents can end. */
function fillAgent(statistics: Statistics, server: ServerObject, row: StatRow): void {
  if (agentState(statistics, server) === "none") return;
  const { checks } = statistics.parts;
  const record = checks.agentRecordOf(server);
  const result = record?.result;
  row[AT.agent_status] = `${checks.isAgentProbing(server) ? "* " : ""}${result?.code ?? "INI"}`;
  if (result !== undefined) {
    row[AT.agent_code] = shownNumber(result);
    row[AT.agent_duration] = record!.durationMs;
  }
  row[AT.last_agt] = result?.info ?? "";
  row[AT.agent_desc] = checkMeaning(result?.code);
  row[AT.agent_rise] = AGENT_RISE;
  row[AT.agent_fall] = AGENT_FALL;
  row[AT.agent_health] = checks.agentHealthOf(server) ?? AGENT_RISE;
}

/** What the agent of a server says, if it is asked. */
function agentState({ tables, parts }: Statistics, server: ServerObject): StatusFacts["agent"] {
  const flags = tables.servers.words[server.row + serverRow.SERVER_FLAGS]!;
  if (!server.spec.agent.enabled || (flags & SERVER_FLAG_AGENT_OFF) !== 0) return "none";
  return parts.checks.isAgentDown(server) ? "ill" : "well";
}

function fillBackCounters({ shards, epochSeconds }: Statistics, row: StatRow): void {
  const sums = shards.back;
  const bytesIn = sums[count.BACK_COUNT_BYTES_IN >> 1]!;
  const bytesOut = sums[count.BACK_COUNT_BYTES_OUT >> 1]!;
  row[AT.stot] = sums[count.BACK_COUNT_SESSIONS >> 1]!;
  row[AT.bin] = bytesIn;
  row[AT.bout] = bytesOut;
  row[AT.econ] = sums[count.BACK_COUNT_ERRORS_CONNECT >> 1]!;
  row[AT.eresp] = sums[count.BACK_COUNT_ERRORS_RESPONSE >> 1]!;
  row[AT.wretr] = sums[count.BACK_COUNT_RETRIES >> 1]!;
  row[AT.wredis] = sums[count.BACK_COUNT_REDISPATCHES >> 1]!;
  row[AT.lbtot] = sums[count.BACK_COUNT_PICKS >> 1]!;
  row[AT.cli_abrt] = sums[count.BACK_COUNT_CLIENT_ABORTS >> 1]!;
  row[AT.srv_abrt] = sums[count.BACK_COUNT_SERVER_ABORTS >> 1]!;
  const last = sums[count.BACK_COUNT_LAST_SESSION >> 1]!;
  row[AT.lastsess] = last === 0 ? -1 : Math.max(0, Math.floor(epochSeconds - last));
  const timed = sums[count.BACK_COUNT_TIMED_STREAMS >> 1]!;
  const share = timed === 0 ? 0 : 1 / timed;
  row[AT.qtime] = Math.round(sums[count.BACK_COUNT_QUEUE_TIME_SUM >> 1]! * share);
  row[AT.ctime] = Math.round(sums[count.BACK_COUNT_CONNECT_TIME_SUM >> 1]! * share);
  row[AT.ttime] = Math.round(sums[count.BACK_COUNT_TOTAL_TIME_SUM >> 1]! * share);
  row[AT.connect] = sums[count.BACK_COUNT_CONNECT_ATTEMPTS >> 1]!;
  row[AT.qtime_max] = Math.floor(sums[count.BACK_COUNT_QUEUE_TIME_MAX >> 1]!);
  row[AT.ctime_max] = Math.floor(sums[count.BACK_COUNT_CONNECT_TIME_MAX >> 1]!);
  row[AT.ttime_max] = Math.floor(sums[count.BACK_COUNT_TOTAL_TIME_MAX >> 1]!);
  row[AT.reqbin] = bytesIn;
  row[AT.reqbout] = bytesIn;
  row[AT.resbin] = bytesOut;
  row[AT.resbout] = bytesOut;
}

/** The server at the end of the chain of those that it tracks; itself when it tracks none. */
export function leaderOf({ parts }: Statistics, server: ServerObject): ServerObject {
  let leader = server;
  for (let depth = 0; depth < TRACK_DEPTH_MAX; depth++) {
    const next = parts.keeper.tracking.trackedBy(leader);
    if (next === undefined) return leader;
    leader = next;
  }
  return leader;
}

/** Neither down nor in maintenance. */
export function isServerServing({ tables }: Statistics, { row }: ServerObject): boolean {
  const state = tables.servers.words[row + serverRow.SERVER_STATE]!;
  return state === SERVER_STATE_UP || state === SERVER_STATE_DRAIN;
}

function isSuspended(words: Int32Array, { row }: ServerObject): boolean {
  return (words[row + serverRow.SERVER_FLAGS]! & SERVER_FLAG_CHECKS_OFF) !== 0;
}

/** Weights as they were set, of the servers that carry traffic. */
function userWeight({ tables }: Statistics, servers: readonly ServerObject[]): number {
  const { words } = tables.servers;
  let sum = 0;
  for (const { row } of servers) {
    if (words[row + serverRow.SERVER_TIER_WEIGHT]! > 0)
      sum += words[row + serverRow.SERVER_WEIGHT]!;
  }
  return sum;
}

const seconds = (ms: number): number => Math.max(0, Math.floor(ms / 1000));
