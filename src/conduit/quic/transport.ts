/**
 * What sluice needs of a QUIC transport: the contract between the conduits of this folder and
 * whatever speaks QUIC. `native-transport.ts` is the one over native/quic; the simulator has its
 * own (test/support/sim-transport.ts). No type of a QUIC library passes here.
 *
 * One transport belongs to one thread. Connections and streams are numbers (handles with a
 * generation in them): naming one that is over is answered with TRANSPORT_GONE, never followed.
 * Events come from the transport's own turn, never from inside a call. Of a connection that is over
 * nothing is told but `onReleased`; of its streams nothing at all. Codes of applications are 62
 * bits: bigints, since only ends have them.
 *
 *   bytes in    ←─ onData ── peek() → consume(): credit is given for what was consumed, no more
 *   bytes out   ── write() → taken; less than offered: onWritable follows
 *   ends        ←─ onData, peek() = 0 and isEnd │ onReset │ onStop │ onClosed: four things
 *
 * A stream that a peer opened has a small window until it is read for the first time: streams that
 * wait (for a slot, for another connection's limit) leave half of their connection's credit to
 * those that are read, which otherwise might never end.
 */
import type { Endpoint, SocketAddress } from "../sockaddr.ts";
import type { QuicNote } from "./describe.ts";
import type { QuicProfile } from "./profile.ts";

/** The handle names nothing that lives. */
export const TRANSPORT_GONE = -5001;
/** The peer allows no more streams now; `onCredit` tells. */
export const TRANSPORT_NO_CREDIT = -5002;
/** This direction is over. */
export const TRANSPORT_CLOSED = -5003;
/** A bound of ours is reached. */
export const TRANSPORT_FULL = -5004;
/** TLS: see `errorText`. */
export const TRANSPORT_TLS = -5005;
/** A datagram that the path or the peer does not take. */
export const TRANSPORT_TOO_LONG = -5006;

/** Why a connection is over; the numbers are those of native/quic/quic.h. */
export const CAUSE_LOCAL = 1;
/** The peer closed with an application code. */
export const CAUSE_APPLICATION = 2;
/** The peer closed with a transport code (RFC 9000 section 20.1; 0x1xx is a TLS alert). */
export const CAUSE_TRANSPORT = 3;
export const CAUSE_IDLE = 4;
export const CAUSE_HANDSHAKE = 5;
/** Stateless reset: the peer knows it no more. */
export const CAUSE_RESET = 6;
/** Nobody listens there, or no route; the code is an errno. */
export const CAUSE_REFUSED = 7;
/** We ended it: the peer broke the protocol, or TLS failed. */
export const CAUSE_PROTOCOL = 8;
export const CAUSE_VERSION = 9;
/** An error inside the library. */
export const CAUSE_INTERNAL = 10;

/** Of connections and endpoints: indices of `deltas` and `now`, SQ_N_* of native/quic/quic.h. */
export const QUIC_NUMBERS = [
  "packetsSent",
  "packetsReceived",
  "packetsLost",
  "packetsDropped",
  "bytesSent",
  "bytesReceived",
  "bytesLost",
  "streamBytesResent",
  "handshakesDone",
  "handshakesFailed",
  "retriesSent",
  "retriesValid",
  "retriesInvalid",
  "resetsSent",
  "resetsReceived",
  "versionNegotiations",
  "initialsDropped",
  "refused",
  "malformed",
  "forwarded",
  "sendBlocked",
  "streamsBidiLocal",
  "streamsBidiRemote",
  "streamsUniLocal",
  "streamsUniRemote",
  "streamResetsSent",
  "streamResetsReceived",
  "stopsSent",
  "stopsReceived",
  "blockedConnection",
  "blockedStream",
  "blockedStreams",
  "datagramsSent",
  "datagramsReceived",
  "datagramsDropped",
  "earlyAccepted",
  "earlyRejected",
  "resumed",
  "migrations",
  "glitches",
] as const;

/** How many of them count; those of the moment follow. */
export const QUIC_COUNTS = QUIC_NUMBERS.length;

/** Of the moment, behind the counts. */
export const QUIC_MOMENTS = [
  "rttLatestMicros",
  "rttMinMicros",
  "rttSmoothMicros",
  "rttVarianceMicros",
  "cwnd",
  "ssthresh",
  "inFlight",
  "streamsNow",
  "ageMillis",
  "idleMillis",
  "unread",
  "unsent",
  "state",
] as const;

/** Texts of a connection, SQ_TEXT_*. */
export const QUIC_TEXTS = [
  "sni",
  "alpn",
  "cipher",
  "subject",
  "commonName",
  "reason",
  "failure",
  "scid",
  "dcid",
  "parameters",
  "localParameters",
  "group",
  "key",
  "signature",
] as const;

export type QuicText = (typeof QUIC_TEXTS)[number];

/** Bits of `flags`. */
export const CONNECTION_ESTABLISHED = 1;
export const CONNECTION_IS_SERVER = 2;
export const CONNECTION_RESUMED = 4;
export const CONNECTION_EARLY = 8;
export const CONNECTION_CERTIFICATE = 16;
export const CONNECTION_VERIFIED = 32;

/** Whoever owns a connection hears of it. All on the thread of the transport. */
export interface ConnectionOwner {
  /** Client side: the handshake is complete. */
  onConnected(connection: number): void;
  /** The peer has opened a stream; `id` is QUIC's identifier. Its owner is set by `ownStream`. */
  onStream(connection: number, stream: number, id: number, isUni: boolean): void;
  /** More streams may be opened. */
  onCredit(connection: number, bidi: boolean, uni: boolean): void;
  onDatagram(connection: number): void;
  /**
   * Over, and its streams with it: they are not told one by one.
   * @param cause CAUSE_*
   * @param wasEstablished the handshake had been completed
   */
  onClosed(connection: number, cause: number, code: bigint, wasEstablished: boolean): void;
  /** What it knows of the connection, for whoever lists connections. Cold. */
  note?(): QuicNote;
}

/** Whoever owns a stream hears of it. */
export interface StreamOwner {
  onStreamData(stream: number): void;
  onStreamWritable(stream: number): void;
  onStreamReset(stream: number, code: bigint): void;
  onStreamStop(stream: number, code: bigint): void;
}

/** Whoever listens. */
export interface EndpointOwner {
  /** A client's handshake is done: who owns the connection. Its streams are told afterwards. */
  onAccepted(connection: number): ConnectionOwner;
  /**
   * A client's handshake has failed. Nobody owns the connection, unless early data came on it.
   * @param cause CAUSE_*
   * @param code as in `onClosed`
   */
  onFailed?(connection: number, cause: number, code: bigint): void;
}

/** Who counts, for which proxy: `account.ts`, or a test's own. */
export interface TransportAccount {
  /** A connection (handshake not done yet) begins to count for a proxy. */
  opened(proxyRow: number, isFront: boolean): void;
  /**
   * Growth of the numbers of a connection or of an endpoint: QUIC_COUNTS values, what follows does
   * not matter. Of an endpoint that is over: before the last of its connections is released.
   */
  count(proxyRow: number, isFront: boolean, growth: Float64Array): void;
  /** Clients of a proxy's endpoints, all together, whose handshake is under way at this moment. */
  halfOpen(proxyRow: number, connections: number): void;
  /** It is over. @param cause CAUSE_* @param code as in `onClosed` */
  closed(proxyRow: number, isFront: boolean, cause: number, code: bigint): void;
  /**
   * Its last packets are out and the last growth is counted: it holds its proxy no more.
   * @param last QUIC_NUMBERS, then QUIC_MOMENTS, as they were at the end; none = not known
   */
  released(proxyRow: number, isFront: boolean, last?: Float64Array): void;
}

/** Where to connect to. */
export type QuicDial = {
  profile: QuicProfile;
  remote: SocketAddress;
  /** Local address; null = the kernel's choice. */
  local: SocketAddress | null;
  interfaceName: Uint8Array | null;
  /** Name to ask for; "" = none. */
  sni: string;
  /** Name that the certificate must bear; "" = `sni`, else the address; null = `sni`, else any. */
  verifyName: string | null;
  /** Protocols; empty = those of the profile. */
  alpn: readonly string[];
  /** Of an earlier connection to the same server; null = none. */
  ticket: Uint8Array | null;
  /** Row of the proxy that the connection counts for, and on which side. */
  proxyRow: number;
};

/** A QUIC transport of one thread. */
export interface Transport {
  /**
   * Serves a bound UDP descriptor, which stays the caller's.
   * @param proxyRow row of the proxy that its connections count for
   * @returns endpoint, or a negative result
   */
  listen(profile: QuicProfile, fd: number, proxyRow: number, owner: EndpointOwner): number;
  /** False: new connections are not answered; they try again. */
  setAccepting(endpoint: number, isAccepting: boolean): void;
  /** Ends an endpoint: no new connections; those that live go on until they are closed. */
  unlisten(endpoint: number): void;

  /** @returns connection (> 0), or a negative result or -errno */
  connect(dial: QuicDial, owner: ConnectionOwner): number;
  /** Its streams are dead at once; `onClosed` does not follow. */
  closeConnection(connection: number, isApplication: boolean, code: bigint, reason: string): void;
  /** Gives the account what live connections and endpoints have counted since the last time. */
  countLive(): void;
  /** Live connections, closing ones too, from `from` on. @returns next `from`, 0 = all */
  listConnections(from: number, out: number[], most: number): number;
  /** Row of the proxy that it counts for; 0 = it is gone. */
  connectionProxy(connection: number): number;
  /** Who hears of it; null = nobody (any more). */
  connectionOwner(connection: number): ConnectionOwner | null;
  /** Descriptor that its packets go over; -1 = none, or it is gone. */
  connectionDescriptor(connection: number): number;
  isEstablished(connection: number): boolean;
  connectionFlags(connection: number): number;
  connectionText(connection: number, which: QuicText): string;
  connectionEndpoint(connection: number, isPeer: boolean, out: Endpoint): void;
  /** QUIC_NUMBERS, then QUIC_MOMENTS, as they are now. False: it is gone. */
  connectionNow(connection: number, out: Float64Array): boolean;
  /** The newest session ticket, if one came; null = none. */
  connectionTicket(connection: number): Uint8Array | null;

  /**
   * Opens a stream. The peer is told of it at the end of the turn even if nothing is written by
   * then: where the server speaks first it would wait for ever otherwise.
   * @returns stream (> 0), TRANSPORT_NO_CREDIT or TRANSPORT_GONE
   */
  openStream(connection: number, isUni: boolean): number;
  ownStream(stream: number, owner: StreamOwner | null): void;
  streamId(stream: number): number;
  /**
   * The unread bytes that come first: how many; `peekBytes`, `peekOffset`, `isEnd` say where they
   * are. They stay there until they are consumed.
   */
  peek(stream: number): number;
  readonly peekBytes: Uint8Array;
  readonly peekOffset: number;
  /** After `peek`: no byte follows those that were shown; with none shown, the end is reached. */
  readonly isEnd: boolean;
  consume(stream: number, count: number): void;
  /** @returns bytes taken, 0 … length, or TRANSPORT_CLOSED, TRANSPORT_GONE */
  write(stream: number, bytes: Uint8Array, offset: number, length: number): number;
  finish(stream: number): void;
  reset(stream: number, code: bigint): void;
  stop(stream: number, code: bigint): void;
  /** The owner knows it no more: what was written is still delivered. */
  release(stream: number): void;
  /** Has nothing that was written gone out? */
  isUnsent(stream: number): boolean;

  /** Length of the first datagram that waits (where: as `peek`), -1 = none. */
  peekDatagram(connection: number): number;
  dropDatagram(connection: number): void;
  /** @returns 0, TRANSPORT_TOO_LONG, TRANSPORT_FULL or TRANSPORT_GONE */
  sendDatagram(connection: number, bytes: Uint8Array, offset: number, length: number): number;
}
