/**
 * One stream: a client's connection from accept to log. This file is the map of the data plane:
 * the states stand in flow order, and each event calls one stage below.
 *
 *   accept/ → HEADER → route/ → balance (choose) ─┬→ CONNECT → RELAY → account/ → log/
 *             PROXY in                            ├→ QUEUE ──┘ ↑ │
 *                                                 └→ RETRY ────┘ └ failure: retry, redispatch
 *
 * A stream belongs to one worker; nobody else touches it. Bytes that cannot go on yet stay in the
 * conduit they came from: the stream holds none.
 *
 * @hot
 */
import { assert, unreachable } from "../base/assert.ts";
import { BACK, CLOSE_CLEAN, FRONT, NO_CODE, WRITE_CLOSED } from "../conduit/conduit.ts";
import type { Conduit, ConduitOwner, ConnectionFacts } from "../conduit/conduit.ts";
import { Endpoint } from "../conduit/sockaddr.ts";
import { headerEnded, headerTimedOut, receiveHeader } from "./accept/header.ts";
import type { HeaderState } from "./accept/header.ts";
import { breakClientEarly, endClientEarly } from "./account/abort.ts";
import { queueTimedOut } from "./connect/choose.ts";
import { connectFailed, connectTimer, retryNow, serverConnected } from "./connect/connect.ts";
import type { Engine } from "./engine.ts";
import { peerReset, peerStopped } from "./relay/one-way.ts";
import {
  armRelay,
  countMoved,
  peerClosed,
  peerEnded,
  relayBytes,
  relayTimer,
} from "./relay/relay.ts";
import type { ListenerView, ProxyView, ServerView } from "./views.ts";

/** In the pool. */
export const STREAM_FREE = 0;
/** Waits for the client's PROXY header. */
export const STREAM_HEADER = 1;
/** Between two stages, within one callback. */
export const STREAM_ROUTE = 2;
/** Waits for a slot of a server. */
export const STREAM_QUEUE = 3;
/** A connection to the server is under way. */
export const STREAM_CONNECT = 4;
/** Waits before the same server is tried again. */
export const STREAM_RETRY = 5;
/** Client and server are joined. */
export const STREAM_RELAY = 6;

export class Stream implements ConduitOwner {
  readonly engine: Engine;
  readonly slot: number;
  generation = 0;
  state = STREAM_FREE;

  front: Conduit | null = null;
  back: Conduit | null = null;
  listener: ListenerView | null = null;
  backend: ProxyView | null = null;
  server: ServerView | null = null;
  /** Neighbours in the server's list of this worker's streams. */
  nextOfServer: Stream | null = null;
  previousOfServer: Stream | null = null;
  isAttached = false;

  /** Directions that have ended: the client's, the server's. */
  frontEnded = false;
  backEnded = false;
  /** Side to be told at the end of the loop turn that the other has finished; -1 = none. */
  finishSide = -1;
  /** A side takes no more: its idle limit counts although it has ended its direction. */
  frontBlocked = false;
  backBlocked = false;
  /** A write found the connection gone: its clean close is an abort. */
  frontBroken = false;
  backBroken = false;
  /** CAUSE_* of the first direction that was broken off while the other goes on; 0 = none. */
  brokenCause = 0;
  /** Application code that came with an abort, to be passed on; NO_CODE = none. */
  abortCode = NO_CODE;

  /** Times on the monotonic clock, ms; -1 = not reached. */
  acceptedAtMs = 0;
  acceptedEpochMicros = 0;
  handshakeMs = 0;
  queuedAtMs = -1;
  assignedAtMs = -1;
  /** When the attempt at the server began; kept where connect times are measured. */
  dialedAtMs = 0;
  connectedAtMs = -1;
  lastFrontMs = 0;
  lastBackMs = 0;
  /** When the state's own timer runs out; Infinity = never. */
  deadlineMs = Infinity;

  /** Bytes from the client and from the server, and what of them is in the shared counters. */
  bytesUp = 0;
  bytesDown = 0;
  countedUp = 0;
  countedDown = 0;

  retriesLeft = 0;
  retries = 0;
  wasRedispatched = false;
  /** Queue entry, 0 = not in a queue. */
  queueEntry = 0;
  /** Streams that were ahead in the server's and in the backend's queue. */
  serverQueueAhead = 0;
  backQueueAhead = 0;
  /** Hash for deterministic balancing. */
  hash = 0;
  uniqueCounter = 0;
  uniqueId = "";
  wasLogged = false;

  /** Who the client is and what it reached: the socket's addresses or the PROXY header's. */
  readonly client = new Endpoint();
  readonly destination = new Endpoint();
  /** Our side of the connection to the server; filled when a log wants it. */
  readonly source = new Endpoint();
  /** PROXY header under way, and facts it gave; null where none was expected. */
  header: HeaderState | null = null;
  /** TLS of the client, once something has asked (`route/stream-tls.ts`). */
  tls: ConnectionFacts | null = null;

  constructor(engine: Engine, slot: number) {
    this.engine = engine;
    this.slot = slot;
  }

  get frontend(): ProxyView {
    return this.listener!.proxy;
  }

  onOpen(side: number): void {
    assert(side === BACK && this.state === STREAM_CONNECT, "onOpen: a server was being connected");
    serverConnected(this);
  }

  onData(side: number, bytes: Uint8Array, offset: number, length: number): number {
    if (this.state === STREAM_RELAY) return relayBytes(this, side, bytes, offset, length);
    if (this.state === STREAM_HEADER) return receiveHeader(this, bytes, offset, length);
    // Early bytes wait in the client's conduit until the server is there.
    assert(side === FRONT, "onData: only the client can be early");
    return 0;
  }

  onDrain(side: number): void {
    if (this.state !== STREAM_RELAY) return;
    const wasBlocked = side === FRONT ? this.frontBlocked : this.backBlocked;
    if (side === FRONT) this.frontBlocked = false;
    else this.backBlocked = false;
    const other = side === FRONT ? this.back : this.front;
    if (other !== null) other.resume();
    // The other side is heard again: its idle limit, which may be the nearer one, counts again.
    if (wasBlocked && this.state === STREAM_RELAY) armRelay(this);
  }

  onEnd(side: number): void {
    if (this.state === STREAM_RELAY) peerEnded(this, side);
    else if (this.state === STREAM_HEADER) headerEnded(this);
    else if (side === FRONT) {
      this.frontEnded = true;
      if (this.backend !== null && this.backend.spec.options.abortonclose) {
        endClientEarly(this, true);
      }
    } else {
      // The server finished before the connection was told: serverConnected comes first.
      unreachable("onEnd: a server that is not connected cannot end");
    }
  }

  onEndAhead(side: number): void {
    if (side !== FRONT || this.state < STREAM_QUEUE || this.state === STREAM_RELAY) return;
    if (this.backend!.spec.options.abortonclose) endClientEarly(this, true);
  }

  onReset(side: number, code: bigint): void {
    if (this.state === STREAM_RELAY) peerReset(this, side, code);
    else if (side === FRONT) this.abortEarly(code);
    else unreachable("onReset: a server that is not connected has no direction");
  }

  onStop(side: number, code: bigint): void {
    if (this.state === STREAM_RELAY) peerStopped(this, side, code);
    else if (side === FRONT) this.abortEarly(code);
    else unreachable("onStop: a server that is not connected has no direction");
  }

  /** A client that breaks off before it has a server leaves altogether. @cold */
  private abortEarly(code: bigint): void {
    this.abortCode = code;
    if (this.state === STREAM_HEADER) headerEnded(this);
    else breakClientEarly(this);
  }

  onMoved(side: number, bytes: number): void {
    assert(this.state === STREAM_RELAY, "onMoved: sessions are joined in the relay");
    countMoved(this, side, bytes);
  }

  onClose(side: number, code: number): void {
    if (this.state === STREAM_RELAY) peerClosed(this, side, code);
    else if (side === BACK) connectFailed(this);
    else if (code === CLOSE_CLEAN && this.state !== STREAM_HEADER) {
      // Only after our own finish() could a client close cleanly, and that comes with the relay.
      endClientEarly(this, true);
    } else if (this.state === STREAM_HEADER) headerEnded(this);
    else endClientEarly(this, false);
  }

  /** The wheel: the deadline of the state may have passed. */
  onTimer(): void {
    const now = this.engine.clock.nowMs();
    switch (this.state) {
      case STREAM_HEADER:
        headerTimedOut(this);
        return;
      case STREAM_QUEUE:
        queueTimedOut(this, now);
        return;
      case STREAM_CONNECT:
        connectTimer(this, now);
        return;
      case STREAM_RETRY:
        retryNow(this);
        return;
      case STREAM_RELAY:
        relayTimer(this, now);
        return;
      default:
        // A slot that was freed and taken again within the same tick: nothing is due.
        return;
    }
  }

  /** Sets the state's deadline, `delayMs` < 0 = none. */
  setDeadline(delayMs: number): void {
    if (delayMs < 0) {
      this.deadlineMs = Infinity;
      this.engine.wheel.clear(this.slot);
      return;
    }
    this.deadlineMs = this.engine.clock.nowMs() + delayMs;
    this.engine.setTimer(this.slot, this.deadlineMs);
  }
}

/** Writes to a conduit of the stream, remembering that it was found broken. */
export function writeTo(
  stream: Stream,
  side: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
): number {
  const conduit = side === FRONT ? stream.front : stream.back;
  const taken = conduit === null ? WRITE_CLOSED : conduit.write(bytes, offset, length);
  if (taken === WRITE_CLOSED) {
    if (side === FRONT) stream.frontBroken = true;
    else stream.backBroken = true;
  }
  return taken;
}
