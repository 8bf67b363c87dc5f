/**
 * What the control plane does to a running process: states, weights and limits of servers, servers
 * that come and go, listeners that pause, streams that are shut down, workers that are buried and
 * replaced, a soft stop. The functions are control's own wherever it has them.
 */
import { buryWorker } from "../../src/balance/bury.ts";
import { unlinkServer } from "../../src/balance/control.ts";
import { refreshServer } from "../../src/balance/refresh.ts";
import { addServer } from "../../src/control/build.ts";
import { resetWorkerRow, returnConnections } from "../../src/control/burial.ts";
import type { ProxyObject } from "../../src/control/model.ts";
import {
  LISTENER_STATE_PAUSED,
  LISTENER_STATE_READY,
  SERVER_STATE_DOWN,
  SERVER_STATE_DRAIN,
  SERVER_STATE_MAINT,
  SERVER_STATE_UP,
  WORKER_STATE_DEAD,
  WORKER_STATE_RUNNING,
  WORKER_STATE_STARTING,
} from "../../src/tables/generated/enums.ts";
import { LISTENER_STATE } from "../../src/tables/generated/listener.ts";
import { PROCESS_STOPPING } from "../../src/tables/generated/process.ts";
import { PROXY_HEAP_COUNT, PROXY_LOCK, PROXY_SERVED } from "../../src/tables/generated/proxy.ts";
import { QUEUE_STATE, QUEUE_STRIDE, QUEUE_WORKER } from "../../src/tables/generated/queue.ts";
import {
  SERVER_MAXCONN,
  SERVER_QUEUE_HEAD,
  SERVER_QUEUE_LENGTH,
  SERVER_SERVED,
  SERVER_STATE,
  SERVER_WEIGHT,
} from "../../src/tables/generated/server.ts";
import {
  WORKER_APPLIED_SEQUENCE,
  WORKER_GENERATION,
  WORKER_STATE,
  WORKER_STRIDE,
} from "../../src/tables/generated/worker.ts";
import { CONTROL_THREAD, NOTE_RESUME, postNote } from "../../src/tables/inbox.ts";
import type { ShutdownSelector } from "../../src/tables/mutations.ts";
import { drawServer } from "./options.ts";
import type { SimWorker } from "./sim-worker.ts";
import { makeServer, SERVER_PORT } from "./specs.ts";
import type { SimServer, World } from "./world.ts";

const STATES = [
  SERVER_STATE_UP,
  SERVER_STATE_UP,
  SERVER_STATE_UP,
  SERVER_STATE_UP,
  SERVER_STATE_DOWN,
  SERVER_STATE_DRAIN,
  SERVER_STATE_MAINT,
] as const;

const alive = (world: World): SimServer[] => world.servers.filter((server) => !server.isGone);

/** … and known to every worker: others must stay in maintenance. */
const inUse = (world: World): SimServer[] =>
  alive(world).filter((one) => !world.pendingStart.some(({ server }) => server === one));

/** Writes a server's state as control does, then has balancing follow. */
export function setState(world: World, server: SimServer, state: number): void {
  const { row, backend, spec } = server.object;
  const words = world.tables.servers.words;
  const waiters = words[row + SERVER_QUEUE_LENGTH]!;
  world.trace(() => `control sets ${backend.spec.name}/${spec.name} to state ${state}`);
  Atomics.store(words, row + SERVER_STATE, state);
  refreshServer(world.lb, backend.row, row);
  if (waiters > 0 && state !== SERVER_STATE_UP) world.marks.hit("server went down with waiters");
}

/** `set server … state`. */
export function changeState(world: World): boolean {
  const servers = inUse(world);
  if (servers.length === 0) return false;
  setState(world, world.choices.pick(servers), world.choices.pick(STATES));
  return true;
}

/** `set server … weight`. */
export function changeWeight(world: World): boolean {
  const servers = alive(world);
  if (servers.length === 0) return false;
  const { object } = world.choices.pick(servers);
  const weight = world.choices.pick([1, 1, 2, 10, 256, 0]);
  world.trace(() => `control sets the weight of ${object.spec.name} to ${weight}`);
  world.tables.servers.words[object.row + SERVER_WEIGHT] = weight;
  refreshServer(world.lb, object.backend.row, object.row);
  return true;
}

/** `set maxconn server`. */
export function changeLimit(world: World): boolean {
  const servers = alive(world).filter(({ object }) => object.spec.maxconn > 0);
  if (servers.length === 0) return false;
  const { object } = world.choices.pick(servers);
  const limit = world.choices.pick([1, 2, 3]);
  world.trace(() => `control sets maxconn of ${object.spec.name} to ${limit}`);
  world.tables.servers.words[object.row + SERVER_MAXCONN] = limit;
  world.invariants.limitChanged(object.row);
  refreshServer(world.lb, object.backend.row, object.row);
  return true;
}

const SERVERS_ADDED_MAX = 6;

/** `add server`. */
export function addAtRunTime(world: World): boolean {
  const { choices, shop } = world;
  const backends = shop.model.proxies.filter((proxy) => proxy.spec.hasBack);
  const added = world.servers.length;
  if (backends.length === 0 || added >= SERVERS_ADDED_MAX + 8) return false;
  const backend: ProxyObject = choices.pick(backends);
  const spec = makeServer(
    { ...drawServer(choices, true), disabled: false },
    `d${added}`,
    100 + added,
    SERVER_PORT + added,
  );
  world.trace(() => `control adds ${backend.spec.name}/${spec.name}`);
  const object = addServer(shop, backend, spec);
  world.addServer(object);
  shop.log.flush();
  // A server is used when all workers know it: control waits for the grace period.
  setState(world, world.servers.at(-1)!, SERVER_STATE_MAINT);
  world.pendingStart.push({ server: world.servers.at(-1)!, sequence: shop.log.sequence });
  world.marks.hit("server added");
  return true;
}

/** Puts added servers into use once every worker knows them. */
export function startAdded(world: World): void {
  const { pendingStart } = world;
  for (const entry of [...pendingStart]) {
    if (!areAllPast(world, entry.sequence)) continue;
    pendingStart.splice(pendingStart.indexOf(entry), 1);
    if (!entry.server.isGone) setState(world, entry.server, SERVER_STATE_UP);
  }
}

/** `del server`, step by step: maintenance, empty, off the list, grace period, row freed. */
export function removeAtRunTime(world: World): boolean {
  const { lb, shop, tables } = world;
  const words = tables.servers.words;
  const servers = inUse(world);
  if (servers.length === 0) return false;
  const server = world.choices.pick(servers);
  const { row, backend, spec } = server.object;
  // Without any server streams may wait for ever, and rightly so.
  if (servers.every((one) => one === server || one.object.backend !== backend)) return false;
  if (words[row + SERVER_STATE] !== SERVER_STATE_MAINT) {
    setState(world, server, SERVER_STATE_MAINT);
    return true;
  }
  if (words[row + SERVER_SERVED] !== 0 || words[row + SERVER_QUEUE_LENGTH] !== 0) return false;
  // A worker that has died may still hold it: its share is not yet given back.
  if (world.workers.some((worker) => worker.isLost)) return false;
  world.trace(() => `control removes ${backend.spec.name}/${spec.name}`);
  unlinkServer(lb, backend.row, row);
  server.isGone = true;
  const sequence = shop.log.append({ kind: "server.unlink", row });
  shop.log.flush();
  shop.model.removeServer(server.object);
  world.pendingFree.push({ row, sequence });
  world.marks.hit("server removed");
  return true;
}

/** Frees the rows of removed servers that no worker can name any more. */
export function freeRemoved(world: World): void {
  const { pendingFree } = world;
  for (const entry of [...pendingFree]) {
    if (!areAllPast(world, entry.sequence)) continue;
    pendingFree.splice(pendingFree.indexOf(entry), 1);
    world.trace(() => `control frees row ${entry.row}`);
    world.shop.serverRows.give(entry.row);
  }
}

/** Has every worker applied the log up to here? A thread that is gone holds nobody up. */
function areAllPast(world: World, sequence: number): boolean {
  const words = world.tables.workers.words;
  return world.workers.every((worker) => {
    const applied = words[worker.number * WORKER_STRIDE + WORKER_APPLIED_SEQUENCE]!;
    return worker.isBuried || (worker.isRunning && applied >= sequence);
  });
}

/** `shutdown sessions …`: asked of every worker. */
export function shutdownStreams(world: World): boolean {
  const { choices, shop } = world;
  const servers = alive(world);
  const proxy = choices.pick(shop.model.proxies);
  const selectors: ShutdownSelector[] = [
    { kind: "backend", row: proxy.row },
    { kind: "frontend", row: proxy.row },
    { kind: "backups", backendRow: proxy.row },
    { kind: "all" },
  ];
  if (servers.length > 0) {
    selectors.push({ kind: "server", row: choices.pick(servers).object.row });
  }
  const selector = choices.pick(selectors);
  const cause = choices.pick(["down", "up", "killed"]);
  world.hasShutDown = true;
  world.trace(() => `control shuts down ${JSON.stringify(selector)} (${cause})`);
  for (const worker of world.workers) {
    if (worker.isRunning) worker.messages.push({ type: "shutdown", id: 1, selector, cause });
  }
  return true;
}

/** Pauses or resumes a listener. */
export function switchListener(world: World, kind: "listener.pause" | "listener.resume"): boolean {
  if (world.isStopping) return false;
  const rows = [...world.shop.model.listenerByRow.keys()];
  const row = world.choices.pick(rows);
  world.trace(() => `control: ${kind} ${row}`);
  const state = kind === "listener.pause" ? LISTENER_STATE_PAUSED : LISTENER_STATE_READY;
  world.tables.listeners.words[row + LISTENER_STATE] = state;
  world.mutationLog.append({ kind, row });
  world.mutationLog.flush();
  return true;
}

/** Soft stop. */
export function softStop(world: World): boolean {
  if (world.isStopping) return false;
  world.isStopping = true;
  world.trace(() => "control stops");
  if (world.workers.some((worker) => worker.engine.streamCount > 0)) {
    world.marks.hit("soft stop with streams");
  }
  world.tables.process.words[PROCESS_STOPPING] = 1;
  world.mutationLog.append({ kind: "stop" });
  world.mutationLog.flush();
  return true;
}

/** Control notices that a worker is gone and buries it. */
export function bury(world: World, worker: SimWorker): void {
  const { tables, lb, shop } = world;
  const words = tables.workers.words;
  world.trace(() => `control buries w${worker.number}`);
  if (hasWaiters(world, worker.number)) world.marks.hit("worker lost with waiters");
  Atomics.store(words, worker.number * WORKER_STRIDE + WORKER_STATE, WORKER_STATE_DEAD);
  if (world.choices.chance(0.3)) breakLock(world, worker.number);
  if (buryWorker(lb, worker.number) > 0) world.marks.hit("worker lost with slots");
  returnConnections(tables, worker.number, {
    proxyRows: shop.model.proxyByRow.keys(),
    listenerRows: shop.model.listenerByRow.keys(),
  });
  worker.isLost = false;
  worker.isBuried = true;
  for (const other of world.workers) {
    if (other.isRunning) postNote(tables, CONTROL_THREAD, other.number, NOTE_RESUME, 0, 0, 0);
  }
}

function hasWaiters(world: World, number: number): boolean {
  const { words } = world.tables.queue;
  for (let entry = QUEUE_STRIDE; entry < words.length; entry += QUEUE_STRIDE) {
    if (words[entry + QUEUE_STATE] !== 0 && words[entry + QUEUE_WORKER] === number) return true;
  }
  return false;
}

/** The thread died inside the lock of a backend: what can be made again is spoiled. */
function breakLock(world: World, number: number): void {
  const backends = world.shop.model.proxies.filter((proxy) => proxy.spec.hasBack);
  if (backends.length === 0) return;
  const { row } = world.choices.pick(backends);
  const proxies = world.tables.proxies.words;
  const servers = world.tables.servers.words;
  world.trace(() => `w${number} held the lock of ${row}`);
  Atomics.store(proxies, row + PROXY_LOCK, number + 1);
  proxies[row + PROXY_SERVED] = -5;
  proxies[row + PROXY_HEAP_COUNT] = 0;
  for (const { object } of alive(world)) {
    if (object.backend.row !== row) continue;
    servers[object.row + SERVER_SERVED] = 77;
    servers[object.row + SERVER_QUEUE_HEAD] = 0;
  }
  world.marks.hit("worker lost with the lock");
}

/** A new thread takes the number of a buried one. */
export function respawn(world: World, worker: SimWorker): void {
  const words = world.tables.workers.words;
  const row = worker.number * WORKER_STRIDE;
  world.trace(() => `w${worker.number} starts again`);
  resetWorkerRow(world.tables, worker.number);
  Atomics.store(words, row + WORKER_STATE, WORKER_STATE_STARTING);
  Atomics.add(words, row + WORKER_GENERATION, 1);
  worker.start();
  Atomics.store(words, row + WORKER_STATE, WORKER_STATE_RUNNING);
  world.marks.hit("worker came back");
}
