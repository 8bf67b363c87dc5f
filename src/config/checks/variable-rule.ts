/** `set-var(…)`, `set-var-fmt(…)` and `unset-var(…)` of checks (HAProxy manual 2.8, 4.2). */
import type { CheckStep } from "./draft.ts";
import type { RuleWords } from "./rule-words.ts";

/** Which of the three. */
export type VariableVerb = "set-var" | "set-var-fmt" | "unset-var";

type Named = Pick<CheckStep<"unset-var">, "scope" | "name">;

const SCOPES = "The scope can be 'proc', 'sess' or 'check'";
const CONDITIONS = new Set([
  "ifexists",
  "ifnotexists",
  "ifempty",
  "ifnotempty",
  "ifset",
  "ifnotset",
  "ifgt",
  "iflt",
]);

/**
 * Reads one; undefined after reporting what is wrong.
 * @param inner what stands in the parentheses; undefined = they are missing
 */
export function readVariable(
  words: RuleWords,
  verb: VariableVerb,
  inner: string | undefined,
): CheckStep<"set-var" | "unset-var"> | undefined {
  const { origin } = words.line;
  if (inner === undefined) {
    const forms = "'set-var(<var-name>)', 'set-var-fmt(<var-name>)' or 'unset-var(<var-name>)'";
    return words.wrong(`invalid or incomplete action '${verb}'. Expects ${forms}`);
  }
  const named = readName(words, verb, inner);
  if (named === undefined) return undefined;
  if (verb === "unset-var") return { kind: "unset-var", origin, ...named };
  const text = words.next();
  if (text === undefined) {
    return words.wrong(verb === "set-var" ? "missing fetch method" : "missing format");
  }
  if (verb === "set-var-fmt") {
    const format = words.format(text);
    if (format === undefined) return undefined;
    return { kind: "set-var", origin, ...named, value: { kind: "format", format } };
  }
  const sample = words.sample(text, "error detected while parsing the expression");
  if (sample === undefined) return undefined;
  return { kind: "set-var", origin, ...named, value: { kind: "sample", sample } };
}

/** `check.name[,condition…]`. */
function readName(words: RuleWords, verb: VariableVerb, inner: string): Named | undefined {
  const [written = "", ...conditions] = inner.split(",").map((part) => part.trim());
  const match = /^(proc|sess|check)\.(.+)$/su.exec(written);
  if (match === null) {
    const must = `A variable name must start with its scope. ${SCOPES}`;
    return words.wrong(`invalid variable name '${written}'. ${must}`);
  }
  const [, scope, name = ""] = match;
  const bad = /[^A-Za-z0-9_.]/u.exec(name)?.[0];
  if (bad !== undefined) return words.wrong(`invalid syntax at char '${bad}'`);
  for (const condition of conditions) {
    if (!CONDITIONS.has(condition)) return words.wrong(`unknown condition "${condition}"`);
    const { line } = words;
    line.context.coming(line.origin, `'${words.name}' : condition '${condition}'`, "it");
    if (!line.context.skipComing) return undefined;
  }
  if (verb === "unset-var" && conditions.length > 0) {
    return words.wrong(`unexpected argument '${conditions[0] ?? ""}'`);
  }
  // A check is a session of its own: what is of one is of the other.
  return {
    scope: scope === "proc" ? "proc" : "check",
    name: scope === "sess" ? `sess.${name}` : name,
  };
}
