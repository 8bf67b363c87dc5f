/**
 * ACLs and conditions as functions: compiled once, run for each stream. Any thread.
 *
 * Exact texts and networks are looked up in sets; an address or a number that goes straight from
 * the context into its test allocates nothing. Source: manual 7.1 and 7.2.
 */
import type { AclTest, BoolExpression, Condition, Pattern } from "../tables/expression.ts";
import type { SampleContext } from "./context.ts";
import { compileSample } from "./fetch.ts";
import { compileNetworks } from "./match-ip.ts";
import { compileRegex } from "./regex.ts";
import { countValues } from "./request-fetch.ts";
import { castSample, type Sample, sampleBytes } from "./sample.ts";

/** A compiled condition, ACL or test. */
export type Test = (context: SampleContext) => boolean;

/** Compiles `if …` or `unless …`. A condition without terms is false before `unless` turns it. */
export function compileCondition(condition: Condition): Test {
  const anyOf = condition.anyOf.map(({ terms }) =>
    terms.map(({ negate, acl }) => ({ negate, test: compileAcl(acl) })),
  );
  const { negate } = condition;
  return (context) => {
    for (const terms of anyOf) {
      let all = true;
      for (const term of terms) {
        if (term.test(context) !== term.negate) continue;
        all = false;
        break;
      }
      if (all) return !negate;
    }
    return negate;
  };
}

/** Compiles all tests of one ACL name: any of them is enough. */
export function compileAcl(acl: BoolExpression): Test {
  const tests = acl.tests.map(compileTest);
  const [only] = tests;
  if (only !== undefined && tests.length === 1) return only;
  return (context) => {
    for (const test of tests) if (test(context)) return true;
    return false;
  };
}

function compileTest(test: AclTest): Test {
  const count = countValues(test.sample);
  if (count !== undefined) return compileEach(test, count);
  const fetch = compileSample(test.sample);
  const matches = compileMethod(test);
  return (context) => {
    const sample = fetch(context);
    return sample.type !== "none" && matches(sample);
  };
}

/** A test that any of several values may pass. */
function compileEach(test: AclTest, count: NonNullable<ReturnType<typeof countValues>>): Test {
  const at = { index: 1 };
  const fetch = compileSample(test.sample, at);
  const matches = compileMethod(test);
  return (context) => {
    const values = count(context.request);
    for (at.index = 1; at.index <= values; at.index++) {
      const sample = fetch(context);
      if (sample.type !== "none" && matches(sample)) return true;
    }
    return false;
  };
}

type Matcher = (sample: Sample) => boolean;

function compileMethod(test: AclTest): Matcher {
  switch (test.method) {
    case "found":
      return () => true;
    case "bool":
      return (sample) => castSample(sample, "sint") && sample.int !== 0;
    case "int": {
      const inRange = compileRanges(test.patterns);
      return (sample) => castSample(sample, "sint") && inRange(sample.int);
    }
    case "len": {
      const inRange = compileRanges(test.patterns);
      return (sample) => castSample(sample, "str") && inRange(Buffer.byteLength(sample.text));
    }
    case "ip": {
      const inNetwork = compileNetworks(test.patterns);
      return (sample) => castSample(sample, "addr") && inNetwork(sample.address);
    }
    case "bin": {
      const known = new Set(textsOf(test.patterns));
      return (sample) => known.has(Buffer.from(sampleBytes(sample)).toString("hex"));
    }
    case "reg":
    case "str":
    case "beg":
    case "end":
    case "sub":
    case "dir":
    case "dom":
      return compileText(test);
  }
}

function compileRanges(patterns: readonly Pattern[]): (value: number) => boolean {
  const lows: number[] = [];
  const highs: number[] = [];
  const points = new Set<number>();
  for (const pattern of patterns) {
    if (pattern.kind !== "range") continue;
    if (pattern.low !== null && pattern.low === pattern.high) {
      points.add(pattern.low);
      continue;
    }
    lows.push(pattern.low ?? Number.NEGATIVE_INFINITY);
    highs.push(pattern.high ?? Number.POSITIVE_INFINITY);
  }
  return (value) => {
    if (points.has(value)) return true;
    for (let i = 0; i < lows.length; i++) {
      if (value >= lows[i]! && value <= highs[i]!) return true;
    }
    return false;
  };
}

function textsOf(patterns: readonly Pattern[]): string[] {
  return patterns.flatMap((pattern) => (pattern.kind === "text" ? [pattern.value] : []));
}

/** Patterns that ignore case and patterns that do not, each against its own form of the text. */
function compileText(test: AclTest): Matcher {
  const folded: string[] = [];
  const exact: string[] = [];
  for (const pattern of test.patterns) {
    if (pattern.kind !== "text") continue;
    if (test.ignoreCase && pattern.exactCase !== true) folded.push(pattern.value);
    else exact.push(pattern.value);
  }
  const fold = test.method !== "reg";
  const matchExact = compileTexts(test, exact, false);
  const matchFolded = compileTexts(test, fold ? folded.map(foldCase) : folded, true);
  return (sample) => {
    if (!castSample(sample, "str")) return false;
    if (exact.length > 0 && matchExact(sample.text)) return true;
    if (folded.length === 0) return false;
    return matchFolded(fold ? foldCase(sample.text) : sample.text);
  };
}

function foldCase(text: string): string {
  return text.toLowerCase();
}

function compileTexts(
  test: AclTest,
  patterns: readonly string[],
  ignoreCase: boolean,
): (text: string) => boolean {
  switch (test.method) {
    case "str": {
      const known = new Set(patterns);
      return (text) => known.has(text);
    }
    case "beg":
      return (text) => patterns.some((pattern) => text.startsWith(pattern));
    case "end":
      return (text) => patterns.some((pattern) => text.endsWith(pattern));
    case "sub":
      return (text) => patterns.some((pattern) => text.includes(pattern));
    case "dir":
      return (text) => patterns.some((pattern) => hasPart(text, pattern, "/"));
    case "dom":
      return (text) => patterns.some((pattern) => hasPart(text, pattern, "/?.:"));
    default: {
      const regexes = patterns.flatMap((pattern) => {
        const regex = compileRegex(pattern, ignoreCase);
        return regex.ok ? [regex.value] : [];
      });
      return (text) => regexes.some((regex) => regex.test(text));
    }
  }
}

/** Does `pattern`, without outer delimiters, stand in `text` between delimiters or its ends? */
function hasPart(text: string, pattern: string, delimiters: string): boolean {
  let start = 0;
  let end = pattern.length;
  while (start < end && delimiters.includes(pattern[start] ?? "")) start++;
  while (end > start && delimiters.includes(pattern[end - 1] ?? "")) end--;
  const word = pattern.slice(start, end);
  if (word === "") return false;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const before = at === 0 || delimiters.includes(text[at - 1] ?? "");
    const after = at + word.length;
    if (before && (after === text.length || delimiters.includes(text[after] ?? ""))) return true;
  }
  return false;
}
