/**
 * Preloaded into sluice's main program: on SIGWINCH one of its worker threads is terminated from
 * outside, as if it had died. Nothing of the program itself is changed. Threads are known by the
 * listeners that the control plane puts on them.
 */
import { Worker } from "node:worker_threads";

const RETRY_MS = 10;
const threads = new Set<Worker>();
const on = Worker.prototype.on;

Worker.prototype.on = function (this: Worker, ...listener: Parameters<Worker["on"]>): Worker {
  if (!threads.has(this)) {
    threads.add(this);
    this.once("exit", () => void threads.delete(this));
  }
  return on.apply(this, listener);
};

/** The oldest thread; while all have just died, the next one that comes. */
function loseWorker(): void {
  const [oldest] = threads;
  if (oldest === undefined) setTimeout(loseWorker, RETRY_MS);
  else void oldest.terminate();
}

process.on("SIGWINCH", loseWorker);
