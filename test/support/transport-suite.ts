/**
 * What every QUIC transport must do: one suite for the native one over loopback and for the
 * simulated one. The contract is src/conduit/quic/transport.ts.
 */
import { describe, expect, test } from "bun:test";

import { seededRandom32 } from "../../src/base/prng.ts";
import {
  CAUSE_APPLICATION,
  CAUSE_LOCAL,
  CAUSE_REFUSED,
  QUIC_COUNTS,
  QUIC_MOMENTS,
  QUIC_NUMBERS,
  TRANSPORT_CLOSED,
  TRANSPORT_GONE,
  TRANSPORT_NO_CREDIT,
  TRANSPORT_TOO_LONG,
} from "../../src/conduit/quic/transport.ts";
import type {
  ConnectionOwner,
  EndpointOwner,
  StreamOwner,
  Transport,
  TransportAccount,
} from "../../src/conduit/quic/transport.ts";
import { Endpoint } from "../../src/conduit/sockaddr.ts";
import type { QuicTransportSpec } from "../../src/tables/spec.ts";

/** What a test asks of its two transports. */
export type TransportWishes = {
  server?: Partial<QuicTransportSpec>;
  client?: Partial<QuicTransportSpec>;
  serverAlpn?: string[];
  clientAlpn?: string[];
};

/** A server's transport that listens, and a client's that can reach it. */
export type TransportLab = {
  server: Transport;
  client: Transport;
  serverAccount: CountingAccount;
  clientAccount: CountingAccount;
  /** The server's, as `listen` named it. */
  endpoint: number;
  /** Row that the connections of either side count for. */
  proxyRow: number;
  /** Begins a connection to the server; `toNobody`: to a port where nobody listens. */
  connect(owner: ConnectionOwner, toNobody?: boolean): number;
  /** Lets everything happen until the condition holds; fails if it never does. */
  until(condition: () => boolean): Promise<void>;
  /** Lets everything happen that is going to happen soon. */
  settle(): Promise<void>;
  /** Both are given up. */
  close(): void;
};

/** How a kind of transport is made. `owner` owns the endpoint of the server. */
export type TransportCase = {
  name: string;
  make(wishes: TransportWishes, owner: EndpointOwner): Promise<TransportLab>;
};

/** An account that adds up. */
export class CountingAccount implements TransportAccount {
  readonly sums = new Float64Array(QUIC_COUNTS);
  openedCount = 0;
  halfOpenNow = 0;
  closedCauses: number[] = [];
  closedCodes: bigint[] = [];
  releasedCount = 0;

  opened(): void {
    this.openedCount++;
  }

  count(_proxyRow: number, _isFront: boolean, growth: Float64Array): void {
    for (let i = 0; i < QUIC_COUNTS; i++) this.sums[i] = this.sums[i]! + growth[i]!;
  }

  halfOpen(_proxyRow: number, connections: number): void {
    this.halfOpenNow = connections;
  }

  closed(_proxyRow: number, _isFront: boolean, cause: number, code: bigint): void {
    this.closedCauses.push(cause);
    this.closedCodes.push(code);
  }

  released(): void {
    this.releasedCount++;
  }

  sum(name: (typeof QUIC_NUMBERS)[number]): number {
    return this.sums[QUIC_NUMBERS.indexOf(name)]!;
  }
}

/** A stream as one side sees it. */
export class StreamEnd implements StreamOwner {
  readonly transport: Transport;
  readonly handle: number;
  readonly id: number;
  readonly pieces: Uint8Array[] = [];
  receivedBytes = 0;
  hasEnd = false;
  resetCode: bigint | undefined;
  stopCode: bigint | undefined;
  /** Bytes that are taken in all; more is left unread. */
  appetite = Infinity;
  isEcho = false;
  private unsent: Uint8Array = new Uint8Array(0);
  private isFinishing = false;

  constructor(transport: Transport, handle: number) {
    this.transport = transport;
    this.handle = handle;
    this.id = transport.streamId(handle);
    transport.ownStream(handle, this);
  }

  onStreamData(): void {
    this.read();
  }

  /** Takes what there is, as far as the appetite goes. */
  read(): void {
    const { transport, handle } = this;
    for (;;) {
      const length = transport.peek(handle);
      if (length <= 0) {
        if (length === 0 && transport.isEnd) this.ended();
        return;
      }
      const some = Math.min(length, this.appetite - this.receivedBytes);
      if (some <= 0) return;
      const from = transport.peekOffset;
      this.pieces.push(transport.peekBytes.slice(from, from + some));
      this.receivedBytes += some;
      transport.consume(handle, some);
      if (this.isEcho) this.send(this.pieces.pop()!);
    }
  }

  private ended(): void {
    if (this.hasEnd) return;
    this.hasEnd = true;
    if (this.isEcho) this.finish();
  }

  onStreamWritable(): void {
    this.pump();
  }

  onStreamReset(_stream: number, code: bigint): void {
    this.resetCode = code;
  }

  onStreamStop(_stream: number, code: bigint): void {
    this.stopCode = code;
  }

  /** Sends all of it, whatever time it takes. */
  send(bytes: Uint8Array): void {
    this.unsent = this.unsent.length === 0 ? bytes : Buffer.concat([this.unsent, bytes]);
    this.pump();
  }

  finish(): void {
    this.isFinishing = true;
    this.pump();
  }

  private pump(): void {
    while (this.unsent.length > 0) {
      const taken = this.transport.write(this.handle, this.unsent, 0, this.unsent.length);
      if (taken < 0) return;
      const isAll = taken === this.unsent.length;
      this.unsent = this.unsent.subarray(taken);
      if (!isAll) return;
    }
    if (!this.isFinishing) return;
    this.isFinishing = false;
    this.transport.finish(this.handle);
  }

  get unsentBytes(): number {
    return this.unsent.length;
  }

  all(): Uint8Array {
    return Uint8Array.from(Buffer.concat(this.pieces));
  }
}

/** A connection as one side sees it. */
export class ConnectionEnd implements ConnectionOwner {
  readonly transport: Transport;
  handle = 0;
  isConnected = false;
  readonly streams: StreamEnd[] = [];
  readonly datagrams: Uint8Array[] = [];
  credits = 0;
  cause = 0;
  code = -1n;
  wasEstablished = false;
  /** Called for each stream that the peer opens. */
  onOpened: (stream: StreamEnd) => void = () => {};

  constructor(transport: Transport) {
    this.transport = transport;
  }

  onConnected(): void {
    this.isConnected = true;
  }

  onStream(_connection: number, stream: number, id: number, isUni: boolean): void {
    expect(isUni).toBe((id & 2) !== 0);
    const end = new StreamEnd(this.transport, stream);
    expect(end.id).toBe(id);
    this.streams.push(end);
    this.onOpened(end);
  }

  onCredit(): void {
    this.credits++;
  }

  onDatagram(): void {
    const { transport, handle } = this;
    for (;;) {
      const length = transport.peekDatagram(handle);
      if (length < 0) return;
      const from = transport.peekOffset;
      this.datagrams.push(transport.peekBytes.slice(from, from + length));
      transport.dropDatagram(handle);
    }
  }

  onClosed(_connection: number, cause: number, code: bigint, wasEstablished: boolean): void {
    this.cause = cause;
    this.code = code;
    this.wasEstablished = wasEstablished;
  }

  open(isUni = false): StreamEnd {
    const handle = this.transport.openStream(this.handle, isUni);
    expect(handle).toBeGreaterThan(0);
    return new StreamEnd(this.transport, handle);
  }

  /** The stream of this identifier, as soon as the peer's opening was told. */
  find(id: number): StreamEnd | undefined {
    return this.streams.find((stream) => stream.id === id);
  }
}

type Joined = { lab: TransportLab; client: ConnectionEnd; server: ConnectionEnd };

function randomBytes(length: number, seed: number): Uint8Array {
  const random32 = seededRandom32(seed);
  return Uint8Array.from({ length }, () => random32() & 255);
}

/** Makes two transports and a connection between them. */
async function join(subject: TransportCase, wishes: TransportWishes = {}): Promise<Joined> {
  let server: ConnectionEnd | undefined;
  let lab: TransportLab | undefined;
  lab = await subject.make(wishes, {
    onAccepted: (connection) => {
      server = new ConnectionEnd(lab!.server);
      server.handle = connection;
      return server;
    },
  });
  const client = new ConnectionEnd(lab.client);
  client.handle = lab.connect(client);
  expect(client.handle).toBeGreaterThan(0);
  await lab.until(() => client.isConnected && server !== undefined);
  return { lab, client, server: server! };
}

/** Opens a stream and waits until the other side has it: its first byte makes it known. */
async function pair(
  { lab }: Joined,
  from: ConnectionEnd,
  to: ConnectionEnd,
  isUni = false,
): Promise<[StreamEnd, StreamEnd]> {
  const near = from.open(isUni);
  near.send(new Uint8Array([1]));
  await lab.until(() => (to.find(near.id)?.receivedBytes ?? 0) === 1);
  const far = to.find(near.id)!;
  far.pieces.length = 0;
  far.receivedBytes = 0;
  return [near, far];
}

/** Runs the suite for one kind of transport. */
export function runTransportSuite(subject: TransportCase): void {
  describe(subject.name, () => {
    describeConnections(subject);
    describeBytes(subject);
    describeEnds(subject);
    describeLimits(subject);
    describeDatagrams(subject);
    describeHandles(subject);
    describeAccounts(subject);
  });
}

function describeConnections(subject: TransportCase): void {
  test("connects, with the server's choice of a protocol", async () => {
    const joined = await join(subject, { serverAlpn: ["two", "one"], clientAlpn: ["one", "two"] });
    const { lab, client, server } = joined;
    expect(lab.client.connectionText(client.handle, "alpn")).toBe("two");
    expect(lab.server.connectionText(server.handle, "alpn")).toBe("two");
    expect(lab.client.isEstablished(client.handle)).toBe(true);
    expect(lab.server.isEstablished(server.handle)).toBe(true);
    const [near, far] = [new Endpoint(), new Endpoint()];
    lab.client.connectionEndpoint(client.handle, true, near);
    lab.server.connectionEndpoint(server.handle, false, far);
    expect(near.port).toBe(far.port);
    expect(lab.client.connectionProxy(client.handle)).toBe(lab.proxyRow);
    lab.close();
  });

  test("tells the client where nobody listens", async () => {
    const joined = await join(subject);
    const { lab } = joined;
    const client = new ConnectionEnd(lab.client);
    client.handle = lab.connect(client, true);
    await lab.until(() => client.cause !== 0);
    expect([client.cause, client.code, client.wasEstablished]).toEqual([
      CAUSE_REFUSED,
      111n,
      false,
    ]);
    lab.close();
  });

  test("a close tells the peer its code and reason, the closer nothing", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    client.transport.closeConnection(client.handle, true, 0x3fff_ffff_ffffn, "so long");
    await lab.until(() => server.cause !== 0);
    expect([server.cause, server.code]).toEqual([CAUSE_APPLICATION, 0x3fff_ffff_ffffn]);
    expect(server.wasEstablished).toBe(true);
    expect(lab.server.connectionText(server.handle, "reason")).toBe("so long");
    await lab.settle();
    expect(client.cause).toBe(0);
    lab.close();
  });

  test("no protocol in common: neither side is connected", async () => {
    let accepted = 0;
    const lab = await subject.make(
      { serverAlpn: ["one"], clientAlpn: ["other"] },
      {
        onAccepted: () => {
          accepted++;
          return new ConnectionEnd(lab.server);
        },
      },
    );
    const client = new ConnectionEnd(lab.client);
    client.handle = lab.connect(client);
    await lab.until(() => client.cause !== 0);
    expect(client.code).toBe(0x178n);
    expect([client.isConnected, client.wasEstablished, accepted]).toEqual([false, false, 0]);
    lab.close();
  });

  test("an endpoint that does not accept answers later", async () => {
    let lab: TransportLab | undefined;
    const accepted: ConnectionEnd[] = [];
    lab = await subject.make(
      {},
      {
        onAccepted: (connection) => {
          const end = new ConnectionEnd(lab!.server);
          end.handle = connection;
          accepted.push(end);
          return end;
        },
      },
    );
    lab.server.setAccepting(lab.endpoint, false);
    const client = new ConnectionEnd(lab.client);
    client.handle = lab.connect(client);
    await lab.settle();
    expect([client.isConnected, accepted.length]).toEqual([false, 0]);
    lab.server.setAccepting(lab.endpoint, true);
    await lab.until(() => client.isConnected && accepted.length === 1);
    lab.close();
  });
}

function describeBytes(subject: TransportCase): void {
  test("carries bytes of many streams both ways at once, each in order", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    server.onOpened = (stream) => (stream.isEcho = true);
    const sent = Array.from({ length: 8 }, (_, index) => randomBytes(150_000 + index, index + 1));
    const streams = sent.map((bytes) => {
      const stream = client.open();
      stream.send(bytes);
      stream.finish();
      return stream;
    });
    await lab.until(() => streams.every((stream) => stream.hasEnd));
    streams.forEach((stream, index) => {
      expect(Buffer.compare(stream.all(), sent[index]!)).toBe(0);
      expect(stream.id).toBe(4 * index);
    });
    lab.close();
  });

  test("a reader that takes nothing stops its writer within the window", async () => {
    const streamWindow = 60_000;
    const joined = await join(subject, {
      server: { streamWindow },
      client: { sendBuffer: 40_000 },
    });
    const { lab, client, server } = joined;
    server.onOpened = (stream) => (stream.appetite = 1);
    const stream = client.open();
    stream.send(randomBytes(500_000, 3));
    await lab.until(() => server.find(stream.id)?.receivedBytes === 1);
    await lab.settle();
    const written = 500_000 - stream.unsentBytes;
    expect(written).toBeLessThanOrEqual(1 + streamWindow + 40_000);
    expect(written).toBeGreaterThanOrEqual(1 + streamWindow);
    const far = server.find(stream.id)!;
    expect(far.receivedBytes).toBe(1);
    expect(lab.server.peek(far.handle)).toBeGreaterThan(0);
    far.appetite = 100_000;
    far.read();
    await lab.until(() => far.receivedBytes === 100_000);
    await lab.settle();
    // Credit was given for what was consumed, and no more.
    expect(500_000 - stream.unsentBytes).toBeLessThanOrEqual(100_000 + streamWindow + 40_000);
    far.appetite = Infinity;
    far.read();
    stream.finish();
    await lab.until(() => far.hasEnd);
    expect(Buffer.compare(far.all(), randomBytes(500_000, 3))).toBe(0);
    lab.close();
  });

  test("unread streams stop at the connection's window, others wait", async () => {
    const joined = await join(subject, {
      server: { streamWindow: 50_000, connectionWindow: 120_000 },
      client: { sendBuffer: 20_000 },
    });
    const { lab, client, server } = joined;
    server.onOpened = (stream) => (stream.appetite = 1);
    const streams = Array.from({ length: 6 }, () => client.open());
    for (const stream of streams) stream.send(randomBytes(60_000, 4));
    await lab.settle();
    const taken = streams.reduce((sum, stream) => sum + 60_000 - stream.unsentBytes, 0);
    expect(taken).toBeLessThanOrEqual(6 + 120_000 + 6 * 20_000);
    for (const stream of streams) stream.finish();
    const readAll = (): boolean => {
      for (const stream of server.streams) {
        stream.appetite = Infinity;
        stream.read();
      }
      return server.streams.length === 6 && server.streams.every((stream) => stream.hasEnd);
    };
    await lab.until(readAll);
    for (const stream of server.streams) expect(stream.receivedBytes).toBe(60_000);
    lab.close();
  });

  test("streams that nobody reads yet leave half of the window to the others", async () => {
    const joined = await join(subject, {
      server: {
        streamWindow: 100_000,
        connectionWindow: 100_000,
        streamsBidiMax: 4,
        streamsUniMax: 1,
      },
      client: { sendBuffer: 200_000 },
    });
    const { lab, client, server } = joined;
    server.onOpened = (stream) => (stream.appetite = 0);
    const waiting = Array.from({ length: 3 }, () => client.open());
    for (const stream of waiting) stream.send(randomBytes(100_000, 4));
    await lab.until(() => server.streams.length === 3);
    await lab.settle();
    server.onOpened = () => {};
    const read = client.open();
    read.send(randomBytes(300_000, 5));
    read.finish();
    await lab.until(() => server.find(read.id)?.hasEnd === true);
    expect(server.find(read.id)?.receivedBytes).toBe(300_000);
    // Whoever is read at last has the whole window too.
    for (const stream of waiting) stream.finish();
    for (const stream of server.streams) {
      stream.appetite = Infinity;
      stream.read();
    }
    await lab.until(() => waiting.every(({ id }) => server.find(id)?.receivedBytes === 100_000));
    lab.close();
  });

  test("what was written before the owner let go is still delivered", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    const stream = client.open(true);
    stream.send(randomBytes(10_000, 5));
    await lab.until(() => stream.unsentBytes === 0);
    stream.finish();
    client.transport.release(stream.handle);
    await lab.until(() => server.streams[0]?.hasEnd === true);
    expect(Buffer.compare(server.streams[0]!.all(), randomBytes(10_000, 5))).toBe(0);
    lab.close();
  });

  test("what nobody reads gives its credit back", async () => {
    const joined = await join(subject, {
      server: { streamWindow: 50_000, connectionWindow: 100_000, streamsUniMax: 100 },
    });
    const { lab, client, server } = joined;
    // One of three is stopped, one reset by its sender, one let go with bytes unread.
    server.onOpened = (stream) => (stream.appetite = 1);
    for (let round = 0; round < 9; round++) {
      const [near, far] = await pair(joined, client, server, true).catch(() => {
        throw new Error(`round ${round}: no credit is left`);
      });
      near.send(randomBytes(30_000, round));
      await lab.until(() => lab.server.peek(far.handle) > 0);
      if (round % 3 === 0) lab.server.stop(far.handle, 1n);
      else if (round % 3 === 1) lab.client.reset(near.handle, 1n);
      if (round % 3 !== 2) await lab.settle();
      lab.server.release(far.handle);
      if (round % 3 === 2) lab.client.finish(near.handle);
      lab.client.release(near.handle);
    }
    const last = client.open();
    server.onOpened = () => {};
    last.send(randomBytes(400_000, 77));
    last.finish();
    await lab.until(() => server.find(last.id)?.hasEnd === true);
    expect(Buffer.compare(server.find(last.id)!.all(), randomBytes(400_000, 77))).toBe(0);
    lab.close();
  });

  test("a stream is unsent until something of it has gone out", async () => {
    const joined = await join(subject);
    const { lab, client } = joined;
    const stream = client.open();
    expect(lab.client.isUnsent(stream.handle)).toBe(true);
    stream.send(new Uint8Array(100));
    await lab.settle();
    expect(lab.client.isUnsent(stream.handle)).toBe(false);
    lab.close();
  });
}

function describeEnds(subject: TransportCase): void {
  test("each direction ends by itself", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    const [near, far] = await pair(joined, client, server);
    near.finish();
    await lab.until(() => far.hasEnd);
    expect(lab.client.write(near.handle, new Uint8Array(1), 0, 1)).toBe(TRANSPORT_CLOSED);
    far.send(randomBytes(5000, 6));
    far.finish();
    await lab.until(() => near.hasEnd);
    expect(near.receivedBytes).toBe(5000);
    expect([near.resetCode, near.stopCode, far.resetCode, far.stopCode]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    lab.close();
  });

  test("a stream of no bytes has an end", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    const stream = client.open(true);
    stream.finish();
    await lab.until(() => server.find(stream.id)?.hasEnd === true);
    expect(server.find(stream.id)?.receivedBytes).toBe(0);
    lab.close();
  });

  test("a reset is no end, and has its code", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    const [near, far] = await pair(joined, client, server);
    const code = (1n << 62n) - 1n;
    lab.client.reset(near.handle, code);
    await lab.until(() => far.resetCode !== undefined);
    expect(far.resetCode).toBe(code);
    expect(far.hasEnd).toBe(false);
    expect(lab.server.peek(far.handle)).toBe(0);
    expect(lab.server.isEnd).toBe(false);
    // The other direction goes on.
    far.send(randomBytes(3000, 7));
    far.finish();
    await lab.until(() => near.hasEnd);
    expect(near.receivedBytes).toBe(3000);
    lab.close();
  });

  test("a stop tells the writer its code, and nothing more comes", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    const [near, far] = await pair(joined, client, server);
    lab.server.stop(far.handle, 55n);
    await lab.until(() => near.stopCode !== undefined);
    expect(near.stopCode).toBe(55n);
    expect(lab.client.write(near.handle, new Uint8Array(1), 0, 1)).toBe(TRANSPORT_CLOSED);
    await lab.settle();
    expect([far.hasEnd, far.resetCode]).toEqual([false, undefined]);
    far.send(randomBytes(3000, 8));
    far.finish();
    await lab.until(() => near.hasEnd);
    expect(near.receivedBytes).toBe(3000);
    lab.close();
  });

  test("the death of a connection is no end of its streams", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    const [near, far] = await pair(joined, client, server);
    near.send(randomBytes(1000, 9));
    lab.client.closeConnection(client.handle, true, 7n, "");
    await lab.until(() => server.cause !== 0);
    await lab.settle();
    expect([far.hasEnd, far.resetCode, far.stopCode]).toEqual([false, undefined, undefined]);
    lab.close();
  });
}

function describeLimits(subject: TransportCase): void {
  test("no more streams than the peer allows; one that is over makes room", async () => {
    const joined = await join(subject, { server: { streamsBidiMax: 2, streamsUniMax: 1 } });
    const { lab, client, server } = joined;
    const [near, far] = await pair(joined, client, server);
    const [, second] = await pair(joined, client, server);
    expect(lab.client.openStream(client.handle, false)).toBe(TRANSPORT_NO_CREDIT);
    await pair(joined, client, server, true);
    expect(lab.client.openStream(client.handle, true)).toBe(TRANSPORT_NO_CREDIT);
    const before = client.credits;
    near.finish();
    far.finish();
    await lab.until(() => near.hasEnd && far.hasEnd);
    await lab.settle();
    // Its owner still holds it: whoever opens and ends in a loop must not fill our tables.
    expect(client.credits).toBe(before);
    expect(lab.client.openStream(client.handle, false)).toBe(TRANSPORT_NO_CREDIT);
    lab.server.release(far.handle);
    lab.client.release(near.handle);
    await lab.until(() => client.credits > before);
    expect(client.open().id).toBe(8);
    expect(second.hasEnd).toBe(false);
    lab.close();
  });

  test("the peer hears of a stream before anything is written", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    const near = client.open();
    await lab.until(() => server.find(near.id) !== undefined);
    server.find(near.id)!.send(new Uint8Array(5));
    await lab.until(() => near.receivedBytes === 5);
    expect(lab.client.isUnsent(near.handle)).toBe(true);
    lab.close();
  });

  test("identifiers count up for each opener and kind", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    expect([client.open().id, client.open(true).id, client.open().id]).toEqual([0, 2, 4]);
    expect([server.open().id, server.open(true).id, server.open(true).id]).toEqual([1, 3, 7]);
    lab.close();
  });

  test("thousands of streams one after the other leave nothing behind", async () => {
    const joined = await join(subject, { server: { streamsBidiMax: 3 } });
    const { lab, client, server } = joined;
    server.onOpened = (stream) => (stream.isEcho = true);
    for (let round = 0; round < 300; round++) {
      let handle = 0;
      await lab.until(() => (handle = lab.client.openStream(client.handle, false)) > 0);
      const near = new StreamEnd(lab.client, handle);
      near.send(randomBytes(round, round));
      near.finish();
      await lab.until(() => near.hasEnd);
      expect(near.receivedBytes).toBe(round);
      lab.client.release(near.handle);
      const far = server.streams.pop()!;
      await lab.until(() => far.hasEnd);
      lab.server.release(far.handle);
    }
    const now = new Float64Array(QUIC_COUNTS + QUIC_MOMENTS.length);
    const streamsNow = (): number => {
      lab.server.connectionNow(server.handle, now);
      return now[QUIC_COUNTS + QUIC_MOMENTS.indexOf("streamsNow")]!;
    };
    await lab.until(() => streamsNow() === 0);
    lab.close();
  });
}

function describeDatagrams(subject: TransportCase): void {
  test("datagrams pass whole, those that are too long do not", async () => {
    const limits = { server: { datagramMax: 1000 }, client: { datagramMax: 1000 } };
    const joined = await join(subject, limits);
    const { lab, client, server } = joined;
    const sent = randomBytes(600, 10);
    expect(lab.client.sendDatagram(client.handle, sent, 100, 400)).toBe(0);
    await lab.until(() => server.datagrams.length === 1);
    expect(Buffer.compare(server.datagrams[0]!, sent.slice(100, 500))).toBe(0);
    const long = lab.client.sendDatagram(client.handle, randomBytes(5000, 1), 0, 5000);
    expect(long).toBe(TRANSPORT_TOO_LONG);
    expect(lab.server.peekDatagram(server.handle)).toBe(-1);
    lab.close();
  });

  test("a peer without datagrams gets none", async () => {
    const joined = await join(subject, { server: { datagramMax: 0 } });
    const { lab, client } = joined;
    const sent = lab.client.sendDatagram(client.handle, new Uint8Array(10), 0, 10);
    expect(sent).toBe(TRANSPORT_TOO_LONG);
    lab.close();
  });
}

function describeHandles(subject: TransportCase): void {
  test("a handle of what is over names nothing", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    const [near, far] = await pair(joined, client, server);
    near.finish();
    far.finish();
    await lab.until(() => near.hasEnd && far.hasEnd);
    lab.client.release(near.handle);
    await lab.settle();
    expect(lab.client.write(near.handle, new Uint8Array(1), 0, 1)).toBe(TRANSPORT_GONE);
    expect(lab.client.peek(near.handle)).toBe(TRANSPORT_GONE);
    // Nothing happens, and nothing is thrown.
    lab.client.consume(near.handle, 1);
    lab.client.finish(near.handle);
    lab.client.reset(near.handle, 1n);
    lab.client.stop(near.handle, 1n);
    lab.client.release(near.handle);
    const next = client.open();
    expect(next.handle).not.toBe(near.handle);
    expect(lab.client.peek(near.handle)).toBe(TRANSPORT_GONE);
    lab.close();
  });

  test("with its connection a stream is gone at once", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    const [near] = await pair(joined, client, server);
    lab.client.closeConnection(client.handle, true, 0n, "");
    expect(lab.client.write(near.handle, new Uint8Array(1), 0, 1)).toBe(TRANSPORT_GONE);
    expect(lab.client.peek(near.handle)).toBe(TRANSPORT_GONE);
    expect(lab.client.openStream(client.handle, false)).toBe(TRANSPORT_GONE);
    await lab.until(() => lab.clientAccount.releasedCount === 1);
    expect(lab.client.connectionText(client.handle, "alpn")).toBe("");
    expect(lab.client.connectionNow(client.handle, new Float64Array(99))).toBe(false);
    expect(lab.client.listConnections(0, [], 10)).toBe(0);
    lab.close();
  });
}

function describeAccounts(subject: TransportCase): void {
  test("all that was counted is told when the connection is released, once", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    const { clientAccount, serverAccount } = lab;
    expect([clientAccount.openedCount, serverAccount.openedCount]).toEqual([1, 1]);
    server.onOpened = (stream) => (stream.isEcho = stream.id % 4 === 0);
    for (let i = 0; i < 5; i++) {
      const near = client.open();
      near.send(randomBytes(1000, i));
      near.finish();
      await lab.until(() => near.hasEnd);
      // The live view counts nothing twice.
      lab.client.countLive();
      lab.server.countLive();
    }
    const [cut] = await pair(joined, client, server, true);
    lab.client.reset(cut.handle, 3n);
    await lab.until(() => server.find(cut.id)?.resetCode !== undefined);
    await pair(joined, server, client, true);
    lab.client.closeConnection(client.handle, true, 9n, "");
    await lab.until(() => clientAccount.releasedCount === 1 && serverAccount.releasedCount === 1);
    expect(clientAccount.closedCauses).toEqual([CAUSE_LOCAL]);
    expect(serverAccount.closedCauses).toEqual([CAUSE_APPLICATION]);
    expect(serverAccount.closedCodes).toEqual([9n]);
    const streams = (account: CountingAccount): number[] => [
      account.sum("streamsBidiLocal"),
      account.sum("streamsBidiRemote"),
      account.sum("streamsUniLocal"),
      account.sum("streamsUniRemote"),
    ];
    expect(streams(clientAccount)).toEqual([5, 0, 1, 1]);
    expect(streams(serverAccount)).toEqual([0, 5, 1, 1]);
    for (const account of [clientAccount, serverAccount]) {
      expect(account.sum("handshakesDone")).toBe(1);
      expect(account.sum("handshakesFailed")).toBe(0);
      expect(account.sum("packetsSent")).toBeGreaterThan(5);
    }
    expect(clientAccount.sum("streamResetsSent")).toBe(1);
    expect(serverAccount.sum("streamResetsReceived")).toBe(1);
    lab.close();
  });

  test("a handshake that fails is counted and released", async () => {
    const lab = await subject.make(
      { serverAlpn: ["one"], clientAlpn: ["other"] },
      { onAccepted: () => new ConnectionEnd(lab.server) },
    );
    const client = new ConnectionEnd(lab.client);
    client.handle = lab.connect(client);
    const { clientAccount, serverAccount } = lab;
    await lab.until(() => clientAccount.releasedCount === 1 && serverAccount.releasedCount === 1);
    for (const account of [clientAccount, serverAccount]) {
      expect([account.sum("handshakesDone"), account.sum("handshakesFailed")]).toEqual([0, 1]);
      expect([account.openedCount, account.closedCodes]).toEqual([1, [0x178n]]);
    }
    lab.close();
  });

  test("an endpoint that is over has counted", async () => {
    const joined = await join(subject);
    const { lab, client, server } = joined;
    lab.server.unlisten(lab.endpoint);
    // Those that live go on.
    const [near] = await pair(joined, client, server);
    near.finish();
    await lab.until(() => server.find(near.id)?.hasEnd === true);
    lab.client.closeConnection(client.handle, true, 0n, "");
    await lab.until(() => lab.serverAccount.releasedCount === 1);
    lab.close();
  });
}
