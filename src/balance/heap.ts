/**
 * Heaps of servers, indexed: from the server's row one finds its place, so any server can be moved
 * or taken out in O(log n). Four children a node, keys stored beside the rows, so that a level
 * costs two lines of the cache however many servers there are.
 *
 *   heapBase ─▶ [ READY entries … ][ FRESH entries … ][ ASLEEP entries … ]   heapCapacity each
 *   entry:      key (f64) · sequence (f64) · row (i32) · unused
 *
 * A server is in one heap at most. All functions need the backend's lock.
 *
 * @hot
 */
import { assert } from "../base/assert.ts";
import { HEAP_ASLEEP } from "../tables/generated/enums.ts";
import {
  PROXY_HEAP_BASE,
  PROXY_HEAP_CAPACITY,
  PROXY_HEAP_COUNT,
} from "../tables/generated/proxy.ts";
import { SERVER_HEAP_INDEX, SERVER_HEAP_KIND } from "../tables/generated/server.ts";
import type { Lb } from "./lb.ts";

/** Words of an entry. */
export const HEAP_ENTRY_WORDS = 6;
/** Number of heaps of a backend. */
export const HEAP_KINDS = HEAP_ASLEEP + 1;

const ROW = 4;
const FANOUT_SHIFT = 2;

/** First word of one heap of the backend. */
export function heapStart(lb: Lb, backendRow: number, kind: number): number {
  const capacity = lb.proxies[backendRow + PROXY_HEAP_CAPACITY]!;
  return lb.proxies[backendRow + PROXY_HEAP_BASE]! + kind * capacity * HEAP_ENTRY_WORDS;
}

/** Row of the server with the smallest (key, sequence), 0 when the heap is empty. O(1). */
export function heapTop(lb: Lb, backendRow: number, kind: number): number {
  if (lb.proxies[backendRow + PROXY_HEAP_COUNT + kind] === 0) return 0;
  return lb.arena[heapStart(lb, backendRow, kind) + ROW]!;
}

/** Key of the top; the heap must not be empty. */
export function heapTopKey(lb: Lb, backendRow: number, kind: number): number {
  return lb.arenaFloats[heapStart(lb, backendRow, kind) >> 1]!;
}

/** First word of the entry of a server that is in a heap. */
function entryOf(lb: Lb, backendRow: number, serverRow: number): number {
  const index = lb.servers[serverRow + SERVER_HEAP_INDEX]! - 1;
  const kind = lb.servers[serverRow + SERVER_HEAP_KIND]!;
  return heapStart(lb, backendRow, kind) + index * HEAP_ENTRY_WORDS;
}

/** Key of a server that is in a heap. */
export function heapKeyOf(lb: Lb, backendRow: number, serverRow: number): number {
  return lb.arenaFloats[entryOf(lb, backendRow, serverRow) >> 1]!;
}

/** Sequence of a server that is in a heap. */
export function heapSequenceOf(lb: Lb, backendRow: number, serverRow: number): number {
  return lb.arenaFloats[(entryOf(lb, backendRow, serverRow) >> 1) + 1]!;
}

/** Puts a server that is in no heap into one. O(log n). */
export function heapPush(
  lb: Lb,
  backendRow: number,
  kind: number,
  serverRow: number,
  key: number,
  sequence: number,
): void {
  assert(lb.servers[serverRow + SERVER_HEAP_INDEX] === 0, "heapPush: a server in no heap");
  const count = lb.proxies[backendRow + PROXY_HEAP_COUNT + kind]!;
  assert(count < lb.proxies[backendRow + PROXY_HEAP_CAPACITY]!, "heapPush: room in the heap");
  lb.proxies[backendRow + PROXY_HEAP_COUNT + kind] = count + 1;
  lb.servers[serverRow + SERVER_HEAP_KIND] = kind;
  siftUp(lb, heapStart(lb, backendRow, kind), count, serverRow, key, sequence);
}

/** Takes a server out of the heap it is in. O(log n). */
export function heapRemove(lb: Lb, backendRow: number, serverRow: number): void {
  const at = lb.servers[serverRow + SERVER_HEAP_INDEX]! - 1;
  assert(at >= 0, "heapRemove: a server in a heap");
  const kind = lb.servers[serverRow + SERVER_HEAP_KIND]!;
  const base = heapStart(lb, backendRow, kind);
  const last = lb.proxies[backendRow + PROXY_HEAP_COUNT + kind]! - 1;
  lb.proxies[backendRow + PROXY_HEAP_COUNT + kind] = last;
  lb.servers[serverRow + SERVER_HEAP_INDEX] = 0;
  if (at === last) return;
  const cell = base + last * HEAP_ENTRY_WORDS;
  const key = lb.arenaFloats[cell >> 1]!;
  const sequence = lb.arenaFloats[(cell >> 1) + 1]!;
  reposition(lb, base, last, at, lb.arena[cell + ROW]!, key, sequence);
}

/** Gives a server another key within the heap it is in. O(log n). */
export function heapUpdate(
  lb: Lb,
  backendRow: number,
  serverRow: number,
  key: number,
  sequence: number,
): void {
  const at = lb.servers[serverRow + SERVER_HEAP_INDEX]! - 1;
  assert(at >= 0, "heapUpdate: a server in a heap");
  const kind = lb.servers[serverRow + SERVER_HEAP_KIND]!;
  const count = lb.proxies[backendRow + PROXY_HEAP_COUNT + kind]!;
  reposition(lb, heapStart(lb, backendRow, kind), count, at, serverRow, key, sequence);
}

/** Writes (key, sequence, row) at `at` or where the order wants it. */
function reposition(
  lb: Lb,
  base: number,
  count: number,
  at: number,
  serverRow: number,
  key: number,
  sequence: number,
): void {
  if (at > 0) {
    const parent = (base + ((at - 1) >> FANOUT_SHIFT) * HEAP_ENTRY_WORDS) >> 1;
    const parentKey = lb.arenaFloats[parent]!;
    if (key < parentKey || (key === parentKey && sequence < lb.arenaFloats[parent + 1]!)) {
      siftUp(lb, base, at, serverRow, key, sequence);
      return;
    }
  }
  siftDown(lb, base, count, at, serverRow, key, sequence);
}

function siftUp(
  lb: Lb,
  base: number,
  start: number,
  serverRow: number,
  key: number,
  sequence: number,
): void {
  const floats = lb.arenaFloats;
  let at = start;
  while (at > 0) {
    const parent = (at - 1) >> FANOUT_SHIFT;
    const cell = (base + parent * HEAP_ENTRY_WORDS) >> 1;
    const parentKey = floats[cell]!;
    if (parentKey < key || (parentKey === key && floats[cell + 1]! <= sequence)) break;
    moveEntry(lb, base, parent, at);
    at = parent;
    lb.heapSteps++;
  }
  writeEntry(lb, base, at, serverRow, key, sequence);
}

function siftDown(
  lb: Lb,
  base: number,
  count: number,
  start: number,
  serverRow: number,
  key: number,
  sequence: number,
): void {
  const floats = lb.arenaFloats;
  let at = start;
  for (;;) {
    const first = (at << FANOUT_SHIFT) + 1;
    if (first >= count) break;
    const end = first + 4 < count ? first + 4 : count;
    let best = first;
    let cell = (base + first * HEAP_ENTRY_WORDS) >> 1;
    let bestKey = floats[cell]!;
    let bestSequence = floats[cell + 1]!;
    for (let child = first + 1; child < end; child++) {
      cell += HEAP_ENTRY_WORDS >> 1;
      const childKey = floats[cell]!;
      if (childKey > bestKey || (childKey === bestKey && floats[cell + 1]! > bestSequence)) {
        continue;
      }
      best = child;
      bestKey = childKey;
      bestSequence = floats[cell + 1]!;
    }
    if (key < bestKey || (key === bestKey && sequence <= bestSequence)) break;
    moveEntry(lb, base, best, at);
    at = best;
    lb.heapSteps++;
  }
  writeEntry(lb, base, at, serverRow, key, sequence);
}

function moveEntry(lb: Lb, base: number, from: number, to: number): void {
  const source = base + from * HEAP_ENTRY_WORDS;
  const row = lb.arena[source + ROW]!;
  writeEntry(lb, base, to, row, lb.arenaFloats[source >> 1]!, lb.arenaFloats[(source >> 1) + 1]!);
}

function writeEntry(
  lb: Lb,
  base: number,
  at: number,
  serverRow: number,
  key: number,
  sequence: number,
): void {
  const cell = base + at * HEAP_ENTRY_WORDS;
  lb.arenaFloats[cell >> 1] = key;
  lb.arenaFloats[(cell >> 1) + 1] = sequence;
  lb.arena[cell + ROW] = serverRow;
  lb.servers[serverRow + SERVER_HEAP_INDEX] = at + 1;
}
