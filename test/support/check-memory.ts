/** Plays a script of a server to a dialogue in memory: no sockets, no clock. */
import type { CheckEnvironment, CheckJob, Dialogue, Wire } from "../../src/check/probe.ts";
import type { CheckResult } from "../../src/check/result.ts";
import type { CheckCase, ServerStep } from "./check-cases.ts";

/** What haproxy keeps of an answer by default (`tune.bufsize`). */
const ANSWER_BYTES_MAX = 16_384;

/** Effects that need no system. */
export const TEST_ENVIRONMENT: CheckEnvironment = {
  nowMs: () => 0,
  epochMicros: () => 0,
  random32: () => 0x12345678,
  startTimer: () => ({ stop: () => undefined }),
  strerror: (errno) => (errno === 104 ? "Connection reset by peer" : `error ${errno}`),
  environment: () => undefined,
  environmentAll: () => ({}),
  stateOf: () => "UP",
  isDown: () => false,
  servedOf: () => 0,
  answerBytesMax: ANSWER_BYTES_MAX,
};

/** A job whose target nobody connects to. */
export function jobOf(program: CheckCase["program"]): CheckJob {
  return {
    target: {
      address: { family: "ipv4", host: "127.0.0.1", port: 1 },
      proxyHeader: 0,
      mark: 0,
      tos: 0,
      names: {
        backend: "b",
        backendId: 1,
        server: "s",
        serverId: 1,
        maxconn: 0,
        rise: 2,
        fall: 3,
        serverRow: 0,
        backendRow: 0,
      },
    },
    program,
  };
}

/** One connection in memory. */
export class MemoryWire implements Wire {
  result: CheckResult | undefined;
  /** Results beyond the first: there may be none. */
  extra = 0;
  /** All that the dialogue has said. */
  sent = Buffer.alloc(0);
  isOrderly = false;
  #received = Buffer.alloc(0);
  #isFull = false;

  send(bytes: Uint8Array): void {
    this.sent = Buffer.concat([this.sent, bytes]);
  }

  drop(count: number): void {
    this.#received = this.#received.subarray(count);
    this.#isFull = false;
  }

  finish(result: CheckResult, isOrderly = false): void {
    if (this.result !== undefined) this.extra++;
    this.result ??= result;
    this.isOrderly = isOrderly;
  }

  /** Bytes arrive; what is too much is lost, as it is on a connection that is not read. */
  deliver(dialogue: Dialogue, bytes: Uint8Array): void {
    if (this.result !== undefined || this.#isFull) return;
    const all = Buffer.concat([this.#received, bytes]);
    this.#received = all.subarray(0, ANSWER_BYTES_MAX);
    this.#isFull = all.length >= ANSWER_BYTES_MAX;
    dialogue.received(this, this.#received, this.#isFull);
  }

  end(dialogue: Dialogue, wasReset: boolean): void {
    if (this.result === undefined) dialogue.ended(this, this.#received, wasReset);
  }
}

/** Plays the steps. @returns the result, that of the end of the time where nothing else came */
export function playInMemory(
  dialogue: Dialogue,
  steps: readonly ServerStep[],
): { result: CheckResult; wire: MemoryWire } {
  const wire = new MemoryWire();
  let heardFrom = 0;
  dialogue.opened(wire);
  for (const step of steps) {
    if (step === "close" || step === "reset") {
      // A close with bytes unread is a reset too.
      wire.end(dialogue, step === "reset" || heardFrom < wire.sent.length);
      break;
    }
    if ("wait" in step) {
      if (wire.sent.length - heardFrom < step.wait) break;
      heardFrom = wire.sent.length;
      continue;
    }
    const bytes = Buffer.from(step.send, "latin1");
    const pieces =
      step.isByteWise === true ? [...bytes].map((byte) => Uint8Array.of(byte)) : [bytes];
    for (const piece of pieces) wire.deliver(dialogue, piece);
  }
  return { result: wire.result ?? dialogue.late?.() ?? { code: "L7TOUT" }, wire };
}
