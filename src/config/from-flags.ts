/**
 * What environment flags and the command line change: a frontend and a backend named `sluice` made
 * from `SLUICE_BIND` and `SLUICE_SERVERS`, and settings that win over those of the files.
 */
import type { SluiceSpec } from "../tables/spec.ts";
import { parseBalance } from "./balance-line.ts";
import type { LoadContext } from "./context.ts";
import { hasBack, hasFront, isQuic } from "./draft.ts";
import type { FlagServer, SluiceFlags } from "./flags.ts";
import { SectionReader } from "./sections.ts";

/** What the command line sets; absent keys were not given. */
export type Overrides = {
  /** `-n` */
  maxconn?: number;
  /** `-N`: `maxconn` of proxies that have none. */
  proxyMaxconn?: number;
  /** `-L` */
  localPeer?: string;
  /** `-dr` */
  ignoresResolution?: boolean;
  /** `-D` or `-db`, `-d` */
  daemon?: boolean;
  /** `-p` */
  pidfile?: string;
  /** `-q` */
  quiet?: boolean;
  /** `-dW` */
  zeroWarning?: boolean;
  /** `-dD` */
  diagnostics?: boolean;
  /** `-dV`: what `ssl-server-verify none` says. */
  serverVerifyNone?: boolean;
  /** `-4`: `dns-accept-family ipv4`. */
  dnsIpv4Only?: boolean;
};

/** Name of the frontend and backend that flags make. */
const FLAG_PROXY = "sluice";

/** File name in messages about text that flags make. */
export const FLAG_ORIGIN = "environment";

/** Adds the sections that flags make. */
export function addFlagSections(context: LoadContext, flags: SluiceFlags): void {
  const reader = new SectionReader(context);
  let line = 0;
  const say = (words: readonly string[]): void => {
    line++;
    reader.line(words, { file: FLAG_ORIGIN, line });
  };
  if (flags.bind !== undefined && flags.servers !== undefined) {
    // An empty `defaults`, so that the last one of the files does not apply.
    say(["defaults"]);
    say(["frontend", FLAG_PROXY]);
    say(["mode", "tcp"]);
    say(["timeout", "client", "50s"]);
    for (const address of flags.bind) {
      if (!isQuicWord(address)) say(["bind", address]);
      else if (flags.tlsCert !== undefined) say(["bind", address, ...bindWords(flags)]);
      else context.report.alertAt({ file: FLAG_ORIGIN, line }, needsCertificate(address));
    }
    say(["default_backend", FLAG_PROXY]);
    say(["backend", FLAG_PROXY]);
    say(["mode", "tcp"]);
    say(["timeout", "connect", "5s"]);
    say(["timeout", "server", "50s"]);
    say(["option", "redispatch"]);
    for (const server of flags.servers) say(serverWords(server, flags));
  }
  if (flags.statsSocket !== undefined) {
    const level = flags.statsLevel ?? "admin";
    say(["global"]);
    say(["stats", "socket", flags.statsSocket, "level", level, "mode", "600"]);
  }
  reader.end();
}

/** Does the address ask for QUIC? Whether it is a good one is for the parser to say. */
function isQuicWord(address: string): boolean {
  return /^quic[46+]/u.test(address);
}

function needsCertificate(address: string): string {
  return `'SLUICE_BIND' : '${address}' needs a certificate: set 'SLUICE_TLS_CERT'.`;
}

function bindWords({ tlsCert = "", alpn }: SluiceFlags): string[] {
  return ["ssl", "crt", tlsCert, ...(alpn === undefined ? [] : ["alpn", alpn])];
}

function serverWords(server: FlagServer, { alpn, tlsAuthorities }: SluiceFlags): string[] {
  const options = server.options.flatMap((option) => {
    const [word = "", value] = option.split("=");
    if (value === undefined) return [word];
    return [word, word === "sni" ? `str(${value})` : value];
  });
  const words = ["server", server.name, server.address, ...options];
  if (!isQuicWord(server.address)) return words;
  words.push("ssl");
  if (alpn !== undefined) words.push("alpn", alpn);
  if (tlsAuthorities !== undefined) words.push("ca-file", tlsAuthorities);
  return words;
}

/** Settings of flags that win over those of the files. */
export function applyFlags(context: LoadContext, flags: SluiceFlags): void {
  const { global } = context;
  if (flags.workers !== undefined) global.nbthread = flags.workers;
  if (flags.maxconn !== undefined) global.maxconn = flags.maxconn;
  if (flags.bufsize !== undefined) global.bufsize = flags.bufsize;
  if (flags.pidfile !== undefined) global.pidfile = flags.pidfile;
  for (const proxy of context.proxies) {
    const { timeouts } = proxy.settings;
    if (hasFront(proxy.section)) {
      if (flags.timeoutClient !== undefined) timeouts.client = flags.timeoutClient;
      if (flags.acceptProxy !== undefined) {
        for (const bind of proxy.binds) {
          if (!isQuic(bind.configAddress)) bind.acceptProxy = flags.acceptProxy;
        }
      }
    }
    if (!hasBack(proxy.section)) continue;
    if (flags.timeoutConnect !== undefined) timeouts.connect = flags.timeoutConnect;
    if (flags.timeoutServer !== undefined) timeouts.server = flags.timeoutServer;
    if (flags.sendProxy === undefined) continue;
    for (const { settings } of proxy.servers) {
      settings.sendProxy = {
        version: flags.sendProxy,
        options: settings.sendProxy?.options ?? [],
      };
    }
  }
  if (flags.balance !== undefined) applyBalance(context, flags.balance);
}

/** `SLUICE_BALANCE`: read as a `balance` line of every backend; refused once for all of them. */
function applyBalance(context: LoadContext, text: string): void {
  const args = text.split(/\s+/u).filter((word) => word !== "");
  const origin = { file: FLAG_ORIGIN, line: 1 };
  const { messages } = context.report;
  const before = messages.length;
  for (const proxy of context.proxies) {
    if (!hasBack(proxy.section)) continue;
    parseBalance({ context, origin, keyword: "balance", args, prefix: "" }, proxy);
    if (messages.length > before) return;
  }
}

/** Settings of the command line, which wins over everything. */
export function applyOverrides(context: LoadContext, overrides: Overrides): void {
  const { global } = context;
  if (overrides.maxconn !== undefined) global.maxconn = overrides.maxconn;
  if (overrides.localPeer !== undefined) global.localPeer = overrides.localPeer;
  if (overrides.daemon !== undefined) global.daemon = overrides.daemon;
  if (overrides.pidfile !== undefined) global.pidfile = overrides.pidfile;
  if (overrides.quiet !== undefined) global.quiet = overrides.quiet;
  if (overrides.zeroWarning !== undefined) global.zeroWarning = overrides.zeroWarning;
  if (overrides.dnsIpv4Only === true) global.dnsFamilies = "ipv4";
  if (overrides.proxyMaxconn === undefined) return;
  for (const proxy of context.proxies) {
    if (hasFront(proxy.section) && proxy.settings.maxconn === 0) {
      proxy.settings.maxconn = overrides.proxyMaxconn;
    }
  }
}

/** sluice's own settings. */
export function sluiceSpec(flags: SluiceFlags): SluiceSpec {
  return {
    logLevel: flags.logLevel ?? "info",
    logFormat: flags.logFormat ?? "json",
    ...(flags.stateFile === undefined ? {} : { stateFile: flags.stateFile }),
    ...(flags.stateInterval === undefined ? {} : { stateIntervalMs: flags.stateInterval }),
  };
}
