/**
 * Which server of a template gets which record of its service: a server keeps its record while that
 * counts, servers whose record is gone are emptied, new records fill empty ones in their order.
 * O(servers + records). Pure.
 */
import type { KeptRecords } from "./kept-records.ts";
import type { ServiceRecord } from "./message.ts";

/** A server that may be filled. */
export type Slot = {
  /** Its record as `serviceKey` names it; undefined = it is empty. */
  key: string | undefined;
  /** An operator has given it an address: it keeps that and its record. */
  isPinned: boolean;
};

/** What becomes of the slots, by their places. */
export type Assignment = {
  /** Their records are gone. */
  emptied: number[];
  /** They get a record. */
  filled: { place: number; record: ServiceRecord }[];
  /** Their records are in the last answer. */
  kept: { place: number; record: ServiceRecord }[];
};

/** @param records what is known of the service */
export function assignServices(
  slots: readonly Slot[],
  records: KeptRecords<ServiceRecord>,
): Assignment {
  const result: Assignment = { emptied: [], filled: [], kept: [] };
  const held = new Set<string>();
  const empty: number[] = [];
  for (const [place, { key, isPinned }] of slots.entries()) {
    if (key === undefined) {
      if (!isPinned) empty.push(place);
      continue;
    }
    const record = records.get(key);
    const isDouble = held.has(key);
    if (record !== undefined && !isDouble) {
      held.add(key);
      if (records.isFresh(key) && !isPinned) result.kept.push({ place, record });
    } else if (!isPinned) {
      result.emptied.push(place);
    }
  }
  // Those that are emptied now come last: what they had may still be on its way out.
  const free = [...empty, ...result.emptied];
  let next = 0;
  for (const [key, record] of records.fresh()) {
    if (held.has(key)) continue;
    const place = free[next++];
    if (place === undefined) break;
    result.filled.push({ place, record });
  }
  return result;
}

/** HAProxy's weight from that of a record: 0 … 65535 become 0 … 256, and only 0 becomes 0. */
export function weightOf({ weight }: Pick<ServiceRecord, "weight">): number {
  return Math.floor((weight + 255) / 256);
}
