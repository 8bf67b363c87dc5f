/**
 * A stream in plain data, for whoever asks its owner about it. Worker threads, or the simulator's.
 * Reading the addresses of both ends costs a system call each: short descriptions do without.
 */
import { formatIp } from "../../base/address.ts";
import type { Conduit } from "../../conduit/conduit.ts";
import { quicPlaceOf } from "../../conduit/quic/describe.ts";
import { Endpoint } from "../../conduit/sockaddr.ts";
import type {
  SideRecord,
  StreamExample,
  StreamRecord,
  StreamStateName,
} from "../../tables/questions.ts";
import { backDeadline, frontDeadline } from "../relay/relay.ts";
import { clientOf, destinationOf } from "../route/stream-context.ts";
import {
  STREAM_CONNECT,
  STREAM_HEADER,
  STREAM_QUEUE,
  STREAM_RELAY,
  STREAM_RETRY,
} from "../stream.ts";
import type { Stream } from "../stream.ts";

/** A timer that is later than this has been forgotten, ms. */
const OVERDUE_MS = 1000;

const scratch = new Endpoint();

/** @param isFull with the addresses of all four ends */
export function describeStream(stream: Stream, now: number, isFull: boolean): StreamRecord {
  const { listener, backend, server, front, back, queuedAtMs } = stream;
  const isQueued = stream.state === STREAM_QUEUE;
  return {
    worker: stream.engine.worker,
    slot: stream.slot,
    generation: stream.generation,
    counter: stream.uniqueCounter >>> 0,
    state: nameState(stream.state),
    frontend: stream.frontend.name,
    frontendRow: stream.frontend.row,
    listenerRow: listener!.row,
    backend: backend === null ? "" : backend.name,
    backendRow: backend === null ? 0 : backend.row,
    server: server === null ? "" : server.name,
    serverRow: server === null ? 0 : server.row,
    acceptedEpochMicros: stream.acceptedEpochMicros,
    ageMs: Math.round(now - stream.acceptedAtMs),
    expiresMs: leftMs(expiryOf(stream), now),
    bytesUp: stream.bytesUp,
    bytesDown: stream.bytesDown,
    retries: stream.retries,
    wasRedispatched: stream.wasRedispatched,
    queuePlace: isQueued ? stream.serverQueueAhead + stream.backQueueAhead : 0,
    queuedMs: isQueued ? Math.round(now - queuedAtMs) : 0,
    client: formatEndpoint(clientOf(stream)),
    doubt: doubtOf(stream, now),
    front: describeFront(stream, front, now, isFull),
    back: back === null ? null : describeBack(stream, back, now, isFull),
  };
}

/** The few facts that tell which stream holds an object. */
export function exampleOf(stream: Stream, now: number): StreamExample {
  const { engine, slot, generation, acceptedAtMs, bytesUp, bytesDown } = stream;
  const ageMs = Math.round(now - acceptedAtMs);
  return { worker: engine.worker, slot, generation, ageMs, bytesUp, bytesDown };
}

/**
 * What seems to be wrong with a stream, "" = nothing: nobody will ever end it, something that
 * should have ended it did not, or its client is gone.
 */
export function doubtOf(stream: Stream, now: number): string {
  if (stream.front === null) return "no client";
  const left = leftMs(expiryOf(stream), now);
  if (left < -OVERDUE_MS) return "overdue";
  if (stream.frontBroken || stream.backBroken) return "broken";
  return left === -1 ? "no time limit" : "";
}

function nameState(state: number): StreamStateName {
  switch (state) {
    case STREAM_HEADER:
      return "header";
    case STREAM_QUEUE:
      return "queue";
    case STREAM_CONNECT:
      return "connect";
    case STREAM_RETRY:
      return "retry";
    case STREAM_RELAY:
      return "relay";
    default:
      return "route";
  }
}

/** When the stream's own limit runs out: in the relay the nearer of the two idle limits. */
function expiryOf(stream: Stream): number {
  if (stream.state !== STREAM_RELAY) return stream.deadlineMs;
  return Math.min(frontDeadline(stream), backDeadline(stream));
}

/** Milliseconds until a deadline; -1 = there is none, so that one that has just passed is -2. */
function leftMs(deadlineMs: number, now: number): number {
  if (deadlineMs === Infinity) return -1;
  const left = Math.round(deadlineMs - now);
  return left < 0 ? Math.min(left, -2) : left;
}

function describeFront(
  stream: Stream,
  conduit: Conduit | null,
  now: number,
  isFull: boolean,
): SideRecord {
  const inRelay = stream.state === STREAM_RELAY;
  return {
    // What the socket says: a PROXY header may name another client.
    remote: isFull && conduit !== null ? remoteOf(conduit) : "",
    local: isFull ? formatEndpoint(destinationOf(stream)) : "",
    fd: conduit?.fd ?? -1,
    hasEnded: stream.frontEnded,
    isBlocked: stream.frontBlocked,
    isBroken: stream.frontBroken,
    idleMs: Math.round(now - stream.lastFrontMs),
    expiresMs: inRelay ? leftMs(frontDeadline(stream), now) : -1,
    quic: conduit === null ? null : quicPlaceOf(conduit, stream.engine.environment.quic),
  };
}

function describeBack(stream: Stream, conduit: Conduit, now: number, isFull: boolean): SideRecord {
  const inRelay = stream.state === STREAM_RELAY;
  return {
    remote: isFull ? remoteOf(conduit) : "",
    local: isFull ? localOf(conduit) : "",
    fd: conduit.fd ?? -1,
    hasEnded: stream.backEnded,
    isBlocked: stream.backBlocked,
    isBroken: stream.backBroken,
    idleMs: Math.round(now - stream.lastBackMs),
    expiresMs: inRelay ? leftMs(backDeadline(stream), now) : -1,
    quic: quicPlaceOf(conduit, stream.engine.environment.quic),
  };
}

function remoteOf(conduit: Conduit): string {
  conduit.remoteEndpoint(scratch);
  return formatEndpoint(scratch);
}

function localOf(conduit: Conduit): string {
  conduit.localEndpoint(scratch);
  return formatEndpoint(scratch);
}

function formatEndpoint(endpoint: Endpoint): string {
  if (endpoint.family === 0) return "";
  if (endpoint.family === 1) return "unix";
  return `${formatIp(endpoint.ip)}:${endpoint.port}`;
}
