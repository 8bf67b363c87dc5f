/** `show stat` of a configuration: rows, formats, filters, and objects that go away meanwhile. */
import { describe, expect, test } from "bun:test";

import { ALL_STATS, dumpStats, STAT_CSV_HEADER } from "../../../../src/control/stats/dump.ts";
import type { StatFilter, StatFormat } from "../../../../src/control/stats/dump.ts";
import { AT, STAT_FIELDS } from "../../../../src/control/stats/fields.ts";
import { makeSchema } from "../../../../src/control/stats/schema-json.ts";
import { statisticsOf } from "../../../../src/control/stats/statistics.ts";
import * as count from "../../../../src/tables/generated/back-count.ts";
import { SERVER_HEALTH, SERVER_STRIDE } from "../../../../src/tables/generated/server.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";

const CONFIG = `
global
  maxconn 500
defaults
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend fe
  bind abns@sluice-${process.pid}-stat-1 name one
  bind abns@sluice-${process.pid}-stat-2
  option socket-stats
  maxconn 77
  rate-limit sessions 100
  default_backend be
backend be
  balance leastconn
  fullconn 30
  server s1 127.0.0.1:9991 check weight 20 maxqueue 5 maxconn 10 id 7
  server s2 127.0.0.1:9992 check backup
  server s3 127.0.0.1:9993 disabled
  server s4 127.0.0.1:9994 track be/s1
  server s5 [::1]:9995
backend empty
  id 40
backend off
  disabled
  server s1 127.0.0.1:9991
listen li
  bind abns@sluice-${process.pid}-stat-3
  server x /tmp/some.sock weight 3
`;

/** Checked servers stand at `rise`, as after a start. */
async function makeLab(): Promise<ControlLab> {
  const lab = await makeControlLab(CONFIG);
  const { words } = lab.control.tables.servers;
  for (const path of ["be/s1", "be/s2"]) words[lab.server(path).row + SERVER_HEALTH] = 2;
  return lab;
}

function dump(lab: ControlLab, filter: Partial<StatFilter> = {}, format: StatFormat = "csv") {
  return [...dumpStats(statisticsOf(lab.control), { ...ALL_STATS, ...filter }, format)].join("");
}

/** Rows of the CSV, as names to values. */
function rows(lab: ControlLab, filter: Partial<StatFilter> = {}): Record<string, string>[] {
  const [head, ...lines] = dump(lab, filter).trimEnd().split("\n");
  const names = head!.slice(2).split(",");
  return lines.map((line) => {
    const values = line.split(",");
    expect(values.length).toBe(names.length);
    return Object.fromEntries(values.map((value, at) => [names[at]!, value]));
  });
}

const namesOf = (all: Record<string, string>[]): string[] =>
  all.map((row) => `${row["pxname"]}/${row["svname"]}`);

describe("rows", () => {
  test("come in HAProxy's order, without disabled proxies", async () => {
    const lab = await makeLab();
    expect(namesOf(rows(lab))).toEqual([
      "fe/FRONTEND",
      "fe/one",
      "fe/sock-2",
      "be/s1",
      "be/s2",
      "be/s3",
      "be/s4",
      "be/s5",
      "be/BACKEND",
      "empty/BACKEND",
      "li/FRONTEND",
      "li/x",
      "li/BACKEND",
    ]);
  });

  test("tell what the configuration says", async () => {
    const lab = await makeLab();
    const [fe, one, , s1, s2, s3, s4, s5, be, empty, li, x] = rows(lab);
    expect(fe).toMatchObject({ slim: "77", rate_lim: "100", status: "OPEN", type: "0" });
    expect(one).toMatchObject({ addr: "unix", sid: "1", type: "3", proto: "abns_stream" });
    expect(s1).toMatchObject({ status: "UP 1/3", weight: "20", slim: "10", qlimit: "5", sid: "7" });
    expect(s1).toMatchObject({ check_status: "INI", check_desc: "Initializing", check_rise: "2" });
    expect(s2).toMatchObject({ act: "0", bck: "1" });
    expect(s3).toMatchObject({ status: "MAINT", chkfail: "", downtime: "" });
    expect(s4).toMatchObject({ status: "UP 1/3", tracked: "be/s1", check_status: "" });
    expect(s5).toMatchObject({ status: "no check", addr: "[::1]:9995", weight: "1" });
    expect(be).toMatchObject({ status: "UP", act: "3", bck: "1", slim: "30", weight: "22" });
    expect(be).toMatchObject({ algo: "leastconn", sid: "0", type: "1" });
    expect(empty).toMatchObject({ status: "UP", iid: "40", downtime: "", slim: "1" });
    expect(li).toMatchObject({ slim: "500" });
    expect(x).toMatchObject({ addr: "unix", uweight: "3" });
  });

  test("tell that a backend is not published, whatever its servers do", async () => {
    const lab = await makeLab();
    await lab.ask("unpublish backend be");
    const status = (): string =>
      rows(lab).find(({ pxname, type }) => pxname === "be" && type === "1")!["status"]!;
    expect(status()).toBe("UP (UNPUB)");
    for (const name of ["s1", "s2", "s5"]) await lab.ask(`disable server be/${name}`);
    expect(status()).toBe("DOWN (UNPUB)");
    await lab.ask("publish backend be");
    expect(status()).toBe("DOWN");
  });

  test("tell what was counted", async () => {
    const lab = await makeLab();
    const { row } = lab.server("be/s5");
    const { floats } = lab.control.tables.perWorker[0]!.serverBack;
    const at = (field: number): number =>
      ((row / SERVER_STRIDE) * count.BACK_COUNT_STRIDE + field) >> 1;
    floats[at(count.BACK_COUNT_SESSIONS)] = 12;
    floats[at(count.BACK_COUNT_BYTES_OUT)] = 2 ** 40;
    floats[at(count.BACK_COUNT_TOTAL_TIME_SUM)] = 90;
    floats[at(count.BACK_COUNT_TIMED_STREAMS)] = 4;
    const s5 = rows(lab).find(({ svname }) => svname === "s5");
    expect(s5).toMatchObject({ stot: "12", bout: String(2 ** 40), ttime: "23", lastsess: "-1" });
  });
});

describe("filters", () => {
  test("by proxy, kind and number", async () => {
    const lab = await makeLab();
    const be = Number(rows(lab).find(({ svname }) => svname === "BACKEND")!["iid"]);
    expect(namesOf(rows(lab, { iid: be, kinds: 2 }))).toEqual(["be/BACKEND"]);
    expect(namesOf(rows(lab, { iid: be, kinds: 4, sid: 7 }))).toEqual(["be/s1"]);
    expect(namesOf(rows(lab, { kinds: 8 }))).toEqual(["fe/one", "fe/sock-2"]);
    expect(dump(lab, { iid: 999 })).toBe(STAT_CSV_HEADER);
  });

  test("by state, with how many servers are up", async () => {
    const lab = await makeLab();
    await lab.ask("set server be/s2 health down");
    const up = rows(lab, { isUpOnly: true, kinds: 6 });
    expect(namesOf(up)).not.toContain("be/s3");
    expect(namesOf(up)).not.toContain("be/s2");
    expect(up.find(({ pxname, svname }) => pxname === "be" && svname === "BACKEND")).toMatchObject({
      status: "UP (3/5)",
    });
    expect(namesOf(rows(lab, { isWithoutMaint: true, kinds: 4 }))).toContain("be/s2");
  });
});

describe("formats", () => {
  test("typed lines name place, column, tags and type", async () => {
    const lab = await makeLab();
    const lines = dump(lab, {}, "typed").trimEnd().split("\n");
    for (const line of lines) {
      const [, at = "", name = ""] =
        /^[FBLS]\.\d+\.\d+\.(\d+)\.(\w+)\.1:[A-Za-z]{4}:(?:u32|u64|s32|str):/.exec(line) ?? [];
      expect(STAT_FIELDS[Number(at)]?.name as string).toBe(name);
    }
    expect(lines).toContain(`S.2.7.${AT.act}.act.1:SGPV:u32:1`);
    expect(lines).toContain(`B.2.0.${AT.act}.act.1:MGPV:u32:3`);
    const described = [
      ...dumpStats(statisticsOf(lab.control), ALL_STATS, "typed", { isDescribed: true }),
    ].join("");
    expect(described).toContain('pxname.1:KNSV:str:fe:"Name of the proxy"\n');
  });

  test("JSON is a list of lists, and what the schema says", async () => {
    const lab = await makeLab();
    const parsed = JSON.parse(dump(lab, {}, "json")) as Record<string, unknown>[][];
    expect(parsed.length).toBe(13);
    const [first] = parsed[3]!;
    expect(first).toEqual({
      objType: "Server",
      proxyId: 2,
      id: 7,
      field: { pos: 0, name: "pxname" },
      processNum: 1,
      tags: { origin: "Key", nature: "Name", scope: "Service" },
      value: { type: "str", value: "be" },
    });
    const text = JSON.stringify(makeSchema());
    for (const word of Object.keys(first!)) expect(text).toContain(`"${word}"`);
  });

  test("records have names and values only", async () => {
    const lab = await makeLab();
    const parsed = JSON.parse(dump(lab, {}, "record")) as Record<string, unknown>[];
    expect(parsed[0]).toMatchObject({ pxname: "fe", svname: "FRONTEND", slim: 77 });
    expect("qcur" in parsed[0]!).toBe(false);
  });

  test("text from outside is quoted", async () => {
    const lab = await makeLab();
    const statistics = statisticsOf(lab.control);
    lab.hear("be/s1", { result: { code: "L4CON", info: 'said "no", twice' } });
    const text = [...dumpStats(statistics, { ...ALL_STATS, kinds: 4, sid: 7 }, "csv")].join("");
    expect(text).toContain(",L4CON,,0,");
    expect(text).toContain(',"said ""no"", twice",');
  });
});

describe("a dump under way", () => {
  test("leaves out what has gone, and neither repeats nor loses what stays", async () => {
    const many = Array.from({ length: 40 }, (_, i) => `  server n${i} 127.0.0.1:1000 disabled`);
    const backends = Array.from({ length: 12 }, (_, i) => `backend b${i}\n  server a 127.0.0.1:1`);
    const lab = await makeControlLab(
      `defaults\n  mode tcp\nbackend big\n${many.join("\n")}\n${backends.join("\n")}\n`,
    );
    const pieces = dumpStats(statisticsOf(lab.control), ALL_STATS, "json");
    let text = pieces.next().value as string;
    const seen = (name: string): boolean => text.includes(`"value":"${name}"`);
    expect([seen("n0"), seen("n39")]).toEqual([true, false]);
    expect(await lab.ask("del server big/n0")).toBe("Server deleted.");
    expect(await lab.ask("del server big/n39")).toBe("Server deleted.");
    lab.settle();
    for (const piece of pieces) text += piece;
    const names = (JSON.parse(text) as { value: { value: unknown } }[][]).map(
      (row) => `${row[0]!.value.value}/${row[1]!.value.value}`,
    );
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain("big/n38");
    expect(names).not.toContain("big/n39");
    expect(names.filter((name) => name.startsWith("b")).length).toBe(39 + 1 + 24);
  });
});
