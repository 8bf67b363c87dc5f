/**
 * A bidirectional QUIC stream as a conduit.
 *
 * The transport keeps the bytes: what the owner does not take stays unread there, and gives the
 * peer no credit. So a conduit holds nothing but a few states.
 *
 * ```
 *   WAITING ─(opened)→ OPEN ─(both directions over)→ CLOSED
 *      └─ of a server's pool: no connection, or no credit for a stream, yet
 * ```
 *
 * @hot
 */
import {
  BACK,
  CLOSE_CLEAN,
  CLOSE_HANDSHAKE,
  CLOSE_OTHER,
  CLOSE_REFUSED,
  CLOSE_RESET,
  CLOSE_RESOURCE,
  CLOSE_TIMEOUT,
  CLOSE_UNREACHABLE,
  CLOSE_UNSENT,
  NO_CODE,
  WRITE_CLOSED,
} from "../conduit.ts";
import type { Conduit, ConduitOwner, ConnectionFacts } from "../conduit.ts";
import { connectCloseCode } from "../errno.ts";
import type { Endpoint } from "../sockaddr.ts";
import { abortCodeFor, cleanCodeFor } from "./codes.ts";
import { factsOf } from "./facts.ts";
import {
  CAUSE_APPLICATION,
  CAUSE_HANDSHAKE,
  CAUSE_IDLE,
  CAUSE_PROTOCOL,
  CAUSE_REFUSED,
  CAUSE_RESET,
  CAUSE_TRANSPORT,
  CAUSE_VERSION,
} from "./transport.ts";
import type { StreamOwner, Transport } from "./transport.ts";

/** Connection errors of TLS are transport codes from here to 0x1ff (RFC 9001 section 4.8). */
const CRYPTO_ERROR = 0x100n;
const CRYPTO_ERROR_LAST = 0x1ffn;
/** Transport code of a server that takes no connections (RFC 9000 section 20.1). */
const CONNECTION_REFUSED = 0x2n;
const ECONNREFUSED = 111n;
/** The largest errno. */
const ERRNO_MAX = 4095;

/** Bytes handed over before others have their turn. */
const BYTES_PER_TURN = 256 * 1024;

const WAITING = 0;
const OPEN = 1;
const CLOSED = 2;

/** The connection that a conduit is on: a client's, or a server's. */
export interface ConduitHome {
  /** The conduit is over: its place is free. */
  conduitLeft(conduit: QuicConduit): void;
}

/** Runs `pump` of a conduit again after the others had their turn. */
export interface TurnTaker {
  readLater(conduit: QuicConduit): void;
}

export class QuicConduit implements Conduit, StreamOwner {
  readonly hasOneWayAborts = true;
  /** The hub's list of conduits that read on later has it. */
  isWaitingTurn = false;
  /** Whoever is told when it is over, and its place in their list; -1 = it is in none. */
  home: ConduitHome | null = null;
  place = -1;
  connection = 0;
  stream = 0;
  abortCode = NO_CODE;
  private readonly transport: Transport;
  private readonly turns: TurnTaker;
  private owner: ConduitOwner | null;
  private side: number;
  private state = WAITING;
  private isHeld = false;
  private isBlocked = false;
  private hasEndAhead = false;
  /** The stream may have something unread, or its end. */
  private isReadable = false;
  /** Inside the delivery to the owner. */
  private isDelivering = false;
  /** The peer's direction is over: ended, reset, or stopped by us. */
  private inOver = false;
  /** Ours: finished, reset, or stopped by the peer. */
  private outOver = false;
  /** An end of the peer that nobody has heard of: no owner yet. */
  private untold: (() => void) | null = null;

  constructor(transport: Transport, turns: TurnTaker, owner: ConduitOwner | null, side: number) {
    this.transport = transport;
    this.turns = turns;
    this.owner = owner;
    this.side = side;
  }

  /** Who takes what it brings. */
  get heldBy(): ConduitOwner | null {
    return this.owner;
  }

  /** The stream is there. For a server's, the owner is told with `tellOpen`. */
  open(connection: number, stream: number): void {
    this.connection = connection;
    this.stream = stream;
    this.state = OPEN;
    this.transport.ownStream(stream, this);
  }

  /** Tells the owner that it is connected; not from inside its own call. */
  tellOpen(): void {
    if (this.state === OPEN && this.owner !== null) this.owner.onOpen(this.side);
  }

  get isWaiting(): boolean {
    return this.state === WAITING;
  }

  get isOver(): boolean {
    return this.state === CLOSED;
  }

  setOwner(owner: ConduitOwner | null, side: number): void {
    this.owner = owner;
    this.side = side;
  }

  /** The client's address, which may change in the life of a connection. */
  remoteEndpoint(out: Endpoint): void {
    out.clear();
    if (this.connection !== 0) this.transport.connectionEndpoint(this.connection, true, out);
  }

  localEndpoint(out: Endpoint): void {
    out.clear();
    if (this.connection !== 0) this.transport.connectionEndpoint(this.connection, false, out);
  }

  /** @cold */
  facts(): ConnectionFacts | null {
    return this.connection === 0 ? null : factsOf(this.transport, this.connection);
  }

  /** Protocol of the connection; "" before there is one. @cold */
  get alpn(): string {
    return this.connection === 0 ? "" : this.transport.connectionText(this.connection, "alpn");
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.state !== OPEN || this.outOver) return WRITE_CLOSED;
    const taken = this.transport.write(this.stream, bytes, offset, length);
    if (taken < 0) return WRITE_CLOSED;
    if (taken < length) this.isBlocked = true;
    return taken;
  }

  pause(): void {
    this.isHeld = true;
  }

  resume(): void {
    this.isHeld = false;
    if (this.untold !== null && this.owner !== null) {
      const tell = this.untold;
      this.untold = null;
      tell();
      return;
    }
    if (this.isReadable) this.pump();
  }

  /** Hands over what is unread while the owner takes it, up to a share of the turn. */
  pump(): void {
    const { transport } = this;
    let left = BYTES_PER_TURN;
    while (this.mayRead()) {
      if (left <= 0) {
        this.turns.readLater(this);
        return;
      }
      const length = transport.peek(this.stream);
      if (length <= 0) {
        this.isReadable = false;
        if (length === 0 && transport.isEnd) this.ended();
        return;
      }
      this.isDelivering = true;
      const taken = this.owner!.onData(
        this.side,
        transport.peekBytes,
        transport.peekOffset,
        length,
      );
      this.isDelivering = false;
      // The owner may have ended the conduit inside the call.
      if (this.state !== OPEN) return;
      if (taken > 0) transport.consume(this.stream, taken);
      left -= taken;
      if (taken < length) {
        this.isHeld = true;
        if (!this.hasEndAhead) this.lookAhead();
        return;
      }
    }
  }

  private mayRead(): boolean {
    return (
      this.isReadable &&
      this.state === OPEN &&
      !this.isHeld &&
      !this.inOver &&
      !this.isDelivering &&
      this.owner !== null
    );
  }

  private ended(): void {
    this.inOver = true;
    const { owner } = this;
    if (owner === null) return;
    if (this.outOver) this.tellClose(CLOSE_CLEAN);
    else owner.onEnd(this.side);
  }

  finish(): void {
    if (this.state !== OPEN || this.outOver) return;
    this.outOver = true;
    this.transport.finish(this.stream);
  }

  reset(code: bigint): void {
    if (this.state !== OPEN || this.outOver) return;
    this.outOver = true;
    this.transport.reset(this.stream, code === NO_CODE ? this.ownAbortCode() : code);
  }

  stop(code: bigint): void {
    if (this.state !== OPEN || this.inOver) return;
    this.inOver = true;
    this.transport.stop(this.stream, code === NO_CODE ? this.ownAbortCode() : code);
  }

  /** Both directions in order: what was written is delivered; what would come is not wanted. */
  close(): void {
    if (this.state === OPEN) {
      this.finish();
      if (!this.inOver) this.stop(cleanCodeFor(this.alpn));
    }
    this.leave();
  }

  abort(code: bigint = NO_CODE): void {
    if (this.state === OPEN) {
      const sent = code === NO_CODE ? this.ownAbortCode() : code;
      // What was finished is whole, and still delivered.
      if (!this.outOver) this.transport.reset(this.stream, sent);
      if (!this.inOver) this.transport.stop(this.stream, sent);
    }
    this.leave();
  }

  /** @cold */
  private ownAbortCode(): bigint {
    return abortCodeFor(this.alpn, this.side !== BACK);
  }

  private leave(): void {
    if (this.state === CLOSED) return;
    const { stream } = this;
    const wasOpen = this.state === OPEN;
    this.state = CLOSED;
    this.owner = null;
    this.untold = null;
    if (wasOpen) this.transport.release(stream);
    if (this.home !== null) this.home.conduitLeft(this);
  }

  onStreamData(): void {
    this.isReadable = true;
    this.pump();
    if (this.isHeld && !this.hasEndAhead && this.state === OPEN) this.lookAhead();
  }

  /** Bytes are kept: is the peer's end behind them? */
  private lookAhead(): void {
    const { transport, owner } = this;
    if (owner === null || this.inOver || transport.peek(this.stream) <= 0) return;
    if (!transport.isEnd) return;
    this.hasEndAhead = true;
    owner.onEndAhead(this.side);
  }

  onStreamWritable(): void {
    if (!this.isBlocked) return;
    this.isBlocked = false;
    if (this.owner !== null) this.owner.onDrain(this.side);
  }

  /** @cold */
  onStreamReset(_stream: number, code: bigint): void {
    if (this.state !== OPEN || this.inOver) return;
    this.inOver = true;
    this.isReadable = false;
    if (this.owner !== null) this.owner.onReset(this.side, code);
    else this.untold ??= () => this.owner!.onReset(this.side, code);
  }

  /** @cold */
  onStreamStop(_stream: number, code: bigint): void {
    if (this.state !== OPEN || this.outOver) return;
    this.outOver = true;
    this.isBlocked = false;
    if (this.owner !== null) this.owner.onStop(this.side, code);
    else this.untold ??= () => this.owner!.onStop(this.side, code);
  }

  /**
   * The connection is over, and the stream with it.
   * @param cause CAUSE_*
   */
  connectionClosed(cause: number, code: bigint): void {
    if (this.state === CLOSED) return;
    this.abortCode = cause === CAUSE_APPLICATION ? code : NO_CODE;
    if (this.state === WAITING) this.fail(failureCode(cause, code));
    // Nothing of it has reached the server: another one may be tried.
    else if (this.side === BACK && this.transport.isUnsent(this.stream)) this.fail(CLOSE_UNSENT);
    else this.fail(CLOSE_RESET);
  }

  /** It is over without an end. @param code CLOSE_* @cold */
  fail(code: number): void {
    if (this.state === CLOSED) return;
    if (this.owner !== null) this.tellClose(code);
    else this.untold = () => this.tellClose(code);
  }

  private tellClose(code: number): void {
    const { owner, side } = this;
    this.leave();
    if (owner !== null) owner.onClose(side, code);
  }
}

/**
 * CLOSE_* of a connection that could not even be begun.
 * @param result of the transport's `connect`: -errno, or one of its own below all of those
 */
export function dialFailure(result: number): number {
  return result < -ERRNO_MAX ? CLOSE_RESOURCE : connectCloseCode(-result);
}

/**
 * CLOSE_* of a connection that was not established.
 * @param cause CAUSE_*
 */
export function failureCode(cause: number, code: bigint): number {
  switch (cause) {
    case CAUSE_IDLE:
    case CAUSE_HANDSHAKE:
      return CLOSE_TIMEOUT;
    case CAUSE_RESET:
      return CLOSE_RESET;
    case CAUSE_REFUSED:
      return code === ECONNREFUSED ? CLOSE_REFUSED : CLOSE_UNREACHABLE;
    case CAUSE_TRANSPORT:
    case CAUSE_PROTOCOL:
      if (code >= CRYPTO_ERROR && code <= CRYPTO_ERROR_LAST) return CLOSE_HANDSHAKE;
      return code === CONNECTION_REFUSED ? CLOSE_REFUSED : CLOSE_HANDSHAKE;
    case CAUSE_VERSION:
      return CLOSE_HANDSHAKE;
    case CAUSE_APPLICATION:
      return CLOSE_REFUSED;
    default:
      return CLOSE_OTHER;
  }
}
