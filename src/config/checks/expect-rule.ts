/**
 * `tcp-check expect` and `http-check expect` (HAProxy manual 4.2): options, then one match, in any
 * order.
 */
import { compileByteRegex } from "../../expr/byte-regex.ts";
import type { CheckMatch, CheckStatusWord, CheckText, CheckTextMethod } from "../../tables/spec.ts";
import { parseInteger } from "../numbers.ts";
import { hexOf, isWellFormed, wrongHex } from "./bytes.ts";
import type { CheckStep } from "./draft.ts";
import type { RuleWords } from "./rule-words.ts";

type Expect = CheckStep<"expect">;
/** Without the match, which may come last. */
type Draft = Omit<Expect, "match"> & { match?: CheckMatch };

const INTEGER_MAX = 2 ** 31 - 1;

/** Statuses that each word takes (manual 4.2), and how HAProxy lists them. */
const STATUSES = {
  "ok-status": { key: "okStatus", words: ["L4OK", "L6OK", "L7OK", "L7OKC"] },
  "error-status": { key: "errorStatus", words: ["L4CON", "L6RSP", "L7OKC", "L7RSP", "L7STS"] },
  "tout-status": { key: "timeoutStatus", words: ["L4TOUT", "L6TOUT", "L7TOUT"] },
} as const satisfies Record<string, { key: keyof Draft; words: readonly CheckStatusWord[] }>;

const TCP_MATCHES = ["string", "rstring", "string-lf", "binary", "rbinary", "binary-lf"];
const HTTP_MATCHES = ["status", "rstatus", "hdr", "fhdr", "string", "rstring", "string-lf"];

/** Reads one; undefined after reporting what is wrong. @param isHttp of `http-check` */
export function readExpect(words: RuleWords, isHttp: boolean): Expect | undefined {
  const { origin } = words.line;
  if (words.peek() === undefined) {
    return words.wrong("expects at least a matching pattern as arguments");
  }
  const draft: Draft = { kind: "expect", origin, isNegated: false, minRecv: -1 };
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (!takeWord(words, draft, word, isHttp)) return undefined;
  }
  const { match, ...rest } = draft;
  return match === undefined ? words.wrong("pattern not found") : { ...rest, match };
}

function takeWord(words: RuleWords, draft: Draft, word: string, isHttp: boolean): boolean {
  switch (word) {
    case "comment": {
      const text = words.value("'comment' expects a string");
      if (text !== undefined) draft.comment = text;
      return text !== undefined;
    }
    case "min-recv":
      return takeMinRecv(words, draft);
    case "ok-status":
    case "error-status":
    case "tout-status":
      return takeStatus(words, draft, word);
    case "on-success":
    case "on-error":
      return takeMessage(words, draft, word);
    case "status-code":
      return takeCode(words, draft);
    default:
      return takeMatch(words, draft, word, isHttp);
  }
}

function takeMinRecv(words: RuleWords, draft: Draft): boolean {
  const text = words.value("'min-recv' expects a integer");
  if (text === undefined) return false;
  const number = parseInteger(text, -1, INTEGER_MAX);
  if (number.ok) draft.minRecv = number.value;
  else words.wrong("'min-recv' expects -1 or an integer from 0 to INT_MAX");
  return number.ok;
}

function takeStatus(words: RuleWords, draft: Draft, word: keyof typeof STATUSES): boolean {
  const text = words.value(`'${word}' expects a string`);
  if (text === undefined) return false;
  const { key, words: known } = STATUSES[word];
  const status = known.find((name) => name === text);
  if (status !== undefined) {
    draft[key] = status;
    return true;
  }
  const list = known.map((name) => `'${name}'`);
  const last = list.pop() ?? "";
  words.wrong(`'${word}' only supports ${list.join(", ")} or ${last} status (got '${text}')`);
  return false;
}

function takeMessage(words: RuleWords, draft: Draft, word: "on-success" | "on-error"): boolean {
  const text = words.value(`'${word}' expects a string`);
  const format = text === undefined ? undefined : words.format(text);
  if (format === undefined) return false;
  if (word === "on-success") draft.onSuccess = format;
  else draft.onError = format;
  return true;
}

function takeCode(words: RuleWords, draft: Draft): boolean {
  const text = words.value("'status-code' expects an expression");
  if (text === undefined) return false;
  const sample = words.sample(text, "error detected while parsing status-code expression");
  if (sample !== undefined) draft.statusCode = sample;
  return sample !== undefined;
}

/** `! string …`, `!string …`: marks may be repeated, each turns the match round. */
function takeMatch(words: RuleWords, draft: Draft, first: string, isHttp: boolean): boolean {
  const known = isHttp ? HTTP_MATCHES : TCP_MATCHES;
  let isNegated = false;
  let word: string | undefined = first;
  while (word?.startsWith("!") === true) {
    isNegated = !isNegated;
    word = word === "!" ? words.next() : word.slice(1);
  }
  if (word === undefined || !known.includes(word)) {
    const list = known.map((name) => `'[!]${name}'`).join(", ");
    words.wrong(`only supports 'min-recv', ${list} or 'comment' but got '${word ?? ""}'`);
    return false;
  }
  if (draft.match !== undefined) {
    words.wrong("only one pattern expected");
    return false;
  }
  const match =
    word === "hdr" || word === "fhdr" ? readHeader(words, word) : readPattern(words, word);
  if (match === undefined) return false;
  draft.match = match;
  draft.isNegated = isNegated;
  return true;
}

function readPattern(words: RuleWords, word: string): CheckMatch | undefined {
  const text = words.next();
  if (text === undefined) return words.wrong(`'${word}' expects a <pattern> as argument`);
  switch (word) {
    case "string":
      return isWellFormed(text)
        ? { kind: "string", pattern: text }
        : { kind: "binary", pattern: hexOf(text) };
    case "binary": {
      const wrong = wrongHex(text);
      if (wrong !== undefined) return words.wrong(`invalid binary string (${wrong})`);
      return { kind: "binary", pattern: text.toLowerCase() };
    }
    case "rstring":
      return isRegex(words, text) ? { kind: "regex", pattern: text } : undefined;
    case "rbinary":
      return isRegex(words, text) ? { kind: "binary-regex", pattern: text } : undefined;
    case "rstatus":
      return isRegex(words, text) ? { kind: "status-regex", pattern: text } : undefined;
    case "status":
      return readStatuses(words, text);
    default: {
      const format = words.format(text);
      if (format === undefined) return undefined;
      return { kind: word === "binary-lf" ? "binary-format" : "string-format", format };
    }
  }
}

function isRegex(words: RuleWords, text: string): boolean {
  const regex = compileByteRegex(text);
  if (!regex.ok) words.wrong(regex.message);
  return regex.ok;
}

/** `200,201,300-310`. */
function readStatuses(words: RuleWords, text: string): CheckMatch | undefined {
  const bad = /[^0-9,-]/u.exec(text)?.[0];
  if (bad !== undefined)
    return words.wrong(`invalid character '${bad}' in the list of status codes`);
  const ranges: { from: number; to: number }[] = [];
  for (const part of text.split(",")) {
    if (part === "") continue;
    const match = /^(\d{1,9})(?:-(\d{1,9}))?$/u.exec(part);
    const from = Number(match?.[1]);
    const to = Number(match?.[2] ?? match?.[1]);
    if (match === null || to < from) return words.wrong(`invalid range of status codes '${part}'`);
    ranges.push({ from, to });
  }
  if (ranges.length === 0) return words.wrong("'status' expects a <pattern> as argument");
  return { kind: "status", ranges };
}

type Part = { text: CheckText; method: CheckTextMethod };

/** `hdr name [-m M] N [value [-m M] V]`, with `-lf` behind `name` or `value` for formats. */
function readHeader(words: RuleWords, word: string): CheckMatch | undefined {
  const first = words.next();
  const usage = `'${word}' expects at the name keyword as first argument followed by a pattern`;
  if (first !== "name" && first !== "name-lf") return words.wrong(usage);
  const name = readPart(words, word, first === "name-lf", usage);
  if (name === undefined) return undefined;
  const base = {
    kind: "header" as const,
    isFull: word === "fhdr",
    name: name.text,
    nameMethod: name.method,
  };
  const next = words.peek();
  if (next !== "value" && next !== "value-lf") return { ...base, valueMethod: "str" };
  words.next();
  const missing = `'${word}' expect a pattern with the value keyword`;
  const value = readPart(words, word, next === "value-lf", missing);
  if (value === undefined) return undefined;
  return { ...base, value: value.text, valueMethod: value.method };
}

const METHODS: readonly CheckTextMethod[] = ["str", "beg", "end", "sub", "reg"];

/** @param missing the sentence about a pattern that is not there */
function readPart(
  words: RuleWords,
  word: string,
  isFormat: boolean,
  missing: string,
): Part | undefined {
  let method: CheckTextMethod = "str";
  if (words.peek() === "-m") {
    words.next();
    const text = words.next();
    const list = "'str', 'beg', 'end', 'sub' or 'reg'";
    if (text === undefined) {
      return words.wrong(`'${word}' : '-m' expects at a matching pattern (${list})`);
    }
    const found = METHODS.find((name) => name === text);
    if (found === undefined) {
      return words.wrong(`'${word}' : '-m' only supports ${list} (got '${text}')`);
    }
    method = found;
  }
  const text = words.next();
  if (text === undefined) return words.wrong(missing);
  if (isFormat) {
    if (method === "reg") {
      const why = "log-format string is not supported with a regex matching method";
      return words.wrong(`'${word}': ${why}`);
    }
    const format = words.format(text);
    return format === undefined ? undefined : { text: { kind: "format", format }, method };
  }
  if (method === "reg" && !isRegex(words, text)) return undefined;
  return { text: { kind: "text", text }, method };
}
