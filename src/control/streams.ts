/**
 * Lists of streams, asked of their owners page by page at the pace of whoever reads: a list of
 * 100,000 streams holds one page at a time. A worker that does not answer is told as such and left
 * out; the streams of one that dies meanwhile are gone with it. Main thread.
 */
import type { Clock } from "../base/clock.ts";
import { ASK_STREAMS_MAX } from "../base/limits.ts";
import type { Question, StreamFilter, StreamRecord } from "../tables/questions.ts";
import { ANSWER_MS } from "./ask.ts";
import type { AskedPool } from "./ask.ts";
import type { StreamName } from "./stream-id.ts";

/** Descriptions with all addresses cost their worker more: it is asked for fewer at a time. */
const FULL_STREAMS_MAX = 64;

/** One page of one worker. */
export type StreamPage =
  | { kind: "streams"; worker: number; streams: StreamRecord[] }
  /** It did not answer in time: what it has is missing. */
  | { kind: "silent"; worker: number };

type Lister = { pool: AskedPool; clock: Clock };

/** All streams that match and were there when this was called, by worker. Never rejects. */
export async function* listStreams(
  { pool, clock }: Lister,
  filter: StreamFilter,
  isFull: boolean,
  limitMs = ANSWER_MS,
): AsyncGenerator<StreamPage> {
  const until = clock.nowMs();
  const limit = isFull ? FULL_STREAMS_MAX : ASK_STREAMS_MAX;
  for (const worker of pool.serving()) {
    for (let from = 1; from !== 0;) {
      const question: Question & { kind: "streams" } = {
        kind: "streams",
        filter,
        from,
        limit,
        until,
        isFull,
      };
      const told = await pool.ask(worker, question, limitMs);
      if (told.kind === "silent") yield { kind: "silent", worker };
      if (told.kind !== "answer") break;
      const { streams, next } = told.answer;
      if (streams.length > 0) yield { kind: "streams", worker, streams };
      from = next;
    }
  }
}

/** One stream; undefined = it is not there any more, "silent" = its worker did not answer. */
export async function findStream(
  { pool }: { pool: AskedPool },
  { worker, slot, generation }: StreamName,
  limitMs = ANSWER_MS,
): Promise<StreamRecord | "silent" | undefined> {
  const question = { kind: "stream", slot, generation } as const;
  const told = await pool.ask(worker, question, limitMs);
  if (told.kind === "silent") return "silent";
  return told.kind === "answer" ? (told.answer.stream ?? undefined) : undefined;
}
