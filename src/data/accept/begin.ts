/** The first stage of a stream: fields, addresses, PROXY header or not. @hot */
import { NO_CODE } from "../../conduit/conduit.ts";
import type { Conduit } from "../../conduit/conduit.ts";
import { countSession } from "../account/counters.ts";
import { writeSessionRecord } from "../log/record.ts";
import { routeStream } from "../route/route.ts";
import { tlsOf } from "../route/stream-tls.ts";
import { STREAM_HEADER, STREAM_ROUTE } from "../stream.ts";
import type { Stream } from "../stream.ts";
import type { ListenerView } from "../views.ts";
import { expectHeader } from "./header.ts";

/** Makes a pooled stream the stream of an accepted connection and starts it on its way. */
export function beginStream(stream: Stream, listener: ListenerView, front: Conduit): void {
  const { clock } = stream.engine;
  stream.listener = listener;
  stream.front = front;
  stream.frontEnded = false;
  stream.backEnded = false;
  stream.finishSide = -1;
  stream.frontBlocked = false;
  stream.backBlocked = false;
  stream.frontBroken = false;
  stream.backBroken = false;
  stream.brokenCause = 0;
  stream.abortCode = NO_CODE;
  stream.acceptedAtMs = clock.nowMs();
  stream.acceptedEpochMicros = clock.epochMicros();
  stream.handshakeMs = 0;
  stream.queuedAtMs = -1;
  stream.assignedAtMs = -1;
  stream.connectedAtMs = -1;
  stream.lastFrontMs = stream.acceptedAtMs;
  stream.lastBackMs = stream.acceptedAtMs;
  stream.bytesUp = 0;
  stream.bytesDown = 0;
  stream.countedUp = 0;
  stream.countedDown = 0;
  stream.retries = 0;
  stream.wasRedispatched = false;
  stream.queueEntry = 0;
  stream.serverQueueAhead = 0;
  stream.backQueueAhead = 0;
  stream.hash = 0;
  stream.uniqueId = "";
  stream.tls = null;
  stream.wasLogged = false;
  stream.source.clear();
  stream.destination.clear();
  if (listener.proxy.needsClient) front.remoteEndpoint(stream.client);
  else stream.client.clear();
  if (listener.spec.acceptProxy) {
    stream.state = STREAM_HEADER;
    expectHeader(stream);
    return;
  }
  startSession(stream);
}

/** The connection is a session: its backend is chosen. */
export function startSession(stream: Stream): void {
  stream.state = STREAM_ROUTE;
  // The client may be gone when its record is written.
  if (stream.frontend.logsTls) tlsOf(stream);
  countSession(stream.engine, stream.listener!);
  writeSessionRecord(stream);
  routeStream(stream);
}
