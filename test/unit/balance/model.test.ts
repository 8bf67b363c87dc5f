/**
 * Random lives of a backend against an independent, naive model: lists that are scanned. After each
 * step the shared memory must be free of contradictions, every grant must have gone to the oldest
 * stream that could take it, and nobody may wait while a slot is free.
 *
 * A failure names its seed; `SLUICE_TEST_SEED=N` runs that one alone.
 */
import { expect, test } from "bun:test";

import { buryWorker } from "../../../src/balance/bury.ts";
import { leaveQueue } from "../../../src/balance/choose.ts";
import { unlinkServer } from "../../../src/balance/control.ts";
import { CHOICE_NO_SERVER, CHOICE_QUEUE_FULL, CHOICE_QUEUED } from "../../../src/balance/lb.ts";
import {
  SERVER_STATE_DOWN,
  SERVER_STATE_DRAIN,
  SERVER_STATE_MAINT,
  SERVER_STATE_UP,
  WORKER_STATE_DEAD,
  WORKER_STATE_RUNNING,
} from "../../../src/tables/generated/enums.ts";
import { QUEUE_SERVER_ROW } from "../../../src/tables/generated/queue.ts";
import { Farm, makeRandom } from "../../support/balancer-farm.ts";
import type { FarmServer, Grant } from "../../support/balancer-farm.ts";
import { BALANCERS } from "../../support/balancer-suite.ts";
import type { BalancerCase } from "../../support/balancer-suite.ts";

const SEEDS = 25;
const STEPS = 250;
const WORKERS = 3;

type ModelServer = Required<
  Pick<FarmServer, "weight" | "maxconn" | "maxqueue" | "state" | "backup">
> & {
  linked: boolean;
};

/** A waiting stream: `server` is the index it waits for, -1 = any. */
type Waiter = { worker: number; entry: number; server: number };

/** What should be the case, kept in plain lists. */
class Model {
  readonly servers: ModelServer[] = [];
  readonly attached: { worker: number; server: number }[] = [];
  /** In order of arrival. */
  waiting: Waiter[] = [];
  /** Granted, the note not yet taken by its worker. */
  granted: Grant[] = [];

  served(server: number, farm: Farm): number {
    const inFlight = this.granted.filter((grant) => farm.grantedServer(grant.entry) === server);
    return this.attached.filter((one) => one.server === server).length + inFlight.length;
  }

  isUsable(server: number): boolean {
    const { linked, state, weight } = this.servers[server]!;
    return linked && state === SERVER_STATE_UP && weight > 0;
  }

  /** Servers that new traffic may go to. */
  tier(allBackups: boolean): number[] {
    const usable = this.servers.map((_, index) => index).filter((index) => this.isUsable(index));
    const active = usable.filter((index) => !this.servers[index]!.backup);
    if (active.length > 0) return active;
    return allBackups ? usable : usable.slice(0, 1);
  }

  hasSlot(server: number, farm: Farm): boolean {
    const { maxconn } = this.servers[server]!;
    return maxconn === 0 || this.served(server, farm) < maxconn;
  }
}

class Run {
  readonly farm: Farm;
  readonly model = new Model();
  readonly random: () => number;
  readonly allBackups: boolean;
  readonly subject: BalancerCase;

  constructor(subject: BalancerCase, seed: number) {
    this.subject = subject;
    this.random = makeRandom(seed);
    this.allBackups = this.below(2) === 0;
    const servers: FarmServer[] = [];
    for (let i = this.below(6); i >= 0; i--) servers.push(this.newServer());
    const redispatch = this.below(2) === 0 ? -1 : 0;
    this.farm = new Farm({
      balance: subject.balance,
      servers,
      workers: WORKERS,
      allBackups: this.allBackups,
      redispatch,
      seed,
    });
  }

  below(limit: number): number {
    return this.random() % limit;
  }

  newServer(): FarmServer {
    const server = {
      weight: this.below(3) === 0 ? this.below(257) : 1,
      maxconn: this.below(4),
      maxqueue: this.below(4) === 0 ? 1 + this.below(3) : 0,
      backup: this.below(4) === 0,
      state: SERVER_STATE_UP,
    };
    this.model.servers.push({ ...server, linked: true });
    return server;
  }

  step(): void {
    const dice = this.below(100);
    if (dice < 45) this.choose();
    else if (dice < 75) this.leave();
    else if (dice < 82) this.giveUp();
    else if (dice < 95) this.change();
    else if (dice < 97) this.linkOrUnlink();
    else if (dice < 98) this.bury();
    else this.takeNotes();
    if (this.below(3) !== 0) this.takeNotes();
    this.farm.check();
    this.checkMembership();
  }

  choose(): void {
    const { farm, model } = this;
    const worker = 1 + this.below(WORKERS);
    const ask: { hash?: number; exclude?: number; forced?: number } = {};
    if (this.subject.hashed && this.below(5) !== 0) ask.hash = this.below(50) * 0x1234567;
    const linked = model.servers.map((_, i) => i).filter((i) => model.servers[i]!.linked);
    if (linked.length > 0 && this.below(8) === 0) ask.forced = linked[this.below(linked.length)]!;
    if (linked.length > 0 && this.below(6) === 0) ask.exclude = linked[this.below(linked.length)]!;
    const tier = model.tier(this.allBackups);
    const withSlot = tier.filter((index) => model.hasSlot(index, farm));
    const someoneWaits = model.waiting.some((waiter) => waiter.server === -1);
    const choice = farm.choose(worker, ask);
    if (choice >= 0) {
      expect(model.servers[choice]!.linked).toBe(true);
      if (choice !== ask.forced) {
        expect(tier).toContain(choice);
        if (ask.hash === undefined) expect(someoneWaits).toBe(false);
        const others = withSlot.filter((index) => index !== choice);
        if (choice === ask.exclude) expect(others).toEqual([]);
      }
      expect(model.hasSlot(choice, farm)).toBe(true);
      expect(model.waiting.some((waiter) => waiter.server === choice)).toBe(false);
      model.attached.push({ worker, server: choice });
    } else if (choice === CHOICE_QUEUED) {
      const entry = farm.lbs[worker]!.lastEntry;
      const server = this.awaited(entry);
      if (server === -1) expect(withSlot).toEqual([]);
      else expect(model.hasSlot(server, farm)).toBe(false);
      model.waiting.push({ worker, entry, server });
    } else {
      expect([CHOICE_NO_SERVER, CHOICE_QUEUE_FULL]).toContain(choice);
      if (choice === CHOICE_NO_SERVER) expect(tier).toEqual([]);
    }
    expect(this.collectGrants(0, 0)).toEqual([]);
  }

  leave(): void {
    const { farm, model } = this;
    if (model.attached.length === 0) return;
    const [one] = model.attached.splice(this.below(model.attached.length), 1);
    const { worker, server } = one!;
    const inTier = model.tier(this.allBackups).includes(server);
    const may = (waiter: Waiter): boolean =>
      waiter.server === server || (waiter.server === -1 && inTier);
    const heir = model.hasSlot(server, farm) ? model.waiting.find(may) : undefined;
    const own = farm.leave(worker, server);
    const granted = this.collectGrants(own, worker);
    expect(granted).toEqual(heir === undefined ? [] : [heir.entry]);
  }

  giveUp(): void {
    const { farm, model } = this;
    if (model.granted.length > 0 && this.below(2) === 0) {
      const [grant] = model.granted.splice(this.below(model.granted.length), 1);
      const { worker, entry } = grant!;
      const server = farm.grantedServer(entry);
      expect(farm.indexOf(leaveQueue(farm.lbs[worker]!, entry))).toBe(server);
      expect(farm.take(grant!)).toBe(-1);
      model.attached.push({ worker, server });
      return;
    }
    if (model.waiting.length === 0) return;
    const [waiter] = model.waiting.splice(this.below(model.waiting.length), 1);
    expect(leaveQueue(farm.lbs[waiter!.worker]!, waiter!.entry)).toBe(0);
    expect(this.collectGrants(0, 0)).toEqual([]);
  }

  change(): void {
    const { farm, model } = this;
    const index = this.below(model.servers.length);
    const server = model.servers[index]!;
    if (!server.linked) return;
    const states = [
      SERVER_STATE_UP,
      SERVER_STATE_UP,
      SERVER_STATE_DRAIN,
      SERVER_STATE_DOWN,
      SERVER_STATE_MAINT,
    ];
    const dice = this.below(4);
    if (dice === 0) server.weight = this.below(4) === 0 ? 0 : this.below(257);
    else if (dice === 1) server.maxconn = this.below(5);
    else server.state = states[this.below(states.length)]!;
    const before = model.waiting.map((waiter) => waiter.entry);
    const requeued = farm.change(index, server);
    expect(requeued).toBeLessThanOrEqual(before.length);
    this.collectGrants(0, 0);
    for (const waiter of model.waiting) waiter.server = this.awaited(waiter.entry);
    if (
      !model.isUsable(index) &&
      server.state !== SERVER_STATE_UP &&
      server.state !== SERVER_STATE_DRAIN
    ) {
      expect(model.waiting.some((waiter) => waiter.server === index)).toBe(false);
    }
  }

  linkOrUnlink(): void {
    const { farm, model } = this;
    if (this.below(2) === 0 && model.servers.length < 12) {
      const index = farm.link(this.newServer());
      farm.change(index, {});
      this.collectGrants(0, 0);
      return;
    }
    const index = this.below(model.servers.length);
    const server = model.servers[index]!;
    if (!server.linked || model.served(index, farm) > 0) return;
    server.state = SERVER_STATE_MAINT;
    farm.change(index, server);
    this.collectGrants(0, 0);
    for (const waiter of model.waiting) waiter.server = this.awaited(waiter.entry);
    unlinkServer(farm.control, farm.backend, farm.rows[index]!);
    server.linked = false;
  }

  bury(): void {
    const { farm, model } = this;
    const dead = 1 + this.below(WORKERS);
    const held = model.attached.filter((one) => one.worker === dead).length;
    const inFlight = model.granted.filter((grant) => grant.worker === dead).length;
    farm.setWorkerState(dead, WORKER_STATE_DEAD);
    expect(buryWorker(farm.control, dead)).toBe(held + inFlight);
    farm.grants(dead);
    farm.setWorkerState(dead, WORKER_STATE_RUNNING);
    const keep = model.attached.filter((one) => one.worker !== dead);
    model.attached.splice(0, model.attached.length, ...keep);
    model.waiting = model.waiting.filter((waiter) => waiter.worker !== dead);
    model.granted = model.granted.filter((grant) => grant.worker !== dead);
    this.collectGrants(0, 0);
  }

  /** Workers read their inboxes: granted streams are attached. */
  takeNotes(): void {
    for (const grant of this.model.granted) {
      const server = this.farm.grantedServer(grant.entry);
      expect(this.farm.take(grant)).toBe(server);
      this.model.attached.push({ worker: grant.worker, server });
    }
    this.model.granted = [];
  }

  /** Grants that the last step made, oldest first, moved from waiting to granted. */
  collectGrants(own: number, worker: number): number[] {
    const { farm, model } = this;
    const grants = farm.allGrants();
    if (own !== 0) grants.push(farm.grantOf(own));
    const entries: number[] = [];
    for (const grant of grants) {
      // A burial tells grants again that are on their way already.
      if (model.granted.some((known) => known.entry === grant.entry)) continue;
      const at = model.waiting.findIndex((waiter) => waiter.entry === grant.entry);
      expect(at).toBeGreaterThanOrEqual(0);
      expect(model.waiting[at]!.worker).toBe(grant.worker);
      if (own === grant.entry) expect(grant.worker).toBe(worker);
      model.waiting.splice(at, 1);
      model.granted.push(grant);
      entries.push(grant.entry);
    }
    return entries;
  }

  checkMembership(): void {
    const { farm, model } = this;
    model.servers.forEach((server, index) => {
      if (server.linked) expect(farm.served(index)).toBe(model.served(index, farm));
    });
    expect(farm.queueTotal()).toBe(model.waiting.length);
  }

  awaited(entry: number): number {
    const row = this.farm.tables.queue.words[entry + QUEUE_SERVER_ROW]!;
    return row === 0 ? -1 : this.farm.indexOf(row);
  }
}

const chosen = Number(process.env["SLUICE_TEST_SEED"] ?? "0");
for (const subject of BALANCERS) {
  test(`${subject.name}: random lives agree with the model`, () => {
    const seeds = chosen > 0 ? [chosen] : Array.from({ length: SEEDS }, (_, i) => i + 1);
    for (const seed of seeds) {
      const run = new Run(subject, seed);
      let step = 0;
      try {
        for (; step < STEPS; step++) run.step();
      } catch (cause) {
        throw new Error(`${subject.name}: seed ${seed}, step ${step}: ${String(cause)}`, { cause });
      }
    }
  });
}
