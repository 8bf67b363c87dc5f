/**
 * Options that choose what checks ask (HAProxy manual 4.2): `option httpchk`, `option tcp-check`,
 * and the protocols that need no rules. The last one of a section counts.
 */
import { alertLine } from "../context.ts";
import type { Line } from "../context.ts";
import type { CheckChoice, ChecksDraft } from "./draft.ts";
import { readHttpOption } from "./send-rule.ts";

/** What each option takes behind its name. */
export type CheckOption =
  | "external-check"
  | "httpchk"
  | "ldap-check"
  | "mysql-check"
  | "pgsql-check"
  | "redis-check"
  | "smtpchk"
  | "spop-check"
  | "ssl-hello-chk"
  | "tcp-check";

/**
 * Reads one; reports what is wrong. `line.keyword` begins the sentences.
 * @returns true when it was understood
 */
export function readCheckOption(line: Line, checks: ChecksDraft, option: CheckOption): boolean {
  const choice = readChoice(line, option);
  if (choice === undefined) return false;
  const before = checks.choice.kind;
  if (choice.kind === "tcp" && before !== "tcp" && !checks.hasOwnTcp) {
    checks.tcpRules = [];
    checks.tcpNotes = { comment: undefined, lines: 0 };
  }
  if (choice.kind === "http") {
    // Rules of the defaults belong to their option.
    if (!checks.hasOwnHttp) {
      checks.httpRules = [];
      checks.httpNotes = { comment: undefined, lines: 0 };
    }
    choice.isLater = checks.httpRules.some(({ kind }) => kind === "request");
  }
  checks.choice = choice;
  return true;
}

function readChoice(line: Line, option: CheckOption): CheckChoice | undefined {
  switch (option) {
    case "httpchk": {
      if (isTooLong(line, 4)) return undefined;
      const request = readHttpOption(line);
      if (request === undefined) return undefined;
      return { kind: "http", request, origin: line.origin, isLater: false };
    }
    case "mysql-check":
      return readMysql(line);
    case "pgsql-check":
      return readPgsql(line);
    case "smtpchk":
      return readSmtp(line);
    case "external-check":
      return isTooLong(line, 0) ? undefined : { kind: "external", origin: line.origin };
    default:
      return isTooLong(line, 0) ? undefined : PLAIN[option];
  }
}

const PLAIN = {
  "ldap-check": { kind: "ldap" },
  "redis-check": { kind: "redis" },
  "spop-check": { kind: "spop" },
  "ssl-hello-chk": { kind: "ssl-hello" },
  "tcp-check": { kind: "tcp" },
} as const satisfies Record<string, CheckChoice>;

function isTooLong(line: Line, max: number): boolean {
  const extra = line.args[max];
  if (extra === undefined || extra === "") return false;
  alertLine(line, `'${line.keyword}' cannot handle unexpected argument '${extra}'.`);
  return true;
}

function readMysql(line: Line): CheckChoice | undefined {
  if (isTooLong(line, 3)) return undefined;
  const [word = "", user = "", version = "post-41"] = line.args;
  if (word === "") return { kind: "mysql", version: "post-41" };
  if (word !== "user") {
    alertLine(line, `'${line.keyword}' only supports optional values: 'user' (got '${word}').`);
    return undefined;
  }
  if (user === "") {
    alertLine(line, `'${line.keyword} user' expects <username> as argument.`);
    return undefined;
  }
  if (version !== "pre-41" && version !== "post-41" && version !== "post-80") {
    const known = "'post-41', 'pre-41' and 'post-80'";
    alertLine(line, `keyword 'user' only supports ${known} (got '${version}').`);
    return undefined;
  }
  return { kind: "mysql", user, version };
}

function readPgsql(line: Line): CheckChoice | undefined {
  if (isTooLong(line, 2)) return undefined;
  const [word = "", user = ""] = line.args;
  if (word !== "" && word !== "user") {
    alertLine(line, `'${line.keyword}' only supports optional values: 'user'.`);
    return undefined;
  }
  if (user !== "") return { kind: "pgsql", user };
  alertLine(line, `'${line.keyword}' expects 'user <username>' as argument.`);
  return undefined;
}

/** Greetings that are none become `HELO`, and without a name the default is taken. */
function readSmtp(line: Line): CheckChoice | undefined {
  if (isTooLong(line, 2)) return undefined;
  const [hello = "", domain = ""] = line.args;
  if (domain === "") return { kind: "smtp", hello: "HELO", domain: "localhost" };
  return { kind: "smtp", hello: hello === "EHLO" ? "EHLO" : "HELO", domain };
}
