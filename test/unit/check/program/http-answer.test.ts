/** HTTP answers made to cost much: they cost about what others of their length cost. */
import { expect, test } from "bun:test";

import { HttpAnswer } from "../../../../src/check/program/http-answer.ts";

const LENGTH = 16_000;
/** What backtracks at each blank costs ten thousand times as much. */
const RATIO_MAX = 500;
const ROUNDS = 5;

const FILL = "a".repeat(LENGTH);
const BLANKS = " ".repeat(LENGTH);
const CRAMPED = "HTTP/1.1 200 OK\r\nx: ";

const HOSTILE: Record<string, string> = {
  "blanks within a header's value": `${CRAMPED}a${BLANKS}b\r\n\r\n`,
  "tabs within a header's value": `${CRAMPED}a${"\t".repeat(LENGTH)}b\r\n\r\n`,
  "blanks around a header's value": `${CRAMPED}${BLANKS}\r\n\r\n`,
  "blanks before a stray CR of the status line": `HTTP/1.1 200${BLANKS}\rx\r\n\r\n`,
  "blanks before the status": `HTTP/1.1${BLANKS}x\r\n\r\n`,
  "blanks within the reason": `HTTP/1.1 200 a${BLANKS}b\r\n\r\n`,
  "blanks on a folded line": `${CRAMPED}a\r\n ${BLANKS}b\r\n\r\n`,
  "folded lines": `${CRAMPED}a\r\n${" b\n".repeat(LENGTH / 3)}\r\n`,
  "blanks in the length": `${CRAMPED}a\r\ncontent-length: 1${BLANKS}1\r\n\r\n`,
  "blanks in the length of a chunk": `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1${BLANKS}x\r\n`,
};

/** The least that an answer took, of several times. */
function costOf(text: string): number {
  const bytes = Buffer.from(text, "latin1");
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const answer = new HttpAnswer(false);
    const from = Bun.nanoseconds();
    answer.update(bytes);
    least = Math.min(least, Bun.nanoseconds() - from);
  }
  return least;
}

test.each(Object.entries(HOSTILE))("%s", (_name, text) => {
  const plain = costOf(`${CRAMPED}${FILL}\r\n\r\n`);
  expect(costOf(text) / plain).toBeLessThan(RATIO_MAX);
});

function answerOf(text: string): HttpAnswer {
  const answer = new HttpAnswer(false);
  answer.update(Buffer.from(text, "latin1"));
  return answer;
}

test("blanks are cut off around values, and fold lines into one", () => {
  const { headers, isWrong } = answerOf(
    "HTTP/1.1 200 OK\r\na: \t b  c\t \r\nd:\r\n \r\n\t e \r\n f\r\ng:  \r\n\r\n",
  );
  expect(isWrong).toBe(false);
  expect(headers).toEqual([
    { name: "a", value: "b  c" },
    { name: "d", value: "e f" },
    { name: "g", value: "" },
  ]);
});

test.each([
  ["HTTP/1.1 200 OK", 200, "OK"],
  ["HTTP/1.1\t \t200\t  not  so ", 200, "not  so "],
  ["RTSP/1.0 200", 200, ""],
  ["HTTP/1.1 200 ", 200, ""],
  ["HTTP/1.1 7 a\0b", 7, "a"],
] as const)("status line %j", (line, status, reason) => {
  const answer = answerOf(`${line}\r\n\r\n`);
  expect(answer).toMatchObject({ isWrong: false, status, reason });
});

test.each([
  "HTTP/1.1 200\rOK",
  "HTTP/1.1 200 O\rK",
  "HTTP/1.1  ",
  "HTTP/1.1",
  "HTTP/1.10 200",
  "HTTP/1.1 2000000000",
  "HTTP/1.1 2x0",
  " HTTP/1.1 200",
])("no status line: %j", (line) => {
  expect(answerOf(`${line}\r\n\r\n`).isWrong).toBe(true);
});
