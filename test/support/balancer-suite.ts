/**
 * What every balancing algorithm must do, whatever it prefers: one suite that each of them passes.
 * What an algorithm prefers is in test/unit/balance/<algorithm>.test.ts.
 */
import { describe, expect, test } from "bun:test";

import { leaveQueue } from "../../src/balance/choose.ts";
import { CHOICE_NO_SERVER, CHOICE_QUEUE_FULL, CHOICE_QUEUED } from "../../src/balance/lb.ts";
import {
  SERVER_STATE_DOWN,
  SERVER_STATE_DRAIN,
  SERVER_STATE_MAINT,
  SERVER_STATE_UP,
} from "../../src/tables/generated/enums.ts";
import type { BalanceSpec } from "../../src/tables/spec.ts";
import { Farm, makeRandom } from "./balancer-farm.ts";
import type { FarmOptions, FarmServer } from "./balancer-farm.ts";

/** An algorithm under test. */
export type BalancerCase = {
  name: string;
  balance: Partial<BalanceSpec>;
  /** Its streams bring a hash. */
  hashed: boolean;
};

/** Every algorithm, in each of its forms. */
export const BALANCERS: readonly BalancerCase[] = [
  { name: "roundrobin", balance: { algorithm: "roundrobin" }, hashed: false },
  { name: "static-rr", balance: { algorithm: "static-rr" }, hashed: false },
  { name: "leastconn", balance: { algorithm: "leastconn" }, hashed: false },
  { name: "first", balance: { algorithm: "first" }, hashed: false },
  { name: "random", balance: { algorithm: "random" }, hashed: false },
  { name: "random(1)", balance: { algorithm: "random", draws: 1 }, hashed: false },
  {
    name: "random, bounded",
    balance: { algorithm: "random", balanceFactor: 150 },
    hashed: false,
  },
  { name: "peak-ewma", balance: { algorithm: "peak-ewma" }, hashed: false },
  { name: "peak-ewma(1)", balance: { algorithm: "peak-ewma", draws: 1 }, hashed: false },
  { name: "peak-ewma(5)", balance: { algorithm: "peak-ewma", draws: 5 }, hashed: false },
  { name: "source", balance: { algorithm: "source" }, hashed: true },
  {
    name: "source, consistent",
    balance: { algorithm: "source", hashType: "consistent", avalanche: true },
    hashed: true,
  },
  {
    name: "hash, bounded",
    balance: { algorithm: "hash", hashType: "consistent", balanceFactor: 125 },
    hashed: true,
  },
  { name: "hash, no sample", balance: { algorithm: "hash" }, hashed: false },
];

/** Runs the suite for one algorithm. */
export function runBalancerSuite(subject: BalancerCase): void {
  describe(subject.name, () => {
    describeStates(subject);
    describeBackups(subject);
    describeLimits(subject);
    describeQueues(subject);
    describeRequests(subject);
  });
}

/** A farm of the algorithm, with a source of hashes. */
function plant(subject: BalancerCase, servers: FarmServer[], options?: Partial<FarmOptions>) {
  const farm = new Farm({ balance: subject.balance, servers, ...options });
  const random = makeRandom(11);
  const choose = (worker: number, ask: { exclude?: number; forced?: number } = {}): number =>
    farm.choose(worker, subject.hashed ? { ...ask, hash: random() } : ask);
  return { farm, choose };
}

/** Indices that `count` streams reach, each of which leaves before the next comes. */
function reached(
  subject: BalancerCase,
  farm: Farm,
  choose: (worker: number) => number,
): Set<number> {
  const indices = new Set<number>();
  for (let i = 0; i < 400; i++) {
    const worker = 1 + (i % 2);
    const index = choose(worker);
    expect(index, subject.name).toBeGreaterThanOrEqual(0);
    indices.add(index);
    farm.leave(worker, index);
  }
  farm.check();
  return indices;
}

const only = (...indices: number[]): Set<number> => new Set(indices);

function describeStates(subject: BalancerCase): void {
  test("a backend without servers has none to offer", () => {
    const { farm, choose } = plant(subject, []);
    expect(choose(1)).toBe(CHOICE_NO_SERVER);
    farm.check();
  });

  test("a single server gets everything", () => {
    const { farm, choose } = plant(subject, [{}]);
    expect(reached(subject, farm, choose)).toEqual(only(0));
  });

  for (const [name, change] of [
    ["down", { state: SERVER_STATE_DOWN }],
    ["in maintenance", { state: SERVER_STATE_MAINT }],
    ["draining", { state: SERVER_STATE_DRAIN }],
    ["of weight 0", { weight: 0 }],
  ] as const) {
    test(`a server that is ${name} gets no new stream, and does again afterwards`, () => {
      const { farm, choose } = plant(subject, [{}, {}]);
      farm.change(0, change);
      expect(reached(subject, farm, choose)).toEqual(only(1));
      farm.change(1, change);
      expect(choose(1)).toBe(CHOICE_NO_SERVER);
      farm.change(0, { state: SERVER_STATE_UP, weight: 1 });
      expect(reached(subject, farm, choose)).toEqual(only(0));
      farm.change(1, { state: SERVER_STATE_UP, weight: 1 });
      const back = reached(subject, farm, choose);
      expect(back).toEqual(subject.name === "first" ? only(0) : only(0, 1));
    });
  }

  test("a server that is linked later joins in", () => {
    const { farm, choose } = plant(subject, [{}, {}]);
    reached(subject, farm, choose);
    const added = farm.link({ id: 9 });
    expect(reached(subject, farm, choose).has(added)).toBe(false);
    farm.change(added, {});
    farm.change(0, { state: SERVER_STATE_DOWN });
    farm.change(1, { state: SERVER_STATE_DOWN });
    expect(reached(subject, farm, choose)).toEqual(only(added));
  });
}

function describeBackups(subject: BalancerCase): void {
  const servers = [{}, { backup: true }, { backup: true }];

  test("backup servers are used when no active one is, the first of them only", () => {
    const { farm, choose } = plant(subject, servers);
    expect(reached(subject, farm, choose)).toEqual(only(0));
    farm.change(0, { state: SERVER_STATE_DOWN });
    expect(reached(subject, farm, choose)).toEqual(only(1));
    farm.change(1, { state: SERVER_STATE_DOWN });
    expect(reached(subject, farm, choose)).toEqual(only(2));
    farm.change(1, { state: SERVER_STATE_UP });
    expect(reached(subject, farm, choose)).toEqual(only(1));
    farm.change(0, { state: SERVER_STATE_UP });
    expect(reached(subject, farm, choose)).toEqual(only(0));
  });

  test("all backup servers are used with option allbackups", () => {
    const { farm, choose } = plant(subject, servers, { allBackups: true });
    farm.change(0, { state: SERVER_STATE_MAINT });
    const indices = reached(subject, farm, choose);
    expect(indices).toEqual(subject.name === "first" ? only(1) : only(1, 2));
  });
}

function describeLimits(subject: BalancerCase): void {
  test("maxconn is never exceeded, whichever worker asks, and no slot stays free", () => {
    const limits = [1, 2, 3];
    const { farm, choose } = plant(
      subject,
      limits.map((maxconn) => ({ maxconn })),
    );
    for (let i = 0; i < 20; i++) choose(1 + (i % 2));
    limits.forEach((maxconn, index) => {
      expect(farm.served(index)).toBeLessThanOrEqual(maxconn);
      // A hash names its server even if others have room.
      if (!subject.hashed) expect(farm.served(index)).toBe(maxconn);
    });
    farm.check();
  });

  test("a limit that is raised serves those who wait, one that is lowered drops nobody", () => {
    const { farm, choose } = plant(subject, [{ maxconn: 1 }]);
    expect(choose(1)).toBe(0);
    expect(choose(2)).toBe(CHOICE_QUEUED);
    expect(choose(1)).toBe(CHOICE_QUEUED);
    farm.change(0, { maxconn: 2 });
    expect(farm.served(0)).toBe(2);
    expect(farm.allGrants().map((grant) => farm.take(grant))).toEqual([0]);
    farm.change(0, { maxconn: 1 });
    expect(farm.served(0)).toBe(2);
    farm.leave(1, 0);
    expect(farm.served(0)).toBe(1);
    expect(farm.allGrants()).toEqual([]);
    farm.change(0, { maxconn: 0 });
    expect(farm.allGrants()).toHaveLength(1);
    farm.check();
  });
}

function describeQueues(subject: BalancerCase): void {
  test("slots are granted in order of arrival over all workers", () => {
    const { farm, choose } = plant(subject, [{ maxconn: 1 }], { workers: 4 });
    expect(choose(1)).toBe(0);
    const arrived: number[] = [];
    for (let i = 0; i < 12; i++) {
      const worker = 1 + ((i * 7) % 4);
      expect(choose(worker)).toBe(CHOICE_QUEUED);
      arrived.push(farm.lbs[worker]!.lastEntry);
    }
    const served: number[] = [];
    let holder = 1;
    while (served.length < arrived.length) {
      const own = farm.leave(holder, 0);
      const grants = farm.allGrants();
      expect(grants.length + (own === 0 ? 0 : 1)).toBe(1);
      const grant = own === 0 ? grants[0]! : farm.grantOf(own);
      served.push(grant.entry);
      holder = grant.worker;
      expect(farm.take(grant)).toBe(0);
      expect(farm.take(grant)).toBe(-1);
      farm.check();
    }
    expect(served).toEqual(arrived);
    farm.leave(holder, 0);
    expect(farm.served(0)).toBe(0);
    farm.check();
  });

  test("a stream that gives up is passed over; one granted meanwhile owns its slot", () => {
    const { farm, choose } = plant(subject, [{ maxconn: 1 }]);
    expect(choose(1)).toBe(0);
    expect(choose(2)).toBe(CHOICE_QUEUED);
    const first = farm.lbs[2]!.lastEntry;
    expect(choose(2)).toBe(CHOICE_QUEUED);
    const second = farm.lbs[2]!.lastEntry;
    expect(leaveQueue(farm.lbs[2]!, first)).toBe(0);
    farm.leave(1, 0);
    const grants = farm.grants(2);
    expect(grants.map((grant) => grant.entry)).toEqual([second]);
    expect(leaveQueue(farm.lbs[2]!, second)).toBe(farm.rows[0]!);
    // The note is stale now.
    expect(farm.take(grants[0]!)).toBe(-1);
    expect(farm.served(0)).toBe(1);
    farm.leave(2, 0);
    farm.check();
  });

  test("those who wait for a server that goes down are served by another, oldest first", () => {
    const { farm, choose } = plant(subject, [{ maxconn: 1 }, { maxconn: 1 }]);
    const holders: [number, number][] = [];
    const waiting: number[] = [];
    for (let i = 0; i < 10; i++) {
      const worker = 1 + (i % 2);
      const index = choose(worker);
      if (index >= 0) holders.push([worker, index]);
      else waiting.push(farm.lbs[worker]!.lastEntry);
    }
    farm.change(0, { state: SERVER_STATE_DOWN });
    farm.check();
    const granted = farm.allGrants();
    while (granted.length < waiting.length) {
      const at = holders.findIndex(([, index]) => index === 1);
      const [[worker]] = holders.splice(at, 1) as [[number, number]];
      const own = farm.leave(worker, 1);
      const grants = own === 0 ? farm.allGrants() : [farm.grantOf(own)];
      expect(grants).toHaveLength(1);
      granted.push(...grants);
      expect(farm.take(grants[0]!)).toBe(1);
      holders.push([grants[0]!.worker, 1]);
      farm.check();
    }
    expect(granted.map((grant) => grant.entry)).toEqual(waiting);
  });
}

function describeRequests(subject: BalancerCase): void {
  test("an excluded server is avoided while there is another", () => {
    const { farm, choose } = plant(subject, [{}, {}, {}]);
    for (let i = 0; i < 60; i++) {
      const index = choose(1, { exclude: i % 3 });
      expect(index).not.toBe(i % 3);
      farm.leave(1, index);
    }
    farm.check();
    farm.change(1, { state: SERVER_STATE_DOWN });
    farm.change(2, { state: SERVER_STATE_DOWN });
    expect(choose(1, { exclude: 0 })).toBe(0);
  });

  test("a forced server is used, waited for, and left when its queue is full", () => {
    const { farm, choose } = plant(subject, [{ maxconn: 1, maxqueue: 1 }, {}]);
    expect(choose(1, { forced: 0 })).toBe(0);
    expect(choose(1, { forced: 0 })).toBe(CHOICE_QUEUED);
    expect(choose(1, { forced: 0 })).toBe(CHOICE_QUEUE_FULL);
    expect(choose(1, { forced: 1 })).toBe(1);
    farm.check();
  });

  test("with redispatch a full queue sends the stream to another server", () => {
    const { farm, choose } = plant(subject, [{ maxconn: 1, maxqueue: 1 }, {}], { redispatch: -1 });
    expect(choose(1, { forced: 0 })).toBe(0);
    expect(choose(1, { forced: 0 })).toBe(CHOICE_QUEUED);
    expect(choose(1, { forced: 0 })).toBe(1);
    farm.check();
  });

  test("a forced stream may use a draining server, and waits for it", () => {
    const { farm, choose } = plant(subject, [{ maxconn: 1, state: SERVER_STATE_DRAIN }, {}]);
    expect(choose(1, { forced: 0 })).toBe(0);
    expect(choose(2, { forced: 0 })).toBe(CHOICE_QUEUED);
    farm.leave(1, 0);
    expect(farm.allGrants().map((grant) => farm.take(grant))).toEqual([0]);
    farm.check();
  });
}
