/**
 * What a server may do: its administrative state and its health merged into the one word that
 * balancing reads. The only place that changes a server's state after the start.
 *
 * Down or maintenance: its waiters go elsewhere at once (balance), and with `on-marked-down
 * shutdown-sessions` its streams are ended by the workers that own them.
 */
import type { Lb } from "../balance/lb.ts";
import { refreshServer } from "../balance/refresh.ts";
import {
  SERVER_ADMIN_FORCED_DRAIN,
  SERVER_ADMIN_INHERITED_DRAIN,
  SERVER_FLAG_BACKUP,
  SERVER_STATE_DOWN,
  SERVER_STATE_DRAIN,
  SERVER_STATE_MAINT,
  SERVER_STATE_UP,
} from "../tables/generated/enums.ts";
import { PROXY_ACTIVE_UP, PROXY_BACKUP_UP } from "../tables/generated/proxy.ts";
import * as row from "../tables/generated/server.ts";
import type { Tables } from "../tables/tables.ts";
import { noServer, serverDown, serverUp } from "./logs/sentences.ts";
import type { CheckFacts, Notice, ServerFacts } from "./logs/sentences.ts";
import type { ProxyObject, ServerObject } from "./model.ts";
import type { WorkerPool } from "./workers.ts";

/** What a change of state needs: who balances, who owns streams, who is told. */
export type StateKeeper = {
  tables: Tables;
  lb: Lb;
  pool: Pick<WorkerPool, "shutdown">;
  tell(proxy: ProxyObject, notice: Notice): void;
};

const ADMIN_DRAIN = SERVER_ADMIN_FORCED_DRAIN | SERVER_ADMIN_INHERITED_DRAIN;

/** SERVER_STATE_* of a server with these administrative bits and this health. */
export function mergeState(adminState: number, isHealthy: boolean): number {
  if ((adminState & ~ADMIN_DRAIN) !== 0) return SERVER_STATE_MAINT;
  if (!isHealthy) return SERVER_STATE_DOWN;
  return (adminState & ADMIN_DRAIN) !== 0 ? SERVER_STATE_DRAIN : SERVER_STATE_UP;
}

/** Is any server of the backend usable now? */
function hasUsable(keeper: StateKeeper, backend: ProxyObject): boolean {
  const words = keeper.tables.proxies.words;
  return words[backend.row + PROXY_ACTIVE_UP]! + words[backend.row + PROXY_BACKUP_UP]! > 0;
}

/**
 * Health checks have decided: the server is up or down from now on, for all workers at once.
 * @param check what decided it, for the log
 */
export function applyHealth(
  keeper: StateKeeper,
  server: ServerObject,
  isHealthy: boolean,
  check: CheckFacts,
): void {
  const words = keeper.tables.servers.words;
  const state = mergeState(words[server.row + row.SERVER_ADMIN_STATE]!, isHealthy);
  if (words[server.row + row.SERVER_STATE] === state) return;
  const { backend } = server;
  const wasUsable = hasUsable(keeper, backend);
  Atomics.store(words, server.row + row.SERVER_STATE, state);
  const requeued = refreshServer(keeper.lb, backend.row, server.row);
  const facts = factsOf(keeper, server, requeued, check);
  if (!isHealthy) {
    keeper.tell(backend, serverDown(facts));
    if (server.spec.onMarkedDown === "shutdown-sessions") {
      void keeper.pool.shutdown({ kind: "server", row: server.row }, "down");
    }
  } else {
    keeper.tell(backend, serverUp(facts));
    // A backup server that comes up ends no streams: they may be its own (manual 5.2).
    if (!server.spec.backup && server.spec.onMarkedUp === "shutdown-backup-sessions") {
      void keeper.pool.shutdown({ kind: "backups", backendRow: backend.row }, "up");
    }
  }
  if (wasUsable && !hasUsable(keeper, backend)) {
    keeper.tell(backend, noServer(backend.spec.section, backend.spec.name));
  }
}

function factsOf(
  keeper: StateKeeper,
  server: ServerObject,
  requeued: number,
  check: CheckFacts,
): ServerFacts {
  const proxies = keeper.tables.proxies.words;
  const servers = keeper.tables.servers.words;
  const { backend } = server;
  const isToldAlready = backend.spec.options.logHealthChecks;
  return {
    backend: backend.spec.name,
    server: server.spec.name,
    backup: (servers[server.row + row.SERVER_FLAGS]! & SERVER_FLAG_BACKUP) !== 0,
    activeLeft: proxies[backend.row + PROXY_ACTIVE_UP]!,
    backupLeft: proxies[backend.row + PROXY_BACKUP_UP]!,
    sessions: servers[server.row + row.SERVER_SERVED]!,
    requeued,
    queued: servers[server.row + row.SERVER_QUEUE_LENGTH]!,
    ...(isToldAlready ? {} : { check }),
  };
}
