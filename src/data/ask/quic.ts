/**
 * The QUIC connections of this worker, for `show quic`: the desk describes them, the streams of the
 * engine say what goes over each. In bounded time, like all answers.
 */
import { ASK_STREAMS_MAX } from "../../base/limits.ts";
import type { QuicDesk, QuicFound, QuicNote } from "../../conduit/quic/describe.ts";
import type { AnswerTo, Question, QuicRecord, QuicStreamRecord } from "../../tables/questions.ts";
import type { Engine } from "../engine.ts";
import { Stream } from "../stream.ts";

type QuicQuestion = Question & { kind: "quic" };

/** Connections of one answer where their streams are told too. */
const FULL_CONNECTIONS_MAX = 16;

/** One page of connections. */
export function answerQuic(engine: Engine, question: QuicQuestion): AnswerTo<QuicQuestion> {
  const desk = engine.environment.quic ?? null;
  if (desk === null) return { kind: "quic", connections: [], next: 0 };
  const { filter, from, detail } = question;
  const most = detail === "line" ? ASK_STREAMS_MAX : FULL_CONNECTIONS_MAX;
  const { found, next } = desk.list(filter, from, Math.min(question.limit, most), detail);
  const now = engine.clock.nowMs();
  const connections = found.map((one) =>
    detail === "line" ? one.record : withStreams(desk, one, now),
  );
  return { kind: "quic", connections, next };
}

function withStreams(desk: QuicDesk, { record, note }: QuicFound, now: number): QuicRecord {
  if (note === null) return record;
  const told = note.streams.slice(0, ASK_STREAMS_MAX);
  const streams = told.map((one) => describeQuicStream(desk, one, record.isFront, now));
  return { ...record, streams, streamsLeft: note.streams.length - told.length };
}

function describeQuicStream(
  desk: QuicDesk,
  { stream: handle, owner }: QuicNote["streams"][number],
  isFront: boolean,
  now: number,
): QuicStreamRecord {
  const id = desk.streamId(handle);
  if (!(owner instanceof Stream)) {
    const none = { slot: 0, generation: 0, ageMs: -1, bytesIn: -1, bytesOut: -1 };
    return { id, ...none, isBlocked: false, hasEnded: false };
  }
  const { slot, generation, acceptedAtMs, bytesUp, bytesDown } = owner;
  return {
    id,
    slot,
    generation,
    ageMs: Math.round(now - acceptedAtMs),
    bytesIn: isFront ? bytesUp : bytesDown,
    bytesOut: isFront ? bytesDown : bytesUp,
    isBlocked: isFront ? owner.frontBlocked : owner.backBlocked,
    hasEnded: isFront ? owner.frontEnded : owner.backEnded,
  };
}
