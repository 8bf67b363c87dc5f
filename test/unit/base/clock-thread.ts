/** A thread that counts its time as the one that started it does, and says what it is. */
import { parentPort, workerData } from "node:worker_threads";

import { alignClock, systemClock } from "../../../src/base/clock.ts";

alignClock(Number(workerData));
parentPort!.postMessage(systemClock.nowMs());
