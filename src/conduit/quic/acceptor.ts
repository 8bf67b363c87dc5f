/**
 * A listening QUIC endpoint of one worker, and the connections of its clients.
 *
 * Each bidirectional stream of a client is accepted as a conduit, like a TCP connection; or, with
 * `quic-map session`, the whole connection is one. While the listener pauses, handshakes are not
 * answered: clients try again, as with a full backlog. When it closes, connections without streams
 * are closed, the others with their last stream.
 */
import { PROCESS_MAXCONN } from "../../tables/generated/process.ts";
import { PROXY_FRONT_MAXCONN, PROXY_QUIC_FRONT } from "../../tables/generated/proxy.ts";
import type { QuicBindSpec } from "../../tables/spec.ts";
import { FRONT } from "../conduit.ts";
import type { Conduit } from "../conduit.ts";
import type { QuicNote } from "./describe.ts";
import type { QuicHub } from "./hub.ts";
import { QuicProfile } from "./profile.ts";
import { QuicConduit } from "./quic-conduit.ts";
import type { ConduitHome } from "./quic-conduit.ts";
import { SessionConduit } from "./session-conduit.ts";
import { cleanCodeOf, dropDatagrams, refuseStream, StreamList } from "./stream-list.ts";
import type { ConnectionOwner, EndpointOwner } from "./transport.ts";

/** The frontend of a listener: its row, and how long a connection without streams may last, ms. */
export type QuicFrontend = { row: number; timeoutClient: number };

/** A listening endpoint; the engine sees it as a listening socket. */
export class QuicAcceptor implements EndpointOwner {
  readonly hub: QuicHub;
  isAccepting = false;
  isClosed = false;
  readonly onAccept: (conduit: Conduit) => void;
  private readonly spec: QuicBindSpec;
  private readonly profile: QuicProfile;
  private readonly fd: number;
  private readonly frontend: QuicFrontend;
  private endpoint = -1;
  /** As many connections live as the frontend may have: handshakes are not answered. */
  private isFull = false;
  private readonly connections = new Set<ClientConnection>();

  /** @param frontend what its connections count for */
  constructor(
    hub: QuicHub,
    spec: QuicBindSpec,
    fd: number,
    frontend: QuicFrontend,
    onAccept: (conduit: Conduit) => void,
  ) {
    this.hub = hub;
    this.spec = spec;
    this.profile = QuicProfile.ofBind(spec);
    this.fd = fd;
    this.frontend = frontend;
    this.onAccept = onAccept;
  }

  /** Begins or goes on accepting. @returns 0, or a negative result of the transport or -errno */
  start(): number {
    if (this.isAccepting) return 0;
    const { transport } = this.hub;
    if (this.endpoint < 0) {
      this.endpoint = transport.listen(this.profile, this.fd, this.frontend.row, this);
      if (this.endpoint < 0) return this.endpoint;
    }
    this.isAccepting = true;
    this.isFull = this.hasNoRoom();
    transport.setAccepting(this.endpoint, !this.isFull);
    return 0;
  }

  pause(): void {
    if (!this.isAccepting) return;
    this.isAccepting = false;
    this.hub.transport.setAccepting(this.endpoint, false);
  }

  /**
   * Do as many connections live as the frontend, or the process, may have? Streams are held to
   * `maxconn` one by one; a connection that has none yet must not cost nothing.
   */
  private hasNoRoom(): boolean {
    const { tables } = this.hub;
    const { row } = this.frontend;
    const proxies = tables.proxies.words;
    const own = proxies[row + PROXY_FRONT_MAXCONN]!;
    const most = own > 0 ? own : tables.process.words[PROCESS_MAXCONN]!;
    return most > 0 && Atomics.load(proxies, row + PROXY_QUIC_FRONT) >= most;
  }

  /** From time to time: closes connections that have had no stream for too long. */
  tick(nowMs: number): void {
    if (this.isFull && this.isAccepting && !this.hasNoRoom()) {
      this.isFull = false;
      this.hub.transport.setAccepting(this.endpoint, true);
    }
    const { timeoutClient } = this.frontend;
    if (timeoutClient < 0) return;
    for (const client of this.connections) {
      if (nowMs - client.idleSinceMs >= timeoutClient) client.closeIfIdle();
    }
  }

  /** No new streams; what lives ends by itself. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.isAccepting = false;
    if (this.endpoint >= 0) this.hub.transport.unlisten(this.endpoint);
    this.hub.acceptorClosed(this);
    for (const connection of [...this.connections]) connection.closeIfIdle();
  }

  onAccepted(connection: number): ConnectionOwner {
    this.hub.keepTime();
    if (!this.isFull && this.hasNoRoom()) {
      this.isFull = true;
      this.hub.transport.setAccepting(this.endpoint, false);
    }
    if (this.spec.map === "session") return this.acceptSession(connection);
    const client = new ClientConnection(this, connection);
    this.connections.add(client);
    return client;
  }

  onFailed(connection: number, cause: number, code: bigint): void {
    this.hub.handshakes.ofClient(this, this.frontend.row, connection, cause, code);
  }

  private acceptSession(connection: number): SessionConduit {
    const session = SessionConduit.accepted(this.hub, connection);
    this.onAccept(session);
    return session;
  }

  /** A client's connection is over. */
  left(client: ClientConnection): void {
    this.connections.delete(client);
  }
}

/** A client's connection whose streams are conduits. */
class ClientConnection implements ConnectionOwner, ConduitHome {
  private readonly acceptor: QuicAcceptor;
  private readonly handle: number;
  /** When it had a stream last, ms; Infinity = it has one. */
  idleSinceMs: number;
  /** It is closed as soon as what was written last has arrived. */
  private isLeaving = false;
  private readonly streams = new StreamList();

  constructor(acceptor: QuicAcceptor, handle: number) {
    this.acceptor = acceptor;
    this.handle = handle;
    this.idleSinceMs = acceptor.hub.clock.nowMs();
  }

  onConnected(): void {
    // It was, when it was accepted.
  }

  onStream(connection: number, stream: number, _id: number, isUni: boolean): void {
    const { hub, isClosed } = this.acceptor;
    // A stream for one direction has no answer; what is being closed takes nothing new.
    if (isUni || isClosed || this.isLeaving) {
      refuseStream(hub.transport, connection, stream, isUni);
      return;
    }
    const conduit = new QuicConduit(hub.transport, hub, null, FRONT);
    this.idleSinceMs = Infinity;
    this.streams.open(conduit, this, connection, stream);
    this.acceptor.onAccept(conduit);
  }

  note(): QuicNote {
    return { serverRow: 0, isSession: false, streams: this.streams.describe() };
  }

  onCredit(): void {
    // We open no streams towards clients here.
  }

  onDatagram(): void {
    dropDatagrams(this.acceptor.hub.transport, this.handle);
  }

  onClosed(_connection: number, cause: number, code: bigint): void {
    this.acceptor.left(this);
    this.streams.endAll(cause, code);
  }

  conduitLeft(conduit: QuicConduit): void {
    if (conduit.place < 0) return;
    this.streams.remove(conduit);
    if (this.streams.count === 0) this.idleSinceMs = this.acceptor.hub.clock.nowMs();
    if (this.acceptor.isClosed) this.closeIfIdle();
  }

  /** Closes the connection if it has no stream. */
  closeIfIdle(): void {
    if (this.streams.count > 0 || this.isLeaving) return;
    this.isLeaving = true;
    this.acceptor.left(this);
    const { hub } = this.acceptor;
    hub.closeGently(this.handle, cleanCodeOf(hub.transport, this.handle));
  }
}
