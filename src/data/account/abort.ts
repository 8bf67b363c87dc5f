/** A client that leaves before its stream has a server. */
import { STREAM_CONNECT, STREAM_QUEUE } from "../stream.ts";
import type { Stream } from "../stream.ts";
import { CAUSE_CLIENT, PHASE_CONNECT, PHASE_DATA, PHASE_QUEUE, PHASE_REQUEST } from "./causes.ts";
import { endStream } from "./end.ts";

/**
 * Ends the stream as aborted by its client.
 * @param isOrderly the client closed its side (`option abortonclose`), in the phase it is in; a
 *   reset of its connection is logged as HAProxy logs it, in the data phase
 */
export function endClientEarly(stream: Stream, isOrderly: boolean): void {
  endStream(stream, CAUSE_CLIENT, isOrderly ? phaseOf(stream) : PHASE_DATA, !isOrderly);
}

/** Ends the stream as broken off by its client (RESET_STREAM, STOP_SENDING), in its phase. */
export function breakClientEarly(stream: Stream): void {
  endStream(stream, CAUSE_CLIENT, phaseOf(stream), true);
}

/** PHASE_* of a stream that has no server yet. */
function phaseOf({ state }: Stream): number {
  if (state === STREAM_QUEUE) return PHASE_QUEUE;
  return state >= STREAM_CONNECT ? PHASE_CONNECT : PHASE_REQUEST;
}
