/**
 * Questions of control, answered by the worker that owns the streams (tables/questions.ts). Each
 * looks at a bounded number of slots and says where to go on, so that listing 100,000 streams is
 * many short interruptions of the traffic and no long one. Changes nothing.
 */
import { ASK_SLOTS_MAX, ASK_STREAMS_MAX } from "../../base/limits.ts";
import type {
  Answer,
  AnswerTo,
  HolderFilter,
  Question,
  StreamExample,
  StreamFilter,
} from "../../tables/questions.ts";
import type { Engine } from "../engine.ts";
import { STREAM_FREE } from "../stream.ts";
import type { Stream } from "../stream.ts";
import { describeStream, doubtOf, exampleOf } from "./describe.ts";
import { answerQuic } from "./quic.ts";

type StreamsQuestion = Question & { kind: "streams" };
type HoldersQuestion = Question & { kind: "holders" };

/** Answers one question, in bounded time. */
export function answerQuestion(engine: Engine, question: Question): Answer {
  switch (question.kind) {
    case "ping":
      return { kind: "ping" };
    case "streams":
      return answerStreams(engine, question);
    case "stream":
      return answerStream(engine, question.slot, question.generation);
    case "holders":
      return answerHolders(engine, question);
    case "quic":
      return answerQuic(engine, question);
  }
}

/** The stream that a slot and a generation name; null = it has ended. */
export function findStream(engine: Engine, slot: number, generation: number): Stream | null {
  const stream = engine.streams[slot] ?? null;
  if (stream === null || stream.state === STREAM_FREE) return null;
  return stream.generation === generation ? stream : null;
}

function answerStream(
  engine: Engine,
  slot: number,
  generation: number,
): AnswerTo<Question & { kind: "stream" }> {
  const stream = findStream(engine, slot, generation);
  const now = engine.clock.nowMs();
  return { kind: "stream", stream: stream === null ? null : describeStream(stream, now, true) };
}

function answerStreams(engine: Engine, question: StreamsQuestion): AnswerTo<StreamsQuestion> {
  const { filter, isFull, until } = question;
  const now = engine.clock.nowMs();
  const most = Math.min(question.limit, ASK_STREAMS_MAX);
  const streams = [];
  let slot = Math.max(question.from, 1);
  const stop = Math.min(engine.streams.length, slot + ASK_SLOTS_MAX);
  for (; slot < stop && streams.length < most; slot++) {
    const stream = engine.streams[slot] ?? null;
    if (stream === null || stream.state === STREAM_FREE || stream.acceptedAtMs > until) continue;
    if (matches(stream, filter, now)) streams.push(describeStream(stream, now, isFull));
  }
  return { kind: "streams", streams, next: slot < engine.streams.length ? slot : 0 };
}

function matches(stream: Stream, filter: StreamFilter, now: number): boolean {
  const { frontendRow, backendRow, serverRow, olderThanMs, isSuspicious } = filter;
  if (frontendRow !== undefined && stream.frontend.row !== frontendRow) return false;
  if (backendRow !== undefined && stream.backend?.row !== backendRow) return false;
  if (serverRow !== undefined && stream.server?.row !== serverRow) return false;
  if (olderThanMs !== undefined && now - stream.acceptedAtMs < olderThanMs) return false;
  return isSuspicious !== true || doubtOf(stream, now) !== "";
}

function answerHolders(engine: Engine, question: HoldersQuestion): AnswerTo<HoldersQuestion> {
  const { filter } = question;
  const now = engine.clock.nowMs();
  let slot = Math.max(question.from, 1);
  // A server without streams here is common, and its list says so at once.
  if ("serverRow" in filter && (engine.server(filter.serverRow)?.streamCount ?? 0) === 0) {
    return { kind: "holders", count: 0, oldestMs: -1, examples: [], next: 0 };
  }
  const stop = Math.min(engine.streams.length, slot + ASK_SLOTS_MAX);
  const oldest: Stream[] = [];
  let count = 0;
  for (; slot < stop; slot++) {
    const stream = engine.streams[slot] ?? null;
    if (stream === null || stream.state === STREAM_FREE || !holds(stream, filter)) continue;
    count++;
    keepOldest(oldest, stream, Math.max(question.examples, 1));
  }
  const examples: StreamExample[] = oldest.map((stream) => exampleOf(stream, now));
  const oldestMs = examples[0]?.ageMs ?? -1;
  const next = slot < engine.streams.length ? slot : 0;
  return { kind: "holders", count, oldestMs, examples: examples.slice(0, question.examples), next };
}

function holds(stream: Stream, filter: HolderFilter): boolean {
  if ("serverRow" in filter) return stream.isAttached && stream.server!.row === filter.serverRow;
  return stream.backend !== null && stream.backend.row === filter.backendRow;
}

/** Enters a stream into a short list that is kept oldest first. */
function keepOldest(oldest: Stream[], stream: Stream, most: number): void {
  let at = oldest.length;
  while (at > 0 && oldest[at - 1]!.acceptedAtMs > stream.acceptedAtMs) at--;
  if (at >= most) return;
  oldest.splice(at, 0, stream);
  if (oldest.length > most) oldest.pop();
}
