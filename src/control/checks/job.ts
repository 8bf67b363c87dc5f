/** What the thread of checks is told about a server: where to ask, what, and when. Pure. */
import type { CheckSchedule } from "../../check/checker.ts";
import type { CheckJob, CheckNames, CheckTarget, ProbeProgram } from "../../check/probe.ts";
import type { Address, CheckProgramSpec } from "../../tables/spec.ts";
import type { ServerObject } from "../model.ts";

/** Which of a server's two checks. */
export type CheckKind = CheckSchedule["kind"];

/** A check as it is to be. */
export type CheckPlan = { schedule: CheckSchedule; job: CheckJob };

/** An agent is ill at its first "no", and well again at its first "yes". */
const AGENT_COUNT = 1;

/**
 * The check of a server; undefined when it is not to be checked, or has no address.
 * @param kind `check`, or `agent`: the program beside it
 */
export function checkPlan(server: ServerObject, kind: CheckKind): CheckPlan | undefined {
  const { spec, backend } = server;
  if (backend.spec.disabled) return undefined;
  const { timeouts } = backend.spec;
  const common = {
    kind,
    onError: spec.onError,
    connectMs: timeouts.connect,
    checkMs: timeouts.check,
  };
  if (kind === "agent") {
    const { agent } = spec;
    const address = agent.address ?? spec.address;
    if (!agent.enabled || address === undefined) return undefined;
    const { intervalMs } = agent;
    const times = { intervalMs, fastIntervalMs: intervalMs, downIntervalMs: intervalMs };
    return {
      schedule: { ...common, ...times, rise: AGENT_COUNT, fall: AGENT_COUNT },
      job: {
        target: targetOf(server, withPort(address, agent.port), 0),
        program: { kind: "agent", send: agent.send },
      },
    };
  }
  const { check } = spec;
  if (!check.enabled) return undefined;
  const program = programOf(server);
  const base = check.address ?? spec.address;
  if (base === undefined) return undefined;
  const { intervalMs, fastIntervalMs, downIntervalMs, rise, fall } = check;
  const port = check.port > 0 ? check.port : portOf(spec.address);
  const target = targetOf(server, withPort(base, port), headerOf(server));
  if (check.tls !== undefined && spec.quic === undefined) target.tls = check.tls;
  if (check.stepTls !== undefined) target.stepTls = check.stepTls;
  if (spec.quic !== undefined) target.quic = spec.quic;
  return {
    schedule: { ...common, intervalMs, fastIntervalMs, downIntervalMs, rise, fall },
    job: { target, program },
  };
}

/** Of QUIC servers the handshake is what is checked, or a program that is run. */
function programOf({ spec, backend }: ServerObject): ProbeProgram {
  const program: CheckProgramSpec = spec.check.program ?? backend.spec.checkProgram;
  return spec.quic === undefined || program.kind === "external" ? program : { kind: "connect" };
}

function headerOf({ spec }: ServerObject): CheckTarget["proxyHeader"] {
  return spec.check.sendProxy ? (spec.sendProxy?.version ?? 1) : 0;
}

function targetOf(
  server: ServerObject,
  address: Address,
  proxyHeader: CheckTarget["proxyHeader"],
): CheckTarget {
  const { spec, backend } = server;
  const source = spec.source ?? backend.spec.source;
  return {
    address,
    proxyHeader,
    mark: spec.mark,
    tos: spec.tos,
    names: namesOf(server),
    ...(source === undefined ? {} : { source }),
  };
}

function namesOf({ spec, backend, row }: ServerObject): CheckNames {
  const proxyAddress = backend.spec.binds[0]?.address;
  return {
    backend: backend.spec.name,
    backendId: backend.spec.id,
    server: spec.name,
    serverId: spec.id,
    maxconn: spec.maxconn,
    rise: spec.check.rise,
    fall: spec.check.fall,
    serverRow: row,
    backendRow: backend.row,
    ...(spec.address === undefined ? {} : { serverAddress: spec.address }),
    ...(proxyAddress === undefined ? {} : { proxyAddress }),
  };
}

function portOf(address: Address | undefined): number {
  return address?.family === "ipv4" || address?.family === "ipv6" ? address.port : 0;
}

function withPort(address: Address, port: number): Address {
  const isIp = address.family === "ipv4" || address.family === "ipv6";
  return isIp && port > 0 ? { ...address, port } : address;
}
