/** The indexed heap against a sorted list. */
import { expect, test } from "bun:test";

import {
  heapKeyOf,
  heapPush,
  heapRemove,
  heapSequenceOf,
  heapTop,
  heapTopKey,
  heapUpdate,
} from "../../../src/balance/heap.ts";
import { HEAP_ASLEEP } from "../../../src/tables/generated/enums.ts";
import { PROXY_HEAP_COUNT } from "../../../src/tables/generated/proxy.ts";
import { SERVER_HEAP_INDEX } from "../../../src/tables/generated/server.ts";
import { Farm, makeRandom } from "../../support/balancer-farm.ts";

test("push, update and remove keep the smallest (key, sequence) on top", () => {
  // The servers are down: their own heap stays empty, and ASLEEP is free for the test.
  const farm = new Farm({ servers: Array.from({ length: 40 }, () => ({ weight: 0 })) });
  const lb = farm.lbs[1]!;
  const random = makeRandom(5);
  const listed = new Map<number, { key: number; sequence: number }>();
  for (let step = 0; step < 6000; step++) {
    const row = farm.rows[random() % farm.rows.length]!;
    const key = random() % 12;
    if (!listed.has(row)) {
      heapPush(lb, farm.backend, HEAP_ASLEEP, row, key, step);
      listed.set(row, { key, sequence: step });
    } else if (random() % 3 === 0) {
      heapRemove(lb, farm.backend, row);
      listed.delete(row);
      expect(lb.servers[row + SERVER_HEAP_INDEX]).toBe(0);
    } else {
      heapUpdate(lb, farm.backend, row, key, step);
      listed.set(row, { key, sequence: step });
    }
    const sorted = [...listed].sort(([, a], [, b]) => a.key - b.key || a.sequence - b.sequence);
    expect(lb.proxies[farm.backend + PROXY_HEAP_COUNT + HEAP_ASLEEP]).toBe(listed.size);
    expect(heapTop(lb, farm.backend, HEAP_ASLEEP)).toBe(sorted[0]?.[0] ?? 0);
    if (sorted.length === 0) continue;
    expect(heapTopKey(lb, farm.backend, HEAP_ASLEEP)).toBe(sorted[0]![1].key);
    const [some, at] = sorted[random() % sorted.length]!;
    expect(heapKeyOf(lb, farm.backend, some)).toBe(at.key);
    expect(heapSequenceOf(lb, farm.backend, some)).toBe(at.sequence);
  }
});
