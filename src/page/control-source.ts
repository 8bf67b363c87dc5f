/**
 * The running process as the page shows it: `Statistics` for the rows, the model for sections, the
 * tables for figures. Main thread.
 */
import type { Control } from "../control/control.ts";
import type { ProxyObject, ServerObject } from "../control/model.ts";
import { fillBackend, fillServer } from "../control/stats/back-row.ts";
import { AT, makeStatRow, STAT_COUNT } from "../control/stats/fields.ts";
import type { StatRow } from "../control/stats/fields.ts";
import { fillFrontend, fillListener, listenerName } from "../control/stats/front-row.ts";
import { observersOf } from "../control/stats/observers.ts";
import { AT_QUIC, QUIC_STAT_FIELDS } from "../control/stats/quic-fields.ts";
import { statisticsOf } from "../control/stats/statistics.ts";
import { addressText, algorithmName } from "../control/stats/words.ts";
import {
  SERVER_FLAG_CHECKED,
  SERVER_FLAG_EJECTED,
  SERVER_STATE_DOWN,
  SERVER_STATE_DRAIN,
  SERVER_STATE_MAINT,
} from "../tables/generated/enums.ts";
import { FRONT_COUNT_BYTES_IN, FRONT_COUNT_BYTES_OUT } from "../tables/generated/front-count.ts";
import {
  PROCESS_CONN_SECOND,
  PROCESS_CURRENT,
  PROCESS_MAXCONN,
  PROCESS_STOPPING,
  PROCESS_UNIQUE_COUNTER,
} from "../tables/generated/process.ts";
import { SERVER_FLAGS, SERVER_STATE } from "../tables/generated/server.ts";
import { readRate } from "../tables/rates.ts";
import type { CellValue, ProcessFacts, ProxyHead } from "./shared/fields.ts";
import { ROW_FIELDS } from "./shared/fields.ts";
import type { PageSource, RowSink } from "./source.ts";

/** Where each field of a page's row is in a row of `show stat`, or behind its end, among QUIC's. */
const PLACES = ROW_FIELDS.map((name) => {
  const places: Readonly<Record<string, number | undefined>> = AT;
  return places[name] ?? STAT_COUNT + AT_QUIC[name]!;
});

/** Events after which the list of sections or servers is another. */
const LIST_EVENTS = /^(?:server|backend|frontend)-(?:added|removed)$/;

/** What the page shows of a process. */
export class ControlSource implements PageSource {
  readonly #control: Control;
  readonly #row: StatRow = makeStatRow();
  readonly #quic: StatRow = QUIC_STAT_FIELDS.map(() => undefined);
  readonly #values: CellValue[] = PLACES.map(() => null);
  #version = 1;
  readonly #leave: () => void;

  constructor(control: Control) {
    this.#control = control;
    this.#leave = control.events.listen(({ kind }) => {
      if (LIST_EVENTS.test(kind)) this.#version++;
    });
  }

  /** Listens to the process no more. */
  close(): void {
    this.#leave();
  }

  version(): number {
    return this.#version;
  }

  heads(): ProxyHead[] {
    return this.#control.model.proxies.map(headOf);
  }

  head(id: number): ProxyHead | undefined {
    const proxy = this.#control.model.proxyById.get(id);
    return proxy === undefined ? undefined : headOf(proxy);
  }

  rows(id: number, from: number, count: number, sink: RowSink): void {
    const proxy = this.#control.model.proxyById.get(id);
    if (proxy === undefined) return;
    const statistics = statisticsOf(this.#control);
    const row = this.#row;
    statistics.begin();
    if (proxy.spec.hasFront && from === 0) {
      fillFrontend(statistics, proxy, row);
      const hasQuic = statistics.fillQuic(proxy, true, this.#quic);
      sink("frontend", 0, "FRONTEND", this.#cut(row, hasQuic));
      for (const listener of listenersOf(proxy)) {
        fillListener(statistics, listener, row);
        sink("listener", listener.spec.id, listenerName(listener), this.#cut(row));
      }
    }
    for (const server of proxy.servers.slice(from, from + count)) {
      fillServer(statistics, server, row);
      sink("server", server.spec.id, server.spec.name, this.#cut(row));
    }
    // It costs a look at all servers: not once a slice.
    if (!proxy.spec.hasBack || from > 0) return;
    fillBackend(statistics, proxy, row);
    const hasQuic = statistics.fillQuic(proxy, false, this.#quic);
    sink("backend", 0, "BACKEND", this.#cut(row, hasQuic));
  }

  match(find: string, show: string): number[] {
    const found: number[] = [];
    for (const proxy of this.#control.model.proxies) {
      const isNamed = find === "" || proxy.spec.name.toLowerCase().includes(find);
      const fits = (server: ServerObject): boolean =>
        (isNamed || isNamedLike(server, find)) && this.#isShown(server, show);
      if (proxy.servers.some(fits)) found.push(proxy.spec.id);
    }
    return found;
  }

  #isShown({ row }: ServerObject, show: string): boolean {
    const state = this.#control.tables.servers.words[row + SERVER_STATE]!;
    switch (show) {
      case "up":
        return state !== SERVER_STATE_DOWN && state !== SERVER_STATE_MAINT;
      case "trouble":
        return (
          state === SERVER_STATE_DOWN ||
          state === SERVER_STATE_MAINT ||
          state === SERVER_STATE_DRAIN ||
          this.#isEjected(row)
        );
      case "no-maint":
        return state !== SERVER_STATE_MAINT;
      default:
        return true;
    }
  }

  #isEjected(row: number): boolean {
    return (this.#control.tables.servers.words[row + SERVER_FLAGS]! & SERVER_FLAG_EJECTED) !== 0;
  }

  facts(): ProcessFacts {
    const { tables, clock, startedAtMs } = this.#control;
    const { words } = tables.process;
    const now = clock.nowMs();
    const rate = readRate(words, PROCESS_CONN_SECOND, now);
    return {
      uptimeSeconds: Math.floor((now - startedAtMs) / 1000),
      connections: words[PROCESS_CURRENT]!,
      maxconn: words[PROCESS_MAXCONN]!,
      connectionRate: rate,
      sessionRate: rate,
      connectionsTotal: words[PROCESS_UNIQUE_COUNTER]! >>> 0,
      ...this.#bytes(),
      idlePercent: observersOf(this.#control).sampler.idlePercent(),
      stopping: words[PROCESS_STOPPING] === 1,
      ...this.#servers(),
    };
  }

  /** Of all frontends. O(frontends × workers). */
  #bytes(): { bytesInTotal: number; bytesOutTotal: number } {
    const { shards } = statisticsOf(this.#control);
    let bytesInTotal = 0;
    let bytesOutTotal = 0;
    for (const proxy of this.#control.model.proxies) {
      if (!proxy.spec.hasFront) continue;
      shards.readFrontend(proxy);
      bytesInTotal += shards.front[FRONT_COUNT_BYTES_IN >> 1]!;
      bytesOutTotal += shards.front[FRONT_COUNT_BYTES_OUT >> 1]!;
    }
    return { bytesInTotal, bytesOutTotal };
  }

  #servers(): Pick<ProcessFacts, "serversUp" | "serversDown" | "serversOut" | "serversUnchecked"> {
    const { words } = this.#control.tables.servers;
    let serversUp = 0;
    let serversDown = 0;
    let serversOut = 0;
    let serversUnchecked = 0;
    for (const row of this.#control.model.serverByRow.keys()) {
      const state = words[row + SERVER_STATE]!;
      if (state === SERVER_STATE_DOWN) serversDown++;
      else if (state === SERVER_STATE_MAINT || state === SERVER_STATE_DRAIN) serversOut++;
      else if (this.#isEjected(row)) serversOut++;
      else if ((words[row + SERVER_FLAGS]! & SERVER_FLAG_CHECKED) !== 0) serversUp++;
      else serversUnchecked++;
    }
    return { serversUp, serversDown, serversOut, serversUnchecked };
  }

  #cut(row: StatRow, hasQuic = false): CellValue[] {
    for (let at = 0; at < PLACES.length; at++) {
      const place = PLACES[at]!;
      if (place < STAT_COUNT) this.#values[at] = row[place] ?? null;
      else this.#values[at] = hasQuic ? (this.#quic[place - STAT_COUNT] ?? null) : null;
    }
    return this.#values;
  }
}

/** They have rows where `option socket-stats` says so, as in `show stat`. */
function listenersOf({ spec, listeners }: ProxyObject): ProxyObject["listeners"] {
  return spec.options.socketStats ? listeners : [];
}

function headOf({ spec, servers, quicUse, hasQuicFront }: ProxyObject): ProxyHead {
  return {
    id: spec.id,
    name: spec.name,
    hasFront: spec.hasFront,
    hasBack: spec.hasBack,
    mode: "tcp",
    algorithm: spec.hasBack ? algorithmName(spec.balance) : "",
    description: spec.description ?? "",
    serverCount: servers.length,
    ...(quicUse !== undefined || hasQuicFront === true ? { isQuic: true } : {}),
  };
}

function isNamedLike({ spec }: ServerObject, find: string): boolean {
  if (spec.name.toLowerCase().includes(find)) return true;
  return (addressText(spec.address) ?? "").toLowerCase().includes(find);
}
