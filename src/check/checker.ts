/**
 * Health checks of all servers: when each is due, what its result does to its health, and who
 * hears of it. The probe, the clock, chance and the effects are handed in. Main thread.
 *
 * ```
 *   due ─▶ probe ─▶ result ─▶ health counter ─▶ up or down? ─▶ events
 *    ▲       └ no answer in time: L4TOUT           │
 *    └──────── interval of the new state ◀─────────┘
 * ```
 * Source: HAProxy manual 5.2 (`check`, `inter`, `fastinter`, `downinter`, `rise`, `fall`,
 * `on-error`), 4.2 (`timeout check`), 3.2 (`spread-checks`, `max-spread-checks`).
 */
import type { ServerSpec, TimeoutsSpec } from "../tables/spec.ts";
import { TIME_UNSET } from "../tables/spec.ts";
import type { Probe, ProbeTarget, StartProbe } from "./connect.ts";
import { DueList } from "./due.ts";
import type { StartTimer } from "./due.ts";
import {
  healthAfterFail,
  healthAfterPass,
  healthProgress,
  initialHealth,
  intervalMs,
  isUp,
} from "./health.ts";
import { hasPassed } from "./result.ts";
import type { CheckResult } from "./result.ts";

/** A server as the checker sees it. */
export type CheckedServer<T> = {
  /** Whatever the owner knows the server by; given back in events. */
  key: T;
  spec: ServerSpec;
  timeouts: Pick<TimeoutsSpec, "connect" | "check">;
  target: ProbeTarget;
};

/** A result, and what it did. */
export type CheckEvent<T> = {
  key: T;
  result: CheckResult;
  durationMs: number;
  health: number;
  isUp: boolean;
  /** The server has just gone up or down. */
  hasChanged: boolean;
  /** The counter moved: `option log-health-checks` tells it. */
  hasMoved: boolean;
  counted: number;
  needed: number;
};

/** What the checker uses and whom it tells. */
export type CheckerOptions<T> = {
  nowMs: () => number;
  startTimer: StartTimer;
  random32: () => number;
  startProbe: StartProbe;
  spreadPercent: number;
  /** Longest time over which first checks are spread; 0 = no limit. */
  maxSpreadMs: number;
  /** False while the server is in maintenance: its checks pause. */
  isWanted: (key: T) => boolean;
  tell: (event: CheckEvent<T>) => void;
};

/** What is counted of a server's checks, for statistics (management manual 9.1). */
export type CheckRecord = {
  /** Checks that failed while the counter was not at its bottom (`chkfail`). */
  failures: number;
  /** Times it went down (`chkdown`). */
  downs: number;
  /** When it last went up or down, on the monotonic clock (`lastchg`). */
  changedAtMs: number;
  /** Time spent down before that (`downtime`). */
  downtimeMs: number;
  /** The last result and how long it took; undefined before the first. */
  result: CheckResult | undefined;
  durationMs: number;
};

/** One server's checks. */
type Entry<T> = CheckedServer<T> & {
  record: CheckRecord;
  health: number;
  /** Counts changes of the schedule: an older due time or time limit is not followed. */
  round: number;
  probe: Probe | undefined;
  startedAtMs: number;
  /** `disable health`: no checks until somebody wants them again. */
  isSuspended: boolean;
};

type Due<T> = { entry: Entry<T>; round: number; kind: "start" | "limit" };

const CHANCE_RANGE = 2 ** 32;
/** Longest pause before a check that a change has made necessary. */
const RESTART_MS = 1000;

/** All checks of the process. */
export class Checker<T> {
  readonly #options: CheckerOptions<T>;
  readonly #due: DueList<Due<T>>;
  readonly #entries = new Map<T, Entry<T>>();

  constructor(options: CheckerOptions<T>) {
    this.#options = options;
    this.#due = new DueList(options.nowMs, options.startTimer, (due) => this.#receive(due));
  }

  /**
   * Adds servers and spreads their first checks over the shortest interval among them, so that
   * servers are not all asked at once (O(n)).
   */
  addAll(servers: readonly CheckedServer<T>[]): void {
    let shortestMs = Number.POSITIVE_INFINITY;
    const entries = servers.map((server) => {
      const entry = this.#add(server);
      shortestMs = Math.min(shortestMs, intervalMs(entry.health, entry.spec.check));
      return entry;
    });
    const { maxSpreadMs } = this.#options;
    for (const [position, entry] of entries.entries()) {
      const ownMs = Math.max(shortestMs, intervalMs(entry.health, entry.spec.check));
      const spreadMs = maxSpreadMs > 0 ? Math.min(ownMs, maxSpreadMs) : ownMs;
      this.#schedule(entry, Math.floor((spreadMs * position) / entries.length));
    }
  }

  /** Adds one server; its first check is due at once. One that is suspended waits for `resume`. */
  add(server: CheckedServer<T>, isSuspended: boolean): void {
    const entry = this.#add(server);
    entry.isSuspended = isSuspended;
    if (!isSuspended) this.#schedule(entry, 0);
  }

  /**
   * Another address or other settings for a server that is known: what was counted stays, a check
   * under way is given up, and the next one is due soon.
   */
  replace(server: CheckedServer<T>): void {
    const entry = this.#entries.get(server.key);
    if (entry === undefined) return;
    const { spec, timeouts, target } = server;
    Object.assign(entry, { spec, timeouts, target });
    this.#restart(entry);
  }

  /** Suspends the checks of a server: a result under way does not count. */
  suspend(key: T): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.isSuspended) return;
    entry.isSuspended = true;
    entry.round++;
    entry.probe?.cancel();
    entry.probe = undefined;
  }

  /** Goes on with them. */
  resume(key: T): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || !entry.isSuspended) return;
    entry.isSuspended = false;
    this.#schedule(entry, 0);
  }

  /** Puts the counter where somebody else decided; the next check is due soon. */
  setHealth(key: T, health: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.health = health;
    this.#restart(entry);
  }

  /** The result of a check under way, if any, was of another time. */
  #restart(entry: Entry<T>): void {
    entry.probe?.cancel();
    entry.probe = undefined;
    if (!entry.isSuspended)
      this.#schedule(entry, Math.min(entry.spec.check.fastIntervalMs, RESTART_MS));
  }

  /** Ends the checks of a server. */
  remove(key: T): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    entry.round++;
    entry.probe?.cancel();
  }

  /** Ends all checks. */
  stop(): void {
    for (const key of [...this.#entries.keys()]) this.remove(key);
    this.#due.stop();
  }

  /** Health counter of a server; undefined when it is not checked. */
  healthOf(key: T): number | undefined {
    return this.#entries.get(key)?.health;
  }

  /** Servers that are checked. */
  get count(): number {
    return this.#entries.size;
  }

  /** Is a check of the server under way? */
  isProbing(key: T): boolean {
    return this.#entries.get(key)?.probe !== undefined;
  }

  /** Counts failed checks from zero again (`clear counters`). */
  clearFailures(key: T): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.record.failures = 0;
  }

  /** What was counted of a server; undefined when it is not checked. */
  recordOf(key: T): Readonly<CheckRecord> | undefined {
    return this.#entries.get(key)?.record;
  }

  /**
   * Real traffic has failed `error-limit` times in a row on a server: does what `on-error` says.
   * `fastinter` asks again soon, `fail-check` counts as a failed check, `sudden-death` leaves one
   * failure to go, `mark-down` is at once.
   */
  reportErrors(key: T, info: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || !isUp(entry.health, entry.spec.check)) return;
    const { check, onError } = entry.spec;
    if (onError !== "fastinter") {
      if (onError === "mark-down") entry.health = check.rise;
      if (onError === "sudden-death") entry.health = Math.min(entry.health, check.rise + 1);
      this.#apply(entry, { code: "HANA", info }, 0);
    }
    const isIdle = entry.probe === undefined && !entry.isSuspended;
    if (isIdle && this.#entries.has(key)) this.#schedule(entry, check.fastIntervalMs);
  }

  #add(server: CheckedServer<T>): Entry<T> {
    const entry: Entry<T> = {
      ...server,
      record: {
        failures: 0,
        downs: 0,
        changedAtMs: this.#options.nowMs(),
        downtimeMs: 0,
        result: undefined,
        durationMs: 0,
      },
      health: initialHealth(server.spec),
      round: 0,
      probe: undefined,
      startedAtMs: 0,
      isSuspended: false,
    };
    this.#entries.set(server.key, entry);
    return entry;
  }

  #schedule(entry: Entry<T>, delayMs: number): void {
    entry.round++;
    this.#due.add({ entry, round: entry.round, kind: "start" }, delayMs);
  }

  /** After a check: the interval, moved at random by up to `spread-checks` percent. */
  #scheduleNext(entry: Entry<T>): void {
    const plainMs = intervalMs(entry.health, entry.spec.check);
    const share = (plainMs * this.#options.spreadPercent) / 100;
    const chance = share === 0 ? 0 : this.#options.random32() / CHANCE_RANGE;
    this.#schedule(entry, plainMs + share - 2 * share * chance);
  }

  #receive({ entry, round, kind }: Due<T>): void {
    if (round !== entry.round || !this.#entries.has(entry.key)) return;
    if (kind === "start") this.#begin(entry);
    else this.#finish(entry, { code: entry.probe?.timeoutCode?.() ?? "L4TOUT" }, true);
  }

  #begin(entry: Entry<T>): void {
    if (!this.#options.isWanted(entry.key)) {
      this.#schedule(entry, entry.spec.check.intervalMs);
      return;
    }
    entry.startedAtMs = this.#options.nowMs();
    entry.round++;
    const { round } = entry;
    this.#due.add({ entry, round, kind: "limit" }, limitMs(entry));
    let isOver = false;
    const probe = this.#options.startProbe(entry.target, (result) => {
      isOver = true;
      if (round === entry.round && this.#entries.has(entry.key)) this.#finish(entry, result);
    });
    if (!isOver) entry.probe = probe;
  }

  #finish(entry: Entry<T>, result: CheckResult, isLate = false): void {
    if (isLate) entry.probe?.cancel();
    entry.probe = undefined;
    entry.round++;
    const durationMs = Math.floor(this.#options.nowMs() - entry.startedAtMs);
    if (this.#options.isWanted(entry.key)) this.#apply(entry, result, durationMs);
    // Whoever was told may have removed the server.
    if (this.#entries.has(entry.key)) this.#scheduleNext(entry);
  }

  #apply(entry: Entry<T>, result: CheckResult, durationMs: number): void {
    const { check } = entry.spec;
    const before = entry.health;
    const isGood = hasPassed(result);
    entry.health = isGood ? healthAfterPass(before, check) : healthAfterFail(before, check);
    const hasMoved = entry.health !== before || result.code !== entry.record.result?.code;
    const hasChanged = isUp(entry.health, check) !== isUp(before, check);
    if (!isGood && before > 0) entry.record.failures++;
    if (hasChanged) this.#countChange(entry.record, isUp(entry.health, check));
    entry.record.result = result;
    entry.record.durationMs = durationMs;
    this.#options.tell({
      key: entry.key,
      result,
      durationMs,
      health: entry.health,
      isUp: isUp(entry.health, check),
      hasChanged,
      hasMoved,
      ...healthProgress(entry.health, check),
    });
  }

  #countChange(record: CheckRecord, isNowUp: boolean): void {
    const now = this.#options.nowMs();
    if (isNowUp) record.downtimeMs += now - record.changedAtMs;
    else record.downs++;
    record.changedAtMs = now;
  }
}

/** Longest time of a check: its interval, or `timeout connect` if that and `timeout check` are. */
function limitMs<T>({ spec, timeouts }: CheckedServer<T>): number {
  const { intervalMs: interMs } = spec.check;
  const isSplit = timeouts.check !== TIME_UNSET && timeouts.connect !== TIME_UNSET;
  return isSplit ? Math.min(interMs, timeouts.connect) : interMs;
}
