/**
 * Bytes of the runtime API, mangled: the line reader never throws, keeps to its limits, and gives
 * the same lines however the bytes are cut; what `sluice ctl` encodes is read back as it was.
 * `SLUICE_FUZZ_SEED` repeats a run.
 */
import { expect, test } from "bun:test";

import { AnswerReader } from "../../src/api/ctl/answers.ts";
import { encodeCommand } from "../../src/api/ctl/encode.ts";
import { LineReader } from "../../src/api/lines.ts";
import type { RawCommand } from "../../src/api/lines.ts";
import { API_LINE_BYTES_MAX, API_WORDS_MAX } from "../../src/base/limits.ts";
import { below, mutateBytes, pick, seededRandom } from "./mutate.ts";
import type { Random } from "./mutate.ts";

const ROUNDS = 20_000;
const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);

const CORPUS = [
  "show info\n",
  "show stat -1 4 -1;show sess all; help\n",
  "set env NAME \"a; b\" 'c' d\\ e\\\\ \\;\n",
  "transaction <<%END%\nset weight a/b 3\n\n\n%END%\nshow version\r\n",
  "add server be/s1 127.0.0.1:80 <<\n\n",
  "a <<\r\nb\r\n\r\nc\r\n",
  'x "unterminated\n',
  "\\\n\\\\\n;;;\n\n \t \n",
  `${"w ".repeat(API_WORDS_MAX + 1)}\n`,
  "\x00\x01\xff\u2028é\n",
].map((text) => new Uint8Array(Buffer.from(text)));

type Result = { lines: RawCommand[][]; end: string };

/** Everything that a reader makes of these pieces. */
function read(pieces: readonly Uint8Array[]): Result {
  const reader = new LineReader();
  const lines: RawCommand[][] = [];
  for (const piece of pieces) {
    reader.push(Buffer.from(piece));
    for (;;) {
      const got = reader.next();
      if (got.kind === "line") {
        lines.push(got.commands);
        continue;
      }
      if (got.kind === "broken") return { lines, end: got.sentence };
      break;
    }
  }
  return { lines, end: `${reader.pendingBytes}` };
}

function cut(random: Random, bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + below(random, below(random, 2) === 0 ? 3 : bytes.length);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

test(`mangled lines, seed ${seed}`, () => {
  const random = seededRandom(seed);
  let commandCount = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = mutateBytes(random, CORPUS);
    const whole = read([bytes]);
    expect(read(cut(random, bytes))).toEqual(whole);
    for (const commands of whole.lines) {
      expect(commands.length).toBeGreaterThan(0);
      // Only the last command of a line has a payload.
      expect(commands.slice(0, -1).every(({ payload }) => payload === undefined)).toBe(true);
      commandCount += commands.length;
    }
  }
  expect(commandCount).toBeGreaterThan(ROUNDS);
});

test(`any bytes keep to the limit of a line, seed ${seed}`, () => {
  const random = seededRandom(seed);
  for (let round = 0; round < 200; round++) {
    const bytes = Uint8Array.from({ length: 40_000 }, () => below(random, 256));
    const rare = round % 2 === 0 ? bytes.map((byte) => (byte === 10 ? 11 : byte)) : bytes;
    const { lines, end } = read(cut(random, rare));
    if (round % 2 === 0) expect(end).toContain(String(API_LINE_BYTES_MAX));
    else expect(lines.length).toBeGreaterThan(10);
  }
});

test(`what is encoded is read back, seed ${seed}`, () => {
  const random = seededRandom(seed);
  const characters = [..."ab;\\\"' \t\n#<%é\u0000", "<<", "%end%"];
  const text = (max: number): string =>
    Array.from({ length: below(random, max) }, () => pick(random, characters)).join("");
  for (let round = 0; round < ROUNDS; round++) {
    const words = ["cmd", ...Array.from({ length: below(random, 6) }, () => text(8))];
    const payload = below(random, 2) === 0 ? undefined : text(30);
    const command = { words, payload, problem: undefined };
    const { lines, end } = read(cut(random, Buffer.from(encodeCommand(command, ""))));
    expect(lines).toEqual([[command]]);
    expect(end).toBe("0");
  }
});

test(`answers, however they are cut, seed ${seed}`, () => {
  const random = seededRandom(seed);
  const answers = ["\n", "a\nb\n\n", "[3]: no\n\n", "[6]: Unknown command: 'x'\n  y\n\n", "[3\n\n"];
  const seeds = answers.map((answer) => new Uint8Array(Buffer.from(answer.repeat(3))));
  const gather = (pieces: readonly Uint8Array[]): string => {
    const reader = new AnswerReader();
    const events = pieces.flatMap((piece) => reader.push(Buffer.from(piece).toString("latin1")));
    return events
      .map((event) =>
        event.kind === "end" ? "|" : (event.isFirst && event.isRefusal ? "!" : "") + event.text,
      )
      .join("");
  };
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = Buffer.concat([mutateBytes(random, seeds), Buffer.from("\n\n")]);
    expect(gather(cut(random, bytes))).toBe(gather([bytes]));
  }
});
