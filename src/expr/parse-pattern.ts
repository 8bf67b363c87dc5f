/**
 * One pattern of an ACL, in the form of its matching method. Pure, any thread, cold.
 * Source: manual 7.1.2 to 7.1.6.
 */
import { formatIp, formatIpv4, IpAddress, parseIpv4, parseIpv6 } from "../base/address.ts";
import type { MatchMethod, Pattern } from "../tables/expression.ts";
import { checkHex } from "./fetches.ts";
import { compileRegex } from "./regex.ts";

/** Patterns being collected for one test. */
export type PatternList = {
  method: MatchMethod;
  patterns: Pattern[];
  resolve: ((name: string) => readonly string[]) | undefined;
};

/**
 * Adds one word or line.
 * @param exactCase it came from a file named before `-i`
 * @returns why it is wrong, without a full stop
 */
export function addPattern(
  list: PatternList,
  text: string,
  exactCase: boolean,
): string | undefined {
  switch (list.method) {
    case "found":
    case "bool":
      return undefined;
    case "int":
    case "len":
      return addRange(list.patterns, text);
    case "ip":
      return addNetwork(list, text);
    case "bin": {
      const wrong = checkHex(text);
      if (wrong === undefined) list.patterns.push({ kind: "text", value: text.toLowerCase() });
      return wrong;
    }
    case "reg": {
      const regex = compileRegex(text, false);
      if (!regex.ok) return regex.message;
      break;
    }
    case "str":
    case "beg":
    case "end":
    case "sub":
    case "dir":
    case "dom":
      break;
  }
  list.patterns.push(
    exactCase ? { kind: "text", value: text, exactCase } : { kind: "text", value: text },
  );
  return undefined;
}

/** `N`, `N:M`, `N:`, `:M`. */
function addRange(patterns: Pattern[], text: string): string | undefined {
  const range = /^([-+]?\d+)?(?:(:)([-+]?\d+)?)?$/.exec(text);
  if (range === null || text === "" || text === ":") return `'${text}' is not a number`;
  const low = range[1] === undefined ? null : Number(range[1]);
  const high = range[2] === undefined ? low : range[3] === undefined ? null : Number(range[3]);
  if (low !== null && high !== null && low > high) return `'${text}' is not a valid number range`;
  patterns.push({ kind: "range", low, high });
  return undefined;
}

function addNetwork(list: PatternList, text: string): string | undefined {
  const wrong = `'${text}' is not a valid IPv4 or IPv6 address`;
  const slash = text.indexOf("/");
  const host = slash < 0 ? text : text.slice(0, slash);
  const mask = slash < 0 ? undefined : text.slice(slash + 1);
  const six = new IpAddress();
  if (parseIpv6(host, six)) {
    const bits = mask === undefined ? 128 : readBits(mask, 128);
    if (bits < 0) return wrong;
    list.patterns.push({ kind: "network", family: 6, base: formatIp(six), bits });
    return undefined;
  }
  const word = parseShortIpv4(host);
  if (word >= 0) {
    const bits = mask === undefined ? 32 : readMask(mask);
    if (bits === -2) return `the mask of '${text}' is not a prefix`;
    if (bits < 0) return wrong;
    list.patterns.push({ kind: "network", family: 4, base: formatIpv4(word), bits });
    return undefined;
  }
  if (mask !== undefined || !/^[A-Za-z0-9._-]+$/.test(host)) return wrong;
  let found = false;
  for (const address of list.resolve?.(host) ?? []) {
    if (parseIpv4(address) < 0) continue;
    list.patterns.push({ kind: "network", family: 4, base: address, bits: 32 });
    found = true;
  }
  return found ? undefined : wrong;
}

/** Dotted notation with zero bytes left out before the last: `127.1` is 127.0.0.1. -1 if none. */
function parseShortIpv4(text: string): number {
  if (!/^\d{1,3}(?:\.\d{1,3}){0,3}$/.test(text)) return -1;
  const parts = text.split(".").map(Number);
  if (parts.some((part) => part > 255)) return -1;
  const last = parts.pop() ?? 0;
  let word = 0;
  for (let i = 0; i < 3; i++) word = word * 256 + (parts[i] ?? 0);
  return word * 256 + last;
}

/** Bits of a prefix length or a dotted mask; -1 no mask at all, -2 a mask with holes. */
function readMask(text: string): number {
  const bits = readBits(text, 32);
  if (bits >= 0) return bits;
  const word = parseIpv4(text);
  if (word < 0) return -1;
  const inverse = ~word >>> 0;
  return (inverse & (inverse + 1)) === 0 ? 32 - (32 - Math.clz32(inverse)) : -2;
}

function readBits(text: string, max: number): number {
  if (!/^\d{1,3}$/.test(text)) return -1;
  const bits = Number(text);
  return bits <= max ? bits : -1;
}
