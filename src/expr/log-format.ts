/**
 * Log formats as functions: compiled once, run for each line (or for each name made at run time).
 *
 * What each alias prints at layer 4 was compared with HAProxy (`test/unit/expr`). Text from outside
 * cannot break a line: unprintable bytes become `#XX` (manual 8.6). Any thread.
 */
import { formatIp, IpAddress, writeIp } from "../base/address.ts";
import type { LogFlags, LogFormat, LogPart } from "../tables/expression.ts";
import type { LogContext } from "./context.ts";
import { compileSample } from "./fetch.ts";
import type { AddressField } from "./keyword.ts";
import { formatLocalMillis, formatLocalOffset, formatUtc } from "./log-dates.ts";
import { sampleText } from "./sample.ts";

/** A compiled format. */
export type LogFormatFunction = (context: LogContext) => string;

/** Compiles a format that `parseLogFormat` made. */
export function compileLogFormat(format: LogFormat): LogFormatFunction {
  const parts = format.parts.map(compilePart);
  return (context) => {
    let line = "";
    for (const part of parts) line += part(context);
    return line;
  };
}

function compilePart(part: LogPart): LogFormatFunction {
  switch (part.kind) {
    case "text": {
      const { text } = part;
      return () => text;
    }
    case "sample": {
      const fetch = compileSample(part.sample);
      const { flags } = part;
      return (context) => decorate(sampleText(fetch(context)), flags);
    }
    case "alias":
      return compileAlias(part.name, part.flags);
  }
}

const ESCAPED = /["\\\]]/g;
const UNPRINTABLE = /[^\x20-\x7e\x80-\uffff]/g;

/** Flags Q, E and M on a text; "" counts as missing. */
function decorate(text: string, flags: LogFlags): string {
  const end = text.indexOf("\0");
  const clean = escapeUnprintable(end < 0 ? text : text.slice(0, end));
  const escaped = flags.escape ? clean.replace(ESCAPED, "\\$&") : clean;
  if (flags.quote) return `"${escaped}"`;
  return escaped === "" && !flags.optional ? "-" : escaped;
}

/** Control characters as `#XX`, so that one line stays one line. */
export function escapeUnprintable(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (char) => `#${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

function hex4(value: number): string {
  return value.toString(16).toUpperCase().padStart(4, "0");
}

const address = new IpAddress();
const addressBytes = new Uint8Array(16);

/** `%ci`, `%fi`, `%bi`, `%si`: flag X prints the bytes, unquoted. */
function makeAddress(field: AddressField, flags: LogFlags): LogFormatFunction {
  return (context) => {
    if (context.isUnix(field)) return decorate("unix", flags);
    if (!context.address(field, address)) return decorate("", flags);
    if (!flags.hex) return decorate(formatIp(address), flags);
    const length = writeIp(address, addressBytes, 0);
    return Buffer.from(addressBytes.subarray(0, length)).toString("hex").toUpperCase();
  };
}

/** `%cp`, `%fp`, `%bp`, `%sp`. */
function makePort(field: AddressField, flags: LogFlags): LogFormatFunction {
  return (context) => {
    const port = context.port(field);
    if (port < 0) return flags.optional ? "" : "-";
    return flags.hex ? hex4(port) : String(port);
  };
}

function makeNumber(read: (context: LogContext) => number | undefined): LogFormatFunction {
  return (context) => String(read(context) ?? 0);
}

/** Times that were not reached are -1. */
function makeTime(read: (context: LogContext) => number | undefined): LogFormatFunction {
  return (context) => String(read(context) ?? -1);
}

/** Totals that may still grow are marked. */
function makeTotal(read: (context: LogContext) => number | undefined): LogFormatFunction {
  return (context) => `${context.isPartial() ? "+" : ""}${read(context) ?? 0}`;
}

function makeText(
  read: (context: LogContext) => string | undefined,
  flags: LogFlags,
): LogFormatFunction {
  return (context) => decorate(read(context) ?? "", flags);
}

function acceptedSeconds(context: LogContext): number {
  return Math.floor(context.acceptedMicros() / 1_000_000);
}

function acceptedMillis(context: LogContext): number {
  return Math.floor(context.acceptedMicros() / 1000) % 1000;
}

function compileAlias(name: string, flags: LogFlags): LogFormatFunction {
  return (
    compileAddressAlias(name, flags) ??
    compileTimeAlias(name, flags) ??
    compileTextAlias(name, flags) ??
    compileNumberAlias(name, flags)
  );
}

function compileAddressAlias(name: string, flags: LogFlags): LogFormatFunction | undefined {
  switch (name) {
    case "ci":
      return makeAddress("client", flags);
    case "cp":
      return makePort("client", flags);
    case "fi":
      return makeAddress("destination", flags);
    case "fp":
      return makePort("destination", flags);
    case "bi":
      return makeAddress("backSource", flags);
    case "bp":
      return makePort("backSource", flags);
    case "si":
      return makeAddress("backDestination", flags);
    case "sp":
      return makePort("backDestination", flags);
    default:
      return undefined;
  }
}

function compileTimeAlias(name: string, flags: LogFlags): LogFormatFunction | undefined {
  switch (name) {
    case "t":
      return (context) => formatLocalMillis(context.acceptedMicros());
    case "T":
      return (context) => formatUtc(acceptedSeconds(context));
    case "Tl":
      return (context) => formatLocalOffset(acceptedSeconds(context));
    case "Ts":
      return (context) => {
        const seconds = acceptedSeconds(context);
        return flags.hex ? hex4(seconds) : String(seconds);
      };
    case "ms":
      return (context) => {
        const millis = acceptedMillis(context);
        if (flags.hex) return millis.toString(16).toUpperCase().padStart(2, "0");
        return String(millis).padStart(3, "0");
      };
    case "Th":
      return makeTime((context) => context.integer("fc.timer.handshake"));
    case "Tw":
      return makeTime((context) => context.integer("req.timer.queue"));
    case "Tc":
      return makeTime((context) => context.integer("bc.timer.connect"));
    case "Td":
      return makeTime((context) => context.integer("res.timer.data"));
    case "Tt":
    case "Tu":
      return makeTotal((context) => context.integer("fc.timer.total"));
    default:
      return undefined;
  }
}

function compileTextAlias(name: string, flags: LogFlags): LogFormatFunction | undefined {
  switch (name) {
    case "f":
      return makeText((context) => context.text("fe_name"), flags);
    case "ft":
      return makeText((context) => {
        const text = context.text("fe_name");
        return text !== undefined && context.isFrontTls() ? `${text}~` : text;
      }, flags);
    case "b":
      // Without a backend HAProxy names the frontend.
      return makeText((context) => context.text("be_name") ?? context.text("fe_name"), flags);
    case "s":
      return makeText((context) => context.text("srv_name") ?? "<NOSRV>", flags);
    case "H":
      return makeText((context) => context.text("hostname"), flags);
    case "ID":
      return makeText((context) => context.text("unique-id"), flags);
    case "OG":
      return makeText((context) => context.origin(), flags);
    case "ts":
      return (context) => context.text("txn.sess_term_state") ?? "--";
    case "tsc":
      return (context) => `${context.text("txn.sess_term_state") ?? "--"}--`;
    case "sslc":
      return makeText((context) => context.text("ssl_fc_cipher"), flags);
    case "sslv":
      return makeText((context) => context.text("ssl_fc_protocol"), flags);
    // Captured headers: without HTTP there are none, and HAProxy prints nothing at all.
    case "hr":
    case "hrl":
    case "hs":
    case "hsl":
      return () => "";
    default:
      return undefined;
  }
}

function compileNumberAlias(name: string, flags: LogFlags): LogFormatFunction {
  switch (name) {
    case "B":
      return makeTotal((context) => context.integer("bytes_out"));
    case "U":
      return makeNumber((context) => context.integer("bytes_in"));
    case "ac":
      return makeNumber((context) => context.integer("act_conn"));
    case "fc":
      return makeNumber((context) => context.proxyInteger("fe_conn", ""));
    case "bc":
      return makeNumber((context) => context.proxyInteger("be_conn", ""));
    case "sc":
      return makeNumber((context) => context.serverInteger("srv_conn", "", ""));
    case "sq":
      return makeNumber((context) => context.integer("bc_srv_queue"));
    case "bq":
      return makeNumber((context) => context.integer("bc_be_queue"));
    case "rc":
      return (context) => {
        const mark = context.integer("txn.redispatched") === 1 ? "+" : "";
        return `${mark}${context.integer("txn.conn_retries") ?? 0}`;
      };
    case "lc":
      return makeNumber((context) => context.logCounter());
    case "rt":
    case "pid":
      return (context) => {
        const value = context.integer(name === "pid" ? "pid" : "txn.id32") ?? 0;
        return flags.hex ? hex4(value) : String(value);
      };
    case "ST":
      return () => "0";
    default:
      return () => "-";
  }
}
