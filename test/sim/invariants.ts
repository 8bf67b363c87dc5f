/**
 * What must hold whenever a thread could look: after every step, and (the sharpest of it) in the
 * middle of one. Everything is counted anew from the streams and compared with the shared tables.
 */
import { serverLimit } from "../../src/balance/limit.ts";
import { TICK_MS } from "../../src/base/wheel.ts";
import type { Engine } from "../../src/data/engine.ts";
import {
  STREAM_CONNECT,
  STREAM_FREE,
  STREAM_QUEUE,
  STREAM_RELAY,
  STREAM_RETRY,
} from "../../src/data/stream.ts";
import type { Stream } from "../../src/data/stream.ts";
import { BACK_COUNT_CURRENT, BACK_COUNT_STRIDE } from "../../src/tables/generated/back-count.ts";
import { QUEUE_STATE_GRANTED } from "../../src/tables/generated/enums.ts";
import { FRONT_COUNT_CURRENT, FRONT_COUNT_STRIDE } from "../../src/tables/generated/front-count.ts";
import { LISTENER_CURRENT, LISTENER_MAXCONN } from "../../src/tables/generated/listener.ts";
import { PROCESS_CURRENT, PROCESS_MAXCONN } from "../../src/tables/generated/process.ts";
import {
  PROXY_BACK_CURRENT,
  PROXY_FRONT_CURRENT,
  PROXY_FRONT_MAXCONN,
  PROXY_SERVED,
  PROXY_STRIDE,
} from "../../src/tables/generated/proxy.ts";
import {
  QUEUE_GRANTED_SERVER,
  QUEUE_STATE,
  QUEUE_STRIDE,
  QUEUE_WORKER,
} from "../../src/tables/generated/queue.ts";
import {
  SERVER_MAXCONN,
  SERVER_MINCONN,
  SERVER_SERVED,
  SERVER_STRIDE,
} from "../../src/tables/generated/server.ts";
import { SHARE_SERVED, SHARE_STRIDE } from "../../src/tables/generated/share.ts";
import { WORKER_STREAMS, WORKER_STRIDE } from "../../src/tables/generated/worker.ts";
import { QueueWatch } from "./queue-watch.ts";
import { checkQuic } from "./quic-watch.ts";
import type { SimWorker } from "./sim-worker.ts";
import { require } from "./violation.ts";
import type { SimServer, World } from "./world.ts";

export class Invariants {
  private readonly world: World;
  private readonly queues: QueueWatch;
  /** Limits that control has lowered: until the load has followed, more is allowed. */
  private readonly loweredTo = new Map<number, number>();
  /** Sessions of the second under way, by proxy; -1 = all. */
  private readonly sessions = new Map<number, number>();
  private second = 0;
  private readonly deadlines = new Map<Stream, { deadlineMs: number; dueMs: number }>();

  constructor(world: World) {
    this.world = world;
    this.queues = new QueueWatch(world);
  }

  /** Control changed a server's limit: what it had is allowed until it has come down. */
  limitChanged(row: number): void {
    const { words } = this.world.tables.servers;
    this.loweredTo.set(row, words[row + SERVER_SERVED]!);
  }

  /** A client was let in: sessions of each second stay within the limits. */
  countSession(proxy: number): void {
    const { clock, options } = this.world;
    const second = Math.floor(clock.nowMs() / 1000);
    if (second !== this.second) this.sessions.clear();
    this.second = second;
    const own = (this.sessions.get(proxy) ?? 0) + 1;
    const all = (this.sessions.get(-1) ?? 0) + 1;
    this.sessions.set(proxy, own);
    this.sessions.set(-1, all);
    const most = options.proxies[proxy]?.rateLimit ?? 0;
    require(most === 0 || own <= most, "never above the frontend's sessions per second");
    const rate = options.processRate;
    require(rate === 0 || all <= rate, "never above the process's connections per second");
  }

  /** In the middle of an event: what other threads rely on at any moment. */
  checkInside(): void {
    const { world } = this;
    const { words } = world.tables.servers;
    for (const server of world.servers) {
      if (server.isGone) continue;
      const { row } = server.object;
      let attached = 0;
      for (const worker of world.workers) {
        if (worker.isRunning) attached += worker.engine.server(row)?.streamCount ?? 0;
      }
      require(attached <=
        words[row + SERVER_SERVED]!, "served is not below the streams that know the server", () =>
        `${server.object.spec.name}: ${attached} > ${words[row + SERVER_SERVED]}`);
      this.checkConnections(server);
    }
  }

  /** After a step. */
  check(): void {
    const { world } = this;
    for (const worker of world.workers) if (worker.isRunning) this.checkWorker(worker);
    for (const server of world.servers) {
      if (server.isGone) continue;
      this.checkServed(server);
      this.checkConnections(server);
    }
    this.checkCurrents();
    this.queues.check();
    if (world.quic !== null) checkQuic(world.quic);
  }

  // ── streams of one worker ──

  private checkWorker(worker: SimWorker): void {
    const { engine } = worker;
    let live = 0;
    let timers = 0;
    for (let slot = 1; slot < engine.streams.length; slot++) {
      const stream = engine.streams[slot]!;
      const hasTimer = engine.wheel.has(slot);
      if (hasTimer) timers++;
      if (stream.state === STREAM_FREE) {
        require(!hasTimer, "no timer of a freed stream", () => `w${worker.number} slot ${slot}`);
        require(!stream.isAttached && stream.queueEntry === 0, "a freed stream holds nothing");
        continue;
      }
      live++;
      this.checkStream(worker, stream, hasTimer);
    }
    require(live === engine.streamCount, "every stream is free or counted");
    require(timers === engine.wheel.count, "every timer belongs to a stream");
    const { words } = this.world.tables.workers;
    const told = words[worker.number * WORKER_STRIDE + WORKER_STREAMS];
    require(told === live, "a worker tells how many streams it has");
    this.checkWheel(worker);
    this.checkViews(worker);
  }

  /** After the grace period nobody knows what was removed, so only then may its row be freed. */
  private checkViews({ engine }: SimWorker): void {
    const { serverRows, proxyRows } = this.world.shop;
    for (const { row, generation, name } of engine.allServers()) {
      const isFreed = serverRows.generation(row) !== generation;
      require(!isFreed, "no worker knows a server whose row is freed", () => name);
    }
    for (const { row, generation, name } of engine.proxies.values()) {
      const isFreed = proxyRows.generation(row) !== generation;
      require(!isFreed, "no worker knows a proxy whose row is freed", () => name);
    }
  }

  private checkStream(worker: SimWorker, stream: Stream, hasTimer: boolean): void {
    const { state } = stream;
    const isOn = state === STREAM_CONNECT || state === STREAM_RETRY || state === STREAM_RELAY;
    const name = (): string => `w${worker.number} slot ${stream.slot} state ${state}`;
    require(stream.isAttached === isOn, "a stream is on a server while it uses one", name);
    require((stream.queueEntry !== 0) ===
      (state === STREAM_QUEUE), "who queues has an entry", name);
    require(hasTimer === Number.isFinite(stream.deadlineMs), "a deadline has a timer", name);
    this.checkLate(worker, stream, name);
    require(stream.front !== null || state === STREAM_RELAY, "a stream has a client", name);
    require((stream.back !== null) === (state === STREAM_CONNECT) ||
      state === STREAM_RELAY, "a stream has a connection while it needs one", name);
  }

  /** Right after its wheel has been looked at nothing is overdue by more than a tick. */
  private checkLate(worker: SimWorker, stream: Stream, name: () => string): void {
    let seen = this.deadlines.get(stream);
    if (seen === undefined || seen.deadlineMs !== stream.deadlineMs) {
      // A deadline may be set when it has passed already: it runs from there.
      const dueMs = Math.max(stream.deadlineMs, this.world.clock.nowMs());
      seen = { deadlineMs: stream.deadlineMs, dueMs };
      this.deadlines.set(stream, seen);
    }
    require(seen.dueMs + TICK_MS > worker.wheelLookedAtMs, "a timer is not late", name);
  }

  /** The wheel is armed for the next bucket that holds a timer. */
  private checkWheel(worker: SimWorker): void {
    const { engine } = worker;
    if (engine.wheel.count === 0) return;
    const { clock } = this.world;
    const now = clock.nowMs();
    const armedAt = clock.dueAtMs(worker.number, worker.wheelCallback);
    if (armedAt <= now) return;
    let first = Infinity;
    for (const stream of engine.streams) {
      if (stream !== null && engine.wheel.has(stream.slot)) {
        first = Math.min(first, stream.deadlineMs);
      }
    }
    first = Math.max(first, now);
    require(armedAt <= first + TICK_MS + 2, "the wheel is armed in time", () =>
      `${armedAt - first}`);
  }

  // ── servers ──

  private checkServed(server: SimServer): void {
    const { world } = this;
    const { row, spec } = server.object;
    let held = 0;
    for (const worker of world.workers) {
      const shares = world.tables.perWorker[worker.number - 1]!.shares.words;
      const share = shares[(row / SERVER_STRIDE) * SHARE_STRIDE + SHARE_SERVED]!;
      held += share;
      if (!worker.isRunning) continue;
      const own = countAttached(worker.engine, row) + this.grantedTo(worker.number, row);
      require(own === share, "a worker's share is what its streams hold", () =>
        `w${worker.number} on ${spec.name}: ${own} streams, share ${share}`);
    }
    const served = world.tables.servers.words[row + SERVER_SERVED]!;
    require(served === held, "served is the sum of all shares", () =>
      `${spec.name}: served ${served}, shares ${held}`);
    this.checkLimit(server, served);
  }

  private grantedTo(number: number, row: number): number {
    const { words } = this.world.tables.queue;
    let count = 0;
    for (let entry = QUEUE_STRIDE; entry < words.length; entry += QUEUE_STRIDE) {
      if (words[entry + QUEUE_STATE] !== QUEUE_STATE_GRANTED) continue;
      if (words[entry + QUEUE_WORKER] !== number) continue;
      if (words[entry + QUEUE_GRANTED_SERVER] === row) count++;
    }
    return count;
  }

  private checkLimit(server: SimServer, served: number): void {
    const { lb, tables, marks } = this.world;
    const { row, spec, backend } = server.object;
    const { words } = tables.servers;
    const maxconn = Math.max(words[row + SERVER_MAXCONN]!, words[row + SERVER_MINCONN]!);
    if (maxconn === 0) return;
    // A dynamic limit follows the load down: who is there already stays.
    if (words[row + SERVER_MINCONN] !== 0) {
      const now = serverLimit(lb, backend.row, row);
      if (now > words[row + SERVER_MINCONN]! && now < maxconn) marks.hit("dynamic limit");
    }
    const before = this.loweredTo.get(row) ?? 0;
    if (served <= maxconn) this.loweredTo.delete(row);
    else if (before !== 0) this.loweredTo.set(row, served);
    require(served <= Math.max(maxconn, before), "never above maxconn", () =>
      `${spec.name}: ${served} > ${maxconn}`);
  }

  /** Connections that a server sees at once never exceed its limit. */
  private checkConnections(server: SimServer): void {
    const { row, spec } = server.object;
    const { words } = this.world.tables.servers;
    const maxconn = Math.max(words[row + SERVER_MAXCONN]!, words[row + SERVER_MINCONN]!);
    if (maxconn === 0) return;
    let held = 0;
    for (const link of this.world.heldLinks) if (link.serverRow === row && link.isHeld) held++;
    const allowed = Math.max(maxconn, this.loweredTo.get(row) ?? 0);
    require(held <= allowed, "a server never sees more connections than its maxconn", () =>
      `${spec.name}: ${held} > ${allowed}`);
  }

  // ── totals ──

  private checkCurrents(): void {
    const { world } = this;
    const { tables } = world;
    let total = 0;
    for (const proxy of world.shop.model.proxies) {
      const { row } = proxy;
      const index = row / PROXY_STRIDE;
      const front = this.sum(
        (one) => one.listener!.proxy.row === row,
        (worker) =>
          tables.perWorker[worker - 1]!.proxyFront.floats[
            (index * FRONT_COUNT_STRIDE + FRONT_COUNT_CURRENT) >> 1
          ]!,
      );
      const back = this.sum(
        (one) => one.backend?.row === row,
        (worker) =>
          tables.perWorker[worker - 1]!.proxyBack.floats[
            (index * BACK_COUNT_STRIDE + BACK_COUNT_CURRENT) >> 1
          ]!,
      );
      const { words } = tables.proxies;
      total += front;
      require(front === words[row + PROXY_FRONT_CURRENT], "a frontend counts its connections", () =>
        `${proxy.spec.name}: ${front} streams, ${words[row + PROXY_FRONT_CURRENT]} counted`);
      require(back === words[row + PROXY_BACK_CURRENT], "a backend counts its streams", () =>
        `${proxy.spec.name}: ${back} streams, ${words[row + PROXY_BACK_CURRENT]} counted`);
      const most = words[row + PROXY_FRONT_MAXCONN]!;
      require(most === 0 || front <= most, "never above the frontend's maxconn");
      this.checkListeners(proxy.row, front);
      if (proxy.spec.hasBack) this.checkBackend(row, proxy.spec.name);
    }
    const process = tables.process.words;
    require(total === process[PROCESS_CURRENT], "the process counts its connections", () =>
      `${total} streams, ${process[PROCESS_CURRENT]} counted`);
    const most = process[PROCESS_MAXCONN]!;
    require(most === 0 || total <= most, "never above the process's maxconn");
  }

  private checkListeners(proxyRow: number, front: number): void {
    const { words } = this.world.tables.listeners;
    let total = 0;
    for (const listener of this.world.shop.model.listenerByRow.values()) {
      if (listener.frontend.row !== proxyRow) continue;
      const current = words[listener.row + LISTENER_CURRENT]!;
      const most = words[listener.row + LISTENER_MAXCONN]!;
      total += current;
      require(most === 0 || current <= most, "never above the listener's maxconn");
    }
    require(total === front, "listeners count the connections of their frontend");
  }

  private checkBackend(row: number, name: string): void {
    const { tables, servers } = this.world;
    let served = 0;
    for (const { object, isGone } of servers) {
      if (!isGone && object.backend.row === row) {
        served += tables.servers.words[object.row + SERVER_SERVED]!;
      }
    }
    const told = tables.proxies.words[row + PROXY_SERVED]!;
    require(served === told, "a backend serves what its servers serve", () =>
      `${name}: ${told} told, ${served} counted`);
  }

  /** Streams of all workers that match; of a worker that is gone, what its shard says. */
  private sum(matches: (stream: Stream) => boolean, shard: (worker: number) => number): number {
    let total = 0;
    for (const worker of this.world.workers) {
      const told = shard(worker.number);
      if (worker.isRunning) {
        let own = 0;
        const { streams } = worker.engine;
        for (let slot = 1; slot < streams.length; slot++) {
          const stream = streams[slot]!;
          if (stream.state !== STREAM_FREE && matches(stream)) own++;
        }
        require(own === told, "a worker's shard counts its streams", () =>
          `w${worker.number}: ${own} streams, ${told} in the shard`);
      }
      total += told;
    }
    return total;
  }
}

/** Streams on a server's list, one by one; the list and its length must agree. */
function countAttached(engine: Engine, row: number): number {
  const view = engine.server(row);
  if (view === undefined) return 0;
  let count = 0;
  for (let stream = view.streams; stream !== null; stream = stream.nextOfServer) {
    require(stream.server === view && stream.isAttached, "a server lists its own streams");
    const older = stream.nextOfServer;
    require(older === null || older.previousOfServer === stream, "a list is linked both ways");
    count++;
  }
  require(count === view.streamCount, "a list is as long as it says");
  return count;
}
