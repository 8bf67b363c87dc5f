/**
 * One simulated data-plane thread: the production engine over simulated sockets, and the queue of
 * what its event loop would have to do next.
 */
import type { Ticker } from "../../src/base/clock.ts";
import type { Conduit } from "../../src/conduit/conduit.ts";
import { replayOf } from "../../src/control/replay.ts";
import { applyMutations } from "../../src/data/apply.ts";
import { Engine } from "../../src/data/engine.ts";
import type { Environment } from "../../src/data/engine.ts";
import { handleNote } from "../../src/data/notes.ts";
import type { ListeningSocket } from "../../src/data/views.ts";
import {
  WORKER_INBOX_HEAD,
  WORKER_INBOX_TAIL,
  WORKER_STRIDE,
} from "../../src/tables/generated/worker.ts";
import { drainInbox } from "../../src/tables/inbox.ts";
import { unpackMutations } from "../../src/tables/mutations.ts";
import type { ToWorker, WorkerGlobals } from "../../src/tables/mutations.ts";
import type { BindSpec } from "../../src/tables/spec.ts";
import type { SimSocket } from "../support/sim-socket.ts";
import { readQuestion, readShutdown } from "./ask-actions.ts";
import type { SimClient } from "./far.ts";
import { WorkerQuic } from "./quic-near.ts";
import { SimLoop } from "./sim-loop.ts";
import { require } from "./violation.ts";
import type { World } from "./world.ts";

/** Clients that have connected to one worker's socket of one bind and were not accepted yet. */
export type Backlog = { port: number; worker: number; clients: SimClient[] };

/** What control sends, and whom it tells how many streams were shut down. */
export type Message = ToWorker;

export const GLOBALS: WorkerGlobals = {
  bufsize: 16_384,
  rcvbufClient: 0,
  rcvbufServer: 0,
  sndbufClient: 0,
  sndbufServer: 0,
  maxaccept: 0,
  logAllStreams: true,
  isQuicEnabled: true,
  hostName: "sim",
};

/** A listening socket of a worker: accepts from its backlog while it is open. */
class SimListener implements ListeningSocket {
  isAccepting = false;
  private hasPaused = false;
  private readonly world: World;
  readonly backlog: Backlog;
  readonly accept: (client: SimClient) => void;

  constructor(world: World, backlog: Backlog, accept: (client: SimClient) => void) {
    this.world = world;
    this.backlog = backlog;
    this.accept = accept;
  }

  get isReady(): boolean {
    return this.isAccepting && this.backlog.clients.length > 0;
  }

  start(): number {
    if (this.world.failsAccept()) return -24;
    if (this.hasPaused) this.world.marks.hit("paused listener resumed");
    this.isAccepting = true;
    return 0;
  }

  pause(): void {
    this.hasPaused = true;
    this.isAccepting = false;
  }
}

export class SimWorker {
  readonly world: World;
  readonly number: number;
  engine: Engine;
  /** Its own event loop, where the run's conduits are those of the loop. */
  loop: SimLoop | null = null;
  /** Its QUIC, where the run has any. */
  quic: WorkerQuic | null = null;
  /** The thread is gone, and control has not noticed yet. */
  isLost = false;
  /** Control has buried it, and no other has taken its number yet. */
  isBuried = false;
  /** The engine said that its last stream has ended after a stop. */
  hasStopped = false;
  /** Time of the wheel's turn in this very step; 0 = there was none. */
  wheelLookedAtMs = 0;
  sockets: SimSocket[] = [];
  readonly messages: Message[] = [];
  private turns: (() => void)[] = [];
  private listeners: SimListener[] = [];
  private readonly ready: (SimSocket | SimListener | (() => void))[] = [];

  constructor(world: World, number: number) {
    this.world = world;
    this.number = number;
    this.engine = this.makeEngine();
  }

  /** It does nothing before this step. */
  stalledUntil = 0;

  get isRunning(): boolean {
    return !this.isLost && !this.isBuried;
  }

  /** The callback with which the engine arms its wheel. */
  get wheelCallback(): () => void {
    return (this.engine as unknown as { onTimer: () => void }).onTimer;
  }

  private makeEngine(): Engine {
    this.loop = this.world.options.conduit === "loop" ? new SimLoop(this.world, this) : null;
    this.quic = this.world.quic === null ? null : new WorkerQuic(this.world, this, this.atTurnEnd);
    return new Engine(this.number, this.world.tables, this.environment(), GLOBALS);
  }

  private environment(): Environment {
    const { world, number } = this;
    return {
      clock: world.clock,
      startTimer: (delayMs: number, run: () => void): Ticker => {
        // Besides the wheel only limits of a second start timers.
        if (run !== this.wheelCallback) world.marks.hit("rate limit reached");
        return world.clock.start(number, delayMs, run);
      },
      nextTurn: this.atTurnEnd,
      dial: (target, owner, hints) => world.dial(this, target, owner, hints),
      forgetTarget: (target) => {
        if (target.quic !== null) this.quic!.hub.forget(target);
      },
      listen: (spec, _fd, frontend, onAccept) => this.listen(spec, frontend, onAccept),
      random32: () => world.choices.next(),
      hasDescriptor: () => world.hasDescriptor(),
      cpuMicros: () => 0,
      ringControl: () => {
        world.hasRung = true;
        world.inside(this, "ringControl");
      },
      notice: (text) => world.trace(() => `w${number} notice ${text}`),
      serverErrors: (row, generation, count) => world.comingBack.report(row, generation, count),
      configure: () => {},
      configureQuic: () => {},
      fault: (where, text) => {
        throw new Error(`${where}: ${text}`);
      },
      stopped: () => {
        require(this.engine.streamCount === 0, "a worker stops when its last stream has ended");
        require(!this.hasStopped, "a worker stops once");
        this.hasStopped = true;
        this.quic?.hub.stop();
      },
    };
  }

  /** Runs something when the turn of the loop is over. */
  private readonly atTurnEnd = (run: () => void): void => {
    if (this.loop === null) this.turns.push(run);
    else this.loop.nextTurn(run);
  };

  private listen(
    spec: BindSpec,
    frontend: { row: number; timeoutClient: number },
    onAccept: (conduit: Conduit) => void,
  ): ListeningSocket {
    const port = spec.address.family === "ipv4" ? spec.address.port : 0;
    if (spec.quic !== undefined) {
      const accept = (conduit: Conduit): void => this.world.quic!.accept(this, conduit, onAccept);
      return this.quic!.hub.listen(spec.quic, port, frontend, accept);
    }
    const backlog = this.world.backlog(port, this.number);
    if (this.loop !== null) return this.loop.listen(backlog, onAccept);
    const listener = new SimListener(this.world, backlog, (client) =>
      onAccept(this.world.accept(this, client)),
    );
    this.listeners.push(listener);
    return listener;
  }

  /** A socket that the worker owns from now on. */
  own(socket: SimSocket): void {
    socket.hook = (_socket, call) => this.world.inside(this, call);
    this.sockets.push(socket);
  }

  /** Lets go of sockets that are over. */
  sweep(): void {
    this.wheelLookedAtMs = 0;
    const { sockets } = this;
    let kept = 0;
    for (const socket of sockets) {
      if (socket.isResetSwallowed) this.world.marks.hit("write found the connection gone");
      if (!socket.nearClosed && !socket.closeDelivered) sockets[kept++] = socket;
    }
    sockets.length = kept;
  }

  /** One event of its loop, chosen at random among those that could come next; false = none. */
  turn(): boolean {
    const { ready, world } = this;
    ready.length = 0;
    if (this.messages.length > 0) ready.push(this.readMessage);
    if (this.turns.length > 0) ready.push(this.runTurn);
    if (world.clock.isDue(this.number)) ready.push(this.fireTimer);
    if (this.hasNotes()) ready.push(this.readNotes);
    if (this.quic?.transport.isReady === true) ready.push(this.turnQuic);
    if (this.loop !== null) {
      // Its sockets are told of by its own poll.
      if (this.loop.isReady) ready.push(this.turnLoop);
      return this.runOne();
    }
    for (const listener of this.listeners) if (listener.isReady) ready.push(listener);
    for (const socket of this.sockets) if (socket.isReady) ready.push(socket);
    return this.runOne();
  }

  private runOne(): boolean {
    const { ready, world } = this;
    if (ready.length === 0) return false;
    const next = ready[world.choices.below(ready.length)]!;
    if (typeof next === "function") next();
    else if (next instanceof SimListener) this.acceptFrom(next);
    else this.deliver(next);
    return true;
  }

  private hasNotes(): boolean {
    const { words } = this.world.tables.workers;
    const row = this.number * WORKER_STRIDE;
    return words[row + WORKER_INBOX_HEAD] !== words[row + WORKER_INBOX_TAIL];
  }

  private deliver(socket: SimSocket): void {
    this.world.trace(() => `w${this.number} event on socket ${socket.id}`);
    socket.deliver();
  }

  private acceptFrom(listener: SimListener): void {
    const client = listener.backlog.clients.shift()!;
    this.world.trace(() => `w${this.number} accepts ${client}`);
    listener.accept(client);
    if (client.stream < 0) this.world.marks.hit("parked accept");
  }

  private readonly fireTimer = (): void => {
    this.world.isTimerEvent = true;
    this.world.trace(() => `w${this.number} timer`);
    const { clock } = this.world;
    if (clock.fire(this.number) === this.wheelCallback) this.wheelLookedAtMs = clock.nowMs();
  };

  private readonly turnLoop = (): void => {
    this.world.trace(() => `w${this.number} turn of its loop`);
    this.loop!.turn();
  };

  private readonly turnQuic = (): void => {
    this.world.trace(() => `w${this.number} turn of its transport`);
    this.quic!.transport.turn();
  };

  private readonly runTurn = (): void => {
    const turns = this.turns;
    this.turns = [];
    this.world.trace(() => `w${this.number} end of turn`);
    for (const run of turns) run();
  };

  private readonly readNotes = (): void => {
    this.world.trace(() => `w${this.number} reads its inbox`);
    const { engine } = this;
    drainInbox(this.world.tables, this.number, (kind, a, b, c) => {
      this.world.noteArrives(this, kind, a);
      handleNote(engine, kind, a, b, c);
    });
  };

  /** Reads one message of control. */
  readonly readMessage = (): void => {
    const message = this.messages.shift()!;
    this.world.trace(() => `w${this.number} message ${message.type}`);
    if (message.type === "mutations") {
      applyMutations(this.engine, unpackMutations(message.batch));
    } else if (message.type === "shutdown") {
      readShutdown(this, message);
    } else if (message.type === "ask") {
      readQuestion(this, message.question);
    }
  };

  /** The thread ends here: its descriptors are closed, its memory is gone. */
  die(): void {
    this.isLost = true;
    this.world.clock.dropOwner(this.number);
    this.turns = [];
    this.messages.length = 0;
    this.listeners = [];
    for (const socket of this.sockets) {
      socket.events = null;
      socket.hook = () => {};
      socket.terminate();
    }
    this.sockets = [];
  }

  /** A new thread takes the number. */
  start(): void {
    this.isLost = false;
    this.isBuried = false;
    this.hasStopped = false;
    this.engine = this.makeEngine();
    applyMutations(
      this.engine,
      replayOf(this.world.shop.model, GLOBALS, this.world.mutationLog.sequence),
    );
  }
}
