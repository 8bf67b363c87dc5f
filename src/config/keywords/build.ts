/** Short ways to write rows of the keyword tables. */
import type { Keyword, KeywordState } from "./keyword.ts";

/** A row without parser: name, arguments, effect. */
export type ShortRow = readonly [name: string, args: string, effect: string];

/** Rows that share state, sections and manual section, and have no parser. */
export function undone<P>(
  state: Exclude<KeywordState, "done">,
  sections: readonly string[],
  reference: string,
  rows: readonly ShortRow[],
): Keyword<P>[] {
  return rows.map(([name, args, effect]) => ({ name, sections, args, effect, reference, state }));
}

/** A row with its parser: name, arguments, effect, parser. */
export type DoneRow<P> = readonly [name: string, args: string, effect: string, parse: P];

/** Rows that are done and share sections and manual section. */
export function done<P>(
  sections: readonly string[],
  reference: string,
  rows: readonly DoneRow<P>[],
): Keyword<P>[] {
  return rows.map(([name, args, effect, parse]) => {
    return { name, sections, args, effect, reference, state: "done", parse };
  });
}

const SECTION_LETTERS: Record<string, string> = {
  D: "defaults",
  F: "frontend",
  L: "listen",
  B: "backend",
};

/** Proxy sections from letters, as in the manual's matrix: `DFLB`. */
export function proxySections(letters: string): string[] {
  return [...letters].map((letter) => SECTION_LETTERS[letter] ?? letter);
}
