/**
 * What workers have counted of a server since it was looked at last. Counts in shared memory only
 * grow (and wrap): a span is the difference of two looks, so nobody has to be stopped or set back.
 */
import { FIRST_BYTE_BUCKETS, firstByteMedian } from "../../balance/first-byte.ts";
import { OUTLIER_SPANS_MAX } from "../../base/limits.ts";
import {
  BACK_COUNT_CONNECT_ATTEMPTS,
  BACK_COUNT_STRIDE,
} from "../../tables/generated/back-count.ts";
import {
  SERVER_BROKEN_EARLY,
  SERVER_CONNECT_FAILURES,
  SERVER_FIRST_BYTE,
  SERVER_STRIDE,
} from "../../tables/generated/server.ts";
import type { Tables } from "../../tables/tables.ts";
import type { ServerObject } from "../model.ts";
import { ended } from "./judge.ts";
import type { Measure } from "./judge.ts";

/** Times to first byte of the span that is being looked at. */
const span = new Int32Array(FIRST_BYTE_BUCKETS);

/** One server, from the beginning of a span. */
export class Reading {
  readonly #server: ServerObject;
  readonly #firstBytes = new Int32Array(FIRST_BYTE_BUCKETS);
  #attempts = 0;
  #errors = 0;
  #looks = 0;

  constructor(tables: Tables, server: ServerObject) {
    this.#server = server;
    this.begin(tables);
  }

  /**
   * What happened in this span. With `samplesMin` connections or more the next one begins; with
   * fewer it goes on, for OUTLIER_SPANS_MAX looks at most. O(workers).
   */
  look(tables: Tables, samplesMin: number): Measure<ServerObject> {
    const { row } = this.#server;
    const { words } = tables.servers;
    let firstBytes = 0;
    for (let i = 0; i < FIRST_BYTE_BUCKETS; i++) {
      span[i] = words[row + SERVER_FIRST_BYTE + i]! - this.#firstBytes[i]!;
      firstBytes += span[i]!;
    }
    const measure = {
      server: this.#server,
      attempts: attemptsOf(tables, row) - this.#attempts,
      errors: (errorsOf(words, row) - this.#errors) | 0,
      firstBytes,
      firstByteMs: firstByteMedian(span),
    };
    this.#looks++;
    const isEnough = Math.max(ended(measure), firstBytes) >= samplesMin;
    if (isEnough || this.#looks >= OUTLIER_SPANS_MAX) this.begin(tables);
    return measure;
  }

  /** A span begins. */
  begin(tables: Tables): void {
    const { row } = this.#server;
    const { words } = tables.servers;
    for (let i = 0; i < FIRST_BYTE_BUCKETS; i++) {
      this.#firstBytes[i] = words[row + SERVER_FIRST_BYTE + i]!;
    }
    this.#attempts = attemptsOf(tables, row);
    this.#errors = errorsOf(words, row);
    this.#looks = 0;
  }
}

function errorsOf(words: Int32Array, row: number): number {
  return (words[row + SERVER_CONNECT_FAILURES]! + words[row + SERVER_BROKEN_EARLY]!) | 0;
}

function attemptsOf({ perWorker }: Tables, serverRow: number): number {
  const at = ((serverRow / SERVER_STRIDE) * BACK_COUNT_STRIDE + BACK_COUNT_CONNECT_ATTEMPTS) >> 1;
  let sum = 0;
  for (const { serverBack } of perWorker) sum += serverBack.floats[at]!;
  return sum;
}
