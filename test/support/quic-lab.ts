import { QuicHub } from "../../src/conduit/quic/hub.ts";
import { QuicProfile } from "../../src/conduit/quic/profile.ts";
import { QuicTarget } from "../../src/conduit/quic/target.ts";
import type {
  ConnectionOwner,
  EndpointOwner,
  StreamOwner,
  TransportAccount,
} from "../../src/conduit/quic/transport.ts";
/**
 * The conduits of src/conduit/quic over simulated transports: a hub on this side, a bare transport
 * with peers that do as they are told on the other. Time moves when nothing else can.
 */
import { encodeSocketAddress } from "../../src/conduit/sockaddr.ts";
import type { DialTarget } from "../../src/conduit/tcp/dial.ts";
import { SERVER_STATE_UP } from "../../src/tables/generated/enums.ts";
import { SERVER_STATE, SERVER_STRIDE } from "../../src/tables/generated/server.ts";
import type { QuicBindSpec, QuicServerSpec, QuicTransportSpec } from "../../src/tables/spec.ts";
import { fullSizes, reserveTables, Tables } from "../../src/tables/tables.ts";
import { join } from "./conduit-suite.ts";
import type { SuitePeer } from "./conduit-suite.ts";
import { SimClock } from "./sim-clock.ts";
import { CALM_NETWORK, SimNetwork } from "./sim-quic.ts";
import type { QuicHabits } from "./sim-quic.ts";
import { Choices } from "./sim-random.ts";
import { SimTransport } from "./sim-transport.ts";

/** Row of the only server, and of the proxy that everything counts for. */
export const SERVER_ROW = SERVER_STRIDE;
export const PROXY_ROW = 64;
/** It as a frontend without limits of time. */
export const FRONTEND = { row: PROXY_ROW, timeoutClient: -1 };
const HUB = 1;
/** Turns after which a condition is taken to fail. */
const TURNS_MAX = 2_000_000;

/** Settings of either side; small, so that bounds are met. */
export const TRANSPORT: QuicTransportSpec = {
  idleTimeoutMs: 30_000,
  handshakeTimeoutMs: 5000,
  keepAliveMs: 0,
  streamsBidiMax: 100,
  streamsUniMax: 10,
  streamWindow: 64 * 1024,
  connectionWindow: 256 * 1024,
  sendBuffer: 64 * 1024,
  congestion: "cubic",
  cwndMax: 0,
  datagramMax: 1200,
  udpPayloadMax: 0,
  early: false,
  gso: true,
};

/** QUIC of a bind line. */
export function bindSpec(change: Partial<QuicBindSpec> = {}): QuicBindSpec {
  return {
    map: "stream",
    certificates: [],
    strictSni: false,
    alpn: ["test"],
    verify: "none",
    forceRetry: false,
    retryFrom: 0,
    halfOpenMax: 1000,
    rejectLowPorts: false,
    transport: TRANSPORT,
    ...change,
  };
}

/** QUIC of a server line. */
export function serverSpec(change: Partial<QuicServerSpec> = {}): QuicServerSpec {
  return {
    alpn: ["test"],
    verify: "none",
    poolMaxConn: -1,
    poolPurgeDelayMs: 5000,
    maxReuse: -1,
    transport: TRANSPORT,
    ...change,
  };
}

/** What a transport told its account. */
export class LabAccount implements TransportAccount {
  /** Connections that are not released. */
  live = 0;
  /** Causes of those that ended. */
  readonly ends: number[] = [];

  opened(): void {
    this.live++;
  }

  count(): void {
    // The suite of transports holds the numbers.
  }

  halfOpen(): void {
    // As above.
  }

  closed(_proxyRow: number, _isFront: boolean, cause: number): void {
    this.ends.push(cause);
  }

  released(): void {
    this.live--;
  }
}

/** A stream as the far side has it. */
export class FarStream implements StreamOwner, SuitePeer {
  readonly lab: QuicLab;
  readonly connection: number;
  readonly stream: number;
  readonly log: string[] = [];
  private readonly pieces: Uint8Array[] = [];
  private bytes = 0;
  private unsent: Uint8Array = new Uint8Array(0);
  private isReading = true;
  private isFinishing = false;
  private end = false;

  constructor(lab: QuicLab, connection: number, stream: number) {
    this.lab = lab;
    this.connection = connection;
    this.stream = stream;
    lab.far.ownStream(stream, this);
  }

  onStreamData(): void {
    if (this.isReading) this.read();
  }

  private read(): void {
    const { far } = this.lab;
    for (;;) {
      const length = far.peek(this.stream);
      if (length <= 0) {
        if (length === 0 && far.isEnd && !this.end) {
          this.end = true;
          this.log.push("end");
        }
        return;
      }
      this.pieces.push(far.peekBytes.slice(far.peekOffset, far.peekOffset + length));
      this.bytes += length;
      far.consume(this.stream, length);
    }
  }

  onStreamWritable(): void {
    this.flush();
  }

  onStreamReset(_stream: number, code: bigint): void {
    this.log.push(`reset ${code}`);
  }

  onStreamStop(_stream: number, code: bigint): void {
    this.log.push(`stop ${code}`);
  }

  send(bytes: Uint8Array): void {
    this.unsent = this.unsent.length === 0 ? bytes : join([this.unsent, bytes]);
    this.flush();
  }

  private flush(): void {
    const { unsent } = this;
    if (unsent.length > 0) {
      const taken = this.lab.far.write(this.stream, unsent, 0, unsent.length);
      if (taken > 0) this.unsent = unsent.slice(taken);
    }
    if (this.unsent.length === 0 && this.isFinishing) this.lab.far.finish(this.stream);
  }

  finish(): void {
    this.isFinishing = true;
    this.flush();
  }

  /** The whole connection dies: what a TCP reset is. */
  reset(): void {
    this.lab.far.closeConnection(this.connection, true, 77n, "");
  }

  received(): Uint8Array {
    return join(this.pieces);
  }

  receivedBytes(): number {
    return this.bytes;
  }

  hasEnd(): boolean {
    return this.end;
  }

  hasReset(): boolean {
    return this.log.some((line) => line.startsWith("reset"));
  }

  setReading(isReading: boolean): void {
    this.isReading = isReading;
    if (isReading) this.read();
  }
}

/** A connection as the far side has it. */
export class FarConnection implements ConnectionOwner {
  readonly lab: QuicLab;
  handle = 0;
  isConnected = false;
  readonly streams: FarStream[] = [];
  closed: { cause: number; code: bigint } | null = null;

  constructor(lab: QuicLab) {
    this.lab = lab;
  }

  onConnected(): void {
    this.isConnected = true;
  }

  onStream(connection: number, stream: number): void {
    this.streams.push(new FarStream(this.lab, connection, stream));
  }

  onCredit(): void {}
  onDatagram(): void {}

  onClosed(_connection: number, cause: number, code: bigint): void {
    this.closed = { cause, code };
  }

  openStream(isUni = false): FarStream {
    return new FarStream(this.lab, this.handle, this.lab.far.openStream(this.handle, isUni));
  }
}

/** Draws that are the largest possible: frames as large as they may be. */
class Largest extends Choices {
  override between(_low: number, high: number): number {
    return high;
  }
}

export class QuicLab {
  readonly clock = new SimClock();
  readonly network: SimNetwork;
  readonly near: SimTransport;
  readonly far: SimTransport;
  readonly nearAccount = new LabAccount();
  readonly farAccount = new LabAccount();
  readonly hub: QuicHub;
  readonly tables: Tables;
  /** Clients of the far listeners, in order of arrival. */
  readonly arrivals: FarConnection[] = [];
  private turns: (() => void)[] = [];

  constructor(seed = 1, habits: QuicHabits = CALM_NETWORK) {
    const isCalm = habits === CALM_NETWORK;
    const choices = isCalm ? new Largest(seed, false, null) : new Choices(seed, false, null);
    this.network = new SimNetwork(choices, habits, () => this.clock.nowMs());
    this.near = new SimTransport(this.network, this.nearAccount, "192.0.2.1");
    this.far = new SimTransport(this.network, this.farAccount, "192.0.2.2");
    this.tables = new Tables(reserveTables({ ...fullSizes(1), servers: 8, proxies: 8 }));
    this.tables.servers.words[SERVER_ROW + SERVER_STATE] = SERVER_STATE_UP;
    this.hub = new QuicHub({
      transport: this.near,
      tables: this.tables,
      worker: 1,
      clock: this.clock,
      startTimer: (delayMs, run) => this.clock.start(HUB, delayMs, run),
      nextTurn: (run) => this.turns.push(run),
      fault: (_where, error) => {
        throw error;
      },
    });
  }

  /** One thing happens. @returns false when nothing can without time */
  step(): boolean {
    const run = this.turns.shift();
    if (run !== undefined) {
      run();
      return true;
    }
    return this.near.turn() || this.far.turn() || this.clock.fire(HUB) !== undefined;
  }

  /** Lets everything happen that takes no time. */
  settle(): void {
    while (this.step());
  }

  /** Lets everything happen, moving time when needed, until the condition holds. */
  until(condition: () => boolean): void {
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      if (condition()) return;
      if (this.step()) continue;
      const next = Math.min(this.near.nextAtMs(), this.far.nextAtMs(), this.clock.nextAtMs());
      if (next === Infinity) break;
      this.clock.advance(Math.max(0.001, next - this.clock.nowMs()));
    }
    if (!condition()) throw new Error("the condition never held");
  }

  /** Lets `ms` pass, and all that is due meanwhile happen. */
  pass(ms: number): void {
    const end = this.clock.nowMs() + ms;
    for (;;) {
      this.settle();
      const next = Math.min(this.near.nextAtMs(), this.far.nextAtMs(), this.clock.nextAtMs(), end);
      if (next >= end) break;
      this.clock.advance(Math.max(0.001, next - this.clock.nowMs()));
    }
    this.clock.advance(Math.max(0, end - this.clock.nowMs()));
    this.settle();
  }

  /** A server of the far side on `port`: its clients come to `arrivals`. */
  serve(port: number, change: Partial<QuicTransportSpec> = {}): number {
    const spec = bindSpec({ transport: { ...TRANSPORT, ...change } });
    const owner: EndpointOwner = {
      onAccepted: (connection) => {
        const arrival = new FarConnection(this);
        arrival.handle = connection;
        this.arrivals.push(arrival);
        return arrival;
      },
    };
    return this.far.listen(QuicProfile.ofBind(spec), port, 0, owner);
  }

  /** A client of the far side that connects to `port`. */
  connect(port: number): FarConnection {
    const client = new FarConnection(this);
    client.handle = this.far.connect(
      {
        profile: QuicProfile.ofServer(serverSpec()),
        remote: encodeSocketAddress({ family: "ipv4", host: "192.0.2.1", port }),
        local: null,
        interfaceName: null,
        sni: "example.test",
        verifyName: "",
        alpn: [],
        ticket: null,
        proxyRow: 0,
      },
      client,
    );
    return client;
  }

  /** Where to dial to reach a far port. */
  target(port: number, change: Partial<QuicServerSpec> = {}): DialTarget {
    const address = { family: "ipv4", host: "192.0.2.2", port } as const;
    return {
      address,
      socketAddress: encodeSocketAddress(address),
      options: null,
      source: null,
      interfaceName: null,
      quic: new QuicTarget(serverSpec(change), PROXY_ROW, SERVER_ROW, address.host),
    };
  }
}
