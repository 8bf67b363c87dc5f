/**
 * Syslog messages as text: the wire shapes of `log … format` (manual 4.2, `log`), and the framing
 * of streams (RFC 6587). What each looks like was compared with HAProxy. Pure, any thread.
 *
 * Dates are local times, as HAProxy's are; the text of a second is made once and kept.
 */
import { formatUtcOffset, MONTHS, pad2 } from "../base/calendar.ts";
import type { LogLevel, LogTarget } from "../tables/spec.ts";

/** Shape of a message on the wire. */
export type SyslogFormat = LogTarget["format"];

/** Who speaks. */
export type SyslogIdentity = {
  /** `log-tag`. */
  tag: string;
  pid: number;
  /** `log-send-hostname`; "" where it is not sent. */
  hostname: string;
};

/** Names of the severities, 0 = emerg. */
export const LEVEL_NAMES = [
  "emerg",
  "alert",
  "crit",
  "err",
  "warning",
  "notice",
  "info",
  "debug",
] as const;

/** Names of the facilities, 0 = kern. */
export const FACILITY_NAMES = [
  "kern",
  "user",
  "mail",
  "daemon",
  "auth",
  "syslog",
  "lpr",
  "news",
  "uucp",
  "cron",
  "auth2",
  "ftp",
  "ntp",
  "audit",
  "alert",
  "cron2",
  "local0",
  "local1",
  "local2",
  "local3",
  "local4",
  "local5",
  "local6",
  "local7",
] as const;

/** The system cannot be used. */
export const LEVEL_EMERG = 0;
/** Somebody must act now. */
export const LEVEL_ALERT = 1;
/** An error. */
export const LEVEL_ERR = 3;
/** A warning. */
export const LEVEL_WARNING = 4;
/** Normal, and worth knowing. */
export const LEVEL_NOTICE = 5;
/** For information: every connection. */
export const LEVEL_INFO = 6;

/**
 * Makes one message, without its end of line.
 * @param facility 0..23
 * @param micros date of the message, microseconds since the epoch
 */
export function encodeSyslog(
  format: SyslogFormat,
  facility: number,
  level: LogLevel,
  micros: number,
  identity: SyslogIdentity,
  text: string,
): string {
  const priority = facility * 8 + level;
  const { tag, pid, hostname } = identity;
  switch (format) {
    case "default": {
      const host = hostname === "" ? "" : `${hostname} `;
      return `<${priority}>${formatBsdDate(micros)} ${host}${tag}[${pid}]: ${text}`;
    }
    case "local":
      return `<${priority}>${formatBsdDate(micros)} ${tag}[${pid}]: ${text}`;
    case "rfc3164": {
      const host = hostname === "" ? "localhost" : hostname;
      return `<${priority}>${formatBsdDate(micros)} ${host} ${tag}[${pid}]: ${text}`;
    }
    case "rfc5424": {
      const host = hostname === "" ? "-" : hostname;
      return `<${priority}>1 ${formatIsoDate(micros)} ${host} ${tag} ${pid} - - ${text}`;
    }
    case "priority":
      return `<${priority}>${text}`;
    case "short":
      return `<${level}>${text}`;
    case "timed":
      return `<${level}>${formatIsoDate(micros)} ${text}`;
    case "iso":
      return `${formatIsoDate(micros)} ${text}`;
    case "raw":
      return text;
  }
}

/** How messages are told apart on a stream: RFC 6587 sections 3.4.1 and 3.4.2. */
export type SyslogFraming = "octet-count" | "newline";

/** Frames one message for a stream. */
export function frameSyslog(framing: SyslogFraming, message: string): string {
  if (framing === "newline") return `${message}\n`;
  return `${Buffer.byteLength(message)} ${message}`;
}

let bsdSecond = -1;
let bsdText = "";

/** `Nov  1 10:14:40`, local: RFC 3164 section 4.1.2. */
export function formatBsdDate(micros: number): string {
  const second = Math.floor(micros / 1_000_000);
  if (second === bsdSecond) return bsdText;
  const date = new Date(second * 1000);
  const day = date.getDate();
  bsdText =
    `${MONTHS[date.getMonth()]} ${day < 10 ? " " : ""}${day} ` +
    `${pad2(date.getHours())}:${pad2(date.getMinutes())}:${pad2(date.getSeconds())}`;
  bsdSecond = second;
  return bsdText;
}

let isoSecond = -1;
let isoHead = "";
let isoTail = "";

/** `2026-11-21T10:14:40.276632+00:00`, local: RFC 5424 section 6.2.3. */
export function formatIsoDate(micros: number): string {
  const second = Math.floor(micros / 1_000_000);
  if (second !== isoSecond) {
    const date = new Date(second * 1000);
    isoHead =
      `${date.getFullYear()}-${pad2(date.getMonth() + 1)}-${pad2(date.getDate())}` +
      `T${pad2(date.getHours())}:${pad2(date.getMinutes())}:${pad2(date.getSeconds())}.`;
    isoTail = formatUtcOffset(date, ":");
    isoSecond = second;
  }
  const rest = Math.floor(micros - second * 1_000_000);
  return isoHead + String(rest).padStart(6, "0") + isoTail;
}

/**
 * Shortens a message to `bytesMax` bytes of UTF-8, never inside a character.
 */
export function truncateMessage(message: string, bytesMax: number): string {
  // A UTF-16 unit is at most three bytes: most lines are known to fit without counting.
  if (message.length * 3 <= bytesMax || Buffer.byteLength(message) <= bytesMax) return message;
  const bytes = Buffer.from(message);
  let end = bytesMax;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}
