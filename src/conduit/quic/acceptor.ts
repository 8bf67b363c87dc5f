/**
 * A listening QUIC endpoint of one worker, and the connections of its clients.
 *
 * Each bidirectional stream of a client is accepted as a conduit, like a TCP connection; or, with
 * `quic-map session`, the whole connection is one. While the listener pauses, handshakes are not
 * answered: clients try again, as with a full backlog. When it closes, connections without streams
 * are closed, the others with their last stream.
 */
import type { QuicBindSpec } from "../../tables/spec.ts";
import { FRONT } from "../conduit.ts";
import type { Conduit } from "../conduit.ts";
import { cleanCodeFor } from "./codes.ts";
import type { QuicNote } from "./describe.ts";
import type { QuicHub } from "./hub.ts";
import { QuicProfile } from "./profile.ts";
import { QuicConduit } from "./quic-conduit.ts";
import type { ConduitHome } from "./quic-conduit.ts";
import { SessionConduit } from "./session-conduit.ts";
import type { ConnectionOwner, EndpointOwner } from "./transport.ts";

/** A listening endpoint; the engine sees it as a listening socket. */
export class QuicAcceptor implements EndpointOwner {
  readonly hub: QuicHub;
  isAccepting = false;
  isClosed = false;
  readonly onAccept: (conduit: Conduit) => void;
  private readonly spec: QuicBindSpec;
  private readonly profile: QuicProfile;
  private readonly fd: number;
  private readonly proxyRow: number;
  private endpoint = -1;
  private readonly connections = new Set<ClientConnection>();

  /** @param proxyRow row of the frontend: what its connections count for */
  constructor(
    hub: QuicHub,
    spec: QuicBindSpec,
    fd: number,
    proxyRow: number,
    onAccept: (conduit: Conduit) => void,
  ) {
    this.hub = hub;
    this.spec = spec;
    this.profile = QuicProfile.ofBind(spec);
    this.fd = fd;
    this.proxyRow = proxyRow;
    this.onAccept = onAccept;
  }

  /** Begins or goes on accepting. @returns 0, or a negative result of the transport or -errno */
  start(): number {
    if (this.isAccepting) return 0;
    const { transport } = this.hub;
    if (this.endpoint < 0) {
      this.endpoint = transport.listen(this.profile, this.fd, this.proxyRow, this);
      if (this.endpoint < 0) return this.endpoint;
    }
    transport.setAccepting(this.endpoint, true);
    this.isAccepting = true;
    return 0;
  }

  pause(): void {
    if (!this.isAccepting) return;
    this.isAccepting = false;
    this.hub.transport.setAccepting(this.endpoint, false);
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
    if (this.spec.map === "session") return this.acceptSession(connection);
    const client = new ClientConnection(this, connection);
    this.connections.add(client);
    return client;
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
  /** Its streams, in no order; each knows its place. */
  private readonly streams: QuicConduit[] = [];

  constructor(acceptor: QuicAcceptor, handle: number) {
    this.acceptor = acceptor;
    this.handle = handle;
  }

  onConnected(): void {
    // It was, when it was accepted.
  }

  onStream(connection: number, stream: number, _id: number, isUni: boolean): void {
    const { hub, isClosed } = this.acceptor;
    // A stream for one direction has no answer; a closing listener takes nothing new.
    if (isUni || isClosed) {
      this.refuse(stream, isUni);
      return;
    }
    const conduit = new QuicConduit(hub.transport, hub, null, FRONT);
    conduit.home = this;
    conduit.place = this.streams.length;
    this.streams.push(conduit);
    conduit.open(connection, stream);
    this.acceptor.onAccept(conduit);
  }

  private refuse(stream: number, isUni: boolean): void {
    const { transport } = this.acceptor.hub;
    const code = this.cleanCode();
    transport.stop(stream, code);
    if (!isUni) transport.reset(stream, code);
    transport.release(stream);
  }

  note(): QuicNote {
    const streams = this.streams.map(({ stream, heldBy: owner }) => ({ stream, owner }));
    return { serverRow: 0, isSession: false, streams };
  }

  onCredit(): void {
    // We open no streams towards clients here.
  }

  onDatagram(): void {
    const { transport } = this.acceptor.hub;
    while (transport.peekDatagram(this.handle) >= 0) transport.dropDatagram(this.handle);
  }

  onClosed(_connection: number, cause: number, code: bigint): void {
    this.acceptor.left(this);
    for (const conduit of this.streams.splice(0)) {
      conduit.place = -1;
      conduit.connectionClosed(cause, code);
    }
  }

  conduitLeft(conduit: QuicConduit): void {
    if (conduit.place < 0) return;
    const last = this.streams.pop()!;
    if (last !== conduit) {
      this.streams[conduit.place] = last;
      last.place = conduit.place;
    }
    conduit.place = -1;
    if (this.acceptor.isClosed) this.closeIfIdle();
  }

  /** Closes the connection if it has no stream. */
  closeIfIdle(): void {
    if (this.streams.length > 0) return;
    this.acceptor.left(this);
    this.acceptor.hub.closeGently(this.handle, this.cleanCode());
  }

  private cleanCode(): bigint {
    return cleanCodeFor(this.acceptor.hub.transport.connectionText(this.handle, "alpn"));
  }
}
