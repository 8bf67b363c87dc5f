/** Counters of several workers as one sum, and what clearing them means. */
import { describe, expect, test } from "bun:test";

import type { ServerObject } from "../../../../src/control/model.ts";
import { Shards } from "../../../../src/control/stats/shards.ts";
import * as back from "../../../../src/tables/generated/back-count.ts";
import { SERVER_STRIDE } from "../../../../src/tables/generated/server.ts";
import { reserveTables, Tables } from "../../../../src/tables/tables.ts";

const sizes = { proxies: 4, listeners: 4, servers: 4, queueEntries: 4, arenaWords: 64 };
const makeTables = (): Tables => new Tables(reserveTables({ workers: 3, ...sizes }));

/** A server in row `index`, as far as shards look at it. */
function server(index: number): ServerObject {
  return { row: index * SERVER_STRIDE, backend: {} } as ServerObject;
}

function add(tables: Tables, worker: number, index: number, field: number, value: number): void {
  const { floats } = tables.perWorker[worker - 1]!.serverBack;
  const at = (index * back.BACK_COUNT_STRIDE + field) >> 1;
  floats[at] = floats[at]! + value;
}

const SESSIONS = back.BACK_COUNT_SESSIONS >> 1;
const LAST = back.BACK_COUNT_LAST_SESSION >> 1;
const LONGEST = back.BACK_COUNT_TOTAL_TIME_MAX >> 1;

describe("sums", () => {
  test("add counters up, and take the highest of what is a maximum or a time", () => {
    const tables = makeTables();
    const shards = new Shards(tables);
    for (const worker of [1, 2, 3]) {
      add(tables, worker, 2, back.BACK_COUNT_SESSIONS, worker * 10);
      add(tables, worker, 2, back.BACK_COUNT_LAST_SESSION, 100 + worker);
      add(tables, worker, 2, back.BACK_COUNT_TOTAL_TIME_MAX, 7 - worker);
    }
    add(tables, 1, 1, back.BACK_COUNT_SESSIONS, 5);
    shards.readServer(server(2));
    expect([shards.back[SESSIONS], shards.back[LAST], shards.back[LONGEST]]).toEqual([60, 103, 6]);
    shards.readServer(server(3));
    expect(shards.back[SESSIONS]).toBe(0);
  });
});

describe("clearing", () => {
  test("begins anew without touching what workers write", () => {
    const tables = makeTables();
    const shards = new Shards(tables);
    const one = server(1);
    add(tables, 1, 1, back.BACK_COUNT_SESSIONS, 4);
    add(tables, 2, 1, back.BACK_COUNT_SESSIONS, 5);
    add(tables, 1, 1, back.BACK_COUNT_LAST_SESSION, 50);
    shards.clearServer(one);
    shards.readServer(one);
    expect([shards.back[SESSIONS], shards.back[LAST]]).toEqual([0, 0]);
    add(tables, 2, 1, back.BACK_COUNT_SESSIONS, 3);
    add(tables, 1, 1, back.BACK_COUNT_LAST_SESSION, 1);
    shards.readServer(one);
    expect([shards.back[SESSIONS], shards.back[LAST]]).toEqual([3, 51]);
    shards.clearServer(one);
    shards.readServer(one);
    expect(shards.back[SESSIONS]).toBe(0);
  });

  test("is not inherited by the next server of the row", () => {
    const tables = makeTables();
    const shards = new Shards(tables);
    add(tables, 1, 1, back.BACK_COUNT_SESSIONS, 40);
    shards.clearServer(server(1));
    // The purge of a server empties its shards; a new object takes the row.
    tables.perWorker[0]!.serverBack.words.fill(0);
    add(tables, 1, 1, back.BACK_COUNT_SESSIONS, 2);
    shards.readServer(server(1));
    expect(shards.back[SESSIONS]).toBe(2);
  });

  test("of maxima sets them to zero and leaves counters alone", () => {
    const tables = makeTables();
    const shards = new Shards(tables);
    const one = server(1);
    add(tables, 1, 1, back.BACK_COUNT_SESSIONS, 4);
    add(tables, 3, 1, back.BACK_COUNT_TOTAL_TIME_MAX, 900);
    shards.clearMaxima(one);
    shards.readServer(one);
    expect([shards.back[SESSIONS], shards.back[LONGEST]]).toEqual([4, 0]);
  });
});
