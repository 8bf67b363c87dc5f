/**
 * The index of GUIDs (HAProxy manual 4.2 `guid`): from a text to the proxy, listener or server that
 * bears it. In shared memory, behind a read-write lock: control inserts and removes, every thread
 * looks up, without allocating. Before the workers start, `preloadLookup` does it without the lock,
 * and asserts that nobody else can be there: the fourth founding rule.
 *
 * ```
 *   lock │ head │ entries, half A │ entries, half B │ text: cells of 32 and 128 bytes
 * ```
 * Entries are open-addressed, probed one by one; a removal moves the entries behind it up, so that
 * there are no graves. A half that is full is copied into the other one, twice as large, which then
 * takes its place: readers are kept out for the moment of the exchange only.
 *
 * @hot
 */
import { assert } from "../base/assert.ts";
import { GUID_LENGTH_MAX } from "../base/limits.ts";
import { LOCK_TAKEN } from "../base/lock.ts";
import { RwLock } from "../base/rwlock.ts";
import { GUID_KIND_NONE, WORKER_STATE_FREE } from "./generated/enums.ts";
import {
  GUID_HEAD_CAPACITY,
  GUID_HEAD_COUNT,
  GUID_HEAD_ENTRIES_BASE,
  GUID_HEAD_FREE_LONG,
  GUID_HEAD_FREE_SHORT,
  GUID_HEAD_TEXT_USED,
} from "./generated/guid-head.ts";
import {
  GUID_GENERATION,
  GUID_HASH,
  GUID_KIND,
  GUID_LENGTH,
  GUID_ROW,
  GUID_STRIDE,
  GUID_TEXT,
} from "./generated/guid.ts";
import { WORKER_GENERATION, WORKER_STATE, WORKER_STRIDE } from "./generated/worker.ts";
import { CAPACITY_FIRST, CELL_LONG, CELL_SHORT } from "./guid-places.ts";
import type { GuidPlaces } from "./guid-places.ts";
import { CONTROL_THREAD } from "./inbox.ts";
import { isThreadDead } from "./tables.ts";
import type { Tables } from "./tables.ts";

/**
 * What is wrong with a GUID, in HAProxy's words; "" = nothing.
 * @cold
 */
export function guidProblem(guid: string): string {
  if (guid.length > GUID_LENGTH_MAX) return `'${guid}' too long`;
  for (let i = 0; i < guid.length; i++) {
    if (!isGuidCode(guid.charCodeAt(i))) return `invalid character '${guid[i]}'`;
  }
  return guid === "" ? "empty string" : "";
}

/** Letters, digits and `.:-_`. */
function isGuidCode(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 45 && code <= 58 && code !== 47) ||
    code === 95
  );
}

/** The index as one thread sees it. */
export class GuidIndex {
  /** GUID_KIND_* of what the last look-up found. */
  kind = GUID_KIND_NONE;
  /** Its row and generation. */
  row = 0;
  generation = 0;
  readonly lock: RwLock;
  private readonly tables: Tables;
  private readonly thread: number;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly places: GuidPlaces;
  /** Text, hash and length of the GUID in hand. */
  private readonly key = new Uint8Array(GUID_LENGTH_MAX + 1);
  private hash = 0;
  private length = 0;

  /** @param thread 0 = control, else the worker's number */
  constructor(tables: Tables, thread: number) {
    this.tables = tables;
    this.thread = thread;
    this.words = tables.guids.words;
    this.bytes = new Uint8Array(tables.guids.buffer);
    this.places = tables.blocks.guidPlaces;
    const { threads } = this.places;
    const workers = tables.workers.words;
    this.lock = new RwLock(this.words, 0, threads, thread, (one) => isThreadDead(workers, one));
    if (thread === CONTROL_THREAD) this.begin();
  }

  /** GUIDs in the index. */
  get count(): number {
    return this.words[this.places.head + GUID_HEAD_COUNT]!;
  }

  /**
   * Looks a GUID up; any thread, under the read lock, O(1).
   * @returns true: `kind`, `row` and `generation` tell what bears it
   */
  find(guid: string): boolean {
    if (!this.take(guid)) return false;
    for (;;) {
      const isSound = this.lock.takeRead() === LOCK_TAKEN;
      const isFound = isSound && this.seek();
      // A writer that did not wait for us may have moved what we read: once more.
      if (this.lock.giveRead()) return isFound;
    }
  }

  /** The same before the first worker is started, without the lock. Control. */
  preloadLookup(guid: string): boolean {
    assert(isSingleThreaded(this.tables), "preloadLookup: before the first worker is started");
    return this.take(guid) && this.seek();
  }

  /**
   * Enters a GUID, under the write lock. Control.
   * @returns false when something bears it already, or it is none (`guidProblem`)
   */
  insert(guid: string, kind: number, row: number, generation: number): boolean {
    assert(this.thread === CONTROL_THREAD, "GuidIndex.insert: control is the only writer");
    assert(kind !== GUID_KIND_NONE && row > 0, "GuidIndex.insert: something bears it");
    // Nobody else writes: what this thread reads without the lock stays as it is.
    if (!this.take(guid) || this.probe() >= 0) return false;
    const { words, places } = this;
    const { head } = places;
    const capacity = words[head + GUID_HEAD_CAPACITY]!;
    if ((words[head + GUID_HEAD_COUNT]! + 1) * 8 > capacity * 5) this.grow(capacity * 2);
    assert(this.lock.takeWrite() === LOCK_TAKEN, "GuidIndex.insert: no writer dies, control lives");
    const text = this.takeCell();
    for (let i = 0; i < this.length; i++) this.bytes[places.text * 4 + text + i] = this.key[i]!;
    const entry = -1 - this.probe();
    assert(entry > 0, "GuidIndex.insert: it has not come meanwhile");
    words[entry + GUID_HASH] = this.hash;
    words[entry + GUID_KIND] = kind;
    words[entry + GUID_ROW] = row;
    words[entry + GUID_GENERATION] = generation;
    words[entry + GUID_TEXT] = text;
    words[entry + GUID_LENGTH] = this.length;
    words[head + GUID_HEAD_COUNT] = words[head + GUID_HEAD_COUNT]! + 1;
    this.lock.giveWrite();
    return true;
  }

  /** Takes a GUID out, under the write lock. Control. @returns false when `row` does not bear it */
  remove(guid: string, kind: number, row: number): boolean {
    assert(this.thread === CONTROL_THREAD, "GuidIndex.remove: control is the only writer");
    if (!this.take(guid)) return false;
    const { words, places } = this;
    const entry = this.probe();
    if (entry < 0) return false;
    if (words[entry + GUID_KIND] !== kind || words[entry + GUID_ROW] !== row) return false;
    assert(this.lock.takeWrite() === LOCK_TAKEN, "GuidIndex.remove: no writer dies, control lives");
    this.giveCell(words[entry + GUID_TEXT]!, words[entry + GUID_LENGTH]!);
    this.close(entry);
    const count = places.head + GUID_HEAD_COUNT;
    words[count] = words[count]! - 1;
    this.lock.giveWrite();
    return true;
  }

  /** @cold */
  private begin(): void {
    const { words, places } = this;
    if (words[places.head + GUID_HEAD_CAPACITY] !== 0) return;
    words[places.head + GUID_HEAD_ENTRIES_BASE] = places.halves[0];
    words[places.head + GUID_HEAD_CAPACITY] = CAPACITY_FIRST;
  }

  /** Makes `guid` the one in hand. @returns false when it cannot be one */
  private take(guid: string): boolean {
    const { length } = guid;
    if (length === 0 || length > GUID_LENGTH_MAX) return false;
    // FNV-1a, then mixed, since the low bits choose the place.
    let hash = 0x811c9dc5 | 0;
    for (let i = 0; i < length; i++) {
      const code = guid.charCodeAt(i);
      if (!isGuidCode(code)) return false;
      this.key[i] = code;
      hash = Math.imul(hash ^ code, 0x01000193);
    }
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    this.hash = hash ^ (hash >>> 13);
    this.length = length;
    return true;
  }

  /** Copies the entry of the GUID in hand to the fields. */
  private seek(): boolean {
    const entry = this.probe();
    if (entry < 0) return false;
    this.kind = this.words[entry + GUID_KIND]!;
    this.row = this.words[entry + GUID_ROW]!;
    this.generation = this.words[entry + GUID_GENERATION]!;
    return true;
  }

  /** Word of the entry of the GUID in hand; where there is none, -1 - the free entry's word. */
  private probe(): number {
    const { words, places, hash } = this;
    const base = words[places.head + GUID_HEAD_ENTRIES_BASE]!;
    const capacity = words[places.head + GUID_HEAD_CAPACITY]!;
    let at = hash & (capacity - 1);
    // As many steps as there are entries: a reader that was expelled sees anything.
    for (let step = 0; step < capacity; step++) {
      const entry = base + at * GUID_STRIDE;
      if (words[entry + GUID_KIND] === GUID_KIND_NONE) return -1 - entry;
      if (words[entry + GUID_HASH] === hash && this.isText(entry)) return entry;
      at = (at + 1) & (capacity - 1);
    }
    return -1;
  }

  private isText(entry: number): boolean {
    const { words, bytes, key, length } = this;
    if (words[entry + GUID_LENGTH] !== length) return false;
    const text = this.places.text * 4 + words[entry + GUID_TEXT]!;
    for (let i = 0; i < length; i++) if (bytes[text + i] !== key[i]) return false;
    return true;
  }

  /** Frees an entry and moves up those behind it that would not be found any more. */
  private close(freed: number): void {
    const { words, places } = this;
    const base = words[places.head + GUID_HEAD_ENTRIES_BASE]!;
    const mask = words[places.head + GUID_HEAD_CAPACITY]! - 1;
    let hole = (freed - base) / GUID_STRIDE;
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const entry = base + at * GUID_STRIDE;
      if (words[entry + GUID_KIND] === GUID_KIND_NONE) break;
      // It may move to the hole unless its search begins behind it.
      const wanted = words[entry + GUID_HASH]! & mask;
      if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
      words.copyWithin(base + hole * GUID_STRIDE, entry, entry + GUID_STRIDE);
      hole = at;
    }
    words.fill(0, base + hole * GUID_STRIDE, base + (hole + 1) * GUID_STRIDE);
  }

  /** Copies all entries into the other half, then lets it take the place of this one. @cold */
  private grow(capacity: number): void {
    const { words, places } = this;
    const { head, halves } = places;
    assert(capacity <= places.capacityMax, "GuidIndex.grow: there are not more GUIDs than objects");
    const from = words[head + GUID_HEAD_ENTRIES_BASE]!;
    const to = from === halves[0] ? halves[1] : halves[0];
    words.fill(0, to, to + capacity * GUID_STRIDE);
    const end = from + words[head + GUID_HEAD_CAPACITY]! * GUID_STRIDE;
    for (let entry = from; entry < end; entry += GUID_STRIDE) {
      if (words[entry + GUID_KIND] === GUID_KIND_NONE) continue;
      let at = words[entry + GUID_HASH]! & (capacity - 1);
      while (words[to + at * GUID_STRIDE + GUID_KIND] !== GUID_KIND_NONE) {
        at = (at + 1) & (capacity - 1);
      }
      words.copyWithin(to + at * GUID_STRIDE, entry, entry + GUID_STRIDE);
    }
    assert(this.lock.takeWrite() === LOCK_TAKEN, "GuidIndex.grow: no writer dies, control lives");
    words[head + GUID_HEAD_ENTRIES_BASE] = to;
    words[head + GUID_HEAD_CAPACITY] = capacity;
    this.lock.giveWrite();
  }

  /** Room for the text in hand. @returns its first byte in the text arena */
  private takeCell(): number {
    const { words, places, length } = this;
    const free = places.head + (length <= CELL_SHORT ? GUID_HEAD_FREE_SHORT : GUID_HEAD_FREE_LONG);
    const cell = words[free]!;
    if (cell !== 0) {
      words[free] = words[places.text + ((cell - 1) >> 2)]!;
      return cell - 1;
    }
    const used = places.head + GUID_HEAD_TEXT_USED;
    const fresh = words[used]!;
    words[used] = fresh + (length <= CELL_SHORT ? CELL_SHORT : CELL_LONG);
    assert(words[used]! <= (places.end - places.text) * 4, "GuidIndex.takeCell: within the arena");
    return fresh;
  }

  private giveCell(text: number, length: number): void {
    const { words, places } = this;
    const free = places.head + (length <= CELL_SHORT ? GUID_HEAD_FREE_SHORT : GUID_HEAD_FREE_LONG);
    words[places.text + (text >> 2)] = words[free]!;
    words[free] = text + 1;
  }
}

/**
 * Frees what a worker that is gone may still hold of the lock, before its number is used again.
 * @cold
 */
export function buryGuidReader(tables: Tables, worker: number): void {
  const { threads } = tables.blocks.guidPlaces;
  const words = tables.workers.words;
  const isDead = (thread: number): boolean => isThreadDead(words, thread);
  new RwLock(tables.guids.words, 0, threads, CONTROL_THREAD, isDead).bury(worker);
}

/** Has no worker been started yet? */
export function isSingleThreaded(tables: Tables): boolean {
  const words = tables.workers.words;
  for (let worker = 1; worker <= tables.perWorker.length; worker++) {
    const row = worker * WORKER_STRIDE;
    if (Atomics.load(words, row + WORKER_STATE) !== WORKER_STATE_FREE) return false;
    if (Atomics.load(words, row + WORKER_GENERATION) !== 0) return false;
  }
  return true;
}
