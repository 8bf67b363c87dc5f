/**
 * The contract between the stream engine and whatever carries bytes: TCP and unix sockets
 * (tcp/), QUIC streams later, the simulator's pipes (test/sim).
 *
 * A conduit delivers bytes to its owner and keeps what the owner does not take: backpressure is
 * taking less. The kept rest is offered again after `resume()`. Nothing is delivered after
 * `onClose`, and `onEnd` comes only when every byte before it has been taken.
 *
 *   owner                      conduit
 *     ←─ onOpen ─────────────────  dialled conduit is connected (accepted ones begin so)
 *     ←─ onData(bytes) → taken ──  taken < offered: conduit stops reading, keeps the rest
 *     ── resume() ──────────────→  offers the rest, then reads on
 *     ── write(bytes) → taken ──→  taken < offered: try the rest after onDrain
 *     ←─ onDrain ────────────────  can take bytes again (may come without need)
 *     ←─ onEndAhead ─────────────  the peer has finished; what it sent before is still kept
 *     ←─ onEnd ──────────────────  the peer has finished its direction
 *     ── finish() ──────────────→  we have finished ours
 *     ←─ onClose(code) ──────────  over in both directions, or aborted
 *     ── close() / abort() ─────→  we end it; no callback follows
 */

import type { Endpoint } from "./sockaddr.ts";

/** Both directions ended in order. */
export const CLOSE_CLEAN = 0;
/** The peer aborted (RST). */
export const CLOSE_RESET = 1;
/** Nobody listens there. */
export const CLOSE_REFUSED = 2;
/** No route, network or host down. */
export const CLOSE_UNREACHABLE = 3;
/** The network gave up (retransmissions, keep-alive). */
export const CLOSE_TIMEOUT = 4;
/** No socket, no port, no memory, no permission: our side cannot. */
export const CLOSE_RESOURCE = 5;
/** Any other error of the transport. */
export const CLOSE_OTHER = 6;

/** Which end of a stream a conduit is. */
export const FRONT = 0;
export const BACK = 1;

/** A conduit takes no more bytes: `onClose` follows or has come. */
export const WRITE_CLOSED = -1;

/** What a conduit tells. Called on the owner's thread, never from inside `write` or `resume`… */
export interface ConduitOwner {
  onOpen(side: number): void;
  /** @returns how many of the `length` bytes at `offset` were taken, 0 … length */
  onData(side: number, bytes: Uint8Array, offset: number, length: number): number;
  onDrain(side: number): void;
  onEnd(side: number): void;
  /** The peer has finished its direction, but bytes before that are still kept: onEnd follows. */
  onEndAhead(side: number): void;
  /** @param code CLOSE_* */
  onClose(side: number, code: number): void;
}

/** What carries bytes. All calls are non-blocking and allocate nothing. */
export interface Conduit {
  /** Its descriptor, where it has one of its own: for people who look into a process. */
  readonly fd?: number;
  /** @returns bytes taken, 0 … length, or WRITE_CLOSED */
  write(bytes: Uint8Array, offset: number, length: number): number;
  /** Stops delivering; what has been received is kept. */
  pause(): void;
  /** Delivers what is kept, then goes on reading. May call onData and onEnd before it returns. */
  resume(): void;
  /** Ends our direction; everything written before is delivered first. */
  finish(): void;
  /** Ends both directions in order; what was written is delivered. No callback follows. */
  close(): void;
  /** Ends both directions at once: the peer sees an abort (RST). No callback follows. */
  abort(): void;
  /** Address of the peer, "not known" if it is gone. Costs a system call. */
  remoteEndpoint(out: Endpoint): void;
  /** Our own address on the connection. Costs a system call. */
  localEndpoint(out: Endpoint): void;
  /** Hands the conduit to another owner, or to nobody. */
  setOwner(owner: ConduitOwner | null, side: number): void;
}
