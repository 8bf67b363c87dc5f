/**
 * The part of a state file that needs the whole of control: limits of the process, variables, how
 * long things have been as they are, counters of checks, paused frontends. After `makeControl`,
 * before the runtime API answers. Main thread.
 */
import { PROXY_STATE_PAUSED } from "../../tables/generated/enums.ts";
import {
  PROCESS_MAXCONN,
  PROCESS_MAXCONNRATE,
  PROCESS_MAXSESSRATE,
} from "../../tables/generated/process.ts";
import { PROXY_STATE } from "../../tables/generated/proxy.ts";
import { SERVER_HEALTH } from "../../tables/generated/server.ts";
import { prepareSwitch } from "../change/frontend.ts";
import type { FrontendControl } from "../change/frontend.ts";
import { wakeListeners } from "../change/wake.ts";
import type { Control } from "../control.ts";
import { Draft } from "../draft.ts";
import { stateRecord } from "../server-state.ts";
import type { SavedAge, SavedHealth, SavedState } from "./records.ts";
import { overruledText, stands } from "./restore.ts";
import type { Restored } from "./restore.ts";
import { addressKey } from "./specs.ts";

/** The part of control that this needs. */
export type RestoredControl = FrontendControl &
  Pick<Control, "plan" | "checks" | "clock" | "environment" | "maxconnHard">;

/** Goes on where the process before was; what the configuration overrules goes to `leftOut`. */
export function restoreLate(
  control: RestoredControl,
  state: SavedState,
  { servers, proxies, leftOut }: Restored,
): void {
  const { keeper, clock, tables, checks } = control;
  const awayMs = Math.max(0, clock.epochMicros() / 1000 - state.head.writtenEpochMs);
  const restoreAge = (object: Parameters<typeof stateRecord>[1], age: SavedAge): void => {
    const record = stateRecord(keeper, object);
    record.changedAtMs = keeper.nowMs() - age.sinceMs - awayMs;
    record.downtimeMs = age.downtimeMs;
    record.downs = age.downs;
  };
  for (const [{ age, state: pair }, proxy] of proxies) {
    if (age !== undefined) restoreAge(proxy, age);
    if (pair?.[1] !== PROXY_STATE_PAUSED || !proxy.spec.hasFront) continue;
    // `disabled` has come to its section: told already.
    if (pair[0] !== tables.proxies.words[proxy.row + PROXY_STATE]) continue;
    const entry = new Draft(control.model).findFrontend(proxy.spec.name);
    if (entry !== undefined && entry.object === proxy) {
      void prepareSwitch(control, entry, false).apply();
    }
  }
  for (const [{ health }, server] of servers) {
    if (health === undefined || health.of !== addressKey(server.spec.address)) continue;
    restoreAge(server, health.age);
    const { slowStartMs } = health;
    if (slowStartMs !== undefined) keeper.slowStart.resume(server, slowStartMs + awayMs);
    if (health.isAgentOff === true) checks.suspendAgent(server);
    if (health.isAgentDown === true) checks.setAgent(server, false);
    const { rise, fall } = server.spec.check;
    if (health.counter < 0 || checks.healthOf(server) === undefined) continue;
    const counter = counterOf(health, rise, fall);
    tables.servers.words[server.row + SERVER_HEALTH] = counter;
    checks.setHealth(server, counter);
    if (health.areChecksOff) checks.suspend(server);
  }
  const overruled = overruledText(restoreGlobals(control, state));
  if (overruled !== undefined) leftOut.push(`global: ${overruled}`);
}

/** The counter of checks, within what `rise` and `fall` are now, and on the side that it was on. */
function counterOf(health: SavedHealth, rise: number, fall: number): number {
  const { isDown, counter, isAgentOff, isAgentDown } = health;
  const top = rise + fall - 1;
  // What an agent has taken down says nothing about the check.
  if (isDown && (isAgentOff === true || isAgentDown === true)) return Math.min(counter, top);
  return isDown ? Math.min(counter, rise - 1) : Math.max(rise, Math.min(counter, top));
}

/** @returns settings that the configuration has changed since */
function restoreGlobals(control: RestoredControl, { globals }: SavedState): Set<string> {
  const { plan, tables, environment, maxconnHard } = control;
  const { words } = tables.process;
  const overruled = new Set<string>();
  const write = (cell: number, key: LimitKey, max: number): void => {
    const limit = stands(globals[key], plan.global[key], key, overruled);
    if (limit !== undefined) words[cell] = Math.max(0, Math.min(limit, max));
  };
  write(PROCESS_MAXCONN, "maxconn", maxconnHard);
  write(PROCESS_MAXCONNRATE, "maxconnrate", Infinity);
  write(PROCESS_MAXSESSRATE, "maxsessrate", Infinity);
  for (const [name, pair] of Object.entries(globals.environment)) {
    const configured = plan.global.environment[name] ?? null;
    const value = stands(pair, configured, `variable ${name}`, overruled);
    if (value === null) environment.delete(name);
    else if (value !== undefined) environment.set(name, value);
  }
  wakeListeners(tables, 0);
  return overruled;
}

type LimitKey = "maxconn" | "maxconnrate" | "maxsessrate";
