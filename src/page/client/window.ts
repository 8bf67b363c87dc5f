/**
 * Which part of a long list is on the screen. No DOM in here.
 */

/** Rows from which on a table shows only those on the screen. */
export const WINDOW_MIN = 120;
/** Rows that are kept above and below the screen. */
const MARGIN = 12;

/** Part of a list: rows `from` up to `to`, and the heights that stand for the others, px. */
export type Part = {
  readonly from: number;
  readonly to: number;
  readonly above: number;
  readonly below: number;
};

/**
 * The part that a scrolled box shows.
 * @param count rows of the list
 * @param rowHeight px
 * @param top how far the box is scrolled, px
 * @param height of the box, px
 */
export function partOf(count: number, rowHeight: number, top: number, height: number): Part {
  if (count < WINDOW_MIN || rowHeight <= 0) return { from: 0, to: count, above: 0, below: 0 };
  const visible = Math.ceil(height / rowHeight);
  const last = Math.max(0, count - visible - MARGIN);
  const from = Math.min(last, Math.max(0, Math.floor(top / rowHeight) - MARGIN));
  const to = Math.min(count, from + visible + 2 * MARGIN);
  return { from, to, above: from * rowHeight, below: (count - to) * rowHeight };
}
