/** Lines of the runtime API: words, quotes, backslashes, payloads, limits, however they are cut. */
import { describe, expect, test } from "bun:test";

import { LineReader, splitLine } from "../../../src/api/lines.ts";
import type { Read } from "../../../src/api/lines.ts";
import {
  API_LINE_BYTES_MAX,
  API_PAYLOAD_BYTES_MAX,
  API_PAYLOAD_PATTERN_MAX,
  API_WORDS_MAX,
} from "../../../src/base/limits.ts";

/** All that a reader gives for these pieces. */
function readAll(...pieces: (string | Buffer)[]): Read[] {
  const reader = new LineReader();
  const reads: Read[] = [];
  for (const piece of pieces) {
    reader.push(Buffer.from(piece));
    for (;;) {
      const read = reader.next();
      if (read.kind === "starved") break;
      reads.push(read);
      if (read.kind === "broken") return reads;
    }
  }
  return reads;
}

/** The words of all commands. */
function wordsOf(reads: readonly Read[]): string[][] {
  return reads.flatMap((read) =>
    read.kind === "line" ? read.commands.map(({ words }) => words) : [],
  );
}

const WORDS: [text: string, words: string[][]][] = [
  ["show info", [["show", "info"]]],
  ["\t show \t info  ", [["show", "info"]]],
  ["", [[]]],
  ["  ", [[]]],
  ["a;b", [["a"], ["b"]]],
  [";;a;", [[], [], ["a"], []]],
  ["a\\;b", [["a;b"]]],
  ["a\\ b", [["a b"]]],
  ["a\\\\b", [["a\\b"]]],
  ["a\\", [["a"]]],
  ["\\a", [["a"]]],
  [`"a b"`, [["a b"]]],
  [`"a;b" c`, [["a;b", "c"]]],
  [`'a "b" \\'c`, [[`a "b" \\c`]]],
  [`"a \\" b"`, [[`a " b`]]],
  [`""`, [[""]]],
  [`don't isn't`, [["don't", "isn't"]]],
  [`a"b c"`, [[`a"b`, `c"`]]],
  [`"a"b c`, [["ab", "c"]]],
  ["a # b", [["a", "#", "b"]]],
  ["\x00 \x01ü", [["\x00", "\x01ü"]]],
];

describe("words of a line", () => {
  for (const [text, words] of WORDS) {
    test(JSON.stringify(text), () => {
      const { commands, pattern } = splitLine(text);
      expect(commands.map((one) => one.words)).toEqual(words);
      expect(commands.map((one) => one.problem).filter(Boolean)).toEqual([]);
      expect(pattern).toBeUndefined();
    });
  }

  for (const text of [`a "b`, `a 'b c`, `"`, `"a\\"`, `'a\\"`]) {
    test(`${text}: the quote is not closed`, () => {
      expect(splitLine(text).commands.at(-1)?.problem).toBe("Unterminated quote.");
    });
  }

  test("a problem is its command's alone", () => {
    const { commands } = splitLine(`a; "b c; d`);
    expect(commands.map(({ problem }) => problem === undefined)).toEqual([true, false]);
  });

  test("too many words", () => {
    const words = (count: number): string => Array.from({ length: count }, () => "w").join(" ");
    expect(splitLine(words(API_WORDS_MAX)).commands[0]?.problem).toBeUndefined();
    expect(splitLine(words(API_WORDS_MAX + 1)).commands[0]?.problem).toBe(
      `Too many arguments. Commands must have at most ${API_WORDS_MAX} arguments.`,
    );
  });
});

describe("lines", () => {
  test("several at once, one in pieces, with and without carriage returns", () => {
    expect(wordsOf(readAll("a\nb\r\n", "c", " d", "\n"))).toEqual([["a"], ["b"], ["c", "d"]]);
  });

  test("a line without its end is no line", () => {
    expect(readAll("show info")).toEqual([]);
  });

  test("a newline behind a backslash goes on", () => {
    expect(wordsOf(readAll("a\\\nb\n"))).toEqual([["a\nb"]]);
    expect(wordsOf(readAll("a\\", "\nb\n"))).toEqual([["a\nb"]]);
    expect(wordsOf(readAll("a\\\\\nb\n"))).toEqual([["a\\"], ["b"]]);
    expect(wordsOf(readAll("a\\", "\\", "\nb\n"))).toEqual([["a\\"], ["b"]]);
  });

  test("a character whose bytes come apart", () => {
    const bytes = Buffer.from("ü\n");
    expect(wordsOf(readAll(bytes.subarray(0, 1), bytes.subarray(1)))).toEqual([["ü"]]);
  });

  test("the longest line, and one more byte", () => {
    const line = "x".repeat(API_LINE_BYTES_MAX);
    expect(wordsOf(readAll(`${line}\n`))).toEqual([[line]]);
    expect(readAll(`${line}y\n`)[0]?.kind).toBe("broken");
    expect(readAll(`${line}y`)[0]?.kind).toBe("broken");
    expect(readAll("a\n", line, "yy")[1]?.kind).toBe("broken");
  });

  test("what is broken stays so", () => {
    const reader = new LineReader();
    reader.push(Buffer.alloc(API_LINE_BYTES_MAX + 1, 120));
    expect(reader.next().kind).toBe("broken");
    reader.push(Buffer.from("\nshow info\n"));
    expect(reader.next().kind).toBe("broken");
  });
});

describe("payloads", () => {
  const payloadOf = (...pieces: string[]): unknown =>
    readAll(...pieces).map((read) =>
      read.kind === "line" ? read.commands.map(({ words, payload }) => [...words, payload]) : read,
    );

  test("up to the empty line, for the last command", () => {
    expect(payloadOf("a; b <<\n1\n2\n\nc\n")).toEqual([
      [
        ["a", undefined],
        ["b", "1\n2"],
      ],
      [["c", undefined]],
    ]);
  });

  test("up to a mark of one's own", () => {
    expect(payloadOf('a <<%END\n1\n\n;2 \\ "3\n%END\nb\n')).toEqual([
      [["a", '1\n\n;2 \\ "3']],
      [["b", undefined]],
    ]);
  });

  test("an empty one, and one with carriage returns", () => {
    expect(payloadOf("a <<\n\n")).toEqual([[["a", ""]]]);
    expect(payloadOf("a <<\r\n1\r\n\r\n")).toEqual([[["a", "1"]]]);
  });

  test("in pieces", () => {
    expect(payloadOf("a <", "<\n1", "\n", "2\n", "\n")).toEqual([[["a", "1\n2"]]]);
  });

  test("what looks like the beginning of one", () => {
    expect(payloadOf("a<<\n")).toEqual([[["a<<", undefined]]]);
    expect(payloadOf("a << b\n")).toEqual([[["a", "<<", "b", undefined]]]);
    expect(payloadOf('a "<<"\n')).toEqual([[["a", "<<", undefined]]]);
    expect(payloadOf("a \\<<\n")).toEqual([[["a", "<<", undefined]]]);
    const long = "%".repeat(API_PAYLOAD_PATTERN_MAX + 1);
    expect(payloadOf(`a <<${long}\n`)).toEqual([[["a", `<<${long}`, undefined]]]);
  });

  test("nothing comes of one that does not end", () => {
    const reader = new LineReader();
    reader.push(Buffer.from("a <<\n1\n"));
    expect(reader.next()).toEqual({ kind: "starved", isInPayload: true });
  });

  test("the largest, and a larger one", () => {
    const line = "x".repeat(65_535);
    const lines = API_PAYLOAD_BYTES_MAX / 65_536;
    expect(readAll("a <<\n", `${line}\n`.repeat(lines), "\n")[0]?.kind).toBe("line");
    expect(readAll("a <<\n", `${line}\n`.repeat(lines + 1))[0]?.kind).toBe("broken");
    expect(readAll("a <<\n", line.repeat(lines + 1))[0]?.kind).toBe("broken");
  });
});

test("cut anywhere, the same comes out", () => {
  const text = "a b;\"c d\" 'e'\\\n f\\;g\r\nh <<%E\n1\n\n%E\n\n<<\n2\n\ni ü\n";
  const whole = JSON.stringify(readAll(text));
  const bytes = Buffer.from(text);
  for (let cut = 1; cut < bytes.length; cut++) {
    expect(JSON.stringify(readAll(bytes.subarray(0, cut), bytes.subarray(cut)))).toBe(whole);
  }
  const single = Array.from(bytes, (byte) => Buffer.from([byte]));
  expect(JSON.stringify(readAll(...single))).toBe(whole);
});
