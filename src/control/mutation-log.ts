/**
 * The ordered log of structural changes, as control writes it: kept whole, so that a worker that
 * starts later begins where the others are, and sent to all that run.
 */
import { PROCESS_PUBLISHED_SEQUENCE } from "../tables/generated/process.ts";
import { MUTATION_VERSION } from "../tables/mutations.ts";
import type { Mutation, MutationRecord } from "../tables/mutations.ts";
import type { Tables } from "../tables/tables.ts";

export class MutationLog {
  private readonly tables: Tables;
  /** Everything since the start. */
  readonly records: MutationRecord[] = [];
  private unsent: MutationRecord[] = [];
  private readonly send: (records: MutationRecord[]) => void;

  /** @param send delivers a batch to all running workers, in order */
  constructor(tables: Tables, send: (records: MutationRecord[]) => void) {
    this.tables = tables;
    this.send = send;
  }

  /** Adds one change. @returns its sequence number */
  append(mutation: Mutation): number {
    const sequence = this.records.length + 1;
    const record = { version: MUTATION_VERSION, sequence, mutation };
    this.records.push(record);
    this.unsent.push(record);
    return sequence;
  }

  /** Sends what was appended since the last flush. */
  flush(): void {
    if (this.unsent.length === 0) return;
    const batch = this.unsent;
    this.unsent = [];
    this.tables.process.words[PROCESS_PUBLISHED_SEQUENCE] = batch.at(-1)!.sequence;
    this.send(batch);
  }
}
