/**
 * The end of a stream, and the one place in which a stream leaves its server.
 *
 * @hot
 */
import { leaveQueue, leaveServer } from "../../balance/choose.ts";
import { assert } from "../../base/assert.ts";
import { BACK, FRONT } from "../../conduit/conduit.ts";
import type { Conduit } from "../../conduit/conduit.ts";
import { PROXY_BACK_CURRENT, PROXY_WATCHED } from "../../tables/generated/proxy.ts";
import { SERVER_SERVED, SERVER_WATCHED } from "../../tables/generated/server.ts";
import { releaseFront } from "../accept/admission.ts";
import { writeLogRecord } from "../log/record.ts";
import { assertOwner } from "../owner.ts";
import { STREAM_FREE } from "../stream.ts";
import type { Stream } from "../stream.ts";
import type { ServerView } from "../views.ts";
import { countBackendCurrent, countStreamEnd } from "./counters.ts";

/** Puts the stream on its server's list: from now on the server knows it. */
export function attachToServer(stream: Stream, server: ServerView): void {
  assertOwner(stream.engine.worker);
  assert(!stream.isAttached, "attachToServer: a stream is on one server at a time");
  stream.server = server;
  stream.isAttached = true;
  stream.nextOfServer = server.streams;
  stream.previousOfServer = null;
  if (server.streams !== null) server.streams.previousOfServer = stream;
  server.streams = stream;
  server.streamCount++;
}

/**
 * A stream leaves its server, in the order of the second founding rule: off the server's list, then
 * `served` − 1, then the algorithm is told, then the free slot goes to the oldest waiter (the last
 * three under the backend's lock, in balance).
 */
export function leaveServerInOrder(stream: Stream): void {
  const server = stream.server;
  assertOwner(stream.engine.worker);
  assert(server !== null && stream.isAttached, "leaveServerInOrder: the stream is on a server");
  if (stream.previousOfServer !== null) stream.previousOfServer.nextOfServer = stream.nextOfServer;
  else server.streams = stream.nextOfServer;
  if (stream.nextOfServer !== null) {
    stream.nextOfServer.previousOfServer = stream.previousOfServer;
  }
  stream.nextOfServer = null;
  stream.previousOfServer = null;
  stream.isAttached = false;
  server.streamCount--;
  assert(server.streamCount >= 0, "leaveServerInOrder: a list is never shorter than empty");
  const { engine } = stream;
  engine.deferGrant(leaveServer(engine.balance, server.backend.row, server.row));
  const words = engine.tables.servers.words;
  if (words[server.row + SERVER_SERVED] === 0 && Atomics.load(words, server.row + SERVER_WATCHED)) {
    engine.environment.ringControl();
  }
}

/**
 * Ends a stream in any state: closes or aborts what is open, leaves queue and server, counts, logs,
 * and gives the stream back.
 * @param cause CAUSE_* of causes.ts
 * @param phase PHASE_* of causes.ts
 * @param isAbort the other side is told by an abort instead of an end
 */
export function endStream(stream: Stream, cause: number, phase: number, isAbort: boolean): void {
  assert(stream.state !== STREAM_FREE, "endStream: a stream ends once");
  const { engine } = stream;
  assertOwner(engine.worker);
  engine.wheel.clear(stream.slot);
  // The server's address of our side is still readable here, for the log.
  const termination = (cause << 8) | phase;
  writeLogRecord(stream, termination);
  countStreamEnd(stream, cause, phase);
  closeSide(stream, isAbort);
  if (stream.queueEntry !== 0) {
    const granted = leaveQueue(engine.balance, stream.queueEntry);
    stream.queueEntry = 0;
    // A slot that was granted but not yet taken goes straight on to the next.
    if (granted > 0) {
      engine.deferGrant(leaveServer(engine.balance, stream.backend!.row, granted));
    }
  }
  if (stream.isAttached) leaveServerInOrder(stream);
  if (stream.backend !== null) {
    const words = engine.tables.proxies.words;
    const { row } = stream.backend;
    // The worker's own count first: with the last one off the total the row may be freed.
    countBackendCurrent(engine, stream.backend, -1);
    const isLast = Atomics.sub(words, row + PROXY_BACK_CURRENT, 1) === 1;
    if (isLast && Atomics.load(words, row + PROXY_WATCHED) !== 0) engine.environment.ringControl();
  }
  const listener = stream.listener!;
  clearStream(stream);
  engine.giveStream(stream);
  releaseFront(engine, listener);
  engine.runGrants();
}

function closeSide(stream: Stream, isAbort: boolean): void {
  const { front, back } = stream;
  const hasNoLinger = stream.backend !== null && stream.backend.spec.options.nolinger;
  // The code with which one side aborted is the other's, where both have codes.
  const { abortCode, finishSide } = stream;
  // All that was to come has come: what breaks off now is the other direction.
  if (finishSide === FRONT && front?.hasOneWayAborts === true) front.finish();
  if (finishSide === BACK && back?.hasOneWayAborts === true) back.finish();
  if (front !== null) {
    const noLinger = stream.frontend.spec.options.nolinger && lingers(front);
    if (isAbort || noLinger || isCut(front, stream.backEnded)) front.abort(abortCode);
    else front.close();
  }
  if (back !== null) {
    const noLinger = hasNoLinger && lingers(back);
    if (isAbort || noLinger || isCut(back, stream.frontEnded)) back.abort(abortCode);
    else back.close();
  }
}

/** `option nolinger` frees TCP sockets at once. A QUIC stream has none and would lose its end. */
function lingers(conduit: Conduit): boolean {
  return conduit.hasOneWayAborts !== true && conduit.isSession !== true;
}

/**
 * Would an end be a lie? Where ends and aborts are told apart for certain, what is cut short (a
 * limit of time, no server, an operator) is an abort.
 */
function isCut(conduit: Conduit, hasOtherEnded: boolean): boolean {
  if (conduit.isSession === true) return true;
  return conduit.hasOneWayAborts === true && !hasOtherEnded;
}

/** Fields that would keep objects alive or leak into the next life of the stream. */
function clearStream(stream: Stream): void {
  stream.state = STREAM_FREE;
  stream.front = null;
  stream.back = null;
  stream.backend = null;
  stream.server = null;
  stream.header = null;
  stream.listener = null;
}
