/**
 * Lines of `tcp-check` and `http-check` into a section's draft: each rule is read, its place in the
 * sequence is looked at, and it is put behind those that are there. A section's own rules replace
 * those of its defaults (HAProxy manual 4.2 and 12.9).
 */
import { alertLine } from "../context.ts";
import type { Line } from "../context.ts";
import { readConnect } from "./connect-rule.ts";
import type { CheckNotes, ChecksDraft, CheckStep, HttpRule } from "./draft.ts";
import { readExpect } from "./expect-rule.ts";
import { RuleWords } from "./rule-words.ts";
import { readHttpSend, readSend } from "./send-rule.ts";
import type { SendVerb } from "./send-rule.ts";
import { readVariable } from "./variable-rule.ts";
import type { VariableVerb } from "./variable-rule.ts";

type RuleSet = "tcp-check" | "http-check";

/** Words of `tcp-check`, in HAProxy's order. */
export const TCP_VERBS = [
  "comment",
  "connect",
  "send",
  "send-lf",
  "send-binary",
  "send-binary-lf",
  "expect",
  "set-var-fmt()",
  "set-var()",
  "unset-var()",
] as const;

/** Words of `http-check`. */
export const HTTP_VERBS = [
  "disable-on-404",
  "send-state",
  "comment",
  "connect",
  "send",
  "expect",
  "set-var-fmt()",
  "set-var()",
  "unset-var()",
] as const;

type Verb = (typeof TCP_VERBS)[number] | (typeof HTTP_VERBS)[number];

/** Reads the words behind `tcp-check` or `http-check`; reports what is wrong. */
export function readRule(
  line: Line,
  checks: ChecksDraft,
  ruleSet: RuleSet,
  written: readonly string[],
): void {
  const [first = "", ...rest] = written;
  const open = first.indexOf("(");
  const bare = open < 0 ? first : `${first.slice(0, open)}()`;
  const known: readonly Verb[] = ruleSet === "tcp-check" ? TCP_VERBS : HTTP_VERBS;
  const verb = known.find((name) => name === bare || name === `${bare}()`);
  if (verb === undefined) {
    const list = known.map((name) => `'${name.replace("()", "(*)")}'`).join(", ");
    alertLine(line, `'${ruleSet}' only supports ${list}. but got '${first}'`);
    return;
  }
  const words = new RuleWords(line, `${ruleSet} ${first}`, rest);
  if (verb === "disable-on-404" || verb === "send-state") {
    readSwitch(words, checks, verb);
  } else if (verb === "comment") {
    const text = words.next();
    if (text === undefined) words.wrong("expects a string as argument");
    else addComment(checks, ruleSet, text);
  } else {
    const inner = open < 0 || !first.endsWith(")") ? undefined : first.slice(open + 1, -1);
    if (ruleSet === "tcp-check") addTcp(words, checks, verb, inner);
    else addHttp(words, checks, verb, inner);
  }
}

function readSwitch(
  words: RuleWords,
  checks: ChecksDraft,
  verb: "disable-on-404" | "send-state",
): void {
  const extra = words.next();
  if (extra !== undefined) {
    alertLine(words.line, `'${words.name}' cannot handle unexpected argument '${extra}'.`);
  } else if (verb === "disable-on-404") {
    checks.disableOn404 = true;
  } else {
    checks.sendState = true;
  }
}

/** What stands for the rule that follows, or for all expectations that follow in a row. */
function addComment(checks: ChecksDraft, ruleSet: RuleSet, text: string): void {
  if (ruleSet === "tcp-check") {
    beginTcp(checks);
    checks.tcpNotes = { comment: text, lines: checks.tcpNotes.lines + 1 };
  } else {
    beginHttp(checks);
    checks.httpNotes = { comment: text, lines: checks.httpNotes.lines + 1 };
  }
}

/** The first own rule drops those of the defaults. */
function beginTcp(checks: ChecksDraft): void {
  if (checks.hasOwnTcp) return;
  checks.hasOwnTcp = true;
  checks.tcpRules = [];
  checks.tcpNotes = { comment: undefined, lines: 0 };
}

/** The first own rule drops those of the defaults; a request of their option stays. */
function beginHttp(checks: ChecksDraft): void {
  if (checks.hasOwnHttp) return;
  checks.hasOwnHttp = true;
  checks.httpRules = [];
  checks.httpNotes = { comment: undefined, lines: 0 };
}

type Placed = { comment?: string; number?: number };

/** The comment that holds for a rule, and its number where comments before it count too. */
function placeOf(
  notes: ChecksDraft["tcpNotes"],
  rules: readonly unknown[],
  rule: { kind: string; comment?: string },
): Placed {
  const comment = rule.comment ?? (talkOf([rule]).length > 0 ? notes.comment : undefined);
  return {
    ...(comment === undefined ? {} : { comment }),
    ...(notes.lines === 0 ? {} : { number: rules.length + notes.lines + 1 }),
  };
}

/** A comment is over with the rule behind it, unless that is an expectation. */
function notesBehind(notes: CheckNotes, { kind }: { kind: string }): CheckNotes {
  return kind === "expect" ? notes : { ...notes, comment: undefined };
}

function addTcp(
  words: RuleWords,
  checks: ChecksDraft,
  verb: Verb,
  inner: string | undefined,
): void {
  const step = readTcp(words, verb, inner);
  beginTcp(checks);
  if (step === undefined || (step.kind === "connect" && !isFirst(words, checks.tcpRules))) return;
  const place = placeOf(checks.tcpNotes, checks.tcpRules, step);
  checks.tcpRules = [...checks.tcpRules, { ...step, ...place }];
  checks.tcpNotes = notesBehind(checks.tcpNotes, step);
}

function readTcp(words: RuleWords, verb: Verb, inner: string | undefined) {
  if (verb === "connect") return readConnect(words);
  if (verb === "expect") return readExpect(words, false);
  if (verb.endsWith("()")) return readVariable(words, variableVerb(verb), inner);
  return readSend(words, verb as SendVerb);
}

function addHttp(
  words: RuleWords,
  checks: ChecksDraft,
  verb: Verb,
  inner: string | undefined,
): void {
  const rule = readHttp(words, verb, inner);
  beginHttp(checks);
  if (rule === undefined || !fits(words, checks, rule)) return;
  const place = placeOf(checks.httpNotes, checks.httpRules, rule);
  checks.httpRules = [...checks.httpRules, { ...rule, ...place }];
  checks.httpNotes = notesBehind(checks.httpNotes, rule);
}

function readHttp(words: RuleWords, verb: Verb, inner: string | undefined): HttpRule | undefined {
  if (verb === "connect") return readConnect(words);
  if (verb === "expect") return readExpect(words, true);
  if (verb.endsWith("()")) return readVariable(words, variableVerb(verb), inner);
  return readHttpSend(words);
}

function variableVerb(verb: Verb): VariableVerb {
  return verb === "set-var()" ? "set-var" : verb === "unset-var()" ? "unset-var" : "set-var-fmt";
}

type Rule = CheckStep<"connect"> | { kind: string };

/** Rules that say something to the server, or listen to it. */
function talkOf<R extends Rule>(rules: readonly R[]): readonly R[] {
  return rules.filter(({ kind }) => kind !== "set-var" && kind !== "unset-var");
}

function isFirst(words: RuleWords, rules: readonly Rule[]): boolean {
  const [first] = talkOf(rules);
  if (first === undefined || first.kind === "connect") return true;
  words.wrong(
    "first step MUST also be a 'connect', optionally preceded by a 'set-var', an 'unset-var' or " +
      "a 'comment', when there is a 'connect' step in the tcp-check ruleset",
  );
  return false;
}

/** A request follows a connection, an expectation a request: that of the option comes first. */
function fits(words: RuleWords, checks: ChecksDraft, rule: HttpRule): boolean {
  const { httpRules } = checks;
  if (rule.kind === "connect") return isFirst(words, httpRules);
  const last = talkOf(httpRules).at(-1)?.kind;
  const step = httpRules.length + 1;
  if (rule.kind === "request" && last !== undefined && last !== "connect") {
    words.wrong(`unable to add http-check send rule at step ${step} (missing connect rule)`);
    return false;
  }
  if (rule.kind === "expect" && last === "connect") {
    words.wrong(`unable to add http-check expect rule at step ${step} (missing send rule)`);
    return false;
  }
  return true;
}
