/**
 * `outlier-ejection`: servers that live connections show to be worse than their peers
 * (docs/outliers.md). A word of this program's own.
 */
import { OUTLIER_INTERVAL_MS_MIN, OUTLIER_SAMPLES_MAX } from "../base/limits.ts";
import type { OutlierSpec } from "../tables/spec.ts";
import { alertLine } from "./context.ts";
import type { Line, LoadContext } from "./context.ts";
import { hasBack, titleOf } from "./draft.ts";
import type { ProxyDraft } from "./draft.ts";
import { hasSide } from "./keywords/proxy-parsers.ts";
import type { ProxyParser } from "./keywords/proxy-parsers.ts";
import { parsed, parseInteger, parseTime, refused } from "./numbers.ts";
import type { Parsed } from "./numbers.ts";
import { didYouMean } from "./suggest.ts";

/** What a line that says no more than `outlier-ejection` asks for. */
export const OUTLIER_DEFAULTS: OutlierSpec = {
  intervalMs: 10_000,
  errorPercent: 50,
  latencyPercent: 300,
  samplesMin: 20,
  ejectMs: 30_000,
  ejectedPercentMax: 50,
};

/** Highest `latency`, percent. */
const LATENCY_PERCENT_MAX = 100_000;

type Word = {
  key: keyof OutlierSpec;
  read: (text: string) => Parsed<number>;
};

const WORDS: Record<string, Word> = {
  interval: { key: "intervalMs", read: (text) => parseLongTime(text, OUTLIER_INTERVAL_MS_MIN) },
  errors: { key: "errorPercent", read: (text) => parseInteger(text, 0, 99) },
  latency: { key: "latencyPercent", read: parseLatency },
  samples: { key: "samplesMin", read: (text) => parseInteger(text, 1, OUTLIER_SAMPLES_MAX) },
  eject: { key: "ejectMs", read: (text) => parseLongTime(text, 1) },
  "max-ejected": { key: "ejectedPercentMax", read: (text) => parseInteger(text, 1, 100) },
};

function parseLongTime(text: string, minMs: number): Parsed<number> {
  const time = parseTime(text);
  if (!time.ok || time.value >= minMs) return time;
  return refused(`the time must be at least ${minMs} ms (was ${text})`);
}

/** At 100 percent and below, half of all servers would be outliers. */
function parseLatency(text: string): Parsed<number> {
  if (text === "0") return parsed(0);
  return parseInteger(text, 101, LATENCY_PERCENT_MAX);
}

/** `outlier-ejection [interval <time>] [errors <percent>] …`, `no outlier-ejection`. */
export const parseOutlierEjection: ProxyParser = (line, proxy) => {
  if (!hasSide(line, proxy, "back")) return;
  if (line.prefix === "no") {
    if (line.args.length > 0) unexpected(line, line.args[0] ?? "");
    else delete proxy.settings.outlier;
    return;
  }
  const spec = { ...OUTLIER_DEFAULTS };
  for (let at = 0; at < line.args.length; at += 2) {
    const name = line.args[at] ?? "";
    const word = WORDS[name];
    if (word === undefined) return unexpected(line, name);
    const text = line.args[at + 1];
    if (text === undefined) return alertLine(line, `'${line.keyword}' : '${name}' needs a value.`);
    const value = word.read(text);
    if (!value.ok) return alertLine(line, `'${line.keyword}' : '${name}' : ${value.message}.`);
    spec[word.key] = value.value;
  }
  if (spec.errorPercent === 0 && spec.latencyPercent === 0) {
    const what = "'errors 0 latency 0' leaves nothing to judge by";
    return alertLine(line, `'${line.keyword}' : ${what}; 'no ${line.keyword}' turns it off.`);
  }
  proxy.settings.outlier = spec;
};

function unexpected(line: Line, word: string): void {
  const names = Object.keys(WORDS);
  const list = names.map((name) => `'${name}'`).join(", ");
  const hint = didYouMean(word, names);
  alertLine(line, `'${line.keyword}' only supports ${list} (got '${word}')${hint}.`);
}

/** What the section's spec says of it: nothing where there are no servers. */
export function outlierOf({ section, settings }: ProxyDraft): { outlier?: OutlierSpec } {
  const { outlier } = settings;
  return outlier === undefined || !hasBack(section) ? {} : { outlier };
}

/** Warns of a share that is less than one of the servers there are: nobody is ever ejected then. */
export function warnOfIdleOutlier(context: LoadContext, draft: ProxyDraft, servers: number): void {
  const { outlier } = draft.settings;
  if (outlier === undefined || servers < 2 || draft.settings.disabled) return;
  const { ejectedPercentMax } = outlier;
  if (Math.floor((servers * ejectedPercentMax) / 100) > 0) return;
  const what = `${ejectedPercentMax} percent of ${servers} servers are less than one`;
  const text = `${titleOf(draft)}: 'outlier-ejection' ejects nobody, since ${what}.`;
  context.report.add("warning", draft.origin, text);
}
