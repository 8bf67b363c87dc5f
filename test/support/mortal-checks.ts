/**
 * A thread of checks that dies or hangs when the test says so: an order to remove check 1 throws,
 * check 2 ends the thread, check 3 keeps it busy for ever, check 4 has it tell of a crowd. Anything
 * else is followed by news of the orders since its start. It has a native loop with a socket in it,
 * a program that runs and a check of QUIC, like the real one.
 */
import { parentPort, workerData } from "node:worker_threads";

import { checkLoop } from "../../src/check/check-loop.ts";
import type { ChecksStart, FromChecks, ToChecks } from "../../src/check/messages.ts";
import { makeStartProbe } from "../../src/check/start-probe.ts";
import { OPT_COUNT, useNativeAddresses } from "../../src/conduit/native.ts";
import { encodeSocketAddress } from "../../src/conduit/sockaddr.ts";
import { jobOf, TEST_ENVIRONMENT } from "./check-memory.ts";
import { serverSpec } from "./sim-quic-lab.ts";

const THROWS = 1;
const EXITS = 2;
const HANGS = 3;
const CROWDED = 4;
/** Nobody answers there (RFC 5737). */
const SILENT = { family: "ipv4", host: "192.0.2.1", port: 9 } as const;

const start = workerData as ChecksStart;
useNativeAddresses(start.native);
const loop = checkLoop();
const tell = (message: FromChecks): void => parentPort!.postMessage(message);
if (loop !== null) {
  const address = encodeSocketAddress(SILENT).bytes;
  const dial = { address, source: null, options: new Int32Array(OPT_COUNT), interfaceName: null };
  const deaf = () => undefined;
  loop.connect(dial, { writable: deaf, plainBytes: deaf, plainEnd: deaf, lost: deaf, broke: deaf });
  tell({ type: "loop", pointer: loop.pointer });
}

const startProbe = makeStartProbe({
  ...TEST_ENVIRONMENT,
  programs: new Int32Array(start.estate.programs),
  quic: {
    memory: start.estate.quicMemory,
    made: (pointer) => tell({ type: "engine", pointer }),
  },
});
const program = start.environment["PROGRAM"];
const ears = { connecting: () => undefined, connected: () => undefined, done: () => undefined };
if (program !== undefined) {
  const external = { kind: "external", command: program, path: "/usr/bin:/bin" } as const;
  startProbe(jobOf({ ...external, preservesEnvironment: false, mayFork: true }), ears);
  const { target } = jobOf({ kind: "connect" });
  const quic = serverSpec();
  startProbe({ target: { ...target, address: SILENT, quic }, program: { kind: "connect" } }, ears);
}

parentPort!.on("message", (order: ToChecks) => {
  if (order.type === "ping") {
    tell({ type: "pong" });
    return;
  }
  const id = order.type === "remove" ? order.id : 0;
  if (id === THROWS) throw new Error("of the test");
  if (id === EXITS) process.exit(7);
  while (id === HANGS) continue;
  if (id === CROWDED) {
    tell({ type: "crowd", crowd: { probesMax: 5, delayed: 9, late: 3, waiting: 2 } });
  }
  tell({ type: "fault", text: `followed ${order.type} ${id}` });
});
