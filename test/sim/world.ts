/**
 * One simulated process: control's tables and objects, workers that run the production engine, and
 * the clients and servers around it. `step` does one thing; everything is drawn from one seed.
 *
 *   clients ─▶ backlogs ─▶ workers (src/data) ─▶ dials ─▶ servers
 *                 ▲             ▲   │
 *   control ──────┴─ mutations ─┘   └─▶ log rings, shared tables ─▶ invariants
 */
import { Lb } from "../../src/balance/lb.ts";
import { formatIp, parseIp } from "../../src/base/address.ts";
import { BACK, CLOSE_REFUSED, CLOSE_RESOURCE, FRONT } from "../../src/conduit/conduit.ts";
import type { Conduit, ConduitOwner, DialHints } from "../../src/conduit/conduit.ts";
import { Endpoint } from "../../src/conduit/sockaddr.ts";
import type { DialTarget } from "../../src/conduit/tcp/dial.ts";
import { buildPlan, makeWorkshop } from "../../src/control/build.ts";
import type { Workshop } from "../../src/control/build.ts";
import type { LifeControl } from "../../src/control/control.ts";
import { Events } from "../../src/control/events.ts";
import { Grace } from "../../src/control/life/grace.ts";
import { References } from "../../src/control/life/references.ts";
import type { ServerObject } from "../../src/control/model.ts";
import { MutationLog } from "../../src/control/mutation-log.ts";
import type { QuicSource } from "../../src/control/quic-start.ts";
import type { RowAllocator } from "../../src/control/rows.ts";
import { runFor } from "../../src/data/owner.ts";
import { Stream } from "../../src/data/stream.ts";
import { WORKER_STATE_RUNNING } from "../../src/tables/generated/enums.ts";
import {
  PROCESS_MAXCONN,
  PROCESS_MAXCONNRATE,
  PROCESS_WORKER_COUNT,
} from "../../src/tables/generated/process.ts";
import { QUEUE_STATE, QUEUE_STREAM } from "../../src/tables/generated/queue.ts";
import { WORKER_STATE, WORKER_STRIDE } from "../../src/tables/generated/worker.ts";
import { CONTROL_THREAD, NOTE_GRANT } from "../../src/tables/inbox.ts";
import { packMutations } from "../../src/tables/mutations.ts";
import type { MutationRecord } from "../../src/tables/mutations.ts";
import type { Plan } from "../../src/tables/spec.ts";
import { reserveTables, Tables } from "../../src/tables/tables.ts";
import { SimClock } from "../support/sim-clock.ts";
import { SimConduit, SimTcpConduit } from "../support/sim-conduit.ts";
import type { SimEndpoints } from "../support/sim-conduit.ts";
import type { Choices } from "../support/sim-random.ts";
import { CONNECTED, SimSocket } from "../support/sim-socket.ts";
import { Names } from "./ask-actions.ts";
import { ComingBack } from "./coming-back.ts";
import { SimClient, SimLink } from "./far.ts";
import { Invariants } from "./invariants.ts";
import { Marks } from "./marks.ts";
import { MOODS } from "./options.ts";
import type { Mood, SimOptions } from "./options.ts";
import { harvestRecords } from "./outcomes.ts";
import { Outlying } from "./outlying.ts";
import { QuicStreamSocket } from "./quic-socket.ts";
import { QuicWorld } from "./quic-world.ts";
import { SimWorker } from "./sim-worker.ts";
import type { Backlog } from "./sim-worker.ts";
import { makePlan } from "./specs.ts";
import { require, Violation } from "./violation.ts";

/** A thread dies in the middle of what it does. */
export class WorkerLost extends Error {
  override name = "WorkerLost";
}

/** A server that streams are dialled to. */
export type SimServer = {
  object: ServerObject;
  port: number;
  /** How all connections to it go; null = as the run's moods say. */
  mood: Mood | null;
  /** Taken out of the configuration; its row is not used any more. */
  isGone: boolean;
};

/** Connections that fail for want of a descriptor, and listening sockets that cannot be opened. */
const RESOURCE_FAILURES = 0.005;
const ACCEPT_FAILURES = 0.05;
const SERVERS_ROOM = 24;

/** What clients reach. */
const OWN_ADDRESS = new Endpoint();
parseIp("127.0.0.1", OWN_ADDRESS.ip);
OWN_ADDRESS.family = 4;
OWN_ADDRESS.port = 8000;

/** QUIC needs nothing of the machine here. */
const SIMULATED_QUIC: QuicSource = {
  settings: () => ({ addresses: {}, secret: "", chunksMax: 0 }),
  problemOfBind: () => "",
  problemOfServer: () => "",
};

/** A row that was freed, or will be. */
export type Removal = { rows: RowAllocator; row: number; generation: number; backendRow: number };

export class World {
  readonly options: SimOptions;
  readonly choices: Choices;
  readonly clock = new SimClock();
  readonly tables: Tables;
  readonly lb: Lb;
  readonly mutationLog: MutationLog;
  readonly shop: Workshop;
  readonly workers: SimWorker[] = [];
  readonly clients: SimClient[] = [];
  readonly links: SimLink[] = [];
  /** Links that the proxy has not let go of. */
  heldLinks: SimLink[] = [];
  readonly servers: SimServer[] = [];
  readonly clientsBySocket = new Map<SimSocket, SimClient>();
  readonly clientsByStream = new Map<number, SimClient>();
  readonly marks = new Marks();
  /** Streams that control has been told of. */
  readonly names = new Names();
  readonly invariants: Invariants;
  /** Slow starts, and what connections say of servers. */
  readonly comingBack: ComingBack;
  /** Servers that do worse than their peers. */
  readonly outlying: Outlying;
  /** What speaks QUIC around the process; null = nothing does. */
  readonly quic: QuicWorld | null;
  private readonly backlogs = new Map<string, Backlog>();
  private readonly traced: string[] | null;
  private depth = 0;
  private nextSocket = 1;
  stepCount = 0;
  /** The run is over: nothing new begins, everything comes to an end. */
  isDraining = false;
  isStopping = false;
  hasShutDown = false;
  /** What the functions of control work on. */
  readonly control: LifeControl;
  /** Rows of removed servers and backends, with the generation that they had. */
  readonly removals: Removal[] = [];
  /** A worker has rung control's bell. */
  hasRung = false;
  private willFlush: (() => void) | null = null;
  /** The event of this step was a timer. */
  isTimerEvent = false;

  constructor(options: SimOptions, choices: Choices, traced: string[] | null) {
    // Whatever no worker does is done by control, which owns no stream.
    runFor(CONTROL_THREAD);
    this.options = options;
    this.choices = choices;
    this.traced = traced;
    const blocks = reserveTables({
      workers: options.workers,
      proxies: options.proxies.length + 3,
      listeners: options.proxies.length,
      servers: SERVERS_ROOM,
      queueEntries: options.queueEntries,
      arenaWords: 1 << 20,
    });
    this.tables = new Tables(blocks);
    this.lb = new Lb(this.tables, 0, () => choices.next());
    const process = this.tables.process.words;
    process[PROCESS_MAXCONN] = options.processMaxconn;
    process[PROCESS_MAXCONNRATE] = options.processRate;
    process[PROCESS_WORKER_COUNT] = options.workers;
    const send = (records: MutationRecord[]): void => {
      const batch = packMutations(records);
      for (const worker of this.workers) {
        if (worker.isRunning) worker.messages.push({ type: "mutations", batch });
      }
    };
    this.mutationLog = new MutationLog(this.tables, send, (run) => {
      this.willFlush = run;
    });
    const plan = makePlan(options);
    this.shop = makeWorkshop(plan, this.tables, this.lb, this.mutationLog, null, options.workers);
    this.shop.quic = SIMULATED_QUIC;
    this.quic = options.quic === null ? null : new QuicWorld(this, options.quic);
    this.control = this.makeControl(plan);
    this.comingBack = new ComingBack(this);
    buildPlan(this.shop);
    for (const object of this.shop.model.serverByRow.values()) this.addServer(object);
    this.outlying = new Outlying(this);
    for (let number = 1; number <= options.workers; number++) {
      const at = number * WORKER_STRIDE + WORKER_STATE;
      Atomics.store(this.tables.workers.words, at, WORKER_STATE_RUNNING);
      this.workers.push(new SimWorker(this, number));
    }
    this.mutationLog.flush();
    this.invariants = new Invariants(this);
    for (const worker of this.workers) while (worker.messages.length > 0) this.turn(worker);
  }

  private makeControl(plan: Plan): LifeControl {
    const { tables, shop } = this;
    const nobody = (): never => {
      throw new Violation("control asks workers only for people");
    };
    return {
      plan,
      tables,
      shop,
      model: shop.model,
      grace: new Grace(tables, () => {
        this.hasRung = true;
      }),
      references: new References(tables),
      events: new Events(),
      describeErrno: String,
      pool: { serving: () => [], ask: nobody, shutdown: nobody },
      pump: { drain: () => 0 },
      checks: { remove: () => {} },
      runtime: { forget: () => {} },
    };
  }

  /** The turn of control's loop: what was put off, then what workers have rung for. */
  lookAtBell(): void {
    const flush = this.willFlush;
    this.willFlush = null;
    flush?.();
    this.comingBack.turn();
    // Now and then it comes late.
    if (!this.hasRung || (!this.isDraining && this.choices.chance(0.3))) return;
    this.hasRung = false;
    this.control.grace.check();
    this.control.events.tellIdle();
  }

  addServer(object: ServerObject): void {
    const { address } = object.spec;
    const port = address?.family === "ipv4" ? address.port : 0;
    this.servers.push({ object, port, mood: null, isGone: false });
    if (object.spec.quic !== undefined) this.quic!.serve(port);
  }

  /** Writes a line of the trace, if one is wanted. */
  trace(line: () => string): void {
    if (this.traced === null) return;
    const indent = "  ".repeat(this.depth);
    this.traced.push(`${this.stepCount} ${this.clock.nowMs() - 100_000}ms ${indent}${line()}`);
  }

  // ── the network ──

  backlog(port: number, worker: number): Backlog {
    const key = `${port}/${worker}`;
    let found = this.backlogs.get(key);
    if (found === undefined) {
      found = { port, worker, clients: [] };
      this.backlogs.set(key, found);
    }
    return found;
  }

  allBacklogs(): Iterable<Backlog> {
    return this.backlogs.values();
  }

  /** The listening descriptor is closed: whoever was not accepted is refused. */
  refuseBacklog(backlog: Backlog): void {
    for (const client of backlog.clients.splice(0)) {
      client.isRefused = true;
      tcpOf(client).terminate();
    }
  }

  newSocket(): SimSocket {
    return new SimSocket(this.nextSocket++, this.options.habits, this.choices);
  }

  /** A client leaves the backlog: its connection is a worker's now. */
  admit(worker: SimWorker, client: SimClient): void {
    client.isAccepted = true;
    client.worker = worker.number;
    this.clientsBySocket.set(tcpOf(client), client);
    this.own(worker, tcpOf(client), client);
  }

  /** A worker takes a client from its backlog. */
  accept(worker: SimWorker, client: SimClient): Conduit {
    this.admit(worker, client);
    const socket = tcpOf(client);
    const endpoints: SimEndpoints = {
      remote: (out) => out.copyFrom(client.endpoint),
      local: (out) => out.copyFrom(OWN_ADDRESS),
    };
    const conduit =
      this.options.conduit === "pipe"
        ? new SimConduit(socket, endpoints, null, FRONT, false)
        : new SimTcpConduit(socket, endpoints, null, FRONT, false);
    conduit.onOwner = (owner) => this.owned(socket, owner);
    return conduit;
  }

  /** An accepted connection got an owner: the client has a stream. */
  owned(socket: SimSocket | undefined, owner: ConduitOwner | null): void {
    if (!(owner instanceof Stream) || socket === undefined) return;
    const client = this.clientsBySocket.get(socket);
    require(client !== undefined, "a stream has an accepted client");
    this.ownedBy(client, owner);
  }

  /** The same of a client that is known. */
  ownedBy(client: SimClient, owner: ConduitOwner | null): void {
    if (!(owner instanceof Stream)) return;
    client.stream = owner.uniqueCounter;
    this.clientsByStream.set(client.stream, client);
    this.invariants.countSession(client.proxy);
  }

  /** Addresses of a connection, as getpeername and getsockname tell them. */
  nameOf(socket: SimSocket, peer: number): { host: string; port: number } | undefined {
    const client = this.clientsBySocket.get(socket);
    if (client === undefined) return undefined;
    if (peer === 0) return { host: "127.0.0.1", port: OWN_ADDRESS.port };
    return { host: formatIp(client.endpoint.ip), port: client.endpoint.port };
  }

  /** A worker connects to a server. */
  dial(
    worker: SimWorker,
    target: DialTarget,
    owner: ConduitOwner,
    hints: DialHints | null,
  ): Conduit | number {
    this.inside(worker, "dial");
    require(owner instanceof Stream, "a stream dials");
    const client = this.clientsByStream.get(owner.uniqueCounter);
    require(client !== undefined && client.worker === worker.number, "a stream has its client");
    const row = owner.server?.row ?? 0;
    const port = target.address.family === "ipv4" ? target.address.port : 0;
    const server = this.servers.find((one) => !one.isGone && one.object.row === row);
    require(server !== undefined && server.port === port, "a stream dials its own server");
    const { choices } = this;
    if (this.fails(RESOURCE_FAILURES)) return CLOSE_RESOURCE;
    if (target.quic !== null) return this.dialOverQuic(worker, target, owner, hints!, client, row);
    const mood = this.moodOf(server);
    if (mood === "refuse") {
      this.trace(() => `w${worker.number} dial for ${client}: ${server.object.spec.name} refuses`);
      return CLOSE_REFUSED;
    }
    const socket = this.newSocket();
    socket.isConnecting = true;
    // A PROXY header fits into the empty buffer of a new connection, nearly always.
    const expectsHeader = server.object.spec.sendProxy !== undefined;
    socket.takesFirstWrite = expectsHeader && !choices.chance(0.03);
    const payload = choices.below(this.options.payloadBytesMax + 1);
    const link = new SimLink(
      this.links.length + 1,
      socket,
      client,
      row,
      payload,
      expectsHeader,
      mood,
    );
    this.links.push(link);
    this.heldLinks.push(link);
    client.links.push(link);
    this.own(worker, socket, client);
    this.trace(() => `w${worker.number} dials ${server.object.spec.name}: ${link}, ${mood}`);
    const endpoints: SimEndpoints = {
      remote: (out) => out.clear(),
      local: (out) => out.clear(),
    };
    if (worker.loop !== null) return worker.loop.dial(socket, target, owner);
    return this.options.conduit === "pipe"
      ? new SimConduit(socket, endpoints, owner, BACK, true)
      : new SimTcpConduit(socket, endpoints, owner, BACK, true);
  }

  /** … which speaks QUIC: a stream of a connection that there is, or of a new one. */
  private dialOverQuic(
    worker: SimWorker,
    target: DialTarget,
    owner: ConduitOwner,
    hints: DialHints,
    client: SimClient,
    row: number,
  ): Conduit | number {
    const { quic, choices, options } = this;
    require(quic !== null, "a server that speaks QUIC is of a run that does");
    const socket = new QuicStreamSocket(quic.serverSide, options.habits, choices);
    const payload = choices.below(options.payloadBytesMax + 1);
    const id = this.links.length + 1;
    const link = new SimLink(id, socket, client, row, payload, false, "accept");
    this.links.push(link);
    this.heldLinks.push(link);
    client.links.push(link);
    this.trace(() => `w${worker.number} dials over QUIC: ${link}`);
    return quic.dial(worker, target, owner, hints, link);
  }

  private own(worker: SimWorker, socket: SimSocket, client: SimClient): void {
    worker.own(socket);
    socket.onMoved = () => {
      client.movedAtMs = this.clock.nowMs();
    };
  }

  /** How the next connection to a server goes. */
  moodOf(server: SimServer): Mood {
    if (this.isDraining) return "accept";
    if (server.mood !== null) return server.mood;
    const { moods } = this.options;
    return MOODS[this.choices.weighted(MOODS.map((mood) => moods[mood]))]!;
  }

  /** What a server does with a connection that it was asked for. @returns false: nothing, ever */
  settle(link: SimLink): boolean {
    const { mood } = link;
    const socket = tcpOf(link);
    if (mood === "silence" && !this.isDraining) return false;
    this.trace(() => `server settles ${link}: ${mood}`);
    if (mood === "refuseLate" || mood === "silence") {
      link.hasFailed = true;
      socket.decide(CLOSE_REFUSED);
      return true;
    }
    socket.decide(CONNECTED);
    link.isOpen = true;
    if (mood === "reset") link.reset();
    if (mood === "closeAtOnce") link.close();
    return true;
  }

  /** Does something fail that fails with this probability? */
  private fails(probability: number): boolean {
    return this.options.hasFaults && !this.isDraining && this.choices.chance(probability);
  }

  failsAccept(): boolean {
    const fails = this.stepCount > 0 && this.fails(ACCEPT_FAILURES);
    if (fails) this.marks.hit("accept failed");
    return fails;
  }

  hasDescriptor(): boolean {
    const has = !this.fails(RESOURCE_FAILURES);
    if (!has) this.marks.hit("no descriptor");
    return has;
  }

  // ── the threads ──

  /** Gives a worker one event. @returns false when it had none */
  turn(worker: SimWorker): boolean {
    return this.as(worker, () => worker.turn());
  }

  /** Runs something on a worker's thread; what it interrupts goes on later. */
  as(worker: SimWorker, run: () => boolean): boolean {
    const before = runFor(worker.number);
    try {
      return run();
    } catch (error) {
      if (!(error instanceof WorkerLost)) throw error;
      this.trace(() => `w${worker.number} dies inside the event`);
      this.marks.hit("worker lost inside");
      this.lose(worker);
      return true;
    } finally {
      runFor(before);
    }
  }

  /** A worker's thread ends. */
  lose(worker: SimWorker): void {
    for (const client of this.clients) {
      if (client.worker !== worker.number || !client.isAccepted) continue;
      const hasRecord = client.outcome !== null || client.isLoggedEarly;
      if (!hasRecord || !client.socket.nearClosed) client.isOrphan = true;
    }
    if (this.quic !== null) this.quic.workerDied(worker);
    worker.die();
  }

  /**
   * A call out of the engine: another thread may run here, or this one may end here. The sharpest
   * invariants are looked at, because other threads see this very state.
   */
  inside(worker: SimWorker, call: string): void {
    if (this.depth > 0) return;
    this.invariants.checkInside();
    const { choices, options } = this;
    if (!this.isDraining && choices.chance(options.dieInside)) {
      this.trace(() => `w${worker.number} dies inside ${call}`);
      throw new WorkerLost();
    }
    if (!choices.chance(options.interrupt)) return;
    const others = this.workers.filter((one) => one !== worker && one.isRunning);
    if (others.length === 0) return;
    const other = choices.pick(others);
    this.depth++;
    this.trace(() => `(inside ${call} of w${worker.number})`);
    try {
      if (this.turn(other)) this.marks.hit("thread interrupted");
    } finally {
      this.depth--;
    }
  }

  /** A note is about to be acted on. */
  noteArrives(worker: SimWorker, kind: number, entry: number): void {
    if (kind !== NOTE_GRANT) return;
    const { words } = this.tables.queue;
    const stream = worker.engine.streams[words[entry + QUEUE_STREAM]!];
    const isStale = stream === undefined || stream === null || stream.queueEntry !== entry;
    if (isStale || words[entry + QUEUE_STATE] !== 2) this.marks.hit("stale grant");
  }

  /** After each step: what the step must not have broken. */
  settleStep(): void {
    this.heldLinks = this.heldLinks.filter((link) => link.isHeld);
    harvestRecords(this);
    this.invariants.check();
    this.comingBack.settle();
    this.outlying.check();
    for (const worker of this.workers) worker.sweep();
    this.isTimerEvent = false;
  }
}

/** The connection of a client that came over TCP, or of a server reached over it. */
export function tcpOf({ socket }: SimClient | SimLink): SimSocket {
  require(socket instanceof SimSocket, "this one is over TCP");
  return socket;
}
