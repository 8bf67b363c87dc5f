/**
 * Counters of an object, summed over the shards of all workers, less what had been counted when
 * they were last cleared.
 *
 * Workers write their shards plainly, so control cannot set a counter back without losing what is
 * added at that moment. It remembers instead how far it was (`clear counters`), per object and only
 * where that was asked for; a row that is given to another object has no such memory. Maxima and
 * averages are set to zero in place: at worst a value written at that moment stays. Main thread.
 */
import * as back from "../../tables/generated/back-count.ts";
import * as front from "../../tables/generated/front-count.ts";
import { LISTENER_STRIDE } from "../../tables/generated/listener.ts";
import { PROXY_STRIDE } from "../../tables/generated/proxy.ts";
import { SERVER_STRIDE } from "../../tables/generated/server.ts";
import type { Tables } from "../../tables/tables.ts";
import type { ListenerObject, ProxyObject, ServerObject } from "../model.ts";

/** Fields that hold a newest or highest value: the highest of all shards counts. */
const HIGHEST: readonly number[] = [
  back.BACK_COUNT_LAST_SESSION,
  back.BACK_COUNT_QUEUE_TIME_MAX,
  back.BACK_COUNT_CONNECT_TIME_MAX,
  back.BACK_COUNT_TOTAL_TIME_MAX,
];

/** Maxima, set to zero by every `clear counters`. */
const MAXIMA: readonly number[] = [
  back.BACK_COUNT_QUEUE_TIME_MAX,
  back.BACK_COUNT_CONNECT_TIME_MAX,
  back.BACK_COUNT_TOTAL_TIME_MAX,
];

/** What the averages are made of, set to zero by `clear counters all`. */
const AVERAGED: readonly number[] = [
  back.BACK_COUNT_QUEUE_TIME_SUM,
  back.BACK_COUNT_CONNECT_TIME_SUM,
  back.BACK_COUNT_TOTAL_TIME_SUM,
  back.BACK_COUNT_TIMED_STREAMS,
];

/** 64-bit cells of a record that hold something. */
const BACK_CELLS = (back.BACK_COUNT_CURRENT >> 1) + 1;
const FRONT_CELLS = (front.FRONT_COUNT_CURRENT >> 1) + 1;

const isHighest = new Uint8Array(BACK_CELLS);
for (const offset of HIGHEST) isHighest[offset >> 1] = 1;

/** Sums of a backend or server, by field offset / 2 (BACK_COUNT_*); valid until the next read. */
export class Shards {
  readonly back = new Float64Array(BACK_CELLS);
  /** Of a frontend or listener (FRONT_COUNT_*). */
  readonly front = new Float64Array(FRONT_CELLS);
  readonly #proxyFronts: readonly Float64Array[];
  readonly #proxyBacks: readonly Float64Array[];
  readonly #listeners: readonly Float64Array[];
  readonly #servers: readonly Float64Array[];
  readonly #frontBase = new WeakMap<ProxyObject | ListenerObject, Float64Array>();
  readonly #backBase = new WeakMap<ProxyObject | ServerObject, Float64Array>();
  /** Something was cleared once: before that nothing is looked up. */
  #hasBases = false;

  constructor({ perWorker }: Tables) {
    this.#proxyFronts = perWorker.map(({ proxyFront }) => proxyFront.floats);
    this.#proxyBacks = perWorker.map(({ proxyBack }) => proxyBack.floats);
    this.#listeners = perWorker.map(({ listenerFront }) => listenerFront.floats);
    this.#servers = perWorker.map(({ serverBack }) => serverBack.floats);
  }

  /** Reads the client side of a proxy into `front`. */
  readFrontend(proxy: ProxyObject): void {
    const index = proxy.row / PROXY_STRIDE;
    sum(this.#proxyFronts, index * front.FRONT_COUNT_STRIDE, this.front, undefined);
    this.#subtract(this.front, this.#frontBase.get(proxy));
  }

  readListener(listener: ListenerObject): void {
    const index = listener.row / LISTENER_STRIDE;
    sum(this.#listeners, index * front.FRONT_COUNT_STRIDE, this.front, undefined);
    this.#subtract(this.front, this.#frontBase.get(listener));
  }

  /** Reads the server side of a proxy into `back`. */
  readBackend(proxy: ProxyObject): void {
    const index = proxy.row / PROXY_STRIDE;
    sum(this.#proxyBacks, index * back.BACK_COUNT_STRIDE, this.back, isHighest);
    this.#subtractBack(this.#backBase.get(proxy));
  }

  readServer(server: ServerObject): void {
    const index = server.row / SERVER_STRIDE;
    sum(this.#servers, index * back.BACK_COUNT_STRIDE, this.back, isHighest);
    this.#subtractBack(this.#backBase.get(server));
  }

  /** Counters of the client side count from here on. */
  clearFrontend(proxy: ProxyObject): void {
    this.#frontBase.delete(proxy);
    this.readFrontend(proxy);
    this.#frontBase.set(proxy, this.front.slice());
    this.#hasBases = true;
  }

  clearListener(listener: ListenerObject): void {
    this.#frontBase.delete(listener);
    this.readListener(listener);
    this.#frontBase.set(listener, this.front.slice());
    this.#hasBases = true;
  }

  clearBackend(proxy: ProxyObject): void {
    this.#backBase.delete(proxy);
    this.readBackend(proxy);
    this.#backBase.set(proxy, baseOf(this.back));
    this.#hasBases = true;
    zero(this.#proxyBacks, (proxy.row / PROXY_STRIDE) * back.BACK_COUNT_STRIDE, AVERAGED);
  }

  clearServer(server: ServerObject): void {
    this.#backBase.delete(server);
    this.readServer(server);
    this.#backBase.set(server, baseOf(this.back));
    this.#hasBases = true;
    zero(this.#servers, (server.row / SERVER_STRIDE) * back.BACK_COUNT_STRIDE, AVERAGED);
  }

  /** Sets the longest times of a backend or server to zero. */
  clearMaxima(object: ProxyObject | ServerObject): void {
    const isServer = "backend" in object;
    const index = object.row / (isServer ? SERVER_STRIDE : PROXY_STRIDE);
    zero(isServer ? this.#servers : this.#proxyBacks, index * back.BACK_COUNT_STRIDE, MAXIMA);
  }

  #subtract(sums: Float64Array, base: Float64Array | undefined): void {
    if (base === undefined) return;
    for (let i = 0; i < sums.length; i++) sums[i] = Math.max(0, sums[i]! - base[i]!);
  }

  #subtractBack(base: Float64Array | undefined): void {
    if (!this.#hasBases || base === undefined) return;
    const sums = this.back;
    for (let i = 0; i < BACK_CELLS; i++) {
      if (isHighest[i] === 0) sums[i] = Math.max(0, sums[i]! - base[i]!);
      else if (sums[i]! <= base[i]!) sums[i] = 0;
    }
  }
}

/** What a later read is compared with: maxima and averages are zeroed in place instead. */
function baseOf(sums: Float64Array): Float64Array {
  const base = sums.slice();
  for (const offset of [...MAXIMA, ...AVERAGED]) base[offset >> 1] = 0;
  return base;
}

function sum(
  shards: readonly Float64Array[],
  words: number,
  out: Float64Array,
  highest: Uint8Array | undefined,
): void {
  const at = words >> 1;
  out.fill(0);
  for (const floats of shards) {
    for (let i = 0; i < out.length; i++) {
      const value = floats[at + i]!;
      if (highest === undefined || highest[i] === 0) out[i] = out[i]! + value;
      else if (out[i]! < value) out[i] = value;
    }
  }
}

function zero(shards: readonly Float64Array[], words: number, fields: readonly number[]): void {
  for (const floats of shards) for (const offset of fields) floats[(words + offset) >> 1] = 0;
}
