/**
 * The client's PROXY header (`accept-proxy`): read from whatever pieces it comes in, before
 * anything else of the connection. A bad, missing or late one ends the connection and is counted.
 */
import { assert } from "../../base/assert.ts";
import { CONN_PRX_TIMEOUT } from "../../wire/connection-error.ts";
import { PROXY_NEED_MORE } from "../../wire/proxy-header.ts";
import type { ProxyHeader } from "../../wire/proxy-header.ts";
import { ProxyHeaderReader } from "../../wire/proxy-reader.ts";
import { CAUSE_PROXY, PHASE_REQUEST } from "../account/causes.ts";
import { countHeaderError } from "../account/counters.ts";
import { endStream } from "../account/end.ts";
import { writeSessionError } from "../log/record.ts";
import { STREAM_HEADER } from "../stream.ts";
import type { Stream } from "../stream.ts";
import { startSession } from "./begin.ts";

/** What was said before the first byte of the client's own. */
export class HeaderState {
  readonly reader = new ProxyHeaderReader();

  get header(): ProxyHeader {
    return this.reader.header;
  }

  /** PP2_TYPE_AUTHORITY, usually the server name of TLS. */
  get authority(): string | undefined {
    return this.header.authority;
  }

  /** PP2_TYPE_UNIQUE_ID as text. */
  get uniqueId(): string | undefined {
    const bytes = this.header.uniqueId;
    return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
  }
}

/** Waits for the header, as long as the client may be silent. */
export function expectHeader(stream: Stream): void {
  stream.header = new HeaderState();
  stream.setDeadline(stream.frontend.timeoutClient);
}

/** Bytes of the header, and perhaps the client's first ones behind it. @returns bytes taken */
export function receiveHeader(
  stream: Stream,
  bytes: Uint8Array,
  offset: number,
  length: number,
): number {
  const state = stream.header;
  assert(state !== null, "receiveHeader: a header is expected");
  const result = state.reader.push(bytes.subarray(offset, offset + length));
  if (result === PROXY_NEED_MORE) return length;
  if (result < 0) {
    fail(stream, state.reader.errorCode(result));
    return length;
  }
  const { engine } = stream;
  engine.wheel.clear(stream.slot);
  stream.handshakeMs = engine.clock.nowMs() - stream.acceptedAtMs;
  adopt(stream, state.header);
  startSession(stream);
  // The rest stays in the conduit: it is taken when the server is there.
  return result;
}

/** The header's addresses take the place of the socket's. */
function adopt(stream: Stream, header: ProxyHeader): void {
  if (!header.hasAddresses()) {
    if (stream.client.family === 0) stream.front?.remoteEndpoint(stream.client);
    return;
  }
  const { client, destination } = stream;
  client.ip.copyFrom(header.source);
  client.family = header.source.family;
  client.port = header.sourcePort;
  destination.ip.copyFrom(header.destination);
  destination.family = header.destination.family;
  destination.port = header.destinationPort;
}

/** The client ended, or aborted, before its header was complete. */
export function headerEnded(stream: Stream): void {
  fail(stream, stream.header!.reader.errorCode(PROXY_NEED_MORE));
}

/** The client was silent too long. */
export function headerTimedOut(stream: Stream): void {
  if (stream.engine.clock.nowMs() < stream.deadlineMs) {
    stream.engine.setTimer(stream.slot, stream.deadlineMs);
    return;
  }
  fail(stream, CONN_PRX_TIMEOUT);
}

/** @param code CONN_* of wire/connection-error.ts */
function fail(stream: Stream, code: number): void {
  assert(stream.state === STREAM_HEADER, "header: it fails before the session begins");
  countHeaderError(stream.engine, stream.listener!);
  writeSessionError(stream, code);
  endStream(stream, CAUSE_PROXY, PHASE_REQUEST, true);
}
