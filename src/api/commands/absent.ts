/**
 * Commands of HAProxy's management manual 9.3 that sluice does not have: each answers by name, with
 * the part of sluice that it belongs to, or with the reason why a layer-4 proxy has no use for it.
 */
import { Refusal } from "../../base/refusals.ts";
import type { Command, Level } from "../command.ts";

/** Why it is absent. */
type Absence = { code: "NOT_YET" | "NOT_HERE"; reason: string };

/** Parts that later releases have. */
const LATER = {
  maps: "maps and ACL files",
  tables: "stick tables",
  peers: "peers",
  tls: "TLS",
  variables: "variables of the process",
} as const;

const later = (part: keyof typeof LATER): Absence => ({
  code: "NOT_YET",
  reason: `belongs to ${LATER[part]}, which this release of sluice does not have`,
});
const never = (reason: string): Absence => ({ code: "NOT_HERE", reason });

const HTTP_ONLY = never("is about HTTP, which sluice does not look at");
const OF_HAPROXY = never("is about the inside of HAProxy, which sluice does not share");

/** Names, arguments as the manual has them, who may ask. */
const ABSENT: readonly (readonly [Absence, Level, readonly string[]])[] = [
  [later("maps"), "user", ["get acl <acl> <value>", "get map <map> <value>"]],
  [later("maps"), "user", ["show acl [[@<ver>] <acl>]", "show map [[@<ver>] <map>]"]],
  [
    later("maps"),
    "admin",
    [
      "add acl [@<ver>] <acl> <pattern>",
      "add map [@<ver>] <map> <key> <value>",
      "clear acl [@<ver>] <acl>",
      "clear map [@<ver>] <map>",
      "commit acl @<ver> <acl>",
      "commit map @<ver> <map>",
      "del acl <acl> [<key>|#<ref>]",
      "del map <map> [<key>|#<ref>]",
      "prepare acl <acl>",
      "prepare map <map>",
      "set map <map> [<key>|#<ref>] <value>",
    ],
  ],
  [later("tables"), "operator", ["show table [<name> [<filter>]*]"]],
  [later("tables"), "admin", ["clear table <table> [<filter>]*", "set table <table> key <key>"]],
  [later("peers"), "operator", ["show peers [dict|-] [<peers section>]"]],
  [
    later("variables"),
    "operator",
    ["set var <name> {<expression>|expr <expression>|fmt <format>}"],
  ],
  [
    later("tls"),
    "operator",
    [
      "show ssl ca-file [<cafile>[:<index>]]",
      "show ssl cert [<filename>]",
      "show ssl crl-file [<crlfile>[:<index>]]",
      "show ssl crt-list [-n] [<filename>]",
      "show ssl ech [<name>]",
      "show ssl jwt",
      "show ssl ocsp-response [[text|base64] <id|path>]",
      "show ssl ocsp-updates",
      "show ssl providers",
      "show ssl sni [-f <frontend>] [-A] [-t <offset>]",
      "show tls-keys [id|*]",
      "acme status",
    ],
  ],
  [
    later("tls"),
    "admin",
    [
      "abort ssl ca-file <cafile>",
      "abort ssl cert <filename>",
      "abort ssl crl-file <crlfile>",
      "acme renew <certificate>",
      "add ssl ca-file <cafile> <payload>",
      "add ssl crt-list <crtlist> <certificate>",
      "add ssl ech <bind> <payload>",
      "add ssl jwt <filename>",
      "commit ssl ca-file <cafile>",
      "commit ssl cert <filename>",
      "commit ssl crl-file <crlfile>",
      "del ssl ca-file <cafile>",
      "del ssl cert <certfile>",
      "del ssl crl-file <crlfile>",
      "del ssl crt-list <filename> <certfile[:line]>",
      "del ssl ech <bind>",
      "del ssl jwt <filename>",
      "dump ssl cert <certfile>",
      "new ssl ca-file <cafile>",
      "new ssl cert <filename>",
      "new ssl crl-file <crlfile>",
      "set ssl ca-file <cafile> <payload>",
      "set ssl cert <filename> <payload>",
      "set ssl crl-file <crlfile> <payload>",
      "set ssl ech <bind> <payload>",
      "set ssl ocsp-response <response|payload>",
      "set ssl tls-key <id> <tlskey>",
      "update ssl ocsp-response <certfile>",
    ],
  ],
  [HTTP_ONLY, "user", ["show cache"]],
  [HTTP_ONLY, "admin", ["httpclient [--htx] <method> <URI>"]],
  [OF_HAPROXY, "operator", ["show trace [<source>]"]],
  [OF_HAPROXY, "admin", ["trace [<source>|0] [<args>*]", "debug dev <command> [<args>]*"]],
  [OF_HAPROXY, "admin", ["debug counters [reset|show|on|off|all|bug|chk|cnt|glt]*"]],
];

/** The words in front of the arguments. */
function nameIn(usage: string): string {
  const end = usage.search(/[[<{@]/);
  return (end < 0 ? usage : usage.slice(0, end)).trim();
}

function absent(absence: Absence, level: Level, usage: string): Command {
  const name = nameIn(usage);
  return {
    name,
    usage: usage.slice(name.length).trim(),
    summary: absence.code === "NOT_YET" ? "not in this release" : "not at layer 4",
    level,
    takesPayload: true,
    isHidden: true,
    isAbsent: true,
    run() {
      throw new Refusal(absence.code, `'${name}' ${absence.reason}.`);
    },
  };
}

/** The commands. */
export const ABSENT_COMMANDS: readonly Command[] = ABSENT.flatMap(([absence, level, usages]) =>
  usages.map((usage) => absent(absence, level, usage)),
);
