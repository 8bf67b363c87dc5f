/**
 * Entry of a data-plane thread: makes the engine over Bun's sockets, replays the mutation log, and
 * follows control's messages. What happens to a connection is in data/stream.ts.
 */
import { parentPort, workerData } from "node:worker_threads";

import { describeError } from "./base/assert.ts";
import { onNextTurn, startTimer, systemClock } from "./base/clock.ts";
import { random32 } from "./base/prng.ts";
import type { Conduit } from "./conduit/conduit.ts";
import { nativeModule, useNativeAddresses } from "./conduit/native.ts";
import { Acceptor } from "./conduit/tcp/acceptor.ts";
import type { AcceptSource } from "./conduit/tcp/acceptor.ts";
import { dialTcp, setDialFaultHandler } from "./conduit/tcp/dial.ts";
import type { TcpConduit } from "./conduit/tcp/tcp-conduit.ts";
import { checkDescriptors } from "./data/accept/descriptors.ts";
import { applyMutations } from "./data/apply.ts";
import { Engine } from "./data/engine.ts";
import type { Environment } from "./data/engine.ts";
import { shutBySelector } from "./data/shutdown.ts";
import { CONTROL_THREAD, ringBell } from "./tables/inbox.ts";
import { unpackMutations } from "./tables/mutations.ts";
import type { FromWorker, ToWorker, WorkerGlobals, WorkerStart } from "./tables/mutations.ts";
import type { BindSpec } from "./tables/spec.ts";
import { Tables } from "./tables/tables.ts";

const { worker, blocks, log, native } = workerData as WorkerStart;
useNativeAddresses(native);
const tables = new Tables(blocks);

function tell(message: FromWorker): void {
  parentPort!.postMessage(message);
}

function fault(where: string, text: string): void {
  tell({ type: "fault", text: `${where}: ${text}` });
}

function acceptSource(spec: BindSpec, fd: number): AcceptSource {
  const native = nativeModule();
  if (fd >= 0 && native !== null) return { kind: "fd", fd, native };
  return { kind: "address", address: spec.address, v6only: spec.v6only };
}

/** The highest descriptor seen: a new one may be the last. */
let highestDescriptor = 0;

function acceptOne(conduit: TcpConduit, onAccept: (conduit: Conduit) => void): void {
  const { fd } = conduit.socket as unknown as { fd: number };
  onAccept(conduit);
  if (fd <= highestDescriptor) return;
  highestDescriptor = fd;
  checkDescriptors(engine);
}

/** A descriptor that is always there, to try whether another one can be had. */
const STDERR = 2;

const environment: Environment = {
  clock: systemClock,
  startTimer,
  nextTurn: onNextTurn,
  dial: dialTcp,
  listen: (spec, fd, onAccept) =>
    new Acceptor(acceptSource(spec, fd), (conduit) => acceptOne(conduit, onAccept), fault),
  random32,
  hasDescriptor: () => {
    const native = nativeModule();
    const copy = native === null ? 0 : native.dup(STDERR);
    if (copy > 0) native!.close(copy);
    return copy >= 0;
  },
  ringControl: () => ringBell(tables, CONTROL_THREAD),
  notice: (text) => tell({ type: "notice", text }),
  stopped: () => tell({ type: "stopped" }),
};

const NO_GLOBALS: WorkerGlobals = {
  bufsize: 0,
  rcvbufClient: 0,
  rcvbufServer: 0,
  sndbufClient: 0,
  sndbufServer: 0,
  maxaccept: 0,
  logAllStreams: false,
  hostName: "",
};

setDialFaultHandler(fault);
process.on("uncaughtException", (error) => fault("uncaught", describeError(error)));
process.on("unhandledRejection", (error) => fault("unhandled rejection", describeError(error)));

const engine = new Engine(worker, tables, environment, NO_GLOBALS);
parentPort!.on("message", (message: ToWorker) => {
  switch (message.type) {
    case "mutations":
      applyMutations(engine, unpackMutations(message.batch));
      return;
    case "shutdown":
      tell({ type: "shut", id: message.id, count: shutBySelector(engine, message) });
      return;
    case "exit":
      process.exit(0);
  }
});
applyMutations(engine, unpackMutations(log));
engine.listenToBell();
tell({ type: "ready", worker });
