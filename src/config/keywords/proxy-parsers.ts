/**
 * Building blocks of the proxy keywords: numbers, times and texts into a section's settings, and
 * the warnings for words that a section cannot use (no front or no back side).
 */
import { TIME_UNSET } from "../../tables/spec.ts";
import type { KeepaliveSpec, ProxySpec, TimeoutsSpec } from "../../tables/spec.ts";
import { alertLine, hasArgs, warnLine } from "../context.ts";
import type { Line } from "../context.ts";
import { hasBack, hasFront, titleOf } from "../draft.ts";
import type { ProxyDraft } from "../draft.ts";
import { parseInteger, parseTime } from "../numbers.ts";
import { HANDSHAKE_MS } from "../quic/tuning.ts";

/** Reads one line of a proxy section or of `defaults` into the draft. */
export type ProxyParser = (line: Line, proxy: ProxyDraft) => void;

/** Which side of a proxy a word is about. */
export type Side = "front" | "back" | "both";

const INTEGER_MAX = 2 ** 31 - 1;

/** Warns when `proxy` lacks the side that the word is about. True when the word has an effect. */
export function hasSide(line: Line, proxy: ProxyDraft, side: Side, word = line.keyword): boolean {
  const missing =
    side === "front" && !hasFront(proxy.section)
      ? "frontend"
      : side === "back" && !hasBack(proxy.section)
        ? "backend"
        : undefined;
  if (missing === undefined) return true;
  const other = OTHER_SIDE[word];
  const hint = other === undefined ? "" : ` Maybe you want '${other}' instead ?`;
  warnLine(
    line,
    `'${word}' ignored because ${titleOf(proxy)} has no ${missing} capability.${hint}`,
  );
  return false;
}

const OTHER_SIDE: Record<string, string> = { fullconn: "maxconn", maxconn: "fullconn" };

/** A whole number into one setting. */
export function integerInto(
  key: "maxconn" | "backlog" | "fullconn" | "retries",
  side: Side,
  min: number,
): ProxyParser {
  return (line, proxy) => {
    if (!hasArgs(line, 1, 1, "an integer argument")) return;
    const value = parseInteger(line.args[0] ?? "", min, INTEGER_MAX);
    if (!value.ok) alertLine(line, `'${line.keyword}' : ${value.message}`);
    else if (hasSide(line, proxy, side)) proxy.settings[key] = value.value;
  };
}

/** The time of a `timeout` line, ms, 0 = for ever; undefined after reporting what is wrong. */
function readTimeout(line: Line, proxy: ProxyDraft, side: Side): number | undefined {
  const [text, extra] = line.args;
  if (text === undefined) {
    alertLine(line, `'${line.keyword}' expects an integer value (in milliseconds)`);
    return undefined;
  }
  const value = parseTime(text);
  if (!value.ok) {
    alertLine(line, `${value.message} in '${line.keyword}'`);
    return undefined;
  }
  if (extra !== undefined) {
    const problem = `unexpected extra argument '${extra}' after value '${text}'`;
    alertLine(line, `'${line.keyword}' : ${problem}.`);
    return undefined;
  }
  return hasSide(line, proxy, side) ? value.value : undefined;
}

/** `timeout NAME TIME`; zero means no timeout. */
export function timeoutInto(key: keyof TimeoutsSpec, side: Side): ProxyParser {
  return (line, proxy) => {
    const time = readTimeout(line, proxy, side);
    if (time === undefined) return;
    proxy.settings.timeouts[key] = time === 0 ? TIME_UNSET : time;
  };
}

/** `timeout client-hs` (manual 4.2): handshakes of QUIC clients, which are never without limit. */
export const parseHandshakeTimeout: ProxyParser = (line, proxy) => {
  const time = readTimeout(line, proxy, "front");
  if (time !== undefined) proxy.settings.handshakeTimeoutMs = time === 0 ? HANDSHAKE_MS : time;
};

type OptionKey = {
  [K in keyof ProxySpec["options"]]: ProxySpec["options"][K] extends boolean ? K : never;
}[keyof ProxySpec["options"]];

/** `option NAME`, `no option NAME`, `default option NAME`: a switch that is off by default. */
export function optionInto(key: OptionKey, side: Side): ProxyParser {
  return (line, proxy) => {
    const word = line.keyword.replace(/^option /u, "");
    if (!hasArgs(line, 0, 0, "no argument") || !hasSide(line, proxy, side, word)) return;
    proxy.settings.options[key] = line.prefix === "";
  };
}

/** `clitcpka-idle` and its like; times in seconds. */
export function keepaliveInto(
  which: "clientKeepalive" | "serverKeepalive",
  key: Exclude<keyof KeepaliveSpec, "enabled">,
): ProxyParser {
  const side = which === "clientKeepalive" ? "front" : "back";
  return (line, proxy) => {
    if (!hasArgs(line, 1, 1, "one argument")) return;
    const text = line.args[0] ?? "";
    const value = key === "count" ? parseInteger(text, 1, 127) : parseTime(text, "s");
    if (!value.ok) alertLine(line, `'${line.keyword}' : ${value.message}`);
    else if (hasSide(line, proxy, side)) proxy.settings[which][key] = value.value;
  };
}

/** Words that need no value: reports any. */
export function withoutArgs(set: (proxy: ProxyDraft) => void): ProxyParser {
  return (line, proxy) => {
    if (hasArgs(line, 0, 0, "no argument")) set(proxy);
  };
}
