/**
 * Two conduits joined: bytes, ends and aborts pass from each to the other.
 *
 * Invariants: bytes leave in the order in which they came; an end is passed on only after all bytes
 * before it; an abort is passed on as an abort. The stream is over when both directions have ended
 * or one side has aborted.
 *
 * @hot
 */
import {
  BACK,
  CLOSE_CLEAN,
  CLOSE_UNSENT,
  FRONT,
  NO_CODE,
  WRITE_CLOSED,
} from "../../conduit/conduit.ts";
import {
  CAUSE_CLIENT,
  CAUSE_CLIENT_TIMEOUT,
  CAUSE_NONE,
  CAUSE_SERVER,
  CAUSE_SERVER_TIMEOUT,
  PHASE_DATA,
  PHASE_NONE,
} from "../account/causes.ts";
import { reportServerError } from "../account/counters.ts";
import { endStream } from "../account/end.ts";
import { serverLost } from "../connect/connect.ts";
import { measureBroken, measureFirstByte } from "../connect/measure.ts";
import { STREAM_RELAY, writeTo } from "../stream.ts";
import type { Stream } from "../stream.ts";

/** Bytes from one side go to the other. @returns how many it took */
export function relayBytes(
  stream: Stream,
  side: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
): number {
  const other = side === FRONT ? BACK : FRONT;
  const taken = writeTo(stream, other, bytes, offset, length);
  if (taken === WRITE_CLOSED) {
    // Nobody will read them; the close of the other side follows and ends the stream.
    return length;
  }
  if (taken < length) {
    if (other === FRONT) stream.frontBlocked = true;
    else stream.backBlocked = true;
  }
  countMoved(stream, side, taken);
  return taken;
}

/** Bytes that came from `side` were offered to the other, which took `taken` of them. */
export function countMoved(stream: Stream, side: number, taken: number): void {
  const now = stream.engine.clock.nowMs();
  if (side === FRONT) stream.bytesUp += taken;
  else {
    const isFirst = stream.bytesDown === 0 && taken > 0;
    if (isFirst && stream.backend!.measuresFirstByte) measureFirstByte(stream, now);
    stream.bytesDown += taken;
  }
  // Reading and writing are activity of their own sides (manual 4.2, `timeout client`).
  if (side === FRONT) {
    stream.lastFrontMs = now;
    if (taken > 0 && !stream.backend!.isIndependent) stream.lastBackMs = now;
  } else {
    stream.lastBackMs = now;
    if (taken > 0 && !stream.frontend.isIndependent) stream.lastFrontMs = now;
  }
}

/** One side has finished its direction: so do we towards the other. */
export function peerEnded(stream: Stream, side: number): void {
  if (side === FRONT) stream.frontEnded = true;
  else stream.backEnded = true;
  if (stream.frontEnded && stream.backEnded) {
    endBoth(stream);
    return;
  }
  // Both ends often come in one turn of the loop: then two closes do, and no half-close is sent.
  stream.finishSide = side === FRONT ? BACK : FRONT;
  stream.engine.deferFinish(stream);
  armRelay(stream);
}

/** Both directions are over: in order, or one of them was broken off before. */
export function endBoth(stream: Stream): void {
  const { brokenCause } = stream;
  if (brokenCause === 0) endStream(stream, CAUSE_NONE, PHASE_NONE, false);
  else endStream(stream, brokenCause, PHASE_DATA, false);
}

/** The turn is over and only one direction has ended: the other side is told. */
export function finishDeferred(stream: Stream): void {
  if (stream.state !== STREAM_RELAY || stream.finishSide < 0) return;
  const conduit = stream.finishSide === FRONT ? stream.front : stream.back;
  stream.finishSide = -1;
  if (conduit !== null) conduit.finish();
}

/** A conduit is gone: both directions in order, or an abort. */
export function peerClosed(stream: Stream, side: number, code: number): void {
  const broken = side === FRONT ? stream.frontBroken : stream.backBroken;
  const conduit = side === FRONT ? stream.front : stream.back;
  stream.abortCode = conduit?.abortCode ?? NO_CODE;
  if (side === FRONT) stream.front = null;
  else stream.back = null;
  if (conduit !== null && conduit.isSession === true) {
    sessionClosed(stream, side, code);
    return;
  }
  if (code === CLOSE_CLEAN && !broken) {
    peerEnded(stream, side);
    return;
  }
  if (side === BACK && code === CLOSE_UNSENT && mayConnectAgain(stream)) {
    serverLost(stream);
    return;
  }
  const hadEnded = side === FRONT ? stream.frontEnded : stream.backEnded;
  // A direction that was broken off has not ended in order.
  if (hadEnded && !broken && stream.brokenCause === 0) {
    // It had said all it had to say; the other side is cut off, and the log tells of an end.
    endStream(stream, CAUSE_NONE, PHASE_NONE, true);
    return;
  }
  abortedBy(stream, side);
}

/** One end closed the whole connection: so do we towards the other, with its code. */
function sessionClosed(stream: Stream, side: number, code: number): void {
  if (code === CLOSE_CLEAN) endStream(stream, CAUSE_NONE, PHASE_NONE, true);
  else abortedBy(stream, side);
}

/** A side has aborted: the other is told by an abort, with `abortCode`. */
export function abortedBy(stream: Stream, side: number): void {
  if (side === BACK) {
    reportServerError(stream);
    measureBroken(stream);
  }
  endStream(stream, side === FRONT ? CAUSE_CLIENT : CAUSE_SERVER, PHASE_DATA, true);
}

/** Nothing has passed in either direction: for the client the stream has not begun. */
function mayConnectAgain(stream: Stream): boolean {
  const hasMoved = stream.bytesUp > 0 || stream.bytesDown > 0;
  return !hasMoved && stream.brokenCause === 0 && stream.front !== null;
}

/** Idle times: which side has been silent too long, if any. */
export function relayTimer(stream: Stream, now: number): void {
  const frontAt = frontDeadline(stream);
  const backAt = backDeadline(stream);
  if (frontAt <= now && frontAt <= backAt) {
    endStream(stream, CAUSE_CLIENT_TIMEOUT, PHASE_DATA, false);
  } else if (backAt <= now) {
    endStream(stream, CAUSE_SERVER_TIMEOUT, PHASE_DATA, false);
  } else {
    armRelay(stream);
  }
}

/** Sets the timer to the nearer of the two idle deadlines. */
export function armRelay(stream: Stream): void {
  const frontAt = frontDeadline(stream);
  const backAt = backDeadline(stream);
  const at = frontAt < backAt ? frontAt : backAt;
  stream.deadlineMs = at;
  if (at === Infinity) stream.engine.wheel.clear(stream.slot);
  else stream.engine.setTimer(stream.slot, at);
}

/** When the client's idle limit runs out, in the relay; Infinity = never. */
export function frontDeadline(stream: Stream): number {
  return deadlineOf(stream.lastFrontMs, frontTimeout(stream));
}

/** The same of the server. */
export function backDeadline(stream: Stream): number {
  return deadlineOf(stream.lastBackMs, backTimeout(stream));
}

function deadlineOf(lastMs: number, timeoutMs: number): number {
  return timeoutMs < 0 ? Infinity : lastMs + timeoutMs;
}

/**
 * The client's idle limit now (manual 4.2 `timeout client`, `client-fin`, `tunnel`). A side that
 * has ended its direction owes nothing but to take what is sent. A side that is not read, since the
 * other takes nothing, is not silent: only what waits for it counts.
 */
function frontTimeout(stream: Stream): number {
  const { frontend } = stream;
  if ((stream.frontEnded || stream.backBlocked) && !stream.frontBlocked) return -1;
  if (stream.backEnded && frontend.timeoutClientFin >= 0) return frontend.timeoutClientFin;
  const tunnel = stream.backend!.timeoutTunnel;
  return tunnel >= 0 ? tunnel : frontend.timeoutClient;
}

/** The server's idle limit now. */
function backTimeout(stream: Stream): number {
  const backend = stream.backend!;
  if ((stream.backEnded || stream.frontBlocked) && !stream.backBlocked) return -1;
  if (stream.frontEnded && backend.timeoutServerFin >= 0) return backend.timeoutServerFin;
  return backend.timeoutTunnel >= 0 ? backend.timeoutTunnel : backend.timeoutServer;
}
