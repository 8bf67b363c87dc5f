/**
 * Cuts one line of configuration into words: quotes, escapes, comments and environment variables
 * (HAProxy manual 2.2 and 2.3). Pure; positions are 1-based columns of the line.
 *
 *   unquoted:  words end at blanks, `#` begins a comment, `\` escapes, `$` is itself
 *   "weak":    blanks, `#` and ' are plain, `\` escapes, `$VAR ${VAR} ${VAR-default} ${LIST[*]}`
 *   'strong':  everything is plain up to the next '
 */
import { LINE_WORDS_MAX } from "../base/limits.ts";

/** Value of a variable (pseudo-variables begin with a dot), or undefined. */
export type Variables = (name: string) => string | undefined;

/** A word that could not be read: what and at which 1-based column. */
export type LexError = { message: string; column: number };

/** The words of a line. `emptyAt` is the column of the first empty quoted word, if any. */
export type LexResult =
  { ok: true; words: string[]; emptyWord?: number } | { ok: false; error: LexError };

const ESCAPES: Record<string, string> = {
  " ": " ",
  "\\": "\\",
  "#": "#",
  "'": "'",
  '"': '"',
  $: "$",
  t: "\t",
  n: "\n",
  r: "\r",
};

/**
 * A byte of `\xHH` that is no ASCII is kept as a lone half of a surrogate pair, U+DC80 to U+DCFF:
 * together with its neighbours it may be a character of UTF-8, alone it is a byte, for those who
 * send bytes (checks).
 */
const RAW = 0xdc00;
const RAW_BYTES = /[\udc80-\udcff]+/gu;

function decodeRaw(run: string): string {
  const bytes = Uint8Array.from(run, (char) => char.charCodeAt(0) - RAW);
  const text = new TextDecoder().decode(bytes);
  return text.includes("\ufffd") ? run : text;
}

/** State of one run over a line. */
class Cutter {
  readonly words: string[] = [];
  position = 0;
  error: LexError | undefined;
  #word = "";
  /** The word has begun, perhaps with nothing in it but quotes. */
  #begun = false;
  #quote: "" | "'" | '"' = "";
  #quoteAt = 0;

  readonly line: string;
  readonly variables: Variables;

  constructor(line: string, variables: Variables) {
    this.line = line;
    this.variables = variables;
  }

  run(): void {
    while (this.error === undefined && this.position < this.line.length) {
      const char = this.line[this.position] ?? "";
      if (char === "\n" || (char === "\r" && this.line.slice(this.position).trim() === "")) break;
      if (char === "#" && this.#quote === "") break;
      this.#step(char);
    }
    if (this.error !== undefined) return;
    if (this.#quote !== "") {
      this.error = { message: "unmatched quote", column: this.#quoteAt + 1 };
      return;
    }
    this.#endWord();
  }

  #step(char: string): void {
    const isQuote = char === '"' || char === "'";
    if (isQuote && (this.#quote === "" || this.#quote === char)) {
      // Only the opening quote makes a word: an empty `${LIST[*]}` may take it away again.
      if (this.#quote === "") this.#begun = true;
      this.#quoteAt = this.position;
      this.#quote = this.#quote === "" ? char : "";
      this.position++;
    } else if (char === "\\" && this.#quote !== "'") {
      this.#escape();
    } else if (this.#quote === "" && isBlank(char)) {
      this.#endWord();
      this.position++;
    } else if (char === "$" && this.#quote === '"') {
      this.#variable();
    } else {
      this.#emit(char);
      this.position++;
    }
  }

  #emit(text: string): void {
    this.#word += text;
    this.#begun = true;
  }

  #endWord(): void {
    if (!this.#begun) return;
    if (this.words.length >= LINE_WORDS_MAX) {
      const message = `too many words, truncating after word ${LINE_WORDS_MAX}`;
      this.error = { message, column: this.position + 1 };
      return;
    }
    this.words.push(this.#word.replace(RAW_BYTES, decodeRaw));
    this.#word = "";
    this.#begun = false;
  }

  #escape(): void {
    const next = this.line[this.position + 1] ?? "";
    const plain = ESCAPES[next];
    if (plain !== undefined) {
      this.#emit(plain);
      this.position += 2;
    } else if (next === "x") {
      const digits = this.line.slice(this.position + 2, this.position + 4);
      if (!/^[0-9a-f]{2}$/iu.test(digits)) {
        const message = "truncated or invalid hexadecimal sequence";
        this.error = { message, column: this.position + 1 };
        return;
      }
      const byte = Number.parseInt(digits, 16);
      this.#emit(String.fromCharCode(byte < 0x80 ? byte : RAW + byte));
      this.position += 4;
    } else {
      // Any other pair is not an escape: both characters stay, as `\1` in a replacement.
      this.#emit("\\");
      this.position += 1;
    }
  }

  /** `$NAME`, `${NAME}`, `${NAME-default}`, `${NAME[*]}`; called on the dollar sign. */
  #variable(): void {
    const start = this.position;
    const rest = this.line.slice(start + 1);
    const braced = rest.startsWith("{");
    const name = /^\.?[A-Za-z_][A-Za-z0-9_]*/u.exec(rest.slice(braced ? 1 : 0))?.[0];
    if (name === undefined) {
      const message = "forbidden first char in environment variable name";
      this.error = { message, column: start + (braced ? 3 : 2) };
      return;
    }
    this.position = start + 1 + (braced ? 1 : 0) + name.length;
    const value = this.variables(name);
    if (name.startsWith(".") && value === undefined) {
      const message = `unknown pseudo-variable '${name}'`;
      this.error = { message, column: start + 1 };
      return;
    }
    if (!braced) {
      this.#emit(value ?? "");
      return;
    }
    this.#braced(start, value);
  }

  #braced(start: number, found: string | undefined): void {
    let value = found;
    const expand = this.line[this.position] === "[";
    if (expand) {
      if (this.line.slice(this.position, this.position + 3) !== "[*]") {
        const message = "truncated or invalid word expansion sequence";
        this.error = { message, column: this.position + 1 };
        return;
      }
      this.position += 3;
    }
    const close = this.line.indexOf("}", this.position);
    const isDefault = this.line[this.position] === "-";
    if (close < 0 || (!isDefault && close !== this.position)) {
      const message = "unmatched brace in environment variable name";
      this.error = { message, column: start + 2 };
      return;
    }
    if (isDefault) value ??= this.line.slice(this.position + 1, close);
    this.position = close + 1;
    if (expand) this.#expand(value ?? "");
    else this.#emit(value ?? "");
  }

  /** `${LIST[*]}`: each blank of the value separates two words. */
  #expand(value: string): void {
    const parts = value.split(/[ \t]+/u);
    for (const [index, part] of parts.entries()) {
      if (index > 0) this.#endWord();
      if (part !== "") this.#emit(part);
      else if (parts.length === 1) this.#begun = this.#word !== "";
    }
  }
}

function isBlank(char: string): boolean {
  return char === " " || char === "\t" || char === "\r" || char === "\v" || char === "\f";
}

/**
 * Cuts `line` (without its newline) into words.
 * @param variables looks up `$NAME`; only asked inside double quotes
 */
export function lexLine(line: string, variables: Variables): LexResult {
  // Most lines have no quotes, escapes or comments: blanks alone separate their words.
  if (!/["'\\#\r\n]/u.test(line)) {
    const words = line.match(/[^ \t\v\f]+/gu) ?? [];
    if (words.length <= LINE_WORDS_MAX) return { ok: true, words };
  }
  const cutter = new Cutter(line, variables);
  cutter.run();
  if (cutter.error !== undefined) return { ok: false, error: cutter.error };
  const emptyWord = cutter.words.indexOf("");
  return emptyWord < 0
    ? { ok: true, words: cutter.words }
    : { ok: true, words: cutter.words, emptyWord };
}
