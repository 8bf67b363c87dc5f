/**
 * UDP endpoints of one native engine: which descriptor each reads, who owns it, and who it counts
 * for. Those that listen read a copy of control's descriptor, so that control may close its own
 * while connections go on; those that dial are made at the first use, one for each proxy and source
 * address, and closed when nothing has used them for a while.
 */
import type { Pointer } from "bun:ffi";

import { assert } from "../../base/assert.ts";
import type { ReadyHandler } from "../loop/events.ts";
import type { Native } from "../native.ts";
import { tagOf } from "./engine-memory.ts";
import type { EngineMemory } from "./engine-memory.ts";
import type { Quic } from "./native-quic.ts";
import { QUIC_COUNTS, TRANSPORT_FULL } from "./transport.ts";
import type { EndpointOwner, QuicDial, TransportAccount } from "./transport.ts";

/** Looks at live numbers, half a second apart, that an endpoint for dialling may be idle. */
const IDLE_ROUNDS_MAX = 60;

/** What a transport needs of the loop around it. */
export type TransportHooks = {
  /** Runs `run` once, when what happens now has been handled: the end of the loop's turn. */
  afterTurn(run: () => void): void;
  /**
   * Watches a descriptor for reading.
   * @param isOwned the loop closes it, at the latest when it is buried
   * @returns 0 or -errno
   */
  watch(fd: number, handler: ReadyHandler, isOwned: boolean): number;
  unwatch(fd: number): void;
  /** An exception of an owner: a bug. */
  fault(where: string, text: string): void;
  /** Something that operators should know. */
  notice(text: string): void;
};

/** One endpoint. */
export class NativeEndpoint implements ReadyHandler {
  generation = 0;
  readonly index: number;
  readonly fd: number;
  readonly isFront: boolean;
  /** Who it counts for; 0 = nobody any more. */
  proxyRow: number;
  /** Null: it dials, or listens no more. */
  owner: EndpointOwner | null;
  /** It goes with its last connection. */
  isClosing = false;
  /** Connections that are not released, of those that the transport knows. */
  connectionCount = 0;
  /** Counts in which it had none. */
  idleRounds = 0;
  /** Of those that dial. */
  readonly key: string;
  private readonly pump: (endpoint: number) => void;

  constructor(
    index: number,
    fd: number,
    proxyRow: number,
    owner: EndpointOwner | null,
    key: string,
    pump: (endpoint: number) => void,
  ) {
    this.index = index;
    this.fd = fd;
    this.proxyRow = proxyRow;
    this.owner = owner;
    this.isFront = owner !== null;
    this.key = key;
    this.pump = pump;
  }

  ready(): void {
    this.pump(this.index);
  }
}

/** What the table is made of. */
type TableOptions = {
  quic: Quic;
  native: Native;
  hooks: TransportHooks;
  account: TransportAccount;
  memory: EngineMemory;
};

/** All endpoints of one engine. */
export class EndpointTable {
  readonly #options: TableOptions;
  readonly #engine: Pointer;
  readonly #pump: (endpoint: number) => void;
  readonly #endpoints: (NativeEndpoint | undefined)[] = [];
  readonly #dialling = new Map<string, NativeEndpoint>();
  readonly #growth = new Float64Array(QUIC_COUNTS);
  /** Handshakes of clients under way, by the row of the proxy; made anew with each count. */
  readonly #halfOpen = new Map<number, number>();
  #hasToldFull = false;

  /** @param pump reads what an endpoint has; -1 = timers and mail */
  constructor(options: TableOptions, engine: Pointer, pump: (endpoint: number) => void) {
    this.#options = options;
    this.#engine = engine;
    this.#pump = pump;
  }

  /** Begins to watch the engine's own descriptors. @throws when the loop cannot */
  watchEngine(): void {
    for (const fd of this.#engineDescriptors()) {
      const handler = { generation: 0, ready: () => this.#pump(-1) };
      const result = this.#options.hooks.watch(fd, handler, false);
      if (result < 0) throw new Error(`the QUIC engine cannot be watched (errno ${-result})`);
    }
  }

  #engineDescriptors(): number[] {
    const { quic } = this.#options;
    return [quic.engineTimerFd(this.#engine), quic.engineMailFd(this.#engine)];
  }

  /** An endpoint by its number. */
  at(index: number): NativeEndpoint | undefined {
    return this.#endpoints[index];
  }

  /** All that there are. */
  all(): NativeEndpoint[] {
    return this.#endpoints.filter((endpoint) => endpoint !== undefined);
  }

  /** Serves a copy of `fd`. @returns its number, or a negative result */
  listen(profile: Pointer, fd: number, proxyRow: number, owner: EndpointOwner): number {
    const { quic, native, hooks } = this.#options;
    const own = native.dup(fd);
    if (own < 0) return own;
    const index = quic.listen(this.#engine, profile, own);
    if (index < 0) {
      native.close(own);
      return index;
    }
    if (this.#isBeyond(index)) {
      native.close(own);
      return TRANSPORT_FULL;
    }
    const endpoint = new NativeEndpoint(index, own, proxyRow, owner, "", this.#pump);
    const watched = hooks.watch(own, endpoint, true);
    if (watched < 0) {
      quic.endpointClose(this.#engine, index);
      native.close(own);
      return watched;
    }
    this.#enter(endpoint);
    return index;
  }

  /** Is that one too many? Then it is closed, and operators are told, once. */
  #isBeyond(index: number): boolean {
    const { quic, memory, hooks } = this.#options;
    if (index < memory.endpointsMax) return false;
    quic.endpointClose(this.#engine, index);
    if (this.#hasToldFull) return true;
    this.#hasToldFull = true;
    const most = `a worker has at most ${memory.endpointsMax} QUIC sockets`;
    hooks.notice(`${most}: one for each listener, and for each backend and source address`);
    return true;
  }

  #enter(endpoint: NativeEndpoint): void {
    const { index, proxyRow, isFront } = endpoint;
    while (this.#endpoints.length <= index) this.#endpoints.push(undefined);
    assert(this.#endpoints[index] === undefined, "EndpointTable: a number that is free");
    this.#endpoints[index] = endpoint;
    this.#options.memory.tagEndpoint(index, tagOf(proxyRow, isFront));
  }

  /** Nothing new is let in; it goes with its last connection. */
  unlisten(index: number): void {
    const endpoint = this.#endpoints[index];
    if (endpoint === undefined || endpoint.isClosing) return;
    this.#options.quic.endpointAccept(this.#engine, index, 0);
    endpoint.owner = null;
    endpoint.isClosing = true;
    if (endpoint.connectionCount === 0) this.#countLast(endpoint);
    this.settle(endpoint);
  }

  /** The endpoint to dial from. @returns it, or a negative result */
  forDial({ remote, local, interfaceName, proxyRow }: QuicDial): NativeEndpoint | number {
    const family = local?.family ?? remote.family;
    const key = `${family} ${local?.bytes.join() ?? ""} ${interfaceName?.join() ?? ""} ${proxyRow}`;
    const known = this.#dialling.get(key);
    if (known !== undefined) {
      known.idleRounds = 0;
      return known;
    }
    const { quic, hooks } = this.#options;
    const bytes = local?.bytes ?? null;
    const engine = this.#engine;
    const index = quic.clientEndpoint(engine, family, bytes, bytes?.length ?? 0, interfaceName);
    if (index < 0) return index;
    if (this.#isBeyond(index)) return TRANSPORT_FULL;
    const fd = quic.endpointFd(engine, index);
    const endpoint = new NativeEndpoint(index, fd, proxyRow, null, key, this.#pump);
    const watched = hooks.watch(fd, endpoint, false);
    if (watched < 0) {
      quic.endpointClose(engine, index);
      return watched;
    }
    this.#enter(endpoint);
    this.#dialling.set(key, endpoint);
    return endpoint;
  }

  /** A connection is over, and counted. Its proxy is still held. */
  left(endpoint: NativeEndpoint): void {
    endpoint.connectionCount--;
    assert(endpoint.connectionCount >= 0, "EndpointTable: a connection leaves once");
    if (endpoint.isClosing && endpoint.connectionCount === 0) this.#countLast(endpoint);
  }

  /** Closes an endpoint that nothing needs any more. */
  settle(endpoint: NativeEndpoint): void {
    if (!endpoint.isClosing || endpoint.connectionCount > 0) return;
    const { index, fd, key } = endpoint;
    // Clients whose handshake is under way are C's alone: it is tried again when they are over.
    if (this.#options.quic.endpointClose(this.#engine, index) < 0) return;
    this.#options.hooks.unwatch(fd);
    this.#endpoints[index] = undefined;
    if (key !== "") this.#dialling.delete(key);
  }

  /** Counts what endpoints did since the last time, and closes those that are not used. */
  countLive(): void {
    const { account } = this.#options;
    this.#halfOpen.clear();
    for (const endpoint of this.#endpoints) {
      if (endpoint === undefined) continue;
      this.#count(endpoint);
      if (endpoint.connectionCount > 0) endpoint.idleRounds = 0;
      else if (!endpoint.isFront && ++endpoint.idleRounds > IDLE_ROUNDS_MAX) {
        endpoint.isClosing = true;
        this.#countLast(endpoint);
      }
      this.settle(endpoint);
      this.#addHalfOpen(endpoint);
    }
    for (const [proxyRow, connections] of this.#halfOpen) account.halfOpen(proxyRow, connections);
  }

  #addHalfOpen({ index, proxyRow, isFront }: NativeEndpoint): void {
    if (proxyRow === 0 || !isFront) return;
    const connections = Math.max(0, this.#options.quic.endpointHalfOpen(this.#engine, index));
    this.#halfOpen.set(proxyRow, (this.#halfOpen.get(proxyRow) ?? 0) + connections);
  }

  #count({ index, proxyRow, isFront }: NativeEndpoint): void {
    const { quic, account } = this.#options;
    if (proxyRow === 0) return;
    if (quic.endpointDeltas(this.#engine, index, this.#growth) < 0) return;
    account.count(proxyRow, isFront, this.#growth);
  }

  /** From now on its proxy may go: nothing is counted for it any more. */
  #countLast(endpoint: NativeEndpoint): void {
    const { proxyRow, isFront } = endpoint;
    this.#count(endpoint);
    endpoint.proxyRow = 0;
    // What the others of the proxy have is told with the next count.
    if (isFront && proxyRow !== 0) this.#options.account.halfOpen(proxyRow, 0);
    this.#options.memory.tagEndpoint(endpoint.index, 0);
  }

  /** An endpoint met an error that lasts. */
  trouble(index: number, errno: number): void {
    const what = this.#endpoints[index]?.isFront === false ? "to servers" : "of clients";
    this.#options.hooks.notice(`trouble with a QUIC socket ${what} (errno ${errno})`);
  }

  /** Before the engine goes: no descriptor of it is watched any more. */
  unwatchAll(): void {
    const { hooks } = this.#options;
    for (const fd of this.#engineDescriptors()) hooks.unwatch(fd);
    for (const { fd } of this.all()) hooks.unwatch(fd);
    this.#endpoints.length = 0;
  }
}
