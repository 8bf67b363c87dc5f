/**
 * A Transport (src/conduit/quic/transport.ts) in memory, over the connections of sim-quic.ts.
 *
 * Nothing happens by itself: `turn` does one thing, and only there is anybody told anything. Frames
 * arrive in batches before the first of them is told, so what a call finds may be newer than what
 * was told, as with a real one. A descriptor is a port here. What a caller must not do throws.
 */
import { parseIp } from "../../src/base/address.ts";
import type { QuicProfile } from "../../src/conduit/quic/profile.ts";
import {
  CAUSE_APPLICATION,
  CAUSE_HANDSHAKE,
  CAUSE_IDLE,
  CAUSE_INTERNAL,
  CAUSE_LOCAL,
  CAUSE_PROTOCOL,
  CAUSE_REFUSED,
  CAUSE_RESET,
  CAUSE_TRANSPORT,
  CONNECTION_ESTABLISHED,
  CONNECTION_IS_SERVER,
  CONNECTION_RESUMED,
  QUIC_COUNTS,
  QUIC_MOMENTS,
  QUIC_NUMBERS,
  TRANSPORT_CLOSED,
  TRANSPORT_FULL,
  TRANSPORT_GONE,
  TRANSPORT_NO_CREDIT,
  TRANSPORT_TOO_LONG,
} from "../../src/conduit/quic/transport.ts";
import type {
  ConnectionOwner,
  EndpointOwner,
  QuicDial,
  QuicText,
  StreamOwner,
  Transport,
  TransportAccount,
} from "../../src/conduit/quic/transport.ts";
import { decodeSocketAddress } from "../../src/conduit/sockaddr.ts";
import type { Endpoint } from "../../src/conduit/sockaddr.ts";
import type { QuicTransportSpec } from "../../src/tables/spec.ts";
import { DATAGRAMS_MAX, PATH_DATAGRAM_BYTES, SimConnection } from "./sim-quic.ts";
import type { Frame, Initial, SimNetwork, SimStream, Told } from "./sim-quic.ts";

const ECONNREFUSED = 111n;
/** TLS alerts as transport codes: bad certificate, no protocol in common. */
const BAD_CERTIFICATE = 0x12an;
const NO_APPLICATION_PROTOCOL = 0x178n;
/** A connection that was closed answers late packets for so long. */
const CLOSING_MS = 3;
/** A client that gets no answer knocks again. */
const KNOCK_AGAIN_MS = 20;

const SLOT_BITS = 15;
const SLOTS_MAX = 1 << SLOT_BITS;
const GENERATIONS = 1 << 15;

/** Numbers that stand for things, each used once for one thing. */
class Handles<T> {
  private readonly things: (T | undefined)[] = [undefined];
  private readonly generations: number[] = [0];
  private readonly free: number[] = [];
  count = 0;

  add(thing: T): number {
    const slot = this.free.pop() ?? this.things.length;
    if (slot >= SLOTS_MAX) throw new RangeError("too many connections or streams");
    this.things[slot] = thing;
    const generation = ((this.generations[slot] ?? 0) + 1) % GENERATIONS || 1;
    this.generations[slot] = generation;
    this.count++;
    return (generation << SLOT_BITS) | slot;
  }

  get(handle: number): T | undefined {
    const slot = handle & (SLOTS_MAX - 1);
    return this.generations[slot] === handle >> SLOT_BITS ? this.things[slot] : undefined;
  }

  remove(handle: number): void {
    if (this.get(handle) === undefined) return;
    const slot = handle & (SLOTS_MAX - 1);
    this.things[slot] = undefined;
    this.free.push(slot);
    this.count--;
  }

  /** From a slot on; @returns the slot behind the last looked at */
  *from(slot: number): Generator<[number, T]> {
    for (let at = Math.max(1, slot); at < this.things.length; at++) {
      const thing = this.things[at];
      if (thing !== undefined) yield [at, thing];
    }
  }
}

type SimEndpoint = {
  port: number;
  initials: Initial[];
  profile: QuicProfile;
  proxyRow: number;
  owner: EndpointOwner;
  isAccepting: boolean;
  counts: Float64Array;
  counted: Float64Array;
};

/** What a transport that died had not given to its account. */
export type Remains = {
  proxyRow: number;
  isFront: boolean;
  growth: Float64Array;
  /** Its end was told already: it waited to be released. */
  wasClosed: boolean;
};

export class SimTransport implements Transport, Told {
  readonly network: SimNetwork;
  peekBytes = new Uint8Array(0);
  peekOffset = 0;
  isEnd = false;
  isDestroyed = false;
  private readonly account: TransportAccount;
  private readonly address: string;
  private readonly handles = new Handles<SimConnection>();
  private readonly streamHandles = new Handles<SimStream>();
  private readonly endpoints: (SimEndpoint | null)[] = [];
  /** What is to be told, in order. */
  private readonly told: (() => void)[] = [];

  /** @param address what peers see of it, and its own listeners' address */
  constructor(network: SimNetwork, account: TransportAccount, address: string) {
    this.network = network;
    this.account = account;
    this.address = address;
  }

  // ── turns ──

  /** Would `turn` do something? */
  get isReady(): boolean {
    return !this.isDestroyed && (this.told.length > 0 || this.hasWork());
  }

  /** Has something happened that nobody was told yet? */
  get hasNews(): boolean {
    return this.told.length > 0;
  }

  /** Is anything to be told, sent or received, now or later? Deadlines do not count. */
  get isBusy(): boolean {
    if (this.told.length > 0) return true;
    for (const [, connection] of this.handles.from(0)) {
      const { state, inbound, hasOutput } = connection;
      if (state === "over" || state === "handshake" || inbound.length > 0 || hasOutput) return true;
    }
    return false;
  }

  /** The same as whether there is `work`, which costs more. */
  private hasWork(): boolean {
    const now = this.network.nowMs();
    for (const endpoint of this.endpoints) {
      for (const { dueMs } of endpoint?.initials ?? []) if (dueMs <= now) return true;
    }
    for (const [, connection] of this.handles.from(0)) {
      if (connection.releaseAtMs <= now) return true;
      if (connection.state === "over") continue;
      if (this.deadlineOf(connection) <= now || connection.hasOutput) return true;
      if (connection.inbound.length > 0 && connection.arrivals(now).length > 0) return true;
    }
    return false;
  }

  /** Does one thing: tells of one event, or sends, receives, or runs what is due. */
  turn(): boolean {
    if (this.isDestroyed) return false;
    const next = this.told.shift();
    if (next !== undefined) {
      next();
      return true;
    }
    const work = this.work();
    if (work.length === 0) return false;
    this.network.choices.pick(work)();
    return true;
  }

  /** When something is due that waits for time alone; Infinity = nothing is. */
  nextAtMs(): number {
    let next = Infinity;
    for (const endpoint of this.endpoints) {
      for (const initial of endpoint?.initials ?? []) next = Math.min(next, initial.dueMs);
    }
    for (const [, connection] of this.handles.from(0)) {
      next = Math.min(next, connection.releaseAtMs, this.deadlineOf(connection));
      if (connection.state === "over") continue;
      if (connection.heldUntilMs > this.network.nowMs()) {
        next = Math.min(next, connection.heldUntilMs);
      }
      for (const frame of connection.inbound) next = Math.min(next, frame.dueMs);
    }
    return next;
  }

  private work(): (() => void)[] {
    const now = this.network.nowMs();
    const work: (() => void)[] = [];
    for (const endpoint of this.endpoints) {
      const initial = endpoint?.initials.find(({ dueMs }) => dueMs <= now);
      if (endpoint != null && initial !== undefined) work.push(() => this.greet(endpoint, initial));
    }
    for (const [, connection] of this.handles.from(0)) {
      if (connection.releaseAtMs <= now) work.push(() => this.letGo(connection));
      if (connection.state === "over") continue;
      const hasArrivals = connection.arrivals(now).length > 0;
      if (connection.hasOutput) work.push(() => connection.flush());
      if (hasArrivals) work.push(() => this.receive(connection));
      // Whoever was asleep reads first.
      else if (this.deadlineOf(connection) <= now) work.push(() => this.expire(connection));
    }
    return work;
  }

  private receive(connection: SimConnection): void {
    const { choices, habits, nowMs } = this.network;
    for (let left = choices.between(1, habits.batchMax); left > 0; left--) {
      const arrivals = connection.arrivals(nowMs());
      if (arrivals.length === 0) return;
      const at = choices.chance(habits.overtake) ? choices.pick(arrivals) : arrivals[0]!;
      const [frame] = connection.inbound.splice(at, 1);
      connection.arrive(frame!);
    }
  }

  /** When silence ends a connection; Infinity = it may be silent. */
  private deadlineOf(connection: SimConnection): number {
    const { state, spec, bornMs, heardMs, peer, isServer } = connection;
    if (state === "over") return Infinity;
    if (state === "handshake") {
      const end = bornMs + spec.handshakeTimeoutMs;
      return isServer || peer !== null ? end : Math.min(end, connection.knockAtMs);
    }
    const limits = [spec.idleTimeoutMs, peer?.spec.idleTimeoutMs ?? 0].filter((ms) => ms > 0);
    return limits.length === 0 ? Infinity : heardMs + Math.min(...limits);
  }

  private expire(connection: SimConnection): void {
    const { network } = this;
    const { state, spec, bornMs, isCut, peer } = connection;
    if (state === "handshake") {
      if (network.nowMs() < bornMs + spec.handshakeTimeoutMs) this.knock(connection);
      else this.end(connection, CAUSE_HANDSHAKE, 0n, "", false);
      return;
    }
    const pings = [connection, peer].some((side) => {
      return side !== null && side.spec.keepAliveMs > 0 && side.streams.size > 0;
    });
    const isAlive = !isCut && peer !== null && peer.state !== "over";
    if (isAlive && pings) connection.heardMs = network.nowMs();
    else this.end(connection, CAUSE_IDLE, 0n, "", false);
  }

  // ── endpoints ──

  listen(profile: QuicProfile, fd: number, proxyRow: number, owner: EndpointOwner): number {
    const endpoint: SimEndpoint = {
      port: fd,
      initials: [],
      profile,
      proxyRow,
      owner,
      isAccepting: true,
      counts: new Float64Array(QUIC_COUNTS),
      counted: new Float64Array(QUIC_COUNTS),
    };
    this.network.bind(endpoint);
    return this.endpoints.push(endpoint) - 1;
  }

  setAccepting(endpoint: number, isAccepting: boolean): void {
    const found = this.endpoints[endpoint];
    if (found != null) found.isAccepting = isAccepting;
  }

  unlisten(endpoint: number): void {
    const found = this.endpoints[endpoint];
    if (found == null) return;
    this.network.unbind(found);
    this.growth(found.proxyRow, true, found.counts, found.counted);
    this.endpoints[endpoint] = null;
  }

  /** A client knocks at an endpoint. */
  private greet(endpoint: SimEndpoint, initial: Initial): void {
    endpoint.initials.splice(endpoint.initials.indexOf(initial), 1);
    const { client } = initial;
    if (client.state !== "handshake" || client.peer !== null) return;
    if (!endpoint.isAccepting) {
      const at = QUIC_NUMBERS.indexOf("initialsDropped");
      endpoint.counts[at] = endpoint.counts[at]! + 1;
      return;
    }
    const spec = specOf(endpoint.profile);
    const server = new SimConnection(this.network, this, true, endpoint.proxyRow, spec);
    server.handle = this.handles.add(server);
    server.endpointOwner = endpoint.owner;
    server.peer = client;
    client.peer = server;
    server.local.copyFrom(client.remote);
    server.remote.copyFrom(client.local);
    server.sni = client.sni;
    this.account.opened(endpoint.proxyRow, true);
    this.accepts(server);
    const alpn = chooseAlpn(endpoint.profile.bind?.alpn ?? [], client.alpnOffered);
    if (alpn === null) {
      this.end(server, CAUSE_PROTOCOL, NO_APPLICATION_PROTOCOL, "", true);
      return;
    }
    server.alpn = alpn;
    server.send({ kind: "welcome" });
  }

  /** A client's connection has begun: for whoever watches. */
  accepts(_connection: SimConnection): void {
    // Nobody does.
  }

  /** A connection is over: the same. @param _cause CAUSE_* */
  ends(_connection: SimConnection, _cause: number): void {
    // Nobody does.
  }

  // ── connections ──

  connect(dial: QuicDial, owner: ConnectionOwner): number {
    const { network } = this;
    const spec = specOf(dial.profile);
    const client = new SimConnection(network, this, false, dial.proxyRow, spec);
    client.handle = this.handles.add(client);
    client.owner = owner;
    client.sni = dial.sni;
    client.alpnOffered = dial.alpn.length > 0 ? dial.alpn : (dial.profile.server?.alpn ?? []);
    client.isResumed = dial.ticket !== null;
    decodeSocketAddress(dial.remote.bytes, dial.remote.bytes.length, client.remote);
    parseIp(this.address, client.local.ip);
    client.local.family = client.local.ip.family;
    client.local.port = network.nextPort();
    this.account.opened(dial.proxyRow, false);
    this.knock(client);
    return client.handle;
  }

  private knock(client: SimConnection): void {
    client.knockAtMs = this.network.nowMs() + KNOCK_AGAIN_MS;
    client.count("packetsSent");
    if (!this.network.knock(client)) this.end(client, CAUSE_REFUSED, ECONNREFUSED, "", false);
  }

  /** A frame of the handshake or of the end. */
  arrived(connection: SimConnection, frame: Frame): void {
    if (frame.kind === "close") {
      const { cause, code, reason } = frame;
      if (cause === CAUSE_RESET) connection.count("resetsReceived");
      this.end(connection, cause, code, reason, false);
      return;
    }
    if (frame.kind === "welcome") this.welcomed(connection);
    else this.confirmed(connection);
  }

  private welcomed(client: SimConnection): void {
    const { network } = this;
    if (network.choices.chance(network.habits.handshakeFailure)) {
      client.failure = "certificate refused";
      this.end(client, CAUSE_PROTOCOL, BAD_CERTIFICATE, "", true);
      return;
    }
    client.alpn = client.peer!.alpn;
    if (client.isResumed) client.count("resumed");
    client.establish();
    client.send({ kind: "confirm" });
    this.tellLater(client, () => client.owner?.onConnected(client.handle));
    this.credit(client, client.mayOpen[0] > 0, client.mayOpen[1] > 0);
  }

  private confirmed(server: SimConnection): void {
    server.isResumed = server.peer!.isResumed;
    if (server.isResumed) server.count("resumed");
    server.establish();
    server.send({ kind: "ticket" });
    this.tellLater(server, () => {
      server.owner = server.endpointOwner!.onAccepted(server.handle);
    });
    this.credit(server, server.mayOpen[0] > 0, server.mayOpen[1] > 0);
  }

  closeConnection(connection: number, isApplication: boolean, code: bigint, reason: string): void {
    const found = this.handles.get(connection);
    if (found === undefined || found.isDisowned) return;
    found.isDisowned = true;
    if (found.state === "over") return;
    found.send({
      kind: "close",
      cause: isApplication ? CAUSE_APPLICATION : CAUSE_TRANSPORT,
      code,
      reason,
    });
    this.end(found, CAUSE_LOCAL, code, reason, false);
  }

  /** Breaks a connection from outside: as an error of the library, of the peer, or of the path. */
  break(connection: number, how: "cut" | "protocol" | "internal" | "reset"): void {
    const found = this.handles.get(connection);
    if (found === undefined || found.state === "over") return;
    if (how === "cut") this.network.cut(found);
    else if (how === "protocol") this.end(found, CAUSE_PROTOCOL, 0xan, "", true);
    else if (how === "internal") this.end(found, CAUSE_INTERNAL, 0n, "", true);
    else found.inbound.unshift(statelessReset());
  }

  /** It is over; its streams are dead. What is to be told waits for the turn. */
  private end(
    connection: SimConnection,
    cause: number,
    code: bigint,
    reason: string,
    tellPeer: boolean,
  ): void {
    if (tellPeer) connection.send({ kind: "close", cause: CAUSE_TRANSPORT, code, reason: "" });
    if (!connection.wasEstablished) connection.count("handshakesFailed");
    connection.state = "over";
    connection.reason = reason;
    connection.inbound.length = 0;
    connection.releaseAtMs = this.network.nowMs() + (cause === CAUSE_IDLE ? 0 : CLOSING_MS);
    this.network.trace(() => `${connection} is over: cause ${cause}, code ${code}`);
    this.ends(connection, cause);
    this.told.push(() => {
      connection.isToldOver = true;
      this.account.closed(connection.proxyRow, connection.isServer, cause, code);
      const { owner, isDisowned, handle, wasEstablished } = connection;
      if (owner !== null && !isDisowned) owner.onClosed(handle, cause, code, wasEstablished);
    });
  }

  /** The end of the closing period. */
  private letGo(connection: SimConnection): void {
    const { proxyRow, isServer, handle } = connection;
    const last = new Float64Array(QUIC_COUNTS + QUIC_MOMENTS.length);
    connection.numbers(last);
    this.growth(proxyRow, isServer, connection.counts, connection.counted);
    for (const stream of connection.streams.values()) this.streamHandles.remove(stream.handle);
    connection.streams.clear();
    this.handles.remove(handle);
    connection.isReleased = true;
    this.account.released(proxyRow, isServer, last);
  }

  private growth(row: number, isFront: boolean, counts: Float64Array, told: Float64Array): void {
    const growth = counts.map((value, at) => value - told[at]!);
    told.set(counts);
    this.account.count(row, isFront, growth);
  }

  countLive(): void {
    for (const endpoint of this.endpoints) {
      if (endpoint === null) continue;
      this.growth(endpoint.proxyRow, true, endpoint.counts, endpoint.counted);
    }
    for (const [, { proxyRow, isServer, counts, counted }] of this.handles.from(0)) {
      this.growth(proxyRow, isServer, counts, counted);
    }
  }

  listConnections(from: number, out: number[], most: number): number {
    out.length = 0;
    for (const [slot, { handle }] of this.handles.from(from)) {
      if (out.length === most) return slot;
      out.push(handle);
    }
    return 0;
  }

  connectionProxy(connection: number): number {
    return this.handles.get(connection)?.proxyRow ?? 0;
  }

  connectionOwner(connection: number): ConnectionOwner | null {
    const found = this.handles.get(connection);
    return found === undefined || found.isDisowned || found.state === "over" ? null : found.owner;
  }

  connectionDescriptor(): number {
    return -1;
  }

  isEstablished(connection: number): boolean {
    return this.handles.get(connection)?.state === "established";
  }

  connectionFlags(connection: number): number {
    const found = this.handles.get(connection);
    if (found === undefined) return 0;
    const { wasEstablished, isServer, isResumed } = found;
    return (
      (wasEstablished ? CONNECTION_ESTABLISHED : 0) |
      (isServer ? CONNECTION_IS_SERVER : 0) |
      (isResumed ? CONNECTION_RESUMED : 0)
    );
  }

  connectionText(connection: number, which: QuicText): string {
    const found = this.handles.get(connection);
    if (found === undefined) return "";
    switch (which) {
      case "sni":
        return found.sni;
      case "alpn":
        return found.alpn;
      case "reason":
        return found.reason;
      case "failure":
        return found.failure;
      case "cipher":
        return "TLS_AES_128_GCM_SHA256";
      case "scid":
      case "dcid":
        return found.handle.toString(16);
      default:
        return "";
    }
  }

  connectionEndpoint(connection: number, isPeer: boolean, out: Endpoint): void {
    const found = this.handles.get(connection);
    if (found === undefined) out.clear();
    else out.copyFrom(isPeer ? found.remote : found.local);
  }

  connectionNow(connection: number, out: Float64Array): boolean {
    const found = this.handles.get(connection);
    found?.numbers(out);
    return found !== undefined;
  }

  connectionTicket(connection: number): Uint8Array | null {
    return this.handles.get(connection)?.hasTicket === true ? new Uint8Array([1]) : null;
  }

  // ── streams ──

  /** The stream, if it and its connection live. */
  private live(stream: number): SimStream | undefined {
    const found = this.streamHandles.get(stream);
    return found === undefined || found.isReleased || found.connection.state === "over"
      ? undefined
      : found;
  }

  openStream(connection: number, isUni: boolean): number {
    const found = this.handles.get(connection);
    if (found === undefined || found.state === "over") return TRANSPORT_GONE;
    const stream = found.openStream(isUni);
    if (stream === null) return TRANSPORT_NO_CREDIT;
    stream.handle = this.streamHandles.add(stream);
    // The peer learns of it, whether something is written or not.
    found.send({ kind: "bytes", id: stream.id, bytes: new Uint8Array(0), isEnd: false });
    return stream.handle;
  }

  ownStream(stream: number, owner: StreamOwner | null): void {
    const found = this.live(stream);
    if (found !== undefined) found.owner = owner;
  }

  streamId(stream: number): number {
    return this.live(stream)?.id ?? TRANSPORT_GONE;
  }

  peek(stream: number): number {
    const found = this.live(stream);
    this.isEnd = false;
    if (found === undefined) return TRANSPORT_GONE;
    const { pieces, inState } = found;
    const [first] = pieces;
    if (first === undefined) {
      this.isEnd = inState === "ended";
      return 0;
    }
    this.peekBytes = first.bytes as Uint8Array<ArrayBuffer>;
    this.peekOffset = first.offset;
    this.isEnd = inState === "ended" && pieces.length === 1;
    return first.bytes.length - first.offset;
  }

  consume(stream: number, count: number): void {
    const found = this.live(stream);
    if (found === undefined) return;
    if (count < 0 || count > found.unreadBytes) throw new RangeError("more consumed than unread");
    found.connection.consume(found, count);
  }

  write(stream: number, bytes: Uint8Array, offset: number, length: number): number {
    const found = this.live(stream);
    if (found === undefined) return TRANSPORT_GONE;
    if (found.outState !== "open") return TRANSPORT_CLOSED;
    const { choices, habits } = this.network;
    let taken = Math.max(0, Math.min(length, found.room));
    if (taken > 1 && choices.chance(habits.shortWrite)) taken = choices.between(1, taken - 1);
    if (taken > 0) found.unsent.push(bytes.slice(offset, offset + taken));
    found.unsentBytes += taken;
    if (taken < length) this.wantWritable(found);
    return taken;
  }

  private wantWritable(stream: SimStream): void {
    if (stream.wantsWritable) return;
    stream.wantsWritable = true;
    // There was room: the rest is asked for at once.
    if (stream.room > 0) this.writable(stream);
  }

  finish(stream: number): void {
    const found = this.live(stream);
    if (found === undefined || found.outState !== "open") return;
    found.outState = "finishing";
    found.wantsWritable = false;
  }

  reset(stream: number, code: bigint): void {
    checkCode(code);
    const found = this.live(stream);
    if (found !== undefined) found.connection.resetStream(found, code);
  }

  stop(stream: number, code: bigint): void {
    checkCode(code);
    const found = this.live(stream);
    if (found !== undefined) found.connection.stopStream(found, code);
  }

  release(stream: number): void {
    const found = this.live(stream);
    if (found === undefined) return;
    if (found.outState === "open") throw new RangeError("released before our direction is over");
    found.connection.releaseStream(found);
  }

  isUnsent(stream: number): boolean {
    const found = this.streamHandles.get(stream);
    return found !== undefined && found.sentBytes === 0 && found.outState !== "finished";
  }

  // ── datagrams ──

  peekDatagram(connection: number): number {
    const found = this.handles.get(connection);
    const first = found === undefined || found.state === "over" ? undefined : found.datagrams[0];
    if (first === undefined) return -1;
    this.peekBytes = first as Uint8Array<ArrayBuffer>;
    this.peekOffset = 0;
    return first.length;
  }

  dropDatagram(connection: number): void {
    this.handles.get(connection)?.datagrams.shift()?.fill(0xee);
  }

  sendDatagram(connection: number, bytes: Uint8Array, offset: number, length: number): number {
    const found = this.handles.get(connection);
    if (found === undefined || found.state !== "established") return TRANSPORT_GONE;
    if (length > Math.min(PATH_DATAGRAM_BYTES, found.peer!.spec.datagramMax)) {
      found.count("datagramsDropped");
      return TRANSPORT_TOO_LONG;
    }
    const waiting = found.peer!.inbound.filter(({ kind }) => kind === "datagram").length;
    if (waiting >= DATAGRAMS_MAX) {
      found.count("datagramsDropped");
      return TRANSPORT_FULL;
    }
    found.count("datagramsSent");
    found.send({ kind: "datagram", bytes: bytes.slice(offset, offset + length) });
    return 0;
  }

  // ── what connections tell ──

  private tellLater(connection: SimConnection, run: () => void): void {
    this.told.push(() => {
      if (connection.state !== "over") run();
    });
  }

  private tellStream(stream: SimStream, run: (owner: StreamOwner) => void): void {
    this.tellLater(stream.connection, () => {
      if (stream.owner !== null && !stream.isReleased) run(stream.owner);
    });
  }

  streamOpened(stream: SimStream): void {
    const { connection, id } = stream;
    stream.handle = this.streamHandles.add(stream);
    this.tellLater(connection, () => {
      connection.owner?.onStream(connection.handle, stream.handle, id, (id & 2) !== 0);
    });
  }

  streamGone(stream: SimStream): void {
    this.streamHandles.remove(stream.handle);
  }

  data(stream: SimStream): void {
    if (stream.isDataQueued) return;
    stream.isDataQueued = true;
    this.told.push(() => {
      stream.isDataQueued = false;
      const { owner, isReleased, inState, connection, handle } = stream;
      if (connection.state === "over" || isReleased || owner === null) return;
      if (inState === "open" || inState === "ended") owner.onStreamData(handle);
    });
  }

  writable(stream: SimStream): void {
    stream.wantsWritable = false;
    this.tellStream(stream, (owner) => {
      if (stream.outState === "open") owner.onStreamWritable(stream.handle);
    });
  }

  streamReset(stream: SimStream, code: bigint): void {
    this.tellStream(stream, (owner) => owner.onStreamReset(stream.handle, code));
  }

  streamStopped(stream: SimStream, code: bigint): void {
    this.tellStream(stream, (owner) => owner.onStreamStop(stream.handle, code));
  }

  credit(connection: SimConnection, bidi: boolean, uni: boolean): void {
    this.tellLater(connection, () => connection.owner?.onCredit(connection.handle, bidi, uni));
  }

  datagram(connection: SimConnection): void {
    if (connection.isDatagramQueued) return;
    connection.isDatagramQueued = true;
    this.tellLater(connection, () => {
      connection.isDatagramQueued = false;
      connection.owner?.onDatagram(connection.handle);
    });
  }

  // ── for whoever watches ──

  /** Connections and streams that have a handle. */
  get connectionCount(): number {
    return this.handles.count;
  }

  get streamCount(): number {
    return this.streamHandles.count;
  }

  /** The inside of a connection; undefined = it is gone. */
  connectionOf(connection: number): SimConnection | undefined {
    return this.handles.get(connection);
  }

  /** The inside of a stream that lives; undefined = it does not. */
  streamOf(stream: number): SimStream | undefined {
    return this.live(stream);
  }

  /** All connections, also those that are closing. */
  *connections(): Generator<SimConnection> {
    for (const [, connection] of this.handles.from(0)) yield connection;
  }

  /** Its thread is gone: peers hear of it by a stateless reset, or by silence. */
  destroy(answersResets: boolean): Remains[] {
    this.isDestroyed = true;
    const remains: Remains[] = [];
    const add = (proxyRow: number, isFront: boolean, growth: Float64Array, wasClosed: boolean) =>
      remains.push({ proxyRow, isFront, growth, wasClosed });
    for (const connection of this.connections()) {
      const { proxyRow, isServer, counts, counted, isToldOver, peer } = connection;
      add(
        proxyRow,
        isServer,
        counts.map((value, at) => value - counted[at]!),
        isToldOver,
      );
      const wasOver = connection.state === "over";
      connection.state = "over";
      if (wasOver || peer === null) continue;
      if (answersResets && !peer.isCut) peer.inbound.unshift(statelessReset());
      else this.network.cut(connection);
    }
    for (const endpoint of this.endpoints) if (endpoint !== null) this.network.unbind(endpoint);
    return remains;
  }
}

function statelessReset(): Frame {
  return { dueMs: 0, kind: "close", cause: CAUSE_RESET, code: 0n, reason: "" };
}

function specOf(profile: QuicProfile): QuicTransportSpec {
  const spec = profile.bind?.transport ?? profile.server?.transport;
  if (spec === undefined) throw new RangeError("a profile is of a listener or of a server");
  return spec;
}

/** The server's choice; null = nothing in common. */
function chooseAlpn(ours: readonly string[], offered: readonly string[]): string | null {
  if (ours.length === 0 || offered.length === 0) return "";
  return ours.find((one) => offered.includes(one)) ?? null;
}

function checkCode(code: bigint): void {
  if (code < 0n || code >= 1n << 62n) throw new RangeError("a code has 62 bits");
}
