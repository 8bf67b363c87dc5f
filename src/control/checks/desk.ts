/**
 * Control's side of the checks: which servers are checked and by whom they are asked, what the
 * thread of checks has found, and what that does to a server. Main thread.
 *
 * ```
 *   configuration, operators ─▶ CheckDesk ─ orders ─▶ thread of checks (check/station.ts)
 *   server-state.ts, logs    ◀─ CheckDesk ◀─ news ──┘
 * ```
 * A server with a check and an agent is up while both say so. Results that were found before the
 * last order about a check (its epoch) change nothing any more.
 */
import { initialHealth, isUp } from "../../check/health.ts";
import type { CheckNews, CheckOrder, ToChecks } from "../../check/messages.ts";
import { CHECK_REASONS, hasPassed, shownNumber } from "../../check/result.ts";
import type { AgentOrders, CheckResult } from "../../check/result.ts";
import type { NativeAddresses } from "../../conduit/native.ts";
import {
  SERVER_FLAG_AGENT_OFF,
  SERVER_FLAG_CHECKS_OFF,
  SERVER_FLAG_STOPPING,
} from "../../tables/generated/enums.ts";
import * as row from "../../tables/generated/server.ts";
import { healthCheck } from "../logs/sentences.ts";
import type { CheckFacts, CheckVerdict } from "../logs/sentences.ts";
import type { Model, ServerObject } from "../model.ts";
import { applyHealth, readState } from "../server-state.ts";
import type { StateKeeper } from "../server-state.ts";
import { isInMaintenance } from "../state-notices.ts";
import { checkPlan } from "./job.ts";
import type { CheckKind, CheckPlan } from "./job.ts";

/** What is known of a check, for statistics (management manual 9.1). */
export type CheckRecord = {
  /** Checks that failed while the counter was not at its bottom (`chkfail`). */
  failures: number;
  /** The last result and how long it took, ms; undefined before the first. */
  result: CheckResult | undefined;
  durationMs: number;
};

/** A check that the thread knows. */
type Entry = {
  readonly id: number;
  readonly server: ServerObject;
  readonly kind: CheckKind;
  epoch: number;
  health: number;
  isSuspended: boolean;
  result: CheckResult | undefined;
};

/** What the desk uses and whom it tells. */
export type DeskOptions = {
  keeper: StateKeeper;
  /** To the thread of checks, in order. */
  send: (order: ToChecks) => void;
  /** Where QUIC's functions are, once a server that speaks it is to be checked. */
  quicAddresses: () => NativeAddresses | null;
};

/** Hears of results. */
export type NewsListener = (server: ServerObject, kind: CheckKind, news: CheckNews) => void;

/** What outlives a time without an address. */
type Remembered = Pick<Entry, "result" | "health">;

/** All checks of the process. */
export class CheckDesk {
  /** Does what an agent says; set once there is a control. */
  onOrders: ((server: ServerObject, orders: AgentOrders) => void) | null = null;
  private readonly listeners: NewsListener[] = [];
  /** Count of failures in the row when `clear counters` came, or the server. */
  private readonly failuresBase = new WeakMap<ServerObject, number>();
  /** Of checks that ended for want of an address. */
  private readonly remembered = new WeakMap<ServerObject, Map<CheckKind, Remembered>>();
  private readonly keeper: StateKeeper;
  private readonly send: (order: ToChecks) => void;
  private readonly quicAddresses: DeskOptions["quicAddresses"];
  /** The thread knows them. */
  private hasQuic = false;
  private readonly words: Int32Array;
  private readonly checks = new Map<ServerObject, Entry>();
  private readonly agents = new Map<ServerObject, Entry>();
  private readonly byId = new Map<number, Entry>();
  private nextId = 1;
  private isStopped = false;

  constructor({ keeper, send, quicAddresses }: DeskOptions) {
    this.keeper = keeper;
    this.send = send;
    this.quicAddresses = quicAddresses;
    this.words = keeper.tables.servers.words;
  }

  /** Tells each result that control hears of, from now on. */
  onNews(listener: NewsListener): void {
    this.listeners.push(listener);
  }

  /** Begins the checks of all servers of the start. */
  start(model: Model): void {
    const entries: Entry[] = [];
    for (const proxy of model.proxies) {
      for (const server of proxy.servers) {
        for (const kind of KINDS) {
          const entry = this.make(server, kind);
          if (entry !== undefined) entries.push(entry);
        }
      }
    }
    this.order(entries, true);
  }

  /** The thread is new: it is told everything again, as it stands. */
  restart(): void {
    const entries = [...this.byId.values()];
    for (const entry of entries) entry.epoch++;
    this.hasQuic = false;
    this.order(entries, true);
  }

  /** Checks a server that came at run time, or one whose spec was replaced, as it is now. */
  refresh(server: ServerObject): void {
    for (const kind of KINDS) this.refreshKind(server, kind);
  }

  private refreshKind(server: ServerObject, kind: CheckKind): void {
    const entry = this.entryOf(server, kind);
    const plan = checkPlan(server, kind);
    if (plan === undefined) {
      if (entry !== undefined) this.forget(entry);
    } else if (entry === undefined) {
      const made = this.make(server, kind);
      if (made !== undefined) this.order([made], false);
    } else {
      this.bringQuic(plan);
      this.send({ type: "replace", ...newEpoch(entry), ...plan });
    }
  }

  /** Ends the checks of a server. */
  remove(server: ServerObject): void {
    for (const kind of KINDS) {
      const entry = this.entryOf(server, kind);
      if (entry !== undefined) this.forget(entry);
    }
  }

  /** Ends all checks. */
  stop(): void {
    if (this.isStopped) return;
    this.isStopped = true;
    this.send({ type: "stop" });
    this.checks.clear();
    this.agents.clear();
    this.byId.clear();
  }

  /** Suspends the health check of a server: a result under way does not count. */
  suspend(server: ServerObject): void {
    this.pause(this.checks.get(server), true);
  }

  /** Goes on with it. */
  resume(server: ServerObject): void {
    this.pause(this.checks.get(server), false);
  }

  /** Asks the agent of a server no more. */
  suspendAgent(server: ServerObject): void {
    this.pause(this.agents.get(server), true);
  }

  /** Asks it again. */
  resumeAgent(server: ServerObject): void {
    this.pause(this.agents.get(server), false);
  }

  private pause(entry: Entry | undefined, isSuspended: boolean): void {
    if (entry === undefined || entry.isSuspended === isSuspended) return;
    entry.isSuspended = isSuspended;
    const type = isSuspended ? "suspend" : "resume";
    this.send({ type, ...newEpoch(entry) });
    // Alone it may decide otherwise than together with this one.
    this.listen(this.entryOf(entry.server, entry.kind === "check" ? "agent" : "check"));
  }

  /** The next result is heard, even if it is as the last one was: it may mean something else. */
  private listen(entry: Entry | undefined): void {
    if (entry !== undefined) this.send({ type: "listen", ...newEpoch(entry) });
  }

  /**
   * Puts the counter of the health check where somebody else decided. What its agent says next is
   * heard, even if it is what it said before.
   */
  setHealth(server: ServerObject, health: number): void {
    this.put(this.checks.get(server), health);
    this.listen(this.agents.get(server));
  }

  /**
   * `set server … agent up|down`: taken for the agent's word, until it speaks again. What it said
   * last stays to be seen.
   */
  setAgent(server: ServerObject, isWell: boolean): void {
    const entry = this.agents.get(server);
    if (entry === undefined) return;
    this.put(entry, isWell ? 1 : 0);
    this.listen(this.checks.get(server));
    this.decide(entry, isWell, { code: isWell ? "L7OK" : "L7STS" }, undefined);
  }

  private put(entry: Entry | undefined, health: number): void {
    if (entry === undefined) return;
    entry.health = health;
    this.send({ type: "health", ...newEpoch(entry) });
  }

  /** Real traffic has failed `error-limit` times in a row: does what `on-error` says. */
  reportErrors(server: ServerObject, info: string): void {
    const entry = this.checks.get(server);
    if (entry === undefined || entry.isSuspended) return;
    this.send({ type: "errors", id: entry.id, epoch: entry.epoch, info });
  }

  /** Counter of the health check; undefined when the server is not checked. */
  healthOf(server: ServerObject): number | undefined {
    return this.checks.get(server)?.health;
  }

  /** Its agent has said no, and is asked. */
  isAgentDown(server: ServerObject): boolean {
    const agent = this.agents.get(server);
    return agent !== undefined && !agent.isSuspended && agent.health === 0;
  }

  /** The same of its agent: 0 or 1. */
  agentHealthOf(server: ServerObject): number | undefined {
    return this.agents.get(server)?.health;
  }

  /** Checks and agents that are asked. */
  get count(): number {
    return this.byId.size;
  }

  /** Is a check of the server under way? */
  isProbing(server: ServerObject): boolean {
    return this.checks.has(server) && this.words[server.row + row.SERVER_CHECK_RUNNING] === 1;
  }

  /** Is its agent being asked? */
  isAgentProbing(server: ServerObject): boolean {
    return this.agents.has(server) && this.words[server.row + row.SERVER_AGENT_RUNNING] === 1;
  }

  /** What a process before this one has found last, until there is something newer. */
  remember(server: ServerObject, result: CheckResult): void {
    const entry = this.checks.get(server);
    if (entry !== undefined) entry.result ??= result;
  }

  /** Counts failed checks from zero again (`clear counters`). */
  clearFailures(server: ServerObject): void {
    const entry = this.checks.get(server);
    if (entry !== undefined) this.failuresBase.set(server, this.failures(server));
  }

  /** What is known of its health check; undefined when it is not checked. */
  recordOf(server: ServerObject): Readonly<CheckRecord> | undefined {
    const entry = this.checks.get(server);
    if (entry === undefined) return undefined;
    const failures = (this.failures(server) - (this.failuresBase.get(server) ?? 0)) >>> 0;
    const durationMs = this.words[server.row + row.SERVER_CHECK_DURATION_MS]!;
    return { failures, result: entry.result, durationMs };
  }

  /** What is known of its agent; undefined when it has none. */
  agentRecordOf(server: ServerObject): Readonly<CheckRecord> | undefined {
    const entry = this.agents.get(server);
    if (entry === undefined) return undefined;
    const durationMs = this.words[server.row + row.SERVER_AGENT_DURATION_MS]!;
    return { failures: 0, result: entry.result, durationMs };
  }

  private failures({ row: at }: ServerObject): number {
    return this.words[at + row.SERVER_CHECK_FAILURES]!;
  }

  /** Results of the thread. */
  receive(list: readonly CheckNews[]): void {
    for (const news of list) {
      const entry = this.byId.get(news.id);
      if (entry !== undefined && entry.epoch === news.epoch) this.hear(entry, news);
    }
  }

  private hear(entry: Entry, news: CheckNews): void {
    const { server, kind } = entry;
    const { result } = news;
    entry.result = result;
    entry.health = news.health;
    if (kind === "check") this.words[server.row + row.SERVER_HEALTH] = news.health;
    const facts = factsOf(result, news.durationMs);
    // Orders first: what is told is how the server is with them.
    if (result.orders !== undefined) this.onOrders?.(server, result.orders);
    this.tell(entry, news, facts);
    for (const listener of this.listeners) listener(server, kind, news);
    // Whoever was told may have removed the server, or set its health.
    if (this.byId.get(entry.id) !== entry || entry.epoch !== news.epoch) return;
    this.decide(entry, news.isUp, result, facts);
  }

  /** `option log-health-checks`. */
  private tell({ server, kind }: Entry, news: CheckNews, facts: CheckFacts): void {
    const { backend, spec } = server;
    if (!backend.spec.options.logHealthChecks || !news.hasMoved) return;
    // An agent that says nothing about health is no news of it.
    if (news.result.code === "CHECKED") return;
    const who = { backend: backend.spec.name, server: spec.name, backup: spec.backup };
    const { counted, needed, isUp: isWell, result } = news;
    const hasWeight = this.words[server.row + row.SERVER_WEIGHT]! > 0;
    const word = kind === "agent" ? "Agent" : "Health";
    this.keeper.tell(
      backend,
      healthCheck(
        who,
        facts,
        verdictOf(result),
        { counted, needed, isUp: isWell, hasWeight },
        word,
      ),
    );
  }

  /** What a result means to the server, beside what its other check says. */
  private decide(
    entry: Entry,
    isWell: boolean,
    result: CheckResult,
    facts: CheckFacts | undefined,
  ): void {
    const { server, kind } = entry;
    const { admin, health } = readState(this.keeper.tables, server);
    if (isInMaintenance(admin)) return;
    const apply = (wanted: typeof health): void => {
      if (wanted !== health) applyHealth(this.keeper, server, wanted, facts);
    };
    if (!isWell) return apply("down");
    if (!hasPassed(result) || !this.isOtherWell(entry)) return;
    if (result.code === "L7OKC" && kind === "check") return apply("stopping");
    // What stops it is for whoever said so to take back.
    const isStopping = (this.words[server.row + row.SERVER_FLAGS]! & SERVER_FLAG_STOPPING) !== 0;
    if (kind === "check" || !isStopping) apply("up");
  }

  private isOtherWell({ server, kind }: Entry): boolean {
    const other = this.entryOf(server, kind === "check" ? "agent" : "check");
    if (other === undefined || other.isSuspended) return true;
    return isUp(other.health, { rise: other.kind === "agent" ? 1 : server.spec.check.rise });
  }

  private entryOf(server: ServerObject, kind: CheckKind): Entry | undefined {
    return (kind === "check" ? this.checks : this.agents).get(server);
  }

  /** Enters a check that is wanted; undefined where there is none. */
  private make(server: ServerObject, kind: CheckKind): Entry | undefined {
    if (this.isStopped || checkPlan(server, kind) === undefined) return undefined;
    const flag = kind === "check" ? SERVER_FLAG_CHECKS_OFF : SERVER_FLAG_AGENT_OFF;
    const entry: Entry = {
      id: this.nextId++,
      server,
      kind,
      epoch: 1,
      health: kind === "check" ? initialHealth(server.spec) : 1,
      isSuspended: (this.words[server.row + row.SERVER_FLAGS]! & flag) !== 0,
      result: undefined,
      ...this.left(server, kind),
    };
    if (kind === "check") this.words[server.row + row.SERVER_HEALTH] = entry.health;
    (kind === "check" ? this.checks : this.agents).set(server, entry);
    this.byId.set(entry.id, entry);
    return entry;
  }

  private order(entries: readonly Entry[], isSpread: boolean): void {
    const checks = entries.flatMap((entry): CheckOrder[] => {
      const { id, server, kind, epoch, health, isSuspended } = entry;
      const plan = checkPlan(server, kind);
      if (plan === undefined) return [];
      this.bringQuic(plan);
      const { row: serverRow, generation } = server;
      return [{ id, epoch, serverRow, generation, health, isSuspended, ...plan }];
    });
    if (checks.length > 0) this.send({ type: "add", checks, isSpread });
  }

  /** The thread can speak QUIC from now on, where a check needs it. */
  private bringQuic({ job }: CheckPlan): void {
    if (this.hasQuic || job.target.quic === undefined) return;
    this.hasQuic = true;
    const addresses = this.quicAddresses();
    if (addresses !== null) this.send({ type: "quic", addresses });
  }

  /** What a check was before it ended: its last result, and an agent's standing. */
  private left(server: ServerObject, kind: CheckKind): Partial<Remembered> {
    if (!this.failuresBase.has(server)) this.failuresBase.set(server, this.failures(server));
    const known = this.remembered.get(server)?.get(kind);
    if (known === undefined) return {};
    return kind === "agent" ? known : { result: known.result };
  }

  private forget(entry: Entry): void {
    const { server, kind, result, health } = entry;
    const known = this.remembered.get(server) ?? new Map<CheckKind, Remembered>();
    this.remembered.set(server, known.set(kind, { result, health }));
    (kind === "check" ? this.checks : this.agents).delete(server);
    this.byId.delete(entry.id);
    this.send({ type: "remove", id: entry.id });
  }
}

/** What was found before counts no more. */
function newEpoch(entry: Entry): { id: number; epoch: number; health: number } {
  entry.epoch++;
  const { id, epoch, health } = entry;
  return { id, epoch, health };
}

const KINDS: readonly CheckKind[] = ["check", "agent"];

function verdictOf(result: CheckResult): CheckVerdict {
  if (result.code === "L7OKC") return "conditionally succeeded";
  return hasPassed(result) ? "succeeded" : "failed";
}

function factsOf(result: CheckResult, durationMs: number): CheckFacts {
  const code = shownNumber(result);
  return {
    reason: CHECK_REASONS[result.code],
    ...(durationMs < 0 ? {} : { durationMs }),
    ...(code === undefined ? {} : { code }),
    ...(result.info === undefined ? {} : { info: result.info }),
  };
}
