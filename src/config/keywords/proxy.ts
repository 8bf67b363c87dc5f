/**
 * Keywords of proxy sections that are done, options aside (HAProxy manual 4.2). Options are in
 * `proxy-options.ts`, the rest in `proxy-rest.ts`.
 */
import { parseLogFormat, TCP_CLF_LOG_FORMAT, TCP_LOG_FORMAT } from "../../expr/parse.ts";
import { parseBalance, parseBalanceFactor, parseHashType } from "../balance-line.ts";
import { parseBindLine } from "../bind-line.ts";
import { alertLine, hasArgs, warnLine } from "../context.ts";
import type { Line } from "../context.ts";
import type { Mode, ProxyDraft } from "../draft.ts";
import { parseLogLine } from "../log-line.ts";
import { parseInteger } from "../numbers.ts";
import {
  parseAcl,
  parseDefaultBackend,
  parseUseBackend,
  parseUseServer,
  takeLogFormat,
} from "../routing-line.ts";
import { parseDefaultServer, parseServerLine, parseServerTemplate } from "../server-line.ts";
import { parseSource } from "../server-words.ts";
import { didYouMean } from "../suggest.ts";
import { proxySections } from "./build.ts";
import type { Keyword } from "./keyword.ts";
import { OUTLIER_ROWS } from "./outlier.ts";
import {
  hasSide,
  integerInto,
  keepaliveInto,
  parseHandshakeTimeout,
  timeoutInto,
  withoutArgs,
} from "./proxy-parsers.ts";
import type { ProxyParser, Side } from "./proxy-parsers.ts";

/** Modes that the manual knows; `health` is an old one. */
const MODES: readonly Mode[] = ["tcp", "http", "log", "spop", "health"];

const INTEGER_MAX = 2 ** 31 - 1;

const parseMode: ProxyParser = (line, proxy) => {
  if (!hasArgs(line, 1, 1, "a proxy mode ('tcp', 'http', …)")) return;
  const word = line.args[0] ?? "";
  const mode = MODES.find((name) => name === word);
  if (mode === undefined)
    alertLine(line, `unknown proxy mode '${word}'${didYouMean(word, MODES)}.`);
  else {
    proxy.settings.mode = mode;
    proxy.settings.isModeGiven = true;
  }
};

const parseId: ProxyParser = (line, proxy) => {
  const id = parseInteger(line.args[0] ?? "", 1, INTEGER_MAX);
  if (!id.ok || line.args.length > 1) alertLine(line, "custom id has to be > 0.");
  else proxy.id = id.value;
};

const parseGuid: ProxyParser = (line, proxy) => {
  if (!hasArgs(line, 1, 1, "a string argument")) return;
  proxy.guid = line.args[0] ?? "";
  proxy.guidOrigin = line.origin;
};

const parseDescription: ProxyParser = (line, proxy) => {
  if (line.args.length === 0) alertLine(line, "'description' expects a string argument.");
  else proxy.description = line.args.join(" ");
};

const parseRateLimit: ProxyParser = (line, proxy) => {
  if (!hasArgs(line, 1, 1, "an integer value (in sessions/second)")) return;
  const value = parseInteger(line.args[0] ?? "", 0, INTEGER_MAX);
  if (!value.ok) alertLine(line, `'${line.keyword}' : ${value.message}`);
  else if (hasSide(line, proxy, "front")) proxy.settings.rateLimitSessions = value.value;
};

const parseLog: ProxyParser = (line, proxy) => {
  if (line.prefix !== "") {
    proxy.settings.logs = [];
    return;
  }
  const log = parseLogLine(line);
  if (log !== undefined) proxy.settings.logs.push(log);
};

const parseLogTag: ProxyParser = (line, proxy) => {
  if (hasArgs(line, 1, 1, "a tag for use in syslog")) proxy.settings.logTag = line.args[0] ?? "";
};

/** Formats mean nothing in a backend: HAProxy says so and goes on. */
function isIgnoredInBackend(line: Line, proxy: ProxyDraft): boolean {
  if (proxy.section !== "backend") return false;
  warnLine(line, `backend '${proxy.name}' : '${line.keyword}' directive is ignored in backends.`);
  return true;
}

const parseLogFormatLine: ProxyParser = (line, proxy) => {
  const format = takeLogFormat(line, "log");
  if (format === undefined || isIgnoredInBackend(line, proxy)) return;
  proxy.settings.logFormat = format;
  proxy.settings.logFormatKind = "custom";
  proxy.settings.logFormatOrigin = line.origin;
};

const parseErrorLogFormat: ProxyParser = (line, proxy) => {
  const format = takeLogFormat(line, "log");
  if (format === undefined || isIgnoredInBackend(line, proxy)) return;
  proxy.settings.errorLogFormat = format;
};

const parseUniqueIdFormat: ProxyParser = (line, proxy) => {
  const format = takeLogFormat(line, "log");
  if (format !== undefined) proxy.settings.uniqueIdFormat = format;
};

/** `option tcplog [clf]`. */
export const parseTcplog: ProxyParser = (line, proxy) => {
  const isClf = line.args[0] === "clf";
  if (!hasArgs(line, 0, isClf ? 1 : 0, "nothing or 'clf'") || isIgnoredInBackend(line, proxy))
    return;
  const { settings } = proxy;
  const format = parseLogFormat(isClf ? TCP_CLF_LOG_FORMAT : TCP_LOG_FORMAT);
  if (format.ok) settings.logFormat = format.value;
  settings.logFormatKind = isClf ? "clf" : "tcplog";
  settings.logFormatOrigin = line.origin;
};

/** `option httplog`, `option httpslog`: where they are used in mode tcp, `option tcplog` is. */
export const parseHttplog: ProxyParser = (line, proxy) => {
  if (isIgnoredInBackend(line, proxy)) return;
  const { settings } = proxy;
  const format = parseLogFormat(TCP_LOG_FORMAT);
  if (format.ok) settings.logFormat = format.value;
  settings.logFormatKind = "httplog";
  settings.logFormatOrigin = line.origin;
};

const parseSourceLine: ProxyParser = (line, proxy) => {
  const subject = `${proxy.section} '${proxy.name}'`;
  const source = parseSource(line, line.args, subject);
  if (source === undefined || !hasSide(line, proxy, "back")) return;
  const extra = line.args[source.length];
  if (extra !== undefined)
    alertLine(line, `'source' cannot handle unexpected argument '${extra}'.`);
  else proxy.settings.source = source.draft;
};

/** Lines that a section without servers must not have. */
function needsBack(parse: ProxyParser): ProxyParser {
  return (line, proxy) => {
    if (proxy.section === "frontend") {
      const why = `frontend '${proxy.name}' has no backend capability`;
      alertLine(line, `'${line.keyword}' not allowed because ${why}.`);
      return;
    }
    parse(line, proxy);
  };
}

/** Lines that are warned about and left out where the section lacks that side. */
function onSide(side: Side, parse: ProxyParser): ProxyParser {
  return (line, proxy) => {
    if (hasSide(line, proxy, side)) parse(line, proxy);
  };
}

/** An old word: a warning that names the new one, and the same effect. */
function oldWord(name: string, replacement: string, parse: ProxyParser): ProxyParser {
  return (line, proxy) => {
    warnLine(line, `the '${name}' directive is obsolete. Use '${replacement}'.`);
    parse({ ...line, keyword: replacement }, proxy);
  };
}

const parseRedispatch: ProxyParser = (_, proxy) => {
  proxy.settings.options.redispatch = true;
  proxy.settings.options.redispatchInterval = -1;
};

const STATE_SOURCES = ["global", "local", "none"] as const;

const parseLoadState: ProxyParser = (line, proxy) => {
  const word = line.args[0] ?? "";
  const source = STATE_SOURCES.find((name) => name === word);
  if (source === undefined) {
    alertLine(line, `'${line.keyword}' expects 'global', 'local' or 'none'. Got '${word}'`);
  } else if (hasArgs(line, 1, 1, "one argument") && hasSide(line, proxy, "back")) {
    proxy.settings.serverStateFrom = source;
  }
};

const parseStateFileName: ProxyParser = (line, proxy) => {
  if (!hasArgs(line, 0, 1, "at most a file name") || !hasSide(line, proxy, "back")) return;
  const name = line.args[0] ?? "";
  proxy.settings.serverStateFileName = name === "use-backend-name" ? "" : name;
};

type Row = readonly [letters: string, name: string, args: string, effect: string, ProxyParser];

const ROWS: readonly Row[] = [
  [
    "DFLB",
    "acl",
    "<name> <criterion> [flags] [operator] <value>…",
    "Declares a test, or adds to it.",
    parseAcl,
  ],
  [
    "DFL",
    "backlog",
    "<number>",
    "Length of the kernel's queue of new connections.",
    integerInto("backlog", "front", 0),
  ],
  [
    "DLB",
    "balance",
    "<algorithm> [<arguments>]",
    "How a server is chosen.",
    onSide("back", parseBalance),
  ],
  [
    "FL",
    "bind",
    "<address>[,…] [options]",
    "Listens on these addresses.",
    onSide("front", parseBindLine),
  ],
  [
    "DFL",
    "clitcpka-cnt",
    "<number>",
    "Keep-alive probes without answer that end a client connection.",
    keepaliveInto("clientKeepalive", "count"),
  ],
  [
    "DFL",
    "clitcpka-idle",
    "<time>",
    "Silence before the first keep-alive probe to a client.",
    keepaliveInto("clientKeepalive", "idleSeconds"),
  ],
  [
    "DFL",
    "clitcpka-intvl",
    "<time>",
    "Time between keep-alive probes to a client.",
    keepaliveInto("clientKeepalive", "intervalSeconds"),
  ],
  [
    "DFL",
    "clitimeout",
    "<time>",
    "Old spelling of `timeout client`.",
    oldWord("clitimeout", "timeout client", timeoutInto("client", "front")),
  ],
  [
    "DLB",
    "contimeout",
    "<time>",
    "Old spelling of `timeout connect`.",
    oldWord("contimeout", "timeout connect", timeoutInto("connect", "back")),
  ],
  [
    "DLB",
    "default-server",
    "[name <name>] [from <origin>] [options]",
    "Options for the servers that follow.",
    needsBack(parseDefaultServer),
  ],
  [
    "DFL",
    "default_backend",
    "<backend>",
    "Backend when no `use_backend` matches.",
    parseDefaultBackend,
  ],
  ["FLB", "description", "<text>", "A text about the proxy, for statistics.", parseDescription],
  [
    "DFLB",
    "disabled",
    "",
    "The proxy does not start.",
    withoutArgs((proxy) => {
      proxy.settings.disabled = true;
    }),
  ],
  [
    "DFLB",
    "enabled",
    "",
    "Undoes `disabled` of the defaults.",
    withoutArgs((proxy) => {
      proxy.settings.disabled = false;
    }),
  ],
  [
    "DFL",
    "error-log-format",
    "<format>",
    "Log format of connections that failed early.",
    parseErrorLogFormat,
  ],
  [
    "DLB",
    "fullconn",
    "<number>",
    "Load at which servers reach their full `maxconn`.",
    integerInto("fullconn", "back", 1),
  ],
  ["FLB", "guid", "<text>", "Global identifier.", parseGuid],
  [
    "DLB",
    "hash-balance-factor",
    "<percent>",
    "Bound on a server's load relative to the average, for consistent hashing.",
    onSide("back", parseBalanceFactor),
  ],
  [
    "DLB",
    "hash-type",
    "<method> [<function>] [avalanche]",
    "How a hash becomes a server.",
    onSide("back", parseHashType),
  ],
  ["FLB", "id", "<number>", "Number of the proxy in statistics.", parseId],
  [
    "DLB",
    "load-server-state-from-file",
    "{global|local|none}",
    "Loads server states at the start.",
    parseLoadState,
  ],
  ["DFL", "log-format", "<format>", "Log format of streams.", parseLogFormatLine],
  ["DFLB", "log-tag", "<text>", "Tag of syslog headers.", parseLogTag],
  [
    "DFL",
    "maxconn",
    "<number>",
    "Most connections of the proxy.",
    integerInto("maxconn", "front", 0),
  ],
  [
    "DFLB",
    "mode",
    "{tcp|http|log|spop}",
    "Protocol: `tcp` is proxied; sections in other modes are not part of this release.",
    parseMode,
  ],
  ["DFL", "rate-limit sessions", "<number>", "Most new sessions a second.", parseRateLimit],
  [
    "DLB",
    "redispatch",
    "",
    "Old spelling of `option redispatch`.",
    oldWord("redispatch", "option redispatch", parseRedispatch),
  ],
  [
    "DLB",
    "retries",
    "<number>",
    "How often a connection to a server is tried again.",
    integerInto("retries", "back", 0),
  ],
  [
    "LB",
    "server",
    "<name> <address>[:[<port>]] [options]",
    "Adds a server.",
    needsBack(parseServerLine),
  ],
  [
    "DLB",
    "server-state-file-name",
    "[use-backend-name|<file>]",
    "Name of the backend's state file.",
    parseStateFileName,
  ],
  [
    "LB",
    "server-template",
    "<prefix> <number|range> <name>[:<port>] [options]",
    "Adds several servers of one name.",
    needsBack(parseServerTemplate),
  ],
  [
    "DLB",
    "source",
    "<address>[:<port>[-<port>]] [interface <name>]",
    "Address to connect to servers from.",
    parseSourceLine,
  ],
  [
    "DLB",
    "srvtcpka-cnt",
    "<number>",
    "Keep-alive probes without answer that end a server connection.",
    keepaliveInto("serverKeepalive", "count"),
  ],
  [
    "DLB",
    "srvtcpka-idle",
    "<time>",
    "Silence before the first keep-alive probe to a server.",
    keepaliveInto("serverKeepalive", "idleSeconds"),
  ],
  [
    "DLB",
    "srvtcpka-intvl",
    "<time>",
    "Time between keep-alive probes to a server.",
    keepaliveInto("serverKeepalive", "intervalSeconds"),
  ],
  [
    "DLB",
    "srvtimeout",
    "<time>",
    "Old spelling of `timeout server`.",
    oldWord("srvtimeout", "timeout server", timeoutInto("server", "back")),
  ],
  ["DLB", "timeout check", "<time>", "Longest check once connected.", timeoutInto("check", "back")],
  [
    "DFL",
    "timeout client",
    "<time>",
    "Longest silence of a client.",
    timeoutInto("client", "front"),
  ],
  [
    "DFL",
    "timeout client-fin",
    "<time>",
    "Longest silence of a client that is half closed.",
    timeoutInto("clientFin", "front"),
  ],
  [
    "DFL",
    "timeout client-hs",
    "<time>",
    "Longest handshake of a QUIC client (10s).",
    parseHandshakeTimeout,
  ],
  [
    "DLB",
    "timeout connect",
    "<time>",
    "Longest wait for a connection to a server.",
    timeoutInto("connect", "back"),
  ],
  [
    "DLB",
    "timeout queue",
    "<time>",
    "Longest wait for a free server.",
    timeoutInto("queue", "back"),
  ],
  [
    "DLB",
    "timeout server",
    "<time>",
    "Longest silence of a server.",
    timeoutInto("server", "back"),
  ],
  [
    "DLB",
    "timeout server-fin",
    "<time>",
    "Longest silence of a server that is half closed.",
    timeoutInto("serverFin", "back"),
  ],
  [
    "DLB",
    "timeout tunnel",
    "<time>",
    "Longest silence of both sides once data went both ways.",
    timeoutInto("tunnel", "back"),
  ],
  [
    "DFLB",
    "unique-id-format",
    "<format>",
    "Makes an identifier for each stream.",
    parseUniqueIdFormat,
  ],
  [
    "FL",
    "use_backend",
    "<backend>|<format> [{if|unless} <condition>]",
    "Chooses a backend.",
    parseUseBackend,
  ],
  ["LB", "use-server", "<server> {if|unless} <condition>", "Chooses a server.", parseUseServer],
];

/** The rows. */
export const PROXY_DONE: readonly Keyword<ProxyParser>[] = [
  ...ROWS.map(([letters, name, args, effect, parse]): Keyword<ProxyParser> => {
    const sections = proxySections(letters);
    return { name, sections, args, effect, reference: "4.2", state: "done", parse };
  }),
  {
    name: "log",
    sections: proxySections("DFLB"),
    args: "global | <target> [len <n>] [format <f>] [sample <r>:<n>] <facility> [max [min]]",
    effect: "Where the proxy logs to.",
    reference: "4.2",
    state: "done",
    invertible: true,
    parse: parseLog,
  },
  ...OUTLIER_ROWS,
];
