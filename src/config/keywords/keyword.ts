/**
 * The shape of the keyword tables: one row per word or sequence of words that HAProxy's manual
 * knows, with what sluice does about it. Parsing, `-dK` and the generated documents read the same
 * rows. The tables are in this folder, one file per chapter.
 */

/**
 * - `done`: read and acted upon.
 * - `inert`: read, and without effect at layer 4 or on what sluice does not have; one warning per
 *   file names all such words.
 * - `coming`: would change traffic, safety or what operators see, and is not built yet: refused by
 *   name, or skipped with a warning on request.
 */
export type KeywordState = "done" | "inert" | "coming";

/** What a bind or server option does on QUIC addresses, where that differs. `refused`: and why. */
export type QuicSide<P> =
  | { state: "done"; parse: P }
  | { state: "inert" }
  | { state: "coming" }
  | { state: "refused"; why: string };

/**
 * One keyword. `P` is the type of its parse function, present exactly when it is `done`; `Q` that
 * of the one for QUIC addresses.
 */
export type Keyword<P, Q = P> = {
  /** Words as written, e.g. `option tcplog`. */
  name: string;
  /** Sections in which it may stand. */
  sections: readonly string[];
  /** Arguments, in the manual's notation; empty when there are none. */
  args: string;
  /** What it does, in one sentence. */
  effect: string;
  /** Section of HAProxy's configuration manual. */
  reference: string;
  state: KeywordState;
  /** May follow `no` and `default`. */
  invertible?: boolean;
  /** Rules may stand in a `defaults` section only when it has a name. */
  needsNamedDefaults?: boolean;
  /** For bind and server options: without it the line means something else, so skip all of it. */
  wholeLine?: boolean;
  /** For server options: `add server` refuses it, as HAProxy does. */
  notDynamic?: boolean;
  parse?: P;
  /** For bind and server options: on QUIC addresses; `state` and `parse` are then about TCP. */
  quic?: QuicSide<Q>;
};

/** What counts in lists of words: done where it is for one of both. */
export function stateOf({ state, quic }: Pick<Keyword<unknown>, "state" | "quic">): KeywordState {
  return quic?.state === "done" ? "done" : state;
}

/** Rows found by their words, longest first. */
export class KeywordIndex<P, Q = P> {
  readonly #rows = new Map<string, { row: Keyword<P, Q>; parts: readonly string[] }[]>();
  readonly rows: readonly Keyword<P, Q>[];

  constructor(rows: readonly Keyword<P, Q>[]) {
    this.rows = rows;
    for (const row of rows) {
      const first = firstWord(row.name);
      const same = this.#rows.get(first) ?? [];
      same.push({ row, parts: row.name.split(" ") });
      this.#rows.set(first, same);
    }
    for (const same of this.#rows.values()) {
      same.sort((a, b) => b.parts.length - a.parts.length);
    }
  }

  /** The row whose words begin `words`, and how many words it has. */
  find(words: readonly string[]): { row: Keyword<P, Q>; length: number } | undefined {
    for (const { row, parts } of this.#candidates(words[0] ?? "")) {
      if (parts.every((part, index) => matchesWord(part, words[index]))) {
        return { row, length: parts.length };
      }
    }
    return undefined;
  }

  /** Rows whose first word is `word`, or `name()` where it is `name(…)`. */
  #candidates(word: string): readonly { row: Keyword<P, Q>; parts: readonly string[] }[] {
    const exact = this.#rows.get(word);
    if (exact !== undefined) return exact;
    const paren = word.indexOf("(");
    return paren < 0 ? [] : (this.#rows.get(`${word.slice(0, paren)}()`) ?? []);
  }

  /** Second words that may follow `first`, in table order. */
  secondWords(first: string): string[] {
    const rows = this.#rows.get(first) ?? [];
    return [...new Set(rows.flatMap(({ parts }) => parts.slice(1, 2)))].toSorted();
  }

  /** First words, in table order. */
  firstWords(): string[] {
    return [...this.#rows.keys()];
  }
}

function firstWord(name: string): string {
  return name.split(" ")[0] ?? name;
}

/** A word of a row fits a word of a line: the same, or `name(…)` for a row word `name()`. */
function matchesWord(part: string, word: string | undefined): boolean {
  if (word === undefined) return false;
  return part.endsWith("()") ? word.startsWith(part.slice(0, -1)) : part === word;
}
