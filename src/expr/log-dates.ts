/**
 * Dates as log lines show them. The text of a second is made once and kept. Any thread.
 * Local dates follow the process's time zone (`TZ`).
 */

import { formatUtcOffset, MONTHS, pad2 } from "../base/calendar.ts";

let localSecond = -1;
let localText = "";

/** `21/Nov/2026:09:54:27`, local. @param seconds since the epoch */
export function formatLocalSecond(seconds: number): string {
  if (seconds === localSecond) return localText;
  const date = new Date(seconds * 1000);
  localText =
    `${pad2(date.getDate())}/${MONTHS[date.getMonth()]}/${date.getFullYear()}` +
    `:${pad2(date.getHours())}:${pad2(date.getMinutes())}:${pad2(date.getSeconds())}`;
  localSecond = seconds;
  return localText;
}

/** `%t`: local, with milliseconds. @param micros since the epoch */
export function formatLocalMillis(micros: number): string {
  const millis = Math.floor(micros / 1000);
  const seconds = Math.floor(millis / 1000);
  return `${formatLocalSecond(seconds)}.${String(millis - seconds * 1000).padStart(3, "0")}`;
}

/** `%Tl`: local, with the offset from UTC. */
export function formatLocalOffset(seconds: number): string {
  return `${formatLocalSecond(seconds)} ${formatUtcOffset(new Date(seconds * 1000), "")}`;
}

/** `%T`: UTC. */
export function formatUtc(seconds: number): string {
  const date = new Date(seconds * 1000);
  return (
    `${pad2(date.getUTCDate())}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}` +
    `:${pad2(date.getUTCHours())}:${pad2(date.getUTCMinutes())}:${pad2(date.getUTCSeconds())} +0000`
  );
}
