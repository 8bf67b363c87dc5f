/**
 * Statistics in words: the state of a server, a backend, a listener, the names of algorithms and
 * check results, addresses. As HAProxy prints them, since tools read them. Pure.
 */
import type { CheckCode } from "../../check/result.ts";
import { CHECK_REASONS } from "../../check/result.ts";
import { addressText as fullText } from "../../tables/address-text.ts";
import {
  SERVER_ADMIN_INHERITED_MAINT,
  SERVER_ADMIN_RESOLUTION_MAINT,
  SERVER_FLAG_EJECTED,
  SERVER_FLAG_STOPPING,
  SERVER_STATE_DOWN,
} from "../../tables/generated/enums.ts";
import type { Address, BalanceSpec, BindSpec, CheckSpec } from "../../tables/spec.ts";
import { ADMIN_DRAIN, isInMaintenance } from "../state-notices.ts";

/** What decides a server's status. */
export type StatusFacts = {
  /** SERVER_ADMIN_* bits. */
  admin: number;
  /** SERVER_STATE_*. */
  state: number;
  /** SERVER_FLAG_* bits. */
  flags: number;
  /** Checks that are in force, of the server or of the one that it tracks; undefined = none. */
  check: Pick<CheckSpec, "rise" | "fall"> | undefined;
  /** Their counter. */
  health: number;
  /** What is known of the agent, of the server or of the one that it tracks. */
  agent: "none" | "well" | "ill";
  /** `backend/server` at the end of the chain of tracked servers. */
  via: string;
};

/** `status` of a server. */
export function serverStatus(facts: StatusFacts): string {
  const { admin, state, flags, check, health, agent, via } = facts;
  if (isInMaintenance(admin)) {
    if ((admin & SERVER_ADMIN_INHERITED_MAINT) !== 0) return `MAINT (via ${via})`;
    return (admin & SERVER_ADMIN_RESOLUTION_MAINT) !== 0 ? "MAINT (resolution)" : "MAINT";
  }
  if (state === SERVER_STATE_DOWN) {
    if (agent === "ill") return "DOWN (agent)";
    if (check === undefined || health <= 0) return "DOWN";
    return `DOWN ${health}/${check.rise}`;
  }
  const isFull = check === undefined || health >= check.rise + check.fall - 1;
  const progress = isFull ? "" : ` ${health - check.rise + 1}/${check.fall}`;
  if ((admin & ADMIN_DRAIN) !== 0) return agent === "none" ? `DRAIN${progress}` : "DRAIN (agent)";
  if ((flags & SERVER_FLAG_EJECTED) !== 0) return "DRAIN (ejected)";
  if ((flags & SERVER_FLAG_STOPPING) !== 0) return `NOLB${progress}`;
  return check === undefined ? "no check" : `UP${progress}`;
}

/** Numbers of check results in `show servers state`; 1 = there was none yet. */
export const CHECK_NUMBERS: Record<CheckCode, number> = {
  UNK: 0,
  INI: 1,
  CHECKED: 3,
  HANA: 4,
  SOCKERR: 5,
  L4OK: 6,
  L4TOUT: 7,
  L4CON: 8,
  L6OK: 9,
  L6TOUT: 10,
  L6RSP: 11,
  L7TOUT: 12,
  L7RSP: 13,
  L7OK: 15,
  L7OKC: 16,
  L7STS: 17,
  PROCERR: 18,
  PROCTOUT: 19,
  PROCOK: 20,
};

/** `check_desc` of a result; undefined = there was none yet. */
export function checkMeaning(code: CheckCode | undefined): string {
  return code === undefined ? "Initializing" : CHECK_REASONS[code];
}

/** `algo` of a backend. */
export function algorithmName({ algorithm }: BalanceSpec): string {
  return algorithm;
}

/** `addr` of a server or listener: paths are not told. */
export function addressText(address: Address | undefined): string | undefined {
  if (address === undefined) return undefined;
  const { family } = address;
  return family === "unix" || family === "abns" ? "unix" : fullText(address);
}

/** `proto` of a listener. */
export function protocolName({ address, quic }: Pick<BindSpec, "address" | "quic">): string {
  if (quic !== undefined) return address.family === "ipv6" ? "quic6" : "quic4";
  switch (address.family) {
    case "ipv4":
      return "tcpv4";
    case "ipv6":
      return "tcpv6";
    case "unix":
      return "unix_stream";
    case "abns":
      return "abns_stream";
    case "fd":
      return "tcpv4";
  }
}

/** Text in CSV: in quotes when it holds a quote, a comma or a line end. */
export function csvText(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""').replace(/[\r\n]+/g, " ")}"` : text;
}
