/**
 * A backend with `outlier-ejection` under control, in real shared tables, with a clock that a test
 * moves: what workers would count is written by hand.
 */
import { firstByteBucket } from "../../src/balance/first-byte.ts";
import { Lb } from "../../src/balance/lb.ts";
import { buildPlan, makeWorkshop } from "../../src/control/build.ts";
import type { Notice } from "../../src/control/logs/sentences.ts";
import type { ProxyObject, ServerObject } from "../../src/control/model.ts";
import { MutationLog } from "../../src/control/mutation-log.ts";
import { OutlierDesk } from "../../src/control/outlier/desk.ts";
import { makeKeeper } from "../../src/control/server-state.ts";
import type { StateKeeper } from "../../src/control/server-state.ts";
import {
  BACK_COUNT_CONNECT_ATTEMPTS,
  BACK_COUNT_STRIDE,
} from "../../src/tables/generated/back-count.ts";
import { SERVER_FLAG_EJECTED } from "../../src/tables/generated/enums.ts";
import {
  SERVER_BROKEN_EARLY,
  SERVER_CONNECT_FAILURES,
  SERVER_FIRST_BYTE,
  SERVER_FLAGS,
  SERVER_STRIDE,
  SERVER_TIER_WEIGHT,
} from "../../src/tables/generated/server.ts";
import { reserveTables, Tables } from "../../src/tables/tables.ts";
import { loadText, planOf } from "../unit/config/load-text.ts";

/** What live connections met at a server. */
export type Traffic = { attempts: number; failed?: number; broken?: number; firstByteMs?: number };

/** A time by hand, and what is due at it. */
export class HandClock {
  nowMs = 0;
  #timers: { dueMs: number; run: () => void }[] = [];

  readonly startTimer = (delayMs: number, run: () => void): { stop(): void } => {
    const timer = { dueMs: this.nowMs + delayMs, run };
    this.#timers.push(timer);
    return { stop: () => void (this.#timers = this.#timers.filter((one) => one !== timer)) };
  };

  /** Lets time pass, timer by timer. */
  advance(ms: number): void {
    const end = this.nowMs + ms;
    for (;;) {
      const next = this.#timers
        .filter(({ dueMs }) => dueMs <= end)
        .toSorted((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      next.run();
    }
    this.nowMs = end;
  }
}

/** What workers count of a server's connections: each adds its part. */
export function feedServer(
  tables: Tables,
  row: number,
  { attempts, failed = 0, broken = 0, firstByteMs }: Traffic,
): void {
  const { words } = tables.servers;
  const { perWorker } = tables;
  const at = ((row / SERVER_STRIDE) * BACK_COUNT_STRIDE + BACK_COUNT_CONNECT_ATTEMPTS) >> 1;
  for (let i = 0; i < attempts; i++) {
    const { floats } = perWorker[i % perWorker.length]!.serverBack;
    floats[at] = floats[at]! + 1;
  }
  words[row + SERVER_CONNECT_FAILURES]! += failed;
  words[row + SERVER_BROKEN_EARLY]! += broken;
  if (firstByteMs === undefined) return;
  words[row + SERVER_FIRST_BYTE + firstByteBucket(firstByteMs)]! += attempts - failed - broken;
}

export class OutlierLab {
  readonly clock: HandClock;
  readonly keeper: StateKeeper;
  readonly desk: OutlierDesk;
  readonly backend: ProxyObject;
  /** What was logged. */
  readonly told: string[] = [];
  /** Names of servers whose state was told to have changed. */
  readonly changes: string[] = [];
  readonly #tables: Tables;

  /** @param lines of the section `b`, servers included */
  static async make(lines: string): Promise<OutlierLab> {
    const timeouts = " timeout connect 1s\n timeout server 1s\n";
    return new OutlierLab(planOf(await loadText(`backend b\n${timeouts}${lines}\n`)));
  }

  private constructor(plan: ReturnType<typeof planOf>) {
    const sizes = { proxies: 4, listeners: 4, servers: 512, queueEntries: 16, arenaWords: 65_536 };
    const tables = new Tables(reserveTables({ workers: 2, ...sizes }));
    const log = new MutationLog(
      tables,
      () => undefined,
      (run) => run(),
    );
    const shop = makeWorkshop(plan, tables, new Lb(tables, 0, () => 0), log, null, 2);
    buildPlan(shop);
    const clock = new HandClock();
    this.clock = clock;
    this.#tables = tables;
    this.keeper = makeKeeper({
      tables,
      model: shop.model,
      lb: shop.lb,
      pool: { shutdown: () => Promise.resolve(0) },
      tell: (_proxy: ProxyObject, { text }: Notice) => void this.told.push(text),
      nowMs: () => clock.nowMs,
      startTimer: clock.startTimer,
    });
    this.keeper.onChange = ({ spec }) => void this.changes.push(spec.name);
    this.desk = new OutlierDesk(this.keeper, clock.startTimer);
    this.backend = shop.model.backends.get("b")!;
  }

  server(name: string): ServerObject {
    return this.backend.serversByName.get(name)!;
  }

  /** Workers count: each adds its part. */
  feed(name: string, traffic: Traffic): void {
    feedServer(this.#tables, this.server(name).row, traffic);
  }

  /** The same for all servers but some. */
  feedAll(traffic: Traffic, others: Record<string, Traffic> = {}): void {
    for (const { spec } of this.backend.servers) {
      this.feed(spec.name, others[spec.name] ?? traffic);
    }
  }

  /** Is it marked as ejected? */
  isOut(name: string): boolean {
    const { row } = this.server(name);
    return (this.#tables.servers.words[row + SERVER_FLAGS]! & SERVER_FLAG_EJECTED) !== 0;
  }

  /** Names of those that are. */
  out(): string[] {
    return this.backend.servers.map(({ spec }) => spec.name).filter((name) => this.isOut(name));
  }

  /** May balancing choose it? */
  isChosen(name: string): boolean {
    return this.#tables.servers.words[this.server(name).row + SERVER_TIER_WEIGHT]! > 0;
  }

  /** Writes a cell of the server's row, as control does. */
  write(name: string, field: number, value: number): void {
    this.#tables.servers.words[this.server(name).row + field] = value;
  }
}
