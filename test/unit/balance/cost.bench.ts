import { chooseServer, leaveServer } from "../../../src/balance/choose.ts";
import { HASH_NONE } from "../../../src/balance/lb.ts";
/**
 * What a choice costs over 10 and many servers: run with `bun test/unit/balance/cost.bench.ts`.
 * Prints nanoseconds a choice (with the leave that follows it), and the steps taken in heaps.
 */
import type { BalanceSpec } from "../../../src/tables/spec.ts";
import { Farm, makeRandom } from "../../support/balancer-farm.ts";
import type { FarmServer } from "../../support/balancer-farm.ts";

/** An algorithm whose cost is measured. */
export type CostCase = {
  name: string;
  balance: Partial<BalanceSpec>;
  server: FarmServer;
  hashed?: boolean;
};

/** What is measured. */
export const COST_CASES: readonly CostCase[] = [
  { name: "roundrobin", balance: { algorithm: "roundrobin" }, server: {} },
  { name: "roundrobin, maxconn", balance: { algorithm: "roundrobin" }, server: { maxconn: 1 } },
  { name: "static-rr", balance: { algorithm: "static-rr" }, server: {} },
  { name: "leastconn", balance: { algorithm: "leastconn" }, server: {} },
  { name: "first", balance: { algorithm: "first" }, server: { maxconn: 4 } },
  { name: "random(2)", balance: { algorithm: "random" }, server: {} },
  { name: "peak-ewma(2)", balance: { algorithm: "peak-ewma" }, server: {} },
  { name: "source", balance: { algorithm: "source" }, server: {}, hashed: true },
  {
    name: "source, consistent",
    balance: { algorithm: "source", hashType: "consistent" },
    server: {},
    hashed: true,
  },
];

const held = new Int32Array(64);

/** Many choices, with 64 streams at any time. */
export function runCost(farm: Farm, picks: number, hashed: boolean): { ns: number; steps: number } {
  const lb = farm.lbs[1]!;
  const random = makeRandom(7);
  held.fill(0);
  const steps = lb.heapSteps;
  const begin = performance.now();
  for (let i = 0; i < picks; i++) {
    const at = i & 63;
    if (held[at] !== 0) leaveServer(lb, farm.backend, held[at]!);
    const row = chooseServer(lb, farm.backend, hashed ? random() : HASH_NONE, i, 1, 0, 0);
    held[at] = row > 0 ? row : 0;
  }
  const ns = ((performance.now() - begin) * 1e6) / picks;
  for (const row of held) if (row !== 0) leaveServer(lb, farm.backend, row);
  return { ns, steps: (lb.heapSteps - steps) / picks };
}

/** A farm of `count` servers for a case. */
export function plantCost(subject: CostCase, count: number): Farm {
  // The few servers get room for the streams that the many have room for.
  const isFew = count < held.length && subject.server.maxconn !== undefined;
  const server = isFew ? { ...subject.server, maxconn: held.length } : subject.server;
  const servers = Array.from({ length: count }, () => server);
  return new Farm({ balance: subject.balance, servers });
}

if (import.meta.main) {
  for (const subject of COST_CASES) {
    const line: string[] = [];
    let base = 0;
    for (const count of [10, 10_000, 20_000]) {
      const farm = plantCost(subject, count);
      const hashed = subject.hashed === true;
      runCost(farm, 50_000, hashed);
      const results = [1, 2, 3].map(() => runCost(farm, 100_000, hashed));
      const best = results.reduce((a, b) => (a.ns < b.ns ? a : b));
      base ||= best.ns;
      const ratio = (best.ns / base).toFixed(2);
      line.push(`${count}: ${best.ns.toFixed(0)} ns (${ratio}x, ${best.steps.toFixed(1)} steps)`);
    }
    console.log(`${subject.name.padEnd(20)} ${line.join("   ")}`);
  }
}
