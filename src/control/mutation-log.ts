/**
 * The ordered log of structural changes, as control writes it: numbered, sent to all workers that
 * run. It is not kept: a worker that starts later is given the objects as they are by then, as a
 * log that makes them (`replay.ts`), and everything after.
 */
import { onNextTurn } from "../base/clock.ts";
import { PROCESS_PUBLISHED_SEQUENCE } from "../tables/generated/process.ts";
import { MUTATION_VERSION } from "../tables/mutations.ts";
import type { Mutation, MutationRecord } from "../tables/mutations.ts";
import type { Tables } from "../tables/tables.ts";

export class MutationLog {
  readonly #tables: Tables;
  readonly #send: (records: MutationRecord[]) => void;
  #unsent: MutationRecord[] = [];
  #sequence = 0;
  #willFlush = false;
  readonly #nextTurn: (run: () => void) => void;

  /**
   * @param send delivers a batch to all running workers, in order
   * @param nextTurn runs a callback in the next turn of the event loop
   */
  constructor(
    tables: Tables,
    send: (records: MutationRecord[]) => void,
    nextTurn: (run: () => void) => void = onNextTurn,
  ) {
    this.#tables = tables;
    this.#send = send;
    this.#nextTurn = nextTurn;
  }

  /** Number of the last change. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Adds one change. @returns its sequence number */
  append(mutation: Mutation): number {
    this.#sequence++;
    this.#unsent.push({ version: MUTATION_VERSION, sequence: this.#sequence, mutation });
    return this.#sequence;
  }

  /** Sends what was appended, together with all that is appended in this turn. */
  flushSoon(): void {
    if (this.#willFlush) return;
    this.#willFlush = true;
    this.#nextTurn(() => {
      this.#willFlush = false;
      this.flush();
    });
  }

  /** Sends what was appended since the last flush. */
  flush(): void {
    if (this.#unsent.length === 0) return;
    const batch = this.#unsent;
    this.#unsent = [];
    this.#tables.process.words[PROCESS_PUBLISHED_SEQUENCE] = this.#sequence;
    this.#send(batch);
  }
}
