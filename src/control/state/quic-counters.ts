/**
 * QUIC counters of frontends and backends by name, to be written down and to begin with: in a state
 * file and a stats file they stand among the others, as `quic.<field>` of QUIC_COUNT, with an index
 * where it is a list (`quic.ended.4`); codes of applications as `quic.code.<hex>`. Main thread.
 *
 * Whoever begins with them has no connections: those that were under way have ended with their
 * process, so that as many are over as were begun.
 */
import { assert } from "../../base/assert.ts";
import { PROXY_STRIDE } from "../../tables/generated/proxy.ts";
import * as quic from "../../tables/generated/quic-count.ts";
import { isSingleThreaded } from "../../tables/guid-index.ts";
import { LAYOUTS, QUIC_CODES_KEPT } from "../../tables/schema.ts";
import type { Tables } from "../../tables/tables.ts";
import type { ProxyObject } from "../model.ts";
import { isQuicUsed } from "../quic-use.ts";
import type { QuicShards } from "../stats/quic-shards.ts";
import type { CounterField } from "./counters.ts";

const PREFIX = "quic.";
const CODE = `${PREFIX}code.`;

/** Cells that are no counters, or are kept by code. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  "used",
  "halfOpen",
  "codeCount",
  "codeLow",
  "codeHigh",
]);

/** All counters but the codes, in the order of the layout. */
export const QUIC_FIELDS: readonly CounterField[] = [...namedCells()];

/** Names and offsets, in words: fields follow one another, as the generator places them. */
function* namedCells(): Generator<CounterField> {
  const layout = LAYOUTS.find(({ name }) => name === "QUIC_COUNT");
  assert(layout !== undefined, "QUIC_FIELDS: the layout is there");
  let at = 0;
  for (const { name, type, count = 1 } of layout.groups[0]!.fields) {
    const words = type === "f64" ? 2 : 1;
    at = Math.ceil(at / words) * words;
    for (let i = 0; i < count && !LEFT_OUT.has(name); i++) {
      yield [`${PREFIX}${name}${count === 1 ? "" : `.${i}`}`, at + i * words];
    }
    at += count * words;
  }
  assert(at === quic.QUIC_COUNT_CWND_MAX + 2, "QUIC_FIELDS: placed as the generator does");
}

const offsets = new Map(QUIC_FIELDS);

/** Does one side of a proxy count QUIC? */
export function countsQuic(tables: Tables, proxy: ProxyObject, isFront: boolean): boolean {
  return isFront ? proxy.hasQuicFront === true : isQuicUsed(tables, proxy);
}

/** Adds what one side of a proxy has counted to lists of fields and values; zeros are left out. */
export function collectQuic(
  shards: QuicShards,
  proxy: ProxyObject,
  isFront: boolean,
  fields: string[],
  values: number[],
): void {
  shards.read(proxy, isFront);
  for (const [name, offset] of QUIC_FIELDS) {
    const value = shards.cells[offset >> 1]!;
    if (value === 0) continue;
    fields.push(name);
    values.push(value);
  }
  for (const [code, count] of shards.codes) {
    fields.push(`${CODE}${code.toString(16)}`);
    values.push(count);
  }
}

/** Is it the name of a QUIC counter of some release? */
export const isQuicField = (field: string): boolean => field.startsWith(PREFIX);

/**
 * Sets one QUIC counter of one side of a proxy; one of another release is passed over. Before the
 * first worker is started. `settleQuic` follows the last.
 */
export function presetQuic(
  tables: Tables,
  { row }: ProxyObject,
  isFront: boolean,
  field: string,
  value: number,
): void {
  assert(isSingleThreaded(tables), "presetQuic: before the first worker is started");
  const [shard] = tables.perWorker;
  if (shard === undefined || value === 0) return;
  const { words, floats } = isFront ? shard.quicFront : shard.quicBack;
  const at = (row / PROXY_STRIDE) * quic.QUIC_COUNT_STRIDE;
  const offset = offsets.get(field);
  if (offset !== undefined) floats[(at + offset) >> 1] = value;
  else if (/^quic\.code\.[0-9a-f]{1,16}$/u.test(field)) {
    presetCode(words, floats, at, BigInt(`0x${field.slice(CODE.length)}`), value);
  } else return;
  floats[(at + quic.QUIC_COUNT_USED) >> 1] = 1;
}

function presetCode(
  words: Int32Array,
  floats: Float64Array,
  at: number,
  code: bigint,
  count: number,
): void {
  for (let i = 0; i < QUIC_CODES_KEPT; i++) {
    const cell = (at + quic.QUIC_COUNT_CODE_COUNT + 2 * i) >> 1;
    if (floats[cell] !== 0) continue;
    floats[cell] = count;
    words[at + quic.QUIC_COUNT_CODE_LOW + i] = Number(code & 0xffff_ffffn) | 0;
    words[at + quic.QUIC_COUNT_CODE_HIGH + i] = Number(code >> 32n) | 0;
    return;
  }
  const other = (at + quic.QUIC_COUNT_CODES_OTHER) >> 1;
  floats[other] = floats[other]! + count;
}

/** What was under way is over: the process that had it has ended. */
export function settleQuic(tables: Tables, { row }: ProxyObject, isFront: boolean): void {
  const [shard] = tables.perWorker;
  if (shard === undefined) return;
  const { floats } = isFront ? shard.quicFront : shard.quicBack;
  const at = (row / PROXY_STRIDE) * quic.QUIC_COUNT_STRIDE;
  const cell = (field: number): number => (at + field) >> 1;
  const opened = floats[cell(quic.QUIC_COUNT_OPENED)]!;
  floats[cell(quic.QUIC_COUNT_RELEASED)] = opened;
  const done = floats[cell(quic.QUIC_COUNT_HANDSHAKES_DONE)]!;
  const failed = cell(quic.QUIC_COUNT_HANDSHAKES_FAILED);
  floats[failed] = Math.max(floats[failed]!, opened - done);
}
