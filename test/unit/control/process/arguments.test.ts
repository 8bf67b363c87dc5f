/** The command line: what every option becomes, and what is refused with which words. */
import { describe, expect, test } from "bun:test";

import {
  newRunOptions,
  OPTION_RULES,
  parseArguments,
} from "../../../../src/control/process/arguments.ts";
import type { RunOptions } from "../../../../src/control/process/arguments.ts";

function run(...argv: string[]): RunOptions {
  const line = parseArguments(argv);
  if (line.kind !== "run") throw new Error(JSON.stringify(line));
  return line.options;
}

function problem(...argv: string[]): string {
  const line = parseArguments(argv);
  return line.kind === "usage" ? line.problem : `no problem: ${line.kind}`;
}

const ACCEPTED: readonly [string, string[], Partial<RunOptions>][] = [
  ["nothing", [], {}],
  ["-f, more than once, order kept", ["-f", "a", "-f", "b"], { files: ["a", "b"] }],
  ["-- takes the rest, options too", ["-f", "a", "--", "b", "-c"], { files: ["a", "b", "-c"] }],
  ["-c -V", ["-c", "-V"], { checkOnly: true, verbose: true }],
  ["-q undoes -V", ["-V", "-q"], { quiet: true, verbose: false }],
  ["-V undoes -q", ["-q", "-V"], { quiet: false, verbose: true }],
  ["-d is no prefix of -db", ["-db"], { foreground: true, debug: false }],
  ["-D and -d differ", ["-D"], { daemon: true, debug: false }],
  ["numbers", ["-n", "10", "-N", "20", "-m", "30"], numbers(10, 20, 30)],
  ["a number of 0 is none", ["-n", "0"], {}],
  [
    "-L, -C, -p",
    ["-L", "x", "-C", "/d", "-p", "f"],
    { localPeer: "x", directory: "/d", pidfile: "f" },
  ],
  ["-dM with anything attached", ["-dM", "-dM0x50,no-merge", "-dMhelp"], {}],
  ["what vtest adds", ["-dM", "-dI", "-dW"], { zeroWarning: true }],
  ["-dK with classes", ["-dKall"], { dumpKeywords: "all" }],
  ["-dC and -dC0", ["-dC", "-dC0"], { dumpConfig: true }],
  ["-sf without pids", ["-sf", "-f", "a"], { files: ["a"] }],
  ["-sf with pids", ["-sf", "1", "2", "-c"], { checkOnly: true, oldProcesses: [finish(1, 2)] }],
  [
    "pids in one word, as $(cat pidfile) in quotes gives them",
    ["-sf", "1\n2 "],
    { oldProcesses: [finish(1, 2)] },
  ],
  ["-st", ["-st", "7"], { oldProcesses: [{ signal: "SIGTERM", pids: [7] }] }],
];

function numbers(
  maxconn: number,
  proxyMaxconn: number,
  memoryLimitMb: number,
): Partial<RunOptions> {
  return { maxconn, proxyMaxconn, memoryLimitMb };
}

function finish(...pids: number[]): RunOptions["oldProcesses"][number] {
  return { signal: "SIGUSR1", pids };
}

describe("accepted", () => {
  for (const [name, argv, expected] of ACCEPTED) {
    test(name, () => expect(run(...argv)).toEqual({ ...newRunOptions(), ...expected }));
  }
});

const REFUSED: readonly [string[], string][] = [
  [["-Z"], "unknown argument '-Z'"],
  [["haproxy.cfg"], "unknown argument 'haproxy.cfg'"],
  [["-f"], "-f needs a value (PATH)"],
  [["-n", "many"], "-n needs a number, not 'many'"],
  [["-m", "-1"], "-m needs a number, not '-1'"],
  [["-L", ""], "-L needs a name that is not empty"],
  [["-sf", "12x"], "-sf option: some bytes unconsumed in PID list {12x}"],
  [["-st", "0"], "-st option: some bytes unconsumed in PID list {0}"],
  [["-cc"], "-cc needs a condition"],
  [["-dK"], "-dK needs a class"],
  [["-dC12"], "-dC12 is not available"],
];

describe("refused", () => {
  for (const [argv, words] of REFUSED) {
    test(argv.join(" "), () => expect(problem(...argv)).toContain(words));
  }

  for (const rule of OPTION_RULES.filter(({ state }) => state === "refused")) {
    test(`${rule.name}, by its name`, () => {
      const value = rule.takes === "value" ? ["x"] : [];
      expect(problem(rule.name, ...value)).toStartWith(`${rule.name} is not available: `);
    });
  }
});

test("other modes", () => {
  expect(parseArguments(["-v"])).toEqual({ kind: "version", full: false });
  expect(parseArguments(["-vv"])).toEqual({ kind: "version", full: true });
  expect(parseArguments(["-f", "x", "--help"])).toEqual({ kind: "help" });
  expect(parseArguments(["-cc", "1"])).toEqual({ kind: "condition", text: "1" });
  expect(parseArguments(["ctl", "-s", "/s", "help"])).toEqual({
    kind: "ctl",
    words: ["-s", "/s", "help"],
  });
});

test("no option stands twice in the table", () => {
  const names = OPTION_RULES.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
