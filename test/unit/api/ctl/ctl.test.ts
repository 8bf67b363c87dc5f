/** The parts of `sluice ctl` that touch no socket. */
import { describe, expect, test } from "bun:test";

import { AnswerReader } from "../../../../src/api/ctl/answers.ts";
import type { AnswerEvent } from "../../../../src/api/ctl/answers.ts";
import { completionScript } from "../../../../src/api/ctl/completion.ts";
import { encodeCommand, joinWords } from "../../../../src/api/ctl/encode.ts";
import { parseCtl } from "../../../../src/api/ctl/options.ts";
import {
  findSocket,
  parseSocketAddress,
  USUAL_SOCKETS,
} from "../../../../src/api/ctl/socket-address.ts";
import { LineReader, splitLine } from "../../../../src/api/lines.ts";

/** Answers as `text`, refusals as `!text`. */
function answersOf(...pieces: string[]): string[] {
  const reader = new AnswerReader();
  const answers: string[] = [];
  let open = "";
  const take = (event: AnswerEvent): void => {
    if (event.kind === "end") {
      answers.push(open);
      open = "";
    } else {
      expect(event.isFirst).toBe(open === "");
      open += event.isFirst && event.isRefusal ? `!${event.text}` : event.text;
    }
  };
  for (const piece of pieces) reader.push(piece).forEach(take);
  return open === "" ? answers : [...answers, `${open}…`];
}

describe("answers", () => {
  const CASES: [text: string, answers: string[]][] = [
    ["\n", [""]],
    ["\n\n\n", ["", "", ""]],
    ["a\n\n", ["a\n"]],
    ["a\nb\n\n\nc\n\n", ["a\nb\n", "", "c\n"]],
    ["[3]: No such backend.\n\n", ["!No such backend.\n"]],
    ["[4]: hot\n\n", ["hot\n"]],
    ["[6]: admin\n\n", ["admin\n"]],
    ["[6]: Unknown command: 'x', but\n  help\n\n", ["!Unknown command: 'x', but\n  help\n"]],
    ["Unknown command\n\n", ["Unknown command\n"]],
    ["a\n[3]: no mark\n\n", ["a\n[3]: no mark\n"]],
    ["[x\n\n", ["[x\n"]],
    ["[3]: one\ntwo\n\n[3]: three\n\n", ["!one\ntwo\n", "!three\n"]],
  ];
  for (const [text, answers] of CASES) {
    test(JSON.stringify(text), () => {
      expect(answersOf(text)).toEqual(answers);
      for (let cut = 1; cut < text.length; cut++) {
        expect(answersOf(text.slice(0, cut), text.slice(cut))).toEqual(answers);
      }
      expect(answersOf(...text)).toEqual(answers);
    });
  }

  test("what has come of a long one is there at once", () => {
    expect(answersOf("draining\n2 le")).toEqual(["draining\n2 le…"]);
  });
});

describe("words on their way", () => {
  test("a single one is a line; several are words, but for a lone semicolon", () => {
    expect(joinWords(["show info; show stat"])).toBe("show info; show stat");
    expect(joinWords(["set", "env", "A", "b; c"])).toBe("set env A b\\;\\ c");
    expect(joinWords(["a", ";", "b"])).toBe("a ; b");
    expect(joinWords(["transaction", "<<"])).toBe("transaction <<");
  });

  test("arrive as they were, whatever is in them", () => {
    const words = ["a b", "c;d", "\\", "'", '"', '"x y"', "é\t", "", "<<", "l\nm", "#1"];
    const payload = "1\n\n%end%\n%end%%\n2";
    const reader = new LineReader();
    reader.push(Buffer.from(encodeCommand({ words, payload, problem: undefined }, "json")));
    const read = reader.next();
    const commands = read.kind === "line" ? read.commands : [];
    expect(commands).toEqual([{ words: ["json", ...words], payload, problem: undefined }]);
    expect(reader.pendingBytes).toBe(0);
  });

  test("a word of a command line survives both ways", () => {
    const words = ["set", "env", 'a"b', "c\\d", "e;f", "g h"];
    expect(splitLine(joinWords(words)).commands.map((one) => one.words)).toEqual([words]);
  });
});

describe("its command line", () => {
  test("options, then words", () => {
    expect(parseCtl(["-s", "/s", "-t", "1.5", "--json", "show", "-x"])).toEqual({
      kind: "ask",
      socket: "/s",
      limitMs: 1500,
      isJson: true,
      words: ["show", "-x"],
    });
    expect(parseCtl([])).toMatchObject({ kind: "ask", words: [] });
    expect(parseCtl(["--", "-x"])).toMatchObject({ words: ["-x"] });
    expect(parseCtl(["--help"])).toEqual({ kind: "help" });
    expect(parseCtl(["-s", "/s", "--complete", "-x", ""])).toEqual({
      kind: "complete",
      socket: "/s",
      words: ["-x", ""],
    });
    expect(parseCtl(["completion", "zsh"])).toEqual({ kind: "script", shell: "zsh" });
  });

  for (const argv of [["-s"], ["-t"], ["-t", "x"], ["-t", "-1"], ["-q"], ["completion", "fish"]]) {
    test(`${argv.join(" ")} is refused`, () => expect(parseCtl(argv).kind).toBe("usage"));
  }
});

describe("addresses", () => {
  const CASES: [text: string, where: ReturnType<typeof parseSocketAddress>][] = [
    ["abnsz@name", { unix: "\0name" }],
    ["[::1]:99", { hostname: "::1", port: 99 }],
    ["ipv4@:99", { hostname: "127.0.0.1", port: 99 }],
    ["", undefined],
    ["unix@", undefined],
  ];
  for (const [text, where] of CASES) {
    test(JSON.stringify(text), () => expect(parseSocketAddress(text)).toEqual(where!));
  }

  test("the one that is named, or the first that exists", () => {
    expect(findSocket("/x", () => true)).toBe("/x");
    expect(findSocket(undefined, (path) => path === USUAL_SOCKETS[2])).toBe(USUAL_SOCKETS[2]!);
    expect(findSocket("", () => false)).toBe(USUAL_SOCKETS[0]!);
  });
});

test("completion scripts are scripts", () => {
  for (const shell of ["bash", "zsh"] as const) {
    if (Bun.which(shell) === null) continue;
    const script = Buffer.from(completionScript(shell));
    expect(Bun.spawnSync([shell, "-n"], { stdin: script }).exitCode).toBe(0);
  }
});
