/**
 * One section's draft to its spec: names replaced by addresses, ranges spread out, settings
 * completed. The loader uses it for whole files, the runtime API for single objects.
 */
import { listReferences } from "../expr/parse.ts";
import type { SampleExpression } from "../tables/expression.ts";
import type {
  Address,
  AgentSpec,
  BindSpec,
  GlobalSpec,
  LogTarget,
  PageSpec,
  ProxySpec,
  QuicServerSpec,
  ServerSpec,
  SourceSpec,
  StatsPageSpec,
} from "../tables/spec.ts";
import type { ConfigAddress } from "./address.ts";
import { programOf } from "./checks/program.ts";
import type { LoadContext } from "./context.ts";
import { hasBack, hasFront, isQuic } from "./draft.ts";
import type { BindDraft, LogDraft, ProxyDraft, ServerDraft, SourceDraft } from "./draft.ts";
import { IdPool } from "./ids.ts";
import { emailAlertOf } from "./mailers.ts";
import { toAddress } from "./names.ts";
import { initMethods, isService, namePartOf } from "./names/words.ts";
import { outlierOf, warnOfIdleOutlier } from "./outlier-line.ts";
import type { StatsDraft } from "./page-draft.ts";
import { quicBindOf } from "./quic/bind-tls.ts";
import type { HandshakeLimits } from "./quic/bind-tls.ts";
import { quicServerOf } from "./quic/server-tls.ts";
import type { ServerTls } from "./quic/server-tls.ts";
import { HALF_OPEN_MAX } from "./quic/tuning.ts";
import type { Resolved } from "./resolve.ts";
import type { LastAddress } from "./saved-server.ts";

/** What assembling needs beside the drafts. */
export type AssemblerOptions = {
  resolved: Resolved;
  /** `-dr`: servers whose name has no answer start without an address. */
  ignoresResolution: boolean;
  /** Addresses that servers had before the last start (`init-addr last`); left out, none. */
  lastAddress?: (backend: string, server: string) => LastAddress | undefined;
};

/** Makes specs. Problems go to the report of the context; with alerts there no spec may be used. */
export class Assembler {
  readonly #context: LoadContext;
  readonly #options: AssemblerOptions;

  constructor(context: LoadContext, options: AssemblerOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** Log lines with their addresses looked up. @param global what `log global` stands for */
  logs(drafts: readonly LogDraft[], global: readonly LogTarget[]): LogTarget[] {
    return drafts.flatMap((draft) => {
      if (draft.kind === "global") return [...global];
      const sink = this.#sink(draft);
      return sink === undefined ? [] : [{ ...draft.target, sink }];
    });
  }

  #sink(draft: Extract<LogDraft, { kind: "target" }>): LogTarget["sink"] | undefined {
    const { sink } = draft;
    if (sink.kind === "fd") return { kind: "fd", fd: sink.fd };
    const address = toAddress(sink.address, this.#options.resolved);
    if (address === undefined) {
      const { written } = sink;
      const text = `log : could not resolve address '${written}'`;
      this.#context.report.alertAt(draft.origin, text);
      return undefined;
    }
    if (address.family === "unix") return { kind: "unix", path: address.path };
    return { kind: sink.address.transport === "stream" ? "tcp" : "udp", address };
  }

  /** The spec of a section that proxies. @param id its number */
  proxy(draft: ProxyDraft, id: number, globalLogs: readonly LogTarget[]): ProxySpec {
    const { settings } = draft;
    const { source, defaultBackend, logFormat, errorLogFormat, uniqueIdFormat, logTag } = settings;
    const front = hasFront(draft.section);
    const kind = settings.logFormatKind === "httplog" ? "tcplog" : settings.logFormatKind;
    const sourceSpec = source === undefined ? undefined : this.#source(source);
    const isBackend = draft.section === "backend";
    const aclSamples = aclSamplesOf(draft);
    const emailAlert = emailAlertOf(settings.emailAlert);
    const servers = this.#servers(draft);
    warnOfIdleOutlier(this.#context, draft, servers.length);
    return {
      name: draft.name,
      id,
      ...(draft.id === undefined ? {} : { isIdForced: true }),
      ...(draft.guid === undefined ? {} : { guid: draft.guid }),
      ...(draft.description === undefined ? {} : { description: draft.description }),
      hasFront: front,
      hasBack: hasBack(draft.section),
      section: draft.section === "defaults" ? "listen" : draft.section,
      disabled: settings.disabled,
      timeouts: settings.timeouts,
      logs: this.logs(settings.logs, globalLogs),
      ...(logFormat === undefined || isBackend ? {} : { logFormat }),
      logFormatKind: isBackend ? "default" : kind,
      ...(errorLogFormat === undefined ? {} : { errorLogFormat }),
      ...(uniqueIdFormat === undefined ? {} : { uniqueIdFormat }),
      ...(logTag === undefined ? {} : { logTag }),
      options: settings.options,
      clientKeepalive: settings.clientKeepalive,
      serverKeepalive: settings.serverKeepalive,
      binds: this.binds(draft),
      maxconn: settings.maxconn,
      backlog: settings.backlog,
      rateLimitSessions: settings.rateLimitSessions,
      useBackends: draft.useBackends,
      ...(defaultBackend === undefined || !front ? {} : { defaultBackend }),
      servers,
      useServers: draft.useServers,
      ...(aclSamples.length === 0 ? {} : { aclSamples }),
      balance: settings.balance,
      checkProgram: programOf(settings.checks, this.#context.global),
      ...(emailAlert === undefined ? {} : { emailAlert }),
      ...outlierOf(draft),
      retries: settings.retries,
      fullconn: settings.fullconn,
      ...(sourceSpec === undefined ? {} : { source: sourceSpec }),
      origin: draft.origin,
    };
  }

  /** The spec of a section that answers about the process. @param id its number */
  page(draft: ProxyDraft, id: number, global: GlobalSpec): PageSpec {
    const { settings, page } = draft;
    const { httpTimeouts, monitorUri, logTag, stats } = settings;
    return {
      name: draft.name,
      id,
      ...(draft.guid === undefined ? {} : { guid: draft.guid }),
      ...(draft.description === undefined ? {} : { description: draft.description }),
      section: draft.section === "frontend" ? "frontend" : "listen",
      disabled: settings.disabled,
      binds: this.binds(draft),
      maxconn: settings.maxconn,
      backlog: settings.backlog,
      timeouts: { client: settings.timeouts.client, ...httpTimeouts },
      logs: this.logs(settings.logs, global.logs),
      ...(logTag === undefined ? {} : { logTag }),
      dontlognull: settings.options.dontlognull,
      ...(monitorUri === undefined ? {} : { monitorUri }),
      monitorFail: page.monitorFail,
      rules: page.rules,
      ...(stats === undefined ? {} : { stats: statsOf(stats, draft.name, global) }),
      origin: draft.origin,
    };
  }

  /** The listeners of a section, port ranges spread out, each with its number. */
  binds(proxy: ProxyDraft): BindSpec[] {
    const { report } = this.#context;
    const pool = new IdPool();
    for (const { id, origin } of proxy.binds) {
      if (id === undefined || pool.claim(id)) continue;
      report.alertAt(origin, `'bind' : 'id' : custom id ${id} already used in this section.`);
    }
    const { backlog, handshakeTimeoutMs } = proxy.settings;
    return proxy.binds.flatMap((bind) => {
      const halfOpenMax = bind.backlog || backlog || HALF_OPEN_MAX;
      return this.#spreadBind(bind, { halfOpenMax, handshakeTimeoutMs }, pool);
    });
  }

  /** One listener for each port of a range. */
  #spreadBind(draft: BindDraft, limits: HandshakeLimits, pool: IdPool): BindSpec[] {
    const { configAddress, id, guid, tls, ...rest } = draft;
    const ports = portsOf(configAddress);
    const { report } = this.#context;
    if (id !== undefined && ports.length > 1) {
      const text = `'bind ${draft.text}' : 'id' can only be used with a single socket`;
      report.alertAt(draft.origin, text);
    }
    const { quic: tuning } = this.#context.global;
    const quic = isQuic(configAddress) ? { quic: quicBindOf(tls, tuning, limits) } : {};
    const binds: BindSpec[] = [];
    for (const [index, port] of ports.entries()) {
      const address = toAddress(configAddress, this.#options.resolved, port);
      if (address === undefined) {
        const text = `'bind' : invalid address: could not resolve '${draft.text}'`;
        report.alertAt(draft.origin, text);
        return [];
      }
      const guidPart = guid === undefined ? {} : { guid: `${guid}-${index}` };
      binds.push({ ...rest, ...guidPart, ...quic, address, id: pool.take(id) });
    }
    return binds;
  }

  #servers(proxy: ProxyDraft): ServerSpec[] {
    const pool = new IdPool();
    const holders = new Map<number, ServerDraft>();
    for (const server of proxy.servers) {
      if (server.id === undefined) continue;
      const holder = holders.get(server.id);
      if (holder !== undefined) {
        const where = `${holder.origin.file}:${holder.origin.line} ('server ${holder.name}')`;
        const text = `'id' : custom id ${server.id} already used at ${where}.`;
        this.#alertServer(proxy.name, server, text);
      }
      pool.claim(server.id);
      holders.set(server.id, server);
    }
    return proxy.servers.map((server) => this.server(proxy.name, server, pool.take(server.id)));
  }

  #alertServer(backend: string, server: ServerDraft, text: string): void {
    const { file, line } = server.origin;
    const subject = `[${file}:${line}] : 'server ${backend}/${server.name}'`;
    this.#context.report.add("alert", server.origin, `${subject} : ${text}`, text);
  }

  /**
   * The spec of one server.
   * @param backend the name of its section
   * @param isDynamic it comes at run time: its checks do not take after its traffic (manual 5.2,
   *   `check`)
   */
  server(backend: string, server: ServerDraft, id: number, isDynamic = false): ServerSpec {
    const { settings } = server;
    const {
      check,
      checkAddress,
      agent,
      agentAddress,
      checkTls,
      healthcheck,
      fastIntervalMs,
      downIntervalMs,
      initAddresses,
      naming,
      source,
      words,
      quicBase,
      ...rest
    } = settings;
    const { tls } = server;
    const address = this.#serverAddress(backend, server);
    const target = checkAddress === undefined ? undefined : this.#checkAddress(backend, server);
    const ownSource = source === undefined ? undefined : this.#source(source);
    return {
      ...rest,
      ...limitsOf(settings),
      name: server.name,
      id,
      ...(server.id === undefined ? {} : { isIdForced: true }),
      ...(server.guid === undefined ? {} : { guid: server.guid }),
      ...(address === undefined ? {} : { address }),
      ...namePartOf(server),
      ...(isService(server) ? OWN_PORT : portsOfServer(server.address)),
      ...(ownSource === undefined ? {} : { source: ownSource }),
      check: {
        ...check,
        ...server.checks,
        sendProxy: check.sendProxy || (!isDynamic && greetsInChecks(settings)),
        fastIntervalMs: fastIntervalMs === 0 ? check.intervalMs : fastIntervalMs,
        downIntervalMs: downIntervalMs === 0 ? check.intervalMs : downIntervalMs,
        ...(target === undefined ? {} : { address: target }),
      },
      agent: this.#agent(backend, server),
      ...(tls === undefined ? {} : { quic: this.#quicServer(tls) }),
      origin: server.origin,
    };
  }

  #quicServer(tls: ServerTls): QuicServerSpec {
    const { global, pem } = this.#context;
    const quic = quicServerOf(tls, global.quic);
    // A process that changes its root could not find the system's authorities any more.
    const isLost = global.chroot !== undefined && quic.verify === "required";
    if (!isLost || quic.authorities !== undefined) return quic;
    return { ...quic, ...pem.systemAuthorities() };
  }

  /** The first address: the methods of `init-addr` in turn. */
  #serverAddress(backend: string, server: ServerDraft): Address | undefined {
    const written = server.address;
    if (written.kind !== "name") return toAddress(written, this.#options.resolved);
    let hasAsked = false;
    let port = written.portMode === "fixed" ? written.portLow : 0;
    const last = this.#options.lastAddress?.(backend, server.name);
    for (const method of initMethods(server)) {
      if (method.kind === "none") {
        if (hasAsked) this.#warnDisabled(backend, server, written.name);
        return undefined;
      }
      if (method.kind === "last") {
        if (last === undefined) continue;
        if (isService(server)) {
          if (last.port === 0) continue;
          port = last.port;
        }
        return { family: last.family === 4 ? "ipv4" : "ipv6", host: last.host, port };
      }
      if (method.kind === "ip") {
        const family = method.family === 4 ? "ipv4" : "ipv6";
        return { family, host: method.host, port };
      }
      if (method.kind === "libc" && !isService(server)) {
        const address = toAddress(written, this.#options.resolved, port);
        if (address !== undefined) return address;
        hasAsked = true;
      }
    }
    if (!this.#options.ignoresResolution) {
      const what = hasAsked ? "could not" : "no method found to";
      this.#alertServer(backend, server, `${what} resolve address '${written.name}'.`);
    }
    return undefined;
  }

  #warnDisabled(backend: string, { name, origin }: ServerDraft, host: string): void {
    const subject = `[${origin.file}:${origin.line}] : 'server ${backend}/${name}'`;
    const text = `could not resolve address '${host}', disabling server.`;
    this.#context.report.add("warning", origin, `${subject} : ${text}`, text);
  }

  #checkAddress(backend: string, server: ServerDraft): Address | undefined {
    const { checkAddress } = server.settings;
    if (checkAddress === undefined) return undefined;
    const address = toAddress(checkAddress.address, this.#options.resolved);
    if (address === undefined) {
      const text = `'addr' : invalid address: could not resolve '${checkAddress.written}'.`;
      this.#alertServer(backend, server, text);
    }
    return address;
  }

  /** The port of checks serves where the agent has none of its own, as in HAProxy. */
  #agent(backend: string, server: ServerDraft): AgentSpec {
    const { agent, agentAddress, check } = server.settings;
    const port = agent.port === 0 ? check.port : agent.port;
    if (agentAddress === undefined) return { ...agent, port };
    const address = toAddress(agentAddress.address, this.#options.resolved, port);
    if (address !== undefined) return { ...agent, port, address };
    const text = `'agent-addr' : could not resolve '${agentAddress.written}'.`;
    this.#alertServer(backend, server, text);
    return { ...agent, port };
  }

  #source(source: SourceDraft): SourceSpec | undefined {
    const address = toAddress(source.address, this.#options.resolved);
    if (address === undefined) {
      const text = `'source ${source.written}' : the host name could not be resolved`;
      this.#context.report.alertAt(source.origin, text);
      return undefined;
    }
    const ports = portsOf(source.address);
    const portMax = ports.length > 1 ? (ports.at(-1) ?? 0) : 0;
    const { interfaceName } = source;
    return { address, portMax, ...(interfaceName === undefined ? {} : { interfaceName }) };
  }
}

/** @param name of the page's section, which scope `.` stands for */
function statsOf(draft: StatsDraft, name: string, global: GlobalSpec): StatsPageSpec {
  const { hasRealm: _hasRealm, node, description, ...rest } = draft;
  return {
    ...rest,
    scopes: draft.scopes.map((scope) => (scope === "." ? name : scope)),
    ...(node.shown ? { showNode: node.text ?? global.node } : {}),
    ...(description.shown ? { showDescription: description.text ?? global.description } : {}),
  };
}

/** A check of the server's own port begins as its connections do. */
function greetsInChecks(settings: ServerDraft["settings"]): boolean {
  const { check, checkAddress, sendProxy } = settings;
  return sendProxy !== undefined && check.port === 0 && checkAddress === undefined;
}

function portsOf(address: ConfigAddress): number[] {
  if (address.kind !== "ip" && address.kind !== "name") return [0];
  const { portLow, portHigh } = address;
  return Array.from({ length: portHigh - portLow + 1 }, (_, index) => portLow + index);
}

/** A server whose records say the port. */
const OWN_PORT = { portMode: "fixed", portOffset: 0 } as const;

function portsOfServer(address: ConfigAddress): Pick<ServerSpec, "portMode" | "portOffset"> {
  if (address.kind !== "ip" && address.kind !== "name") return { portMode: "fixed", portOffset: 0 };
  if (address.portMode === "offset") {
    return { portMode: "offset", portOffset: address.portOffset };
  }
  return { portMode: address.portLow === 0 ? "client" : "fixed", portOffset: 0 };
}

/** `minconn` alone is a plain limit; `maxconn` alone has no lower end of its own. */
function limitsOf(settings: { minconn: number; maxconn: number }): {
  minconn: number;
  maxconn: number;
} {
  const { minconn, maxconn } = settings;
  if (minconn > maxconn) return { minconn, maxconn: minconn };
  return { minconn: minconn === 0 ? maxconn : minconn, maxconn };
}

/** Samples of ACLs that name proxies or servers. */
function aclSamplesOf({ acls }: ProxyDraft): SampleExpression[] {
  const samples = [...acls.values()].flatMap((acl) => acl.tests.map(({ sample }) => sample));
  return samples.filter((sample) => listReferences(sample).length > 0);
}
