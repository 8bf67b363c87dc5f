/**
 * `http-check expect hdr` and `fhdr`: is there a header of that name, with that value? Names are
 * compared without case, values with it. Thread of checks. Source: HAProxy manual 4.2
 * (`http-check expect`).
 */
import { ByteMatcher } from "../../expr/byte-regex.ts";
import type { ByteRegex } from "../../expr/byte-regex.ts";
import type { LogContext } from "../../expr/evaluate.ts";
import { valuesOf } from "../../expr/request-fetch.ts";
import type { CheckMatch, CheckText, CheckTextMethod } from "../../tables/spec.ts";
import { compileByteFormat, wordBytes } from "./check-format.ts";
import type { HttpAnswer } from "./http-answer.ts";

/** @returns undefined: a format made an empty text, which nothing can be compared with */
export type HeaderTest = (answer: HttpAnswer, context: LogContext) => boolean | undefined;

/** Is a text, one character a byte, what is looked for? @returns undefined as above */
type TextTest = (context: LogContext) => ((text: string) => boolean) | undefined;

/** Compiles one. */
export function compileHeaderTest(
  match: Extract<CheckMatch, { kind: "header" }>,
  regexOf: (pattern: string) => ByteRegex,
): HeaderTest {
  const name = compileText(match.name, match.nameMethod, true, regexOf);
  const value =
    match.value === undefined
      ? undefined
      : compileText(match.value, match.valueMethod, false, regexOf);
  const { isFull } = match;
  return (answer, context) => {
    const isName = name(context);
    const isValue = value === undefined ? () => true : value(context);
    if (isName === undefined || isValue === undefined) return undefined;
    return answer.headers.some((header) => {
      if (!isName(header.name)) return false;
      if (value === undefined || isFull) return isValue(header.value);
      return valuesOf(header.value).some(isValue);
    });
  };
}

function compileText(
  text: CheckText,
  method: CheckTextMethod,
  ignoresCase: boolean,
  regexOf: (pattern: string) => ByteRegex,
): TextTest {
  if (method === "reg") {
    const pattern = text.kind === "text" ? text.text : text.format.text;
    // Names are in small letters by then.
    const regex = regexOf(ignoresCase ? `(?i)${pattern}` : pattern);
    const test = (value: string): boolean => matchesRegex(regex, value);
    return () => test;
  }
  const compare = COMPARE[method];
  const fold = (value: string): string => (ignoresCase ? value.toLowerCase() : value);
  if (text.kind === "text") {
    const wanted = fold(Buffer.from(wordBytes(text.text)).toString("latin1"));
    const test = (value: string): boolean => compare(value, wanted);
    return () => test;
  }
  const format = compileByteFormat(text.format);
  return (context) => {
    const wanted = fold(Buffer.from(format(context)).toString("latin1"));
    return wanted === "" ? undefined : (value) => compare(value, wanted);
  };
}

const COMPARE: Readonly<
  Record<Exclude<CheckTextMethod, "reg">, (text: string, wanted: string) => boolean>
> = {
  str: (text, wanted) => text === wanted,
  beg: (text, wanted) => text.startsWith(wanted),
  end: (text, wanted) => text.endsWith(wanted),
  sub: (text, wanted) => text.includes(wanted),
};

function matchesRegex(regex: ByteRegex, text: string): boolean {
  const matcher = new ByteMatcher(regex);
  matcher.feed(Buffer.from(text, "latin1"));
  return matcher.matches();
}
