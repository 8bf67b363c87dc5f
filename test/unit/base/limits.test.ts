/** Relations between maxima, each with what would go wrong without it. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { limitRows, limitsPage, reservations } from "../../../scripts/limits-page.ts";
import * as limits from "../../../src/base/limits.ts";
import { PROXY_STRIDE } from "../../../src/tables/generated/proxy.ts";
import { SERVER_STRIDE } from "../../../src/tables/generated/server.ts";

const WORD_MAX = 2 ** 31 - 1;

const RELATIONS: readonly [string, boolean][] = [
  ["the inbox is a ring: its indices are masked", isPowerOfTwo(limits.INBOX_ENTRIES)],
  ["the log ring is a ring: its indices are masked", isPowerOfTwo(limits.LOG_RING_RECORDS)],
  ["a row of the server table fits a field", limits.SERVERS_MAX * SERVER_STRIDE <= WORD_MAX],
  ["a row of the proxy table fits a field", limits.PROXIES_MAX * PROXY_STRIDE <= WORD_MAX],
  ["a word of the arena fits a field", limits.ARENA_WORDS_MAX <= WORD_MAX],
  [
    "every server can be in a list of its backend and in each of three heaps of two words",
    limits.SERVERS_MAX * (1 + 3 * 2) <= limits.ARENA_WORDS_MAX,
  ],
  [
    "a ring at its longest, of two words a node, and the one that replaces it, fit the arena",
    2 * 2 * limits.TABLE_ENTRIES_MAX <= limits.ARENA_WORDS_MAX,
  ],
  [
    "a server of the largest weight fits its map or ring",
    limits.WEIGHT_MAX * limits.RING_NODES_PER_WEIGHT <= limits.TABLE_ENTRIES_MAX,
  ],
  ["every server can be in a map once", limits.SERVERS_MAX <= limits.TABLE_ENTRIES_MAX],
  [
    "as many streams can wait as there can be connections, of two descriptors each",
    limits.DESCRIPTORS_MAX / 2 <= limits.QUEUE_ENTRIES_MAX,
  ],
  [
    "every object can bear a GUID with three eighths of the index free",
    (limits.PROXIES_MAX + limits.LISTENERS_MAX + limits.SERVERS_MAX) * 8 <=
      limits.GUID_ENTRIES_MAX * 5,
  ],
  ["a stream's slot fits the six digits of its id", limits.DESCRIPTORS_MAX < 2 ** 24],
  ["one template fits the server table", limits.TEMPLATE_SERVERS_MAX < limits.SERVERS_MAX],
  ["a PROXY header fits one read", limits.PROXY_HEADER_BYTES_MAX <= limits.BUFSIZE_DEFAULT],
  [
    "the longest lines of a log do not fill a queue at once",
    limits.LOG_LINE_BYTES_MAX * 16 <= limits.LOG_QUEUE_BYTES_MAX,
  ],
  [
    "the descriptors kept aside are few beside those of connections",
    limits.DESCRIPTORS_RESERVED * 100 <= limits.DESCRIPTORS_MAX,
  ],
];

describe("relations", () => {
  for (const [why, holds] of RELATIONS) test(why, () => expect(holds).toBe(true));
});

test("every maximum says what it counts and why", () => {
  const rows = limitRows();
  expect(rows.map(({ name }) => name)).toEqual(
    [...rows.map(({ name }) => name)].filter((name) => name in limits),
  );
  expect(rows.length).toBe(Object.keys(limits).length);
  for (const { reason, value } of rows) {
    expect(reason.length).toBeGreaterThan(10);
    expect(Number.isSafeInteger(value) && value > 0).toBe(true);
  }
});

test("the address space of the tables fits the smallest that systems give a process", () => {
  // 47 bits of addresses on x86-64 and 39 on small ARM systems, of which half is plenty.
  let bytes = 0;
  for (const one of reservations()) bytes += one.bytes * (one.perWorker ? limits.WORKERS_MAX : 1);
  expect(bytes).toBeLessThan(2 ** 38);
});

test("docs/limits.md is what scripts/generate-docs.ts makes of them", () => {
  const written = readFileSync(join(import.meta.dir, "../../../docs/limits.md"), "utf8");
  expect(written).toBe(limitsPage());
});

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}
