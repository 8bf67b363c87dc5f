/**
 * IP addresses as numbers: a family and four big-endian 32-bit words.
 *
 * Owns text ↔ words ↔ bytes, the one textual form (RFC 5952), v4-mapped addresses and prefixes.
 * IPv4 lives in `word0` alone; `word1..3` are then zero. Words are unsigned (`>>> 0`).
 * Pure, any thread. Does not know ports, unix paths or names.
 *
 * ```
 *            word0      word1      word2      word3
 *   ipv4   a.b.c.d        0          0          0
 *   ipv6   bits 127..96  95..64    63..32     31..0
 * ```
 */

/** 0 = no address. */
export type IpFamily = 0 | 4 | 6;

/** A mutable address: callers own one and let others fill it, so that nothing is allocated. */
export class IpAddress {
  family: IpFamily = 0;
  word0 = 0;
  word1 = 0;
  word2 = 0;
  word3 = 0;

  /** Becomes "no address". */
  clear(): void {
    this.family = 0;
    this.word0 = 0;
    this.word1 = 0;
    this.word2 = 0;
    this.word3 = 0;
  }

  /** Becomes an IPv4 address. @param word the 32 bits, any sign */
  setIpv4(word: number): void {
    this.family = 4;
    this.word0 = word >>> 0;
    this.word1 = 0;
    this.word2 = 0;
    this.word3 = 0;
  }

  /** Becomes an IPv6 address from four big-endian words, any sign. */
  setIpv6(word0: number, word1: number, word2: number, word3: number): void {
    this.family = 6;
    this.word0 = word0 >>> 0;
    this.word1 = word1 >>> 0;
    this.word2 = word2 >>> 0;
    this.word3 = word3 >>> 0;
  }

  /** Becomes a copy of `other`. */
  copyFrom(other: IpAddress): void {
    this.family = other.family;
    this.word0 = other.word0;
    this.word1 = other.word1;
    this.word2 = other.word2;
    this.word3 = other.word3;
  }

  /** Same family and same bits. */
  equals(other: IpAddress): boolean {
    return (
      this.family === other.family &&
      this.word0 === other.word0 &&
      this.word1 === other.word1 &&
      this.word2 === other.word2 &&
      this.word3 === other.word3
    );
  }
}

/** The word before the IPv4 part of `::ffff:a.b.c.d`. */
const V4_MAPPED = 0xffff;
const GROUPS = 8;

/**
 * Reads dotted-quad text, all four parts, decimal, no leading zeros, `+`, `0x` or blanks.
 * @returns the 32 bits as an unsigned number, or -1 if it is not one
 */
export function parseIpv4(text: string): number {
  let word = 0;
  let part = -1;
  let digits = 0;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x2e) {
      if (part < 0) return -1;
      word = word * 256 + part;
      part = -1;
      digits = 0;
      if (++dots > 3) return -1;
      continue;
    }
    if (code < 0x30 || code > 0x39 || ++digits > 3) return -1;
    if (part === 0) return -1;
    part = (part < 0 ? 0 : part) * 10 + (code - 0x30);
    if (part > 255) return -1;
  }
  if (dots !== 3 || part < 0) return -1;
  return word * 256 + part;
}

/**
 * Reads IPv6 text in any form of RFC 4291 section 2.2 (`::`, a dotted quad at the end).
 * No zone, no brackets.
 * @returns false and `out` untouched if it is not one
 */
export function parseIpv6(text: string, out: IpAddress): boolean {
  if (text.length < 2 || text.length > 45) return false;
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return false;
  const zeros = GROUPS - head.length - tail.length;
  // "::" stands for at least one group.
  if (halves.length === 2 ? zeros < 1 : zeros !== 0) return false;
  const groups = [...head, ...new Array<number>(zeros).fill(0), ...tail];
  const at = (index: number): number => ((groups[index] ?? 0) << 16) | (groups[index + 1] ?? 0);
  out.setIpv6(at(0), at(2), at(4), at(6));
  return true;
}

/** Groups between colons; only the last may be a dotted quad, and only at the end of the text. */
function parseGroups(text: string, atEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (part.includes(".")) {
      const word = atEnd && index === parts.length - 1 ? parseIpv4(part) : -1;
      if (word < 0) return undefined;
      groups.push(word >>> 16, word & 0xffff);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups.length > GROUPS ? undefined : groups;
}

/** Reads either family. @returns false and `out` untouched if the text is neither */
export function parseIp(text: string, out: IpAddress): boolean {
  if (text.includes(":")) return parseIpv6(text, out);
  const word = parseIpv4(text);
  if (word < 0) return false;
  out.setIpv4(word);
  return true;
}

/** Dotted quad of 32 bits. */
export function formatIpv4(word: number): string {
  return `${(word >>> 24) & 255}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

/**
 * Canonical text: RFC 5952 (lower case, longest run of zero groups as `::`, the first if equal,
 * never for one group), with the dotted quad for `::ffff:` and `::a.b.c.d` as the C library prints.
 * @returns "" for no address
 */
export function formatIp(address: IpAddress): string {
  if (address.family === 4) return formatIpv4(address.word0);
  if (address.family === 0) return "";
  const { word0, word1, word2, word3 } = address;
  if (word0 === 0 && word1 === 0) {
    if (word2 === V4_MAPPED) return `::ffff:${formatIpv4(word3)}`;
    if (word2 === 0 && word3 > 0xffff) return `::${formatIpv4(word3)}`;
  }
  const groups: number[] = [];
  for (const word of [word0, word1, word2, word3]) groups.push(word >>> 16, word & 0xffff);
  const run = longestZeroRun(groups);
  const hex = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":");
  if (run.length < 2) return hex(0, GROUPS);
  return `${hex(0, run.start)}::${hex(run.start + run.length, GROUPS)}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let i = 0; i <= groups.length; i++) {
    if (groups[i] === 0) continue;
    if (i - start > best.length) best = { start, length: i - start };
    start = i + 1;
  }
  return best;
}

/** Reads 4 (family 4) or 16 (family 6) network-order bytes at `offset`. The bytes must be there. */
export function readIp(bytes: Uint8Array, offset: number, family: 4 | 6, out: IpAddress): void {
  if (family === 4) out.setIpv4(readWord(bytes, offset));
  else {
    out.setIpv6(
      readWord(bytes, offset),
      readWord(bytes, offset + 4),
      readWord(bytes, offset + 8),
      readWord(bytes, offset + 12),
    );
  }
}

/** Writes network-order bytes at `offset`. @returns how many: 0, 4 or 16 */
export function writeIp(address: IpAddress, bytes: Uint8Array, offset: number): number {
  if (address.family === 0) return 0;
  writeWord(bytes, offset, address.word0);
  if (address.family === 4) return 4;
  writeWord(bytes, offset + 4, address.word1);
  writeWord(bytes, offset + 8, address.word2);
  writeWord(bytes, offset + 12, address.word3);
  return 16;
}

/** `::ffff:a.b.c.d`, the form in which a dual-stack socket shows an IPv4 client. */
export function isV4Mapped(address: IpAddress): boolean {
  return (
    address.family === 6 &&
    address.word0 === 0 &&
    address.word1 === 0 &&
    address.word2 === V4_MAPPED
  );
}

/** Turns a v4-mapped address into the IPv4 address it carries; leaves every other as it is. */
export function normaliseMapped(address: IpAddress): void {
  if (isV4Mapped(address)) address.setIpv4(address.word3);
}

/** 127.0.0.0/8, ::1 and their mapped forms. */
export function isLoopback(address: IpAddress): boolean {
  if (address.family === 4) return address.word0 >>> 24 === 127;
  if (address.family === 0) return false;
  if (isV4Mapped(address)) return address.word3 >>> 24 === 127;
  return address.word0 === 0 && address.word1 === 0 && address.word2 === 0 && address.word3 === 1;
}

/** Mask of the first `bits` of a 32-bit word; `bits` outside 0..32 counts as the nearest. */
export function prefixMask(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0;
}

/** Clears what is behind the first `bits` bits (0..32 for IPv4, 0..128 for IPv6). */
export function maskIp(address: IpAddress, bits: number): void {
  address.word0 = (address.word0 & prefixMask(bits)) >>> 0;
  if (address.family === 4) return;
  address.word1 = (address.word1 & prefixMask(bits - 32)) >>> 0;
  address.word2 = (address.word2 & prefixMask(bits - 64)) >>> 0;
  address.word3 = (address.word3 & prefixMask(bits - 96)) >>> 0;
}

function readWord(bytes: Uint8Array, offset: number): number {
  return (
    ((bytes[offset]! << 24) |
      (bytes[offset + 1]! << 16) |
      (bytes[offset + 2]! << 8) |
      bytes[offset + 3]!) >>>
    0
  );
}

function writeWord(bytes: Uint8Array, offset: number, word: number): void {
  bytes[offset] = word >>> 24;
  bytes[offset + 1] = word >>> 16;
  bytes[offset + 2] = word >>> 8;
  bytes[offset + 3] = word;
}
