/** `healthcheck <name>` sections (HAProxy manual 12.9): checks that servers may share. */
import type { Origin } from "../../tables/spec.ts";
import { alertLine } from "../context.ts";
import type { Line, LoadContext } from "../context.ts";
import type { OpenedSection } from "../keywords/other-sections.ts";
import { didYouMean } from "../suggest.ts";
import { newChecksDraft } from "./draft.ts";
import type { ChecksDraft } from "./draft.ts";
import { readCheckOption } from "./options.ts";
import type { CheckOption } from "./options.ts";
import { programOf } from "./program.ts";
import { readRule } from "./rules.ts";

const TYPES: readonly CheckOption[] = [
  "httpchk",
  "ldap-check",
  "mysql-check",
  "pgsql-check",
  "redis-check",
  "smtpchk",
  "spop-check",
  "ssl-hello-chk",
  "tcp-check",
];

/** Begins one; undefined after reporting what is wrong with its first line. */
export function openHealthcheck(
  context: LoadContext,
  args: readonly string[],
  origin: Origin,
): OpenedSection | undefined {
  const [name = "", extra] = args;
  if (name === "") {
    context.report.alertAt(origin, "missing name for the healthcheck section.");
    return undefined;
  }
  if (extra !== undefined) {
    const text = `'healthcheck' cannot handle unexpected argument '${extra}'.`;
    context.report.alertAt(origin, text);
    return undefined;
  }
  const bad = /[^A-Za-z0-9_:.-]/u.exec(name)?.[0];
  if (bad !== undefined) {
    const text = `character '${bad}' is not permitted in 'healthcheck' name '${name}'.`;
    context.report.alertAt(origin, text);
    return undefined;
  }
  if (context.healthchecks.has(name)) {
    context.report.alertAt(origin, `healthcheck section '${name}' already exists.`);
    return undefined;
  }
  const checks = newChecksDraft();
  let hasType = false;
  // Known from now on: that it is broken is said once.
  context.healthchecks.set(name, { kind: "connect" });
  return {
    line: (line) => {
      if (line.keyword === "type") hasType = true;
      readLine(line, checks);
    },
    end: () => {
      if (hasType) finish(context, name, checks, origin);
      else context.report.alertAt(origin, `healthcheck section '${name}' has no 'type'.`);
    },
  };
}

function readLine(line: Line, checks: ChecksDraft): void {
  const { keyword } = line;
  if (keyword === "tcp-check" || keyword === "http-check") {
    readRule(line, checks, keyword, line.args);
    return;
  }
  const [written = "", ...args] = line.args;
  const option = TYPES.find((name) => name === written);
  if (option === undefined) {
    const text = `unknown type '${written}'${didYouMean(written, TYPES)}`;
    alertLine(line, `'type' : ${text}.`);
    return;
  }
  readCheckOption({ ...line, keyword: `type ${option}`, args }, checks, option);
}

function finish(context: LoadContext, name: string, checks: ChecksDraft, origin: Origin): void {
  const { kind } = checks.choice;
  const warn = (text: string): void => {
    context.report.warnAt(origin, `healthcheck section '${name}' ${text}`);
  };
  // Its type was refused.
  if (kind === "connect") return;
  if (checks.hasOwnTcp && kind !== "tcp") {
    warn("uses tcp-check rules without 'type tcp-check', so the rules are ignored.");
  }
  if (checks.hasOwnHttp && kind !== "http") {
    warn("uses http-check rules without 'type httpchk', so the rules are ignored.");
  }
  context.healthchecks.set(name, programOf(checks, context.global));
}
