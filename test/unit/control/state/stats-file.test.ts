/** Stats files: what is printed, what is read back, and lines that are none. */
import { describe, expect, test } from "bun:test";

import { presetCounter } from "../../../../src/control/state/counters.ts";
import { dumpStatsFile, loadStatsFile } from "../../../../src/control/state/stats-file.ts";
import { Shards } from "../../../../src/control/stats/shards.ts";
import * as back from "../../../../src/tables/generated/back-count.ts";
import { WORKER_STATE_RUNNING } from "../../../../src/tables/generated/enums.ts";
import * as front from "../../../../src/tables/generated/front-count.ts";
import { WORKER_STATE, WORKER_STRIDE } from "../../../../src/tables/generated/worker.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";

const NOW = 1_800_000_000;
const CONFIG = `
defaults
  mode tcp
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend f
  guid fe
  bind abns@sluice-stats-${process.pid}-1 guid-prefix li
  default_backend b
listen l
  guid both
  bind abns@sluice-stats-${process.pid}-2
  server l1 127.0.0.1:1
backend b
  guid be
  server s1 127.0.0.1:2 guid srv
  server s2 127.0.0.1:3
`;

const makeLab = (): Promise<ControlLab> => makeControlLab(CONFIG);

function load(lab: ControlLab, text: string): string[] {
  const warnings: string[] = [];
  loadStatsFile(lab.control.shop, "x.stats", text, NOW, (warning) => void warnings.push(warning));
  return warnings;
}

function dump(lab: ControlLab, epochSeconds = NOW): string {
  const { model, tables } = lab.control;
  return [...dumpStatsFile(model, new Shards(tables), () => epochSeconds)].join("");
}

describe("printing", () => {
  test("objects with a GUID, by side, in the order of show stat", async () => {
    const lab = await makeLab();
    const { model, tables } = lab.control;
    const f = model.frontends.get("f")!;
    const b = model.backends.get("b")!;
    const server = b.servers[0]!;
    presetCounter(tables, { kind: "frontend", object: f }, front.FRONT_COUNT_SESSIONS, 10);
    presetCounter(tables, { kind: "frontend", object: f }, front.FRONT_COUNT_CONNECTIONS, 12);
    presetCounter(tables, { kind: "server", object: server }, back.BACK_COUNT_SESSIONS, 8);
    presetCounter(
      tables,
      { kind: "server", object: server },
      back.BACK_COUNT_LAST_SESSION,
      NOW - 9,
    );
    presetCounter(tables, { kind: "backend", object: b }, back.BACK_COUNT_CONNECT_ATTEMPTS, 7);
    expect(dump(lab)).toBe(
      "#fe guid,stot,bin,bout,ereq,conn_tot,\n" +
        "fe,10,0,0,0,12,\n" +
        "li-0,0,0,0,0,0,\n" +
        "both,0,0,0,0,0,\n" +
        "\n#be guid,stot,bin,bout,econ,eresp,wretr,wredis,lbtot,cli_abrt,srv_abrt,lastsess,connect,\n" +
        "both,0,0,0,0,0,0,0,0,0,0,,0,\n" +
        "srv,8,0,0,0,0,0,0,0,0,0,9,0,\n" +
        "be,0,0,0,0,0,0,0,0,0,0,,7,\n",
    );
  });

  test("what was cleared is not printed", async () => {
    const lab = await makeLab();
    const { model, tables } = lab.control;
    const b = model.backends.get("b")!;
    presetCounter(tables, { kind: "backend", object: b }, back.BACK_COUNT_SESSIONS, 7);
    const shards = new Shards(tables);
    shards.clearBackend(b);
    const text = [...dumpStatsFile(model, shards, () => NOW)].join("");
    expect(text).toContain("\nbe,0,");
  });

  // Rows of what was removed between two pieces may count for others by then.
  test("what is removed meanwhile is left out, and nothing beside it", async () => {
    const lab = await makeControlLab(CONFIG.replace(":3\n", ":3 guid srv2\n"));
    const { model, tables } = lab.control;
    const b = model.backends.get("b")!;
    const [first, second] = [b.servers[0]!, b.servers[1]!];
    let lines = 0;
    const leave = (): number => {
      lines++;
      if (lines === 5) model.removeServer(first);
      if (lines === 6) {
        model.removeServer(second);
        model.removeProxy(b);
      }
      return NOW;
    };
    const text = [...dumpStatsFile(model, new Shards(tables), leave)].join("");
    expect(text.match(/^[a-z][^,]*/gmu)).toEqual(["fe", "li-0", "both", "both", "srv", "srv2"]);
  });
});

describe("reading", () => {
  test("what was printed is there again", async () => {
    const first = await makeLab();
    const { model, tables } = first.control;
    const l = model.frontends.get("l")!;
    const server = model.backends.get("b")!.servers[0]!;
    presetCounter(tables, { kind: "frontend", object: l }, front.FRONT_COUNT_BYTES_IN, 2 ** 50);
    presetCounter(tables, { kind: "backend", object: l }, back.BACK_COUNT_BYTES_IN, 5);
    presetCounter(
      tables,
      { kind: "server", object: server },
      back.BACK_COUNT_LAST_SESSION,
      NOW - 9,
    );
    const text = dump(first);
    const second = await makeLab();
    expect(load(second, text)).toEqual([]);
    expect(dump(second)).toBe(text);
  });

  test("a file of HAProxy's: other columns, comments, sections, GUIDs and sides", async () => {
    const lab = await makeLab();
    const text = [
      "#fe guid,req_tot,stot,",
      "// a comment",
      "fe,7,1024,",
      "li-0,7,1025",
      "gone,1,1,",
      "srv,1,1,",
      "#quic guid,other,",
      "what is this",
      "#be guid,unknown,stot,hrsp_2xx,",
      "both,512,1026,3,",
      "srv,512,1027,",
      "be,,,",
      "",
    ].join("\r\n");
    expect(load(lab, text)).toEqual([]);
    const printed = dump(lab);
    expect(printed).toContain("\nfe,1024,0,");
    expect(printed).toContain("\nli-0,1025,0,");
    expect(printed).toContain("\nboth,0,0,0,0,0,");
    expect(printed).toContain("\nboth,1026,0,");
    expect(printed).toContain("\nsrv,1027,0,");
    expect(printed).toContain("\nbe,0,0,");
  });

  test.each([
    ["nothing of the kind", "hello\n", "Invalid stats-file format in file 'x.stats'."],
    [
      "no comma at the end",
      "#fe guid,stot\nfe,1,\n",
      "Invalid stats-file format in file 'x.stats'.",
    ],
    ["no GUID first", "#be stot,guid,\nbe,1,\n", "Invalid stats-file format in file 'x.stats'."],
  ])("%s: the whole file is left alone", async (_name, text, sentence) => {
    const lab = await makeLab();
    expect(load(lab, text)).toEqual([`config: ${sentence}`]);
  });

  test("damaged lines are told by their number, and the rest counts", async () => {
    const lab = await makeLab();
    const text = [
      "#be guid,stot,bin,",
      "be,abc,1,",
      "srv,12,-1,",
      "srv,99999999999999999999,1,",
      "no guid!,1,1,",
      "#be",
      "be,5,5,",
      "#be guid,bout,",
      "both,44,",
      "srv,77",
    ].join("\n");
    expect(load(lab, text)).toEqual([
      "config: Ignored stats-file line 2 in file 'x.stats': 'stot' is not a number: 'abc'.",
      "config: Ignored stats-file line 3 in file 'x.stats': 'bin' is not a number: '-1'.",
      "config: Ignored stats-file line 4 in file 'x.stats': " +
        "'stot' is not a number: '99999999999999999999'.",
      "config: Ignored stats-file line 5 in file 'x.stats': " +
        "its GUID is none (invalid character ' ').",
      "config: Ignored stats-file header line 6 in file 'x.stats': it is no list of columns.",
      "config: Ignored stats-file line 10 in file 'x.stats': it is cut off.",
    ]);
    const printed = dump(lab);
    // Of a line that is refused nothing is taken, of a header that is refused no line.
    expect(printed).toContain("\nbe,0,0,0,");
    expect(printed).toContain("\nsrv,0,0,0,");
    expect(printed).toContain("\nboth,0,0,44,");
  });

  test("a long foreign file fills no log", async () => {
    const lab = await makeLab();
    const warnings = load(lab, `#be guid,stot,\n${"be,x,\n".repeat(1000)}`);
    expect(warnings.length).toBe(21);
    expect(warnings.at(-1)).toBe("config: 980 more lines of stats-file 'x.stats' were ignored.");
  });

  test("asserts that no worker has been started", async () => {
    const lab = await makeLab();
    const words = lab.control.tables.workers.words;
    Atomics.store(words, WORKER_STRIDE + WORKER_STATE, WORKER_STATE_RUNNING);
    expect(() => load(lab, "#be guid,stot,\nbe,1,\n")).toThrow("before the first worker");
  });
});
