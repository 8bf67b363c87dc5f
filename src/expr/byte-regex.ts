/**
 * Regular expressions over bytes that come bit by bit, in time linear in them whatever they are:
 * what a server answers cannot make a check slow. All places in the pattern that the bytes so far
 * may have led to are followed at once (Thompson, 1968; Cox, "Regular Expression Matching: the
 * Virtual Machine Approach", 2009); whether there is a match is all that is asked. Any thread.
 *
 * Cost: bytes × places that are alive at a time, a few of them in usual patterns.
 */
import {
  AT_END,
  AT_FINAL,
  AT_LINE_END,
  AT_LINE_START,
  AT_NO_WORD,
  AT_START,
  AT_WORD,
  isWordByte,
  OP_ASSERT,
  OP_MATCH,
  OP_SET,
  OP_SPLIT,
  parseByteRegex,
} from "./byte-regex-parse.ts";
import type { RegexProgram } from "./byte-regex-parse.ts";

/** Beside a place: neither byte nor newline. */
const NONE = -1;
const NEWLINE = 10;

/** A compiled pattern. */
export type ByteRegex = {
  readonly program: RegexProgram;
  /** Bytes that a match may begin with; undefined: any, or none at all. */
  readonly first: Uint8Array | undefined;
  /** It can only match where the text begins. */
  readonly isAnchored: boolean;
};

/** Compiles a pattern. @param pattern text: its bytes are its UTF-8 */
export function compileByteRegex(
  pattern: string,
): { ok: true; value: ByteRegex } | { ok: false; message: string } {
  const parsed = parseByteRegex(Buffer.from(pattern, "utf8").toString("latin1"));
  if (!parsed.ok) {
    // Named as it was written.
    const why = parsed.message.slice(parsed.message.lastIndexOf(" is invalid ("));
    return { ok: false, message: `regex '${pattern}'${why}` };
  }
  return { ok: true, value: { program: parsed.value, ...startOf(parsed.value) } };
}

/** What is known of where matches begin, taking assertions for true. */
function startOf(program: RegexProgram): Pick<ByteRegex, "first" | "isAnchored"> {
  const first = new Uint8Array(256);
  let isAny = false;
  let isAnchored = true;
  const seen = new Set<number>();
  const follow = (at: number, isBehindStart: boolean): void => {
    const key = at * 2 + (isBehindStart ? 1 : 0);
    if (seen.has(key)) return;
    seen.add(key);
    const op = program.ops[at];
    if (op === OP_SPLIT) {
      follow(program.x[at]!, isBehindStart);
      follow(program.y[at]!, isBehindStart);
    } else if (op === OP_ASSERT) {
      follow(program.x[at]!, isBehindStart || program.y[at] === AT_START);
    } else {
      if (!isBehindStart) isAnchored = false;
      const set = program.sets[at];
      if (set === undefined) isAny = true;
      else for (let byte = 0; byte < 256; byte++) first[byte]! |= set[byte]!;
    }
  };
  follow(program.start, false);
  return { first: isAny ? undefined : first, isAnchored };
}

/** Looks for a pattern in bytes that come in parts. */
export class ByteMatcher {
  readonly #regex: ByteRegex;
  readonly #program: RegexProgram;
  /** Places reached by the bytes so far, before assertions are looked at. */
  #pending: Int32Array;
  #pendingCount = 0;
  #next: Int32Array;
  /** Places that want a byte, while one is looked at. */
  readonly #alive: Int32Array;
  #aliveCount = 0;
  readonly #stack: Int32Array;
  readonly #marks: Int32Array;
  #mark = 0;
  #previous = NONE;
  /** The last byte is a newline, and not yet looked at: it may be the last of all. */
  #holdsNewline = false;
  #hasMatched = false;

  constructor(regex: ByteRegex) {
    const { program } = regex;
    const size = program.ops.length;
    this.#regex = regex;
    this.#program = program;
    this.#pending = new Int32Array(size);
    this.#next = new Int32Array(size);
    this.#alive = new Int32Array(size);
    this.#stack = new Int32Array(2 * size + 2);
    this.#marks = new Int32Array(size);
  }

  /** Takes the bytes that follow. */
  feed(bytes: Uint8Array): void {
    if (this.#hasMatched || bytes.length === 0) return;
    if (this.#holdsNewline) {
      this.#holdsNewline = false;
      this.#step(NEWLINE);
    }
    const last = bytes.length - 1;
    this.#holdsNewline = bytes[last] === NEWLINE;
    const end = this.#holdsNewline ? last : bytes.length;
    const { first, isAnchored } = this.#regex;
    for (let at = 0; at < end && !this.#hasMatched; at++) {
      const byte = bytes[at]!;
      if (this.#pendingCount === 0) {
        if (isAnchored && this.#previous !== NONE) return;
        if (first !== undefined && first[byte] === 0) {
          this.#previous = byte;
          continue;
        }
      }
      this.#step(byte);
    }
  }

  /** Is there a match, if nothing follows? */
  matches(): boolean {
    if (this.#hasMatched) return true;
    if (!this.#holdsNewline) return this.#spread(NONE, true);
    if (this.#spread(NEWLINE, true)) return true;
    const [pending, count, previous] = [this.#pending.slice(), this.#pendingCount, this.#previous];
    this.#step(NEWLINE);
    const isFound = this.#hasMatched || this.#spread(NONE, true);
    this.#pending = pending;
    this.#pendingCount = count;
    this.#previous = previous;
    this.#hasMatched = false;
    return isFound;
  }

  #step(byte: number): void {
    if (this.#spread(byte, false)) {
      this.#hasMatched = true;
      return;
    }
    const { sets, x } = this.#program;
    const next = this.#next;
    let count = 0;
    this.#mark++;
    for (let i = 0; i < this.#aliveCount; i++) {
      const at = this.#alive[i]!;
      if (sets[at]![byte] === 0) continue;
      const to = x[at]!;
      if (this.#marks[to] === this.#mark) continue;
      this.#marks[to] = this.#mark;
      next[count++] = to;
    }
    this.#next = this.#pending;
    this.#pending = next;
    this.#pendingCount = count;
    this.#previous = byte;
  }

  /**
   * Follows all places to those that want a byte.
   * @param following the byte behind this place @param isFinal nothing is behind that byte
   * @returns whether there is a match already
   */
  #spread(following: number, isFinal: boolean): boolean {
    const { start } = this.#program;
    this.#mark++;
    this.#aliveCount = 0;
    for (let i = 0; i < this.#pendingCount; i++) {
      if (this.#follow(this.#pending[i]!, following, isFinal)) return true;
    }
    if (this.#regex.isAnchored && this.#previous !== NONE) return false;
    return this.#follow(start, following, isFinal);
  }

  #follow(from: number, following: number, isFinal: boolean): boolean {
    const { ops, x, y } = this.#program;
    const stack = this.#stack;
    let depth = 0;
    stack[depth++] = from;
    while (depth > 0) {
      const at = stack[--depth]!;
      if (this.#marks[at] === this.#mark) continue;
      this.#marks[at] = this.#mark;
      switch (ops[at]) {
        case OP_SET:
          this.#alive[this.#aliveCount++] = at;
          break;
        case OP_SPLIT:
          stack[depth++] = y[at]!;
          stack[depth++] = x[at]!;
          break;
        case OP_ASSERT:
          if (this.#holds(y[at]!, following, isFinal)) stack[depth++] = x[at]!;
          break;
        case OP_MATCH:
          return true;
      }
    }
    return false;
  }

  #holds(assertion: number, following: number, isFinal: boolean): boolean {
    const previous = this.#previous;
    switch (assertion) {
      case AT_START:
        return previous === NONE;
      case AT_END:
        return following === NONE;
      case AT_FINAL:
        return following === NONE || (isFinal && following === NEWLINE);
      case AT_LINE_START:
        return previous === NONE || previous === NEWLINE;
      case AT_LINE_END:
        return following === NONE || following === NEWLINE;
      case AT_WORD:
      case AT_NO_WORD:
        return (isWordByte(previous) !== isWordByte(following)) === (assertion === AT_WORD);
      default:
        return false;
    }
  }
}
