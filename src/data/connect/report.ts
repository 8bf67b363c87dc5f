/** What a server's shared row is told of its connections. */
import { SERVER_CONNECT_FAILURES } from "../../tables/generated/server.ts";
import type { Stream } from "../stream.ts";

/** Counts an attempt that failed. */
export function reportConnectFailure(stream: Stream): void {
  const words = stream.engine.tables.servers.words;
  Atomics.add(words, stream.server!.row + SERVER_CONNECT_FAILURES, 1);
}
