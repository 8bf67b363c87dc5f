/** QUIC in `show stat`: what columns say, for whom, and what clearing leaves. */
import { describe, expect, test } from "bun:test";

import { ERROR_CRYPTO, QuicAccount } from "../../../../src/conduit/quic/account.ts";
import * as transport from "../../../../src/conduit/quic/transport.ts";
import type { ProxyObject } from "../../../../src/control/model.ts";
import { ALL_STATS, dumpStats } from "../../../../src/control/stats/dump.ts";
import { STAT_COUNT, STAT_FIELDS } from "../../../../src/control/stats/fields.ts";
import { INFO_FIELDS } from "../../../../src/control/stats/info.ts";
import type { InfoFacts } from "../../../../src/control/stats/info.ts";
import { AT_QUIC, QUIC_STAT_FIELDS } from "../../../../src/control/stats/quic-fields.ts";
import { QuicShards } from "../../../../src/control/stats/quic-shards.ts";
import { statisticsOf } from "../../../../src/control/stats/statistics.ts";
import { PROCESS_WORKER_COUNT } from "../../../../src/tables/generated/process.ts";
import { PROXY_STRIDE } from "../../../../src/tables/generated/proxy.ts";
import * as quic from "../../../../src/tables/generated/quic-count.ts";
import {
  SERVER_QUIC_IDLE,
  SERVER_QUIC_OPEN,
  SERVER_STRIDE,
} from "../../../../src/tables/generated/server.ts";
import { SHARE_QUIC_IDLE, SHARE_STRIDE } from "../../../../src/tables/generated/share.ts";
import { reserveTables, Tables } from "../../../../src/tables/tables.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";
import { quicBindSpec, quicServerSpec } from "../../../support/quic-specs.ts";

const CONFIG = `defaults d
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend plain
  bind abns@sluice-quicstat-${process.pid}-1
  default_backend q
frontend f
  option socket-stats
  bind abns@sluice-quicstat-${process.pid}-2
  default_backend q
backend q
  server s1 127.0.0.1:1
`;

/** The frontend `f` and the server `q/s1` speak QUIC. */
async function makeLab(): Promise<ControlLab> {
  return await makeControlLab(CONFIG, {
    planned: ({ proxies }) => {
      proxies.find(({ name }) => name === "f")!.binds[0]!.quic = quicBindSpec();
      const server = proxies.find(({ name }) => name === "q")!.servers[0]!;
      server.quic = quicServerSpec({ poolMaxConn: 7 });
    },
  });
}

function numbers(values: Record<string, number>): Float64Array {
  const names: readonly string[] = [...transport.QUIC_NUMBERS, ...transport.QUIC_MOMENTS];
  for (const name of Object.keys(values)) if (!names.includes(name)) throw new Error(name);
  return new Float64Array(names.map((name) => values[name] ?? 0));
}

/** Rows by `pxname/svname`, columns by name; `undefined` = empty. */
function csvRows(lab: ControlLab): Map<string, Record<string, string | undefined>> {
  const text = [...dumpStats(statisticsOf(lab.control), ALL_STATS, "csv")].join("");
  const [head = "", ...lines] = text.trimEnd().split("\n");
  const names = head.slice(2).split(",");
  const rows = lines.map((line) => {
    const cells = line.split(",");
    expect(cells).toHaveLength(names.length);
    const row = Object.fromEntries(names.map((name, at) => [name, cells[at] || undefined]));
    return [`${row["pxname"]}/${row["svname"]}`, row] as const;
  });
  return new Map(rows);
}

/** What some connections have done on the client side. */
function someTraffic(lab: ControlLab): void {
  const { row } = lab.control.model.frontends.get("f")!;
  const account = new QuicAccount(lab.control.tables, 1, () => {});
  for (let i = 0; i < 4; i++) account.opened(row, true);
  account.halfOpen(row, 5);
  account.halfOpen(row, 3);
  account.count(
    row,
    true,
    numbers({ handshakesDone: 2, handshakesFailed: 1, packetsSent: 10, bytesSent: 5000 }),
  );
  account.count(row, true, numbers({ packetsDropped: 2, initialsDropped: 3, malformed: 4 }));
  account.count(row, true, numbers({ retriesSent: 5, retriesValid: 4, retriesInvalid: 1 }));
  account.closed(row, true, transport.CAUSE_TRANSPORT, 0xan);
  account.released(row, true, numbers({ rttSmoothMicros: 300, cwnd: 12_000 }));
  account.closed(row, true, transport.CAUSE_APPLICATION, 0x10cn);
  account.released(row, true, numbers({ rttSmoothMicros: 500, cwnd: 14_000 }));
  account.closed(row, true, transport.CAUSE_PROTOCOL, 0x178n);
}

describe("columns", () => {
  test("are filled for what speaks QUIC, and for nothing else", async () => {
    const lab = await makeLab();
    const rows = csvRows(lab);
    const filled = [...rows].filter(([, row]) => row["quic_sent_pkt"] !== undefined);
    expect(filled.map(([name]) => name)).toEqual(["f/FRONTEND", "q/BACKEND"]);
    const plain = rows.get("plain/FRONTEND")!;
    expect(QUIC_STAT_FIELDS.filter(({ name }) => plain[name] !== undefined)).toEqual([]);
    expect([plain["-"], filled[0]![1]["-"]]).toEqual(["-", "-"]);
  });

  test("say what was counted", async () => {
    const lab = await makeLab();
    someTraffic(lab);
    const row = csvRows(lab).get("f/FRONTEND")!;
    const told = Object.fromEntries(
      Object.entries(row).filter(
        ([name, value]) => name.startsWith("quic_") && (value ?? "0") !== "0",
      ),
    );
    expect(told).toEqual({
      quic_dropped_pkt: "5",
      quic_dropped_parsing_pkt: "4",
      quic_sent_pkt: "10",
      quic_retry_sent: "5",
      quic_retry_validated: "4",
      quic_retry_error: "1",
      quic_half_open_conn: "3",
      quic_hdshk_fail: "1",
      quic_transp_err_protocol_violation_error: "1",
      quic_conn_cur: "2",
      quic_conn_open: "4",
      quic_conn_released: "2",
      quic_hdshk_done: "2",
      quic_sent_bytes: "5000",
      quic_initial_dropped: "3",
      quic_end_app: "1",
      quic_end_transp: "1",
      quic_end_proto: "1",
      quic_transp_err_sent: "crypto_error=1",
      quic_app_err_codes: "0x10c=1",
      quic_rtt_avg: "400",
      quic_rtt_min: "300",
      quic_rtt_max: "500",
      quic_cwnd_avg: "13000",
      quic_cwnd_min: "12000",
      quic_cwnd_max: "14000",
    });
  });

  test("go on after a QUIC listener is gone", async () => {
    const lab = await makeLab();
    someTraffic(lab);
    await lab.ask("del bind f/#1");
    lab.settle();
    expect(csvRows(lab).get("f/FRONTEND")!["quic_sent_pkt"]).toBe("10");
  });

  test("names of HAProxy come first, and only those are called so", () => {
    const firstOwn = QUIC_STAT_FIELDS.findIndex(({ isHaproxys }) => !isHaproxys);
    expect(QUIC_STAT_FIELDS[firstOwn]!.name).toBe("quic_conn_cur");
    expect(QUIC_STAT_FIELDS.slice(firstOwn).every(({ isHaproxys }) => !isHaproxys)).toBe(true);
  });
});

describe("other forms", () => {
  test("typed: places go on behind the last column, without the mark", async () => {
    const lab = await makeLab();
    someTraffic(lab);
    const filter = { ...ALL_STATS, kinds: 1 };
    const text = [...dumpStats(statisticsOf(lab.control), filter, "typed")].join("");
    const { id } = lab.control.model.frontends.get("f")!.spec;
    const at = STAT_COUNT + AT_QUIC["quic_sent_pkt"]!;
    expect(text).toContain(`\nF.${id}.0.${at}.quic_sent_pkt.1:MCPP:u64:10\n`);
    expect(text).toContain(".quic_app_err_codes.1:MOPP:str:0x10c=1\n");
    expect(text.match(/quic_sent_pkt/g)).toHaveLength(1);
    expect(text).not.toContain("quic_rxbuf_full");
  });

  test("JSON: HAProxy's, and one record a row", async () => {
    const lab = await makeLab();
    someTraffic(lab);
    const filter = { ...ALL_STATS, kinds: 1 };
    const said = [...dumpStats(statisticsOf(lab.control), filter, "json")].join("");
    const rows = JSON.parse(said) as { field: { pos: number; name: string }; value: unknown }[][];
    const found = rows.flat().filter(({ field }) => field.name === "quic_retry_sent");
    expect(found).toEqual([
      expect.objectContaining({
        field: { pos: STAT_COUNT + AT_QUIC["quic_retry_sent"]!, name: "quic_retry_sent" },
        value: { type: "u64", value: 5 },
      }),
    ]);
    const records = JSON.parse(
      [...dumpStats(statisticsOf(lab.control), filter, "record")].join(""),
    ) as Record<string, unknown>[];
    expect(records.map((one) => one["quic_conn_open"])).toEqual([undefined, 4]);
  });
});

test("connections of a QUIC server", async () => {
  const lab = await makeLab();
  const { row } = lab.server("q/s1");
  const { words } = lab.control.tables.servers;
  words[row + SERVER_QUIC_OPEN] = 5;
  words[row + SERVER_QUIC_IDLE] = 2;
  const server = csvRows(lab).get("q/s1")!;
  const names = ["srv_icur", "src_ilim", "safe_conn_cur", "used_conn_cur", "need_conn_est"];
  expect(names.map((name) => server[name])).toEqual(["2", "7", "2", "3", "3"]);
});

test("'show servers conn' tells them by worker", async () => {
  const lab = await makeLab();
  const { row } = lab.server("q/s1");
  const { servers, perWorker, process } = lab.control.tables;
  process.words[PROCESS_WORKER_COUNT] = 1;
  servers.words[row + SERVER_QUIC_OPEN] = 5;
  servers.words[row + SERVER_QUIC_IDLE] = 2;
  perWorker[0]!.shares.words[(row / SERVER_STRIDE) * SHARE_STRIDE + SHARE_QUIC_IDLE] = 2;
  const { reply } = await lab.run("show servers conn q");
  if (reply.kind !== "pieces") throw new Error("pieces");
  const [head = "", line = ""] = [...(reply.pieces as Iterable<string>)].join("").split("\n");
  const names = head.slice(2).split(" ");
  const cells = Object.fromEntries(line.split(" ").map((cell, at) => [names[at]!, cell]));
  expect(cells).toMatchObject({
    purge_delay: "5000",
    served: "0",
    used_cur: "3",
    safe_nb: "2",
    idle_lim: "7",
    idle_cur: "2",
    "idle_per_thr[1]": "2",
  });
});

test("QUIC connections are the TLS connections of 'show info'", async () => {
  const lab = await makeLab();
  someTraffic(lab);
  const { row } = lab.control.model.backends.get("q")!;
  new QuicAccount(lab.control.tables, 1, () => {}).opened(row, false);
  const read = (name: string): unknown =>
    INFO_FIELDS.find((one) => one.name === name)!.read({ control: lab.control } as InfoFacts);
  expect([read("CurrSslConns"), read("CumSslConns"), read("MaxSslConns")]).toEqual([3, 5, 0]);
});

test("a QUIC listener is told by its protocol", async () => {
  const lab = await makeLab();
  expect([...csvRows(lab).values()].map((row) => row["proto"])).toContain("quic4");
});

describe("clearing", () => {
  test("'clear counters' forgets extremes only", async () => {
    const lab = await makeLab();
    someTraffic(lab);
    await lab.ask("clear counters");
    const row = csvRows(lab).get("f/FRONTEND")!;
    expect([row["quic_rtt_max"], row["quic_cwnd_min"]]).toEqual([undefined, undefined]);
    expect([row["quic_rtt_avg"], row["quic_sent_pkt"]]).toEqual(["400", "10"]);
  });

  test("'clear counters all' forgets all but what is there now", async () => {
    const lab = await makeLab();
    someTraffic(lab);
    await lab.ask("clear counters all");
    const row = csvRows(lab).get("f/FRONTEND")!;
    const left = QUIC_STAT_FIELDS.filter(({ name }) => (row[name] ?? "0") !== "0");
    expect(left.map(({ name }) => [name, row[name]])).toEqual([
      ["quic_half_open_conn", "3"],
      ["quic_conn_cur", "2"],
    ]);
    const account = new QuicAccount(lab.control.tables, 1, () => {});
    const at = lab.control.model.frontends.get("f")!.row;
    account.closed(at, true, transport.CAUSE_APPLICATION, 0x10cn);
    account.count(at, true, numbers({ packetsSent: 3 }));
    const after = csvRows(lab).get("f/FRONTEND")!;
    expect([after["quic_app_err_codes"], after["quic_sent_pkt"]]).toEqual(["0x10c=1", "3"]);
  });
});

test("shards of several workers become one number each", () => {
  const sizes = { proxies: 3, listeners: 1, servers: 1, queueEntries: 1, arenaWords: 64 };
  const tables = new Tables(reserveTables({ workers: 3, ...sizes }));
  const proxy = { row: 2 * PROXY_STRIDE } as ProxyObject;
  const ends = [
    { worker: 1, rtt: 700, cwnd: 5000, code: 1n },
    { worker: 3, rtt: 200, cwnd: 9000, code: 2n },
    { worker: 3, rtt: 400, cwnd: 8000, code: 1n },
  ];
  for (const { worker, rtt, cwnd, code } of ends) {
    const account = new QuicAccount(tables, worker, () => {});
    account.opened(proxy.row, false);
    account.closed(proxy.row, false, transport.CAUSE_APPLICATION, code);
    account.closed(proxy.row, false, transport.CAUSE_TRANSPORT, 0x1aan);
    account.released(proxy.row, false, numbers({ rttSmoothMicros: rtt, cwnd }));
  }
  const shards = new QuicShards(tables);
  shards.read(proxy, false);
  const cell = (field: number): number => shards.cells[field >> 1]!;
  expect([...shards.codes]).toEqual([
    [1n, 2],
    [2n, 1],
  ]);
  expect(cell(quic.QUIC_COUNT_OPENED)).toBe(3);
  expect(cell(quic.QUIC_COUNT_ERRORS_RECEIVED + 2 * ERROR_CRYPTO)).toBe(3);
  expect([cell(quic.QUIC_COUNT_RTT_MIN), cell(quic.QUIC_COUNT_RTT_MAX)]).toEqual([200, 700]);
  expect([cell(quic.QUIC_COUNT_CWND_MIN), cell(quic.QUIC_COUNT_CWND_MAX)]).toEqual([5000, 9000]);
  expect(cell(quic.QUIC_COUNT_CWND_SUM)).toBe(22_000);
  shards.read(proxy, true);
  expect(shards.cells.every((value) => value === 0)).toBe(true);
  expect(shards.codes.size).toBe(0);
  // Handshakes under way are what each worker has now, not what it has ever had.
  for (const [worker, connections] of [
    [1, 5],
    [1, 2],
    [3, 4],
  ] as const) {
    new QuicAccount(tables, worker, () => {}).halfOpen(proxy.row, connections);
  }
  shards.read(proxy, true);
  expect(shards.halfOpen).toBe(6);
  shards.clear(proxy);
  shards.read(proxy, true);
  expect(shards.halfOpen).toBe(6);
  expect(STAT_FIELDS).toHaveLength(STAT_COUNT);
});
