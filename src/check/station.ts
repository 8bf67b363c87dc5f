/**
 * The thread's side of the checks: follows control's orders, writes results into the SERVER rows,
 * and tells control those that move something. Effects are handed in: the simulator runs it too.
 *
 * A result that is as the one before only goes into the row: of 20,000 healthy servers control
 * hears nothing.
 */
import {
  CHECK_CODE_INI,
  SERVER_STATE_FREE,
  SERVER_STATE_MAINT,
} from "../tables/generated/enums.ts";
import * as row from "../tables/generated/server.ts";
import type { Tables } from "../tables/tables.ts";
import { Checker } from "./checker.ts";
import type { CheckCrowd, CheckEvent } from "./checker.ts";
import type { StartTimer } from "./due.ts";
import type { CheckNews, CheckOrder, ToChecks } from "./messages.ts";
import type { StartProbe } from "./probe.ts";
import { CHECK_CODES, hasPassed } from "./result.ts";
import type { CheckCode, CheckResult } from "./result.ts";

/** What it needs of its thread. */
export type StationOptions = {
  tables: Pick<Tables, "servers">;
  nowMs: () => number;
  startTimer: StartTimer;
  random32: () => number;
  startProbe: StartProbe;
  spreadPercent: number;
  maxSpreadMs: number;
  /** Most probes at a time; left out: no limit. */
  probesMax?: number;
  /** Checks had to wait for others; left out: nobody is told. */
  crowded?: (crowd: CheckCrowd) => void;
  /** Sends news to control. */
  tell: (news: CheckNews[]) => void;
  /** Calls back soon, once a turn: several results make one message. */
  soon: (run: () => void) => void;
  /** Says that the thread lives. */
  pong: () => void;
  /** QUIC has come. */
  useQuic: (addresses: Record<string, number>) => void;
};

/** A check of the thread. */
type Post = {
  id: number;
  epoch: number;
  readonly serverRow: number;
  readonly generation: number;
  readonly isAgent: boolean;
  /** Control hears of the next result, whatever it is: it has changed something. */
  mustTell: boolean;
  lastInfo: string | undefined;
  lastNumber: number | undefined;
};

const NUMBER_BY_CODE = new Map<CheckCode, number>(CHECK_CODES.map((code, index) => [code, index]));
/** `checkNumber` where the protocol said none. */
const NO_NUMBER = -1;

/** All checks of the process, on their thread. */
export class CheckStation {
  private readonly options: StationOptions;
  private readonly words: Int32Array;
  private readonly checker: Checker<Post>;
  private readonly posts = new Map<number, Post>();
  private news: CheckNews[] = [];

  constructor(options: StationOptions) {
    this.options = options;
    this.words = options.tables.servers.words;
    this.checker = new Checker<Post>({
      nowMs: options.nowMs,
      startTimer: options.startTimer,
      random32: options.random32,
      startProbe: options.startProbe,
      spreadPercent: options.spreadPercent,
      maxSpreadMs: options.maxSpreadMs,
      ...(options.probesMax === undefined ? {} : { probesMax: options.probesMax }),
      isWanted: (post) => this.isWanted(post),
      running: (post, isRunning) => this.write(post, RUNNING, isRunning ? 1 : 0),
      tell: (event) => this.hear(event),
      crowded: (crowd) => options.crowded?.(crowd),
    });
  }

  /** Checks that are scheduled. */
  get count(): number {
    return this.checker.count;
  }

  /** Follows an order of control. */
  follow(order: ToChecks): void {
    switch (order.type) {
      case "add":
        this.add(order.checks, order.isSpread);
        return;
      case "quic":
        this.options.useQuic(order.addresses);
        return;
      case "ping":
        this.options.pong();
        return;
      case "stop":
        this.checker.stop();
        this.posts.clear();
        return;
      case "remove": {
        const post = this.posts.get(order.id);
        if (post === undefined) return;
        this.posts.delete(order.id);
        this.checker.remove(post);
        return;
      }
      default:
        this.change(order);
    }
  }

  private change(order: Extract<ToChecks, { epoch: number }>): void {
    const post = this.posts.get(order.id);
    if (post === undefined) return;
    if (order.type === "errors") {
      if (order.epoch === post.epoch) this.checker.reportErrors(post, order.info);
      return;
    }
    post.epoch = order.epoch;
    post.mustTell = true;
    this.checker.recount(post, order.health);
    switch (order.type) {
      case "replace":
        this.checker.replace(post, order.schedule, order.job);
        return;
      case "suspend":
        this.checker.suspend(post);
        return;
      case "listen":
        return;
      case "resume":
        this.checker.resume(post);
        return;
      case "health":
        this.checker.restart(post);
        return;
    }
  }

  private add(orders: readonly CheckOrder[], isSpread: boolean): void {
    const checks = orders.map((order) => {
      const { id, epoch, serverRow, generation, schedule, job, health } = order;
      const post: Post = {
        id,
        epoch,
        serverRow,
        generation,
        isAgent: schedule.kind === "agent",
        mustTell: true,
        lastInfo: undefined,
        lastNumber: undefined,
      };
      this.posts.set(id, post);
      this.write(post, CODE, CHECK_CODE_INI);
      // A thread before this one may have been lost with a check under way.
      this.write(post, RUNNING, 0);
      this.write(post, NUMBER, NO_NUMBER);
      return { checked: { key: post, schedule, job, health }, isSuspended: order.isSuspended };
    });
    if (isSpread) this.checker.addAll(checks.map(({ checked }) => checked));
    else for (const { checked, isSuspended } of checks) this.checker.add(checked, isSuspended);
    if (!isSpread) return;
    for (const { checked, isSuspended } of checks) {
      if (isSuspended) this.checker.suspend(checked.key);
    }
  }

  /** Checks pause in maintenance; agents go on, since they may end it. */
  private isWanted(post: Post): boolean {
    const state = Atomics.load(this.words, post.serverRow + row.SERVER_STATE);
    if (state === SERVER_STATE_FREE || !this.isOfRow(post)) return false;
    return post.isAgent || state !== SERVER_STATE_MAINT;
  }

  private isOfRow({ serverRow, generation }: Post): boolean {
    return Atomics.load(this.words, serverRow + row.SERVER_GENERATION) === generation;
  }

  /** @param field one of those below: offset for checks, and for agents */
  private write(post: Post, [check, agent]: readonly [number, number], value: number): void {
    const offset = post.isAgent ? agent : check;
    if (offset >= 0 && this.isOfRow(post)) this.words[post.serverRow + offset] = value;
  }

  private hear(event: CheckEvent<Post>): void {
    const { key: post, result } = event;
    this.record(post, event);
    const isSame = result.info === post.lastInfo && result.number === post.lastNumber;
    post.lastInfo = result.info;
    post.lastNumber = result.number;
    const isNews = post.mustTell || event.hasMoved || event.hasChanged || !isSame;
    if (!isNews && result.orders === undefined) return;
    post.mustTell = false;
    if (this.news.length === 0) this.options.soon(() => this.flush());
    this.news.push(newsOf(post, event));
  }

  private flush(): void {
    const { news } = this;
    this.news = [];
    if (news.length > 0) this.options.tell(news);
  }

  private record(post: Post, { result, durationMs, hasFailed }: CheckEvent<Post>): void {
    this.write(post, CODE, codeNumber(result));
    this.write(post, NUMBER, result.number ?? NO_NUMBER);
    this.write(post, DURATION, durationMs);
    this.write(post, AT, Math.floor(this.options.nowMs()) | 0);
    if (hasFailed) this.add1(post, row.SERVER_CHECK_FAILURES);
    else if (hasPassed(result)) this.add1(post, row.SERVER_CHECK_PASSES);
  }

  private add1(post: Post, offset: number): void {
    const at = post.serverRow + offset;
    if (!post.isAgent && this.isOfRow(post)) this.words[at] = this.words[at]! + 1;
  }
}

const RUNNING = [row.SERVER_CHECK_RUNNING, row.SERVER_AGENT_RUNNING] as const;
const CODE = [row.SERVER_CHECK_CODE, row.SERVER_AGENT_CODE] as const;
const NUMBER = [row.SERVER_CHECK_NUMBER, row.SERVER_AGENT_NUMBER] as const;
const DURATION = [row.SERVER_CHECK_DURATION_MS, row.SERVER_AGENT_DURATION_MS] as const;
const AT = [row.SERVER_CHECK_AT_MS, row.SERVER_AGENT_AT_MS] as const;

function codeNumber({ code }: CheckResult): number {
  return NUMBER_BY_CODE.get(code) ?? 0;
}

function newsOf(post: Post, event: CheckEvent<Post>): CheckNews {
  const { result, durationMs, health, isUp, hasChanged, hasMoved, counted, needed } = event;
  const { id, epoch } = post;
  return { id, epoch, result, durationMs, health, isUp, hasChanged, hasMoved, counted, needed };
}
