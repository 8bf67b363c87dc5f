/**
 * Replays the mutation log: makes, changes and drops the worker's views, in order. Control has
 * filled the shared rows before; the worker publishes how far it has come.
 */
import { assert, describeError } from "../base/assert.ts";
import { PROCESS_GRACE_WANTED } from "../tables/generated/process.ts";
import { WORKER_APPLIED_SEQUENCE, WORKER_STRIDE } from "../tables/generated/worker.ts";
import { MUTATION_VERSION } from "../tables/mutations.ts";
import type { Mutation, MutationRecord } from "../tables/mutations.ts";
import { admit, resumeListener } from "./accept/admission.ts";
import type { Engine } from "./engine.ts";
import { ListenerView, ProxyView, ServerView } from "./views.ts";

/** Applies records in order and publishes the last one's sequence number. */
export function applyMutations(engine: Engine, records: readonly MutationRecord[]): void {
  const { words } = engine.tables.workers;
  for (const record of records) {
    assert(record.version === MUTATION_VERSION, "applyMutations: a version that is known");
    applyOne(engine, record.mutation);
    const at = engine.worker * WORKER_STRIDE + WORKER_APPLIED_SEQUENCE;
    Atomics.store(words, at, record.sequence);
  }
  // Whoever waits for the grace period looks again.
  if (Atomics.load(engine.tables.process.words, PROCESS_GRACE_WANTED) === 1) {
    engine.environment.ringControl();
  }
}

function applyOne(engine: Engine, mutation: Mutation): void {
  switch (mutation.kind) {
    case "globals":
      engine.globals = mutation.globals;
      engine.environment.configure(mutation.globals);
      return;
    case "quic":
      engine.environment.configureQuic(mutation.settings);
      return;
    case "proxy.add":
      addProxy(engine, mutation);
      return;
    case "proxy.remove":
      removeProxy(engine, mutation.row);
      return;
    case "server.link":
      linkServer(engine, mutation);
      return;
    case "server.change":
      changeServer(engine, mutation);
      return;
    case "server.unlink":
      unlinkServer(engine, mutation.row);
      return;
    case "listener.add":
      addListener(engine, mutation);
      return;
    case "listener.pause":
    case "listener.resume":
      switchListener(engine, mutation.row, mutation.kind === "listener.resume");
      return;
    case "listener.close":
      closeListener(engine, mutation.row);
      return;
    case "stop":
      stopAccepting(engine);
      return;
  }
}

function addProxy(engine: Engine, mutation: Mutation & { kind: "proxy.add" }): void {
  const { row, generation, proxy } = mutation;
  const view = new ProxyView(row, generation, proxy, engine.globals);
  engine.proxies.set(row, view);
  // A frontend and a backend may share a name; the first of each kind is found by it.
  if (proxy.hasFront && !engine.frontendsByName.has(proxy.name)) {
    engine.frontendsByName.set(proxy.name, view);
  }
  if (proxy.hasBack && !engine.backendsByName.has(proxy.name)) {
    engine.backendsByName.set(proxy.name, view);
  }
  forgetRoutes(engine);
}

/** Rules name backends: they are compiled again at the next session. */
function forgetRoutes(engine: Engine): void {
  for (const frontend of engine.routed.splice(0)) frontend.route = null;
}

function removeProxy(engine: Engine, row: number): void {
  const view = engine.proxies.get(row);
  if (view === undefined) return;
  engine.proxies.delete(row);
  if (engine.frontendsByName.get(view.name) === view) engine.frontendsByName.delete(view.name);
  if (engine.backendsByName.get(view.name) === view) engine.backendsByName.delete(view.name);
  forgetRoutes(engine);
}

function linkServer(engine: Engine, mutation: Mutation & { kind: "server.link" }): void {
  const { row, generation, backendRow, server } = mutation;
  const backend = engine.proxies.get(backendRow);
  assert(backend !== undefined, "linkServer: a server's backend comes before it");
  const view = new ServerView(row, generation, backend, server, engine.globals);
  engine.setServer(row, view);
  if (!backend.serversByName.has(server.name)) backend.serversByName.set(server.name, view);
  backend.useServers = null;
}

function changeServer(engine: Engine, mutation: Mutation & { kind: "server.change" }): void {
  const view = engine.server(mutation.row);
  if (view === undefined) return;
  const { backend } = view;
  if (backend.serversByName.get(view.name) === view) backend.serversByName.delete(view.name);
  forgetTargets(engine, view);
  view.change(mutation.server, engine.globals);
  if (!backend.serversByName.has(view.name)) backend.serversByName.set(view.name, view);
  backend.useServers = null;
}

/** No stream goes there again: idle connections of a QUIC server are closed. */
function forgetTargets(engine: Engine, view: ServerView): void {
  for (const target of view.targets()) {
    if (target.quic !== null) engine.environment.forgetTarget(target);
  }
}

function unlinkServer(engine: Engine, row: number): void {
  const view = engine.server(row);
  if (view === undefined) return;
  assert(view.streamCount === 0, "unlinkServer: no stream knows a server that is unlinked");
  engine.setServer(row, undefined);
  forgetTargets(engine, view);
  const { backend } = view;
  if (backend.serversByName.get(view.name) === view) backend.serversByName.delete(view.name);
  backend.useServers = null;
}

function addListener(engine: Engine, mutation: Mutation & { kind: "listener.add" }): void {
  const { row, proxyRow, bind, fds } = mutation;
  const proxy = engine.proxies.get(proxyRow);
  assert(proxy !== undefined, "addListener: a listener's proxy comes before it");
  const fd = fds[engine.worker - 1] ?? -1;
  // No descriptor for this worker: the bind is limited to others.
  if (fds.length > 0 && fd < 0) return;
  const view = new ListenerView(row, proxy, bind);
  engine.listeners.set(row, view);
  proxy.listeners.push(view);
  view.socket = engine.environment.listen(bind, fd, proxy, (conduit) =>
    admit(engine, view, conduit),
  );
  startListening(engine, view);
}

/** A socket that cannot be had must not keep the rest of the log from being applied. */
function startListening(engine: Engine, { socket, spec }: ListenerView): void {
  try {
    const result = socket!.start();
    if (result < 0) engine.environment.notice(`cannot listen on ${spec.text} (errno ${-result})`);
  } catch (error) {
    engine.environment.notice(`cannot listen on ${spec.text}: ${describeError(error)}`);
  }
}

function switchListener(engine: Engine, row: number, isEnabled: boolean): void {
  const view = engine.listeners.get(row);
  if (view === undefined) return;
  view.isEnabled = isEnabled;
  if (isEnabled) resumeListener(engine, view);
  else view.socket?.pause();
}

function closeListener(engine: Engine, row: number): void {
  const view = engine.listeners.get(row);
  if (view === undefined) return;
  // Clients whose connection stands would be reset with the socket.
  if (view.isEnabled && view.parked.length === 0) view.socket?.drain?.();
  view.isEnabled = false;
  const { socket } = view;
  socket?.pause();
  view.socket = null;
  for (const conduit of view.parked.splice(0)) conduit.close();
  socket?.close?.();
  engine.listeners.delete(row);
  const { listeners } = view.proxy;
  listeners.splice(listeners.indexOf(view), 1);
}

function stopAccepting(engine: Engine): void {
  for (const row of [...engine.listeners.keys()]) closeListener(engine, row);
  // Only now: a client that was let in last, and ended at once, must not end the worker early.
  engine.isStopping = true;
  if (engine.streamCount === 0) engine.environment.stopped();
}
