/** Who gets which address of a name, and which record of a service. */
import { describe, expect, test } from "bun:test";

import { NEW_NAMING } from "../../../../src/config/names/words.ts";
import { assignServices, weightOf } from "../../../../src/control/names/assign-services.ts";
import { chooseAddresses } from "../../../../src/control/names/choose-addresses.ts";
import { KeptRecords } from "../../../../src/control/names/kept-records.ts";
import { serviceKey } from "../../../../src/control/names/message.ts";
import type { NamedAddress, ServiceRecord } from "../../../../src/control/names/message.ts";
import type { ServerNameSpec } from "../../../../src/tables/spec.ts";

const address = (host: string): NamedAddress => ({ family: host.includes(":") ? 6 : 4, host });
const hostOf = ({ host }: NamedAddress): string => host;

/** Records of an answer, and those of one before that are held still. */
function known(fresh: string[], held: string[] = []): KeptRecords<NamedAddress> {
  const records = new KeptRecords<NamedAddress>();
  records.update(held.map(address), hostOf, 0, 1000);
  records.update(fresh.map(address), hostOf, 500, 1000);
  return records;
}

const FOUR: ServerNameSpec = { ...NEW_NAMING, prefer: "ipv4" };
const SHARING: ServerNameSpec = { ...FOUR, allowsDuplicate: true };
const NEAR: ServerNameSpec = { ...FOUR, nets: [{ family: 4, base: "10.2.0.0", bits: 16 }] };

describe("addresses", () => {
  const rows: [
    name: string,
    has: (string | undefined)[],
    records: KeptRecords<NamedAddress>,
    wants: (string | undefined)[],
    naming?: ServerNameSpec,
  ][] = [
    ["to whoever has none, in order", [undefined, undefined], known(["a", "b"]), ["a", "b"]],
    ["what is still there stays", ["b", "a"], known(["a", "b", "c"]), ["b", "a"]],
    ["what is gone is replaced", ["x", "a"], known(["a", "b"]), ["b", "a"]],
    ["too few", [undefined, undefined, undefined], known(["a", "b"]), ["a", "b", undefined]],
    ["nobody loses to a newcomer", [undefined, "a"], known(["a"]), [undefined, "a"]],
    [
      "what is held stays, and is given to nobody",
      ["x", undefined],
      known(["a"], ["x"]),
      ["x", "a"],
    ],
    ["what is held only", [undefined], known([], ["x"]), [undefined]],
    ["two that have the same: the first keeps it", ["a", "a"], known(["a"]), ["a", undefined]],
    ["shared where that is allowed", [undefined, undefined], known(["a"]), ["a", "a"], SHARING],
    ["apart where there is room", ["a", "a"], known(["a", "b"]), ["a", "b"], SHARING],
    ["a near one first", [undefined], known(["10.1.0.1", "10.2.0.1"]), ["10.2.0.1"], NEAR],
    [
      "a near one rather than its own",
      ["10.1.0.1"],
      known(["10.1.0.1", "10.2.0.1"]),
      ["10.2.0.1"],
      NEAR,
    ],
    [
      "one leaves for a near one, another takes its place",
      ["10.1.0.1", undefined],
      known(["10.1.0.1", "10.2.0.1"]),
      ["10.2.0.1", "10.1.0.1"],
      NEAR,
    ],
    ["none is near", ["10.1.0.1"], known(["10.1.0.1"]), ["10.1.0.1"], NEAR],
    ["the family that is wanted", [undefined], known(["::1", "10.0.0.1"]), ["10.0.0.1"]],
    ["the other one, where it is alone", [undefined], known(["::1"]), ["::1"]],
    ["back to the family that is wanted", ["::1"], known(["10.0.0.1"], ["::1"]), ["10.0.0.1"]],
  ];
  for (const [name, has, records, wants, naming = FOUR] of rows) {
    test(name, () => {
      const seats = has.map((host) => ({ host, naming }));
      const chosen = chooseAddresses(seats, records);
      expect(chosen.map((one) => one?.host)).toEqual(wants);
    });
  }
  test("IPv6 first, unless something else is said", () => {
    const chosen = chooseAddresses(
      [{ host: undefined, naming: NEW_NAMING }],
      known(["10.0.0.1", "::1"]),
    );
    expect(chosen[0]?.host).toBe("::1");
  });
  test("5,000 servers and addresses are no work", () => {
    const hosts = Array.from({ length: 5000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
    const records = known(hosts.toReversed());
    const seats = hosts.map((host, i) => ({ host: i % 2 === 0 ? host : undefined, naming: FOUR }));
    const chosen = chooseAddresses(seats, records).map((one) => one?.host);
    expect(new Set(chosen).size).toBe(5000);
    for (let i = 0; i < 5000; i += 2) expect(chosen[i]).toBe(hosts[i]!);
  });
  test("server lines of their own that say the same are one wish", () => {
    const count = 2000;
    const hosts = Array.from({ length: count }, (_, i) => `10.2.${i >> 8}.${i & 255}`);
    const records = known(hosts);
    let looks = 0;
    const fresh = records.fresh.bind(records);
    records.fresh = () => {
      looks++;
      return fresh();
    };
    const own = (): ServerNameSpec => ({ ...NEAR, nets: NEAR.nets.map((net) => ({ ...net })) });
    const seats = hosts.map((_, i) => ({ host: i < 1000 ? hosts[i] : undefined, naming: own() }));
    const chosen = chooseAddresses(seats, records).map((one) => one?.host);
    expect([looks, new Set(chosen).size]).toEqual([1, count]);
    looks = 0;
    chooseAddresses([...seats, { host: undefined, naming: FOUR }], records);
    expect(looks).toBe(2);
  });
});

describe("records of a service", () => {
  const record = (target: string, port = 80): ServiceRecord => {
    return { target, port, priority: 0, weight: 0 };
  };
  const records = (fresh: ServiceRecord[], held: ServiceRecord[] = []) => {
    const kept = new KeptRecords<ServiceRecord>();
    kept.update(held, serviceKey, 0, 1000);
    kept.update(fresh, serviceKey, 500, 1000);
    return kept;
  };
  const slot = (key?: string, isPinned = false) => ({ key, isPinned });

  test("fill what is empty, in order; the rest waits", () => {
    const { filled, emptied, kept } = assignServices(
      [slot(), slot("a:80"), slot()],
      records([record("b"), record("a"), record("a", 81), record("c")]),
    );
    expect(filled.map(({ place, record: one }) => [place, serviceKey(one)])).toEqual([
      [0, "b:80"],
      [2, "a:81"],
    ]);
    expect(kept).toMatchObject([{ place: 1 }]);
    expect(emptied).toEqual([]);
  });
  test("what was emptied just now is filled last", () => {
    const { filled, emptied } = assignServices([slot("x:80"), slot()], records([record("b")]));
    expect(emptied).toEqual([0]);
    expect(filled).toMatchObject([{ place: 1 }]);
    const full = assignServices([slot("x:80")], records([record("b")]));
    expect([full.emptied, full.filled.map(({ place }) => place)]).toEqual([[0], [0]]);
  });
  test("what is held stays as it is, and fills nobody", () => {
    const result = assignServices([slot("x:80"), slot()], records([], [record("x"), record("y")]));
    expect(result).toEqual({ emptied: [], filled: [], kept: [] });
  });
  test("what an operator has moved keeps its record, also when that is gone", () => {
    const gone = assignServices([slot("x:80", true), slot()], records([record("a")]));
    expect([gone.emptied, gone.filled.map(({ place }) => place)]).toEqual([[], [1]]);
    const there = assignServices([slot("x:80", true), slot()], records([record("x")]));
    expect(there).toEqual({ emptied: [], filled: [], kept: [] });
  });
  test("two slots with one record: the first keeps it", () => {
    const result = assignServices([slot("a:80"), slot("a:80")], records([record("a")]));
    expect([result.emptied, result.kept.length]).toEqual([[1], 1]);
  });
  test("weights as HAProxy maps them", () => {
    const weights = [0, 1, 10, 256, 257, 512, 1000, 65_535].map((weight) => weightOf({ weight }));
    expect(weights).toEqual([0, 1, 1, 1, 2, 2, 4, 256]);
  });
});

describe("what is kept of a name", () => {
  test("what an answer lacks counts for as long as it is said", () => {
    const records = known(["a"], ["x"]);
    expect([records.has("x"), records.isFresh("x"), records.isFresh("a")]).toEqual([
      true,
      false,
      true,
    ]);
    records.update([address("a")], hostOf, 999, 1000);
    expect(records.has("x")).toBe(true);
    records.update([address("a")], hostOf, 1000, 1000);
    expect(records.has("x")).toBe(false);
    records.update([address("b")], hostOf, 1001, 0);
    expect([...records.fresh()].map(([key]) => key)).toEqual(["b"]);
    expect(records.size).toBe(1);
  });
  test("what comes back is as good as new", () => {
    const records = known(["a"], ["x"]);
    records.update([address("x")], hostOf, 900, 1000);
    records.update([address("a")], hostOf, 1500, 1000);
    expect(records.has("x")).toBe(true);
  });
});
