/** Times as HAProxy shows them to people: the two largest units that are not zero. */

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;

/** `47s`, `2m5s`, `12d7h`; `?` for a time below 0. @param seconds cut to whole ones */
export function humanTime(seconds: number): string {
  const whole = Math.trunc(seconds);
  if (whole < 0) return "?";
  const parts = [
    [Math.floor(whole / DAY), "d"],
    [Math.floor((whole % DAY) / HOUR), "h"],
    [Math.floor((whole % HOUR) / MINUTE), "m"],
    [whole % MINUTE, "s"],
  ] as const;
  const shown = parts.filter(([count]) => count > 0).slice(0, 2);
  return shown.length === 0 ? "0s" : shown.map(([count, unit]) => `${count}${unit}`).join("");
}
