/** Streams shut down by their owner, on control's request: the third founding rule. */
import { SERVER_FLAG_BACKUP } from "../tables/generated/enums.ts";
import { SERVER_FLAGS } from "../tables/generated/server.ts";
import type { ShutdownSelector, ToWorker } from "../tables/mutations.ts";
import { CAUSE_DOWN, CAUSE_KILLED, CAUSE_UP, PHASE_NONE } from "./account/causes.ts";
import { endStream } from "./account/end.ts";
import type { Engine } from "./engine.ts";
import { STREAM_FREE } from "./stream.ts";
import type { Stream } from "./stream.ts";

/** Ends all streams of this worker that the selector names. @returns how many */
export function shutBySelector(engine: Engine, request: ToWorker & { type: "shutdown" }): number {
  const cause = causeOf(request.cause);
  let count = 0;
  for (let slot = 1; slot < engine.streams.length; slot++) {
    const stream = engine.streams[slot] ?? null;
    if (stream === null || stream.state === STREAM_FREE) continue;
    if (!isSelected(engine, stream, request.selector)) continue;
    endStream(stream, cause, PHASE_NONE, false);
    count++;
  }
  return count;
}

function causeOf(cause: string): number {
  if (cause === "down") return CAUSE_DOWN;
  return cause === "up" ? CAUSE_UP : CAUSE_KILLED;
}

function isSelected(engine: Engine, stream: Stream, selector: ShutdownSelector): boolean {
  switch (selector.kind) {
    case "all":
      return true;
    case "server":
      return stream.server !== null && stream.server.row === selector.row;
    case "backend":
      return stream.backend !== null && stream.backend.row === selector.row;
    case "stream":
      return (
        selector.worker === engine.worker &&
        selector.slot === stream.slot &&
        selector.generation === stream.generation
      );
    case "frontend":
      return stream.frontend.row === selector.row;
    case "backups": {
      const { server, backend } = stream;
      if (server === null || backend === null || backend.row !== selector.backendRow) return false;
      return (engine.tables.servers.words[server.row + SERVER_FLAGS]! & SERVER_FLAG_BACKUP) !== 0;
    }
  }
}
