/**
 * `acl`, `use_backend`, `use-server`, `default_backend` and the log formats of a section: lines
 * whose words the expression engine reads (HAProxy manual 4.2, chapters 7 and 8).
 */
import {
  checkAclName,
  isConditionWord,
  parseAclTest,
  parseCondition,
  parseLogFormat,
} from "../expr/parse.ts";
import type { AclSources, LogFormatUse, ParseResult } from "../expr/parse.ts";
import type { Condition, LogFormat } from "../tables/expression.ts";
import { alertLine, hasArgs, warnLine } from "./context.ts";
import type { Line } from "./context.ts";
import type { ProxyDraft } from "./draft.ts";
import { hasSide } from "./keywords/proxy-parsers.ts";

/**
 * The value of an expression, or undefined after reporting it: a mistake as an error, a word that
 * is not built yet as such.
 * @param subject begins the sentence about a mistake
 * @param skipped what is left out when coming words are skipped
 */
export function takeExpression<T>(
  line: Line,
  result: ParseResult<T>,
  subject: string,
  skipped: string,
): T | undefined {
  if (result.ok) {
    for (const warning of result.warnings) warnLine(line, `${subject} : ${warning}`);
    return result.value;
  }
  if (result.kind === "mistake" || result.kind === "unknown") {
    alertLine(line, `${subject} : ${result.message}.`);
  } else {
    line.context.coming(line.origin, `${subject} : ${result.message}: this`, skipped);
  }
  return undefined;
}

/** `acl NAME CRITERION…`: lines of one name add up. */
export function parseAcl(line: Line, proxy: ProxyDraft): void {
  const [name, ...words] = line.args;
  if (name === undefined) {
    alertLine(line, "'acl' expects a name and a criterion.");
    return;
  }
  if (words.length === 0) {
    const problem = "missing fetch method in ACL expression ''";
    alertLine(line, `error detected while parsing ACL '${name}' : ${problem}.`);
    return;
  }
  const problem = checkAclName(name);
  if (problem !== undefined) {
    alertLine(line, `${problem}.`);
    return;
  }
  const result = parseAclTest(words, sourcesOf(line, proxy));
  const subject = `error detected while parsing ACL '${name}'`;
  const test = takeExpression(line, result, subject, "this ACL and every rule that uses it");
  if (test === undefined) {
    proxy.brokenAcls.add(name);
    return;
  }
  const known = proxy.acls.get(name);
  proxy.acls.set(name, { tests: [...(known?.tests ?? []), test] });
}

/** Pages have requests, whose samples streams have not. */
function sourcesOf(line: Line, proxy: ProxyDraft): AclSources {
  const { aclSources } = line.context;
  return proxy.isHttp ? { ...aclSources, takesRequest: true } : aclSources;
}

/** Reads `if …` or `unless …`; undefined after an error. */
export function takeCondition(
  line: Line,
  proxy: ProxyDraft,
  words: readonly string[],
  rule: string,
): Condition | undefined {
  const missing = words.find((word) => proxy.brokenAcls.has(word.replace(/^!+/u, "")));
  if (missing !== undefined) {
    // The ACL was reported where it stands.
    if (line.context.skipComing) {
      warnLine(line, `${rule} rule left out because of the ACL '${missing}'.`);
    }
    return undefined;
  }
  const result = parseCondition(words, proxy.acls, sourcesOf(line, proxy));
  const subject = `'${line.keyword} ${line.args[0] ?? ""}' : error detected while parsing`;
  return takeExpression(line, result, `${subject} ${rule} rule`, "this rule");
}

/** `use_backend NAME|%[…] [if|unless …]`. */
export function parseUseBackend(line: Line, proxy: ProxyDraft): void {
  const [target, ...words] = line.args;
  if (!hasSide(line, proxy, "front")) return;
  if (target === undefined) {
    alertLine(line, "'use_backend' expects a backend name.");
    return;
  }
  const first = words[0];
  if (first !== undefined && !isConditionWord(first)) {
    const only = "only 'if' and 'unless' are allowed";
    alertLine(line, `unexpected keyword '${first}' after switching rule, ${only}.`);
    return;
  }
  const condition =
    first === undefined ? undefined : takeCondition(line, proxy, words, "switching");
  if (first !== undefined && condition === undefined) return;
  const { origin } = line;
  const base = condition === undefined ? { origin } : { condition, origin };
  if (!target.includes("%")) {
    proxy.useBackends.push({ backend: { kind: "name", name: target }, ...base });
    return;
  }
  const result = parseLogFormat(target, "name");
  const format = takeExpression(line, result, `'use_backend ${target}'`, "this rule");
  if (format === undefined) return;
  proxy.useBackends.push({ backend: { kind: "dynamic", format }, ...base });
}

/** `use-server NAME if|unless …`. */
export function parseUseServer(line: Line, proxy: ProxyDraft): void {
  const [server, ...words] = line.args;
  if (!hasSide(line, proxy, "back")) return;
  if (server === undefined) {
    alertLine(line, "'use-server' expects a server name.");
    return;
  }
  if (!isConditionWord(words[0] ?? "")) {
    alertLine(line, "'use-server' requires either 'if' or 'unless' followed by a condition.");
    return;
  }
  const condition = takeCondition(line, proxy, words, "use-server");
  if (condition === undefined) return;
  proxy.useServers.push({ server, condition, origin: line.origin });
}

/** `default_backend NAME`. */
export function parseDefaultBackend(line: Line, proxy: ProxyDraft): void {
  if (!hasArgs(line, 1, 1, "a backend name") || !hasSide(line, proxy, "front")) return;
  proxy.settings.defaultBackend = { name: line.args[0] ?? "", origin: line.origin };
}

/** The format after `log-format` and its like; undefined after an error. */
export function takeLogFormat(line: Line, use: LogFormatUse): LogFormat | undefined {
  const [text, extra] = line.args;
  if (text === undefined) {
    alertLine(line, `'${line.keyword}' expects an argument.`);
    return undefined;
  }
  if (extra !== undefined) {
    const hint = "don't forget to escape spaces!";
    alertLine(line, `'${line.keyword}' expects only one argument, ${hint}`);
    return undefined;
  }
  return takeExpression(line, parseLogFormat(text, use), `'${line.keyword}'`, "this format");
}
