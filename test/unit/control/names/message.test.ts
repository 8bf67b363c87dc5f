/** DNS messages: what answers say, and what lying ones cannot do. */
import { describe, expect, test } from "bun:test";

import {
  makeQuestion,
  plainName,
  readAnswer,
  withId,
} from "../../../../src/control/names/message.ts";
import type { Answer, Question, QuestionType } from "../../../../src/control/names/message.ts";
import { encodeReply, RCODE } from "../../../support/dns-server.ts";
import type { DnsRecord, DnsReply } from "../../../support/dns-server.ts";

const BYTES_MAX = 4096;

function question(name = "a.test", type: QuestionType = "A"): Question {
  return makeQuestion(name, type, 1232);
}

/** What a server's reply to a question reads as. */
function read(reply: Exclude<DnsReply, undefined>, asked = question()): Answer {
  const { name, type, bytes } = asked;
  const [message] = encodeReply({ id: 0, name, type, isTcp: false, from: 0, bytes }, reply);
  return readAnswer(message!, asked, BYTES_MAX);
}

const a = (name: string, data: string): DnsRecord => ({ name, type: "A", data });
const alias = (name: string, data: string): DnsRecord => ({ name, type: "CNAME", data });
const service = (name: string, target: string, port: number, weight = 0): DnsRecord => ({
  name,
  type: "SRV",
  data: { target, port, weight },
});
const found = (...hosts: string[]): unknown => ({
  kind: "addresses",
  hasAlias: false,
  addresses: hosts.map((host) => ({ family: host.includes(":") ? 6 : 4, host })),
});

describe("addresses", () => {
  test("of a name, each once, in their order", () => {
    const answers = [a("a.test", "10.0.0.2"), a("A.Test", "10.0.0.1"), a("a.test", "10.0.0.2")];
    expect(read({ answers })).toEqual(found("10.0.0.2", "10.0.0.1") as Answer);
    const six: DnsRecord = { name: "a.test", type: "AAAA", data: "2001:db8:0:0::1" };
    expect(read({ answers: [six] }, question("a.test", "AAAA"))).toEqual(
      found("2001:db8::1") as Answer,
    );
  });
  test("of the name that aliases lead to, in any order", () => {
    const answers = [alias("b.test", "c.test"), a("c.test", "10.0.0.1"), alias("a.test", "b.test")];
    expect(read({ answers })).toMatchObject({ kind: "addresses", hasAlias: true });
  });
  const rows: [name: string, answers: DnsRecord[], kind: Answer["kind"]][] = [
    ["none", [], "empty"],
    ["of another name", [a("b.test", "10.0.0.1")], "empty"],
    ["of another type", [{ name: "a.test", type: "AAAA", data: "::1" }], "empty"],
    ["an alias that leads nowhere", [alias("a.test", "b.test")], "alias"],
    ["aliases in a ring", [alias("a.test", "b.test"), alias("b.test", "a.test")], "alias"],
    [
      "aliases without end",
      Array.from({ length: 40 }, (_, i) =>
        alias(i === 0 ? "a.test" : `c${i}.test`, `c${i + 1}.test`),
      ),
      "alias",
    ],
    // As a server's address it would mean: where the client wanted to go.
    ["zeros", [a("a.test", "0.0.0.0")], "empty"],
  ];
  for (const [name, answers, kind] of rows) {
    test(name, () => expect(read({ answers }).kind).toBe(kind));
  }
});

describe("services", () => {
  const asked = question("_h._tcp.test", "SRV");
  test("with their targets, ports, weights and what is said of them besides", () => {
    const answers = [
      service("_h._tcp.test", "H1.test", 80, 5),
      service("_h._tcp.test", "h2.test", 81),
      service("_h._tcp.test", "h2.test", 82),
      service("_other._tcp.test", "h3.test", 80),
      service("_h._tcp.test", ".", 80),
      service("_h._tcp.test", "h4.test", 0),
      service("_h._tcp.test", "no host", 80),
    ];
    const additionals = [
      a("h1.test", "10.0.0.1"),
      a("h1.test", "10.0.0.2"),
      a("x.test", "10.0.0.3"),
    ];
    expect(read({ answers, additionals }, asked)).toEqual({
      kind: "services",
      services: [
        {
          target: "h1.test",
          port: 80,
          priority: 0,
          weight: 5,
          address: { family: 4, host: "10.0.0.1" },
        },
        { target: "h2.test", port: 81, priority: 0, weight: 0 },
        { target: "h2.test", port: 82, priority: 0, weight: 0 },
      ],
    });
  });
  test("none", () => {
    expect(read({ answers: [a("_h._tcp.test", "10.0.0.1")] }, asked).kind).toBe("empty");
  });
});

describe("codes", () => {
  const rows: [rcode: number, kind: Answer["kind"]][] = [
    [RCODE.nx, "nx"],
    [RCODE.refused, "refused"],
    [RCODE.servFail, "other"],
    [RCODE.formErr, "other"],
    [RCODE.notImp, "other"],
  ];
  const answers = [a("a.test", "10.0.0.1")];
  for (const [rcode, kind] of rows) {
    test(`${rcode}`, () => expect(read({ rcode, answers })).toEqual({ kind } as Answer));
  }
  test("truncated", () => {
    expect(read({ isTruncated: true, answers }).kind).toBe("truncated");
  });
});

describe("what is no answer", () => {
  const answers = [a("a.test", "10.0.0.1")];
  const whole = (): Buffer => {
    const { name, type, bytes } = question();
    return encodeReply({ id: 0, name, type, isTcp: false, from: 0, bytes }, { answers })[0]!;
  };
  test("to another question", () => {
    const other = { name: "b.test", type: "A" } as const;
    expect(read({ answers, question: other }).kind).toBe("invalid");
    const type = { name: "a.test", type: "AAAA" } as const;
    expect(read({ answers, question: type }).kind).toBe("invalid");
    const longer = { name: "a.test.test", type: "A" } as const;
    expect(read({ answers, question: longer }).kind).toBe("invalid");
  });
  test("the question itself, and another kind of message", () => {
    expect(readAnswer(question().bytes, question(), BYTES_MAX).kind).toBe("invalid");
    const notify = whole();
    notify[2] = notify[2]! | 0x20;
    expect(readAnswer(notify, question(), BYTES_MAX).kind).toBe("invalid");
  });
  test("cut at any byte", () => {
    const bytes = whole();
    for (let end = 0; end < bytes.length; end++) {
      expect(readAnswer(bytes.subarray(0, end), question(), BYTES_MAX).kind).toBe("invalid");
    }
    expect(readAnswer(bytes, question(), BYTES_MAX)).toEqual(found("10.0.0.1") as Answer);
  });
  test("more than was wanted", () => {
    expect(readAnswer(whole(), question(), 20).kind).toBe("too-big");
  });
  test("counts of records that are not there", () => {
    for (const at of [6, 8, 10]) {
      const bytes = whole();
      bytes.writeUInt16BE(0xffff, at);
      expect(readAnswer(bytes, question(), BYTES_MAX).kind).toBe("invalid");
    }
  });
  test("more than one question", () => {
    const bytes = whole();
    bytes.writeUInt16BE(2, 4);
    expect(readAnswer(bytes, question(), BYTES_MAX).kind).toBe("invalid");
  });
});

describe("names with pointers", () => {
  /** An answer whose one record begins with these bytes. */
  function withName(name: readonly number[], data: readonly number[] = [10, 0, 0, 1]): Answer {
    const asked = question();
    const head = Buffer.from(asked.bytes.subarray(0, asked.bytes.length - 11));
    head.writeUInt16BE(0x8000, 2);
    head.writeUInt16BE(1, 6);
    head.writeUInt16BE(0, 10);
    const tail = [0, 1, 0, 1, 0, 0, 0, 1, 0, data.length, ...data];
    return readAnswer(Buffer.concat([head, Buffer.from([...name, ...tail])]), asked, BYTES_MAX);
  }
  const START = 12 + 8 + 4;
  test("to the question", () => {
    expect(withName([0xc0, 12])).toEqual(found("10.0.0.1") as Answer);
  });
  const rows: [name: string, bytes: number[]][] = [
    ["to itself", [0xc0, START]],
    ["to what follows", [0xc0, START + 2]],
    ["into the header", [0xc0, 4]],
    ["beyond the end", [0xff, 0xff]],
    ["round about", [1, 0x61, 0xc0, START]],
    ["of another kind", [0x80, 12]],
    ["of another kind, too", [0x40, 12]],
    ["a label that is too long for the message", [63, 0x61]],
  ];
  for (const [name, bytes] of rows) {
    test(name, () => expect(withName(bytes)).toEqual({ kind: "invalid" }));
  }
  test("data of another length than its type has", () => {
    expect(withName([0xc0, 12], [10, 0, 0]).kind).toBe("invalid");
    expect(withName([0xc0, 12], [10, 0, 0, 1, 1]).kind).toBe("invalid");
  });
});

test("a question has an id, wants recursion, and says how much it takes", () => {
  const bytes = withId(question(), 0x1234);
  expect(bytes.subarray(0, 4).toString("hex")).toBe("12340100");
  expect(bytes.subarray(-11).toString("hex")).toBe("00002904d0000000000000");
  // The bytes of the question itself are shared.
  expect(question().bytes.readUInt16BE(0)).toBe(0);
});

test("names are compared without case and without the dot at their end", () => {
  expect(plainName("A.Test.")).toBe("a.test");
  expect(read({ answers: [a("A.TEST", "10.0.0.1")] }, question("a.Test"))).toEqual(
    found("10.0.0.1") as Answer,
  );
});
