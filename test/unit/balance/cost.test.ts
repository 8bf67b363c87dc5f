/** What a choice costs, counted in steps: it must hardly grow with the number of servers. */
import { expect, test } from "bun:test";

import { Farm } from "../../support/balancer-farm.ts";
import { COST_CASES, plantCost, runCost } from "./cost.bench.ts";

for (const subject of COST_CASES) {
  test(`${subject.name}: 20,000 servers take a few steps more than 10`, () => {
    const few = runCost(plantCost(subject, 10), 2000, subject.hashed === true);
    const many = runCost(plantCost(subject, 20_000), 2000, subject.hashed === true);
    // A heap of 20,000 with four children a node has eight levels; a choice and a leave pass twice.
    expect(few.steps).toBeLessThanOrEqual(2 * 4);
    expect(many.steps).toBeLessThanOrEqual(2 * 8);
  });
}

test("a change of one server among 20,000 takes a few steps", () => {
  const farm = new Farm({ servers: Array.from({ length: 20_000 }, () => ({})) });
  const before = farm.control.heapSteps;
  for (let i = 0; i < 100; i++) farm.change(i * 150, { weight: 5 });
  expect((farm.control.heapSteps - before) / 100).toBeLessThanOrEqual(8);
});
