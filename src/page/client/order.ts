/**
 * Which rows of a table are shown, and in which order. No DOM in here.
 */
import { COLUMNS } from "../shared/columns.ts";
import type { Row } from "../shared/fields.ts";
import { textOf } from "../shared/fields.ts";
import { isUp, stateOf } from "../shared/state.ts";

/** What a reader wants to see. */
export type Wish = {
  /** Lower case; "" = all. */
  readonly find: string;
  readonly show: string;
};

/** By which column, and which way; undefined = as configured. */
export type Sorting = { readonly key: string; readonly isDown: boolean } | undefined;

/** Whether a server is wanted. Frontends, listeners and backends always are. */
export function isWanted(row: Row, isNamed: boolean, { find, show }: Wish): boolean {
  if (row.kind !== "server") return true;
  if (find !== "" && !isNamed && !holds(row, find)) return false;
  const state = stateOf(row);
  if (show === "up") return isUp(state);
  if (show === "trouble") return !isUp(state) || state === "going-down";
  return show !== "no-maint" || state !== "maint";
}

/** Whether name or address hold a text. */
export function holds(row: Row, find: string): boolean {
  return row.name.toLowerCase().includes(find) || textOf(row, "addr").toLowerCase().includes(find);
}

/** Rows in the order they are shown: frontend and listeners first, servers sorted, backend last. */
export function arrange(rows: readonly Row[], sorting: Sorting): Row[] {
  const first = rows.filter(({ kind }) => kind === "frontend" || kind === "listener");
  const servers = rows.filter(({ kind }) => kind === "server");
  const last = rows.filter(({ kind }) => kind === "backend");
  if (sorting !== undefined) sortServers(servers, sorting);
  return [...first, ...servers, ...last];
}

function sortServers(servers: Row[], { key, isDown }: NonNullable<Sorting>): void {
  const column = COLUMNS.find((one) => one.key === key);
  const turn = isDown ? -1 : 1;
  const names = new Intl.Collator("en", { numeric: true });
  servers.sort((a, b) => {
    if (column !== undefined) {
      const left = column.order(a);
      const right = column.order(b);
      if (left !== right) {
        if (typeof left === "number" && typeof right === "number") return turn * (left - right);
        return turn * names.compare(String(left), String(right));
      }
      return names.compare(a.name, b.name);
    }
    return turn * names.compare(a.name, b.name);
  });
}

/** What the next click on a column's head does: largest first, smallest first, as configured. */
export function nextSorting(now: Sorting, key: string): Sorting {
  const column = COLUMNS.find((one) => one.key === key);
  // Numbers are most often wanted from the top, names and states from the bottom.
  const first = column?.isNumber ?? false;
  if (now?.key !== key) return { key, isDown: first };
  return now.isDown === first ? { key, isDown: !first } : undefined;
}
