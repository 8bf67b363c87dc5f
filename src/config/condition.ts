/**
 * Evaluates the conditions of `.if`, `.elif` and `-cc` (HAProxy manual 2.4).
 *
 *   or   := and [ "||" or ]          and  := term [ "&&" and ]
 *   term := "!"* ( number | "(" or ")" | predicate [ "(" args ")" ] )
 *
 * An empty condition is false; anything after the condition is an error.
 */
import { CONDITION_DEPTH_MAX } from "../base/limits.ts";
import { PREDICATES } from "./keywords/cc.ts";
import type { Predicate } from "./keywords/cc.ts";
import { lexLine } from "./lexer.ts";
import type { Variables } from "./lexer.ts";

/** The answer, or what is wrong and at which 0-based character of the text. */
export type ConditionResult =
  { ok: true; value: boolean } | { ok: false; message: string; position: number };

class ConditionError extends Error {
  readonly position: number;

  constructor(message: string, position: number) {
    super(message);
    this.position = position;
  }
}

class Parser {
  #position = 0;

  readonly text: string;
  readonly variables: Variables;

  constructor(text: string, variables: Variables) {
    this.text = text;
    this.variables = variables;
  }

  run(): boolean {
    this.#blanks();
    if (this.#position === this.text.length) return false;
    const value = this.#or(0);
    this.#blanks();
    if (this.#position < this.text.length) {
      const char = this.text[this.#position] ?? "";
      throw this.#error(
        `unexpected character '${char}' at the end of conditional expression '${this.text}'`,
      );
    }
    return value;
  }

  #error(message: string, position = this.#position): ConditionError {
    return new ConditionError(message, position);
  }

  #blanks(): void {
    while (/[ \t]/u.test(this.text[this.#position] ?? "")) this.#position++;
  }

  #take(word: string): boolean {
    if (!this.text.startsWith(word, this.#position)) return false;
    this.#position += word.length;
    return true;
  }

  #or(depth: number): boolean {
    let value = this.#and(depth);
    this.#blanks();
    while (this.#take("||")) {
      const right = this.#and(depth);
      value = value || right;
      this.#blanks();
    }
    return value;
  }

  #and(depth: number): boolean {
    let value = this.#term(depth);
    this.#blanks();
    while (this.#take("&&")) {
      const right = this.#term(depth);
      value = value && right;
      this.#blanks();
    }
    return value;
  }

  #term(depth: number): boolean {
    this.#blanks();
    let negate = false;
    while (this.#take("!")) {
      negate = !negate;
      this.#blanks();
    }
    return this.#atom(depth) !== negate;
  }

  #atom(depth: number): boolean {
    const start = this.#position;
    const rest = this.text.slice(start);
    const number = /^[+-]?(?:0x[0-9a-f]+|\d+)/iu.exec(rest)?.[0];
    if (number !== undefined) {
      this.#position += number.length;
      return /[1-9a-f]/iu.test(number.replace(/^[+-]?0x/iu, ""));
    }
    if (this.#take("(")) {
      if (depth >= CONDITION_DEPTH_MAX) throw this.#error("too many nested parentheses");
      const value = this.#or(depth + 1);
      this.#blanks();
      if (!this.#take(")")) {
        throw this.#error(`expected ')' after conditional expression '${this.text}'`);
      }
      return value;
    }
    const word = /^[a-z_]+/u.exec(rest)?.[0] ?? "";
    const predicate = PREDICATES.find((candidate) => candidate.name === word);
    if (predicate === undefined) {
      throw this.#error(`unparsable conditional expression '${rest}'`);
    }
    this.#position += word.length;
    return predicate.test(this.#args(predicate), this.variables);
  }

  #args(predicate: Predicate): string[] {
    const args: string[] = [];
    const start = this.#position;
    if (this.#take("(")) {
      args.push(this.#arg(predicate, 1));
      while (this.#take(",")) args.push(this.#arg(predicate, args.length + 1));
      this.#position++;
    }
    const isEmptyCall = predicate.argCount === 0 && args.length === 1 && args[0] === "";
    if (isEmptyCall) return [];
    if (args.length < predicate.argCount) {
      const got = `missing arguments (got ${args.length}/${predicate.argCount})`;
      throw this.#error(`${got} for predicate '${predicate.name}'`, start);
    }
    if (args.length > predicate.argCount) {
      const got = `too many arguments (got ${args.length}/${predicate.argCount})`;
      throw this.#error(`${got} for predicate '${predicate.name}'`, start);
    }
    return args;
  }

  /** One argument: quotes and `\ \\ \' \" \n \r \t` count, and end at `,` or `)`. */
  #arg(predicate: Predicate, index: number): string {
    let value = "";
    let quote = "";
    for (; this.#position < this.text.length; this.#position++) {
      const char = this.text[this.#position] ?? "";
      if (quote === "" && (char === "," || char === ")")) return value;
      if (char === "\\" && quote !== "'") {
        const next = this.text[this.#position + 1] ?? "";
        const escape = { n: "\n", r: "\r", t: "\t" }[next];
        value += escape ?? ("\\ '\",()".includes(next) ? next : `\\${next}`);
        this.#position++;
      } else if ((char === "'" || char === '"') && (quote === "" || quote === char)) {
        quote = quote === "" ? char : "";
      } else {
        value += char;
      }
    }
    const where = `argument ${index} of predicate '${predicate.name}'`;
    throw this.#error(quote === "" ? `expected ')' in ${where}` : `unmatched quote in ${where}`);
  }
}

/** Evaluates a condition whose environment variables are already replaced. */
export function evaluateCondition(text: string, variables: Variables): ConditionResult {
  try {
    return { ok: true, value: new Parser(text, variables).run() };
  } catch (error) {
    if (!(error instanceof ConditionError)) throw error;
    return { ok: false, message: error.message, position: error.position };
  }
}

/**
 * `-cc TEXT`: cuts the text as a configuration line, so that quotes and variables work, joins the
 * words by single blanks and evaluates them.
 */
export function checkCondition(text: string, variables: Variables): ConditionResult {
  const lexed = lexLine(text, variables);
  if (!lexed.ok) {
    return { ok: false, message: lexed.error.message, position: lexed.error.column - 1 };
  }
  return evaluateCondition(lexed.words.join(" "), variables);
}
