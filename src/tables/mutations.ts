/**
 * The mutation log: every change of structure, in order, from control to all workers.
 *
 * Control fills the rows of shared memory first, then appends the record; a worker applies records
 * in order and publishes the sequence number up to which it has. "All workers are past n" is the
 * grace period after which nothing can begin to use what mutation n removed. Starting up is the
 * first mutations. Records carry a version, for state files and for processes of another release.
 */
import type { PackedAnswer, Question } from "./questions.ts";
import type { BindSpec, ProxySpec, ServerSpec } from "./spec.ts";

/** Version of the records below; a reader refuses a newer one. */
export const MUTATION_VERSION = 1;

/** What a worker must know of the process. */
export type WorkerGlobals = {
  bufsize: number;
  rcvbufClient: number;
  rcvbufServer: number;
  sndbufClient: number;
  sndbufServer: number;
  maxaccept: number;
  /** Streams of frontends without a `log` line are told too (JSON on a terminal). */
  logAllStreams: boolean;
  /** See `GlobalSpec.isQuicEnabled`. */
  isQuicEnabled: boolean;
  hostName: string;
};

/** What a worker needs to speak QUIC. */
export type QuicSettings = {
  /** Addresses of the module's functions by name (`conduit/quic/native-quic.ts`). */
  addresses: Record<string, number>;
  /** Keys of Retry tokens, tickets and stateless resets, one for all workers, as hex digits. */
  secret: string;
  /** Chunks of bytes in flight that a worker may have. */
  chunksMax: number;
};

/** A proxy without its parts, which have mutations of their own. */
export type ProxyHead = Omit<ProxySpec, "binds" | "servers">;

export type Mutation =
  | { kind: "globals"; globals: WorkerGlobals }
  /** Comes before the first object that speaks QUIC. */
  | { kind: "quic"; settings: QuicSettings }
  | { kind: "proxy.add"; row: number; generation: number; proxy: ProxyHead }
  | { kind: "server.link"; row: number; generation: number; backendRow: number; server: ServerSpec }
  /** `fds[worker - 1]` is that worker's listening descriptor; empty = the worker binds itself. */
  | { kind: "listener.add"; row: number; proxyRow: number; bind: BindSpec; fds: number[] }
  | { kind: "listener.pause"; row: number }
  | { kind: "listener.resume"; row: number }
  | { kind: "listener.close"; row: number }
  /** Another address, name or the like from now on; streams that are connected stay as they are. */
  | { kind: "server.change"; row: number; server: ServerSpec }
  | { kind: "server.unlink"; row: number }
  | { kind: "proxy.remove"; row: number }
  /** Soft stop: listeners close, streams end by themselves. */
  | { kind: "stop" };

/** One record of the log. */
export type MutationRecord = { version: number; sequence: number; mutation: Mutation };

/**
 * Records on their way to workers. Many at once travel as JSON text in shared memory: written once,
 * read by each worker, where a structured clone would be made for every one of them.
 */
export type MutationBatch = MutationRecord[] | SharedArrayBuffer;

/** Up to this many records travel as they are. */
const PLAIN_RECORDS_MAX = 64;

/** Makes a batch. */
export function packMutations(records: MutationRecord[]): MutationBatch {
  if (records.length <= PLAIN_RECORDS_MAX) return records;
  const text = new TextEncoder().encode(JSON.stringify(records));
  const shared = new SharedArrayBuffer(text.length);
  new Uint8Array(shared).set(text);
  return shared;
}

/** Reads a batch that `packMutations` made, on the same build. */
export function unpackMutations(batch: MutationBatch): MutationRecord[] {
  if (Array.isArray(batch)) return batch;
  // A decoder takes no shared memory: the text is copied out first.
  return JSON.parse(new TextDecoder().decode(new Uint8Array(batch).slice())) as MutationRecord[];
}

/** What a worker thread is started with. */
export type WorkerStart = {
  /** 1-based number of the worker. */
  worker: number;
  blocks: import("./tables.ts").SharedBlocks;
  /** Eventfd of the worker's former loop, -1 = none. */
  bell: number;
  /** When control's thread began to count its time, ms since the epoch. */
  clockOriginMs: number;
  /** Everything so far: the worker begins where the others are. */
  log: MutationBatch;
  /** Addresses of the native functions (`conduit/native.ts`); null = there is no module. */
  native: Record<string, number> | null;
  /** What a QUIC engine of the worker writes; control keeps it (`conduit/quic/`). */
  quicMemory: SharedArrayBuffer;
};

/** Control → worker. */
export type ToWorker =
  | { type: "mutations"; batch: MutationBatch }
  | { type: "shutdown"; id: number; selector: ShutdownSelector; cause: string }
  | { type: "ask"; id: number; question: Question }
  | { type: "exit" };

/** Which streams are to be shut down. */
export type ShutdownSelector =
  | { kind: "server"; row: number }
  | { kind: "backups"; backendRow: number }
  | { kind: "backend"; row: number }
  | { kind: "frontend"; row: number }
  /** One stream; only its owner has it. */
  | { kind: "stream"; worker: number; slot: number; generation: number }
  | { kind: "all" };

/** Worker → control. */
export type FromWorker =
  | { type: "ready"; worker: number }
  | { type: "shut"; id: number; count: number }
  | { type: "answer"; id: number; answer: PackedAnswer }
  | { type: "fault"; text: string }
  | { type: "notice"; text: string }
  /** `count` connections in a row to a server have failed (`observe layer4`, `error-limit`). */
  | { type: "errors"; row: number; generation: number; count: number }
  | { type: "stopped" };
