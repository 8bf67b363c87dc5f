/**
 * `criterion [flags] [operator] values…` → AclTest: what follows `acl NAME` and what stands
 * between braces.
 *
 * Reads pattern files through a function that the caller hands in. Messages are HAProxy's. Pure
 * but for that function, any thread, cold. Source: manual 7.1.
 */
import type { AclTest, MatchMethod, SampleExpression, SampleType } from "../tables/expression.ts";
import { addPattern, type PatternList } from "./parse-pattern.ts";
import { parseSample } from "./parse-sample.ts";
import { splitDerived } from "./request-fetches.ts";
import { parsed, type ParseResult, refused } from "./result.ts";

/** What parsing may need from outside. */
export type AclSources = {
  /** Text of a pattern file (`-f`), undefined if it cannot be read. */
  readFile?: (path: string) => string | undefined;
  /** Addresses of a host name in an address pattern; undefined or empty: not resolved. */
  resolve?: (name: string) => readonly string[];
  /** The conditions are about HTTP requests: their samples may be fetched. */
  takesRequest?: boolean;
};

const METHODS: ReadonlySet<string> = new Set([
  "found",
  "bool",
  "int",
  "ip",
  "str",
  "beg",
  "end",
  "sub",
  "reg",
  "dir",
  "dom",
  "len",
  "bin",
]);

function isMethod(word: string): word is MatchMethod {
  return METHODS.has(word);
}

function defaultMethod(type: SampleType): MatchMethod | undefined {
  switch (type) {
    case "bool":
      return "bool";
    case "sint":
      return "int";
    case "addr":
      return "ip";
    case "str":
      return "str";
    case "bin":
    case "any":
      return undefined;
  }
}

type Flags = {
  method: MatchMethod | undefined;
  ignoreCase: boolean;
  resolves: boolean;
  /** Files to load, each with the case rule in force when it was named. */
  files: { path: string; ignoreCase: boolean }[];
  /** `--` was given. */
  ended: boolean;
  /** Index of the first word that is no flag. */
  next: number;
};

/** Parses one test. `words[0]` is the criterion. */
export function parseAclTest(
  words: readonly string[],
  sources: AclSources = {},
): ParseResult<AclTest> {
  const criterion = words[0] ?? "";
  const derived = splitDerived(criterion, sources.takesRequest === true);
  const sample = parseSample(
    derived?.criterion ?? criterion,
    sources.takesRequest ? "page" : "stream",
  );
  if (!sample.ok) {
    return refused(`${sample.message} in ACL expression '${criterion}'`, sample.kind);
  }
  const flags = parseFlags(words);
  if (!flags.ok) return flags;
  const { method: asked, ignoreCase, files, ended, next } = flags.value;
  const own = derived?.method;
  const method =
    asked ?? (own !== undefined && isMethod(own) ? own : defaultMethod(sample.value.type));
  if (method === undefined) {
    const type = sample.value.type;
    return refused(
      "matching method must be specified first (using '-m') when using a sample fetch of this " +
        `type ('${type}')`,
    );
  }
  const list: PatternList = {
    method,
    patterns: [],
    resolve: flags.value.resolves ? sources.resolve : undefined,
  };
  for (const file of files) {
    const wrong = loadFile(list, file.path, !file.ignoreCase && ignoreCase, sources);
    if (wrong !== undefined) return refused(wrong);
  }
  const wrong = addWords(list, words.slice(next));
  if (wrong !== undefined) return refused(wrong);
  const test: AclTest = { sample: sample.value, method, ignoreCase, patterns: list.patterns };
  return parsed(test, ended ? [] : warnEmpty(test, sample.value, files.length));
}

function parseFlags(words: readonly string[]): ParseResult<Flags> {
  const flags: Flags = {
    method: undefined,
    ignoreCase: false,
    resolves: true,
    files: [],
    ended: false,
    next: 1,
  };
  for (let i = 1; i < words.length; i++) {
    const word = words[i] ?? "";
    flags.next = i;
    if (!word.startsWith("-")) return parsed(flags);
    const argument = words[i + 1];
    if (word === "--") {
      flags.ended = true;
      flags.next = i + 1;
      return parsed(flags);
    }
    if (word === "-i") flags.ignoreCase = true;
    else if (word === "-n") flags.resolves = false;
    else if (word === "-f" || word === "-u" || word === "-m") {
      if (argument === undefined) return refused(`missing argument for ACL option '${word}'`);
      const wrong = takeFlag(flags, word, argument);
      if (wrong !== undefined) return refused(wrong);
      i++;
    } else if (word === "-M") {
      return refused(
        "ACL option '-M' needs maps, which are not available in this release",
        "coming",
      );
    } else {
      return refused(
        `'${word}' is not a valid ACL option. Please use '--' before any pattern beginning with ` +
          "a '-'",
      );
    }
    flags.next = i + 1;
  }
  return parsed(flags);
}

function takeFlag(flags: Flags, word: string, argument: string): string | undefined {
  if (word === "-f") flags.files.push({ path: argument, ignoreCase: flags.ignoreCase });
  if (word !== "-m") return undefined;
  if (flags.files.length > 0) {
    return "'-m' must only be specified before patterns and files in parsing ACL expression";
  }
  if (flags.method !== undefined) {
    return "'-m' must only be specified once in parsing ACL expression";
  }
  if (!isMethod(argument)) {
    return `unknown matching method '${argument}' when parsing ACL expression`;
  }
  flags.method = argument;
  return undefined;
}

/** Names of manual 2.7: `file@` is a file, `opt@` one that may be missing, `virt@` none at all. */
function loadFile(
  list: PatternList,
  name: string,
  exactCase: boolean,
  sources: AclSources,
): string | undefined {
  if (name.startsWith("virt@")) return undefined;
  const optional = name.startsWith("opt@");
  const path = name.replace(/^(?:file|opt)@/, "");
  const text = sources.readFile?.(path);
  if (text === undefined) {
    return optional ? undefined : `failed to open pattern file <${path}>`;
  }
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.replace(/\r$/, "");
    if (line === "" || line.startsWith("#")) continue;
    const wrong = addPattern(list, line.replace(/^[ \t]+/, ""), exactCase);
    if (wrong !== undefined) return `${wrong} at line ${index + 1} of file '${path}'`;
  }
  return undefined;
}

type Operator = "eq" | "ge" | "gt" | "le" | "lt";
const OPERATORS: ReadonlySet<string> = new Set(["eq", "ge", "gt", "le", "lt"]);

function isOperator(word: string): word is Operator {
  return OPERATORS.has(word);
}

function addWords(list: PatternList, words: readonly string[]): string | undefined {
  const takesOperators = list.method === "int" || list.method === "len";
  let operator: Operator = "eq";
  for (const word of words) {
    if (takesOperators && isOperator(word)) {
      operator = word;
      continue;
    }
    if (!takesOperators || operator === "eq") {
      const wrong = addPattern(list, word, false);
      if (wrong !== undefined) return wrong;
      continue;
    }
    const number = /^([-+]?\d+)(?::([-+]?\d+))?$/.exec(word);
    if (number === null) return `'${word}' is neither a number nor a supported operator`;
    const low = Number(number[1]);
    list.patterns.push(rangeOf(operator, low, number[2] === undefined ? low : Number(number[2])));
  }
  return undefined;
}

/** A range beside an operator makes little sense; HAProxy keeps its far bound, and so do we. */
function rangeOf(operator: Operator, low: number, high: number): AclTest["patterns"][number] {
  const isRange = high !== low;
  switch (operator) {
    case "gt":
      return { kind: "range", low: low + 1, high: isRange ? high : null };
    case "ge":
      return { kind: "range", low, high: isRange ? high : null };
    case "lt":
      return { kind: "range", low: null, high: high - 1 };
    case "le":
      return { kind: "range", low: null, high };
    case "eq":
      return { kind: "range", low, high };
  }
}

function warnEmpty(test: AclTest, sample: SampleExpression, files: number): string[] {
  if (test.patterns.length > 0 || files > 0) return [];
  if (test.method === "found" || test.method === "bool") return [];
  return [
    `parsing acl keyword '${sample.text}' :\n` +
      "  no pattern to match against were provided, so this ACL will never match.\n" +
      "  If this is what you intended, please add '--' to get rid of this warning.\n" +
      "  If you intended to match only for existence, please use '-m found'.\n" +
      "  If you wanted to force an int to match as a bool, please use '-m bool'.\n",
  ];
}
