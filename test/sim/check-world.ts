/**
 * The production checks (desk, station, scheduler) over a simulated clock, channels and servers:
 * servers flap, answers are lost or come late, orders and news cross each other, the machine sleeps
 * and wakes. Everything that counts is told to an independent model too (check-model.ts): one as
 * the thread has it, one as control does. Both must agree with the production code on every
 * counter, state and change, and on when each check comes.
 */
import { Lb } from "../../src/balance/lb.ts";
import type { CheckNews, ToChecks } from "../../src/check/messages.ts";
import type { CheckJob, Probe, ProbeEars } from "../../src/check/probe.ts";
import type { CheckResult } from "../../src/check/result.ts";
import { CheckStation } from "../../src/check/station.ts";
import { buildPlan, makeWorkshop } from "../../src/control/build.ts";
import { CheckDesk } from "../../src/control/checks/desk.ts";
import type { ServerObject } from "../../src/control/model.ts";
import { MutationLog } from "../../src/control/mutation-log.ts";
import {
  adminAfter,
  makeKeeper,
  readState,
  setAdmin,
  setHealth,
} from "../../src/control/server-state.ts";
import type { StateKeeper } from "../../src/control/server-state.ts";
import { isInMaintenance } from "../../src/control/state-notices.ts";
import { SERVER_FLAG_CHECKS_OFF } from "../../src/tables/generated/enums.ts";
import { SERVER_FLAGS, SERVER_HEALTH } from "../../src/tables/generated/server.ts";
import type { Plan } from "../../src/tables/spec.ts";
import { reserveTables, Tables } from "../../src/tables/tables.ts";
import { Choices } from "../support/sim-random.ts";
import { freshModel, modelAt } from "./check-model.ts";
import type { CheckModel, ResultKind } from "./check-model.ts";
import { drawAnswer, MOODS, verdictOf } from "./check-peers.ts";
import type { Mood } from "./check-peers.ts";
import { drawPlan } from "./check-plans.ts";
import { Violation } from "./violation.ts";

type Kind = "check" | "agent";

/** A check in both models. */
type Side = {
  readonly peer: Peer;
  readonly kind: Kind;
  /** As control has it, and the thread. */
  near: CheckModel;
  far: CheckModel;
  epoch: number;
  farEpoch: number;
  isSuspended: boolean;
  /** Probes under way: never more than one. */
  probes: number;
  /** When the last one ended, ms; undefined = something came between. */
  endedAtMs: number | undefined;
};

type Peer = {
  readonly server: ServerObject;
  readonly sides: Map<Kind, Side>;
  mood: Mood;
  /** What the model says of it, whatever operators want. */
  isUp: boolean;
  /** Times that it went up or down: `12000 up`. */
  expected: string[];
  seen: string[];
  wasUp: boolean;
};

/** Something that the thread has counted, on its way to control beside the news. */
type Counted = { side: Side; epoch: number; what: ResultKind | "errors" };

type Box = { counted: Counted[]; news: CheckNews[] };

type Timed = { atMs: number; order: number; run: () => void };

const STEP_MS = 50;
/** Pauses of the machine that a time limit forgives. */
const SLEEPS_FORGIVEN = 2;
/** Length of a run. */
const RUN_MS = 60_000;

/** One process with its thread of checks. */
export class CheckWorld {
  readonly marks = new Set<string>();
  private nowMs = 0;
  private readonly choices: Choices;
  private readonly tables: Tables;
  private readonly keeper: StateKeeper;
  private readonly desk: CheckDesk;
  private readonly station: CheckStation;
  private readonly peers: Peer[] = [];
  private readonly byRow = new Map<number, Peer>();
  private readonly sideById = new Map<number, Side>();
  private timers: Timed[] = [];
  private order = 0;
  /** What goes to control at the end of this turn. */
  private box: Box | null = null;
  /** Channels keep their order: when the last message of each arrives. */
  private toThreadMs = 0;
  private toControlMs = 0;
  private sleeps = 0;
  private sleptMs = 0;
  /** What goes on while the machine sleeps no more than it does. */
  private readonly far = new Set<Timed>();

  /** @param base a plan with one backend of checked servers; settings are drawn anew */
  constructor(seed: number, base: Plan) {
    this.choices = new Choices(seed, false, null);
    const plan = drawPlan(base, this.choices);
    const sizes = { proxies: 4, listeners: 2, servers: 32, queueEntries: 8, arenaWords: 8192 };
    this.tables = new Tables(reserveTables({ workers: 1, ...sizes }));
    const lb = new Lb(this.tables, 0, () => this.choices.next());
    const log = new MutationLog(this.tables, () => {});
    const shop = makeWorkshop(plan, this.tables, lb, log, null, 1);
    buildPlan(shop);
    this.keeper = makeKeeper({
      tables: this.tables,
      model: shop.model,
      lb,
      nowMs: () => this.nowMs,
      pool: { shutdown: () => Promise.resolve(0) },
      tell: () => undefined,
    });
    this.keeper.onChange = (server) => this.noteChange(this.byRow.get(server.row)!);
    for (const server of shop.model.serverByRow.values()) this.enter(server);
    this.station = new CheckStation({
      tables: this.tables,
      nowMs: () => this.nowMs,
      startTimer: (delayMs, run) => this.after(delayMs, run),
      random32: () => this.choices.next(),
      startProbe: (job, ears) => this.startProbe(job, ears),
      spreadPercent: 0,
      maxSpreadMs: 0,
      tell: (news) => void this.openBox().news.push(...news),
      soon: (run) => void this.after(0, run),
      pong: () => undefined,
      useQuic: () => undefined,
    });
    this.desk = new CheckDesk({
      keeper: this.keeper,
      send: (order) => this.toThread(order),
      quicAddresses: () => null,
    });
    this.keeper.checks = this.desk;
    this.desk.start(shop.model);
  }

  private enter(server: ServerObject): void {
    const { check, agent, initState } = server.spec;
    const sides = new Map<Kind, Side>();
    const health = readState(this.tables, server).health !== "down";
    const peer: Peer = {
      server,
      sides,
      mood: "well",
      isUp: health,
      expected: [],
      seen: [],
      wasUp: health,
    };
    const add = (kind: Kind, model: CheckModel): void => {
      const rest = { epoch: 1, farEpoch: 1, isSuspended: false, probes: 0, endedAtMs: undefined };
      sides.set(kind, { peer, kind, near: model, far: model.copy(), ...rest });
    };
    const { rise, fall } = check;
    if (check.enabled) add("check", freshModel({ rise, fall, isAgent: false }, initState));
    if (agent.enabled) add("agent", freshModel({ rise: 1, fall: 1, isAgent: true }, "fully-up"));
    this.peers.push(peer);
    this.byRow.set(server.row, peer);
  }

  /** Runs to the end. @throws Violation */
  run(): void {
    while (this.nowMs < RUN_MS) {
      this.advance(this.nowMs + STEP_MS);
      for (const peer of this.peers) {
        if (this.choices.chance(0.01)) peer.mood = this.choices.pick(MOODS);
      }
      if (this.choices.chance(0.03)) this.giveOrder(this.choices.pick(this.peers));
      if (this.choices.chance(0.001)) this.sleep();
    }
    for (const peer of this.peers) this.compare(peer);
  }

  // Time.

  private after(delayMs: number, run: () => void): { stop(): void } {
    const timed = { atMs: this.nowMs + Math.max(0, delayMs), order: this.order++, run };
    this.timers.push(timed);
    return {
      stop: () => {
        this.timers = this.timers.filter((other) => other !== timed);
      },
    };
  }

  /** The same of what peers do. */
  private farAfter(delayMs: number, run: () => void): void {
    const timed: Timed = {
      atMs: this.nowMs + delayMs,
      order: this.order++,
      run: () => {
        this.far.delete(timed);
        run();
      },
    };
    this.far.add(timed);
    this.timers.push(timed);
  }

  private advance(untilMs: number): void {
    for (;;) {
      let next: Timed | undefined;
      for (const timed of this.timers) {
        if (timed.atMs > untilMs) continue;
        if (next === undefined || isBefore(timed, next)) next = timed;
      }
      if (next === undefined) break;
      const index = this.timers.indexOf(next);
      this.timers.splice(index, 1);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  /** The machine stops for a while: the clock goes on, nothing else does. */
  private sleep(): void {
    this.marks.add("slept");
    this.sleeps++;
    const sleepMs = this.choices.between(500, 20_000);
    this.sleptMs += sleepMs;
    this.nowMs += sleepMs;
    // What peers do takes as long as before: each of their words needs one of ours.
    for (const timed of this.far) timed.atMs += sleepMs;
    this.forgetTimes();
  }

  private forgetTimes(): void {
    for (const peer of this.peers) {
      for (const side of peer.sides.values()) side.endedAtMs = undefined;
    }
  }

  // Operators.

  private giveOrder(peer: Peer): void {
    const { server } = peer;
    const check = peer.sides.get("check");
    const isMaint = this.isInMaint(peer);
    switch (this.choices.below(7)) {
      case 0:
        if (!isMaint) this.operate(peer, this.choices.chance(0.5));
        return;
      case 1:
      case 2:
        return this.maintain(peer, isMaint);
      case 3:
        if (check === undefined) return;
        check.isSuspended = !check.isSuspended;
        for (const side of peer.sides.values()) side.epoch++;
        return this.switchChecks(server, !check.isSuspended);
      case 4:
        for (const side of peer.sides.values()) side.epoch++;
        return this.desk.refresh(server);
      case 5:
        this.marks.add("errors");
        return this.desk.reportErrors(server, "errors of real traffic");
      default:
        return this.speakForAgent(peer, this.choices.chance(0.5));
    }
  }

  private switchChecks(server: ServerObject, isOn: boolean): void {
    const { words } = this.tables.servers;
    const at = server.row + SERVER_FLAGS;
    words[at] = isOn ? words[at]! & ~SERVER_FLAG_CHECKS_OFF : words[at]! | SERVER_FLAG_CHECKS_OFF;
    if (isOn) this.desk.resume(server);
    else this.desk.suspend(server);
  }

  private operate(peer: Peer, isUp: boolean): void {
    const check = peer.sides.get("check");
    check?.near.decide(isUp);
    for (const side of peer.sides.values()) side.epoch++;
    this.expect(peer, isUp);
    setHealth(this.keeper, peer.server, isUp ? "up" : "down");
  }

  private maintain(peer: Peer, isMaint: boolean): void {
    this.marks.add("maintained");
    for (const side of peer.sides.values()) side.endedAtMs = undefined;
    const { admin } = readState(this.tables, peer.server);
    if (isMaint) this.expectFresh(peer);
    setAdmin(this.keeper, peer.server, adminAfter(admin, isMaint ? "ready" : "maint"));
  }

  /** Out of maintenance a server begins as `init-state` says; an agent's "no" still stands. */
  private expectFresh(peer: Peer): void {
    const check = peer.sides.get("check");
    const isAgentUp = peer.sides.get("agent")?.near.isUp ?? true;
    if (check === undefined || check.isSuspended) return this.expect(peer, isAgentUp);
    check.near = freshModel(check.near.settings, peer.server.spec.initState);
    for (const side of peer.sides.values()) side.epoch++;
    this.expect(peer, check.near.isUp && isAgentUp);
  }

  private speakForAgent(peer: Peer, isWell: boolean): void {
    const agent = peer.sides.get("agent");
    if (agent === undefined) return;
    this.marks.add("agent set");
    agent.near.decide(isWell);
    for (const side of peer.sides.values()) side.epoch++;
    this.judge(agent, isWell);
    this.desk.setAgent(peer.server, isWell);
  }

  private isInMaint({ server }: Peer): boolean {
    return isInMaintenance(readState(this.tables, server).admin);
  }

  // What the model expects of control.

  private expect(peer: Peer, isUp: boolean): void {
    if (peer.isUp === isUp) return;
    peer.isUp = isUp;
    peer.expected.push(`${this.nowMs} ${isUp ? "up" : "down"}`);
  }

  /** A result that counts: down at once, up only if the other check agrees. */
  private judge(side: Side, isGood: boolean): void {
    const { peer } = side;
    if (this.isInMaint(peer)) return;
    if (!side.near.isUp) return this.expect(peer, false);
    const other = peer.sides.get(side.kind === "check" ? "agent" : "check");
    const agrees = other === undefined || other.isSuspended || other.near.isUp;
    if (isGood && agrees) this.expect(peer, true);
  }

  private noteChange(peer: Peer): void {
    const isUp = readState(this.tables, peer.server).health !== "down";
    if (peer.wasUp === isUp) return;
    peer.wasUp = isUp;
    peer.seen.push(`${this.nowMs} ${isUp ? "up" : "down"}`);
  }

  private compare(peer: Peer): void {
    const { name } = peer.server.spec;
    const [seen, expected] = [peer.seen.join(", "), peer.expected.join(", ")];
    if (seen !== expected) {
      throw broken("changes are those of the model", `${name}: ${seen}, not ${expected}`);
    }
    const check = peer.sides.get("check");
    if (check === undefined) return;
    const health = this.tables.servers.words[peer.server.row + SERVER_HEALTH]!;
    if (health !== check.near.health) {
      const text = `${name}: ${health}, not ${check.near.health}`;
      throw broken("counters are those of the model", text);
    }
  }

  // Channels.

  private toThread(order: ToChecks): void {
    this.toThreadMs = Math.max(this.toThreadMs, this.nowMs + this.choices.below(40));
    if (order.type === "add") {
      for (const { id, serverRow, schedule } of order.checks) {
        this.sideById.set(id, this.byRow.get(serverRow)!.sides.get(schedule.kind)!);
      }
    }
    this.after(this.toThreadMs - this.nowMs, () => {
      if ("epoch" in order) this.foresee(order);
      this.station.follow(order);
    });
  }

  /** What an order does to the thread's model. */
  private foresee(order: Extract<ToChecks, { epoch: number }>): void {
    const side = this.sideById.get(order.id)!;
    side.endedAtMs = undefined;
    if (order.type !== "errors") {
      side.farEpoch = order.epoch;
      side.far = modelAt(side.far.settings, order.health);
      return;
    }
    const { onError } = side.peer.server.spec;
    if (order.epoch !== side.farEpoch || !side.far.isUp || onError === "fastinter") return;
    side.far.errors(onError);
    this.openBox().counted.push({ side, epoch: side.farEpoch, what: "errors" });
  }

  /** News and what the model counts arrive together: the station sends at the end of a turn. */
  private openBox(): Box {
    const open = this.box;
    if (open !== null) return open;
    const box: Box = { counted: [], news: [] };
    this.box = box;
    this.after(0, () =>
      this.after(0, () => {
        this.box = null;
        this.toControlMs = Math.max(this.toControlMs, this.nowMs + this.choices.below(40));
        this.after(this.toControlMs - this.nowMs, () => this.deliver(box));
      }),
    );
    return box;
  }

  private deliver({ counted, news }: Box): void {
    for (const one of counted) this.count(one);
    this.desk.receive(news);
    for (const { side } of counted) this.compare(side.peer);
  }

  private count({ side, epoch, what }: Counted): void {
    if (epoch !== side.epoch) {
      this.marks.add("news of an older epoch");
      return;
    }
    if (what === "errors") side.near.errors(side.peer.server.spec.onError);
    else side.near.result(what);
    this.judge(side, what === "passed");
  }

  // Probes.

  private startProbe(job: CheckJob, ears: ProbeEars): Probe {
    const peer = this.byRow.get(job.target.names.serverRow)!;
    const side = peer.sides.get(job.program.kind === "agent" ? "agent" : "check")!;
    if (side.probes++ !== 0) throw broken("one probe at a time", peer.server.spec.name);
    this.expectOnTime(side);
    const probe = { startedAtMs: this.nowMs, limitMs: firstLimitMs(side), isOver: false };
    const { sleeps } = this;
    // When the time limit in force began, on the clock of a machine that never sleeps.
    let awakeFromMs = this.nowMs - this.sleptMs;
    let awakeMaxMs = firstLimitMs(side);
    const end = (what: ResultKind): void => {
      probe.isOver = true;
      side.probes--;
      side.endedAtMs = this.nowMs;
      if (this.isInMaint(peer) && side.kind === "check") return;
      side.far.result(what);
      this.openBox().counted.push({ side, epoch: side.farEpoch, what });
    };
    const answer = (result: CheckResult): void => {
      if (probe.isOver) this.marks.add("late answer");
      else end(verdictOf(result, side.kind === "agent"));
      // One that was given up may answer all the same: nobody listens.
      ears.done(result);
    };
    const plan = drawAnswer(peer.mood, side.kind === "agent", this.choices);
    const { checkMs } = timesOf(side);
    const connect = (): void => {
      ears.connected();
      if (checkMs < 0) return;
      probe.limitMs = this.nowMs - probe.startedAtMs + checkMs;
      awakeFromMs = this.nowMs - this.sleptMs;
      awakeMaxMs = checkMs;
    };
    if (plan.connectMs >= 0) {
      this.farAfter(plan.connectMs, () => (probe.isOver ? undefined : connect()));
    }
    if (plan.answerMs === 0) answer(plan.result);
    else if (plan.answerMs > 0) this.farAfter(plan.answerMs, () => answer(plan.result));
    return {
      cancel: () => {
        if (probe.isOver) return;
        probe.isOver = true;
        side.probes--;
      },
      late: () => {
        const tookMs = this.nowMs - probe.startedAtMs;
        const isLate = tookMs >= probe.limitMs;
        // A machine that slept notices later.
        const isPrompt = tookMs <= probe.limitMs + 1 || sleeps !== this.sleeps;
        // Its sleep is no silence of the server, the first times.
        const awakeMs = this.nowMs - this.sleptMs - awakeFromMs;
        const isFair = awakeMs >= awakeMaxMs || this.sleeps - sleeps > SLEEPS_FORGIVEN;
        if (!isLate || !isPrompt || !isFair) {
          const text = `${peer.server.spec.name}: after ${tookMs} ms, not ${probe.limitMs}`;
          throw broken("time limits are those of the configuration", text);
        }
        end("failed");
        return { code: "L4TOUT" };
      },
    };
  }

  /** The interval of the state that the thread's model is in. */
  private expectOnTime(side: Side): void {
    const { endedAtMs, far, peer } = side;
    side.endedAtMs = undefined;
    if (endedAtMs === undefined) return;
    const { intervalMs, fastIntervalMs, downIntervalMs } = timesOf(side);
    const settledMs = far.isUp ? intervalMs : downIntervalMs;
    const wantedMs = far.run === 0 ? settledMs : fastIntervalMs;
    const tookMs = this.nowMs - endedAtMs;
    if (tookMs === wantedMs) return;
    const text = `${peer.server.spec.name}: ${tookMs} ms, not ${wantedMs}`;
    throw broken("checks come when they are due", text);
  }
}

function broken(invariant: string, detail: string): Violation {
  return new Violation(`${invariant}: ${detail}`);
}

function isBefore(left: Timed, right: Timed): boolean {
  return left.atMs === right.atMs ? left.order < right.order : left.atMs < right.atMs;
}

type Times = {
  intervalMs: number;
  fastIntervalMs: number;
  downIntervalMs: number;
  connectMs: number;
  checkMs: number;
};

function timesOf({ peer, kind }: Side): Times {
  const { spec, backend } = peer.server;
  const { connect: connectMs, check: checkMs } = backend.spec.timeouts;
  const limits = { connectMs, checkMs };
  if (kind === "check") return { ...spec.check, ...limits };
  const { intervalMs } = spec.agent;
  return { intervalMs, fastIntervalMs: intervalMs, downIntervalMs: intervalMs, ...limits };
}

/** Until the connection is there, or for all of it. */
function firstLimitMs(side: Side): number {
  const { intervalMs, connectMs, checkMs } = timesOf(side);
  return checkMs >= 0 && connectMs >= 0 ? Math.min(intervalMs, connectMs) : intervalMs;
}
