/**
 * Drafts: what the loader fills while it reads, before names are resolved and numbers given out.
 * `plan.ts` turns them into the specs of `tables/spec.ts`. One load owns them; the main thread.
 */
import type { BoolExpression, LogFormat } from "../tables/expression.ts";
import { TIME_UNSET } from "../tables/spec.ts";
import type {
  BindSpec,
  CheckSpec,
  EmailAlertSpec,
  LogTarget,
  Origin,
  ProxySpec,
  QuicServerSpec,
  ServerNameSpec,
  ServerSpec,
  StatsSocketSpec,
} from "../tables/spec.ts";
import type { ConfigAddress } from "./address.ts";
import { inheritedChecks, newChecksDraft } from "./checks/draft.ts";
import type { ChecksDraft } from "./checks/draft.ts";
import { NEW_CHECK_TLS } from "./checks/tls.ts";
import type { CheckTlsDraft } from "./checks/tls.ts";
import { NEW_NAMING, USUAL_INIT } from "./names/words.ts";
import { newPageDraft } from "./page-draft.ts";
import type { PageDraft, StatsDraft } from "./page-draft.ts";
import type { BindTls } from "./quic/bind-tls.ts";
import type { ServerTls, ServerWord } from "./quic/server-tls.ts";
import { HANDSHAKE_MS } from "./quic/tuning.ts";

/** Sections that make a proxy or its defaults. */
export type ProxySection = "defaults" | "frontend" | "backend" | "listen";

/** Modes that HAProxy knows; only tcp is proxied here. */
export type Mode = "tcp" | "http" | "log" | "spop" | "health";

/** A `log` line: `log global`, or a target whose address may still be a name. */
export type LogDraft =
  | { kind: "global"; origin: Origin }
  | { kind: "target"; origin: Origin; target: Omit<LogTarget, "sink">; sink: LogSinkDraft };

/** Where a log line goes, before its name is looked up. */
export type LogSinkDraft =
  { kind: "fd"; fd: number } | { kind: "address"; written: string; address: ConfigAddress };

/** `source ADDR[:P[-P]] [interface NAME]`, before the name is looked up. */
export type SourceDraft = {
  written: string;
  address: ConfigAddress;
  interfaceName?: string;
  origin: Origin;
};

/** One way to give a server its first address: `init-addr`. */
export type InitAddress = { kind: "last" } | { kind: "libc" } | { kind: "none" } | InitAddressIp;

/** `init-addr` with an address. */
export type InitAddressIp = { kind: "ip"; host: string; family: 4 | 6 };

/** Everything that `default-server` can set. Undefined `id`, `guid`: given out by `plan.ts`. */
export type ServerSettings = Omit<
  ServerSpec,
  | "name"
  | "id"
  | "guid"
  | "address"
  | "hostName"
  | "namePort"
  | "resolution"
  | "serviceName"
  | "portMode"
  | "portOffset"
  | "source"
  | "check"
  | "quic"
  | "origin"
> & {
  /** Words that mean something else for QUIC than for TCP, in order: the address says which. */
  words: readonly ServerWord[];
  /** Of the server that it was copied from at run time: what the words begin with. */
  quicBase?: QuicServerSpec;
  check: Omit<CheckSpec, "address" | "fastIntervalMs" | "downIntervalMs">;
  /** 0 = the plain interval. */
  fastIntervalMs: number;
  downIntervalMs: number;
  checkAddress?: { written: string; address: ConfigAddress };
  agentAddress?: { written: string; address: ConfigAddress };
  /** TLS of checks over TCP. */
  checkTls: CheckTlsDraft;
  /** Name of a `healthcheck` section. */
  healthcheck?: string;
  source?: SourceDraft;
  initAddresses: readonly InitAddress[];
  /** Words about names; `resolvers` "" = none. Replaced, never changed in place. */
  naming: ServerNameSpec;
};

/** One `server` line, or one of those that a `server-template` makes. */
export type ServerDraft = {
  name: string;
  id?: number;
  guid?: string;
  written: string;
  address: ConfigAddress;
  settings: ServerSettings;
  /** What the words say; present where the address is of QUIC. */
  tls?: ServerTls;
  /** What `settleChecks` has made of the words about checks. */
  checks?: Pick<CheckSpec, "tls" | "stepTls" | "program">;
  origin: Origin;
};

/** One address of a `bind` line; port ranges are spread by `plan.ts`. */
export type BindDraft = Omit<BindSpec, "address" | "id" | "quic"> & {
  configAddress: ConfigAddress;
  id?: number;
  /** Of use where the address is of QUIC. */
  tls: BindTls;
};

/** What a section takes over from its defaults. */
export type ProxySettings = Pick<
  ProxySpec,
  | "disabled"
  | "timeouts"
  | "options"
  | "clientKeepalive"
  | "serverKeepalive"
  | "maxconn"
  | "backlog"
  | "rateLimitSessions"
  | "balance"
  | "outlier"
  | "retries"
  | "fullconn"
> & {
  /** What the servers' checks ask. */
  checks: ChecksDraft;
  mode: Mode;
  /** A `mode` line was read, here or in the defaults. */
  isModeGiven: boolean;
  /** `load-server-state-from-file`. */
  serverStateFrom: "none" | "global" | "local";
  /** `server-state-file-name`; "" = the name of the backend. */
  serverStateFileName: string;
  /** `httplog` falls back to `tcplog`, with a warning where it is used. */
  logFormatKind: ProxySpec["logFormatKind"] | "httplog";
  logs: LogDraft[];
  logFormat?: LogFormat;
  logFormatOrigin?: Origin;
  errorLogFormat?: LogFormat;
  uniqueIdFormat?: LogFormat;
  logTag?: string;
  defaultBackend?: { name: string; origin: Origin };
  source?: SourceDraft;
  /** `email-alert …`: words that were given. */
  emailAlert?: Partial<EmailAlertSpec>;
  /** `stats …`, for pages. */
  stats?: StatsDraft;
  /** `monitor-uri`, for pages. */
  monitorUri?: string;
  /** `timeout client-hs`, ms. */
  handshakeTimeoutMs: number;
  /** `timeout http-request` and `timeout http-keep-alive`, for pages. */
  httpTimeouts: { httpRequest: number; httpKeepAlive: number };
  defaultServer: ServerSettings;
  /** `default-server name NAME`, by name; replaced, never changed in place. */
  namedDefaultServers: ReadonlyMap<string, ServerSettings>;
};

/** A word of `defaults` that is not built yet: it counts where a section takes it over. */
export type ComingWord = { name: string; sections: readonly string[]; origin: Origin };

/** A section as read so far. */
export type ProxyDraft = {
  section: ProxySection;
  name: string;
  origin: Origin;
  settings: ProxySettings;
  id?: number;
  guid?: string;
  guidOrigin?: Origin;
  description?: string;
  acls: Map<string, BoolExpression>;
  /** Names of ACLs that were refused: rules that use them are not reported again. */
  brokenAcls: Set<string>;
  binds: BindDraft[];
  /** A `bind` line was refused: that no listener is there is not reported again. */
  hasBrokenBind: boolean;
  servers: ServerDraft[];
  /** The first server of each name. */
  serversByName: Map<string, ServerDraft>;
  useBackends: ProxySpec["useBackends"];
  useServers: ProxySpec["useServers"];
  /** The section's mode is http, which the lines before its `mode` line do not know otherwise. */
  isHttp: boolean;
  page: PageDraft;
  /** Of a `defaults` section and those that it took over. */
  comingWords: ComingWord[];
  /**
   * Why the section makes no proxy, if so: its name and number stay taken. `page`: it answers about
   * the process itself; `statistics`: so it does, in a backend that nobody can reach.
   */
  skipped?: "page" | "statistics" | "coming";
};

/** `log` lines and sockets of `global`, before names are looked up. */
export type StatsSocketDraft = Omit<StatsSocketSpec, "address"> & { configAddress: ConfigAddress };

/** A server without any option. */
export function newServerSettings(): ServerSettings {
  return {
    weight: 1,
    maxconn: 0,
    minconn: 0,
    maxqueue: 0,
    backup: false,
    disabled: false,
    initState: "up",
    tfo: false,
    tcpUserTimeoutMs: 0,
    mark: 0,
    tos: 0,
    onError: "fail-check",
    onMarkedDown: "none",
    onMarkedUp: "none",
    observe: "none",
    errorLimit: 10,
    slowstartMs: 0,
    words: [],
    check: {
      enabled: false,
      intervalMs: 2000,
      rise: 2,
      fall: 3,
      port: 0,
      sendProxy: false,
    },
    agent: { enabled: false, port: 0, intervalMs: 2000, send: "" },
    checkTls: NEW_CHECK_TLS,
    fastIntervalMs: 0,
    downIntervalMs: 0,
    initAddresses: USUAL_INIT,
    naming: NEW_NAMING,
  };
}

/** Settings before any `defaults`. */
export function newProxySettings(): ProxySettings {
  const keepalive = { enabled: false, idleSeconds: 0, intervalSeconds: 0, count: 0 };
  return {
    mode: "tcp",
    isModeGiven: false,
    serverStateFrom: "none",
    serverStateFileName: "",
    disabled: false,
    timeouts: {
      client: TIME_UNSET,
      clientFin: TIME_UNSET,
      connect: TIME_UNSET,
      server: TIME_UNSET,
      serverFin: TIME_UNSET,
      queue: TIME_UNSET,
      tunnel: TIME_UNSET,
      check: TIME_UNSET,
    },
    logs: [],
    logFormatKind: "default",
    options: {
      dontlognull: false,
      logasap: false,
      dontlogNormal: false,
      logSeparateErrors: false,
      logHealthChecks: false,
      abortonclose: false,
      allbackups: false,
      nolinger: false,
      redispatch: false,
      redispatchInterval: 0,
      persist: false,
      contstats: false,
      socketStats: false,
      independantStreams: false,
      transparent: false,
      srcPortTransparent: false,
    },
    clientKeepalive: { ...keepalive },
    serverKeepalive: { ...keepalive },
    maxconn: 0,
    backlog: 0,
    rateLimitSessions: 0,
    balance: {
      algorithm: "roundrobin",
      draws: 2,
      hashType: "map-based",
      hashFunction: "sdbm",
      avalanche: false,
      balanceFactor: 0,
      decayMs: 10_000,
    },
    checks: newChecksDraft(),
    retries: 3,
    fullconn: 0,
    handshakeTimeoutMs: HANDSHAKE_MS,
    httpTimeouts: { httpRequest: TIME_UNSET, httpKeepAlive: TIME_UNSET },
    defaultServer: newServerSettings(),
    namedDefaultServers: new Map(),
  };
}

/** A copy that can be changed: parts that parsers replace as a whole are shared. */
export function cloneServerSettings(settings: ServerSettings): ServerSettings {
  return { ...settings, check: { ...settings.check } };
}

/** A copy that can be changed: parts that parsers replace as a whole are shared. */
export function cloneProxySettings(settings: ProxySettings): ProxySettings {
  return {
    ...settings,
    timeouts: { ...settings.timeouts },
    options: { ...settings.options },
    clientKeepalive: { ...settings.clientKeepalive },
    serverKeepalive: { ...settings.serverKeepalive },
    balance: { ...settings.balance },
    checks: inheritedChecks(settings.checks),
    logs: [...settings.logs],
  };
}

/** A section that begins, with the settings of its defaults. */
export function newProxyDraft(
  section: ProxySection,
  name: string,
  origin: Origin,
  inherited: ProxySettings,
): ProxyDraft {
  return {
    section,
    name,
    origin,
    settings: cloneProxySettings(inherited),
    acls: new Map(),
    brokenAcls: new Set(),
    binds: [],
    hasBrokenBind: false,
    servers: [],
    serversByName: new Map(),
    useBackends: [],
    useServers: [],
    isHttp: false,
    page: newPageDraft(),
    comingWords: [],
  };
}

/** True when the section accepts connections. */
export function hasFront(section: ProxySection): boolean {
  return section !== "backend";
}

/** True when the section has servers. */
export function hasBack(section: ProxySection): boolean {
  return section !== "frontend";
}

/** True where QUIC is spoken. */
export function isQuic(address: ConfigAddress): boolean {
  return address.transport === "quic";
}

/** `frontend 'f'`, `backend 'b'`, `proxy 'l'`: how HAProxy names a section in sentences. */
export function titleOf(proxy: ProxyDraft): string {
  if (proxy.section === "defaults") return "defaults section";
  const word = proxy.section === "listen" ? "proxy" : proxy.section;
  return `${word} '${proxy.name}'`;
}
