/**
 * `tcp-check send…` and `http-check send` (HAProxy manual 4.2), and the request of `option
 * httpchk`.
 */
import { parseLogFormat } from "../../expr/parse.ts";
import type { LogFormat } from "../../tables/expression.ts";
import type { CheckText, Origin } from "../../tables/spec.ts";
import { alertLine, warnLine } from "../context.ts";
import type { Line } from "../context.ts";
import { takeExpression } from "../routing-line.ts";
import { hexOf, wrongHex } from "./bytes.ts";
import type { CheckStep, HttpRule, RequestDraft } from "./draft.ts";
import type { RuleWords } from "./rule-words.ts";

/** What `tcp-check send…` is called with. */
export type SendVerb = "send" | "send-lf" | "send-binary" | "send-binary-lf";

/** Reads `tcp-check send` and its kin; undefined after reporting what is wrong. */
export function readSend(words: RuleWords, verb: SendVerb): CheckStep<"send"> | undefined {
  const what = verb.startsWith("send-binary") ? "hexadecimal string" : "string";
  const text = words.value(`expects a ${what}`);
  if (text === undefined) return undefined;
  const data = readData(words, verb, text);
  if (data === undefined) return undefined;
  const step: CheckStep<"send"> = { kind: "send", data, origin: words.line.origin };
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word !== "comment") return words.wrong(`expects 'comment' but got '${word}' as argument`);
    const comment = words.value("'comment' expects a string");
    if (comment === undefined) return undefined;
    step.comment = comment;
  }
  return step;
}

function readData(
  words: RuleWords,
  verb: SendVerb,
  text: string,
): CheckStep<"send">["data"] | undefined {
  if (verb === "send") return { kind: "bytes", hex: hexOf(text) };
  if (verb === "send-binary") {
    const wrong = wrongHex(text);
    if (wrong === undefined) return { kind: "bytes", hex: text.toLowerCase() };
    return words.wrong(`'${text}' invalid binary string (${wrong})`);
  }
  const format = words.format(text);
  if (format === undefined) return undefined;
  return { kind: verb === "send-lf" ? "format" : "binary-format", format };
}

const SEND_WORDS = "'comment', 'meth', 'uri', 'uri-lf', 'ver', 'hdr', 'body' or 'body-lf'";

/** Headers that the request makes itself. */
const OWN_HEADERS = new Set(["content-length", "transfer-encoding"]);

/** Reads `http-check send`; undefined after reporting what is wrong. */
export function readHttpSend(words: RuleWords): Extract<HttpRule, { kind: "request" }> | undefined {
  const request: RequestDraft = {};
  let comment: string | undefined;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === "hdr") {
      if (!takeHeader(words, request)) return undefined;
      continue;
    }
    if (!["comment", "meth", "uri", "uri-lf", "ver", "body", "body-lf"].includes(word)) {
      return words.wrong(`expects ${SEND_WORDS} but got '${word}' as argument`);
    }
    const value = words.value(`'${word}' expects a string`);
    if (value === undefined) return undefined;
    if (word === "comment") comment = value;
    else if (!takePart(words, request, word, value)) return undefined;
  }
  const { origin } = words.line;
  const rule = { kind: "request" as const, request, origin };
  return comment === undefined ? rule : { ...rule, comment };
}

function takePart(words: RuleWords, request: RequestDraft, word: string, value: string): boolean {
  if (word === "meth") {
    if (!isMethod(words.line, value)) return false;
    request.method = value;
  } else if (word === "ver") {
    request.version = spokenVersion(words.line, value);
  } else {
    const text = readText(words, value, word.endsWith("-lf"));
    if (text === undefined) return false;
    if (word.startsWith("uri")) request.uri = text;
    else request.body = text;
  }
  return true;
}

function readText(words: RuleWords, value: string, isFormat: boolean): CheckText | undefined {
  if (!isFormat) return { kind: "text", text: value };
  const format = words.format(value);
  return format === undefined ? undefined : { kind: "format", format };
}

function takeHeader(words: RuleWords, request: RequestDraft): boolean {
  const name = words.next();
  const value = words.next();
  if (name === undefined || value === undefined) {
    words.wrong("'hdr' expects <name> and <value> as arguments");
    return false;
  }
  if (!isToken(name)) {
    words.wrong(`'hdr' : '${name}' is no name of a header`);
    return false;
  }
  const format = words.format(value);
  if (format === undefined) return false;
  const headers = request.headers ?? [];
  // The body says how long it is; a header that says otherwise is left out (manual 4.2).
  request.headers = OWN_HEADERS.has(name.toLowerCase())
    ? headers
    : [...headers, { name, value: format }];
  return true;
}

/** RFC 9110 section 5.6.2. */
function isToken(text: string): boolean {
  return /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/u.test(text);
}

function isMethod(line: Line, text: string): boolean {
  if (isToken(text)) return true;
  alertLine(line, `'${line.keyword}' : '${text}' is no method of HTTP.`);
  return false;
}

/** What is spoken where `text` is asked for: checks know these two only. */
function spokenVersion(line: Line, text: string): string {
  if (text === "HTTP/1.0" || text === "HTTP/1.1") return text;
  warnLine(line, `'${line.keyword}' : checks speak HTTP/1.1 where '${text}' is asked for.`);
  return "HTTP/1.1";
}

/**
 * `option httpchk [<method>] [<uri>] [<version> [<host>]]`: one word alone is the URI. Headers and
 * a body behind the version are of old files, before `http-check send`.
 * @returns undefined after reporting what is wrong
 */
export function readHttpOption(line: Line): RequestDraft | undefined {
  const words = line.args.filter((word) => word !== "");
  const [first, second, version, host] = words;
  const request: RequestDraft = {};
  if (second === undefined) {
    if (first !== undefined) request.uri = { kind: "text", text: first };
    return request;
  }
  if (first === undefined || !isMethod(line, first)) return undefined;
  request.method = first;
  request.uri = { kind: "text", text: second };
  if (version === undefined) return request;
  const [spoken = "", ...hidden] = version.split("\r\n");
  request.version = spokenVersion(line, spoken.trim());
  if (hidden.length > 0 && !takeHidden(line, request, hidden.join("\r\n"))) return undefined;
  if (host === undefined) return request;
  const result = parseLogFormat(host, "name");
  const value = takeExpression(line, result, `'${line.keyword}'`, "this rule");
  if (value === undefined) return undefined;
  request.headers = [...(request.headers ?? []), { name: "Host", value }];
  return request;
}

/** `HTTP/1.1\r\nHost:\ www`: taken as written. */
function takeHidden(line: Line, request: RequestDraft, text: string): boolean {
  warnLine(
    line,
    `'${line.keyword}' : hiding headers or body at the end of the version string is deprecated. ` +
      "Please, consider to use 'http-check send' directive instead.",
  );
  const end = text.startsWith("\r\n") ? 0 : text.indexOf("\r\n\r\n");
  const head = end < 0 ? text : text.slice(0, end);
  const body = end < 0 ? "" : text.slice(end === 0 ? 2 : end + 4);
  const headers: { name: string; value: LogFormat }[] = [];
  for (const written of head.split("\r\n")) {
    if (written === "") continue;
    const colon = written.indexOf(":");
    const name = written.slice(0, Math.max(0, colon)).trim();
    if (!isToken(name)) {
      alertLine(line, `'${line.keyword}' : '${written}' is no header.`);
      return false;
    }
    if (!OWN_HEADERS.has(name.toLowerCase())) {
      headers.push({ name, value: plainFormat(written.slice(colon + 1).trim()) });
    }
  }
  if (headers.length > 0) request.headers = headers;
  if (body !== "") request.body = { kind: "text", text: body };
  return true;
}

/** A text as a format that makes it. */
export function plainFormat(text: string): LogFormat {
  return { text: text.replaceAll("%", "%%"), parts: text === "" ? [] : [{ kind: "text", text }] };
}

/** The step of a request that is known as a whole: what nobody said is the manual's default. */
export function requestStep(
  request: RequestDraft,
  origin: Origin,
  comment: string | undefined,
): CheckStep<"http-send"> {
  return {
    kind: "http-send",
    ...(comment === undefined ? {} : { comment }),
    origin,
    method: request.method ?? "OPTIONS",
    uri: request.uri ?? { kind: "text", text: "/" },
    version: request.version ?? "HTTP/1.0",
    headers: request.headers ?? [],
    ...(request.body === undefined ? {} : { body: request.body }),
  };
}
