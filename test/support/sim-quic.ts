/**
 * QUIC without packets: connections and streams of simulated transports, joined by a network that
 * delays and reorders what it carries, as loss and retransmission do. What RFC 9000 promises holds:
 * bytes of a stream arrive in order and once, credit bounds them, ends, resets and stops are frames
 * of their own, and a connection dies as a whole.
 *
 *   write ─▶ unsent ─(credit, window)─▶ frames ─(delay)─▶ unread ─▶ peek, consume ─▶ credit back
 *
 * `sim-transport.ts` makes a Transport of it. Nothing moves but in the turn of a transport.
 */
import type {
  ConnectionOwner,
  EndpointOwner,
  StreamOwner,
} from "../../src/conduit/quic/transport.ts";
import { QUIC_COUNTS, QUIC_MOMENTS, QUIC_NUMBERS } from "../../src/conduit/quic/transport.ts";
import { Endpoint } from "../../src/conduit/sockaddr.ts";
import type { QuicTransportSpec } from "../../src/tables/spec.ts";
import type { Choices } from "./sim-random.ts";

/** How the network of a run behaves. Chances are of each frame. */
export type QuicHabits = {
  /** Most bytes of one stream frame. */
  pieceBytesMax: number;
  /** Delay of a frame, drawn. */
  delayMsMax: number;
  /** A frame is lost and comes again, so much later. */
  lost: number;
  lostMs: number;
  /** A datagram is lost for good. */
  datagramLost: number;
  /** A frame that is not the oldest arrives first. */
  overtake: number;
  /** Frames that arrive before the first of them is told. */
  batchMax: number;
  /** Unacknowledged bytes of a connection: its congestion window. */
  flightBytesMax: number;
  /** A write takes less than there is room for. */
  shortWrite: number;
  /** A handshake fails. */
  handshakeFailure: number;
  /** Credit for streams and bytes comes later, by `lostMs`. */
  lateCredit: number;
  /** A new connection can send nothing for `lostMs`: its window is shut. */
  lateStart: number;
};

/** A network without surprises. */
export const CALM_NETWORK: QuicHabits = {
  pieceBytesMax: 4000,
  delayMsMax: 0,
  lost: 0,
  lostMs: 0,
  datagramLost: 0,
  overtake: 0,
  batchMax: 8,
  flightBytesMax: 1 << 20,
  shortWrite: 0,
  handshakeFailure: 0,
  lateCredit: 0,
  lateStart: 0,
};

/** What travels. */
export type Frame = { dueMs: number } & (
  | { kind: "welcome" }
  | { kind: "confirm" }
  | { kind: "bytes"; id: number; bytes: Uint8Array; isEnd: boolean }
  | { kind: "reset"; id: number; code: bigint }
  | { kind: "stop"; id: number; code: bigint }
  | { kind: "credit"; max: number }
  | { kind: "streamCredit"; id: number; max: number }
  | { kind: "streams"; isUni: boolean; max: number }
  | { kind: "datagram"; bytes: Uint8Array }
  | { kind: "ticket" }
  | { kind: "close"; cause: number; code: bigint; reason: string }
);

/** A frame without its time: what is handed to the network. */
export type Sent = Frame extends infer One
  ? One extends Frame
    ? Omit<One, "dueMs">
    : never
  : never;

type Counted = (typeof QUIC_NUMBERS)[number];
const COUNT_AT = new Map<Counted, number>(QUIC_NUMBERS.map((name, index) => [name, index]));
const MOMENT_AT = new Map(QUIC_MOMENTS.map((name, index) => [name, QUIC_COUNTS + index]));

/** Longest datagram that the path takes. */
export const PATH_DATAGRAM_BYTES = 1200;
/** Datagrams that wait in each direction. */
export const DATAGRAMS_MAX = 8;

/** Our direction of a stream. */
export type OutState = "none" | "open" | "finishing" | "finished" | "reset";
/** The peer's. */
export type InState = "none" | "open" | "ended" | "reset" | "stopped";

/** One side of a stream. */
export class SimStream {
  readonly connection: SimConnection;
  readonly id: number;
  handle = 0;
  owner: StreamOwner | null = null;
  isReleased = false;
  outState: OutState;
  /** Everything of our direction has arrived. */
  isOutAcknowledged = false;
  readonly unsent: Uint8Array[] = [];
  unsentBytes = 0;
  /** Sent and not acknowledged. */
  flyingBytes = 0;
  sentBytes = 0;
  /** The peer was told of it: by an empty frame, if there was nothing else by then. */
  isAnnounced: boolean;
  /** The peer takes so many bytes in all. */
  outMax: number;
  wantsWritable = false;
  isBlocked = false;
  inState: InState;
  readonly pieces: { bytes: Uint8Array; offset: number }[] = [];
  unreadBytes = 0;
  receivedBytes = 0;
  consumedBytes = 0;
  /** Unread bytes that the peer may cause: few until somebody begins to read. */
  private window: number;
  /** So much the peer was told. */
  inMax: number;
  /** An event about unread bytes waits to be told. */
  isDataQueued = false;

  constructor(connection: SimConnection, id: number, outMax: number) {
    this.connection = connection;
    this.id = id;
    const isLocal = isOpenedBy(id, connection.isServer);
    const isUni = isUniId(id);
    this.outState = isUni && !isLocal ? "none" : "open";
    this.inState = isUni && isLocal ? "none" : "open";
    this.outMax = outMax;
    this.window = isLocal ? connection.spec.streamWindow : firstWindow(connection.spec);
    this.inMax = this.window;
    this.isAnnounced = !isLocal;
  }

  get isOutOver(): boolean {
    return this.outState === "none" || this.isOutAcknowledged;
  }

  get isInOver(): boolean {
    const { inState } = this;
    return inState === "none" || inState === "ended" || inState === "reset";
  }

  /** Somebody reads: from now on the whole window counts. */
  widen(): void {
    this.window = this.connection.spec.streamWindow;
  }

  /** What the peer may be told. */
  get allowance(): number {
    return this.consumedBytes + this.window;
  }

  /** Bytes that the stream may still take from its writer. */
  get room(): number {
    return this.connection.spec.sendBuffer - this.unsentBytes - this.flyingBytes;
  }
}

/**
 * Window of a stream that a peer opened and nobody reads yet. All of them together leave half of
 * the connection's window to those that are read: otherwise streams that wait for others to end
 * (for a slot, for the credit of the next connection) could keep these from ever ending.
 */
export function firstWindow(spec: QuicTransportSpec): number {
  const streams = Math.max(1, spec.streamsBidiMax + spec.streamsUniMax);
  const share = Math.floor(spec.connectionWindow / 2 / streams);
  return Math.max(1, Math.min(spec.streamWindow, share));
}

/** Is the stream's opener a server? */
export function isOpenedBy(id: number, isServer: boolean): boolean {
  return (id & 1) === (isServer ? 1 : 0);
}

export function isUniId(id: number): boolean {
  return (id & 2) !== 0;
}

export type ConnectionState = "handshake" | "established" | "over";

/** One side of a connection. */
export class SimConnection {
  readonly network: SimNetwork;
  readonly isServer: boolean;
  readonly proxyRow: number;
  readonly spec: QuicTransportSpec;
  readonly tell: Told;
  handle = 0;
  owner: ConnectionOwner | null = null;
  /** Of a server's side: who is asked for an owner once the handshake is done. */
  endpointOwner: EndpointOwner | null = null;
  peer: SimConnection | null = null;
  state: ConnectionState = "handshake";
  /** The owner is told nothing more: it has closed it itself. */
  isDisowned = false;
  wasEstablished = false;
  /** Nothing arrives any more, in either direction. */
  isCut = false;
  readonly bornMs: number;
  heardMs: number;
  /** When bytes of ours were acknowledged last. */
  ackedMs: number;
  /** Of a client that has no answer yet: when it knocks again. */
  knockAtMs = Infinity;
  /** Its end has been told. */
  isToldOver = false;
  isReleased = false;
  /** Nothing goes out before. */
  heldUntilMs = 0;
  /** When it is released; Infinity = it lives. */
  releaseAtMs = Infinity;
  readonly inbound: Frame[] = [];
  readonly streams = new Map<number, SimStream>();
  /** Streams of the peer that are over for good. */
  private readonly forgotten = new Set<number>();
  /** How many streams: we may open, we have opened, the peer may open; bidi and uni. */
  readonly mayOpen: [number, number] = [0, 0];
  readonly hasOpened: [number, number] = [0, 0];
  readonly peerMayOpen: [number, number];
  /** Bytes of all streams: the peer takes, we have sent, we have consumed, we have allowed. */
  outMax = 0;
  sentBytes = 0;
  flyingBytes = 0;
  consumedBytes = 0;
  inMax: number;
  isBlocked = false;
  readonly datagrams: Uint8Array[] = [];
  isDatagramQueued = false;
  readonly counts = new Float64Array(QUIC_COUNTS);
  readonly counted = new Float64Array(QUIC_COUNTS);
  readonly local = new Endpoint();
  readonly remote = new Endpoint();
  sni = "";
  alpn = "";
  alpnOffered: readonly string[] = [];
  reason = "";
  failure = "";
  hasTicket = false;
  isResumed = false;

  constructor(
    network: SimNetwork,
    tell: Told,
    isServer: boolean,
    proxyRow: number,
    spec: QuicTransportSpec,
  ) {
    this.network = network;
    this.tell = tell;
    this.isServer = isServer;
    this.proxyRow = proxyRow;
    this.spec = spec;
    this.bornMs = network.nowMs();
    this.heardMs = this.bornMs;
    this.ackedMs = this.bornMs;
    this.peerMayOpen = [spec.streamsBidiMax, spec.streamsUniMax];
    this.inMax = spec.connectionWindow;
  }

  count(name: Counted, by = 1): void {
    const at = COUNT_AT.get(name)!;
    this.counts[at] = this.counts[at]! + by;
  }

  countOf(name: Counted): number {
    return this.counts[COUNT_AT.get(name)!]!;
  }

  /** QUIC_NUMBERS and QUIC_MOMENTS, as they are now. */
  numbers(out: Float64Array): void {
    out.set(this.counts);
    const set = (name: (typeof QUIC_MOMENTS)[number], value: number): void => {
      out[MOMENT_AT.get(name)!] = value;
    };
    let unread = 0;
    let unsent = 0;
    for (const stream of this.streams.values()) {
      unread += stream.unreadBytes;
      unsent += stream.unsentBytes + stream.flyingBytes;
    }
    set("rttLatestMicros", 1000);
    set("rttMinMicros", 1000);
    set("rttSmoothMicros", 1000);
    set("rttVarianceMicros", 0);
    set("cwnd", this.network.habits.flightBytesMax);
    set("ssthresh", 0);
    set("inFlight", this.flyingBytes);
    set("streamsNow", this.streams.size);
    set("ageMillis", this.network.nowMs() - this.bornMs);
    set("idleMillis", this.network.nowMs() - this.heardMs);
    set("unread", unread);
    set("unsent", unsent);
    set("state", this.state === "handshake" ? 0 : this.state === "established" ? 1 : 2);
  }

  // ── out ──

  /** Hands a frame to the network. */
  send(frame: Sent): void {
    this.count("packetsSent");
    const bytes = frame.kind === "bytes" ? frame.bytes.length : 20;
    this.count("bytesSent", bytes);
    this.peer?.network.carry(this.peer, frame);
  }

  openStream(isUni: boolean): SimStream | null {
    const kind = isUni ? 1 : 0;
    const index = this.hasOpened[kind];
    if (this.state !== "established" || index >= this.mayOpen[kind]) {
      this.count("blockedStreams");
      return null;
    }
    this.hasOpened[kind] = index + 1;
    this.count(isUni ? "streamsUniLocal" : "streamsBidiLocal");
    const id = index * 4 + (isUni ? 2 : 0) + (this.isServer ? 1 : 0);
    return this.addStream(id);
  }

  private addStream(id: number): SimStream {
    const { spec } = this.peer!;
    const isLocal = isOpenedBy(id, this.isServer);
    const stream = new SimStream(this, id, isLocal ? firstWindow(spec) : spec.streamWindow);
    this.streams.set(id, stream);
    return stream;
  }

  /** Could `flush` send something? */
  get hasOutput(): boolean {
    if (this.state !== "established" || this.network.nowMs() < this.heldUntilMs) return false;
    for (const stream of this.streams.values()) if (this.sendable(stream) !== 0) return true;
    return false;
  }

  /** Bytes that may go out now; -1 = a frame without bytes: an end, or the opening. */
  private sendable(stream: SimStream): number {
    const { outState, isAnnounced } = stream;
    if (outState !== "open" && outState !== "finishing") return 0;
    if (stream.unsentBytes === 0) return outState === "finishing" || !isAnnounced ? -1 : 0;
    const { habits } = this.network;
    const ofStream = stream.outMax - stream.sentBytes;
    const ofConnection = this.outMax - this.sentBytes;
    this.noteBlocked(stream, ofStream, ofConnection);
    // Whole frames: a window that is nearly full must not cut them into crumbs.
    if (this.flyingBytes >= habits.flightBytesMax) return 0;
    return Math.max(0, Math.min(stream.unsentBytes, ofStream, ofConnection));
  }

  private noteBlocked(stream: SimStream, ofStream: number, ofConnection: number): void {
    if (ofStream <= 0 && !stream.isBlocked) this.count("blockedStream");
    if (ofConnection <= 0 && !this.isBlocked) this.count("blockedConnection");
    stream.isBlocked = ofStream <= 0;
    this.isBlocked = ofConnection <= 0;
  }

  /** Sends what may go out, a frame of each stream at a time. */
  flush(): void {
    for (let sent = true; sent;) {
      sent = false;
      for (const stream of this.streams.values()) sent = this.sendSome(stream) || sent;
    }
  }

  private sendSome(stream: SimStream): boolean {
    const { choices, habits } = this.network;
    const most = this.sendable(stream);
    if (most === 0) return false;
    stream.isAnnounced = true;
    if (most < 0) {
      const isEnd = stream.outState === "finishing";
      if (isEnd) stream.outState = "finished";
      this.send({ kind: "bytes", id: stream.id, bytes: new Uint8Array(0), isEnd });
      return true;
    }
    const length = choices.between(1, Math.min(most, habits.pieceBytesMax));
    const bytes = takeBytes(stream, length);
    stream.sentBytes += length;
    stream.flyingBytes += length;
    this.sentBytes += length;
    this.flyingBytes += length;
    const isLast = stream.outState === "finishing" && stream.unsentBytes === 0;
    const isEnd = isLast && choices.chance(0.5);
    if (isEnd) stream.outState = "finished";
    this.send({ kind: "bytes", id: stream.id, bytes, isEnd });
    return true;
  }

  resetStream(stream: SimStream, code: bigint): void {
    if (stream.outState === "none" || stream.outState === "reset" || stream.isOutOver) return;
    stream.outState = "reset";
    stream.unsent.length = 0;
    stream.unsentBytes = 0;
    stream.wantsWritable = false;
    stream.isAnnounced = true;
    this.count("streamResetsSent");
    this.send({ kind: "reset", id: stream.id, code });
  }

  stopStream(stream: SimStream, code: bigint): void {
    if (stream.inState === "none" || stream.inState === "reset" || stream.inState === "stopped") {
      return;
    }
    const wasEnded = stream.inState === "ended";
    this.discard(stream);
    if (wasEnded) return;
    stream.inState = "stopped";
    this.count("stopsSent");
    this.send({ kind: "stop", id: stream.id, code });
  }

  // ── in ──

  /** What the reader is done with: credit for the peer. */
  consume(stream: SimStream, count: number): void {
    stream.unreadBytes -= count;
    stream.consumedBytes += count;
    for (let left = count; left > 0;) {
      const piece = stream.pieces[0]!;
      const some = Math.min(left, piece.bytes.length - piece.offset);
      // Whoever still looks at it sees that it is not his any more.
      piece.bytes.fill(0xee, piece.offset, piece.offset + some);
      piece.offset += some;
      left -= some;
      if (piece.offset === piece.bytes.length) stream.pieces.shift();
    }
    this.allow(count);
    if (count > 0) stream.widen();
    this.extend(stream);
  }

  private extend(stream: SimStream): void {
    const max = stream.allowance;
    if (stream.inState !== "open" || max <= stream.inMax) return;
    stream.inMax = max;
    this.send({ kind: "streamCredit", id: stream.id, max });
  }

  private allow(count: number): void {
    this.consumedBytes += count;
    const max = this.consumedBytes + this.spec.connectionWindow;
    if (count === 0 || this.state !== "established") return;
    this.inMax = max;
    this.send({ kind: "credit", max });
  }

  /** Throws away what is unread; its credit goes back. */
  private discard(stream: SimStream): void {
    const { unreadBytes } = stream;
    stream.pieces.length = 0;
    stream.unreadBytes = 0;
    stream.consumedBytes += unreadBytes;
    this.allow(unreadBytes);
  }

  /** The owner knows the stream no more. */
  releaseStream(stream: SimStream): void {
    stream.owner = null;
    stream.isReleased = true;
    this.discard(stream);
    this.settle(stream);
  }

  /** A stream that is over in both directions, and that nobody holds, makes room for another. */
  settle(stream: SimStream): void {
    if (!stream.isReleased || !stream.isOutOver || !stream.isInOver) return;
    if (!this.streams.delete(stream.id)) return;
    this.tell.streamGone(stream);
    if (isOpenedBy(stream.id, this.isServer)) return;
    this.forgotten.add(stream.id);
    const kind = isUniId(stream.id) ? 1 : 0;
    this.peerMayOpen[kind]++;
    if (this.state !== "established") return;
    this.send({ kind: "streams", isUni: kind === 1, max: this.peerMayOpen[kind] });
  }

  /** Takes one frame. */
  arrive(frame: Frame): void {
    this.heardMs = this.network.nowMs();
    this.count("packetsReceived");
    this.count("bytesReceived", frame.kind === "bytes" ? frame.bytes.length : 20);
    switch (frame.kind) {
      case "bytes":
        this.takeFrame(frame.id, frame.bytes, frame.isEnd);
        return;
      case "reset":
        this.takeReset(frame.id, frame.code);
        return;
      case "stop":
        this.takeStop(frame.id, frame.code);
        return;
      case "credit":
        this.outMax = Math.max(this.outMax, frame.max);
        return;
      case "streamCredit": {
        const stream = this.streams.get(frame.id);
        if (stream !== undefined) stream.outMax = Math.max(stream.outMax, frame.max);
        return;
      }
      case "streams":
        this.takeStreams(frame.isUni ? 1 : 0, frame.max);
        return;
      case "datagram":
        this.takeDatagram(frame.bytes);
        return;
      case "ticket":
        this.hasTicket = true;
        return;
      default:
        // Handshake and close are the transport's.
        this.tell.arrived(this, frame);
    }
  }

  /** The stream that a frame names; null = it is over, or one of ours that never was. */
  private streamOf(id: number): SimStream | null {
    const known = this.streams.get(id);
    if (known !== undefined) return known;
    if (isOpenedBy(id, this.isServer) || this.forgotten.has(id)) return null;
    const kind = isUniId(id) ? 1 : 0;
    if (id >> 2 >= this.peerMayOpen[kind]) throw new RangeError(`stream ${id} is above the limit`);
    this.count(kind === 1 ? "streamsUniRemote" : "streamsBidiRemote");
    const stream = this.addStream(id);
    this.tell.streamOpened(stream);
    return stream;
  }

  private takeFrame(id: number, bytes: Uint8Array, isEnd: boolean): void {
    this.acknowledgeBytes(id, bytes.length, isEnd);
    const stream = this.streamOf(id);
    if (stream === null || stream.inState !== "open" || stream.isReleased) {
      this.allow(bytes.length);
      if (stream !== null) this.throwAway(stream, bytes.length, isEnd);
      return;
    }
    stream.receivedBytes += bytes.length;
    if (stream.receivedBytes > stream.inMax) throw new RangeError(`stream ${id}: above its credit`);
    if (bytes.length > 0) stream.pieces.push({ bytes, offset: 0 });
    stream.unreadBytes += bytes.length;
    if (isEnd) stream.inState = "ended";
    if (bytes.length > 0 || isEnd) this.tell.data(stream);
    this.settle(stream);
  }

  /** Nobody reads it: its credit goes back at once. */
  private throwAway(stream: SimStream, length: number, isEnd: boolean): void {
    stream.receivedBytes += length;
    stream.consumedBytes += length;
    if (isEnd && stream.inState !== "reset") stream.inState = "ended";
    else if (length > 0) this.extend(stream);
    this.settle(stream);
  }

  /** The sender hears that they have arrived. */
  private acknowledgeBytes(id: number, length: number, isEnd: boolean): void {
    const { peer } = this;
    if (peer === null) return;
    peer.flyingBytes -= length;
    if (length > 0) peer.ackedMs = this.network.nowMs();
    const sender = peer.streams.get(id);
    if (sender === undefined) return;
    sender.flyingBytes -= length;
    if (isEnd && sender.outState === "finished") sender.isOutAcknowledged = true;
    if (length > 0 && sender.wantsWritable) peer.tell.writable(sender);
    peer.settle(sender);
  }

  private takeReset(id: number, code: bigint): void {
    this.count("streamResetsReceived");
    const sender = this.peer?.streams.get(id);
    if (sender !== undefined) {
      sender.isOutAcknowledged = true;
      this.peer!.settle(sender);
    }
    const stream = this.streamOf(id);
    if (stream === null) return;
    const isTold = stream.inState === "open";
    // All bytes and the end have come: nothing is lost, the end stands.
    if (stream.inState === "open" || stream.inState === "stopped") {
      this.discard(stream);
      stream.inState = "reset";
    }
    if (isTold && !stream.isReleased) this.tell.streamReset(stream, code);
    this.settle(stream);
  }

  private takeStop(id: number, code: bigint): void {
    this.count("stopsReceived");
    const stream = this.streamOf(id);
    if (stream === null || stream.outState === "none" || stream.isOutOver) return;
    if (stream.outState === "reset") return;
    this.resetStream(stream, code);
    if (!stream.isReleased) this.tell.streamStopped(stream, code);
  }

  private takeStreams(kind: 0 | 1, max: number): void {
    if (max <= this.mayOpen[kind]) return;
    this.mayOpen[kind] = max;
    this.tell.credit(this, kind === 0, kind === 1);
  }

  private takeDatagram(bytes: Uint8Array): void {
    this.count("datagramsReceived");
    if (this.datagrams.length >= DATAGRAMS_MAX) {
      this.datagrams.shift();
      this.count("datagramsDropped");
    }
    this.datagrams.push(bytes);
    this.tell.datagram(this);
  }

  /** What each side may do as soon as the handshake is over for it. */
  establish(): void {
    const { peer } = this;
    this.state = "established";
    this.wasEstablished = true;
    this.count("handshakesDone");
    const { choices, habits, nowMs } = this.network;
    if (choices.chance(habits.lateStart)) this.heldUntilMs = nowMs() + habits.lostMs;
    this.mayOpen[0] = peer!.spec.streamsBidiMax;
    this.mayOpen[1] = peer!.spec.streamsUniMax;
    this.outMax = peer!.spec.connectionWindow;
  }

  /** Frames that may arrive now, by place in `inbound`. */
  arrivals(nowMs: number): number[] {
    const found: number[] = [];
    const streams = new Set<number>();
    for (const [at, frame] of this.inbound.entries()) {
      if (this.state === "over") return found;
      const isFirst = frame.kind !== "bytes" || !streams.has(frame.id);
      if (frame.kind === "bytes") streams.add(frame.id);
      if (frame.dueMs > nowMs || !isFirst) continue;
      const ofHandshake =
        frame.kind === "welcome" || frame.kind === "confirm" || frame.kind === "close";
      if (this.state === "established" || ofHandshake) found.push(at);
    }
    return found;
  }

  toString(): string {
    return `${this.isServer ? "server" : "client"} side of ${this.local.port}-${this.remote.port}`;
  }
}

/** What a connection tells its transport, which keeps it until its turn. */
export type Told = {
  streamOpened(stream: SimStream): void;
  streamGone(stream: SimStream): void;
  data(stream: SimStream): void;
  writable(stream: SimStream): void;
  streamReset(stream: SimStream, code: bigint): void;
  streamStopped(stream: SimStream, code: bigint): void;
  credit(connection: SimConnection, bidi: boolean, uni: boolean): void;
  datagram(connection: SimConnection): void;
  /** A frame of the handshake, or of the end. */
  arrived(connection: SimConnection, frame: Frame): void;
};

/** A handshake that a client has begun, on its way to whoever listens. */
export type Initial = { client: SimConnection; dueMs: number };

/** Where clients arrive: one of a port's, of one transport. */
export type SimSocketOfQuic = { port: number; initials: Initial[] };

/** Carries frames between transports. */
export class SimNetwork {
  readonly choices: Choices;
  readonly habits: QuicHabits;
  readonly nowMs: () => number;
  private readonly sockets = new Map<number, SimSocketOfQuic[]>();
  private port = 40_000;
  /** Which of a port's sockets a new connection meets: by its connection ID, so by chance. */
  steer: (sockets: readonly SimSocketOfQuic[], client: SimConnection) => SimSocketOfQuic;
  /** How a port answers somebody who knocks; by default it does if anybody is there. */
  answers: (client: SimConnection) => "yes" | "refuse" | "silence" = () => "yes";
  trace: (line: () => string) => void = () => {};

  constructor(choices: Choices, habits: QuicHabits, nowMs: () => number) {
    this.choices = choices;
    this.habits = habits;
    this.nowMs = nowMs;
    this.steer = (sockets) => choices.pick(sockets);
  }

  nextPort(): number {
    return this.port++;
  }

  bind(socket: SimSocketOfQuic): void {
    const bound = this.sockets.get(socket.port);
    if (bound === undefined) this.sockets.set(socket.port, [socket]);
    else bound.push(socket);
  }

  unbind(socket: SimSocketOfQuic): void {
    const bound = this.sockets.get(socket.port) ?? [];
    const at = bound.indexOf(socket);
    if (at >= 0) bound.splice(at, 1);
  }

  /** A client knocks. @returns false: nobody is there */
  knock(client: SimConnection): boolean {
    const sockets = this.sockets.get(client.remote.port) ?? [];
    const answer = this.answers(client);
    if (sockets.length === 0 || answer === "refuse") return false;
    if (answer === "silence") return true;
    this.steer(sockets, client).initials.push({ client, dueMs: this.dueMs(0) });
    return true;
  }

  /** A frame on its way to `to`. */
  carry(to: SimConnection, frame: Sent): void {
    if (to.isCut || to.state === "over") return;
    const isCredit =
      frame.kind === "credit" || frame.kind === "streamCredit" || frame.kind === "streams";
    if (frame.kind === "datagram" && this.choices.chance(this.habits.datagramLost)) return;
    if (isCredit && mergeCredit(to.inbound, frame)) return;
    const late = isCredit ? this.habits.lateCredit : 0;
    to.inbound.push({ ...frame, dueMs: this.dueMs(late) });
  }

  private dueMs(late: number): number {
    const { choices, habits } = this;
    let delay = choices.below(habits.delayMsMax + 1);
    if (choices.chance(habits.lost) || choices.chance(late)) delay += habits.lostMs;
    return this.nowMs() + delay;
  }

  /** Cuts a connection: neither side hears of the other again. */
  cut(connection: SimConnection): void {
    for (const side of [connection, connection.peer]) {
      if (side === null) continue;
      side.isCut = true;
      side.inbound.length = 0;
    }
  }
}

/** Newer credit takes the place of older that is still under way. @returns whether it did */
function mergeCredit(inbound: Frame[], frame: Sent): boolean {
  for (const waiting of inbound) {
    if (frame.kind === "credit" && waiting.kind === "credit") {
      waiting.max = frame.max;
      return true;
    }
    if (frame.kind === "streamCredit" && waiting.kind === "streamCredit") {
      if (waiting.id !== frame.id) continue;
      waiting.max = frame.max;
      return true;
    }
    if (frame.kind === "streams" && waiting.kind === "streams") {
      if (waiting.isUni !== frame.isUni) continue;
      waiting.max = frame.max;
      return true;
    }
  }
  return false;
}

function takeBytes(stream: SimStream, length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const first = stream.unsent[0]!;
    const some = Math.min(length - at, first.length);
    out.set(first.subarray(0, some), at);
    at += some;
    if (some === first.length) stream.unsent.shift();
    else stream.unsent[0] = first.subarray(some);
  }
  stream.unsentBytes -= length;
  return out;
}
