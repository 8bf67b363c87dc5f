/**
 * One connection to a QUIC server, and the streams on it.
 *
 * ```
 *   CONNECTING ─(handshake)→ OPEN ─(max-reuse, replaced)→ RETIRING ─(last stream left)→ CLOSED
 *       └──── lost: its streams are told; who waited goes elsewhere, or is told why ────┘
 * ```
 */
import { assert } from "../../base/assert.ts";
import type { QuicNote } from "./describe.ts";
import type { ServerPool } from "./pool.ts";
import { countServerIdle, countServerOpen } from "./presence.ts";
import { failureCode } from "./quic-conduit.ts";
import type { ConduitHome, QuicConduit } from "./quic-conduit.ts";
import { cleanCodeOf, dropDatagrams, refuseStream, StreamList } from "./stream-list.ts";
import { QUIC_COUNTS, QUIC_MOMENTS, QUIC_NUMBERS } from "./transport.ts";
import type { ConnectionOwner } from "./transport.ts";

/** Its handshake is under way. */
export const CONNECTION_CONNECTING = 0;
/** Takes streams, as many as the server allows. */
export const CONNECTION_OPEN = 1;
/** Takes no more streams; closed when the last has left. */
export const CONNECTION_RETIRING = 2;
/** Over: it holds nothing. */
export const CONNECTION_CLOSED = 3;

/** A handshake that nobody waits for is waited for no longer than this, ms. */
const ORPHAN_MS = 1000;
/** Round trips without an answer after which the other side is taken to be gone. */
const SILENT_RTTS = 8;
/** A path on which half of all bytes of so long are lost is taken to be broken, ms. */
const STUCK_MS = 2000;
const BYTES_SENT = QUIC_NUMBERS.indexOf("bytesSent");
const BYTES_LOST = QUIC_NUMBERS.indexOf("bytesLost");
const UNSENT = QUIC_COUNTS + QUIC_MOMENTS.indexOf("unsent");
const IN_FLIGHT = QUIC_COUNTS + QUIC_MOMENTS.indexOf("inFlight");
const IDLE_MILLIS = QUIC_COUNTS + QUIC_MOMENTS.indexOf("idleMillis");
const RTT_MICROS = QUIC_COUNTS + QUIC_MOMENTS.indexOf("rttSmoothMicros");

export class ServerConnection implements ConnectionOwner, ConduitHome {
  handle = 0;
  state = CONNECTION_CONNECTING;
  /** Name that it asked for; "" = none. */
  readonly sni: string;
  /** No stream, and kept for the next one. */
  isIdle = false;
  idleSinceMs = 0;
  /** Nothing has come back for what was sent: it takes no new stream until something does. */
  private isSilent = false;
  /**
   * What is sent is lost although the other side is heard: a path that takes no large packets any
   * more looks alive. It takes no new stream until something arrives.
   */
  private isStuck = false;
  /** Bytes that had been sent and lost, and when. */
  private countedAtMs = 0;
  private sentByThen = 0;
  private lostByThen = 0;
  /** When the handshake began. */
  private begunAtMs = 0;
  /** Something was under way at the last look, and when that was; -1 = nothing was. */
  private owedSinceMs = -1;
  private readonly pool: ServerPool;
  /** The server allows no more streams at the moment. */
  private isFull = false;
  /** Streams that were ever opened. */
  private opened = 0;
  private readonly streams = new StreamList();
  /** Streams that wait for the handshake, or for room: oldest first. */
  private waiting: QuicConduit[] = [];

  constructor(pool: ServerPool, sni: string) {
    this.pool = pool;
    this.sni = sni;
  }

  /** Is there reason to think that what is sent on it arrives? */
  get isSound(): boolean {
    return !this.isSilent && !this.isStuck;
  }

  get streamCount(): number {
    return this.streams.count;
  }

  get waitingCount(): number {
    return this.waiting.length;
  }

  /** The transport has begun it. */
  begin(handle: number): void {
    this.handle = handle;
    const { hub, target } = this.pool;
    this.begunAtMs = hub.clock.nowMs();
    countServerOpen(hub.tables, hub.worker, target.serverRow, 1);
  }

  /** A conduit waits for the handshake, or for room. */
  wait(conduit: QuicConduit): void {
    conduit.home = this;
    // It has no stream, but it is wanted.
    if (this.isIdle) this.setIdle(false, 0);
    this.waiting.push(conduit);
  }

  /** Opens a stream for a conduit. @returns false when there is no room now */
  tryOpen(conduit: QuicConduit): boolean {
    if (this.isFull || !this.isSound || this.state !== CONNECTION_OPEN) return false;
    const { hub, target } = this.pool;
    const { streamsMax } = target.spec;
    if (streamsMax !== undefined && this.streams.count >= streamsMax) {
      this.pool.limitSeen = streamsMax;
      return false;
    }
    const stream = hub.transport.openStream(this.handle, false);
    if (stream < 0) {
      this.isFull = true;
      if (this.streams.count > 0) this.pool.limitSeen = this.streams.count;
      return false;
    }
    if (this.isIdle) this.setIdle(false, 0);
    this.streams.open(conduit, this, this.handle, stream);
    this.opened++;
    // The first use of a connection is no reuse of it.
    const { maxReuse } = target.spec;
    if (maxReuse >= 0 && this.opened > maxReuse) this.state = CONNECTION_RETIRING;
    return true;
  }

  onConnected(): void {
    if (this.state !== CONNECTION_CONNECTING) return;
    this.state = CONNECTION_OPEN;
    this.serveWaiting();
    if (this.state === CONNECTION_OPEN && this.isEmpty()) this.pool.becameIdle(this);
  }

  onCredit(_connection: number, bidi: boolean): void {
    if (!bidi) return;
    this.isFull = false;
    this.serveWaiting();
  }

  /** A server that opens streams speaks a protocol that is more than one stream at a time. */
  onStream(connection: number, stream: number, _id: number, isUni: boolean): void {
    refuseStream(this.pool.hub.transport, connection, stream, isUni);
  }

  note(): QuicNote {
    const streams = this.streams.describe();
    return { serverRow: this.pool.target.serverRow, isSession: false, streams };
  }

  onDatagram(): void {
    dropDatagrams(this.pool.hub.transport, this.handle);
  }

  onClosed(connection: number, cause: number, code: bigint, wasEstablished: boolean): void {
    if (this.state === CONNECTION_CLOSED) return;
    const { hub, target } = this.pool;
    hub.handshakes.ofServer(target.serverRow, connection, cause, code, wasEstablished);
    this.leave();
    // Each of them may dial again at once: what is here is over by then.
    const waiting = this.waiting.splice(0);
    this.streams.endAll(cause, code);
    const failure = failureCode(cause, code);
    for (const conduit of waiting) {
      if (wasEstablished && !conduit.isOver) this.pool.placeAgain(conduit, this.sni);
      else conduit.fail(failure);
    }
  }

  /** Streams for those that wait, as many as there is room for; the rest looks elsewhere. */
  private serveWaiting(): void {
    const waiting = this.waiting;
    this.waiting = [];
    let at = 0;
    while (at < waiting.length && this.tryOpen(waiting[at]!)) at++;
    const isBarren = this.state === CONNECTION_OPEN && this.streams.count === 0;
    // A server that allows nothing at all is waited for, until the owners lose patience.
    if (isBarren) for (; at < waiting.length; at++) this.wait(waiting[at]!);
    const opened = isBarren ? 0 : at;
    for (let i = 0; i < opened; i++) waiting[i]!.tellOpen();
    if (isBarren) return;
    for (let i = at; i < waiting.length; i++) {
      if (!waiting[i]!.isOver) this.pool.placeAgain(waiting[i]!, this.sni);
    }
  }

  conduitLeft(conduit: QuicConduit): void {
    if (this.state === CONNECTION_CLOSED) return;
    if (conduit.place < 0) {
      const at = this.waiting.indexOf(conduit);
      if (at >= 0) this.waiting.splice(at, 1);
      if (!this.isEmpty() || this.isIdle) return;
      if (this.state !== CONNECTION_CONNECTING) this.pool.becameIdle(this);
      // Clients that come and go at once must not cost a handshake each; see `look` for the end.
      else if (!this.pool.wantsIdle() || this.isLate()) this.close();
      return;
    }
    this.streams.remove(conduit);
    if (this.isEmpty()) this.pool.becameIdle(this);
  }

  /** Kept without a stream from `nowMs` on, or in use again. */
  setIdle(isIdle: boolean, nowMs: number): void {
    assert(this.isIdle !== isIdle, "ServerConnection.setIdle: it changes");
    const { hub, target } = this.pool;
    this.isIdle = isIdle;
    this.idleSinceMs = nowMs;
    this.pool.countIdle(isIdle ? 1 : -1);
    countServerIdle(hub.tables, hub.worker, target.serverRow, isIdle ? 1 : -1);
  }

  /** A handshake that takes so long hangs: it is not kept for nobody. */
  private isLate(): boolean {
    return this.pool.hub.clock.nowMs() - this.begunAtMs >= ORPHAN_MS;
  }

  /** From time to time: is the other side still there? Not before the second look is it not. */
  look(nowMs: number): void {
    if (this.state === CONNECTION_CONNECTING) {
      if (this.isEmpty() && this.isLate()) this.close();
      return;
    }
    const { transport, numbers } = this.pool.hub;
    if (this.streams.count === 0 || !transport.connectionNow(this.handle, numbers)) return;
    const heardMsAgo = numbers[IDLE_MILLIS]!;
    const patienceMs = (SILENT_RTTS * numbers[RTT_MICROS]!) / 1000;
    const isOwed = numbers[IN_FLIGHT]! > 0;
    this.isSilent =
      isOwed &&
      this.owedSinceMs >= 0 &&
      heardMsAgo > nowMs - this.owedSinceMs &&
      heardMsAgo > patienceMs;
    if (!isOwed) this.owedSinceMs = -1;
    else if (!this.isSilent) this.owedSinceMs = nowMs;
    this.lookForLosses(nowMs, numbers[UNSENT]!, numbers[BYTES_SENT]!, numbers[BYTES_LOST]!);
  }

  private lookForLosses(nowMs: number, unsent: number, sent: number, lost: number): void {
    if (nowMs - this.countedAtMs < STUCK_MS && unsent > 0) return;
    const sentSince = sent - this.sentByThen;
    const lostSince = lost - this.lostByThen;
    this.countedAtMs = nowMs;
    this.sentByThen = sent;
    this.lostByThen = lost;
    if (unsent === 0) this.isStuck = false;
    // Probes come ever more seldom: without any, what was known before stands.
    else if (sentSince > 0 || lostSince > 0) this.isStuck = lostSince * 2 >= sentSince;
  }

  /** Takes no more streams. */
  retire(): void {
    if (this.state === CONNECTION_CLOSED) return;
    if (this.isEmpty()) this.close();
    // Who waits for its first stream is still served; a pool that is retired keeps nothing idle.
    else if (this.streams.count > 0) this.state = CONNECTION_RETIRING;
  }

  /** Closes it in order; it has no stream. */
  close(): void {
    if (this.state === CONNECTION_CLOSED) return;
    assert(this.isEmpty(), "ServerConnection.close: nobody uses it, nobody waits for it");
    const code = cleanCodeOf(this.pool.hub.transport, this.handle);
    const { handle } = this;
    const { hub, target } = this.pool;
    if (this.state === CONNECTION_CONNECTING) hub.handshakes.givenUp(target.serverRow, handle);
    this.leave();
    hub.closeGently(handle, code);
  }

  private isEmpty(): boolean {
    return this.streams.count === 0 && this.waiting.length === 0;
  }

  private leave(): void {
    const { hub, target } = this.pool;
    if (this.isIdle) this.setIdle(false, 0);
    countServerOpen(hub.tables, hub.worker, target.serverRow, -1);
    this.state = CONNECTION_CLOSED;
    this.pool.left(this);
  }
}
