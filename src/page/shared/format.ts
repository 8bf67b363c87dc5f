/**
 * Numbers and times as the page writes them, on the server and in the browser alike.
 */

const UNITS = ["", "k", "M", "G", "T", "P", "E"] as const;

/** A count in full, digits in threes: `1 234 567` with narrow spaces. */
export function formatCount(value: number): string {
  const text = String(Math.round(value));
  if (text.length <= 4) return text;
  let out = "";
  const first = text.length % 3;
  for (let at = 0; at < text.length; at++) {
    if (at > 0 && at % 3 === first && text[at - 1] !== "-") out += "\u202f";
    out += text[at];
  }
  return out;
}

/** A count in at most five characters: `999`, `12.3k`, `4.56M`. */
export function formatShort(value: number): string {
  return scale(value, 1000, "");
}

/** Bytes, in powers of 1024: `512 B`, `1.50 KiB`. */
export function formatBytes(value: number): string {
  if (value < 1024) return `${Math.round(value)}\u202fB`;
  return scale(value, 1024, "iB").replace("k", "K");
}

function scale(value: number, base: number, suffix: string): string {
  let rest = value;
  let unit = 0;
  while (rest >= base && unit < UNITS.length - 1) {
    rest /= base;
    unit++;
  }
  if (unit === 0) return String(Math.round(rest));
  // What rounds up to the next unit's one belongs there.
  if (Number(rest.toPrecision(3)) >= base && unit < UNITS.length - 1) {
    rest /= base;
    unit++;
  }
  const digits = rest < 9.995 ? 2 : rest < 99.95 ? 1 : 0;
  const space = suffix === "" ? "" : "\u202f";
  return `${rest.toFixed(digits)}${space}${UNITS[unit]}${suffix}`;
}

/** Seconds in the two largest units that matter: `42s`, `3m12s`, `4h05m`, `12d3h`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m${pad(whole % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h${pad(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d${hours % 24}h`;
}

/** Milliseconds: `12 ms`, `1.23 s`. */
export function formatMs(value: number): string {
  return value < 1000 ? `${Math.round(value)}\u202fms` : `${(value / 1000).toFixed(2)}\u202fs`;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
