/**
 * Bytes of a connection to commands: lines, `;`, quotes, backslashes, payloads. Pure: it knows no
 * sockets and no commands. HAProxy's rules (management manual 9.3), with quotes besides:
 *
 *   show info;show stat          two commands
 *   echo a\;b \\ c\ d            a backslash takes the next character as it is, a newline too
 *   set env N "a; b" 'c d'       a quote that begins a word goes to its like; in "…" \ escapes
 *   transaction <<               the next lines, up to an empty one, are the last command's payload
 *   transaction <<%END           the same, up to a line `%END`
 */
import {
  API_LINE_BYTES_MAX,
  API_PAYLOAD_BYTES_MAX,
  API_PAYLOAD_PATTERN_MAX,
  API_WORDS_MAX,
} from "../base/limits.ts";

/** One command as it was written. `problem`: why it cannot be run; its words are then useless. */
export type RawCommand = {
  words: string[];
  payload: string | undefined;
  problem: string | undefined;
};

/** What a reader has next. `starved`: bytes are missing. `broken`: the connection must end. */
export type Read =
  | { kind: "line"; commands: RawCommand[] }
  | { kind: "starved"; isInPayload: boolean }
  | { kind: "broken"; sentence: string };

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const BACKSLASH = 92;
const NOTHING = Buffer.alloc(0);

/** A payload that is being collected. */
type OpenPayload = { commands: RawCommand[]; pattern: string; lines: string[]; bytes: number };

/** The input of one connection. */
export class LineReader {
  #bytes: Buffer = NOTHING;
  /** Everything before is read, everything from `#end` on is room. */
  #at = 0;
  #end = 0;
  /** Everything before holds no end of the line that begins at `#at`. */
  #searched = 0;
  #payload: OpenPayload | undefined;
  #broken: string | undefined;

  /** Bytes that came and are not read yet. */
  get pendingBytes(): number {
    return this.#end - this.#at;
  }

  /** Adds what came. Kept, not copied, when nothing waits; else room grows with what waits. */
  push(bytes: Buffer): void {
    const pending = this.pendingBytes;
    this.#searched -= this.#at;
    if (pending === 0) {
      this.#bytes = bytes;
    } else if (this.#end + bytes.length <= this.#bytes.length) {
      this.#searched += this.#at;
      bytes.copy(this.#bytes, this.#end);
      this.#end += bytes.length;
      return;
    } else {
      const grown = Buffer.allocUnsafe(2 * (pending + bytes.length));
      this.#bytes.copy(grown, 0, this.#at, this.#end);
      bytes.copy(grown, pending);
      this.#bytes = grown;
    }
    this.#at = 0;
    this.#end = pending + bytes.length;
  }

  /** The next line with its payload, as far as it is there. */
  next(): Read {
    for (;;) {
      if (this.#broken !== undefined) return { kind: "broken", sentence: this.#broken };
      const isInPayload = this.#payload !== undefined;
      const end = isInPayload ? this.#findNewline() : this.#findEnd();
      this.#checkLength(end < 0 ? this.#end : end);
      if (this.#broken !== undefined) continue;
      if (end < 0) {
        return { kind: "starved", isInPayload };
      }
      const text = this.#take(end);
      const commands = isInPayload ? this.#payloadLine(text) : this.#commandLine(text);
      if (commands !== undefined) return { kind: "line", commands };
    }
  }

  /** Index of the newline that ends the command line, or -1; one behind a backslash does not. */
  #findEnd(): number {
    const bytes = this.#bytes;
    let at = this.#searched;
    for (; at < this.#end; at++) {
      if (bytes[at] === NEWLINE) return at;
      if (bytes[at] !== BACKSLASH) continue;
      // A backslash at the end of what is there is looked at again with what follows it.
      if (at + 1 >= this.#end) break;
      at++;
    }
    this.#searched = Math.min(at, this.#end);
    return -1;
  }

  /** Index of the newline that ends the line of a payload, or -1. */
  #findNewline(): number {
    const found = this.#bytes.indexOf(NEWLINE, this.#searched);
    if (found >= 0 && found < this.#end) return found;
    this.#searched = this.#end;
    return -1;
  }

  #checkLength(end: number): void {
    const length = end - this.#at;
    if (this.#payload === undefined) {
      if (length <= API_LINE_BYTES_MAX) return;
      this.#broken =
        "The command line is too big for the buffer size. " +
        `A line holds at most ${API_LINE_BYTES_MAX} bytes.`;
    } else {
      if (this.#payload.bytes + length <= API_PAYLOAD_BYTES_MAX) return;
      const most = `A payload holds at most ${API_PAYLOAD_BYTES_MAX} bytes.`;
      this.#broken = `The payload is too big. ${most}`;
    }
    this.#bytes = NOTHING;
    this.#at = this.#searched = this.#end = 0;
    this.#payload = undefined;
  }

  /** The text up to `end`, without a carriage return there; the reader goes past its newline. */
  #take(end: number): string {
    const hasReturn = end > this.#at && this.#bytes[end - 1] === CARRIAGE_RETURN;
    const text = this.#bytes.toString("utf8", this.#at, hasReturn ? end - 1 : end);
    this.#at = end + 1;
    this.#searched = this.#at;
    return text;
  }

  #commandLine(text: string): RawCommand[] | undefined {
    const { commands, pattern } = splitLine(text);
    if (pattern === undefined) return commands;
    this.#payload = { commands, pattern, lines: [], bytes: 0 };
    return undefined;
  }

  #payloadLine(text: string): RawCommand[] | undefined {
    const payload = this.#payload!;
    if (text !== payload.pattern) {
      payload.lines.push(text);
      payload.bytes += text.length + 1;
      return undefined;
    }
    this.#payload = undefined;
    const last = payload.commands.at(-1)!;
    last.payload = payload.lines.join("\n");
    return payload.commands;
  }
}

/** A line in its commands; `pattern`: a payload follows, up to a line of this text. */
export type SplitLine = { commands: RawCommand[]; pattern: string | undefined };

/** Splits a line, without its newline. There is always one command at least, maybe of no words. */
export function splitLine(text: string): SplitLine {
  const commands: RawCommand[] = [];
  const reader = new WordReader(text);
  let command = newCommand();
  let last: Word | undefined;
  for (;;) {
    const word = reader.next();
    if (word === "end" || word === ";") {
      commands.push(command);
      if (word === "end") break;
      command = newCommand();
      last = undefined;
    } else {
      last = word;
      command.words.push(word.text);
      if (!word.isClosed) command.problem = "Unterminated quote.";
    }
  }
  const pattern = payloadPattern(last);
  if (pattern !== undefined) command.words.pop();
  for (const one of commands) {
    if (one.words.length <= API_WORDS_MAX) continue;
    one.problem = `Too many arguments. Commands must have at most ${API_WORDS_MAX} arguments.`;
  }
  return { commands, pattern };
}

function newCommand(): RawCommand {
  return { words: [], payload: undefined, problem: undefined };
}

/** The end mark of a payload that the last word of a line opens. */
function payloadPattern(last: Word | undefined): string | undefined {
  if (last === undefined || !last.isMark) return undefined;
  const pattern = last.text.slice(2);
  return pattern.length <= API_PAYLOAD_PATTERN_MAX ? pattern : undefined;
}

/** A word. `isMark`: it was written with `<<` at its beginning, not quoted and not escaped. */
type Word = { text: string; isMark: boolean; isClosed: boolean };

/** The words and semicolons of a line, one after the other. */
class WordReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  next(): Word | ";" | "end" {
    const text = this.#text;
    while (isBlank(text[this.#at])) this.#at++;
    const first = text[this.#at];
    if (first === undefined) return "end";
    if (first === ";") {
      this.#at++;
      return ";";
    }
    if (first !== '"' && first !== "'") {
      const isMark = text.startsWith("<<", this.#at);
      return { text: this.#plain(), isMark, isClosed: true };
    }
    this.#at++;
    const quoted = this.#quoted(first);
    const isClosed = text[this.#at] === first;
    this.#at++;
    return { text: quoted + this.#plain(), isMark: false, isClosed };
  }

  /** Up to a blank or semicolon. */
  #plain(): string {
    let word = "";
    for (;;) {
      const from = this.#at;
      while (!isPlainEnd(this.#text[this.#at])) this.#at++;
      word += this.#text.slice(from, this.#at);
      if (this.#text[this.#at] !== "\\") return word;
      word += this.#text[this.#at + 1] ?? "";
      this.#at += 2;
    }
  }

  /** Up to the closing quote, which stays. Single quotes keep backslashes. */
  #quoted(quote: string): string {
    let word = "";
    for (;;) {
      const c = this.#text[this.#at];
      if (c === undefined || c === quote) return word;
      if (c === "\\" && quote === '"') this.#at++;
      word += this.#text[this.#at] ?? "";
      this.#at++;
    }
  }
}

function isBlank(c: string | undefined): boolean {
  return c === " " || c === "\t";
}

function isPlainEnd(c: string | undefined): boolean {
  return c === undefined || c === ";" || c === "\\" || isBlank(c);
}
