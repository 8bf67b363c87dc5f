/**
 * Counting into this worker's shards: plain adds, one writer a shard, summed by whoever reads.
 *
 * Bytes are collected in the stream and moved to the counters once a second and at its end, so that
 * a read costs two additions and not eight.
 *
 * @hot
 */
import {
  BACK_COUNT_BYTES_IN,
  BACK_COUNT_BYTES_OUT,
  BACK_COUNT_CLIENT_ABORTS,
  BACK_COUNT_CONNECT_ATTEMPTS,
  BACK_COUNT_CONNECT_TIME_MAX,
  BACK_COUNT_CONNECT_TIME_SUM,
  BACK_COUNT_CURRENT,
  BACK_COUNT_ERRORS_CONNECT,
  BACK_COUNT_ERRORS_RESPONSE,
  BACK_COUNT_LAST_SESSION,
  BACK_COUNT_PICKS,
  BACK_COUNT_QUEUE_TIME_MAX,
  BACK_COUNT_QUEUE_TIME_SUM,
  BACK_COUNT_REDISPATCHES,
  BACK_COUNT_RETRIES,
  BACK_COUNT_SERVER_ABORTS,
  BACK_COUNT_SESSIONS,
  BACK_COUNT_TIMED_STREAMS,
  BACK_COUNT_TOTAL_TIME_MAX,
  BACK_COUNT_TOTAL_TIME_SUM,
} from "../../tables/generated/back-count.ts";
import {
  FRONT_COUNT_BYTES_IN,
  FRONT_COUNT_BYTES_OUT,
  FRONT_COUNT_CONNECTIONS,
  FRONT_COUNT_CURRENT,
  FRONT_COUNT_PROXY_HEADER_ERRORS,
  FRONT_COUNT_SESSIONS,
} from "../../tables/generated/front-count.ts";
import { PROXY_BACK_RATE_SECOND } from "../../tables/generated/proxy.ts";
import { SERVER_RATE_SECOND } from "../../tables/generated/server.ts";
import {
  WORKER_ACCEPTED,
  WORKER_BYTES_OUT,
  WORKER_CPU_MICROS,
  WORKER_STRIDE,
} from "../../tables/generated/worker.ts";
import { claimRate } from "../accept/rate.ts";
import { measureEnd } from "../connect/measure.ts";
import type { Engine } from "../engine.ts";
import { STREAM_FREE } from "../stream.ts";
import type { Stream } from "../stream.ts";
import type { ListenerView, ProxyView, ServerView } from "../views.ts";
import { CAUSE_CLIENT, CAUSE_SERVER, PHASE_DATA } from "./causes.ts";

/** What a new value leaves of the sum before it (management manual 9.1: the last 1024). */
const KEPT = 1 - 1 / 1024;

function addFront(engine: Engine, listener: ListenerView, field: number, value: number): void {
  const proxies = engine.shard.proxyFront.floats;
  const listeners = engine.shard.listenerFront.floats;
  const at = (listener.proxy.frontCount + field) >> 1;
  proxies[at] = proxies[at]! + value;
  const own = (listener.frontCount + field) >> 1;
  listeners[own] = listeners[own]! + value;
}

function addBackend(engine: Engine, backend: ProxyView, field: number, value: number): void {
  const table = engine.shard.proxyBack.floats;
  const at = (backend.backCount + field) >> 1;
  table[at] = table[at]! + value;
}

function addServer(engine: Engine, server: ServerView, field: number, value: number): void {
  const table = engine.shard.serverBack.floats;
  const at = (server.backCount + field) >> 1;
  table[at] = table[at]! + value;
}

/** Backend and, when one is chosen, server. */
function addBack(stream: Stream, field: number, value: number): void {
  if (stream.backend !== null) addBackend(stream.engine, stream.backend, field, value);
  if (stream.server !== null) addServer(stream.engine, stream.server, field, value);
}

/** A number of the worker itself. */
function addWorker(engine: Engine, field: number, value: number): void {
  const table = engine.tables.workers.floats;
  const at = (engine.worker * WORKER_STRIDE + field) >> 1;
  table[at] = table[at]! + value;
}

/** A client connection was accepted. */
export function countConnection(engine: Engine, listener: ListenerView): void {
  addFront(engine, listener, FRONT_COUNT_CONNECTIONS, 1);
  addFront(engine, listener, FRONT_COUNT_CURRENT, 1);
  addWorker(engine, WORKER_ACCEPTED, 1);
}

/** It is over. */
export function countConnectionEnd(engine: Engine, listener: ListenerView): void {
  addFront(engine, listener, FRONT_COUNT_CURRENT, -1);
}

/** One stream more or less of this worker in a backend. */
export function countBackendCurrent(engine: Engine, backend: ProxyView, change: number): void {
  addBackend(engine, backend, BACK_COUNT_CURRENT, change);
}

/** It passed the connection rules: a session. */
export function countSession(engine: Engine, listener: ListenerView): void {
  addFront(engine, listener, FRONT_COUNT_SESSIONS, 1);
}

/** A PROXY header was bad, late or missing. */
export function countHeaderError(engine: Engine, listener: ListenerView): void {
  addFront(engine, listener, FRONT_COUNT_PROXY_HEADER_ERRORS, 1);
}

/** A stream came to a backend. */
export function countBackend(stream: Stream): void {
  const { engine, backend } = stream;
  addBackend(engine, backend!, BACK_COUNT_SESSIONS, 1);
  const rate = backend!.row + PROXY_BACK_RATE_SECOND;
  claimRate(engine.tables.proxies.words, rate, 0, engine.clock.nowMs());
  const at = (backend!.backCount + BACK_COUNT_LAST_SESSION) >> 1;
  engine.shard.proxyBack.floats[at] = stream.acceptedEpochMicros / 1e6;
}

/** A stream was given a server by the algorithm. */
export function countServer(stream: Stream): void {
  addBack(stream, BACK_COUNT_PICKS, 1);
}

/** A connection to the server begins: to HAProxy each attempt is a session of the server. */
export function countConnectAttempt(stream: Stream): void {
  const { engine, server } = stream;
  addBack(stream, BACK_COUNT_CONNECT_ATTEMPTS, 1);
  addServer(engine, server!, BACK_COUNT_SESSIONS, 1);
  const rate = server!.row + SERVER_RATE_SECOND;
  claimRate(engine.tables.servers.words, rate, 0, engine.clock.nowMs());
  const at = (server!.backCount + BACK_COUNT_LAST_SESSION) >> 1;
  engine.shard.serverBack.floats[at] = engine.clock.epochMicros() / 1e6;
}

/** The stream gave up connecting. */
export function countConnectError(stream: Stream): void {
  addBack(stream, BACK_COUNT_ERRORS_CONNECT, 1);
}

/** Another attempt at the same server. */
export function countRetry(stream: Stream): void {
  addBack(stream, BACK_COUNT_RETRIES, 1);
}

/** The stream goes to another server. */
export function countRedispatch(stream: Stream): void {
  addBack(stream, BACK_COUNT_REDISPATCHES, 1);
}

/** A connected server failed. */
export function reportServerError(stream: Stream): void {
  addBack(stream, BACK_COUNT_ERRORS_RESPONSE, 1);
}

/** Moves what the stream has relayed since the last time into the counters. */
export function flushStream(stream: Stream): void {
  const up = stream.bytesUp - stream.countedUp;
  const down = stream.bytesDown - stream.countedDown;
  if (up === 0 && down === 0) return;
  stream.countedUp = stream.bytesUp;
  stream.countedDown = stream.bytesDown;
  const { engine, listener } = stream;
  addFront(engine, listener!, FRONT_COUNT_BYTES_IN, up);
  addFront(engine, listener!, FRONT_COUNT_BYTES_OUT, down);
  addBack(stream, BACK_COUNT_BYTES_IN, up);
  addBack(stream, BACK_COUNT_BYTES_OUT, down);
  addWorker(engine, WORKER_BYTES_OUT, up + down);
}

/** The regular flush of all streams of the worker. */
export function flushCounters(engine: Engine): void {
  const cpu = (engine.worker * WORKER_STRIDE + WORKER_CPU_MICROS) >> 1;
  engine.tables.workers.floats[cpu] = engine.environment.cpuMicros();
  const { streams } = engine;
  for (let slot = 1; slot < streams.length; slot++) {
    const stream = streams[slot]!;
    if (stream !== null && stream.state !== STREAM_FREE) flushStream(stream);
  }
}

/** Everything that is known at the end of a stream. */
export function countStreamEnd(stream: Stream, cause: number, phase: number): void {
  flushStream(stream);
  if (phase === PHASE_DATA && cause === CAUSE_CLIENT) addBack(stream, BACK_COUNT_CLIENT_ABORTS, 1);
  if (phase === PHASE_DATA && cause === CAUSE_SERVER) addBack(stream, BACK_COUNT_SERVER_ABORTS, 1);
  if (stream.connectedAtMs < 0) return;
  measureEnd(stream, cause);
  const queueMs = stream.assignedAtMs - stream.acceptedAtMs;
  const connectMs = stream.connectedAtMs - stream.assignedAtMs;
  const totalMs = stream.engine.clock.nowMs() - stream.acceptedAtMs;
  averageBack(stream, BACK_COUNT_QUEUE_TIME_SUM, queueMs);
  averageBack(stream, BACK_COUNT_CONNECT_TIME_SUM, connectMs);
  averageBack(stream, BACK_COUNT_TOTAL_TIME_SUM, totalMs);
  averageBack(stream, BACK_COUNT_TIMED_STREAMS, 1);
  raiseBack(stream, BACK_COUNT_QUEUE_TIME_MAX, queueMs);
  raiseBack(stream, BACK_COUNT_CONNECT_TIME_MAX, connectMs);
  raiseBack(stream, BACK_COUNT_TOTAL_TIME_MAX, totalMs);
}

/** Adds to a sum that forgets: over the last thousand streams or so, not all that ever were. */
function averageBack(stream: Stream, field: number, value: number): void {
  const { engine, backend, server } = stream;
  const proxies = engine.shard.proxyBack.floats;
  const at = (backend!.backCount + field) >> 1;
  proxies[at] = proxies[at]! * KEPT + value;
  if (server === null) return;
  const servers = engine.shard.serverBack.floats;
  const own = (server.backCount + field) >> 1;
  servers[own] = servers[own]! * KEPT + value;
}

function raiseBack(stream: Stream, field: number, value: number): void {
  const { engine, backend, server } = stream;
  const proxies = engine.shard.proxyBack.floats;
  const at = (backend!.backCount + field) >> 1;
  if (proxies[at]! < value) proxies[at] = value;
  if (server === null) return;
  const servers = engine.shard.serverBack.floats;
  const own = (server.backCount + field) >> 1;
  if (servers[own]! < value) servers[own] = value;
}
