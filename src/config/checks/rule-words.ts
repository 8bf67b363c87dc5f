/**
 * The words of one rule of `tcp-check` or `http-check`, taken from front to back. What is wrong is
 * reported once, in HAProxy's words, with the rule's name in front. Main thread.
 */
import { parseLogFormat, parseSample } from "../../expr/parse.ts";
import type { ParseResult } from "../../expr/parse.ts";
import type { LogFormat, SampleExpression } from "../../tables/expression.ts";
import { alertLine } from "../context.ts";
import type { Line } from "../context.ts";
import { takeExpression } from "../routing-line.ts";

/** The words behind `tcp-check send` and its like. */
export class RuleWords {
  readonly line: Line;
  /** `tcp-check send`. */
  readonly name: string;
  readonly #words: readonly string[];
  #at = 0;

  constructor(line: Line, name: string, words: readonly string[]) {
    this.line = line;
    this.name = name;
    this.#words = words;
  }

  /** The next word; undefined at the end, which an empty word is too. */
  next(): string | undefined {
    const word = this.#words[this.#at];
    if (word === undefined || word === "") return undefined;
    this.#at++;
    return word;
  }

  /** The next word, left where it is. */
  peek(): string | undefined {
    const word = this.#words[this.#at];
    return word === "" ? undefined : word;
  }

  /** The value of a word. @param expected what is missing, if it is: `'meth' expects a string` */
  value(expected: string): string | undefined {
    const word = this.next();
    if (word === undefined) this.wrong(`${expected} as argument`);
    return word;
  }

  /** Reports what is wrong: a sentence without its final full stop. */
  wrong(text: string): undefined {
    alertLine(this.line, `'${this.name}' : ${text}.`);
    return undefined;
  }

  /** A format; undefined after reporting what is wrong. */
  format(text: string): LogFormat | undefined {
    const result = parseLogFormat(text, "name", "check");
    return this.#take(result, `'${this.name}' : '${text}' invalid log-format string`);
  }

  /** An expression. @param what begins the sentence about a wrong one */
  sample(text: string, what: string): SampleExpression | undefined {
    return this.#take(parseSample(text, "check"), `'${this.name}' : ${what}`);
  }

  #take<T>(result: ParseResult<T>, subject: string): T | undefined {
    return takeExpression(this.line, result, subject, "this rule");
  }
}
