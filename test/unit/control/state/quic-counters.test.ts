/** QUIC counters that go on in a later process: by a state file, and by a stats file. */
import { describe, expect, test } from "bun:test";

import { QuicAccount } from "../../../../src/conduit/quic/account.ts";
import * as transport from "../../../../src/conduit/quic/transport.ts";
import { QUIC_FIELDS } from "../../../../src/control/state/quic-counters.ts";
import { loadStatsFile } from "../../../../src/control/state/stats-file.ts";
import type { StatRow } from "../../../../src/control/stats/fields.ts";
import { QUIC_STAT_FIELDS } from "../../../../src/control/stats/quic-fields.ts";
import { statisticsOf } from "../../../../src/control/stats/statistics.ts";
import * as quic from "../../../../src/tables/generated/quic-count.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab, LabStart } from "../../../support/control-lab.ts";
import { quicBindSpec, quicServerSpec } from "../../../support/quic-specs.ts";
import { begin, fileOf } from "../../../support/state-lab.ts";

const CONFIG = `defaults d
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend f
  guid fe:1
  bind abns@sluice-quicstate-${process.pid}
  default_backend b
frontend plain
  guid fe:2
backend b
  guid be:1
  server s1 127.0.0.1:1 guid srv:1
`;

const planned: LabStart["planned"] = ({ proxies }) => {
  proxies.find(({ name }) => name === "f")!.binds[0]!.quic = quicBindSpec();
  proxies.find(({ name }) => name === "b")!.servers[0]!.quic = quicServerSpec();
};

/** Something of everything; a connection that lives, one in its handshake. */
function count(lab: ControlLab): void {
  const { model, tables } = lab.control;
  const account = new QuicAccount(tables, 1, () => {});
  const numbers = new Float64Array(transport.QUIC_COUNTS + transport.QUIC_MOMENTS.length);
  for (const [proxy, isFront] of [
    [model.frontends.get("f")!, true],
    [model.backends.get("b")!, false],
  ] as const) {
    const { row } = proxy;
    if (isFront) account.halfOpen(row, 3);
    // Ten or more have a code, each another one: two of them have no place.
    for (let i = 0; i < 12; i++) account.opened(row, isFront);
    for (let i = 0; i < 10; i++) {
      account.closed(row, isFront, transport.CAUSE_APPLICATION, BigInt(i) << 40n);
      numbers.fill(0);
      numbers[transport.QUIC_COUNTS + transport.QUIC_MOMENTS.indexOf("cwnd")] = 10_000 + i;
      numbers[transport.QUIC_COUNTS + transport.QUIC_MOMENTS.indexOf("rttSmoothMicros")] = 10 + i;
      account.released(row, isFront, numbers);
    }
    account.closed(row, isFront, transport.CAUSE_TRANSPORT, 0x178n);
    account.closed(row, isFront, transport.CAUSE_PROTOCOL, 0x1n);
    for (let i = 0; i < transport.QUIC_COUNTS; i++) numbers[i] = 100 + i;
    numbers[transport.QUIC_NUMBERS.indexOf("handshakesDone")] = 11;
    numbers[transport.QUIC_NUMBERS.indexOf("handshakesFailed")] = 0;
    account.count(row, isFront, numbers);
  }
}

/** What `show stat` says of both sides. */
function told(lab: ControlLab): Record<string, StatRow[number]>[] {
  const { model } = lab.control;
  const statistics = statisticsOf(lab.control);
  return [model.frontends.get("f")!, model.backends.get("b")!].map((proxy, index) => {
    const row: StatRow = [];
    expect(statistics.fillQuic(proxy, index === 0, row)).toBe(true);
    return Object.fromEntries(QUIC_STAT_FIELDS.map(({ name }, at) => [name, row[at]]));
  });
}

/** The same in a process that has no connection any more. */
function ended(rows: ReturnType<typeof told>): ReturnType<typeof told> {
  return rows.map((row) => ({
    ...row,
    quic_conn_cur: 0,
    quic_half_open_conn: 0,
    // Twelve were begun, eleven handshakes done: the last one never will be.
    quic_hdshk_fail: 1,
    quic_conn_released: 12,
  }));
}

test("every field of a row but the codes has a name, and its place", () => {
  expect(new Set(QUIC_FIELDS.map(([name]) => name)).size).toBe(QUIC_FIELDS.length);
  const offsets = new Map(QUIC_FIELDS);
  expect(offsets.get("quic.packetsSent")).toBe(quic.QUIC_COUNT_PACKETS_SENT);
  expect(offsets.get("quic.errorsSent.2")).toBe(quic.QUIC_COUNT_ERRORS_SENT + 4);
  expect(offsets.get("quic.rttSum")).toBe(quic.QUIC_COUNT_RTT_SUM);
  expect(offsets.get("quic.codeLow.0")).toBeUndefined();
});

describe("a state file", () => {
  test("keeps everything that was counted", async () => {
    const lab = await begin(CONFIG, undefined, { planned });
    count(lab);
    const before = told(lab);
    expect(before[0]!["quic_app_err_codes"]).toContain("0x10000000000=1");
    expect(before[0]!["quic_app_err_codes"]).toEndWith("other=2");
    const again = await begin(CONFIG, fileOf(lab), { planned });
    expect(told(again)).toEqual(ended(before));
    const third = await begin(CONFIG, fileOf(again), { planned });
    expect(told(third)).toEqual(ended(before));
  });
});

describe("a stats file", () => {
  test("keeps everything, codes of applications as one number", async () => {
    const lab = await makeControlLab(CONFIG, { planned: planned! });
    count(lab);
    const { reply } = await lab.run("dump stats-file");
    if (reply.kind !== "pieces") throw new Error("pieces");
    const text = [...(reply.pieces as Iterable<string>)].join("");
    const warnings: string[] = [];
    const again = await makeControlLab(CONFIG, {
      planned: planned!,
      built: (shop) => loadStatsFile(shop, "x", text, 1, (line) => void warnings.push(line)),
    });
    expect(warnings).toEqual([]);
    const expected = ended(told(lab)).map((row) => ({ ...row, quic_app_err_codes: "other=10" }));
    expect(told(again)).toEqual(expected);
  });

  test("has columns of QUIC where something speaks it only", async () => {
    const lab = await makeControlLab(CONFIG);
    const { reply } = await lab.run("dump stats-file");
    if (reply.kind !== "pieces") throw new Error("pieces");
    expect([...(reply.pieces as Iterable<string>)].join("")).not.toContain("quic");
  });
});
