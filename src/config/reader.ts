/**
 * Reads the text of a file line by line: joins continued lines, cuts words, follows `.if` and the
 * other directives (HAProxy manual 2.1 to 2.4), and hands each line to its receiver.
 *
 *   text ─▶ raw lines ─▶ continuation ─▶ words ─▶ directives ─▶ receiver(words, origin)
 */
import { IF_NESTING_MAX } from "../base/limits.ts";
import type { Origin } from "../tables/spec.ts";
import { evaluateCondition } from "./condition.ts";
import type { ConfigEnvironment } from "./environment.ts";
import { lexLine } from "./lexer.ts";
import type { Report, Severity } from "./message.ts";
import { didYouMean } from "./suggest.ts";

/** What reading needs. */
export type ReaderOptions = {
  report: Report;
  environment: ConfigEnvironment;
  /** Prints `.diag` messages (command line `-dD`). */
  diagnostics: boolean;
  /** Called with each line that is in force; never with an empty list of words. */
  receive: (words: string[], origin: Origin) => void;
};

/** One open `.if`: does its current branch count, did one already, was there an `.else`. */
type Branch = { isActive: boolean; wasTaken: boolean; isElse: boolean; origin: Origin };

const DIRECTIVES = [".if", ".elif", ".else", ".endif", ".diag", ".notice", ".warning", ".alert"];

/** Reads one file's text. Every problem is reported with file and line. */
export function readText(name: string, text: string, options: ReaderOptions): void {
  new TextReader(name, options).run(text);
}

class TextReader {
  readonly #name: string;
  readonly #options: ReaderOptions;
  readonly #branches: Branch[] = [];

  constructor(name: string, options: ReaderOptions) {
    this.#name = name;
    this.#options = options;
  }

  run(text: string): void {
    const { environment, report } = this.#options;
    environment.place.file = this.#name;
    const lines = text.split("\n");
    const isTruncated = lines.at(-1) !== "";
    if (!isTruncated) lines.pop();
    for (let at = 0; at < lines.length; at++) {
      const origin: Origin = { file: this.#name, line: at + 1 };
      let line = lines[at] ?? "";
      while (isContinued(line) && at + 1 < lines.length) {
        at++;
        line = withoutContinuation(line) + (lines[at] ?? "");
      }
      this.#line(line, origin);
    }
    const last: Origin = { file: this.#name, line: lines.length };
    if (isTruncated && text !== "") {
      report.noticeAt(last, "no newline after the last line; the file may have been cut short.");
    }
    const open = this.#branches.at(-1);
    if (open !== undefined) report.alertAt(open.origin, "'.if' without matching '.endif'.");
  }

  #isActive(): boolean {
    return this.#branches.every((branch) => branch.isActive);
  }

  #line(line: string, origin: Origin): void {
    const { environment, report } = this.#options;
    environment.place.line = origin.line;
    const isDirective = /^\s*\./u.test(line);
    if (!isDirective && !this.#isActive()) return;
    if (line.includes("\0")) {
      report.alertAt(origin, "a NUL byte in the line: this is no text file.");
      return;
    }
    const lexed = lexLine(line, environment.lookup);
    if (!lexed.ok) {
      const { message, column } = lexed.error;
      // A branch that does not count may use what this machine lacks.
      if (this.#isActive()) {
        const pointer = `\n  ${line}\n  ${" ".repeat(column - 1)}^`;
        report.alertAt(origin, `${message} at position ${column}:${pointer}`);
        return;
      }
    }
    const words = lexed.ok ? lexed.words : line.trim().split(/\s+/u);
    if (words.length === 0) return;
    if (isDirective && DIRECTIVES.includes(words[0] ?? "")) {
      this.#directive(words, origin, line);
      return;
    }
    if (!this.#isActive()) return;
    if (isDirective) {
      const hint = didYouMean(words[0] ?? "", DIRECTIVES);
      report.alertAt(origin, `'${words[0] ?? ""}' unknown directive${hint}`);
      return;
    }
    this.#options.receive(this.#dropAfterEmpty(words, origin), origin);
  }

  /** An empty word ends the line for HAProxy; say so where words follow. */
  #dropAfterEmpty(words: string[], origin: Origin): string[] {
    const empty = words.indexOf("");
    if (empty < 1 || empty === words.length - 1) return words;
    const text = `argument number ${empty} is empty; check quotes and environment variables.`;
    this.#options.report.warnAt(origin, text);
    return words;
  }

  #directive(words: readonly string[], origin: Origin, line: string): void {
    const { report } = this.#options;
    const directive = words[0] ?? "";
    const branch = this.#branches.at(-1);
    if (directive === ".if") {
      if (this.#branches.length >= IF_NESTING_MAX) {
        report.alertAt(origin, "too many nested '.if'.");
        return;
      }
      const counts = this.#isActive();
      const value = counts && this.#condition(words, origin, line);
      this.#branches.push({ isActive: value, wasTaken: value || !counts, isElse: false, origin });
    } else if (directive === ".elif" || directive === ".else") {
      if (branch === undefined) {
        report.alertAt(origin, `lone '${directive}' with no matching '.if'.`);
      } else if (branch.isElse) {
        report.alertAt(origin, `'${directive}' after '.else' is not permitted.`);
      } else {
        this.#alternative(branch, words, origin, line);
      }
    } else if (directive === ".endif") {
      if (branch === undefined) report.alertAt(origin, "lone '.endif' with no matching '.if'.");
      else this.#branches.pop();
    } else if (this.#isActive()) {
      this.#say(directive, words, origin);
    }
  }

  #alternative(branch: Branch, words: readonly string[], origin: Origin, line: string): void {
    branch.isElse = words[0] === ".else";
    if (branch.wasTaken) {
      branch.isActive = false;
      return;
    }
    // The condition counts only where the enclosing branches do, which `wasTaken` has seen to.
    branch.isActive = branch.isElse || this.#condition(words, origin, line);
    branch.wasTaken = branch.isActive;
  }

  #condition(words: readonly string[], origin: Origin, line: string): boolean {
    const { environment, report } = this.#options;
    const text = words.slice(1).join(" ");
    const result = evaluateCondition(text, environment.lookup);
    if (result.ok) return result.value;
    const where = `in '${words[0] ?? ""}' at position ${result.position + 1}`;
    report.alertAt(origin, `${result.message} ${where}:\n  ${line.trim()}`);
    return false;
  }

  #say(directive: string, words: readonly string[], origin: Origin): void {
    const { report, diagnostics } = this.#options;
    if (directive === ".diag" && !diagnostics) return;
    const severity: Record<string, Severity> = { ".warning": "warning", ".alert": "alert" };
    const text = `'${words.slice(1).join(" ")}'.`;
    const place = `parsing [${origin.file}:${origin.line}]: ${text}`;
    report.add(severity[directive] ?? "notice", origin, place);
  }
}

/** True when the line ends in a backslash that is neither escaped, nor commented, nor in '…'. */
function isContinued(line: string): boolean {
  const end = line.endsWith("\r") ? line.length - 1 : line.length;
  if (line[end - 1] !== "\\") return false;
  let quote = "";
  for (let at = 0; at < end; at++) {
    const char = line[at] ?? "";
    if (char === "\\" && quote !== "'") {
      if (at === end - 1) return true;
      at++;
    } else if (char === "#" && quote === "") {
      return false;
    } else if ((char === "'" || char === '"') && (quote === "" || quote === char)) {
      quote = quote === "" ? char : "";
    }
  }
  return false;
}

function withoutContinuation(line: string): string {
  return line.replace(/\\\r?$/u, "");
}
