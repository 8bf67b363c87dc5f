/**
 * Servers that have just come back: their weight and their limit go up over `slowstart`
 * (manual 5.2). The ramp is the `throttle` of the SERVER row, percent of its time that have passed;
 * balance makes weight and limit of it (balance/weight.ts, limit.ts). One timer serves all ramps,
 * and a turn of it steps a bounded number of servers (check/due.ts).
 *
 *   comes up ─▶ 1 % ─▶ … ─▶ 99 % ─▶ 0: all of it
 *        └─ down, maintenance, stopping: 0 at once, and from the beginning the next time
 *
 * Who comes up is for control/server-state.ts to say; it refreshes balancing itself then. Main
 * thread.
 */
import type { Lb } from "../balance/lb.ts";
import { refreshServer } from "../balance/refresh.ts";
import { assert } from "../base/assert.ts";
import { SLOWSTART_STEP_MS } from "../base/limits.ts";
import { DueList } from "../check/due.ts";
import type { StartTimer } from "../check/due.ts";
import {
  SERVER_FLAG_STOPPING,
  SERVER_STATE_DRAIN,
  SERVER_STATE_UP,
} from "../tables/generated/enums.ts";
import { SERVER_FLAGS, SERVER_STATE, SERVER_THROTTLE } from "../tables/generated/server.ts";
import type { Tables } from "../tables/tables.ts";
import type { ServerObject } from "./model.ts";

/** What slow starts use, and whom they tell. */
export type SlowStartParts = {
  readonly tables: Tables;
  readonly lb: Lb;
  readonly nowMs: () => number;
  readonly startTimer: StartTimer;
  /** The server has all of its weight and limit again. */
  ended(server: ServerObject): void;
};

/** One server's way up. */
type Ramp = { readonly server: ServerObject; readonly startedAtMs: number };

/**
 * Percent of a slow start that are in force: 1 at its very beginning, 0 = it is over.
 * @param elapsedMs since it began; time that went backwards counts as none
 */
export function throttleAt(elapsedMs: number, slowstartMs: number): number {
  if (elapsedMs >= slowstartMs) return 0;
  return Math.max(1, Math.floor((Math.max(0, elapsedMs) * 100) / slowstartMs));
}

/** Writes where a slow start of another process was into the row, before workers look at it. */
export function readySlowStart(words: Int32Array, server: ServerObject, elapsedMs: number): void {
  words[server.row + SERVER_THROTTLE] = throttleAt(elapsedMs, server.spec.slowstartMs);
}

/** All slow starts of the process. */
export class SlowStart {
  readonly #parts: SlowStartParts;
  readonly #ramps = new Map<ServerObject, Ramp>();
  readonly #due: DueList<Ramp>;

  constructor(parts: SlowStartParts) {
    this.#parts = parts;
    this.#due = new DueList(parts.nowMs, parts.startTimer, (ramp) => this.#step(ramp));
  }

  /** Servers on their way up. */
  get count(): number {
    return this.#ramps.size;
  }

  /** How long the server has been on its way up, ms; undefined = it is not. */
  elapsedMs(server: ServerObject): number | undefined {
    const ramp = this.#ramps.get(server);
    return ramp === undefined ? undefined : this.#parts.nowMs() - ramp.startedAtMs;
  }

  /**
   * The server begins, or begins again; nothing without `slowstart`. The caller refreshes
   * balancing: the row is ready before the server is chosen.
   * @param elapsedMs that have passed already, in the process before this one
   */
  begin(server: ServerObject, elapsedMs = 0): void {
    const { slowstartMs } = server.spec;
    const throttle = throttleAt(elapsedMs, slowstartMs);
    this.#write(server, throttle);
    if (throttle === 0) {
      this.#ramps.delete(server);
      return;
    }
    const ramp = { server, startedAtMs: this.#parts.nowMs() - elapsedMs };
    this.#ramps.set(server, ramp);
    this.#due.add(ramp, this.#nextMs(ramp));
  }

  /**
   * Goes on where another process was: that the row says so already keeps the server from all of
   * its weight meanwhile (`readySlowStart`).
   */
  resume(server: ServerObject, elapsedMs: number): void {
    const words = this.#parts.tables.servers.words;
    const state = words[server.row + SERVER_STATE];
    const isWell = state === SERVER_STATE_UP || state === SERVER_STATE_DRAIN;
    const isStopping = (words[server.row + SERVER_FLAGS]! & SERVER_FLAG_STOPPING) !== 0;
    if (isWell && !isStopping) this.begin(server, elapsedMs);
    else this.#write(server, 0);
    refreshServer(this.#parts.lb, server.backend.row, server.row);
  }

  /** The server takes no more traffic, or is gone. The caller refreshes balancing. */
  cancel(server: ServerObject): void {
    if (!this.#ramps.delete(server)) return;
    this.#write(server, 0);
  }

  /** Ends all of it, where it is. */
  stop(): void {
    this.#due.stop();
    this.#ramps.clear();
  }

  #step(ramp: Ramp): void {
    const { server } = ramp;
    // It has begun again since, or is over.
    if (this.#ramps.get(server) !== ramp) return;
    const { lb, nowMs, tables, ended } = this.#parts;
    const throttle = throttleAt(nowMs() - ramp.startedAtMs, server.spec.slowstartMs);
    if (throttle === 0) this.#ramps.delete(server);
    else this.#due.add(ramp, this.#nextMs(ramp));
    if (tables.servers.words[server.row + SERVER_THROTTLE] === throttle) return;
    this.#write(server, throttle);
    refreshServer(lb, server.backend.row, server.row);
    if (throttle === 0) ended(server);
  }

  /** Until the next percent, but not sooner than is of use, nor later than the end. */
  #nextMs({ server, startedAtMs }: Ramp): number {
    const { slowstartMs } = server.spec;
    const leftMs = slowstartMs - (this.#parts.nowMs() - startedAtMs);
    return Math.max(1, Math.min(leftMs, Math.max(SLOWSTART_STEP_MS, slowstartMs / 100)));
  }

  #write(server: ServerObject, throttle: number): void {
    assert(throttle >= 0 && throttle < 100, "SlowStart: percent of a ramp");
    this.#parts.tables.servers.words[server.row + SERVER_THROTTLE] = throttle;
  }
}
