/**
 * Is an address in any of many networks? Any thread.
 *
 * Networks are grouped by prefix length; a group is a set of masked bases, so the cost depends on
 * how many different lengths there are (at most 33 and 129), not on how many networks.
 * Mixed families: manual 7.1.6.
 */
import { IpAddress, isV4Mapped, maskIp, parseIp, prefixMask } from "../base/address.ts";
import type { Pattern } from "../tables/expression.ts";

type Groups4 = { mask: number; bases: Set<number> }[];
type Groups6 = { bits: number; bases: Map<number, IpAddress[]> }[];

/** @returns a test; `address` is left as it is */
export function compileNetworks(patterns: readonly Pattern[]): (address: IpAddress) => boolean {
  const four: Groups4 = [];
  const six: Groups6 = [];
  for (const pattern of patterns) {
    if (pattern.kind !== "network") continue;
    const base = new IpAddress();
    if (!parseIp(pattern.base, base)) continue;
    maskIp(base, pattern.bits);
    if (pattern.family === 4) addFour(four, pattern.bits, base);
    else addSix(six, pattern.bits, base);
  }
  const scratch = new IpAddress();
  return (address) => {
    if (address.family === 4) {
      if (hasFour(four, address.word0)) return true;
      if (six.length === 0) return false;
      scratch.setIpv6(0, 0, 0xffff, address.word0);
      return hasSix(six, scratch);
    }
    if (address.family === 0) return false;
    if (hasSix(six, address)) return true;
    if (four.length === 0) return false;
    const inside = embeddedIpv4(address);
    return inside >= 0 && hasFour(four, inside);
  };
}

/** The IPv4 address inside 2002:IPV4::/16, ::IPV4 or ::ffff:IPV4; -1 if there is none. */
function embeddedIpv4(address: IpAddress): number {
  if (address.word0 >>> 16 === 0x2002) {
    return (((address.word0 & 0xffff) << 16) | (address.word1 >>> 16)) >>> 0;
  }
  const isPlain = address.word0 === 0 && address.word1 === 0 && address.word2 === 0;
  return isPlain || isV4Mapped(address) ? address.word3 : -1;
}

function addFour(groups: Groups4, bits: number, base: IpAddress): void {
  const mask = prefixMask(bits);
  let group = groups.find((one) => one.mask === mask);
  if (group === undefined) {
    group = { mask, bases: new Set() };
    groups.push(group);
  }
  group.bases.add(base.word0);
}

function addSix(groups: Groups6, bits: number, base: IpAddress): void {
  let group = groups.find((one) => one.bits === bits);
  if (group === undefined) {
    group = { bits, bases: new Map() };
    groups.push(group);
  }
  const key = foldWords(base);
  const same = group.bases.get(key);
  if (same === undefined) group.bases.set(key, [base]);
  else same.push(base);
}

function foldWords(address: IpAddress): number {
  let key = address.word0;
  key = (Math.imul(key, 31) + address.word1) | 0;
  key = (Math.imul(key, 31) + address.word2) | 0;
  return (Math.imul(key, 31) + address.word3) | 0;
}

function hasFour(groups: Groups4, word: number): boolean {
  for (const group of groups) if (group.bases.has((word & group.mask) >>> 0)) return true;
  return false;
}

const masked = new IpAddress();

function hasSix(groups: Groups6, address: IpAddress): boolean {
  for (const group of groups) {
    masked.copyFrom(address);
    maskIp(masked, group.bits);
    const candidates = group.bases.get(foldWords(masked));
    if (candidates === undefined) continue;
    for (const candidate of candidates) if (candidate.equals(masked)) return true;
  }
  return false;
}
