import { describe, expect, test } from "bun:test";

import { MutationLog } from "../../../src/control/mutation-log.ts";
import { PROCESS_PUBLISHED_SEQUENCE } from "../../../src/tables/generated/process.ts";
import { MUTATION_VERSION, packMutations, unpackMutations } from "../../../src/tables/mutations.ts";
import type { MutationRecord } from "../../../src/tables/mutations.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";

function make(): { log: MutationLog; sent: MutationRecord[][]; published: () => number } {
  const one = { proxies: 1, listeners: 1, servers: 1, queueEntries: 1, arenaWords: 16 };
  const tables = new Tables(reserveTables({ workers: 1, ...one }));
  const sent: MutationRecord[][] = [];
  const log = new MutationLog(tables, (records) => sent.push(records));
  return { log, sent, published: () => tables.process.words[PROCESS_PUBLISHED_SEQUENCE]! };
}

describe("mutation log", () => {
  test("numbers from 1, sends in batches, forgets what is sent", () => {
    const { log, sent, published } = make();
    expect(log.append({ kind: "stop" })).toBe(1);
    expect(log.append({ kind: "listener.pause", row: 16 })).toBe(2);
    expect(sent).toEqual([]);
    expect(published()).toBe(0);
    log.flush();
    expect(published()).toBe(2);
    expect(log.append({ kind: "listener.resume", row: 16 })).toBe(3);
    log.flush();
    log.flush();
    expect(sent.map((batch) => batch.map((record) => record.sequence))).toEqual([[1, 2], [3]]);
    expect(log.sequence).toBe(3);
    expect(sent.flat().every((record) => record.version === MUTATION_VERSION)).toBe(true);
  });
});

describe("batches", () => {
  test.each([0, 1, 64, 65, 1000])("%p records arrive as they were", (count) => {
    const records = Array.from({ length: count }, (_, i): MutationRecord => ({
      version: MUTATION_VERSION,
      sequence: i + 1,
      mutation: { kind: "listener.close", row: i * 16 },
    }));
    const batch = packMutations(records);
    // What a thread is sent: plain, or shared text when there is much of it.
    expect(unpackMutations(structuredClone(batch))).toEqual(records);
    expect(Array.isArray(batch)).toBe(count <= 64);
  });
});
