import { expect, test } from "bun:test";

import { arrange, isWanted, nextSorting } from "../../../../src/page/client/order.ts";
import { Growth, Ring, RING_POINTS } from "../../../../src/page/client/ring.ts";
import { partOf, WINDOW_MIN } from "../../../../src/page/client/window.ts";
import type { CellValue, Row, RowKind } from "../../../../src/page/shared/fields.ts";
import { ROW_AT, ROW_FIELDS } from "../../../../src/page/shared/fields.ts";

function rowOf(kind: RowKind, name: string, scur = 0, status = "UP", addr = ""): Row {
  const values: CellValue[] = ROW_FIELDS.map(() => null);
  values[ROW_AT.scur] = scur;
  values[ROW_AT.status] = status;
  values[ROW_AT.addr] = addr;
  return { kind, id: 1, name, values };
}

test("a ring keeps the last minute", () => {
  const ring = new Ring();
  expect(ring.path(60, 20)).toBe("");
  for (let value = 1; value <= RING_POINTS + 5; value++) ring.push(value);
  expect(ring.count).toBe(RING_POINTS);
  expect(ring.last).toBe(RING_POINTS + 5);
  expect(ring.max).toBe(RING_POINTS + 5);
  const path = ring.path(118, 20);
  expect(path.startsWith("M0.0 ")).toBe(true);
  expect(path.endsWith("L118.0 1.0")).toBe(true);
});

test("a flat line lies at the bottom, a ceiling holds", () => {
  const ring = new Ring();
  for (const value of [0, 0]) ring.push(value);
  expect(ring.path(100, 20)).toMatch(/ 19\.0$/);
  ring.push(50);
  expect(ring.path(100, 20, 100)).toMatch(/ 10\.0$/);
});

test("growth needs two looks, and a total that begins anew is none", () => {
  const growth = new Growth();
  expect(growth.push(100, 1000)).toBe(-1);
  expect(growth.push(300, 2000)).toBe(200);
  expect(growth.push(300, 2500)).toBe(0);
  expect(growth.push(999, 2600)).toBe(-1);
  expect(growth.push(5, 3000)).toBe(-1);
  expect(growth.push(15, 4000)).toBe(10);
});

test("servers are sorted between frontend and backend", () => {
  const rows = [
    rowOf("frontend", "FRONTEND"),
    rowOf("server", "s10", 5),
    rowOf("server", "s9", 7),
    rowOf("server", "s1", 5),
    rowOf("backend", "BACKEND"),
  ];
  const names = (sorting: Parameters<typeof arrange>[1]): string =>
    arrange(rows, sorting)
      .map(({ name }) => name)
      .join(" ");
  expect(names(undefined)).toBe("FRONTEND s10 s9 s1 BACKEND");
  expect(names({ key: "name", isDown: false })).toBe("FRONTEND s1 s9 s10 BACKEND");
  expect(names({ key: "scur", isDown: true })).toBe("FRONTEND s9 s1 s10 BACKEND");
  expect(names({ key: "scur", isDown: false })).toBe("FRONTEND s1 s10 s9 BACKEND");
});

test("clicks go from the usual way to the other to none", () => {
  const once = nextSorting(undefined, "scur");
  const twice = nextSorting(once, "scur");
  expect([once, twice, nextSorting(twice, "scur")]).toEqual([
    { key: "scur", isDown: true },
    { key: "scur", isDown: false },
    undefined,
  ]);
  expect(nextSorting(once, "name")).toEqual({ key: "name", isDown: false });
});

test("filters take servers only", () => {
  const server = rowOf("server", "web12", 0, "DOWN", "10.0.0.7:80");
  const wish = (find: string, show = ""): { find: string; show: string } => ({ find, show });
  expect(isWanted(server, false, wish("web1"))).toBe(true);
  expect(isWanted(server, false, wish("0.0.7"))).toBe(true);
  expect(isWanted(server, false, wish("db"))).toBe(false);
  expect(isWanted(server, true, wish("db"))).toBe(true);
  expect(isWanted(server, false, wish("", "up"))).toBe(false);
  expect(isWanted(server, false, wish("", "trouble"))).toBe(true);
  expect(isWanted(rowOf("server", "s", 0, "MAINT"), false, wish("", "no-maint"))).toBe(false);
  expect(isWanted(rowOf("backend", "BACKEND"), false, wish("db", "up"))).toBe(true);
});

test("a long table shows the part on the screen", () => {
  expect(partOf(WINDOW_MIN - 1, 27, 0, 500)).toMatchObject({ from: 0, to: WINDOW_MIN - 1 });
  for (const top of [0, 1, 5000, 40_000, 80_999, 1e9]) {
    const { from, to, above, below } = partOf(3000, 27, top, 600);
    expect(above + below + (to - from) * 27).toBe(3000 * 27);
    expect(from).toBeGreaterThanOrEqual(0);
    expect(to).toBeLessThanOrEqual(3000);
    expect(to - from).toBeLessThan(60);
    const first = Math.min(Math.floor(top / 27), 3000 - 23);
    expect(from).toBeLessThanOrEqual(first);
    expect(to).toBeGreaterThanOrEqual(Math.min(3000, first + 23));
  }
});
