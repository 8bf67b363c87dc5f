/**
 * A worker's ring of STREAM_LOG records: one writer (the worker), one reader (control).
 *
 *   words 0..15   head (reader) · tail (writer) · dropped (writer)
 *   then          LOG_RING_RECORDS records
 *
 * A full ring drops the record and counts it: logging never slows the data plane.
 *
 * @hot
 */
import { LOG_RING_RECORDS } from "../base/limits.ts";
import { STREAM_LOG_STRIDE } from "./generated/stream-log.ts";
import { LOG_RING_HEAD_WORDS } from "./tables.ts";

const HEAD = 0;
const TAIL = 1;
const DROPPED = 2;
const MASK = LOG_RING_RECORDS - 1;

/** The ring has no room: the record is dropped. */
export const RING_FULL = -1;

/** Row of the next record to fill, or RING_FULL (counted). Writer only. */
export function beginRecord(words: Int32Array): number {
  const tail = words[TAIL]!;
  if (((tail - Atomics.load(words, HEAD)) | 0) >= LOG_RING_RECORDS) {
    words[DROPPED] = words[DROPPED]! + 1;
    return RING_FULL;
  }
  return LOG_RING_HEAD_WORDS + (tail & MASK) * STREAM_LOG_STRIDE;
}

/** Publishes the record that `beginRecord` named. Writer only. */
export function commitRecord(words: Int32Array): void {
  Atomics.store(words, TAIL, (words[TAIL]! + 1) | 0);
}

/** Row of the oldest record that is not yet read, or RING_FULL when there is none. Reader only. */
export function peekRecord(words: Int32Array): number {
  const head = words[HEAD]!;
  if (head === Atomics.load(words, TAIL)) return RING_FULL;
  return LOG_RING_HEAD_WORDS + (head & MASK) * STREAM_LOG_STRIDE;
}

/** Gives the oldest record's place back. Reader only. */
export function releaseRecord(words: Int32Array): void {
  Atomics.store(words, HEAD, (words[HEAD]! + 1) | 0);
}

/** Records dropped since the start, wraps. */
export function droppedRecords(words: Int32Array): number {
  return words[DROPPED]!;
}
