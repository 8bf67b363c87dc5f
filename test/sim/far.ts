/**
 * The other ends of the proxy's connections: clients, and what a server sees of each connection.
 * They check every byte that reaches them.
 */
import { formatIp, parseIp } from "../../src/base/address.ts";
import { Endpoint } from "../../src/conduit/sockaddr.ts";
import { PROXY_NEED_MORE } from "../../src/wire/proxy-header.ts";
import { ProxyHeaderReader } from "../../src/wire/proxy-reader.ts";
import type { Choices } from "../support/sim-random.ts";
import { contentOf, isContentOf } from "./content.ts";
import type { Mood } from "./options.ts";
import { QuicStreamSocket } from "./quic-socket.ts";
import type { FarSocket } from "./quic-socket.ts";
import { require } from "./violation.ts";

/** How the record of a stream ended: two letters, and what its record says. */
export type Outcome = {
  termination: string;
  bytesUp: number;
  bytesDown: number;
  retries: number;
  totalMs: number;
  connected: boolean;
};

/** A header that a client sends first. */
export type ClientHeader = { bytes: Uint8Array; isGood: boolean; address: string };

export const NO_HEADER: ClientHeader = { bytes: new Uint8Array(0), isGood: true, address: "" };

export class SimClient {
  readonly id: number;
  readonly socket: FarSocket;
  readonly header: ClientHeader;
  /** Bytes to send behind the header before it ends its direction. */
  readonly payloadBytes: number;
  readonly isDeaf: boolean;
  /** Index of the frontend. */
  readonly proxy: number;
  /** Who it says it is, or its own address. */
  address: string;
  readonly endpoint = new Endpoint();
  /** Bytes of header and payload sent so far. */
  sentBytes = 0;
  receivedBytes = 0;
  /** Number of the stream that took it; -1 = none yet. */
  stream = -1;
  worker = 0;
  isAccepted = false;
  /** What it did itself. */
  hasFinished = false;
  hasReset = false;
  hasClosed = false;
  /** The connection under its stream died: QUIC only. */
  hasDied = false;
  /** What it saw. */
  sawEnd = false;
  sawReset = false;
  /** Connections that were dialled for it, the joined one last. */
  readonly links: SimLink[] = [];
  outcome: Outcome | null = null;
  /** `option logasap`: its record came when it was connected. */
  isLoggedEarly = false;
  /** Both sides ended in order: every byte must arrive. */
  isComplete = false;
  /** When the proxy last moved a byte of its stream. */
  movedAtMs = 0;
  /** Its worker died. */
  isOrphan = false;
  /** The listener was closed before it was accepted. */
  isRefused = false;

  constructor(
    id: number,
    socket: FarSocket,
    header: ClientHeader,
    payloadBytes: number,
    isDeaf: boolean,
    proxy: number,
  ) {
    this.proxy = proxy;
    this.id = id;
    this.socket = socket;
    this.header = header;
    this.payloadBytes = payloadBytes;
    this.isDeaf = isDeaf;
    const own = `10.0.${(id >> 8) & 255}.${id & 255}`;
    parseIp(own, this.endpoint.ip);
    this.endpoint.family = 4;
    this.endpoint.port = 10_000 + (id % 50_000);
    this.address = header.address === "" ? own : header.address;
  }

  /** Nothing more is to be expected of it. */
  get isOver(): boolean {
    if (this.socket instanceof QuicStreamSocket) {
      return this.socket.isDone(this.sawReset || this.hasReset || this.hasClosed);
    }
    const hasLeft = this.hasReset || this.hasClosed || this.sawReset;
    return hasLeft || (this.sawEnd && (this.hasFinished || this.socket.nearClosed));
  }

  /** It ended its connection before its time, or one direction of it. */
  get hasBroken(): boolean {
    const isOneWay = this.socket instanceof QuicStreamSocket && this.socket.hasBroken;
    return this.hasReset || this.hasClosed || this.hasDied || isOneWay;
  }

  get key(): number {
    return 2 * this.id;
  }

  get link(): SimLink | undefined {
    return this.links.at(-1);
  }

  /** Payload that it has handed to the network. */
  get sentPayload(): number {
    return Math.max(0, this.sentBytes - this.header.bytes.length);
  }

  /** Sends a piece, header first. @returns false when there was nothing to do */
  send(choices: Choices): boolean {
    if (this.hasFinished || this.hasReset || this.hasClosed) return false;
    const { bytes } = this.header;
    const total = bytes.length + this.payloadBytes;
    const most = Math.min(total - this.sentBytes, this.socket.sendRoom);
    if (most <= 0) return false;
    const length = choices.between(1, most);
    const head = bytes.subarray(this.sentBytes, this.sentBytes + length);
    const from = Math.max(0, this.sentBytes - bytes.length);
    const piece = new Uint8Array(length);
    piece.set(head);
    piece.set(contentOf(this.key, from, length - head.length), head.length);
    const taken = this.socket.send(piece);
    this.sentBytes += taken;
    return taken > 0;
  }

  /** Reads what has come and checks it. @returns false when there was nothing */
  read(most: number): boolean {
    if (this.hasReset || this.hasClosed) return false;
    const piece = this.socket.take(most);
    if (piece !== undefined) {
      const { link } = this;
      require(link !== undefined, "a client gets bytes from a server only", () => `${this}`);
      require(isContentOf(
        link.key,
        this.receivedBytes,
        piece,
      ), "bytes arrive in order, unchanged, at their own client", () =>
        `${this} at ${this.receivedBytes} from ${link}`);
      this.receivedBytes += piece.length;
      return true;
    }
    return this.look();
  }

  /** Notices the end or the abort of the other direction. */
  look(): boolean {
    if (!this.sawReset && this.socket.sawReset) {
      this.sawReset = true;
      return true;
    }
    if (this.sawEnd || !this.socket.sawEnd) return false;
    this.sawEnd = true;
    const { link } = this;
    if (this.isEndInOrder) {
      require(link !== undefined &&
        link.socket.farFinished &&
        link.sentBytes === this.receivedBytes, "an end arrives only after all bytes", () =>
        `${this}: ${this.receivedBytes} of ${link?.sentBytes}`);
    }
    return true;
  }

  /** What it sees as the end was passed on from the server, rather than made by the proxy. */
  private get isEndInOrder(): boolean {
    return !this.socket.nearClosed || this.isComplete;
  }

  finish(): void {
    this.hasFinished = true;
    this.socket.finish();
  }

  close(): void {
    this.hasClosed = true;
    this.socket.close();
  }

  reset(): void {
    this.hasReset = true;
    this.socket.reset();
  }

  toString(): string {
    return `client ${this.id}`;
  }
}

/** A connection to a server, as the server sees it. */
export class SimLink {
  readonly id: number;
  readonly socket: FarSocket;
  readonly client: SimClient;
  readonly serverRow: number;
  readonly payloadBytes: number;
  readonly mood: Mood;
  /** Reads the PROXY header; null = none is sent to this server. */
  readonly header: ProxyHeaderReader | null;
  isOpen = false;
  hasFailed = false;
  sentBytes = 0;
  receivedBytes = 0;
  hasFinished = false;
  hasReset = false;
  hasClosed = false;
  /** The connection under its stream died: QUIC only. */
  hasDied = false;
  sawEnd = false;
  sawReset = false;
  /** It read a PROXY header. */
  hadHeader = false;

  constructor(
    id: number,
    socket: FarSocket,
    client: SimClient,
    serverRow: number,
    payloadBytes: number,
    expectsHeader: boolean,
    mood: Mood,
  ) {
    this.mood = mood;
    this.id = id;
    this.socket = socket;
    this.client = client;
    this.serverRow = serverRow;
    this.payloadBytes = payloadBytes;
    this.header = expectsHeader ? new ProxyHeaderReader() : null;
  }

  get key(): number {
    return 2 * this.id + 1;
  }

  /** It ended its connection before its time, or one direction of it. */
  get hasBroken(): boolean {
    const isOneWay = this.socket instanceof QuicStreamSocket && this.socket.hasBroken;
    return this.hasReset || this.hasClosed || this.hasDied || isOneWay;
  }

  get isOver(): boolean {
    if (this.socket instanceof QuicStreamSocket) {
      const hasGone = this.sawReset || this.hasReset || this.hasClosed;
      const wasGivenUp = !this.isThere && this.socket.nearClosed;
      return this.hasFailed || wasGivenUp || this.socket.isDone(hasGone);
    }
    const hasLeft = this.hasFailed || this.hasReset || this.hasClosed || this.sawReset;
    return hasLeft || (this.sawEnd && (this.hasFinished || this.socket.nearClosed));
  }

  /** It is connected, and the server knows of it. */
  get isThere(): boolean {
    return this.socket instanceof QuicStreamSocket ? this.socket.handle !== 0 : this.isOpen;
  }

  /** From the proxy's view the connection exists: it counts against the server's limit. */
  get isHeld(): boolean {
    return !this.socket.nearClosed && !this.socket.closeDelivered;
  }

  send(choices: Choices): boolean {
    if (!this.isThere || this.hasFinished || this.hasReset || this.hasClosed) return false;
    const most = Math.min(this.payloadBytes - this.sentBytes, this.socket.sendRoom);
    if (most <= 0) return false;
    const length = choices.between(1, most);
    const taken = this.socket.send(contentOf(this.key, this.sentBytes, length));
    this.sentBytes += taken;
    return taken > 0;
  }

  read(most: number): boolean {
    if (!this.isThere || this.hasReset || this.hasClosed) return false;
    let piece = this.socket.take(most);
    if (piece !== undefined) {
      if (this.header !== null && !this.hadHeader) piece = this.readHeader(this.header, piece);
      require(isContentOf(
        this.client.key,
        this.receivedBytes,
        piece,
      ), "bytes arrive in order, unchanged, at their own server", () =>
        `${this} at ${this.receivedBytes}`);
      this.receivedBytes += piece.length;
      return true;
    }
    return this.look();
  }

  private readHeader(reader: ProxyHeaderReader, piece: Uint8Array): Uint8Array {
    const result = reader.push(piece);
    if (result === PROXY_NEED_MORE) return new Uint8Array(0);
    require(result >= 0, "a server gets a PROXY header that is right", () => `${this}`);
    const { header } = reader;
    const said = `${formatIp(header.source)}`;
    require(said === this.client.address, "a PROXY header names the client", () =>
      `${this}: ${said} for ${this.client.address}`);
    this.hadHeader = true;
    return piece.subarray(result);
  }

  look(): boolean {
    if (!this.sawReset && this.socket.sawReset) {
      this.sawReset = true;
      return true;
    }
    if (this.sawEnd || !this.socket.sawEnd) return false;
    this.sawEnd = true;
    const { client } = this;
    if (!this.socket.nearClosed || client.isComplete) {
      require(client.socket.farFinished &&
        client.sentPayload === this.receivedBytes, "an end arrives only after all bytes", () =>
        `${this}: ${this.receivedBytes} of ${client.sentPayload}`);
    }
    return true;
  }

  finish(): void {
    this.hasFinished = true;
    this.socket.finish();
  }

  close(): void {
    this.hasClosed = true;
    this.socket.close();
  }

  reset(): void {
    this.hasReset = true;
    this.socket.reset();
  }

  toString(): string {
    return `link ${this.id} of ${this.client}`;
  }
}
