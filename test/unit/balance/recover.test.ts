/**
 * A thread dies with the lock in hand, having left anything half done: the next one puts it
 * right.
 */
import { expect, test } from "bun:test";

import { buryWorker } from "../../../src/balance/bury.ts";
import { heapStart } from "../../../src/balance/heap.ts";
import { CHOICE_QUEUED } from "../../../src/balance/lb.ts";
import { shareAt } from "../../../src/balance/slots.ts";
import { QUEUE_STATE_WAITING, WORKER_STATE_DEAD } from "../../../src/tables/generated/enums.ts";
import { PROCESS_QUEUE_FREE, PROCESS_QUEUE_LOCK } from "../../../src/tables/generated/process.ts";
import {
  PROXY_GRANT_ENTRY,
  PROXY_GRANT_SHARE,
  PROXY_HEAP_COUNT,
  PROXY_LOCK,
  PROXY_LOCK_BREAKS,
  PROXY_QUEUE_HEAD,
  PROXY_QUEUE_LENGTH,
  PROXY_QUEUE_TOTAL,
  PROXY_SERVED,
  PROXY_TOTAL_WEIGHT,
} from "../../../src/tables/generated/proxy.ts";
import {
  QUEUE_GRANTED_SERVER,
  QUEUE_NEXT,
  QUEUE_PREVIOUS,
  QUEUE_STATE,
} from "../../../src/tables/generated/queue.ts";
import { SERVER_HEAP_INDEX, SERVER_SERVED } from "../../../src/tables/generated/server.ts";
import { WORKER_INBOX_LOCK, WORKER_STRIDE } from "../../../src/tables/generated/worker.ts";
import { Farm, makeRandom } from "../../support/balancer-farm.ts";

const VICTIM = 3;

/** Worker 3 dies while it holds the backend's lock. */
function die(farm: Farm): void {
  farm.tables.proxies.words[farm.backend + PROXY_LOCK] = VICTIM + 1;
  farm.setWorkerState(VICTIM, WORKER_STATE_DEAD);
}

/** Overwrites what the lock guards and what can be made again. */
function scramble(farm: Farm, seed: number): void {
  const random = makeRandom(seed);
  const { proxies, servers, queue, arena } = farm.control;
  proxies[farm.backend + PROXY_HEAP_COUNT] = random() % 3;
  proxies[farm.backend + PROXY_HEAP_COUNT + 1] = random() % 3;
  proxies[farm.backend + PROXY_QUEUE_HEAD] = 0;
  proxies[farm.backend + PROXY_QUEUE_LENGTH] = random() % 100;
  proxies[farm.backend + PROXY_QUEUE_TOTAL] = random() % 100;
  proxies[farm.backend + PROXY_SERVED] = random() % 100;
  farm.control.proxyFloats[(farm.backend + PROXY_TOTAL_WEIGHT) >> 1] = random() % 100;
  for (const row of farm.rows) {
    servers[row + SERVER_SERVED] = random() % 10;
    servers[row + SERVER_HEAP_INDEX] = random() % 5;
  }
  for (let entry = 16; entry < 16 * 40; entry += 16) {
    if (queue[entry + QUEUE_STATE] !== QUEUE_STATE_WAITING) continue;
    queue[entry + QUEUE_NEXT] = 16 * (random() % 30);
    queue[entry + QUEUE_PREVIOUS] = 16 * (random() % 30);
  }
  const heap = heapStart(farm.control, farm.backend, 0);
  for (let i = 0; i < 18; i++) arena[heap + i] = random() | 0;
}

test("heaps, queues and counts are made anew from shares and entries, in order of arrival", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const farm = new Farm({ servers: [{ maxconn: 2 }, { maxconn: 1 }, { weight: 0 }], workers: 3 });
    const waiting: number[] = [];
    for (let i = 0; i < 12; i++) {
      const worker = 1 + (i % 3);
      if (farm.choose(worker) === CHOICE_QUEUED && worker !== VICTIM) {
        waiting.push(farm.lbs[worker]!.lastEntry);
      }
    }
    scramble(farm, seed);
    die(farm);
    expect(farm.choose(1)).toBe(CHOICE_QUEUED);
    waiting.push(farm.lbs[1]!.lastEntry);
    farm.check();
    expect(farm.tables.proxies.words[farm.backend + PROXY_LOCK_BREAKS]).toBe(1);
    // Streams 0, 1, 2 held the slots, one of each worker: the victim's goes to the oldest.
    expect(buryWorker(farm.control, VICTIM)).toBe(1);
    farm.check();
    expect(farm.allGrants().map((grant) => grant.entry)).toEqual(waiting.slice(0, 1));
  }
});

test("a grant that was being made is finished, and its stream is told", () => {
  for (const hasCounted of [false, true]) {
    const farm = new Farm({ servers: [{ maxconn: 1 }], workers: 3 });
    const { proxies, queue } = farm.control;
    expect(farm.choose(VICTIM)).toBe(0);
    expect(farm.choose(1)).toBe(CHOICE_QUEUED);
    const entry = farm.lbs[1]!.lastEntry;
    // The victim has left the server, and was giving its slot to worker 1.
    const shares = farm.control.shares;
    const share = shareAt(farm.rows[0]!);
    shares[VICTIM]![share] = 0;
    shares[1]![share] = hasCounted ? 1 : 0;
    queue[entry + QUEUE_GRANTED_SERVER] = farm.rows[0]!;
    proxies[farm.backend + PROXY_GRANT_SHARE] = 1;
    proxies[farm.backend + PROXY_GRANT_ENTRY] = entry;
    die(farm);
    expect(farm.choose(2)).toBe(CHOICE_QUEUED);
    farm.check();
    const grants = farm.grants(1);
    expect(grants.map((grant) => grant.entry)).toEqual([entry]);
    expect(farm.take(grants[0]!)).toBe(0);
    expect(farm.served(0)).toBe(1);
  }
});

test("a slot that was freed and not offered is offered", () => {
  const farm = new Farm({ servers: [{ maxconn: 1 }], workers: 3 });
  expect(farm.choose(VICTIM)).toBe(0);
  expect(farm.choose(1)).toBe(CHOICE_QUEUED);
  const entry = farm.lbs[1]!.lastEntry;
  farm.control.shares[VICTIM]![shareAt(farm.rows[0]!)] = 0;
  die(farm);
  expect(buryWorker(farm.control, VICTIM)).toBe(0);
  expect(farm.grants(1).map((grant) => grant.entry)).toEqual([entry]);
  farm.check();
});

test("a grant whose note was never posted is told when its maker is buried", () => {
  const farm = new Farm({ servers: [{ maxconn: 1 }], workers: 3 });
  expect(farm.choose(VICTIM)).toBe(0);
  expect(farm.choose(1)).toBe(CHOICE_QUEUED);
  farm.leave(VICTIM, 0);
  expect(farm.grants(1)).toHaveLength(1);
  // Suppose that note had been lost with the victim.
  farm.setWorkerState(VICTIM, WORKER_STATE_DEAD);
  buryWorker(farm.control, VICTIM);
  const again = farm.grants(1);
  expect(again).toHaveLength(1);
  expect(farm.take(again[0]!)).toBe(0);
  expect(farm.take(again[0]!)).toBe(-1);
});

test("the free list of entries is made anew when a thread dies over it", () => {
  const farm = new Farm({ servers: [{ maxconn: 1 }], workers: 3, queueEntries: 8 });
  expect(farm.choose(1)).toBe(0);
  for (let i = 0; i < 8; i++) expect(farm.choose(2)).toBe(CHOICE_QUEUED);
  farm.setWorkerState(2, WORKER_STATE_DEAD);
  buryWorker(farm.control, 2);
  const words = farm.tables.process.words;
  words[PROCESS_QUEUE_FREE] = 0;
  words[PROCESS_QUEUE_LOCK] = VICTIM + 1;
  farm.setWorkerState(VICTIM, WORKER_STATE_DEAD);
  for (let i = 0; i < 8; i++) expect(farm.choose(1)).toBe(CHOICE_QUEUED);
  farm.check();
});

test("locks outside of backends do not outlive their holder's number", () => {
  // Story: they name the holder by number; a replaced worker seemed to hold them for ever.
  const farm = new Farm({ servers: [{ maxconn: 1 }], workers: 3 });
  expect(farm.choose(VICTIM)).toBe(0);
  const inboxLock = (worker: number): number => worker * WORKER_STRIDE + WORKER_INBOX_LOCK;
  const workers = farm.tables.workers.words;
  const process = farm.tables.process.words;
  process[PROCESS_QUEUE_LOCK] = VICTIM + 1;
  workers[inboxLock(1)] = VICTIM + 1;
  workers[inboxLock(VICTIM)] = VICTIM + 1;
  farm.setWorkerState(VICTIM, WORKER_STATE_DEAD);
  expect(buryWorker(farm.control, VICTIM)).toBe(1);
  expect(process[PROCESS_QUEUE_LOCK]).toBe(0);
  for (const worker of [1, 2, VICTIM]) expect(workers[inboxLock(worker)]).toBe(0);
});
