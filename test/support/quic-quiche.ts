/**
 * QUIC peers of the tests, client and server, over quiche: independent of everything sluice has, in
 * this process, and able to misbehave: to stop reading, to freeze, to die without a word, to break
 * off one direction with a code, to change their port. They count what they did and saw, so that
 * sluice's counters can be held against an independent count.
 */
import { randomBytes } from "node:crypto";

import type { udp } from "bun";

import { within } from "./procs.ts";
import type { Certificate } from "./quic-certificates.ts";
import {
  findQuiche,
  type HostPort,
  type Quiche,
  type QuicheConfig,
  type QuicheConnection,
  TYPE_INITIAL,
} from "./quic-quiche-native.ts";
import { QuicStream } from "./quic-quiche-stream.ts";

const LOOPBACK = "127.0.0.1";
const CID_BYTES = 16;
/** Packets that one turn of a connection may write before others have theirs. */
const PACKETS_A_TURN = 256;

/** How a peer is set up. */
export interface PeerOptions {
  alpn?: readonly string[];
  /** What it shows; a server needs one. */
  certificate?: Certificate;
  /** File of the authority for the other's certificate; none = not verified. */
  authority?: string;
  streamsBidi?: number;
  streamsUni?: number;
  streamWindow?: number;
  connectionWindow?: number;
  idleMs?: number;
  hasDatagrams?: boolean;
  isEarly?: boolean;
  port?: number;
  /** Server: a client's handshake is done. */
  onConnection?(connection: QuicConnection): void;
}

/** How a connection ended. */
export interface Ended {
  how: "application" | "transport" | "idle" | "local";
  code: number;
  reason: string;
}

/** What an endpoint counts. */
export interface PeerCounts {
  /** Connections begun, by either side. */
  connections: number;
  handshakes: number;
  streamsOpened: number;
  streamsAccepted: number;
  resetsSent: number;
  resetsReceived: number;
  stopsSent: number;
  stopsReceived: number;
}

/** One connection. */
export class QuicConnection {
  readonly endpoint: QuicEndpoint;
  readonly native: QuicheConnection;
  readonly isServer: boolean;
  /** Resolves when the handshake is done, rejects when it fails. */
  readonly established = Promise.withResolvers<void>();
  readonly ended = Promise.withResolvers<Ended>();
  readonly streams = new Map<number, QuicStream>();
  readonly datagrams: Uint8Array[] = [];
  /** The other side has opened a stream. */
  onStream: ((stream: QuicStream) => void) | undefined;
  end: Ended | undefined;
  hasHandshake = false;
  #next = [0, 0];
  #timer: Timer | undefined;
  #isDirty = false;
  readonly remote: HostPort;
  readonly #out = new Uint8Array(65_535);

  constructor(endpoint: QuicEndpoint, native: QuicheConnection, remote: HostPort, server: boolean) {
    this.endpoint = endpoint;
    this.native = native;
    this.remote = remote;
    this.isServer = server;
    // Whoever does not wait for it must not fall over it.
    this.established.promise.catch(() => {});
  }

  /** Waits for the handshake. */
  async ready(): Promise<this> {
    await within("a QUIC handshake", this.established.promise);
    return this;
  }

  get alpn(): string {
    return new TextDecoder().decode(this.native.applicationProto());
  }

  /** Opens a stream; the other side learns of it with its first byte or its end. */
  openStream(isUni = false): QuicStream {
    const kind = isUni ? 1 : 0;
    const id = 4 * (this.#next[kind] ?? 0) + (this.isServer ? 1 : 0) + 2 * kind;
    this.#next[kind] = (this.#next[kind] ?? 0) + 1;
    this.endpoint.counts.streamsOpened++;
    const stream = new QuicStream(this, id);
    this.streams.set(id, stream);
    return stream;
  }

  streamsLeft(isUni = false): number {
    return isUni ? this.native.peerStreamsLeftUni() : this.native.peerStreamsLeftBidi();
  }

  sendDatagram(bytes: Uint8Array): void {
    this.native.dgramSend(bytes);
    this.stir();
  }

  /** Closes with an application's code. */
  close(code = 0, reason = ""): void {
    if (this.native.isClosed()) return;
    this.native.close(true, code, new TextEncoder().encode(reason));
    this.stir();
  }

  /** Something was written, or came in: reads, writes packets and sets the timer, soon. */
  stir(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    setImmediate(() => {
      this.#isDirty = false;
      this.turn();
    });
  }

  receive(packet: Uint8Array, from: HostPort): void {
    try {
      this.native.recv(packet, {
        from: this.isServer ? from : this.remote,
        to: this.endpoint.local,
      });
    } catch {
      // What it thinks of it is seen below, in its state.
    }
    this.stir();
  }

  turn(): void {
    if (this.endpoint.isFrozen || this.end?.how === "local") return;
    this.#notice();
    if (this.end === undefined) this.#serveStreams();
    this.#send();
    this.#notice();
    this.#arm();
  }

  #notice(): void {
    const { native } = this;
    if (!this.hasHandshake && native.isEstablished()) {
      this.hasHandshake = true;
      this.endpoint.counts.handshakes++;
      if (this.isServer) this.endpoint.options.onConnection?.(this);
      this.established.resolve();
    }
    if (this.end !== undefined || !(native.isDraining() || native.isClosed())) return;
    const error = native.peerError() ?? native.localError();
    this.finish({
      how:
        native.isTimedOut() || error === null ? "idle" : error.isApp ? "application" : "transport",
      code: error?.errorCode ?? 0,
      reason: new TextDecoder().decode(error?.reason ?? new Uint8Array()),
    });
  }

  /** It is over, for whatever reason; its streams hear of it. */
  finish(end: Ended): void {
    if (this.end !== undefined) return;
    this.end = end;
    for (const stream of this.streams.values()) stream.die();
    this.established.reject(new Error(`QUIC connection ended: ${end.how} ${end.code}`));
    this.ended.resolve(end);
  }

  #serveStreams(): void {
    const { native } = this;
    if (!native.isEstablished() && !native.isInEarlyData()) return;
    // Refusals first: a stream that is over in both directions is forgotten when its end is read.
    for (const id of native.writable()) this.#stream(id)?.writable();
    for (const id of native.readable()) this.#stream(id)?.readable();
    for (let one = native.dgramRecvVec(); one !== null; one = native.dgramRecvVec()) {
      this.datagrams.push(one);
    }
  }

  #stream(id: number): QuicStream | undefined {
    const known = this.streams.get(id);
    if (known !== undefined) return known;
    if ((id & 1) === (this.isServer ? 1 : 0)) return undefined;
    const stream = new QuicStream(this, id);
    this.streams.set(id, stream);
    this.endpoint.counts.streamsAccepted++;
    this.onStream?.(stream);
    return stream;
  }

  #send(): void {
    for (let i = 0; i < PACKETS_A_TURN; i++) {
      if (this.endpoint.isBlocked) return;
      const packet = this.native.send(this.#out);
      if (packet === null) return;
      this.endpoint.send(this.#out.slice(0, packet[0]), packet[1].to);
    }
    this.stir();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const delay = this.native.timeout();
    if (this.native.isClosed()) return this.endpoint.forget(this);
    if (delay === null) return;
    this.#timer = setTimeout(
      () => {
        if (this.endpoint.isFrozen || this.end?.how === "local") return;
        this.native.onTimeout();
        this.turn();
      },
      Math.max(1, delay),
    );
  }

  stopTimer(): void {
    clearTimeout(this.#timer);
  }
}

/** One UDP socket with its connections. */
export class QuicEndpoint implements AsyncDisposable {
  readonly options: PeerOptions;
  readonly counts: PeerCounts = {
    connections: 0,
    handshakes: 0,
    streamsOpened: 0,
    streamsAccepted: 0,
    resetsSent: 0,
    resetsReceived: 0,
    stopsSent: 0,
    stopsReceived: 0,
  };
  /** All that ever were. */
  readonly connections: QuicConnection[] = [];
  /** It neither reads nor writes packets, nor lets time pass. */
  isFrozen = false;
  /** It sends, and hears nothing. */
  isDeaf = false;
  readonly #quiche: Quiche;
  readonly #config: QuicheConfig;
  readonly #byCid = new Map<string, QuicConnection>();
  readonly #unsent: { packet: Uint8Array; to: HostPort }[] = [];
  #socket!: udp.Socket<"buffer">;
  #local: HostPort = { host: LOOPBACK, port: 0 };
  #isOver = false;

  private constructor(quiche: Quiche, options: PeerOptions) {
    this.#quiche = quiche;
    this.options = options;
    this.#config = makeConfig(quiche, options);
  }

  /** Opens a socket; it serves clients if the options have a certificate and `onConnection`. */
  static async open(options: PeerOptions = {}): Promise<QuicEndpoint> {
    const quiche = findQuiche();
    if (quiche === undefined) throw new Error("quiche is not installed");
    const endpoint = new QuicEndpoint(quiche, options);
    endpoint.#socket = await endpoint.#bind(options.port ?? 0);
    endpoint.#local = { host: LOOPBACK, port: endpoint.#socket.port };
    return endpoint;
  }

  get port(): number {
    return this.#local.port;
  }

  get local(): HostPort {
    return this.#local;
  }

  /** The kernel takes no more for now. */
  get isBlocked(): boolean {
    return this.#unsent.length > 0;
  }

  async #bind(port: number): Promise<udp.Socket<"buffer">> {
    return await Bun.udpSocket({
      hostname: LOOPBACK,
      port,
      socket: {
        data: (_socket, bytes, fromPort, host) => this.#take(bytes, { host, port: fromPort }),
        drain: () => this.#drain(),
        error: () => {},
      },
    });
  }

  /** Connects to this port of the loopback. */
  connect(port: number, name: string | null = null, session?: Uint8Array): QuicConnection {
    const scid = randomBytes(CID_BYTES);
    const remote = { host: LOOPBACK, port };
    const { Connection } = this.#quiche;
    const native = Connection.connect(name, scid, this.#local, remote, this.#config);
    if (session !== undefined) native.setSession(session);
    const connection = new QuicConnection(this, native, remote, false);
    this.#adopt(connection, scid);
    connection.turn();
    return connection;
  }

  #adopt(connection: QuicConnection, ...ids: Uint8Array[]): void {
    for (const id of ids) this.#byCid.set(Buffer.from(id).toString("hex"), connection);
    this.connections.push(connection);
    this.counts.connections++;
  }

  #take(bytes: Buffer, from: HostPort): void {
    if (this.isFrozen || this.isDeaf || this.#isOver) return;
    let header;
    try {
      header = this.#quiche.Header.fromSlice(bytes, CID_BYTES);
    } catch {
      return;
    }
    const key = Buffer.from(header.dcid).toString("hex");
    let connection = this.#byCid.get(key);
    if (connection === undefined) {
      if (header.ty !== TYPE_INITIAL || this.options.onConnection === undefined) return;
      const scid = randomBytes(CID_BYTES);
      const { Connection } = this.#quiche;
      const native = Connection.accept(scid, null, this.#local, from, this.#config);
      connection = new QuicConnection(this, native, from, true);
      this.#adopt(connection, scid, header.dcid);
    }
    connection.receive(bytes, from);
  }

  send(packet: Uint8Array, to: HostPort): void {
    if (this.#isOver || this.isFrozen) return;
    try {
      if (this.#socket.send(packet, to.port, to.host)) return;
    } catch {
      // As if the network had lost it.
      return;
    }
    this.#unsent.push({ packet, to });
  }

  #drain(): void {
    for (const { packet, to } of this.#unsent.splice(0)) this.send(packet, to);
    if (this.isBlocked) return;
    for (const connection of this.connections) if (connection.end === undefined) connection.stir();
  }

  forget(connection: QuicConnection): void {
    for (const [key, one] of this.#byCid) if (one === connection) this.#byCid.delete(key);
  }

  /** Goes on from another port, as behind a NAT that forgot: the connections do not know. */
  async move(): Promise<void> {
    const before = this.#socket;
    this.#socket = await this.#bind(0);
    before.close();
  }

  /** Neither sends nor hears anything from now on, and does not say so. */
  freeze(): void {
    this.isFrozen = true;
  }

  /** Gone at once, without a word, as a killed process. */
  kill(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.close();
    for (const connection of this.connections) {
      connection.stopTimer();
      connection.finish({ how: "local", code: 0, reason: "killed" });
    }
  }

  /** Closes what lives, in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return;
    for (const connection of this.connections) {
      if (connection.end !== undefined) continue;
      connection.close();
      connection.turn();
    }
    this.kill();
  }
}

function makeConfig(quiche: Quiche, options: PeerOptions): QuicheConfig {
  const config = new quiche.Config();
  const { certificate, streamWindow = 1_048_576, connectionWindow = 4_194_304 } = options;
  if (certificate !== undefined) {
    config.loadCertChainFromPemFile(certificate.chain);
    config.loadPrivKeyFromPemFile(certificate.key);
  }
  if (options.authority !== undefined) config.loadVerifyLocationsFromFile(options.authority);
  config.verifyPeer(options.authority !== undefined);
  config.setApplicationProtos([...(options.alpn ?? ["test"])]);
  config.setMaxIdleTimeout(options.idleMs ?? 30_000);
  config.setMaxRecvUdpPayloadSize(65_000);
  config.setMaxSendUdpPayloadSize(1_400);
  config.setInitialMaxData(connectionWindow);
  config.setMaxConnectionWindow(connectionWindow);
  config.setInitialMaxStreamDataBidiLocal(streamWindow);
  config.setInitialMaxStreamDataBidiRemote(streamWindow);
  config.setInitialMaxStreamDataUni(streamWindow);
  config.setMaxStreamWindow(streamWindow);
  config.setInitialMaxStreamsBidi(options.streamsBidi ?? 100);
  config.setInitialMaxStreamsUni(options.streamsUni ?? 100);
  config.enablePacing(false);
  if (options.isEarly === true) config.enableEarlyData();
  if (options.hasDatagrams === true) config.enableDgram(true, 1_000, 1_000);
  return config;
}
