/**
 * Carries log records from the workers' rings to whoever formats them. Sleeps on control's bell;
 * a worker rings it after each record while control is asleep.
 */
import { WORKER_BELL, WORKER_BELL_ARMED, WORKER_STRIDE } from "../tables/generated/worker.ts";
import { CONTROL_THREAD } from "../tables/inbox.ts";
import { droppedRecords, peekRecord, releaseRecord, RING_FULL } from "../tables/log-ring.ts";
import type { Table, Tables } from "../tables/tables.ts";

/** Takes one record; `row` is valid until it returns. */
export type RecordHandler = (ring: Table, row: number) => void;

/** Records handled in one turn before others get theirs. */
const BATCH = 2048;

export class LogPump {
  private readonly tables: Tables;
  private readonly handle: RecordHandler;
  private readonly flush: () => void;
  private readonly yieldTurn: (run: () => void) => void;
  private readonly droppedSeen: number[];
  /** Records lost because a ring was full. */
  dropped = 0;
  /** Called each time the bell has rung: workers ring it for other reasons too. */
  onRing: () => void = () => {};

  /**
   * @param handle is given each record
   * @param flush is called after a batch
   * @param yieldTurn runs a callback in the next turn of the event loop
   */
  constructor(
    tables: Tables,
    handle: RecordHandler,
    flush: () => void,
    yieldTurn: (run: () => void) => void,
  ) {
    this.tables = tables;
    this.handle = handle;
    this.flush = flush;
    this.yieldTurn = yieldTurn;
    this.droppedSeen = tables.perWorker.map(() => 0);
  }

  /** Begins to listen; goes on for ever, whatever a handler throws. */
  start(): void {
    try {
      this.listen();
    } catch (error) {
      this.yieldTurn(() => this.start());
      throw error;
    }
  }

  private listen(): void {
    const words = this.tables.workers.words;
    const row = CONTROL_THREAD * WORKER_STRIDE;
    for (;;) {
      const bell = Atomics.load(words, row + WORKER_BELL);
      Atomics.store(words, row + WORKER_BELL_ARMED, 1);
      this.onRing();
      if (this.drain() >= BATCH) {
        this.yieldTurn(() => this.start());
        return;
      }
      const waiting = Atomics.waitAsync(words, row + WORKER_BELL, bell);
      if (waiting.async) {
        void waiting.value.then(() => this.start());
        return;
      }
    }
  }

  /** Handles what is there, a bounded number. @returns how many */
  drain(): number {
    let count = 0;
    this.tables.perWorker.forEach(({ logRing }, index) => {
      for (let left = BATCH; left > 0; left--) {
        const row = peekRecord(logRing.words);
        if (row === RING_FULL) break;
        try {
          this.handle(logRing, row);
        } finally {
          // A record that cannot be handled must not come again.
          releaseRecord(logRing.words);
        }
        count++;
      }
      const dropped = droppedRecords(logRing.words);
      this.dropped += (dropped - this.droppedSeen[index]!) | 0;
      this.droppedSeen[index] = dropped;
    });
    if (count > 0) this.flush();
    return count;
  }
}
