/**
 * What workers have counted of a server since it was looked at last. Counts in shared memory only
 * grow (and wrap): a span is the difference of two looks, so nobody has to be stopped or set back.
 */
import { FIRST_BYTE_BUCKETS, firstByteMedian } from "../../balance/first-byte.ts";
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
import type { Measure } from "./judge.ts";

/** The last look at one server, and the span between it and the one before. */
export class Reading {
  readonly #server: ServerObject;
  readonly #firstBytes = new Int32Array(FIRST_BYTE_BUCKETS);
  #attempts = 0;
  #errors = 0;

  constructor(tables: Tables, server: ServerObject) {
    this.#server = server;
    this.take(tables);
  }

  /** What happened since the last look; the next span begins. O(workers). */
  take(tables: Tables): Measure<ServerObject> {
    const { row } = this.#server;
    const { words } = tables.servers;
    const attempts = attemptsOf(tables, row);
    const errors = (words[row + SERVER_CONNECT_FAILURES]! + words[row + SERVER_BROKEN_EARLY]!) | 0;
    const span = new Int32Array(FIRST_BYTE_BUCKETS);
    let firstBytes = 0;
    for (let i = 0; i < FIRST_BYTE_BUCKETS; i++) {
      const count = words[row + SERVER_FIRST_BYTE + i]!;
      span[i] = count - this.#firstBytes[i]!;
      this.#firstBytes[i] = count;
      firstBytes += span[i]!;
    }
    const measure = {
      server: this.#server,
      attempts: attempts - this.#attempts,
      errors: (errors - this.#errors) | 0,
      firstBytes,
      firstByteMs: firstByteMedian(span),
    };
    this.#attempts = attempts;
    this.#errors = errors;
    return measure;
  }
}

function attemptsOf({ perWorker }: Tables, serverRow: number): number {
  const at = ((serverRow / SERVER_STRIDE) * BACK_COUNT_STRIDE + BACK_COUNT_CONNECT_ATTEMPTS) >> 1;
  let sum = 0;
  for (const { serverBack } of perWorker) sum += serverBack.floats[at]!;
  return sum;
}
