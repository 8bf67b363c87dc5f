/** What a dead worker held besides slots: its connections, its row, its inbox. */
import { describe, expect, test } from "bun:test";

import { resetWorkerRow, returnConnections } from "../../../src/control/burial.ts";
import { BACK_COUNT_CURRENT, BACK_COUNT_STRIDE } from "../../../src/tables/generated/back-count.ts";
import { WORKER_STATE_DEAD } from "../../../src/tables/generated/enums.ts";
import {
  FRONT_COUNT_CURRENT,
  FRONT_COUNT_SESSIONS,
  FRONT_COUNT_STRIDE,
} from "../../../src/tables/generated/front-count.ts";
import { LISTENER_CURRENT, LISTENER_STRIDE } from "../../../src/tables/generated/listener.ts";
import { PROCESS_CURRENT, PROCESS_FULL } from "../../../src/tables/generated/process.ts";
import {
  PROXY_BACK_CURRENT,
  PROXY_FRONT_CURRENT,
  PROXY_FRONT_FULL,
  PROXY_STRIDE,
} from "../../../src/tables/generated/proxy.ts";
import {
  WORKER_GENERATION,
  WORKER_INBOX_LOCK,
  WORKER_INBOX_TAIL,
  WORKER_STATE,
  WORKER_STREAMS,
  WORKER_STRIDE,
} from "../../../src/tables/generated/worker.ts";
import { drainInbox, NOTE_RESUME, postNote } from "../../../src/tables/inbox.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";

function makeTables(): Tables {
  const sizes = { proxies: 2, listeners: 2, servers: 1, queueEntries: 1, arenaWords: 16 };
  return new Tables(reserveTables({ workers: 2, ...sizes }));
}

describe("connections of a dead worker", () => {
  test("are taken off every total, those of others stay", () => {
    const tables = makeTables();
    const proxy = PROXY_STRIDE;
    const listener = LISTENER_STRIDE;
    const process = tables.process.words;
    const proxies = tables.proxies.words;
    const dead = tables.perWorker[0]!;
    process[PROCESS_CURRENT] = 10;
    process[PROCESS_FULL] = 1;
    proxies[proxy + PROXY_FRONT_CURRENT] = 10;
    proxies[proxy + PROXY_FRONT_FULL] = 1;
    proxies[proxy + PROXY_BACK_CURRENT] = 9;
    tables.listeners.words[listener + LISTENER_CURRENT] = 10;
    dead.proxyFront.floats[(FRONT_COUNT_STRIDE + FRONT_COUNT_CURRENT) >> 1] = 4;
    dead.proxyFront.floats[(FRONT_COUNT_STRIDE + FRONT_COUNT_SESSIONS) >> 1] = 100;
    dead.proxyBack.floats[(BACK_COUNT_STRIDE + BACK_COUNT_CURRENT) >> 1] = 3;
    dead.listenerFront.floats[(FRONT_COUNT_STRIDE + FRONT_COUNT_CURRENT) >> 1] = 4;
    const rows = { proxyRows: [proxy], listenerRows: [listener] };
    expect(returnConnections(tables, 1, rows)).toBe(4);
    expect(process[PROCESS_CURRENT]).toBe(6);
    expect(proxies[proxy + PROXY_FRONT_CURRENT]).toBe(6);
    expect(proxies[proxy + PROXY_BACK_CURRENT]).toBe(6);
    expect(tables.listeners.words[listener + LISTENER_CURRENT]).toBe(6);
    // Whoever stopped at a limit looks again; what was counted stays counted.
    expect([process[PROCESS_FULL], proxies[proxy + PROXY_FRONT_FULL]]).toEqual([0, 0]);
    const sessions = (FRONT_COUNT_STRIDE + FRONT_COUNT_SESSIONS) >> 1;
    expect(dead.proxyFront.floats[sessions]).toBe(100);
    // Twice is nothing more.
    expect(returnConnections(tables, 1, rows)).toBe(0);
    expect(process[PROCESS_CURRENT]).toBe(6);
  });
});

describe("the row of a dead worker", () => {
  test("is empty for the next one, but for its state and generation", () => {
    const tables = makeTables();
    const { words } = tables.workers;
    const row = WORKER_STRIDE;
    words[row + WORKER_STATE] = WORKER_STATE_DEAD;
    words[row + WORKER_GENERATION] = 5;
    words[row + WORKER_STREAMS] = 12;
    for (let i = 0; i < 3; i++) postNote(tables, 0, 1, NOTE_RESUME, i, 0, 0);
    expect(words[row + WORKER_INBOX_TAIL]).toBe(3);
    resetWorkerRow(tables, 1);
    expect(words[row + WORKER_STATE]).toBe(WORKER_STATE_DEAD);
    expect(words[row + WORKER_GENERATION]).toBe(5);
    expect(words[row + WORKER_STREAMS]).toBe(0);
    expect(drainInbox(tables, 1, () => {})).toBe(0);
    expect(words[row + WORKER_INBOX_LOCK]).toBe(0);
  });

  test("an inbox that a dead thread has locked is freed", () => {
    const tables = makeTables();
    const { words } = tables.workers;
    words[2 * WORKER_STRIDE + WORKER_STATE] = WORKER_STATE_DEAD;
    words[WORKER_STRIDE + WORKER_INBOX_LOCK] = 2 + 1;
    resetWorkerRow(tables, 1);
    expect(words[WORKER_STRIDE + WORKER_INBOX_LOCK]).toBe(0);
    expect(postNote(tables, 0, 1, NOTE_RESUME, 1, 0, 0)).toBe(true);
  });
});
