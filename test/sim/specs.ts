/** The plan of a simulation: the specs that a configuration with these options would give. */
import type { LogFormat } from "../../src/tables/expression.ts";
import { TIME_UNSET } from "../../src/tables/spec.ts";
import type {
  BalanceSpec,
  BindSpec,
  GlobalSpec,
  KeepaliveSpec,
  Plan,
  ProxySpec,
  QuicBindSpec,
  QuicServerSpec,
  ServerSpec,
} from "../../src/tables/spec.ts";
import { bindSpec, serverSpec } from "../support/sim-quic-lab.ts";
import type { ProxyOptions, QuicOptions, ServerOptions, SimOptions } from "./options.ts";

const ORIGIN = { file: "sim", line: 0 };
const KEEPALIVE: KeepaliveSpec = { enabled: false, idleSeconds: 0, intervalSeconds: 0, count: 0 };
/** Port of the first frontend. */
const FRONT_PORT = 8000;
/** Port of the first server. */
export const SERVER_PORT = 9000;

/** Everything that the simulation begins with: a `listen` section for each of its proxies. */
export function makePlan(options: SimOptions): Plan {
  let port = SERVER_PORT;
  const { quic } = options;
  const proxies = options.proxies.map((proxy, index) => {
    const servers = proxy.hasBackend ? proxy.servers : [];
    return makeProxySpec(
      proxy,
      index,
      servers.map((server, at) => makeServer(server, `s${at + 1}`, at + 1, port++, quic)),
      quic,
    );
  });
  const first = proxies[0];
  const last = proxies.at(-1);
  if (options.sharesBackend && first !== undefined && last !== undefined && first.hasBack) {
    last.defaultBackend = { name: first.name, origin: ORIGIN };
  }
  const sluice = { logLevel: "error", logFormat: "off" } as const;
  return {
    version: 1,
    global: {} as GlobalSpec,
    sluice,
    proxies,
    pages: [],
    resolvers: [],
    mailers: [],
    savedServers: [],
  };
}

/** A `listen` section, or a frontend. */
export function makeProxySpec(
  options: ProxyOptions,
  index: number,
  servers: ServerSpec[],
  quic: QuicOptions | null = null,
): ProxySpec {
  return {
    name: `p${index + 1}`,
    id: index + 1,
    hasFront: true,
    hasBack: options.hasBackend,
    section: options.hasBackend ? "listen" : "frontend",
    disabled: false,
    timeouts: { ...options.timeouts, check: TIME_UNSET },
    logs: [],
    logFormatKind: "tcplog",
    options: {
      dontlognull: false,
      logasap: options.logasap,
      dontlogNormal: false,
      logSeparateErrors: false,
      logHealthChecks: false,
      abortonclose: options.abortonclose,
      allbackups: options.allbackups,
      nolinger: options.nolinger,
      redispatch: options.redispatch !== 0,
      redispatchInterval: options.redispatch,
      persist: false,
      contstats: false,
      socketStats: false,
      independantStreams: false,
      transparent: false,
      srcPortTransparent: false,
    },
    clientKeepalive: KEEPALIVE,
    serverKeepalive: KEEPALIVE,
    binds: [makeBind(options, index, quic)],
    maxconn: options.maxconn,
    backlog: 0,
    rateLimitSessions: options.rateLimit,
    // Backends that control adds take the traffic while they are there and published.
    useBackends:
      options.usesAdded && index === 0 ? [{ backend: addedBackend(), origin: ORIGIN }] : [],
    servers,
    useServers:
      options.forcesServer && servers.length > 0
        ? [{ server: servers[0]!.name, origin: ORIGIN }]
        : [],
    balance: makeBalance(options),
    checkProgram: { kind: "connect" },
    ...(options.outlier === undefined ? {} : { outlier: options.outlier }),
    retries: options.retries,
    fullconn: options.fullconn,
    origin: ORIGIN,
  };
}

/** Name of the backend that control adds and removes. */
export const ADDED_BACKEND = "added";

function addedBackend(): { kind: "dynamic"; format: LogFormat } {
  const parts = [{ kind: "text" as const, text: ADDED_BACKEND }];
  return { kind: "dynamic", format: { text: ADDED_BACKEND, parts } };
}

function makeBalance(options: ProxyOptions): BalanceSpec {
  return {
    algorithm: options.algorithm,
    draws: 2,
    hashType: options.isConsistent ? "consistent" : "map-based",
    hashFunction: "sdbm",
    avalanche: true,
    balanceFactor: options.balanceFactor,
    decayMs: 10_000,
    timesFirstByte: options.balanceFactor === 0,
  };
}

function makeBind(options: ProxyOptions, index: number, quic: QuicOptions | null): BindSpec {
  const port = FRONT_PORT + index;
  return {
    ...(options.isQuic && quic !== null ? { quic: bindSpec({ transport: quic.front }) } : {}),
    address: { family: "ipv4", host: "127.0.0.1", port },
    id: 1,
    acceptProxy: options.acceptProxy,
    backlog: 0,
    maxconn: options.listenerMaxconn,
    v4v6: false,
    v6only: false,
    transparent: false,
    tfo: false,
    deferAccept: false,
    mss: 0,
    tcpUserTimeoutMs: 0,
    mode: -1,
    uid: -1,
    gid: -1,
    text: `127.0.0.1:${port}`,
    origin: ORIGIN,
  };
}

/** A dozen steps of simulated time, ms. */
const SLOWSTART_MS = 300;

/** A server that is reached at `port`. */
export function makeServer(
  options: ServerOptions,
  name: string,
  id: number,
  port: number,
  quic: QuicOptions | null = null,
): ServerSpec {
  const spec: ServerSpec = {
    name,
    id,
    address: { family: "ipv4", host: "127.0.0.1", port },
    portMode: "fixed",
    portOffset: 0,
    weight: options.weight,
    maxconn: options.maxconn,
    minconn: options.minconn,
    maxqueue: options.maxqueue,
    backup: options.backup,
    disabled: options.disabled,
    initState: "up",
    tfo: false,
    tcpUserTimeoutMs: 0,
    mark: 0,
    tos: 0,
    onError: "fail-check",
    onMarkedDown: "none",
    onMarkedUp: "none",
    // By port, so that no seed draws more for them.
    observe: port % 3 === 0 ? "layer4" : "none",
    errorLimit: 3,
    slowstartMs: port % 2 === 0 ? SLOWSTART_MS : 0,
    check: {
      // Asked by nobody here: who is observed must be checked.
      enabled: port % 3 === 0,
      intervalMs: 2000,
      fastIntervalMs: 0,
      downIntervalMs: 0,
      rise: 2,
      fall: 3,
      port: 0,
      sendProxy: false,
    },
    agent: { enabled: false, port: 0, intervalMs: 2000, send: "" },
    origin: ORIGIN,
  };
  if (options.isQuic && quic !== null) spec.quic = nearServerSpec(quic);
  if (options.sendProxy !== 0) spec.sendProxy = { version: options.sendProxy, options: [] };
  return spec;
}

/** QUIC of the proxy's servers. */
function nearServerSpec(quic: QuicOptions): QuicServerSpec {
  const { back, poolMaxConn, poolPurgeDelayMs, maxReuse } = quic;
  return serverSpec({ transport: back, poolMaxConn, poolPurgeDelayMs, maxReuse });
}

/** QUIC of the simulated servers themselves. */
export function farBindSpec({ servers }: QuicOptions): QuicBindSpec {
  return bindSpec({ transport: servers });
}

/** QUIC of the simulated clients. */
export function farServerSpec({ clients }: QuicOptions): QuicServerSpec {
  return serverSpec({ transport: clients });
}
