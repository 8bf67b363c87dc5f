/**
 * Questions to the workers that own streams: sent, waited for with a limit, dropped when the worker
 * dies. Nobody waits for a stalled worker for ever: whoever asked is told that it was silent. Main
 * thread.
 */
import { startTimer } from "../base/clock.ts";
import type { Ticker } from "../base/clock.ts";
import { BACK_COUNT_CURRENT, BACK_COUNT_STRIDE } from "../tables/generated/back-count.ts";
import { PROXY_STRIDE } from "../tables/generated/proxy.ts";
import { SERVER_STRIDE } from "../tables/generated/server.ts";
import { SHARE_SERVED, SHARE_STRIDE } from "../tables/generated/share.ts";
import type {
  Answer,
  AnswerTo,
  HolderFilter,
  Question,
  StreamExample,
} from "../tables/questions.ts";
import type { Tables } from "../tables/tables.ts";

/** A stalled worker cannot hold up whoever waits for its answer longer than this, ms. */
export const ANSWER_MS = 5000;

/** What came of a question: an answer, none in time, or its worker has died (and its streams). */
export type Told<Q extends Question> =
  { kind: "answer"; answer: AnswerTo<Q> } | { kind: "silent" } | { kind: "gone" };

type Waiting = { worker: number; timer: Ticker; done: (told: Told<Question>) => void };

/** Questions under way. The pool of workers has one. */
export class Asks {
  readonly #send: (worker: number, id: number, question: Question) => boolean;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  /** @param send posts a question; false = there is no such worker */
  constructor(send: (worker: number, id: number, question: Question) => boolean) {
    this.#send = send;
  }

  /** Asks one worker. Never rejects. */
  ask<Q extends Question>(worker: number, question: Q, limitMs = ANSWER_MS): Promise<Told<Q>> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      if (!this.#send(worker, id, question)) {
        resolve({ kind: "gone" });
        return;
      }
      const timer = startTimer(limitMs, () => this.#finish(id, { kind: "silent" }));
      // A worker answers a question with its own kind of answer: `answerQuestion` is typed so.
      const done = resolve as (told: Told<Question>) => void;
      this.#waiting.set(id, { worker, timer, done });
    });
  }

  /** An answer has come; one that comes too late is dropped. */
  receive(id: number, answer: Answer): void {
    this.#finish(id, { kind: "answer", answer });
  }

  /** A worker has died: nobody waits for it any more. */
  lost(worker: number): void {
    for (const [id, waiting] of [...this.#waiting]) {
      if (waiting.worker === worker) this.#finish(id, { kind: "gone" });
    }
  }

  /** All threads end: nobody is waited for any more. */
  close(): void {
    for (const id of [...this.#waiting.keys()]) this.#finish(id, { kind: "gone" });
  }

  /** Questions that have no answer yet. */
  get pending(): number {
    return this.#waiting.size;
  }

  #finish(id: number, told: Told<Question>): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    waiting.timer.stop();
    waiting.done(told);
  }
}

/** Whom to ask: the part of the pool that this needs. */
export type AskedPool = {
  /** Numbers of the workers that serve. */
  serving(): number[];
  ask<Q extends Question>(worker: number, question: Q, limitMs?: number): Promise<Told<Q>>;
};

/** What holds an object on one worker. */
export type WorkerHolders = {
  worker: number;
  count: number;
  /** Age of the oldest stream, ms; -1 = not known, or there is none. */
  oldestMs: number;
  /** Oldest first. */
  examples: StreamExample[];
  /** The worker did not answer in time: `count` is what the shared tables say. */
  isSilent: boolean;
};

/**
 * Streams that hold a server or a backend, by worker; workers without any are left out. All are
 * asked at once, so that it takes as long as the slowest, at most `limitMs` a question.
 * @param examples most streams to tell of each worker, the oldest
 */
export async function summarizeHolders(
  control: { pool: AskedPool; tables: Tables },
  filter: HolderFilter,
  examples = 3,
  limitMs = ANSWER_MS,
): Promise<WorkerHolders[]> {
  const { pool, tables } = control;
  const all = await Promise.all(
    pool.serving().map((worker) => holdersOn(pool, tables, worker, filter, examples, limitMs)),
  );
  return all.filter(({ count }) => count > 0);
}

async function holdersOn(
  pool: AskedPool,
  tables: Tables,
  worker: number,
  filter: HolderFilter,
  examples: number,
  limitMs: number,
): Promise<WorkerHolders> {
  const sum: WorkerHolders = { worker, count: 0, oldestMs: -1, examples: [], isSilent: false };
  for (let from = 1; from !== 0;) {
    const question = { kind: "holders", filter, from, examples } as const;
    const told = await pool.ask(worker, question, limitMs);
    if (told.kind === "gone") return { ...sum, count: 0, oldestMs: -1, examples: [] };
    if (told.kind === "silent") {
      return { ...sum, count: heldBy(tables, worker, filter), isSilent: true };
    }
    const { answer } = told;
    sum.count += answer.count;
    sum.oldestMs = Math.max(sum.oldestMs, answer.oldestMs);
    sum.examples = [...sum.examples, ...answer.examples]
      .sort((a, b) => b.ageMs - a.ageMs)
      .slice(0, examples);
    from = answer.next;
  }
  return sum;
}

/** What a worker holds of an object, as the shared tables say: for one that does not answer. */
function heldBy(tables: Tables, worker: number, filter: HolderFilter): number {
  const shard = tables.perWorker[worker - 1]!;
  if ("serverRow" in filter) {
    return shard.shares.words[(filter.serverRow / SERVER_STRIDE) * SHARE_STRIDE + SHARE_SERVED]!;
  }
  const at = (filter.backendRow / PROXY_STRIDE) * BACK_COUNT_STRIDE + BACK_COUNT_CURRENT;
  return shard.proxyBack.floats[at >> 1]!;
}
