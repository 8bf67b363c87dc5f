/**
 * Preloaded into sluice's main program: on SIGWINCH its newest thread is terminated from outside,
 * as if it had died: the one of checks, which is started last.
 */
import { Worker } from "node:worker_threads";

const RETRY_MS = 10;
const threads = new Set<Worker>();
let most = 0;
const on = Worker.prototype.on;

Worker.prototype.on = function (this: Worker, ...listener: Parameters<Worker["on"]>): Worker {
  if (!threads.has(this)) {
    threads.add(this);
    most = Math.max(most, threads.size);
    this.once("exit", () => void threads.delete(this));
  }
  return on.apply(this, listener);
};

/** While one that has just died is not replaced, the newest is another. */
function loseNewest(): void {
  if (threads.size < most) setTimeout(loseNewest, RETRY_MS);
  else void [...threads].at(-1)?.terminate();
}

process.on("SIGWINCH", loseNewest);
