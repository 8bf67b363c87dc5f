/** A worker thread that does nothing but answer: for workers.test.ts. */
import { parentPort, workerData } from "node:worker_threads";

import type { ToWorker, WorkerStart } from "../../../src/tables/mutations.ts";

const { worker } = workerData as WorkerStart;

parentPort!.on("message", (message: ToWorker) => {
  if (message.type === "shutdown") {
    // Worker 3 never answers: it dies instead.
    if (worker === 3) process.exit(7);
    const { selector } = message;
    // Asked about frontend 2, worker 2 says nothing at all.
    if (selector.kind === "frontend" && selector.row === worker) return;
    parentPort!.postMessage({ type: "shut", id: message.id, count: worker * 10 });
  }
  if (message.type === "ask") {
    if (worker === 3) process.exit(7);
    parentPort!.postMessage({ type: "answer", id: message.id, answer: { kind: "ping" } });
  }
  if (message.type === "exit") process.exit(5);
});
parentPort!.postMessage({ type: "ready", worker });
