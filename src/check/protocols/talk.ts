/**
 * A talk: messages to send and answers to expect, in order, over one connection. What all protocols
 * here have in common; each of them is a list of steps. Thread of checks.
 *
 * An answer that nothing comes of is waited for until the check's time is over. The server's end,
 * or an answer that is longer than what is kept, makes the step judge what is there.
 */
import { ECONNRESET } from "../../conduit/errno.ts";
import type { CheckEnvironment, Dialogue, Wire } from "../probe.ts";
import { inItsWords } from "../result.ts";
import type { CheckCode, CheckResult } from "../result.ts";

/** Most bytes of a server's words in a result: HAProxy's, in `last_chk`. */
export const WORDS_BYTES_MAX = 127;

const NUL = 0;
const LF = 10;
const CR = 13;

/** What an answer is so far. */
export type Judgement =
  /** More of it is needed. */
  | "wait"
  /** More is needed; if it does not come in time, this is the result. */
  | { late: CheckResult }
  /** As asked: that many bytes of it are read, and the talk goes on. */
  | { read: number }
  /** The check is over. */
  | CheckResult;

/** One step. */
export type TalkStep =
  | { send: Uint8Array }
  | {
      /** What HAProxy calls it: its list of steps for the protocol begins with 1. */
      number: number;
      /** @param isLast nothing further comes, or is kept. */
      expect(bytes: Uint8Array, isLast: boolean): Judgement;
      /** What an end without any byte is. */
      emptyCode: CheckCode;
    };

/** A list of steps, and how it ends. */
export type TalkOptions = {
  steps: readonly TalkStep[];
  /** When all steps are done. */
  result: CheckResult;
  /** The connection is closed in order, for servers that would log a reset. */
  isOrderly: boolean;
  /** What no answer in time is; L7TOUT without it. */
  lateCode?: CheckCode;
};

/** The talk of one check. */
export class Talk implements Dialogue {
  readonly #options: TalkOptions;
  readonly #environment: CheckEnvironment;
  #at = 0;
  #pending: CheckResult | undefined;
  #isOver = false;

  constructor(environment: CheckEnvironment, options: TalkOptions) {
    this.#environment = environment;
    this.#options = options;
  }

  opened(wire: Wire): void {
    this.#sayWhatIsDue(wire);
  }

  received(wire: Wire, bytes: Uint8Array, isFull: boolean): void {
    this.#judge(wire, bytes, isFull);
  }

  ended(wire: Wire, bytes: Uint8Array, wasReset: boolean): void {
    // What a server says before it hangs up on us is its reason.
    if (!wasReset || bytes.length > 0) this.#judge(wire, bytes, true, !wasReset);
    if (wasReset && !this.#isOver) this.#finish(wire, resetResult(this.#environment));
  }

  late(): CheckResult {
    return this.#pending ?? { code: this.#options.lateCode ?? "L7TOUT" };
  }

  #judge(wire: Wire, bytes: Uint8Array, isLast: boolean, isEnd = false): void {
    let rest = bytes;
    for (;;) {
      const step = this.#options.steps[this.#at];
      if (step === undefined || "send" in step) return;
      if (rest.length === 0) {
        if (isEnd) this.#finish(wire, emptyResult(step.emptyCode, step.number));
        return;
      }
      const judgement = step.expect(rest, isLast);
      if (judgement === "wait") return;
      if ("late" in judgement) {
        this.#pending = judgement.late;
        return;
      }
      if ("code" in judgement) {
        this.#finish(wire, judgement);
        return;
      }
      this.#pending = undefined;
      wire.drop(judgement.read);
      rest = rest.subarray(judgement.read);
      this.#at++;
      if (this.#sayWhatIsDue(wire)) return;
    }
  }

  /** @returns true when that was all */
  #sayWhatIsDue(wire: Wire): boolean {
    for (;;) {
      const step = this.#options.steps[this.#at];
      if (step === undefined) {
        this.#finish(wire, this.#options.result);
        return true;
      }
      if (!("send" in step)) return false;
      wire.send(step.send);
      this.#at++;
    }
  }

  #finish(wire: Wire, result: CheckResult): void {
    const hasNumber = result.code === "L7OK" || result.code === "L7STS";
    const whole = hasNumber && result.number === undefined ? { ...result, number: 0 } : result;
    this.#isOver = true;
    wire.finish(whole, this.#options.isOrderly);
  }
}

function emptyResult(code: CheckCode, stepNumber: number): CheckResult {
  return { code, info: `TCPCHK got an empty response at step ${stepNumber}` };
}

/** The server has reset the connection: HAProxy says what the socket says. */
export function resetResult(environment: CheckEnvironment): CheckResult {
  return { code: "SOCKERR", info: environment.strerror(ECONNRESET) };
}

/** A result in the server's own words: its line from `from`. */
export function lineResult(code: CheckCode, bytes: Uint8Array, from = 0): CheckResult {
  return inItsWords(code, lineOf(bytes, from));
}

/** Bytes from `from` up to CR, LF, NUL or the most that is kept, as text. */
export function lineOf(bytes: Uint8Array, from = 0): string {
  return textOf(bytes, from, (byte) => byte === CR || byte === LF || byte === NUL);
}

/** The same up to NUL only. */
export function textUpToNul(bytes: Uint8Array, from = 0): string {
  return textOf(bytes, from, (byte) => byte === NUL);
}

const decoder = new TextDecoder();

function textOf(bytes: Uint8Array, from: number, isEnd: (byte: number) => boolean): string {
  let end = Math.min(from, bytes.length);
  const limit = Math.min(bytes.length, from + WORDS_BYTES_MAX);
  while (end < limit && !isEnd(bytes[end] ?? NUL)) end++;
  return decoder.decode(bytes.subarray(from, end));
}

/** Text as bytes. */
export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
