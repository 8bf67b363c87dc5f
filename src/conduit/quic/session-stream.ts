/**
 * A stream of a session: one QUIC stream on each of two connections, with the same identifier, and
 * what passes between them. Bytes go from one transport's memory to the other's; what the other
 * side does not take stays unread, and gives its sender no credit.
 *
 * Each side has a direction in (what its peer sends) and one out. A stream is done with when all
 * four are over; one that is unidirectional begins with two of them over. While one side is not
 * there yet, ends that come from the other are kept until it is.
 *
 * ```
 *   front ──in──▶ relay ──out──▶ back        bytes, FIN, RESET_STREAM
 *         ◀─out──       ◀──in──              STOP_SENDING goes against the arrows
 * ```
 *
 * @hot
 */
import { BACK, FRONT, NO_CODE } from "../conduit.ts";
import type { Bridge } from "./bridge.ts";
import type { StreamOwner, Transport } from "./transport.ts";

/** Bytes of one stream that are moved before others have their turn. */
const BYTES_PER_TURN = 64 * 1024;

const IN_FRONT = 1;
const IN_BACK = 2;
const OUT_FRONT = 4;
const OUT_BACK = 8;
const ALL_OVER = IN_FRONT | IN_BACK | OUT_FRONT | OUT_BACK;

/** Runs `goOn` of a stream again after the others had their turn. */
export interface SessionTurns {
  goOnLater(stream: SessionStream): void;
}

export class SessionStream implements StreamOwner {
  /** Neighbours in the list of its bridge, or of the free ones. */
  next: SessionStream | null = null;
  previous: SessionStream | null = null;
  /** In the list of those that go on in the next turn. */
  isWaitingTurn = false;
  private readonly transport: Transport;
  private readonly turns: SessionTurns;
  private bridge: Bridge | null = null;
  /** Handles; 0 = that side is not there yet. */
  private front = 0;
  private back = 0;
  private over = 0;
  /** Directions that have more than their share of a turn: IN_FRONT, IN_BACK. */
  private hasMore = 0;
  /** From the side that is there, for the one that is not. */
  private resetCode = NO_CODE;
  private stopCode = NO_CODE;

  constructor(transport: Transport, turns: SessionTurns) {
    this.transport = transport;
    this.turns = turns;
  }

  /** Begins a life, with neither side. @param opener FRONT or BACK: whose peer opened it */
  begin(opener: number, isUni: boolean): void {
    this.over = !isUni ? 0 : opener === FRONT ? IN_BACK | OUT_FRONT : IN_FRONT | OUT_BACK;
    this.hasMore = 0;
    this.resetCode = NO_CODE;
    this.stopCode = NO_CODE;
  }

  /** One side is there; the stream hears of it from now on. */
  hold(side: number, handle: number): void {
    if (side === FRONT) this.front = handle;
    else this.back = handle;
    this.transport.ownStream(handle, this);
  }

  /** Both sides are there: what waited goes on. */
  join(bridge: Bridge, late: number): void {
    this.bridge = bridge;
    const { transport, resetCode, stopCode } = this;
    const handle = late === FRONT ? this.front : this.back;
    if (resetCode !== NO_CODE && (this.over & outOf(late)) === 0) {
      transport.reset(handle, resetCode);
      this.over |= outOf(late);
    }
    if (stopCode !== NO_CODE && (this.over & inOf(late)) === 0) {
      transport.stop(handle, stopCode);
      this.over |= inOf(late);
    }
    if (this.isOver()) return;
    const early = otherThan(late);
    if ((this.over & inOf(early)) === 0) this.relay(early);
    if (this.bridge === bridge && (this.over & inOf(late)) === 0) this.relay(late);
  }

  onStreamData(stream: number): void {
    const side = this.sideOf(stream);
    if (side >= 0 && this.bridge !== null && (this.over & inOf(side)) === 0) this.relay(side);
  }

  onStreamWritable(stream: number): void {
    const side = this.sideOf(stream);
    if (side < 0 || this.bridge === null) return;
    const from = otherThan(side);
    if ((this.over & inOf(from)) === 0) this.relay(from);
  }

  onStreamReset(stream: number, code: bigint): void {
    const side = this.sideOf(stream);
    if (side < 0 || (this.over & inOf(side)) !== 0) return;
    this.over |= inOf(side);
    const to = otherThan(side);
    if (this.bridge === null) this.resetCode = code;
    else if ((this.over & outOf(to)) === 0) {
      this.over |= outOf(to);
      this.transport.reset(this.handleOf(to), code);
    }
    this.isOver();
  }

  onStreamStop(stream: number, code: bigint): void {
    const side = this.sideOf(stream);
    if (side < 0 || (this.over & outOf(side)) !== 0) return;
    this.over |= outOf(side);
    const from = otherThan(side);
    if (this.bridge === null) this.stopCode = code;
    else if ((this.over & inOf(from)) === 0) {
      this.over |= inOf(from);
      this.transport.stop(this.handleOf(from), code);
    }
    this.isOver();
  }

  /** The others had their turn. */
  goOn(): void {
    const { hasMore, bridge } = this;
    this.isWaitingTurn = false;
    this.hasMore = 0;
    if (bridge === null) return;
    if ((hasMore & IN_FRONT) !== 0 && (this.over & IN_FRONT) === 0) this.relay(FRONT);
    if (this.bridge !== bridge) return;
    if ((hasMore & IN_BACK) !== 0 && (this.over & IN_BACK) === 0) this.relay(BACK);
  }

  /** Moves bytes that came from `side`, as many as the other takes, and the end behind them. */
  private relay(side: number): void {
    const { transport } = this;
    const bridge = this.bridge!;
    const from = this.handleOf(side);
    const to = this.handleOf(otherThan(side));
    let left = BYTES_PER_TURN;
    let hasEnded = false;
    while (left > 0) {
      const length = transport.peek(from);
      hasEnded = transport.isEnd;
      if (length <= 0) {
        hasEnded = hasEnded && length === 0;
        break;
      }
      const taken = transport.write(to, transport.peekBytes, transport.peekOffset, length);
      // Stopped by its reader, which is about to be told.
      if (taken <= 0) {
        hasEnded = false;
        break;
      }
      transport.consume(from, taken);
      left -= taken;
      if (taken < length) {
        hasEnded = false;
        break;
      }
      if (hasEnded) break;
    }
    if (hasEnded) this.ended(side, to);
    else if (left <= 0) this.goOnLater(side);
    if (left < BYTES_PER_TURN) bridge.moved(side, BYTES_PER_TURN - left);
  }

  private goOnLater(side: number): void {
    this.hasMore |= inOf(side);
    if (this.isWaitingTurn) return;
    this.isWaitingTurn = true;
    this.turns.goOnLater(this);
  }

  private ended(side: number, to: number): void {
    this.transport.finish(to);
    this.over |= inOf(side) | outOf(otherThan(side));
    this.isOver();
  }

  /** All four directions are over: nobody needs to know the stream any more. */
  private isOver(): boolean {
    const { bridge } = this;
    if (this.over !== ALL_OVER || bridge === null) return false;
    this.transport.release(this.front);
    this.transport.release(this.back);
    bridge.streamLeft(this);
    return true;
  }

  /** Forgets both sides: they are released, or dead with their connections. */
  clear(): void {
    this.bridge = null;
    this.front = 0;
    this.back = 0;
    this.hasMore = 0;
  }

  /** FRONT, BACK, or -1: a stream of a former life. */
  private sideOf(stream: number): number {
    return stream === this.front ? FRONT : stream === this.back ? BACK : -1;
  }

  /** Its handle on one side; 0 = it is not there yet. */
  handleOf(side: number): number {
    return side === FRONT ? this.front : this.back;
  }
}

function inOf(side: number): number {
  return side === FRONT ? IN_FRONT : IN_BACK;
}

function outOf(side: number): number {
  return side === FRONT ? OUT_FRONT : OUT_BACK;
}

function otherThan(side: number): number {
  return side === FRONT ? BACK : FRONT;
}
