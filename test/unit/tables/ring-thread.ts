/** The other side of ring.test.ts: a thread that writes log records, or posts notes. */
import { workerData } from "node:worker_threads";

import { STREAM_LOG_BYTES_UP, STREAM_LOG_KIND } from "../../../src/tables/generated/stream-log.ts";
import { NOTE_RESUME, postNote } from "../../../src/tables/inbox.ts";
import { beginRecord, commitRecord, RING_FULL } from "../../../src/tables/log-ring.ts";
import type { SharedBlocks } from "../../../src/tables/tables.ts";
import { Tables } from "../../../src/tables/tables.ts";

export type RingThreadData = {
  kind: "records" | "notes";
  blocks: SharedBlocks;
  /** Number of this thread. */
  self: number;
  count: number;
};

/** The worker whose ring and inbox are used. */
export const READER = 1;

if (workerData !== null && workerData !== undefined) {
  const { kind, blocks, self, count } = workerData as RingThreadData;
  const tables = new Tables(blocks);
  if (kind === "records") writeRecords(tables, count);
  else postNotes(tables, self, count);
}

/** Every record is written in the end: a full ring is tried again. */
function writeRecords(tables: Tables, count: number): void {
  const { words, floats } = tables.perWorker[READER - 1]!.logRing;
  for (let i = 1; i <= count;) {
    const row = beginRecord(words);
    if (row === RING_FULL) continue;
    words[row + STREAM_LOG_KIND] = i;
    floats[(row + STREAM_LOG_BYTES_UP) >> 1] = i * 1e10;
    commitRecord(words);
    i++;
  }
}

function postNotes(tables: Tables, self: number, count: number): void {
  for (let i = 1; i <= count;) {
    if (postNote(tables, self, READER, NOTE_RESUME, self, i, -i)) i++;
  }
}
