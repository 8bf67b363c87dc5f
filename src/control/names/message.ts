/**
 * DNS messages (RFC 1035 section 4, RFC 6891): a question to bytes, the bytes of an answer to what
 * they say. dns-packet writes and reads names and records; what a lying server could do with
 * lengths, counts and pointers is looked at first, so that reading an answer takes time in
 * proportion to its length. Pure.
 */
import dns from "dns-packet";

import { formatIp, IpAddress, parseIp } from "../../base/address.ts";
import {
  DNS_ALIASES_MAX,
  DNS_LABEL_BYTES_MAX,
  DNS_NAME_BYTES_MAX,
  DNS_POINTERS_MAX,
  DNS_RECORDS_MAX,
} from "../../base/limits.ts";

/** What is asked for. */
export type QuestionType = "A" | "AAAA" | "SRV";

/** A question and its bytes; those of the id are for the name server to fill in. */
export type Question = { name: string; type: QuestionType; bytes: Buffer };

/** An address that an answer gives. */
export type NamedAddress = { family: 4 | 6; host: string };

/** A record of a service; `address` is what the answer says of its target besides. */
export type ServiceRecord = {
  /** In lower case, without a dot at its end. */
  target: string;
  port: number;
  priority: number;
  weight: number;
  address?: NamedAddress;
};

/** What an answer says: records, or why it has none that count. */
export type Answer =
  | { kind: "addresses"; addresses: NamedAddress[]; hasAlias: boolean }
  | { kind: "services"; services: ServiceRecord[] }
  | { kind: Failure };

/**
 * Why an answer is none (management manual 9.3, `show resolvers`): `empty`: nothing of what was
 * asked for; `alias`: its CNAME records lead nowhere.
 */
export type Failure =
  "nx" | "refused" | "other" | "empty" | "alias" | "invalid" | "too-big" | "truncated";

/** Bytes of the header (RFC 1035 section 4.1.1). */
const HEADER_BYTES = 12;
/** Type and class behind the name of a question; type, class, time and length of a record's. */
const QUESTION_TAIL_BYTES = 4;
const RECORD_TAIL_BYTES = 10;
const FLAG_RESPONSE = 0x8000;
const OPCODE_MASK = 0x7800;
const FLAG_TRUNCATED = 0x0200;
const CLASS_IN = 1;
const TYPE_CODES = { A: 1, CNAME: 5, AAAA: 28, SRV: 33 } as const;
const RCODE_OK = 0;
const RCODE_NX = 3;
const RCODE_REFUSED = 5;

/** The bytes that ask. @param payloadBytes largest answer that is wanted */
export function makeQuestion(name: string, type: QuestionType, payloadBytes: number): Question {
  const opt = {
    type: "OPT",
    name: ".",
    udpPayloadSize: payloadBytes,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  } as const;
  const bytes = dns.encode({
    type: "query",
    id: 0,
    flags: dns.RECURSION_DESIRED,
    questions: [{ type, name }],
    additionals: [opt as unknown as dns.OptAnswer],
  });
  return { name, type, bytes };
}

/** The bytes of a question with an id. */
export function withId({ bytes }: Question, id: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** The id of a message; -1 = it is too short to be one. */
export function idOf(bytes: Buffer): number {
  return bytes.length < HEADER_BYTES ? -1 : bytes.readUInt16BE(0);
}

/** A name as it is compared and kept: lower case, no dot at the end. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/u, "");
}

/**
 * What an answer to `question` says. Never throws.
 * @param bytesMax longest answer that was wanted
 */
export function readAnswer(bytes: Buffer, question: Question, bytesMax: number): Answer {
  if (bytes.length > bytesMax) return { kind: "too-big" };
  if (bytes.length < HEADER_BYTES) return { kind: "invalid" };
  const flags = bytes.readUInt16BE(2);
  const isAnswer = (flags & FLAG_RESPONSE) !== 0 && (flags & OPCODE_MASK) === 0;
  const end = questionEnd(bytes, question);
  if (!isAnswer || end < 0) return { kind: "invalid" };
  if ((flags & FLAG_TRUNCATED) !== 0) return { kind: "truncated" };
  const code = flags & 0xf;
  if (code === RCODE_NX) return { kind: "nx" };
  if (code === RCODE_REFUSED) return { kind: "refused" };
  if (code !== RCODE_OK) return { kind: "other" };
  const found = screen(bytes, end);
  if (found === undefined) return { kind: "invalid" };
  try {
    return question.type === "SRV"
      ? servicesOf(bytes, found, question.name)
      : addressesOf(bytes, found, question.name, question.type);
  } catch {
    return { kind: "invalid" };
  }
}

/**
 * Where the question ends that an answer repeats; -1 = it is not the one that was asked. Compared
 * byte by byte, letters of either case alike.
 */
function questionEnd(bytes: Buffer, { bytes: asked, type }: Question): number {
  if (bytes.readUInt16BE(4) !== 1) return -1;
  let at = HEADER_BYTES;
  // The name of a question has no pointers: there is nothing before it.
  for (;;) {
    const length = asked[at]!;
    for (const last = at + length; at <= last; at++) {
      if (at >= bytes.length || lower(bytes[at]!) !== lower(asked[at]!)) return -1;
    }
    if (length === 0) break;
  }
  const end = at + QUESTION_TAIL_BYTES;
  if (end > bytes.length || bytes.readUInt16BE(at) !== TYPE_CODES[type]) return -1;
  return bytes.readUInt16BE(at + 2) === CLASS_IN ? end : -1;
}

const lower = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte);

/** Places of the records that matter, by type. */
type Found = { answers: Place[]; additionals: Place[] };
type Place = { at: number; type: number };

/**
 * Walks over the records: names within their bounds, data within the message.
 * @returns where those of class IN are; undefined = the message is none
 */
function screen(bytes: Buffer, start: number): Found | undefined {
  const found: Found = { answers: [], additionals: [] };
  const counts = [bytes.readUInt16BE(6), bytes.readUInt16BE(8), bytes.readUInt16BE(10)];
  let at = start;
  let left = DNS_RECORDS_MAX;
  for (const [section, count] of counts.entries()) {
    for (let index = 0; index < count; index++) {
      // What is behind the last record that is looked at does not matter.
      if (left-- === 0) return found;
      const tail = nameEnd(bytes, at);
      if (tail < 0 || tail + RECORD_TAIL_BYTES > bytes.length) return undefined;
      const type = bytes.readUInt16BE(tail);
      const data = tail + RECORD_TAIL_BYTES;
      const end = data + bytes.readUInt16BE(tail + 8);
      if (end > bytes.length || !fits(bytes, type, data, end)) return undefined;
      if (bytes.readUInt16BE(tail + 2) === CLASS_IN) {
        if (section === 0) found.answers.push({ at, type });
        else if (section === 2) found.additionals.push({ at, type });
      }
      at = end;
    }
  }
  return found;
}

/** Is the data of a record what its type needs? Types that are not looked at may have any. */
function fits(bytes: Buffer, type: number, data: number, end: number): boolean {
  switch (type) {
    case TYPE_CODES.A:
      return end - data === 4;
    case TYPE_CODES.AAAA:
      return end - data === 16;
    case TYPE_CODES.CNAME:
      return nameEnd(bytes, data) === end;
    case TYPE_CODES.SRV:
      return end - data > 6 && nameEnd(bytes, data + 6) === end;
    default:
      return true;
  }
}

/**
 * Where a name ends. Pointers lead back, and only so many of them: a name costs no more than its
 * length.
 * @returns -1 = it is none
 */
function nameEnd(bytes: Buffer, start: number): number {
  let end = -1;
  let at = start;
  let lowest = start;
  let pointers = 0;
  let length = 0;
  for (;;) {
    if (at >= bytes.length) return -1;
    const byte = bytes[at]!;
    if (byte === 0) return end < 0 ? at + 1 : end;
    if (byte >= 0xc0) {
      if (at + 1 >= bytes.length || ++pointers > DNS_POINTERS_MAX) return -1;
      const target = ((byte & 0x3f) << 8) | bytes[at + 1]!;
      if (end < 0) end = at + 2;
      if (target >= lowest || target < HEADER_BYTES) return -1;
      lowest = target;
      at = target;
    } else {
      length += byte + 1;
      if (byte > DNS_LABEL_BYTES_MAX || length > DNS_NAME_BYTES_MAX) return -1;
      at += byte + 1;
    }
  }
}

/** One record. The caller has screened it. */
function readRecord(bytes: Buffer, { at }: Place): dns.Answer {
  const { answer } = dns as unknown as { answer: { decode(from: Buffer, at: number): dns.Answer } };
  return answer.decode(bytes, at);
}

/** The addresses that a name has in the end, its aliases followed. */
function addressesOf(bytes: Buffer, { answers }: Found, name: string, type: "A" | "AAAA"): Answer {
  const aliases = new Map<string, string>();
  const byOwner = new Map<string, Map<string, NamedAddress>>();
  for (const place of answers) {
    if (place.type !== TYPE_CODES[type] && place.type !== TYPE_CODES.CNAME) continue;
    const record = readRecord(bytes, place);
    const owner = plainName(record.name);
    if (record.type === "CNAME") aliases.set(owner, plainName(record.data));
    else if (record.type === type) {
      const address = addressOf(record.data);
      const known = byOwner.get(owner) ?? new Map<string, NamedAddress>();
      if (address !== undefined) byOwner.set(owner, known.set(address.host, address));
    }
  }
  let last = plainName(name);
  for (let hops = 0; !byOwner.has(last); hops++) {
    const next = aliases.get(last);
    if (next === undefined || hops === DNS_ALIASES_MAX) {
      return { kind: aliases.size > 0 ? "alias" : "empty" };
    }
    last = next;
  }
  const hasAlias = last !== plainName(name);
  return { kind: "addresses", addresses: [...byOwner.get(last)!.values()], hasAlias };
}

/** The records of a service; targets that are no host names are left out. */
function servicesOf(bytes: Buffer, { answers, additionals }: Found, name: string): Answer {
  const addresses = new Map<string, NamedAddress>();
  for (const place of additionals) {
    if (place.type !== TYPE_CODES.A && place.type !== TYPE_CODES.AAAA) continue;
    const record = readRecord(bytes, place);
    if (record.type !== "A" && record.type !== "AAAA") continue;
    const owner = plainName(record.name);
    const address = addressOf(record.data);
    if (address !== undefined && !addresses.has(owner)) addresses.set(owner, address);
  }
  const services = new Map<string, ServiceRecord>();
  for (const place of answers) {
    if (place.type !== TYPE_CODES.SRV) continue;
    const record = readRecord(bytes, place);
    if (record.type !== "SRV" || plainName(record.name) !== plainName(name)) continue;
    const { port, priority = 0, weight = 0 } = record.data;
    const target = plainName(record.data.target);
    // A target of "." says that there is no such service (RFC 2782).
    if (!HOST_NAME.test(target) || port === 0) continue;
    const address = addresses.get(target);
    const known = address === undefined ? {} : { address };
    services.set(serviceKey({ target, port }), { target, port, priority, weight, ...known });
  }
  if (services.size === 0) return { kind: "empty" };
  return { kind: "services", services: [...services.values()] };
}

/** What a record of a service is known by. */
export function serviceKey({ target, port }: Pick<ServiceRecord, "target" | "port">): string {
  return `${target}:${port}`;
}

/** Letters, digits, dashes, underscores; as long as a name may be. */
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*)(?:\.[a-z0-9_][a-z0-9_-]*)*$/u;

/**
 * An address as text in the one form of this program. Not the address of zeros: as a server's it
 * would stand for wherever the client wanted to go.
 */
function addressOf(text: string): NamedAddress | undefined {
  const ip = new IpAddress();
  if (!parseIp(text, ip) || ip.family === 0) return undefined;
  if (ip.word0 === 0 && ip.word1 === 0 && ip.word2 === 0 && ip.word3 === 0) return undefined;
  return { family: ip.family, host: formatIp(ip) };
}
