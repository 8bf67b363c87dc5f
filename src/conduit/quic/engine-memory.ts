/**
 * What a QUIC engine writes for its thread, in memory that is not the thread's: control makes it
 * and keeps it, so that it can still ask the engine of a worker that has died, and learns from it
 * for whom the engine's endpoints counted.
 *
 *   [ events: ENGINE_EVENTS × 8 words ][ io: 16 words ][ a float for each endpoint: its tag ]
 */
import { assert } from "../../base/assert.ts";
import { QUIC_ENDPOINTS_MAX } from "../../base/limits.ts";
import { EVENT_WORDS, IO_WORDS } from "./native-quic.ts";

/** Events of one batch: more come in the next. */
export const ENGINE_EVENTS = 1024;

const IO_AT = ENGINE_EVENTS * EVENT_WORDS * 4;
const TAGS_AT = IO_AT + IO_WORDS * 4;

/** Bytes of it. */
export const ENGINE_MEMORY_BYTES = TAGS_AT + QUIC_ENDPOINTS_MAX * 8;

/** One engine's; whoever is given the same buffer sees the same. */
export class EngineMemory {
  readonly events: Uint32Array;
  readonly io: Uint32Array;
  private readonly endpointTags: Float64Array;

  /**
   * @param buffer of ENGINE_MEMORY_BYTES; it must live as long as the engine
   * @param endpointsMax there may be no more
   */
  constructor(buffer: ArrayBufferLike, endpointsMax = QUIC_ENDPOINTS_MAX) {
    this.events = new Uint32Array(buffer, 0, ENGINE_EVENTS * EVENT_WORDS);
    this.io = new Uint32Array(buffer, IO_AT, IO_WORDS);
    this.endpointTags = new Float64Array(buffer, TAGS_AT, endpointsMax);
  }

  /** Numbers of endpoints are less: what another one counts would be lost with its thread. */
  get endpointsMax(): number {
    return this.endpointTags.length;
  }

  /** Nothing of an engine before. */
  clear(): void {
    this.endpointTags.fill(0);
  }

  /** Says for whom an endpoint counts; 0 = nobody. See `tagOf`. */
  tagEndpoint(endpoint: number, tag: number): void {
    assert(endpoint < this.endpointsMax, "EngineMemory.tagEndpoint: there is room");
    this.endpointTags[endpoint] = tag;
  }

  /** Endpoints that count for somebody, with their tags. */
  *taggedEndpoints(): Generator<{ endpoint: number; tag: number }> {
    for (const [endpoint, tag] of this.endpointTags.entries()) {
      if (tag !== 0) yield { endpoint, tag };
    }
  }
}

/** Who a connection or an endpoint counts for, as one number that C keeps: never 0. */
export function tagOf(proxyRow: number, isFront: boolean): number {
  return proxyRow * 2 + (isFront ? 1 : 0);
}

/** The proxy of a tag. A connection whose close is counted already has the negative of its tag. */
export function proxyRowOf(tag: number): number {
  return Math.floor(Math.abs(tag) / 2);
}

/** Its side. */
export function isFrontOf(tag: number): boolean {
  return Math.abs(tag) % 2 === 1;
}
