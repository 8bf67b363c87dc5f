/**
 * What is known of a name: the records of its last good answer, and those of answers before for as
 * long as `hold obsolete` says (HAProxy manual 5.3.2). Pure.
 */
import { DNS_RECORDS_KEPT_MAX } from "../../base/limits.ts";

type Kept<T> = { value: T; seenMs: number; isFresh: boolean };

/** Records by their keys: those of the last answer in its order. */
export class KeptRecords<T> {
  readonly #records = new Map<string, Kept<T>>();

  get size(): number {
    return this.#records.size;
  }

  /** The last good answer has it, or one before that still counts. */
  has(key: string): boolean {
    return this.#records.has(key);
  }

  get(key: string): T | undefined {
    return this.#records.get(key)?.value;
  }

  /** The last good answer has it. */
  isFresh(key: string): boolean {
    return this.#records.get(key)?.isFresh === true;
  }

  /** Records of the last good answer. */
  *fresh(): Iterable<[key: string, value: T]> {
    for (const [key, { value, isFresh }] of this.#records) if (isFresh) yield [key, value];
  }

  /** A good answer came: what it lacks goes when nobody has seen it for `obsoleteMs`. */
  update(
    values: readonly T[],
    keyOf: (value: T) => string,
    nowMs: number,
    obsoleteMs: number,
  ): void {
    for (const kept of this.#records.values()) kept.isFresh = false;
    for (const value of values) {
      const key = keyOf(value);
      // In the order of the answer.
      this.#records.delete(key);
      this.#records.set(key, { value, seenMs: nowMs, isFresh: true });
    }
    for (const [key, { isFresh, seenMs }] of this.#records) {
      const isTooMany = this.#records.size > DNS_RECORDS_KEPT_MAX;
      if (!isFresh && (isTooMany || nowMs - seenMs >= obsoleteMs)) this.#records.delete(key);
    }
  }

  clear(): void {
    this.#records.clear();
  }
}
