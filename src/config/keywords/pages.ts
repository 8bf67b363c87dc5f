/** Keywords of statistics and monitor pages (HAProxy manual 4.2). */
import {
  httpTimeoutInto,
  parseHttpRequest,
  parseMonitorFail,
  parseMonitorUri,
  STATS_LINES,
} from "../page-line.ts";
import { proxySections } from "./build.ts";
import type { Keyword } from "./keyword.ts";
import type { ProxyParser } from "./proxy-parsers.ts";

type Row = readonly [letters: string, name: string, args: string, effect: string, ProxyParser];

const ROWS: readonly Row[] = [
  [
    "DFLB",
    "http-request",
    "<action> [if|unless <condition>]",
    "On pages: `allow`, `deny`, `return`, `redirect location`, and `use-service " +
      "prometheus-exporter`.",
    parseHttpRequest,
  ],
  [
    "FL",
    "monitor fail",
    "{if|unless} <condition>",
    "When the monitor page fails.",
    parseMonitorFail,
  ],
  ["DFL", "monitor-uri", "<path>", "Page that a monitor asks for.", parseMonitorUri],
  [
    "FLB",
    "stats admin",
    "{if|unless} <condition>",
    "Who may change servers on the statistics page.",
    STATS_LINES.admin,
  ],
  ["DFLB", "stats auth", "<user>:<password>", "Who may see the statistics page.", STATS_LINES.auth],
  ["DFLB", "stats enable", "", "Serves a statistics page.", STATS_LINES.enable],
  [
    "DFLB",
    "stats hide-version",
    "",
    "No version on the statistics page.",
    STATS_LINES["hide-version"],
  ],
  [
    "FLB",
    "stats http-request",
    "{allow|deny|auth [realm <text>]} [if|unless <condition>]",
    "Who may see the statistics page, by rules.",
    STATS_LINES["http-request"],
  ],
  ["DFLB", "stats realm", "<text>", "What the login asks for.", STATS_LINES.realm],
  ["DFLB", "stats refresh", "<time>", "How often the page is renewed.", STATS_LINES.refresh],
  ["DFLB", "stats scope", "{<name>|.}", "Proxies on the statistics page.", STATS_LINES.scope],
  [
    "DFLB",
    "stats show-desc",
    "[<text>]",
    "A description on the statistics page.",
    STATS_LINES["show-desc"],
  ],
  [
    "DFLB",
    "stats show-legends",
    "",
    "Numbers and addresses on the statistics page.",
    STATS_LINES["show-legends"],
  ],
  [
    "DFLB",
    "stats show-modules",
    "",
    "A page, as any `stats` line makes one; there are no modules to show.",
    STATS_LINES["show-modules"],
  ],
  [
    "DFLB",
    "stats show-node",
    "[<name>]",
    "The machine's name on the statistics page.",
    STATS_LINES["show-node"],
  ],
  [
    "DFLB",
    "stats show-version",
    "",
    "The version on the statistics page.",
    STATS_LINES["show-version"],
  ],
  ["DFLB", "stats uri", "<prefix>", "Where the statistics page is.", STATS_LINES.uri],
  [
    "DFLB",
    "timeout http-keep-alive",
    "<time>",
    "Longest wait for another request to a page.",
    httpTimeoutInto("httpKeepAlive"),
  ],
  [
    "DFLB",
    "timeout http-request",
    "<time>",
    "Longest wait for a whole request to a page.",
    httpTimeoutInto("httpRequest"),
  ],
];

/** The rows. */
export const PAGE_KEYWORDS: readonly Keyword<ProxyParser>[] = ROWS.map(
  ([letters, name, args, effect, parse]): Keyword<ProxyParser> => {
    const sections = proxySections(letters);
    return { name, sections, args, effect, reference: "4.2", state: "done", parse };
  },
);
