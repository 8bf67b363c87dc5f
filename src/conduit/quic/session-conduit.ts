/**
 * A whole QUIC connection as one conduit (`quic-map session`): a client's, or one to a server that
 * was made for it alone. It carries no bytes itself: once it is joined to the other, a Bridge does.
 *
 * A connection's end is passed on as it came: the application's code and reason to the letter, any
 * other end as the default of codes.ts. The other side is closed first, then the owner is told.
 *
 * ```
 *   dialled: CONNECTING ─▶ OPEN ─▶ CLOSED        accepted: OPEN ─▶ CLOSED
 * ```
 *
 * @hot
 */
import { assert } from "../../base/assert.ts";
import {
  BACK,
  CLOSE_CLEAN,
  CLOSE_OTHER,
  CLOSE_RESET,
  CLOSE_TIMEOUT,
  FRONT,
  NO_CODE,
  WRITE_CLOSED,
} from "../conduit.ts";
import type { Conduit, ConduitOwner, ConnectionFacts, DialHints } from "../conduit.ts";
import type { Endpoint } from "../sockaddr.ts";
import type { DialTarget } from "../tcp/dial.ts";
import { Bridge } from "./bridge.ts";
import type { EarlyStream } from "./bridge.ts";
import { abortCodeFor, cleanCodeFor } from "./codes.ts";
import type { QuicNote } from "./describe.ts";
import { factsOf } from "./facts.ts";
import type { QuicHub } from "./hub.ts";
import { countServerOpen } from "./presence.ts";
import { dialFailure, failureCode } from "./quic-conduit.ts";
import {
  CAUSE_APPLICATION,
  CAUSE_IDLE,
  CAUSE_INTERNAL,
  CAUSE_PROTOCOL,
  CAUSE_TRANSPORT,
} from "./transport.ts";
import type { ConnectionOwner, Transport } from "./transport.ts";

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 2;

export class SessionConduit implements Conduit, ConnectionOwner {
  readonly isSession = true;
  abortCode = NO_CODE;
  /** Row of the server that it goes to; 0 = it is a client's. */
  readonly serverRow: number;
  private readonly hub: QuicHub;
  private readonly transport: Transport;
  private connection = 0;
  private state: number;
  private owner: ConduitOwner | null;
  private side: number;
  private bridge: Bridge | null = null;
  /** The session that it is joined to. */
  private other: SessionConduit | null = null;
  /** Streams that the peer opened before there was another side. */
  private early: EarlyStream[] = [];
  /** CLOSE_* that nobody has heard of: no owner yet; -1 = none. */
  private untold = -1;

  private constructor(hub: QuicHub, owner: ConduitOwner | null, side: number, serverRow: number) {
    this.hub = hub;
    this.transport = hub.transport;
    this.owner = owner;
    this.side = side;
    this.serverRow = serverRow;
    this.state = side === FRONT ? OPEN : CONNECTING;
  }

  /** The session of a client whose handshake is done. @cold */
  static accepted(hub: QuicHub, connection: number): SessionConduit {
    const session = new SessionConduit(hub, null, FRONT, 0);
    session.connection = connection;
    return session;
  }

  /**
   * Begins a session with a server for the one of a client.
   * @returns a conduit that is connecting, or CLOSE_*
   * @cold
   */
  static dialled(
    hub: QuicHub,
    target: DialTarget,
    owner: ConduitOwner,
    hints: DialHints,
  ): SessionConduit | number {
    const quic = target.quic!;
    const { spec, serverRow } = quic;
    const alpn = hints.session?.facts?.()?.alpn ?? "";
    const session = new SessionConduit(hub, owner, BACK, serverRow);
    const handle = hub.transport.connect(
      {
        profile: quic.sessionProfile,
        remote: target.socketAddress,
        local: target.source,
        interfaceName: target.interfaceName,
        sni: hints.sni,
        verifyName: spec.verifyHost ?? (hints.sni === "" ? quic.host : ""),
        alpn: spec.alpn.length > 0 || alpn === "" ? [] : [alpn],
        ticket: null,
        proxyRow: quic.proxyRow,
      },
      session,
    );
    if (handle < 0) return dialFailure(handle);
    session.connection = handle;
    countServerOpen(hub.tables, hub.worker, serverRow, 1);
    return session;
  }

  setOwner(owner: ConduitOwner | null, side: number): void {
    this.owner = owner;
    this.side = side;
  }

  remoteEndpoint(out: Endpoint): void {
    this.transport.connectionEndpoint(this.connection, true, out);
  }

  localEndpoint(out: Endpoint): void {
    this.transport.connectionEndpoint(this.connection, false, out);
  }

  /** @cold */
  note(): QuicNote {
    const handles = this.bridge === null ? [] : [...this.bridge.handles(this.side)];
    const streams = handles.map((stream) => ({ stream, owner: null }));
    return { serverRow: this.serverRow, isSession: true, streams };
  }

  /** @cold */
  facts(): ConnectionFacts | null {
    return factsOf(this.transport, this.connection);
  }

  /** Protocol of the connection; "" before there is one. */
  private get alpn(): string {
    return this.transport.connectionText(this.connection, "alpn");
  }

  /** A session takes no bytes but those of its streams. */
  write(): number {
    return WRITE_CLOSED;
  }

  pause(): void {
    // Nothing moves before it is joined; from then on each stream has its own backpressure.
  }

  resume(): void {
    if (this.untold >= 0 && this.owner !== null) this.tellClose(this.untold);
  }

  finish(): void {
    // A connection has no half: what is to end are its streams.
  }

  close(): void {
    this.leave();
    this.closeConnection(cleanCodeFor(this.alpn), "");
  }

  abort(code: bigint = NO_CODE): void {
    this.leave();
    this.closeConnection(code === NO_CODE ? this.ownAbortCode() : code, "");
  }

  /** The owner hears no more. */
  private leave(): void {
    this.owner = null;
    this.untold = -1;
    this.dropStreams();
  }

  private dropStreams(): void {
    const { bridge } = this;
    this.bridge = null;
    this.other = null;
    if (bridge !== null) bridge.end();
    for (let i = 0; i < this.early.length; i++) this.hub.sessions.give(this.early[i]!.stream);
    this.early.length = 0;
  }

  /** Closes the connection, unless it is over. */
  private closeConnection(code: bigint, reason: string): void {
    if (this.state === CLOSED) return;
    const { state, serverRow, connection } = this;
    if (state === CONNECTING) this.hub.handshakes.givenUp(serverRow, connection);
    this.becomeClosed();
    this.transport.closeConnection(connection, true, code, reason);
  }

  private becomeClosed(): void {
    this.state = CLOSED;
    const { hub, serverRow } = this;
    if (serverRow !== 0) countServerOpen(hub.tables, hub.worker, serverRow, -1);
  }

  /**
   * Joins a client's session to a server's, which is open.
   * @cold
   */
  joinSession(back: Conduit): void {
    assert(back instanceof SessionConduit, "joinSession: a session is joined to a session");
    const { owner, hub, transport } = this;
    assert(owner !== null && this.bridge === null, "joinSession: a client's, once");
    // One that is over has been told, or is about to be.
    if (this.state !== OPEN || back.state !== OPEN) return;
    const bridge = new Bridge(hub.sessions, transport, this.connection, back.connection, owner);
    this.bridge = bridge;
    this.other = back;
    back.bridge = bridge;
    back.other = this;
    bridge.adopt(FRONT, this.early.splice(0));
    bridge.adopt(BACK, back.early.splice(0));
  }

  onConnected(): void {
    if (this.state !== CONNECTING) return;
    this.state = OPEN;
    if (this.owner !== null) this.owner.onOpen(this.side);
  }

  onStream(_connection: number, handle: number, id: number, isUni: boolean): void {
    if (this.state === CLOSED) return;
    if (this.bridge !== null) this.bridge.streamTold(this.side, handle, id);
    else this.keepEarly(handle, id, isUni);
  }

  /** It waits, with what comes on it, until there is another side. @cold */
  private keepEarly(handle: number, id: number, isUni: boolean): void {
    const stream = this.hub.sessions.take(this.side, isUni);
    stream.hold(this.side, handle);
    this.early.push({ stream, id });
  }

  onCredit(_connection: number, bidi: boolean, uni: boolean): void {
    if (this.bridge !== null) this.bridge.creditTold(this.side, bidi, uni);
  }

  onDatagram(): void {
    if (this.bridge !== null) this.bridge.datagramsTold(this.side);
  }

  onClosed(connection: number, cause: number, code: bigint, wasEstablished: boolean): void {
    if (this.state === CLOSED) return;
    const { other, hub, serverRow } = this;
    if (serverRow !== 0) {
      hub.handshakes.ofServer(serverRow, connection, cause, code, wasEstablished);
    }
    const hasCode = cause === CAUSE_APPLICATION;
    // Some close without an error by the transport's code for that.
    const isClean = hasCode
      ? code === cleanCodeFor(this.alpn)
      : cause === CAUSE_TRANSPORT && code === 0n;
    const close = wasEstablished ? sessionCloseCode(cause, isClean) : failureCode(cause, code);
    this.becomeClosed();
    this.abortCode = hasCode ? code : NO_CODE;
    this.dropStreams();
    if (other !== null) {
      const reason = hasCode ? this.transport.connectionText(connection, "reason") : "";
      const passed = hasCode ? code : isClean ? cleanCodeFor(other.alpn) : other.ownAbortCode();
      other.closeConnection(passed, reason);
      other.dropStreams();
    }
    this.tellClose(close);
    // Whoever is told of an end in order waits for that of the other side; an abort ends both.
    if (other !== null) other.tellClose(close);
  }

  private tellClose(code: number): void {
    const { owner } = this;
    if (owner === null) {
      this.untold = code;
      return;
    }
    this.owner = null;
    this.untold = -1;
    owner.onClose(this.side, code);
  }

  private ownAbortCode(): bigint {
    return abortCodeFor(this.alpn, this.side === FRONT);
  }
}

/** What the end of an established connection means to its session. */
function sessionCloseCode(cause: number, isClean: boolean): number {
  if (isClean) return CLOSE_CLEAN;
  switch (cause) {
    case CAUSE_IDLE:
      return CLOSE_TIMEOUT;
    case CAUSE_PROTOCOL:
    case CAUSE_INTERNAL:
      return CLOSE_OTHER;
    default:
      return CLOSE_RESET;
  }
}
