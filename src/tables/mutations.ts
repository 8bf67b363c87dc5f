/**
 * The mutation log: every change of structure, in order, from control to all workers.
 *
 * Control fills the rows of shared memory first, then appends the record; a worker applies records
 * in order and publishes the sequence number up to which it has. "All workers are past n" is the
 * grace period after which nothing can begin to use what mutation n removed. Starting up is the
 * first mutations. Records carry a version, for state files and for processes of another release.
 */
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
  hostName: string;
};

/** A proxy without its parts, which have mutations of their own. */
export type ProxyHead = Omit<ProxySpec, "binds" | "servers">;

export type Mutation =
  | { kind: "globals"; globals: WorkerGlobals }
  | { kind: "proxy.add"; row: number; generation: number; proxy: ProxyHead }
  | { kind: "server.link"; row: number; generation: number; backendRow: number; server: ServerSpec }
  /** `fds[worker - 1]` is that worker's listening descriptor; empty = the worker binds itself. */
  | { kind: "listener.add"; row: number; proxyRow: number; bind: BindSpec; fds: number[] }
  | { kind: "listener.pause"; row: number }
  | { kind: "listener.resume"; row: number }
  | { kind: "listener.close"; row: number }
  | { kind: "server.unlink"; row: number }
  | { kind: "proxy.remove"; row: number }
  /** Soft stop: listeners close, streams end by themselves. */
  | { kind: "stop" };

/** One record of the log. */
export type MutationRecord = { version: number; sequence: number; mutation: Mutation };

/** What a worker thread is started with. */
export type WorkerStart = {
  /** 1-based number of the worker. */
  worker: number;
  blocks: import("./tables.ts").SharedBlocks;
  /** Everything so far: the worker begins where the others are. */
  log: MutationRecord[];
};

/** Control → worker. */
export type ToWorker =
  | { type: "mutations"; records: MutationRecord[] }
  | { type: "shutdown"; id: number; selector: ShutdownSelector; cause: string }
  | { type: "exit" };

/** Which streams are to be shut down. */
export type ShutdownSelector =
  | { kind: "server"; row: number }
  | { kind: "backups"; backendRow: number }
  | { kind: "backend"; row: number }
  | { kind: "frontend"; row: number }
  | { kind: "all" };

/** Worker → control. */
export type FromWorker =
  | { type: "ready"; worker: number }
  | { type: "shut"; id: number; count: number }
  | { type: "bound"; row: number; error: string }
  | { type: "fault"; text: string }
  | { type: "notice"; text: string }
  | { type: "stopped" };
