/**
 * A serving process: tables, sockets, workers, in the order in which they must come up and go down.
 *
 *   plan ─▶ rows + sockets ─▶ workers start ─▶ privileges drop ─▶ mutations go out ─▶ serving
 *   stop ─▶ listeners close ─▶ streams end (or are ended) ─▶ workers end ─▶ done
 */
import { Lb } from "../balance/lb.ts";
import { onNextTurn, sleepMs, startTimer } from "../base/clock.ts";
import { SluiceError } from "../base/errors.ts";
import { random32 } from "../base/prng.ts";
import { nativeModule } from "../conduit/native.ts";
import {
  PROCESS_BUFSIZE,
  PROCESS_MAXCONN,
  PROCESS_MAXCONNRATE,
  PROCESS_MAXSESSRATE,
  PROCESS_STOPPING,
  PROCESS_WORKER_COUNT,
} from "../tables/generated/process.ts";
import { WORKER_APPLIED_SEQUENCE, WORKER_STRIDE } from "../tables/generated/worker.ts";
import { setDescriptorRinger } from "../tables/inbox.ts";
import { packMutations } from "../tables/mutations.ts";
import type { Plan } from "../tables/spec.ts";
import { fullSizes, reserveTables, Tables } from "../tables/tables.ts";
import { buildPlan, makeWorkshop } from "./build.ts";
import type { BindFailure, Workshop } from "./build.ts";
import { LogPump } from "./log-pump.ts";
import type { RecordHandler } from "./log-pump.ts";
import type { ListenerObject, Model } from "./model.ts";
import { MutationLog } from "./mutation-log.ts";
import { replayOf } from "./replay.ts";
import { restoreServers } from "./state/server-state-file.ts";
import { WorkerPool } from "./workers.ts";

/** What the process around it provides. */
export type ServeHooks = {
  /** Entry module of a worker thread. */
  workerUrl: URL;
  /** Data-plane threads, already resolved. */
  workers: number;
  /** Connections of the process, already resolved. */
  maxconn: number;
  notice(severity: "notice" | "warning" | "alert", text: string): void;
  /** Objects are made, no worker has been started: what the process begins with besides. */
  beforeWorkers?(shop: Workshop): void;
  /** Sockets are bound and threads are up: privileges may be dropped. May throw. */
  beforeTraffic(shop: Workshop): void;
  /** Takes the records of streams. */
  logs: { handle: RecordHandler; flush(): void };
};

/** A process that serves. */
export type Serving = {
  readonly shop: Workshop;
  readonly pool: WorkerPool;
  readonly pump: LogPump;
  /** Addresses that are listened on, as written. */
  readonly listening: string[];
  /** Closes listeners, lets streams end; after `hardStopMs` (>= 0) ends them. */
  softStop(hardStopMs: number): void;
  /** Ends everything now. */
  stop(): void;
  /** Exit code, once the last stream and worker are gone. */
  readonly done: Promise<number>;
};

/** Why a start failed: binds that could not be made. */
export class BindError extends Error {
  readonly failures: readonly BindFailure[];

  constructor(failures: readonly BindFailure[]) {
    super("cannot bind");
    this.failures = failures;
  }
}

/** How long a worker may take to apply what it was sent, ms. */
const APPLY_MS = 10_000;

/** Brings a plan into service. @throws BindError, or what a hook throws */
export async function startServing(plan: Plan, hooks: ServeHooks): Promise<Serving> {
  const tables = new Tables(reserveTables(fullSizes(hooks.workers)));
  fillProcessRow(tables, plan, hooks);
  const native = nativeModule();
  if (native !== null) setDescriptorRinger((fd) => native.ring(fd));
  const lb = new Lb(tables, 0, random32);
  let pool: WorkerPool | null = null;
  const log = new MutationLog(tables, (records) =>
    pool?.broadcast({ type: "mutations", batch: packMutations(records) }),
  );
  const shop = makeWorkshop(plan, tables, lb, log, native, hooks.workers);
  const globals = globalsOf(plan);
  log.append({ kind: "globals", globals });
  const failures = buildPlan(shop);
  restoreServers(shop);
  if (failures.length > 0) {
    releaseBound(shop);
    throw new BindError(failures);
  }
  hooks.beforeWorkers?.(shop);
  // Workers that are replaced later get the whole log; the first ones get it when all is ready.
  let isOpen = false;
  const stoppedWorkers = new Set<number>();
  let finish: (code: number) => void = () => {};
  const done = new Promise<number>((resolve) => {
    finish = resolve;
  });
  pool = new WorkerPool(tables, lb, hooks.workerUrl, {
    notice: hooks.notice,
    log: () => {
      if (!isOpen) return [];
      log.flush();
      return replayOf(shop.model, globals, log.sequence);
    },
    rows: () => ({
      // Those of what was removed too: its last streams hold them.
      proxyRows: shop.proxyRows.rows(),
      listenerRows: shop.listenerRows.rows(),
      serverRows: shop.serverRows.rows(),
    }),
    stopped: (worker) => {
      stoppedWorkers.add(worker);
      if (stoppedWorkers.size >= hooks.workers) finish(0);
    },
  });
  await pool.start(hooks.workers);
  hooks.beforeTraffic(shop);
  isOpen = true;
  log.flush();
  await allApplied(tables, hooks.workers, log.sequence);
  const pump = new LogPump(tables, hooks.logs.handle, hooks.logs.flush, onNextTurn);
  pump.start();
  return makeServing({ shop, pool, pump, done, finish });
}

type Parts = {
  shop: Workshop;
  pool: WorkerPool;
  pump: LogPump;
  done: Promise<number>;
  finish: (code: number) => void;
};

function makeServing({ shop, pool, pump, done, finish }: Parts): Serving {
  const { log, tables } = shop;
  const closed = done.then(async (code) => {
    await pool.close();
    closeDescriptors(shop);
    pump.drain();
    return code;
  });
  return {
    shop,
    pool,
    pump,
    listening: listeningOf(shop.model),
    softStop(hardStopMs) {
      if (tables.process.words[PROCESS_STOPPING] === 1) return;
      tables.process.words[PROCESS_STOPPING] = 1;
      const sequence = log.append({ kind: "stop" });
      log.flush();
      // First the workers let in who is greeted already and stop watching the descriptors.
      void allApplied(tables, tables.process.words[PROCESS_WORKER_COUNT]!, sequence)
        .catch(() => undefined)
        .then(() => closeDescriptors(shop));
      if (hardStopMs >= 0) startTimer(hardStopMs, () => finish(0));
    },
    stop() {
      finish(0);
    },
    done: closed,
  };
}

/** Control's own copies: without them the kernel refuses new connections. */
function closeDescriptors(shop: Workshop): void {
  closeListeners(shop, [...shop.model.listenerByRow.values()]);
}

/**
 * What was bound before another bind failed: nobody will accept there, and the kernel would go on
 * handing clients to it. Inherited descriptors stay: they cannot be had again.
 */
function releaseBound(shop: Workshop): void {
  const all = [...shop.model.listenerByRow.values()];
  closeListeners(
    shop,
    all.filter(({ spec }) => spec.address.family !== "fd"),
  );
}

/** Listeners may share a descriptor: each is closed once. */
function closeListeners({ native }: Workshop, listeners: readonly ListenerObject[]): void {
  const fds = new Set(listeners.flatMap((listener) => listener.fds));
  for (const fd of fds) if (fd >= 0) native?.close(fd);
  for (const listener of listeners) listener.fds = [];
}

function listeningOf(model: Model): string[] {
  return [...model.listenerByRow.values()].map(({ spec }) => spec.text);
}

function fillProcessRow(tables: Tables, plan: Plan, hooks: ServeHooks): void {
  const words = tables.process.words;
  words[PROCESS_MAXCONN] = hooks.maxconn;
  words[PROCESS_WORKER_COUNT] = hooks.workers;
  words[PROCESS_BUFSIZE] = plan.global.bufsize;
  words[PROCESS_MAXCONNRATE] = plan.global.maxconnrate;
  words[PROCESS_MAXSESSRATE] = plan.global.maxsessrate;
}

function globalsOf(plan: Plan): import("../tables/mutations.ts").WorkerGlobals {
  const { global, sluice } = plan;
  return {
    bufsize: global.bufsize,
    rcvbufClient: global.rcvbufClient,
    rcvbufServer: global.rcvbufServer,
    sndbufClient: global.sndbufClient,
    sndbufServer: global.sndbufServer,
    maxaccept: global.maxaccept,
    logAllStreams: sluice.logFormat !== "off",
    isQuicEnabled: global.isQuicEnabled,
    hostName: global.node,
  };
}

/** Resolves when every worker has applied mutation `sequence`. @throws when one does not */
async function allApplied(tables: Tables, workers: number, sequence: number): Promise<void> {
  const words = tables.workers.words;
  for (let waited = 0; waited < APPLY_MS; waited++) {
    let behind = 0;
    for (let worker = 1; worker <= workers; worker++) {
      const applied = Atomics.load(words, worker * WORKER_STRIDE + WORKER_APPLIED_SEQUENCE);
      if (applied < sequence) behind++;
    }
    if (behind === 0) return;
    await sleepMs(1);
  }
  throw new SluiceError("SLC_WORKER_BEHIND", { seconds: APPLY_MS / 1000 });
}
