/**
 * Sessions: a client's QUIC connection mapped onto one of its own to a server. Random peers on both
 * sides of a proxy of real SessionConduits over simulated transports.
 */
import { describe, expect, test } from "bun:test";

import {
  BACK,
  CLOSE_CLEAN,
  CLOSE_HANDSHAKE,
  CLOSE_REFUSED,
  CLOSE_RESET,
  CLOSE_TIMEOUT,
  FRONT,
} from "../../../../src/conduit/conduit.ts";
import type { Conduit, ConduitOwner } from "../../../../src/conduit/conduit.ts";
import { QuicHub } from "../../../../src/conduit/quic/hub.ts";
import { QuicTarget } from "../../../../src/conduit/quic/target.ts";
import { CAUSE_APPLICATION } from "../../../../src/conduit/quic/transport.ts";
import { encodeSocketAddress } from "../../../../src/conduit/sockaddr.ts";
import type { DialTarget } from "../../../../src/conduit/tcp/dial.ts";
import { SERVER_QUIC_OPEN, SERVER_STRIDE } from "../../../../src/tables/generated/server.ts";
import type { QuicTransportSpec } from "../../../../src/tables/spec.ts";
import { fullSizes, reserveTables, Tables } from "../../../../src/tables/tables.ts";
import { contentOf } from "../../../sim/content.ts";
import { keyOf, SessionPeer } from "../../../support/session-peer.ts";
import type { SessionHabits } from "../../../support/session-peer.ts";
import { SimClock } from "../../../support/sim-clock.ts";
import {
  bindProfile,
  bindSpec,
  PLAIN_TRANSPORT,
  serverProfile,
  serverSpec,
} from "../../../support/sim-quic-lab.ts";
import type { BindWishes, ServerWishes } from "../../../support/sim-quic-lab.ts";
import { CALM_NETWORK, SimNetwork } from "../../../support/sim-quic.ts";
import type { QuicHabits } from "../../../support/sim-quic.ts";
import { Choices } from "../../../support/sim-random.ts";
import { SimTransport } from "../../../support/sim-transport.ts";
import { CountingAccount } from "../../../support/transport-suite.ts";

const FRONT_PORT = 443;
const BACK_PORT = 4433;
const SERVER_ROW = SERVER_STRIDE;
const PROXY_ROW = 96;
const FRONTEND = { row: PROXY_ROW, timeoutClient: -1 };
const PROXY = 1;
const TURNS_MAX = 400_000;

/** Does for two sessions what a stream of the engine does. */
class Joiner implements ConduitOwner {
  readonly lab: SessionLab;
  front: Conduit | null;
  back: Conduit | null = null;
  readonly moved = [0, 0];
  readonly closes: [number, number][] = [];
  /** Ends when both sides have ended in order. */
  private ended = 0;
  private isJoined = false;

  constructor(lab: SessionLab, front: Conduit) {
    this.lab = lab;
    this.front = front;
    front.setOwner(this, FRONT);
  }

  dial(): void {
    const back = this.lab.hub.dial(this.lab.target, this, {
      sni: this.front!.facts!()!.sni,
      session: this.front,
    });
    if (typeof back === "number") this.onClose(BACK, back);
    else this.back = back;
  }

  onOpen(): void {
    this.isJoined = true;
    this.front!.joinSession!(this.back!);
  }

  onMoved(side: number, bytes: number): void {
    this.moved[side] = this.moved[side]! + bytes;
  }

  onClose(side: number, code: number): void {
    this.closes.push([side, code]);
    const conduit = side === FRONT ? this.front : this.back;
    if (side === FRONT) this.front = null;
    else this.back = null;
    if (code === CLOSE_CLEAN && this.isJoined && ++this.ended < 2) return;
    for (const other of [this.front, this.back]) other?.abort(conduit?.abortCode ?? -1n);
    this.front = null;
    this.back = null;
  }

  onData(): number {
    throw new Error("a session delivers no bytes");
  }

  onDrain(): void {}
  onEnd(): void {}
  onEndAhead(): void {}
  onReset(): void {}
  onStop(): void {}
}

type LabWishes = {
  habits?: QuicHabits;
  client?: ServerWishes["transport"];
  front?: BindWishes;
  back?: ServerWishes;
  server?: BindWishes;
};

/** Clients, the proxy between, and a server. */
class SessionLab {
  readonly choices: Choices;
  readonly clock = new SimClock();
  readonly network: SimNetwork;
  readonly clientSide: SimTransport;
  readonly proxySide: SimTransport;
  readonly serverSide: SimTransport;
  readonly account = new CountingAccount();
  readonly hub: QuicHub;
  readonly tables = new Tables(reserveTables({ ...fullSizes(1), servers: 4, proxies: 4 }));
  readonly target: DialTarget;
  readonly clients: SessionPeer[] = [];
  readonly servers: SessionPeer[] = [];
  readonly joiners: Joiner[] = [];
  /** Dials as soon as a client is there; otherwise the test does. */
  dialsAtOnce = true;
  peerHabits: SessionHabits = {
    streamsMax: 0,
    payloadBytesMax: 0,
    reset: 0,
    stop: 0,
    datagramsMax: 0,
  };
  private readonly wishes: LabWishes;
  private turns: (() => void)[] = [];

  constructor(seed: number, wishes: LabWishes = {}) {
    this.wishes = wishes;
    this.choices = new Choices(seed, false, null);
    const { choices, clock } = this;
    this.network = new SimNetwork(choices, wishes.habits ?? CALM_NETWORK, () => clock.nowMs());
    this.clientSide = new SimTransport(this.network, new CountingAccount(), "192.0.2.1");
    this.proxySide = new SimTransport(this.network, this.account, "192.0.2.2");
    this.serverSide = new SimTransport(this.network, new CountingAccount(), "192.0.2.3");
    this.hub = new QuicHub({
      transport: this.proxySide,
      tables: this.tables,
      worker: 1,
      clock,
      startTimer: (delayMs, run) => clock.start(PROXY, delayMs, run),
      nextTurn: (run) => this.turns.push(run),
      fault: (_where, error) => {
        throw error;
      },
    });
    const spec = serverSpec(wishes.back);
    this.target = {
      address: { family: "ipv4", host: "192.0.2.3", port: BACK_PORT },
      socketAddress: addressOf("192.0.2.3", BACK_PORT),
      options: null,
      source: null,
      interfaceName: null,
      quic: new QuicTarget(spec, PROXY_ROW, SERVER_ROW, "192.0.2.3"),
    };
    const bind = bindSpec({ ...wishes.front, map: "session" });
    const acceptor = this.hub.listen(bind, FRONT_PORT, FRONTEND, (conduit) => {
      const joiner = new Joiner(this, conduit);
      this.joiners.push(joiner);
      if (this.dialsAtOnce) joiner.dial();
    });
    expect(acceptor.start()).toBe(0);
  }

  /** The server begins to listen. */
  serve(): void {
    this.serverSide.listen(bindProfile(this.wishes.server), BACK_PORT, PROXY_ROW, {
      onAccepted: (connection) => {
        const name = this.serverSide.connectionText(connection, "sni");
        const server = this.peer(name, this.serverSide, true);
        server.handle = connection;
        this.servers.push(server);
        const client = this.clients.find((one) => one.name === name);
        if (client === undefined) throw new Error("a server's session has a client");
        client.partner = server;
        server.partner = client;
        return server;
      },
    });
  }

  private peer(name: string, transport: SimTransport, isServer: boolean): SessionPeer {
    return new SessionPeer(name, transport, this.choices, this.peerHabits, isServer);
  }

  connect(alpn: readonly string[] = []): SessionPeer {
    const client = this.peer(`c${this.clients.length + 1}`, this.clientSide, false);
    this.clients.push(client);
    client.handle = this.clientSide.connect(
      {
        profile: serverProfile({ transport: this.wishes.client ?? {} }),
        remote: addressOf("192.0.2.2", FRONT_PORT),
        local: null,
        interfaceName: null,
        sni: client.name,
        verifyName: "",
        alpn,
        ticket: null,
        proxyRow: PROXY_ROW,
      },
      client,
    );
    return client;
  }

  get peers(): SessionPeer[] {
    return [...this.clients, ...this.servers];
  }

  /** One thing happens. @returns false when nothing can without time */
  step(): boolean {
    const { choices, clientSide, proxySide, serverSide, clock } = this;
    const turn = (): boolean => {
      const run = this.turns.shift();
      run?.();
      return run !== undefined || proxySide.turn();
    };
    const acts = [
      turn,
      turn,
      () => clientSide.turn(),
      () => serverSide.turn(),
      () => clock.fire(PROXY) !== undefined,
      ...this.peers.map((peer) => () => peer.act()),
    ];
    const first = choices.below(acts.length);
    return acts.some((_, at) => acts[(first + at) % acts.length]!());
  }

  /** When something is due; Infinity = never. */
  private nextAtMs(): number {
    const { clientSide, proxySide, serverSide } = this;
    return Math.min(clientSide.nextAtMs(), proxySide.nextAtMs(), serverSide.nextAtMs());
  }

  until(condition: () => boolean): void {
    for (let i = 0; i < TURNS_MAX; i++) {
      if (condition()) return;
      if (this.step()) continue;
      const next = this.nextAtMs();
      if (next === Infinity) break;
      this.clock.advance(Math.max(0.1, next - this.clock.nowMs()));
    }
    if (!condition()) throw new Error("the condition never held");
  }

  /** Lets everything happen that needs no more than a little time. */
  settle(): void {
    const end = this.clock.nowMs() + 100;
    while (this.clock.nowMs() < end) if (!this.step()) this.clock.advance(1);
  }

  /** Nothing is left of any session. */
  requireEmpty(): void {
    this.settle();
    expect(this.proxySide.connectionCount).toBe(0);
    expect(this.proxySide.streamCount).toBe(0);
    expect(this.account.openedCount).toBe(this.account.releasedCount);
    expect(this.tables.servers.words[SERVER_ROW + SERVER_QUIC_OPEN]).toBe(0);
  }
}

function addressOf(host: string, port: number): ReturnType<typeof encodeSocketAddress> {
  return encodeSocketAddress({ family: "ipv4", host, port });
}

/** A network that delays, loses and reorders, drawn. */
function drawNetwork(choices: Choices): QuicHabits {
  return {
    pieceBytesMax: choices.pick([10, 1200, 5000]),
    delayMsMax: choices.pick([0, 3, 10]),
    lost: choices.pick([0, 0.05, 0.3]),
    lostMs: 15,
    datagramLost: choices.pick([0, 0.3]),
    overtake: choices.pick([0, 0.2, 0.9]),
    batchMax: choices.pick([1, 3, 10]),
    flightBytesMax: choices.pick([500, 20_000]),
    shortWrite: choices.pick([0, 0.3]),
    handshakeFailure: 0,
    lateCredit: choices.pick([0, 0.5]),
    lateStart: choices.pick([0, 0.5]),
  };
}

function drawLimits(choices: Choices, idleTimeoutMs: number): QuicTransportSpec {
  return {
    ...PLAIN_TRANSPORT,
    streamsBidiMax: choices.between(1, 4),
    streamsUniMax: choices.between(1, 4),
    streamWindow: choices.pick([100, 3000, 60_000]),
    connectionWindow: choices.pick([200, 8000, 200_000]),
    sendBuffer: choices.pick([50, 2000, 60_000]),
    idleTimeoutMs,
  };
}

function drawLab(seed: number, idleTimeoutMs: number): SessionLab {
  const choices = new Choices(seed * 7919, false, null);
  let crumbs = Infinity;
  const limits = (): Partial<QuicTransportSpec> => {
    const drawn = drawLimits(choices, idleTimeoutMs);
    crumbs = Math.min(crumbs, drawn.connectionWindow / 16, drawn.sendBuffer);
    return drawn;
  };
  const lab = new SessionLab(seed, {
    habits: drawNetwork(choices),
    client: limits(),
    front: { transport: limits() },
    back: { transport: limits() },
    server: { transport: limits() },
  });
  // Bytes that pass one by one cost a turn each: there are fewer of them.
  const { pieceBytesMax, flightBytesMax } = lab.network.habits;
  crumbs = Math.min(crumbs, pieceBytesMax, flightBytesMax, 50);
  lab.peerHabits = {
    streamsMax: choices.pick([1, 5, 12]),
    payloadBytesMax: Math.min(choices.pick([0, 50, 2000, 20_000]), crumbs * 30),
    reset: choices.pick([0, 0, 0.2, 0.6]),
    stop: choices.pick([0, 0, 0.2, 0.6]),
    datagramsMax: choices.pick([0, 6]),
  };
  return lab;
}

function seeds(count: number): number[] {
  const only = process.env["SLUICE_SIM_SEED"];
  return only === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(only)];
}

/** Runs a body for each seed; a failure names its seed. */
function forSeeds(count: number, body: (seed: number) => void): void {
  for (const seed of seeds(count)) {
    try {
      body(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }
}

/** Has everything happened that either peer meant to do, and has it arrived? */
function isDone(client: SessionPeer): boolean {
  const server = client.partner;
  if (server === null || !client.isDone || !server.isDone) return false;
  return [...client.streams.keys(), ...server.streams.keys()].every(
    (id) => client.streams.has(id) && server.streams.has(id),
  );
}

/** Streams, ends and what was seen of them agree, when no connection died. */
function requireAllArrived(client: SessionPeer): void {
  const server = client.partner!;
  expect([...client.streams.keys()].sort()).toEqual([...server.streams.keys()].sort());
  for (const stream of [...client.streams.values(), ...server.streams.values()]) {
    const { out } = stream.twin!;
    if (!stream.hasIn || stream.stopCode !== null) continue;
    if (out!.resetCode === null)
      expect([stream.hasEnd, stream.received]).toEqual([true, out!.sent]);
    else expect(stream.hasEnd || stream.resetSeen === out!.resetCode).toBe(true);
  }
}

describe("random peers", () => {
  test("all streams arrive, with their bytes, ends and codes", () => {
    let streamCount = 0;
    forSeeds(100, (seed) => {
      const lab = drawLab(seed, 0);
      lab.serve();
      lab.connect();
      if (lab.choices.chance(0.5)) lab.connect();
      lab.until(() => lab.clients.every((client) => isDone(client)));
      lab.settle();
      for (const client of lab.clients) {
        requireAllArrived(client);
        streamCount += client.streams.size;
      }
      // Every stream is over at both ends: nothing may be left in between but the connections.
      lab.until(() => lab.proxySide.streamCount === 0);
      lab.joiners.forEach(({ moved, closes }) => {
        expect(closes).toEqual([]);
        expect(moved.every((bytes) => bytes >= 0)).toBe(true);
      });
      for (const client of lab.clients) client.close(0n, "done");
      lab.until(() => lab.servers.every(({ cause }) => cause === CAUSE_APPLICATION));
      for (const { closes } of lab.joiners) {
        expect(closes).toEqual([
          [FRONT, CLOSE_CLEAN],
          [BACK, CLOSE_CLEAN],
        ]);
      }
      lab.requireEmpty();
    });
    expect(streamCount).toBeGreaterThan(100);
  });

  test("a session that dies at any step leaves nothing behind, and no end that was not sent", () => {
    const seen = new Map<number, number>();
    forSeeds(200, (seed) => {
      const lab = drawLab(seed, 2000);
      const { choices } = lab;
      const isEarly = choices.chance(0.2);
      if (!isEarly) lab.serve();
      const client = lab.connect();
      for (let left = choices.pick([3, 10, 40, 150, 400]); left > 0; left--) {
        if (!lab.step()) lab.clock.advance(1);
        client.checkOpened();
      }
      die(lab, client);
      lab.until(() => client.isOver && lab.servers.every(({ isOver }) => isOver));
      lab.until(() => lab.proxySide.connectionCount === 0);
      lab.requireEmpty();
      seen.set(client.cause, (seen.get(client.cause) ?? 0) + 1);
    });
    expect(seen.size).toBeGreaterThan(3);
  });
});

/** One of the connections ends, in one of all ways. */
function die(lab: SessionLab, client: SessionPeer): void {
  const { choices, proxySide, clientSide, serverSide } = lab;
  const server = client.partner;
  const how = choices.pick(["client", "server", "cut", "protocol", "internal", "reset", "owner"]);
  if (how === "client") {
    client.close(choices.pick([0n, 5n, 0x100n]), "bye");
  } else if (how === "server" && server !== null) {
    server.close(9n, "gone");
  } else if (how === "owner") {
    for (const { front, back } of lab.joiners) {
      front?.close();
      back?.abort();
    }
    if (lab.joiners.length === 0) client.close(0n, "");
  } else {
    const kind = how === "server" || how === "client" || how === "owner" ? "cut" : how;
    const transports = [proxySide, clientSide, serverSide];
    const halves = transports.flatMap((transport) =>
      [...transport.connections()].map((connection) => ({ transport, connection })),
    );
    if (halves.length === 0) return;
    const { transport, connection } = choices.pick(halves);
    transport.break(connection.handle, kind as "cut");
  }
}

describe("one session", () => {
  test("what the client does before there is a server waits, within its windows", () => {
    const lab = new SessionLab(1, {
      front: { transport: { streamWindow: 1000, connectionWindow: 2500, streamsBidiMax: 3 } },
    });
    lab.dialsAtOnce = false;
    lab.peerHabits = { ...lab.peerHabits, streamsMax: 10, payloadBytesMax: 5000 };
    lab.serve();
    const client = lab.connect();
    lab.until(() => lab.joiners.length === 1);
    lab.settle();
    lab.settle();
    const now = new Float64Array(100);
    const [connection] = [...lab.proxySide.connections()];
    connection!.numbers(now);
    expect(connection!.streams.size).toBeGreaterThan(0);
    for (const { unreadBytes } of connection!.streams.values()) {
      expect(unreadBytes).toBeLessThanOrEqual(1000);
    }
    expect(connection!.consumedBytes).toBe(0);
    lab.joiners[0]!.dial();
    lab.until(() => isDone(client));
    lab.settle();
    requireAllArrived(client);
  });

  test("the application's code and reason pass both ways", () => {
    for (const isServer of [false, true]) {
      const lab = new SessionLab(2);
      lab.serve();
      const client = lab.connect();
      lab.until(() => lab.servers.length === 1 && lab.joiners.length === 1 && client.isOpen);
      lab.settle();
      const server = client.partner!;
      const [from, to] = isServer ? [server, client] : [client, server];
      from.close(0x1234_5678_9abcn, "enough");
      lab.until(() => to.cause !== 0);
      expect([to.cause, to.code, to.reason]).toEqual([
        CAUSE_APPLICATION,
        0x1234_5678_9abcn,
        "enough",
      ]);
      expect(lab.joiners[0]!.closes).toEqual([[isServer ? BACK : FRONT, CLOSE_RESET]]);
      lab.requireEmpty();
    }
  });

  test("the server is asked for the protocol that the client speaks", () => {
    const lab = new SessionLab(3, {
      front: { alpn: ["h3", "doq"] },
      server: { alpn: ["h3", "doq"] },
    });
    lab.serve();
    lab.connect(["doq"]);
    lab.until(() => lab.servers.length === 1);
    expect(lab.serverSide.connectionText(lab.servers[0]!.handle, "alpn")).toBe("doq");
    lab.joiners[0]!.front!.close();
    lab.joiners[0]!.back!.close();
    lab.requireEmpty();
  });

  test("a death without a code has the protocol's own", () => {
    for (const [alpn, code] of [
      ["h3", 0x102n],
      ["doq", 1n],
    ] as const) {
      const lab = new SessionLab(4, { front: { alpn: [alpn] }, server: { alpn: [alpn] } });
      lab.serve();
      const client = lab.connect([alpn]);
      lab.until(() => lab.servers.length === 1 && client.isOpen);
      lab.settle();
      const back = [...lab.proxySide.connections()].find(({ isServer }) => !isServer)!;
      lab.proxySide.break(back.handle, "reset");
      lab.until(() => client.cause !== 0);
      expect([client.cause, client.code]).toEqual([CAUSE_APPLICATION, code]);
      lab.requireEmpty();
    }
  });

  test("a server that cannot be reached is told as what it is", () => {
    const cases: [number, (lab: SessionLab) => void, LabWishes][] = [
      [CLOSE_REFUSED, () => {}, {}],
      [
        CLOSE_HANDSHAKE,
        (lab) => lab.serve(),
        { server: { alpn: ["other"] }, back: { alpn: ["x"] } },
      ],
      [
        CLOSE_TIMEOUT,
        (lab) => {
          lab.serve();
          lab.serverSide.setAccepting(0, false);
        },
        {},
      ],
    ];
    for (const [code, prepare, wishes] of cases) {
      const lab = new SessionLab(5, wishes);
      prepare(lab);
      lab.connect();
      lab.until(() => (lab.joiners[0]?.closes.length ?? 0) > 0);
      expect(lab.joiners[0]!.closes).toEqual([[BACK, code]]);
      lab.requireEmpty();
    }
  });

  test("a bulk stream leaves room for small ones", () => {
    const big = { streamWindow: 4 << 20, connectionWindow: 8 << 20, sendBuffer: 4 << 20 };
    const lab = new SessionLab(6, {
      habits: { ...CALM_NETWORK, batchMax: 10_000, flightBytesMax: 8 << 20 },
      client: big,
      front: { transport: big },
      back: { transport: big },
      server: { transport: big },
    });
    lab.serve();
    const client = lab.connect();
    lab.until(() => lab.servers.length === 1 && client.isOpen);
    lab.settle();
    const [joiner] = lab.joiners;
    const bulk = client.transport.openStream(client.handle, true);
    const key = keyOf(client.transport.streamId(bulk), false);
    client.transport.write(bulk, contentOf(key, 0, 3 << 20), 0, 3 << 20);
    let most = 0;
    let before = 0;
    const { moved } = joiner!;
    lab.until(() => {
      most = Math.max(most, moved[FRONT]! - before);
      before = moved[FRONT]!;
      return moved[FRONT] === 3 << 20;
    });
    // A share of a turn, and the frame that was begun.
    expect(most).toBeLessThanOrEqual(64 * 1024 + CALM_NETWORK.pieceBytesMax);
  });
});
