/** What is particular to each algorithm but round robin, which has its own file. */
import { describe, expect, test } from "bun:test";

import { nodePlace } from "../../../src/balance/build-table.ts";
import { CHOICE_QUEUE_FULL, CHOICE_QUEUED } from "../../../src/balance/lb.ts";
import { SERVER_STATE_DOWN, SERVER_STATE_UP } from "../../../src/tables/generated/enums.ts";
import type { BalanceSpec } from "../../../src/tables/spec.ts";
import { Farm, makeRandom } from "../../support/balancer-farm.ts";

const many = (count: number) => Array.from({ length: count }, () => ({}));

/** Server of each hash, chosen and left at once. */
function mapping(farm: Farm, hashes: readonly number[]): number[] {
  return hashes.map((hash) => {
    const index = farm.choose(1, { hash });
    farm.leave(1, index);
    return index;
  });
}

function someHashes(count: number): number[] {
  const random = makeRandom(99);
  return Array.from({ length: count }, random);
}

describe("leastconn", () => {
  const balance: Partial<BalanceSpec> = { algorithm: "leastconn" };

  test("sees the load of every worker, and levels it", () => {
    const farm = new Farm({ balance, servers: many(5), workers: 3 });
    for (let i = 0; i < 50; i++) farm.choose(1 + (i % 3));
    for (let i = 0; i < 5; i++) expect(farm.served(i)).toBe(10);
  });

  test("loads in proportion to weights", () => {
    const weights = [1, 2, 5, 12];
    const farm = new Farm({ balance, servers: weights.map((weight) => ({ weight })) });
    for (let i = 0; i < 200; i++) farm.choose(1);
    weights.forEach((weight, i) => {
      expect(Math.abs(farm.served(i) - weight * 10)).toBeLessThanOrEqual(2);
    });
  });

  test("fills the queue of a full server up to its maxqueue, then that of the backend", () => {
    const farm = new Farm({ balance, servers: [{ maxconn: 1, maxqueue: 2 }, { maxconn: 1 }] });
    expect([farm.choose(1), farm.choose(1)].sort()).toEqual([0, 1]);
    for (let i = 0; i < 2; i++) expect(farm.choose(1)).toBe(CHOICE_QUEUED);
    expect(farm.ownQueue(0)).toBe(2);
    expect(farm.choose(1)).toBe(CHOICE_QUEUED);
    expect(farm.ownQueue(0)).toBe(2);
    expect(farm.queueTotal()).toBe(3);
    farm.check();
  });
});

describe("first", () => {
  test("goes by id, not by place, and to the next one when it is full", () => {
    const ids = [30, 10, 20];
    const farm = new Farm({
      balance: { algorithm: "first" },
      servers: ids.map((id) => ({ id, maxconn: 2, weight: id })),
    });
    expect([1, 2, 1, 2, 1].map((worker) => farm.choose(worker))).toEqual([1, 1, 2, 2, 0]);
    farm.leave(1, 1);
    expect(farm.choose(2)).toBe(1);
  });
});

describe("random", () => {
  test("draws a server in a slow start as often as its part of the weight says", () => {
    // Story: draws came from a map of whole weights, which a slow start did not change.
    const balance: Partial<BalanceSpec> = { algorithm: "random", draws: 1 };
    const farm = new Farm({ balance, servers: [{ weight: 2 }, { weight: 2 }] });
    const share = (): number => {
      let own = 0;
      for (let i = 0; i < 4000; i++) {
        const index = farm.choose(1);
        if (index === 0) own++;
        farm.leave(1, index);
      }
      return own / 4000;
    };
    for (const [throttle, step] of [
      [1, 1],
      [50, 9],
      [99, 16],
      [0, 16],
    ] as const) {
      farm.change(0, { throttle });
      expect(Math.abs(share() - step / (16 + step))).toBeLessThan(0.04);
      farm.check();
    }
  });

  test("draws in proportion to weights", () => {
    const weights = [1, 2, 4, 8];
    const farm = new Farm({
      balance: { algorithm: "random", draws: 1 },
      servers: weights.map((weight) => ({ weight })),
    });
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 15_000; i++) {
      const index = farm.choose(1);
      counts[index]!++;
      farm.leave(1, index);
    }
    weights.forEach((weight, i) => {
      expect(Math.abs(counts[i]! - weight * 1000)).toBeLessThanOrEqual(40 * Math.sqrt(weight) * 4);
    });
  });

  test("two draws level the load far better than one", () => {
    const spread = [1, 2].map((draws) => {
      const farm = new Farm({ balance: { algorithm: "random", draws }, servers: many(50) });
      for (let i = 0; i < 1000; i++) farm.choose(1);
      return Math.max(...farm.rows.map((_, i) => farm.served(i))) - 20;
    });
    expect(spread[1]!).toBeLessThan(spread[0]! / 2);
  });

  test("finds the one free server among many full ones", () => {
    const servers = Array.from({ length: 500 }, () => ({ maxconn: 1 }));
    const farm = new Farm({ balance: { algorithm: "random" }, servers });
    const chosen = new Set(servers.map(() => farm.choose(1)));
    expect(chosen.size).toBe(500);
    expect(farm.choose(1)).toBe(CHOICE_QUEUED);
  });
});

describe("consistent hashing", () => {
  const balance: Partial<BalanceSpec> = { algorithm: "hash", hashType: "consistent" };

  test("a server that goes moves its own hashes only, and gets them back", () => {
    const farm = new Farm({ balance, servers: many(20) });
    const hashes = someHashes(4000);
    const before = mapping(farm, hashes);
    farm.change(7, { state: SERVER_STATE_DOWN });
    const without = mapping(farm, hashes);
    without.forEach((index, i) => {
      if (before[i] !== 7) expect(index).toBe(before[i]!);
      else expect(index).not.toBe(7);
    });
    farm.change(7, { state: SERVER_STATE_UP });
    expect(mapping(farm, hashes)).toEqual(before);
  });

  test("a server that comes takes about its part, and nothing else moves", () => {
    const farm = new Farm({ balance, servers: many(20) });
    const hashes = someHashes(4000);
    const before = mapping(farm, hashes);
    const added = farm.link({});
    farm.change(added, {});
    let moved = 0;
    mapping(farm, hashes).forEach((index, i) => {
      if (index === before[i]) return;
      expect(index).toBe(added);
      moved++;
    });
    expect(moved).toBeGreaterThan(4000 / 21 / 3);
    expect(moved).toBeLessThan((4000 / 21) * 3);
  });

  test("every hash finds the nearest node, at the ends of the ring too", () => {
    for (const count of [1, 2, 3, 17, 60]) {
      const farm = new Farm({ balance, servers: many(count) });
      const nodes = farm.rows.flatMap((_, index) =>
        Array.from({ length: 16 }, (_unused, node) => ({
          index,
          place: nodePlace(index + 1, node),
        })),
      );
      const distance = (place: number, hash: number): number =>
        Math.min((place - hash) >>> 0, (hash - place) >>> 0);
      const edges = [0, 1, 0xffffffff, ...nodes.slice(0, 40).map(({ place }) => place)];
      for (const hash of [...edges, ...someHashes(300)]) {
        const index = mapping(farm, [hash])[0]!;
        const least = Math.min(...nodes.map(({ place }) => distance(place, hash)));
        const own = nodes.filter((node) => node.index === index);
        expect(Math.min(...own.map(({ place }) => distance(place, hash)))).toBe(least);
      }
    }
  });

  test("an excluded server's hashes go to its neighbour on the ring", () => {
    const farm = new Farm({ balance, servers: many(5) });
    for (const hash of someHashes(200)) {
      const home = farm.choose(1, { hash });
      const other = farm.choose(1, { hash, exclude: home });
      expect(other).not.toBe(home);
      farm.leave(1, home);
      farm.leave(1, other);
    }
  });

  test("with bounded load no server has more than its part times the factor", () => {
    const farm = new Farm({ balance: { ...balance, balanceFactor: 150 }, servers: many(10) });
    for (let i = 1; i <= 400; i++) {
      const index = farm.choose(1, { hash: 42 });
      expect(farm.served(index)).toBeLessThanOrEqual(Math.ceil((i / 10) * 1.5) + 1);
    }
    farm.check();
  });
});

describe("map-based hashing", () => {
  test("follows weights and ignores a slow start", () => {
    const farm = new Farm({ balance: { algorithm: "source" }, servers: [{ weight: 3 }, {}] });
    const hashes = Array.from({ length: 400 }, (_, i) => i);
    const before = mapping(farm, hashes);
    expect(before.filter((index) => index === 0)).toHaveLength(300);
    farm.change(0, { throttle: 10 });
    expect(mapping(farm, hashes)).toEqual(before);
  });

  test("waits for its server even if others are free, up to its maxqueue", () => {
    const servers = [{ maxconn: 1, maxqueue: 1 }, {}];
    const farm = new Farm({ balance: { algorithm: "source" }, servers });
    const hash = someHashes(50).find((one) => mapping(farm, [one])[0] === 0)!;
    expect(farm.choose(1, { hash })).toBe(0);
    expect(farm.choose(1, { hash })).toBe(CHOICE_QUEUED);
    expect(farm.choose(1, { hash })).toBe(CHOICE_QUEUE_FULL);
    expect(farm.choose(1)).toBe(1);
    farm.check();
  });

  test("those who wait for a server that goes down go where their hash says then", () => {
    const servers = [{ maxconn: 1 }, { maxconn: 1 }, { maxconn: 1 }];
    const farm = new Farm({ balance: { algorithm: "source" }, servers });
    for (const hash of [0, 1, 2]) expect(farm.choose(1, { hash })).toBe(hash);
    for (const hash of [2, 5, 8]) expect(farm.choose(2, { hash })).toBe(CHOICE_QUEUED);
    expect(farm.change(2, { state: SERVER_STATE_DOWN })).toBe(3);
    // Two servers are left: even hashes wait for the first, odd ones for the second.
    expect([0, 1, 2].map((index) => farm.ownQueue(index))).toEqual([2, 1, 0]);
    farm.check();
  });
});
