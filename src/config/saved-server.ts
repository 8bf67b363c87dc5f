/**
 * One line of a server state file against the server that the configuration has now: what of it
 * applies (HAProxy manual 4.2, `load-server-state-from-file`). Where the configuration was changed
 * since, the configuration counts; what was changed at run time stays otherwise. Pure.
 */
import { formatIp, IpAddress, parseIp } from "../base/address.ts";
import type { Address, SavedServerSpec, ServerSpec } from "../tables/spec.ts";
import type { SavedLine } from "./state-file.ts";

/** Bits of `srv_admin_state`. */
const FORCED_MAINT = 1;
const CONFIG_MAINT = 4;
const FORCED_DRAIN = 8;
/** The name was set at run time. */
const NAME_SET = 0x40;
/** Recomputed at the start: inherited states, name resolution, names set at run time. */
const RECOMPUTED = 0x02 | 0x10 | 0x20 | NAME_SET;
/** Combinations that a server can be in. */
const ADMIN_STATES: ReadonlySet<number> = new Set([
  0,
  FORCED_MAINT,
  CONFIG_MAINT,
  FORCED_MAINT | CONFIG_MAINT,
  FORCED_DRAIN,
  FORCED_DRAIN | CONFIG_MAINT,
]);

/** Values of `srv_op_state`. */
const STOPPED = 0;
const STARTING = 1;
const STOPPING = 3;

/** Bits of `srv_check_state`. */
const CHECK_CONFIGURED = 2;
const CHECK_ENABLED = 4;
const CHECK_STATE_MAX = 0x1f;

const WEIGHT_MAX = 256;
const PORT_MAX = 65535;
const CHECK_STATUS_MAX = 31;
const CHECK_RESULT_MAX = 4;
const HOST_NAME_MAX = 254;

/** What a line does to a server. `spec` is the server's own where nothing in it changes. */
export type Applied = { spec: ServerSpec; saved: SavedServerSpec; warnings: string[] };

/**
 * Applies a line.
 * @param backend name of the server's backend
 * @returns or the fields that are no valid values, as HAProxy lists them: `, invalid … value '…'`
 */
export function applySavedLine(
  backend: string,
  spec: ServerSpec,
  line: SavedLine,
): Applied | string {
  const values = readValues(line);
  if (typeof values === "string") return values;
  const { opState, admin, uweight, iweight, sinceSeconds, checkState, agentState } = values;
  const isConfigured = spec.disabled;
  const wasConfigured = (admin & CONFIG_MAINT) !== 0;
  const wasForced = (admin & FORCED_MAINT) !== 0;
  // `disabled` came or went: the configuration says. It stayed: what was asked at run time counts.
  const isMaint = isConfigured === wasConfigured ? wasForced : isConfigured;
  const drains = (admin & FORCED_DRAIN) !== 0 && (iweight > 0 || spec.weight === 0);
  const isOff = (state: number): boolean =>
    (state & CHECK_CONFIGURED) !== 0 && (state & CHECK_ENABLED) === 0;
  const isAgentOff = isOff(agentState) && spec.agent.enabled;
  const isStopping = opState === STOPPING && spec.check.fall > 1;
  const isDown = opState === STOPPED || (opState === STOPPING && !isStopping);
  const isOut = wasForced || wasConfigured;
  return {
    ...withAddresses(backend, spec, line, !isAgentOff),
    saved: {
      backend,
      server: spec.name,
      isForcedMaint: isMaint && !drains,
      isForcedDrain: drains,
      // Maintenance shows as down: what the server was before is not in the file.
      health: isDown && !isOut ? "down" : isStopping ? "stopping" : "up",
      areChecksOff: isOff(checkState) && spec.check.enabled,
      isAgentOff,
      checkStatus: values.checkStatus,
      ...(iweight === spec.weight ? { weight: uweight } : {}),
      sinceChangeSeconds: sinceSeconds,
      ...(opState === STARTING ? { isStarting: true as const } : {}),
    },
  };
}

type Values = {
  opState: number;
  admin: number;
  uweight: number;
  iweight: number;
  sinceSeconds: number;
  checkStatus: number;
  checkState: number;
  agentState: number;
};

/** The numbers of a line, or what is wrong with all of them together. */
function readValues(line: SavedLine): Values | string {
  let problems = "";
  const wrong = (field: string, text: string): number => {
    problems += `, invalid ${field} value '${text}'`;
    return 0;
  };
  const number = (field: string, text: string, max: number): number => {
    const value = /^\d{1,15}$/u.test(text) ? Number(text) : Number.NaN;
    return value <= max ? value : wrong(field, text);
  };
  const opState = number("srv_op_state", line.srv_op_state, STOPPING);
  const adminText = line.srv_admin_state;
  const bits = /^\d{1,9}$/u.test(adminText) ? Number(adminText) & ~RECOMPUTED : -1;
  const admin = ADMIN_STATES.has(bits) ? bits : wrong("srv_admin_state", adminText);
  const uweight = number("srv_uweight", line.srv_uweight.replace(/%$/u, ""), WEIGHT_MAX);
  const iweight = number("srv_iweight", line.srv_iweight, WEIGHT_MAX);
  const since = line.srv_time_since_last_change;
  const sinceSeconds = number("srv_last_time_change", since, Number.MAX_SAFE_INTEGER);
  const checkStatus = number("srv_check_status", line.srv_check_status, CHECK_STATUS_MAX);
  number("srv_check_result", line.srv_check_result, CHECK_RESULT_MAX);
  number("srv_check_health", line.srv_check_health, Number.MAX_SAFE_INTEGER);
  const checkState = number("srv_check_state", line.srv_check_state, CHECK_STATE_MAX);
  const agentState = number("srv_agent_state", line.srv_agent_state, CHECK_STATE_MAX);
  number("bk_f_forced_id", line.bk_f_forced_id, 1);
  number("srv_f_forced_id", line.srv_f_forced_id, 1);
  if (!isFqdn(line.srv_fqdn)) wrong("srv_fqdn", line.srv_fqdn);
  if (line.srv_port !== "-") number("srv_port", line.srv_port, PORT_MAX);
  if (problems !== "") return problems;
  const checks = { checkStatus, checkState, agentState };
  return { opState, admin, uweight, iweight, sinceSeconds, ...checks };
}

function isFqdn(text: string): boolean {
  return text === "-" || (text.length <= HOST_NAME_MAX && /^[A-Za-z0-9._-]+$/u.test(text));
}

/** Addresses and ports, of the checks too, as they were changed at run time. */
function withAddresses(
  backend: string,
  spec: ServerSpec,
  line: SavedLine,
  isAgentOn: boolean,
): { spec: ServerSpec; warnings: string[] } {
  const checked = withCheckPlace(backend, withPlace(spec, line), line);
  const agent = withAgentPlace(backend, checked.spec, line, isAgentOn);
  return { spec: agent.spec, warnings: [...checked.warnings, ...agent.warnings] };
}

function withPlace(spec: ServerSpec, line: SavedLine): ServerSpec {
  const named = withName(spec, line);
  const address = withPort(named, Number(line.srv_port));
  return address === undefined ? named : { ...named, address, ...namePortOf(named, address) };
}

type Warned = { spec: ServerSpec; warnings: string[] };

function partly(backend: string, spec: ServerSpec, why: string): Warned {
  const what = `server-state partially applied for server '${backend}/${spec.name}'`;
  return { spec, warnings: [`${what}, ${why}`] };
}

function withCheckPlace(backend: string, spec: ServerSpec, line: SavedLine): Warned {
  const port = savedPort(line.srv_check_port);
  const address = savedTarget(line.srv_check_addr, port);
  if (port === 0 && address === undefined) return { spec, warnings: [] };
  if (!spec.check.enabled) {
    return partly(backend, spec, "health checks are not enabled on this server");
  }
  const place = { ...(port > 0 ? { port } : {}), ...(address === undefined ? {} : { address }) };
  return { spec: { ...spec, check: { ...spec.check, ...place } }, warnings: [] };
}

/** The same of its agent, where that is asked. */
function withAgentPlace(
  backend: string,
  spec: ServerSpec,
  line: SavedLine,
  isAgentOn: boolean,
): Warned {
  const port = savedPort(line.srv_agent_port);
  const address = savedTarget(line.srv_agent_addr, 0);
  if (port === 0 && address === undefined) return { spec, warnings: [] };
  if (!spec.agent.enabled || !isAgentOn) {
    return partly(backend, spec, "agent checks are not enabled on this server");
  }
  const place = { ...(port > 0 ? { port } : {}), ...(address === undefined ? {} : { address }) };
  return { spec: { ...spec, agent: { ...spec.agent, ...place } }, warnings: [] };
}

/** 0 = none. */
function savedPort(text: string): number {
  const port = /^\d{1,5}$/u.test(text) ? Number(text) : 0;
  return port > PORT_MAX ? 0 : port;
}

/** A name that was set at run time goes on, with the address that it stood for. */
function withName(spec: ServerSpec, line: SavedLine): ServerSpec {
  const name = line.srv_fqdn;
  if (spec.serviceName !== undefined) return withRecord(spec, line);
  const isSet = (Number(line.srv_admin_state) & NAME_SET) !== 0 && name !== "-";
  if (!isSet || spec.hostName === undefined || spec.hostName === name) return spec;
  const { address: _old, ...rest } = spec;
  const last = lastAddress(line);
  if (last === undefined) return { ...rest, hostName: name };
  const port = spec.namePort ?? 0;
  const family = last.family === 4 ? "ipv4" : "ipv6";
  return { ...rest, hostName: name, address: { family, host: last.host, port } };
}

/** The SRV record that a server was filled from goes on, with its address where that may. */
function withRecord(spec: ServerSpec, line: SavedLine): ServerSpec {
  const { address, ...rest } = spec;
  const namePort = line.srv_port === "-" ? 0 : Number(line.srv_port);
  if (line.srvrecord !== spec.serviceName || line.srv_fqdn === "-" || namePort === 0) return rest;
  const known = address === undefined ? {} : { address };
  return { ...rest, ...known, hostName: line.srv_fqdn, namePort };
}

/** The server's address with another port, where it has one of its own. */
function withPort(spec: ServerSpec, port: number): Address | undefined {
  const { address, portMode } = spec;
  if (address?.family !== "ipv4" && address?.family !== "ipv6") return undefined;
  if (portMode !== "fixed" || !(port > 0) || port === address.port) return undefined;
  return { ...address, port };
}

function savedTarget(host: string, port: number): Address | undefined {
  const ip = new IpAddress();
  if (host === "-" || !parseIp(host, ip) || ip.family === 0) return undefined;
  return { family: ip.family === 4 ? "ipv4" : "ipv6", host: formatIp(ip), port };
}

/** An address that a server had before the start. `port` is of use where its records say it. */
export type LastAddress = { family: 4 | 6; host: string; port: number };

/** The address that a server had last (`init-addr last`); undefined when the line has none. */
export function lastAddress(line: SavedLine): LastAddress | undefined {
  const ip = new IpAddress();
  if (!parseIp(line.srv_addr, ip) || ip.family === 0) return undefined;
  const port = /^\d{1,5}$/u.test(line.srv_port) ? Number(line.srv_port) : 0;
  return { family: ip.family, host: formatIp(ip), port: port > PORT_MAX ? 0 : port };
}

/** What a name's addresses get as their port from now on. */
function namePortOf({ namePort }: ServerSpec, address: Address): Pick<ServerSpec, "namePort"> {
  return namePort === undefined || !("port" in address) ? {} : { namePort: address.port };
}
