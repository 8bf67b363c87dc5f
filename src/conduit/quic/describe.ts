/**
 * QUIC connections in plain data, for whoever asks the worker that owns them (`show quic`). The
 * transport knows packets and states; whoever owns a connection knows which server it goes to and
 * who takes its streams. Changes nothing. Cold.
 */
import { formatIp } from "../../base/address.ts";
import { unreachable } from "../../base/assert.ts";
import type {
  QuicDetail,
  QuicFilter,
  QuicPlace,
  QuicRecord,
  QuicStateName,
} from "../../tables/questions.ts";
import type { Conduit, ConduitOwner } from "../conduit.ts";
import { Endpoint } from "../sockaddr.ts";
import {
  CONNECTION_EARLY,
  CONNECTION_IS_SERVER,
  CONNECTION_RESUMED,
  CONNECTION_VERIFIED,
  QUIC_COUNTS,
  QUIC_MOMENTS,
} from "./transport.ts";
import type { QuicText, Transport } from "./transport.ts";

/** Values of `connectionNow`. */
const NUMBERS = QUIC_COUNTS + QUIC_MOMENTS.length;
const STATE_AT = QUIC_COUNTS + QUIC_MOMENTS.indexOf("state");

/** States of a connection by the transport's number. */
const STATES: readonly QuicStateName[] = [
  "handshake",
  "established",
  "closing",
  "draining",
  "over",
];

/** Connections that one list looks at: a filter may leave most of them out. */
const LOOKED_AT_MAX = 1024;

/** A stream of a connection: its handle, and whoever takes what it brings; null = the bridge. */
export type QuicStreamNote = { stream: number; owner: ConduitOwner | null };

/** What the owner of a connection knows of it. */
export type QuicNote = {
  /** Row of the server; 0 = a client's connection. */
  serverRow: number;
  /** Mapped as a whole. */
  isSession: boolean;
  streams: readonly QuicStreamNote[];
};

/**
 * A connection, and what its owner knows; null = nobody owns it (any more). `record.streams` is
 * empty: data/ask fills it.
 */
export type QuicFound = { record: QuicRecord; note: QuicNote | null };

/** What the engine asks of the QUIC of its worker. */
export interface QuicDesk {
  /**
   * Connections that match, in the transport's order.
   * @param from where to begin, 0 = all
   * @param limit most to describe
   * @returns next `from`, 0 = that was all
   */
  list(
    filter: QuicFilter,
    from: number,
    limit: number,
    detail: QuicDetail,
  ): { found: QuicFound[]; next: number };
  /** QUIC's identifier of a stream; -1 = it is gone. */
  streamId(stream: number): number;
}

/** The desk of one worker. */
export class TransportDesk implements QuicDesk {
  readonly #transport: Transport;
  readonly #worker: number;
  readonly #numbers = new Float64Array(NUMBERS);
  readonly #endpoint = new Endpoint();

  constructor(transport: Transport, worker: number) {
    this.#transport = transport;
    this.#worker = worker;
  }

  list(
    filter: QuicFilter,
    from: number,
    limit: number,
    detail: QuicDetail,
  ): { found: QuicFound[]; next: number } {
    const found: QuicFound[] = [];
    if (filter.connection !== undefined) {
      const one = this.#describe(filter.connection, filter, detail);
      return { found: one === null ? [] : [one], next: 0 };
    }
    const page: number[] = [];
    let next = from;
    let looked = 0;
    do {
      page.length = 0;
      // Not more than there is room for: the place to go on at is behind the whole page.
      next = this.#transport.listConnections(next, page, limit - found.length);
      for (const connection of page) {
        const one = this.#describe(connection, filter, detail);
        if (one !== null) found.push(one);
      }
      looked += Math.max(page.length, 1);
    } while (next !== 0 && found.length < limit && looked < LOOKED_AT_MAX);
    return { found, next };
  }

  streamId(stream: number): number {
    return this.#transport.streamId(stream);
  }

  #describe(connection: number, filter: QuicFilter, detail: QuicDetail): QuicFound | null {
    const transport = this.#transport;
    const flags = transport.connectionFlags(connection);
    const isFront = (flags & CONNECTION_IS_SERVER) !== 0;
    if (filter.isFront !== undefined && filter.isFront !== isFront) return null;
    if (!transport.connectionNow(connection, this.#numbers)) return null;
    const state = STATES[this.#numbers[STATE_AT]!] ?? unreachable("QuicDesk: a state");
    const isClosing = state !== "handshake" && state !== "established";
    if (filter.isClosing !== undefined && filter.isClosing !== isClosing) return null;
    const text = (which: QuicText): string => transport.connectionText(connection, which);
    const full = (which: QuicText): string => (detail === "full" ? text(which) : "");
    const note = transport.connectionOwner(connection)?.note?.() ?? null;
    const record: QuicRecord = {
      worker: this.#worker,
      connection,
      fd: transport.connectionDescriptor(connection),
      proxyRow: transport.connectionProxy(connection),
      serverRow: note?.serverRow ?? 0,
      isFront,
      isSession: note?.isSession ?? false,
      isResumed: (flags & CONNECTION_RESUMED) !== 0,
      isEarly: (flags & CONNECTION_EARLY) !== 0,
      isVerified: (flags & CONNECTION_VERIFIED) !== 0,
      state,
      local: this.#addressOf(connection, false),
      remote: this.#addressOf(connection, true),
      scid: text("scid"),
      dcid: text("dcid"),
      sni: text("sni"),
      alpn: text("alpn"),
      numbers: [...this.#numbers],
      cipher: full("cipher"),
      group: full("group"),
      localParameters: full("localParameters"),
      remoteParameters: full("parameters"),
      streams: [],
      streamsLeft: 0,
    };
    return { record, note };
  }

  #addressOf(connection: number, isPeer: boolean): string {
    const endpoint = this.#endpoint;
    endpoint.clear();
    this.#transport.connectionEndpoint(connection, isPeer, endpoint);
    return endpoint.family === 0 ? "" : `${formatIp(endpoint.ip)}:${endpoint.port}`;
  }
}

/** Handles of a conduit that is QUIC: the conduits of this folder have them. */
type QuicHandles = { readonly connection: number; readonly stream?: number };

/** Which QUIC stream or connection a conduit is; null = none, or it is not open yet. */
export function quicPlaceOf(conduit: Conduit, desk: QuicDesk | null | undefined): QuicPlace | null {
  if (desk === undefined || desk === null || !("connection" in conduit)) return null;
  const { connection, stream = 0 } = conduit as Conduit & QuicHandles;
  if (connection === 0) return null;
  return { connection, streamId: stream === 0 ? -1 : desk.streamId(stream) };
}
