/**
 * The sentences of state changes, word for word as HAProxy logs them: tools and tests parse them.
 * Pure functions from facts to text. Recorded from HAProxy (`test/unit/control/logs`).
 */
import type { LogLevel } from "../../tables/spec.ts";
import {
  LEVEL_ALERT,
  LEVEL_EMERG,
  LEVEL_INFO,
  LEVEL_NOTICE,
  LEVEL_WARNING,
} from "../../wire/syslog.ts";

/** A sentence and its syslog level. */
export type Notice = {
  level: LogLevel;
  text: string;
  /** It is mailed too, where mails of this level are wanted (`email-alert level`). */
  mailLevel?: LogLevel;
};

/** The result of a health check, as far as it is told. */
export type CheckFacts = {
  /** `Layer4 connection problem`, `Layer4 check passed`, `Layer4 timeout`, … */
  reason: string;
  /** A code of the protocol checked, if it has one. */
  code?: number;
  /** What the system said: `Connection refused`. */
  info?: string;
  /** Milliseconds; undefined where the check did not run to an end. */
  durationMs?: number;
};

/** A server whose state has changed, and how its backend stands after that. */
export type ServerFacts = {
  backend: string;
  server: string;
  backup: boolean;
  /** Usable servers of the backend. */
  activeLeft: number;
  backupLeft: number;
  /** Streams on the server now. */
  sessions: number;
  /** Streams of its queue that were sent elsewhere. */
  requeued: number;
  /** Streams still waiting in the backend. */
  queued: number;
  /** `backend/server` that this one tracks, when that is why. */
  via?: string;
  /** The check that decided it; left out when `option log-health-checks` has told it already. */
  check?: CheckFacts;
  /** Who, if not a check: `changed from CLI`. */
  cause?: string;
  /** What DNS said of its name: `DNS NX status`, `entry removed from SRV record`, … */
  resolution?: string;
};

/** `Server b/s`, `Backup Server b/s`. */
export function subject(facts: ServerFacts): string {
  return `${facts.backup ? "Backup " : ""}Server ${facts.backend}/${facts.server}`;
}

function why(facts: ServerFacts): string {
  if (facts.resolution !== undefined) return ` (${facts.resolution})`;
  if (facts.via !== undefined) return ` via ${facts.via}`;
  if (facts.check !== undefined) return `, ${describeCheck(facts.check)}`;
  return facts.cause === undefined ? "" : `, ${facts.cause}`;
}

/** `reason: Layer4 check passed, check duration: 0ms`. */
export function describeCheck(check: CheckFacts): string {
  let text = `reason: ${check.reason}`;
  if (check.code !== undefined) text += `, code: ${check.code}`;
  if (check.info !== undefined) text += `, info: "${check.info}"`;
  if (check.durationMs !== undefined) text += `, check duration: ${check.durationMs}ms`;
  return text;
}

/** What is left after a server has gone: servers, and streams on it. */
export function left(facts: ServerFacts): string {
  const { activeLeft, backupLeft } = facts;
  const onBackup = activeLeft === 0 && backupLeft > 0 ? " Running on backup." : "";
  return (
    ` ${activeLeft} active and ${backupLeft} backup servers left.${onBackup}` +
    ` ${facts.sessions} sessions active, ${facts.requeued} requeued,` +
    ` ${facts.queued} remaining in queue.`
  );
}

/** What there is after a server has come. */
export function online(facts: ServerFacts): string {
  const { activeLeft, backupLeft } = facts;
  const onBackup = activeLeft === 0 && backupLeft > 0 ? " Running on backup." : "";
  return (
    ` ${activeLeft} active and ${backupLeft} backup servers online.${onBackup}` +
    ` ${facts.requeued} sessions requeued, ${facts.queued} total in queue.`
  );
}

/**
 * A check, a tracked server or the runtime API brought it down.
 * @param wasStopping it took no new streams before: less of a surprise
 */
export function serverDown(facts: ServerFacts, wasStopping = false): Notice {
  const level = wasStopping ? LEVEL_NOTICE : LEVEL_ALERT;
  const text = `${subject(facts)} is DOWN${why(facts)}.${left(facts)}`;
  return { level, text, mailLevel: level };
}

/** It is usable again. */
export function serverUp(facts: ServerFacts): Notice {
  const text = `${subject(facts)} is UP${why(facts)}.${online(facts)}`;
  return { level: LEVEL_NOTICE, text, mailLevel: LEVEL_NOTICE };
}

/** A check that says "no new streams" (404 and the like), or the runtime API. */
export function serverStopping(facts: ServerFacts): Notice {
  const text = `${subject(facts)} is stopping${why(facts)}.${online(facts)}`;
  return { level: LEVEL_NOTICE, text };
}

/**
 * `set server … state maint`, or its address cannot be resolved.
 * @param wasStopping it took no new streams before
 */
export function serverMaintenance(facts: ServerFacts, wasStopping = false): Notice {
  const text = `${subject(facts)} is going DOWN for maintenance${why(facts)}.${left(facts)}`;
  return { level: wasStopping ? LEVEL_NOTICE : LEVEL_ALERT, text };
}

/** Maintenance of a server that was down anyway. */
export function serverDownMaintenance(facts: ServerFacts): Notice {
  const text = `${subject(facts)} was DOWN and now enters maintenance${why(facts)}.`;
  return { level: LEVEL_NOTICE, text };
}

/**
 * One reason for maintenance is gone, another stays.
 * @param isForced what stays is its own; else that of the server it tracks
 */
export function serverStillMaintenance(facts: ServerFacts, isForced: boolean): Notice {
  const what = isForced
    ? "remains in forced maintenance"
    : `is leaving forced maintenance but remains in maintenance${why(facts)}`;
  return { level: LEVEL_NOTICE, text: `${subject(facts)} ${what}.` };
}

/** The same of the drain mode, told too when anything else changes in it. */
export function serverStillDraining(facts: ServerFacts, isForced: boolean): Notice {
  const what = isForced
    ? "remains in forced drain mode"
    : `is leaving forced drain but remains in drain mode${why(facts)}`;
  return { level: LEVEL_NOTICE, text: `${subject(facts)} ${what}.` };
}

/**
 * Maintenance is over.
 * @param isUp it is usable at once
 * @param isDraining it was set to drain meanwhile
 * @param isForced it was its own maintenance, not that of the server it tracks
 */
export function serverReady(
  facts: ServerFacts,
  isUp: boolean,
  isDraining: boolean,
  isForced: boolean,
): Notice {
  const state = `${isUp ? "UP" : "DOWN"}/${isDraining ? "DRAIN" : "READY"}`;
  const kind = isForced ? "forced maintenance" : "maintenance";
  return { level: LEVEL_NOTICE, text: `${subject(facts)} is ${state} (leaving ${kind}).` };
}

/**
 * Its name has an address again.
 * @param stays it is in maintenance for another reason
 */
export function serverResolves(
  facts: ServerFacts,
  host: string,
  state: { isUp: boolean; isDraining: boolean; stays: boolean },
): Notice {
  const { isUp, isDraining, stays } = state;
  const text = stays
    ? "resolves again but remains in maintenance."
    : `is ${isUp ? "UP" : "DOWN"}/${isDraining ? "DRAIN" : "READY"} (resolves again).`;
  return { level: LEVEL_NOTICE, text: `${subject(facts)} ('${host}') ${text}` };
}

/** `set server … state drain`, or weight 0 by an agent. */
export function serverDrain(facts: ServerFacts, isUp = true): Notice {
  const rest = isUp ? online(facts) : left(facts);
  const text = `${subject(facts)} enters drain state${why(facts)}.${rest}`;
  return { level: LEVEL_NOTICE, text, mailLevel: LEVEL_NOTICE };
}

/** Draining is over. */
export function serverDrained(facts: ServerFacts, isUp: boolean): Notice {
  const state = isUp ? "UP" : "DOWN";
  return { level: LEVEL_NOTICE, text: `${subject(facts)} is ${state} (leaving forced drain).` };
}

/** How a check went. */
export type CheckVerdict = "succeeded" | "conditionally succeeded" | "failed";

/** How far the counter of a check is. */
export type CheckProgress = {
  counted: number;
  needed: number;
  /** What the counter says, whatever the server is. */
  isUp: boolean;
  /** The server's weight is not 0. */
  hasWeight: boolean;
};

/** `option log-health-checks`: one result. @param word of a check, or of an agent */
export function healthCheck(
  facts: Pick<ServerFacts, "backend" | "server" | "backup">,
  check: CheckFacts,
  verdict: CheckVerdict,
  { counted, needed, isUp, hasWeight }: CheckProgress,
  word: "Health" | "Agent" = "Health",
): Notice {
  const who = `${facts.backup ? "backup " : ""}server ${facts.backend}/${facts.server}`;
  const state = isUp ? (hasWeight ? "UP" : "DRAIN") : "DOWN";
  const status = `status: ${counted}/${needed} ${state}`;
  const text = `${word} check for ${who} ${verdict}, ${describeCheck(check)}, ${status}.`;
  return { level: LEVEL_NOTICE, text, mailLevel: LEVEL_INFO };
}

/** What HAProxy calls a proxy in sentences: a `listen` is a proxy. */
export type ProxySection = "frontend" | "backend" | "listen";

function sectionWord(section: ProxySection): string {
  return section === "listen" ? "proxy" : section;
}

/** The last usable server is gone. */
export function noServer(section: ProxySection, name: string): Notice {
  const text = `${sectionWord(section)} ${name} has no server available!`;
  return { level: LEVEL_EMERG, text };
}

/** A proxy has ended, with the connections it has seen on either side. */
export function proxyStopped(name: string, front: number, back: number): Notice {
  const text = `Proxy ${name} stopped (cumulated conns: FE: ${front}, BE: ${back}).`;
  return { level: LEVEL_WARNING, text };
}

/** `disable frontend`. */
export function frontendPaused(name: string, section: ProxySection = "frontend"): Notice {
  return { level: LEVEL_WARNING, text: `Paused ${sectionWord(section)} ${name}.` };
}

/** `enable frontend`. */
export function frontendResumed(name: string, section: ProxySection = "frontend"): Notice {
  return { level: LEVEL_WARNING, text: `Resumed ${sectionWord(section)} ${name}.` };
}
