/**
 * Counters of objects by name, to be written down and to begin with: what a stats file and a state
 * file hold. Workers add to their own shards; before the first of them runs, control may put what
 * was counted earlier into the first shard. Main thread.
 */
import { assert } from "../../base/assert.ts";
import * as back from "../../tables/generated/back-count.ts";
import * as front from "../../tables/generated/front-count.ts";
import { LISTENER_STRIDE } from "../../tables/generated/listener.ts";
import { PROXY_STRIDE } from "../../tables/generated/proxy.ts";
import { SERVER_STRIDE } from "../../tables/generated/server.ts";
import { isSingleThreaded } from "../../tables/guid-index.ts";
import type { Tables } from "../../tables/tables.ts";
import type { ListenerObject, Model, ProxyObject, ServerObject } from "../model.ts";
import type { Shards } from "../stats/shards.ts";

/** Kinds of records that count. A `listen` section has two. */
export type CounterKind = "frontend" | "listener" | "backend" | "server";

/** A field of a record: its name in files, its offset in words. */
export type CounterField = readonly [name: string, offset: number];

/** What is counted on the client side. What is there now (`current`) is no part of it. */
export const FRONT_FIELDS: readonly CounterField[] = [
  ["connections", front.FRONT_COUNT_CONNECTIONS],
  ["sessions", front.FRONT_COUNT_SESSIONS],
  ["bytesIn", front.FRONT_COUNT_BYTES_IN],
  ["bytesOut", front.FRONT_COUNT_BYTES_OUT],
  ["errorsRequest", front.FRONT_COUNT_ERRORS_REQUEST],
  ["proxyHeaderErrors", front.FRONT_COUNT_PROXY_HEADER_ERRORS],
];

/** What is counted on the server side. */
export const BACK_FIELDS: readonly CounterField[] = [
  ["sessions", back.BACK_COUNT_SESSIONS],
  ["bytesIn", back.BACK_COUNT_BYTES_IN],
  ["bytesOut", back.BACK_COUNT_BYTES_OUT],
  ["connectAttempts", back.BACK_COUNT_CONNECT_ATTEMPTS],
  ["errorsConnect", back.BACK_COUNT_ERRORS_CONNECT],
  ["errorsResponse", back.BACK_COUNT_ERRORS_RESPONSE],
  ["retries", back.BACK_COUNT_RETRIES],
  ["redispatches", back.BACK_COUNT_REDISPATCHES],
  ["clientAborts", back.BACK_COUNT_CLIENT_ABORTS],
  ["serverAborts", back.BACK_COUNT_SERVER_ABORTS],
  ["queueTimeSum", back.BACK_COUNT_QUEUE_TIME_SUM],
  ["connectTimeSum", back.BACK_COUNT_CONNECT_TIME_SUM],
  ["totalTimeSum", back.BACK_COUNT_TOTAL_TIME_SUM],
  ["timedStreams", back.BACK_COUNT_TIMED_STREAMS],
  ["lastSession", back.BACK_COUNT_LAST_SESSION],
  ["queueTimeMax", back.BACK_COUNT_QUEUE_TIME_MAX],
  ["connectTimeMax", back.BACK_COUNT_CONNECT_TIME_MAX],
  ["totalTimeMax", back.BACK_COUNT_TOTAL_TIME_MAX],
  ["picks", back.BACK_COUNT_PICKS],
];

/** The fields of a kind. */
export function fieldsOf(kind: CounterKind): readonly CounterField[] {
  return kind === "frontend" || kind === "listener" ? FRONT_FIELDS : BACK_FIELDS;
}

/** An object with the kind of its record. */
export type Counted =
  | { kind: "frontend" | "backend"; object: ProxyObject }
  | { kind: "listener"; object: ListenerObject }
  | { kind: "server"; object: ServerObject };

/** A proxy with what was in it at one moment. */
export type CountedGroup = {
  readonly object: ProxyObject;
  readonly listeners: readonly ListenerObject[];
  readonly servers: readonly ServerObject[];
};

/** What there is now, as lists that stay as they are. */
export function groupsOf(proxies: readonly ProxyObject[]): CountedGroup[] {
  return proxies.map((object) => {
    const { listeners, servers } = object;
    return { object, listeners: [...listeners], servers: [...servers] };
  });
}

/** Everything that counts, proxy by proxy: frontend, listeners, servers, backend. */
export function* countedOf(groups: readonly CountedGroup[]): Generator<Counted> {
  for (const { object, listeners, servers } of groups) {
    if (object.spec.hasFront) yield { kind: "frontend", object };
    for (const listener of listeners) yield { kind: "listener", object: listener };
    for (const server of servers) yield { kind: "server", object: server };
    if (object.spec.hasBack) yield { kind: "backend", object };
  }
}

/**
 * Does an object still have its row? Between the look that listed it and the turn in which it is
 * read it may have been removed, and its row may count for another one.
 */
export function hasItsRow(model: Model, { kind, object }: Counted): boolean {
  switch (kind) {
    case "frontend":
    case "backend":
      return model.proxyByRow.get(object.row) === object;
    case "listener":
      return model.listenerByRow.get(object.row) === object;
    case "server":
      return model.serverByRow.get(object.row) === object;
  }
}

/** Sums of an object that has its row, by field offset / 2; valid until the next read. */
export function readCounters(shards: Shards, counted: Counted): Float64Array {
  switch (counted.kind) {
    case "frontend":
      shards.readFrontend(counted.object);
      return shards.front;
    case "listener":
      shards.readListener(counted.object);
      return shards.front;
    case "backend":
      shards.readBackend(counted.object);
      return shards.back;
    case "server":
      shards.readServer(counted.object);
      return shards.back;
  }
}

/** Sets one counter of an object. Before the first worker is started. */
export function presetCounter(
  tables: Tables,
  { kind, object }: Counted,
  offset: number,
  value: number,
): void {
  assert(isSingleThreaded(tables), "presetCounter: before the first worker is started");
  const [shard] = tables.perWorker;
  if (shard === undefined) return;
  const { row } = object;
  const place = {
    frontend: [shard.proxyFront, (row / PROXY_STRIDE) * front.FRONT_COUNT_STRIDE],
    listener: [shard.listenerFront, (row / LISTENER_STRIDE) * front.FRONT_COUNT_STRIDE],
    backend: [shard.proxyBack, (row / PROXY_STRIDE) * back.BACK_COUNT_STRIDE],
    server: [shard.serverBack, (row / SERVER_STRIDE) * back.BACK_COUNT_STRIDE],
  } as const;
  const [{ floats }, words] = place[kind];
  floats[(words + offset) >> 1] = value;
}
