/**
 * Results of checks by connecting: HAProxy's codes (management manual 9.1, `check_status`) and the
 * sentences of its log.
 */
import { escapeUnprintable } from "../../expr/log-format.ts";

/**
 * `L4OK` passed, `L4CON` refused or unreachable, `L4TOUT` no answer, `SOCKERR` our own fault,
 * `HANA` judged by real traffic. Of QUIC, where the handshake is what is checked: `L6OK` passed,
 * `L6TOUT` begun and not finished in time, `L6RSP` not to be trusted or spoken with.
 */
export type CheckCode =
  "L4OK" | "L4CON" | "L4TOUT" | "L6OK" | "L6TOUT" | "L6RSP" | "SOCKERR" | "HANA";

/** One result. `info`: what the system said. */
export type CheckResult = { code: CheckCode; info?: string };

/** What the log calls a result. */
export const CHECK_REASONS: Record<CheckCode, string> = {
  L4OK: "Layer4 check passed",
  L4CON: "Layer4 connection problem",
  L4TOUT: "Layer4 timeout",
  L6OK: "Layer6 check passed",
  L6TOUT: "Layer6 timeout",
  L6RSP: "Layer6 invalid response",
  SOCKERR: "Socket error",
  HANA: "Health analyze",
};

/** A result in a server's own words: whatever they are, they stay on one line of a log or table. */
export function inItsWords(code: CheckCode, words: string): CheckResult {
  return { code, info: escapeUnprintable(words) };
}

/** Is the server well? */
export function hasPassed({ code }: CheckResult): boolean {
  return code === "L4OK" || code === "L6OK";
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

/** What the log says of a result besides its reason. @param isTcpCheck `option tcp-check` */
export function infoOf(result: CheckResult, isTcpCheck: boolean): string | undefined {
  if (!isTcpCheck || hasPassed(result) || result.code === "HANA") return result.info;
  return `${result.info ?? ""} at initial connection step of tcp-check`;
}
