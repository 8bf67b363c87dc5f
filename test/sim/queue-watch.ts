/**
 * Invariants of the queues: lengths, links, order, who stands in them, who is granted a slot, and
 * that nobody waits while a slot is free.
 */
import { isLimitDynamic, serverLimit } from "../../src/balance/limit.ts";
import { INBOX_ENTRIES, INBOX_ENTRY_WORDS } from "../../src/base/limits.ts";
import { STREAM_FREE, STREAM_QUEUE } from "../../src/data/stream.ts";
import type { Stream } from "../../src/data/stream.ts";
import {
  ALGORITHM_LEASTCONN,
  QUEUE_STATE_FREE,
  QUEUE_STATE_GRANTED,
  QUEUE_STATE_WAITING,
} from "../../src/tables/generated/enums.ts";
import {
  PROXY_ALGORITHM,
  PROXY_QUEUE_HEAD,
  PROXY_QUEUE_LENGTH,
  PROXY_QUEUE_TAIL,
  PROXY_QUEUE_TOTAL,
} from "../../src/tables/generated/proxy.ts";
import {
  QUEUE_BACKEND_ROW,
  QUEUE_GENERATION,
  QUEUE_GRANTED_SERVER,
  QUEUE_NEXT,
  QUEUE_PREVIOUS,
  QUEUE_SEQUENCE,
  QUEUE_SERVER_ROW,
  QUEUE_STATE,
  QUEUE_STREAM,
  QUEUE_STREAM_GENERATION,
  QUEUE_STRIDE,
  QUEUE_WORKER,
} from "../../src/tables/generated/queue.ts";
import {
  SERVER_MAXQUEUE,
  SERVER_QUEUE_HEAD,
  SERVER_QUEUE_LENGTH,
  SERVER_QUEUE_TAIL,
  SERVER_SERVED,
  SERVER_TIER_WEIGHT,
} from "../../src/tables/generated/server.ts";
import {
  WORKER_INBOX_HEAD,
  WORKER_INBOX_TAIL,
  WORKER_STRIDE,
} from "../../src/tables/generated/worker.ts";
import { NOTE_GRANT } from "../../src/tables/inbox.ts";
import { require } from "./violation.ts";
import type { World } from "./world.ts";

/** An entry as it was after the step before. */
type Seen = {
  state: number;
  generation: number;
  sequence: number;
  serverRow: number;
  stream: Stream | undefined;
  streamGeneration: number;
  retries: number;
};

export class QueueWatch {
  private readonly world: World;
  private readonly seen = new Map<number, Seen>();

  constructor(world: World) {
    this.world = world;
  }

  check(): void {
    const { world } = this;
    const { words } = world.tables.queue;
    let inUse = 0;
    for (let entry = QUEUE_STRIDE; entry < words.length; entry += QUEUE_STRIDE) {
      const state = words[entry + QUEUE_STATE]!;
      if (state === QUEUE_STATE_FREE && !this.seen.has(entry)) continue;
      if (state !== QUEUE_STATE_FREE) {
        inUse++;
        this.checkEntry(entry, state);
      }
    }
    let queued = 0;
    for (const worker of world.workers) {
      if (!worker.isRunning) continue;
      for (const stream of worker.engine.streams) {
        if (stream !== null && stream.state === STREAM_QUEUE) queued++;
      }
    }
    require(queued === inUse - this.orphans(), "queue entries are streams that wait", () =>
      `${inUse} entries, ${queued} streams`);
    for (const proxy of world.shop.model.proxies) {
      if (proxy.spec.hasBack) this.checkBackend(proxy.row);
    }
    if (this.seen.size > 0) this.checkOrder();
    this.remember();
  }

  /** An entry belongs to a stream that waits; a granted one to a stream that will be told. */
  private checkEntry(entry: number, state: number): void {
    const { world } = this;
    const { words } = world.tables.queue;
    const worker = world.workers[words[entry + QUEUE_WORKER]! - 1];
    require(worker !== undefined, "an entry has an owner");
    if (!worker.isRunning) return;
    const stream = worker.engine.streams[words[entry + QUEUE_STREAM]!];
    const name = (): string => `entry ${entry / QUEUE_STRIDE} of w${worker.number}`;
    require(stream !== undefined && stream !== null, "an entry has a stream", name);
    const isIts =
      stream.state === STREAM_QUEUE &&
      stream.queueEntry === entry &&
      stream.generation === words[entry + QUEUE_STREAM_GENERATION];
    require(isIts, "an entry belongs to a stream that waits", name);
    if (state !== QUEUE_STATE_GRANTED) return;
    require(this.isNoteUnderWay(worker.number, entry), "a grant is told to its worker", name);
  }

  private isNoteUnderWay(worker: number, entry: number): boolean {
    const { tables } = this.world;
    const { words } = tables.workers;
    const inbox = tables.perWorker[worker - 1]!.inbox.words;
    const row = worker * WORKER_STRIDE;
    const tail = words[row + WORKER_INBOX_TAIL]!;
    for (let head = words[row + WORKER_INBOX_HEAD]!; head !== tail; head = (head + 1) | 0) {
      const at = (head & (INBOX_ENTRIES - 1)) * INBOX_ENTRY_WORDS;
      if (inbox[at] === NOTE_GRANT && inbox[at + 1] === entry) return true;
    }
    return false;
  }

  /** Entries of workers that are gone and not yet buried. */
  private orphans(): number {
    const { words } = this.world.tables.queue;
    let count = 0;
    for (let entry = QUEUE_STRIDE; entry < words.length; entry += QUEUE_STRIDE) {
      if (words[entry + QUEUE_STATE] === QUEUE_STATE_FREE) continue;
      if (!this.world.workers[words[entry + QUEUE_WORKER]! - 1]!.isRunning) count++;
    }
    return count;
  }

  private checkBackend(row: number): void {
    const { world } = this;
    const proxies = world.tables.proxies.words;
    const servers = world.tables.servers.words;
    const any = this.walk(proxies[row + PROXY_QUEUE_HEAD]!, proxies[row + PROXY_QUEUE_TAIL]!, 0);
    require(any === proxies[row + PROXY_QUEUE_LENGTH], "a backend's queue is as long as it says");
    let total = any;
    for (const server of world.servers) {
      if (server.isGone || server.object.backend.row !== row) continue;
      const at = server.object.row;
      const head = servers[at + SERVER_QUEUE_HEAD]!;
      const own = this.walk(head, servers[at + SERVER_QUEUE_TAIL]!, at);
      require(own === servers[at + SERVER_QUEUE_LENGTH], "a server's queue is as long as it says");
      total += own;
      this.checkNoSlotIdle(row, at, own, any, server.object.spec.name);
    }
    require(total === proxies[row + PROXY_QUEUE_TOTAL], "a backend counts all who wait in it");
  }

  /** Length of a queue; its links, its order of arrival, whom it waits for. */
  private walk(head: number, tail: number, serverRow: number): number {
    const { words, floats } = this.world.tables.queue;
    let count = 0;
    let last = 0;
    let sequence = -1;
    for (let entry = head; entry !== 0; entry = words[entry + QUEUE_NEXT]!) {
      require(words[entry + QUEUE_STATE] === QUEUE_STATE_WAITING, "a queue holds who waits");
      require(words[entry + QUEUE_PREVIOUS] === last, "a queue is linked both ways");
      require(words[entry + QUEUE_SERVER_ROW] === serverRow, "an entry is in its own queue");
      const own = floats[(entry + QUEUE_SEQUENCE) >> 1]!;
      require(own > sequence, "a queue is in order of arrival");
      sequence = own;
      last = entry;
      count++;
    }
    require(tail === last, "a queue ends with its youngest");
    return count;
  }

  private checkNoSlotIdle(
    backendRow: number,
    serverRow: number,
    own: number,
    any: number,
    name: string,
  ): void {
    const { lb, tables } = this.world;
    const { words } = tables.servers;
    const waiting = own > 0 || (any > 0 && words[serverRow + SERVER_TIER_WEIGHT]! > 0);
    if (!waiting) return;
    // leastconn counts the queue of such a server as room. When its limit grows with the load,
    // waiters of the backend come to it with the next slot that is freed, and not at once.
    const fillsQueues = tables.proxies.words[backendRow + PROXY_ALGORITHM] === ALGORITHM_LEASTCONN;
    const maxqueue = words[serverRow + SERVER_MAXQUEUE]!;
    if (fillsQueues && maxqueue > 0 && isLimitDynamic(lb, backendRow, serverRow)) return;
    const served = words[serverRow + SERVER_SERVED]!;
    require(served >=
      serverLimit(lb, backendRow, serverRow), "nobody waits while a slot is free", () =>
      `${name}: ${served} served, ${own} wait for it, ${any} for any server`);
  }

  /** Who was granted a slot in this step was the oldest of those who could have had it. */
  private checkOrder(): void {
    const { world } = this;
    const { words } = world.tables.queue;
    for (const [entry, before] of this.seen) {
      const isSame = words[entry + QUEUE_GENERATION] === before.generation;
      const state = isSame ? words[entry + QUEUE_STATE]! : QUEUE_STATE_FREE;
      if (before.state === QUEUE_STATE_GRANTED) {
        if (state === QUEUE_STATE_FREE) this.markGranted(before);
        continue;
      }
      if (state === QUEUE_STATE_WAITING) continue;
      const row = state === QUEUE_STATE_GRANTED ? words[entry + QUEUE_GRANTED_SERVER]! : 0;
      if (row !== 0) world.marks.hit("grant to another worker");
      const server = row === 0 ? takenAtOnce(before) : row;
      if (server === 0) continue;
      if (row === 0) world.marks.hit("grant at once");
      this.requireOldest(before, server);
    }
  }

  private requireOldest(granted: Seen, serverRow: number): void {
    const { words } = this.world.tables.queue;
    const takesAny = this.world.tables.servers.words[serverRow + SERVER_TIER_WEIGHT]! > 0;
    for (const [entry, other] of this.seen) {
      if (other.state !== QUEUE_STATE_WAITING || other.sequence >= granted.sequence) continue;
      if (words[entry + QUEUE_GENERATION] !== other.generation) continue;
      if (words[entry + QUEUE_STATE] !== QUEUE_STATE_WAITING) continue;
      const wants = words[entry + QUEUE_SERVER_ROW]!;
      if (wants !== other.serverRow) continue;
      // Sequences are comparable within one backend only.
      if (words[entry + QUEUE_BACKEND_ROW] !== this.backendOf(serverRow)) continue;
      const couldHave = wants === serverRow || (wants === 0 && takesAny);
      require(!couldHave, "slots are granted in order of arrival", () =>
        `arrival ${granted.sequence} before ${other.sequence}`);
    }
  }

  private backendOf(serverRow: number): number {
    const found = this.world.servers.find((one) => !one.isGone && one.object.row === serverRow);
    return found?.object.backend.row ?? 0;
  }

  /** How a stream used, or lost, a grant that it had been given before this step. */
  private markGranted(before: Seen): void {
    const { stream, streamGeneration } = before;
    if (stream === undefined) return;
    const isGone = stream.generation !== streamGeneration || stream.state === STREAM_FREE;
    if (isGone) this.world.marks.hit("grant racing an abort");
    else if (this.world.isTimerEvent) this.world.marks.hit("grant racing a timeout");
  }

  private remember(): void {
    const { world, seen } = this;
    const { words, floats } = world.tables.queue;
    seen.clear();
    for (let entry = QUEUE_STRIDE; entry < words.length; entry += QUEUE_STRIDE) {
      const state = words[entry + QUEUE_STATE]!;
      if (state === QUEUE_STATE_FREE) continue;
      const worker = world.workers[words[entry + QUEUE_WORKER]! - 1]!;
      const stream = worker.isRunning
        ? (worker.engine.streams[words[entry + QUEUE_STREAM]!] ?? undefined)
        : undefined;
      seen.set(entry, {
        state,
        generation: words[entry + QUEUE_GENERATION]!,
        sequence: floats[(entry + QUEUE_SEQUENCE) >> 1]!,
        serverRow: words[entry + QUEUE_SERVER_ROW]!,
        stream,
        streamGeneration: words[entry + QUEUE_STREAM_GENERATION]!,
        retries: stream?.retries ?? 0,
      });
    }
  }
}

/** Server on which a stream that waited is now: its slot was granted and taken in one step. */
function takenAtOnce(before: Seen): number {
  const { stream } = before;
  if (stream === undefined || stream.generation !== before.streamGeneration) return 0;
  // It may have gone on to another server since.
  if (!stream.isAttached || stream.retries !== before.retries) return 0;
  return stream.server?.row ?? 0;
}
