/** What the checks of servers ask (HAProxy manual 4.2): options, rules, programs. */
import { readCheckOption } from "../checks/options.ts";
import type { CheckOption } from "../checks/options.ts";
import { readRule } from "../checks/rules.ts";
import { alertLine } from "../context.ts";
import { proxySections } from "./build.ts";
import type { Keyword } from "./keyword.ts";
import { hasSide } from "./proxy-parsers.ts";
import type { ProxyParser } from "./proxy-parsers.ts";

function option(name: CheckOption): ProxyParser {
  return (line, proxy) => {
    if (!hasSide(line, proxy, "back", name)) return;
    const { settings } = proxy;
    settings.checks = { ...settings.checks };
    readCheckOption(line, settings.checks, name);
  };
}

function rule(ruleSet: "tcp-check" | "http-check", verb: string): ProxyParser {
  return (line, proxy) => {
    if (!hasSide(line, proxy, "back", ruleSet)) return;
    const { settings } = proxy;
    settings.checks = { ...settings.checks };
    readRule(line, settings.checks, ruleSet, [line.call ?? verb, ...line.args]);
  };
}

function program(key: "externalCommand" | "externalPath", word: string): ProxyParser {
  return (line, proxy) => {
    const [value = "", extra] = line.args;
    if (value === "") alertLine(line, `missing argument after '${word}'.`);
    else if (extra !== undefined) {
      alertLine(line, `'external-check' cannot handle unexpected argument '${extra}'.`);
    } else if (hasSide(line, proxy, "back")) {
      proxy.settings.checks = { ...proxy.settings.checks, [key]: value };
    }
  };
}

type Row = readonly [name: string, args: string, effect: string];

const OPTIONS: readonly (readonly [CheckOption, args: string, effect: string])[] = [
  ["external-check", "", "Checks by running a program."],
  ["httpchk", "[<method>] [<uri>] [<version> [<host>]]", "Checks by an HTTP request."],
  ["ldap-check", "", "Checks by an LDAP exchange."],
  [
    "mysql-check",
    "[user <name> [{post-41|pre-41|post-80}]]",
    "Checks by a MySQL greeting, and a login.",
  ],
  ["pgsql-check", "user <name>", "Checks by a PostgreSQL start message."],
  ["redis-check", "", "Checks by a Redis PING."],
  ["smtpchk", "[<hello> <domain>]", "Checks by an SMTP greeting."],
  ["spop-check", "", "Checks by the greeting of SPOE agents."],
  ["ssl-hello-chk", "", "Checks by the first message of a TLS handshake."],
  ["tcp-check", "", "Checks by connecting, and by the rules of `tcp-check`."],
];

const CONNECT =
  "[default] [port <expr>] [addr <ip>] [send-proxy] [ssl] [sni <name>] [alpn <protocols>] " +
  "[linger] [comment <text>]";
const EXPECT =
  "[min-recv <n>] [comment <text>] [{ok|error|tout}-status <st>] [on-{success|error} <format>] " +
  "[status-code <expr>] [!] <match> <pattern>";

const COMMON: readonly Row[] = [
  ["comment", "<text>", "Names the step that follows, or expectations in a row."],
  ["connect", CONNECT, "Opens a connection in a check."],
  ["expect", EXPECT, "What a check expects."],
  ["set-var()", "<expression>", "Sets a variable in a check."],
  ["set-var-fmt()", "<format>", "Sets a variable in a check."],
  ["unset-var()", "", "Forgets a variable in a check."],
];

const RULES: Readonly<Record<"tcp-check" | "http-check", readonly Row[]>> = {
  "tcp-check": [
    ...COMMON,
    ["send", "<data> [comment <text>]", "What a check sends."],
    ["send-binary", "<hex> [comment <text>]", "What a check sends, in hexadecimal."],
    ["send-binary-lf", "<format> [comment <text>]", "The same, made from a format."],
    ["send-lf", "<format> [comment <text>]", "What a check sends, made from a format."],
  ],
  "http-check": [
    ...COMMON,
    ["disable-on-404", "", "A 404 answer drains the server."],
    [
      "send",
      "[meth <m>] [{uri <u>|uri-lf <f>}] [ver <v>] [hdr <n> <f>]* [{body <s>|body-lf <f>}]",
      "What an HTTP check sends.",
    ],
    ["send-state", "", "Tells the server its state in checks."],
  ],
};

const DLB = proxySections("DLB");

function row([name, args, effect]: Row, parse: ProxyParser): Keyword<ProxyParser> {
  return { name, sections: DLB, args, effect, reference: "4.2", state: "done", parse };
}

/** The rows. */
export const PROXY_CHECKS: readonly Keyword<ProxyParser>[] = [
  ...OPTIONS.map(([name, args, effect]) => row([`option ${name}`, args, effect], option(name))),
  ...(["tcp-check", "http-check"] as const).flatMap((ruleSet) =>
    RULES[ruleSet].map(([verb, args, effect]) =>
      row([`${ruleSet} ${verb}`, args, effect], rule(ruleSet, verb)),
    ),
  ),
  row(
    ["external-check command", "<command>", "Program that checks."],
    program("externalCommand", "command"),
  ),
  row(["external-check path", "<path>", "PATH of that program."], program("externalPath", "path")),
];
