/**
 * A simulated connection below the conduits: two directions of bytes with bounded room, ends and
 * aborts. The near side is what Bun's socket is to a conduit (docs/bun.md says how that behaves);
 * the far side is the client or the server on the other end.
 *
 *   far   send · finish · reset · close        take · sawEnd · sawReset
 *           │                                        ▲
 *           ▼ inbound                                │ outbound
 *   near  receive · drain · end · closed       write · shutdown · end · terminate
 *
 * Nothing happens by itself: `deliver` hands the near side one event when the simulation says so.
 */
import {
  CLOSE_CLEAN,
  CLOSE_REFUSED,
  CLOSE_RESET,
  CLOSE_TIMEOUT,
  CLOSE_UNREACHABLE,
} from "../../src/conduit/conduit.ts";
import { EAGAIN } from "../../src/conduit/errno.ts";
import type { Choices } from "./sim-random.ts";

/** A reset that comes after the end has been read, and a write after our own end. */
const EPIPE = 32;
const ECONNRESET = 104;
const ECONNREFUSED = 111;
/** Errno of a connection that failed, by CLOSE_*. */
const ERRNOS: Record<number, number> = {
  [CLOSE_RESET]: ECONNRESET,
  [CLOSE_REFUSED]: ECONNREFUSED,
  [CLOSE_UNREACHABLE]: 113,
  [CLOSE_TIMEOUT]: 110,
};

export const EPOLLIN = 0x001;
export const EPOLLOUT = 0x004;
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
export const EPOLLRDHUP = 0x2000;

/** What a conduit hears of its socket. */
export type SocketEvents = {
  receive(bytes: Uint8Array): void;
  drain(): void;
  end(): void;
  closed(code: number): void;
};

/** How the sockets of a run behave. */
export type SocketHabits = {
  /** Most bytes of one delivery. */
  pieceBytesMax: number;
  /** Room of each direction. */
  roomBytes: number;
  /** Chance that a write takes less than there is room for. */
  shortWrite: number;
  /** Chance of a drain that nobody waits for. */
  spuriousDrain: number;
};

/** Called before the near side acts on the connection: others may get their turn there. */
export type SocketHook = (socket: SimSocket, call: string) => void;

const NO_HOOK: SocketHook = () => {};
const NOTHING = (): void => {};

/** Fates of a dialled connection, besides CLOSE_*. */
export const UNDECIDED = -1;
export const CONNECTED = -2;

export class SimSocket {
  readonly id: number;
  readonly habits: SocketHabits;
  private readonly choices: Choices;
  events: SocketEvents | null = null;
  hook: SocketHook = NO_HOOK;
  /** A dialled connection that the near side has not been told the fate of. */
  isConnecting = false;
  /** Its fate: CONNECTED or CLOSE_*; UNDECIDED = nothing has come back yet. */
  fate = UNDECIDED;
  /** Something has changed since the system last told of this socket. */
  hasEdge = false;
  /** What SO_ERROR says; 0 = nothing. */
  private errno = 0;

  private readonly inbound = new ByteQueue();
  private readonly outbound = new ByteQueue();
  private isPaused = false;
  private wantsDrain = false;

  /** What the near side did. */
  nearFinished = false;
  nearClosed = false;
  nearAborted = false;
  /** What the far side did. */
  farFinished = false;
  farClosed = false;
  farReset = false;
  /** The near side was told: the far side's end, and that all is over (unless by its own doing). */
  endDelivered = false;
  closeDelivered = false;
  /** A write met the reset first: its close looks clean. */
  isResetSwallowed = false;
  /** The first write is taken whole, whatever the room: it is short and the buffers are empty. */
  takesFirstWrite = false;
  /** Called when the near side has handed bytes over. */
  onMoved: () => void = NOTHING;
  /** Bytes that the near side has handed over, and that it was given. */
  writtenBytes = 0;
  deliveredBytes = 0;

  constructor(id: number, habits: SocketHabits, choices: Choices) {
    this.id = id;
    this.habits = habits;
    this.choices = choices;
  }

  // ── near side ──

  write(bytes: Uint8Array, offset: number, length: number): number {
    this.hook(this, "write");
    if (this.nearClosed || this.nearFinished || this.closeDelivered) return -1;
    if (this.farReset) {
      this.isResetSwallowed = true;
      return -1;
    }
    return this.push(bytes, offset, length);
  }

  private push(bytes: Uint8Array, offset: number, length: number): number {
    let room = Math.min(Math.max(0, this.habits.roomBytes - this.outbound.bytes), length);
    if (this.takesFirstWrite && this.writtenBytes === 0) room = length;
    else if (room > 1 && this.choices.chance(this.habits.shortWrite))
      room = this.choices.between(1, room - 1);
    if (room > 0) this.outbound.push(bytes.slice(offset, offset + room));
    if (room < length) this.wantsDrain = true;
    this.writtenBytes += room;
    if (room > 0) this.onMoved();
    // Whoever has closed answers bytes with a reset.
    if (room > 0 && this.farClosed) this.reset();
    return room;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  shutdown(): void {
    this.hook(this, "shutdown");
    if (!this.nearClosed) this.nearFinished = true;
  }

  /** Full close: with unread bytes the system sends a reset instead of an end. */
  end(): void {
    this.hook(this, "end");
    if (this.nearClosed) return;
    if (this.inbound.bytes > 0) this.nearAborted = true;
    this.leave();
  }

  terminate(): void {
    this.hook(this, "terminate");
    if (this.nearClosed) return;
    this.nearAborted = true;
    this.leave();
  }

  private leave(): void {
    this.nearClosed = true;
    this.nearFinished = true;
    if (this.nearAborted) this.outbound.clear();
    this.inbound.clear();
    const { events } = this;
    // Bun tells the close from inside the call that makes it.
    if (events !== null && !this.closeDelivered) events.closed(CLOSE_CLEAN);
  }

  // ── near side, as the system sees it: what a native loop calls ──

  /** send(2). @returns bytes taken, or -errno */
  sendNow(bytes: Uint8Array, offset: number, length: number): number {
    this.hook(this, "send");
    if (this.nearFinished) return -EPIPE;
    const errno = this.takeError();
    if (errno !== 0) {
      this.isResetSwallowed = true;
      return -errno;
    }
    if (this.farReset) return -EPIPE;
    const taken = this.push(bytes, offset, length);
    return taken === 0 && length > 0 ? -EAGAIN : taken;
  }

  /** recv(2). @returns bytes read, 0 = the end, or -errno */
  receiveNow(buffer: Uint8Array, most: number): number {
    const piece = this.inbound.shift(
      this.choices.between(1, Math.min(most, this.habits.pieceBytesMax)),
    );
    if (piece !== undefined) {
      this.deliveredBytes += piece.length;
      buffer.set(piece);
      return piece.length;
    }
    const errno = this.takeError();
    if (errno !== 0) return -errno;
    if (!this.farFinished) return -EAGAIN;
    this.endDelivered = true;
    return 0;
  }

  /** SO_ERROR: told once. */
  takeError(): number {
    const { errno } = this;
    this.errno = 0;
    if (errno !== 0) this.closeDelivered = true;
    return errno;
  }

  /** What epoll says of the socket now. */
  get levels(): number {
    if (this.isConnecting && this.fate === UNDECIDED) return 0;
    let bits = 0;
    const isOver = this.farReset || (this.isConnecting && this.fate !== CONNECTED);
    if (this.inbound.bytes > 0 || this.farFinished || isOver) bits |= EPOLLIN;
    if (this.farFinished || isOver) bits |= EPOLLRDHUP;
    if (this.outbound.bytes < this.habits.roomBytes || isOver) bits |= EPOLLOUT;
    if (isOver || (this.farFinished && this.nearFinished)) bits |= EPOLLHUP;
    if (this.errno !== 0) bits |= EPOLLERR;
    return bits;
  }

  /** The system has told of the socket: it tells again when something changes. */
  tellEdge(): void {
    this.hasEdge = false;
    if (this.fate === CONNECTED) this.isConnecting = false;
  }

  /** The handshake is over, one way or the other. @param fate CONNECTED or CLOSE_* */
  decide(fate: number): void {
    this.fate = fate;
    this.hasEdge = true;
    if (fate !== CONNECTED) this.errno = ERRNOS[fate] ?? ECONNREFUSED;
  }

  // ── far side ──

  /** Sends bytes. @returns how many there was room for */
  send(bytes: Uint8Array): number {
    if (this.farFinished || this.farReset || this.nearClosed) return 0;
    const taken = Math.min(bytes.length, this.habits.roomBytes - this.inbound.bytes);
    if (taken > 0) {
      this.inbound.push(bytes.slice(0, taken));
      this.hasEdge = true;
    }
    return taken;
  }

  /** Room for the far side's bytes. */
  get sendRoom(): number {
    return this.habits.roomBytes - this.inbound.bytes;
  }

  /** Bytes of the far side that the near side has not been given. */
  get unreadBytes(): number {
    return this.inbound.bytes;
  }

  /** Ends the far side's direction. */
  finish(): void {
    this.farFinished = true;
    this.hasEdge = true;
  }

  /** Aborts. */
  reset(): void {
    if (!this.farReset) this.errno = this.endDelivered ? EPIPE : ECONNRESET;
    this.farReset = true;
    this.farFinished = true;
    this.hasEdge = true;
    this.outbound.clear();
    // The near side may have read some of it before the reset came.
    if (this.choices.chance(0.5)) this.inbound.clear();
  }

  /** Ends both directions; bytes that come from now on are answered with a reset. */
  close(): void {
    if (this.outbound.bytes > 0) {
      this.reset();
      return;
    }
    this.farFinished = true;
    this.farClosed = true;
    this.hasEdge = true;
  }

  /** Bytes that wait for the far side. */
  get waitingBytes(): number {
    return this.outbound.bytes;
  }

  /** Takes up to `most` bytes; undefined = there are none. */
  take(most: number): Uint8Array | undefined {
    if (this.wantsDrain && this.outbound.bytes > 0) this.hasEdge = true;
    return this.outbound.shift(most);
  }

  /** Everything was read and the near side has finished in order. */
  get sawEnd(): boolean {
    return this.nearFinished && !this.nearAborted && this.outbound.bytes === 0;
  }

  get sawReset(): boolean {
    return this.nearAborted;
  }

  // ── the network ──

  /** Would `deliver` do something? */
  get isReady(): boolean {
    if (this.nearClosed || this.closeDelivered) return false;
    if (this.isConnecting) return this.fate !== UNDECIDED;
    if (this.farReset) return true;
    if (this.wantsDrain && this.outbound.bytes < this.habits.roomBytes) return true;
    if (this.isPaused) return false;
    return (
      this.inbound.bytes > 0 || (this.farFinished && (!this.endDelivered || this.nearFinished))
    );
  }

  /** The handshake is over, one way or the other. */
  private deliverFate(events: SocketEvents): void {
    const { fate } = this;
    if (fate === CONNECTED && !(this.farReset && this.choices.chance(0.5))) {
      // A peer that accepts and finishes at once: the end may come in place of the first drain.
      const endsFirst = this.farFinished && this.inbound.bytes === 0 && !this.farReset;
      this.isConnecting = false;
      if (endsFirst && this.choices.chance(0.3)) {
        this.endDelivered = true;
        events.end();
      } else events.drain();
      return;
    }
    this.isConnecting = false;
    this.closeDelivered = true;
    events.closed(fate === CONNECTED ? CLOSE_RESET : fate);
  }

  /** Hands the near side one event. */
  deliver(): void {
    const { events } = this;
    if (events === null) return;
    if (this.isConnecting) {
      this.deliverFate(events);
      return;
    }
    if (this.farReset) {
      this.deliverReset(events);
      return;
    }
    const canDrain = this.wantsDrain && this.outbound.bytes < this.habits.roomBytes;
    const canRead = !this.isPaused && (this.inbound.bytes > 0 || this.farFinished);
    if (canDrain && (!canRead || this.choices.chance(0.5))) {
      this.wantsDrain = false;
      events.drain();
      return;
    }
    if (this.choices.chance(this.habits.spuriousDrain)) {
      events.drain();
      return;
    }
    this.deliverInbound(events);
  }

  private deliverInbound(events: SocketEvents): void {
    const piece = this.inbound.shift(this.choices.between(1, this.habits.pieceBytesMax));
    if (piece !== undefined) {
      this.deliveredBytes += piece.length;
      events.receive(piece);
      return;
    }
    // Once both directions have ended there is no `end` any more, only the close.
    if (this.nearFinished) {
      this.closeDelivered = true;
      events.closed(CLOSE_CLEAN);
    } else {
      this.endDelivered = true;
      events.end();
    }
  }

  /** What had arrived before the reset is delivered first, even to a paused reader. */
  private deliverReset(events: SocketEvents): void {
    const piece = this.inbound.shift(this.choices.between(1, this.habits.pieceBytesMax));
    if (piece !== undefined) {
      this.deliveredBytes += piece.length;
      events.receive(piece);
      return;
    }
    this.closeDelivered = true;
    events.closed(this.isResetSwallowed ? CLOSE_CLEAN : CLOSE_RESET);
  }
}

/** Bytes in order, in the pieces in which they came. */
class ByteQueue {
  private readonly pieces: Uint8Array[] = [];
  private offset = 0;
  bytes = 0;

  push(piece: Uint8Array): void {
    this.pieces.push(piece);
    this.bytes += piece.length;
  }

  shift(most: number): Uint8Array | undefined {
    const first = this.pieces[0];
    if (first === undefined) return undefined;
    const length = Math.min(most, first.length - this.offset);
    // A copy, as Bun hands out: the receiver may keep it.
    const piece = first.slice(this.offset, this.offset + length);
    this.offset += length;
    this.bytes -= length;
    if (this.offset === first.length) {
      this.pieces.shift();
      this.offset = 0;
    }
    return piece;
  }

  clear(): void {
    this.pieces.length = 0;
    this.offset = 0;
    this.bytes = 0;
  }
}
