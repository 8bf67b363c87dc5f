/** Answers that come a byte at a time: each byte is looked at about once. */
import { expect, test } from "bun:test";

import { AgentLine } from "../../../../src/check/protocols/agent-words.ts";
import { dialogueFor } from "../../../../src/check/protocols/index.ts";
import { jobOf, MemoryWire, TEST_ENVIRONMENT } from "../../../support/check-memory.ts";

const LENGTH = 4000;

/** Counts looks at elements of what it is asked for. */
function counted(bytes: Uint8Array, look: (count: number) => void): Uint8Array {
  return new Proxy(bytes, {
    get(target, name) {
      if (typeof name === "string" && /^\d+$/u.test(name)) {
        look(1);
        return target[Number(name)];
      }
      if (name === "indexOf") {
        return (wanted: number, from = 0) => {
          const at = target.indexOf(wanted, from);
          look((at < 0 ? target.length : at + 1) - from);
          return at;
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** A wire on which everything that comes is counted, piece by piece. */
function playCounted(kind: "smtp", answer: Uint8Array): number {
  let looks = 0;
  const program = { kind, hello: "HELO", domain: "x" } as const;
  const dialogue = dialogueFor(jobOf(program), TEST_ENVIRONMENT)!;
  const wire = new MemoryWire();
  dialogue.opened(wire);
  for (let length = 1; length <= answer.length; length++) {
    const bytes = counted(answer.subarray(0, length), (count) => void (looks += count));
    dialogue.received(wire, bytes, false);
  }
  return looks;
}

test("a line of an agent", () => {
  const text = new TextEncoder().encode(`${"x".repeat(LENGTH)}\n`);
  const line = new AgentLine();
  let looks = 0;
  let read: string | undefined;
  for (let length = 1; length <= text.length; length++) {
    read = line.read(counted(text.subarray(0, length), (count) => void (looks += count)));
  }
  expect(read?.length).toBe(LENGTH);
  expect(looks).toBeLessThan(4 * LENGTH);
});

test("what follows a zero byte is no line of an agent's", () => {
  const line = new AgentLine();
  expect(line.read(Buffer.from("up\0"))).toBeUndefined();
  expect(line.read(Buffer.from("up\0\n"))).toBeUndefined();
});

test("a reply of SMTP", () => {
  // Its code, and whether it is the last, is looked at with each byte: a few each.
  const looks = playCounted("smtp", Buffer.from("220-x\r\n".repeat(LENGTH / 7)));
  expect(looks).toBeLessThan(16 * LENGTH);
});

test("what a reply of SMTP is does not depend on how it comes", () => {
  const program = { kind: "smtp", hello: "EHLO", domain: "x" } as const;
  const dialogue = dialogueFor(jobOf(program), TEST_ENVIRONMENT)!;
  const wire = new MemoryWire();
  dialogue.opened(wire);
  const talk = "220-a\r\n220-b\r\n220 c\r\n250-d\r\n250 e\r\n221-f\r\n221 g\r\n";
  for (const byte of Buffer.from(talk)) wire.deliver(dialogue, Uint8Array.of(byte));
  expect(wire.result).toMatchObject({ code: "L7OK", number: 221 });
});

test("the word of Redis, in two parts", () => {
  const dialogue = dialogueFor(jobOf({ kind: "redis" }), TEST_ENVIRONMENT)!;
  const wire = new MemoryWire();
  dialogue.opened(wire);
  for (const part of ["-NOAUTH +PO", "N", "G\r", "\n"]) {
    expect(wire.result).toBeUndefined();
    wire.deliver(dialogue, Buffer.from(part));
  }
  expect(wire.result).toMatchObject({ code: "L7OK" });
});
