/**
 * What rows are called on the page.
 */
import type { ProxyHead, Row } from "./fields.ts";
import { textOf } from "./fields.ts";

/** The name that a row goes by in its table. */
export function titleOfRow(row: Row): string {
  if (row.kind === "frontend") return "Frontend";
  return row.kind === "backend" ? "Backend" : row.name;
}

/** What `stats show-legends` adds: number, and address or balancing. */
export function legendText(proxy: ProxyHead, row: Row): string {
  const isServerSide = row.kind === "frontend" || row.kind === "backend";
  const id = isServerSide ? proxy.id : row.id;
  const more = textOf(row, row.kind === "backend" ? "algo" : "addr");
  return more === "" ? `id ${id}` : `id ${id} · ${more}`;
}
