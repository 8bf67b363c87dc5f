/**
 * What the page shows, asked of the running process: sections, rows, figures. An interface, so that
 * the page is tested without a process; `control-source.ts` is the real one.
 */
import type { CellValue, ProcessFacts, ProxyHead, RowKind } from "./shared/fields.ts";

/** Fills in the values of one object; called again and again with the same array. */
export type RowSink = (
  kind: RowKind,
  id: number,
  name: string,
  values: readonly CellValue[],
) => void;

/** Where the page has its data from. Main thread. */
export type PageSource = {
  /** Moves on when sections or servers come or go. */
  version(): number;
  /** All sections in their order. */
  heads(): ProxyHead[];
  head(id: number): ProxyHead | undefined;
  /**
   * Rows of a section: frontend, listeners, servers, backend. Nothing if it is gone.
   * @param from index of the first server that is wanted; the others come with the first ones only
   * @param count servers that are wanted
   */
  rows(id: number, from: number, count: number, sink: RowSink): void;
  /**
   * Sections with a server that fits a filter.
   * @param find part of a server's name or address, or of a section's name, lower case; "" = any
   * @param show `up`, `trouble`, `no-maint`; "" = any
   */
  match(find: string, show: string): number[];
  facts(): ProcessFacts;
};
