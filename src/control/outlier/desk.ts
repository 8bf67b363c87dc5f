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
import { OUTLIER_SERVERS_A_TURN, OUTLIER_TIMES_MAX } from "../../base/limits.ts";
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
import { PROXY_ACTIVE_UP, PROXY_BACKUP_UP } from "../../tables/generated/proxy.ts";
import {
  SERVER_FLAGS,
  SERVER_PEAK_MS,
  SERVER_STATE,
  SERVER_USABLE,
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
  /** The round that it is of. */
  round: number;
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
  /** Those of them that are out. */
  readonly out: Set<ServerWatch>;
  /** Times that the servers were compared. */
  round: number;
};

/** `from`: place of the first server to look at; `startMs`: when the round began, unless at 0. */
type Due =
  | { kind: "judge"; watch: Watch; from: number; startMs: number }
  | { kind: "return"; one: ServerWatch; until: Ejection };

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
    const { outlier, balance } = server.backend.spec;
    if (outlier === undefined && balance.algorithm !== "peak-ewma") return false;
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
    else this.#giveBack(this.#watches.get(server.backend)!, one, "moved");
  }

  /** Watches a backend, if it asks for that. */
  adopt(backend: ProxyObject): void {
    const spec = backend.spec.outlier;
    if (spec === undefined || !backend.spec.hasBack || this.#watches.has(backend)) return;
    const watch: Watch = { backend, spec, servers: new Map(), out: new Set(), round: 0 };
    this.#watches.set(backend, watch);
    for (const server of backend.servers) this.#watchOf(watch, server);
    this.#due.add({ kind: "judge", watch, from: 0, startMs: 0 }, spec.intervalMs);
  }

  /** A server is gone. */
  forget(server: ServerObject): void {
    const watch = this.#watches.get(server.backend);
    const one = watch?.servers.get(server);
    if (watch === undefined || one === undefined) return;
    watch.servers.delete(server);
    watch.out.delete(one);
    one.ejection = null;
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
   * `server` has been written and balancing does not know it yet. O(servers that are out).
   */
  settle(server: ServerObject): void {
    const watch = this.#watches.get(server.backend);
    if (watch === undefined || watch.out.size === 0) return;
    const own = watch.servers.get(server);
    // Maintenance is a new beginning.
    if (own?.ejection && this.#read(server, SERVER_STATE) === SERVER_STATE_MAINT) {
      this.#clear(watch, own);
    }
    const isBackup = this.#isBackup(server);
    const out = [...watch.out]
      .filter((one) => this.#isOfTier(one.server, isBackup))
      .toSorted((a, b) => a.ejection!.sinceMs - b.ejection!.sinceMs);
    let servers = out.length + this.#usableCount(server, isBackup);
    // What balancing does not know of the server yet.
    const isUsable = !this.#isOut(server) && this.#isOfTier(server, isBackup);
    servers += (isUsable ? 1 : 0) - this.#read(server, SERVER_USABLE);
    const excess = out.length - ejectedMax(watch.spec, servers);
    for (const one of out.slice(0, Math.max(0, excess))) this.#giveBack(watch, one, "needed");
  }

  /** Servers of a tier that balancing may choose. */
  #usableCount({ backend }: ServerObject, isBackup: boolean): number {
    const field = isBackup ? PROXY_BACKUP_UP : PROXY_ACTIVE_UP;
    return this.#keeper.tables.proxies.words[backend.row + field]!;
  }

  #run(due: Due): void {
    if (due.kind === "return") {
      const watch = this.#watches.get(due.one.server.backend);
      // It may have come back earlier, and be out again for another reason.
      if (watch !== undefined && due.one.ejection === due.until) {
        this.#giveBack(watch, due.one, "over");
      }
      return;
    }
    const { watch, from, startMs } = due;
    if (this.#watches.get(watch.backend) !== watch) return;
    const { keeper, now } = this.#now();
    const { servers } = watch.backend;
    if (from === 0) watch.round++;
    for (const server of servers.slice(from, from + OUTLIER_SERVERS_A_TURN)) {
      const one = this.#watchOf(watch, server);
      one.measure = one.reading.look(keeper.tables, watch.spec.samplesMin);
      one.round = watch.round;
    }
    const next = from + OUTLIER_SERVERS_A_TURN;
    const begunMs = from === 0 ? now : startMs;
    if (next < servers.length) {
      this.#due.add({ ...due, from: next, startMs: begunMs }, 1);
      return;
    }
    this.#judge(watch);
    const leftMs = Math.max(0, begunMs + watch.spec.intervalMs - now);
    this.#due.add({ kind: "judge", watch, from: 0, startMs: 0 }, leftMs);
  }

  /** All servers have been looked at in this round. O(n log n). */
  #judge(watch: Watch): void {
    const tiers: Measure<ServerObject>[][] = [[], []];
    const counts = [0, 0];
    const outs = [0, 0];
    for (const one of watch.servers.values()) {
      const tier = this.#isBackup(one.server) ? 1 : 0;
      if (!this.#isOfTier(one.server, tier === 1)) continue;
      counts[tier]!++;
      if (one.ejection !== null) outs[tier]!++;
      else if (one.round === watch.round) tiers[tier]!.push(one.measure!);
    }
    for (const tier of [0, 1]) {
      const most = ejectedMax(watch.spec, counts[tier]!) - outs[tier]!;
      if (most <= 0) continue;
      const outliers = findOutliers(watch.spec, tiers[tier]!).slice(0, most);
      for (const { server, fault } of outliers) {
        this.#eject(watch, this.#watchOf(watch, server), fault);
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
    watch.out.add(one);
    this.#due.add({ kind: "return", one, until: ejection }, forMs);
    const { server } = one;
    keeper.tables.servers.words[server.row + SERVER_FLAGS]! |= SERVER_FLAG_EJECTED;
    const requeued = refreshServer(keeper.lb, server.backend.row, server.row);
    keeper.tell(server.backend, serverEjected(factsOf(keeper, server, requeued, {}), fault, forMs));
    keeper.onChange?.(server);
  }

  #giveBack(watch: Watch, one: ServerWatch, reason: ReturnReason): void {
    const { keeper } = this.#now();
    const { server } = one;
    this.#clear(watch, one);
    // Else it is not in service anyway, and has nothing to come back to.
    if (this.#read(server, SERVER_STATE) !== SERVER_STATE_UP) return;
    keeper.slowStart.begin(server);
    refreshServer(keeper.lb, server.backend.row, server.row);
    keeper.tell(server.backend, serverReturned(factsOf(keeper, server, 0, {}), reason));
    keeper.onChange?.(server);
  }

  /** The server is not out any more; what it did before does not count against it. */
  #clear(watch: Watch, one: ServerWatch): void {
    const { keeper, now } = this.#now();
    one.ejection = null;
    watch.out.delete(one);
    one.backAtMs = now;
    one.reading.begin(keeper.tables);
    keeper.tables.servers.words[one.server.row + SERVER_FLAGS]! &= ~SERVER_FLAG_EJECTED;
  }

  /** Could it be used if it were not out, as an active server or as a backup server? */
  #isOfTier(server: ServerObject, isBackup: boolean): boolean {
    if (this.#read(server, SERVER_STATE) !== SERVER_STATE_UP) return false;
    const isNew = (this.#read(server, SERVER_FLAGS) & SERVER_FLAG_NEW) !== 0;
    return !isNew && this.#read(server, SERVER_WEIGHT) > 0 && this.#isBackup(server) === isBackup;
  }

  #isBackup(server: ServerObject): boolean {
    return (this.#read(server, SERVER_FLAGS) & SERVER_FLAG_BACKUP) !== 0;
  }

  #isOut(server: ServerObject): boolean {
    return (this.#read(server, SERVER_FLAGS) & SERVER_FLAG_EJECTED) !== 0;
  }

  #watchOf(watch: Watch, server: ServerObject): ServerWatch {
    const known = watch.servers.get(server);
    if (known !== undefined) return known;
    const { keeper, now } = this.#now();
    const one: ServerWatch = {
      server,
      reading: new Reading(keeper.tables, server),
      measure: null,
      round: 0,
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
