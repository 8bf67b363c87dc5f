/**
 * One line of `show servers state`: version 1 of the format that HAProxy's server state files have
 * (management manual 9.3). Whoever writes such a file uses the same lines.
 */
import type { CheckResult } from "../../check/result.ts";
import { hasPassed } from "../../check/result.ts";
import { STATE_LINE_FIELDS } from "../../config/state-file.ts";
import {
  SERVER_ADMIN_CONFIG_MAINT,
  SERVER_FLAG_AGENT_OFF,
  SERVER_FLAG_CHECKS_OFF,
  SERVER_FLAG_STOPPING,
  SERVER_STATE_DOWN,
  SERVER_STATE_MAINT,
} from "../../tables/generated/enums.ts";
import * as row from "../../tables/generated/server.ts";
import type { Address, ServerSpec } from "../../tables/spec.ts";
import type { ServerObject } from "../model.ts";
import { isInMaintenance } from "../state-notices.ts";
import type { Statistics } from "./statistics.ts";
import { CHECK_NUMBERS } from "./words.ts";

/** The two lines in front. */
export const SERVER_STATE_HEADER = `1\n# ${STATE_LINE_FIELDS.join(" ")}\n`;

/** Operational states (srv_op_state). */
const OP_STOPPED = 0;
const OP_STARTING = 1;
const OP_RUNNING = 2;
const OP_STOPPING = 3;

/** In srv_admin_state: the name was set at run time. */
const NAME_SET = 0x40;

/** States of a check (srv_check_state), bits. */
const CHECK_RUNNING = 1;
const CHECK_CONFIGURED = 2;
const CHECK_ENABLED = 4;
const CHECK_PAUSED = 8;
const CHECK_AGENT = 16;

/** Results of a check (srv_check_result). */
const RESULT_UNKNOWN = 0;
const RESULT_FAILED = 2;
const RESULT_PASSED = 3;
const RESULT_CONDITIONAL = 4;

/** How names and addresses are told. */
export type Naming = { name(name: string): string; address(address: string): string };

/** As they are. */
export const PLAIN_NAMES: Naming = { name: (name) => name, address: (address) => address };

/** The line of a server, with its newline. `statistics.begin` has been called. */
export function serverStateLine(
  statistics: Statistics,
  server: ServerObject,
  naming: Naming = PLAIN_NAMES,
): string {
  const { tables, parts, nowMs } = statistics;
  const { words } = tables.servers;
  const { row: at, spec, backend } = server;
  const changedAtMs = parts.keeper.records.get(server)?.changedAtMs ?? parts.keeper.startedAtMs;
  const result = parts.checks.recordOf(server)?.result;
  const { check, agent } = spec;
  return `${[
    backend.spec.id,
    naming.name(backend.spec.name),
    spec.id,
    naming.name(spec.name),
    hostOf(spec.address, naming),
    operationalState(words, at),
    words[at + row.SERVER_ADMIN_STATE]! | (isNameSet(server) ? NAME_SET : 0),
    words[at + row.SERVER_WEIGHT]!,
    words[at + row.SERVER_CONFIG_WEIGHT]!,
    Math.max(0, Math.floor((nowMs - changedAtMs) / 1000)),
    result === undefined ? 1 : CHECK_NUMBERS[result.code],
    parts.checks.isProbing(server) ? RESULT_UNKNOWN : resultNumber(result),
    checkHealth(words, server),
    checkState(statistics, server),
    agentState(statistics, server),
    backend.spec.isIdForced === true ? 1 : 0,
    spec.isIdForced === true ? 1 : 0,
    spec.hostName === undefined ? "-" : naming.name(spec.hostName),
    // As HAProxy writes it: 16 bits of what is added to the client's port.
    spec.portMode === "offset" ? spec.portOffset & 0xffff : portOfServer(spec),
    spec.serviceName === undefined ? "-" : naming.name(spec.serviceName),
    spec.quic === undefined ? 0 : 1,
    check.port,
    hostOf(check.address, naming),
    hostOf(agent.address, naming),
    agent.port,
  ].join(" ")}\n`;
}

/** Its name is another one than the configuration's: an operator's, or of its SRV record. */
function isNameSet({ spec, configured }: ServerObject): boolean {
  return spec.hostName !== undefined && spec.hostName !== configured.hostName;
}

/** That of its address; without one, that of the address that its name will give. */
function portOfServer({ address, namePort = 0 }: ServerSpec): number {
  return address === undefined ? namePort : portOf(address);
}

function operationalState(words: Int32Array, at: number): number {
  const state = words[at + row.SERVER_STATE]!;
  if (state === SERVER_STATE_DOWN || state === SERVER_STATE_MAINT) return OP_STOPPED;
  if ((words[at + row.SERVER_FLAGS]! & SERVER_FLAG_STOPPING) !== 0) return OP_STOPPING;
  return words[at + row.SERVER_THROTTLE]! === 0 ? OP_RUNNING : OP_STARTING;
}

/** The counter: 0 in maintenance; of a server without checks that of one that is up. */
function checkHealth(words: Int32Array, { row: at, spec }: ServerObject): number {
  if (isInMaintenance(words[at + row.SERVER_ADMIN_STATE]!)) return 0;
  return spec.check.enabled ? words[at + row.SERVER_HEALTH]! : spec.check.rise;
}

function checkState({ tables, parts }: Statistics, server: ServerObject): number {
  const { words } = tables.servers;
  const admin = words[server.row + row.SERVER_ADMIN_STATE]!;
  const isMaint = isInMaintenance(admin);
  const paused = isMaint ? CHECK_PAUSED : 0;
  if (!server.spec.check.enabled) {
    return (admin & SERVER_ADMIN_CONFIG_MAINT) !== 0 ? paused : 0;
  }
  const isOff = (words[server.row + row.SERVER_FLAGS]! & SERVER_FLAG_CHECKS_OFF) !== 0;
  const running = parts.checks.isProbing(server) ? CHECK_RUNNING : 0;
  return CHECK_CONFIGURED | (isOff ? 0 : CHECK_ENABLED) | paused | running;
}

/** Agents are asked in maintenance, too. */
function agentState({ tables, parts }: Statistics, server: ServerObject): number {
  if (!server.spec.agent.enabled) return 0;
  const isOff =
    (tables.servers.words[server.row + row.SERVER_FLAGS]! & SERVER_FLAG_AGENT_OFF) !== 0;
  const running = parts.checks.isAgentProbing(server) ? CHECK_RUNNING : 0;
  return CHECK_AGENT | CHECK_CONFIGURED | (isOff ? 0 : CHECK_ENABLED) | running;
}

function resultNumber(result: CheckResult | undefined): number {
  if (result === undefined) return RESULT_UNKNOWN;
  if (result.code === "L7OKC") return RESULT_CONDITIONAL;
  return hasPassed(result) ? RESULT_PASSED : RESULT_FAILED;
}

/** Address without port; `-` where there is none, or none that a file could hold. */
export function hostOf(address: Address | undefined, naming: Naming): string {
  const isIp = address?.family === "ipv4" || address?.family === "ipv6";
  return isIp ? naming.address(address.host) : "-";
}

/** Port; 0 where there is none. */
export function portOf(address: Address | undefined): number {
  return address?.family === "ipv4" || address?.family === "ipv6" ? address.port : 0;
}
