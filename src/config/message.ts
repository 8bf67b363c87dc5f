/**
 * What the configuration says to its reader: alerts, warnings and notices, collected over all
 * files and printed in HAProxy's shape. Nothing here writes anything: the caller prints the lines.
 */
import type { Origin } from "../tables/spec.ts";

/** `alert` stops the start, `warning` does unless zero-warning is off, `notice` never. */
export type Severity = "alert" | "warning" | "notice";

/** One message. `text` is everything after `config : `, place included. */
export type Message = {
  severity: Severity;
  /** Where, if the message is about a place in a file. */
  file?: string;
  line?: number;
  text: string;
  /** The sentence alone, without place and subject: what the runtime API answers. */
  sentence?: string;
  /** A list of words without effect here: printed as a warning, never counted by zero-warning. */
  harmless?: boolean;
};

/** Collects messages in order. One per load; cold. */
export class Report {
  readonly messages: Message[] = [];

  /** A fatal error about a line: `parsing [file:line] : text`. */
  alertAt(origin: Origin, text: string): void {
    this.#at("alert", origin, text);
  }

  /** A warning about a line. */
  warnAt(origin: Origin, text: string): void {
    this.#at("warning", origin, text);
  }

  /** A notice about a line. */
  noticeAt(origin: Origin, text: string): void {
    this.#at("notice", origin, text);
  }

  /**
   * A message about a line whose text names the place itself.
   * @param sentence the same without place and subject
   */
  add(severity: Severity, origin: Origin | undefined, text: string, sentence = text): void {
    const place = origin === undefined ? {} : { file: origin.file, line: origin.line };
    this.messages.push({ severity, ...place, text, sentence });
  }

  /** The warning line that lists words without effect: see `Message.harmless`. */
  harmless(file: string, text: string): void {
    this.messages.push({ severity: "warning", file, text, harmless: true });
  }

  /** True once an alert was given: no plan comes out. */
  hasAlerts(): boolean {
    return this.messages.some((message) => message.severity === "alert");
  }

  #at(severity: Severity, origin: Origin, text: string): void {
    this.add(severity, origin, `parsing [${origin.file}:${origin.line}] : ${text}`, text);
  }
}

/** True when `messages` hold a warning that `-dW` / `zero-warning` counts. */
export function countsAsWarnings(messages: readonly Message[]): boolean {
  return messages.some((m) => m.severity === "warning" && m.harmless !== true);
}

const TAGS: Record<Severity, string> = { alert: "ALERT", warning: "WARNING", notice: "NOTICE" };

/** One message as HAProxy prints it: `[ALERT]    (1234) : config : …`, without a newline. */
export function formatMessage(message: Message, pid: number): string {
  return `${`[${TAGS[message.severity]}]`.padEnd(10)} (${pid}) : config : ${message.text}`;
}

/**
 * All lines to print for a load: the messages, and after errors HAProxy's closing sentences, which
 * name the files concerned.
 */
export function formatMessages(messages: readonly Message[], pid: number): string[] {
  const lines = messages.map((message) => formatMessage(message, pid));
  const alerts = messages.filter((message) => message.severity === "alert");
  if (alerts.length === 0) return lines;
  const files = new Set(alerts.flatMap((m) => (m.file === undefined ? [] : [m.file])));
  for (const file of files) {
    const text = `Error(s) found in configuration file : ${file}`;
    lines.push(formatMessage({ severity: "alert", text }, pid));
  }
  const text = "Fatal errors found in configuration.";
  lines.push(formatMessage({ severity: "alert", text }, pid));
  return lines;
}
