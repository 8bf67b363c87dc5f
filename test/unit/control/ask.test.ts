/** Questions to workers: answered, late, never answered, asked of the dead. */
import { describe, expect, test } from "bun:test";

import { Asks, summarizeHolders } from "../../../src/control/ask.ts";
import type { AskedPool, Told } from "../../../src/control/ask.ts";
import { BACK_COUNT_CURRENT, BACK_COUNT_STRIDE } from "../../../src/tables/generated/back-count.ts";
import { PROXY_STRIDE } from "../../../src/tables/generated/proxy.ts";
import { SERVER_STRIDE } from "../../../src/tables/generated/server.ts";
import { SHARE_SERVED, SHARE_STRIDE } from "../../../src/tables/generated/share.ts";
import type { AnswerTo, Question, StreamExample } from "../../../src/tables/questions.ts";
import { reserveTables, Tables } from "../../../src/tables/tables.ts";

type Sent = { worker: number; id: number; question: Question };

function make(alive = [1, 2]): { asks: Asks; sent: Sent[] } {
  const sent: Sent[] = [];
  const asks = new Asks((worker, id, question) => {
    if (!alive.includes(worker)) return false;
    sent.push({ worker, id, question });
    return true;
  });
  return { asks, sent };
}

describe("a question", () => {
  test("gets its own answer, whatever the order", async () => {
    const { asks, sent } = make();
    const first = asks.ask(1, { kind: "ping" });
    const second = asks.ask(2, { kind: "stream", slot: 1, generation: 1 });
    asks.receive(sent[1]!.id, { kind: "stream", stream: null });
    asks.receive(sent[0]!.id, { kind: "ping" });
    expect(await first).toEqual({ kind: "answer", answer: { kind: "ping" } });
    expect(await second).toMatchObject({ answer: { kind: "stream" } });
    expect(asks.pending).toBe(0);
  });

  test("is given up on after its limit; an answer that comes later is dropped", async () => {
    const { asks, sent } = make();
    expect(await asks.ask(1, { kind: "ping" }, 5)).toEqual({ kind: "silent" });
    asks.receive(sent[0]!.id, { kind: "ping" });
    expect(asks.pending).toBe(0);
  });

  test("of a worker that dies, or is dead, is over at once", async () => {
    const { asks } = make();
    const told = asks.ask(1, { kind: "ping" });
    const other = asks.ask(2, { kind: "ping" }, 5);
    asks.lost(1);
    expect(await told).toEqual({ kind: "gone" });
    expect(await asks.ask(3, { kind: "ping" })).toEqual({ kind: "gone" });
    expect(await other).toEqual({ kind: "silent" });
    const last = asks.ask(2, { kind: "ping" });
    asks.close();
    expect(await last).toEqual({ kind: "gone" });
  });
});

const example = (worker: number, slot: number, ageMs: number): StreamExample => ({
  worker,
  slot,
  generation: 1,
  ageMs,
  bytesUp: 0,
  bytesDown: 0,
});

function tables(): Tables {
  const sizes = { proxies: 4, listeners: 1, servers: 4, queueEntries: 1, arenaWords: 64 };
  return new Tables(reserveTables({ workers: 3, ...sizes }));
}

type Holders = Question & { kind: "holders" };

/** A pool whose workers answer as the table says, page after page. */
function poolOf(pages: Record<number, Told<Holders>[]>): AskedPool {
  return {
    serving: () => Object.keys(pages).map(Number),
    ask: <Q extends Question>(worker: number): Promise<Told<Q>> =>
      Promise.resolve(pages[worker]!.shift() as Told<Q>),
  };
}

const page = (
  count: number,
  examples: StreamExample[],
  next = 0,
): { kind: "answer"; answer: AnswerTo<Holders> } => ({
  kind: "answer",
  answer: { kind: "holders", count, oldestMs: examples[0]?.ageMs ?? -1, examples, next },
});

describe("summarizeHolders", () => {
  test("adds up the pages of each worker and leaves out those without any", async () => {
    const pool = poolOf({
      1: [page(3, [example(1, 1, 50), example(1, 2, 40)], 9), page(2, [example(1, 9, 45)])],
      2: [page(0, [])],
      3: [{ kind: "gone" }],
    });
    expect(
      await summarizeHolders({ pool, tables: tables() }, { serverRow: SERVER_STRIDE }, 2),
    ).toEqual([
      {
        worker: 1,
        count: 5,
        oldestMs: 50,
        examples: [example(1, 1, 50), example(1, 9, 45)],
        isSilent: false,
      },
    ]);
  });

  test("says of a silent worker what the shared tables do", async () => {
    const shared = tables();
    shared.perWorker[1]!.shares.words[2 * SHARE_STRIDE + SHARE_SERVED] = 7;
    const at = 3 * BACK_COUNT_STRIDE + BACK_COUNT_CURRENT;
    shared.perWorker[1]!.proxyBack.floats[at >> 1] = 9;
    const silent = { kind: "silent" } as const;
    const onServer = await summarizeHolders(
      { pool: poolOf({ 2: [silent] }), tables: shared },
      { serverRow: 2 * SERVER_STRIDE },
    );
    expect(onServer).toEqual([{ worker: 2, count: 7, oldestMs: -1, examples: [], isSilent: true }]);
    const onBackend = await summarizeHolders(
      { pool: poolOf({ 2: [silent] }), tables: shared },
      { backendRow: 3 * PROXY_STRIDE },
    );
    expect(onBackend[0]).toMatchObject({ count: 9, isSilent: true });
  });
});
