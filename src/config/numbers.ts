/**
 * Numbers, times and sizes as the configuration writes them (HAProxy manual 2.5 and 2.6), with
 * their limits checked. Pure; a refusal is a sentence without its subject.
 */

/** A parsed value or the reason why not. */
export type Parsed<T> = { ok: true; value: T } | { ok: false; message: string };

/** A value. */
export function parsed<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

/** A refusal. */
export function refused<T>(message: string): Parsed<T> {
  return { ok: false, message };
}

/** Largest time in milliseconds: a signed 32-bit tick, as HAProxy has it. */
export const TIME_MS_MAX = 2 ** 31 - 1;

/** A whole decimal number within `min..max`. */
export function parseInteger(text: string, min: number, max: number): Parsed<number> {
  if (text === "") return refused("a number is missing");
  const unexpected = /^[+-]?\d*(.?)/u.exec(text)?.[1] ?? "";
  if (unexpected !== "") {
    return refused(`unexpected character '${unexpected}' in integer value '${text}'`);
  }
  const value = Number(text);
  if (!Number.isFinite(value) || !/\d/u.test(text)) return refused(`'${text}' is not a number`);
  if (value < min || value > max) {
    return refused(`value must be between ${min} and ${max} (was ${text})`);
  }
  return parsed(value);
}

const TIME_UNITS_US: Record<string, number> = {
  us: 1,
  ms: 1_000,
  s: 1_000_000,
  m: 60_000_000,
  h: 3_600_000_000,
  d: 86_400_000_000,
};

/**
 * A time: digits and an optional unit (`us ms s m h d`). The result is in `unit`s, rounded up, so
 * that a non-zero time never becomes zero silently.
 * @param unit unit of a bare number and of the result
 */
export function parseTime(text: string, unit: "ms" | "s" = "ms"): Parsed<number> {
  const match = /^(\d+)([a-z]*)(.*)$/su.exec(text);
  if (match === null) {
    return refused(text === "" ? "a time is missing" : `unexpected character '${text[0]}'`);
  }
  const [, digits = "", suffix = "", rest = ""] = match;
  const scale = TIME_UNITS_US[suffix === "" ? unit : suffix];
  if (rest !== "" || scale === undefined) {
    return refused(`unexpected character '${(suffix + rest)[0]}'`);
  }
  const micros = Number(digits) * scale;
  const resultScale = TIME_UNITS_US[unit] ?? 1_000;
  if (micros / 1_000 > TIME_MS_MAX) {
    return refused(
      `timer overflow in argument '${text}' (maximum value is 2147483647 ms or ~24.8 days)`,
    );
  }
  if (micros > 0 && micros < resultScale) {
    return refused(`timer underflow in argument '${text}' (minimum non-null value is 1 ${unit})`);
  }
  return parsed(Math.ceil(micros / resultScale));
}

const SIZE_UNITS: Record<string, number> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** A size in bytes: digits and an optional `k`, `m` or `g` of either case. */
export function parseSize(text: string, min = 0, max = 2 ** 31 - 1): Parsed<number> {
  const match = /^(\d+)([a-z]?)(.*)$/isu.exec(text);
  if (match === null) {
    return refused(text === "" ? "a size is missing" : `unexpected character '${text[0]}'`);
  }
  const [, digits = "", suffix = "", rest = ""] = match;
  const scale = suffix === "" ? 1 : SIZE_UNITS[suffix.toLowerCase()];
  if (rest !== "" || scale === undefined) {
    return refused(`unexpected character '${scale === undefined ? suffix : rest[0]}'`);
  }
  const bytes = Number(digits) * scale;
  if (bytes < min || bytes > max) {
    return refused(`size must be between ${min} and ${max} bytes (was ${text})`);
  }
  return parsed(bytes);
}
