/**
 * What a stream leaves behind for the log: one fixed-size record in the worker's ring. Names, words
 * and formats are control's.
 *
 * @hot
 */
import type { IpAddress } from "../../base/address.ts";
import { decodeSocketAddress, Endpoint } from "../../conduit/sockaddr.ts";
import {
  LOG_FLAG_ASAP,
  LOG_FLAG_ERROR,
  LOG_FLAG_REDISPATCHED,
  LOG_KIND_SESSION_ERROR,
  LOG_KIND_STREAM_CONNECTED,
  LOG_KIND_STREAM_END,
  LOG_TLS_ALPN_CUT,
  LOG_TLS_CERTIFICATE,
  LOG_TLS_EARLY,
  LOG_TLS_NAME_CUT,
  LOG_TLS_ON,
  LOG_TLS_RESUMED,
  LOG_TLS_SNI_CUT,
  LOG_TLS_UNFINISHED,
  LOG_TLS_VERIFIED,
} from "../../tables/generated/enums.ts";
import { PROCESS_CURRENT } from "../../tables/generated/process.ts";
import {
  PROXY_BACK_CURRENT,
  PROXY_FRONT_CURRENT,
  PROXY_QUEUE_LENGTH,
} from "../../tables/generated/proxy.ts";
import { SERVER_SERVED } from "../../tables/generated/server.ts";
import * as log from "../../tables/generated/stream-log.ts";
import { beginRecord, commitRecord, RING_FULL } from "../../tables/log-ring.ts";
import { putText } from "../../tables/log-text.ts";
import { cipherNumber } from "../../wire/cipher-suite.ts";
import { CONN_PRX_EMPTY } from "../../wire/connection-error.ts";
import { CAUSE_NONE, PHASE_NONE } from "../account/causes.ts";
import { destinationOf } from "../route/stream-context.ts";
import { tlsOf } from "../route/stream-tls.ts";
import type { Stream } from "../stream.ts";

const scratch = new Endpoint();
/** Room of names and protocols in a record. */
const NAME_WORDS = 16;
const ALPN_WORDS = 4;

/** The record of an ended stream, if its frontend logs. */
export function writeLogRecord(stream: Stream, termination: number): void {
  const { frontend } = stream;
  if (!frontend.wantsLog || stream.wasLogged) return;
  const { options } = frontend.spec;
  if (options.dontlognull && stream.bytesUp === 0) return;
  const isNormal = termination >> 8 === CAUSE_NONE && stream.retries === 0;
  if (options.dontlogNormal && isNormal) return;
  const isError = termination >> 8 !== CAUSE_NONE;
  write(stream, LOG_KIND_STREAM_END, termination, isError ? LOG_FLAG_ERROR : 0);
}

/** The default format tells of a session as soon as it is accepted (manual 8.2.1). */
export function writeSessionRecord(stream: Stream): void {
  if (!stream.frontend.logsAtStart) return;
  stream.wasLogged = true;
  write(stream, LOG_KIND_STREAM_CONNECTED, (CAUSE_NONE << 8) | PHASE_NONE, 0);
}

/**
 * A connection that ended before it was a session.
 * @param code CONN_* of wire/connection-error.ts
 */
export function writeSessionError(stream: Stream, code: number): void {
  stream.wasLogged = true;
  if (!stream.frontend.wantsLog) return;
  if (stream.frontend.spec.options.dontlognull && code === CONN_PRX_EMPTY) return;
  write(stream, LOG_KIND_SESSION_ERROR, code, LOG_FLAG_ERROR);
}

/** `option logasap`: the record of a stream that has just reached its server. */
export function writeConnectedRecord(stream: Stream): void {
  const { frontend } = stream;
  if (!frontend.wantsLog || !frontend.spec.options.logasap || stream.wasLogged) return;
  stream.wasLogged = true;
  const termination = (CAUSE_NONE << 8) | PHASE_NONE;
  write(stream, LOG_KIND_STREAM_CONNECTED, termination, LOG_FLAG_ASAP);
}

function write(stream: Stream, kind: number, termination: number, flags: number): void {
  const { engine } = stream;
  const ring = engine.shard.logRing;
  const row = beginRecord(ring.words);
  if (row === RING_FULL) {
    engine.environment.ringControl();
    return;
  }
  const words = ring.words;
  const floats = ring.floats;
  words[row + log.STREAM_LOG_KIND] = kind;
  words[row + log.STREAM_LOG_WORKER] = engine.worker;
  words[row + log.STREAM_LOG_TERMINATION] = termination;
  words[row + log.STREAM_LOG_FLAGS] = flags | (stream.wasRedispatched ? LOG_FLAG_REDISPATCHED : 0);
  words[row + log.STREAM_LOG_RETRIES] = stream.retries;
  words[row + log.STREAM_LOG_UNIQUE_COUNTER] = stream.uniqueCounter;
  floats[(row + log.STREAM_LOG_ACCEPTED_AT_MICROS) >> 1] = stream.acceptedEpochMicros;
  floats[(row + log.STREAM_LOG_BYTES_UP) >> 1] = stream.bytesUp;
  floats[(row + log.STREAM_LOG_BYTES_DOWN) >> 1] = stream.bytesDown;
  writeTimes(stream, words, row);
  writeRows(stream, words, row);
  writeLoads(stream, words, row, kind === LOG_KIND_STREAM_END ? 1 : 0);
  writeEndpoints(stream, words, row);
  words[row + log.STREAM_LOG_TLS_FLAGS] = 0;
  if (stream.listener!.spec.quic !== undefined) writeTls(stream, words, row);
  commitRecord(words);
  engine.environment.ringControl();
}

function writeTimes(stream: Stream, words: Int32Array, row: number): void {
  const now = stream.engine.clock.nowMs();
  const { acceptedAtMs, assignedAtMs, connectedAtMs, queuedAtMs } = stream;
  let waitMs = -1;
  if (assignedAtMs >= 0) waitMs = assignedAtMs - acceptedAtMs;
  else if (queuedAtMs >= 0) waitMs = now - acceptedAtMs;
  words[row + log.STREAM_LOG_WAIT_MS] = Math.round(waitMs);
  words[row + log.STREAM_LOG_CONNECT_MS] =
    connectedAtMs >= 0 ? Math.round(connectedAtMs - assignedAtMs) : -1;
  words[row + log.STREAM_LOG_TOTAL_MS] = Math.round(now - acceptedAtMs);
  words[row + log.STREAM_LOG_HANDSHAKE_MS] = Math.round(stream.handshakeMs);
}

function writeRows(stream: Stream, words: Int32Array, row: number): void {
  const { frontend, backend, server, listener } = stream;
  words[row + log.STREAM_LOG_FRONT_ROW] = frontend.row;
  words[row + log.STREAM_LOG_FRONT_GENERATION] = frontend.generation;
  words[row + log.STREAM_LOG_LISTENER_ROW] = listener!.row;
  words[row + log.STREAM_LOG_BACK_ROW] = backend === null ? 0 : backend.row;
  words[row + log.STREAM_LOG_BACK_GENERATION] = backend === null ? 0 : backend.generation;
  words[row + log.STREAM_LOG_SERVER_ROW] = server === null ? 0 : server.row;
  words[row + log.STREAM_LOG_SERVER_GENERATION] = server === null ? 0 : server.generation;
}

/** @param own 1 when the stream is over and no longer counts itself */
function writeLoads(stream: Stream, words: Int32Array, row: number, own: number): void {
  const { frontend, backend, server, engine } = stream;
  const proxies = engine.tables.proxies.words;
  const servers = engine.tables.servers.words;
  words[row + log.STREAM_LOG_PROCESS_CURRENT] = engine.tables.process.words[PROCESS_CURRENT]!;
  words[row + log.STREAM_LOG_FRONT_CURRENT] = proxies[frontend.row + PROXY_FRONT_CURRENT]!;
  // An ended stream counts no more where it was served (as HAProxy logs it).
  words[row + log.STREAM_LOG_BACK_CURRENT] =
    backend === null ? 0 : proxies[backend.row + PROXY_BACK_CURRENT]! - own;
  words[row + log.STREAM_LOG_SERVER_CURRENT] =
    server === null ? 0 : servers[server.row + SERVER_SERVED]! - (stream.isAttached ? own : 0);
  words[row + log.STREAM_LOG_SERVER_QUEUE] = stream.serverQueueAhead;
  words[row + log.STREAM_LOG_BACK_QUEUE] = stream.backQueueAhead;
  if (backend !== null && stream.queueEntry !== 0 && stream.backQueueAhead === 0) {
    words[row + log.STREAM_LOG_BACK_QUEUE] = proxies[backend.row + PROXY_QUEUE_LENGTH]!;
  }
}

function writeEndpoints(stream: Stream, words: Int32Array, row: number): void {
  const { frontend, server, client, source } = stream;
  put(words, row, log.STREAM_LOG_CLIENT_FAMILY, client);
  if (frontend.logsDestination) {
    put(words, row, log.STREAM_LOG_DESTINATION_FAMILY, destinationOf(stream));
  } else {
    words[row + log.STREAM_LOG_DESTINATION_FAMILY] = 0;
  }
  words[row + log.STREAM_LOG_SOURCE_FAMILY] = 0;
  words[row + log.STREAM_LOG_SERVER_FAMILY] = 0;
  if (!frontend.logsServerEndpoints || server === null) return;
  put(words, row, log.STREAM_LOG_SOURCE_FAMILY, source);
  const target = server.targetFor(destinationOf(stream).port);
  if (target === null) return;
  const { bytes } = target.socketAddress;
  decodeSocketAddress(bytes, bytes.length, scratch);
  put(words, row, log.STREAM_LOG_SERVER_FAMILY, scratch);
}

/** What is known of the client's TLS, where logs tell of it. @cold */
function writeTls(stream: Stream, words: Int32Array, row: number): void {
  const facts = stream.frontend.logsTls ? tlsOf(stream) : null;
  let flags = LOG_TLS_ON;
  words[row + log.STREAM_LOG_TLS_CIPHER] = facts === null ? 0 : cipherNumber(facts.cipher);
  if (facts?.isResumed === true) flags |= LOG_TLS_RESUMED;
  if (facts?.isEarly === true) flags |= LOG_TLS_EARLY;
  if (facts?.isComplete === false) flags |= LOG_TLS_UNFINISHED;
  if (facts?.hasCertificate === true) flags |= LOG_TLS_CERTIFICATE;
  if (facts?.isVerified === true) flags |= LOG_TLS_VERIFIED;
  const put = (at: number, room: number, text: string | undefined, cut: number): void => {
    if (!putText(words, row + at, room, text ?? "")) flags |= cut;
  };
  put(log.STREAM_LOG_SNI, NAME_WORDS, facts?.sni, LOG_TLS_SNI_CUT);
  put(log.STREAM_LOG_ALPN, ALPN_WORDS, facts?.alpn, LOG_TLS_ALPN_CUT);
  put(log.STREAM_LOG_COMMON_NAME, NAME_WORDS, facts?.commonName, LOG_TLS_NAME_CUT);
  words[row + log.STREAM_LOG_TLS_FLAGS] = flags;
}

/** Family, port and address stand one behind the other in each of the four groups of the record. */
function put(words: Int32Array, row: number, at: number, endpoint: Endpoint): void {
  words[row + at] = endpoint.family;
  words[row + at + 1] = endpoint.port;
  putIp(words, row + at + 2, endpoint.ip);
}

function putIp(words: Int32Array, at: number, ip: IpAddress): void {
  words[at] = ip.word0;
  words[at + 1] = ip.word1;
  words[at + 2] = ip.word2;
  words[at + 3] = ip.word3;
}
