/**
 * Checks of a serving process: every server that is configured with `check`, the shared tables that
 * workers read, the backend's queue, and the log. Main thread.
 */
import { refreshServer } from "../../balance/refresh.ts";
import { startTimer } from "../../base/clock.ts";
import type { Clock } from "../../base/clock.ts";
import { random32 } from "../../base/prng.ts";
import { SERVER_STATE_DOWN, SERVER_STATE_UP } from "../../tables/generated/enums.ts";
import {
  PROXY_ACTIVE_UP,
  PROXY_BACKUP_UP,
  PROXY_QUEUE_TOTAL,
} from "../../tables/generated/proxy.ts";
import { SERVER_HEALTH, SERVER_SERVED, SERVER_STATE } from "../../tables/generated/server.ts";
import type { ShutdownSelector } from "../../tables/mutations.ts";
import type { Workshop } from "../build.ts";
import { initialHealth } from "../health/health.ts";
import { healthCheck, noServer, serverDown, serverUp } from "../logs/sentences.ts";
import type { CheckFacts, Notice, ServerFacts } from "../logs/sentences.ts";
import type { ProxyObject, ServerObject } from "../model.ts";
import { Checker } from "./checker.ts";
import type { CheckedServer, CheckEvent } from "./checker.ts";
import { probeTargetOf, startProbe } from "./probe.ts";
import { CHECK_REASONS, infoOf } from "./result.ts";

/** Who hears of state changes, and who ends streams. */
export type CheckContext = {
  shop: Workshop;
  clock: Clock;
  tell: (proxy: ProxyObject, notice: Notice) => void;
  /** Ends streams of a server that went down, or of backup servers (`on-marked-*`). */
  shutdown: (selector: ShutdownSelector, cause: "down" | "up") => void;
};

/** Starts all checks. @returns the checker, to report errors to and to stop */
export function startChecks(context: CheckContext): Checker<ServerObject> {
  const { shop, clock } = context;
  const { global } = shop.model.plan;
  const words = shop.tables.servers.words;
  const checker = new Checker<ServerObject>({
    nowMs: clock.nowMs,
    startTimer,
    random32,
    startProbe,
    spreadPercent: global.spreadChecksPercent,
    maxSpreadMs: global.maxSpreadChecksMs,
    isWanted: ({ row }) => {
      const state = Atomics.load(words, row + SERVER_STATE);
      return state === SERVER_STATE_UP || state === SERVER_STATE_DOWN;
    },
    tell: (event) => applyEvent(context, event),
  });
  const checked = checkedServers(shop);
  for (const { key, spec } of checked) words[key.row + SERVER_HEALTH] = initialHealth(spec);
  checker.addAll(checked);
  return checker;
}

function checkedServers(shop: Workshop): CheckedServer<ServerObject>[] {
  const list: CheckedServer<ServerObject>[] = [];
  for (const proxy of shop.model.proxies) {
    if (proxy.spec.disabled) continue;
    for (const server of proxy.servers) {
      if (!server.spec.check.enabled) continue;
      const target = probeTargetOf(server.spec, proxy.spec.source);
      if (target === undefined) continue;
      const { timeouts } = proxy.spec;
      list.push({ key: server, spec: server.spec, timeouts, target });
    }
  }
  return list;
}

/** A result reaches the tables first, then the waiting streams, then the log. */
function applyEvent(context: CheckContext, event: CheckEvent<ServerObject>): void {
  const { shop } = context;
  const server = event.key;
  const { backend, spec } = server;
  const words = shop.tables.servers.words;
  words[server.row + SERVER_HEALTH] = event.health;
  const isTold = backend.spec.options.logHealthChecks && event.hasMoved;
  const info = infoOf(event.result, backend.spec.options.tcpCheck);
  const check: CheckFacts = {
    reason: CHECK_REASONS[event.result.code],
    durationMs: event.durationMs,
    ...(info === undefined ? {} : { info }),
  };
  if (isTold) {
    const who = { backend: backend.spec.name, server: spec.name, backup: spec.backup };
    const isGood = event.result.code === "L4OK";
    const { counted, needed } = event;
    context.tell(backend, healthCheck(who, check, isGood, counted, needed, event.isUp));
  }
  if (!event.hasChanged) return;
  const state = event.isUp ? SERVER_STATE_UP : SERVER_STATE_DOWN;
  Atomics.store(words, server.row + SERVER_STATE, state);
  const requeued = refreshServer(shop.lb, backend.row, server.row);
  const facts: ServerFacts = {
    ...countsOf(shop, server, requeued),
    ...(isTold ? {} : { check }),
  };
  context.tell(backend, event.isUp ? serverUp(facts) : serverDown(facts));
  const isEmpty = facts.activeLeft === 0 && facts.backupLeft === 0;
  if (!event.isUp && isEmpty) {
    context.tell(backend, noServer(backend.spec.section, backend.spec.name));
  }
  if (!event.isUp && spec.onMarkedDown === "shutdown-sessions") {
    context.shutdown({ kind: "server", row: server.row }, "down");
  }
  if (event.isUp && !spec.backup && spec.onMarkedUp === "shutdown-backup-sessions") {
    context.shutdown({ kind: "backups", backendRow: backend.row }, "up");
  }
}

/** How the backend stands now. */
function countsOf(
  shop: Workshop,
  { row, spec, backend }: ServerObject,
  requeued: number,
): ServerFacts {
  const proxies = shop.tables.proxies.words;
  return {
    backend: backend.spec.name,
    server: spec.name,
    backup: spec.backup,
    activeLeft: proxies[backend.row + PROXY_ACTIVE_UP]!,
    backupLeft: proxies[backend.row + PROXY_BACKUP_UP]!,
    sessions: shop.tables.servers.words[row + SERVER_SERVED]!,
    requeued,
    queued: proxies[backend.row + PROXY_QUEUE_TOTAL]!,
  };
}
