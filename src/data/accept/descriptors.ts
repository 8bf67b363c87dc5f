/**
 * Out of descriptors: Bun's accept fails silently and spins for as long as clients wait. So the
 * worker looks for a free descriptor now and then, and at once when a connection to a server could
 * not be had; if there is none, it stops accepting, says so once, and goes on when there is room.
 */
import { PROCESS_WORKER_COUNT } from "../../tables/generated/process.ts";
import { NOTE_STARVED, postNote } from "../../tables/inbox.ts";
import type { Engine } from "../engine.ts";
import { resumeListener } from "./admission.ts";

/** Distance of two looks while none is free, ms. */
const RETRY_MS = 100;
/** A shortage is told at most this often, ms. */
const QUIET_MS = 60_000;

/** Stops accepting if no descriptor is to be had. */
export function checkDescriptors(engine: Engine): void {
  if (engine.isStarved || engine.environment.hasDescriptor()) return;
  engine.isStarved = true;
  for (const listener of engine.listeners.values()) listener.socket?.pause();
  sayOnce(engine);
  tellOthers(engine);
  waitForRoom(engine);
}

/** Descriptors are the process's: another worker may be spinning without a stream of its own. */
function tellOthers(engine: Engine): void {
  const count = engine.tables.process.words[PROCESS_WORKER_COUNT]!;
  for (let worker = 1; worker <= count; worker++) {
    if (worker === engine.worker) continue;
    postNote(engine.tables, engine.worker, worker, NOTE_STARVED, 0, 0, 0);
  }
}

/** One message for a shortage, however often it eases and returns. */
function sayOnce(engine: Engine): void {
  const now = engine.clock.nowMs();
  if (now - engine.starvedToldMs < QUIET_MS) return;
  engine.starvedToldMs = now;
  engine.environment.notice(
    "no descriptor is left: accepting pauses until connections end (raise 'ulimit -n', or lower" +
      " 'maxconn' to less than half of it)",
  );
}

function waitForRoom(engine: Engine): void {
  engine.environment.startTimer(RETRY_MS, () => {
    if (!engine.environment.hasDescriptor()) {
      waitForRoom(engine);
      return;
    }
    engine.isStarved = false;
    for (const listener of engine.listeners.values()) resumeListener(engine, listener);
  });
}
