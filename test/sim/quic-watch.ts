/**
 * Invariants of QUIC: who holds a proxy and a server is counted, after every step; in the end all
 * is back at zero, and the counters say what the connections have counted, whatever died.
 */
import { CONNECTION_OPEN } from "../../src/conduit/quic/server-connection.ts";
import { QUIC_NUMBERS } from "../../src/conduit/quic/transport.ts";
import {
  PROXY_QUIC_BACK,
  PROXY_QUIC_FRONT,
  PROXY_STRIDE,
} from "../../src/tables/generated/proxy.ts";
import {
  QUIC_COUNT_OPENED,
  QUIC_COUNT_RELEASED,
  QUIC_COUNT_STRIDE,
} from "../../src/tables/generated/quic-count.ts";
import {
  SERVER_QUIC_IDLE,
  SERVER_QUIC_OPEN,
  SERVER_STRIDE,
} from "../../src/tables/generated/server.ts";
import {
  SHARE_QUIC_IDLE,
  SHARE_QUIC_OPEN,
  SHARE_STRIDE,
} from "../../src/tables/generated/share.ts";
import type { SimConnection } from "../support/sim-quic.ts";
import type { CountingAccount } from "../support/transport-suite.ts";
import type { WorkerQuic } from "./quic-near.ts";
import type { QuicWorld } from "./quic-world.ts";
import { require } from "./violation.ts";

/** Counted by endpoints and not by connections. */
const OF_ENDPOINTS: readonly (typeof QUIC_NUMBERS)[number][] = ["initialsDropped"];

/**
 * What both ends of all connections count, as the proxy and as its peers name it. A stop may cross
 * the end that makes it needless, and be under way when the connection is closed.
 */
const BOTH_ENDS = [
  ["streamsBidiRemote", "streamsBidiLocal"],
  ["streamsBidiLocal", "streamsBidiRemote"],
  ["streamResetsReceived", "streamResetsSent"],
  ["streamResetsSent", "streamResetsReceived"],
] as const;

const HANDSHAKES = ["handshakesDone", "handshakesDone"] as const;

type Side = { row: number; isFront: boolean };

/** After a step. */
export function checkQuic(quic: QuicWorld): void {
  const { tables, shop, servers } = quic.world;
  const held = quic.nearConnections.filter((near) => quic.holdsProxy(near));
  for (const { row, spec } of shop.model.proxies) {
    for (const [isFront, cell] of [
      [true, PROXY_QUIC_FRONT],
      [false, PROXY_QUIC_BACK],
    ] as const) {
      const count = held.filter((near) => isOf(near, { row, isFront })).length;
      const told = tables.proxies.words[row + cell]!;
      require(count === told, "a proxy is held by its QUIC connections", () =>
        `${spec.name}: ${count} ${isFront ? "of clients" : "to servers"}, ${told} counted`);
    }
  }
  for (const { isRunning, quic: own } of quic.world.workers) if (isRunning) checkPools(own!);
  for (const { object, isGone, port } of servers) {
    if (isGone || object.spec.quic === undefined) continue;
    const { row } = object;
    const open = tables.servers.words[row + SERVER_QUIC_OPEN]!;
    const idle = tables.servers.words[row + SERVER_QUIC_IDLE]!;
    let [openShares, idleShares] = [0, 0];
    for (const { shares } of tables.perWorker) {
      const share = (row / SERVER_STRIDE) * SHARE_STRIDE;
      openShares += shares.words[share + SHARE_QUIC_OPEN]!;
      idleShares += shares.words[share + SHARE_QUIC_IDLE]!;
    }
    require(open === openShares && idle === idleShares, "a server's connections are shares");
    require(idle >= 0 && idle <= open, "idle connections are connections", () =>
      `${object.spec.name}: ${idle} of ${open}`);
    const alive = held.filter((near) => !near.isServer && near.remote.port === port).length;
    require(open <= alive, "a server's connections exist", () =>
      `${object.spec.name}: ${open} counted, ${alive} there`);
  }
}

/** What a pool keeps to itself. */
type PoolsInside = {
  pools: Iterable<{
    connections: readonly {
      handle: number;
      state: number;
      isIdle: boolean;
      streamCount: number;
      waitingCount: number;
    }[];
  }>;
};

/** Connections of one worker: in use, wanted, or idle; and nobody waits where there is room. */
function checkPools({ hub, transport }: WorkerQuic): void {
  const { pools } = hub as unknown as PoolsInside;
  for (const { connections } of pools) {
    for (const { handle, state, isIdle, streamCount, waitingCount } of connections) {
      if (state !== CONNECTION_OPEN) continue;
      const isUsed = streamCount + waitingCount > 0;
      require(isUsed !== isIdle, "a connection is in use, or idle", () =>
        `${streamCount} streams, ${waitingCount} wait, ${isIdle ? "" : "not "}idle`);
      const inside = transport.connectionOf(handle);
      // Credit that has come is told in the transport's next turn.
      if (waitingCount === 0 || transport.hasNews || inside?.state !== "established") continue;
      const hasRoom = inside.mayOpen[0] > inside.hasOpened[0];
      require(!hasRoom, "nobody waits for a stream where there is room for one");
    }
  }
}

/** Nothing is under way any more, and connections still live. */
export function checkQuicStill({ nearConnections }: QuicWorld): void {
  for (const near of nearConnections) {
    if (near.state !== "established") continue;
    for (const { id, isOutOver, isInOver, isReleased } of near.streams.values()) {
      const isLeft = isOutOver && isInOver && !isReleased;
      require(!isLeft, "a stream that is over is let go of", () => `stream ${id} of ${near}`);
    }
  }
}

/** At the end, when everybody has left and all is released. */
export function checkQuicEnd(quic: QuicWorld): void {
  const { tables, shop, servers, workers } = quic.world;
  for (const near of quic.nearConnections) {
    require(!quic.holdsProxy(near), "every connection is released", () => `${near}`);
  }
  for (const worker of workers) {
    if (!worker.isRunning) continue;
    const { transport } = worker.quic!;
    require(transport.streamCount === 0, "no QUIC stream is left", () => `w${worker.number}`);
    require(transport.connectionCount === 0, "no QUIC connection is left");
  }
  for (const { row } of shop.model.proxies) {
    const { words } = tables.proxies;
    const count = words[row + PROXY_QUIC_FRONT]! + words[row + PROXY_QUIC_BACK]!;
    require(count === 0, "nobody holds a proxy in the end");
    checkCounters(quic, { row, isFront: true });
    checkCounters(quic, { row, isFront: false });
  }
  for (const { object, isGone } of servers) {
    if (isGone) continue;
    const { words } = tables.servers;
    const count = words[object.row + SERVER_QUIC_OPEN]! + words[object.row + SERVER_QUIC_IDLE]!;
    require(count === 0, "no server has a QUIC connection in the end");
  }
  // A listener that closes takes no streams that are still under way.
  if (!quic.hasDeaths && !quic.world.isStopping) checkBothEnds(quic);
}

function isOf(near: SimConnection, { row, isFront }: Side): boolean {
  return near.proxyRow === row && near.isServer === isFront;
}

/** Sums of all workers, those that died too, against what the connections have counted. */
function checkCounters(quic: QuicWorld, side: Side): void {
  const own = quic.nearConnections.filter((near) => isOf(near, side));
  for (const name of QUIC_NUMBERS) {
    if (OF_ENDPOINTS.includes(name)) continue;
    const counted = own.reduce((sum, near) => sum + near.countOf(name), 0);
    const told = sumOf(quic, side, QUIC_NUMBERS.indexOf(name));
    require(counted === told, "what a connection counts is counted once for its proxy", () =>
      `${name}: ${counted} by connections, ${told} in the tables`);
  }
  for (const field of [QUIC_COUNT_OPENED, QUIC_COUNT_RELEASED]) {
    const told = sumOf(quic, side, field >> 1);
    require(told === own.length, "a connection is opened once, and released once", () =>
      `${own.length} connections, ${told} told`);
  }
}

function sumOf(quic: QuicWorld, { row, isFront }: Side, index: number): number {
  let sum = 0;
  for (const { quicFront, quicBack } of quic.world.tables.perWorker) {
    const { floats } = isFront ? quicFront : quicBack;
    sum += floats[(((row / PROXY_STRIDE) * QUIC_COUNT_STRIDE) >> 1) + index]!;
  }
  return sum;
}

/** Where nothing died, the peers have counted the same. */
function checkBothEnds(quic: QuicWorld): void {
  const peers: [boolean, CountingAccount][] = [
    [true, quic.clientAccount],
    [false, quic.serverAccount],
  ];
  for (const [isServer, account] of peers) {
    const own = quic.nearConnections.filter((near) => near.isServer === isServer);
    // A server may be left before it has heard that the handshake is done.
    const names = isServer ? [...BOTH_ENDS, HANDSHAKES] : BOTH_ENDS;
    for (const [near, far] of names) {
      const counted = own.reduce((sum, connection) => sum + connection.countOf(near), 0);
      require(counted === account.sum(far), "both ends of all connections count the same", () =>
        `${near}: ${counted}, ${far} of the peers: ${account.sum(far)}`);
    }
  }
}
