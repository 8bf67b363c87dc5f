/**
 * The plan: what a configuration means, as plain data.
 *
 * `config` makes it from text and flags, `control` turns it into table rows and mutations, `data`
 * receives single specs inside mutations. Everything here survives a structured clone and msgpackr:
 * no functions, no classes, no typed arrays. Times are milliseconds, sizes bytes, unless the name
 * says otherwise. A time of `TIME_UNSET` (-1) means "not configured": wait for ever.
 *
 * One list, and so over 600 lines: whoever looks for a setting looks here.
 */
import type { Condition, LogFormat, SampleExpression } from "./expression.ts";

/** A time that nobody configured. */
export const TIME_UNSET = -1;

/** An address to bind or to reach. `port` 0 on a server means: the port that the client reached. */
export type Address =
  | { family: "ipv4"; host: string; port: number }
  | { family: "ipv6"; host: string; port: number }
  | { family: "unix"; path: string }
  | { family: "abns"; name: string }
  | { family: "fd"; fd: number };

/** Where a message was written: file as the user named it, 1-based line. */
export type Origin = { file: string; line: number };

/** Levels of syslog (RFC 5424 section 6.2.1), 0 = emerg … 7 = debug. */
export type LogLevel = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

/** One `log` line that is in force for a proxy or the process. */
export type LogTarget = {
  /** Where: UDP or unix datagram, `stdout`, `stderr` or an inherited descriptor. */
  sink:
    | { kind: "udp"; address: Address }
    | { kind: "tcp"; address: Address }
    | { kind: "unix"; path: string }
    | { kind: "fd"; fd: number };
  /**
   * Wire shape (`format` on the log line): manual 4.2, `log`. `default`: none was named, which is
   * `rfc3164` where `log-send-hostname` is set and `local` elsewhere.
   */
  format:
    "default" | "rfc3164" | "rfc5424" | "short" | "raw" | "local" | "priority" | "timed" | "iso";
  /** Syslog facility 0..23. */
  facility: number;
  /** Longest line, in bytes (`len`). */
  lengthMax: number;
  /** Messages less severe than this are not sent. */
  levelMax: LogLevel;
  /** Messages more severe than this are sent as this level. */
  levelMin: LogLevel;
  /** `sample RANGES:SIZE`; undefined = all. Ranges are 1-based, inclusive. */
  sample?: { ranges: { from: number; to: number }[]; size: number };
};

export type KeepaliveSpec = {
  enabled: boolean;
  /** `clitcpka-idle` and friends in seconds; 0 = the system's. */
  idleSeconds: number;
  intervalSeconds: number;
  count: number;
};

export type TimeoutsSpec = {
  client: number;
  clientFin: number;
  connect: number;
  server: number;
  serverFin: number;
  queue: number;
  tunnel: number;
  check: number;
};

/** The balancing of one backend: manual 4.2 `balance`, `hash-type`, `hash-balance-factor`. */
export type BalanceSpec = {
  algorithm:
    "roundrobin" | "static-rr" | "leastconn" | "first" | "source" | "random" | "hash" | "peak-ewma";
  /** random(n), peak-ewma(n): draws. */
  draws: number;
  /** peak-ewma: ms after which a measured time counts for 1/e. */
  decayMs: number;
  /** peak-ewma: times to first byte are measured times, too (`first-byte`). */
  timesFirstByte?: boolean;
  /** hash: what is hashed. */
  sample?: SampleExpression;
  hashType: "map-based" | "consistent";
  hashFunction: "sdbm" | "djb2" | "wt6" | "crc32" | "none";
  avalanche: boolean;
  /** Percent; 0 = off, otherwise above 100. */
  balanceFactor: number;
};

/** `use_backend NAME|%[fmt] [if|unless cond]`, in file order. */
export type UseBackendSpec = {
  /** Static name, or a log-format that makes one at run time. */
  backend: { kind: "name"; name: string } | { kind: "dynamic"; format: LogFormat };
  condition?: Condition;
  origin: Origin;
};

/** `use-server NAME if cond`. */
export type UseServerSpec = { server: string; condition?: Condition; origin: Origin };

export type ProxyProtocolOut = {
  version: 1 | 2;
  /** `proxy-v2-options`. */
  options: (
    | "ssl"
    | "cert-cn"
    | "ssl-cipher"
    | "cert-sig"
    | "cert-key"
    | "authority"
    | "crc32c"
    | "unique-id"
  )[];
};

export type SourceSpec = {
  address: Address;
  /** Last port of a range that begins at address.port; 0 = one port (or any). */
  portMax: number;
  interfaceName?: string;
};

/** One server's part of its checks: when, and where to. What is asked is the backend's. */
export type CheckSpec = {
  enabled: boolean;
  intervalMs: number;
  fastIntervalMs: number;
  downIntervalMs: number;
  rise: number;
  fall: number;
  /** 0 = the server's. */
  port: number;
  address?: Address;
  sendProxy: boolean;
  /** `check-ssl`; undefined = in the clear. Of QUIC servers, TLS is part of their own settings. */
  tls?: CheckTlsSpec;
  /**
   * What steps `connect … ssl` of its program begin with; left out where none asks for TLS. `sni`
   * and `alpn` count only for steps with `default`.
   */
  stepTls?: CheckTlsSpec;
  /** `healthcheck`: what this server is asked instead of the backend's program. */
  program?: CheckProgramSpec;
};

/** TLS of a check: manual 5.2 `check-ssl`, `check-sni`, `check-alpn` and the server's own words. */
export type CheckTlsSpec = {
  /** Name to ask for; undefined = none. */
  sni?: string;
  /** By preference. */
  alpn: string[];
  verify: "none" | "required";
  /** PEM; undefined = the system's. */
  authorities?: string;
  /** File or folder that they are from, for snapshots. */
  authoritiesFile?: string;
  verifyHost?: string;
  /** Our own certificate. */
  certificate?: CertificateSpec;
};

/** `agent-check`: asking a program beside the server. Manual 5.2, `agent-…`. */
export type AgentSpec = {
  enabled: boolean;
  /** 0 = none was given. */
  port: number;
  /** Undefined = the server's. */
  address?: Address;
  intervalMs: number;
  /** Sent when the connection is there; "" = nothing. `\n` and its kin already replaced. */
  send: string;
};

/** Keeping a server's address up to date: manual 5.2 `resolvers`, `resolve-…`. */
export type ServerNameSpec = {
  /** Name of the `resolvers` section. */
  resolvers: string;
  prefer: "ipv4" | "ipv6";
  /** `resolve-net`: preferred networks, first the most. */
  nets: { family: 4 | 6; base: string; bits: number }[];
  /** `resolve-opts`. */
  allowsDuplicate: boolean;
  ignoresWeight: boolean;
  preventsDuplicate: boolean;
};

/** Bytes of a check: fixed, or made from a format when they are needed. */
export type CheckData =
  /** `hex`: two digits a byte. */
  | { kind: "bytes"; hex: string }
  | { kind: "format"; format: LogFormat }
  /** A format that makes hexadecimal digits (`send-binary-lf`). */
  | { kind: "binary-format"; format: LogFormat };

/** What an `expect` looks for. `pattern` of `regex` kinds is a regular expression's source. */
export type CheckMatch =
  | { kind: "string"; pattern: string }
  | { kind: "string-format"; format: LogFormat }
  | { kind: "regex"; pattern: string }
  /** `pattern`: hexadecimal, two digits a byte. */
  | { kind: "binary"; pattern: string }
  | { kind: "binary-format"; format: LogFormat }
  /** The regular expression sees the bytes as upper case hexadecimal digits. */
  | { kind: "binary-regex"; pattern: string }
  /** HTTP: codes as ranges, inclusive. */
  | { kind: "status"; ranges: { from: number; to: number }[] }
  | { kind: "status-regex"; pattern: string }
  /** HTTP: `hdr` (one value of it) and `fhdr` (the whole line). */
  | {
      kind: "header";
      isFull: boolean;
      name: CheckText;
      nameMethod: CheckTextMethod;
      value?: CheckText;
      valueMethod: CheckTextMethod;
    };

export type CheckText = { kind: "text"; text: string } | { kind: "format"; format: LogFormat };
export type CheckTextMethod = "str" | "beg" | "end" | "sub" | "reg";

/** Results that a step may be told to give (`ok-status`, `error-status`, `tout-status`). */
export type CheckStatusWord =
  | "L4OK"
  | "L4CON"
  | "L4TOUT"
  | "L6OK"
  | "L6RSP"
  | "L6TOUT"
  | "L7OK"
  | "L7OKC"
  | "L7RSP"
  | "L7STS"
  | "L7TOUT";

/** One step of a check, in order: manual 4.2, `tcp-check …` and `http-check …`. */
export type CheckStepSpec = {
  comment?: string;
  /** What messages call it, from 1; left out: its place here. Lines of comments count too. */
  number?: number;
  origin: Origin;
} & (
  | {
      kind: "connect";
      /** `default`: server's own settings are taken where the step says nothing. */
      usesDefaults: boolean;
      /** Undefined = the server's check port. */
      port?: { kind: "port"; port: number } | { kind: "sample"; sample: SampleExpression };
      address?: Address;
      sendProxy: boolean;
      linger: boolean;
      /** `ssl`. */
      isTls: boolean;
      sni?: string;
      alpn: string[];
    }
  | { kind: "send"; data: CheckData }
  | {
      kind: "http-send";
      method: string;
      uri: CheckText;
      /** As written: `HTTP/1.0`, `HTTP/1.1`. */
      version: string;
      headers: { name: string; value: LogFormat }[];
      body?: CheckText;
    }
  | {
      kind: "expect";
      isNegated: boolean;
      match: CheckMatch;
      /** Bytes to wait for before looking; -1 = none asked. */
      minRecv: number;
      okStatus?: CheckStatusWord;
      errorStatus?: CheckStatusWord;
      timeoutStatus?: CheckStatusWord;
      onSuccess?: LogFormat;
      onError?: LogFormat;
      /** `status-code`: the number to report. */
      statusCode?: SampleExpression;
    }
  /** `name` without its scope, which is `check` or `proc`. */
  | {
      kind: "set-var";
      scope: "check" | "proc";
      name: string;
      value: { kind: "sample"; sample: SampleExpression } | { kind: "format"; format: LogFormat };
    }
  | { kind: "unset-var"; scope: "check" | "proc"; name: string }
);

/** What the checks of a backend's servers ask: manual 4.2, `option …check`. */
export type CheckProgramSpec =
  /** A connection that opens, with TLS its handshake too. */
  | { kind: "connect" }
  | { kind: "tcp"; steps: CheckStepSpec[] }
  | {
      kind: "http";
      /** Complete: `option httpchk`'s request is a step where no `http-check send` replaces it. */
      steps: CheckStepSpec[];
      /** `http-check disable-on-404`. */
      disableOn404: boolean;
      /** `http-check send-state`. */
      sendState: boolean;
    }
  | { kind: "redis" }
  | { kind: "pgsql"; user: string }
  /** `user` undefined: only the server's greeting is looked at. */
  | { kind: "mysql"; user?: string; version: "pre-41" | "post-41" | "post-80" }
  | { kind: "smtp"; hello: string; domain: string }
  | { kind: "ldap" }
  | { kind: "ssl-hello" }
  | { kind: "spop" }
  | {
      kind: "external";
      command: string;
      path: string;
      /** `external-check preserve-env`: it inherits this process's environment. */
      preservesEnvironment: boolean;
      /** `insecure-fork-wanted`: without it, nothing may be started and checks fail. */
      mayFork: boolean;
    };

/** A certificate with its chain and key, as PEM text: control reads files, workers may not. */
export type CertificateSpec = {
  /** File or folder's file, for messages. */
  file: string;
  chain: string;
  key: string;
};

/** What both sides of QUIC have: `tune.quic.*`, bytes, ms, counts. */
export type QuicTransportSpec = {
  /** max_idle_timeout; 0 = none. */
  idleTimeoutMs: number;
  handshakeTimeoutMs: number;
  /** Pings of a silent connection that has streams; 0 = none. */
  keepAliveMs: number;
  /** Streams that the peer may have open at a time. */
  streamsBidiMax: number;
  streamsUniMax: number;
  /** Unread bytes that a peer may cause: a stream, and a whole connection. */
  streamWindow: number;
  connectionWindow: number;
  /** Bytes that a stream holds until they are acknowledged. */
  sendBuffer: number;
  congestion: "cubic" | "newreno" | "bbr";
  /** Bytes; 0 = none. */
  cwndMax: number;
  /** Longest datagram frame taken; 0 = no datagrams. */
  datagramMax: number;
  /** Largest UDP payload sent; 0 = found out. */
  udpPayloadMax: number;
  /** 0-RTT: `allow-0rtt`. */
  early: boolean;
  gso: boolean;
};

/** QUIC of a `bind` line. */
export type QuicBindSpec = {
  /** A stream of the engine is one QUIC stream, or one whole client connection (`quic-map`). */
  map: "stream" | "session";
  /** The first is the default; names in them choose. */
  certificates: CertificateSpec[];
  strictSni: boolean;
  /** By preference. */
  alpn: string[];
  verify: "none" | "optional" | "required";
  /** PEM of the authorities for client certificates. */
  authorities?: string;
  /** File or folder that they are from, for snapshots. */
  authoritiesFile?: string;
  /** `quic-force-retry`. */
  forceRetry: boolean;
  /** Handshakes under way from which Retry is asked of everybody; 0 = never. */
  retryFrom: number;
  /** Handshakes under way at most. */
  halfOpenMax: number;
  /** `quic-socket connection`: a socket a connection is not made; kept to say so. */
  rejectLowPorts: boolean;
  transport: QuicTransportSpec;
};

/** QUIC of a `server` line. */
export type QuicServerSpec = {
  /** By preference; empty = a session's own, else none. */
  alpn: string[];
  verify: "none" | "required";
  /** PEM; undefined = the system's. */
  authorities?: string;
  /** File or folder that they are from, for snapshots. */
  authoritiesFile?: string;
  verifyHost?: string;
  /** Name to ask for. */
  sni?: SampleExpression;
  /** The same in checks. */
  checkSni?: string;
  /** Our own certificate. */
  certificate?: CertificateSpec;
  /** Idle connections that a worker keeps; -1 = any number, 0 = none. */
  poolMaxConn: number;
  /** Pause after which idle connections are closed, ms. */
  poolPurgeDelayMs: number;
  /** Streams after which a connection takes no more; -1 = any number. */
  maxReuse: number;
  /** Streams at a time on one connection, beside what the server allows; left out = any number. */
  streamsMax?: number;
  transport: QuicTransportSpec;
};

export type ServerSpec = {
  name: string;
  /** Numeric id (`puid`), unique in the backend, > 0. */
  id: number;
  /** The configuration says the id. */
  isIdForced?: boolean;
  guid?: string;
  /** Undefined: known by name only and not resolved (`init-addr none`): starts in maintenance. */
  address?: Address;
  /** Its host name, if it was configured with one, or the target of its SRV record. */
  hostName?: string;
  /** Port beside a name, for the addresses that it gets; 0 = none. Absent: there is no name. */
  namePort?: number;
  /** How the port was given: as is, `+N`/`-N` relative to the client's destination, or absent. */
  portMode: "fixed" | "offset" | "client";
  portOffset: number;
  weight: number;
  maxconn: number;
  minconn: number;
  maxqueue: number;
  backup: boolean;
  disabled: boolean;
  /** Server state that the configuration or the address resolution asks for at the start. */
  initState: "up" | "fully-up" | "down" | "fully-down";
  sendProxy?: ProxyProtocolOut;
  source?: SourceSpec;
  tfo: boolean;
  tcpUserTimeoutMs: number;
  mark: number;
  tos: number;
  onError: "fastinter" | "fail-check" | "sudden-death" | "mark-down";
  onMarkedDown: "none" | "shutdown-sessions";
  onMarkedUp: "none" | "shutdown-backup-sessions";
  observe: "none" | "layer4";
  errorLimit: number;
  slowstartMs: number;
  /** `backend/server` or `server` whose state is copied. */
  track?: string;
  check: CheckSpec;
  agent: AgentSpec;
  /** Address from DNS while it runs; undefined = looked up once, or no name. */
  resolution?: ServerNameSpec;
  /**
   * SRV record it is filled from (`_service._proto.name`): its target is `hostName`, its port
   * `namePort`, while the server has one.
   */
  serviceName?: string;
  /** `quic4@`, `quic6@`: how to speak QUIC there; undefined = TCP. */
  quic?: QuicServerSpec;
  origin: Origin;
};

export type BindSpec = {
  /** One address: ranges and lists are already spread out. */
  address: Address;
  /** `name`, else undefined. */
  name?: string;
  /** Numeric id (`puid`), unique in the frontend, > 0. */
  id: number;
  guid?: string;
  acceptProxy: boolean;
  backlog: number;
  /** 0 = the frontend's. */
  maxconn: number;
  interfaceName?: string;
  v4v6: boolean;
  v6only: boolean;
  transparent: boolean;
  tfo: boolean;
  deferAccept: boolean;
  mss: number;
  tcpUserTimeoutMs: number;
  /** unix sockets: octal mode as a number, -1 = leave. */
  mode: number;
  uid: number;
  gid: number;
  /** Raised log/CLI level etc. do not apply here; `process`/`thread` narrow the workers. */
  workers?: { from: number; to: number }[];
  /** `quic4@`, `quic6@`: QUIC over UDP; undefined = a stream socket. */
  quic?: QuicBindSpec;
  /** Text as written, for messages and `show` commands. */
  text: string;
  origin: Origin;
};

export type ProxySpec = {
  name: string;
  /** Numeric id (`uuid`/`iid`), unique among proxies, > 0. */
  id: number;
  /** The configuration says the id. */
  isIdForced?: boolean;
  guid?: string;
  /** Made at run time: the `defaults` section that it began with. */
  madeFrom?: string;
  description?: string;
  /** `listen` has both. */
  hasFront: boolean;
  hasBack: boolean;
  /** Section word, for messages. */
  section: "frontend" | "backend" | "listen";
  disabled: boolean;
  timeouts: TimeoutsSpec;
  /** Log lines in force (`log global` already replaced by the global ones). */
  logs: LogTarget[];
  /** In force; undefined = HAProxy's default format ("Connect from …"). */
  logFormat?: LogFormat;
  logFormatKind: "default" | "tcplog" | "custom" | "clf";
  errorLogFormat?: LogFormat;
  uniqueIdFormat?: LogFormat;
  logTag?: string;
  options: {
    dontlognull: boolean;
    logasap: boolean;
    dontlogNormal: boolean;
    logSeparateErrors: boolean;
    logHealthChecks: boolean;
    abortonclose: boolean;
    allbackups: boolean;
    nolinger: boolean;
    redispatch: boolean;
    /** -1/1 after the last/first retry, N every N retries, 0 off: manual 4.2. */
    redispatchInterval: number;
    persist: boolean;
    contstats: boolean;
    /** `show stat` has a line for each listener. */
    socketStats: boolean;
    independantStreams: boolean;
    transparent: boolean;
    srcPortTransparent: boolean;
  };
  /** Keep-alive probes towards clients and servers. */
  clientKeepalive: KeepaliveSpec;
  serverKeepalive: KeepaliveSpec;

  // The client side.
  binds: BindSpec[];
  /** 0 = the process's. */
  maxconn: number;
  /** `backlog`; 0 = default. */
  backlog: number;
  /** `rate-limit sessions` per second; 0 = none. */
  rateLimitSessions: number;
  useBackends: UseBackendSpec[];
  defaultBackend?: { name: string; origin: Origin };
  /** `grace`, `monitor-net`-like old words are resolved by config. */

  // The server side.
  servers: ServerSpec[];
  useServers: UseServerSpec[];
  /** Samples of its ACLs that name other objects, whether a rule uses them or not. */
  aclSamples?: SampleExpression[];
  balance: BalanceSpec;
  /** What the checks of its servers ask. */
  checkProgram: CheckProgramSpec;
  /** `email-alert …`; undefined = no mails. */
  emailAlert?: EmailAlertSpec;
  /** `outlier-ejection …`; undefined = off. */
  outlier?: OutlierSpec;
  retries: number;
  fullconn: number;
  /** Default of `source` for servers of this backend. */
  source?: SourceSpec;
  origin: Origin;
};

/** Mails about servers: manual 12.3, `email-alert`. */
export type EmailAlertSpec = {
  /** Name of the `mailers` section. */
  mailers: string;
  from: string;
  to: string;
  /** Messages as severe as this, or more, are mailed. */
  level: LogLevel;
  /** `email-alert myhostname`; undefined = this machine's. */
  hostName?: string;
};

/** A `mailers` section: manual 12.3. */
export type MailersSpec = {
  name: string;
  timeoutMs: number;
  mailers: { name: string; address: Address }[];
  origin: Origin;
};

/** A `resolvers` section: manual 5.3.2. */
export type ResolversSpec = {
  name: string;
  /**
   * UDP, or TCP where the line says `tcp@`; those of `parse-resolv-conf` are in it. `maxconn`:
   * connections at a time over TCP, 0 = not said.
   */
  nameservers: { name: string; address: Address; isTcp: boolean; maxconn: number }[];
  /** `dns-accept-family`: `auto` = IPv6 where the system has a default route for it. */
  families: "auto" | "both" | "ipv4" | "ipv6";
  /** `resolve_retries`: questions sent before giving up. */
  retries: number;
  /** Bytes: `accepted_payload_size`. */
  payloadBytes: number;
  /** Between two rounds of a name that is known. */
  resolveMs: number;
  /** Before a question is sent again. */
  retryMs: number;
  /** How long the last good answer counts after an answer of this kind, ms. */
  hold: {
    valid: number;
    obsolete: number;
    nx: number;
    refused: number;
    timeout: number;
    other: number;
  };
  origin: Origin;
};

/** Servers that live connections show to be worse than their peers: `outlier-ejection`. */
export type OutlierSpec = {
  /** How often servers are compared, and over which span, ms. */
  intervalMs: number;
  /** Connection errors, percent of attempts, from which a server is out; 0 = not looked at. */
  errorPercent: number;
  /** Times the median of the others, in percent, of time to first byte; 0 = not looked at. */
  latencyPercent: number;
  /** Attempts below which a server is not judged: they are collected over a few spans. */
  samplesMin: number;
  /** How long the first ejection lasts, ms; each further one is longer by as much. */
  ejectMs: number;
  /** Most servers that may be out, percent of the usable ones. */
  ejectedPercentMax: number;
};

/** A rule on requests to a page, in file order: the first that ends the look decides. */
export type PageRuleSpec = {
  action:
    | { kind: "allow" }
    /** `deny`, `reject` and their kin: an answer with this status. */
    | { kind: "deny"; status: number }
    /** `auth [realm …]`: asks for a login (401). */
    | { kind: "auth"; realm?: string }
    /** `return`: a fixed answer. */
    | { kind: "return"; status: number; contentType?: string; text: string }
    /** `redirect location …`. */
    | { kind: "redirect"; status: number; location: string }
    /** `use-service prometheus-exporter`. */
    | { kind: "prometheus" };
  /** Undefined = always. */
  condition?: Condition;
  origin: Origin;
};

/** The statistics page of a section: manual 4.2, `stats …`. */
export type StatsPageSpec = {
  /** Prefix of the request's target, query included: `/haproxy?stats`. */
  uri: string;
  realm: string;
  /** Who may log in; empty = no login. */
  users: { name: string; password: string }[];
  /** Seconds between reloads that the page suggests; 0 = none. */
  refreshSeconds: number;
  /** Names of the only proxies to show; empty = all. `.` is already this section's name. */
  scopes: string[];
  showVersion: boolean;
  showLegends: boolean;
  /** `show-node`, the global node name already put in; undefined = not shown. */
  showNode?: string;
  /** `show-desc`, the global description already put in; undefined = not shown. */
  showDescription?: string;
  /** `stats http-request …` (`allow`, `deny`, `auth`): asked before `users`. */
  rules: PageRuleSpec[];
  /** `stats admin`: changes are allowed where one of these is true; empty = never. */
  admin: Condition[];
};

/**
 * A `frontend` or `listen` in mode http that answers about this process itself: statistics, a
 * monitor, metrics. A request meets, in this order: `monitorUri`, `rules`, `stats.uri`, else 503.
 * Its number counts among those of the proxies.
 */
export type PageSpec = Pick<
  ProxySpec,
  | "name"
  | "id"
  | "guid"
  | "description"
  | "disabled"
  | "binds"
  | "maxconn"
  | "backlog"
  | "logs"
  | "logTag"
  | "origin"
> & {
  section: "frontend" | "listen";
  timeouts: {
    /** `timeout client`. */
    client: number;
    /** `timeout http-request`: up to the first byte of an answer. */
    httpRequest: number;
    /** `timeout http-keep-alive`; unset = `httpRequest`, else `client`. */
    httpKeepAlive: number;
  };
  dontlognull: boolean;
  /** Answers 200 there, or 503 where one of `monitorFail` is true. Exact match of the path. */
  monitorUri?: string;
  monitorFail: Condition[];
  /** `http-request` rules that say who gets what. */
  rules: PageRuleSpec[];
  stats?: StatsPageSpec;
};

/** One `stats socket` line: used by the runtime API. */
export type StatsSocketSpec = {
  address: Address;
  level: "user" | "operator" | "admin";
  mode: number;
  uid: number;
  gid: number;
  exposeFd: boolean;
  maxconn: number;
  backlog: number;
  severityOutput: "none" | "number" | "string";
  origin: Origin;
};

export type GlobalSpec = {
  /** 0 = one per usable core. */
  nbthread: number;
  /** 0 = from `ulimit-n` and the limits of the process. */
  maxconn: number;
  maxconnrate: number;
  maxsessrate: number;
  ulimitN: number;
  strictLimits: boolean;
  user?: string;
  group?: string;
  uid?: number;
  gid?: number;
  chroot?: string;
  daemon: boolean;
  quiet: boolean;
  zeroWarning: boolean;
  pidfile?: string;
  hardStopAfterMs: number;
  graceMs: number;
  node: string;
  description: string;
  logs: LogTarget[];
  logTag: string;
  /** `log-send-hostname`: undefined = do not send; "" = this machine's name. */
  logSendHostname?: string;
  bufsize: number;
  rcvbufClient: number;
  rcvbufServer: number;
  sndbufClient: number;
  sndbufServer: number;
  maxaccept: number;
  spreadChecksPercent: number;
  maxSpreadChecksMs: number;
  statsSockets: StatsSocketSpec[];
  statsTimeoutMs: number;
  statsMaxconn: number;
  serverStateFile?: string;
  serverStateBase?: string;
  /** Counters to begin with, as `dump stats-file` writes them. */
  statsFile?: string;
  /** `setenv` and its kin, already applied to this final environment. */
  environment: Record<string, string>;
  noreuseport: boolean;
  /**
   * QUIC is there and `tune.quic.listen` is not off. Whether it is there is looked into only where
   * something asks: a listener, a server, `quic_enabled`.
   */
  isQuicEnabled: boolean;
  /** `cluster-secret`: tokens, tickets and resets of QUIC that outlive the process; else random. */
  clusterSecret?: string;
};

/** sluice's own settings, from `SLUICE_…` flags. */
export type SluiceSpec = {
  logLevel: "debug" | "info" | "notice" | "warning" | "error";
  /** How stream logs without a `log` line appear on standard output. */
  logFormat: "json" | "tcplog" | "off";
  stateFile?: string;
  /** Shortest time between two writes of it; 0 = only at the end, and when asked for. */
  stateIntervalMs?: number;
};

/**
 * What a server begins with beside its spec: read from a server state file and already weighed
 * against the configuration (addresses and ports are in the spec).
 */
export type SavedServerSpec = {
  backend: string;
  server: string;
  /** Put into maintenance or drained by an operator. */
  isForcedMaint: boolean;
  isForcedDrain: boolean;
  /** What checks, or an operator in their place, said last. */
  health: "up" | "down" | "stopping";
  /** `disable health`. */
  areChecksOff: boolean;
  /** `disable agent`. */
  isAgentOff: boolean;
  /** Result of the last check, as HAProxy numbers them (`srv_check_status`). */
  checkStatus: number;
  /** Undefined: the configuration's. */
  weight?: number;
  /** Since its state last changed. */
  sinceChangeSeconds: number;
  /** It was on its way up since then (`slowstart`). */
  isStarting?: true;
};

export type Plan = {
  version: 1;
  global: GlobalSpec;
  sluice: SluiceSpec;
  proxies: ProxySpec[];
  /** Statistics and monitor pages; not among `proxies`. */
  pages: PageSpec[];
  resolvers: ResolversSpec[];
  mailers: MailersSpec[];
  /** What state files say about servers of `proxies` (`load-server-state-from-file`). */
  savedServers: SavedServerSpec[];
};
