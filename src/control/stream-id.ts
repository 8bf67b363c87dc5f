/**
 * Ids of streams for people and tools, as `show sess` begins its lines with and `shutdown session`
 * takes them: worker, generation and slot in one hexadecimal number, so that an id finds its stream
 * at once and never another one that came to the same slot later.
 *
 *   0x  W…  GGGGGGGG  SSSSSS      worker · generation of the slot · slot
 */

/** What names a stream. */
export type StreamName = { worker: number; slot: number; generation: number };

const SLOT_DIGITS = 6;
const GENERATION_DIGITS = 8;

/** `0x1000000010000c4`: lower case, the worker's digits without zeros in front. */
export function formatStreamId({ worker, slot, generation }: StreamName): string {
  const low = slot.toString(16).padStart(SLOT_DIGITS, "0");
  const middle = (generation >>> 0).toString(16).padStart(GENERATION_DIGITS, "0");
  return `0x${worker.toString(16)}${middle}${low}`;
}

/** Reads an id. @returns "unknown" for a number that no stream can have, undefined for no number */
export function parseStreamId(text: string): StreamName | "unknown" | undefined {
  const [, digits] = /^0x([0-9a-f]+)$/i.exec(text) ?? [];
  if (digits === undefined) return /^0*[1-9][0-9]*$/.test(text) ? "unknown" : undefined;
  if (/^0+$/.test(digits)) return undefined;
  const ends = digits.length - SLOT_DIGITS;
  const middle = ends - GENERATION_DIGITS;
  if (middle <= 0) return "unknown";
  const worker = Number.parseInt(digits.slice(0, middle), 16);
  const generation = Number.parseInt(digits.slice(middle, ends), 16) | 0;
  const slot = Number.parseInt(digits.slice(ends), 16);
  return worker > 0 && slot > 0 ? { worker, slot, generation } : "unknown";
}
