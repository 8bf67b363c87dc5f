/**
 * Who runs on this thread: the third founding rule as an assertion. A stream is ended, put on a
 * server and taken off it by the worker that owns it, and by nobody else. A worker thread says once
 * which worker it is; the simulator, whose workers share a thread, says it for each event.
 *
 * @hot
 */
import { assert } from "../base/assert.ts";

/** Nobody has said who runs here: a test of single parts. */
const UNDECLARED = -1;

let running = UNDECLARED;

/**
 * From here on this thread runs for `worker`; 0 = for the control plane, which owns no stream.
 * @returns who it ran for before
 */
export function runFor(worker: number): number {
  const before = running;
  running = worker;
  return before;
}

/** Asserts that this thread runs for the worker. */
export function assertOwner(worker: number): void {
  if (running === UNDECLARED) return;
  assert(running === worker, "assertOwner: only its owner touches a stream");
}
