/** Has workers look again at limits that an operator has changed. */
import { PROCESS_WORKER_COUNT } from "../../tables/generated/process.ts";
import { CONTROL_THREAD, NOTE_RESUME, postNote } from "../../tables/inbox.ts";
import type { Tables } from "../../tables/tables.ts";

/** Wakes the listeners of a frontend on all workers, or all of them. @param proxyRow 0 = all */
export function wakeListeners(tables: Tables, proxyRow: number): void {
  const count = tables.process.words[PROCESS_WORKER_COUNT]!;
  for (let worker = 1; worker <= count; worker++) {
    postNote(tables, CONTROL_THREAD, worker, NOTE_RESUME, proxyRow, 0, 0);
  }
}
