/**
 * `stats socket`, `stats timeout` and `stats maxconn` of `global` (HAProxy manual 3.1): where the
 * runtime API listens and what its clients may do.
 */
import { parseAddress } from "../address.ts";
import { alertLine, hasArgs } from "../context.ts";
import type { Line } from "../context.ts";
import type { StatsSocketDraft } from "../draft.ts";
import { parseInteger, parseTime } from "../numbers.ts";
import { didYouMean } from "../suggest.ts";

const LEVELS = ["user", "operator", "admin"] as const;
const SEVERITIES = ["none", "number", "string"] as const;
const INTEGER_MAX = 2 ** 31 - 1;

/** Reads any of the three lines. */
export function parseStats(line: Line): void {
  const { global, proxies } = line.context;
  if (global.runtimePlace < 0) global.runtimePlace = proxies.length;
  if (line.keyword === "stats socket") parseSocket(line);
  else if (line.keyword === "stats timeout") parseTimeout(line);
  else parseMaxconn(line);
}

function parseTimeout(line: Line): void {
  if (!hasArgs(line, 1, 1, "a timeout value")) return;
  const value = parseTime(line.args[0] ?? "");
  if (value.ok) line.context.global.statsTimeoutMs = value.value;
  else alertLine(line, `'stats timeout' : ${value.message}`);
}

function parseMaxconn(line: Line): void {
  const value = parseInteger(line.args[0] ?? "", 1, INTEGER_MAX);
  if (value.ok && line.args.length === 1) line.context.global.statsMaxconn = value.value;
  else alertLine(line, "'stats maxconn' expects a positive value");
}

function parseSocket(line: Line): void {
  const { context, origin, args } = line;
  const where = args[0];
  if (where === undefined) {
    const what = "expects an address or a path to a UNIX socket";
    alertLine(line, `'stats socket' in global section ${what}`);
    return;
  }
  const address = parseAddress(where, {
    port: "mandatory",
    range: false,
    offset: false,
    transports: ["stream"],
    variables: context.environment.lookup,
  });
  if (!address.ok) {
    if (address.coming === true) context.coming(origin, `'stats socket ${where}'`, "this socket");
    else alertLine(line, `'stats socket' : ${address.message}`);
    return;
  }
  const { unixBind } = context.global;
  const socket: StatsSocketDraft = {
    configAddress: address.value,
    level: "operator",
    mode: unixBind.mode,
    uid: unixBind.uid,
    gid: unixBind.gid,
    exposeFd: false,
    maxconn: 0,
    backlog: 0,
    severityOutput: "none",
    origin,
  };
  if (parseOptions(line, socket)) context.global.statsSockets.push(socket);
}

/** Options that take no value, or whose value is not needed here. */
const IGNORED: Record<string, number> = {
  name: 1,
  id: 1,
  nice: 1,
  process: 1,
  thread: 1,
  shards: 1,
  v4v6: 0,
  v6only: 0,
  tfo: 0,
  transparent: 0,
  label: 1,
  "guid-prefix": 1,
};

function parseOptions(line: Line, socket: StatsSocketDraft): boolean {
  const { args } = line;
  for (let at = 1; at < args.length; at++) {
    const word = args[at] ?? "";
    const skip = IGNORED[word];
    if (skip !== undefined) {
      line.context.inert(line.origin, `stats socket … ${word}`);
      at += skip;
      continue;
    }
    const setter = SETTERS[word];
    if (setter === undefined) {
      const hint = didYouMean(word, [...Object.keys(SETTERS), ...Object.keys(IGNORED)]);
      alertLine(line, `'stats socket' : unknown keyword '${word}'${hint}`);
      return false;
    }
    at++;
    const value = args[at];
    const problem = value === undefined ? "missing value" : setter(socket, value, line);
    if (problem !== undefined) {
      alertLine(line, `'stats socket' : '${word}' : ${problem}`);
      return false;
    }
  }
  return true;
}

type Setter = (socket: StatsSocketDraft, value: string, line: Line) => string | undefined;

function setNumber(key: "uid" | "gid" | "maxconn" | "backlog"): Setter {
  return (socket, value) => {
    const number = parseInteger(value, 0, INTEGER_MAX);
    if (!number.ok) return number.message;
    socket[key] = number.value;
    return undefined;
  };
}

const SETTERS: Record<string, Setter> = {
  level: (socket, value) => {
    const level = LEVELS.find((name) => name === value);
    if (level === undefined) {
      return `only supports 'user', 'operator', and 'admin' (got '${value}')`;
    }
    socket.level = level;
    return undefined;
  },
  "severity-output": (socket, value) => {
    const severity = SEVERITIES.find((name) => name === value);
    if (severity === undefined) {
      return `only supports 'none', 'number', and 'string' (got '${value}')`;
    }
    socket.severityOutput = severity;
    return undefined;
  },
  mode: (socket, value) => {
    if (!/^[0-7]{1,4}$/u.test(value)) {
      return `missing or invalid mode '${value}' (octal integer expected)`;
    }
    socket.mode = Number.parseInt(value, 8);
    return undefined;
  },
  user: (socket, value, line) => {
    const uid = line.context.accounts.uidOf(value);
    if (uid === undefined) return `unknown user '${value}'`;
    socket.uid = uid;
    return undefined;
  },
  group: (socket, value, line) => {
    const gid = line.context.accounts.gidOf(value);
    if (gid === undefined) return `unknown group '${value}'`;
    socket.gid = gid;
    return undefined;
  },
  "expose-fd": (socket, value) => {
    if (value !== "listeners") return `only supports 'listeners' (got '${value}')`;
    socket.exposeFd = true;
    return undefined;
  },
  uid: setNumber("uid"),
  gid: setNumber("gid"),
  maxconn: setNumber("maxconn"),
  backlog: setNumber("backlog"),
};
