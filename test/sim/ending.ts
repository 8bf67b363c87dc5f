/**
 * The end of a simulation: nothing new begins, control puts everything right, clients and servers
 * finish what they do, time passes. Then everything must be over and back at zero.
 */
import { STREAM_FREE } from "../../src/data/stream.ts";
import { LISTENER_STATE_READY, SERVER_STATE_UP } from "../../src/tables/generated/enums.ts";
import {
  FRONT_COUNT_BYTES_IN,
  FRONT_COUNT_BYTES_OUT,
  FRONT_COUNT_CONNECTIONS,
  FRONT_COUNT_STRIDE,
} from "../../src/tables/generated/front-count.ts";
import { LISTENER_CURRENT, LISTENER_STATE } from "../../src/tables/generated/listener.ts";
import { PROCESS_CURRENT } from "../../src/tables/generated/process.ts";
import {
  PROXY_BACK_CURRENT,
  PROXY_FRONT_CURRENT,
  PROXY_QUEUE_TOTAL,
  PROXY_SERVED,
  PROXY_STRIDE,
} from "../../src/tables/generated/proxy.ts";
import { QUEUE_STATE, QUEUE_STRIDE } from "../../src/tables/generated/queue.ts";
import { SERVER_SERVED, SERVER_WEIGHT } from "../../src/tables/generated/server.ts";
import { deliver, finishClient, finishLink, readClient, settle } from "./actions.ts";
import { bury, respawn, setState } from "./control-actions.ts";
import type { SimClient, SimLink } from "./far.ts";
import { QuicStreamSocket } from "./quic-socket.ts";
import { checkQuicEnd, checkQuicStill } from "./quic-watch.ts";
import type { QuicWorld } from "./quic-world.ts";
import type { SimWorker } from "./sim-worker.ts";
import { require } from "./violation.ts";
import type { World } from "./world.ts";

/** Leaps of time without anything else happening, after which a run counts as stuck. */
const IDLE_LEAPS_MAX = 200;
/** … and over QUIC, where a peer may be gone and nobody has noticed yet, so much time, ms. */
const QUIC_SILENCE_MS = 30_000;
/** Steps of an end: far above what any run needs. */
const STEPS_MAX = 200_000;

/**
 * Brings a run to its end and checks that everything is over.
 * @param stepsMax the run is given up there, unchecked
 */
export function endRun(world: World, stepsMax: number): void {
  if (world.stepCount >= stepsMax) return;
  world.isDraining = true;
  world.trace(() => "the run ends");
  putRight(world);
  let idle = 0;
  let movedAtMs = world.clock.nowMs();
  const isStuck = (): boolean =>
    idle >= IDLE_LEAPS_MAX &&
    (world.quic === null || world.clock.nowMs() - movedAtMs > QUIC_SILENCE_MS);
  for (let i = 0; i < STEPS_MAX && !isStuck(); i++) {
    world.stepCount++;
    if (world.stepCount > stepsMax) return;
    world.lookAtBell();
    if (deliver(world) || world.quic?.turn() === true || actAll(world)) {
      // A worker's own ticking is no progress.
      if (!world.isTimerEvent) {
        idle = 0;
        movedAtMs = world.clock.nowMs();
      }
      world.settleStep();
      continue;
    }
    if (isOver(world)) break;
    idle++;
    passTime(world);
  }
  requireEnded(world);
  if (world.quic !== null) endQuic(world, world.quic);
  requireOver(world);
}

/** On to what is due next. */
function passTime(world: World): void {
  const next = Math.min(world.clock.nextAtMs(), world.quic?.nextAtMs() ?? Infinity);
  const gap = next - world.clock.nowMs();
  world.clock.advance(gap > 0 && gap < Infinity ? gap : 100);
}

/** All streams have ended: what is under way arrives, then everybody leaves. */
function endQuic(world: World, quic: QuicWorld): void {
  const until = (condition: () => boolean): void => {
    for (let i = 0; i < STEPS_MAX && !condition(); i++) {
      world.lookAtBell();
      if (deliver(world) || quic.turn() || actAll(world)) world.settleStep();
      else passTime(world);
    }
  };
  until(() => quic.isStill);
  checkQuicStill(quic);
  quic.closeClients();
  for (const worker of world.workers) if (worker.isRunning) worker.quic!.hub.stop();
  until(() => quic.isEmpty);
  checkQuicEnd(quic);
}

/** All threads run, all servers serve, all listeners accept. */
function putRight(world: World): void {
  for (const worker of world.workers) if (worker.isLost) bury(world, worker);
  for (const worker of world.workers) {
    if (worker.isBuried && !world.isStopping) respawn(world, worker);
  }
  for (let i = 0; i < 10_000 && world.workers.some((worker) => worker.messages.length > 0); i++) {
    deliver(world);
    world.lookAtBell();
    world.settleStep();
  }
  for (const server of world.servers) {
    if (server.isGone) continue;
    const { words } = world.tables.servers;
    const { row } = server.object;
    if (words[row + SERVER_WEIGHT] === 0) words[row + SERVER_WEIGHT] = 1;
    setState(world, server, SERVER_STATE_UP);
  }
  if (world.isStopping) {
    for (const backlog of world.allBacklogs()) world.refuseBacklog(backlog);
    return;
  }
  for (const row of world.shop.model.listenerByRow.keys()) {
    world.tables.listeners.words[row + LISTENER_STATE] = LISTENER_STATE_READY;
    world.mutationLog.append({ kind: "listener.resume", row });
  }
  world.mutationLog.flush();
}

/** Clients and servers read, send the rest, and finish. */
function actAll(world: World): boolean {
  let acted = false;
  for (const client of world.clients) if (!client.isOver) acted = actClient(world, client) || acted;
  for (const link of world.links) if (!link.isOver) acted = actLink(world, link) || acted;
  return acted;
}

function actClient(world: World, client: SimClient): boolean {
  const hasRead = readClient(client, world);
  if (hasRead) world.trace(() => `${client} reads up to ${client.receivedBytes}`);
  const hasSent = client.send(world.choices) || finishClient(client, world);
  if (hasSent) world.trace(() => `${client} sends up to ${client.sentBytes}`);
  return hasRead || hasSent;
}

function actLink(world: World, link: SimLink): boolean {
  if (link.socket.isConnecting) return settle(world, link);
  const hasRead = link.read(world.choices.between(1, 600));
  if (hasRead) world.trace(() => `${link} reads up to ${link.receivedBytes}`);
  const hasSent = link.send(world.choices) || finishLink(link, world);
  if (hasSent) world.trace(() => `${link} sends up to ${link.sentBytes}`);
  return hasRead || hasSent;
}

function isOver(world: World): boolean {
  for (const backlog of world.allBacklogs()) if (backlog.clients.length > 0) return false;
  if (world.quic?.isQuiet === false) return false;
  return world.workers.every(({ engine, isBuried }) => {
    if (isBuried) return true;
    if (engine.streamCount > 0) return false;
    return [...engine.listeners.values()].every((listener) => listener.parked.length === 0);
  });
}

function liveStreams(worker: SimWorker): string {
  return worker.engine.streams
    .filter((stream) => stream !== null && stream.state !== STREAM_FREE)
    .map((stream) => `w${worker.number} slot ${stream?.slot} is in state ${stream?.state}`)
    .join(", ");
}

function requireEnded({ workers }: World): void {
  for (const worker of workers) {
    if (!worker.isRunning) continue;
    const isOver = worker.engine.streamCount === 0;
    require(isOver, "every stream comes to its end", () => liveStreams(worker));
  }
}

function requireOver(world: World): void {
  const running = world.workers.filter((worker) => worker.isRunning);
  for (const client of world.clients) requireClientOver(world, client);
  for (const worker of running) {
    const { engine } = worker;
    require(engine.wheel.count === 0, "no timer is left");
    require(worker.sockets.length === 0, "no socket is left", () => `w${worker.number}`);
    for (const server of engine.allServers()) {
      require(server.streamCount === 0, "no server has streams at the end");
    }
    require(!world.isStopping || worker.hasStopped, "a worker tells that it has stopped");
  }
  requireZeros(world);
  requireFreed(world);
  requireCounters(world);
}

function requireClientOver(world: World, client: SimClient): void {
  const detail = (): string => `${client}`;
  if (client.isRefused) return;
  require(client.isAccepted, "every client is accepted in the end", detail);
  if (client.isOrphan || (client.isLoggedEarly && client.outcome === null)) return;
  // Closed by a stop while it was parked: it never was a stream.
  if (client.stream < 0 && world.isStopping) return;
  require(client.stream >= 0, "every client is accepted in the end", detail);
  const { outcome, link } = client;
  require(outcome !== null, "every stream leaves a record", detail);
  if (link?.hadHeader === true) world.marks.hit("PROXY header sent");
  if (client.header.bytes.length > 0 && link !== undefined) {
    world.marks.hit("PROXY header received");
  }
  if (!client.isComplete || link === undefined) return;
  for (const far of [client, link]) {
    const isCutOff = far.socket instanceof QuicStreamSocket && far.socket.sawReset;
    require(!isCutOff || far.hasBroken, "an end in order arrives as one, over QUIC too", detail);
  }
  if (!client.hasReset && !client.hasClosed && !client.sawReset) {
    require(client.receivedBytes === link.sentBytes, "all bytes reach the client", detail);
  }
  if (!link.hasReset && !link.hasClosed && !link.sawReset) {
    require(link.receivedBytes === client.sentPayload, "all bytes reach the server", detail);
  }
}

/** What was removed is freed: rows, references, grace periods. */
function requireFreed({ control, shop, removals }: World): void {
  const { model, serverRows, proxyRows } = shop;
  require(control.references.total === 0, "every reference is given back", () =>
    `${control.references.total} are held`);
  require(control.grace.pending === 0, "every grace period ends", () =>
    `${control.grace.pending} do not`);
  require(serverRows.count === model.serverByRow.size, "rows of removed servers are freed", () =>
    `${serverRows.count} rows, ${model.serverByRow.size} servers`);
  require(proxyRows.count === model.proxies.length, "rows of removed backends are freed", () =>
    `${proxyRows.count} rows, ${model.proxies.length} proxies`);
  for (const { rows, row, generation } of removals) {
    require(rows.generation(row) > generation, "the generation of a freed row moves on");
  }
}

function requireZeros(world: World): void {
  const { tables, shop } = world;
  const zero = (value: number | undefined, what: string): void =>
    require(value === 0, "everything is back at zero", () => `${what} is ${value}`);
  zero(tables.process.words[PROCESS_CURRENT], "connections of the process");
  for (const { row, spec } of shop.model.proxies) {
    const { words } = tables.proxies;
    zero(words[row + PROXY_FRONT_CURRENT], `connections of ${spec.name}`);
    zero(words[row + PROXY_BACK_CURRENT], `streams of ${spec.name}`);
    zero(words[row + PROXY_SERVED], `served of ${spec.name}`);
    zero(words[row + PROXY_QUEUE_TOTAL], `queue of ${spec.name}`);
  }
  for (const row of shop.model.listenerByRow.keys()) {
    zero(tables.listeners.words[row + LISTENER_CURRENT], "connections of a listener");
  }
  for (const { object, isGone } of world.servers) {
    if (!isGone) zero(tables.servers.words[object.row + SERVER_SERVED], object.spec.name);
  }
  for (const shard of tables.perWorker) {
    for (const share of shard.shares.words) if (share !== 0) zero(share, "a share");
  }
  const queue = tables.queue.words;
  for (let entry = QUEUE_STRIDE; entry < queue.length; entry += QUEUE_STRIDE) {
    zero(queue[entry + QUEUE_STATE], "a queue entry");
  }
}

/** What the counters say in the end is what happened. */
function requireCounters(world: World): void {
  let connections = 0;
  let bytesIn = 0;
  let bytesOut = 0;
  for (const { row } of world.shop.model.proxies) {
    for (const shard of world.tables.perWorker) {
      const at = ((row / PROXY_STRIDE) * FRONT_COUNT_STRIDE) >> 1;
      const { floats } = shard.proxyFront;
      connections += floats[at + (FRONT_COUNT_CONNECTIONS >> 1)]!;
      bytesIn += floats[at + (FRONT_COUNT_BYTES_IN >> 1)]!;
      bytesOut += floats[at + (FRONT_COUNT_BYTES_OUT >> 1)]!;
    }
  }
  require(connections === world.clientsByStream.size, "every connection is counted once");
  // What a dead worker had moved since it last told is not counted.
  if (world.clients.some((client) => client.isOrphan || client.isLoggedEarly)) return;
  let up = 0;
  let down = 0;
  for (const { outcome } of world.clients) {
    up += outcome?.bytesUp ?? 0;
    down += outcome?.bytesDown ?? 0;
  }
  require(bytesIn === up && bytesOut === down, "every byte is counted once");
}
