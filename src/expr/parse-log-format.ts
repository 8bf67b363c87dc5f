/**
 * `%ci:%cp [%t] %[sample]` → LogFormat. Pure, any thread, cold. Source: manual 8.2.6.
 *
 * Runs of blanks become one here, and leading ones none, so that evaluation only joins parts.
 */
import type { LogFlags, LogFormat, LogPart } from "../tables/expression.ts";
import { ALIASES } from "./aliases.ts";
import type { FetchPlace } from "./keyword.ts";
import { parseSamplePrefix } from "./parse-sample.ts";
import { parsed, type ParseResult, refused } from "./result.ts";

/**
 * What a format is for. `log`: lines and unique ids; blanks are merged, what is missing prints `-`.
 * `name`: `use_backend %[…]` and other texts made at run time; verbatim, what is missing is empty.
 */
export type LogFormatUse = "log" | "name";

type Reader = {
  text: string;
  use: LogFormatUse;
  place: FetchPlace;
  parts: LogPart[];
  /** Flags of `%o`, for all that follows. */
  common: LogFlags;
  /** Text not yet made a part. */
  pending: string;
};

/** Parses a whole format. @param place what its samples may fetch */
export function parseLogFormat(
  text: string,
  use: LogFormatUse = "log",
  place: FetchPlace = "stream",
): ParseResult<LogFormat> {
  const common = { quote: false, escape: false, hex: false, optional: use === "name" };
  const reader: Reader = { text, use, place, parts: [], common, pending: "" };
  for (let at = 0; at < text.length;) {
    const char = text[at] ?? "";
    if (char !== "%") {
      addText(reader, char);
      at++;
    } else if (text[at + 1] === "%") {
      reader.pending += "%";
      at += 2;
    } else {
      const item = readItem(reader, at + 1);
      if (!item.ok) return item;
      at = item.value;
    }
  }
  flush(reader);
  return parsed({ text, parts: reader.parts });
}

function addText(reader: Reader, char: string): void {
  if (reader.use === "log" && (char === " " || char === "\t")) {
    const atStart = reader.pending === "" && reader.parts.length === 0;
    if (atStart || reader.pending.endsWith(" ")) return;
    reader.pending += " ";
    return;
  }
  reader.pending += char;
}

function flush(reader: Reader): void {
  if (reader.pending === "") return;
  reader.parts.push({ kind: "text", text: reader.pending });
  reader.pending = "";
}

/** Reads from behind the percent sign. @returns the index behind the item */
function readItem(reader: Reader, start: number): ParseResult<number> {
  const { text } = reader;
  let at = start;
  const label = /^\([^()]*\)/.exec(text.slice(at));
  if (label !== null) at += label[0].length;
  let flags = reader.common;
  let changes = "";
  if (text[at] === "{") {
    const close = text.indexOf("}", at);
    if (close < 0) return refused(`truncated line after '${text.slice(at + 1)}'`);
    changes = text.slice(at + 1, close);
    const changed = applyFlags(reader.common, changes);
    if (!changed.ok) return changed;
    flags = changed.value;
    at = close + 1;
  }
  if (text[at] === "[") return readSample(reader, at + 1, flags);
  let end = at;
  while (end < text.length && /[A-Za-z0-9]/.test(text[end] ?? "")) end++;
  const name = text.slice(at, end);
  if (name === "") return refused(`truncated line after '${text.slice(0, at)}'`);
  if (name === "o") {
    reader.common = flags;
    return parsed(end);
  }
  const alias = ALIASES.get(name);
  if (alias === undefined) {
    return refused(
      `no such format alias '${name}'. If you wanted to emit the '%' character verbatim, you ` +
        "need to use '%%'",
      "unknown",
    );
  }
  if (alias.state === "http") {
    return refused(`format alias '${name}' is reserved for HTTP mode`, "http");
  }
  flush(reader);
  reader.parts.push({ kind: "alias", name, flags, argument: changes });
  return parsed(end);
}

function readSample(reader: Reader, start: number, flags: LogFlags): ParseResult<number> {
  const { text } = reader;
  const sample = parseSamplePrefix(text, start, reader.place);
  if (!sample.ok) {
    const rest = text.slice(start);
    const shown = rest.length > 60 ? `${rest.slice(0, 60)}…` : rest;
    return refused(`failed to parse sample expression <${shown}> : ${sample.message}`, sample.kind);
  }
  const { end } = sample.value;
  if (end >= text.length) return refused(`missing ']' after '${text.slice(start)}'`);
  if (text[end] !== "]") {
    const head = text.slice(start, end);
    return refused(`expected ']' after '${head}', but found '${text[end] ?? ""}'`);
  }
  flush(reader);
  reader.parts.push({ kind: "sample", sample: sample.value.sample, flags });
  return parsed(end + 1);
}

/** `+Q,-E,+X`: a sign holds until the next one; a word without any sign before it does nothing. */
function applyFlags(common: LogFlags, text: string): ParseResult<LogFlags> {
  const flags = { ...common };
  let sign = "";
  for (const word of text.split(",")) {
    let name = word;
    if (name.startsWith("+") || name.startsWith("-")) {
      sign = name.slice(0, 1);
      name = name.slice(1);
    }
    if (sign === "") continue;
    const on = sign === "+";
    if (name === "Q") flags.quote = on;
    else if (name === "E") flags.escape = on;
    else if (name === "X") flags.hex = on;
    else if (name === "M") flags.optional = !on;
    else if (name === "json" || name === "cbor" || name === "bin") {
      if (!on) continue;
      return refused(
        `encoding '${name}' of log formats is not available in this release`,
        "coming",
      );
    }
  }
  return parsed(flags);
}
