/**
 * Every random decision of a simulation, drawn from one seed. The draws can be recorded, and a run
 * can be repeated from a list of draws instead of the seed: this is how a trace is made shorter.
 */
import { seededRandom32 } from "../../src/base/prng.ts";

export class Choices {
  private readonly source: () => number;
  private readonly given: readonly number[] | null;
  private at = 0;
  /** Draws so far; null = not recorded. */
  readonly record: number[] | null;

  /** @param given draws to repeat; when they run out, every further draw is 0 */
  constructor(seed: number, record: boolean, given: readonly number[] | null) {
    this.source = seededRandom32(seed);
    this.record = record ? [] : null;
    this.given = given;
  }

  /** 32 bits, unsigned. */
  next(): number {
    let value: number;
    if (this.given === null) value = this.source();
    else value = this.given[this.at++] ?? 0;
    if (this.record !== null) this.record.push(value);
    return value;
  }

  /** 0 … bound - 1. */
  below(bound: number): number {
    return bound <= 1 ? 0 : this.next() % bound;
  }

  /** low … high, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True with this probability. No draw is made for 0. */
  chance(probability: number): boolean {
    return probability > 0 && this.next() < probability * 4_294_967_296;
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError("pick: nothing to choose from");
    return item;
  }

  /** Index of a weight, in proportion to it. */
  weighted(weights: readonly number[]): number {
    let total = 0;
    for (const weight of weights) total += weight;
    let rest = this.below(Math.max(1, total));
    for (let i = 0; i < weights.length; i++) {
      rest -= weights[i]!;
      if (rest < 0) return i;
    }
    return 0;
  }
}
