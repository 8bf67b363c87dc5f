/**
 * The words after `log`: `log global`, or a target with its length, format, sample, facility and
 * levels (HAProxy manual 4.2, `log`). Shared by `global` and the proxy sections.
 */
import { LOG_LINE_BYTES_MAX } from "../base/limits.ts";
import type { LogLevel, LogTarget } from "../tables/spec.ts";
import { FACILITY_NAMES, LEVEL_NAMES } from "../wire/syslog.ts";
import { parseAddress } from "./address.ts";
import { alertLine } from "./context.ts";
import type { Line } from "./context.ts";
import type { LogDraft, LogSinkDraft } from "./draft.ts";
import { parseInteger } from "./numbers.ts";
import { didYouMean } from "./suggest.ts";

/** Shapes of log lines. */
export const LOG_FORMATS: readonly LogTarget["format"][] = [
  "local",
  "rfc3164",
  "rfc5424",
  "priority",
  "short",
  "timed",
  "iso",
  "raw",
];

const LENGTH_DEFAULT = 1024;
const LENGTH_MIN = 80;
const SYSLOG_PORT = 514;

/** Reads a `log` line; undefined after an error, which is reported. */
export function parseLogLine(line: Line): LogDraft | undefined {
  const { args, origin } = line;
  if (args[0] === "global" && args.length === 1) return { kind: "global", origin };
  const where = args[0];
  if (where === undefined || (args.length < 2 && where !== "global")) {
    alertLine(line, "log : expects <address> and <facility> or global as arguments");
    return undefined;
  }
  const sink = parseSink(line, where);
  if (sink === undefined) return undefined;
  const options = parseOptions(line);
  if (options === undefined) return undefined;
  const { rest, ...settings } = options;
  const levels = parseLevels(line, rest);
  if (levels === undefined) return undefined;
  return { kind: "target", origin, sink, target: { ...settings, ...levels } };
}

function parseSink(line: Line, where: string): LogSinkDraft | undefined {
  if (where === "stdout") return { kind: "fd", fd: 1 };
  if (where === "stderr") return { kind: "fd", fd: 2 };
  if (where.startsWith("ring@") || where.startsWith("backend@")) {
    line.context.coming(line.origin, `'log ${where}'`, "this log line");
    return undefined;
  }
  const result = parseAddress(where, {
    port: "optional",
    range: false,
    offset: false,
    transports: ["datagram", "stream"],
    variables: line.context.environment.lookup,
  });
  if (!result.ok) {
    if (result.coming === true) line.context.coming(line.origin, `'log ${where}'`, "this log line");
    else alertLine(line, `log : ${result.message}`);
    return undefined;
  }
  const address = result.value;
  if (address.kind === "fd") return { kind: "fd", fd: address.fd };
  if (address.kind === "ip" || address.kind === "name") {
    if (address.portMode === "absent") address.portLow = SYSLOG_PORT;
  }
  return { kind: "address", written: where, address };
}

type Options = Pick<LogTarget, "format" | "lengthMax" | "sample"> & { rest: readonly string[] };

/** `len`, `format` and `sample`, in this order, then the rest. */
function parseOptions(line: Line): Options | undefined {
  const { args } = line;
  const options: Options = { format: "default", lengthMax: LENGTH_DEFAULT, rest: [] };
  let at = 1;
  for (; at < args.length; at += 2) {
    const word = args[at];
    const value = args[at + 1] ?? "";
    if (word === "len") {
      const length = parseInteger(value, LENGTH_MIN, LOG_LINE_BYTES_MAX);
      if (!length.ok) {
        const range = `must be between ${LENGTH_MIN} and ${LOG_LINE_BYTES_MAX}`;
        alertLine(line, `log : invalid log length '${value}', ${range}`);
        return undefined;
      }
      options.lengthMax = length.value;
    } else if (word === "format") {
      const format = LOG_FORMATS.find((name) => name === value);
      if (format === undefined) {
        const hint = didYouMean(value, LOG_FORMATS);
        alertLine(line, `log : unknown log format '${value}'${hint}`);
        return undefined;
      }
      options.format = format;
    } else if (word === "sample") {
      const sample = parseSampling(value);
      if (sample === undefined) {
        alertLine(line, `log : invalid sample '${value}', expects <ranges>:<size>`);
        return undefined;
      }
      options.sample = sample;
    } else if (word === "profile") {
      line.context.coming(line.origin, "'log … profile'", "the profile");
    } else {
      break;
    }
  }
  options.rest = args.slice(at);
  return options;
}

/** `1,3-5:10`: which lines of every 10 are sent. */
function parseSampling(text: string): NonNullable<LogTarget["sample"]> | undefined {
  const match = /^([\d,-]+):(\d+)$/u.exec(text);
  if (match === null) return undefined;
  const size = Number(match[2]);
  const ranges: { from: number; to: number }[] = [];
  for (const part of (match[1] ?? "").split(",")) {
    const range = /^(\d+)(?:-(\d+))?$/u.exec(part);
    if (range === null) return undefined;
    const from = Number(range[1]);
    const to = Number(range[2] ?? range[1]);
    if (from < 1 || to < from || to > size) return undefined;
    ranges.push({ from, to });
  }
  return size >= 1 ? { ranges, size } : undefined;
}

type Levels = Pick<LogTarget, "facility" | "levelMax" | "levelMin">;

/** `<facility> [max [min]]`. */
function parseLevels(line: Line, words: readonly string[]): Levels | undefined {
  const [name = "", max = "debug", min = "emerg", extra] = words;
  const facility = FACILITY_NAMES.findIndex((word) => word === name);
  if (facility < 0) {
    alertLine(line, `log : unknown log facility '${name}'${didYouMean(name, FACILITY_NAMES)}`);
    return undefined;
  }
  const levelMax = parseLogLevel(max);
  const levelMin = parseLogLevel(min);
  if (levelMax === undefined) {
    alertLine(line, `log : unknown optional log level '${max}'${didYouMean(max, LEVEL_NAMES)}`);
    return undefined;
  }
  if (levelMin === undefined) {
    const hint = didYouMean(min, LEVEL_NAMES);
    alertLine(line, `log : unknown optional minimum log level '${min}'${hint}`);
    return undefined;
  }
  if (extra !== undefined) {
    alertLine(line, `log : cannot handle unexpected argument '${extra}'.`);
    return undefined;
  }
  return { facility, levelMax, levelMin };
}

/** A level by name, or undefined. */
function parseLogLevel(name: string): LogLevel | undefined {
  switch (name) {
    case "emerg":
      return 0;
    case "alert":
      return 1;
    case "crit":
      return 2;
    case "err":
      return 3;
    case "warning":
      return 4;
    case "notice":
      return 5;
    case "info":
      return 6;
    case "debug":
      return 7;
    default:
      return undefined;
  }
}
