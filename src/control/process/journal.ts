/**
 * Where the serving process says things: the log targets of the configuration, and the terminal as
 * long as there is one, as HAProxy does in the foreground. Main thread.
 */
import type { LogLevel } from "../../tables/spec.ts";
import type { LogHub } from "../logs/hub.ts";
import type { Notice } from "../logs/sentences.ts";
import type { ProxyObject } from "../model.ts";
import type { Output, Severity } from "./output.ts";

const LEVELS: Record<Severity, LogLevel> = { notice: 5, warning: 4, alert: 1 };

export class Journal {
  readonly #output: Output;
  #hub: LogHub | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  /** From now on, the log targets hear everything too. */
  attach(hub: LogHub): void {
    this.#hub = hub;
  }

  /** The last words are said: what waits goes out, as far as its readers take it. */
  close(): void {
    this.#hub?.close();
  }

  /** About the process. */
  say(severity: Severity, text: string): void {
    this.#output.say(severity, text);
    this.#hub?.logGlobal(LEVELS[severity], text);
  }

  /** About a proxy or one of its servers. The terminal shows HAProxy's three severities. */
  tell(proxy: ProxyObject, notice: Notice): void {
    const isEmergency = notice.level === 0;
    this.#output.say(
      isEmergency ? "alert" : notice.level === 5 ? "notice" : "warning",
      notice.text,
    );
    this.#hub?.logProxy(proxy, notice);
  }
}
