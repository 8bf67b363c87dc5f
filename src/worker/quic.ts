/**
 * QUIC of a worker: nothing until the first listener or server that speaks it, then an engine on
 * the worker's own loop, what counts for it, and the hub over both.
 */
import { describeError } from "../base/assert.ts";
import { systemClock } from "../base/clock.ts";
import type { NativeLoop } from "../conduit/loop/native-loop.ts";
import type { Native } from "../conduit/native.ts";
import { QuicAccount } from "../conduit/quic/account.ts";
import { TransportDesk } from "../conduit/quic/describe.ts";
import type { QuicDesk } from "../conduit/quic/describe.ts";
import { EngineMemory } from "../conduit/quic/engine-memory.ts";
import type { HandshakeFailure } from "../conduit/quic/handshake-log.ts";
import { QuicHub } from "../conduit/quic/hub.ts";
import { quicModule, useQuicAddresses } from "../conduit/quic/native-quic.ts";
import { NativeTransport } from "../conduit/quic/native-transport.ts";
import { escapeUnprintable } from "../expr/log-format.ts";
import {
  WORKER_GENERATION,
  WORKER_QUIC_ENGINE,
  WORKER_STRIDE,
} from "../tables/generated/worker.ts";
import type { QuicSettings } from "../tables/mutations.ts";
import type { Tables } from "../tables/tables.ts";
import type { Fault } from "./sockets.ts";

/** What it is made on. */
export type WorkerQuicOptions = {
  native: Native;
  loop: NativeLoop;
  worker: number;
  tables: Tables;
  /** Of control: see `EngineMemory`. */
  memory: SharedArrayBuffer;
  fault: Fault;
  notice(text: string): void;
  ringControl(): void;
  names: QuicNames;
};

/** Names for notices, by row; "" = it is gone. */
export type QuicNames = {
  /** `backend/server`. */
  server(row: number): string;
  proxy(row: number): string;
};

/** Connections that are looked at in one call. */
const PAGE = 256;
/** Between two looks whether everything is closed, ms. */
const QUIET_TICK_MS = 10;
/** RFC 9000 section 20.1: nothing was wrong. */
const NO_ERROR = 0n;

/** What a worker has of QUIC. */
export class WorkerQuic {
  private readonly options: WorkerQuicOptions;
  private settings: QuicSettings | null = null;
  private transport: NativeTransport | null = null;
  private opened: QuicHub | null = null;
  private described: QuicDesk | null = null;
  /** Describes the connections, once there can be any. */
  readonly desk: QuicDesk = {
    list: (filter, from, limit, detail) =>
      this.described?.list(filter, from, limit, detail) ?? { found: [], next: 0 },
    streamId: (stream) => this.described?.streamId(stream) ?? -1,
  };

  constructor(options: WorkerQuicOptions) {
    this.options = options;
  }

  /** From control, before the first object that needs it. */
  configure(settings: QuicSettings): void {
    this.settings = settings;
    useQuicAddresses(settings.addresses);
  }

  /** The hub, if anything has needed it yet. */
  get hub(): QuicHub | null {
    return this.opened;
  }

  /** The hub, made if need be; null = it cannot be, and that was told. */
  open(): QuicHub | null {
    if (this.opened !== null) return this.opened;
    try {
      this.opened = this.make();
    } catch (error) {
      this.options.notice(`QUIC cannot be used: ${describeError(error)}`);
    }
    return this.opened;
  }

  private make(): QuicHub {
    const { native, loop, worker, tables, memory, fault, notice, ringControl } = this.options;
    const quic = quicModule();
    const { settings } = this;
    if (quic === null || settings === null) throw new Error("control has not said how");
    const row = worker * WORKER_STRIDE;
    const transport = new NativeTransport({
      quic,
      native,
      hooks: {
        afterTurn: (run) => loop.nextTurn(run),
        watch: (fd, handler, isOwned) => loop.watch(fd, handler, isOwned),
        unwatch: (fd) => loop.unwatch(fd),
        fault,
        notice,
      },
      account: new QuicAccount(tables, worker, ringControl),
      memory: new EngineMemory(memory),
      worker,
      generation: Atomics.load(tables.workers.words, row + WORKER_GENERATION),
      secret: Uint8Array.from(Buffer.from(settings.secret, "hex")),
      chunksMax: settings.chunksMax,
    });
    tables.workers.floats[(row + WORKER_QUIC_ENGINE) >> 1] = Number(transport.engine);
    this.transport = transport;
    this.described = new TransportDesk(transport, worker);
    return new QuicHub({
      transport,
      tables,
      worker,
      clock: systemClock,
      startTimer: (delayMs, run) => loop.startTimer(delayMs, run),
      nextTurn: (run) => loop.nextTurn(run),
      fault: (where, error) => fault(where, describeError(error)),
      tellFailure: (failure, left) => notice(this.failureText(failure, left)),
    });
  }

  private failureText(failure: HandshakeFailure, left: number): string {
    const { names } = this.options;
    const { serverRow, proxyRow, local, remote, why } = failure;
    const who =
      serverRow === 0
        ? `frontend ${names.proxy(proxyRow)} (${local}): the QUIC handshake of client ${remote}`
        : `server ${names.server(serverRow)}: the QUIC handshake with ${remote}`;
    const others = left === 0 ? "" : ` (and ${left} more)`;
    return `${who} failed: ${escapeUnprintable(why)}${others}`;
  }

  /**
   * The last stream has ended, no other will come: what was written is delivered and peers are told
   * that it is over, within the hub's limits of time; then `done`.
   */
  stop(done: () => void): void {
    this.opened?.stop();
    // Not inside an event: what is queued goes out when its batch has been told.
    this.options.loop.nextTurn(() => this.endWhenQuiet(done));
  }

  private endWhenQuiet(done: () => void): void {
    if (this.opened === null || this.opened.isQuiet) {
      this.transport?.flush();
      done();
      return;
    }
    this.options.loop.startTimer(QUIET_TICK_MS, () => this.endWhenQuiet(done));
  }

  /** The thread ends now: so do all connections, and their peers are told. */
  cut(): void {
    const { transport } = this;
    if (transport === null) return;
    let from = 0;
    do {
      const page: number[] = [];
      from = transport.listConnections(from, page, PAGE);
      for (const connection of page) {
        transport.closeConnection(connection, false, NO_ERROR, "");
      }
    } while (from > 0);
    transport.countLive();
    transport.flush();
  }
}
