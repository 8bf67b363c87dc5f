/**
 * The same connections reach the same servers as in haproxy 2.6: see
 * test/support/balancer-traces.ts.
 */
import { expect, test } from "bun:test";

import { hashKey, hashSource } from "../../../src/balance/hash.ts";
import { Farm } from "../../support/balancer-farm.ts";
import traces from "../../support/balancer-traces.json" with { type: "json" };
import { TRACE_CASES, traceSteps, traceWords } from "../../support/balancer-traces.ts";
import type { TraceCase } from "../../support/balancer-traces.ts";

const recorded: Record<string, string> = traces;

function hashOf(farm: Farm, subject: TraceCase, address: string): number | undefined {
  const lb = farm.lbs[1]!;
  const words = traceWords(address);
  if (subject.balance.algorithm === "source") {
    return hashSource(lb, farm.backend, words, 0, subject.family);
  }
  if (subject.balance.algorithm !== "hash") return undefined;
  const bytes = new Uint8Array(subject.family === 4 ? 4 : 16);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < bytes.length / 4; i++) view.setInt32(i * 4, words[i]!);
  return hashKey(lb, farm.backend, bytes, 0, bytes.length);
}

for (const subject of TRACE_CASES) {
  test(subject.name, () => {
    const servers = subject.weights.map((weight) => ({ weight }));
    const farm = new Farm({ balance: subject.balance, servers });
    const held: [number, number][] = [];
    const chosen: number[] = [];
    for (const step of traceSteps(subject)) {
      if ("close" in step) {
        const [[worker, index]] = held.splice(step.close, 1) as [[number, number]];
        farm.leave(worker, index);
        continue;
      }
      const worker = 1 + (chosen.length % 2);
      const hash = hashOf(farm, subject, step.open);
      const index = farm.choose(worker, hash === undefined ? {} : { hash });
      held.push([worker, index]);
      chosen.push(index + 1);
    }
    expect(chosen.join(" ")).toBe(recorded[subject.name]!);
    farm.check();
  });
}
