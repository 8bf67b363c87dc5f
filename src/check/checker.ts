/**
 * When each check is due, what its result does to a server's health, and who hears of it. Probes,
 * the clock, chance and the effects are handed in. Runs on the thread of checks.
 *
 * ```
 *   due ─▶ probe ─▶ result ─▶ health counter ─▶ up or down? ─▶ events
 *    ▲       └ no answer in time: late()          │
 *    └──────── interval of the new state ◀────────┘
 * ```
 * Agents are asked by the same: one pass makes an agent well, one "no" of its own makes it ill, and
 * one that cannot be reached changes nothing.
 *
 * Source: HAProxy manual 5.2 (`check`, `inter`, `fastinter`, `downinter`, `rise`, `fall`,
 * `on-error`, `agent-check`), 4.2 (`timeout check`), 3.2 (`spread-checks`, `max-spread-checks`).
 */
import type { CheckSpec, ServerSpec } from "../tables/spec.ts";
import { TIME_UNSET } from "../tables/spec.ts";
import { DueList } from "./due.ts";
import type { StartTimer } from "./due.ts";
import { healthAfterFail, healthAfterPass, healthProgress, intervalMs, isUp } from "./health.ts";
import type { CheckJob, Probe, StartProbe } from "./probe.ts";
import { hasPassed } from "./result.ts";
import type { CheckResult } from "./result.ts";

/** When a server is checked, and what counts. Times in ms. */
export type CheckSchedule = Pick<
  CheckSpec,
  "intervalMs" | "fastIntervalMs" | "downIntervalMs" | "rise" | "fall"
> & {
  kind: "check" | "agent";
  onError: ServerSpec["onError"];
  /** `timeout connect`, `timeout check`; TIME_UNSET = none. */
  connectMs: number;
  checkMs: number;
};

/** A server as the checker sees it. */
export type Checked<T> = {
  /** Whatever the owner knows the check by; given back in events. */
  key: T;
  schedule: CheckSchedule;
  job: CheckJob;
  /** Where the counter begins. */
  health: number;
};

/** A result, and what it did. */
export type CheckEvent<T> = {
  key: T;
  result: CheckResult;
  /** -1 where no check has found it. */
  durationMs: number;
  health: number;
  isUp: boolean;
  /** The server has just gone up or down. */
  hasChanged: boolean;
  /** The counter moved, or the result is another: `option log-health-checks` tells it. */
  hasMoved: boolean;
  /** It failed while the counter was not at its bottom (`chkfail`). */
  hasFailed: boolean;
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
  /** Most probes at a time: descriptors. One that is due waits its turn. Left out: no limit. */
  probesMax?: number;
  /** False while the check pauses: the server is in maintenance. */
  isWanted: (key: T) => boolean;
  /** A probe begins or is over. */
  running: (key: T, isRunning: boolean) => void;
  tell: (event: CheckEvent<T>) => void;
  /** Checks had to wait for others: at most once a minute. */
  crowded?: (crowd: CheckCrowd) => void;
};

/** Checks that were due while `probesMax` others were under way, of the last minute. */
export type CheckCrowd = {
  probesMax: number;
  /** Waits for a turn that began in it, or went on. */
  delayed: number;
  /** Those of them that were longer than the check's interval. */
  late: number;
  /** Those that wait now. */
  waiting: number;
};

/** One check that comes again and again. */
type Entry<T> = Checked<T> & {
  code: CheckResult["code"] | undefined;
  /** Counts changes of the schedule, and probes: what is due for an older one is not followed. */
  round: number;
  /** When the time of the check under way is over. */
  limitAtMs: number;
  /** It was late, and has had a moment more. */
  hadGrace: boolean;
  /** Of `#pausedMs`, what this limit has been moved by; and how often. */
  pausedMs: number;
  pauses: number;
  /** When that is looked at next; infinity: nothing is due. */
  lookAtMs: number;
  /** Counts what is due for it. */
  lookRound: number;
  probe: Probe | undefined;
  isProbing: boolean;
  startedAtMs: number;
  /** When the next one begins, if none is under way. */
  dueAtMs: number;
  /** `disable health`: no checks until somebody wants them again. */
  isSuspended: boolean;
};

type Due<T> = { entry: Entry<T>; round: number; kind: "start" | "limit" };

/** Pause before the first word about checks that wait, and between two. */
const CROWD_FIRST_MS = 1000;
const CROWD_PAUSE_MS = 60_000;
/** Of a result that no check has found. */
const NO_DURATION = -1;
const CHANCE_RANGE = 2 ** 32;
/** Longest pause before a check that a change has made necessary. */
const RESTART_MS = 1000;
/**
 * While probes are under way the thread looks at the clock so often, ms. Where it could not, for so
 * much longer, it was stopped, or the machine was: that time counts for nobody's limit.
 */
const PULSE_MS = 250;
const PAUSE_MIN_MS = 100;
/** Pauses that one limit forgives: of a thread that always hangs, silence must come to an end. */
const PAUSES_MAX = 2;
/** A limit that comes so late lets answers in first that have come meanwhile, once. */
const STALL_MS = 10;
const STALL_PAUSE_MS = 20;
/**
 * Time limits are looked at so often: one of an hour, of a check that is soon over, is not kept for
 * an hour.
 */
const LOOK_MS = 10_000;

/** All checks of a thread. */
export class Checker<T> {
  readonly #options: CheckerOptions<T>;
  readonly #due: DueList<Due<T>>;
  readonly #entries = new Map<T, Entry<T>>();
  /** When the clock was last looked at, and all pauses since the start. */
  #seenMs = 0;
  #pausedMs = 0;
  #pulse: { stop(): void } | undefined;
  /** Probes under way. */
  #probes = 0;
  /** Due, while too many probes were under way; the first of them is at `#waitingFrom`. */
  #waiting: Due<T>[] = [];
  #waitingFrom = 0;
  #isAdmitting = false;
  /** See CheckCrowd. */
  #delayed = 0;
  #late = 0;
  #crowdTimer: ReturnType<StartTimer> | undefined;

  constructor(options: CheckerOptions<T>) {
    this.#options = options;
    this.#due = new DueList(options.nowMs, options.startTimer, (due) => this.#receive(due));
  }

  /**
   * Adds servers and spreads their first checks over the shortest interval among them, so that
   * servers are not all asked at once (O(n)).
   */
  addAll(servers: readonly Checked<T>[]): void {
    let shortestMs = Number.POSITIVE_INFINITY;
    const entries = servers.map((server) => {
      const entry = this.#add(server);
      shortestMs = Math.min(shortestMs, intervalMs(entry.health, entry.schedule));
      return entry;
    });
    const { maxSpreadMs } = this.#options;
    for (const [position, entry] of entries.entries()) {
      const ownMs = Math.max(shortestMs, intervalMs(entry.health, entry.schedule));
      const spreadMs = maxSpreadMs > 0 ? Math.min(ownMs, maxSpreadMs) : ownMs;
      this.#schedule(entry, Math.floor((spreadMs * position) / entries.length));
    }
  }

  /** Adds one server; its first check is due at once. One that is suspended waits for `resume`. */
  add(server: Checked<T>, isSuspended: boolean): void {
    const entry = this.#add(server);
    entry.isSuspended = isSuspended;
    if (!isSuspended) this.#schedule(entry, 0);
  }

  /**
   * Another address or other settings for a server that is known: what was counted stays, a check
   * under way is given up, and the next one is due soon.
   */
  replace(key: T, schedule: CheckSchedule, job: CheckJob): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.schedule = schedule;
    entry.job = job;
    this.#restart(entry);
  }

  /** Suspends the checks of a server: a result under way does not count. */
  suspend(key: T): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.isSuspended) return;
    entry.isSuspended = true;
    this.#giveUp(entry);
  }

  /** Goes on with them. */
  resume(key: T): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || !entry.isSuspended) return;
    entry.isSuspended = false;
    this.#schedule(entry, 0);
  }

  /** Puts the counter where somebody else decided. */
  recount(key: T, health: number): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.health = health;
  }

  /** Gives a check under way up; the next one is due soon. */
  restart(key: T): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#restart(entry);
  }

  /** The result of a check under way, if any, was of another time. */
  #restart(entry: Entry<T>): void {
    this.#giveUp(entry);
    if (!entry.isSuspended)
      this.#schedule(entry, Math.min(entry.schedule.fastIntervalMs, RESTART_MS));
  }

  /** Ends the checks of a server. */
  remove(key: T): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#giveUp(entry);
  }

  /** Ends all checks. */
  stop(): void {
    this.#waiting = [];
    this.#waitingFrom = 0;
    this.#crowdTimer?.stop();
    this.#crowdTimer = undefined;
    for (const key of [...this.#entries.keys()]) this.remove(key);
    this.#due.stop();
    this.#pulse?.stop();
    this.#pulse = undefined;
  }

  /** Health counter of a server; undefined when it is not checked. */
  healthOf(key: T): number | undefined {
    return this.#entries.get(key)?.health;
  }

  /** Checks that are scheduled. */
  get count(): number {
    return this.#entries.size;
  }

  /** What is due some time: a few for each check, whatever its time limits are. */
  get dueCount(): number {
    return this.#due.length;
  }

  /**
   * Real traffic has failed `error-limit` times in a row on a server: does what `on-error` says.
   * `fastinter` asks again soon, `fail-check` counts as a failed check, `sudden-death` leaves one
   * failure to go, `mark-down` is at once.
   */
  reportErrors(key: T, info: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.isSuspended) return;
    if (!isUp(entry.health, entry.schedule)) return;
    const { onError, rise } = entry.schedule;
    if (onError !== "fastinter") {
      if (onError === "mark-down") entry.health = rise;
      if (onError === "sudden-death") entry.health = Math.min(entry.health, rise + 1);
      this.#apply(entry, { code: "HANA", info }, NO_DURATION);
    }
    const { fastIntervalMs } = entry.schedule;
    // Sooner than it was due, never later: else errors that go on would put it off for ever.
    const isSooner = this.#options.nowMs() + fastIntervalMs < entry.dueAtMs;
    if (!entry.isProbing && isSooner && this.#entries.get(key) === entry) {
      this.#schedule(entry, fastIntervalMs);
    }
  }

  #add(server: Checked<T>): Entry<T> {
    this.remove(server.key);
    const entry: Entry<T> = {
      ...server,
      code: undefined,
      round: 0,
      limitAtMs: 0,
      hadGrace: false,
      pausedMs: 0,
      pauses: 0,
      lookAtMs: Number.POSITIVE_INFINITY,
      lookRound: 0,
      probe: undefined,
      isProbing: false,
      startedAtMs: 0,
      dueAtMs: 0,
      isSuspended: false,
    };
    this.#entries.set(server.key, entry);
    return entry;
  }

  #schedule(entry: Entry<T>, delayMs: number): void {
    entry.round++;
    entry.dueAtMs = this.#options.nowMs() + delayMs;
    this.#due.add({ entry, round: entry.round, kind: "start" }, delayMs);
  }

  /** After a check: the interval, moved at random by up to `spread-checks` percent. */
  #scheduleNext(entry: Entry<T>): void {
    const plainMs = intervalMs(entry.health, entry.schedule);
    const share = (plainMs * this.#options.spreadPercent) / 100;
    const chance = share === 0 ? 0 : this.#options.random32() / CHANCE_RANGE;
    this.#schedule(entry, plainMs + share - 2 * share * chance);
  }

  #receive(due: Due<T>): void {
    const { entry, kind } = due;
    this.#notePause();
    if (this.#entries.get(entry.key) !== entry) return;
    if (kind === "start") {
      if (this.#probes < (this.#options.probesMax ?? Number.POSITIVE_INFINITY)) this.#start(due);
      else this.#wait(due);
    } else if (due.round === entry.lookRound) {
      entry.lookAtMs = Number.POSITIVE_INFINITY;
      if (entry.isProbing) this.#look(entry);
    }
  }

  /** Looks at the clock: time that passed unseen was a pause of the thread, or of the machine. */
  #notePause(): void {
    const now = this.#options.nowMs();
    const unseenMs = now - this.#seenMs;
    if (this.#pulse !== undefined && unseenMs > PULSE_MS + PAUSE_MIN_MS) this.#pausedMs += unseenMs;
    this.#seenMs = now;
  }

  /** Looks at it again and again while probes are under way. */
  #beat(): void {
    if (this.#pulse !== undefined) return;
    this.#seenMs = this.#options.nowMs();
    const again = (): void => {
      this.#notePause();
      const isBusy = this.#probes > 0;
      this.#pulse = isBusy ? this.#options.startTimer(PULSE_MS, again) : undefined;
    };
    this.#pulse = this.#options.startTimer(PULSE_MS, again);
  }

  #start(due: Due<T>): void {
    if (this.#isCurrent(due)) this.#begin(due.entry);
  }

  /** Neither removed nor put at another time since. */
  #isCurrent({ entry, round }: Due<T>): boolean {
    return this.#entries.get(entry.key) === entry && round === entry.round;
  }

  /** First come, first served: nobody waits for one that was due later. */
  #wait(due: Due<T>): void {
    if (!this.#isCurrent(due)) return;
    this.#waiting.push(due);
    this.#delayed++;
    this.#crowdTimer ??= this.#options.startTimer(CROWD_FIRST_MS, () => this.#tellCrowd());
  }

  #tellCrowd(): void {
    this.#crowdTimer = undefined;
    const queue = this.#waiting.slice(this.#waitingFrom).filter((due) => this.#isCurrent(due));
    const delayed = this.#delayed;
    if (delayed === 0) return;
    const late = this.#late + queue.filter(({ entry }) => this.#isLate(entry)).length;
    // Those that wait on are of the next minute too.
    this.#delayed = queue.length;
    this.#late = 0;
    this.#crowdTimer = this.#options.startTimer(CROWD_PAUSE_MS, () => this.#tellCrowd());
    const probesMax = this.#options.probesMax ?? Number.POSITIVE_INFINITY;
    this.#options.crowded?.({ probesMax, delayed, late, waiting: queue.length });
  }

  /** It has waited for longer than its interval. */
  #isLate({ dueAtMs, health, schedule }: Entry<T>): boolean {
    return this.#options.nowMs() - dueAtMs > intervalMs(health, schedule);
  }

  /** A probe is over: those that wait have their turn. Results within a start do not nest. */
  #admit(): void {
    if (this.#isAdmitting || this.#waiting.length === 0) return;
    this.#isAdmitting = true;
    const most = this.#options.probesMax ?? Number.POSITIVE_INFINITY;
    try {
      while (this.#waitingFrom < this.#waiting.length && this.#probes < most) {
        const due = this.#waiting[this.#waitingFrom++]!;
        if (this.#isCurrent(due) && this.#isLate(due.entry)) this.#late++;
        this.#start(due);
      }
    } finally {
      this.#isAdmitting = false;
      if (this.#waitingFrom * 2 > this.#waiting.length) {
        this.#waiting = this.#waiting.slice(this.#waitingFrom);
        this.#waitingFrom = 0;
      }
    }
  }

  /** Is the time of the check under way over? */
  #look(entry: Entry<T>): void {
    const now = this.#options.nowMs();
    if (entry.pausedMs !== this.#pausedMs && entry.pauses < PAUSES_MAX) {
      entry.limitAtMs += this.#pausedMs - entry.pausedMs;
      entry.pauses++;
    }
    entry.pausedMs = this.#pausedMs;
    const overMs = now - entry.limitAtMs;
    // Once: of a thread that is late with everything, silence must end too.
    const isExcused = overMs > STALL_MS && !entry.hadGrace;
    if (isExcused) {
      entry.hadGrace = true;
      entry.limitAtMs = now + STALL_PAUSE_MS;
    }
    if (overMs < 0 || isExcused) {
      this.#lookLater(entry);
      return;
    }
    const { probe } = entry;
    const result: CheckResult = probe?.late() ?? { code: "L4TOUT" };
    probe?.cancel();
    this.#finish(entry, result);
  }

  #begin(entry: Entry<T>): void {
    if (!this.#options.isWanted(entry.key)) {
      this.#schedule(entry, entry.schedule.intervalMs);
      return;
    }
    entry.startedAtMs = this.#options.nowMs();
    entry.round++;
    entry.isProbing = true;
    this.#probes++;
    this.#beat();
    const { round } = entry;
    const { key } = entry;
    const isCurrent = (): boolean => round === entry.round && entry.isProbing;
    this.#limit(entry, connectLimitMs(entry.schedule));
    this.#options.running(key, true);
    const probe = this.#options.startProbe(entry.job, {
      done: (result) => {
        if (isCurrent()) this.#finish(entry, result);
      },
      connecting: () => {
        const { checkMs } = entry.schedule;
        if (isCurrent() && checkMs !== TIME_UNSET) {
          this.#limit(entry, connectLimitMs(entry.schedule));
        }
      },
      connected: () => {
        const { checkMs } = entry.schedule;
        if (isCurrent() && checkMs !== TIME_UNSET) this.#limit(entry, checkMs);
      },
    });
    if (isCurrent()) entry.probe = probe;
  }

  #limit(entry: Entry<T>, limitMs: number): void {
    this.#notePause();
    entry.limitAtMs = this.#options.nowMs() + limitMs;
    entry.hadGrace = false;
    entry.pausedMs = this.#pausedMs;
    entry.pauses = 0;
    this.#lookLater(entry);
  }

  /** One look is due for each check, whatever became of the probes before. */
  #lookLater(entry: Entry<T>): void {
    const now = this.#options.nowMs();
    const atMs = Math.min(entry.limitAtMs, now + LOOK_MS);
    if (atMs >= entry.lookAtMs) return;
    entry.lookAtMs = atMs;
    entry.lookRound++;
    this.#due.add({ entry, round: entry.lookRound, kind: "limit" }, atMs - now);
  }

  /** No result of the check under way counts, and nothing that was due is followed. */
  #giveUp(entry: Entry<T>): void {
    entry.round++;
    if (!entry.isProbing) return;
    const { probe } = entry;
    this.#end(entry);
    probe?.cancel();
    this.#admit();
  }

  #end(entry: Entry<T>): void {
    entry.isProbing = false;
    entry.probe = undefined;
    this.#probes--;
    this.#options.running(entry.key, false);
  }

  #finish(entry: Entry<T>, result: CheckResult): void {
    entry.round++;
    this.#end(entry);
    const durationMs = Math.max(0, Math.floor(this.#options.nowMs() - entry.startedAtMs));
    const { round } = entry;
    if (this.#options.isWanted(entry.key)) this.#apply(entry, result, durationMs);
    // Whoever was told may have removed the server, or have it checked at another time.
    const isSame = this.#entries.get(entry.key) === entry && round === entry.round;
    if (isSame) this.#scheduleNext(entry);
    this.#admit();
  }

  #apply(entry: Entry<T>, result: CheckResult, durationMs: number): void {
    const { schedule } = entry;
    const before = entry.health;
    const isGood = hasPassed(result);
    const isIgnored = schedule.kind === "agent" && !isGood && result.code !== "L7STS";
    if (isGood) entry.health = healthAfterPass(before, schedule);
    else if (!isIgnored) entry.health = healthAfterFail(before, schedule);
    const hasMoved = entry.health !== before || result.code !== entry.code;
    entry.code = result.code;
    const isNowUp = isUp(entry.health, schedule);
    this.#options.tell({
      key: entry.key,
      result,
      durationMs,
      health: entry.health,
      isUp: isNowUp,
      hasChanged: isNowUp !== isUp(before, schedule),
      hasMoved,
      hasFailed: !isGood && !isIgnored && before > 0,
      ...healthProgress(entry.health, schedule),
    });
  }
}

/**
 * Longest time until the connection is there: the interval, or `timeout connect` if that is shorter
 * and `timeout check` bounds the rest. Without `timeout check` it is the limit of the whole check.
 */
function connectLimitMs({ intervalMs: interMs, connectMs, checkMs }: CheckSchedule): number {
  const isSplit = checkMs !== TIME_UNSET && connectMs !== TIME_UNSET;
  return isSplit ? Math.min(interMs, connectMs) : interMs;
}
