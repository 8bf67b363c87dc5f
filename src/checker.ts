/**
 * Entry of the thread of checks: follows control's orders over its own sockets and timers. What a
 * check does is in check/.
 */
import { parentPort, workerData } from "node:worker_threads";

import { describeError } from "./base/assert.ts";
import { alignClock, onNextTurn, startTimer, systemClock } from "./base/clock.ts";
import { random32 } from "./base/prng.ts";
import { systemLibc } from "./base/system-libc.ts";
import { checkLoop } from "./check/check-loop.ts";
import type { ChecksStart, FromChecks, ToChecks } from "./check/messages.ts";
import { isDown, servedOf, stateText } from "./check/server-facts.ts";
import { makeStartProbe } from "./check/start-probe.ts";
import { CheckStation } from "./check/station.ts";
import { useNativeAddresses } from "./conduit/native.ts";
import { useQuicAddresses } from "./conduit/quic/native-quic.ts";
import { Tables } from "./tables/tables.ts";

const start = workerData as ChecksStart;
alignClock(start.clockOriginMs);
useNativeAddresses(start.native);
// Before the first QUIC server comes there is none to look for.
useQuicAddresses(null);
const tables = new Tables(start.blocks);
const environment = new Map(Object.entries(start.environment));

/** A third of the weight of another thread. */
const NICE_STEPS = 5;

function tell(message: FromChecks): void {
  parentPort!.postMessage(message);
}

// Streams first: where processors are scarce, a burst of checks waits for them, and still has
// enough of one for thousands of servers. What is late then is no failure (check/checker.ts).
systemLibc().yieldTo(NICE_STEPS);

const loop = checkLoop();
if (loop !== null) tell({ type: "loop", pointer: loop.pointer });

const station = new CheckStation({
  tables,
  nowMs: systemClock.nowMs,
  startTimer,
  random32,
  startProbe: makeStartProbe({
    nowMs: systemClock.nowMs,
    epochMicros: systemClock.epochMicros,
    random32,
    startTimer,
    strerror: (errno) => systemLibc().strerror(errno),
    environment: (name) => environment.get(name),
    environmentAll: () => start.environment,
    stateOf: (names) => stateText(tables, names, start.node),
    isDown: (names) => isDown(tables, names),
    servedOf: (names) => servedOf(tables, names),
    answerBytesMax: start.answerBytesMax,
    programs: new Int32Array(start.estate.programs),
    quic: {
      memory: start.estate.quicMemory,
      made: (pointer) => tell({ type: "engine", pointer }),
    },
  }),
  spreadPercent: start.spreadPercent,
  maxSpreadMs: start.maxSpreadMs,
  probesMax: start.probesMax,
  crowded: (crowd) => tell({ type: "crowd", crowd }),
  tell: (news) => tell({ type: "news", news }),
  soon: onNextTurn,
  pong: () => tell({ type: "pong" }),
  useQuic: useQuicAddresses,
});

function fault(where: string, error: unknown): void {
  tell({ type: "fault", text: `${where}: ${describeError(error)}` });
}

process.on("uncaughtException", (error) => fault("uncaught", error));
process.on("unhandledRejection", (error) => fault("unhandled rejection", error));
parentPort!.on("message", (order: ToChecks) => station.follow(order));
