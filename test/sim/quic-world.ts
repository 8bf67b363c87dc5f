/**
 * QUIC around the simulated process: connections of clients, the ends of connections to servers,
 * the network between, and how all of them die. A client's stream is a SimClient, a stream to a
 * server a SimLink, as for TCP.
 *
 *   clients' transport ─┐                              ┌─ servers' transport
 *      QuicClientEnd ───┼─ network ─ worker transports ┼─── QuicServerEnd
 */
import { parseIp } from "../../src/base/address.ts";
import { CLOSE_UNSENT } from "../../src/conduit/conduit.ts";
import type { Conduit, ConduitOwner, DialHints } from "../../src/conduit/conduit.ts";
import { buryServerPresence } from "../../src/conduit/quic/presence.ts";
import { QuicProfile } from "../../src/conduit/quic/profile.ts";
import { QuicConduit } from "../../src/conduit/quic/quic-conduit.ts";
import {
  CAUSE_APPLICATION,
  CAUSE_INTERNAL,
  CAUSE_LOCAL,
  CAUSE_TRANSPORT,
} from "../../src/conduit/quic/transport.ts";
import type { ConnectionOwner, StreamOwner } from "../../src/conduit/quic/transport.ts";
import { encodeSocketAddress } from "../../src/conduit/sockaddr.ts";
import type { DialTarget } from "../../src/conduit/tcp/dial.ts";
import { SimNetwork } from "../support/sim-quic.ts";
import type { SimConnection, SimStream } from "../support/sim-quic.ts";
import { SimTransport } from "../support/sim-transport.ts";
import { CountingAccount } from "../support/transport-suite.ts";
import { NO_HEADER, SimClient, SimLink } from "./far.ts";
import type { Mood, QuicOptions } from "./options.ts";
import { NearConduit } from "./quic-near.ts";
import { QuicStreamSocket } from "./quic-socket.ts";
import type { SimWorker } from "./sim-worker.ts";
import { farBindSpec, farServerSpec } from "./specs.ts";
import { require } from "./violation.ts";
import type { World } from "./world.ts";

/** As long as the proxy waits for a reader that takes nothing, when it closes a connection. */
const READER_PATIENCE_MS = 5000;

/** Codes with which whole connections are closed by their peers. */
const CLOSE_CODES: readonly bigint[] = [0n, 0n, 7n, 0x100n];

/** A connection of a client. */
class QuicClientEnd implements ConnectionOwner {
  readonly quic: QuicWorld;
  readonly number: number;
  readonly port: number;
  readonly proxy: number;
  handle = 0;
  inside: SimConnection | null = null;
  isOpen = false;
  isOver = false;
  readonly clients: SimClient[] = [];

  constructor(quic: QuicWorld, number: number, port: number, proxy: number) {
    this.quic = quic;
    this.number = number;
    this.port = port;
    this.proxy = proxy;
  }

  onConnected(): void {
    this.isOpen = true;
  }

  onStream(): void {
    require(false, "the proxy opens no streams towards clients");
  }

  onCredit(): void {
    // Clients try when it is their turn.
  }

  onDatagram(): void {
    require(false, "the proxy sends no datagrams");
  }

  onClosed(): void {
    this.isOver = true;
    this.quic.world.trace(() => `${this} is over`);
    for (const client of this.clients) {
      (client.socket as QuicStreamSocket).die(this.inside ?? undefined);
      if (!client.isAccepted) client.isRefused = true;
    }
  }

  toString(): string {
    return `QUIC connection ${this.number}`;
  }
}

/** The server's end of a connection that the proxy has made. */
class QuicServerEnd implements ConnectionOwner {
  readonly quic: QuicWorld;
  readonly inside: SimConnection;
  readonly links: SimLink[] = [];
  isOver = false;

  constructor(quic: QuicWorld, inside: SimConnection) {
    this.quic = quic;
    this.inside = inside;
  }

  onConnected(): void {
    // Servers are accepted.
  }

  onStream(_connection: number, stream: number, id: number): void {
    const link = this.quic.linkOf(this.inside.peer!, id);
    require(link !== undefined, "a stream to a server is one that was dialled", () => `${id}`);
    (link.socket as QuicStreamSocket).bind(stream);
    this.links.push(link);
  }

  onCredit(): void {
    // Servers open no streams here.
  }

  onDatagram(): void {
    require(false, "the proxy sends no datagrams");
  }

  onClosed(): void {
    this.isOver = true;
    for (const link of this.links) (link.socket as QuicStreamSocket).die(this.inside);
  }
}

/** A transport of clients or of servers: deaths that nobody brought about are known. */
class FarTransport extends SimTransport {
  onEnded: (connection: SimConnection, cause: number) => void = () => {};

  override ends(connection: SimConnection, cause: number): void {
    this.onEnded(connection, cause);
  }
}

export class QuicWorld {
  readonly world: World;
  readonly options: QuicOptions;
  readonly network: SimNetwork;
  /** What the far ends count. */
  readonly clientAccount = new CountingAccount();
  readonly serverAccount = new CountingAccount();
  readonly clientSide: FarTransport;
  readonly serverSide: FarTransport;
  readonly clientEnds: QuicClientEnd[] = [];
  private readonly serverEnds: QuicServerEnd[] = [];
  /** Every connection that a worker ever had. */
  readonly nearConnections: SimConnection[] = [];
  /** The proxy's side of each stream to a server. */
  private readonly links = new Map<SimConnection, Map<number, SimLink>>();
  private readonly clientsByStream = new Map<SimConnection, Map<number, SimClient>>();
  private readonly linkOfConduit = new Map<StreamOwner, SimLink>();
  private readonly conduits = new Map<SimWorker, Set<NearConduit>>();
  /** Transports of dead workers that control has buried. */
  private readonly buried = new Set<SimTransport>();
  /** Connections that die, or have: what is opened on them meanwhile dies too. */
  private readonly blamed = new Set<SimConnection>();
  /** A connection has died before its time: what the far ends counted may be more. */
  hasDeaths = false;
  private isEnding = false;

  constructor(world: World, options: QuicOptions) {
    this.world = world;
    this.options = options;
    const { choices, clock } = world;
    this.network = new SimNetwork(choices, options.network, () => clock.nowMs());
    this.network.trace = (line) => world.trace(line);
    this.network.answers = (client) => this.answerOf(client);
    this.clientSide = new FarTransport(this.network, this.clientAccount, "10.1.0.1");
    this.serverSide = new FarTransport(this.network, this.serverAccount, "127.0.0.1");
    this.clientSide.onEnded = (connection, cause) => this.ended(connection, cause);
    this.serverSide.onEnded = this.clientSide.onEnded;
  }

  // ── servers ──

  /** A server begins to listen. */
  serve(port: number): void {
    const profile = QuicProfile.ofBind(farBindSpec(this.options));
    this.serverSide.listen(profile, port, 0, {
      onAccepted: (handle) => this.acceptAtServer(handle),
    });
  }

  private acceptAtServer(handle: number): ConnectionOwner {
    const inside = this.serverSide.connectionOf(handle)!;
    const end = new QuicServerEnd(this, inside);
    this.serverEnds.push(end);
    const mood = this.moodAt(inside.local.port);
    this.world.trace(() => `a server accepts ${inside.peer}: ${mood}`);
    if (mood === "reset" || mood === "closeAtOnce") {
      this.closeFar(this.serverSide, inside, mood === "reset" ? 7n : 0n);
    }
    return end;
  }

  private moodAt(port: number): Mood {
    const { world } = this;
    const server = world.servers.find((one) => one.port === port && !one.isGone);
    return server === undefined ? "accept" : world.moodOf(server);
  }

  private answerOf(client: SimConnection): "yes" | "refuse" | "silence" {
    // Who knocks at the proxy gets the proxy's answer.
    if (client.tell === this.clientSide) return "yes";
    const mood = this.moodAt(client.remote.port);
    if (mood === "silence") return "silence";
    return mood === "refuse" || mood === "refuseLate" ? "refuse" : "yes";
  }

  /** A worker dials a server that speaks QUIC. */
  dial(
    worker: SimWorker,
    target: DialTarget,
    owner: ConduitOwner,
    hints: DialHints,
    link: SimLink,
  ): Conduit | number {
    const near = new NearConduit(link.socket as QuicStreamSocket, owner);
    near.onOpened = () => {
      link.isOpen = true;
    };
    near.onOver = (code) => {
      if (code === CLOSE_UNSENT) this.world.marks.hit("unsent stream went elsewhere");
      if (!link.isOpen) link.hasFailed = true;
    };
    const quic = worker.quic!;
    this.keep(worker, near);
    quic.dialling = link;
    const inner = quic.hub.dial(target, near, hints);
    quic.dialling = null;
    if (typeof inner === "number") {
      link.hasFailed = true;
      return inner;
    }
    near.inner = inner;
    this.linkOfConduit.set(inner as QuicConduit, link);
    return near;
  }

  private keep(worker: SimWorker, near: NearConduit): void {
    const kept = this.conduits.get(worker);
    if (kept === undefined) this.conduits.set(worker, new Set([near]));
    else kept.add(near);
  }

  /** A worker has taken a stream: of a client, or opened by itself. */
  nearOwns(stream: SimStream, owner: StreamOwner, dialling: SimLink | null): void {
    if (stream.connection.isServer) return;
    const link = this.linkOfConduit.get(owner) ?? dialling;
    require(link !== null, "a stream is opened for somebody who dials");
    let streams = this.links.get(stream.connection);
    if (streams === undefined) this.links.set(stream.connection, (streams = new Map()));
    if (streams.size > 0) this.world.marks.hit("connection shared by streams");
    streams.set(stream.id, link);
    if (this.blamed.has(stream.connection)) link.hasDied = true;
  }

  linkOf(near: SimConnection, id: number): SimLink | undefined {
    return this.links.get(near)?.get(id);
  }

  nearConnected(connection: SimConnection): void {
    this.nearConnections.push(connection);
  }

  /** Bytes have left the proxy: the stream of which client it is. */
  nearMoved(stream: SimStream): void {
    const client = stream.connection.isServer
      ? this.clientsByStream.get(stream.connection.peer!)?.get(stream.id)
      : this.linkOf(stream.connection, stream.id)?.client;
    if (client !== undefined) client.movedAtMs = this.world.clock.nowMs();
  }

  // ── clients ──

  /** A client opens a stream, or a connection if it needs one. @returns false: not now */
  connectClient(
    port: number,
    proxy: number,
    make: (socket: QuicStreamSocket) => SimClient,
  ): boolean {
    const { choices, options } = this.world;
    const ends = this.clientEnds.filter((end) => !end.isOver && end.port === port);
    const open = ends.filter((end) => end.isOpen);
    const mayAdd = ends.length < this.options.connectionsMax;
    if (open.length === 0 || (mayAdd && choices.chance(0.3))) {
      return mayAdd && this.connect(port, proxy);
    }
    const end = choices.pick(open);
    const handle = this.clientSide.openStream(end.handle, false);
    if (handle <= 0) return false;
    const socket = new QuicStreamSocket(this.clientSide, options.habits, choices);
    socket.bind(handle);
    const client = make(socket);
    client.endpoint.copyFrom(end.inside!.local);
    client.address = addressOf(end.number);
    end.clients.push(client);
    const streams = this.clientsByStream.get(end.inside!)!;
    streams.set(socket.id, client);
    if (end.inside!.peer !== null && this.blamed.has(end.inside!.peer)) client.hasDied = true;
    return true;
  }

  private connect(port: number, proxy: number): boolean {
    const end = new QuicClientEnd(this, this.clientEnds.length + 1, port, proxy);
    this.clientEnds.push(end);
    end.handle = this.clientSide.connect(
      {
        profile: QuicProfile.ofServer(farServerSpec(this.options)),
        remote: encodeSocketAddress({ family: "ipv4", host: "127.0.0.1", port }),
        local: null,
        interfaceName: null,
        sni: "",
        verifyName: "",
        alpn: [],
        ticket: null,
        proxyRow: 0,
      },
      end,
    );
    end.inside = this.clientSide.connectionOf(end.handle)!;
    parseIp(addressOf(end.number), end.inside.local.ip);
    this.clientsByStream.set(end.inside, new Map());
    this.world.trace(() => `${end} begins, to ${port}`);
    return true;
  }

  /** A worker accepts the stream of a client. */
  accept(worker: SimWorker, inner: Conduit, onAccept: (conduit: Conduit) => void): void {
    require(inner instanceof QuicConduit, "a QUIC listener accepts streams");
    const { transport } = worker.quic!;
    const near = transport.connectionOf(inner.connection)!;
    const client = this.clientsByStream.get(near.peer!)?.get(transport.streamId(inner.stream));
    require(client !== undefined, "a stream that is accepted is a client's");
    client.isAccepted = true;
    client.worker = worker.number;
    this.world.trace(() => `w${worker.number} accepts ${client}`);
    const conduit = new NearConduit(client.socket as QuicStreamSocket, null);
    conduit.inner = inner;
    conduit.onOwner = (owner) => this.world.ownedBy(client, owner);
    this.keep(worker, conduit);
    onAccept(conduit);
    if (client.stream < 0) this.world.marks.hit("QUIC stream parked");
  }

  // ── death ──

  /** The worker's thread is gone, and its engine answers nobody. */
  workerDied(worker: SimWorker): void {
    const { choices, marks } = this.world;
    this.hasDeaths = true;
    if (worker.quic!.transport.connectionCount > 0) marks.hit("worker lost with QUIC connections");
    worker.quic!.die(choices.chance(0.5));
    for (const { socket } of this.conduits.get(worker) ?? []) {
      if (socket.closeDelivered || socket.nearClosed) continue;
      socket.nearClosed = true;
      socket.nearAborted = true;
    }
    this.conduits.delete(worker);
  }

  /** Control takes what a dead worker held off the totals, as it does with a real one. */
  bury(worker: SimWorker): void {
    const { tables, shop } = this.world;
    const { account, remains } = worker.quic!;
    for (const { proxyRow, isFront, growth, wasClosed } of remains) {
      account.count(proxyRow, isFront, growth);
      if (!wasClosed) account.closed(proxyRow, isFront, CAUSE_INTERNAL, 0n);
      account.released(proxyRow, isFront);
    }
    for (const row of shop.serverRows.rows()) {
      buryServerPresence(tables, worker.number, row);
    }
    this.buried.add(worker.quic!.transport);
  }

  /** Does a connection of a worker still hold its proxy? */
  holdsProxy(near: SimConnection): boolean {
    const transport = near.tell as SimTransport;
    if (transport.isDestroyed) return !near.isReleased && !this.buried.has(transport);
    return !near.isReleased;
  }

  /** One connection dies, in one of all ways. @returns false when there is none */
  kill(): boolean {
    const { world } = this;
    const { choices } = world;
    const alive = this.nearConnections.filter(
      ({ state, peer }) => state !== "over" && peer?.state !== "over",
    );
    if (alive.length === 0) return false;
    // Before what was written has gone out another server may still be tried.
    const unsent = alive.filter((near) => [...near.streams.values()].some(isUnsent));
    const near = choices.pick(unsent.length > 0 && choices.chance(0.5) ? unsent : alive);
    const how = choices.pick(["close", "close", "cut", "protocol", "internal", "reset"] as const);
    this.hasDeaths = true;
    world.trace(() => `${near} dies: ${how}`);
    this.blame(near);
    if (how === "close") {
      if (near.peer === null) return false;
      const far = near.isServer ? this.clientSide : this.serverSide;
      this.closeFar(far, near.peer, choices.pick(CLOSE_CODES));
      return true;
    }
    const isNear = choices.chance(0.5);
    const side = isNear || near.peer === null ? near : near.peer;
    (side.tell as SimTransport).break(side.handle, how);
    return true;
  }

  /** A connection has ended at one of its ends: by itself, or since the other has. */
  ended(connection: SimConnection, cause: number): void {
    const isOwn = cause === CAUSE_LOCAL || cause === CAUSE_APPLICATION || cause === CAUSE_TRANSPORT;
    const isFar = connection.tell === this.clientSide || connection.tell === this.serverSide;
    const near = isFar ? connection.peer : connection;
    const { streams, ackedMs } = connection;
    const silentMs = this.world.clock.nowMs() - ackedMs;
    // A reader that takes nothing is given up at last.
    if (!isFar && isOwn && streams.size > 0 && silentMs >= READER_PATIENCE_MS) {
      this.blame(connection);
      this.hasDeaths = true;
    }
    // A client may open a stream while the proxy closes a connection that had none for too long.
    if (!isFar && connection.isServer && !this.isEnding) this.hasDeaths = true;
    if (isOwn || near === null) return;
    this.hasDeaths = true;
    this.blame(near);
  }

  /** Whoever has a stream on it counts as the one that aborted. */
  private blame(near: SimConnection): void {
    const { marks } = this.world;
    this.blamed.add(near);
    if (near.isServer) {
      const clients = [...(this.clientsByStream.get(near.peer!)?.values() ?? [])];
      const alive = clients.filter((client) => client.isAccepted && client.outcome === null);
      if (alive.length > 0) marks.hit("client connection died with streams");
      for (const client of clients) client.hasDied = true;
      return;
    }
    const links = [...(this.links.get(near)?.values() ?? [])];
    if (links.some((link) => link.isHeld)) marks.hit("server connection died with streams");
    if (near.state === "handshake") marks.hit("server connection died in its handshake");
    for (const link of links) link.hasDied = true;
  }

  /** A far end closes its connection. */
  private closeFar(transport: SimTransport, far: SimConnection, code: bigint): void {
    this.hasDeaths = true;
    const end =
      transport === this.clientSide
        ? this.clientEnds.find(({ inside }) => inside === far)
        : this.serverEnds.find(({ inside }) => inside === far);
    if (far.peer !== null) this.blame(far.peer);
    transport.closeConnection(far.handle, true, code, "sim");
    end?.onClosed();
  }

  // ── turns ──

  /** One thing happens at the far ends. @returns false when nothing can now */
  turn(): boolean {
    const sides = [this.clientSide, this.serverSide];
    const first = this.world.choices.below(2);
    return sides[first]!.turn() || sides[1 - first]!.turn();
  }

  /** When something is due that waits for time; Infinity = nothing is. */
  nextAtMs(): number {
    return Math.min(...[...this.transports()].map((transport) => transport.nextAtMs()));
  }

  /** Everything that clients meant to open has reached the proxy. */
  get isQuiet(): boolean {
    return this.world.clients.every((client) => {
      return client.isAccepted || client.isRefused || !(client.socket instanceof QuicStreamSocket);
    });
  }

  /** Nothing is under way any more, and all that has come was looked at. */
  get isStill(): boolean {
    for (const { socket, isOver } of [...this.world.clients, ...this.world.links]) {
      if (socket instanceof QuicStreamSocket && socket.handle !== 0 && !isOver) return false;
    }
    return ![...this.transports()].some((transport) => transport.isBusy);
  }

  /** All connections are over and released. */
  get isEmpty(): boolean {
    return ![...this.transports()].some((transport) => transport.connectionCount > 0);
  }

  private *transports(): Generator<SimTransport> {
    yield this.clientSide;
    yield this.serverSide;
    for (const worker of this.world.workers) if (worker.isRunning) yield worker.quic!.transport;
  }

  /** The run is over: clients leave. */
  closeClients(): void {
    this.isEnding = true;
    for (const end of this.clientEnds) {
      if (end.isOver) continue;
      this.clientSide.closeConnection(end.handle, true, 0n, "");
      end.onClosed();
    }
  }
}

/** A client without a PROXY header: QUIC has none. */
export function quicClient(
  id: number,
  socket: QuicStreamSocket,
  payloadBytes: number,
  isDeaf: boolean,
  proxy: number,
): SimClient {
  return new SimClient(id, socket, NO_HEADER, payloadBytes, isDeaf, proxy);
}

function isUnsent({ unsentBytes, sentBytes }: SimStream): boolean {
  return unsentBytes > 0 && sentBytes === 0;
}

function addressOf(connection: number): string {
  return `10.1.${(connection >> 8) & 255}.${connection & 255}`;
}
