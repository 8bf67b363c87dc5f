/**
 * `outlier-ejection`: compares the servers of a backend once an interval by what live connections
 * met, and keeps the worst out of balancing for a while. It stands beside the health checks: a
 * server that is ejected stays up, its streams go on, and rules that name it may use it.
 *
 *   judged an outlier ─▶ EJECTED for `eject` × times ─▶ back, by a slow start if it has one
 *                                └─ too many out, since others went away ─▶ back at once
 *
 * At any moment at most `max-ejected` percent of the servers that could be used are out, rounded
 * down, and never the last of them: `settle` restores that before a server that goes away is taken
 * out of balancing. A server that is ejected again soon stays out longer each time. Main thread.
 */
import { refreshServer } from "../../balance/refresh.ts";
import { startTimer } from "../../base/clock.ts";
import { OUTLIER_TIMES_MAX } from "../../base/limits.ts";
import { DueList } from "../../check/due.ts";
import type { StartTimer } from "../../check/due.ts";
import { addressText } from "../../tables/address-text.ts";
import {
  SERVER_FLAG_BACKUP,
  SERVER_FLAG_EJECTED,
  SERVER_FLAG_NEW,
  SERVER_STATE_MAINT,
  SERVER_STATE_UP,
} from "../../tables/generated/enums.ts";
import {
  SERVER_FLAGS,
  SERVER_PEAK_MS,
  SERVER_STATE,
  SERVER_WEIGHT,
} from "../../tables/generated/server.ts";
import type { OutlierSpec } from "../../tables/spec.ts";
import type { Events } from "../events.ts";
import type { ProxyObject, ServerObject } from "../model.ts";
import { factsOf } from "../server-state.ts";
import type { StateKeeper } from "../server-state.ts";
import { findOutliers } from "./judge.ts";
import type { Fault, Measure } from "./judge.ts";
import { Reading } from "./readings.ts";
import { serverEjected, serverReturned } from "./sentences.ts";
import type { ReturnReason } from "./sentences.ts";

/** A server that is out. */
export type Ejection = {
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly fault: Fault;
  /** How often `eject` is taken: 1 the first time. */
  readonly times: number;
};

/** What is known of a server of a backend that is watched. */
export type ServerWatch = {
  readonly server: ServerObject;
  readonly reading: Reading;
  /** The last span that was judged. */
  measure: Measure<ServerObject> | null;
  ejection: Ejection | null;
  /** Ejections that are not forgiven yet, and since when it has been in service. */
  times: number;
  backAtMs: number;
  /** Ejections ever. */
  count: number;
};

type Watch = {
  readonly backend: ProxyObject;
  readonly spec: OutlierSpec;
  readonly servers: Map<ServerObject, ServerWatch>;
};

type Due = { kind: "judge"; watch: Watch } | { kind: "return"; one: ServerWatch; until: Ejection };

/** Most servers of `servers` that may be out: the ceiling. */
export function ejectedMax({ ejectedPercentMax }: OutlierSpec, servers: number): number {
  const share = Math.floor((servers * ejectedPercentMax) / 100);
  return Math.max(0, Math.min(share, servers - 1));
}

/** All backends with `outlier-ejection`. */
export class OutlierDesk {
  readonly #keeper: StateKeeper;
  readonly #watches = new Map<ProxyObject, Watch>();
  readonly #due: DueList<Due>;
  readonly #addresses = new WeakMap<ServerObject, string>();

  /** Watches the backends that there are; `keeper` settles with it from now on. */
  constructor(keeper: StateKeeper, timer: StartTimer = startTimer) {
    this.#keeper = keeper;
    this.#due = new DueList(keeper.nowMs, timer, (due) => this.#run(due));
    for (const proxy of keeper.model.proxies) this.adopt(proxy);
    keeper.outliers = this;
  }

  /** Keeps up with servers and backends that come, move and go. */
  follow(events: Events): void {
    for (const server of this.#keeper.model.serverByRow.values()) this.#noteAddress(server);
    events.listen(({ kind, proxy, server }) => {
      if (proxy === undefined) return;
      if (kind === "backend-added") this.adopt(proxy);
      else if (kind === "backend-removed") this.#watches.delete(proxy);
      if (server === undefined) return;
      if (kind === "server-added") this.#noteAddress(server);
      else if (kind === "server-removed") this.forget(server);
      else if (kind === "server-changed" && this.#noteAddress(server)) this.renew(server);
    });
  }

  /** @returns whether it is another one than before */
  #noteAddress(server: ServerObject): boolean {
    const { address } = server.spec;
    const text = address === undefined ? "" : addressText(address);
    if (this.#addresses.get(server) === text) return false;
    this.#addresses.set(server, text);
    return true;
  }

  /** Another machine answers under the server's name: what was known is of the one before. */
  renew(server: ServerObject): void {
    const { keeper } = this.#now();
    keeper.tables.servers.floats[(server.row + SERVER_PEAK_MS) >> 1] = 0;
    const one = this.watchOf(server);
    if (one === undefined) return;
    one.times = 0;
    if (one.ejection === null) one.reading.begin(keeper.tables);
    else this.#giveBack(one, "moved");
  }

  /** Watches a backend, if it asks for that. */
  adopt(backend: ProxyObject): void {
    const spec = backend.spec.outlier;
    if (spec === undefined || !backend.spec.hasBack || this.#watches.has(backend)) return;
    const watch = { backend, spec, servers: new Map() };
    this.#watches.set(backend, watch);
    for (const server of backend.servers) this.#watchOf(watch, server);
    this.#due.add({ kind: "judge", watch }, spec.intervalMs);
  }

  /** A server is gone. */
  forget(server: ServerObject): void {
    this.#watches.get(server.backend)?.servers.delete(server);
  }

  /** What is known of a server; undefined where nobody asked for that. */
  watchOf(server: ServerObject): ServerWatch | undefined {
    return this.#watches.get(server.backend)?.servers.get(server);
  }

  /** Ends all of it, where it is. */
  stop(): void {
    this.#due.stop();
  }

  /**
   * Lets servers back until no more are out than may be. To be called when the state or weight of
   * a server has been written and balancing does not know it yet.
   */
  settle(backend: ProxyObject): void {
    const watch = this.#watches.get(backend);
    if (watch === undefined) return;
    for (const one of watch.servers.values()) {
      // Maintenance is a new beginning.
      if (one.ejection !== null && this.#read(one.server, SERVER_STATE) === SERVER_STATE_MAINT) {
        this.#clear(one);
      }
    }
    for (const isBackup of [false, true]) this.#settleTier(watch, isBackup);
  }

  #settleTier(watch: Watch, isBackup: boolean): void {
    const tier = this.#tier(watch, isBackup);
    const out = tier
      .filter(({ ejection }) => ejection !== null)
      .toSorted((a, b) => a.ejection!.sinceMs - b.ejection!.sinceMs);
    const excess = out.length - ejectedMax(watch.spec, tier.length);
    for (const one of out.slice(0, Math.max(0, excess))) this.#giveBack(one, "needed");
  }

  #run(due: Due): void {
    if (due.kind === "return") {
      // It may have come back earlier, and be out again for another reason.
      if (due.one.ejection === due.until) this.#giveBack(due.one, "over");
      return;
    }
    const { watch } = due;
    if (this.#watches.get(watch.backend) !== watch) return;
    this.#due.add(due, watch.spec.intervalMs);
    this.#judge(watch);
  }

  #judge(watch: Watch): void {
    const { tables } = this.#keeper;
    for (const server of watch.backend.servers) {
      const one = this.#watchOf(watch, server);
      one.measure = one.reading.look(tables, watch.spec.samplesMin);
    }
    for (const isBackup of [false, true]) {
      const tier = this.#tier(watch, isBackup);
      const max = ejectedMax(watch.spec, tier.length);
      let out = tier.filter(({ ejection }) => ejection !== null).length;
      const inside = tier.filter(({ ejection }) => ejection === null);
      const outliers = findOutliers(
        watch.spec,
        inside.map(({ measure }) => measure!),
      );
      for (const { server, fault } of outliers) {
        if (out >= max) break;
        this.#eject(watch, this.#watchOf(watch, server), fault);
        out++;
      }
    }
  }

  #eject(watch: Watch, one: ServerWatch, fault: Fault): void {
    const { keeper, now } = this.#now();
    const { ejectMs } = watch.spec;
    // Time in service forgives as it was dealt out.
    const forgiven = Math.floor((now - one.backAtMs) / ejectMs);
    one.times = Math.min(Math.max(0, one.times - forgiven) + 1, OUTLIER_TIMES_MAX);
    one.count++;
    const forMs = ejectMs * one.times;
    const ejection = { sinceMs: now, untilMs: now + forMs, fault, times: one.times };
    one.ejection = ejection;
    this.#due.add({ kind: "return", one, until: ejection }, forMs);
    const { server } = one;
    keeper.tables.servers.words[server.row + SERVER_FLAGS]! |= SERVER_FLAG_EJECTED;
    const requeued = refreshServer(keeper.lb, server.backend.row, server.row);
    keeper.tell(server.backend, serverEjected(factsOf(keeper, server, requeued, {}), fault, forMs));
    keeper.onChange?.(server);
  }

  #giveBack(one: ServerWatch, reason: ReturnReason): void {
    const { keeper } = this.#now();
    const { server } = one;
    this.#clear(one);
    // Else it is not in service anyway, and has nothing to come back to.
    if (this.#read(server, SERVER_STATE) !== SERVER_STATE_UP) return;
    keeper.slowStart.begin(server);
    refreshServer(keeper.lb, server.backend.row, server.row);
    keeper.tell(server.backend, serverReturned(factsOf(keeper, server, 0, {}), reason));
    keeper.onChange?.(server);
  }

  /** The server is not out any more; what it did before does not count against it. */
  #clear(one: ServerWatch): void {
    const { keeper, now } = this.#now();
    one.ejection = null;
    one.backAtMs = now;
    one.reading.begin(keeper.tables);
    keeper.tables.servers.words[one.server.row + SERVER_FLAGS]! &= ~SERVER_FLAG_EJECTED;
  }

  /** Servers that could be used if nobody were out: active ones, or backup servers. */
  #tier(watch: Watch, isBackup: boolean): ServerWatch[] {
    return watch.backend.servers
      .filter((server) => {
        const flags = this.#read(server, SERVER_FLAGS);
        if (((flags & SERVER_FLAG_BACKUP) !== 0) !== isBackup) return false;
        const isUp = this.#read(server, SERVER_STATE) === SERVER_STATE_UP;
        return isUp && (flags & SERVER_FLAG_NEW) === 0 && this.#read(server, SERVER_WEIGHT) > 0;
      })
      .map((server) => this.#watchOf(watch, server));
  }

  #watchOf(watch: Watch, server: ServerObject): ServerWatch {
    const known = watch.servers.get(server);
    if (known !== undefined) return known;
    const { keeper, now } = this.#now();
    const one: ServerWatch = {
      server,
      reading: new Reading(keeper.tables, server),
      measure: null,
      ejection: null,
      times: 0,
      backAtMs: now,
      count: 0,
    };
    watch.servers.set(server, one);
    return one;
  }

  #read(server: ServerObject, field: number): number {
    return this.#keeper.tables.servers.words[server.row + field]!;
  }

  #now(): { keeper: StateKeeper; now: number } {
    return { keeper: this.#keeper, now: this.#keeper.nowMs() };
  }
}
