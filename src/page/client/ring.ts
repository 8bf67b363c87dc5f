/**
 * The last minute of a figure, and the line that shows it. No DOM in here.
 */

/** Points that a line has. */
export const RING_POINTS = 60;

/** A line is as wide as if it had this many at least. */
const POINTS_MIN = 20;

/** Values in the order they came; old ones fall out. */
export class Ring {
  readonly #values = new Float64Array(RING_POINTS);
  #count = 0;

  push(value: number): void {
    if (this.#count === RING_POINTS) this.#values.copyWithin(0, 1);
    else this.#count++;
    this.#values[this.#count - 1] = value;
  }

  get count(): number {
    return this.#count;
  }

  get last(): number {
    return this.#count === 0 ? 0 : (this.#values[this.#count - 1] ?? 0);
  }

  get max(): number {
    let max = 0;
    for (let at = 0; at < this.#count; at++) max = Math.max(max, this.#values[at] ?? 0);
    return max;
  }

  /**
   * The line as the `d` of a path, newest point at the right; a young one is stretched.
   * @param ceiling value at the top; 0 = the largest there is
   */
  path(width: number, height: number, ceiling = 0): string {
    if (this.#count < 2) return "";
    const top = Math.max(ceiling, this.max);
    const step = width / (Math.max(this.#count, POINTS_MIN) - 1);
    const from = width - step * (this.#count - 1);
    let path = "";
    for (let at = 0; at < this.#count; at++) {
      const share = top === 0 ? 0 : (this.#values[at] ?? 0) / top;
      const x = (from + at * step).toFixed(1);
      const y = (height - 1 - share * (height - 2)).toFixed(1);
      path += `${at === 0 ? "M" : "L"}${x} ${y}`;
    }
    return path;
  }
}

/** Looks that are nearer to each other are not compared, s. */
const SECONDS_MIN = 0.4;

/** Growth of a total a second, from two looks at it. */
export class Growth {
  #value = -1;
  #atMs = 0;

  /** @returns growth a second; -1 = too soon to say, or the total began anew */
  push(value: number, nowMs: number): number {
    const seconds = (nowMs - this.#atMs) / 1000;
    const grown = value - this.#value;
    const isFirst = this.#value < 0 || grown < 0;
    // Workers count now and then: a moment shows too much or too little.
    if (!isFirst && seconds < SECONDS_MIN) return -1;
    this.#value = value;
    this.#atMs = nowMs;
    return isFirst ? -1 : grown / seconds;
  }
}
