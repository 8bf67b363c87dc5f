/**
 * Servers begin as a server state file says (`load-server-state-from-file`): what `config` read of
 * it goes into rows before any worker looks at them, and into the checks once they run. Main
 * thread, at the start only.
 */
import { refreshBackend } from "../../balance/refresh.ts";
import { CHECK_CODES } from "../../check/result.ts";
import {
  SERVER_ADMIN_FORCED_DRAIN,
  SERVER_ADMIN_FORCED_MAINT,
  SERVER_FLAG_AGENT_OFF,
  SERVER_FLAG_CHECKS_OFF,
  SERVER_FLAG_DOWN,
  SERVER_FLAG_STOPPING,
} from "../../tables/generated/enums.ts";
import {
  SERVER_ADMIN_STATE,
  SERVER_FLAGS,
  SERVER_HEALTH,
  SERVER_STATE,
  SERVER_WEIGHT,
} from "../../tables/generated/server.ts";
import type { SavedServerSpec } from "../../tables/spec.ts";
import type { Workshop } from "../build.ts";
import type { CheckDesk } from "../checks/desk.ts";
import type { Model, ProxyObject, ServerObject } from "../model.ts";
import { mergeState, stateRecord } from "../server-state.ts";
import type { StateKeeper } from "../server-state.ts";
import { readySlowStart } from "../slowstart.ts";
import { CHECK_NUMBERS } from "../stats/words.ts";

/** Fills the rows of saved servers. After `buildPlan`, before workers start. */
export function restoreServers(shop: Workshop): void {
  const { model, lb, tables } = shop;
  const touched = new Set<ProxyObject>();
  for (const { server, saved } of savedServers(model)) {
    restoreRow(tables.servers.words, server, saved);
    touched.add(server.backend);
  }
  for (const { row } of touched) refreshBackend(lb, row);
}

function restoreRow(words: Int32Array, server: ServerObject, saved: SavedServerSpec): void {
  const { row } = server;
  const forced = SERVER_ADMIN_FORCED_MAINT | SERVER_ADMIN_FORCED_DRAIN;
  const admin =
    (words[row + SERVER_ADMIN_STATE]! & ~forced) |
    (saved.isForcedMaint ? SERVER_ADMIN_FORCED_MAINT : 0) |
    (saved.isForcedDrain ? SERVER_ADMIN_FORCED_DRAIN : 0);
  words[row + SERVER_ADMIN_STATE] = admin;
  const health =
    saved.health === "down"
      ? SERVER_FLAG_DOWN
      : saved.health === "stopping"
        ? SERVER_FLAG_STOPPING
        : 0;
  const kept = words[row + SERVER_FLAGS]! & ~(SERVER_FLAG_DOWN | SERVER_FLAG_STOPPING);
  const off =
    (saved.areChecksOff ? SERVER_FLAG_CHECKS_OFF : 0) |
    (saved.isAgentOff ? SERVER_FLAG_AGENT_OFF : 0);
  words[row + SERVER_FLAGS] = kept | health | off;
  if (saved.weight !== undefined) words[row + SERVER_WEIGHT] = saved.weight;
  Atomics.store(words, row + SERVER_STATE, mergeState(admin, saved.health));
  if (saved.isStarting) readySlowStart(words, server, saved.sinceChangeSeconds * 1000);
}

/** Goes on counting where the old process was. After the checks have started. */
export function restoreChecks(
  keeper: Pick<StateKeeper, "tables" | "model" | "nowMs" | "records" | "startedAtMs" | "slowStart">,
  checks: Pick<CheckDesk, "healthOf" | "setHealth" | "suspend" | "suspendAgent" | "remember">,
): void {
  for (const { server, saved } of savedServers(keeper.model)) {
    stateRecord(keeper, server).changedAtMs = keeper.nowMs() - saved.sinceChangeSeconds * 1000;
    if (saved.isStarting) keeper.slowStart.resume(server, saved.sinceChangeSeconds * 1000);
    if (saved.isAgentOff) checks.suspendAgent(server);
    if (checks.healthOf(server) === undefined) continue;
    const code = CHECK_CODES.find((one) => CHECK_NUMBERS[one] === saved.checkStatus);
    if (code !== undefined && code !== "INI" && code !== "UNK") checks.remember(server, { code });
    const { rise, fall } = server.spec.check;
    const counter = { down: 0, stopping: rise, up: rise + fall - 1 }[saved.health];
    keeper.tables.servers.words[server.row + SERVER_HEALTH] = counter;
    checks.setHealth(server, counter);
    if (saved.areChecksOff) checks.suspend(server);
  }
}

function savedServers(model: Model): { server: ServerObject; saved: SavedServerSpec }[] {
  return model.plan.savedServers.flatMap((saved) => {
    const server = model.backends.get(saved.backend)?.serversByName.get(saved.server);
    return server === undefined ? [] : [{ server, saved }];
  });
}
