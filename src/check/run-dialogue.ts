/**
 * Runs the dialogue of a protocol over one connection: opens it, tells the dialogue what happens,
 * and closes it with the dialogue's result. Thread of checks.
 */
import { openConnection } from "./connection.ts";
import type { Connection, ConnectionEars } from "./connection.ts";
import type { CheckJob, Dialogue, Probe, ProbeEars, Wire } from "./probe.ts";
import type { CheckResult } from "./result.ts";

/** @param answerBytesMax most bytes of an answer that are kept at a time */
export function runDialogue(
  job: CheckJob,
  dialogue: Dialogue,
  answerBytesMax: number,
  ears: ProbeEars,
): Probe {
  const run = new DialogueRun(dialogue, ears);
  run.begin(job, answerBytesMax);
  return run;
}

class DialogueRun implements Probe, Wire, ConnectionEars {
  readonly #dialogue: Dialogue;
  readonly #ears: ProbeEars;
  #connection: Connection | undefined;
  #isOpen = false;
  #isOver = false;

  constructor(dialogue: Dialogue, ears: ProbeEars) {
    this.#dialogue = dialogue;
    this.#ears = ears;
  }

  begin(job: CheckJob, answerBytesMax: number): void {
    this.#ears.connecting();
    const connection = openConnection(
      { ...job.target, isSilent: job.program.kind === "connect" },
      answerBytesMax,
      this,
    );
    this.#connection = connection;
    if (this.#isOver) connection.close();
  }

  // Probe.

  cancel(): void {
    this.#isOver = true;
    this.#connection?.close();
  }

  late(): CheckResult {
    if (!this.#isOpen) return this.#connection?.late() ?? { code: "L4TOUT" };
    return this.#dialogue.late?.() ?? { code: "L7TOUT" };
  }

  // Wire.

  send(bytes: Uint8Array): void {
    this.#connection?.send(bytes);
  }

  drop(count: number): void {
    this.#connection?.drop(count);
  }

  finish(result: CheckResult, isOrderly = false): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connection?.close(isOrderly);
    this.#ears.done(result);
  }

  // ConnectionEars.

  opened(): void {
    this.#isOpen = true;
    this.#ears.connected();
    this.#dialogue.opened(this);
  }

  received(bytes: Uint8Array, isFull: boolean): void {
    this.#dialogue.received(this, bytes, isFull);
  }

  ended(bytes: Uint8Array, wasReset: boolean): void {
    this.#dialogue.ended(this, bytes, wasReset);
  }

  failed(result: CheckResult): void {
    this.finish(result);
  }
}
