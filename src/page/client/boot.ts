/**
 * What the server tells the script at the start, and what it answers later.
 */
import type { CellValue, ProcessFacts, ProxyHead, Row, RowKind } from "../shared/fields.ts";

/** The element `boot` of the page. */
export type Boot = {
  readonly uri: string;
  /** 0 = none was configured. */
  readonly refreshSeconds: number;
  readonly isStill: boolean;
  readonly isAdmin: boolean;
  readonly token: string;
  readonly showLegends: boolean;
  readonly scope: string;
  readonly show: string;
};

/** One row as it travels. */
export type WireRow = [RowKind, number, string, ...CellValue[]];

/** An answer to `;live`. */
export type LiveAnswer = {
  readonly t: string;
  readonly facts: ProcessFacts;
  readonly heads?: readonly ProxyHead[];
  /** Sections with something that fits the filter; absent without a filter. */
  readonly found?: readonly number[];
  readonly open: Readonly<
    Record<string, { readonly rows?: readonly WireRow[]; readonly cells?: readonly CellValue[] }>
  >;
};

/** A row that came over the wire. */
export function readRow([kind, id, name, ...values]: WireRow): Row {
  return { kind, id, name, values };
}
