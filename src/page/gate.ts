/**
 * The door in front of the HTTP server: takes connections on one address of a page, bounds their
 * number and how long they may idle or dawdle, and passes bytes on to Bun's server on loopback. By
 * the port of the inner connection the server knows who the visitor is; what does not come through
 * a gate is nobody.
 *
 * ```
 *   client ──▶ listening descriptor ──▶ Gate ──▶ 127.0.0.1:N, Bun.serve ──▶ answerRequest
 *              (options as of any bind)    └─ Visitors: inner port → client's address
 * ```
 *
 * Without the gate a visitor could take all descriptors of the process, since Bun's server has no
 * limit of connections, and inherited descriptors could not be served. Main thread.
 */
import type { Clock, Ticker } from "../base/clock.ts";
import { startTimer } from "../base/clock.ts";
import type { Native } from "../conduit/native.ts";
import type { Address } from "../tables/spec.ts";
import type { CrossingLimits, Side } from "./crossing.ts";
import { Crossing } from "./crossing.ts";
import type { Visitor } from "./request.ts";

/** Where the HTTP server listens, and where the connections of all gates come from. */
export const INNER_ADDRESS = "127.0.0.1";

/** How often deadlines are looked at, ms. */
const SWEEP_MS = 500;

/** Who is silent this long may be sent away when there is no room, ms. */
const KEEP_MS = 2_000;

/** What a gate is told. */
export type GateLimits = CrossingLimits & { connections: number };

/**
 * Where to listen: a descriptor that is bound already, of which Bun gets copies, so that the gate
 * can stop taking clients while they wait in the backlog; or what Bun binds itself.
 */
export type GateDoor =
  | { native: Native; fd: number; isOurs: boolean }
  | { hostname: string; port: number; ipv6Only: boolean; reusePort: boolean }
  | { unix: string };

/** What all gates of a process share: who stands behind each inner connection. */
export class Visitors {
  readonly #byPort = new Map<number, { visitor: Visitor; owner: object }>();

  /** Whose connection it is. @param port of the client's end, as the HTTP server sees it */
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
  /** Came in one go with the last that found room; they go on when others leave. */
  readonly #waiting = new Set<Crossing>();
  #door: GateDoor | undefined;
  #listener: Bun.TCPSocketListener<Crossing> | undefined;
  #sweep: Ticker | undefined;
  #isStarved = false;
  /** Connections taken so far. */
  accepted = 0;

  constructor(options: GateOptions) {
    this.options = options;
  }

  /**
   * Has the door from now on. Clients of a descriptor wait in its backlog until `begin`; where Bun
   * binds they are taken at once. @throws what Bun throws when it cannot
   */
  open(door: GateDoor): void {
    this.#door = door;
    if (!("native" in door)) this.#accept();
  }

  /** Takes clients. @throws what Bun throws when it cannot */
  begin(): void {
    this.#accept();
  }

  /** Port that it listens on; 0 of a unix socket, or while it takes nobody. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  get connections(): number {
    return this.#crossings.size + this.#waiting.size;
  }

  /** There are no descriptors, or there are again: accepting without any would spin. */
  starve(isStarved: boolean): void {
    this.#isStarved = isStarved;
    if (isStarved) this.#pause();
    else this.#admit();
  }

  /** Takes nobody any more; those inside go on. */
  close(): void {
    this.#listener?.stop(false);
    this.#listener = undefined;
    const door = this.#door;
    this.#door = undefined;
    if (door !== undefined && "native" in door && door.isOurs) door.native.close(door.fd);
  }

  /** Ends everything. */
  stop(): void {
    this.close();
    this.#sweep?.stop();
    this.#sweep = undefined;
    for (const crossing of [...this.#waiting, ...this.#crossings]) crossing.drop();
  }

  #accept(): void {
    const door = this.#door;
    if (door === undefined || this.#listener !== undefined || this.#isStarved) return;
    let where: object = door;
    if ("native" in door) {
      const fd = door.native.dup(door.fd);
      if (fd < 0) throw Object.assign(new Error("dup"), { errno: fd });
      where = { fd };
    }
    const options = { ...where, allowHalfOpen: true, socket: this.#frontHandlers() };
    this.#listener = Bun.listen<Crossing>(options as Bun.TCPSocketListenOptions<Crossing>);
  }

  /** Clients wait in the backlog from now on; where Bun has bound they cannot. */
  #pause(): void {
    if (this.#door === undefined || !("native" in this.#door)) return;
    this.#listener?.stop(false);
    this.#listener = undefined;
  }

  /** Lets in who waits, and opens the door again where there is room. */
  #admit(): void {
    const { connections } = this.options.limits;
    for (const crossing of this.#waiting) {
      if (this.#crossings.size >= connections) return;
      this.#waiting.delete(crossing);
      this.#begin(crossing);
    }
    if (this.#crossings.size >= connections) return;
    try {
      this.#accept();
    } catch {
      // The next look at descriptors, or the next client to leave, tries again.
    }
  }

  #frontHandlers(): Bun.SocketHandler<Crossing> {
    return {
      open: (socket) => this.#enter(socket),
      data: (socket, bytes) => socket.data.fromFront(bytes),
      drain: (socket) => socket.data.frontDrained(),
      end: (socket) => socket.data.frontEnded(),
      close: (socket) => socket.data.drop(),
      error: (socket) => socket.data.drop(),
    };
  }

  #enter(socket: Side): void {
    const { limits, clock } = this.options;
    const crossing = new Crossing(socket, {
      nowMs: () => clock.nowMs(),
      left: (one) => this.#left(one),
    });
    socket.data = crossing;
    this.accepted++;
    this.#sweep ??= startTimer(SWEEP_MS, () => this.#sweepNow());
    if (this.#crossings.size < limits.connections) this.#begin(crossing);
    else {
      socket.pause();
      this.#waiting.add(crossing);
    }
    if (this.#crossings.size >= limits.connections && !this.#evict()) this.#pause();
  }

  /** Sends away who has been silent longest, with its answer. @returns whether there was one */
  #evict(): boolean {
    let oldest: Crossing | undefined;
    for (const crossing of this.#crossings) {
      const { idleSinceMs } = crossing;
      if (idleSinceMs >= 0 && idleSinceMs < (oldest?.idleSinceMs ?? Infinity)) oldest = crossing;
    }
    if (oldest === undefined || this.options.clock.nowMs() - oldest.idleSinceMs < KEEP_MS) {
      return false;
    }
    oldest.drop();
    return true;
  }

  #begin(crossing: Crossing): void {
    this.#crossings.add(crossing);
    crossing.front?.resume();
    void this.#connect(crossing);
  }

  async #connect(crossing: Crossing): Promise<void> {
    try {
      await Bun.connect<Crossing>({
        hostname: INNER_ADDRESS,
        port: this.options.innerPort(),
        data: crossing,
        socket: {
          open: (socket) => this.#joined(crossing, socket),
          data: (_, bytes) => crossing.fromBack(bytes),
          drain: () => crossing.backDrained(),
          close: () => crossing.backClosed(),
          error: () => crossing.drop(),
          connectError: () => crossing.drop(),
        },
      });
    } catch {
      crossing.drop();
    }
  }

  #joined(crossing: Crossing, socket: Side): void {
    const { front } = crossing;
    if (front === undefined) {
      socket.terminate();
      return;
    }
    const { visitors, owner } = this.options;
    visitors.enter(socket.localPort, this.#visitorOf(front), owner);
    crossing.join(socket);
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

  #left(crossing: Crossing): void {
    if (crossing.innerPort !== 0) this.options.visitors.leave(crossing.innerPort);
    this.#crossings.delete(crossing);
    this.#waiting.delete(crossing);
    this.#admit();
  }

  #sweepNow(): void {
    this.#sweep = undefined;
    const { clock, limits } = this.options;
    const now = clock.nowMs();
    for (const crossing of [...this.#waiting, ...this.#crossings]) {
      if (crossing.isOver(now, limits)) crossing.drop();
    }
    if (this.connections > 0) this.#sweep = startTimer(SWEEP_MS, () => this.#sweepNow());
  }
}
