/**
 * Checks of a serving process: every server that is configured with `check`. What a result does to
 * the server is in control/server-state.ts. Main thread.
 */
import { startTimer } from "../../base/clock.ts";
import type { Clock } from "../../base/clock.ts";
import { random32 } from "../../base/prng.ts";
import { Checker } from "../../check/checker.ts";
import type { CheckedServer, CheckEvent } from "../../check/checker.ts";
import { probeTargetOf, startProbe } from "../../check/connect.ts";
import { initialHealth } from "../../check/health.ts";
import { CHECK_REASONS, hasPassed, infoOf } from "../../check/result.ts";
import {
  SERVER_FLAG_CHECKS_OFF,
  SERVER_STATE_FREE,
  SERVER_STATE_MAINT,
} from "../../tables/generated/enums.ts";
import { SERVER_FLAGS, SERVER_HEALTH, SERVER_STATE } from "../../tables/generated/server.ts";
import { healthCheck } from "../logs/sentences.ts";
import type { CheckFacts } from "../logs/sentences.ts";
import type { Model, ServerObject } from "../model.ts";
import { applyHealth, readState } from "../server-state.ts";
import type { StateKeeper } from "../server-state.ts";

/** Starts all checks. @returns the checker, to report errors to and to stop */
export function startChecks(
  model: Model,
  keeper: StateKeeper,
  clock: Clock,
): Checker<ServerObject> {
  const { global } = model.plan;
  const words = keeper.tables.servers.words;
  const checker = new Checker<ServerObject>({
    nowMs: clock.nowMs,
    startTimer,
    random32,
    startProbe,
    spreadPercent: global.spreadChecksPercent,
    maxSpreadMs: global.maxSpreadChecksMs,
    isWanted: ({ row }) => {
      const state = Atomics.load(words, row + SERVER_STATE);
      return state !== SERVER_STATE_MAINT && state !== SERVER_STATE_FREE;
    },
    tell: (event) => applyEvent(keeper, event),
  });
  const checked = checkedServers(model);
  for (const { key, spec } of checked) words[key.row + SERVER_HEALTH] = initialHealth(spec);
  checker.addAll(checked);
  keeper.checks = checker;
  return checker;
}

function checkedServers(model: Model): CheckedServer<ServerObject>[] {
  const list: CheckedServer<ServerObject>[] = [];
  for (const proxy of model.proxies) {
    for (const server of proxy.servers) {
      const checked = checkedServer(server);
      if (checked !== undefined) list.push(checked);
    }
  }
  return list;
}

/** A server as the checker wants it; undefined when it is not to be checked, or has no address. */
function checkedServer(server: ServerObject): CheckedServer<ServerObject> | undefined {
  const { spec, backend } = server;
  if (!spec.check.enabled || backend.spec.disabled) return undefined;
  const target = probeTargetOf(spec, backend.spec.source);
  if (target === undefined) return undefined;
  return { key: server, spec, timeouts: backend.spec.timeouts, target };
}

/**
 * Checks a server that came at run time, or one whose spec was replaced, as it is now.
 * @param words of the SERVER table
 */
export function refreshCheck(
  checker: Checker<ServerObject>,
  words: Int32Array,
  server: ServerObject,
): void {
  const checked = checkedServer(server);
  if (checked === undefined) {
    checker.remove(server);
  } else if (checker.healthOf(server) !== undefined) {
    checker.replace(checked);
  } else {
    const isSuspended = (words[server.row + SERVER_FLAGS]! & SERVER_FLAG_CHECKS_OFF) !== 0;
    words[server.row + SERVER_HEALTH] = initialHealth(server.spec);
    checker.add(checked, isSuspended);
  }
}

/** A result is told if that was asked for; then it may change the server's state. */
function applyEvent(keeper: StateKeeper, event: CheckEvent<ServerObject>): void {
  const { key: server, result, counted, needed } = event;
  const { backend, spec } = server;
  const { options, name } = backend.spec;
  keeper.tables.servers.words[server.row + SERVER_HEALTH] = event.health;
  const info = infoOf(result, backend.spec.checkProgram.kind === "tcp");
  const check: CheckFacts = {
    reason: CHECK_REASONS[result.code],
    durationMs: event.durationMs,
    ...(info === undefined ? {} : { info }),
  };
  if (options.logHealthChecks && event.hasMoved) {
    const who = { backend: name, server: spec.name, backup: spec.backup };
    const isGood = hasPassed(result);
    keeper.tell(backend, healthCheck(who, check, isGood, counted, needed, event.isUp));
  }
  // A server that was told to stop goes on when its checks say that it is well.
  const { health } = readState(keeper.tables, server);
  const isBack = event.isUp && health === "stopping";
  if (event.hasChanged || isBack) applyHealth(keeper, server, event.isUp, check);
}
