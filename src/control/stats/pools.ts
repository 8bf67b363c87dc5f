/**
 * Memory in sluice's terms: what `show pools` lists. Tables are reserved as address space at their
 * maxima; memory is used for the rows that were ever taken, and freed rows are taken again first.
 */
import { INBOX_ENTRIES, INBOX_ENTRY_WORDS, LOG_RING_RECORDS } from "../../base/limits.ts";
import { BACK_COUNT_STRIDE } from "../../tables/generated/back-count.ts";
import { FRONT_COUNT_STRIDE } from "../../tables/generated/front-count.ts";
import { LISTENER_STRIDE } from "../../tables/generated/listener.ts";
import { PROCESS_QUEUE_USED } from "../../tables/generated/process.ts";
import { PROXY_QUEUE_TOTAL, PROXY_STRIDE } from "../../tables/generated/proxy.ts";
import { QUEUE_STRIDE } from "../../tables/generated/queue.ts";
import { SERVER_STRIDE } from "../../tables/generated/server.ts";
import { SHARE_STRIDE } from "../../tables/generated/share.ts";
import { STREAM_LOG_STRIDE } from "../../tables/generated/stream-log.ts";
import type { Workshop } from "../build.ts";

const WORD_BYTES = 4;

/** One kind of record. */
export type Pool = {
  name: string;
  /** Bytes of one record. */
  itemBytes: number;
  /** Records that memory was used for. */
  allocated: number;
  /** Records that hold something now. */
  used: number;
  /** Records that there is room for. */
  most: number;
};

/** All of them. O(backends). */
export function listPools(shop: Workshop): Pool[] {
  const { proxyRows, serverRows, listenerRows, workers } = shop;
  const perWorker = (name: string, strideWords: number, of: Counted): Pool => ({
    name,
    itemBytes: strideWords * WORD_BYTES,
    allocated: of.touched * workers,
    used: of.count * workers,
    most: of.rowsMax * workers,
  });
  const table = (name: string, strideWords: number, of: Counted): Pool => ({
    name,
    itemBytes: strideWords * WORD_BYTES,
    allocated: of.touched,
    used: of.count,
    most: of.rowsMax,
  });
  return [
    table("proxy", PROXY_STRIDE, proxyRows),
    table("listener", LISTENER_STRIDE, listenerRows),
    table("server", SERVER_STRIDE, serverRows),
    table("queue_entry", QUEUE_STRIDE, queueOf(shop)),
    perWorker("proxy_front_count", FRONT_COUNT_STRIDE, proxyRows),
    perWorker("proxy_back_count", BACK_COUNT_STRIDE, proxyRows),
    perWorker("listener_count", FRONT_COUNT_STRIDE, listenerRows),
    perWorker("server_count", BACK_COUNT_STRIDE, serverRows),
    perWorker("server_share", SHARE_STRIDE, serverRows),
    fixed("log_record", STREAM_LOG_STRIDE, LOG_RING_RECORDS * workers),
    fixed("inbox_note", INBOX_ENTRY_WORDS, INBOX_ENTRIES * workers),
  ];
}

type Counted = { readonly touched: number; readonly count: number; readonly rowsMax: number };

function fixed(name: string, strideWords: number, count: number): Pool {
  const itemBytes = strideWords * WORD_BYTES;
  return { name, itemBytes, allocated: count, used: count, most: count };
}

/** Entries of the queue: one for each stream that waits. O(backends). */
function queueOf({ tables, model }: Workshop): Counted {
  const touched = tables.process.words[PROCESS_QUEUE_USED]!;
  const rowsMax = Math.floor(tables.queue.words.length / QUEUE_STRIDE) - 1;
  let count = 0;
  for (const { row } of model.backends.values()) {
    count += tables.proxies.words[row + PROXY_QUEUE_TOTAL]!;
  }
  return { touched, count, rowsMax };
}

/** Bytes allocated and used of a list. */
export function sumPools(pools: readonly Pool[]): { allocated: number; used: number } {
  let allocated = 0;
  let used = 0;
  for (const pool of pools) {
    allocated += pool.allocated * pool.itemBytes;
    used += pool.used * pool.itemBytes;
  }
  return { allocated, used };
}
