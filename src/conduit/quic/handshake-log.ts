/**
 * Handshakes that failed, for operators: why, in words, at most one line a second for each server
 * and each listener of a worker, with the number of those that were left out.
 *
 *   failed ─▶ told at once ─▶ more within a second: counted ─▶ tick: one of them told, and how many
 *
 * Cold, but a flood of failures passes here: those that are left out are counted, no more.
 */
import { formatIp } from "../../base/address.ts";
import { Endpoint } from "../sockaddr.ts";
import {
  CAUSE_APPLICATION,
  CAUSE_HANDSHAKE,
  CAUSE_IDLE,
  CAUSE_LOCAL,
  CAUSE_PROTOCOL,
  CAUSE_REFUSED,
  CAUSE_RESET,
  CAUSE_TRANSPORT,
  CAUSE_VERSION,
  QUIC_COUNTS,
  QUIC_MOMENTS,
  QUIC_NUMBERS,
} from "./transport.ts";
import type { Transport } from "./transport.ts";

/** Between two lines about the same server or listener, ms. */
const PAUSE_MS = 1000;

/** Transport codes: TLS alerts are 0x100 and the alert's number; this one takes no connections. */
const ALERT_FIRST = 0x100n;
const ALERT_LAST = 0x1ffn;
const CONNECTION_REFUSED = 2n;

/** A handshake that is given up before has failed by whoever asked for it, ms. */
const PATIENCE_MS = 1000;

const AGE_MILLIS = QUIC_COUNTS + QUIC_MOMENTS.indexOf("ageMillis");
const PACKETS_RECEIVED = QUIC_NUMBERS.indexOf("packetsReceived");

/** What a path said, by errno. Linux numbers. */
const REFUSALS: Readonly<Record<number, string>> = {
  101: "the network is unreachable",
  111: "connection refused, nobody listens there",
  113: "no route to the host",
};

/** One that failed. Words of peers are in it as they came. */
export type HandshakeFailure = {
  /** Row of the server; 0 = it was a client's handshake. */
  serverRow: number;
  /** Row of the frontend; 0 = it was a server's. */
  proxyRow: number;
  /** Where the client was let in; the other side. `ip:port`, "" = not known. */
  local: string;
  remote: string;
  why: string;
};

/** Tells of one. @param left those that were left out */
export type TellFailure = (failure: HandshakeFailure, left: number) => void;

type Entry = { toldAtMs: number; next: HandshakeFailure | null; left: number };

/** Failed handshakes of one worker. */
export class HandshakeLog {
  readonly #transport: Transport;
  readonly #nowMs: () => number;
  readonly #tell: TellFailure;
  /** By listener, and by row of the server: those that were told of within the last second. */
  readonly #entries = new Map<object | number, Entry>();
  readonly #endpoint = new Endpoint();
  readonly #numbers = new Float64Array(QUIC_COUNTS + QUIC_MOMENTS.length);

  constructor(transport: Transport, nowMs: () => number, tell: TellFailure) {
    this.#transport = transport;
    this.#nowMs = nowMs;
    this.#tell = tell;
  }

  /**
   * A connection to a server is over: told if it was for its handshake. A server may refuse a
   * certificate when the client takes the handshake for done.
   */
  ofServer(
    serverRow: number,
    connection: number,
    cause: number,
    code: bigint,
    wasEstablished: boolean,
  ): void {
    const isAlert = cause === CAUSE_TRANSPORT && code >= ALERT_FIRST && code <= ALERT_LAST;
    if (!wasEstablished || isAlert) this.#add(serverRow, serverRow, 0, connection, cause, code);
  }

  /** We give up a handshake with a server: told if it had its time, since nobody answered. */
  givenUp(serverRow: number, connection: number): void {
    const numbers = this.#numbers;
    if (!this.#transport.connectionNow(connection, numbers)) return;
    if (numbers[AGE_MILLIS]! < PATIENCE_MS) return;
    this.#add(serverRow, serverRow, 0, connection, CAUSE_HANDSHAKE, 0n);
  }

  /** A client's handshake has failed. @param listener whoever listens; it tells them apart */
  ofClient(
    listener: object,
    proxyRow: number,
    connection: number,
    cause: number,
    code: bigint,
  ): void {
    this.#add(listener, 0, proxyRow, connection, cause, code);
  }

  #add(
    key: object | number,
    serverRow: number,
    proxyRow: number,
    connection: number,
    cause: number,
    code: bigint,
  ): void {
    // We have ended it ourselves.
    if (cause === CAUSE_LOCAL) return;
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.left++;
    if (entry !== undefined && entry.next !== null) return;
    const failure = {
      serverRow,
      proxyRow,
      local: this.#addressOf(connection, false),
      remote: this.#addressOf(connection, true),
      why: reasonOf(this.#transport, connection, cause, code),
    };
    if (entry !== undefined) {
      entry.next = failure;
      return;
    }
    this.#entries.set(key, { toldAtMs: this.#nowMs(), next: null, left: 0 });
    this.#tell(failure, 0);
  }

  /** From time to time: tells of what was left out and is due. */
  tick(nowMs: number): void {
    for (const [key, entry] of this.#entries) {
      if (nowMs - entry.toldAtMs < PAUSE_MS) continue;
      if (entry.next === null) {
        this.#entries.delete(key);
        continue;
      }
      this.#tell(entry.next, entry.left - 1);
      entry.toldAtMs = nowMs;
      entry.next = null;
      entry.left = 0;
    }
  }

  #addressOf(connection: number, isPeer: boolean): string {
    const endpoint = this.#endpoint;
    endpoint.clear();
    this.#transport.connectionEndpoint(connection, isPeer, endpoint);
    if (endpoint.family === 0) return "";
    const ip = formatIp(endpoint.ip);
    return ip.includes(":") ? `[${ip}]:${endpoint.port}` : `${ip}:${endpoint.port}`;
  }
}

/** Why a handshake failed, in words; the transport's and the peer's own where they have any. */
function reasonOf(transport: Transport, connection: number, cause: number, code: bigint): string {
  const failure = transport.connectionText(connection, "failure");
  switch (cause) {
    case CAUSE_IDLE:
    case CAUSE_HANDSHAKE:
      return hasHeard(transport, connection) ? "it took too long" : "no answer";
    case CAUSE_REFUSED:
      return REFUSALS[Number(code)] ?? `errno ${code}`;
    case CAUSE_RESET:
      return "stateless reset, the other side does not know the connection";
    case CAUSE_VERSION:
      return "no version of QUIC in common";
    case CAUSE_APPLICATION:
      return withWords(
        `the other side closed it with application code ${code}`,
        transport.connectionText(connection, "reason"),
      );
    case CAUSE_TRANSPORT:
      return withWords(
        `the other side ended it with ${codeText(code)}`,
        failure || transport.connectionText(connection, "reason"),
      );
    case CAUSE_PROTOCOL:
      return withWords(codeText(code), failure);
    default:
      return failure || `cause ${cause}, code ${code}`;
  }
}

function hasHeard(transport: Transport, connection: number): boolean {
  const numbers = new Float64Array(QUIC_COUNTS + QUIC_MOMENTS.length);
  return transport.connectionNow(connection, numbers) && numbers[PACKETS_RECEIVED]! > 0;
}

/** A transport code (RFC 9000 section 20.1), TLS alerts by the number that TLS gives them. */
function codeText(code: bigint): string {
  if (code === CONNECTION_REFUSED) return "CONNECTION_REFUSED";
  if (code < ALERT_FIRST || code > ALERT_LAST) return `transport error 0x${code.toString(16)}`;
  return `TLS alert ${code - ALERT_FIRST}`;
}

const withWords = (text: string, words: string): string =>
  words === "" ? text : `${text}: ${words}`;
