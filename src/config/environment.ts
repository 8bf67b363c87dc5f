/**
 * The environment during one load: what the process inherited, what `setenv` and its kin change,
 * what HAProxy defines for itself, and the pseudo-variables of the line being read
 * (HAProxy manual 2.3).
 */
import { COMPATIBLE_BRANCH, COMPATIBLE_VERSION } from "../base/version.ts";
import { TCP_CLF_LOG_FORMAT, TCP_LOG_FORMAT } from "../expr/parse.ts";

/** Where the reader is: what `.FILE`, `.LINE` and `.SECTION` say. */
export type Place = { file: string; line: number; section: string };

/** One load's variables. Owned by the loader; the main thread. */
export class ConfigEnvironment {
  readonly place: Place = { file: "", line: 0, section: "" };
  #variables: Map<string, string>;

  constructor(inherited: Readonly<Record<string, string | undefined>>) {
    const entries = Object.entries(inherited).flatMap(([name, value]): [string, string][] =>
      value === undefined ? [] : [[name, value]],
    );
    this.#variables = new Map([
      ...entries,
      ["HAPROXY_STARTUP_VERSION", COMPATIBLE_VERSION],
      ["HAPROXY_BRANCH", COMPATIBLE_BRANCH],
      ["HAPROXY_TCP_LOG_FMT", TCP_LOG_FORMAT],
      ["HAPROXY_TCP_CLF_LOG_FMT", TCP_CLF_LOG_FORMAT],
    ]);
  }

  /** Value of a variable or pseudo-variable. An arrow, so that it can be handed around. */
  readonly lookup = (name: string): string | undefined => {
    if (name === ".FILE") return this.place.file;
    if (name === ".LINE") return String(this.place.line);
    if (name === ".SECTION") return this.place.section;
    return this.#variables.get(name);
  };

  /** `setenv` and, unless `replace`, `presetenv`. */
  set(name: string, value: string, replace: boolean): void {
    if (replace || !this.#variables.has(name)) this.#variables.set(name, value);
  }

  /** `unsetenv`. */
  unset(name: string): void {
    this.#variables.delete(name);
  }

  /** `resetenv`: only the named variables stay; without names none. */
  reset(kept: readonly string[]): void {
    this.#variables = new Map([...this.#variables].filter(([name]) => kept.includes(name)));
  }

  /** The final environment: what `show env` lists. */
  toRecord(): Record<string, string> {
    return Object.fromEntries([...this.#variables].filter(([name]) => !name.endsWith("_LOG_FMT")));
  }
}
