/**
 * A server for a stream: forced by a rule, chosen by the algorithm, or waited for in a queue.
 *
 * @hot
 */
import { chooseServer, isGranted, leaveQueue, takeGrant } from "../../balance/choose.ts";
import { isServing } from "../../balance/facts.ts";
import {
  CHOICE_NO_ENTRY,
  CHOICE_NO_SERVER,
  CHOICE_QUEUE_FULL,
  CHOICE_QUEUED,
} from "../../balance/lb.ts";
import { assert, unreachable } from "../../base/assert.ts";
import {
  ALGORITHM_HASH,
  ALGORITHM_ROUNDROBIN,
  ALGORITHM_SOURCE,
  ALGORITHM_STATIC_RR,
} from "../../tables/generated/enums.ts";
import { PROXY_ALGORITHM } from "../../tables/generated/proxy.ts";
import { QUEUE_PENDING_AHEAD, QUEUE_SERVER_ROW } from "../../tables/generated/queue.ts";
import {
  CAUSE_RESOURCE,
  CAUSE_SERVER,
  CAUSE_SERVER_TIMEOUT,
  PHASE_CONNECT,
  PHASE_QUEUE,
} from "../account/causes.ts";
import { countServer } from "../account/counters.ts";
import { attachToServer, endStream } from "../account/end.ts";
import type { Engine } from "../engine.ts";
import { compileTest } from "../route/route.ts";
import { StreamContext } from "../route/stream-context.ts";
import { STREAM_QUEUE } from "../stream.ts";
import type { Stream } from "../stream.ts";
import type { ForcedServer, ProxyView } from "../views.ts";
import { beginConnect } from "./connect.ts";
import { makeHasher } from "./hashing.ts";

/**
 * Chooses a server for a stream that has a backend, and connects to it; or queues, or ends.
 * @param excludeRow server that has just failed, 0 = none
 */
export function chooseFor(stream: Stream, excludeRow: number): void {
  const { engine } = stream;
  const backend = stream.backend!;
  const algorithm = engine.tables.proxies.words[backend.row + PROXY_ALGORITHM]!;
  if (algorithm === ALGORITHM_SOURCE || algorithm === ALGORITHM_HASH) {
    backend.hasher ??= makeHasher(engine, backend);
    stream.hash = backend.hasher(stream);
  }
  // Rules name the first server only: who is redispatched goes where the algorithm says.
  const hasRules = backend.spec.useServers.length > 0 && excludeRow === 0;
  const forced = hasRules ? forcedServer(stream, backend) : 0;
  const lb = engine.balance;
  lb.nowMs = engine.clock.nowMs() | 0;
  const { slot, generation, hash } = stream;
  const choice = chooseServer(lb, backend.row, hash, slot, generation, excludeRow, forced);
  if (choice > 0) {
    assigned(stream, choice);
    return;
  }
  switch (choice) {
    case CHOICE_QUEUED:
      enqueued(stream, lb.lastEntry);
      return;
    case CHOICE_NO_SERVER:
      endStream(stream, CAUSE_SERVER, PHASE_CONNECT, false);
      return;
    case CHOICE_QUEUE_FULL:
      stream.server = engine.server(lb.lastServer) ?? null;
      endStream(stream, CAUSE_SERVER, PHASE_QUEUE, false);
      return;
    case CHOICE_NO_ENTRY:
      endStream(stream, CAUSE_RESOURCE, PHASE_QUEUE, false);
      return;
    default:
      unreachable("chooseFor: chooseServer returns a row or a code");
  }
}

/** First `use-server` rule that holds and whose server is usable; 0 = none. @cold */
function forcedServer(stream: Stream, backend: ProxyView): number {
  backend.useServers ??= backend.spec.useServers.flatMap((rule): ForcedServer[] => {
    const server = backend.serversByName.get(rule.server);
    return server === undefined ? [] : [{ test: compileTest(rule.condition), server }];
  });
  const context = StreamContext.of(stream);
  for (const { test, server } of backend.useServers) {
    if (test !== null && !test(context)) continue;
    // Drained is no hindrance: a rule names it (manual 4.2, `use-server`).
    if (isServing(stream.engine.balance, server.row)) return server.row;
    if (backend.spec.options.persist) return server.row;
  }
  return 0;
}

function enqueued(stream: Stream, entry: number): void {
  const { engine, backend } = stream;
  stream.state = STREAM_QUEUE;
  stream.queueEntry = entry;
  stream.queuedAtMs = engine.clock.nowMs();
  // The place in the queue, counted from 1, as logged (manual 8.2.3, `srv_queue`).
  const words = engine.tables.queue.words;
  const place = words[entry + QUEUE_PENDING_AHEAD]! + 1;
  if (words[entry + QUEUE_SERVER_ROW] === 0) stream.backQueueAhead = place;
  else stream.serverQueueAhead = place;
  stream.setDeadline(backend!.timeoutQueue);
}

/** A slot on `serverRow` is the stream's: connect. */
function assigned(stream: Stream, serverRow: number): void {
  const server = stream.engine.server(serverRow);
  assert(server !== undefined, "assigned: a chosen server is known to the worker");
  attachToServer(stream, server);
  if (stream.assignedAtMs < 0) stream.assignedAtMs = stream.engine.clock.nowMs();
  countServer(stream);
  beginConnect(stream);
}

/** NOTE_GRANT: a slot was handed to a waiting stream, unless it has left meanwhile. */
export function grantArrived(stream: Stream, entry: number): void {
  if (stream.state !== STREAM_QUEUE || stream.queueEntry !== entry) return;
  const row = takeGrant(stream.engine.balance, entry, stream.slot, stream.generation);
  if (row === 0) return;
  stream.queueEntry = 0;
  stream.engine.wheel.clear(stream.slot);
  assigned(stream, row);
}

/** Finds the grants whose notes were lost in a full inbox. */
export function sweepGrants(engine: Engine): void {
  const { streams } = engine;
  for (let slot = 1; slot < streams.length; slot++) {
    const stream = streams[slot]!;
    if (stream === null || stream.state !== STREAM_QUEUE) continue;
    if (isGranted(engine.balance, stream.queueEntry)) grantArrived(stream, stream.queueEntry);
  }
}

/** `timeout queue` has passed. */
export function queueTimedOut(stream: Stream, now: number): void {
  if (now < stream.deadlineMs) {
    stream.engine.setTimer(stream.slot, stream.deadlineMs);
    return;
  }
  // A grant may have come in this very moment: then the stream is served after all.
  const granted = leaveQueue(stream.engine.balance, stream.queueEntry);
  stream.queueEntry = 0;
  if (granted > 0) assigned(stream, granted);
  else endStream(stream, CAUSE_SERVER_TIMEOUT, PHASE_QUEUE, false);
}

/** Does the algorithm choose any server, rather than one for the stream? */
export function isFreeChoice(stream: Stream): boolean {
  const algorithm = stream.engine.tables.proxies.words[stream.backend!.row + PROXY_ALGORITHM]!;
  return algorithm === ALGORITHM_ROUNDROBIN || algorithm === ALGORITHM_STATIC_RR;
}
