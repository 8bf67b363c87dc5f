/**
 * The statistics of a process: fills a row with the values of one object, and clears counters.
 * Whoever wants many rows asks again and again with the same row: nothing is made per value.
 *
 *   tables of all workers ─▶ Shards (sums) ─┐
 *   rows, model, checks, state records ─────┼─▶ fillServer, fillBackend, … ─▶ CSV, JSON, metrics
 *   clock ──────────────────────────────────┘
 *
 * Main thread. Columns: fields.ts.
 */
import { LISTENER_CURRENT_MAX } from "../../tables/generated/listener.ts";
import {
  PROCESS_CONN_SECOND,
  PROCESS_CURRENT_MAX,
  PROCESS_MAXCONN,
} from "../../tables/generated/process.ts";
import * as proxyRow from "../../tables/generated/proxy.ts";
import * as serverRow from "../../tables/generated/server.ts";
import { clearRateMax } from "../../tables/rates.ts";
import type { ProxySpec } from "../../tables/spec.ts";
import type { Tables } from "../../tables/tables.ts";
import type { CheckDesk } from "../checks/desk.ts";
import type { Control } from "../control.ts";
import type { Model, ProxyObject, ServerObject } from "../model.ts";
import { isQuicUsed, quicConnections } from "../quic-use.ts";
import type { StateKeeper } from "../server-state.ts";
import type { StatRow } from "./fields.ts";
import { fillQuicRow } from "./quic-fields.ts";
import { QuicShards } from "./quic-shards.ts";
import { Shards } from "./shards.ts";

/** What the numbers are taken from. */
export type StatisticsParts = {
  model: Model;
  checks: Pick<
    CheckDesk,
    | "recordOf"
    | "agentRecordOf"
    | "agentHealthOf"
    | "isAgentDown"
    | "isProbing"
    | "isAgentProbing"
    | "clearFailures"
  >;
  keeper: Pick<StateKeeper, "records" | "startedAtMs" | "tracking">;
  clock: Pick<Control["clock"], "nowMs" | "epochMicros">;
};

/** The statistics of one process. */
export class Statistics {
  readonly parts: StatisticsParts;
  readonly tables: Tables;
  readonly shards: Shards;
  readonly quic: QuicShards;
  /** Time of the reading under way: see `begin`. */
  nowMs = 0;
  epochSeconds = 0;
  #fullconns: Fullconns | undefined;

  constructor(parts: StatisticsParts) {
    this.parts = parts;
    this.tables = parts.model.tables;
    this.shards = new Shards(this.tables);
    this.quic = new QuicShards(this.tables);
    this.begin();
  }

  /** Looks at the clock: rates and ages of what is filled next count from here. */
  begin(): void {
    this.nowMs = this.parts.clock.nowMs();
    this.epochSeconds = this.parts.clock.epochMicros() / 1e6;
  }

  /**
   * Fills the columns of QUIC (quic-fields.ts) of one side of a proxy.
   * @returns false where it has and had no QUIC: then the row is as it was
   */
  fillQuic(proxy: ProxyObject, isFront: boolean, row: StatRow): boolean {
    const { tables, quic } = this;
    if (isFront ? proxy.hasQuicFront !== true : !isQuicUsed(tables, proxy)) return false;
    quic.read(proxy, isFront);
    const { cells, codes } = quic;
    const current = quicConnections(tables, proxy.row, isFront);
    // Of clients, C has those whose handshake is under way to itself.
    const halfOpen = isFront ? quic.halfOpen : Math.min(quic.halfOpen, Math.max(0, current));
    fillQuicRow({ cells, codes, halfOpen, current }, row);
    return true;
  }

  /** `fullconn` of a backend, also where the configuration leaves it to the process. */
  fullconn({ spec }: ProxyObject): number {
    if (spec.fullconn > 0) return spec.fullconn;
    const maxconn = this.tables.process.words[PROCESS_MAXCONN]!;
    if (this.#fullconns?.maxconn !== maxconn) {
      this.#fullconns = countFullconns(this.parts.model.plan.proxies, maxconn);
    }
    const { byName, byRules } = this.#fullconns;
    return Math.max(1, Math.ceil(((byName.get(spec.name) ?? 0) + byRules) / 10));
  }

  /** `clear counters`: maxima of everything. */
  clearMaxima(): void {
    const { process, listeners } = this.tables;
    clearRateMax(process.words, PROCESS_CONN_SECOND);
    Atomics.store(process.words, PROCESS_CURRENT_MAX, 0);
    for (const proxy of this.parts.model.proxies) {
      this.#clearProxyMaxima(proxy);
      for (const server of proxy.servers) this.#clearServerMaxima(server);
      for (const { row } of proxy.listeners) {
        Atomics.store(listeners.words, row + LISTENER_CURRENT_MAX, 0);
      }
    }
  }

  /** `clear counters all`: everything that was counted. */
  clearAll(): void {
    this.clearMaxima();
    for (const proxy of this.parts.model.proxies) {
      this.shards.clearFrontend(proxy);
      this.shards.clearBackend(proxy);
      if (proxy.hasQuicFront === true || isQuicUsed(this.tables, proxy)) this.quic.clear(proxy);
      this.#clearDowns(proxy);
      for (const server of proxy.servers) this.#clearServerCounters(server);
      for (const listener of proxy.listeners) this.shards.clearListener(listener);
    }
  }

  /** `clear counters server`: everything of one server. */
  clearServer(server: ServerObject): void {
    this.#clearServerMaxima(server);
    this.#clearServerCounters(server);
  }

  #clearProxyMaxima(proxy: ProxyObject): void {
    const { words } = this.tables.proxies;
    const { row } = proxy;
    Atomics.store(words, row + proxyRow.PROXY_FRONT_CURRENT_MAX, 0);
    Atomics.store(words, row + proxyRow.PROXY_BACK_CURRENT_MAX, 0);
    Atomics.store(words, row + proxyRow.PROXY_QUEUE_MAX, 0);
    clearRateMax(words, row + proxyRow.PROXY_RATE_SECOND);
    clearRateMax(words, row + proxyRow.PROXY_BACK_RATE_SECOND);
    this.shards.clearMaxima(proxy);
    if (proxy.hasQuicFront === true || isQuicUsed(this.tables, proxy)) {
      this.quic.clearExtremes(proxy);
    }
  }

  #clearServerMaxima(server: ServerObject): void {
    const { words } = this.tables.servers;
    Atomics.store(words, server.row + serverRow.SERVER_SERVED_MAX, 0);
    Atomics.store(words, server.row + serverRow.SERVER_QUEUE_MAX, 0);
    clearRateMax(words, server.row + serverRow.SERVER_RATE_SECOND);
    this.shards.clearMaxima(server);
  }

  #clearServerCounters(server: ServerObject): void {
    this.shards.clearServer(server);
    this.#clearDowns(server);
    this.parts.checks.clearFailures(server);
    Atomics.store(this.tables.servers.words, server.row + serverRow.SERVER_ERROR_REPORTS, 0);
  }

  #clearDowns(object: ServerObject | ProxyObject): void {
    const record = this.parts.keeper.records.get(object);
    if (record !== undefined) record.downs = 0;
  }
}

/** Connections that frontends may bring to backends: by name, and to any that a rule makes up. */
type Fullconns = { maxconn: number; byName: Map<string, number>; byRules: number };

/** For all backends at once: HAProxy manual 4.2, `fullconn`. O(rules). */
function countFullconns(proxies: readonly ProxySpec[], maxconn: number): Fullconns {
  const byName = new Map<string, number>();
  let byRules = 0;
  for (const proxy of proxies) {
    if (!proxy.hasFront) continue;
    const limit = proxy.maxconn > 0 ? proxy.maxconn : maxconn;
    if (proxy.useBackends.some(({ backend }) => backend.kind === "dynamic")) {
      byRules += limit;
      continue;
    }
    const names = new Set<string>();
    if (proxy.hasBack) names.add(proxy.name);
    if (proxy.defaultBackend !== undefined) names.add(proxy.defaultBackend.name);
    for (const { backend } of proxy.useBackends) {
      if (backend.kind === "name") names.add(backend.name);
    }
    for (const name of names) byName.set(name, (byName.get(name) ?? 0) + limit);
  }
  return { maxconn, byName, byRules };
}

const made = new WeakMap<Control, Statistics>();

/** The statistics of a running process: one object, whoever asks. */
export function statisticsOf(control: Control): Statistics {
  let statistics = made.get(control);
  if (statistics === undefined) {
    const { model, checks, keeper, clock } = control;
    statistics = new Statistics({ model, checks, keeper, clock });
    made.set(control, statistics);
  }
  return statistics;
}
