/** The pool of threads: started, asked, lost, buried, replaced. */
import { afterEach, describe, expect, test } from "bun:test";

import { Lb } from "../../../src/balance/lb.ts";
import { WorkerPool } from "../../../src/control/workers.ts";
import { WORKER_STATE_RUNNING } from "../../../src/tables/generated/enums.ts";
import {
  FRONT_COUNT_CURRENT,
  FRONT_COUNT_STRIDE,
} from "../../../src/tables/generated/front-count.ts";
import { PROCESS_CURRENT, PROCESS_STOPPING } from "../../../src/tables/generated/process.ts";
import { PROXY_FRONT_CURRENT, PROXY_STRIDE } from "../../../src/tables/generated/proxy.ts";
import {
  WORKER_GENERATION,
  WORKER_STATE,
  WORKER_STRIDE,
} from "../../../src/tables/generated/worker.ts";
import { drainInbox, NOTE_RESUME } from "../../../src/tables/inbox.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";
import { until } from "../../support/procs.ts";

const ENTRY = new URL("./fake-worker.ts", import.meta.url);

type Setup = { tables: Tables; pool: WorkerPool; notices: string[]; stopped: number[] };

const pools: WorkerPool[] = [];
afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.close();
});

function make(): Setup {
  const sizes = { proxies: 1, listeners: 1, servers: 1, queueEntries: 1, arenaWords: 64 };
  const tables = new Tables(reserveTables({ workers: 3, ...sizes }));
  const notices: string[] = [];
  const stopped: number[] = [];
  const pool = new WorkerPool(tables, new Lb(tables, 0, () => 0), ENTRY, {
    notice: (severity, text) => notices.push(`${severity}: ${text}`),
    stopped: (worker) => stopped.push(worker),
    rows: () => ({ proxyRows: [PROXY_STRIDE], listenerRows: [], serverRows: [] }),
    log: () => [],
  });
  pools.push(pool);
  return { tables, pool, notices, stopped };
}

const cell = (tables: Tables, worker: number, at: number): number =>
  tables.workers.words[worker * WORKER_STRIDE + at]!;

/** Worker 1 had two connections when it died. */
function giveConnections(tables: Tables): void {
  const { floats } = tables.perWorker[0]!.proxyFront;
  floats[(FRONT_COUNT_STRIDE + FRONT_COUNT_CURRENT) >> 1] = 2;
  tables.proxies.words[PROXY_STRIDE + PROXY_FRONT_CURRENT] = 5;
  tables.process.words[PROCESS_CURRENT] = 5;
}

describe("pool", () => {
  test("starts all workers and waits until they serve", async () => {
    const { tables, pool } = make();
    await pool.start(3);
    for (const worker of [1, 2, 3]) {
      expect(cell(tables, worker, WORKER_STATE)).toBe(WORKER_STATE_RUNNING);
      expect(cell(tables, worker, WORKER_GENERATION)).toBe(1);
    }
  });

  test("adds up what the owners of streams answer", async () => {
    const { pool } = make();
    await pool.start(2);
    expect(await pool.shutdown({ kind: "all" }, "killed")).toBe(30);
  });

  test("does not wait for an answer of a dead worker", async () => {
    const { pool } = make();
    await pool.start(3);
    expect(await pool.shutdown({ kind: "all" }, "killed")).toBe(30);
    expect(pool.losses).toBe(1);
  });

  test("asks only its owner for one stream, and says who was silent", async () => {
    const { pool } = make();
    await pool.start(2);
    const one = { kind: "stream", worker: 2, slot: 1, generation: 1 } as const;
    expect(await pool.shutdown(one, "killed")).toBe(20);
    expect(await pool.shutdownStreams({ ...one, worker: 9 }, "killed")).toEqual({
      count: 0,
      silent: [],
    });
    const silent = await pool.shutdownStreams({ kind: "frontend", row: 2 }, "killed", 20);
    expect(silent).toEqual({ count: 10, silent: [2] });
  });

  test("asks a worker, and does not wait for one that dies of it", async () => {
    const { pool } = make();
    await pool.start(3);
    expect(pool.serving()).toEqual([1, 2, 3]);
    expect(await pool.ask(2, { kind: "ping" })).toMatchObject({ kind: "answer" });
    expect(await pool.ask(3, { kind: "ping" })).toEqual({ kind: "gone" });
    expect(await pool.ask(7, { kind: "ping" })).toEqual({ kind: "gone" });
  });

  test("buries a worker that is gone, wakes the others, starts another", async () => {
    const { tables, pool, notices } = make();
    await pool.start(2);
    giveConnections(tables);
    const kinds: number[] = [];
    drainInbox(tables, 2, () => {});
    (
      pool as unknown as { members: Map<number, { thread: { postMessage(m: unknown): void } }> }
    ).members
      .get(1)!
      .thread.postMessage({ type: "exit" });
    await until("the loss is told", () => notices.length > 0);
    expect(notices[0]).toBe(
      "alert: Worker 1 is gone (exit code 5): 2 connections lost, 0 server slots given back, " +
        "starting a new one",
    );
    expect(tables.process.words[PROCESS_CURRENT]).toBe(3);
    drainInbox(tables, 2, (kind) => void kinds.push(kind));
    expect(kinds).toEqual([NOTE_RESUME]);
    await until(
      "a new thread serves",
      () => cell(tables, 1, WORKER_STATE) === WORKER_STATE_RUNNING,
    );
    expect(cell(tables, 1, WORKER_GENERATION)).toBe(2);
    expect(await pool.shutdown({ kind: "all" }, "killed")).toBe(30);
  });

  test("does not replace a worker that is lost while the process stops", async () => {
    const { tables, pool, notices, stopped } = make();
    await pool.start(1);
    tables.process.words[PROCESS_STOPPING] = 1;
    pool.broadcast({ type: "exit" });
    await until("the loss is told", () => stopped.length > 0);
    expect(stopped).toEqual([1]);
    expect(notices[0]).not.toContain("starting a new one");
  });
});
