/**
 * `fetch(args),converter(args),…` → SampleExpression, checked against the catalogues.
 *
 * Names of proxies and servers in arguments are kept as text: `listReferences` tells the
 * configuration which to look up. Messages are HAProxy's. Pure, any thread, cold.
 * Source: manual 7.3.
 */
import { IpAddress, parseIpv4, parseIpv6 } from "../base/address.ts";
import type { Argument, SampleExpression, SampleType } from "../tables/expression.ts";
import { type Call, readCall, scanName } from "./call.ts";
import { CONVERTERS } from "./converters.ts";
import {
  ARGUMENT_TYPE_NAMES,
  type ArgumentType,
  type ConverterKeyword,
  type FetchKeyword,
  type FetchPlace,
  type FetchScope,
} from "./keyword.ts";
import { findLaterConverter, findLaterFetch, type LaterKeyword } from "./later.ts";
import { findFetch, findFetchFor } from "./request-fetches.ts";
import { parsed, type ParseResult, refused } from "./result.ts";

/** A proxy or server that an expression names; "" = the current one. */
export type Reference = {
  kind: "frontend" | "backend" | "server";
  /** Backend of a server, or the proxy. */
  proxy: string;
  server: string;
  /** The fetch that wants it, for the message. */
  fetch: string;
};

/** Old names that mean another. */
const ALIASES: ReadonlyMap<string, string> = new Map([["so_nam", "so_name"]]);

/**
 * Parses a whole text; nothing may follow the expression.
 * @param place what may be fetched: of a page's request, of the answer to a check
 */
export function parseSample(
  text: string,
  place: FetchPlace = "stream",
): ParseResult<SampleExpression> {
  const result = parseSamplePrefix(text, 0, place);
  if (!result.ok) return result;
  const { sample, end } = result.value;
  if (end === text.length) return parsed(sample, result.warnings);
  return refused(`unexpected '${text.slice(end)}' after expression '${sample.text}'`);
}

/**
 * Parses the expression that begins at `start` and stops where it ends.
 * @returns the expression and the index behind it
 */
export function parseSamplePrefix(
  text: string,
  start: number,
  place: FetchPlace = "stream",
): ParseResult<{ sample: SampleExpression; end: number }> {
  const scanned = text.slice(start, scanName(text, start));
  if (scanned === "") return refused("missing fetch method");
  const name = ALIASES.get(scanned) ?? scanned;
  const keyword = findFetchFor(name, place);
  if (keyword === undefined) {
    if (place === "check" && findFetch(name) !== undefined) {
      return refused(`fetch method '${scanned}' is not available in checks`, "coming");
    }
    return refuseName("fetch method", scanned, findLaterFetch(scanned));
  }
  const call = readCall(text, start);
  if (call === undefined) return refused(`fetch method '${scanned}' : expected ')'`);
  const args = checkArguments(keyword, call, `fetch method '${keyword.name}'`, false);
  if (!args.ok) return args;
  const converters = parseConverters(text, call.end, keyword.type);
  if (!converters.ok) return converters;
  const { list, end, type } = converters.value;
  const sample: SampleExpression = {
    fetch: { name: keyword.name, args: args.value },
    converters: list,
    type,
    text: text.slice(start, end),
  };
  return parsed({ sample, end });
}

type Chain = { list: SampleExpression["converters"]; type: SampleType; end: number };

function parseConverters(text: string, start: number, type: SampleType): ParseResult<Chain> {
  const list: SampleExpression["converters"] = [];
  let current = type;
  let at = start;
  while (text[at] === ",") {
    while (text[at] === ",") at++;
    const name = text.slice(at, scanName(text, at));
    const keyword = CONVERTERS.get(name);
    if (keyword === undefined) return refuseName("converter", name, findLaterConverter(name));
    const call = readCall(text, at);
    const last = keyword.args.length;
    if (call === undefined) {
      return refused(`invalid arg ${last + 1} in converter '${name}' : expected ')'`);
    }
    const args = checkArguments(keyword, call, `converter '${name}'`, true);
    if (!args.ok) return args;
    if (!canCast(current, keyword.input)) {
      return refused(`converter '${name}' cannot be applied`);
    }
    list.push({ name, args: args.value });
    if (keyword.output !== "any") current = keyword.output;
    at = call.end;
    if (at < text.length && /[A-Za-z0-9_.(]/.test(text[at] ?? "")) {
      return refused(`missing comma after converter '${name}'`);
    }
  }
  return parsed({ list, type: current, end: at });
}

function refuseName(
  what: string,
  name: string,
  later: LaterKeyword | undefined,
): ReturnType<typeof refused> {
  if (later === undefined) return refused(`unknown ${what} '${name}'`, "unknown");
  const reason = `${later.what}, which is not available in this release`;
  return refused(`${what} '${name}' is ${reason}`, later.state);
}

/** Which samples become which, by the matrix of casts: only bin to numbers is impossible. */
function canCast(from: SampleType, to: SampleType): boolean {
  if (from === to || from === "any" || to === "any") return true;
  if (from === "bin") return to === "str";
  // An address is neither true nor false.
  return !(from === "addr" && to === "bool");
}

function checkArguments(
  keyword: FetchKeyword | ConverterKeyword,
  call: Call,
  what: string,
  numbered: boolean,
): ParseResult<Argument[]> {
  const position = (index: number): string =>
    numbered ? `invalid arg ${index + 1} in ${what} : ` : `${what} : `;
  const texts = call.args ?? [];
  // `name()` is `name`, unless the argument is a text, which may be empty.
  const given =
    texts.length === 1 && texts[0] === "" && (keyword.args[0] ?? "none") !== "str" ? [] : texts;
  if (given.length > keyword.args.length) {
    const rest = given.slice(keyword.args.length).join(",");
    const comma = keyword.args.length > 0 ? "," : "";
    return refused(`${position(keyword.args.length - 1)}expected ')' before '${comma}${rest})'`);
  }
  if (given.length < keyword.required) {
    const type = ARGUMENT_TYPE_NAMES[keyword.args[given.length] ?? "str"];
    const at = position(given.length);
    if (given.length === 0)
      return refused(`${at}expected type '${type}' at position 1, but got nothing`);
    const count = `${given.length}/${keyword.required}`;
    return refused(`${at}missing arguments (got ${count}), type '${type}' expected`);
  }
  const values: Argument[] = [];
  for (const [index, text] of given.entries()) {
    const type = keyword.args[index] ?? "str";
    const value = readArgument(text, type, index >= keyword.required);
    if (value === undefined) {
      const name = ARGUMENT_TYPE_NAMES[type];
      const tail = `failed to parse '${text}' as type '${name}' at position ${index + 1}`;
      return refused(position(index) + tail);
    }
    values.push(value);
  }
  const wrong = keyword.check?.(given);
  if (wrong === undefined) return parsed(values);
  return refused(`invalid args in ${what} : ${wrong}`);
}

function readArgument(text: string, type: ArgumentType, optional: boolean): Argument | undefined {
  switch (type) {
    case "sint":
      // An argument left empty between commas counts as zero.
      if (text === "" && optional) return { kind: "int", value: 0 };
      return /^[-+]?\d+$/.test(text) ? { kind: "int", value: Number(text) } : undefined;
    case "ipv4":
      return parseIpv4(text) < 0 ? undefined : { kind: "str", value: text };
    case "ipv6":
      return parseIpv6(text, new IpAddress()) ? { kind: "str", value: text } : undefined;
    case "mask4":
      return readMask4(text);
    case "mask6":
      return readMask6(text);
    case "str":
    case "frontend":
    case "backend":
    case "server":
      return { kind: "str", value: text };
  }
}

/** A number of bits, or a dotted mask; kept as the 32-bit mask. */
function readMask4(text: string): Argument | undefined {
  if (/^\d{1,2}$/.test(text)) {
    const bits = Number(text);
    if (bits > 32) return undefined;
    return { kind: "int", value: bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0 };
  }
  const word = parseIpv4(text);
  return word < 0 ? undefined : { kind: "int", value: word };
}

/** A number of bits, or a mask written as an address; kept as text. */
function readMask6(text: string): Argument | undefined {
  const valid = /^\d{1,3}$/.test(text) ? Number(text) <= 128 : parseIpv6(text, new IpAddress());
  return valid ? { kind: "str", value: text } : undefined;
}

/** The proxies and servers that an expression names, for the configuration to look up. */
export function listReferences(sample: SampleExpression): Reference[] {
  const keyword = findFetch(sample.fetch.name);
  const type = keyword?.args[0];
  if (type !== "frontend" && type !== "backend" && type !== "server") return [];
  const first = sample.fetch.args[0];
  const text = first?.kind === "str" ? first.value : "";
  const slash = type === "server" ? text.indexOf("/") : -1;
  const fetch = sample.fetch.name;
  if (type !== "server") return [{ kind: type, proxy: text, server: "", fetch }];
  const proxy = slash < 0 ? "" : text.slice(0, slash);
  return [{ kind: type, proxy, server: text.slice(slash + 1), fetch }];
}

/** From when in a stream's life the expression can have a value. */
export function scopeOf(sample: SampleExpression): FetchScope {
  return findFetch(sample.fetch.name)?.scope ?? "any";
}
