/**
 * TCP and unix stream sockets of Bun as conduits.
 *
 * One object a socket; the socket's `data` is the conduit. What Bun does with each call is in
 * docs/bun.md: `end()` is a full close, a half-close is `shutdown()`, a write needs all of its
 * three arguments, an error handler must never be empty.
 *
 * Reading stops lazily: the first bytes that the owner does not take are kept without a system
 * call, and only when they are many or more follow is the socket paused. A client that sends its
 * request while the server is being connected costs no pause and no resume.
 *
 * @hot
 */
import type { Socket } from "bun";

import {
  CLOSE_CLEAN,
  CLOSE_OTHER,
  CLOSE_REFUSED,
  CLOSE_RESET,
  CLOSE_RESOURCE,
  CLOSE_TIMEOUT,
  CLOSE_UNREACHABLE,
  WRITE_CLOSED,
} from "../conduit.ts";
import type { Conduit, ConduitOwner } from "../conduit.ts";
import type { Endpoint } from "../sockaddr.ts";
import { readEndpoint } from "./endpoint.ts";
import { yieldReading } from "./fairness.ts";

/** A socket of Bun that carries its conduit. */
export type TcpSocket = Socket<TcpConduit>;

/** Bytes that may be kept before the socket is paused. */
const KEEP_UNPAUSED_BYTES = 16_384;
/** A read this long means that more is waiting: other streams get their turn first. */
const FAIR_READ_BYTES = 131_072;

const OPEN = 0;
/** Closed cleanly by the peer while bytes are still kept: the owner learns after the last. */
const ENDING = 1;
const CLOSED = 2;

export class TcpConduit implements Conduit {
  socket: TcpSocket | null = null;
  owner: ConduitOwner | null;
  side: number;
  /** In list of fairness.ts: reading goes on in the next turn of the loop. */
  isYielding = false;
  private state = OPEN;
  private kept: Uint8Array | null = null;
  private keptOffset = 0;
  /** What came behind `kept`, in order: Bun reads a paused socket to its end when it breaks. */
  private keptBehind: Uint8Array[] | null = null;
  private isHeld = false;
  private isPaused = false;
  private hasEnded = false;
  private isConnecting: boolean;
  /** CLOSE_* of a socket that ended while nobody owned it; -1 = none. Told by resume(). */
  private untold = -1;

  constructor(owner: ConduitOwner | null, side: number, isConnecting: boolean) {
    this.owner = owner;
    this.side = side;
    this.isConnecting = isConnecting;
  }

  setOwner(owner: ConduitOwner | null, side: number): void {
    this.owner = owner;
    this.side = side;
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.state !== OPEN) return WRITE_CLOSED;
    const taken = this.socket!.write(bytes, offset, length);
    return taken < 0 ? WRITE_CLOSED : taken;
  }

  pause(): void {
    this.isHeld = true;
  }

  resume(): void {
    this.isHeld = false;
    if (this.untold >= 0 && this.owner !== null) {
      this.state = OPEN;
      this.tellClose(this.untold);
      return;
    }
    if (!this.offerKept()) return;
    if (this.state === ENDING) {
      this.tellClose(CLOSE_CLEAN);
      return;
    }
    if (this.isPaused && !this.isYielding && this.state === OPEN && !this.isHeld) {
      this.isPaused = false;
      this.socket!.resume();
    }
  }

  remoteEndpoint(out: Endpoint): void {
    readEndpoint(this.socket, 1, out);
  }

  localEndpoint(out: Endpoint): void {
    readEndpoint(this.socket, 0, out);
  }

  finish(): void {
    if (this.state === OPEN) this.socket!.shutdown();
  }

  close(): void {
    const socket = this.leave();
    if (socket !== null) socket.end();
  }

  abort(): void {
    const socket = this.leave();
    if (socket !== null) socket.terminate();
  }

  /** Ends this object's life; the socket, if it still has one, is the caller's to end. */
  private leave(): TcpSocket | null {
    this.owner = null;
    this.kept = null;
    this.keptBehind = null;
    const wasOpen = this.state === OPEN;
    this.state = CLOSED;
    return wasOpen ? this.socket : null;
  }

  /** Is everything received so far taken, and the end told? False: something is still kept. */
  private offerKept(): boolean {
    while (this.kept !== null) {
      const bytes = this.kept;
      const offset = this.keptOffset;
      const owner = this.owner;
      if (owner === null) return false;
      const taken = owner.onData(this.side, bytes, offset, bytes.length - offset);
      // The owner may have closed this conduit, or paused it, inside the call.
      if (this.kept !== bytes) return this.kept === null && this.state !== CLOSED;
      if (offset + taken < bytes.length) {
        this.keptOffset = offset + taken;
        return false;
      }
      this.kept = this.keptBehind?.shift() ?? null;
      this.keptOffset = 0;
    }
    if (this.hasEnded && this.state !== CLOSED) {
      this.hasEnded = false;
      if (this.owner !== null) this.owner.onEnd(this.side);
    }
    return this.state !== CLOSED;
  }

  /** From the socket: bytes arrived. */
  receive(bytes: Uint8Array): void {
    if (this.state === CLOSED) return;
    if (this.kept !== null || this.isHeld || this.owner === null) {
      this.keepMore(bytes);
      return;
    }
    const taken = this.owner.onData(this.side, bytes, 0, bytes.length);
    if (this.state === CLOSED) return;
    if (taken < bytes.length) {
      this.kept = bytes;
      this.keptOffset = taken;
      if (bytes.length - taken > KEEP_UNPAUSED_BYTES) this.stopReading();
    } else if (bytes.length >= FAIR_READ_BYTES) {
      this.stopReading();
      if (!this.isYielding) yieldReading(this);
    }
  }

  /** From fairness.ts: other streams have had their turn. */
  resumeReading(): void {
    this.isYielding = false;
    if (!this.isPaused || this.kept !== null || this.isHeld || this.state !== OPEN) return;
    this.isPaused = false;
    this.socket!.resume();
  }

  /**
   * Bytes behind kept ones: the rest of what was on its way when reading stopped, or all that the
   * kernel still held of a socket that broke while it was paused. Joining them would cost a copy
   * of all for each read.
   */
  private keepMore(bytes: Uint8Array): void {
    if (this.kept === null) {
      this.kept = bytes;
      this.keptOffset = 0;
    } else {
      this.keptBehind ??= [];
      this.keptBehind.push(bytes);
    }
    this.stopReading();
  }

  private stopReading(): void {
    if (this.isPaused || this.state !== OPEN) return;
    this.isPaused = true;
    this.socket!.pause();
  }

  /** From the socket: it can take bytes, or its connection has succeeded. */
  drain(): void {
    if (this.owner === null) return;
    if (this.isConnecting) {
      this.isConnecting = false;
      this.owner.onOpen(this.side);
      return;
    }
    this.owner.onDrain(this.side);
  }

  /** From the socket: the peer has finished its direction. */
  end(): void {
    if (this.state === CLOSED) return;
    if (this.owner === null) {
      this.hasEnded = true;
      return;
    }
    if (this.isConnecting) {
      // A server that accepts and finishes at once: the connection was made.
      this.isConnecting = false;
      this.owner.onOpen(this.side);
      if (this.owner === null) return;
    }
    if (this.kept !== null || this.isHeld) {
      this.hasEnded = true;
      this.owner.onEndAhead(this.side);
    } else {
      this.owner.onEnd(this.side);
    }
  }

  /** From the socket: over. `code` is CLOSE_*. */
  closed(code: number): void {
    if (this.state === CLOSED) return;
    if (code === CLOSE_RESET && this.isConnecting && this.owner !== null) {
      // A refusal has a code of its own: this server accepted, and then aborted.
      this.isConnecting = false;
      this.owner.onOpen(this.side);
      if (this.owner === null) return;
    }
    if (code === CLOSE_CLEAN && this.kept !== null) {
      this.state = ENDING;
      return;
    }
    if (this.owner === null) {
      this.state = CLOSED;
      this.untold = code;
      return;
    }
    this.tellClose(code);
  }

  private tellClose(code: number): void {
    const owner = this.owner;
    this.state = CLOSED;
    this.owner = null;
    this.kept = null;
    this.keptBehind = null;
    if (owner !== null) owner.onClose(this.side, code);
  }
}

/** CLOSE_* of an error that a socket closed with. @cold */
export function closeCodeOf(error: Error | undefined | null): number {
  if (error === undefined || error === null) return CLOSE_CLEAN;
  switch ((error as { code?: unknown }).code) {
    case "ECONNRESET":
    case "EPIPE":
      return CLOSE_RESET;
    case "ECONNREFUSED":
    case "ENOENT":
      return CLOSE_REFUSED;
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "ENETDOWN":
    case "EHOSTDOWN":
      return CLOSE_UNREACHABLE;
    case "ETIMEDOUT":
      return CLOSE_TIMEOUT;
    case "EMFILE":
    case "ENFILE":
    case "ENOMEM":
    case "ENOBUFS":
    case "EADDRNOTAVAIL":
    case "EADDRINUSE":
    case "EACCES":
    case "EPERM":
      return CLOSE_RESOURCE;
    default:
      return CLOSE_OTHER;
  }
}
