/** A client that leaves before its stream has a server. */
import { STREAM_CONNECT, STREAM_QUEUE } from "../stream.ts";
import type { Stream } from "../stream.ts";
import { CAUSE_CLIENT, PHASE_CONNECT, PHASE_DATA, PHASE_QUEUE, PHASE_REQUEST } from "./causes.ts";
import { endStream } from "./end.ts";

/**
 * Ends the stream as aborted by its client, in the phase it is in.
 * @param isOrderly the client closed its side (`option abortonclose`); a reset is logged as HAProxy
 *   logs it, in the data phase
 */
export function endClientEarly(stream: Stream, isOrderly: boolean): void {
  const { state } = stream;
  let phase = PHASE_REQUEST;
  if (!isOrderly) phase = PHASE_DATA;
  else if (state === STREAM_QUEUE) phase = PHASE_QUEUE;
  else if (state >= STREAM_CONNECT) phase = PHASE_CONNECT;
  endStream(stream, CAUSE_CLIENT, phase, !isOrderly);
}
