/**
 * The small farm of servers that all tests of balancing run on: one backend in real shared tables,
 * control, and several "workers" in one thread, each with its own handle and inbox.
 */
import { expect } from "bun:test";

import { chooseServer, leaveServer, takeGrant } from "../../src/balance/choose.ts";
import { createBackend, linkServer } from "../../src/balance/control.ts";
import { HASH_NONE, Lb } from "../../src/balance/lb.ts";
import { refreshBackend, refreshServer } from "../../src/balance/refresh.ts";
import {
  PROXY_FLAG_ALL_BACKUPS,
  PROXY_FLAG_BACK,
  SERVER_FLAG_BACKUP,
  SERVER_STATE_UP,
  WORKER_STATE_RUNNING,
} from "../../src/tables/generated/enums.ts";
import {
  PROXY_BACK_CURRENT,
  PROXY_FLAGS,
  PROXY_FULLCONN,
  PROXY_QUEUE_TOTAL,
  PROXY_REDISPATCH,
  PROXY_STRIDE,
} from "../../src/tables/generated/proxy.ts";
import {
  QUEUE_GRANTED_SERVER,
  QUEUE_STREAM,
  QUEUE_STREAM_GENERATION,
  QUEUE_WORKER,
} from "../../src/tables/generated/queue.ts";
import {
  SERVER_CONFIG_WEIGHT,
  SERVER_FLAGS,
  SERVER_ID,
  SERVER_MAXCONN,
  SERVER_MAXQUEUE,
  SERVER_MINCONN,
  SERVER_ORDER,
  SERVER_QUEUE_LENGTH,
  SERVER_SERVED,
  SERVER_STATE,
  SERVER_STRIDE,
  SERVER_THROTTLE,
  SERVER_WEIGHT,
} from "../../src/tables/generated/server.ts";
import { WORKER_STATE, WORKER_STRIDE } from "../../src/tables/generated/worker.ts";
import { drainInbox, NOTE_GRANT } from "../../src/tables/inbox.ts";
import type { BalanceSpec } from "../../src/tables/spec.ts";
import { reserveTables, Tables } from "../../src/tables/tables.ts";
import { checkBackend } from "./balancer-check.ts";

/** A server of a farm; what is left out is as in a configuration that does not say it. */
export type FarmServer = {
  weight?: number;
  maxconn?: number;
  minconn?: number;
  maxqueue?: number;
  backup?: boolean;
  id?: number;
  state?: number;
  throttle?: number;
};

/** A farm; what is left out is as in a configuration that does not say it. */
export type FarmOptions = {
  balance?: Partial<BalanceSpec>;
  servers: FarmServer[];
  workers?: number;
  fullconn?: number;
  allBackups?: boolean;
  redispatch?: number;
  queueEntries?: number;
  seed?: number;
};

const BALANCE: BalanceSpec = {
  algorithm: "roundrobin",
  draws: 2,
  hashType: "map-based",
  hashFunction: "sdbm",
  avalanche: false,
  balanceFactor: 0,
  decayMs: 10_000,
};

/** A grant as a worker's inbox delivers it. */
export type Grant = { worker: number; entry: number; slot: number; generation: number };

/** A small generator of random numbers with a seed (mulberry32): 0 .. 2^32 - 1. */
export function makeRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** One backend with servers, seen by control and by several workers. */
export class Farm {
  readonly tables: Tables;
  readonly control: Lb;
  /** By worker number; `lbs[0]` is control. */
  readonly lbs: Lb[] = [];
  readonly backend = PROXY_STRIDE;
  readonly rows: number[] = [];
  private nextSlot = 1;

  constructor(options: FarmOptions) {
    const workers = options.workers ?? 2;
    const servers = options.servers.length + 80;
    // Room for rings of servers of weight 256, twice.
    const arenaWords = Math.min(65_536 + servers * 65_536, 33_554_432);
    const queueEntries = options.queueEntries ?? 4096;
    const sizes = { workers, proxies: 4, listeners: 1, servers, queueEntries, arenaWords };
    this.tables = new Tables(reserveTables(sizes));
    for (let worker = 0; worker <= workers; worker++) {
      this.lbs.push(new Lb(this.tables, worker, makeRandom((options.seed ?? 1) * 100 + worker)));
      if (worker > 0) this.setWorkerState(worker, WORKER_STATE_RUNNING);
    }
    this.control = this.lbs[0]!;
    const words = this.tables.proxies.words;
    words[this.backend + PROXY_FLAGS] =
      PROXY_FLAG_BACK | (options.allBackups === true ? PROXY_FLAG_ALL_BACKUPS : 0);
    words[this.backend + PROXY_FULLCONN] = options.fullconn ?? 0;
    words[this.backend + PROXY_REDISPATCH] = options.redispatch ?? 0;
    createBackend(this.control, this.backend, { ...BALANCE, ...options.balance });
    for (const server of options.servers) this.link(server);
    refreshBackend(this.control, this.backend);
  }

  /** Adds a server; it is out of use until it is refreshed. */
  link(server: FarmServer): number {
    const index = this.rows.length;
    const row = (index + 1) * SERVER_STRIDE;
    this.rows.push(row);
    this.tables.servers.words[row + SERVER_ORDER] = index;
    this.tables.servers.words[row + SERVER_ID] = server.id ?? index + 1;
    this.tables.servers.words[row + SERVER_CONFIG_WEIGHT] = server.weight ?? 1;
    this.write(index, { weight: 1, state: SERVER_STATE_UP, ...server });
    linkServer(this.control, this.backend, row);
    if (server.throttle !== undefined) this.write(index, { throttle: server.throttle });
    return index;
  }

  /** Writes to a server's row as control does, without refreshing it. */
  write(index: number, server: FarmServer): void {
    const words = this.tables.servers.words;
    const row = this.rows[index]!;
    if (server.weight !== undefined) words[row + SERVER_WEIGHT] = server.weight;
    if (server.maxconn !== undefined) words[row + SERVER_MAXCONN] = server.maxconn;
    if (server.minconn !== undefined) words[row + SERVER_MINCONN] = server.minconn;
    if (server.maxqueue !== undefined) words[row + SERVER_MAXQUEUE] = server.maxqueue;
    if (server.state !== undefined) words[row + SERVER_STATE] = server.state;
    if (server.throttle !== undefined) words[row + SERVER_THROTTLE] = server.throttle;
    if (server.backup !== undefined)
      words[row + SERVER_FLAGS] = server.backup ? SERVER_FLAG_BACKUP : 0;
  }

  /** Changes a server as control does. @returns streams requeued */
  change(index: number, server: FarmServer): number {
    this.write(index, server);
    return refreshServer(this.control, this.backend, this.rows[index]!);
  }

  /**
   * A new stream of a worker chooses.
   * @returns index of the server, or the negative code of chooseServer
   */
  choose(worker: number, ask: { hash?: number; exclude?: number; forced?: number } = {}): number {
    const row = chooseServer(
      this.lbs[worker]!,
      this.backend,
      ask.hash ?? HASH_NONE,
      this.nextSlot++,
      worker,
      ask.exclude === undefined ? 0 : this.rows[ask.exclude]!,
      ask.forced === undefined ? 0 : this.rows[ask.forced]!,
    );
    return row > 0 ? this.indexOf(row) : row;
  }

  /** A stream of a worker leaves a server. @returns the worker's own entry if granted, or 0 */
  leave(worker: number, index: number): number {
    return leaveServer(this.lbs[worker]!, this.backend, this.rows[index]!);
  }

  /** Notes of grants that have come in for a worker. */
  grants(worker: number): Grant[] {
    const grants: Grant[] = [];
    drainInbox(this.tables, worker, (kind, entry, slot, generation) => {
      if (kind === NOTE_GRANT) grants.push({ worker, entry, slot, generation });
    });
    return grants;
  }

  /** Grants of all workers, in the order in which they were made. */
  allGrants(): Grant[] {
    const grants: Grant[] = [];
    for (let worker = 1; worker < this.lbs.length; worker++) grants.push(...this.grants(worker));
    return grants;
  }

  /** The grant that an entry stands for, as leaveServer returns it for its own thread. */
  grantOf(entry: number): Grant {
    const words = this.tables.queue.words;
    return {
      worker: words[entry + QUEUE_WORKER]!,
      entry,
      slot: words[entry + QUEUE_STREAM]!,
      generation: words[entry + QUEUE_STREAM_GENERATION]!,
    };
  }

  /** Takes a grant. @returns index of the server, -1 when it is stale */
  take(grant: Grant): number {
    const row = takeGrant(this.lbs[grant.worker]!, grant.entry, grant.slot, grant.generation);
    return row === 0 ? -1 : this.indexOf(row);
  }

  indexOf(row: number): number {
    // Rows are given out in order.
    const index = row / SERVER_STRIDE - 1;
    expect(this.rows[index]).toBe(row);
    return index;
  }

  /** Index of the server whose slot an entry was granted. */
  grantedServer(entry: number): number {
    return this.indexOf(this.tables.queue.words[entry + QUEUE_GRANTED_SERVER]!);
  }

  /** Streams that wait, on the backend and on all of its servers. */
  queueTotal(): number {
    return this.tables.proxies.words[this.backend + PROXY_QUEUE_TOTAL]!;
  }

  /** Streams that wait for one server in particular. */
  ownQueue(index: number): number {
    return this.tables.servers.words[this.rows[index]! + SERVER_QUEUE_LENGTH]!;
  }

  served(index: number): number {
    return this.tables.servers.words[this.rows[index]! + SERVER_SERVED]!;
  }

  /** Load of the backend, which dynamic limits follow. */
  setLoad(streams: number): void {
    this.tables.proxies.words[this.backend + PROXY_BACK_CURRENT] = streams;
  }

  setFullconn(streams: number): void {
    this.tables.proxies.words[this.backend + PROXY_FULLCONN] = streams;
    refreshBackend(this.control, this.backend);
  }

  setWorkerState(worker: number, state: number): void {
    Atomics.store(this.tables.workers.words, worker * WORKER_STRIDE + WORKER_STATE, state);
  }

  /** Fails the test if anything that the lock guards contradicts itself. */
  check(): void {
    expect(checkBackend(this.control, this.backend)).toEqual([]);
  }
}
