/**
 * Where the parts of the GUID index are in its block, for a number of threads and objects. Computed
 * once, when the tables are reserved; all threads are given the result.
 */
import { assert } from "../base/assert.ts";
import { GUID_ENTRIES_MAX } from "../base/limits.ts";
import { rwlockWords } from "../base/rwlock.ts";
import { GUID_HEAD_STRIDE } from "./generated/guid-head.ts";
import { GUID_STRIDE } from "./generated/guid.ts";

/** Bytes of a cell for texts up to this length. */
export const CELL_SHORT = 32;
/** Bytes of a cell for longer ones, up to GUID_LENGTH_MAX. */
export const CELL_LONG = 128;
/** Entries that the index begins with, a power of two. */
export const CAPACITY_FIRST = 1024;

/** Offsets in words. */
export type GuidPlaces = {
  /** Threads that the lock has a line for, control included. The lock is at word 0. */
  threads: number;
  head: number;
  /** First words of the two halves. */
  halves: [number, number];
  /** Entries of a half. */
  capacityMax: number;
  text: number;
  end: number;
};

/** @param objects that may bear a GUID at the same time */
export function placeGuids(threads: number, objects: number): GuidPlaces {
  // Five in eight: beyond, a search that finds nothing gets long.
  let capacityMax = CAPACITY_FIRST;
  while (capacityMax * 5 < objects * 8) capacityMax *= 2;
  assert(capacityMax <= GUID_ENTRIES_MAX, "placeGuids: room for every object");
  // Any mix of short and long texts that comes and goes finds a cell of its kind.
  const textBytes = objects * (CELL_SHORT + CELL_LONG);
  const head = rwlockWords(threads);
  const first = head + GUID_HEAD_STRIDE;
  const second = first + capacityMax * GUID_STRIDE;
  const text = second + capacityMax * GUID_STRIDE;
  return {
    threads,
    head,
    halves: [first, second],
    capacityMax,
    text,
    end: text + textBytes / 4,
  };
}
