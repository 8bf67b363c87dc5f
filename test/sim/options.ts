/**
 * What one seed simulates. Swarm testing: each seed switches some kinds of events off and weighs
 * the rest very unevenly, and draws its limits and timeouts from small values, so that the runs
 * reach corners that uniform noise never does.
 */
import type { BalanceSpec, OutlierSpec, QuicTransportSpec } from "../../src/tables/spec.ts";
import { PLAIN_TRANSPORT } from "../support/sim-quic-lab.ts";
import type { QuicHabits } from "../support/sim-quic.ts";
import type { Choices } from "../support/sim-random.ts";
import type { SocketHabits } from "../support/sim-socket.ts";

/** Everything that a step can do. */
export const ACTIONS = [
  "deliver",
  "connect",
  "clientSend",
  "clientRead",
  "clientFinish",
  "clientClose",
  "clientReset",
  "dialDone",
  "serverSend",
  "serverRead",
  "serverFinish",
  "serverClose",
  "serverReset",
  "serverMood",
  "quicTurn",
  "quicKill",
  "clientBreak",
  "serverBreak",
  "tick",
  "leap",
  "serverState",
  "serverWeight",
  "serverLimit",
  "serverAdd",
  "serverRemove",
  "backendAdd",
  "backendRemove",
  "publish",
  "shutdown",
  "ask",
  "shutOne",
  "pauseListener",
  "resumeListener",
  "stall",
  "workerDies",
  "bury",
  "respawn",
  "stop",
] as const;

export type Action = (typeof ACTIONS)[number];

/** How an attempt to connect to a server goes. */
export const MOODS = ["accept", "refuse", "refuseLate", "silence", "reset", "closeAtOnce"] as const;
export type Mood = (typeof MOODS)[number];

export type ServerOptions = {
  maxconn: number;
  minconn: number;
  maxqueue: number;
  weight: number;
  backup: boolean;
  disabled: boolean;
  sendProxy: 0 | 1 | 2;
  /** It speaks QUIC. */
  isQuic: boolean;
};

export type TimeoutOptions = {
  client: number;
  clientFin: number;
  connect: number;
  server: number;
  serverFin: number;
  queue: number;
  tunnel: number;
};

export type ProxyOptions = {
  /** Its clients come over QUIC. */
  isQuic: boolean;
  maxconn: number;
  rateLimit: number;
  /** The last of the frontends may have no backend at all. */
  hasBackend: boolean;
  acceptProxy: boolean;
  listenerMaxconn: number;
  algorithm: BalanceSpec["algorithm"];
  isConsistent: boolean;
  balanceFactor: number;
  fullconn: number;
  retries: number;
  redispatch: number;
  forcesServer: boolean;
  /** The first frontend sends its clients to the backend that control adds, while there is one. */
  usesAdded: boolean;
  abortonclose: boolean;
  nolinger: boolean;
  allbackups: boolean;
  logasap: boolean;
  timeouts: TimeoutOptions;
  servers: ServerOptions[];
  /** `outlier-ejection`; undefined = off. */
  outlier?: OutlierSpec;
};

/** QUIC of a run. */
export type QuicOptions = {
  network: QuicHabits;
  /** Settings of the proxy towards clients and servers, and of these. */
  front: QuicTransportSpec;
  back: QuicTransportSpec;
  clients: QuicTransportSpec;
  servers: QuicTransportSpec;
  /** Connections of clients to one port. */
  connectionsMax: number;
  poolMaxConn: number;
  poolPurgeDelayMs: number;
  maxReuse: number;
};

export type SimOptions = {
  workers: number;
  steps: number;
  clientsMax: number;
  /** What carries bytes: the pipe, or a production conduit over simulated sockets. */
  conduit: "pipe" | "tcp" | "loop";
  processMaxconn: number;
  /** `maxconnrate`; 0 = none. */
  processRate: number;
  /** The last proxy sends its clients to the first one's servers. */
  sharesBackend: boolean;
  queueEntries: number;
  payloadBytesMax: number;
  /** Clients that never read until the end of the run. */
  deafClients: number;
  /** Descriptors run out now and then. */
  hasFaults: boolean;
  /** Who ends only after the other side has ended. */
  waits: "client" | "server" | "nobody";
  /** Chance that another thread runs, or this one dies, inside a call of the engine. */
  interrupt: number;
  dieInside: number;
  habits: SocketHabits;
  /** Null = nobody speaks QUIC. */
  quic: QuicOptions | null;
  proxies: ProxyOptions[];
  weights: Record<Action, number>;
  moods: Record<Mood, number>;
};

/** Relative frequency of the actions before the seed disturbs them. */
const WEIGHTS: Record<Action, number> = {
  deliver: 400,
  connect: 60,
  clientSend: 60,
  clientRead: 60,
  clientFinish: 20,
  clientClose: 6,
  clientReset: 6,
  dialDone: 60,
  serverSend: 60,
  serverRead: 60,
  serverFinish: 20,
  serverClose: 6,
  serverReset: 6,
  serverMood: 8,
  quicTurn: 0,
  quicKill: 0,
  clientBreak: 0,
  serverBreak: 0,
  tick: 40,
  leap: 6,
  serverState: 3,
  serverWeight: 2,
  serverLimit: 4,
  serverAdd: 2,
  serverRemove: 3,
  backendAdd: 2,
  backendRemove: 3,
  publish: 3,
  shutdown: 2,
  ask: 4,
  shutOne: 2,
  pauseListener: 2,
  resumeListener: 4,
  stall: 2,
  workerDies: 2,
  bury: 20,
  respawn: 20,
  stop: 0,
};

/** Without these nothing moves: they are never switched off. */
const ALWAYS: readonly Action[] = ["deliver", "connect", "tick", "bury", "respawn"];

const ALGORITHMS: readonly BalanceSpec["algorithm"][] = [
  "roundrobin",
  "static-rr",
  "leastconn",
  "first",
  "source",
  "random",
  "hash",
];

/** Draws the options of a seed. */
export function drawOptions(choices: Choices): SimOptions {
  const options = drawAll(choices);
  const drawn = choices.chance(0.3) ? crowd(options, choices) : options;
  // Drawn last, so that seeds without it are what they were before there was any.
  const carried = choices.chance(0.3) ? overQuic(drawn, choices) : drawn;
  return choices.chance(0.3) ? withOutliers(carried, choices) : carried;
}

/** Backends that compare their servers: by connect time, by what connections meet, or both. */
function withOutliers(options: SimOptions, choices: Choices): SimOptions {
  const proxies = options.proxies.map((proxy): ProxyOptions => {
    const algorithm = choices.chance(0.6) ? "peak-ewma" : proxy.algorithm;
    if (choices.chance(0.2)) return { ...proxy, algorithm };
    const outlier: OutlierSpec = {
      intervalMs: choices.pick([100, 300]),
      errorPercent: choices.pick([0, 1, 50]),
      latencyPercent: choices.pick([101, 300]),
      samplesMin: choices.pick([1, 1, 3]),
      ejectMs: choices.pick([50, 500, 5000]),
      ejectedPercentMax: choices.pick([34, 50, 100]),
    };
    return { ...proxy, algorithm, outlier };
  });
  return { ...options, proxies };
}

/** Some of the clients and servers speak QUIC. */
function overQuic(options: SimOptions, choices: Choices): SimOptions {
  const often = (): boolean => choices.chance(0.7);
  const proxies = options.proxies.map((proxy) => {
    const isQuic = !proxy.acceptProxy && often();
    const servers = proxy.servers.map((server) => ({
      ...server,
      isQuic: server.sendProxy === 0 && often(),
    }));
    return { ...proxy, isQuic, servers };
  });
  const { weights } = options;
  const life = choices.chance(0.2) ? 6 : 1;
  const seldom = (weight: number): number => Math.ceil(weight * choices.pick([0, 0.3, 1, 3]));
  const quic = drawQuic(choices, options.habits.roomBytes);
  const drawn: SimOptions = {
    ...options,
    proxies,
    quic,
    weights: {
      ...weights,
      deliver: weights.deliver * 2,
      serverAdd: weights.serverAdd * life,
      serverRemove: weights.serverRemove * life,
      backendAdd: weights.backendAdd * life,
      backendRemove: weights.backendRemove * life,
      quicTurn: weights.deliver,
      quicKill: seldom(4),
      clientBreak: seldom(6),
      serverBreak: seldom(6),
    },
  };
  return choices.chance(0.25) ? fewStreams(drawn, quic) : drawn;
}

/** Servers that allow one stream at a time and are slow to end it: pools are what it is about. */
function fewStreams(options: SimOptions, quic: QuicOptions): SimOptions {
  const { weights } = options;
  const proxies = options.proxies.map((proxy) => ({
    ...proxy,
    timeouts: { ...proxy.timeouts, connect: -1 },
    servers: proxy.servers.map((server) => ({ ...server, isQuic: true, sendProxy: 0 as const })),
  }));
  return {
    ...options,
    proxies,
    quic: {
      ...quic,
      servers: { ...quic.servers, streamsBidiMax: 1 },
      poolMaxConn: -1,
      poolPurgeDelayMs: 500,
    },
    weights: {
      ...weights,
      clientReset: weights.clientReset + 30,
      serverFinish: 1,
      serverClose: 0,
      serverReset: 0,
    },
  };
}

function drawQuic(choices: Choices, roomBytes: number): QuicOptions {
  const settings = (): QuicTransportSpec => ({
    ...PLAIN_TRANSPORT,
    streamsBidiMax: choices.pick([1, 2, 4, 20]),
    streamsUniMax: 0,
    streamWindow: choices.pick([100, 1000, 50_000]),
    connectionWindow: choices.pick([1000, 5000, 200_000]),
    sendBuffer: Math.max(20, roomBytes),
    idleTimeoutMs: choices.pick([800, 3000, 10_000]),
    keepAliveMs: 100,
    handshakeTimeoutMs: choices.pick([100, 1000, 5000]),
    datagramMax: 0,
  });
  return {
    network: {
      pieceBytesMax: choices.pick([50, 1200, 5000]),
      delayMsMax: choices.pick([0, 0, 3, 20]),
      lost: choices.pick([0, 0, 0.1]),
      lostMs: 30,
      datagramLost: 0,
      overtake: choices.pick([0, 0.2, 0.9]),
      batchMax: choices.pick([1, 3, 10]),
      flightBytesMax: choices.pick([1000, 50_000]),
      shortWrite: choices.pick([0, 0.3]),
      handshakeFailure: choices.pick([0, 0, 0.1]),
      lateCredit: choices.pick([0, 0, 0.5]),
      lateStart: choices.pick([0, 0, 0.5]),
    },
    front: settings(),
    back: settings(),
    clients: settings(),
    servers: { ...settings(), streamsBidiMax: choices.pick([1, 1, 2, 20]) },
    connectionsMax: choices.pick([1, 3, 10]),
    poolMaxConn: choices.pick([-1, -1, 0, 1]),
    poolPurgeDelayMs: choices.pick([0, 500, 5000]),
    maxReuse: choices.pick([-1, -1, 0, 2]),
  };
}

/** Many clients for few slots: queues are what such a seed is about. */
function crowd(options: SimOptions, choices: Choices): SimOptions {
  const proxies = options.proxies.slice(0, 1).map((proxy) => ({
    ...proxy,
    maxconn: 0,
    rateLimit: 0,
    listenerMaxconn: 0,
    hasBackend: true,
    timeouts: { ...proxy.timeouts, queue: choices.pick([-1, 10, 10, 50, 300]) },
    servers: proxy.servers.map((server) => ({
      ...server,
      maxconn: choices.pick([1, 1, 2]),
      minconn: 0,
      disabled: false,
      backup: false,
    })),
  }));
  const { weights } = options;
  const { shutdown } = weights;
  return {
    ...options,
    proxies,
    processMaxconn: 0,
    clientsMax: 24,
    payloadBytesMax: Math.min(options.payloadBytesMax, 20),
    weights: {
      ...weights,
      connect: 120,
      deliver: 400,
      dialDone: 60,
      serverState: Math.min(weights.serverState, 3),
      shutdown: shutdown === 0 ? 0 : 4,
    },
  };
}

function drawAll(choices: Choices): SimOptions {
  const proxies = Array.from({ length: choices.between(1, 2) }, () => drawProxy(choices));
  if (choices.chance(0.1)) proxies[proxies.length - 1]!.hasBackend = false;
  const weights = { ...WEIGHTS };
  for (const action of ACTIONS) {
    if (ALWAYS.includes(action)) continue;
    if (choices.chance(0.25)) weights[action] = 0;
    // A few kinds dominate, most are rarer than usual.
    else weights[action] = Math.ceil(weights[action] * choices.pick([0.2, 0.5, 1, 1, 3, 8]));
  }
  if (choices.chance(0.1)) weights.stop = 2;
  const habits = drawHabits(choices);
  // Bytes that pass one by one cost a step each: there are fewer of them.
  const passing = Math.min(habits.pieceBytesMax, habits.roomBytes);
  const moods = { accept: 60, refuse: 0, refuseLate: 0, silence: 0, reset: 0, closeAtOnce: 0 };
  for (const mood of MOODS) if (choices.chance(0.4)) moods[mood] = choices.pick([5, 20, 80]);
  return {
    workers: choices.pick([1, 2, 2, 3, 4]),
    steps: choices.pick([300, 800, 800, 1500]),
    clientsMax: choices.pick([2, 6, 12, 24, 40]),
    conduit: choices.pick(["pipe", "tcp", "loop", "loop"]),
    processMaxconn: choices.pick([0, 0, 0, 1, 3, 10]),
    processRate: choices.pick([0, 0, 0, 0, 0, 2]),
    sharesBackend: choices.chance(0.3),
    queueEntries: choices.pick([64, 64, 64, 2]),
    payloadBytesMax: Math.min(choices.pick([0, 20, 200, 2000]), passing * 30),
    deafClients: choices.pick([0, 0, 0.2, 0.8]),
    hasFaults: true,
    waits: choices.pick(["client", "server", "nobody"]),
    interrupt: choices.pick([0, 0.02, 0.1]),
    dieInside: choices.pick([0, 0, 0, 0.002]),
    habits,
    quic: null,
    proxies,
    weights,
    moods,
  };
}

function drawHabits(choices: Choices): SocketHabits {
  return {
    pieceBytesMax: choices.pick([1, 7, 64, 512]),
    roomBytes: choices.pick([1, 16, 128, 1024]),
    shortWrite: choices.pick([0, 0.1, 0.7]),
    spuriousDrain: choices.pick([0, 0.02, 0.3]),
  };
}

const TIMES: readonly number[] = [-1, -1, 10, 50, 300, 1500, 10_000];

function drawTimeouts(choices: Choices): TimeoutOptions {
  const time = (): number => choices.pick(TIMES);
  return {
    client: time(),
    clientFin: time(),
    connect: time(),
    server: time(),
    serverFin: time(),
    queue: time(),
    tunnel: choices.chance(0.7) ? -1 : time(),
  };
}

function drawProxy(choices: Choices): ProxyOptions {
  const isLimited = choices.chance(0.75);
  return {
    isQuic: false,
    maxconn: choices.pick([0, 0, 0, 1, 4]),
    rateLimit: choices.pick([0, 0, 0, 0, 0, 1, 3]),
    hasBackend: true,
    acceptProxy: choices.chance(0.15),
    listenerMaxconn: choices.pick([0, 0, 0, 2]),
    algorithm: choices.pick(ALGORITHMS),
    isConsistent: choices.chance(0.5),
    balanceFactor: choices.pick([0, 0, 150]),
    fullconn: choices.pick([2, 5, 20]),
    retries: choices.pick([0, 1, 3]),
    redispatch: choices.pick([0, -1, 1, 2]),
    forcesServer: choices.chance(0.1),
    usesAdded: choices.chance(0.5),
    abortonclose: choices.chance(0.3),
    nolinger: choices.chance(0.1),
    allbackups: choices.chance(0.3),
    logasap: choices.chance(0.1),
    timeouts: drawTimeouts(choices),
    servers: Array.from({ length: choices.between(1, 4) }, () => drawServer(choices, isLimited)),
  };
}

/** One server of a backend. */
export function drawServer(choices: Choices, isLimited: boolean): ServerOptions {
  const maxconn = isLimited ? choices.pick([1, 1, 1, 2, 3, 0]) : 0;
  return {
    maxconn,
    minconn: maxconn > 1 && choices.chance(0.3) ? 1 : 0,
    maxqueue: choices.pick([0, 0, 1, 3]),
    weight: choices.pick([1, 1, 1, 1, 1, 10, 256, 0]),
    backup: choices.chance(0.15),
    disabled: choices.chance(0.05),
    sendProxy: choices.pick([0, 0, 0, 0, 1, 2]),
    isQuic: false,
  };
}
