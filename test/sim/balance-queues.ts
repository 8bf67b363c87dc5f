/**
 * Streams that come to a backend, wait at its servers and leave, in simulated time: production
 * balancing, measuring of connect times and outlier ejection over servers that are a formula. It
 * answers when which algorithm wins; who may do what to whom is the business of the other
 * simulator (`world.ts`).
 *
 *   arrival ─▶ chooseServer ─▶ connect ─▶ FIFO queue of the server ─▶ answer ─▶ leaveServer
 *                    ▲            │ refused, or no answer in time
 *                    └────────────┘ another server, as with `option redispatch`
 */
import { chooseServer, leaveServer } from "../../src/balance/choose.ts";
import { firstByteBucket } from "../../src/balance/first-byte.ts";
import { HASH_NONE, Lb } from "../../src/balance/lb.ts";
import { samplePeak } from "../../src/balance/peak-ewma.ts";
import {
  BACK_COUNT_CONNECT_ATTEMPTS,
  BACK_COUNT_STRIDE,
} from "../../src/tables/generated/back-count.ts";
import {
  SERVER_CONNECT_FAILURES,
  SERVER_FIRST_BYTE,
  SERVER_STRIDE,
} from "../../src/tables/generated/server.ts";
import { makeRandom } from "../support/balancer-farm.ts";
import { OutlierLab } from "../support/outlier-lab.ts";

/** A server as a formula. Times in ms. */
export type QueueServer = {
  /** Connecting takes this, a quarter more or less. */
  connectMs: number;
  /** Mean of the exponential time that one stream works. */
  serviceMs: number;
  /** Streams that it works on at a time; others wait in order. */
  slots: number;
  /** Connections are refused in this time. */
  refusesInMs?: number;
  /** It stands still now and then, connections included. */
  pause?: { everyMs: number; forMs: number };
  /** Weight of its line. */
  weight?: number;
};

/** What is simulated. */
export type QueueCase = {
  name: string;
  servers: readonly QueueServer[];
  arrivalsPerSecond: number;
};

/** Lines of a backend's configuration besides its servers. */
export type Contestant = { name: string; lines: string };

/** What came of it. */
export type QueueResult = {
  p50: number;
  p99: number;
  /** Attempts that failed, percent of streams. */
  failedPercent: number;
  /** Streams that ran out of attempts. */
  lost: number;
  /** Streams by server. */
  served: number[];
  /** Ejections told in the log. */
  ejections: number;
};

/** Simulated time before anything is counted, ms. */
const WARM_UP_MS = 5000;
const RETRIES = 3;
/** What a failed attempt is to peak-ewma: `timeout connect` of the lab. */
const FAILURE_MS = 1000;

const ARRIVAL = 0;
const CONNECTED = 1;
const REFUSED = 2;
const DONE = 3;

type Event = {
  at: number;
  kind: number;
  server: number;
  begunMs: number;
  dialedMs: number;
  left: number;
};

/** Runs one case for one contestant. Deterministic by seed. */
export async function runQueues(
  subject: QueueCase,
  contestant: Contestant,
  seed: number,
  forMs: number,
): Promise<QueueResult> {
  const servers = subject.servers.map(({ weight = 1 }, i) => {
    return ` server s${i + 1} 127.0.0.1:${i + 1} weight ${weight}`;
  });
  const lab = await OutlierLab.make([contestant.lines, ...servers].join("\n"));
  return new Queues(subject, lab, seed, forMs).run();
}

class Queues {
  readonly #subject: QueueCase;
  readonly #lab: OutlierLab;
  readonly #lb: Lb;
  readonly #forMs: number;
  readonly #random: () => number;
  readonly #events = new EventHeap();
  readonly #rows: number[];
  readonly #backendRow: number;
  /** When each slot of each server is free again. */
  readonly #slots: number[][];
  /** A pause of each server begins this much after a multiple of its period. */
  readonly #phases: number[];
  readonly #times: number[] = [];
  readonly #served: number[];
  #failed = 0;
  #lost = 0;

  constructor(subject: QueueCase, lab: OutlierLab, seed: number, forMs: number) {
    const random = makeRandom(seed);
    this.#subject = subject;
    this.#lab = lab;
    this.#forMs = forMs;
    this.#random = () => (random() + 0.5) / 0x100000000;
    this.#lb = new Lb(lab.keeper.tables, 1, makeRandom(seed + 1));
    this.#backendRow = lab.backend.row;
    this.#rows = lab.backend.servers.map(({ row }) => row);
    this.#slots = subject.servers.map(({ slots }) => new Array<number>(slots).fill(0));
    this.#phases = subject.servers.map(({ pause }) => this.#random() * (pause?.everyMs ?? 0));
    this.#served = subject.servers.map(() => 0);
  }

  run(): QueueResult {
    const { clock } = this.#lab;
    this.#push(this.#gap(), ARRIVAL, 0, 0, 0, 0);
    for (let event = this.#events.pop(); event !== undefined; event = this.#events.pop()) {
      clock.advance(event.at - clock.nowMs);
      this.#lb.nowMs = clock.nowMs | 0;
      if (event.kind === ARRIVAL) this.#arrive();
      else if (event.kind === CONNECTED) this.#connected(event);
      else if (event.kind === REFUSED) this.#refused(event);
      else this.#done(event);
    }
    const sorted = Float64Array.from(this.#times).toSorted();
    const at = (part: number): number => sorted[Math.floor(sorted.length * part)] ?? 0;
    return {
      p50: at(0.5),
      p99: at(0.99),
      failedPercent: (this.#failed * 100) / Math.max(1, sorted.length),
      lost: this.#lost,
      served: this.#served,
      ejections: this.#lab.told.filter((text) => text.includes("is ejected")).length,
    };
  }

  #arrive(): void {
    const now = this.#lab.clock.nowMs;
    this.#dial(0, now, RETRIES);
    if (now < this.#forMs) this.#push(now + this.#gap(), ARRIVAL, 0, 0, 0, 0);
  }

  #dial(excludeRow: number, begunMs: number, left: number): void {
    const now = this.#lab.clock.nowMs;
    const row = chooseServer(this.#lb, this.#backendRow, HASH_NONE, 1, 1, excludeRow, 0);
    const server = this.#rows.indexOf(row);
    const { connectMs, refusesInMs } = this.#subject.servers[server]!;
    this.#count(row);
    if (refusesInMs !== undefined) {
      this.#push(now + refusesInMs, REFUSED, server, begunMs, now, left);
      return;
    }
    const wire = connectMs * (0.75 + 0.5 * this.#random());
    this.#push(this.#awake(server, now) + wire, CONNECTED, server, begunMs, now, left);
  }

  #connected({ server, begunMs, dialedMs, left }: Event): void {
    const now = this.#lab.clock.nowMs;
    const row = this.#rows[server]!;
    samplePeak(this.#lb, this.#backendRow, row, now - dialedMs, now);
    const slots = this.#slots[server]!;
    let slot = 0;
    for (let i = 1; i < slots.length; i++) if (slots[i]! < slots[slot]!) slot = i;
    const start = this.#awake(server, Math.max(now, slots[slot]!));
    const work = -Math.log(this.#random()) * this.#subject.servers[server]!.serviceMs;
    const end = this.#awake(server, start + work);
    slots[slot] = end;
    this.#push(end, DONE, server, begunMs, now, left);
  }

  #refused({ server, begunMs, left }: Event): void {
    const now = this.#lab.clock.nowMs;
    const row = this.#rows[server]!;
    samplePeak(this.#lb, this.#backendRow, row, FAILURE_MS, now);
    this.#lab.keeper.tables.servers.words[row + SERVER_CONNECT_FAILURES]!++;
    if (begunMs >= WARM_UP_MS) this.#failed++;
    leaveServer(this.#lb, this.#backendRow, row);
    if (left > 0) this.#dial(row, begunMs, left - 1);
    else this.#lost++;
  }

  /** The answer is one piece: it is there when the work is done. `dialedMs` = connected at. */
  #done({ server, begunMs, dialedMs }: Event): void {
    const now = this.#lab.clock.nowMs;
    const row = this.#rows[server]!;
    leaveServer(this.#lb, this.#backendRow, row);
    const { words } = this.#lab.keeper.tables.servers;
    words[row + SERVER_FIRST_BYTE + firstByteBucket(now - dialedMs)]!++;
    if (this.#lab.backend.spec.balance.timesFirstByte === true) {
      samplePeak(this.#lb, this.#backendRow, row, now - dialedMs, now);
    }
    if (begunMs < WARM_UP_MS) return;
    this.#times.push(now - begunMs);
    this.#served[server]!++;
  }

  #count(row: number): void {
    const { floats } = this.#lab.keeper.tables.perWorker[0]!.serverBack;
    const at = ((row / SERVER_STRIDE) * BACK_COUNT_STRIDE + BACK_COUNT_CONNECT_ATTEMPTS) >> 1;
    floats[at] = floats[at]! + 1;
  }

  /** `at`, or the end of the pause that it falls into. */
  #awake(server: number, at: number): number {
    const { pause } = this.#subject.servers[server]!;
    if (pause === undefined) return at;
    const since = (at + pause.everyMs - this.#phases[server]!) % pause.everyMs;
    return since < pause.forMs ? at + pause.forMs - since : at;
  }

  #gap(): number {
    return (-Math.log(this.#random()) * 1000) / this.#subject.arrivalsPerSecond;
  }

  #push(
    at: number,
    kind: number,
    server: number,
    begunMs: number,
    dialedMs: number,
    left: number,
  ): void {
    this.#events.push({ at, kind, server, begunMs, dialedMs, left });
  }
}

/** Events by time. */
class EventHeap {
  readonly #heap: Event[] = [];

  push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (heap[above]!.at <= event.at) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = event;
  }

  pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (last.at <= heap[child]!.at) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
