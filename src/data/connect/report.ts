/** Connection failures as notes for control: `on-error`, passive health, events. */
import { SERVER_CONNECT_FAILURES } from "../../tables/generated/server.ts";
import type { Stream } from "../stream.ts";

/** Counts a failed attempt on the server's shared row, where control watches it. */
export function reportConnectFailure(stream: Stream, _cause: number, _code: number): void {
  const words = stream.engine.tables.servers.words;
  Atomics.add(words, stream.server!.row + SERVER_CONNECT_FAILURES, 1);
}
