/**
 * One `expect` at work: looks at an answer as it grows, until it can tell. What was looked at is
 * not looked at again, so that an answer of many small parts costs no more than one of a piece.
 * Thread of checks. Source: HAProxy manual 4.2 (`tcp-check expect`, `http-check expect`); when
 * HAProxy waits for more, and its sentences, were observed on it.
 */
import { ByteMatcher } from "../../expr/byte-regex.ts";
import type { CheckContext } from "./check-context.ts";
import { hexBytes } from "./check-format.ts";
import type { ExpectStep } from "./compile.ts";

/** What it makes of an answer so far. `failed`: HAProxy's words, and the code it goes with. */
export type Verdict =
  | { kind: "wait" }
  | { kind: "passed" }
  | {
      kind: "failed";
      words: string;
      code: "L7RSP" | "L7STS";
      /** No `error-status` changes the code: nothing was compared. */
      isFinal?: boolean;
    };

const WAIT: Verdict = { kind: "wait" };
const PASSED: Verdict = { kind: "passed" };
const EMPTY_FORMAT = "log-format string evaluated to an empty string";
const NO_HEX = "Failed to parse hexastring resulting of eval of a log-format string";
const HEX_DIGITS = "0123456789ABCDEF";

/** The state of one step while it waits. */
export class Expectation {
  readonly #step: ExpectStep & { number: number };
  readonly #isHttp: boolean;
  /** Bytes of an answer in hexadecimal that fit where HAProxy puts their digits. */
  readonly #hexBytesMax: number;
  #needle: Uint8Array | undefined;
  #matcher: ByteMatcher | undefined;
  /** Bytes that were looked at. */
  #seen = 0;
  #isFound = false;

  /** @param answerBytesMax most bytes of an answer that are kept */
  constructor(step: ExpectStep & { number: number }, isHttp: boolean, answerBytesMax: number) {
    this.#step = step;
    this.#isHttp = isHttp;
    this.#hexBytesMax = Math.max(0, (answerBytesMax >> 1) - 1);
  }

  /** @param isLast nothing further comes, or is kept */
  look(context: CheckContext, isLast: boolean): Verdict {
    return this.#isHttp ? this.#lookAtHttp(context, isLast) : this.#lookAtBytes(context, isLast);
  }

  #lookAtBytes(context: CheckContext, isLast: boolean): Verdict {
    const { bytes } = context;
    const problem = this.#prepare(context);
    if (problem !== undefined) return problem;
    if (!isLast && this.#isShort(bytes.length)) return WAIT;
    const isFound = this.#search(bytes);
    if (!isFound && !isLast && this.#step.spec.minRecv === -1) return WAIT;
    if (isFound !== this.#step.spec.isNegated) return PASSED;
    const what = isFound ? "matched unwanted content" : "did not match content";
    const words = `TCPCHK ${what}${this.#contentWords()} at step ${this.#step.number}`;
    return { kind: "failed", words, code: "L7RSP" };
  }

  #lookAtHttp(context: CheckContext, isLast: boolean): Verdict {
    const answer = context.http;
    if (answer === undefined || answer.isWrong || (!answer.hasHead && isLast)) {
      return { kind: "failed", words: "", code: "L7RSP", isFinal: true };
    }
    if (!answer.hasHead) return WAIT;
    const { wanted, spec } = this.#step;
    switch (wanted.kind) {
      case "status": {
        const { status } = answer;
        const isIn = wanted.ranges.some(({ from, to }) => status >= from && status <= to);
        return this.#judge(isIn, answer.reason);
      }
      case "status-regex": {
        this.#matcher ??= new ByteMatcher(wanted.regex);
        this.#matcher.feed(Buffer.from(String(answer.status).padStart(3, "0")));
        return this.#judge(this.#matcher.matches(), answer.reason);
      }
      case "header": {
        const isThere = wanted.test(answer, context);
        if (isThere === undefined) return { kind: "failed", words: EMPTY_FORMAT, code: "L7RSP" };
        return this.#judge(isThere, answer.reason);
      }
      default:
        return this.#lookAtBody(context, isLast || answer.isComplete, spec.isNegated);
    }
  }

  /** Of what is known with the head. */
  #judge(isFound: boolean, reason: string): Verdict {
    if (isFound !== this.#step.spec.isNegated) return PASSED;
    return { kind: "failed", words: reason, code: "L7STS" };
  }

  #lookAtBody(context: CheckContext, isLast: boolean, isNegated: boolean): Verdict {
    const body = context.body();
    if (body.length === 0) {
      if (!isLast) return WAIT;
      const words = "HTTP content check could not find a response body";
      return { kind: "failed", words, code: "L7RSP" };
    }
    const problem = this.#prepare(context);
    if (problem !== undefined) return problem;
    if (!isLast && this.#isShort(body.length)) return WAIT;
    const isFound = this.#search(body);
    if (!isFound && !isLast && this.#step.spec.minRecv === -1) return WAIT;
    if (isFound !== isNegated) return PASSED;
    const words = isNegated
      ? "HTTP check matched unwanted content"
      : "HTTP content check did not match";
    return { kind: "failed", words, code: "L7RSP" };
  }

  /** Makes what is looked for, where a format makes it. */
  #prepare(context: CheckContext): Verdict | undefined {
    const { wanted } = this.#step;
    if (wanted.kind !== "bytes" || this.#needle !== undefined) return undefined;
    this.#needle = wanted.needle;
    if (wanted.format === undefined) return undefined;
    const made = wanted.format(context);
    if (made.length === 0) return { kind: "failed", words: EMPTY_FORMAT, code: "L7RSP" };
    const needle = wanted.isHex ? hexBytes(made) : made;
    if (needle === undefined) return { kind: "failed", words: NO_HEX, code: "L7RSP" };
    // What a format returns may be used again by it.
    this.#needle = needle.slice();
    return undefined;
  }

  /** More has to come before it is worth a look. */
  #isShort(length: number): boolean {
    const { wanted, spec } = this.#step;
    const isFixed = wanted.kind === "bytes" && wanted.format === undefined;
    if (isFixed && length < (this.#needle?.length ?? 0)) return true;
    return spec.minRecv > 0 && length < spec.minRecv;
  }

  #search(bytes: Uint8Array): boolean {
    if (this.#isFound) return true;
    const { wanted } = this.#step;
    if (wanted.kind === "bytes") {
      const needle = this.#needle!;
      // It may have begun in what was looked at.
      const from = Math.max(0, this.#seen - needle.length + 1);
      this.#isFound = asBuffer(bytes).indexOf(needle, from) >= 0;
      this.#seen = bytes.length;
      return this.#isFound;
    }
    if (wanted.kind !== "regex" && wanted.kind !== "hex-regex") return false;
    this.#matcher ??= new ByteMatcher(wanted.regex);
    if (wanted.kind === "regex") this.#matcher.feed(bytes.subarray(this.#seen));
    else this.#feedHex(bytes);
    this.#seen = bytes.length;
    return this.#matcher.matches();
  }

  #feedHex(bytes: Uint8Array): void {
    const end = Math.min(bytes.length, this.#hexBytesMax);
    if (this.#seen >= end) return;
    const digits = new Uint8Array(2 * (end - this.#seen));
    for (let at = this.#seen; at < end; at++) {
      const byte = bytes[at] ?? 0;
      const to = 2 * (at - this.#seen);
      digits[to] = HEX_DIGITS.charCodeAt(byte >> 4);
      digits[to + 1] = HEX_DIGITS.charCodeAt(byte & 15);
    }
    this.#matcher?.feed(digits);
  }

  /** How the sentence calls what was looked for. */
  #contentWords(): string {
    const { match } = this.#step.spec;
    switch (match.kind) {
      case "string":
        return ` '${match.pattern}'`;
      case "binary":
        return " (binary)";
      case "regex":
        return " (regex)";
      case "binary-regex":
        return " (binary regex)";
      case "string-format":
        return " (log-format string)";
      case "binary-format":
        return " (log-format binary)";
      case "status":
      case "status-regex":
      case "header":
        return "";
    }
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
