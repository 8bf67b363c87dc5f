/**
 * Preloaded into sluice's main program: from SIGWINCH on, nothing that is sent to its oldest worker
 * thread arrives, as if the thread hung; at the next SIGWINCH everything arrives, in order.
 */
import { Worker } from "node:worker_threads";

type Post = Worker["postMessage"];

const withheld: Parameters<Post>[] = [];
const deliver = Worker.prototype.postMessage;
let oldest: Worker | undefined;
let isMute = false;

Worker.prototype.postMessage = function (this: Worker, ...message: Parameters<Post>): void {
  oldest ??= this;
  if (isMute && this === oldest) withheld.push(message);
  else deliver.apply(this, message);
} as Post;

process.on("SIGWINCH", () => {
  isMute = !isMute;
  if (isMute) return;
  for (const message of withheld.splice(0)) deliver.apply(oldest!, message);
});
