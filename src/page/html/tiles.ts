/**
 * The line of figures about the process, above the tables.
 */
import type { ProcessFacts } from "../shared/fields.ts";
import { TILES } from "../shared/tiles.ts";
import { escapeHtml } from "./escape.ts";

/** The figures, as the page begins with them. */
export function tilesHtml(facts: ProcessFacts): string {
  const tiles = TILES.map(({ key, label, text, hint, hasTrend }) => {
    const trend = hasTrend
      ? `<svg class="spark" data-spark="${key}" aria-hidden="true"></svg>`
      : "";
    return (
      `<div class="tile" data-tile="${key}"><dt>${escapeHtml(label)}</dt>` +
      `<dd><b>${escapeHtml(text(facts))}</b> <i>${escapeHtml(hint(facts))}</i></dd>${trend}</div>`
    );
  });
  return `<dl class="tiles">${tiles.join("")}</dl>`;
}
