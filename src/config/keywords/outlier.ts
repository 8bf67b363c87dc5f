/** `outlier-ejection` as a row of the keyword tables: a word of this program's own. */
import { parseOutlierEjection } from "../outlier-line.ts";
import { proxySections } from "./build.ts";
import type { Keyword } from "./keyword.ts";
import type { ProxyParser } from "./proxy-parsers.ts";

/** The row. */
export const OUTLIER_ROWS: readonly Keyword<ProxyParser>[] = [
  {
    name: "outlier-ejection",
    sections: proxySections("DLB"),
    args:
      "[interval <time>] [errors <percent>] [latency <percent>] [samples <number>] " +
      "[eject <time>] [max-ejected <percent>]",
    effect: "Takes servers out for a while that do worse than their peers (not in HAProxy).",
    reference: "4.2",
    state: "done",
    invertible: true,
    parse: parseOutlierEjection,
  },
];
