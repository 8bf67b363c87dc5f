/**
 * A record of a worker's log ring as the context of log formats: what `%…` and `%[…]` read.
 *
 * One object for all records: `load` points it at one, and nothing is copied or allocated. Names
 * come from the model; a proxy or server that is gone, or whose slot was given to another, has no
 * name. Control thread. Layout: STREAM_LOG in `tables/schema.ts`.
 */
import { hostname } from "node:os";

import { IpAddress, isLoopback } from "../../base/address.ts";
import type { Clock } from "../../base/clock.ts";
import type { LogContext } from "../../expr/context.ts";
import type {
  AddressField,
  IntegerField,
  ProxyField,
  ServerField,
  TextField,
} from "../../expr/keyword.ts";
import {
  LOG_FLAG_ASAP,
  LOG_FLAG_REDISPATCHED,
  LOG_KIND_SESSION_ERROR,
  LOG_KIND_STREAM_CONNECTED,
  LOG_TLS_ON,
} from "../../tables/generated/enums.ts";
import * as log from "../../tables/generated/stream-log.ts";
import type { Table } from "../../tables/tables.ts";
import { connectionErrorText } from "../../wire/connection-error.ts";
import type { ListenerObject, Model, ProxyObject, ServerObject } from "../model.ts";
import { recordTlsInteger, recordTlsText } from "./record-tls.ts";

/** What a record cannot tell and other parts of control can. */
export type LiveNumbers = {
  proxyInteger(field: ProxyField, proxy: ProxyObject): number | undefined;
  serverInteger(field: ServerField, server: ServerObject): number | undefined;
  /** Seconds since the start, and whether a stop is under way. */
  uptimeSeconds(): number;
  isStopping(): boolean;
};

const scratch = new IpAddress();

/** Where an address field's group of family, port and four words begins in a record. */
function groupOf(field: AddressField): number {
  switch (field) {
    case "client":
    case "frontClient":
      return log.STREAM_LOG_CLIENT_FAMILY;
    case "destination":
    case "frontDestination":
      return log.STREAM_LOG_DESTINATION_FAMILY;
    case "backSource":
      return log.STREAM_LOG_SOURCE_FAMILY;
    case "backDestination":
      return log.STREAM_LOG_SERVER_FAMILY;
  }
}

/** The record that was loaded last, as samples and aliases see it. */
export class RecordContext implements LogContext {
  private readonly model: Model;
  private readonly clock: Clock;
  private readonly random: () => number;
  private readonly live: LiveNumbers | undefined;
  private words: Int32Array = new Int32Array(0);
  private floats: Float64Array = new Float64Array(0);
  private row = 0;
  private lines = 0;
  private readonly machine = hostname();

  frontend: ProxyObject | undefined;
  backend: ProxyObject | undefined;
  server: ServerObject | undefined;
  listener: ListenerObject | undefined;
  /** `%ID`, made by the owner before the line. */
  uniqueId: string | undefined;

  /** @param random32 32 random bits, for `rand` and `uuid` */
  constructor(model: Model, clock: Clock, random32: () => number, live?: LiveNumbers) {
    this.model = model;
    this.clock = clock;
    this.random = random32;
    this.live = live;
  }

  /** Looks at one record until the next call. */
  load(ring: Table, row: number): void {
    this.words = ring.words;
    this.floats = ring.floats;
    this.row = row;
    this.frontend = this.proxyAt(log.STREAM_LOG_FRONT_ROW, log.STREAM_LOG_FRONT_GENERATION);
    this.backend = this.proxyAt(log.STREAM_LOG_BACK_ROW, log.STREAM_LOG_BACK_GENERATION);
    const server = this.model.serverByRow.get(this.word(log.STREAM_LOG_SERVER_ROW));
    const generation = this.word(log.STREAM_LOG_SERVER_GENERATION);
    this.server = server?.generation === generation ? server : undefined;
    this.listener = this.model.listenerByRow.get(this.word(log.STREAM_LOG_LISTENER_ROW));
    this.uniqueId = undefined;
  }

  /** Number of lines that the frontend has logged before this one, for `%lc`. */
  setLines(lines: number): void {
    this.lines = lines;
  }

  private proxyAt(rowAt: number, generationAt: number): ProxyObject | undefined {
    const proxy = this.model.proxyByRow.get(this.word(rowAt));
    return proxy?.generation === this.word(generationAt) ? proxy : undefined;
  }

  /** A word of the record, by its STREAM_LOG offset. */
  word(offset: number): number {
    return this.words[this.row + offset]!;
  }

  private float(offset: number): number {
    return this.floats[(this.row + offset) >> 1]!;
  }

  kind(): number {
    return this.word(log.STREAM_LOG_KIND);
  }

  /** The code of `fc_err` in the record of a session error, else 0. */
  errorCode(): number {
    return this.kind() === LOG_KIND_SESSION_ERROR ? this.word(log.STREAM_LOG_TERMINATION) : 0;
  }

  address(field: AddressField, out: IpAddress): boolean {
    const group = groupOf(field);
    const family = this.word(group);
    const at = group + 2;
    if (family === 4) out.setIpv4(this.word(at));
    else if (family === 6) {
      out.setIpv6(this.word(at), this.word(at + 1), this.word(at + 2), this.word(at + 3));
    } else return false;
    return true;
  }

  port(field: AddressField): number {
    const group = groupOf(field);
    const family = this.word(group);
    if (family === 4 || family === 6) return this.word(group + 1);
    // A unix socket has no port: HAProxy prints the listener's id in its place.
    return family === 1 ? (this.listener?.spec.id ?? 0) : -1;
  }

  isUnix(field: AddressField): boolean {
    return this.word(groupOf(field)) === 1;
  }

  text(field: TextField): string | undefined {
    switch (field) {
      case "fe_name":
        return this.frontend?.spec.name;
      case "be_name":
        return this.backend?.spec.name;
      case "srv_name":
        return this.serverName();
      case "so_name":
        return this.listener?.spec.name ?? (this.listener && `sock-${this.listener.spec.id}`);
      case "fe_defbe":
        return this.frontend?.spec.defaultBackend?.name;
      case "hostname":
        return this.machine;
      case "fc_err_str":
        return connectionErrorText(this.errorCode());
      case "txn.sess_term_state":
        return this.termination();
      case "unique-id":
        return this.uniqueId;
      case "fc_pp_authority":
      case "fc_pp_unique_id":
        return undefined;
      default:
        return recordTlsText(this.words, this.row, field);
    }
  }

  /** A server that was removed since is still a server that was reached. */
  private serverName(): string | undefined {
    if (this.server !== undefined) return this.server.spec.name;
    return this.word(log.STREAM_LOG_SERVER_ROW) === 0 ? undefined : "<removed>";
  }

  private termination(): string {
    if (this.kind() === LOG_KIND_SESSION_ERROR) return "PR";
    const pair = this.word(log.STREAM_LOG_TERMINATION);
    if (pair === 0) return "--";
    return String.fromCharCode(pair >> 8, pair & 255);
  }

  integer(field: IntegerField): number | undefined {
    switch (field) {
      case "act_conn":
        return this.word(log.STREAM_LOG_PROCESS_CURRENT);
      case "bc.timer.connect":
        return this.word(log.STREAM_LOG_CONNECT_MS);
      case "bc_be_queue":
        return this.word(log.STREAM_LOG_BACK_QUEUE);
      case "bc_srv_queue":
        return this.word(log.STREAM_LOG_SERVER_QUEUE);
      case "bytes_in":
        return this.float(log.STREAM_LOG_BYTES_UP);
      case "bytes_out":
        return this.float(log.STREAM_LOG_BYTES_DOWN);
      case "fc.timer.handshake":
        return this.word(log.STREAM_LOG_HANDSHAKE_MS);
      case "fc.timer.total":
        return this.word(log.STREAM_LOG_TOTAL_MS);
      case "fc_err":
        return this.errorCode();
      case "req.timer.queue":
        return this.word(log.STREAM_LOG_WAIT_MS);
      case "res.timer.data":
        return this.dataMs();
      case "thread":
        // Workers count from 1, HAProxy's threads from 0.
        return this.word(log.STREAM_LOG_WORKER) - 1;
      case "txn.conn_retries":
        return this.word(log.STREAM_LOG_RETRIES);
      case "txn.redispatched":
        return this.hasFlag(LOG_FLAG_REDISPATCHED) ? 1 : 0;
      case "txn.id32":
        return this.word(log.STREAM_LOG_UNIQUE_COUNTER) >>> 0;
      case "dst_is_local":
      case "fc_dst_is_local":
        return this.isLocal("destination");
      case "src_is_local":
      case "fc_src_is_local":
        return this.isLocal("client");
      default:
        return this.configured(field);
    }
  }

  /** What the configuration or the process knows. */
  private configured(field: IntegerField): number | undefined {
    const timeouts = this.backend?.spec.timeouts;
    switch (field) {
      case "be_connect_timeout":
        return setTime(timeouts?.connect);
      case "be_queue_timeout":
        return setTime(timeouts?.queue);
      case "be_server_timeout":
        return setTime(timeouts?.server);
      case "be_tunnel_timeout":
        return setTime(timeouts?.tunnel);
      case "be_max_retries":
        return this.backend?.spec.retries;
      case "be_id":
        return this.backend?.spec.id;
      case "fe_client_timeout":
        return setTime(this.frontend?.spec.timeouts.client);
      case "fe_id":
        return this.frontend?.spec.id;
      case "so_id":
        return this.listener?.spec.id;
      case "srv_id":
        return this.server?.spec.id;
      case "fc_rcvd_proxy":
        return this.listener?.spec.acceptProxy === true ? 1 : 0;
      case "pid":
        return process.pid;
      case "stopping":
        return this.live?.isStopping() === true ? 1 : 0;
      case "uptime":
        return this.live?.uptimeSeconds();
      case "quic_enabled":
        return this.model.plan.global.isQuicEnabled ? 1 : 0;
      default:
        return recordTlsInteger(this.word(log.STREAM_LOG_TLS_FLAGS), field);
    }
  }

  /** Td: from the established connection to the end; -1 if there was none. */
  private dataMs(): number {
    const connectMs = this.word(log.STREAM_LOG_CONNECT_MS);
    if (connectMs < 0) return -1;
    const waitMs = Math.max(this.word(log.STREAM_LOG_WAIT_MS), 0);
    return Math.max(this.word(log.STREAM_LOG_TOTAL_MS) - waitMs - connectMs, 0);
  }

  private isLocal(field: AddressField): number | undefined {
    return this.address(field, scratch) ? Number(isLoopback(scratch)) : undefined;
  }

  private hasFlag(flag: number): boolean {
    return (this.word(log.STREAM_LOG_FLAGS) & flag) !== 0;
  }

  /** The record's own counters for the stream's own proxies; the present ones for others. */
  proxyInteger(field: ProxyField, name: string): number | undefined {
    if (name === "" && field === "fe_conn") return this.word(log.STREAM_LOG_FRONT_CURRENT);
    if (name === "" && field === "be_conn") return this.word(log.STREAM_LOG_BACK_CURRENT);
    const isFront = field === "fe_conn" || field === "fe_sess_rate";
    const own = isFront ? this.frontend : this.backend;
    const proxy = name === "" ? own : this.findProxy(name, isFront);
    return proxy === undefined ? undefined : this.live?.proxyInteger(field, proxy);
  }

  private findProxy(name: string, isFront: boolean): ProxyObject | undefined {
    return this.model.proxies.find(
      ({ spec }) => spec.name === name && (isFront ? spec.hasFront : spec.hasBack),
    );
  }

  serverInteger(field: ServerField, backend: string, server: string): number | undefined {
    if (server === "") return this.word(log.STREAM_LOG_SERVER_CURRENT);
    const owner = backend === "" ? this.backend : this.findProxy(backend, false);
    const found = owner?.servers.find(({ spec }) => spec.name === server);
    return found === undefined ? undefined : this.live?.serverInteger(field, found);
  }

  environment(name: string): string | undefined {
    return process.env[name];
  }

  epochMicros(): number {
    return this.clock.epochMicros();
  }

  acceptedMicros(): number {
    return this.float(log.STREAM_LOG_ACCEPTED_AT_MICROS);
  }

  random32(): number {
    return this.random();
  }

  isPartial(): boolean {
    return this.hasFlag(LOG_FLAG_ASAP);
  }

  isFrontTls(): boolean {
    return (this.word(log.STREAM_LOG_TLS_FLAGS) & LOG_TLS_ON) !== 0;
  }

  logCounter(): number {
    return this.lines;
  }

  origin(): string {
    switch (this.kind()) {
      case LOG_KIND_SESSION_ERROR:
        return "sess_error";
      case LOG_KIND_STREAM_CONNECTED:
        return "txn_connect";
      default:
        return "txn_close";
    }
  }
}

/** A time that nobody set counts as 0. */
function setTime(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.max(ms, 0);
}
