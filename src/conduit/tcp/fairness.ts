/**
 * Turns for readers: a socket that had much to read goes to the end of the line, so that one bulk
 * transfer does not starve the other streams of its worker. One list, one callback a loop turn.
 *
 * @hot
 */
import { onNextTurn } from "../../base/clock.ts";
import type { TcpConduit } from "./tcp-conduit.ts";

let waiting: TcpConduit[] = [];
let spare: TcpConduit[] = [];

/** Lets `conduit` read on in the next turn of the event loop. */
export function yieldReading(conduit: TcpConduit): void {
  conduit.isYielding = true;
  if (waiting.length === 0) onNextTurn(resumeAll);
  waiting.push(conduit);
}

function resumeAll(): void {
  const batch = waiting;
  waiting = spare;
  for (let i = 0; i < batch.length; i++) batch[i]!.resumeReading();
  batch.length = 0;
  spare = batch;
}
