/**
 * Entry of a data-plane thread: makes the engine over its sockets, replays the mutation log, and
 * follows control's messages. What happens to a connection is in data/stream.ts.
 */
import { parentPort, workerData } from "node:worker_threads";

import { describeError } from "./base/assert.ts";
import { alignClock, systemClock } from "./base/clock.ts";
import { random32 } from "./base/prng.ts";
import { nativeModule, useNativeAddresses } from "./conduit/native.ts";
import { applyMutations } from "./data/apply.ts";
import { answerQuestion } from "./data/ask/answer.ts";
import { Engine } from "./data/engine.ts";
import type { Environment } from "./data/engine.ts";
import { runFor } from "./data/owner.ts";
import { shutBySelector } from "./data/shutdown.ts";
import { CONTROL_THREAD, ringBell, setDescriptorRinger } from "./tables/inbox.ts";
import { unpackMutations } from "./tables/mutations.ts";
import type { FromWorker, ToWorker, WorkerGlobals, WorkerStart } from "./tables/mutations.ts";
import { packAnswer } from "./tables/questions.ts";
import { Tables } from "./tables/tables.ts";
import { makeBunSockets } from "./worker/bun-sockets.ts";
import { makeOwnLoop } from "./worker/own-loop.ts";

const { worker, blocks, log, native, bell, clockOriginMs, quicMemory } = workerData as WorkerStart;
alignClock(clockOriginMs);
useNativeAddresses(native);
const tables = new Tables(blocks);

function tell(message: FromWorker): void {
  parentPort!.postMessage(message);
}

function fault(where: string, text: string): void {
  tell({ type: "fault", text: `${where}: ${text}` });
}

const module = nativeModule();
const isOwnLoop = module !== null && process.env["SLUICE_LOOP"] !== "bun";
if (module !== null) setDescriptorRinger((fd) => module.ring(fd));
const notice = (text: string): void => tell({ type: "notice", text });
const ringControl = (): void => void ringBell(tables, CONTROL_THREAD);
const parts = { worker, bell, tables, quicMemory, fault, notice, ringControl };
const sockets = isOwnLoop ? makeOwnLoop({ native: module, ...parts }) : makeBunSockets(fault);

function threadCpuMicros(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

const environment: Environment = {
  ...sockets,
  fault,
  clock: systemClock,
  random32,
  cpuMicros: threadCpuMicros,
  ringControl,
  notice,
  serverErrors: (row, generation, count) => tell({ type: "errors", row, generation, count }),
  stopped: () => sockets.stop(() => tell({ type: "stopped" })),
};

const NO_GLOBALS: WorkerGlobals = {
  bufsize: 0,
  rcvbufClient: 0,
  rcvbufServer: 0,
  sndbufClient: 0,
  sndbufServer: 0,
  maxaccept: 0,
  logAllStreams: false,
  isQuicEnabled: false,
  hostName: "",
};

process.on("uncaughtException", (error) => fault("uncaught", describeError(error)));
process.on("unhandledRejection", (error) => fault("unhandled rejection", describeError(error)));

runFor(worker);
const engine = new Engine(worker, tables, environment, NO_GLOBALS);
parentPort!.on("message", (message: ToWorker) => {
  switch (message.type) {
    case "mutations":
      applyMutations(engine, unpackMutations(message.batch));
      return;
    case "shutdown":
      shutBySelector(engine, message, (count) => tell({ type: "shut", id: message.id, count }));
      return;
    case "ask":
      tell({
        type: "answer",
        id: message.id,
        answer: packAnswer(answerQuestion(engine, message.question)),
      });
      return;
    case "exit":
      sockets.cut();
      process.exit(0);
  }
});
applyMutations(engine, unpackMutations(log));
sockets.start(engine);
tell({ type: "ready", worker });
