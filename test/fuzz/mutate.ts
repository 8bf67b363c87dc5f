/** Seeded mutation of bytes and texts for the fuzz tests: the same seed gives the same run. */

/** Uniform numbers in [0, 1). */
export type Random = () => number;

/** A small generator (mulberry32) from a 32-bit seed. */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number in [0, limit). */
export function below(random: Random, limit: number): number {
  return Math.floor(random() * limit);
}

/** One of the items. */
export function pick<T>(random: Random, items: readonly T[]): T {
  const item = items[below(random, items.length)];
  if (item === undefined) throw new Error("pick from nothing");
  return item;
}

/** A mangled copy of one of the seeds: flips, cuts, repeats, foreign pieces. Some stay whole. */
export function mutateBytes(random: Random, seeds: readonly Uint8Array[]): Uint8Array {
  let bytes = Uint8Array.from(pick(random, seeds));
  const edits = below(random, 4);
  for (let i = 0; i < edits; i++) {
    const at = below(random, bytes.length + 1);
    switch (below(random, 6)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(random, 8));
        break;
      case 1:
        if (at < bytes.length) bytes[at] = below(random, 256);
        break;
      case 2:
        bytes = bytes.slice(0, at);
        break;
      case 3:
        bytes = splice(bytes, at, below(random, 4), new Uint8Array(0));
        break;
      case 4:
        bytes = splice(bytes, at, 0, bytes.slice(at, at + below(random, 20)));
        break;
      default: {
        const other = pick(random, seeds);
        const from = below(random, other.length);
        bytes = splice(bytes, at, below(random, 8), other.slice(from, from + below(random, 30)));
      }
    }
  }
  return bytes;
}

function splice(
  bytes: Uint8Array,
  at: number,
  remove: number,
  insert: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const tail = bytes.slice(at + remove);
  const out = new Uint8Array(at + insert.length + tail.length);
  out.set(bytes.slice(0, at));
  out.set(insert, at);
  out.set(tail, at + insert.length);
  return out;
}

/** The same for texts: bytes of one of the seeds, mangled, read as Latin-1. */
export function mutateText(random: Random, seeds: readonly string[], alphabet: string): string {
  const bytes = mutateBytes(
    random,
    seeds.map((text) => Buffer.from(text, "latin1")),
  );
  let text = Buffer.from(bytes).toString("latin1");
  const edits = below(random, 3);
  for (let i = 0; i < edits; i++) {
    const at = below(random, text.length + 1);
    text = text.slice(0, at) + pick(random, [...alphabet]) + text.slice(at);
  }
  return text;
}
