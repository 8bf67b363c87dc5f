/**
 * The worker's own event loop over native/loop.c: polls, hands events to conduits, runs what was
 * put off to the end of a turn, its timers, and gives way to Bun's loop when control has written.
 *
 *   poll ─▶ events ─▶ readers that have more ─▶ end of turn ─▶ timers ─▶ poll …
 *                                   bell rung ─▶ Bun's loop for a few turns (messages) ─▶ poll …
 *
 * The thread sleeps in `poll`, not in Bun's loop: whoever sends it a message rings the bell too.
 *
 * @hot
 */
import type { Pointer } from "bun:ffi";

import { onNextTurn } from "../../base/clock.ts";
import type { Clock, Ticker } from "../../base/clock.ts";
import { BUFSIZE_DEFAULT } from "../../base/limits.ts";
import type { Native } from "../native.ts";
import type { DialTarget } from "../tcp/dial.ts";
import { EVENT_WORDS, EVENTS_MAX, tellReady } from "./events.ts";
import type { ReadyHandler } from "./events.ts";
import type { LoopConduit } from "./loop-conduit.ts";

/** Kinds of events; the same numbers stand in native/loop.c. */
const EVENT_SOCKET = 1;
const EVENT_ACCEPTED = 2;
const EVENT_ACCEPT_FAILED = 3;

/** Longest sleep, ms: a lost ring costs no more than this. */
const SLEEP_MS_MAX = 1000;
/** Turns of Bun's loop after a ring: messages take one, what they set off another. */
const MAIL_TURNS = 3;
/** Batches of clients that a closing listener still lets in: more than a backlog holds. */
const ACCEPT_ROUNDS_MAX = 128;
/** Turns of our own before Bun's loop has a look in any case. */
const TURNS_MAX = 64;

/** Answers of `prepareSleep`: nothing is waiting; notes are; messages are, for Bun's loop. */
export const SLEEP = 0;
export const GO_ON = 1;
export const MAIL = 2;

/** A listening descriptor's owner. */
export type LoopAcceptor = {
  accepted(conduit: LoopConduit): void;
  /** accept(2) failed with this errno; the loop has not stopped accepting. */
  failed(errno: number): void;
};

type LoopTimer = Ticker & { atMs: number; run: () => void; isLive: boolean };

/** What the loop asks of the worker around it. */
export type LoopHooks = {
  /** Reads notes, then makes ready to be woken. @returns SLEEP, GO_ON or MAIL */
  prepareSleep(): number;
  /** Sleep is over. */
  woken(): void;
  /** An exception of one event, reader or timer: a bug. */
  fault: (where: string, error: unknown) => void;
};

export class NativeLoop {
  readonly native: Native;
  readonly pointer: Pointer;
  /** One read of any conduit: its length is the most that one read can be (`tune.bufsize`). */
  readBuffer = new Uint8Array(BUFSIZE_DEFAULT);
  /** A read is under way: its buffer is in use. */
  isReading = false;
  private readonly clock: Clock;
  private readonly hooks: LoopHooks;
  private readonly events = new Int32Array(EVENTS_MAX * EVENT_WORDS);
  /** By descriptor. */
  private readonly handlers: (ReadyHandler | undefined)[] = [];
  private readonly acceptors = new Map<number, LoopAcceptor>();
  /** Makes the conduit of an accepted descriptor. */
  private readonly adopt: (loop: NativeLoop, fd: number, generation: number) => LoopConduit;
  /** Conduits that have more to read than their share of a turn. */
  private again: LoopConduit[] = [];
  private againSpare: LoopConduit[] = [];
  private atTurnEnd: (() => void)[] = [];
  private timers: LoopTimer[] = [];
  private mailTurns = 0;
  private readonly onTurn: () => void;

  /**
   * @param bell eventfd of the worker's former loop, -1 = none
   * @throws when the system gives no descriptors
   */
  constructor(
    native: Native,
    bell: number,
    clock: Clock,
    hooks: LoopHooks,
    adopt: (loop: NativeLoop, fd: number, generation: number) => LoopConduit,
  ) {
    const pointer = native.loopNew(this.events, EVENTS_MAX, bell);
    if (pointer === null) throw new Error("the event loop cannot be made: no descriptor is left");
    this.native = native;
    this.pointer = pointer;
    this.clock = clock;
    this.hooks = hooks;
    this.adopt = adopt;
    this.onTurn = () => this.turns();
  }

  /** Descriptor to ring with `native.ring`. */
  get bell(): number {
    return this.native.loopBell(this.pointer);
  }

  /** Begins to run; never returns to the caller's turn. */
  start(): void {
    onNextTurn(this.onTurn);
  }

  /** Some turns of ours, then one of Bun's. */
  private turns(): void {
    for (let i = 0; i < TURNS_MAX; i++) {
      const mayRest = this.mailTurns === 0;
      try {
        this.turn(mayRest);
      } catch (error) {
        this.failed(error);
      }
      if (this.mailTurns > 0) {
        this.mailTurns--;
        break;
      }
    }
    onNextTurn(this.onTurn);
  }

  /** A bug of ours: told, and everybody else goes on. */
  private failed(error: unknown): void {
    this.hooks.fault("event loop", error);
  }

  private turn(mayRest: boolean): void {
    let timeoutMs = 0;
    const hasWork = this.again.length > 0 || this.atTurnEnd.length > 0;
    if (mayRest && !hasWork) {
      timeoutMs = this.sleepMs();
      const answer = this.hooks.prepareSleep();
      if (answer !== SLEEP) timeoutMs = 0;
      if (answer === MAIL) this.mailTurns = MAIL_TURNS;
    }
    const count = this.native.loopPoll(this.pointer, timeoutMs);
    if (mayRest && !hasWork) this.hooks.woken();
    this.dispatchAll(count);
    if (this.again.length > 0) this.readAgain();
    if (this.atTurnEnd.length > 0) this.endTurn();
    if (this.timers.length > 0) this.runTimers();
  }

  /** An event is told once: what is lost behind one that throws would never come again. */
  private dispatchAll(count: number): void {
    for (let i = 0; i < count; i++) {
      try {
        this.dispatch(i * EVENT_WORDS);
      } catch (error) {
        this.failed(error);
      }
    }
  }

  private dispatch(at: number): void {
    const { events } = this;
    const kind = events[at]!;
    const fd = events[at + 1]!;
    if (kind === EVENT_SOCKET) {
      tellReady(this.handlers, events, at);
      return;
    }
    if (kind === EVENT_ACCEPTED) {
      const conduit = this.adopt(this, fd, events[at + 2]!);
      this.handlers[fd] = conduit;
      const acceptor = this.acceptors.get(events[at + 3]!);
      if (acceptor === undefined) conduit.close();
      else acceptor.accepted(conduit);
      return;
    }
    if (kind === EVENT_ACCEPT_FAILED) {
      this.acceptors.get(fd)?.failed(events[at + 3]!);
      return;
    }
    // The bell: what it rang for is seen before the next sleep.
  }

  /** Begins a connection, whose descriptor is the loop's. @returns the descriptor, or -errno */
  connect(target: DialTarget): number {
    const { socketAddress, source } = target;
    return this.native.loopConnect(
      this.pointer,
      socketAddress.bytes,
      socketAddress.bytes.length,
      source === null ? null : source.bytes,
      source === null ? 0 : source.bytes.length,
      target.options,
      target.interfaceName,
    );
  }

  /** Tells a conduit of its descriptor, which is the loop's, from now on. */
  enter(conduit: LoopConduit): void {
    conduit.generation = this.native.loopGeneration(this.pointer, conduit.fd);
    this.handlers[conduit.fd] = conduit;
  }

  /** Closes a conduit's descriptor. */
  remove(fd: number, isAbort: boolean): void {
    this.handlers[fd] = undefined;
    this.native.loopClose(this.pointer, fd, isAbort ? 1 : 0);
  }

  /**
   * Watches a descriptor that is no connection, for reading: its handler is told in each turn in
   * which there is something to read, and given its generation.
   * @param isOwned it is the loop's: closed by `unwatch`, or by whoever buries the loop
   * @returns 0, or -errno: then it is the caller's as before
   */
  watch(fd: number, handler: ReadyHandler, isOwned: boolean): number {
    const generation = this.native.loopWatch(this.pointer, fd, isOwned ? 1 : 0);
    if (generation < 0) return generation;
    handler.generation = generation;
    this.handlers[fd] = handler;
    return 0;
  }

  /** Takes a watched descriptor off, before its owner closes it. */
  unwatch(fd: number): void {
    this.handlers[fd] = undefined;
    this.native.loopUnwatch(this.pointer, fd);
  }

  /** Accepts on `fd` from now on. @returns 0 or -errno */
  listen(fd: number, acceptor: LoopAcceptor): number {
    this.acceptors.set(fd, acceptor);
    return this.native.loopListen(this.pointer, fd, 1);
  }

  /** Stops accepting on `fd`; the kernel goes on queueing. */
  unlisten(fd: number): void {
    // What the system accepted before, in this batch, still comes: its owner stays known.
    this.native.loopListen(this.pointer, fd, 0);
  }

  /**
   * Accepts all that the kernel has queued on `fd`, for a listener that is about to close. Not from
   * inside a turn: the events are the loop's. @cold
   */
  acceptAll(fd: number): void {
    for (let rounds = 0; rounds < ACCEPT_ROUNDS_MAX; rounds++) {
      const count = this.native.loopAccept(this.pointer, fd);
      this.dispatchAll(count);
      if (count === 0 || this.events[(count - 1) * EVENT_WORDS] === EVENT_ACCEPT_FAILED) return;
    }
  }

  /** Gives `conduit` another turn to read, after all others. */
  readLater(conduit: LoopConduit): void {
    if (conduit.isWaitingTurn) return;
    conduit.isWaitingTurn = true;
    this.again.push(conduit);
  }

  private readAgain(): void {
    const batch = this.again;
    this.again = this.againSpare;
    for (let i = 0; i < batch.length; i++) {
      const conduit = batch[i]!;
      conduit.isWaitingTurn = false;
      try {
        conduit.pump();
      } catch (error) {
        this.failed(error);
      }
    }
    batch.length = 0;
    this.againSpare = batch;
  }

  /** Runs `run` when this turn's events have been handled. */
  nextTurn(run: () => void): void {
    this.atTurnEnd.push(run);
  }

  private endTurn(): void {
    const batch = this.atTurnEnd;
    this.atTurnEnd = [];
    for (let i = 0; i < batch.length; i++) {
      try {
        batch[i]!();
      } catch (error) {
        this.failed(error);
      }
    }
  }

  /** Runs `run` once after `delayMs`. A few timers at a time: the engine has a wheel. @cold */
  startTimer(delayMs: number, run: () => void): Ticker {
    const timer: LoopTimer = {
      atMs: this.clock.nowMs() + delayMs,
      run,
      isLive: true,
      stop: () => {
        timer.isLive = false;
      },
    };
    this.timers.push(timer);
    return timer;
  }

  private sleepMs(): number {
    let at = Infinity;
    for (let i = 0; i < this.timers.length; i++) {
      const timer = this.timers[i]!;
      if (timer.isLive && timer.atMs < at) at = timer.atMs;
    }
    if (at === Infinity) return SLEEP_MS_MAX;
    const left = Math.ceil(at - this.clock.nowMs());
    return left <= 0 ? 0 : left < SLEEP_MS_MAX ? left : SLEEP_MS_MAX;
  }

  private runTimers(): void {
    const now = this.clock.nowMs();
    const { timers } = this;
    let due = 0;
    for (let i = 0; i < timers.length; i++) {
      const timer = timers[i]!;
      if (!timer.isLive || timer.atMs <= now) due++;
    }
    if (due === 0) return;
    this.timers = [];
    for (let i = 0; i < timers.length; i++) {
      const timer = timers[i]!;
      if (!timer.isLive) continue;
      if (timer.atMs <= now) {
        timer.isLive = false;
        try {
          timer.run();
        } catch (error) {
          this.failed(error);
        }
      } else {
        this.timers.push(timer);
      }
    }
  }
}
