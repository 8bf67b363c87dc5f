/** Short ways to write rows of the keyword tables. */
import { parsed, refused } from "../numbers.ts";
import type { Parsed } from "../numbers.ts";
import type { Keyword, KeywordState, QuicSide } from "./keyword.ts";

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

/** One of a few words, or HAProxy's kind of sentence about what was expected. */
export function oneOf<T extends string>(text: string, words: readonly T[]): Parsed<T> {
  const found = words.find((word) => word === text);
  if (found !== undefined) return parsed(found);
  const list = words.map((word) => `'${word}'`);
  const last = list.pop() ?? "";
  return refused(`expects ${list.join(", ")} or ${last} (got '${text}').`);
}

/** The same for several words. @param names separated by spaces */
export function quicSides<P>(names: string, side: QuicSide<P>): [string, QuicSide<P>][] {
  return names.split(" ").map((name) => [name, side]);
}

type ValueCheck = (target: unknown, value: string) => string | undefined;

/** Words about versions of TLS, of which QUIC has one. */
export function tlsVersionSides(): [string, QuicSide<ValueCheck>][] {
  const why = "QUIC needs TLS 1.3.";
  const checkMax: ValueCheck = (_, value) => (value === "TLSv1.3" ? undefined : why);
  return [
    ...quicSides<ValueCheck>("force-tlsv13 no-sslv3 no-tlsv10 no-tlsv11 no-tlsv12 ssl-min-ver", {
      state: "inert",
    }),
    ...quicSides<ValueCheck>("force-sslv3 force-tlsv10 force-tlsv11 force-tlsv12 no-tlsv13", {
      state: "refused",
      why,
    }),
    ["ssl-max-ver", { state: "done", parse: checkMax }],
  ];
}
