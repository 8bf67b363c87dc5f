/**
 * The registry of environment flags (`SLUICE_…`): names, types, defaults, what each does, and how
 * its value is read. `--help`, `docs/environment.md` and the parser come from it. A bad value stops
 * the start; a name that is not in the registry is warned about. `X_FILE` reads the value of flag
 * `X` from a file. Precedence: command line, environment, file, default.
 */
import { WORKERS_MAX } from "../base/limits.ts";
import type { SluiceSpec } from "../tables/spec.ts";
import type { Message } from "./message.ts";
import { parsed, parseInteger, parseSize, parseTime, refused } from "./numbers.ts";
import type { Parsed } from "./numbers.ts";
import { didYouMean } from "./suggest.ts";

/** One server of `SLUICE_SERVERS`. */
export type FlagServer = { name: string; address: string; options: string[] };

/** Values of the flags that are set. A key that is absent was not set. */
export type SluiceFlags = {
  config?: string;
  bind?: string[];
  servers?: FlagServer[];
  tlsCert?: string;
  tlsAuthorities?: string;
  alpn?: string;
  balance?: string;
  /** 0 = one per usable core. */
  workers?: number;
  maxconn?: number;
  bufsize?: number;
  timeoutConnect?: number;
  timeoutClient?: number;
  timeoutServer?: number;
  statsSocket?: string;
  statsLevel?: "user" | "operator" | "admin";
  logLevel?: SluiceSpec["logLevel"];
  logFormat?: SluiceSpec["logFormat"];
  sendProxy?: 1 | 2;
  acceptProxy?: boolean;
  pidfile?: string;
  stateFile?: string;
  /** ms */
  stateInterval?: number;
  skipComing?: boolean;
  loop?: "native" | "bun";
  native?: "on" | "off";
};

/** One row of the registry. */
export type Flag = {
  name: string;
  /** What a value looks like. */
  type: string;
  /** What holds when the flag is not set. */
  default: string;
  /** What it does, in full sentences. */
  doc: string;
  /** Reads a value into `flags`; answers what is wrong. */
  read: (text: string, flags: SluiceFlags) => string | undefined;
};

const INTEGER_MAX = 2 ** 31 - 1;

/** Applies a parsed value, or answers why there is none. */
function take<T>(result: Parsed<T>, set: (value: T) => void): string | undefined {
  if (!result.ok) return result.message;
  set(result.value);
  return undefined;
}

function oneOf<T extends string>(text: string, words: readonly T[]): Parsed<T> {
  const found = words.find((word) => word === text);
  if (found !== undefined) return parsed(found);
  const list = words.map((word) => `'${word}'`).join(", ");
  return refused(`'${text}' is none of ${list}${didYouMean(text, words)}`);
}

function notEmpty(text: string): Parsed<string> {
  return text === "" ? refused("the value is empty") : parsed(text);
}

function parseSwitch(text: string): Parsed<boolean> {
  const word = text.toLowerCase();
  if (["1", "true", "yes", "on"].includes(word)) return parsed(true);
  if (["0", "false", "no", "off", ""].includes(word)) return parsed(false);
  return refused(`'${text}' is neither 1 nor 0 (true, false, yes, no, on, off)`);
}

function parseList(text: string): Parsed<string[]> {
  const parts = text.split(",").map((part) => part.trim());
  return parts.some((part) => part === "") ? refused("an entry is empty") : parsed(parts);
}

const SERVER_OPTION =
  /^(?:weight=\d+|maxconn=\d+|check|backup|verify=(?:none|required)|sni=[A-Za-z0-9_.-]+)$/u;

/** `[name=]address[;option…]`, separated by commas. */
function parseServers(text: string): Parsed<FlagServer[]> {
  const list = parseList(text);
  if (!list.ok) return list;
  const servers: FlagServer[] = [];
  for (const [index, entry] of list.value.entries()) {
    const [head = "", ...options] = entry.split(";").map((part) => part.trim());
    const match = /^(?:([A-Za-z0-9_:.-]+)=)?(.+)$/u.exec(head);
    if (match === null) return refused(`'${entry}' has no address`);
    const bad = options.find((option) => !SERVER_OPTION.test(option));
    if (bad !== undefined) {
      const known = "weight=N, maxconn=N, check, backup, verify=none|required and sni=NAME";
      return refused(`'${bad}' is no server option; known are ${known}`);
    }
    servers.push({ name: match[1] ?? `s${index + 1}`, address: match[2] ?? "", options });
  }
  return parsed(servers);
}

function parseTimeout(text: string): Parsed<number> {
  const time = parseTime(text);
  return time.ok && time.value === 0 ? parsed(-1) : time;
}

const LOG_LEVELS = ["debug", "info", "notice", "warning", "error"] as const;
const LOG_FORMATS = ["json", "tcplog", "off"] as const;
const LEVELS = ["user", "operator", "admin"] as const;

/** All flags, in the order of the documents. */
export const FLAGS: readonly Flag[] = [
  {
    name: "SLUICE_CONFIG",
    type: "file or folder",
    default: "none",
    doc:
      "Configuration to read when the command line names none (`-f`). Of a folder, " +
      "all `*.cfg` files in the order of their names.",
    read: (text, flags) => take(notEmpty(text), (value) => (flags.config = value)),
  },
  {
    name: "SLUICE_BIND",
    type: "address:port[,…]",
    default: "none",
    doc:
      "Listens on these addresses. Together with `SLUICE_SERVERS` this makes " +
      "a frontend and a backend, both named `sluice`, without any file or beside " +
      "those of the file. Prefixes are those of `bind`; `quic4@` and `quic6@` listen for QUIC, " +
      "with the certificates of `SLUICE_TLS_CERT`.",
    read: (text, flags) => take(parseList(text), (value) => (flags.bind = value)),
  },
  {
    name: "SLUICE_SERVERS",
    type:
      "[name=]address:port[;weight=N][;maxconn=N][;check][;backup]" +
      "[;verify=none|required][;sni=NAME][,…]",
    default: "none",
    doc:
      "Servers of the backend `sluice`. Without a name a server is called `s1`, `s2` and so on. " +
      "`quic4@` and `quic6@` before an address reach it by QUIC: `verify` (by default " +
      "`required`) and `sni` are for those.",
    read: (text, flags) => take(parseServers(text), (value) => (flags.servers = value)),
  },
  {
    name: "SLUICE_TLS_CERT",
    type: "file or folder",
    default: "none",
    doc:
      "Certificates, with their keys, of the QUIC listeners of `SLUICE_BIND`, as after `crt`: " +
      "of a folder, all its files.",
    read: (text, flags) => take(notEmpty(text), (value) => (flags.tlsCert = value)),
  },
  {
    name: "SLUICE_TLS_CA",
    type: "file, folder or `@system-ca`",
    default: "`@system-ca`",
    doc: "Authorities that certificates of the QUIC servers of `SLUICE_SERVERS` must come from.",
    read: (text, flags) => take(notEmpty(text), (value) => (flags.tlsAuthorities = value)),
  },
  {
    name: "SLUICE_ALPN",
    type: "protocol[,…]",
    default: "`h3` towards clients, none towards servers",
    doc:
      "Protocols that are agreed upon with QUIC clients of `SLUICE_BIND` and QUIC servers of " +
      "`SLUICE_SERVERS`, the preferred one first.",
    read: (text, flags) => take(notEmpty(text), (value) => (flags.alpn = value)),
  },
  {
    name: "SLUICE_BALANCE",
    type: "algorithm",
    default: "what the file says, else `roundrobin`",
    doc: "How a server is chosen, as after `balance`, in every backend.",
    read: (text, flags) => take(notEmpty(text), (value) => (flags.balance = value)),
  },
  {
    name: "SLUICE_WORKERS",
    type: "`auto` or a number",
    default: "`auto`: one per usable core",
    doc: "Number of workers; wins over `nbthread`.",
    read: (text, flags) => {
      const number = text === "auto" ? parsed(0) : parseInteger(text, 1, WORKERS_MAX);
      return take(number, (value) => (flags.workers = value));
    },
  },
  {
    name: "SLUICE_MAXCONN",
    type: "number",
    default: "what the file says, else from the limit of descriptors",
    doc: "Most connections of the process; wins over `maxconn` of `global`.",
    read: (text, flags) =>
      take(parseInteger(text, 1, INTEGER_MAX), (value) => (flags.maxconn = value)),
  },
  {
    name: "SLUICE_BUFSIZE",
    type: "size (`16384`, `64k`)",
    default: "what the file says, else 262144",
    doc: "Bytes that a stream may hold in one direction; wins over `tune.bufsize`.",
    read: (text, flags) => take(parseSize(text, 1024), (value) => (flags.bufsize = value)),
  },
  {
    name: "SLUICE_TIMEOUT_CONNECT",
    type: "time (`5s`, `500ms`)",
    default: "what the file says, else `5s` for the backend `sluice`",
    doc: "Longest wait for a connection to a server, in every backend; 0 is for ever.",
    read: (text, flags) => take(parseTimeout(text), (value) => (flags.timeoutConnect = value)),
  },
  {
    name: "SLUICE_TIMEOUT_CLIENT",
    type: "time",
    default: "what the file says, else `50s` for the frontend `sluice`",
    doc: "Longest silence of a client, in every frontend; 0 is for ever.",
    read: (text, flags) => take(parseTimeout(text), (value) => (flags.timeoutClient = value)),
  },
  {
    name: "SLUICE_TIMEOUT_SERVER",
    type: "time",
    default: "what the file says, else `50s` for the backend `sluice`",
    doc: "Longest silence of a server, in every backend; 0 is for ever.",
    read: (text, flags) => take(parseTimeout(text), (value) => (flags.timeoutServer = value)),
  },
  {
    name: "SLUICE_STATS_SOCKET",
    type: "path or address:port",
    default: "none",
    doc: "Adds a socket for runtime commands.",
    read: (text, flags) => take(notEmpty(text), (value) => (flags.statsSocket = value)),
  },
  {
    name: "SLUICE_STATS_LEVEL",
    type: "`user`, `operator` or `admin`",
    default: "`admin`",
    doc: "What clients of that socket may do.",
    read: (text, flags) => take(oneOf(text, LEVELS), (value) => (flags.statsLevel = value)),
  },
  {
    name: "SLUICE_LOG_LEVEL",
    type: "`debug`, `info`, `notice`, `warning` or `error`",
    default: "`info`",
    doc: "Least severe messages that the program itself prints.",
    read: (text, flags) => take(oneOf(text, LOG_LEVELS), (value) => (flags.logLevel = value)),
  },
  {
    name: "SLUICE_LOG_FORMAT",
    type: "`json`, `tcplog` or `off`",
    default: "`json`",
    doc: "How streams of proxies without a `log` line are written to standard output.",
    read: (text, flags) => take(oneOf(text, LOG_FORMATS), (value) => (flags.logFormat = value)),
  },
  {
    name: "SLUICE_SEND_PROXY",
    type: "`v1` or `v2`",
    default: "what the file says, else none",
    doc: "Sends a PROXY protocol header to every server.",
    read: (text, flags) =>
      take(oneOf(text, ["v1", "v2"]), (value) => (flags.sendProxy = value === "v1" ? 1 : 2)),
  },
  {
    name: "SLUICE_ACCEPT_PROXY",
    type: "0 or 1",
    default: "what the file says, else 0",
    doc: "Expects a PROXY protocol header from every client, on every listener but those of QUIC.",
    read: (text, flags) => take(parseSwitch(text), (value) => (flags.acceptProxy = value)),
  },
  {
    name: "SLUICE_PIDFILE",
    type: "file",
    default: "what the file says, else none",
    doc: "File to write the process number to; wins over `pidfile`.",
    read: (text, flags) => take(notEmpty(text), (value) => (flags.pidfile = value)),
  },
  {
    name: "SLUICE_STATE_FILE",
    type: "file",
    default: "none",
    doc:
      "File that keeps what was changed at run time across restarts: read at the start, written " +
      "while the process runs and at its end. See `state.md`.",
    read: (text, flags) => take(notEmpty(text), (value) => (flags.stateFile = value)),
  },
  {
    name: "SLUICE_STATE_INTERVAL",
    type: "time (`5s`, `500ms`)",
    default: "`5s`",
    doc:
      "Shortest time between two writes of the state file while things change; 0 writes it only " +
      "at the end of the process, and when `save state` asks for it.",
    read: (text, flags) => take(parseTime(text), (value) => (flags.stateInterval = value)),
  },
  {
    name: "SLUICE_SKIP_COMING",
    type: "0 or 1",
    default: "0",
    doc:
      "Skips, with a warning each, the words of the configuration that are known " +
      "and not built yet, where a start would otherwise be refused. Traffic then " +
      "flows without what they ask for.",
    read: (text, flags) => take(parseSwitch(text), (value) => (flags.skipComing = value)),
  },
  {
    name: "SLUICE_LOOP",
    type: "native or bun",
    default: "native",
    doc:
      "Event loop of the workers: their own, or that of Bun's sockets, which costs more " +
      "CPU and needs nothing of the native part.",
    read: (text, flags) =>
      take(oneOf(text, ["native", "bun"] as const), (value) => (flags.loop = value)),
  },
  {
    name: "SLUICE_NATIVE",
    type: "on or off",
    default: "on",
    doc:
      "Whether the native part is used where it was built. Without it workers bind their " +
      "own sockets, and socket options, `fd@` and cancelled connects are not to be had.",
    read: (text, flags) =>
      take(oneOf(text, ["on", "off"] as const), (value) => (flags.native = value)),
  },
];

/** The flags that are set in `environment`, and what is wrong with them. Never throws. */
export function readFlags(
  environment: Readonly<Record<string, string | undefined>>,
  readText: (path: string) => string | undefined,
): { flags: SluiceFlags; messages: Message[] } {
  const flags: SluiceFlags = {};
  const messages: Message[] = [];
  const alert = (text: string): void => {
    messages.push({ severity: "alert", text });
  };
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith("SLUICE_") || value === undefined) continue;
    const { flag, text, problem } = findFlag(name, value, environment, readText);
    if (flag === undefined) {
      const known = FLAGS.map((candidate) => candidate.name);
      const hint = didYouMean(name, known);
      messages.push({ severity: "warning", text: `environment : '${name}' is no flag${hint}` });
    } else if (problem !== undefined) {
      alert(`environment : '${name}' : ${problem}.`);
    } else {
      const wrong = flag.read(text, flags);
      if (wrong !== undefined) alert(`environment : '${name}' : ${wrong} (expects ${flag.type}).`);
    }
  }
  if (flags.servers !== undefined && flags.bind === undefined) {
    alert("environment : 'SLUICE_SERVERS' needs 'SLUICE_BIND'.");
  }
  if (flags.bind !== undefined && flags.servers === undefined) {
    alert("environment : 'SLUICE_BIND' needs 'SLUICE_SERVERS'.");
  }
  return { flags, messages };
}

type Found = { flag: Flag | undefined; text: string; problem?: string };

/** The flag that a variable sets, directly or by `_FILE`, and its text. */
function findFlag(
  name: string,
  value: string,
  environment: Readonly<Record<string, string | undefined>>,
  readText: (path: string) => string | undefined,
): Found {
  const direct = FLAGS.find((flag) => flag.name === name);
  if (direct !== undefined) return { flag: direct, text: value };
  const base = name.endsWith("_FILE") ? name.slice(0, -"_FILE".length) : "";
  const flag = FLAGS.find((candidate) => candidate.name === base);
  if (flag === undefined) return { flag, text: "" };
  if (environment[base] !== undefined) {
    return { flag, text: "", problem: `'${base}' is set as well` };
  }
  const text = readText(value);
  if (text === undefined) return { flag, text: "", problem: `cannot read file '${value}'` };
  return { flag, text: text.replace(/\r?\n$/u, "") };
}
