/** A client that leaves before its stream has a server. */
import { STREAM_CONNECT, STREAM_QUEUE } from "../stream.ts";
import type { Stream } from "../stream.ts";
import { CAUSE_CLIENT, PHASE_CONNECT, PHASE_QUEUE, PHASE_REQUEST } from "./causes.ts";
import { endStream } from "./end.ts";

/** Ends the stream as aborted by its client, in the phase it is in. */
export function endClientEarly(stream: Stream): void {
  const { state } = stream;
  let phase = PHASE_REQUEST;
  if (state === STREAM_QUEUE) phase = PHASE_QUEUE;
  else if (state >= STREAM_CONNECT) phase = PHASE_CONNECT;
  endStream(stream, CAUSE_CLIENT, phase, true);
}
