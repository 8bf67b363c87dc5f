/**
 * What a worker knows of proxies, listeners and servers besides their shared rows: the parts of
 * their specs that the data plane needs, in the form in which it needs them. Made by apply.ts from
 * mutations, read on the hot path; each view belongs to one worker.
 */
import type { Conduit } from "../conduit/conduit.ts";
import { QuicTarget } from "../conduit/quic/target.ts";
import { encodeSocketAddress } from "../conduit/sockaddr.ts";
import type { DialTarget } from "../conduit/tcp/dial.ts";
import type { LogContext } from "../expr/context.ts";
import { BACK_COUNT_STRIDE } from "../tables/generated/back-count.ts";
import { FRONT_COUNT_STRIDE } from "../tables/generated/front-count.ts";
import { LISTENER_STRIDE } from "../tables/generated/listener.ts";
import { PROXY_STRIDE } from "../tables/generated/proxy.ts";
import { SERVER_STRIDE } from "../tables/generated/server.ts";
import type { ProxyHead, WorkerGlobals } from "../tables/mutations.ts";
import type { BindSpec, ServerSpec } from "../tables/spec.ts";
import { serverDialOptions } from "./connect/options.ts";
import type { Route, Test } from "./route/route.ts";
import { logsTls } from "./route/stream-tls.ts";
import type { Stream } from "./stream.ts";

/** A listening socket as the data plane sees it: TCP's acceptor, or the simulator's. */
export type ListeningSocket = {
  readonly isAccepting: boolean;
  /** @returns 0 or -errno */
  start(): number;
  pause(): void;
  /** Accepts what is queued already, where that can be done. Before the listener closes. */
  drain?(): void;
  /** The listener is over: connections that live end with their streams (QUIC). */
  close?(): void;
};

/** A `use-server` rule. */
export type ForcedServer = { test: Test | null; server: ServerView };

/** A frontend, backend or both. */
export class ProxyView {
  readonly row: number;
  readonly generation: number;
  readonly spec: ProxyHead;
  /** Offset in words of this proxy's row in the FRONT_COUNT and BACK_COUNT shards. */
  readonly frontCount: number;
  readonly backCount: number;
  /** Rules that choose the backend; compiled once. */
  route: Route | null = null;
  readonly listeners: ListenerView[] = [];
  readonly serversByName = new Map<string, ServerView>();
  /** How streams are hashed; compiled once, null = the algorithm needs none. */
  hasher: ((stream: Stream) => number) | null = null;
  /** `use-server` rules; compiled once, empty = none. */
  useServers: ForcedServer[] | null = null;
  /** `unique-id-format`; compiled once. */
  uniqueId: ((context: LogContext) => string) | null = null;
  /** Log records of this frontend's streams are wanted. */
  wantsLog: boolean;
  /** The client's address is read at once: it is for logs, and later the socket may be gone. */
  readonly needsClient: boolean;
  /** Sessions are logged when they begin (default format), not at their end. */
  readonly logsAtStart: boolean;
  /** The address that the client reached is for logs. */
  readonly logsDestination: boolean;
  /** Both ends of the connection to the server are for logs. */
  readonly logsServerEndpoints: boolean;
  /** TLS of clients is for logs. */
  readonly logsTls: boolean;
  /** `option independent-streams`: being sent to is no activity of a side. */
  readonly isIndependent: boolean;
  /** `balance peak-ewma`: what connecting takes is measured. */
  readonly measuresConnect: boolean;
  /** So is the time to the server's first byte: for either of the two below, or both. */
  readonly measuresFirstByte: boolean;
  /** `outlier-ejection`: it is counted. */
  readonly countsFirstByte: boolean;
  /** `balance peak-ewma first-byte`: it is a sample as connect time is. */
  readonly samplesFirstByte: boolean;
  readonly timeoutClient: number;
  readonly timeoutServer: number;
  readonly timeoutConnect: number;
  readonly timeoutQueue: number;
  readonly timeoutTunnel: number;
  readonly timeoutClientFin: number;
  readonly timeoutServerFin: number;

  constructor(row: number, generation: number, spec: ProxyHead, globals: WorkerGlobals) {
    this.row = row;
    this.generation = generation;
    this.spec = spec;
    const index = row / PROXY_STRIDE;
    this.frontCount = index * FRONT_COUNT_STRIDE;
    this.backCount = index * BACK_COUNT_STRIDE;
    this.wantsLog = spec.logs.length > 0 || globals.logAllStreams;
    this.needsClient = this.wantsLog;
    this.logsAtStart = spec.logs.length > 0 && spec.logFormatKind === "default";
    const isCustom = this.wantsLog && spec.logFormatKind === "custom";
    this.logsDestination = this.wantsLog && (isCustom || spec.logFormatKind === "default");
    this.logsServerEndpoints = isCustom;
    this.logsTls = this.wantsLog && logsTls(spec, spec.logs.length === 0);
    this.isIndependent = spec.options.independantStreams;
    this.measuresConnect = spec.balance.algorithm === "peak-ewma";
    this.countsFirstByte = spec.outlier !== undefined;
    this.samplesFirstByte = this.measuresConnect && spec.balance.timesFirstByte === true;
    this.measuresFirstByte = this.countsFirstByte || this.samplesFirstByte;
    const { timeouts } = spec;
    this.timeoutClient = timeouts.client;
    this.timeoutServer = timeouts.server;
    this.timeoutConnect = timeouts.connect;
    // Manual 4.2 `timeout queue`: without it the connect timeout applies.
    this.timeoutQueue = timeouts.queue >= 0 ? timeouts.queue : timeouts.connect;
    this.timeoutTunnel = timeouts.tunnel;
    this.timeoutClientFin = timeouts.clientFin;
    this.timeoutServerFin = timeouts.serverFin;
  }

  get name(): string {
    return this.spec.name;
  }
}

/** A bound address. */
export class ListenerView {
  readonly row: number;
  readonly proxy: ProxyView;
  readonly spec: BindSpec;
  readonly frontCount: number;
  /** Null until this worker listens, and after it has closed. */
  socket: ListeningSocket | null = null;
  /** Accepted at a limit: they wait as in the backlog, oldest first. */
  readonly parked: Conduit[] = [];
  /** A timer resumes it at the turn of the second (`rate-limit`). */
  waitsForSecond = false;
  /** Control wants it to accept. */
  isEnabled = true;

  constructor(row: number, proxy: ProxyView, spec: BindSpec) {
    this.row = row;
    this.proxy = proxy;
    this.spec = spec;
    this.frontCount = (row / LISTENER_STRIDE) * FRONT_COUNT_STRIDE;
  }
}

/** A server of a backend. */
export class ServerView {
  readonly row: number;
  readonly generation: number;
  readonly backend: ProxyView;
  spec: ServerSpec;
  /** `observe layer4`: connection errors in a row that control is told of; 0 = not observed. */
  errorLimit: number;
  readonly backCount: number;
  /** Null: no address is known. */
  target: DialTarget | null;
  /** Targets by port, for servers whose port follows the client's. */
  private targetsByPort: Map<number, DialTarget> | null = null;
  /** `sni` of a QUIC server, compiled once. */
  sni: ((stream: Stream) => string) | null = null;
  /** Newest of this worker's streams on the server; linked through the streams. */
  streams: Stream | null = null;
  streamCount = 0;

  constructor(
    row: number,
    generation: number,
    backend: ProxyView,
    spec: ServerSpec,
    globals: WorkerGlobals,
  ) {
    this.row = row;
    this.generation = generation;
    this.backend = backend;
    this.spec = spec;
    this.errorLimit = errorLimitOf(spec);
    this.backCount = (row / SERVER_STRIDE) * BACK_COUNT_STRIDE;
    this.target = makeTarget(spec, backend, globals, this.makeQuic(spec));
  }

  /** Another spec for the connections that begin from now on. */
  change(spec: ServerSpec, globals: WorkerGlobals): void {
    this.spec = spec;
    this.errorLimit = errorLimitOf(spec);
    this.target = makeTarget(spec, this.backend, globals, this.makeQuic(spec));
    this.targetsByPort = null;
    this.sni = null;
  }

  private makeQuic(spec: ServerSpec): QuicTarget | null {
    const { address, quic } = spec;
    if (quic === undefined || address === undefined) return null;
    const isIp = address.family === "ipv4" || address.family === "ipv6";
    return new QuicTarget(quic, this.backend.row, this.row, isIp ? address.host : "");
  }

  /** Everything that streams have been told to dial: the server's own target, and by port. */
  targets(): DialTarget[] {
    const all = this.target === null ? [] : [this.target];
    return this.targetsByPort === null ? all : [...all, ...this.targetsByPort.values()];
  }

  get name(): string {
    return this.spec.name;
  }

  /** Where to connect for a client that reached `port`; null = no address, or no such port. */
  targetFor(port: number): DialTarget | null {
    const { spec, target } = this;
    if (target === null || spec.portMode === "fixed") return target;
    if (spec.address?.family !== "ipv4" && spec.address?.family !== "ipv6") return target;
    const wanted = spec.portMode === "client" ? port : port + spec.portOffset;
    if (wanted <= 0 || wanted > 65_535) return null;
    this.targetsByPort ??= new Map();
    let found = this.targetsByPort.get(wanted);
    if (found === undefined) {
      const socketAddress = encodeSocketAddress(spec.address, wanted);
      found = { ...target, socketAddress, quic: this.makeQuic(spec) };
      this.targetsByPort.set(wanted, found);
    }
    return found;
  }
}

/** Without checks nothing would bring the server back: it is not observed then (manual 5.2). */
function errorLimitOf({ observe, errorLimit, check }: ServerSpec): number {
  return observe === "layer4" && check.enabled ? errorLimit : 0;
}

function makeTarget(
  spec: ServerSpec,
  backend: ProxyView,
  globals: WorkerGlobals,
  quic: QuicTarget | null,
): DialTarget | null {
  if (spec.address === undefined || spec.address.family === "fd") return null;
  const source = spec.source ?? backend.spec.source;
  const interfaceName = source?.interfaceName;
  return {
    address: spec.address,
    socketAddress: encodeSocketAddress(spec.address),
    options: serverDialOptions(spec, backend.spec, globals),
    source: source === undefined || isAny(source.address) ? null : encodeSource(source.address),
    interfaceName:
      interfaceName === undefined ? null : new TextEncoder().encode(`${interfaceName}\0`),
    quic,
  };
}

const isAny = (address: BindSpec["address"]): boolean =>
  (address.family === "ipv4" && address.host === "0.0.0.0" && address.port === 0) ||
  (address.family === "ipv6" && address.host === "::" && address.port === 0);

const encodeSource = (address: BindSpec["address"]): ReturnType<typeof encodeSocketAddress> =>
  encodeSocketAddress(address);
