/**
 * QUIC of one worker: its transport, what listens, the pools of its servers, and the work that is
 * due from time to time. The engine reaches all of it as `dial`, `listen` and `forget`.
 */
import type { Clock, Ticker } from "../../base/clock.ts";
import type { QuicBindSpec } from "../../tables/spec.ts";
import type { Tables } from "../../tables/tables.ts";
import type { Conduit, ConduitOwner, DialHints } from "../conduit.ts";
import type { DialTarget } from "../tcp/dial.ts";
import { QuicAcceptor } from "./acceptor.ts";
import type { QuicFrontend } from "./acceptor.ts";
import { SessionPool } from "./bridge.ts";
import { HandshakeLog } from "./handshake-log.ts";
import type { TellFailure } from "./handshake-log.ts";
import { ServerPool } from "./pool.ts";
import type { QuicConduit, TurnTaker } from "./quic-conduit.ts";
import { SessionConduit } from "./session-conduit.ts";
import { QUIC_COUNTS, QUIC_MOMENTS } from "./transport.ts";
import type { Transport } from "./transport.ts";

/** Between two looks at pools and counters, ms. */
const TICK_MS = 500;

/** Between two looks at a connection that is to be closed when all is delivered, ms. */
const LINGER_TICK_MS = 20;
/** A peer that acknowledges nothing keeps its connection no longer than this, ms. */
const LINGER_MS = 5000;
const STREAMS_NOW = QUIC_COUNTS + QUIC_MOMENTS.indexOf("streamsNow");
const UNSENT = QUIC_COUNTS + QUIC_MOMENTS.indexOf("unsent");

/** A connection that nobody uses any more; what was written last may still be under way. */
type Lingering = {
  connection: number;
  code: bigint;
  untilMs: number;
  /** Bytes that were not acknowledged when it was looked at. */
  unsent: number;
};

/** What the hub needs of its worker. */
export type HubOptions = {
  transport: Transport;
  tables: Tables;
  worker: number;
  clock: Clock;
  startTimer(delayMs: number, run: () => void): Ticker;
  /** Runs `run` when the events of this turn of the loop have been handled. */
  nextTurn(run: () => void): void;
  /** An exception of one stream, pool or listener: a bug. The others go on. */
  fault: (where: string, error: unknown) => void;
  /** Tells operators of handshakes that failed; left out: nobody is told. */
  tellFailure?: TellFailure;
};

/** QUIC of one worker. */
export class QuicHub implements TurnTaker {
  readonly transport: Transport;
  readonly tables: Tables;
  readonly worker: number;
  readonly clock: Clock;
  readonly nextTurn: (run: () => void) => void;
  /** What sessions share. */
  readonly sessions: SessionPool;
  /** Handshakes that failed, for operators. */
  readonly handshakes: HandshakeLog;
  /** The worker stops: nothing is kept for later. */
  isStopping = false;
  private readonly startTimer: HubOptions["startTimer"];
  private readonly fault: HubOptions["fault"];
  private readonly pools = new Set<ServerPool>();
  private readonly acceptors = new Set<QuicAcceptor>();
  private again: QuicConduit[] = [];
  private againSpare: QuicConduit[] = [];
  private ticker: Ticker | null = null;
  private lingering: Lingering[] = [];
  /** Room for the numbers of a connection, for whoever asks for them; not kept across calls. */
  readonly numbers = new Float64Array(QUIC_COUNTS + QUIC_MOMENTS.length);
  private readonly onTurn: () => void;
  private readonly onTick: () => void;

  constructor(options: HubOptions) {
    this.transport = options.transport;
    this.tables = options.tables;
    this.worker = options.worker;
    this.clock = options.clock;
    this.startTimer = options.startTimer;
    this.nextTurn = options.nextTurn;
    this.fault = options.fault;
    this.sessions = new SessionPool(options.transport, options.nextTurn, options.fault);
    this.handshakes = new HandshakeLog(
      options.transport,
      () => options.clock.nowMs(),
      options.tellFailure ?? (() => {}),
    );
    this.onTurn = () => this.readAgain();
    this.onTick = () => this.tick();
  }

  /** Begins a stream, or a session of its own: a conduit, or CLOSE_* when it failed at once. */
  dial(target: DialTarget, owner: ConduitOwner, hints: DialHints): Conduit | number {
    const quic = target.quic!;
    if (hints.session !== null) {
      this.keepTime();
      return SessionConduit.dialled(this, target, owner, hints);
    }
    quic.pool ??= this.makePool(target);
    return (quic.pool as ServerPool).dial(owner, hints.sni);
  }

  private makePool(target: DialTarget): ServerPool {
    const pool = new ServerPool(this, target.quic!, target);
    this.pools.add(pool);
    return pool;
  }

  /** No stream dials the target again. */
  forget(target: DialTarget): void {
    const pool = target.quic!.pool as ServerPool | null;
    if (pool === null) return;
    pool.retire();
    if (pool.isEmpty) this.pools.delete(pool);
  }

  /** A pool that nobody needs has lost its last connection. */
  poolLeft(pool: ServerPool): void {
    this.pools.delete(pool);
  }

  /** A listener; it serves from its `start` on. */
  listen(
    spec: QuicBindSpec,
    fd: number,
    frontend: QuicFrontend,
    onAccept: (conduit: Conduit) => void,
  ): QuicAcceptor {
    const acceptor = new QuicAcceptor(this, spec, fd, frontend, onAccept);
    this.acceptors.add(acceptor);
    this.keepTime();
    return acceptor;
  }

  /** An acceptor takes nothing new any more. */
  acceptorClosed(acceptor: QuicAcceptor): void {
    this.acceptors.delete(acceptor);
  }

  /** The worker has no stream and takes none: all connections are closed in order. */
  stop(): void {
    this.isStopping = true;
    for (const acceptor of [...this.acceptors]) acceptor.close();
    for (const pool of [...this.pools]) pool.retire();
  }

  /** Everything that is to be closed has been. */
  get isQuiet(): boolean {
    return this.lingering.length === 0;
  }

  /**
   * Closes a connection whose streams have been let go of, as soon as what was written to them has
   * arrived: a close would overtake it.
   */
  closeGently(connection: number, code: bigint): void {
    const one = { connection, code, untilMs: 0, unsent: Infinity };
    if (this.closeDelivered(one)) return;
    this.lingering.push(one);
    if (this.lingering.length === 1) this.linger();
  }

  private linger(): void {
    this.startTimer(LINGER_TICK_MS, () => {
      this.lingering = this.lingering.filter((one) => !this.closeDelivered(one));
      if (this.lingering.length > 0) this.linger();
    });
  }

  /** @returns true when there is nothing left to wait for */
  private closeDelivered(one: Lingering): boolean {
    const { transport, numbers } = this;
    if (!transport.connectionNow(one.connection, numbers)) return true;
    const now = this.clock.nowMs();
    const unsent = numbers[UNSENT]!;
    // A slow reader that still takes some is waited for.
    if (unsent < one.unsent) one.untilMs = now + LINGER_MS;
    one.unsent = unsent;
    if (numbers[STREAMS_NOW]! > 0 && now < one.untilMs) return false;
    transport.closeConnection(one.connection, true, one.code, "");
    return true;
  }

  readLater(conduit: QuicConduit): void {
    if (conduit.isWaitingTurn) return;
    conduit.isWaitingTurn = true;
    if (this.again.length === 0) this.nextTurn(this.onTurn);
    this.again.push(conduit);
  }

  private readAgain(): void {
    const batch = this.again;
    this.again = this.againSpare;
    for (let i = 0; i < batch.length; i++) {
      const conduit = batch[i]!;
      conduit.isWaitingTurn = false;
      try {
        conduit.pump();
      } catch (error) {
        this.fault("QUIC stream", error);
      }
    }
    batch.length = 0;
    this.againSpare = batch;
  }

  /** From now on there is something to look at from time to time. */
  keepTime(): void {
    this.ticker ??= this.startTimer(TICK_MS, this.onTick);
  }

  private tick(): void {
    this.ticker = null;
    // First: whatever happens below, there is another look.
    this.keepTime();
    const now = this.clock.nowMs();
    this.transport.countLive();
    for (const one of [...this.pools, ...this.acceptors, this.handshakes]) {
      try {
        one.tick(now);
      } catch (error) {
        this.fault("QUIC tick", error);
      }
    }
  }
}
