/** Counts of QUIC connections, in the shards of a worker and on the row of their proxy. */
import { expect, test } from "bun:test";

import {
  ERROR_CRYPTO,
  ERROR_UNKNOWN,
  QuicAccount,
  transportErrorIndex,
} from "../../../../src/conduit/quic/account.ts";
import {
  CAUSE_APPLICATION,
  CAUSE_IDLE,
  CAUSE_PROTOCOL,
  CAUSE_TRANSPORT,
  QUIC_COUNTS,
  QUIC_MOMENTS,
  QUIC_NUMBERS,
} from "../../../../src/conduit/quic/transport.ts";
import {
  PROXY_QUIC_BACK,
  PROXY_QUIC_FRONT,
  PROXY_STRIDE,
  PROXY_WATCHED,
} from "../../../../src/tables/generated/proxy.ts";
import * as quic from "../../../../src/tables/generated/quic-count.ts";
import { LAYOUTS, QUIC_CODES_KEPT } from "../../../../src/tables/schema.ts";
import { reserveTables, Tables } from "../../../../src/tables/tables.ts";

const sizes = { proxies: 3, listeners: 1, servers: 1, queueEntries: 1, arenaWords: 64 };
const makeTables = (): Tables => new Tables(reserveTables({ workers: 2, ...sizes }));
const ROW = 2 * PROXY_STRIDE;

/** A cell of a shard. */
function cell(
  tables: Tables,
  worker: number,
  side: "quicFront" | "quicBack",
  field: number,
): number {
  const at = (ROW / PROXY_STRIDE) * quic.QUIC_COUNT_STRIDE + field;
  return tables.perWorker[worker - 1]![side].floats[at >> 1]!;
}

function numbersOf(values: Partial<Record<string, number>>): Float64Array {
  const names: readonly string[] = [...QUIC_NUMBERS, ...QUIC_MOMENTS];
  return new Float64Array(names.map((name) => values[name] ?? 0));
}

test("a row begins with the numbers of a transport, in their order", () => {
  const layout = LAYOUTS.find(({ name }) => name === "QUIC_COUNT")!;
  const [group] = layout.groups;
  const names = group!.fields.slice(0, QUIC_COUNTS).map(({ name }) => name);
  expect(names).toEqual([...QUIC_NUMBERS]);
  expect(group!.fields[QUIC_COUNTS]!.name).toBe("used");
  expect(quic.QUIC_COUNT_USED).toBe(2 * QUIC_COUNTS);
});

test("growth adds up in the shard of its worker and side, and nowhere else", () => {
  const tables = makeTables();
  const account = new QuicAccount(tables, 2, () => {});
  account.count(ROW, true, numbersOf({ packetsSent: 3, glitches: 1 }));
  account.count(ROW, true, numbersOf({ packetsSent: 4 }));
  expect(cell(tables, 2, "quicFront", quic.QUIC_COUNT_PACKETS_SENT)).toBe(7);
  expect(cell(tables, 2, "quicFront", quic.QUIC_COUNT_GLITCHES)).toBe(1);
  expect(cell(tables, 2, "quicFront", quic.QUIC_COUNT_USED)).toBe(1);
  const sum = (worker: number, side: "quicFront" | "quicBack"): number =>
    tables.perWorker[worker - 1]![side].floats.reduce((all, value) => all + value, 0);
  expect(sum(2, "quicFront")).toBe(9);
  expect([sum(1, "quicFront"), sum(1, "quicBack"), sum(2, "quicBack")]).toEqual([0, 0, 0]);
});

test("what is of the moment is not added, nor is growth of nothing", () => {
  const tables = makeTables();
  const account = new QuicAccount(tables, 1, () => {});
  account.count(ROW, false, numbersOf({ cwnd: 12_000, rttSmoothMicros: 10 }));
  expect(tables.perWorker[0]!.quicBack.floats.every((value) => value === 0)).toBe(true);
});

test("a connection holds its proxy from its opening to its release", () => {
  const tables = makeTables();
  const { words } = tables.proxies;
  let rings = 0;
  const account = new QuicAccount(tables, 1, () => rings++);
  account.opened(ROW, true);
  account.opened(ROW, true);
  account.opened(ROW, false);
  account.closed(ROW, true, CAUSE_IDLE, 0n);
  expect([words[ROW + PROXY_QUIC_FRONT], words[ROW + PROXY_QUIC_BACK]]).toEqual([2, 1]);
  account.released(ROW, true);
  expect([words[ROW + PROXY_QUIC_FRONT], words[ROW + PROXY_QUIC_BACK]]).toEqual([1, 1]);
  expect(rings).toBe(0);
  // Nobody looks: control is left alone.
  account.released(ROW, true);
  expect(rings).toBe(0);
  words[ROW + PROXY_WATCHED] = 1;
  account.released(ROW, false);
  expect(rings).toBe(1);
  expect([words[ROW + PROXY_QUIC_FRONT], words[ROW + PROXY_QUIC_BACK]]).toEqual([0, 0]);
  expect(cell(tables, 1, "quicFront", quic.QUIC_COUNT_OPENED)).toBe(2);
  expect(cell(tables, 1, "quicFront", quic.QUIC_COUNT_RELEASED)).toBe(2);
  expect(cell(tables, 1, "quicFront", quic.QUIC_COUNT_ENDED + 2 * CAUSE_IDLE)).toBe(1);
});

test("whoever looks when the ring comes finds the counters complete", () => {
  const tables = makeTables();
  tables.proxies.words[ROW + PROXY_WATCHED] = 1;
  let seen = -1;
  const account = new QuicAccount(tables, 1, () => {
    seen = cell(tables, 1, "quicBack", quic.QUIC_COUNT_RELEASED);
  });
  account.opened(ROW, false);
  account.released(ROW, false, numbersOf({ rttSmoothMicros: 5 }));
  expect(seen).toBe(1);
});

test("control goes on where a dead worker stopped", () => {
  const tables = makeTables();
  const worker = new QuicAccount(tables, 2, () => {});
  worker.opened(ROW, false);
  worker.count(ROW, false, numbersOf({ bytesSent: 100 }));
  let rings = 0;
  tables.proxies.words[ROW + PROXY_WATCHED] = 1;
  const burial = new QuicAccount(tables, 2, () => rings++);
  burial.count(ROW, false, numbersOf({ bytesSent: 11 }));
  burial.released(ROW, false);
  expect(cell(tables, 2, "quicBack", quic.QUIC_COUNT_BYTES_SENT)).toBe(111);
  expect(tables.proxies.words[ROW + PROXY_QUIC_BACK]).toBe(0);
  expect(rings).toBe(1);
});

test("a release too many is a bug", () => {
  const account = new QuicAccount(makeTables(), 1, () => {});
  expect(() => account.released(ROW, true)).toThrow("released once");
  expect(() => account.opened(5, true)).toThrow("the row of a proxy");
});

const CODES: readonly [code: bigint, index: number][] = [
  [0n, 0],
  [0x0an, 10],
  [0x10n, 16],
  [0x11n, ERROR_UNKNOWN],
  [0xffn, ERROR_UNKNOWN],
  [0x100n, ERROR_CRYPTO],
  [0x178n, ERROR_CRYPTO],
  [0x1ffn, ERROR_CRYPTO],
  [0x200n, ERROR_UNKNOWN],
  [(1n << 62n) - 1n, ERROR_UNKNOWN],
];

test.each(CODES)("transport error %p has the place %p", (code, index) => {
  expect(transportErrorIndex(code)).toBe(index);
});

test("transport errors are counted by code, theirs and ours apart", () => {
  const tables = makeTables();
  const account = new QuicAccount(tables, 1, () => {});
  account.closed(ROW, true, CAUSE_TRANSPORT, 0x0an);
  account.closed(ROW, true, CAUSE_TRANSPORT, 0x128n);
  account.closed(ROW, true, CAUSE_PROTOCOL, 0x128n);
  const received = quic.QUIC_COUNT_ERRORS_RECEIVED;
  const sent = quic.QUIC_COUNT_ERRORS_SENT;
  expect(cell(tables, 1, "quicFront", received + 2 * 0x0a)).toBe(1);
  expect(cell(tables, 1, "quicFront", received + 2 * ERROR_CRYPTO)).toBe(1);
  expect(cell(tables, 1, "quicFront", sent + 2 * ERROR_CRYPTO)).toBe(1);
  expect(cell(tables, 1, "quicFront", sent + 2 * 0x0a)).toBe(0);
});

test("codes of applications have places of their own, as many as there are", () => {
  const tables = makeTables();
  const account = new QuicAccount(tables, 1, () => {});
  const big = (1n << 62n) - 1n;
  // The first four differ in their upper half only.
  const codes = [1n, (1n << 32n) | 1n, (1n << 61n) | 1n, big, 0n, 5n, 6n, 7n, 8n, 9n];
  for (const code of [...codes, ...codes]) account.closed(ROW, true, CAUSE_APPLICATION, code);
  const at = (ROW / PROXY_STRIDE) * quic.QUIC_COUNT_STRIDE;
  const { words, floats } = tables.perWorker[0]!.quicFront;
  const told = Array.from({ length: QUIC_CODES_KEPT }, (_, i) => {
    const low = BigInt(words[at + quic.QUIC_COUNT_CODE_LOW + i]! >>> 0);
    const high = BigInt(words[at + quic.QUIC_COUNT_CODE_HIGH + i]! >>> 0);
    return [(high << 32n) | low, floats[(at + quic.QUIC_COUNT_CODE_COUNT + 2 * i) >> 1]!];
  });
  expect(told).toEqual(codes.slice(0, QUIC_CODES_KEPT).map((code) => [code, 2]));
  expect(cell(tables, 1, "quicFront", quic.QUIC_COUNT_CODES_OTHER)).toBe(4);
});

test("round-trip times and windows are summed up when a connection is released", () => {
  const tables = makeTables();
  const account = new QuicAccount(tables, 1, () => {});
  const ends = [
    { rttSmoothMicros: 500, cwnd: 20_000 },
    { rttSmoothMicros: 300, cwnd: 90_000 },
    { rttSmoothMicros: 900, cwnd: 40_000 },
    // A handshake that failed has measured nothing; its window is the first of all connections.
    { cwnd: 12_000 },
  ];
  for (const end of ends) {
    account.opened(ROW, false);
    account.released(ROW, false, numbersOf(end));
  }
  const read = (field: number): number => cell(tables, 1, "quicBack", field);
  expect(read(quic.QUIC_COUNT_RTT_SAMPLES)).toBe(3);
  expect(read(quic.QUIC_COUNT_RTT_SUM)).toBe(1700);
  expect(read(quic.QUIC_COUNT_RTT_MIN)).toBe(300);
  expect(read(quic.QUIC_COUNT_RTT_MAX)).toBe(900);
  expect(read(quic.QUIC_COUNT_CWND_SAMPLES)).toBe(3);
  expect(read(quic.QUIC_COUNT_CWND_SUM)).toBe(150_000);
  expect(read(quic.QUIC_COUNT_CWND_MIN)).toBe(20_000);
  expect(read(quic.QUIC_COUNT_CWND_MAX)).toBe(90_000);
});
