/** Words and digits of dates, as log lines of every kind spell them. */

/** English months, three letters, in order. */
export const MONTHS = [
  "Jan",
  "Feb",
  "Mar",
  "Apr",
  "May",
  "Jun",
  "Jul",
  "Aug",
  "Sep",
  "Oct",
  "Nov",
  "Dec",
] as const;

/** A number below 100 as two digits. */
export function pad2(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

/**
 * Offset of local time from UTC at a date: `+0200`, or `+02:00` with a separator.
 */
export function formatUtcOffset(date: Date, separator: string): string {
  const minutes = -date.getTimezoneOffset();
  const size = Math.abs(minutes);
  const sign = minutes < 0 ? "-" : "+";
  return `${sign}${pad2(Math.floor(size / 60))}${separator}${pad2(size % 60)}`;
}
