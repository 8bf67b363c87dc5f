/**
 * The door in front of the HTTP server: takes connections on the addresses of a page, bounds their
 * number and how long they may idle or dawdle, and passes bytes on to Bun's server on loopback. By
 * the port of the inner connection the server knows who the visitor is; what does not come through
 * a gate is nobody.
 *
 * ```
 *   client ──▶ listening descriptor ──▶ Gate ──▶ 127.0.0.1:N, Bun.serve ──▶ PageServer
 *              (options as of any bind)    └─ visitors: inner port → client's address
 * ```
 *
 * Without the gate a visitor could take all descriptors of the process, since Bun's server has no
 * limit of connections, and inherited descriptors could not be served. Main thread.
 */
import type { Clock, Ticker } from "../base/clock.ts";
import { startTimer } from "../base/clock.ts";
import type { Address } from "../tables/spec.ts";
import type { Visitor } from "./request.ts";

/** Bytes that may wait for one side before the other is not read any more. */
const HELD_MAX = 65_536;
/** How often deadlines are looked at, ms. */
const SWEEP_MS = 500;
/** After its own end a client may still be sent what it asked for, ms. */
const FIN_MS = 5_000;

/** What a gate is told. Times in ms; 0 = no limit. */
export type GateLimits = {
  connections: number;
  idleMs: number;
  /** From the first byte of a request to the first byte of its answer. */
  requestMs: number;
};

/** Where to listen: a descriptor that is bound already, or what Bun can bind. */
export type GateDoor =
  { fd: number } | { hostname: string; port: number; ipv6Only?: boolean } | { unix: string };

type Side = Bun.Socket<Crossing>;

/** One connection, both of its sides. */
type Crossing = {
  readonly gate: Gate;
  front: Side | undefined;
  back: Side | undefined;
  toFront: Uint8Array[];
  toBack: Uint8Array[];
  /** The server has closed; the client is told when it has all. */
  backEnded: boolean;
  innerPort: number;
  activeAtMs: number;
  /** When the client began to ask for what it has no byte of; -1 = nothing asked. */
  askedAtMs: number;
  endedAtMs: number;
};

/** What all gates of a process share: who stands behind each inner connection. */
export class Visitors {
  readonly #byPort = new Map<number, { visitor: Visitor; owner: object }>();

  find(port: number): { visitor: Visitor; owner: object } | undefined {
    return this.#byPort.get(port);
  }

  enter(port: number, visitor: Visitor, owner: object): void {
    this.#byPort.set(port, { visitor, owner });
  }

  leave(port: number): void {
    this.#byPort.delete(port);
  }

  get size(): number {
    return this.#byPort.size;
  }
}

/** What a gate needs besides its door. */
export type GateOptions = {
  readonly bind: Address;
  /** The page that the visitors come to, as the server finds it again. */
  readonly owner: object;
  readonly visitors: Visitors;
  readonly limits: GateLimits;
  readonly clock: Clock;
  /** Port of the HTTP server. */
  readonly innerPort: () => number;
};

/** One address of a page. */
export class Gate {
  readonly options: GateOptions;
  readonly #crossings = new Set<Crossing>();
  #listener: Bun.TCPSocketListener<Crossing> | undefined;
  #sweep: Ticker | undefined;
  /** Connections taken, and turned away because there were too many. */
  accepted = 0;
  refused = 0;

  constructor(options: GateOptions) {
    this.options = options;
  }

  /** Listens. @throws what Bun throws when it cannot */
  open(door: GateDoor): void {
    const options = { ...door, allowHalfOpen: true, socket: this.#frontHandlers() };
    this.#listener = Bun.listen<Crossing>(options as Bun.TCPSocketListenOptions<Crossing>);
  }

  /** Port that it listens on; 0 of a unix socket. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  get connections(): number {
    return this.#crossings.size;
  }

  /** Takes nobody any more; those inside go on. */
  close(): void {
    this.#listener?.stop(false);
    this.#listener = undefined;
  }

  /** Ends everything. */
  stop(): void {
    this.close();
    this.#sweep?.stop();
    this.#sweep = undefined;
    for (const crossing of [...this.#crossings]) this.#drop(crossing);
  }

  #frontHandlers(): Bun.SocketHandler<Crossing> {
    return {
      open: (socket) => this.#enter(socket),
      data: (socket, bytes) => this.#fromFront(socket.data, bytes),
      drain: (socket) => flushFront(socket.data),
      end: (socket) => {
        socket.data.endedAtMs = this.options.clock.nowMs();
        // A client that asks and closes its side still wants the answer.
        if (socket.data.askedAtMs < 0) this.#drop(socket.data);
      },
      close: (socket) => this.#drop(socket.data),
      error: (socket) => this.#drop(socket.data),
    };
  }

  #enter(socket: Side): void {
    const { limits, clock } = this.options;
    const now = clock.nowMs();
    const crossing: Crossing = {
      gate: this,
      front: socket,
      back: undefined,
      toFront: [],
      toBack: [],
      backEnded: false,
      innerPort: 0,
      activeAtMs: now,
      askedAtMs: -1,
      endedAtMs: -1,
    };
    socket.data = crossing;
    if (this.#crossings.size >= limits.connections) {
      this.refused++;
      crossing.front = undefined;
      socket.terminate();
      return;
    }
    this.accepted++;
    this.#crossings.add(crossing);
    this.#sweep ??= startTimer(SWEEP_MS, () => this.#sweepNow());
    void this.#connect(crossing);
  }

  async #connect(crossing: Crossing): Promise<void> {
    try {
      await Bun.connect<Crossing>({
        hostname: "127.0.0.1",
        port: this.options.innerPort(),
        data: crossing,
        socket: {
          open: (socket) => this.#joined(crossing, socket),
          data: (_, bytes) => this.#fromBack(crossing, bytes),
          drain: () => flushBack(crossing),
          end: () => undefined,
          close: () => this.#backClosed(crossing),
          error: () => this.#drop(crossing),
          connectError: () => this.#drop(crossing),
        },
      });
    } catch {
      this.#drop(crossing);
    }
  }

  #joined(crossing: Crossing, socket: Side): void {
    if (crossing.front === undefined) {
      socket.terminate();
      return;
    }
    crossing.back = socket;
    crossing.innerPort = socket.localPort;
    this.options.visitors.enter(
      socket.localPort,
      this.#visitorOf(crossing.front),
      this.options.owner,
    );
    flushBack(crossing);
  }

  #visitorOf(front: Side): Visitor {
    const { bind } = this.options;
    const isIp = bind.family !== "unix" && bind.family !== "abns";
    return {
      address: isIp ? (front.remoteAddress ?? "") : "",
      port: isIp ? (front.remotePort ?? 0) : 0,
      localAddress: isIp ? (front.localAddress ?? "") : "",
      localPort: isIp ? (front.localPort ?? 0) : 0,
      bind,
    };
  }

  #fromFront(crossing: Crossing, bytes: Uint8Array): void {
    const now = this.options.clock.nowMs();
    crossing.activeAtMs = now;
    if (crossing.askedAtMs < 0) crossing.askedAtMs = now;
    send(crossing.back, crossing.toBack, bytes);
    if (heldIn(crossing.toBack) > HELD_MAX) crossing.front?.pause();
  }

  #fromBack(crossing: Crossing, bytes: Uint8Array): void {
    crossing.activeAtMs = this.options.clock.nowMs();
    crossing.askedAtMs = -1;
    send(crossing.front, crossing.toFront, bytes);
    if (heldIn(crossing.toFront) > HELD_MAX) crossing.back?.pause();
  }

  #backClosed(crossing: Crossing): void {
    crossing.back = undefined;
    crossing.backEnded = true;
    this.options.visitors.leave(crossing.innerPort);
    if (crossing.toFront.length === 0) this.#drop(crossing);
  }

  /** Ends both sides; again and again without harm. */
  #drop(crossing: Crossing | undefined): void {
    if (crossing === undefined || !this.#crossings.delete(crossing)) return;
    const { front, back } = crossing;
    crossing.front = undefined;
    crossing.back = undefined;
    crossing.toFront = [];
    crossing.toBack = [];
    if (crossing.innerPort !== 0) this.options.visitors.leave(crossing.innerPort);
    front?.end();
    back?.terminate();
  }

  #sweepNow(): void {
    this.#sweep = undefined;
    const now = this.options.clock.nowMs();
    for (const crossing of [...this.#crossings])
      if (this.#isOver(crossing, now)) this.#drop(crossing);
    if (this.#crossings.size > 0) this.#sweep = startTimer(SWEEP_MS, () => this.#sweepNow());
  }

  #isOver(crossing: Crossing, now: number): boolean {
    const { idleMs, requestMs } = this.options.limits;
    if (idleMs > 0 && now - crossing.activeAtMs > idleMs) return true;
    if (
      crossing.endedAtMs >= 0 &&
      now - Math.max(crossing.endedAtMs, crossing.activeAtMs) > FIN_MS
    ) {
      return true;
    }
    return requestMs > 0 && crossing.askedAtMs >= 0 && now - crossing.askedAtMs > requestMs;
  }

  /** All bytes of a finished answer are out. */
  done(crossing: Crossing): void {
    this.#drop(crossing);
  }
}

/** Writes what can be written now and keeps the rest. */
function send(to: Side | undefined, held: Uint8Array[], bytes: Uint8Array): void {
  let taken = 0;
  if (to !== undefined && held.length === 0) taken = Math.max(0, to.write(bytes));
  if (taken < bytes.length) held.push(bytes.slice(taken));
}

function heldIn(held: readonly Uint8Array[]): number {
  let sum = 0;
  for (const { length } of held) sum += length;
  return sum;
}

/** Writes what was kept. @returns bytes that were taken */
function flush(to: Side, held: Uint8Array[]): number {
  let sum = 0;
  for (let bytes = held[0]; bytes !== undefined; bytes = held[0]) {
    const taken = Math.max(0, to.write(bytes));
    sum += taken;
    if (taken < bytes.length) {
      held[0] = bytes.subarray(taken);
      break;
    }
    held.shift();
  }
  return sum;
}

function flushFront(crossing: Crossing | undefined): void {
  if (crossing?.front === undefined) return;
  const taken = flush(crossing.front, crossing.toFront);
  // A drain without a byte is no sign of life.
  if (taken > 0) crossing.activeAtMs = crossing.gate.options.clock.nowMs();
  if (crossing.toFront.length > 0) return;
  if (crossing.backEnded) crossing.gate.done(crossing);
  else crossing.back?.resume();
}

function flushBack(crossing: Crossing): void {
  if (crossing.back === undefined) return;
  flush(crossing.back, crossing.toBack);
  if (crossing.toBack.length === 0) crossing.front?.resume();
}
