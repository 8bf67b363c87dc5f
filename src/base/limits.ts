/**
 * Every maximum in one place: value, unit, reason. Shared tables reserve address space for these
 * maxima at the start; memory is used only for the records that are touched.
 */

/** Threads of the data plane. */
export const WORKERS_MAX = 128;
/** Rows of the proxy table. 80 words each: 40 MiB of address space. */
export const PROXIES_MAX = 131_072;
/** Rows of the listener table. */
export const LISTENERS_MAX = 131_072;
/** Rows of the server table. 128 bytes each: 128 MiB of address space. */
export const SERVERS_MAX = 1_048_576;
/** Streams that may wait in queues at the same time, over all workers. */
export const QUEUE_ENTRIES_MAX = 1_048_576;
/** Words for heaps, rings and maps of all backends: 256 MiB of address space. */
export const ARENA_WORDS_MAX = 67_108_864;
/** Entries of a worker's inbox, a power of two: bounds grants and wake-ups in flight. */
export const INBOX_ENTRIES = 65_536;
/** Words of an inbox entry: kind and three operands. */
export const INBOX_ENTRY_WORDS = 4;
/** Records of a worker's log ring, a power of two; more are dropped and counted. */
export const LOG_RING_RECORDS = 8_192;
/** Largest weight of a server (HAProxy manual 5.2, `weight`). */
export const WEIGHT_MAX = 256;
/** Nodes on the consistent ring for each unit of weight... times this many for weight 1. */
export const RING_NODES_PER_WEIGHT = 16;
/** Descriptors kept for control connections, checks, logs and the runtime. */
export const DESCRIPTORS_RESERVED = 100;
/**
 * `tune.bufsize` when nothing is said, in bytes: the most that one read can be, and so the most
 * that a stream holds for a side that takes nothing. HAProxy has 16,384; with this, relaying a
 * gigabyte costs four fifths of the CPU, and memory is held by stalled streams only.
 */
export const BUFSIZE_DEFAULT = 262_144;
