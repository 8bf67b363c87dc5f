/**
 * Connections of one native engine: who owns each, and who it counts for. Found by the slot of a
 * handle, and checked against the whole handle.
 *
 *   adopt: opened ─▶ count … count ─▶ closed ─▶ released: counted a last time, freed
 *
 * The engine keeps for whom a connection counts as its tag, negative once its close is counted: so
 * that whoever buries the thread goes on from there (control/burial.ts).
 */
import type { Pointer } from "bun:ffi";

import { assert } from "../../base/assert.ts";
import { tagOf } from "./engine-memory.ts";
import type { EndpointTable, NativeEndpoint } from "./native-endpoints.ts";
import type { Quic } from "./native-quic.ts";
import { QUIC_COUNTS, QUIC_MOMENTS } from "./transport.ts";
import type { ConnectionOwner, TransportAccount } from "./transport.ts";

/** Of a handle: which slot; the rest is its generation. */
export const SLOT_MASK = 0xfffff;

/** A live connection. */
export type NativeConnection = {
  readonly handle: number;
  /** Null: nobody wants to hear of it any more. */
  owner: ConnectionOwner | null;
  readonly endpoint: NativeEndpoint;
  /** 0 = it counts for nobody. */
  readonly proxyRow: number;
  readonly isFront: boolean;
};

/** All of them. */
export class ConnectionTable {
  readonly #quic: Quic;
  readonly #engine: Pointer;
  readonly #account: TransportAccount;
  readonly #endpoints: EndpointTable;
  /** By slot. */
  readonly #connections: (NativeConnection | null)[] = [];
  readonly #growth = new Float64Array(QUIC_COUNTS + QUIC_MOMENTS.length);
  /** How many there are. */
  size = 0;

  constructor(quic: Quic, engine: Pointer, account: TransportAccount, endpoints: EndpointTable) {
    this.#quic = quic;
    this.#engine = engine;
    this.#account = account;
    this.#endpoints = endpoints;
  }

  /** The connection of a handle; null = it is over, or was never heard of. */
  of(handle: number): NativeConnection | null {
    const connection = this.#connections[handle & SLOT_MASK];
    if (connection === undefined || connection === null) return null;
    return connection.handle === handle ? connection : null;
  }

  /** One that is new: it holds its proxy from now on. */
  adopt(handle: number, endpoint: NativeEndpoint, proxyRow: number): NativeConnection {
    const { isFront } = endpoint;
    const connection: NativeConnection = { handle, owner: null, endpoint, proxyRow, isFront };
    const slot = handle & SLOT_MASK;
    while (this.#connections.length <= slot) this.#connections.push(null);
    assert(this.#connections[slot] === null, "ConnectionTable.adopt: a slot that was freed");
    this.#connections[slot] = connection;
    this.size++;
    endpoint.connectionCount++;
    if (proxyRow === 0) return connection;
    this.#quic.connSetTag(this.#engine, handle, tagOf(proxyRow, isFront));
    this.#account.opened(proxyRow, isFront);
    return connection;
  }

  /** A client that the engine has accepted. */
  accept(handle: number, endpointIndex: number): NativeConnection {
    const endpoint = this.#endpoints.at(endpointIndex);
    assert(endpoint !== undefined, "ConnectionTable.accept: of an endpoint that there is");
    const connection = this.adopt(handle, endpoint, endpoint.proxyRow);
    // At once: whoever reads takes a connection without a handshake for one that is half open.
    this.count(connection);
    return connection;
  }

  /** One whose handshake failed is first heard of when it is over. */
  adoptFailed(handle: number): NativeConnection | null {
    const endpoint = this.#endpoints.at(this.#quic.connEndpoint(this.#engine, handle));
    return endpoint === undefined ? null : this.adopt(handle, endpoint, endpoint.proxyRow);
  }

  /** It is over, and its streams. @returns who is to be told */
  close(connection: NativeConnection, cause: number, code: bigint): ConnectionOwner | null {
    const { handle, owner, proxyRow, isFront } = connection;
    connection.owner = null;
    if (proxyRow === 0) return owner;
    this.#quic.connSetTag(this.#engine, handle, -tagOf(proxyRow, isFront));
    this.#account.closed(proxyRow, isFront, cause, code);
    return owner;
  }

  /** Its last packets are out: it holds its proxy no more. */
  release(connection: NativeConnection): void {
    const { handle, endpoint, proxyRow, isFront } = connection;
    this.count(connection);
    this.#connections[handle & SLOT_MASK] = null;
    this.size--;
    this.#endpoints.left(endpoint);
    if (proxyRow !== 0) {
      this.#quic.connSetTag(this.#engine, handle, 0);
      this.#account.released(proxyRow, isFront, this.#growth);
    }
    this.#quic.connFree(this.#engine, handle);
    this.#endpoints.settle(endpoint);
  }

  /** Counts what it did since the last time. */
  count({ handle, proxyRow, isFront }: NativeConnection): void {
    if (proxyRow === 0) return;
    if (this.#quic.connDeltas(this.#engine, handle, this.#growth) < 0) return;
    this.#account.count(proxyRow, isFront, this.#growth);
  }

  /** The same of all. */
  countAll(): void {
    for (const connection of this.#connections) {
      if (connection !== null) this.count(connection);
    }
  }

  /** Handles from slot `from` on, as many as there is room for. @returns next `from`, 0 = all */
  list(from: number, out: number[], most: number): number {
    const connections = this.#connections;
    let slot = from;
    for (; slot < connections.length && out.length < most; slot++) {
      const connection = connections[slot]!;
      if (connection !== null) out.push(connection.handle);
    }
    return slot < connections.length ? slot : 0;
  }
}
