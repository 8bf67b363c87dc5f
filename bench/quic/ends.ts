/**
 * Both ends of the QUIC benchmarks, as conduits on a loop of their own: QUIC over sluice's own
 * transport, or TCP. The same program is client or server of whatever is between them, so that the
 * transport alone and sluice differ in nothing else.
 */
import { readFileSync } from "node:fs";

import { systemClock } from "../../src/base/clock.ts";
import { BACK, type Conduit, type ConduitOwner, FRONT } from "../../src/conduit/conduit.ts";
import { ListeningDescriptor } from "../../src/conduit/loop/loop-acceptor.ts";
import { adoptAccepted, dialOnLoop } from "../../src/conduit/loop/loop-conduit.ts";
import { GO_ON, NativeLoop, SLEEP } from "../../src/conduit/loop/native-loop.ts";
import { nativeModule, OPT_BACKLOG, OPT_COUNT } from "../../src/conduit/native.ts";
import { ENGINE_MEMORY_BYTES, EngineMemory } from "../../src/conduit/quic/engine-memory.ts";
import { quicModule, SECRET_BYTES } from "../../src/conduit/quic/native-quic.ts";
import { NativeTransport } from "../../src/conduit/quic/native-transport.ts";
import { QuicProfile } from "../../src/conduit/quic/profile.ts";
import { QuicConduit } from "../../src/conduit/quic/quic-conduit.ts";
import type { ConnectionOwner } from "../../src/conduit/quic/transport.ts";
import { encodeSocketAddress } from "../../src/conduit/sockaddr.ts";
import type { QuicTransportSpec } from "../../src/tables/spec.ts";

/** Protocol of the benchmarks. */
export const ALPN = "bench";

/** What sluice has by default, so that windows do not make the difference. */
const TRANSPORT: QuicTransportSpec = {
  idleTimeoutMs: 30_000,
  handshakeTimeoutMs: 10_000,
  keepAliveMs: 10_000,
  streamsBidiMax: 100,
  streamsUniMax: 0,
  streamWindow: 1_474_560,
  connectionWindow: 1_638_400,
  sendBuffer: 524_288,
  congestion: "cubic",
  cwndMax: 491_520,
  datagramMax: 0,
  udpPayloadMax: 0,
  early: false,
  gso: true,
};

const UDP_BUFFER_BYTES = 4_194_304;
const ARENA_CHUNKS = 65_536;

/** A loop with both kinds of ends. */
export class Ends {
  readonly loop: NativeLoop;
  readonly transport: NativeTransport;
  #later: QuicConduit[] = [];

  constructor() {
    const native = nativeModule();
    const quic = quicModule();
    if (native === null || quic === null) throw new Error("built without the native parts");
    const fault = (where: string, text: string): void => fail(`${where}: ${text}`);
    const failed = (where: string, error: unknown): void => fault(where, String(error));
    const hooks = { prepareSleep: () => SLEEP, woken() {}, fault: failed };
    hooks.prepareSleep = () => (this.#later.length > 0 ? GO_ON : SLEEP);
    const loop = new NativeLoop(native, -1, systemClock, hooks, adoptAccepted);
    this.loop = loop;
    this.transport = new NativeTransport({
      quic,
      native,
      hooks: {
        afterTurn: (run) => loop.nextTurn(run),
        watch: (fd, handler, isOwned) => loop.watch(fd, handler, isOwned),
        unwatch: (fd) => loop.unwatch(fd),
        fault,
        notice: (text) => fail(text),
      },
      account: { opened() {}, count() {}, halfOpen() {}, closed() {}, released() {} },
      memory: new EngineMemory(new SharedArrayBuffer(ENGINE_MEMORY_BYTES)),
      worker: 1,
      generation: 1,
      secret: crypto.getRandomValues(new Uint8Array(SECRET_BYTES)),
      chunksMax: ARENA_CHUNKS,
    });
    loop.start();
  }

  /** Gives a conduit that has more to read another turn. */
  readLater(conduit: QuicConduit): void {
    if (conduit.isWaitingTurn) return;
    conduit.isWaitingTurn = true;
    if (this.#later.length === 0) this.loop.nextTurn(() => this.#readAgain());
    this.#later.push(conduit);
  }

  #readAgain(): void {
    for (const conduit of this.#later.splice(0)) {
      conduit.isWaitingTurn = false;
      conduit.pump();
    }
  }

  /** Accepts TCP connections. @returns the port */
  listenTcp(port: number, onConduit: (conduit: Conduit) => void): number {
    const { native } = this.loop;
    const address = loopback(port);
    const options = new Int32Array(OPT_COUNT).fill(-1);
    options[OPT_BACKLOG] = 4_096;
    const fd = native.listen(address, address.length, options, null);
    if (fd < 0) throw new Error(`listen: ${fd}`);
    new ListeningDescriptor(this.loop, fd, onConduit, () => fail("no descriptors")).start();
    return port;
  }

  /** Begins a TCP connection. */
  dialTcp(port: number, owner: ConduitOwner): Conduit {
    const address = { family: "ipv4" as const, host: "127.0.0.1", port };
    const target = { address, socketAddress: encodeSocketAddress(address) };
    const none = { options: null, source: null, interfaceName: null, quic: null };
    const conduit = dialOnLoop(this.loop, { ...target, ...none }, owner);
    if (typeof conduit === "number") throw new Error(`connect: ${conduit}`);
    return conduit;
  }

  /** Accepts QUIC connections: each bidirectional stream of one is a conduit. */
  listenQuic(
    port: number,
    certificate: { chain: string; key: string },
    onConduit: (conduit: Conduit) => void,
  ): void {
    const address = loopback(port);
    const quic = quicModule()!;
    const fd = quic.udpSocket(address, address.length, 0, UDP_BUFFER_BYTES, UDP_BUFFER_BYTES, null);
    if (fd < 0) throw new Error(`UDP socket: ${fd}`);
    const [chain, key] = [
      readFileSync(certificate.chain, "utf8"),
      readFileSync(certificate.key, "utf8"),
    ];
    const profile = QuicProfile.ofBind({
      map: "stream",
      certificates: [{ file: certificate.chain, chain, key }],
      strictSni: false,
      alpn: [ALPN],
      verify: "none",
      forceRetry: false,
      retryFrom: 0,
      halfOpenMax: 10_000,
      rejectLowPorts: false,
      transport: TRANSPORT,
    });
    const { transport } = this;
    const owner: ConnectionOwner = {
      onConnected() {},
      onStream: (connection, stream) => {
        const conduit = new QuicConduit(transport, this, null, FRONT);
        conduit.open(connection, stream);
        conduitsOf(connection).add(conduit);
        conduit.home = { conduitLeft: (one) => void conduitsOf(connection).delete(one) };
        onConduit(conduit);
      },
      onCredit() {},
      onDatagram() {},
      onClosed(connection, cause, code) {
        for (const conduit of conduitsOf(connection)) conduit.connectionClosed(cause, code);
        conduits.delete(connection);
      },
    };
    const listening = transport.listen(profile, fd, 0, { onAccepted: () => owner });
    if (listening < 0) throw new Error(`listen: ${listening} ${transport.problem}`);
  }

  /** Begins a QUIC connection. */
  connectQuic(port: number, name: string, authority: string): QuicClient {
    return new QuicClient(this, port, name, authority);
  }
}

const conduits = new Map<number, Set<QuicConduit>>();

function conduitsOf(connection: number): Set<QuicConduit> {
  const known = conduits.get(connection) ?? new Set();
  conduits.set(connection, known);
  return known;
}

const profiles = new Map<string, QuicProfile>();

function clientProfile(authority: string): QuicProfile {
  const known = profiles.get(authority);
  if (known !== undefined) return known;
  const profile = QuicProfile.ofServer({
    alpn: [ALPN],
    verify: "required",
    authorities: readFileSync(authority, "utf8"),
    poolMaxConn: -1,
    poolPurgeDelayMs: 5_000,
    maxReuse: -1,
    transport: TRANSPORT,
  });
  profiles.set(authority, profile);
  return profile;
}

/** A client's connection. */
export class QuicClient implements ConnectionOwner {
  /** Called when the handshake is done, and when it is over. */
  onReady: () => void = () => {};
  onGone: (why: string) => void = (why) => fail(`the connection is over: ${why}`);
  onRoom: () => void = () => {};
  readonly #ends: Ends;
  readonly #handle: number;

  constructor(ends: Ends, port: number, name: string, authority: string) {
    this.#ends = ends;
    const remote = encodeSocketAddress({ family: "ipv4", host: "127.0.0.1", port });
    const dial = { remote, local: null, interfaceName: null, sni: name, verifyName: name };
    const profile = clientProfile(authority);
    const more = { profile, alpn: [], ticket: null, proxyRow: 0 };
    this.#handle = ends.transport.connect({ ...dial, ...more }, this);
    if (this.#handle < 0) throw new Error(`connect: ${this.#handle} ${ends.transport.problem}`);
  }

  /** Opens a stream; null = no credit now: `onRoom` tells. */
  open(owner: ConduitOwner): Conduit | null {
    const { transport } = this.#ends;
    const stream = transport.openStream(this.#handle, false);
    if (stream < 0) return null;
    const conduit = new QuicConduit(transport, this.#ends, owner, BACK);
    conduit.open(this.#handle, stream);
    return conduit;
  }

  close(): void {
    this.#ends.transport.closeConnection(this.#handle, true, 0n, "");
  }

  onConnected(): void {
    this.onReady();
  }

  onStream(): void {}
  onDatagram(): void {}

  onCredit(): void {
    this.onRoom();
  }

  onClosed(_connection: number, cause: number, code: bigint): void {
    this.onGone(`cause ${cause}, code ${code}`);
  }
}

function loopback(port: number): Uint8Array {
  return encodeSocketAddress({ family: "ipv4", host: "127.0.0.1", port }).bytes;
}

/** Ends the process with a reason: a benchmark that stumbles has no result. */
export function fail(reason: string): never {
  console.error(reason);
  process.exit(1);
}
