/**
 * From an accepted socket to a stream, under the limits of process, frontend and listener.
 *
 * A limit is claimed with one atomic addition, so it is never exceeded, whatever the number of
 * workers. At a limit the worker stops accepting; what it had already accepted is parked, unread,
 * as if it were still in the backlog, and goes first when there is room again. Whoever frees the
 * room wakes all workers if the limit was marked full.
 *
 * @hot
 */
import { assert } from "../../base/assert.ts";
import { PARKED_MAX } from "../../base/limits.ts";
import { FRONT } from "../../conduit/conduit.ts";
import type { Conduit } from "../../conduit/conduit.ts";
import { LISTENER_STATE_CLOSED } from "../../tables/generated/enums.ts";
import {
  LISTENER_CURRENT,
  LISTENER_CURRENT_MAX,
  LISTENER_FULL,
  LISTENER_MAXCONN,
  LISTENER_STATE,
} from "../../tables/generated/listener.ts";
import {
  PROCESS_CONN_SECOND,
  PROCESS_CURRENT,
  PROCESS_CURRENT_MAX,
  PROCESS_FULL,
  PROCESS_MAXCONN,
  PROCESS_MAXCONN_REACHED,
  PROCESS_MAXCONNRATE,
  PROCESS_MAXSESSRATE,
  PROCESS_UNIQUE_COUNTER,
  PROCESS_WORKER_COUNT,
} from "../../tables/generated/process.ts";
import {
  PROXY_FRONT_CURRENT,
  PROXY_FRONT_CURRENT_MAX,
  PROXY_FRONT_FULL,
  PROXY_FRONT_MAXCONN,
  PROXY_RATE_LIMIT,
  PROXY_RATE_SECOND,
} from "../../tables/generated/proxy.ts";
import { NOTE_RESUME, postNote } from "../../tables/inbox.ts";
import { countConnection, countConnectionEnd } from "../account/counters.ts";
import type { Engine } from "../engine.ts";
import type { ListenerView } from "../views.ts";
import { beginStream } from "./begin.ts";
import { claimRate, giveRate } from "./rate.ts";

/** A claim failed: nothing is held. */
const NO_ROOM = -1;

/** From the listening socket: a client has connected. */
export function admit(engine: Engine, listener: ListenerView, conduit: Conduit): void {
  if (listener.parked.length > 0 || claimRoom(engine, listener) === NO_ROOM) {
    park(engine, listener, conduit);
    return;
  }
  start(engine, listener, conduit);
}

function start(engine: Engine, listener: ListenerView, conduit: Conduit): void {
  const stream = engine.takeStream();
  stream.uniqueCounter = Atomics.add(engine.tables.process.words, PROCESS_UNIQUE_COUNTER, 1);
  countConnection(engine, listener);
  conduit.setOwner(stream, FRONT);
  beginStream(stream, listener, conduit);
}

/**
 * Takes one connection of process, frontend and listener, or none of them. What is given back
 * wakes: while it was held, another worker may have found no room.
 */
function claimRoom(engine: Engine, listener: ListenerView): number {
  const process = engine.tables.process.words;
  const proxies = engine.tables.proxies.words;
  const listeners = engine.tables.listeners.words;
  const proxyRow = listener.proxy.row;
  const maxProcess = process[PROCESS_MAXCONN]!;
  const nowProcess = claim(process, PROCESS_CURRENT, maxProcess, PROCESS_FULL);
  if (nowProcess === NO_ROOM) return NO_ROOM;
  const maxFront = proxies[proxyRow + PROXY_FRONT_MAXCONN]!;
  const front = proxyRow + PROXY_FRONT_CURRENT;
  const nowFront = claim(proxies, front, maxFront, proxyRow + PROXY_FRONT_FULL);
  if (nowFront === NO_ROOM) {
    giveBack(engine, process, PROCESS_CURRENT, PROCESS_FULL, 0, 0);
    return NO_ROOM;
  }
  const maxListener = listeners[listener.row + LISTENER_MAXCONN]!;
  const own = listener.row + LISTENER_CURRENT;
  const nowListener = claim(listeners, own, maxListener, listener.row + LISTENER_FULL);
  if (nowListener === NO_ROOM || !claimRates(engine, listener)) {
    const { row } = listener;
    if (nowListener !== NO_ROOM) {
      giveBack(engine, listeners, own, row + LISTENER_FULL, proxyRow, row);
    }
    giveBack(engine, proxies, front, proxyRow + PROXY_FRONT_FULL, proxyRow, 0);
    giveBack(engine, process, PROCESS_CURRENT, PROCESS_FULL, 0, 0);
    return NO_ROOM;
  }
  if (nowProcess === maxProcess) Atomics.add(process, PROCESS_MAXCONN_REACHED, 1);
  raise(process, PROCESS_CURRENT_MAX, nowProcess);
  raise(proxies, proxyRow + PROXY_FRONT_CURRENT_MAX, nowFront);
  raise(listeners, listener.row + LISTENER_CURRENT_MAX, nowListener);
  return 0;
}

/** One more under a limit (0 = none). @returns the new count, or NO_ROOM with the mark set */
function claim(words: Int32Array, cell: number, max: number, fullCell: number): number {
  for (;;) {
    const now = Atomics.add(words, cell, 1) + 1;
    if (max === 0 || now <= max) return now;
    Atomics.store(words, fullCell, 1);
    // Room that was freed before the mark stood would wake nobody, and claims of others that fail
    // beside this one hide it: the last of them to give up sees it, and tries again.
    if (Atomics.sub(words, cell, 1) - 1 >= max) return NO_ROOM;
  }
}

function raise(words: Int32Array, cell: number, value: number): void {
  // Two workers may write at once: the maximum then stays a connection short until it is passed.
  if (words[cell]! < value) words[cell] = value;
}

/** `rate-limit sessions`, `maxconnrate`: false = not in this second, a timer is set. */
function claimRates(engine: Engine, listener: ListenerView): boolean {
  const proxies = engine.tables.proxies.words;
  const row = listener.proxy.row;
  const now = engine.clock.nowMs();
  const process = engine.tables.process.words;
  // At layer 4 every connection is a session: the lower of the two limits counts.
  const connections = process[PROCESS_MAXCONNRATE]!;
  const sessions = process[PROCESS_MAXSESSRATE]!;
  const most =
    connections === 0 || (sessions !== 0 && sessions < connections) ? sessions : connections;
  if (!claimRate(process, PROCESS_CONN_SECOND, most, now)) {
    resumeAtNextSecond(engine, listener, now);
    return false;
  }
  const limit = proxies[row + PROXY_RATE_LIMIT]!;
  if (!claimRate(proxies, row + PROXY_RATE_SECOND, limit, now)) {
    giveRate(process, PROCESS_CONN_SECOND);
    resumeAtNextSecond(engine, listener, now);
    return false;
  }
  return true;
}

/** @cold */
function resumeAtNextSecond(engine: Engine, listener: ListenerView, now: number): void {
  if (listener.waitsForSecond) return;
  listener.waitsForSecond = true;
  const wait = 1000 - (now % 1000) + 1;
  engine.environment.startTimer(wait, () => {
    listener.waitsForSecond = false;
    resumeListener(engine, listener);
  });
}

/** @cold */
function park(engine: Engine, listener: ListenerView, conduit: Conduit): void {
  if (listener.parked.length >= PARKED_MAX) {
    conduit.abort();
    return;
  }
  conduit.pause();
  listener.parked.push(conduit);
  if (listener.socket !== null) listener.socket.pause();
  assert(engine.streams.length > 0, "park: the engine lives");
}

/** A limit has room, or control wants the listener: parked clients first, then the backlog. */
export function resumeListener(engine: Engine, listener: ListenerView): void {
  while (listener.parked.length > 0) {
    if (claimRoom(engine, listener) === NO_ROOM) return;
    const conduit = listener.parked.shift()!;
    start(engine, listener, conduit);
    conduit.resume();
  }
  const { socket } = listener;
  if (socket === null || socket.isAccepting || !listener.isEnabled || engine.isStopping) return;
  if (engine.isStarved) return;
  if (socket.start() < 0) resumeAtNextSecond(engine, listener, engine.clock.nowMs());
}

/** A connection of the listener is over: gives its room back and wakes who waits for it. */
export function releaseFront(engine: Engine, listener: ListenerView): void {
  const process = engine.tables.process.words;
  const proxies = engine.tables.proxies.words;
  const listeners = engine.tables.listeners.words;
  const { row } = listener;
  const proxyRow = listener.proxy.row;
  countConnectionEnd(engine, listener);
  // Read first: a row that is closed is control's again once nobody counts in it.
  const isClosed = Atomics.load(listeners, row + LISTENER_STATE) === LISTENER_STATE_CLOSED;
  const front = proxyRow + PROXY_FRONT_CURRENT;
  giveBack(engine, proxies, front, proxyRow + PROXY_FRONT_FULL, proxyRow, 0);
  giveBack(engine, listeners, row + LISTENER_CURRENT, row + LISTENER_FULL, proxyRow, row);
  giveBack(engine, process, PROCESS_CURRENT, PROCESS_FULL, 0, 0);
  if (isClosed) engine.environment.ringControl();
}

/** One less under a limit; `a` and `b` of NOTE_RESUME go to all workers if it was marked full. */
function giveBack(
  engine: Engine,
  words: Int32Array,
  cell: number,
  fullCell: number,
  a: number,
  b: number,
): void {
  const before = Atomics.sub(words, cell, 1);
  assert(before > 0, "giveBack: what was claimed is given back once");
  if (Atomics.load(words, fullCell) === 0 || Atomics.exchange(words, fullCell, 0) === 0) return;
  const count = engine.tables.process.words[PROCESS_WORKER_COUNT]!;
  for (let worker = 1; worker <= count; worker++) {
    postNote(engine.tables, engine.worker, worker, NOTE_RESUME, a, b, 0);
  }
}

/** NOTE_RESUME: listeners of the process, of a frontend, or one. @cold */
export function resumeListeners(engine: Engine, proxyRow: number, listenerRow: number): void {
  for (const listener of engine.listeners.values()) {
    if (proxyRow !== 0 && listener.proxy.row !== proxyRow) continue;
    if (listenerRow !== 0 && listener.row !== listenerRow) continue;
    resumeListener(engine, listener);
  }
}
