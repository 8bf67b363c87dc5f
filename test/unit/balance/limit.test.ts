/** Dynamic limits: manual 5.2 `minconn`, `maxconn`, `slowstart`; 4.2 `fullconn`. */
import { expect, test } from "bun:test";

import { CHOICE_QUEUED } from "../../../src/balance/lb.ts";
import { loadForRoom, serverLimit, UNLIMITED } from "../../../src/balance/limit.ts";
import { Farm } from "../../support/balancer-farm.ts";
import type { FarmServer } from "../../support/balancer-farm.ts";

const CASES: [name: string, server: FarmServer, fullconn: number, load: number, limit: number][] = [
  ["no limit", {}, 0, 10, UNLIMITED],
  ["maxconn alone does not move", { maxconn: 7 }, 100, 1, 7],
  ["minconn alone is the limit", { minconn: 5 }, 100, 1, 5],
  ["a minconn above maxconn is the limit", { minconn: 9, maxconn: 4 }, 100, 1, 9],
  ["at no load, minconn", { minconn: 10, maxconn: 100 }, 1000, 0, 10],
  ["below the ramp, minconn", { minconn: 10, maxconn: 100 }, 1000, 100, 10],
  ["on the ramp", { minconn: 10, maxconn: 100 }, 1000, 555, 55],
  ["just below fullconn", { minconn: 10, maxconn: 100 }, 1000, 999, 99],
  ["at fullconn, maxconn", { minconn: 10, maxconn: 100 }, 1000, 1000, 100],
  ["beyond fullconn, maxconn", { minconn: 10, maxconn: 100 }, 1000, 5000, 100],
  ["without fullconn, maxconn", { minconn: 10, maxconn: 100 }, 0, 0, 100],
  ["a slow start takes its part", { maxconn: 100, throttle: 30 }, 0, 0, 30],
  ["a slow start leaves one", { maxconn: 3, throttle: 1 }, 0, 0, 1],
  ["a slow start of a dynamic limit", { minconn: 10, maxconn: 100, throttle: 50 }, 1000, 600, 30],
];

for (const [name, server, fullconn, load, limit] of CASES) {
  test(name, () => {
    const farm = new Farm({ servers: [server], fullconn });
    farm.setLoad(load);
    expect(serverLimit(farm.lbs[1]!, farm.backend, farm.rows[0]!)).toBe(limit);
  });
}

test("the load at which a full server has room is the first one that gives it", () => {
  for (const throttle of [0, 37]) {
    const farm = new Farm({ servers: [{ minconn: 2, maxconn: 17, throttle }], fullconn: 50 });
    const lb = farm.lbs[1]!;
    const row = farm.rows[0]!;
    for (let served = 2; served < 17; served++) {
      const wake = loadForRoom(lb, farm.backend, row, served);
      let first = UNLIMITED;
      for (let load = 0; load <= 60 && first === UNLIMITED; load++) {
        farm.setLoad(load);
        if (serverLimit(lb, farm.backend, row) > served) first = load;
      }
      expect(wake).toBe(first);
    }
  }
});

test("streams that come raise the limit, and the oldest waiter gets the slot", () => {
  const farm = new Farm({ servers: [{ minconn: 1, maxconn: 4 }], fullconn: 8 });
  farm.setLoad(1);
  expect(farm.choose(1)).toBe(0);
  farm.setLoad(2);
  expect(farm.choose(2)).toBe(CHOICE_QUEUED);
  const oldest = farm.lbs[2]!.lastEntry;
  farm.setLoad(3);
  expect(farm.choose(1)).toBe(CHOICE_QUEUED);
  expect(farm.allGrants()).toEqual([]);
  farm.setLoad(4);
  expect(farm.choose(1)).toBe(CHOICE_QUEUED);
  expect(farm.allGrants().map((grant) => grant.entry)).toEqual([oldest]);
  expect(farm.served(0)).toBe(2);
  farm.setLoad(8);
  expect(farm.choose(1)).toBe(CHOICE_QUEUED);
  expect(farm.allGrants()).toHaveLength(2);
  expect(farm.served(0)).toBe(4);
  farm.check();
});

test("a limit that comes down with the load keeps new streams out", () => {
  const farm = new Farm({ servers: [{ minconn: 1, maxconn: 4 }, {}], fullconn: 4 });
  farm.setLoad(4);
  const held = [1, 2, 1, 2, 1, 2].map((worker) => [worker, farm.choose(worker)] as const);
  expect(farm.served(0)).toBe(3);
  farm.setLoad(1);
  const [worker] = held.find(([, index]) => index === 0)!;
  farm.leave(worker, 0);
  for (let i = 0; i < 4; i++) expect(farm.choose(1)).toBe(1);
  expect(farm.served(0)).toBe(2);
  farm.check();
});

test("a fullconn that is lowered serves those who wait", () => {
  const farm = new Farm({ servers: [{ minconn: 1, maxconn: 4 }], fullconn: 100 });
  farm.setLoad(4);
  expect(farm.choose(1)).toBe(0);
  for (let i = 0; i < 3; i++) expect(farm.choose(2)).toBe(CHOICE_QUEUED);
  farm.setFullconn(4);
  expect(farm.grants(2)).toHaveLength(3);
  farm.check();
});
