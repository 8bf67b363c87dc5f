/**
 * The table of one proxy as HTML: what is there before the script runs, and all there is without
 * it. The script makes the same rows from the same columns (`client/rows.ts`).
 */
import { classOf, columnGroups, COLUMNS, isNothing } from "../shared/columns.ts";
import type { ProxyHead, Row } from "../shared/fields.ts";
import { legendText, titleOfRow } from "../shared/names.ts";
import { stateOf } from "../shared/state.ts";
import { escapeHtml } from "./escape.ts";

/** What decides how a table looks. */
export type TableLook = {
  /** Servers can be chosen for an action. */
  readonly isAdmin: boolean;
  /** `stats show-legends`: ids and addresses. */
  readonly showLegends: boolean;
};

/** The two lines of column heads. */
export function tableHead({ isAdmin }: TableLook): string {
  const groups = columnGroups()
    .map(({ group, span }) => {
      return `<th scope="colgroup" colspan="${span}">${escapeHtml(group)}</th>`;
    })
    .join("");
  // The trend has its place behind the status.
  const heads = COLUMNS.map((column) => {
    const [about, label, short] = [column.about, column.label, column.short].map(escapeHtml);
    const head =
      `<th scope="col" class="${classOf(column)}" data-key="${column.key}" title="${about}">` +
      `<span class="g">${short}</span><span class="h">${label}</span></th>`;
    return column.key === "status" ? `${head}${trendHead}` : head;
  });
  const pick = isAdmin ? '<td class="p" rowspan="2"></td>' : "";
  const first = groups.replace('colspan="1"', 'colspan="2"');
  const name = '<th scope="col" rowspan="2" class="name" data-key="name">Name</th>';
  return `<thead><tr class="gr">${pick}${name}${first}</tr><tr>${heads.join("")}</tr></thead>`;
}

const trendHead =
  '<th scope="col" class="t" title="Sessions a second, over the last minute">Trend</th>';

/** One line. */
export function tableRow(proxy: ProxyHead, row: Row, look: TableLook): string {
  const state = stateOf(row);
  const title = escapeHtml(titleOfRow(row));
  const label = escapeHtml(`Choose ${proxy.name}/${row.name}`);
  const box =
    row.kind === "server"
      ? `<input type="checkbox" name="s" value="${escapeHtml(row.name)}" aria-label="${label}">`
      : "";
  const pick = look.isAdmin ? `<td class="p">${box}</td>` : "";
  const legend = look.showLegends ? legendText(proxy, row) : "";
  const under = legend === "" ? "" : `<small>${escapeHtml(legend)}</small>`;
  const cells = COLUMNS.map((column) => {
    const text = column.text(row);
    const tip = column.tip(row);
    const title = tip === "" ? "" : ` title="${escapeHtml(tip)}"`;
    if (column.key !== "status") {
      const classes = `${classOf(column)}${isNothing(text) ? " z" : ""}`;
      return `<td class="${classes}"${title}>${escapeHtml(text)}</td>`;
    }
    const badge = `<span class="s">${escapeHtml(text)}</span>`;
    return `<td class="w"${title}>${badge}</td><td class="t"></td>`;
  });
  return (
    `<tr class="${row.kind} st-${state}" data-id="${row.kind[0]}${row.id}">${pick}` +
    `<th scope="row" class="name">${title}${under}</th>${cells.join("")}</tr>\n`
  );
}
