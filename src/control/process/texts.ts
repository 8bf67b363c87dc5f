/** What `-v`, `-vv` and `--help` print. Pure: facts about this machine are handed in. */
import {
  BUILD_TARGET,
  COMPATIBLE_DATE,
  COMPATIBLE_VERSION,
  FEATURES,
  isPresent,
  SLUICE_VERSION,
  TLS_LIBRARY_NAME,
} from "../../base/version.ts";
import type { Flag } from "../../config/flags.ts";
import { OPTION_RULES } from "./arguments.ts";

/** Where the program lives whose version the line names: HAProxy's line ends in an address. */
const HAPROXY_HOME = "https://github.com/haproxy/haproxy";
const WIDTH = 100;

/** Facts that `-vv` reports besides the constants. */
export type RuntimeFacts = {
  bunVersion: string;
  system: string;
  /** Why there is no native module; empty when there is one. */
  nativeReason: string;
  /** Why there is no QUIC; empty when there is. */
  quicReason: string;
  /** The libraries that speak it, with their versions. */
  quicLibraries: string;
  usableCpus: number;
  workersMax: number;
  bufsize: number;
};

/** `-v`: the first line is what HAProxy's tools read. */
export function versionText(): string {
  return [
    `HAProxy version ${COMPATIBLE_VERSION} ${COMPATIBLE_DATE} - ${HAPROXY_HOME}`,
    `sluice ${SLUICE_VERSION}: another program, which reads HAProxy's configuration for mode tcp`,
  ].join("\n");
}

/** `-vv`. */
export function longVersionText(facts: RuntimeFacts): string {
  const features = FEATURES.map((one) => `${isPresent(one) ? "+" : "-"}${one.name}`).join(" ");
  const native = facts.nativeReason === "" ? "active" : `not active: ${facts.nativeReason}`;
  const quic =
    facts.quicReason === "" ? `active, ${facts.quicLibraries}` : `not active: ${facts.quicReason}`;
  return [
    versionText(),
    `Running on: ${facts.system}`,
    "Build options :",
    `  TARGET  = ${BUILD_TARGET}`,
    `  RUNTIME = Bun ${facts.bunVersion}`,
    "",
    `Feature list : ${features}`,
    "",
    "Default settings :",
    `  bufsize = ${facts.bufsize}`,
    "",
    `Built with multi-threading support (MAX_THREADS=${facts.workersMax}, ` +
      `default=${facts.usableCpus}).`,
    `Built with SSL library : ${TLS_LIBRARY_NAME}`,
    "",
    "Parts :",
    `  native sockets (cancelled connects, socket options, shared ports) : ${native}`,
    `  QUIC (quic4@ and quic6@ addresses) : ${quic}`,
    "",
    "Available polling systems :",
    "      epoll : pref=300,  test result OK",
    "Total: 1 (1 usable), will use epoll.",
  ].join("\n");
}

/** Usage in a few lines, for a command line that was not understood. */
export function usageText(): string {
  return [
    "usage: sluice -f FILE [OPTION…]      serve what the file says",
    "       sluice -c -f FILE             check a file",
    "       sluice ctl [-s SOCKET] COMMAND…  ask a running sluice",
    "       sluice                        the demo (or SLUICE_ variables)",
    "sluice --help lists all options.",
  ].join("\n");
}

/** `--help`. */
export function helpText(flags: readonly Flag[]): string {
  const rows = (state: string): [string, string][] =>
    OPTION_RULES.filter((rule) => rule.state === state).map((rule) => {
      const gap = rule.takes === "attached" ? "" : " ";
      const value = rule.placeholder === undefined ? "" : `${gap}${rule.placeholder}`;
      return [`${rule.name}${value}`, rule.note];
    });
  const named: [string, string][] = [
    ["-- PATH…", "every further word is a file or folder to load"],
    ["-cc CONDITION", "evaluate a condition: exit code 0 true, 1 false, 2 error"],
    ["-v, -vv", "print the version; with what it is made of"],
    ["--help", "print this"],
  ];
  return [
    usageText().split("\n").slice(0, -1).join("\n"),
    "",
    "Options, as HAProxy has them:",
    ...columns([...rows("done"), ...named]),
    "",
    "Accepted without effect:",
    ...columns(rows("inert")),
    "",
    "Refused in this release:",
    ...columns(rows("refused")),
    "",
    "Environment (NAME_FILE reads the value of NAME from a file):",
    ...flags.flatMap((flag) => [
      ...wrap(`${flag.name} = ${flag.type}; default: ${flag.default}`, 2),
      ...wrap(flag.doc, 6),
    ]),
  ].join("\n");
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = 17;
  return rows.flatMap(([left, right]) => {
    const [first = "", ...rest] = wrap(right, width + 3);
    const head = `  ${left.padEnd(width)} `;
    return [`${head}${first.trimStart()}`, ...rest];
  });
}

/** Breaks a text into lines that begin with `indent` blanks. */
function wrap(text: string, indent: number): string[] {
  const lines: string[] = [];
  let line = " ".repeat(indent - 1);
  for (const word of text.split(" ")) {
    if (line.length + 1 + word.length > WIDTH && line.trim() !== "") {
      lines.push(line);
      line = " ".repeat(indent - 1);
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
