/**
 * A direction that is broken off while the other goes on: RESET_STREAM and STOP_SENDING of QUIC.
 *
 * Between two conduits that both know it, each is passed on as itself, with its code. A TCP
 * connection has one abort for both directions: there, either of them ends the stream.
 */
import { BACK, FRONT } from "../../conduit/conduit.ts";
import type { Conduit } from "../../conduit/conduit.ts";
import { CAUSE_CLIENT, CAUSE_SERVER } from "../account/causes.ts";
import { reportServerError } from "../account/counters.ts";
import type { Stream } from "../stream.ts";
import { abortedBy, armRelay, endBoth } from "./relay.ts";

/** The peer of `side` has broken off what it sends: so do we towards the other. */
export function peerReset(stream: Stream, side: number, code: bigint): void {
  const other = conduitOf(stream, side === FRONT ? BACK : FRONT);
  if (other === null || other.hasOneWayAborts !== true) {
    stream.abortCode = code;
    abortedBy(stream, side);
    return;
  }
  noteCause(stream, side);
  // An end that is still to be told would be a lie: this takes its place.
  if (stream.finishSide === (side === FRONT ? BACK : FRONT)) stream.finishSide = -1;
  other.reset!(code);
  directionOver(stream, side);
}

/** The peer of `side` takes no more: whoever sends to it is told to stop. */
export function peerStopped(stream: Stream, side: number, code: bigint): void {
  const sender = side === FRONT ? BACK : FRONT;
  const other = conduitOf(stream, sender);
  const hasEnded = sender === FRONT ? stream.frontEnded : stream.backEnded;
  if (hasEnded) {
    // All that was to come has come: the rest is not wanted, and nobody need be told.
    if (stream.finishSide === side) stream.finishSide = -1;
    return;
  }
  if (other === null || other.hasOneWayAborts !== true) {
    stream.abortCode = code;
    abortedBy(stream, side);
    return;
  }
  noteCause(stream, side);
  other.stop!(code);
  directionOver(stream, sender);
}

function conduitOf(stream: Stream, side: number): Conduit | null {
  return side === FRONT ? stream.front : stream.back;
}

/** Who broke off first decides what the log says of the stream. */
function noteCause(stream: Stream, side: number): void {
  if (stream.brokenCause !== 0) return;
  stream.brokenCause = side === FRONT ? CAUSE_CLIENT : CAUSE_SERVER;
  if (side === BACK) reportServerError(stream);
}

/** Nothing more comes from `side`. */
function directionOver(stream: Stream, side: number): void {
  if (side === FRONT) {
    stream.frontEnded = true;
    stream.backBlocked = false;
  } else {
    stream.backEnded = true;
    stream.frontBlocked = false;
  }
  if (stream.frontEnded && stream.backEnded) endBoth(stream);
  else armRelay(stream);
}
