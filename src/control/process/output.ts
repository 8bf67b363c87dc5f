/**
 * What the program says to the person who started it: HAProxy's tagged lines on stderr, plain lines
 * on stdout. Written synchronously, so that nothing is lost when the process ends right after.
 */
import { writeSync } from "node:fs";

import type { SluiceSpec } from "../../tables/spec.ts";

/** How grave a line is. */
export type Severity = "notice" | "warning" | "alert";

const TAGS: Record<Severity, string> = { notice: "NOTICE", warning: "WARNING", alert: "ALERT" };
const ORDER: readonly SluiceSpec["logLevel"][] = ["debug", "info", "notice", "warning", "error"];

/** `[NOTICE]   (1234) : text`, further lines of the text set in. No newline at the end. */
export function formatLine(severity: Severity, pid: number, text: string): string {
  const [first = "", ...rest] = text.trimEnd().split("\n");
  const head = `${`[${TAGS[severity]}]`.padEnd(10)} (${pid}) : ${first}`;
  return [head, ...rest.map((line) => `   | ${line}`)].join("\n");
}

/** Writes all of `text` to a descriptor, waiting where it is a full pipe; errors are ignored. */
export function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0, attempts = 0; at < bytes.length && attempts < 1000;) {
    try {
      at += writeSync(fd, bytes, at);
      attempts = 0;
    } catch (error) {
      // A reader that is gone or slow must not end a load balancer.
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) return;
      attempts++;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

/** The messages of one process. */
export class Output {
  /** `-q`: nothing is said until the process serves. */
  isQuiet = false;
  /** Messages less grave than this are left out. */
  level: SluiceSpec["logLevel"] = "info";
  /** False once the terminal was left: messages then go to the log sinks only. */
  isAttached = true;
  readonly #write: (fd: number, text: string) => void;
  readonly #pid: number;

  /** @param write puts text on descriptor 1 or 2 */
  constructor(pid: number, write: (fd: number, text: string) => void = writeAll) {
    this.#pid = pid;
    this.#write = write;
  }

  /** A tagged line on stderr. */
  say(severity: Severity, text: string): void {
    const rank = severity === "alert" ? "error" : severity;
    if (ORDER.indexOf(rank) < ORDER.indexOf(this.level)) return;
    this.raw(formatLine(severity, this.#pid, text));
  }

  /** A line on stderr as it is. */
  raw(line: string): void {
    if (!this.isQuiet && this.isAttached) this.#write(2, `${line}\n`);
  }

  /** Lines that were asked for: on stdout, even when the rest is quiet. */
  dump(lines: readonly string[]): void {
    this.#write(1, `${lines.join("\n")}\n`);
  }

  /** A line on stdout. */
  print(line: string): void {
    if (!this.isQuiet && this.isAttached) this.#write(1, `${line}\n`);
  }
}
