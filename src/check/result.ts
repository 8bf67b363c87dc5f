/**
 * Results of checks by connecting: HAProxy's codes (management manual 9.1, `check_status`) and the
 * sentences of its log.
 */
import { escapeUnprintable } from "../expr/log-format.ts";

/**
 * `L4…` the connection, `L6…` TLS or QUIC's handshake, `L7…` the protocol, `PROC…` a program,
 * `SOCKERR` our own fault, `HANA` judged by real traffic. `L7OKC`: well, but no new traffic wanted.
 * `CHECKED`: an agent has answered and said nothing about health.
 */
export type CheckCode =
  | "UNK"
  | "INI"
  | "HANA"
  | "SOCKERR"
  | "L4OK"
  | "L4TOUT"
  | "L4CON"
  | "L6OK"
  | "L6TOUT"
  | "L6RSP"
  | "L7OK"
  | "L7OKC"
  | "L7TOUT"
  | "L7RSP"
  | "L7STS"
  | "PROCERR"
  | "PROCTOUT"
  | "PROCOK"
  | "CHECKED";

/** One result. */
export type CheckResult = {
  code: CheckCode;
  /** What the protocol said: the status of HTTP, the exit code of a program (`check_code`). */
  number?: number;
  /** What the system, the server or the step said (`last_chk`): one line, printable. */
  info?: string;
  /** Of an agent: what it orders. */
  orders?: AgentOrders;
};

/** What an agent's words ask for (manual 5.2 `agent-check`). What it did not say is left out. */
export type AgentOrders = {
  /** Percent of the configured weight (`75%`, `weight:75%`), or a weight (`weight:10`). */
  weight?: { percent: number } | { absolute: number };
  maxconn?: number;
  admin?: "ready" | "drain" | "maint";
  health?: "up" | "down" | "failed" | "stopped";
};

/** What the log and `check_desc` call a result (management manual 9.1). */
export const CHECK_REASONS: Record<CheckCode, string> = {
  UNK: "Unknown",
  INI: "Initializing",
  HANA: "Health analyze",
  SOCKERR: "Socket error",
  L4OK: "Layer4 check passed",
  L4TOUT: "Layer4 timeout",
  L4CON: "Layer4 connection problem",
  L6OK: "Layer6 check passed",
  L6TOUT: "Layer6 timeout",
  L6RSP: "Layer6 invalid response",
  L7OK: "Layer7 check passed",
  L7OKC: "Layer7 check conditionally passed",
  L7TOUT: "Layer7 timeout",
  L7RSP: "Layer7 invalid response",
  L7STS: "Layer7 wrong status",
  PROCERR: "External check error",
  PROCTOUT: "External check timeout",
  PROCOK: "External check passed",
  CHECKED: "No status change",
};

/** All codes, by CHECK_CODE_* of the tables. */
export const CHECK_CODES: readonly CheckCode[] = [
  "UNK",
  "INI",
  "HANA",
  "SOCKERR",
  "L4OK",
  "L4TOUT",
  "L4CON",
  "L6OK",
  "L6TOUT",
  "L6RSP",
  "L7OK",
  "L7OKC",
  "L7TOUT",
  "L7RSP",
  "L7STS",
  "PROCERR",
  "PROCTOUT",
  "PROCOK",
  "CHECKED",
];

const PASSED: ReadonlySet<CheckCode> = new Set(["L4OK", "L6OK", "L7OK", "L7OKC", "PROCOK"]);

/** A result in a server's own words: whatever they are, they stay on one line of a log or table. */
export function inItsWords(code: CheckCode, words: string): CheckResult {
  return { code, info: escapeUnprintable(words) };
}

/** Results of those who have a number to tell: what they did not say is 0. */
const NUMBERED: ReadonlySet<CheckCode> = new Set([
  "L7OK",
  "L7OKC",
  "L7STS",
  "PROCERR",
  "PROCTOUT",
  "PROCOK",
]);

/** The number that logs and statistics show of a result (`code:`, `check_code`), if they do. */
export function shownNumber({ code, number }: CheckResult): number | undefined {
  return NUMBERED.has(code) ? (number ?? 0) : undefined;
}

/** Is the server well? */
export function hasPassed({ code }: CheckResult): boolean {
  return PASSED.has(code);
}

/** Error numbers of Linux by the name that the runtime reports. */
const ERRNO: Record<string, number> = {
  EACCES: 13,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ECONNREFUSED: 111,
  ECONNRESET: 104,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EMFILE: 24,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENFILE: 23,
  ENOENT: 2,
  EPERM: 1,
  ETIMEDOUT: 110,
};

/** EADDRINUSE, EADDRNOTAVAIL, EACCES: what bind(2) says of a source address. */
const SOURCE_FAULTS = new Set([98, 99, 13]);

/** The number of an error name; 0 when it is not known. */
export function errnoOf(name: string): number {
  return ERRNO[name] ?? 0;
}

/** A connection that was begun and failed. @param describe the system's sentence */
export function failureOf(errno: number, describe: (errno: number) => string): CheckResult {
  return errno === 0 ? { code: "L4CON" } : { code: "L4CON", info: describe(errno) };
}

/** A connection that could not even be begun. @param hasSource it was to be bound to an address */
export function refusalOf(
  errno: number,
  hasSource: boolean,
  describe: (errno: number) => string,
): CheckResult {
  if (hasSource && SOURCE_FAULTS.has(errno)) {
    return { code: "L4CON", info: `Can't bind to source address (${describe(errno)})` };
  }
  return { code: "SOCKERR", info: `General socket error (${describe(errno)})` };
}
