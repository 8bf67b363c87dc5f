/** Connections in memory for lists of steps: opened, filled and ended by the test. */
import type { ConnectionEars, ConnectionTarget } from "../../src/check/connection.ts";
import type { CheckResult } from "../../src/check/result.ts";
import { TEST_ENVIRONMENT } from "./check-memory.ts";

/** One connection. */
export class MemoryConnection {
  readonly target: ConnectionTarget;
  readonly ears: ConnectionEars;
  received: Uint8Array = new Uint8Array(0);
  /** All that was said. */
  sent = "";
  hasEnded = false;
  isClosed = false;
  /** It was closed in order. */
  isOrderly = false;

  constructor(target: ConnectionTarget, ears: ConnectionEars) {
    this.target = target;
    this.ears = ears;
  }

  get isFull(): boolean {
    return this.received.length >= TEST_ENVIRONMENT.answerBytesMax;
  }

  send(bytes: Uint8Array): void {
    if (this.isClosed) throw new Error("a closed connection was written to");
    this.sent += Buffer.from(bytes).toString("latin1");
  }

  drop(count: number): void {
    this.received = this.received.subarray(count);
  }

  close(isOrderly = false): void {
    this.isClosed = true;
    this.isOrderly = isOrderly;
  }

  late(): CheckResult {
    return { code: "L4TOUT" };
  }

  /** Bytes come; what is too much is lost, as on a connection that is not read. */
  deliver(bytes: Uint8Array | string): void {
    if (this.isClosed || this.isFull || this.hasEnded) return;
    const piece = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
    const all = Buffer.concat([this.received, piece]);
    this.received = all.subarray(0, TEST_ENVIRONMENT.answerBytesMax);
    this.ears.received(this.received, this.isFull);
  }

  end(wasReset: boolean): void {
    if (this.isClosed || this.hasEnded) return;
    this.hasEnded = true;
    this.ears.ended(this.received, wasReset);
  }
}
