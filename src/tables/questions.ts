/**
 * Questions of control to the workers that own streams, and their answers: plain data, so that they
 * cross threads as messages. Only its owner can say what a stream is (DESIGN 4, founding rule 3):
 * whoever lists streams, looks for what holds a server, or wants to know whether a worker lives,
 * asks. A question is answered in bounded time: the owner looks at so many slots, says where it
 * stopped, and is asked again from there.
 */

/** Which streams a question is about; what is not set does not matter. */
export type StreamFilter = {
  frontendRow?: number;
  backendRow?: number;
  serverRow?: number;
  /** Accepted at least this long ago, ms. */
  olderThanMs?: number;
  /** Only those that something seems to be wrong with: `doubtOf` (data/ask/describe.ts). */
  isSuspicious?: boolean;
};

/** Streams of a server, or of a backend. */
export type HolderFilter = { serverRow: number } | { backendRow: number };

/** Which QUIC connections a question is about; what is not set does not matter. */
export type QuicFilter = {
  /** This one only: the transport's number. */
  connection?: number;
  /** Clients' (true) or servers' (false). */
  isFront?: boolean;
  /** Those that are over and wait for their last packets (true), or all others (false). */
  isClosing?: boolean;
};

/** How much is told of a QUIC connection: a line, its streams too, or everything. */
export type QuicDetail = "line" | "streams" | "full";

/** What a worker may be asked. */
export type Question =
  /** Does it answer at all? */
  | { kind: "ping" }
  /**
   * Streams in the order of their slots.
   * `from`: first slot to look at, 1 = all. `limit`: most to describe in one answer. `until`: on
   * the monotonic clock, which all threads share; streams that were accepted later do not appear.
   * `isFull`: with the addresses of all four ends.
   */
  | {
      kind: "streams";
      filter: StreamFilter;
      from: number;
      limit: number;
      until: number;
      isFull: boolean;
    }
  /** One stream. */
  | { kind: "stream"; slot: number; generation: number }
  /** How many streams hold an object, and the oldest of them, at most `examples`. */
  | { kind: "holders"; filter: HolderFilter; from: number; examples: number }
  /** QUIC connections in the transport's order. `from`, `limit` as of streams; `from` 0 = all. */
  | { kind: "quic"; filter: QuicFilter; from: number; limit: number; detail: QuicDetail };

/** What a stream waits for: its states, in flow order. */
export type StreamStateName = "header" | "route" | "queue" | "connect" | "retry" | "relay";

/** A QUIC stream, or a whole connection, as one side of a stream. */
export type QuicPlace = {
  /** The transport's number of the connection. */
  connection: number;
  /** QUIC's identifier of the stream; -1 = the whole connection. */
  streamId: number;
};

/** One side of a stream. */
export type SideRecord = {
  /** The far end: `address:port`, `unix`, or "" when it is not known. */
  remote: string;
  /** Our end. */
  local: string;
  /** Its descriptor; -1 = none, or none that is known. */
  fd: number;
  /** It has finished its direction. */
  hasEnded: boolean;
  /** It takes nothing now. */
  isBlocked: boolean;
  /** A write found it gone. */
  isBroken: boolean;
  /** Since it was last heard of or written to, ms. */
  idleMs: number;
  /** Until its idle limit, ms; -1 = none. */
  expiresMs: number;
  /** Null: it is no QUIC. */
  quic: QuicPlace | null;
};

/** A stream as its owner describes it. Times are whole ms, relative to the answer. */
export type StreamRecord = {
  worker: number;
  slot: number;
  generation: number;
  /** Number over the whole process (`%rt`). */
  counter: number;
  state: StreamStateName;
  frontend: string;
  frontendRow: number;
  listenerRow: number;
  /** "" = no backend yet. */
  backend: string;
  backendRow: number;
  /** "" = no server yet. */
  server: string;
  serverRow: number;
  acceptedEpochMicros: number;
  ageMs: number;
  /** Until the stream's own timer; -1 = none, less than -1: it has passed. */
  expiresMs: number;
  bytesUp: number;
  bytesDown: number;
  retries: number;
  wasRedispatched: boolean;
  /** Place in the queue when it began to wait, from 1; 0 = it does not wait. */
  queuePlace: number;
  /** How long it has waited there. */
  queuedMs: number;
  /** The client as rules and logs see it: behind a PROXY header, the one that the header names. */
  client: string;
  /** What is suspicious about it; "" = nothing. */
  doubt: string;
  front: SideRecord;
  /** Null: no connection to a server. */
  back: SideRecord | null;
};

/** A stream that holds an object. */
export type StreamExample = {
  worker: number;
  slot: number;
  generation: number;
  ageMs: number;
  bytesUp: number;
  bytesDown: number;
};

/** What a QUIC connection is doing. */
export type QuicStateName = "handshake" | "established" | "closing" | "draining" | "over";

/** A stream of a QUIC connection. */
export type QuicStreamRecord = {
  /** QUIC's identifier: its two lowest bits say who opened it, and whether it has one direction. */
  id: number;
  /** Slot and generation of the sluice stream that it is a side of; slot 0 = none: bridged. */
  slot: number;
  generation: number;
  /** Age of that stream, ms, and the bytes that came from the peer and went to it; -1 = none. */
  ageMs: number;
  bytesIn: number;
  bytesOut: number;
  /** We take no more of it now, or the peer takes no more of ours. */
  isBlocked: boolean;
  /** The peer has ended its direction. */
  hasEnded: boolean;
};

/** A QUIC connection as its owner describes it. */
export type QuicRecord = {
  worker: number;
  /** The transport's number of it. */
  connection: number;
  /** Descriptor that its packets go over; -1 = none that is known. */
  fd: number;
  proxyRow: number;
  /** 0 = a client's, or not known. */
  serverRow: number;
  isFront: boolean;
  /** Its streams are mapped to another connection's as they are. */
  isSession: boolean;
  isResumed: boolean;
  isEarly: boolean;
  isVerified: boolean;
  state: QuicStateName;
  /** `address:port`, "" = not known. */
  local: string;
  remote: string;
  /** Connection IDs of both sides, hexadecimal. */
  scid: string;
  dcid: string;
  sni: string;
  alpn: string;
  /** QUIC_NUMBERS of conduit/quic/transport.ts so far, then QUIC_MOMENTS. */
  numbers: number[];
  /** With detail "full": what TLS agreed on, the transport parameters of both sides. */
  cipher: string;
  group: string;
  localParameters: string;
  remoteParameters: string;
  /** With detail "streams" or "full". */
  streams: QuicStreamRecord[];
  /** Streams beyond those. */
  streamsLeft: number;
};

/** Answers, each to the question of its kind. `next`: slot to go on with, 0 = that was all. */
export type Answer =
  | { kind: "ping" }
  | { kind: "streams"; streams: StreamRecord[]; next: number }
  | { kind: "stream"; stream: StreamRecord | null }
  | {
      kind: "holders";
      count: number;
      /** -1 = there is none. */
      oldestMs: number;
      /** Oldest first. */
      examples: StreamExample[];
      next: number;
    }
  | { kind: "quic"; connections: QuicRecord[]; next: number };

/**
 * An answer on its way. Pages travel as JSON text: made and read in a third of the time that a
 * clone of so many small objects takes, which is time that the worker does not spend on traffic.
 */
export type PackedAnswer = Answer | string;

/** Makes an answer ready to travel. */
export function packAnswer(answer: Answer): PackedAnswer {
  return answer.kind === "streams" || answer.kind === "quic" ? JSON.stringify(answer) : answer;
}

/** Reads what `packAnswer` made, on the same build. */
export function unpackAnswer(packed: PackedAnswer): Answer {
  return typeof packed === "string" ? (JSON.parse(packed) as Answer) : packed;
}

/** The answer to a question. */
export type AnswerTo<Q extends Question> = Answer & { kind: Q["kind"] };
