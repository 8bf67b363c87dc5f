/**
 * The bytes of a state file: a head that tells what it is and a checksum over all of it, then
 * batches of records in msgpack, each behind its length. Pure.
 *
 *   "sluice\0s" │ version │ bytes of the body │ SHA-256 of everything but itself │ body
 *        8           4              8                        32
 *   body: ( length of a batch, 4 │ batch in msgpack )*          numbers: unsigned, big-endian
 *
 * A file is read as a whole or not at all: whatever is not exactly what was written is refused with
 * a reason.
 */
import { Packr } from "msgpackr";

import { describeError } from "../../base/assert.ts";
import { STATE_FILE_BYTES_MAX } from "../../base/limits.ts";
import { isFields } from "./specs.ts";

/**
 * Newest version of the records; a reader refuses a newer one. 2 has QUIC: a release that does not
 * know it would make its servers TCP servers, and forget which backends stay. A file without any is
 * written as 1, so that an older release reads it.
 */
export const STATE_VERSION = 2;
const OLDEST_VERSION = 1;

const MAGIC = new Uint8Array([0x73, 0x6c, 0x75, 0x69, 0x63, 0x65, 0x00, 0x73]);
const VERSION_AT = 8;
const LENGTH_AT = 12;
const SUM_AT = 20;
const SUM_BYTES = 32;
/** Bytes in front of the body. */
export const STATE_HEAD_BYTES = SUM_AT + SUM_BYTES;

/** What a batch holds. */
export type Batch = { kind: string; items: unknown[] };

/** What a file says, or why it is refused. */
export type StateBytes = { ok: true; batches: Batch[] } | { ok: false; reason: string };

/** A file in the making: batches go in one by one, so that it can be made a piece at a time. */
export class StateWriter {
  readonly #packr = new Packr({ useRecords: true });
  readonly #body: Uint8Array[] = [];
  readonly #sum = new Bun.CryptoHasher("sha256");
  #bytes = 0;
  #version = OLDEST_VERSION;

  /** Adds one batch. O(its items). */
  add(batch: Batch): void {
    if (this.#version < STATE_VERSION && hasQuic(batch)) this.#version = STATE_VERSION;
    const packed = this.#packr.pack(batch);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, packed.length);
    // The packer's memory is used again for the next one.
    const copy = new Uint8Array(packed);
    this.#body.push(length, copy);
    this.#sum.update(length);
    this.#sum.update(copy);
    this.#bytes += 4 + copy.length;
  }

  /** Bytes of the file so far. */
  get byteLength(): number {
    return STATE_HEAD_BYTES + this.#bytes;
  }

  /** The pieces of the file, in order. Nothing is added any more. */
  finish(): Uint8Array[] {
    const head = new Uint8Array(STATE_HEAD_BYTES);
    head.set(MAGIC);
    const view = new DataView(head.buffer);
    view.setUint32(VERSION_AT, this.#version);
    view.setBigUint64(LENGTH_AT, BigInt(this.#bytes));
    this.#sum.update(head.subarray(0, SUM_AT));
    head.set(this.#sum.digest(), SUM_AT);
    return [head, ...this.#body];
  }
}

/** Is there anything of QUIC in a batch that changes what its records mean? */
function hasQuic({ kind, items }: Batch): boolean {
  if (kind === "head" || kind === "globals" || kind === "counters") return false;
  return items.some((item) => {
    if (!isFields(item)) return false;
    const { quicUse, made, spec, changes } = item;
    const specs = [made, spec, changes];
    return quicUse !== undefined || specs.some((one) => isFields(one) && "quic" in one);
  });
}

/** Reads a whole file. Never throws. */
export function readStateBytes(bytes: Uint8Array): StateBytes {
  const wrong = wrongHead(bytes);
  if (wrong !== undefined) return { ok: false, reason: wrong };
  const batches: Batch[] = [];
  const packr = new Packr({ useRecords: true });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = STATE_HEAD_BYTES; at < bytes.length;) {
    const length = at + 4 <= bytes.length ? view.getUint32(at) : Infinity;
    at += 4;
    if (at + length > bytes.length) return refused("a batch is longer than the file");
    let batch: unknown;
    try {
      batch = packr.unpack(bytes.subarray(at, at + length));
    } catch (error) {
      return refused(`a batch cannot be read (${describeError(error)})`);
    }
    if (!isBatch(batch)) return refused("a batch has an unknown shape");
    batches.push(batch);
    at += length;
  }
  return { ok: true, batches };
}

const refused = (reason: string): { ok: false; reason: string } => ({ ok: false, reason });

function wrongHead(bytes: Uint8Array): string | undefined {
  const isForeign = MAGIC.some((byte, at) => at < bytes.length && bytes[at] !== byte);
  if (isForeign || bytes.length === 0) return "it is no state file";
  if (bytes.length < STATE_HEAD_BYTES) return "it is cut off";
  if (bytes.length > STATE_FILE_BYTES_MAX) return "it is too large";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // First of all: a later format may differ in everything behind it.
  const version = view.getUint32(VERSION_AT);
  if (version > STATE_VERSION) {
    return `it was written by a newer release (format ${version}, this one reads ${STATE_VERSION})`;
  }
  const length = view.getBigUint64(LENGTH_AT);
  const have = BigInt(bytes.length - STATE_HEAD_BYTES);
  if (length > have) return "it is cut off";
  if (length < have) return "there are bytes behind its end";
  const sum = new Bun.CryptoHasher("sha256")
    .update(bytes.subarray(STATE_HEAD_BYTES))
    .update(bytes.subarray(0, SUM_AT))
    .digest();
  const isSound = sum.every((byte, at) => bytes[SUM_AT + at] === byte);
  if (!isSound) return "it is damaged (its checksum does not match)";
  if (version >= OLDEST_VERSION) return undefined;
  return `it has format ${version}, which this release does not read`;
}

function isBatch(value: unknown): value is Batch {
  if (typeof value !== "object" || value === null) return false;
  return (
    "kind" in value &&
    typeof value.kind === "string" &&
    "items" in value &&
    Array.isArray(value.items)
  );
}
