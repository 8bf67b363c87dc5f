/** `dns-accept-family` of `global` (HAProxy manual 3.2): which addresses are asked for by DNS. */
import { alertLine, hasArgs } from "../context.ts";
import type { Line } from "../context.ts";

/** `dns-accept-family {ipv4|ipv6|auto}[,…]`. */
export function parseDnsFamilies(line: Line): void {
  if (!hasArgs(line, 1, 1, "a list of families as an argument")) return;
  const words = new Set((line.args[0] ?? "").split(","));
  for (const word of words) {
    if (word === "ipv4" || word === "ipv6" || word === "auto") continue;
    const known = "expects a list of 'ipv4', 'ipv6' and 'auto'";
    return alertLine(line, `'dns-accept-family' : unknown family '${word}', ${known}.`);
  }
  const isBoth = words.has("ipv4") && words.has("ipv6");
  const only = words.has("ipv4") ? "ipv4" : "ipv6";
  line.context.global.dnsFamilies = words.has("auto") ? "auto" : isBoth ? "both" : only;
}
