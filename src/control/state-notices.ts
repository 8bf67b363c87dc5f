/**
 * What is said when the state of a server changes: HAProxy's sentences, in its order, from the
 * state before and after. Pure. Recorded from HAProxy (`test/unit/control/state-notices.test.ts`).
 */
import {
  SERVER_ADMIN_FORCED_DRAIN,
  SERVER_ADMIN_FORCED_MAINT,
  SERVER_ADMIN_INHERITED_DRAIN,
  SERVER_ADMIN_INHERITED_MAINT,
  SERVER_ADMIN_RESOLUTION_MAINT,
} from "../tables/generated/enums.ts";
import {
  serverDown,
  serverDownMaintenance,
  serverDrain,
  serverDrained,
  serverMaintenance,
  serverReady,
  serverResolves,
  serverStillDraining,
  serverStillMaintenance,
  serverStopping,
  serverUp,
} from "./logs/sentences.ts";
import type { Notice, ServerFacts } from "./logs/sentences.ts";

/** Health as HAProxy's operational states have it, besides the administrative state. */
export type Health = "down" | "stopping" | "up";

/** The two halves of a server's state. */
export type ServerState = {
  /** SERVER_ADMIN_* bits. */
  admin: number;
  health: Health;
};

/** Bits that mean maintenance; `disabled` of the configuration only says how it came to it. */
export const ADMIN_MAINT =
  SERVER_ADMIN_FORCED_MAINT | SERVER_ADMIN_INHERITED_MAINT | SERVER_ADMIN_RESOLUTION_MAINT;
/** Is a server with these administrative bits in maintenance? Drain alone is none. */
export function isInMaintenance(admin: number): boolean {
  return (admin & ADMIN_MAINT) !== 0;
}

/** Bits that mean drain. */
export const ADMIN_DRAIN = SERVER_ADMIN_FORCED_DRAIN | SERVER_ADMIN_INHERITED_DRAIN;

/**
 * The sentences for a change.
 * @param facts of the server after it
 * @param tracked `backend/server` that it tracks, for what is inherited
 * @param host its name, where DNS has given it an address again
 */
export function noticesOf(
  before: ServerState,
  after: ServerState,
  facts: ServerFacts,
  tracked: string | undefined,
  host?: string,
): Notice[] {
  const wasMaint = isInMaintenance(before.admin);
  const isMaint = isInMaintenance(after.admin);
  const bare = withoutWhy(facts);
  const inherited = tracked === undefined ? bare : { ...bare, via: tracked };
  if (isMaint && host !== undefined) {
    return [serverResolves(bare, host, { isUp: false, isDraining: false, stays: true })];
  }
  if (isMaint) return maintenanceNotices(before, after, facts, inherited);
  const isDraining = (after.admin & ADMIN_DRAIN) !== 0;
  const isForced = (after.admin & SERVER_ADMIN_FORCED_DRAIN) !== 0;
  const still = serverStillDraining(isForced ? bare : inherited, isForced);
  const isUp = after.health !== "down";
  if (wasMaint) {
    const wasForced = (before.admin & SERVER_ADMIN_FORCED_MAINT) !== 0;
    const ready =
      host === undefined
        ? serverReady(bare, isUp, isDraining, wasForced)
        : serverResolves(bare, host, { isUp, isDraining, stays: false });
    return isDraining ? [ready, still] : [ready];
  }
  const notices: Notice[] = [];
  const wasDraining = (before.admin & ADMIN_DRAIN) !== 0;
  if (before.health !== after.health) {
    notices.push(healthNotice(after.health, facts, before.health === "stopping" || wasDraining));
  }
  if (isDraining && wasDraining) notices.push(still);
  else if (isDraining) notices.push(serverDrain(facts, isUp));
  else if (wasDraining) notices.push(serverDrained(bare, isUp));
  return notices;
}

function maintenanceNotices(
  before: ServerState,
  after: ServerState,
  facts: ServerFacts,
  inherited: ServerFacts,
): Notice[] {
  if (!isInMaintenance(before.admin)) {
    if (before.health === "down") return [serverDownMaintenance(facts)];
    const wasStopping = before.health === "stopping" || (before.admin & ADMIN_DRAIN) !== 0;
    return [serverMaintenance(facts, wasStopping)];
  }
  const gone = before.admin & ~after.admin;
  if ((gone & SERVER_ADMIN_FORCED_MAINT) !== 0) return [serverStillMaintenance(inherited, false)];
  const isForced = (after.admin & SERVER_ADMIN_FORCED_MAINT) !== 0;
  if ((gone & SERVER_ADMIN_INHERITED_MAINT) !== 0 && isForced) {
    return [serverStillMaintenance(inherited, true)];
  }
  return [];
}

function healthNotice(health: Health, facts: ServerFacts, wasStopping: boolean): Notice {
  switch (health) {
    case "down":
      return serverDown(facts, wasStopping);
    case "stopping":
      return serverStopping(facts);
    case "up":
      return serverUp(facts);
  }
}

/** Facts for sentences that name no cause. */
function withoutWhy({
  via: _via,
  check: _check,
  cause: _cause,
  resolution: _resolution,
  ...rest
}: ServerFacts): ServerFacts {
  return rest;
}
