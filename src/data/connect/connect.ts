/**
 * From a reserved slot to a joined pair: dial, retry, redispatch, PROXY header out.
 *
 * A failed attempt is repeated on the same server after a pause of a second (or the connect timeout
 * if that is shorter), or goes to another server at once where `option redispatch` allows it
 * (manual 4.2 `retries`, `option redispatch`): also when its server went down meanwhile.
 *
 * @hot
 */
import { assert } from "../../base/assert.ts";
import { BACK, CLOSE_RESOURCE, NO_CODE, WRITE_CLOSED } from "../../conduit/conduit.ts";
import { SERVER_STATE_DRAIN, SERVER_STATE_UP } from "../../tables/generated/enums.ts";
import { PROXY_ACTIVE_UP } from "../../tables/generated/proxy.ts";
import { SERVER_STATE, SERVER_THROTTLE } from "../../tables/generated/server.ts";
import { checkDescriptors } from "../accept/descriptors.ts";
import {
  CAUSE_RESOURCE,
  CAUSE_SERVER,
  CAUSE_SERVER_TIMEOUT,
  PHASE_CONNECT,
  PHASE_DATA,
} from "../account/causes.ts";
import {
  countConnectAttempt,
  countConnectError,
  countRedispatch,
  countRetry,
  reportServerError,
} from "../account/counters.ts";
import { endStream, leaveServerInOrder } from "../account/end.ts";
import { writeConnectedRecord } from "../log/record.ts";
import { armRelay } from "../relay/relay.ts";
import { destinationOf } from "../route/stream-context.ts";
import { STREAM_CONNECT, STREAM_RELAY, STREAM_RETRY, writeTo } from "../stream.ts";
import type { Stream } from "../stream.ts";
import { chooseFor, isFreeChoice } from "./choose.ts";
import { proxyHeaderFor } from "./header-out.ts";
import { measureConnected, measureDial, measureFailed } from "./measure.ts";
import { quicHints } from "./quic-hints.ts";
import { reportConnected, reportConnectFailure } from "./report.ts";

/** Pause before the same server is tried again (manual 4.2, `retries`), ms. */
const TURN_AROUND_MS = 1000;

/** Dials the server that the stream is on. */
export function beginConnect(stream: Stream): void {
  const { engine, server, backend } = stream;
  assert(stream.isAttached, "beginConnect: the stream holds a slot");
  stream.state = STREAM_CONNECT;
  countConnectAttempt(stream);
  measureDial(stream);
  const fixed = server!.spec.portMode === "fixed";
  const target = server!.targetFor(fixed ? 0 : destinationOf(stream).port);
  if (target === null) {
    failed(stream, CAUSE_SERVER);
    return;
  }
  if (target.quic === null && stream.front!.isSession === true) {
    // One connection of many streams cannot be one TCP connection.
    failed(stream, CAUSE_SERVER);
    return;
  }
  const hints = target.quic === null ? null : quicHints(stream);
  const result = engine.environment.dial(target, stream, hints);
  if (typeof result === "number") {
    if (result === CLOSE_RESOURCE) checkDescriptors(engine);
    failed(stream, result === CLOSE_RESOURCE ? CAUSE_RESOURCE : CAUSE_SERVER);
    return;
  }
  stream.back = result;
  stream.setDeadline(backend!.timeoutConnect);
}

/** The server's conduit was lost before anything went over it: it counts as never connected. */
export function serverLost(stream: Stream): void {
  stream.back = null;
  stream.backEnded = false;
  stream.backBlocked = false;
  stream.backBroken = false;
  stream.connectedAtMs = -1;
  stream.finishSide = -1;
  stream.front!.pause();
  stream.abortCode = NO_CODE;
  failed(stream, CAUSE_SERVER);
}

/** The server's conduit closed before it was connected. */
export function connectFailed(stream: Stream): void {
  stream.back = null;
  failed(stream, CAUSE_SERVER);
}

/** `timeout connect` may have passed. */
export function connectTimer(stream: Stream, now: number): void {
  if (now < stream.deadlineMs) {
    stream.engine.setTimer(stream.slot, stream.deadlineMs);
    return;
  }
  const { back } = stream;
  stream.back = null;
  if (back !== null) back.abort();
  failed(stream, CAUSE_SERVER_TIMEOUT);
}

/** The pause is over: the same server again, unless it has gone down meanwhile. */
export function retryNow(stream: Stream): void {
  assert(stream.state === STREAM_RETRY, "retryNow: the stream was pausing");
  if (hasRedispatch(stream) && !isRunning(stream)) redispatch(stream);
  else beginConnect(stream);
}

/** One attempt failed: repeat, go elsewhere, or give up. */
function failed(stream: Stream, cause: number): void {
  const { engine } = stream;
  engine.wheel.clear(stream.slot);
  reportConnectFailure(stream, cause);
  measureFailed(stream, cause);
  if (stream.retriesLeft <= 0) {
    countConnectError(stream);
    endStream(stream, cause, PHASE_CONNECT, false);
    return;
  }
  stream.retriesLeft--;
  stream.retries++;
  if (mayRedispatch(stream)) {
    redispatch(stream);
    return;
  }
  countRetry(stream);
  stream.state = STREAM_RETRY;
  const connectMs = stream.backend!.timeoutConnect;
  const pause = connectMs >= 0 && connectMs < TURN_AROUND_MS ? connectMs : TURN_AROUND_MS;
  // A timeout has waited already.
  stream.setDeadline(cause === CAUSE_SERVER_TIMEOUT ? 1 : pause);
}

/** Another server, whatever the one that failed was chosen by. */
function redispatch(stream: Stream): void {
  const failedRow = stream.server!.row;
  countRedispatch(stream);
  stream.wasRedispatched = true;
  leaveServerInOrder(stream);
  stream.server = null;
  chooseFor(stream, failedRow);
  stream.engine.runGrants();
}

function hasRedispatch(stream: Stream): boolean {
  const { options } = stream.backend!.spec;
  return options.redispatch && options.redispatchInterval !== 0;
}

/** Neither down nor in maintenance; nor just back: a slow start need not take what others may. */
function isRunning(stream: Stream): boolean {
  const words = stream.engine.tables.servers.words;
  const { row } = stream.server!;
  const state = words[row + SERVER_STATE]!;
  const isServing = state === SERVER_STATE_UP || state === SERVER_STATE_DRAIN;
  return isServing && words[row + SERVER_THROTTLE] === 0;
}

/** May this retry go to another server? Manual 4.2, `option redispatch`. */
function mayRedispatch(stream: Stream): boolean {
  if (!hasRedispatch(stream)) return false;
  if (!isRunning(stream)) return true;
  const { redispatchInterval } = stream.backend!.spec.options;
  const { retries } = stream.backend!.spec;
  const done = stream.retries;
  if (redispatchInterval > 0 && done % redispatchInterval === 0) return true;
  if (redispatchInterval < 0 && done % (retries + 1 + redispatchInterval) === 0) return true;
  // Another server is as good as this one: no need to wait for it.
  const active = stream.engine.tables.proxies.words[stream.backend!.row + PROXY_ACTIVE_UP]!;
  return active > 1 && isFreeChoice(stream);
}

/** The server answered: join both sides. */
export function serverConnected(stream: Stream): void {
  const { engine, server } = stream;
  const now = engine.clock.nowMs();
  stream.state = STREAM_RELAY;
  stream.connectedAtMs = now;
  reportConnected(stream);
  measureConnected(stream, now);
  stream.lastFrontMs = now;
  stream.lastBackMs = now;
  armRelay(stream);
  if (stream.frontend.logsServerEndpoints) stream.back!.localEndpoint(stream.source);
  const front = stream.front!;
  const isSession = front.isSession === true;
  if (server!.spec.sendProxy !== undefined && !isSession && !sendHeader(stream)) return;
  writeConnectedRecord(stream);
  if (stream.frontEnded) {
    stream.finishSide = BACK;
    engine.deferFinish(stream);
  }
  // What the client sent meanwhile goes on now; this may end the stream.
  if (isSession) front.joinSession!(stream.back!);
  else front.resume();
}

/** PROXY header first, in one piece: the socket is fresh and takes it. @cold */
function sendHeader(stream: Stream): boolean {
  const header = proxyHeaderFor(stream);
  const taken = writeTo(stream, BACK, header, 0, header.length);
  if (taken === header.length) return true;
  // Both conduits are still ours: the end of the stream lets go of them.
  if (taken === WRITE_CLOSED) reportServerError(stream);
  const cause = taken === WRITE_CLOSED ? CAUSE_SERVER : CAUSE_RESOURCE;
  endStream(stream, cause, PHASE_DATA, true);
  return false;
}
