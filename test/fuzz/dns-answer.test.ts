/**
 * Answers of name servers, mangled: whatever the bytes are, they are read in time, and say nothing
 * that no record in them says. `SLUICE_FUZZ_SEED` repeats a run.
 */
import { expect, test } from "bun:test";

import { IpAddress, parseIp } from "../../src/base/address.ts";
import { DNS_RECORDS_MAX } from "../../src/base/limits.ts";
import { makeQuestion, readAnswer } from "../../src/control/names/message.ts";
import type { Question, QuestionType } from "../../src/control/names/message.ts";
import { encodeReply, RCODE } from "../support/dns-server.ts";
import type { DnsRecord } from "../support/dns-server.ts";
import { mutateBytes, pick, seededRandom } from "./mutate.ts";

const ROUNDS = 30_000;
const BYTES_MAX = 65_535;
const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);

const QUESTIONS: readonly Question[] = [
  makeQuestion("a.test", "A", 4096),
  makeQuestion("a.test", "AAAA", 512),
  makeQuestion("_h._tcp.example.test", "SRV", 8192),
];

function replyTo({ name, type, bytes }: Question, answers: DnsRecord[], more: DnsRecord[] = []) {
  const question = { id: 0, name, type: type as string, isTcp: false, from: 0, bytes };
  return encodeReply(question, { answers, additionals: more })[0]!;
}

function corpus(): Buffer[] {
  const [four, six, service] = QUESTIONS as [Question, Question, Question];
  const records: DnsRecord[] = [
    { name: "a.test", type: "CNAME", data: "b.test" },
    { name: "b.test", type: "A", data: "10.0.0.1" },
    { name: "b.test", type: "A", data: "10.0.0.2" },
  ];
  const srv = (target: string): DnsRecord => {
    return { name: service.name, type: "SRV", data: { target, port: 80, weight: 10 } };
  };
  const refused = { id: 0, name: "a.test", type: "A", isTcp: false, from: 0, bytes: four.bytes };
  return [
    replyTo(four, records),
    replyTo(four, [{ name: "a.test", type: "A", data: "10.0.0.1" }]),
    replyTo(six, [{ name: "a.test", type: "AAAA", data: "2001:db8::1" }]),
    replyTo(service, [srv("h1.example.test"), srv("h2.example.test")], records),
    replyTo(four, []),
    encodeReply(refused, { rcode: RCODE.refused })[0]!,
    ...QUESTIONS.map(({ bytes }) => bytes),
  ];
}

test(`mangled answers, seed ${seed}`, () => {
  const random = seededRandom(seed);
  const seeds = corpus();
  const kinds = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = Buffer.from(mutateBytes(random, seeds));
    const question = pick(random, QUESTIONS);
    const answer = readAnswer(bytes, question, BYTES_MAX);
    kinds.add(answer.kind);
    if (answer.kind === "addresses") {
      expect(question.type).not.toBe("SRV");
      expect(answer.addresses.length).toBeGreaterThan(0);
      for (const { family, host } of answer.addresses) {
        const ip = new IpAddress();
        expect(parseIp(host, ip)).toBe(true);
        expect<number>(ip.family).toBe(family);
        expect(family).toBe(question.type === "A" ? 4 : 6);
        // The bytes of an address are in the message, or it was made up.
        expect(bytes.length).toBeGreaterThan(family === 4 ? 4 : 16);
      }
    } else if (answer.kind === "services") {
      expect(question.type).toBe("SRV");
      for (const { target, port, weight } of answer.services) {
        expect(target).toMatch(/^[a-z0-9_][a-z0-9_.-]*$/);
        expect(port).toBeWithin(1, 65_536);
        expect(weight).toBeWithin(0, 65_536);
      }
    }
  }
  // A corpus whose answers are never reached would test nothing.
  for (const kind of ["addresses", "services", "invalid", "empty", "refused", "alias"]) {
    expect(kinds).toContain(kind);
  }
});

/** The longest message of records that a function makes, behind the question. */
function flood(question: Question, record: (at: number) => Buffer): Buffer {
  const head = Buffer.from(question.bytes.subarray(0, question.bytes.length - 11));
  head.writeUInt16BE(0x8000, 2);
  head.writeUInt16BE(0xffff, 6);
  head.writeUInt16BE(0, 10);
  const parts: Buffer[] = [head];
  let length = head.length;
  for (;;) {
    const next = record(length);
    if (length + next.length > BYTES_MAX) return Buffer.concat(parts);
    parts.push(next);
    length += next.length;
  }
}

const tailOf = (type: number, length: number): number[] => [0, type, 0, 1, 0, 0, 0, 1, 0, length];

/** Names that point to names that point… as far back as pointers reach. */
const FLOODS: [name: string, type: QuestionType, record: (at: number) => Buffer][] = [
  ["addresses", "A", () => Buffer.from([0xc0, 12, ...tailOf(1, 4), 10, 0, 0, 1])],
  [
    "pointers in a row",
    "A",
    (at) => {
      const back = at < 0x4000 && at > 100 ? at - 17 : 12;
      return Buffer.from([1, 0x61, 0xc0 | (back >> 8), back & 0xff, ...tailOf(1, 4), 10, 0, 0, 1]);
    },
  ],
  [
    "long names",
    "A",
    () => {
      const label = [63, ...Array<number>(63).fill(0x61)];
      return Buffer.from([...label, ...label, ...label, 0, ...tailOf(1, 4), 10, 0, 0, 1]);
    },
  ],
  ["aliases", "A", () => Buffer.from([0xc0, 12, ...tailOf(5, 4), 1, 0x62, 0xc0, 12])],
  ["services", "SRV", () => Buffer.from([0xc0, 12, ...tailOf(33, 8), 0, 0, 0, 0, 0, 80, 0xc0, 12])],
  ["other records", "A", () => Buffer.from([0, ...tailOf(99, 0)])],
];

for (const [name, type, record] of FLOODS) {
  test(`the longest message there is, full of ${name}`, () => {
    const question = QUESTIONS.find((one) => one.type === type)!;
    const bytes = flood(question, record);
    for (let round = 0; round < 20; round++) {
      const answer = readAnswer(bytes, question, BYTES_MAX);
      const count =
        answer.kind === "addresses"
          ? answer.addresses.length
          : answer.kind === "services"
            ? answer.services.length
            : 0;
      expect(count).toBeLessThanOrEqual(DNS_RECORDS_MAX);
    }
  });
}
