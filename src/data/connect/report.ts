/**
 * What a server's shared row is told of its connections: attempts that failed, and with `observe
 * layer4` how many of them in a row, over all workers. At `error-limit` control is told, which does
 * what `on-error` says (manual 5.2); the count begins again then, and with each success.
 *
 * A failed attempt is one that was refused, broken off or too late, each retry by itself. One for
 * which we had no descriptor, and one whose client left, says nothing about the server.
 *
 * @hot
 */
import { SERVER_FLAG_CHECKS_OFF } from "../../tables/generated/enums.ts";
import {
  SERVER_CONNECT_FAILURES,
  SERVER_ERROR_REPORTS,
  SERVER_ERRORS_IN_ROW,
  SERVER_FLAGS,
} from "../../tables/generated/server.ts";
import { CAUSE_RESOURCE } from "../account/causes.ts";
import type { Stream } from "../stream.ts";

/** Counts an attempt that failed. @param cause CAUSE_* of causes.ts */
export function reportConnectFailure(stream: Stream, cause: number): void {
  const server = stream.server!;
  const { engine } = stream;
  const words = engine.tables.servers.words;
  const { row, errorLimit } = server;
  if (cause === CAUSE_RESOURCE) return;
  Atomics.add(words, row + SERVER_CONNECT_FAILURES, 1);
  if (errorLimit === 0) return;
  const inRow = Atomics.add(words, row + SERVER_ERRORS_IN_ROW, 1) + 1;
  if (inRow < errorLimit) return;
  // Of several workers at the limit one takes them all; whoever comes later finds fewer.
  if (Atomics.exchange(words, row + SERVER_ERRORS_IN_ROW, 0) < errorLimit) return;
  if ((words[row + SERVER_FLAGS]! & SERVER_FLAG_CHECKS_OFF) !== 0) return;
  Atomics.add(words, row + SERVER_ERROR_REPORTS, 1);
  engine.environment.serverErrors(row, server.generation, errorLimit);
}

/** The server has taken a connection: what failed before does not count any more. */
export function reportConnected(stream: Stream): void {
  const { row, errorLimit } = stream.server!;
  if (errorLimit === 0) return;
  const words = stream.engine.tables.servers.words;
  // A look first: among servers that are well nobody writes.
  if (words[row + SERVER_ERRORS_IN_ROW] === 0) return;
  Atomics.store(words, row + SERVER_ERRORS_IN_ROW, 0);
}
