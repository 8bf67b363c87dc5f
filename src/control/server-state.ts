/**
 * What a server may do: its administrative state and its health merged into the one word that
 * balancing reads. The only place that changes a server's state after the start.
 *
 *   operator, tracked server ─▶ admin ─┐
 *                                      ├─▶ state ─▶ balancing, log, streams, trackers, events
 *   checks, operator ─────────▶ health ┘
 *
 * Down or maintenance: its waiters go elsewhere at once (balance), and with `on-marked-down
 * shutdown-sessions` its streams are ended by the workers that own them. Servers that track it
 * follow in the same turn. Main thread.
 */
import type { Lb } from "../balance/lb.ts";
import { refreshServer } from "../balance/refresh.ts";
import { startTimer } from "../base/clock.ts";
import type { StartTimer } from "../check/due.ts";
import { initialHealth, isUp } from "../check/health.ts";
import {
  SERVER_ADMIN_FORCED_DRAIN,
  SERVER_ADMIN_FORCED_MAINT,
  SERVER_ADMIN_INHERITED_DRAIN,
  SERVER_ADMIN_INHERITED_MAINT,
  SERVER_ADMIN_RESOLUTION_MAINT,
  SERVER_FLAG_BACKUP,
  SERVER_FLAG_CHECKED,
  SERVER_FLAG_CHECKS_OFF,
  SERVER_FLAG_DOWN,
  SERVER_FLAG_STOPPING,
  SERVER_STATE_DOWN,
  SERVER_STATE_DRAIN,
  SERVER_STATE_MAINT,
  SERVER_STATE_UP,
} from "../tables/generated/enums.ts";
import { PROXY_ACTIVE_UP, PROXY_BACKUP_UP } from "../tables/generated/proxy.ts";
import * as row from "../tables/generated/server.ts";
import type { Tables } from "../tables/tables.ts";
import { noServer } from "./logs/sentences.ts";
import type { CheckFacts, Notice, ServerFacts } from "./logs/sentences.ts";
import { serverName } from "./model.ts";
import type { Model, ProxyObject, ServerObject } from "./model.ts";
import { SlowStart } from "./slowstart.ts";
import { ADMIN_DRAIN, isInMaintenance, noticesOf } from "./state-notices.ts";
import type { Health, ServerState } from "./state-notices.ts";
import { Tracking } from "./tracking.ts";
import type { WorkerPool } from "./workers.ts";

/** How long a server or backend has been as it is, for statistics. */
export type StateRecord = {
  /** When it last went up or down, on the monotonic clock (`lastchg`). */
  changedAtMs: number;
  /** Time that it could not be used before that (`downtime`). */
  downtimeMs: number;
  /** Times it went from up to down (`chkdown`). */
  downs: number;
};

/** What a change of state needs: who balances, who owns streams, who is told. */
export type StateKeeper = {
  readonly tables: Tables;
  readonly model: Model;
  readonly lb: Lb;
  readonly pool: Pick<WorkerPool, "shutdown">;
  tell(proxy: ProxyObject, notice: Notice): void;
  readonly nowMs: () => number;
  readonly startedAtMs: number;
  readonly tracking: Tracking;
  readonly slowStart: SlowStart;
  readonly records: WeakMap<ServerObject | ProxyObject, StateRecord>;
  /** The health checks, once they run. */
  checks: {
    setHealth(server: ServerObject, health: number): void;
    /** Its agent has said no: a server that leaves maintenance is down then. */
    isAgentDown(server: ServerObject): boolean;
  } | null;
  /** Whoever ejects outliers: lets them back where others go away. */
  outliers: { settle(server: ServerObject): void } | null;
  /** Told after each change, trackers included. */
  onChange: ((server: ServerObject) => void) | null;
};

/** What a keeper is made of. */
export type KeeperParts = Pick<
  StateKeeper,
  "tables" | "model" | "lb" | "pool" | "tell" | "nowMs"
> & {
  /** For slow starts; left out: the machine's clock. */
  startTimer?: StartTimer;
};

/** A keeper of the servers that there are; its checks and its listener come later. */
export function makeKeeper(parts: KeeperParts): StateKeeper {
  const { tables, lb, nowMs } = parts;
  const keeper: StateKeeper = {
    ...parts,
    startedAtMs: parts.nowMs(),
    tracking: new Tracking(),
    slowStart: new SlowStart({
      tables,
      lb,
      nowMs,
      startTimer: parts.startTimer ?? startTimer,
      ended: (server) => {
        // Another state of the server, as HAProxy tells it: `lastchg` counts from here.
        stateRecord(keeper, server).changedAtMs = nowMs();
      },
    }),
    records: new WeakMap(),
    checks: null,
    outliers: null,
    onChange: null,
  };
  enterServers(keeper);
  return keeper;
}

/** Why the state changes: what tracked servers, checks or operators add to the sentence. */
type Why = {
  via?: string;
  check?: CheckFacts;
  cause?: string;
  /** What DNS said that takes it down. */
  resolution?: string;
  /** Its name, which DNS has given an address again. */
  host?: string;
};

/** The sentence's cause for what the runtime API does to a server's health. */
export const CHANGED_FROM_CLI = "changed from CLI";

/** SERVER_STATE_* of a server with these administrative bits and this health. */
export function mergeState(adminState: number, health: Health): number {
  if (isInMaintenance(adminState)) return SERVER_STATE_MAINT;
  if (health === "down") return SERVER_STATE_DOWN;
  const isDraining = health === "stopping" || (adminState & ADMIN_DRAIN) !== 0;
  return isDraining ? SERVER_STATE_DRAIN : SERVER_STATE_UP;
}

/** A server's state in its two halves. */
export function readState(tables: Tables, server: ServerObject): ServerState {
  const words = tables.servers.words;
  const flags = words[server.row + row.SERVER_FLAGS]!;
  const isDown = (flags & SERVER_FLAG_DOWN) !== 0;
  const isStopping = (flags & SERVER_FLAG_STOPPING) !== 0;
  return {
    admin: words[server.row + row.SERVER_ADMIN_STATE]!,
    health: isDown ? "down" : isStopping ? "stopping" : "up",
  };
}

/** What an operator may ask for. */
export type AdminMode = "ready" | "drain" | "maint";

/** The administrative bits after `set server … state <mode>`; what is inherited stays. */
export function adminAfter(admin: number, mode: AdminMode): number {
  const rest = admin & ~(SERVER_ADMIN_FORCED_MAINT | SERVER_ADMIN_FORCED_DRAIN);
  if (mode === "ready") return rest;
  return rest | (mode === "drain" ? SERVER_ADMIN_FORCED_DRAIN : SERVER_ADMIN_FORCED_MAINT);
}

/**
 * Gives a server new administrative bits. One that leaves maintenance begins with the health of
 * `init-state`, or with that of the server it tracks.
 */
export function setAdmin(keeper: StateKeeper, server: ServerObject, admin: number): void {
  change(keeper, server, { ...readState(keeper.tables, server), admin }, {});
}

/**
 * DNS has no address for a server's name: it is in maintenance until there is one.
 * @param resolution why, for the log: `DNS NX status`
 */
export function setUnresolved(keeper: StateKeeper, server: ServerObject, resolution: string): void {
  const { admin, health } = readState(keeper.tables, server);
  const after = { admin: admin | SERVER_ADMIN_RESOLUTION_MAINT, health };
  change(keeper, server, after, { resolution });
}

/** DNS has an address for a server's name again. */
export function setResolved(keeper: StateKeeper, server: ServerObject): void {
  const { admin, health } = readState(keeper.tables, server);
  const after = { admin: admin & ~SERVER_ADMIN_RESOLUTION_MAINT, health };
  change(keeper, server, after, { host: server.spec.hostName ?? "(null)" });
}

/** Gives a server another health: checks go on counting from there. */
export function setHealth(keeper: StateKeeper, server: ServerObject, health: Health): void {
  const { rise, fall } = server.spec.check;
  writeCounter(keeper, server, health === "down" ? 0 : rise + fall - 1);
  const { admin } = readState(keeper.tables, server);
  change(keeper, server, { admin, health }, { cause: CHANGED_FROM_CLI });
}

/** Puts a server back into a state that it had, its check counter included: for undoing. */
export function restoreState(keeper: StateKeeper, server: ServerObject, before: SavedState): void {
  const inherited = SERVER_ADMIN_INHERITED_MAINT | SERVER_ADMIN_INHERITED_DRAIN;
  const now = readState(keeper.tables, server);
  const admin = (before.admin & ~inherited) | (now.admin & inherited);
  change(keeper, server, { admin, health: before.health }, { cause: CHANGED_FROM_CLI }, true);
  writeCounter(keeper, server, before.counter);
  // On its way up it goes on where it was; else it has all of its weight at once.
  const { slowStart } = keeper;
  if (before.slowStartMs === slowStart.elapsedMs(server)) return;
  if (before.slowStartMs === undefined) slowStart.cancel(server);
  else slowStart.begin(server, before.slowStartMs);
  refreshServer(keeper.lb, server.backend.row, server.row);
}

/** A state, the counter of its checks, and how far a slow start has come. */
export type SavedState = ServerState & { counter: number; slowStartMs: number | undefined };

/** What `restoreState` needs. */
export function saveState(keeper: StateKeeper, server: ServerObject): SavedState {
  const counter = keeper.tables.servers.words[server.row + row.SERVER_HEALTH]!;
  const slowStartMs = keeper.slowStart.elapsedMs(server);
  return { ...readState(keeper.tables, server), counter, slowStartMs };
}

/**
 * Health checks have decided: what the server is from now on, for all workers at once.
 * @param check what decided it, for the log; undefined = an operator, in the agent's place
 */
export function applyHealth(
  keeper: StateKeeper,
  server: ServerObject,
  health: Health,
  check: CheckFacts | undefined,
): void {
  const { admin } = readState(keeper.tables, server);
  const isToldAlready = server.backend.spec.options.logHealthChecks;
  const cause = { cause: CHANGED_FROM_CLI };
  const why = check === undefined ? cause : isToldAlready ? {} : { check };
  change(keeper, server, { admin, health }, why);
}

/** The counter of the checks, in the row and where they count. */
function writeCounter(keeper: StateKeeper, server: ServerObject, counter: number): void {
  keeper.tables.servers.words[server.row + row.SERVER_HEALTH] = counter;
  keeper.checks?.setHealth(server, counter);
}

/** @param keepsHealth leaving maintenance does not choose another health */
function change(
  keeper: StateKeeper,
  server: ServerObject,
  wanted: ServerState,
  why: Why,
  keepsHealth = false,
): void {
  const before = readState(keeper.tables, server);
  const leavesMaint = isInMaintenance(before.admin) && !isInMaintenance(wanted.admin);
  const after =
    leavesMaint && !keepsHealth ? { ...wanted, health: freshHealth(keeper, server) } : wanted;
  if (before.admin === after.admin && before.health === after.health) return;
  const { backend } = server;
  const wasUsable = hasUsable(keeper, backend);
  steerSlowStart(keeper, server, before, after);
  const requeued = writeState(keeper, server, after);
  const tracked = keeper.tracking.trackedBy(server);
  const facts = factsOf(keeper, server, requeued, why);
  const notices = noticesOf(before, after, facts, tracked && serverName(tracked), why.host);
  for (const notice of notices) keeper.tell(backend, notice);
  endStreams(keeper, server, before, after);
  const isUsableNow = hasUsable(keeper, backend);
  if (wasUsable && !isUsableNow) {
    keeper.tell(backend, noServer(backend.spec.section, backend.spec.name));
  }
  if (wasUsable !== isUsableNow) count(keeper, backend, isUsableNow);
  keeper.onChange?.(server);
  for (const tracker of [...keeper.tracking.trackersOf(server)]) follow(keeper, tracker, server);
}

/**
 * Whoever was down, in maintenance or stopping begins slowly; whoever is again, no more. Drained,
 * or back from it, on its way up: from the beginning, as in HAProxy. Before balancing is refreshed.
 */
function steerSlowStart(
  { slowStart, records, nowMs }: StateKeeper,
  server: ServerObject,
  before: ServerState,
  after: ServerState,
): void {
  if (!isWell(after)) {
    slowStart.cancel(server);
  } else if (!isWell(before)) {
    slowStart.begin(server);
  } else if (slowStart.elapsedMs(server) !== undefined) {
    slowStart.begin(server);
    const record = records.get(server);
    if (record !== undefined) record.changedAtMs = nowMs();
  }
}

/** Up, whether or not it drains. */
const isWell = ({ admin, health }: ServerState): boolean =>
  health === "up" && !isInMaintenance(admin);

/** Health after maintenance: `init-state` of a server that is checked, else up. */
function freshHealth(keeper: StateKeeper, server: ServerObject): Health {
  const tracked = keeper.tracking.trackedBy(server);
  if (tracked !== undefined) return readState(keeper.tables, tracked).health;
  const flags = keeper.tables.servers.words[server.row + row.SERVER_FLAGS]!;
  const isChecked = (flags & SERVER_FLAG_CHECKED) !== 0 && (flags & SERVER_FLAG_CHECKS_OFF) === 0;
  const isAgentDown = keeper.checks?.isAgentDown(server) ?? false;
  if (!isChecked) return isAgentDown ? "down" : "up";
  const counter = initialHealth(server.spec);
  writeCounter(keeper, server, counter);
  return isUp(counter, server.spec.check) && !isAgentDown ? "up" : "down";
}

/** Row and balancing. @returns streams of its queue that were sent elsewhere */
function writeState(keeper: StateKeeper, server: ServerObject, after: ServerState): number {
  const words = keeper.tables.servers.words;
  const { row: at } = server;
  words[at + row.SERVER_ADMIN_STATE] = after.admin;
  const health =
    after.health === "down"
      ? SERVER_FLAG_DOWN
      : after.health === "stopping"
        ? SERVER_FLAG_STOPPING
        : 0;
  const flags = words[at + row.SERVER_FLAGS]!;
  words[at + row.SERVER_FLAGS] = (flags & ~(SERVER_FLAG_DOWN | SERVER_FLAG_STOPPING)) | health;
  const state = mergeState(after.admin, after.health);
  const old = words[at + row.SERVER_STATE]!;
  if (old === state) return 0;
  Atomics.store(words, at + row.SERVER_STATE, state);
  const wasStopping = (flags & SERVER_FLAG_STOPPING) !== 0;
  if (isServing(old) !== isServing(state)) count(keeper, server, isServing(state));
  else if (isServing(state) && wasStopping !== (after.health === "stopping")) {
    stateRecord(keeper, server).changedAtMs = keeper.nowMs();
  }
  // First, so that there is no moment at which nobody is left.
  keeper.outliers?.settle(server);
  return refreshServer(keeper.lb, server.backend.row, at);
}

const isServing = (state: number): boolean =>
  state === SERVER_STATE_UP || state === SERVER_STATE_DRAIN;

/** `on-marked-down`, `on-marked-up`. */
function endStreams(
  keeper: StateKeeper,
  server: ServerObject,
  before: ServerState,
  after: ServerState,
): void {
  const was = isServing(mergeState(before.admin, before.health));
  const is = isServing(mergeState(after.admin, after.health));
  if (was === is) return;
  const { spec, backend } = server;
  if (!is && spec.onMarkedDown === "shutdown-sessions") {
    void keeper.pool.shutdown({ kind: "server", row: server.row }, "down");
  }
  // A backup server that comes up ends no streams: they may be its own (manual 5.2).
  if (is && !spec.backup && spec.onMarkedUp === "shutdown-backup-sessions") {
    void keeper.pool.shutdown({ kind: "backups", backendRow: backend.row }, "up");
  }
}

/** A server takes over the state of the one that it tracks. */
function follow(keeper: StateKeeper, server: ServerObject, tracked: ServerObject): void {
  const wanted = followed(keeper, server, tracked);
  change(keeper, server, wanted, { via: serverName(tracked) });
}

function followed(keeper: StateKeeper, server: ServerObject, tracked: ServerObject): ServerState {
  const { admin, health } = readState(keeper.tables, server);
  const leader = readState(keeper.tables, tracked);
  const own = admin & ~(SERVER_ADMIN_INHERITED_MAINT | SERVER_ADMIN_INHERITED_DRAIN);
  const inherited =
    (isInMaintenance(leader.admin) ? SERVER_ADMIN_INHERITED_MAINT : 0) |
    ((leader.admin & ADMIN_DRAIN) !== 0 ? SERVER_ADMIN_INHERITED_DRAIN : 0);
  const next = own | inherited;
  return { admin: next, health: isInMaintenance(next) ? health : leader.health };
}

/** Enters a new server: what it tracks, since when it is there. Nothing is told. */
export function enterServer(keeper: StateKeeper, server: ServerObject): void {
  stateRecord(keeper, server).changedAtMs = keeper.nowMs();
  const tracked = keeper.tracking.link(keeper.model, server);
  if (tracked !== undefined) writeState(keeper, server, followed(keeper, server, tracked));
}

/** Enters the servers of the start: all are there, so each finds what it tracks. */
function enterServers(keeper: StateKeeper): void {
  const linked: ServerObject[] = [];
  for (const server of keeper.model.serverByRow.values()) {
    if (keeper.tracking.link(keeper.model, server) !== undefined) linked.push(server);
  }
  for (const server of linked) {
    const tracked = keeper.tracking.trackedBy(server)!;
    // Chains begin at a server that tracks nobody: what it has goes down the tree.
    if (keeper.tracking.trackedBy(tracked) === undefined) settleBelow(keeper, tracked);
  }
}

function settleBelow(keeper: StateKeeper, tracked: ServerObject): void {
  for (const server of keeper.tracking.trackersOf(tracked)) {
    writeState(keeper, server, followed(keeper, server, tracked));
    settleBelow(keeper, server);
  }
}

/** Since when a server or backend is as it is. */
export function stateRecord(
  keeper: Pick<StateKeeper, "records" | "startedAtMs">,
  object: ServerObject | ProxyObject,
): StateRecord {
  const known = keeper.records.get(object);
  if (known !== undefined) return known;
  const record = { changedAtMs: keeper.startedAtMs, downtimeMs: 0, downs: 0 };
  keeper.records.set(object, record);
  return record;
}

function count(
  keeper: StateKeeper,
  object: ServerObject | ProxyObject,
  isServingNow: boolean,
): void {
  const record = stateRecord(keeper, object);
  const now = keeper.nowMs();
  if (isServingNow) record.downtimeMs += now - record.changedAtMs;
  else record.downs++;
  record.changedAtMs = now;
}

/** Is any server of the backend usable now? */
function hasUsable(keeper: StateKeeper, backend: ProxyObject): boolean {
  const words = keeper.tables.proxies.words;
  return words[backend.row + PROXY_ACTIVE_UP]! + words[backend.row + PROXY_BACKUP_UP]! > 0;
}

/**
 * A server as sentences tell of it, after a change.
 * @param requeued streams of its queue that were sent elsewhere
 */
export function factsOf(
  keeper: StateKeeper,
  server: ServerObject,
  requeued: number,
  why: Why,
): ServerFacts {
  const proxies = keeper.tables.proxies.words;
  const servers = keeper.tables.servers.words;
  const { backend } = server;
  return {
    backend: backend.spec.name,
    server: server.spec.name,
    backup: (servers[server.row + row.SERVER_FLAGS]! & SERVER_FLAG_BACKUP) !== 0,
    activeLeft: proxies[backend.row + PROXY_ACTIVE_UP]!,
    backupLeft: proxies[backend.row + PROXY_BACKUP_UP]!,
    sessions: servers[server.row + row.SERVER_SERVED]!,
    requeued,
    queued: servers[server.row + row.SERVER_QUEUE_LENGTH]!,
    ...why,
  };
}
