/**
 * Rows of the shared tables: given out, taken back, with generations that move on. Control only.
 */
import { assert } from "../base/assert.ts";

/** Hands out rows of one table. Row 0 is never given: 0 means "none". */
export class RowAllocator {
  private readonly words: Int32Array;
  private readonly stride: number;
  private readonly generationOffset: number;
  /** Rows that there are. */
  readonly rowsMax: number;
  private readonly free: number[] = [];
  private used = 0;
  /** Rows ever given back: each has moved its generation on. */
  freed = 0;

  /** @param generationOffset word of the record that holds its generation */
  constructor(words: Int32Array, stride: number, generationOffset: number) {
    this.words = words;
    this.stride = stride;
    this.generationOffset = generationOffset;
    this.rowsMax = Math.floor(words.length / stride) - 1;
  }

  /** A row, or 0 when the table is full. The rest of the record is zero. */
  take(): number {
    const again = this.free.pop();
    if (again !== undefined) return again;
    if (this.used >= this.rowsMax) return 0;
    this.used++;
    return this.used * this.stride;
  }

  /** Frees a row: its generation moves on, everything else becomes zero. */
  give(row: number): void {
    assert(row > 0 && row % this.stride === 0, "RowAllocator.give: a row that was taken");
    const generation = Atomics.add(this.words, row + this.generationOffset, 1) + 1;
    this.words.fill(0, row, row + this.stride);
    Atomics.store(this.words, row + this.generationOffset, generation);
    this.free.push(row);
    this.freed++;
  }

  /** Generation of a row now. */
  generation(row: number): number {
    return Atomics.load(this.words, row + this.generationOffset);
  }

  /** Rows ever taken: memory is used for them. */
  get touched(): number {
    return this.used;
  }

  /** All that were ever taken, also those that are free again. */
  *rows(): Generator<number> {
    for (let i = 1; i <= this.used; i++) yield i * this.stride;
  }

  /** Rows in use. */
  get count(): number {
    return this.used - this.free.length;
  }
}
