/**
 * The QUIC transport over native/quic: one engine of one thread. Bytes, packets, timers and the
 * states of streams are C's; here is who owns what, and who counts it.
 *
 * ```
 *   descriptor readable ─▶ pump ─▶ events ─▶ owners ─▶ write, consume, reset …
 *   end of the turn     ─▶ flush: what they asked for goes out ─▶ events
 * ```
 * Owners are found by the slot of a handle and checked against the whole handle: an event about
 * something that is over reaches nobody.
 *
 * @hot
 */
import { toArrayBuffer } from "bun:ffi";
import type { Pointer } from "bun:ffi";

import { assert, describeError } from "../../base/assert.ts";
import type { Native } from "../native.ts";
import { decodeSocketAddress } from "../sockaddr.ts";
import type { Endpoint } from "../sockaddr.ts";
import { ENGINE_EVENTS } from "./engine-memory.ts";
import type { EngineMemory } from "./engine-memory.ts";
import { beginConnection, bytesOrNull, highOf, lowOf } from "./native-calls.ts";
import { ConnectionTable, SLOT_MASK } from "./native-connections.ts";
import type { NativeConnection } from "./native-connections.ts";
import { EndpointTable } from "./native-endpoints.ts";
import type { TransportHooks } from "./native-endpoints.ts";
import { madeOf, textBytes } from "./native-profile.ts";
import * as q from "./native-quic.ts";
import type { Quic } from "./native-quic.ts";
import type { QuicProfile } from "./profile.ts";
import { CONNECTION_ESTABLISHED, QUIC_TEXTS, TRANSPORT_GONE, TRANSPORT_TLS } from "./transport.ts";
import type {
  ConnectionOwner,
  EndpointOwner,
  QuicDial,
  QuicText,
  StreamOwner,
  Transport,
  TransportAccount,
} from "./transport.ts";

const HIGH_WORD = 2 ** 32;
/** Room for a session ticket with what belongs to it. */
const TICKET_BYTES_MAX = 16 * 1024;
const KIND_APPLICATION = 0;
const KIND_TRANSPORT = 1;
/** Transport code: the server takes no connections (RFC 9000 section 20.1). */
const CONNECTION_REFUSED = 2;
const NOTHING = new Uint8Array(0);

/** What a transport is made of. */
export type NativeTransportOptions = {
  quic: Quic;
  native: Native;
  hooks: TransportHooks;
  account: TransportAccount;
  memory: EngineMemory;
  /** Number of the worker; 0 = control. */
  worker: number;
  /** Tells the engines of one worker number apart; the low 8 bits count. */
  generation: number;
  /** SECRET_BYTES, the same for all workers. */
  secret: Uint8Array;
  /** Bound of the arena. */
  chunksMax: number;
};

export class NativeTransport implements Transport {
  /** For whoever buries the thread. */
  readonly engine: Pointer;
  peekBytes: Uint8Array = NOTHING;
  peekOffset = 0;
  isEnd = false;
  /** Why the last `listen` or `connect` ended in TRANSPORT_TLS. */
  problem = "";
  private readonly quic: Quic;
  private readonly hooks: TransportHooks;
  private readonly events: Uint32Array;
  private readonly io: Uint32Array;
  private readonly endpoints: EndpointTable;
  private readonly connections: ConnectionTable;
  /** By slot. */
  private readonly streamHandles: number[] = [];
  private readonly streamOwners: (StreamOwner | null)[] = [];
  private readonly segments: (Uint8Array | undefined)[] = [];
  private willFlush = false;
  private isDestroyed = false;
  /** Owners are being told: the batch that they are told of must stay. */
  private isTelling = false;
  private readonly onTurnEnd: () => void;

  /** @throws when the engine or its descriptors cannot be had */
  constructor(options: NativeTransportOptions) {
    const { quic, memory } = options;
    const { worker, generation, secret, chunksMax } = options;
    assert(secret.length === q.SECRET_BYTES, "NativeTransport: a secret of SECRET_BYTES");
    memory.clear();
    const engine = quic.engineNew(
      worker,
      generation & 0xff,
      secret,
      memory.events,
      ENGINE_EVENTS,
      memory.io,
      chunksMax,
    );
    if (engine === null) throw new Error("the QUIC engine cannot be made: no memory or descriptor");
    this.engine = engine;
    this.quic = quic;
    this.hooks = options.hooks;
    this.events = memory.events;
    this.io = memory.io;
    this.endpoints = new EndpointTable(options, engine, (endpoint) => this.pump(endpoint));
    this.connections = new ConnectionTable(quic, engine, options.account, this.endpoints);
    this.onTurnEnd = () => this.flush();
    this.endpoints.watchEngine();
  }

  // ── the turn ──

  /**
   * Reads what an endpoint has (-1: timers and mail only) and tells the owners.
   * @returns whether there is more to read
   */
  pump(endpoint: number): boolean {
    if (this.isDestroyed || this.isTelling) return false;
    this.quic.pump(this.engine, endpoint);
    const hasMore = this.io[q.IO_MORE] === 1;
    this.readEvents();
    this.flushSoon();
    return hasMore;
  }

  /**
   * Sends what was asked for; by itself at the end of each turn. An owner that asks for it while it
   * is told something has to wait for that.
   */
  flush(): void {
    if (this.isTelling) {
      this.flushSoon();
      return;
    }
    this.willFlush = false;
    if (this.isDestroyed) return;
    this.quic.flush(this.engine);
    this.readEvents();
  }

  /** For whoever has no loop: pumps all endpoints, at most `rounds` times, and flushes. @cold */
  turn(rounds: number): void {
    for (let i = 0; i < rounds; i++) {
      let hasMore = this.pump(-1);
      for (const { index } of this.endpoints.all()) hasMore = this.pump(index) || hasMore;
      this.flush();
      if (!hasMore) return;
    }
  }

  private flushSoon(): void {
    if (this.willFlush) return;
    this.willFlush = true;
    this.hooks.afterTurn(this.onTurnEnd);
  }

  private readEvents(): void {
    let count = ENGINE_EVENTS;
    this.isTelling = true;
    try {
      while (count === ENGINE_EVENTS && !this.isDestroyed) {
        count = this.quic.events(this.engine);
        for (let i = 0; i < count; i++) this.tell(i * q.EVENT_WORDS);
      }
    } finally {
      this.isTelling = false;
    }
  }

  private tell(at: number): void {
    if (this.isDestroyed) return;
    try {
      this.dispatch(at);
    } catch (error) {
      // A bug of an owner: told, and the events behind it reach theirs.
      this.hooks.fault("QUIC event", describeError(error));
    }
  }

  private dispatch(at: number): void {
    const { events } = this;
    const type = events[at]!;
    const stream = events[at + 2]!;
    if (type === q.EV_DATA) {
      const owner = this.ownerOfStream(stream);
      if (owner !== null) owner.onStreamData(stream);
    } else if (type === q.EV_WRITABLE) {
      const owner = this.ownerOfStream(stream);
      if (owner !== null) owner.onStreamWritable(stream);
    } else if (type === q.EV_STREAM) {
      this.streamCame(events[at + 1]!, stream, at);
    } else if (type === q.EV_RESET) {
      const owner = this.ownerOfStream(stream);
      if (owner !== null) owner.onStreamReset(stream, this.codeAt(at));
    } else if (type === q.EV_STOP) {
      const owner = this.ownerOfStream(stream);
      if (owner !== null) owner.onStreamStop(stream, this.codeAt(at));
    } else {
      this.dispatchConnection(type, events[at + 1]!, at);
    }
  }

  private ownerOfStream(stream: number): StreamOwner | null {
    const slot = stream & SLOT_MASK;
    return this.streamHandles[slot] === stream ? this.streamOwners[slot]! : null;
  }

  /** A stream that nobody takes is over at once. */
  private streamCame(handle: number, stream: number, at: number): void {
    const { events } = this;
    const owner = this.connections.of(handle)?.owner;
    if (owner === undefined || owner === null) {
      this.release(stream);
      return;
    }
    const id = events[at + 5]! * HIGH_WORD + events[at + 4]!;
    owner.onStream(handle, stream, id, (events[at + 3]! & q.STREAM_UNI) !== 0);
  }

  private dispatchConnection(type: number, handle: number, at: number): void {
    const a = this.events[at + 3]!;
    if (type === q.EV_ACCEPTED) {
      this.accepted(handle, a);
      return;
    }
    if (type === q.EV_TROUBLE) {
      this.endpoints.trouble(a, this.events[at + 6]!);
      return;
    }
    const connection = this.connections.of(handle) ?? this.unheard(type, handle);
    if (connection === null) return;
    const { owner } = connection;
    if (type === q.EV_CLOSED) this.closed(connection, at);
    else if (type === q.EV_RELEASED) this.connections.release(connection);
    else if (owner === null) return;
    else if (type === q.EV_CONNECTED) {
      this.connections.count(connection);
      owner.onConnected(handle);
    } else if (type === q.EV_CREDIT) owner.onCredit(handle, (a & 1) !== 0, (a & 2) !== 0);
    else if (type === q.EV_DATAGRAM) owner.onDatagram(handle);
    // Tickets and new addresses are asked for, not told.
  }

  private unheard(type: number, handle: number): NativeConnection | null {
    return type === q.EV_CLOSED ? this.connections.adoptFailed(handle) : null;
  }

  /** The 62 bits of an event. Only ends have them. */
  private codeAt(at: number): bigint {
    return (BigInt(this.events[at + 5]!) << 32n) | BigInt(this.events[at + 4]!);
  }

  // ── connections ──

  /** @cold */
  private accepted(handle: number, index: number): void {
    const connection = this.connections.accept(handle, index);
    const { owner } = connection.endpoint;
    if (owner !== null) {
      connection.owner = owner.onAccepted(handle);
      return;
    }
    // It began before the listener closed.
    this.quic.connClose(this.engine, handle, KIND_TRANSPORT, CONNECTION_REFUSED, 0, null, 0);
    this.flushSoon();
  }

  /** @cold */
  private closed(connection: NativeConnection, at: number): void {
    const cause = this.events[at + 3]!;
    const wasEstablished = this.events[at + 6]! === 1;
    const code = this.codeAt(at);
    const owner = this.connections.close(connection, cause, code);
    const { handle, endpoint } = connection;
    if (!wasEstablished && endpoint.owner !== null) endpoint.owner.onFailed?.(handle, cause, code);
    if (owner !== null) owner.onClosed(handle, cause, code, wasEstablished);
  }

  /** @cold */
  listen(profile: QuicProfile, fd: number, proxyRow: number, owner: EndpointOwner): number {
    const made = this.made(profile);
    return made === null ? TRANSPORT_TLS : this.endpoints.listen(made, fd, proxyRow, owner);
  }

  /** @cold */
  private made(profile: QuicProfile): Pointer | null {
    const made = madeOf(this.quic, profile);
    if (typeof made !== "string") return made;
    this.problem = made;
    return null;
  }

  setAccepting(endpoint: number, isAccepting: boolean): void {
    this.quic.endpointAccept(this.engine, endpoint, isAccepting ? 1 : 0);
  }

  /** @cold */
  unlisten(endpoint: number): void {
    this.endpoints.unlisten(endpoint);
  }

  /** @cold */
  connect(dial: QuicDial, owner: ConnectionOwner): number {
    const made = this.made(dial.profile);
    if (made === null) return TRANSPORT_TLS;
    const endpoint = this.endpoints.forDial(dial);
    if (typeof endpoint === "number") return endpoint;
    const handle = beginConnection(this.quic, this.engine, made, endpoint.index, dial);
    if (handle <= 0) return handle === 0 ? TRANSPORT_GONE : handle;
    this.connections.adopt(handle, endpoint, dial.proxyRow).owner = owner;
    this.flushSoon();
    return handle;
  }

  /** @cold */
  closeConnection(handle: number, isApplication: boolean, code: bigint, reason: string): void {
    const connection = this.connections.of(handle);
    if (connection !== null) connection.owner = null;
    const text = bytesOrNull(textBytes(reason));
    this.quic.connClose(
      this.engine,
      handle,
      isApplication ? KIND_APPLICATION : KIND_TRANSPORT,
      lowOf(code),
      highOf(code),
      text,
      text?.length ?? 0,
    );
    this.flushSoon();
  }

  /** @cold */
  countLive(): void {
    this.connections.countAll();
    this.endpoints.countLive();
  }

  /** @cold */
  listConnections(from: number, out: number[], most: number): number {
    return this.connections.list(from, out, most);
  }

  connectionProxy(handle: number): number {
    return this.connections.of(handle)?.proxyRow ?? 0;
  }

  connectionOwner(handle: number): ConnectionOwner | null {
    return this.connections.of(handle)?.owner ?? null;
  }

  connectionDescriptor(handle: number): number {
    return this.connections.of(handle)?.endpoint.fd ?? -1;
  }

  isEstablished(handle: number): boolean {
    return (this.connectionFlags(handle) & CONNECTION_ESTABLISHED) !== 0;
  }

  connectionFlags(handle: number): number {
    const flags = this.quic.connFlags(this.engine, handle);
    return flags < 0 ? 0 : flags;
  }

  /** @cold */
  connectionText(handle: number, which: QuicText): string {
    const index = QUIC_TEXTS.indexOf(which);
    return q.readText((out, room) => this.quic.connText(this.engine, handle, index, out, room));
  }

  /** @cold */
  connectionEndpoint(handle: number, isPeer: boolean, out: Endpoint): void {
    const bytes = addressBytes;
    const room = bytes.length;
    const length = this.quic.connAddress(this.engine, handle, isPeer ? 1 : 0, bytes, room);
    out.clear();
    if (length > 0) decodeSocketAddress(bytes, length, out);
  }

  connectionNow(handle: number, out: Float64Array): boolean {
    return this.quic.connNow(this.engine, handle, out) >= 0;
  }

  /** @cold */
  connectionTicket(handle: number): Uint8Array | null {
    const out = new Uint8Array(TICKET_BYTES_MAX);
    const length = this.quic.connTicket(this.engine, handle, out, out.length);
    return length > 0 && length <= out.length ? out.slice(0, length) : null;
  }

  // ── streams ──

  openStream(connection: number, isUni: boolean): number {
    const stream = this.quic.streamOpen(this.engine, connection, isUni ? 1 : 0);
    if (stream > 0) this.flushSoon();
    return stream;
  }

  ownStream(stream: number, owner: StreamOwner | null): void {
    const slot = stream & SLOT_MASK;
    while (this.streamHandles.length <= slot) {
      this.streamHandles.push(0);
      this.streamOwners.push(null);
    }
    this.streamHandles[slot] = stream;
    this.streamOwners[slot] = owner;
  }

  streamId(stream: number): number {
    return this.quic.streamId(this.engine, stream);
  }

  peek(stream: number): number {
    const count = this.quic.streamPeek(this.engine, stream);
    this.isEnd = count >= 0 && this.io[q.IO_END] === 1;
    if (count > 0) this.showBytes();
    return count;
  }

  private showBytes(): void {
    const segment = this.io[q.IO_SEGMENT]!;
    this.peekBytes = this.segments[segment] ?? this.mapSegment(segment);
    this.peekOffset = this.io[q.IO_OFFSET]!;
  }

  /** @cold */
  private mapSegment(segment: number): Uint8Array {
    const address = this.quic.segment(this.engine, segment);
    assert(address !== 0, "mapSegment: bytes are in a segment that there is");
    const length = this.quic.segmentBytes();
    const bytes = new Uint8Array(toArrayBuffer(address as Pointer, 0, length));
    while (this.segments.length <= segment) this.segments.push(undefined);
    this.segments[segment] = bytes;
    return bytes;
  }

  consume(stream: number, count: number): void {
    this.quic.streamConsume(this.engine, stream, count);
    this.flushSoon();
  }

  write(stream: number, bytes: Uint8Array, offset: number, length: number): number {
    const taken = this.quic.streamWrite(this.engine, stream, bytes, offset, length);
    if (taken > 0) this.flushSoon();
    return taken;
  }

  finish(stream: number): void {
    this.quic.streamFinish(this.engine, stream);
    this.flushSoon();
  }

  reset(stream: number, code: bigint): void {
    this.quic.streamReset(this.engine, stream, lowOf(code), highOf(code));
    this.flushSoon();
  }

  stop(stream: number, code: bigint): void {
    this.quic.streamStop(this.engine, stream, lowOf(code), highOf(code));
    this.flushSoon();
  }

  release(stream: number): void {
    const slot = stream & SLOT_MASK;
    if (this.streamHandles[slot] === stream) this.streamOwners[slot] = null;
    this.quic.streamRelease(this.engine, stream);
    this.flushSoon();
  }

  isUnsent(stream: number): boolean {
    return this.quic.streamIsUnsent(this.engine, stream) === 1;
  }

  // ── datagrams ──

  peekDatagram(connection: number): number {
    const length = this.quic.datagramPeek(this.engine, connection);
    if (length < 0) return -1;
    this.showBytes();
    return length;
  }

  dropDatagram(connection: number): void {
    this.quic.datagramDrop(this.engine, connection);
  }

  sendDatagram(connection: number, bytes: Uint8Array, offset: number, length: number): number {
    const result = this.quic.datagramSend(this.engine, connection, bytes, offset, length);
    this.flushSoon();
    return result;
  }

  /** Connections that are not released yet, whoever opened them. @cold */
  get connectionCount(): number {
    return this.connections.size;
  }

  /** Chunks of the arena in use. @cold */
  get chunksUsed(): number {
    return this.quic.chunksUsed(this.engine);
  }

  /**
   * Ends the engine at once: nothing is sent or told, descriptors are closed. Nothing of the
   * transport may be used afterwards, `peekBytes` least of all. @cold
   */
  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.endpoints.unwatchAll();
    this.quic.engineDestroy(this.engine);
  }
}

const addressBytes = new Uint8Array(128);
