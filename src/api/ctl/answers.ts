/**
 * Answers of a runtime socket as `sluice ctl` reads them. With `set severity-output number` a
 * message begins with its severity, `[3]: No such backend.`; an empty line ends each answer. Text
 * goes on as it comes: an answer may be long, or take its time.
 */

/** What a piece of input brought: text of an answer, or its end. */
export type AnswerEvent =
  { kind: "text"; text: string; isRefusal: boolean; isFirst: boolean } | { kind: "end" };

/** Severities up to this one (syslog's err) say that a command was refused. */
const ERROR = 3;
const MARK_LENGTH = "[3]: ".length;
/** HAProxy calls this information, though nothing was done. */
const UNKNOWN = "Unknown command";

/** The answers of one connection. */
export class AnswerReader {
  #held = "";
  #isAtStart = true;
  #isAtLineStart = true;
  #isRefusal = false;

  /** @returns what has come, in order */
  push(text: string): AnswerEvent[] {
    this.#held += text;
    const events: AnswerEvent[] = [];
    while (this.#held !== "") {
      if (this.#isAtLineStart && this.#held.startsWith("\n")) {
        this.#held = this.#held.slice(1);
        this.#isAtStart = true;
        events.push({ kind: "end" });
        continue;
      }
      const isFirst = this.#isAtStart;
      if (isFirst && !this.#judge()) break;
      events.push({ kind: "text", text: this.#takeText(), isRefusal: this.#isRefusal, isFirst });
    }
    return events;
  }

  /** Looks at the beginning of an answer. @returns false when more of it must come first */
  #judge(): boolean {
    const hasLine = this.#held.includes("\n");
    const mark = /^\[(\d)\]: /.exec(this.#held);
    // A message is short: its first line comes as a whole.
    if (!hasLine && (mark !== null || this.#held.length < MARK_LENGTH)) return false;
    const sentence = mark === null ? "" : this.#held.slice(MARK_LENGTH);
    this.#isRefusal = mark !== null && (Number(mark[1]) <= ERROR || sentence.startsWith(UNKNOWN));
    if (mark !== null) this.#held = sentence;
    this.#isAtStart = false;
    return true;
  }

  /** What is there of the answer, up to the empty line that ends it. */
  #takeText(): string {
    const end = this.#held.indexOf("\n\n");
    const length = end < 0 ? this.#held.length : end + 1;
    const text = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    this.#isAtLineStart = text.endsWith("\n");
    return text;
  }
}
