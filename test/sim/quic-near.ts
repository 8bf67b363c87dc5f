/**
 * QUIC of a simulated worker: the production hub over a simulated transport, and what watches it.
 * Conduits are wrapped, so that it is known what the engine did to each and what it was told.
 */
import { NO_CODE } from "../../src/conduit/conduit.ts";
import type { Conduit, ConduitOwner, ConnectionFacts } from "../../src/conduit/conduit.ts";
import { QuicAccount } from "../../src/conduit/quic/account.ts";
import { QuicHub } from "../../src/conduit/quic/hub.ts";
import type {
  ConnectionOwner,
  QuicDial,
  StreamOwner,
  TransportAccount,
} from "../../src/conduit/quic/transport.ts";
import { TRANSPORT_NO_CREDIT } from "../../src/conduit/quic/transport.ts";
import type { Endpoint } from "../../src/conduit/sockaddr.ts";
import type { SimConnection, SimNetwork } from "../support/sim-quic.ts";
import { SimTransport } from "../support/sim-transport.ts";
import type { Remains } from "../support/sim-transport.ts";
import type { SimLink } from "./far.ts";
import type { QuicStreamSocket } from "./quic-socket.ts";
import type { SimWorker } from "./sim-worker.ts";
import type { World } from "./world.ts";

/** Where the engine meets a QUIC stream: tells the simulation what passes. */
export class NearConduit implements Conduit, ConduitOwner {
  readonly hasOneWayAborts = true;
  readonly socket: QuicStreamSocket;
  inner: Conduit | null = null;
  private owner: ConduitOwner | null;
  /** Told when it gets an owner. */
  onOwner: (owner: ConduitOwner | null) => void = () => {};
  /** Told when it is connected, and when it is over. */
  onOpened: () => void = () => {};
  onOver: (code: number) => void = () => {};

  constructor(socket: QuicStreamSocket, owner: ConduitOwner | null) {
    this.socket = socket;
    this.owner = owner;
  }

  setOwner(owner: ConduitOwner | null, side: number): void {
    this.owner = owner;
    this.inner!.setOwner(owner === null ? null : this, side);
    this.onOwner(owner);
  }

  get abortCode(): bigint {
    return this.inner?.abortCode ?? NO_CODE;
  }

  facts(): ConnectionFacts | null {
    return this.inner!.facts!();
  }

  remoteEndpoint(out: Endpoint): void {
    this.inner!.remoteEndpoint(out);
  }

  localEndpoint(out: Endpoint): void {
    this.inner!.localEndpoint(out);
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    return this.inner!.write(bytes, offset, length);
  }

  pause(): void {
    this.inner!.pause();
  }

  resume(): void {
    this.inner!.resume();
  }

  finish(): void {
    this.socket.nearFinished = true;
    this.inner!.finish();
  }

  reset(code: bigint): void {
    this.socket.nearBroken = true;
    this.inner!.reset!(code);
  }

  stop(code: bigint): void {
    this.socket.nearBroken = true;
    this.inner!.stop!(code);
  }

  close(): void {
    this.inner!.close();
    this.socket.nearClosed = true;
  }

  abort(code?: bigint): void {
    this.inner!.abort(code);
    this.socket.nearClosed = true;
    this.socket.nearAborted = true;
  }

  onOpen(side: number): void {
    this.onOpened();
    this.owner!.onOpen(side);
  }

  onData(side: number, bytes: Uint8Array, offset: number, length: number): number {
    return this.owner!.onData(side, bytes, offset, length);
  }

  onDrain(side: number): void {
    this.owner!.onDrain(side);
  }

  onEnd(side: number): void {
    this.owner!.onEnd(side);
  }

  onEndAhead(side: number): void {
    this.owner!.onEndAhead(side);
  }

  onReset(side: number, code: bigint): void {
    this.owner!.onReset(side, code);
  }

  onStop(side: number, code: bigint): void {
    this.owner!.onStop(side, code);
  }

  onMoved(side: number, bytes: number): void {
    this.owner!.onMoved(side, bytes);
  }

  onClose(side: number, code: number): void {
    this.socket.closeDelivered = true;
    this.onOver(code);
    this.owner!.onClose(side, code);
  }
}

/** A transport whose calls are seen: other threads may run there, or this one end. */
class WatchedTransport extends SimTransport {
  private readonly world: World;
  private readonly worker: SimWorker;

  constructor(
    world: World,
    worker: SimWorker,
    network: SimNetwork,
    account: TransportAccount,
    address: string,
  ) {
    super(network, account, address);
    this.world = world;
    this.worker = worker;
  }

  override connect(dial: QuicDial, owner: ConnectionOwner): number {
    this.world.inside(this.worker, "connect");
    const handle = super.connect(dial, owner);
    this.world.quic!.nearConnected(this.connectionOf(handle)!);
    return handle;
  }

  override closeConnection(handle: number, isApp: boolean, code: bigint, reason: string): void {
    this.world.inside(this.worker, "closeConnection");
    super.closeConnection(handle, isApp, code, reason);
  }

  override openStream(connection: number, isUni: boolean): number {
    this.world.inside(this.worker, "openStream");
    const handle = super.openStream(connection, isUni);
    if (handle === TRANSPORT_NO_CREDIT) this.world.marks.hit("no credit for a stream");
    return handle;
  }

  override ownStream(stream: number, owner: StreamOwner | null): void {
    super.ownStream(stream, owner);
    const inside = this.streamOf(stream);
    if (inside === undefined || owner === null) return;
    this.world.quic!.nearOwns(inside, owner, this.worker.quic!.dialling);
  }

  override write(stream: number, bytes: Uint8Array, offset: number, length: number): number {
    this.world.inside(this.worker, "write");
    const taken = super.write(stream, bytes, offset, length);
    const inside = this.streamOf(stream);
    if (taken > 0 && inside !== undefined) this.world.quic!.nearMoved(inside);
    return taken;
  }

  override finish(stream: number): void {
    this.world.inside(this.worker, "finish");
    super.finish(stream);
  }

  override reset(stream: number, code: bigint): void {
    this.world.inside(this.worker, "reset");
    super.reset(stream, code);
  }

  override stop(stream: number, code: bigint): void {
    this.world.inside(this.worker, "stop");
    super.stop(stream, code);
  }

  /** A client's connection has begun here. */
  override accepts(connection: SimConnection): void {
    this.world.quic!.nearConnected(connection);
  }

  override ends(connection: SimConnection, cause: number): void {
    this.world.quic!.ended(connection, cause);
  }
}

/** QUIC of one thread, from its first to its last day. */
export class WorkerQuic {
  readonly transport: SimTransport;
  readonly hub: QuicHub;
  readonly account: QuicAccount;
  /** The stream to a server that is being dialled. */
  dialling: SimLink | null = null;
  /** What its transport had not counted when the thread died. */
  remains: Remains[] = [];

  constructor(world: World, worker: SimWorker, nextTurn: (run: () => void) => void) {
    const { tables, clock, quic } = world;
    this.account = new QuicAccount(tables, worker.number, () => {
      world.hasRung = true;
    });
    this.transport = new WatchedTransport(world, worker, quic!.network, this.account, "127.0.0.1");
    this.hub = new QuicHub({
      transport: this.transport,
      tables,
      worker: worker.number,
      clock,
      startTimer: (delayMs, run) => clock.start(worker.number, delayMs, run),
      nextTurn,
      fault: (_where, error) => {
        throw error;
      },
    });
  }

  /** The thread is gone. */
  die(answersResets: boolean): void {
    this.remains = this.transport.destroy(answersResets);
  }
}
