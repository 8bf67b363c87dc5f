/** One step of a simulation: one action, drawn by its weight, on a subject drawn at random. */
import { IpAddress, parseIp } from "../../src/base/address.ts";
import { encodeProxyV1 } from "../../src/wire/proxy-v1.ts";
import { encodeProxyV2 } from "../../src/wire/proxy-v2.ts";
import { askWorker, shutOne } from "./ask-actions.ts";
import {
  addAtRunTime,
  addBackend,
  bury,
  changeLimit,
  changeState,
  changeWeight,
  publishOrNot,
  removeAtRunTime,
  removeBackend,
  respawn,
  shutdownStreams,
  softStop,
  switchListener,
} from "./control-actions.ts";
import { NO_HEADER, SimClient } from "./far.ts";
import type { ClientHeader, SimLink } from "./far.ts";
import { ACTIONS, MOODS } from "./options.ts";
import type { Action } from "./options.ts";
import { QuicStreamSocket } from "./quic-socket.ts";
import type { FarSocket } from "./quic-socket.ts";
import { quicClient } from "./quic-world.ts";
import type { World } from "./world.ts";

/** Does one thing. What cannot be done now is done as a delivery instead. */
export function step(world: World): void {
  world.stepCount++;
  const { weights } = world.options;
  const action = ACTIONS[world.choices.weighted(ACTIONS.map((one) => weights[one]))]!;
  if (!perform(world, action)) deliver(world);
  world.lookAtBell();
  world.settleStep();
}

/** Gives one event to one of the workers that have any. @returns false when none has */
export function deliver(world: World): boolean {
  // The end of a run waits for nobody.
  const running = world.workers.filter(
    (worker) => worker.isRunning && (world.isDraining || worker.stalledUntil <= world.stepCount),
  );
  if (running.length === 0) return false;
  const first = world.choices.below(running.length);
  for (let i = 0; i < running.length; i++) {
    if (world.turn(running[(first + i) % running.length]!)) return true;
  }
  return false;
}

function perform(world: World, action: Action): boolean {
  const { choices } = world;
  switch (action) {
    case "deliver":
      return deliver(world);
    case "connect":
      return connectClient(world);
    case "clientSend":
      return onClient(world, (client) => client.send(choices));
    case "clientRead":
      return onClient(world, (client) => !client.isDeaf && readClient(client, world));
    case "clientFinish":
      return onClient(world, finishClient);
    case "clientClose":
      return onClient(world, closeClient);
    case "clientReset":
      return onClient(world, resetClient);
    case "dialDone":
      return onLink(world, (link) => link.socket.isConnecting && settle(world, link));
    case "serverSend":
      return onLink(world, (link) => link.send(choices));
    case "serverRead":
      return onLink(world, (link) => link.read(choices.between(1, 600)));
    case "serverFinish":
      return onLink(world, finishLink);
    case "serverClose":
      return onLink(world, closeLink);
    case "serverReset":
      return onLink(world, resetLink);
    case "serverMood":
      return changeMood(world);
    case "quicTurn":
      return world.quic !== null && world.quic.turn();
    case "quicKill":
      return world.quic !== null && world.quic.kill();
    case "clientBreak":
      return onClient(world, (client) => breakOneWay(world, client));
    case "serverBreak":
      return onLink(world, (link) => link.isThere && breakOneWay(world, link));
    case "tick":
      world.clock.advance(choices.between(1, 20));
      return true;
    case "leap":
      return leap(world);
    default:
      return performControl(world, action);
  }
}

function performControl(world: World, action: Action): boolean {
  switch (action) {
    case "serverState":
      return changeState(world);
    case "serverWeight":
      return changeWeight(world);
    case "serverLimit":
      return changeLimit(world);
    case "serverAdd":
      return addAtRunTime(world);
    case "serverRemove":
      return removeAtRunTime(world);
    case "backendAdd":
      return addBackend(world);
    case "backendRemove":
      return removeBackend(world);
    case "publish":
      return publishOrNot(world);
    case "shutdown":
      return shutdownStreams(world);
    case "ask":
      return askWorker(world);
    case "shutOne":
      return shutOne(world);
    case "pauseListener":
      return switchListener(world, "listener.pause");
    case "resumeListener":
      return switchListener(world, "listener.resume");
    case "stall":
      return stallWorker(world);
    case "workerDies":
      return loseWorker(world);
    case "bury":
      return buryOne(world);
    case "respawn":
      return respawnOne(world);
    case "stop":
      return softStop(world);
    default:
      return false;
  }
}

/** A worker does nothing for a while: everybody else goes on, and nobody waits for it for ever. */
function stallWorker(world: World): boolean {
  const { choices, workers, control } = world;
  const worker = choices.pick(workers);
  if (!worker.isRunning || worker.stalledUntil > world.stepCount) return false;
  worker.stalledUntil = world.stepCount + choices.between(20, 400);
  world.trace(() => `w${worker.number} stalls until step ${worker.stalledUntil}`);
  if (control.grace.pending > 0) world.marks.hit("stalled in a grace period");
  return true;
}

// ── clients ──

function connectClient(world: World): boolean {
  const { choices, options, shop } = world;
  const open = world.clients.filter((client) => !client.isOver && !client.isRefused);
  if (open.length >= options.clientsMax || world.isStopping) return false;
  const listeners = [...shop.model.listenerByRow.values()];
  const { spec, frontend } = choices.pick(listeners);
  const port = spec.address.family === "ipv4" ? spec.address.port : 0;
  const proxy = shop.model.proxies.indexOf(frontend);
  if (spec.quic !== undefined) return connectOverQuic(world, port, proxy);
  const header = spec.acceptProxy ? drawHeader(world) : NO_HEADER;
  const client = new SimClient(
    world.clients.length + 1,
    world.newSocket(),
    header,
    choices.below(options.payloadBytesMax + 1),
    choices.chance(options.deafClients),
    proxy,
  );
  const worker = choices.between(1, options.workers);
  world.clients.push(client);
  world.backlog(port, worker).clients.push(client);
  world.trace(() => `${client} connects to ${port}, worker ${worker}: ${client.payloadBytes} B`);
  return true;
}

function connectOverQuic(world: World, port: number, proxy: number): boolean {
  const { choices, options } = world;
  return world.quic!.connectClient(port, proxy, (socket) => {
    const client = quicClient(
      world.clients.length + 1,
      socket,
      choices.below(options.payloadBytesMax + 1),
      choices.chance(options.deafClients),
      proxy,
    );
    world.clients.push(client);
    world.trace(() => `${client} opens stream ${socket.id} to ${port}: ${client.payloadBytes} B`);
    return client;
  });
}

/** One direction of a QUIC stream is broken off; the other goes on. */
function breakOneWay(world: World, far: SimClient | SimLink): boolean {
  const { socket } = far;
  if (!(socket instanceof QuicStreamSocket)) return false;
  return world.choices.chance(0.5) ? socket.breakOff() : socket.stop();
}

function drawHeader(world: World): ClientHeader {
  const { choices } = world;
  const kind = choices.below(8);
  if (kind === 0) {
    const bytes = Uint8Array.from({ length: choices.between(1, 30) }, () => choices.below(256));
    return { bytes: new Uint8Array([0x21, ...bytes]), isGood: false, address: "" };
  }
  const address = `192.0.2.${choices.between(1, 254)}`;
  const source = new IpAddress();
  const destination = new IpAddress();
  parseIp(address, source);
  parseIp("198.51.100.7", destination);
  const endpoints = { source, sourcePort: 1234, destination, destinationPort: 80 };
  const bytes = kind < 4 ? encodeProxyV1(endpoints) : encodeProxyV2(endpoints, { crc32c: true });
  // A header that ends too early: the rest never comes.
  if (kind === 1) return { bytes: bytes.slice(0, choices.below(12)), isGood: false, address };
  return { bytes, isGood: true, address };
}

function onClient(world: World, act: (client: SimClient, world: World) => boolean): boolean {
  const open = world.clients.filter((client) => !client.isOver);
  if (open.length === 0) return false;
  const client = world.choices.pick(open);
  const done = act(client, world);
  if (done) world.trace(() => `${client} acted: ${describe(client)}`);
  return done;
}

/** The client reads what has come. */
export function readClient(client: SimClient, world: World): boolean {
  const before = client.receivedBytes;
  const done = client.read(world.choices.between(1, 600));
  const isAfterEnd = client.hasFinished && client.receivedBytes > before;
  if (isAfterEnd && client.link?.hasFinished === false) {
    world.marks.hit("half-close, other side went on");
  }
  return done;
}

/** The client ends its direction when it has sent everything. */
export function finishClient(client: SimClient, world: World): boolean {
  if (client.hasFinished || client.hasClosed || client.hasReset) return false;
  const all = client.header.bytes.length + client.payloadBytes;
  if (client.sentBytes < all) return false;
  if (world.options.waits === "client" && waitsForEnd(client)) return false;
  markPressure(world, client.socket, client.link?.socket);
  client.finish();
  return true;
}

/** A client with a server waits for its end; one with a bad header, or without one, does not. */
function waitsForEnd(client: SimClient): boolean {
  return client.link?.isOpen === true && !client.sawEnd;
}

/** Bytes wait that the other side does not take: an end comes behind them. */
function markPressure(world: World, own: FarSocket, other: FarSocket | undefined): void {
  if (other === undefined || own.unreadBytes === 0) return;
  if (other.waitingBytes >= other.habits.roomBytes) world.marks.hit("half-close under pressure");
}

function closeClient(client: SimClient, world: World): boolean {
  if (client.isAccepted && client.stream < 0) world.marks.hit("parked client aborted");
  client.close();
  return true;
}

function resetClient(client: SimClient, world: World): boolean {
  if (client.isAccepted && client.stream < 0) world.marks.hit("parked client aborted");
  client.reset();
  return true;
}

// ── servers ──

function onLink(world: World, act: (link: SimLink, world: World) => boolean): boolean {
  const open = world.links.filter((link) => !link.isOver);
  if (open.length === 0) return false;
  const link = world.choices.pick(open);
  const done = act(link, world);
  if (done) world.trace(() => `${link} acted: ${describe(link)}`);
  return done;
}

/** The server answers a connection that it was asked for. */
export function settle(world: World, link: SimLink): boolean {
  if (link.socket.nearClosed || link.isOpen || link.hasFailed) return false;
  return world.settle(link);
}

/** The server ends its direction when it has sent everything. */
export function finishLink(link: SimLink, world: World): boolean {
  if (!link.isThere || link.hasFinished || link.hasClosed || link.hasReset) return false;
  if (link.sentBytes < link.payloadBytes) return false;
  if (world.options.waits === "server" && !link.sawEnd) return false;
  markPressure(world, link.socket, link.client.socket);
  link.finish();
  return true;
}

function closeLink(link: SimLink): boolean {
  if (!link.isThere) return false;
  link.close();
  return true;
}

function resetLink(link: SimLink): boolean {
  if (!link.isThere) return false;
  link.reset();
  return true;
}

function changeMood(world: World): boolean {
  const servers = world.servers.filter((server) => !server.isGone);
  if (servers.length === 0) return false;
  const server = world.choices.pick(servers);
  const { moods } = world.options;
  const drawn = MOODS[world.choices.weighted(MOODS.map((mood) => moods[mood]))]!;
  server.mood = world.choices.chance(0.5) ? drawn : null;
  world.trace(() => `server ${server.object.spec.name} has the mood ${server.mood}`);
  return true;
}

// ── time and threads ──

function leap(world: World): boolean {
  const next = Math.min(world.clock.nextAtMs(), world.quic?.nextAtMs() ?? Infinity);
  const gap = next - world.clock.nowMs();
  if (gap > 0 && gap < Infinity && world.choices.chance(0.7)) world.clock.advance(gap);
  else world.clock.advance(world.choices.between(20, 3000));
  world.trace(() => "time passes");
  return true;
}

function loseWorker(world: World): boolean {
  const running = world.workers.filter((worker) => worker.isRunning);
  if (running.length === 0) return false;
  const worker = world.choices.pick(running);
  world.trace(() => `w${worker.number} dies`);
  world.marks.hit("worker lost");
  world.lose(worker);
  return true;
}

function buryOne(world: World): boolean {
  const lost = world.workers.find((worker) => worker.isLost);
  if (lost === undefined) return false;
  bury(world, lost);
  return true;
}

function respawnOne(world: World): boolean {
  const buried = world.workers.find((worker) => worker.isBuried);
  // Control replaces nobody any more once the process stops.
  if (buried === undefined || world.isStopping) return false;
  respawn(world, buried);
  return true;
}

function describe(far: SimClient | SimLink): string {
  const { sentBytes, receivedBytes, hasFinished, hasReset, hasClosed, sawEnd, sawReset } = far;
  const own = hasReset ? "reset" : hasClosed ? "closed" : hasFinished ? "finished" : "open";
  const seen = sawReset ? ", saw a reset" : sawEnd ? ", saw the end" : "";
  return `sent ${sentBytes}, received ${receivedBytes}, ${own}${seen}`;
}
