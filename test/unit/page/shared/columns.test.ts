import { expect, test } from "bun:test";

import { STAT_FIELDS } from "../../../../src/control/stats/fields.ts";
import { QUIC_STAT_FIELDS } from "../../../../src/control/stats/quic-fields.ts";
import { columnGroups, COLUMNS } from "../../../../src/page/shared/columns.ts";
import type { CellValue, Row, RowField, RowKind } from "../../../../src/page/shared/fields.ts";
import { ROW_AT, ROW_FIELDS } from "../../../../src/page/shared/fields.ts";
import { isUp, stateOf } from "../../../../src/page/shared/state.ts";

function rowOf(kind: RowKind, given: Partial<Record<RowField, CellValue>>): Row {
  const values: CellValue[] = ROW_FIELDS.map(() => null);
  for (const name of ROW_FIELDS) values[ROW_AT[name]] = given[name] ?? null;
  return { kind, id: 1, name: "s1", values };
}

const text = (key: string, row: Row): string =>
  (COLUMNS.find((column) => column.key === key)?.text(row) ?? "?").replaceAll("\u202f", " ");

test("every field is one of show stat", () => {
  const names = new Set<string>([...STAT_FIELDS, ...QUIC_STAT_FIELDS].map(({ name }) => name));
  expect(ROW_FIELDS.filter((name) => !names.has(name))).toEqual([]);
});

test("the groups are HAProxy's", () => {
  expect(columnGroups().map(({ group, span }) => `${group} ${span}`)).toEqual([
    "Status 1",
    "Queue 3",
    "Session rate 3",
    "Sessions 6",
    "Bytes 2",
    "Denied 2",
    "Errors 3",
    "Warnings 2",
    "Server 8",
  ]);
  expect(new Set(COLUMNS.map(({ key }) => key)).size).toBe(COLUMNS.length);
});

test("states by their status", () => {
  const rows: [RowKind, Partial<Record<RowField, CellValue>>, string][] = [
    ["server", { status: "UP" }, "up"],
    ["server", { status: "UP 1/3" }, "going-down"],
    ["server", { status: "DOWN" }, "down"],
    ["server", { status: "DOWN 1/2", check_health: 1 }, "going-up"],
    ["server", { status: "DOWN (agent)", check_health: 4 }, "down"],
    ["server", { status: "DRAIN (agent)" }, "drain"],
    ["server", { status: "MAINT" }, "maint"],
    ["server", { status: "MAINT (via b/s)" }, "maint"],
    ["server", { status: "DRAIN" }, "drain"],
    ["server", { status: "NOLB 1/2" }, "nolb"],
    ["server", { status: "DRAIN (ejected)" }, "drain"],
    ["server", { status: "no check" }, "unchecked"],
    ["server", {}, "unchecked"],
    ["backend", { status: "UP" }, "up"],
    ["backend", { status: "UP (2/3)" }, "up"],
    ["backend", { status: "DOWN" }, "down"],
    ["frontend", { status: "OPEN" }, "open"],
    ["frontend", { status: "STOP" }, "maint"],
  ];
  for (const [kind, given, state] of rows) {
    expect([given, stateOf(rowOf(kind, given))]).toEqual([given, state as never]);
  }
  expect(isUp("going-down")).toBe(true);
  expect(isUp("drain")).toBe(false);
});

test("QUIC is told where sessions are, for what speaks it", () => {
  const tip = (row: Row): string => COLUMNS.find(({ key }) => key === "stot")!.tip(row);
  expect(tip(rowOf("frontend", { quic_conn_cur: 2, quic_lost_pkt: 7 }))).toBe(
    "QUIC connections now: 2\nQUIC packets lost: 7",
  );
  expect(tip(rowOf("frontend", {}))).toBe("");
});

test("cells say what there is, and what there is not", () => {
  const server = rowOf("server", {
    status: "DOWN",
    lastchg: 61,
    weight: 0,
    uweight: 5,
    act: 1,
    bck: 0,
    check_status: "L4CON",
    check_duration: 3,
    lastsess: -1,
    slim: null,
    bin: 1536,
  });
  expect(text("status", server)).toBe("DOWN 1m01s");
  expect(text("weight", server)).toBe("0/5");
  expect(text("act", server)).toBe("Y");
  expect(text("bck", server)).toBe("-");
  expect(text("check", server)).toBe("L4CON in 3 ms");
  expect(text("lastsess", server)).toBe("?");
  expect(text("slim", server)).toBe("-");
  expect(text("bin", server)).toBe("1.50 KiB");
  expect(text("dreq", server)).toBe("");
  const asked = rowOf("server", {
    status: "DOWN (agent)",
    agent_status: "L7STS",
    agent_code: 0,
    agent_duration: 2,
    agent_desc: "Layer7 wrong status",
    last_agt: "via agent : down",
    hanafail: 2,
  });
  const tip = COLUMNS.find(({ key }) => key === "check")!
    .tip(asked)
    .replaceAll("\u202f", " ");
  expect(text("check", asked)).toBe("Agent L7STS/0 in 2 ms");
  expect(tip).toBe(
    "Agent L7STS/0 in 2 ms: Layer7 wrong status: via agent : down\n" +
      "Real traffic reached error-limit: 2 times",
  );
  const front = rowOf("frontend", { status: "OPEN", rate_lim: 0 });
  expect(text("rate_lim", front)).toBe("-");
  expect(text("qlimit", front)).toBe("");
});
