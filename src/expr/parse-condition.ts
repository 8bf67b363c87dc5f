/**
 * `if a !b || { src 10.0.0.0/8 }` → Condition. Pure, any thread, cold. Source: manual 7.2, 7.4.
 */
import type { BoolExpression, Condition } from "../tables/expression.ts";
import { type AclSources, parseAclTest } from "./parse-acl.ts";
import { parsed, type ParseResult, refused } from "./result.ts";

/** ACLs that need no declaration: manual 7.4. */
const PREDEFINED: ReadonlyMap<string, string> = new Map([
  ["FALSE", "always_false"],
  ["HTTP", "req.proto_http"],
  ["HTTP_1.0", "req.ver 1.0"],
  ["HTTP_1.1", "req.ver 1.1"],
  ["HTTP_2.0", "req.ver 2.0"],
  ["HTTP_3.0", "req.ver 3.0"],
  ["HTTP_CONTENT", "req.hdr_val(content-length) gt 0"],
  ["HTTP_URL_ABS", "url_reg ^[^/:]*://"],
  ["HTTP_URL_SLASH", "url_beg /"],
  ["HTTP_URL_STAR", "url *"],
  ["LOCALHOST", "src 127.0.0.1/8 ::1"],
  ["METH_CONNECT", "method CONNECT"],
  ["METH_DELETE", "method DELETE"],
  ["METH_GET", "method GET HEAD"],
  ["METH_HEAD", "method HEAD"],
  ["METH_OPTIONS", "method OPTIONS"],
  ["METH_POST", "method POST"],
  ["METH_PUT", "method PUT"],
  ["METH_TRACE", "method TRACE"],
  ["RDP_COOKIE", "req.rdp_cookie_cnt gt 0"],
  ["REQ_CONTENT", "req.len gt 0"],
  ["TRUE", "always_true"],
  ["WAIT_END", "wait_end"],
]);

type Term = Condition["anyOf"][number]["terms"][number];

/** True for the words that begin a condition. */
export function isConditionWord(word: string): boolean {
  return word === "if" || word === "unless";
}

/**
 * Parses a whole condition.
 * @param words from `if` or `unless` to the end of the line
 * @param acls the ACLs declared so far in the section, by name
 */
export function parseCondition(
  words: readonly string[],
  acls: ReadonlyMap<string, BoolExpression>,
  sources: AclSources = {},
): ParseResult<Condition> {
  const first = words[0] ?? "";
  if (!isConditionWord(first)) {
    return refused(`conditions must start with either 'if' or 'unless', not '${first}'`);
  }
  const warnings: string[] = [];
  const anyOf: Condition["anyOf"] = [];
  let terms: Term[] | undefined;
  let negate = false;
  for (let i = 1; i < words.length; i++) {
    let word = words[i] ?? "";
    if (word === "||" || word.toLowerCase() === "or") {
      terms = undefined;
      negate = false;
      continue;
    }
    for (; word.startsWith("!"); word = word.slice(1)) negate = !negate;
    if (word === "") continue;
    let acl: ParseResult<BoolExpression>;
    if (word === "{") {
      const close = words.indexOf("}", i);
      if (close < 0) return refused("missing closing '}' in condition");
      acl = parseAnonymous(words.slice(i + 1, close), sources);
      i = close;
    } else {
      acl = findAcl(word, acls, sources);
    }
    if (!acl.ok) return acl;
    warnings.push(...acl.warnings);
    if (terms === undefined) {
      terms = [];
      anyOf.push({ terms });
    }
    terms.push({ negate, acl: acl.value });
    negate = false;
  }
  return parsed({ negate: first === "unless", anyOf, text: words.join(" ") }, warnings);
}

function parseAnonymous(
  words: readonly string[],
  sources: AclSources,
): ParseResult<BoolExpression> {
  const test = parseAclTest(words, sources);
  return test.ok ? parsed({ tests: [test.value] }, test.warnings) : test;
}

function findAcl(
  name: string,
  acls: ReadonlyMap<string, BoolExpression>,
  sources: AclSources,
): ParseResult<BoolExpression> {
  const known = acls.get(name);
  if (known !== undefined) return parsed(known);
  const text = PREDEFINED.get(name);
  if (text === undefined) return refused(`no such ACL : '${name}'`);
  return parseAnonymous(text.split(" "), sources);
}

/** `undefined` if `name` may name an ACL, else HAProxy's sentence. Manual 7.1. */
export function checkAclName(name: string): string | undefined {
  const wrong = /[^A-Za-z0-9_.:-]/.exec(name);
  if (wrong !== null) return `character '${wrong[0]}' is not permitted in acl name '${name}'`;
  if (name.toLowerCase() !== "or") return undefined;
  return "acl name 'or' will never match. 'or' is used to express a disjunction within a condition";
}
