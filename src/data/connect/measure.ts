/**
 * What live connections say about a server: how long connecting takes and, where asked for, its
 * first byte, for `balance peak-ewma`; time to first byte and early ends, for `outlier-ejection`.
 * Backends that ask for neither pay one look at a field of their view.
 *
 * Time to first byte runs from the last bytes that the client sent before it, or from the
 * connection if it sent none: what the client takes to ask is no fault of the server's.
 *
 * @hot
 */
import { firstByteBucket } from "../../balance/first-byte.ts";
import { samplePeak } from "../../balance/peak-ewma.ts";
import { SERVER_BROKEN_EARLY, SERVER_FIRST_BYTE } from "../../tables/generated/server.ts";
import {
  CAUSE_CLIENT,
  CAUSE_CLIENT_TIMEOUT,
  CAUSE_RESOURCE,
  CAUSE_SERVER_TIMEOUT,
} from "../account/causes.ts";
import type { Stream } from "../stream.ts";

/** What a failed attempt counts as where no connect timeout is set, ms. */
const FAILURE_MS = 5000;

/** An attempt begins. */
export function measureDial(stream: Stream): void {
  if (stream.backend!.measuresConnect) stream.dialedAtMs = stream.engine.clock.nowMs();
}

/** It has led to a connection. */
export function measureConnected(stream: Stream, now: number): void {
  const backend = stream.backend!;
  if (!backend.measuresConnect) return;
  const { row } = stream.server!;
  samplePeak(stream.engine.balance, backend.row, row, now - stream.dialedAtMs, now);
}

/** It has failed. A lack of ours says nothing about the server. */
export function measureFailed(stream: Stream, cause: number): void {
  if (stream.backend!.measuresConnect && cause !== CAUSE_RESOURCE) sampleFailure(stream);
}

/** The server broke the stream off. Before its first byte that is a failure like any other. */
export function measureBroken(stream: Stream): void {
  const backend = stream.backend!;
  if (stream.bytesDown > 0) return;
  if (backend.measuresConnect) sampleFailure(stream);
  if (!backend.countsFirstByte) return;
  const words = stream.engine.tables.servers.words;
  Atomics.add(words, stream.server!.row + SERVER_BROKEN_EARLY, 1);
}

/** The server's first bytes are here; `lastFrontMs` is still as they found it. */
export function measureFirstByte(stream: Stream, now: number): void {
  tellFirstByte(stream, now - stream.lastFrontMs, now);
}

/**
 * The stream is over. One that asked, and was given up on before an answer, has waited at least so
 * long: a server that hangs would go unseen otherwise.
 */
export function measureEnd(stream: Stream, cause: number): void {
  if (!stream.backend!.measuresFirstByte || stream.bytesDown > 0 || stream.bytesUp === 0) return;
  const isGivenUp =
    cause === CAUSE_SERVER_TIMEOUT || cause === CAUSE_CLIENT_TIMEOUT || cause === CAUSE_CLIENT;
  if (!isGivenUp) return;
  const now = stream.engine.clock.nowMs();
  tellFirstByte(stream, now - stream.lastFrontMs, now);
}

function sampleFailure(stream: Stream): void {
  const { engine, backend, server } = stream;
  const limit = backend!.timeoutConnect;
  const sample = limit > 0 ? limit : FAILURE_MS;
  samplePeak(engine.balance, backend!.row, server!.row, sample, engine.clock.nowMs());
}

function tellFirstByte(stream: Stream, ms: number, now: number): void {
  const { engine, backend, server } = stream;
  const { row } = server!;
  if (backend!.samplesFirstByte) samplePeak(engine.balance, backend!.row, row, ms, now);
  if (!backend!.countsFirstByte) return;
  Atomics.add(engine.tables.servers.words, row + SERVER_FIRST_BYTE + firstByteBucket(ms), 1);
}
