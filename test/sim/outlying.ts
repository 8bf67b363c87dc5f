/**
 * Outlier ejection in the simulation: control's own desk on simulated time over what the workers
 * count, and an oracle for both.
 */
import type { ServerObject } from "../../src/control/model.ts";
import { OutlierDesk } from "../../src/control/outlier/desk.ts";
import { makeKeeper } from "../../src/control/server-state.ts";
import {
  BACK_COUNT_CONNECT_ATTEMPTS,
  BACK_COUNT_STRIDE,
} from "../../src/tables/generated/back-count.ts";
import {
  SERVER_FLAG_BACKUP,
  SERVER_FLAG_EJECTED,
  SERVER_FLAG_NEW,
  SERVER_STATE_UP,
} from "../../src/tables/generated/enums.ts";
import * as row from "../../src/tables/generated/server.ts";
import { CONTROL_THREAD } from "../../src/tables/inbox.ts";
import { require } from "./violation.ts";
import type { World } from "./world.ts";

const BUCKETS = 32;

export class Outlying {
  private readonly world: World;
  private readonly desk: OutlierDesk;

  /** Objects of the plan are made. */
  constructor(world: World) {
    this.world = world;
    const { clock, tables, lb, shop, comingBack } = world;
    const keeper = makeKeeper({
      tables,
      lb,
      model: shop.model,
      pool: { shutdown: () => Promise.resolve(0) },
      nowMs: () => clock.nowMs(),
      tell: (_proxy, { text }) => {
        world.trace(() => text);
        if (text.includes("is ejected")) world.marks.hit("server ejected");
        if (text.includes("its time is over")) world.marks.hit("server back from ejection");
        if (text.includes("too few others")) world.marks.hit("server needed back");
      },
    });
    const startTimer = (delayMs: number, run: () => void) =>
      clock.start(CONTROL_THREAD, delayMs, run);
    // Slow starts are the world's: it knows when each began.
    const onChange = (server: ServerObject): void => {
      const flags = this.read(server.row, row.SERVER_FLAGS);
      if ((flags & SERVER_FLAG_EJECTED) === 0) comingBack.returned(server);
    };
    this.desk = new OutlierDesk({ ...keeper, slowStart: comingBack.ramps, onChange }, startTimer);
    this.desk.follow(world.control.events);
  }

  /** Control has written a server's state or weight, and refreshes balancing next. */
  settle(server: ServerObject): void {
    this.desk.settle(server);
  }

  /** After a step: what no step may break. */
  check(): void {
    for (const { spec, servers } of this.world.shop.model.proxies) {
      if (spec.outlier === undefined) continue;
      for (const { row: at, spec: server } of servers) this.checkCounts(at, server.name);
      for (const isBackup of [false, true]) {
        const tier = servers.filter((one) => this.isOfTier(one.row, isBackup));
        const out = tier.filter(
          (one) => (this.read(one.row, row.SERVER_FLAGS) & SERVER_FLAG_EJECTED) !== 0,
        );
        const most = Math.floor((tier.length * spec.outlier.ejectedPercentMax) / 100);
        const detail = (): string => `${out.length} of ${tier.length} in ${spec.name}`;
        require(out.length <= most, "no more servers are out than may be", detail);
        require(tier.length === 0 || out.length < tier.length, "one is always left", detail);
        for (const one of out) {
          const weight = this.read(one.row, row.SERVER_TIER_WEIGHT);
          require(weight === 0, "no server that is out can be chosen", () => one.spec.name);
        }
      }
    }
  }

  /** A stream has one first byte, or an early end, or none of both; and an attempt before it. */
  private checkCounts(at: number, name: string): void {
    const { perWorker } = this.world.tables;
    const cell = ((at / row.SERVER_STRIDE) * BACK_COUNT_STRIDE + BACK_COUNT_CONNECT_ATTEMPTS) >> 1;
    let attempts = 0;
    for (const { serverBack } of perWorker) attempts += serverBack.floats[cell]!;
    let ends = this.read(at, row.SERVER_BROKEN_EARLY) + this.read(at, row.SERVER_CONNECT_FAILURES);
    for (let i = 0; i < BUCKETS; i++) ends += this.read(at, row.SERVER_FIRST_BYTE + i);
    if (ends > 0) this.world.marks.hit("time to first byte measured");
    require(ends <= attempts, "an attempt has one outcome", () =>
      `${name}: ${ends} of ${attempts}`);
  }

  private isOfTier(at: number, isBackup: boolean): boolean {
    const flags = this.read(at, row.SERVER_FLAGS);
    const isUp = this.read(at, row.SERVER_STATE) === SERVER_STATE_UP;
    const isNew = (flags & SERVER_FLAG_NEW) !== 0;
    if (!isUp || isNew || this.read(at, row.SERVER_WEIGHT) === 0) return false;
    return ((flags & SERVER_FLAG_BACKUP) !== 0) === isBackup;
  }

  private read(at: number, field: number): number {
    return this.world.tables.servers.words[at + field]!;
  }
}
