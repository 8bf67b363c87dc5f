import type { Lb } from "../../src/balance/lb.ts";
import { isLimitDynamic } from "../../src/balance/limit.ts";
/**
 * The invariants of a backend in shared memory, looked at from outside: heaps, shares, queues,
 * weights. Written without the functions under test, from the description of the tables alone.
 */
import { hasRoom, isPickable } from "../../src/balance/place.ts";
import { HEAP_ASLEEP, QUEUE_STATE_WAITING } from "../../src/tables/generated/enums.ts";
import * as proxy from "../../src/tables/generated/proxy.ts";
import * as queue from "../../src/tables/generated/queue.ts";
import * as server from "../../src/tables/generated/server.ts";
import { SHARE_STRIDE } from "../../src/tables/generated/share.ts";

/** Words of a heap's entry, as src/balance/heap.ts documents it. */
const ENTRY_WORDS = 6;
const FANOUT = 4;

/** Everything that is wrong with a backend, in words; nothing when all is well. */
export function checkBackend(lb: Lb, backendRow: number): string[] {
  const wrong: string[] = [];
  const rows = rowsOf(lb, backendRow);
  if (lb.proxies[backendRow + proxy.PROXY_LOCK] !== 0) wrong.push("the lock is held");
  if (lb.proxies[backendRow + proxy.PROXY_GRANT_ENTRY] !== 0) wrong.push("a grant is unfinished");
  checkHeaps(lb, backendRow, rows, wrong);
  checkServed(lb, backendRow, rows, wrong);
  checkQueues(lb, backendRow, rows, wrong);
  let weight = 0;
  for (const row of rows) weight += lb.servers[row + server.SERVER_TIER_WEIGHT]!;
  const total = lb.proxyFloats[(backendRow + proxy.PROXY_TOTAL_WEIGHT) >> 1];
  if (total !== weight) wrong.push(`total weight ${total}, sum ${weight}`);
  return wrong;
}

function rowsOf(lb: Lb, backendRow: number): number[] {
  const base = lb.proxies[backendRow + proxy.PROXY_SERVERS_BASE]!;
  return [...lb.arena.subarray(base, base + lb.proxies[backendRow + proxy.PROXY_SERVER_COUNT]!)];
}

function checkHeaps(lb: Lb, backendRow: number, rows: number[], wrong: string[]): void {
  const found = new Map<number, number>();
  const capacity = lb.proxies[backendRow + proxy.PROXY_HEAP_CAPACITY]!;
  const base = lb.proxies[backendRow + proxy.PROXY_HEAP_BASE]!;
  for (let kind = 0; kind < 3; kind++) {
    const start = base + kind * capacity * ENTRY_WORDS;
    const count = lb.proxies[backendRow + proxy.PROXY_HEAP_COUNT + kind]!;
    for (let i = 0; i < count; i++) {
      const row = lb.arena[start + i * ENTRY_WORDS + 4]!;
      if (found.has(row)) wrong.push(`server ${row} twice in heaps`);
      found.set(row, kind);
      if (lb.servers[row + server.SERVER_HEAP_INDEX] !== i + 1) wrong.push(`index of ${row}`);
      if (lb.servers[row + server.SERVER_HEAP_KIND] !== kind) wrong.push(`kind of ${row}`);
      if (i === 0) continue;
      const cell = (start + i * ENTRY_WORDS) >> 1;
      const parent = (start + Math.floor((i - 1) / FANOUT) * ENTRY_WORDS) >> 1;
      const [key, above] = [lb.arenaFloats[cell]!, lb.arenaFloats[parent]!];
      const isTie = key === above && lb.arenaFloats[cell + 1]! < lb.arenaFloats[parent + 1]!;
      if (key < above || isTie) wrong.push(`heap ${kind} out of order at ${i}`);
    }
  }
  for (const row of rows) {
    const kind = found.get(row);
    if (kind === undefined && lb.servers[row + server.SERVER_HEAP_INDEX] !== 0) {
      wrong.push(`server ${row} says it is in a heap`);
    }
    const isIn = kind !== undefined && kind !== HEAP_ASLEEP;
    // A dynamic limit moves with the load between two looks: it is seen at the next choice.
    if (isLimitDynamic(lb, backendRow, row)) continue;
    if (isIn !== isPickable(lb, backendRow, row)) wrong.push(`server ${row} in a heap: ${isIn}`);
  }
}

function checkServed(lb: Lb, backendRow: number, rows: number[], wrong: string[]): void {
  let all = 0;
  for (const row of rows) {
    let sum = 0;
    for (let worker = 1; worker < lb.shares.length; worker++) {
      const share = lb.shares[worker]![(row / server.SERVER_STRIDE) * SHARE_STRIDE]!;
      if (share < 0) wrong.push(`worker ${worker} has a share of ${share}`);
      sum += share;
    }
    const served = lb.servers[row + server.SERVER_SERVED]!;
    if (served !== sum) wrong.push(`server ${row} serves ${served}, shares say ${sum}`);
    all += served;
  }
  const total = lb.proxies[backendRow + proxy.PROXY_SERVED];
  if (total !== all) wrong.push(`backend serves ${total}, its servers ${all}`);
}

function checkQueues(lb: Lb, backendRow: number, rows: number[], wrong: string[]): void {
  const { proxies, servers } = lb;
  const onBackend = walk(lb, proxies[backendRow + proxy.PROXY_QUEUE_HEAD]!, 0, wrong);
  if (onBackend !== proxies[backendRow + proxy.PROXY_QUEUE_LENGTH]) wrong.push("backend queue");
  let total = onBackend;
  for (const row of rows) {
    const length = walk(lb, servers[row + server.SERVER_QUEUE_HEAD]!, row, wrong);
    if (length !== servers[row + server.SERVER_QUEUE_LENGTH]) wrong.push(`queue of ${row}`);
    total += length;
    if (isLimitDynamic(lb, backendRow, row)) continue;
    const isWanted = servers[row + server.SERVER_TIER_WEIGHT] !== 0;
    if (onBackend > 0 && isWanted && hasRoom(lb, backendRow, row)) {
      wrong.push(`server ${row} has room while ${onBackend} wait`);
    }
    const maxconn = servers[row + server.SERVER_MAXCONN]!;
    const served = servers[row + server.SERVER_SERVED]!;
    if (length > 0 && (maxconn === 0 || served < maxconn)) {
      wrong.push(`server ${row} has ${length} waiters and a slot`);
    }
  }
  if (total !== proxies[backendRow + proxy.PROXY_QUEUE_TOTAL]) wrong.push("sum of queues");
}

function walk(lb: Lb, head: number, row: number, wrong: string[]): number {
  let length = 0;
  let before = 0;
  let arrival = -1;
  for (let entry = head; entry !== 0; entry = lb.queue[entry + queue.QUEUE_NEXT]!) {
    if (lb.queue[entry + queue.QUEUE_PREVIOUS] !== before) wrong.push(`link of entry ${entry}`);
    if (lb.queue[entry + queue.QUEUE_STATE] !== QUEUE_STATE_WAITING) wrong.push(`state ${entry}`);
    if (lb.queue[entry + queue.QUEUE_SERVER_ROW] !== row) wrong.push(`place of entry ${entry}`);
    const sequence = lb.queueFloats[(entry + queue.QUEUE_SEQUENCE) >> 1]!;
    if (sequence <= arrival) wrong.push(`order of entry ${entry}`);
    arrival = sequence;
    before = entry;
    if (++length > 1_000_000) return length;
  }
  return length;
}
