/**
 * How the parsers of expressions answer: a value or a sentence, never an exception.
 */
import type { KeywordState } from "./keyword.ts";

/** Why a text was refused: a mistake, or a word that exists but is not built here. */
export type RefusalKind = "mistake" | "unknown" | Exclude<KeywordState, "done">;

/** A parsed value, with what is worth a warning; or what is wrong, without a final full stop. */
export type ParseResult<T> =
  { ok: true; value: T; warnings: string[] } | { ok: false; message: string; kind: RefusalKind };

/** A refusal. `kind` tells `coming` words from mistakes. */
export function refused(
  message: string,
  kind: RefusalKind = "mistake",
): { ok: false; message: string; kind: RefusalKind } {
  return { ok: false, message, kind };
}

/** A success. */
export function parsed<T>(value: T, warnings: string[] = []): ParseResult<T> {
  return { ok: true, value, warnings };
}
