/**
 * Streams shut down by their owner, on control's request: the third founding rule. Those that are
 * meant are noted first, so that streams which get their slots, or come later, are not hit; then
 * they are ended so many a turn of the loop, so that traffic goes on meanwhile.
 */
import { SHUTDOWN_STREAMS_PER_TURN } from "../base/limits.ts";
import { SERVER_FLAG_BACKUP } from "../tables/generated/enums.ts";
import { SERVER_FLAGS } from "../tables/generated/server.ts";
import type { ShutdownSelector, ToWorker } from "../tables/mutations.ts";
import {
  CAUSE_DOWN,
  CAUSE_KILLED,
  CAUSE_UP,
  PHASE_CONNECT,
  PHASE_NONE,
  PHASE_QUEUE,
  PHASE_REQUEST,
} from "./account/causes.ts";
import { endStream } from "./account/end.ts";
import { findStream } from "./ask/answer.ts";
import type { Engine } from "./engine.ts";
import { STREAM_CONNECT, STREAM_FREE, STREAM_QUEUE, STREAM_RELAY, STREAM_RETRY } from "./stream.ts";
import type { Stream } from "./stream.ts";

/** A stream that is to end, unless it has ended by then. */
type Meant = { stream: Stream; generation: number };

/**
 * Ends all streams of this worker that the selector names.
 * @param done told how many there were, when the last has ended: at once, or some turns later
 * @param perTurn the most that end in one turn of the loop
 */
export function shutBySelector(
  engine: Engine,
  request: ToWorker & { type: "shutdown" },
  done: (count: number) => void,
  perTurn = SHUTDOWN_STREAMS_PER_TURN,
): void {
  const { selector } = request;
  const meant = select(engine, selector);
  const cause = causeOf(request.cause);
  let at = 0;
  let count = 0;
  const endSome = (): void => {
    const stop = Math.min(meant.length, at + perTurn);
    for (; at < stop; at++) {
      const { stream, generation } = meant[at]!;
      if (stream.generation !== generation || stream.state === STREAM_FREE) continue;
      // It may have gone to another server since.
      if (!isSelected(engine, stream, selector)) continue;
      endStream(stream, cause, phaseOf(stream), false);
      count++;
    }
    if (at < meant.length) engine.environment.nextTurn(endSome);
    else done(count);
  };
  endSome();
}

function select(engine: Engine, selector: ShutdownSelector): Meant[] {
  const meant: Meant[] = [];
  const note = (stream: Stream): void => void meant.push({ stream, generation: stream.generation });
  if (selector.kind === "stream") {
    if (selector.worker !== engine.worker) return meant;
    const stream = findStream(engine, selector.slot, selector.generation);
    if (stream !== null) note(stream);
    return meant;
  }
  if (selector.kind === "server") {
    // Its own list: however many streams the worker has besides.
    let stream = engine.server(selector.row)?.streams ?? null;
    for (; stream !== null; stream = stream.nextOfServer) note(stream);
    return meant;
  }
  const served: Stream[] = [];
  for (let slot = 1; slot < engine.streams.length; slot++) {
    const stream = engine.streams[slot] ?? null;
    if (stream === null || stream.state === STREAM_FREE) continue;
    if (!isSelected(engine, stream, selector)) continue;
    // Those that wait go first: they would be given the slots of the others, and dial.
    if (stream.state === STREAM_QUEUE) note(stream);
    else served.push(stream);
  }
  for (const stream of served) note(stream);
  return meant;
}

function causeOf(cause: string): number {
  if (cause === "down") return CAUSE_DOWN;
  return cause === "up" ? CAUSE_UP : CAUSE_KILLED;
}

/** As HAProxy logs it: once it is connected, no phase. */
function phaseOf({ state }: Stream): number {
  if (state === STREAM_RELAY) return PHASE_NONE;
  if (state === STREAM_QUEUE) return PHASE_QUEUE;
  return state === STREAM_CONNECT || state === STREAM_RETRY ? PHASE_CONNECT : PHASE_REQUEST;
}

function isSelected(engine: Engine, stream: Stream, selector: ShutdownSelector): boolean {
  switch (selector.kind) {
    case "all":
    case "stream":
      return true;
    case "server":
      return stream.server !== null && stream.server.row === selector.row;
    case "backend":
      return stream.backend !== null && stream.backend.row === selector.row;
    case "frontend":
      return stream.frontend.row === selector.row;
    case "backups": {
      const { server, backend } = stream;
      if (server === null || backend === null || backend.row !== selector.backendRow) return false;
      return (engine.tables.servers.words[server.row + SERVER_FLAGS]! & SERVER_FLAG_BACKUP) !== 0;
    }
  }
}
