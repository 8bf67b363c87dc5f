/**
 * Files of saved state, mangled. With any byte changed or cut off a file is refused, with a reason;
 * with other records behind a right checksum it is refused or restored, and the process begins.
 * `SLUICE_FUZZ_SEED` repeats a run.
 */
import { expect, test } from "bun:test";

import { readState } from "../../src/control/state/read-state.ts";
import { readStateBytes, StateWriter } from "../../src/control/state/state-format.ts";
import type { Batch } from "../../src/control/state/state-format.ts";
import { begin, fileOf } from "../support/state-lab.ts";
import { below, mutateBytes, pick, seededRandom } from "./mutate.ts";
import type { Random } from "./mutate.ts";

const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);
const BYTE_ROUNDS = 3000;
const RECORD_ROUNDS = 1000;

const CONFIG = `
defaults base
  mode tcp
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend f from base
  bind abns@sluice-fuzz-${process.pid} name one
  default_backend b
backend b from base
  server s1 127.0.0.1:19901 check
  server s2 127.0.0.1:19902
  server s3 127.0.0.1:19903
`;

async function savedFile(): Promise<Uint8Array> {
  const lab = await begin(CONFIG);
  const lines = [
    "set weight b/s1 50",
    "set server b/s1 addr 127.0.0.2 port 8888",
    "set server b/s1 health down",
    "disable server b/s2",
    "set server b/s2 name other",
    "disable server b/s3",
    "del server b/s3",
    "add backend made from base guid g:1",
    "add server made/m 127.0.0.1:1 guid g:2 send-proxy",
    "publish backend made",
    "disable frontend f",
    "set maxconn global 100",
    "set env NAME value",
  ];
  for (const line of lines) {
    await lab.ask(line);
    lab.settle();
  }
  return fileOf(lab);
}

const file = await savedFile();

test("the file itself is taken", () => {
  const read = readState(file);
  expect(read).toMatchObject({ ok: true });
  if (!read.ok) return;
  const { state } = read;
  expect(state.servers.length).toBe(3);
  expect(state.graves.length).toBe(1);
});

test("any byte that is another refuses it", () => {
  for (let at = 0; at < file.length; at++) {
    const changed = Uint8Array.from(file);
    changed[at]! ^= 1 << (at % 8);
    const read = readState(changed);
    expect(read.ok).toBe(false);
    if (!read.ok) expect(read.reason).toMatch(/^(?:it|there) .{5,}/u);
  }
});

test("cut off anywhere it is refused, and with bytes behind it", () => {
  for (let length = 0; length < file.length; length++) {
    expect(readState(file.subarray(0, length)).ok).toBe(false);
  }
  expect(readState(Buffer.concat([file, new Uint8Array(1)]))).toEqual({
    ok: false,
    reason: "there are bytes behind its end",
  });
});

test("a foreign file, an older and a newer one are refused as such", () => {
  expect(readState(Buffer.from("#fe guid,stot,\n"))).toEqual({
    ok: false,
    reason: "it is no state file",
  });
  const newer = Uint8Array.from(file);
  newer[11] = 9;
  expect(readState(newer)).toEqual({
    ok: false,
    reason: "it was written by a newer release (format 9, this one reads 2)",
  });
});

test("mangled bytes are refused, whatever they are", () => {
  const random = seededRandom(seed);
  const same = (bytes: Uint8Array): boolean => Buffer.compare(bytes, file) === 0;
  for (let round = 0; round < BYTE_ROUNDS; round++) {
    const bytes = mutateBytes(random, [file, Buffer.from("sluice\0s"), new Uint8Array(60)]);
    if (!same(bytes)) expect(readState(bytes).ok).toBe(false);
  }
});

/** Values that may stand where something else was expected. */
const VALUES: readonly unknown[] = [
  null,
  undefined,
  true,
  false,
  0,
  -1,
  1.5,
  2 ** 40,
  Number.NaN,
  "",
  "x",
  "b",
  "s1",
  "made",
  "back",
  "front",
  "../../x",
  "\0",
  [],
  [1, 2],
  ["s1", "s1"],
  {},
  { name: "s1" },
  { family: "ipv4", host: "300.1.1.1", port: 99_999 },
];

const anyValue = (random: Random): unknown => VALUES[below(random, VALUES.length)];

/** Another value, most times of the same type. */
function another(random: Random, value: unknown): unknown {
  const same = VALUES.filter((one) => typeof one === typeof value);
  return below(random, 4) > 0 && same.length > 0
    ? same[below(random, same.length)]
    : anyValue(random);
}

/** A copy with a value somewhere in it replaced, taken out, or put in under another name. */
function mangle(random: Random, value: unknown, depth = 0): unknown {
  const isEnd = typeof value !== "object" || value === null;
  if (isEnd || (depth > 0 && below(random, 20) === 0)) return another(random, value);
  if (Array.isArray(value)) {
    const at = below(random, value.length + 1);
    if (at === value.length || below(random, 8) === 0) {
      return value.toSpliced(at, below(random, 2), anyValue(random));
    }
    return value.with(at, mangle(random, value[at], depth + 1));
  }
  const entries = Object.entries(value);
  if (entries.length === 0) return anyValue(random);
  const at = below(random, entries.length);
  const [key, inner] = entries[at]!;
  const what = below(random, 12);
  if (what === 0) return Object.fromEntries(entries.toSpliced(at, 1));
  const name = what === 1 ? pick(random, ["name", "guid", "spec", "made", "__proto__"]) : key;
  return Object.fromEntries(entries.toSpliced(at, 1, [name, mangle(random, inner, depth + 1)]));
}

/** The batches with one record of one of them mangled. */
function mangleRecord(random: Random, batches: readonly Batch[]): Batch[] {
  const at = below(random, batches.length);
  const { kind, items } = batches[at]!;
  const place = below(random, items.length);
  if (items[place] === undefined) return [...batches];
  return batches.with(at, { kind, items: items.with(place, mangle(random, items[place])) });
}

test("records that are not as they should be stop no start", async () => {
  const random = seededRandom(seed);
  const read = readStateBytes(file);
  if (!read.ok) throw new Error(read.reason);
  let restored = 0;
  for (let round = 0; round < RECORD_ROUNDS; round++) {
    const writer = new StateWriter();
    const edits = 1 + below(random, 3);
    let { batches } = read;
    for (let i = 0; i < edits; i++) {
      batches = mangleRecord(random, batches);
    }
    for (const batch of batches) writer.add(batch);
    const mangled = Buffer.concat(writer.finish());
    const state = readState(mangled);
    if (!state.ok) {
      expect(state.reason).toMatch(/has an unknown shape$|does not say who wrote it$/u);
      continue;
    }
    restored++;
    const lab = await begin(CONFIG, mangled);
    // Whatever came of it, the process answers.
    expect(await lab.ask("get weight b/s2").catch(() => "")).toMatch(/initial|No such server/u);
  }
  expect(restored).toBeGreaterThan(100);
}, 60_000);
