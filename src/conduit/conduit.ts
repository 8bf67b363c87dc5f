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
 *     ←─ onReset(code) ──────────  the peer has broken off its direction (QUIC only)
 *     ←─ onStop(code) ───────────  the peer takes no more of ours (QUIC only)
 *     ── finish() ──────────────→  we have finished ours
 *     ←─ onClose(code) ──────────  over in both directions, or aborted
 *     ── reset(code), stop(code) →  the same towards the peer, where `hasOneWayAborts`
 *     ── close() / abort() ─────→  we end it; no callback follows
 *
 * A TCP connection knows one abort for both directions (RST). A QUIC stream has one a direction,
 * each with an application code of 62 bits; NO_CODE where there is none.
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
/** The transport died before anything that was written went out: another server may be tried. */
export const CLOSE_UNSENT = 7;
/** The peer cannot be trusted or spoken with: TLS, protocol or version do not fit. */
export const CLOSE_HANDSHAKE = 8;

/** No application code: the transport has none, or the peer gave none. */
export const NO_CODE = -1n;

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
  /** The peer's direction is over without its end; what came before and was not taken is gone. */
  onReset(side: number, code: bigint): void;
  /** The peer takes nothing more; our direction is over. Its own goes on. */
  onStop(side: number, code: bigint): void;
  /** Of a session: bytes that came from this side have been taken by the other. */
  onMoved(side: number, bytes: number): void;
  /** @param code CLOSE_* */
  onClose(side: number, code: number): void;
}

/** What a connection under a conduit is, for rules, logs and headers. Made on demand. */
export type ConnectionFacts = {
  transport: "quic";
  sni: string;
  alpn: string;
  cipher: string;
  /** Of the peer's certificate; "" = it showed none. */
  subject: string;
  commonName: string;
  hasCertificate: boolean;
  isVerified: boolean;
  isResumed: boolean;
  /** Early data were taken. */
  isEarly: boolean;
  /** The handshake is done: nothing of this changes any more. */
  isComplete: boolean;
  /** Key and signature of the certificate that we showed, as PROXY v2 writes them: RSA2048. */
  key: string;
  signature: string;
};

/** What the stream knows that matters for how a QUIC server is dialled; null for all others. */
export type DialHints = {
  /** Name to ask for; "" = none. */
  sni: string;
  /** The client's whole QUIC connection, to be mapped onto one of its own; null = one stream. */
  session: Conduit | null;
};

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
  /**
   * Ends both directions at once: the peer sees an abort. No callback follows.
   * @param code for a transport that has codes; NO_CODE or none = its own choice
   */
  abort(code?: bigint): void;
  /** Can a direction be broken off alone (`reset`, `stop`)? */
  readonly hasOneWayAborts?: boolean;
  /** Breaks our direction off: what was written and has not gone out is dropped. */
  reset?(code: bigint): void;
  /** Reads no more: the peer is told so. No onData, onEnd or onReset follows. */
  stop?(code: bigint): void;
  /** Application code with which the peer aborted, for `onClose`; NO_CODE = none. */
  readonly abortCode?: bigint;
  /** It is a whole QUIC connection: it moves no bytes itself, `joinSession` does. */
  readonly isSession?: boolean;
  /**
   * Of a session: joins it to the server's session, which is open. From now on both pass streams
   * and datagrams to each other and report what they moved (`onMoved`); each still tells its owner
   * of its close, and is ended by `close` and `abort`.
   */
  joinSession?(back: Conduit): void;
  /** What is known of the connection below; null = nothing, as of TCP. Cold. */
  facts?(): ConnectionFacts | null;
  /** Address of the peer, "not known" if it is gone. Costs a system call. */
  remoteEndpoint(out: Endpoint): void;
  /** Our own address on the connection. Costs a system call. */
  localEndpoint(out: Endpoint): void;
  /** Hands the conduit to another owner, or to nobody. */
  setOwner(owner: ConduitOwner | null, side: number): void;
}
