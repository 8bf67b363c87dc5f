/**
 * What the control plane does to a running process: states, weights and limits of servers, servers
 * that come and go, listeners that pause, streams that are shut down, workers that are buried and
 * replaced, a soft stop. The functions are control's own wherever it has them.
 */
import { buryWorker } from "../../src/balance/bury.ts";
import { refreshServer } from "../../src/balance/refresh.ts";
import { Refusal } from "../../src/base/refusals.ts";
import { resetWorkerRow, returnConnections } from "../../src/control/burial.ts";
import { Draft } from "../../src/control/draft.ts";
import type { Change } from "../../src/control/draft.ts";
import {
  prepareAddProxy,
  prepareDelBackend,
  preparePublish,
} from "../../src/control/life/proxies.ts";
import { prepareAddServer, prepareDelServer } from "../../src/control/life/servers.ts";
import type { ProxyObject } from "../../src/control/model.ts";
import {
  LISTENER_STATE_PAUSED,
  LISTENER_STATE_READY,
  SERVER_ADMIN_FORCED_MAINT,
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
  SERVER_ADMIN_STATE,
  SERVER_MAXCONN,
  SERVER_QUEUE_HEAD,
  SERVER_QUEUE_LENGTH,
  SERVER_SERVED,
  SERVER_STATE,
  SERVER_WEIGHT,
} from "../../src/tables/generated/server.ts";
import {
  WORKER_GENERATION,
  WORKER_STATE,
  WORKER_STRIDE,
} from "../../src/tables/generated/worker.ts";
import { CONTROL_THREAD, NOTE_RESUME, postNote } from "../../src/tables/inbox.ts";
import type { ShutdownSelector } from "../../src/tables/mutations.ts";
import type { ProxySpec } from "../../src/tables/spec.ts";
import { drawServer } from "./options.ts";
import type { SimWorker } from "./sim-worker.ts";
import { ADDED_BACKEND, makeProxySpec, makeServer, SERVER_PORT } from "./specs.ts";
import { require } from "./violation.ts";
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

/** Writes a server's state as control does, then has balancing follow. */
export function setState(world: World, server: SimServer, state: number): void {
  const { row, backend, spec } = server.object;
  const words = world.tables.servers.words;
  const waiters = words[row + SERVER_QUEUE_LENGTH]!;
  world.trace(() => `control sets ${backend.spec.name}/${spec.name} to state ${state}`);
  words[row + SERVER_ADMIN_STATE] = state === SERVER_STATE_MAINT ? SERVER_ADMIN_FORCED_MAINT : 0;
  world.comingBack.change(server, words[row + SERVER_STATE]!, state);
  Atomics.store(words, row + SERVER_STATE, state);
  world.outlying.settle(server.object);
  refreshServer(world.lb, backend.row, row);
  if (waiters > 0 && state !== SERVER_STATE_UP) world.marks.hit("server went down with waiters");
}

/** `set server … state`. */
export function changeState(world: World): boolean {
  const servers = alive(world);
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
  world.outlying.settle(object);
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

/** `add server`, put into use at once: balancing waits until all workers know it. */
export function addAtRunTime(world: World): boolean {
  const { choices, shop, control, options } = world;
  const backends = shop.model.proxies.filter((proxy) => proxy.spec.hasBack);
  const added = world.servers.length;
  if (backends.length === 0 || alive(world).length >= SERVERS_ADDED_MAX + 8) return false;
  const backend: ProxyObject = choices.pick(backends);
  const drawn = drawServer(choices, true);
  // A backend that used QUIC is never removed: that others are is to be seen too.
  const isQuic = options.quic !== null && drawn.sendProxy === 0 && choices.chance(0.5);
  const spec = makeServer(
    { ...drawn, disabled: false, isQuic },
    `d${added}`,
    0,
    SERVER_PORT + added,
    options.quic,
  );
  const draft = new Draft(shop.model);
  const entry = draft.backend(backend.spec.name);
  const isDone = attempt(world, () => prepareAddServer(control, draft, entry, spec));
  if (!isDone) return false;
  world.addServer(draft.server(entry, spec.name).object!);
  if (choices.chance(0.9)) setState(world, world.servers.at(-1)!, SERVER_STATE_UP);
  world.marks.hit("server added");
  return true;
}

/** `disable server`, then `del server`. */
export function removeAtRunTime(world: World): boolean {
  const servers = alive(world);
  if (servers.length === 0) return false;
  const server = world.choices.pick(servers);
  const { backend } = server.object;
  // Without any server streams may wait for ever, and rightly so.
  const isLast = servers.every((one) => one === server || one.object.backend !== backend);
  if (isLast && backend.spec.name !== ADDED_BACKEND) return false;
  return removeServer(world, server);
}

/** Into maintenance first; the next time it is deleted, if nobody is on it. */
function removeServer(world: World, server: SimServer): boolean {
  const { shop, tables, control } = world;
  const { row, backend, spec } = server.object;
  if (tables.servers.words[row + SERVER_STATE] !== SERVER_STATE_MAINT) {
    setState(world, server, SERVER_STATE_MAINT);
    return true;
  }
  const draft = new Draft(shop.model);
  const entry = draft.server(draft.backend(backend.spec.name), spec.name);
  const { generation } = server.object;
  if (!attempt(world, () => prepareDelServer(control, entry))) return false;
  server.isGone = true;
  world.removals.push({ rows: shop.serverRows, row, generation, backendRow: backend.row });
  world.marks.hit("server removed");
  return true;
}

/** `add backend`. */
export function addBackend(world: World): boolean {
  const { control, shop, options } = world;
  const draft = new Draft(shop.model);
  if (draft.findBackend(ADDED_BACKEND) !== undefined) return false;
  // Like the backend of the frontend that uses it: what happens to its clients is judged by that.
  const plain = makeProxySpec({ ...options.proxies[0]!, algorithm: "leastconn" }, 0, []);
  const spec: ProxySpec = {
    ...plain,
    name: ADDED_BACKEND,
    id: 0,
    section: "backend",
    hasFront: false,
    hasBack: true,
    useServers: [],
    useBackends: [],
  };
  if (!attempt(world, () => prepareAddProxy(control, draft, spec))) return false;
  world.marks.hit("backend added");
  return true;
}

/** `publish backend` or `unpublish backend`. */
export function publishOrNot(world: World): boolean {
  const { control, shop, choices } = world;
  const draft = new Draft(shop.model);
  const entry = draft.findBackend(ADDED_BACKEND);
  if (entry === undefined) return false;
  return attempt(world, () => preparePublish(control, entry, choices.chance(0.6)));
}

/** `unpublish backend`, then `del server` of all of its servers, then `del backend`. */
export function removeBackend(world: World): boolean {
  const { control, shop } = world;
  const draft = new Draft(shop.model);
  const entry = draft.findBackend(ADDED_BACKEND);
  if (entry === undefined) return false;
  const backend = entry.object!;
  const { row, generation } = backend;
  if (attempt(world, () => prepareDelBackend(control, entry))) {
    const waits = world.removals.some(
      (one) => one.backendRow === row && one.rows.generation(one.row) === one.generation,
    );
    require(!waits, "no backend is removed while a deleted server of it is not purged");
    require(!usedQuic(world, backend), "no backend is removed in which a QUIC server was");
    world.removals.push({ rows: shop.proxyRows, row, generation, backendRow: 0 });
    world.marks.hit("backend removed");
    return true;
  }
  if (usedQuic(world, backend)) world.marks.hit("backend kept for its QUIC");
  if (entry.isPublished) return attempt(world, () => preparePublish(control, entry, false));
  const server = alive(world).find(({ object }) => object.backend.row === row);
  if (server !== undefined) removeServer(world, server);
  if (server === undefined) world.marks.hit("backend held by what is under way");
  return true;
}

/** Is or was there a QUIC server in it? */
function usedQuic(world: World, backend: ProxyObject): boolean {
  return world.servers.some(
    ({ object }) => object.backend === backend && object.spec.quic !== undefined,
  );
}

/** Prepares and makes a change; a refusal is an answer too. @returns whether it was made */
function attempt(world: World, prepare: () => Change): boolean {
  try {
    const change = prepare();
    world.trace(() => `control ${change.effect}`);
    void change.apply();
    return true;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    world.trace(() => `control refuses: ${error.message}`);
    return false;
  }
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
  world.quic?.bury(worker);
  returnConnections(tables, worker.number, {
    proxyRows: shop.model.proxyByRow.keys(),
    listenerRows: shop.model.listenerByRow.keys(),
  });
  worker.isLost = false;
  worker.isBuried = true;
  world.hasRung = true;
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
