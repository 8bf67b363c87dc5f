/**
 * `-dK`: lists of the words that are known, by class, in the shape that HAProxy's tools compare
 * (management manual, `-dK`). Words without effect here and words that are not built yet are left
 * out: what is listed can be used.
 */
import { CONVERTERS } from "../expr/converters.ts";
import { FETCHES } from "../expr/fetches.ts";
import { ARGUMENT_TYPE_NAMES } from "../expr/keyword.ts";
import type { ArgumentType, FetchScope } from "../expr/keyword.ts";
import { BIND_KEYWORDS } from "./keywords/bind.ts";
import { stateOf } from "./keywords/keyword.ts";
import type { Keyword } from "./keywords/keyword.ts";
import { SERVER_KEYWORDS } from "./keywords/server.ts";
import { GLOBAL_INDEX, PROXY_INDEX } from "./keywords/tables.ts";

/** The classes and what they hold. */
export const KEYWORD_CLASSES: readonly (readonly [name: string, title: string])[] = [
  ["acl", "ACL keywords"],
  ["cfg", "configuration keywords"],
  ["cli", "CLI keywords"],
  ["cnv", "sample converter keywords"],
  ["flt", "filter names"],
  ["smp", "sample fetch functions"],
  ["svc", "service names"],
];

/**
 * The lines to print for `-dKCLASSES`.
 * @param classes what follows `-dK`: names with commas, `all` or `help`
 * @param commands words of the runtime API, for class `cli`
 * @returns undefined when a class is unknown
 */
export function dumpKeywords(
  classes: string,
  commands: readonly string[] = [],
): string[] | undefined {
  if (classes === "help") return helpLines();
  const known = KEYWORD_CLASSES.map(([name]) => name);
  const wanted = classes === "all" ? known : classes.split(",");
  if (wanted.some((name) => name !== "all" && !known.includes(name))) return undefined;
  const chosen = wanted.includes("all") ? known : wanted;
  return chosen.flatMap((name) => classLines(name, commands));
}

function helpLines(): string[] {
  const rows = KEYWORD_CLASSES.map(([name, title]) => `${name}: ${title}`);
  return ["# List of supported keyword classes:", "all: list all keywords", ...rows];
}

function classLines(name: string, commands: readonly string[]): string[] {
  switch (name) {
    case "cfg":
      return ["# List of registered configuration keywords:", ...configurationLines()];
    case "cli":
      return ["# List of registered CLI keywords:", ...commands.toSorted()];
    case "cnv":
      return ["# List of registered sample converter functions:", ...converterLines()];
    case "smp":
      return ["# List of registered sample fetch functions:", ...fetchLines()];
    case "acl":
      return ["# List of registered ACL keywords:"];
    case "flt":
      return ["# List of registered filter names:"];
    default:
      return ["# List of registered service names:", "prometheus-exporter"];
  }
}

const byName = (left: string, right: string): number => (left < right ? -1 : 1);

function namesOf<P, Q>(rows: readonly Keyword<P, Q>[]): string[] {
  return rows
    .filter((row) => stateOf(row) === "done")
    .map((row) => row.name)
    .toSorted(byName);
}

/** `name +1` for options with a value, as in HAProxy's lists. */
function optionLines<P, Q>(head: string, rows: readonly Keyword<P, Q>[]): string[] {
  return rows
    .filter((row) => stateOf(row) === "done")
    .map((row) => `\t${head} ${row.name}${row.args === "" ? "" : " +1"}`)
    .toSorted(byName);
}

/** `[ FE ]`, `[ BE ]` or both: where an option has an effect. */
function sides(sections: readonly string[]): string {
  const front = sections.includes("frontend") ? " FE" : "";
  const back = sections.includes("backend") ? " BE" : "";
  return `[${front}${back} ]`;
}

function configurationLines(): string[] {
  const proxyRows = PROXY_INDEX.rows.filter((row) => row.state === "done");
  const plain = proxyRows.filter((row) => !row.name.startsWith("option "));
  const options = proxyRows.filter((row) => row.name.startsWith("option "));
  return [
    "global",
    ...namesOf(GLOBAL_INDEX.rows).map((name) => `\t${name}`),
    "listen",
    ...namesOf(plain).map((name) => `\t${name}`),
    ...optionLines("bind <addr>", BIND_KEYWORDS),
    ...optionLines("server <name> <addr>", SERVER_KEYWORDS),
    ...options.map((row) => `\t${row.name} ${sides(row.sections)}`).toSorted(byName),
  ];
}

/** `(string[,integer])`, or nothing. */
function signature(args: readonly ArgumentType[], required: number): string {
  if (args.length === 0) return "";
  const names = args.map((type, index) => {
    const name = ARGUMENT_TYPE_NAMES[type];
    if (index < required) return `${index > 0 ? "," : ""}${name}`;
    return `${index === required ? "[" : ""}${index > 0 ? "," : ""}${name}`;
  });
  return `(${names.join("")}${args.length > required ? "]" : ""})`;
}

function converterLines(): string[] {
  return [...CONVERTERS.values()]
    .map((row) => `${row.name}${signature(row.args, row.required)}: ${row.input} => ${row.output}`)
    .toSorted(byName);
}

/** Rule sets of the matrix, in HAProxy's order, and the scope that each needs. */
const MATRIX: readonly FetchScope[] = [
  ...Array.from({ length: 6 }, (): FetchScope => "client"),
  ...Array.from({ length: 5 }, (): FetchScope => "backend"),
  ...Array.from({ length: 7 }, (): FetchScope => "server"),
  "close",
  "backend",
  "any",
  "any",
];

const SCOPE_ORDER: readonly FetchScope[] = ["any", "client", "backend", "server", "close"];

function fetchLines(): string[] {
  return [...FETCHES.values()]
    .toSorted((a, b) => byName(a.name, b.name))
    .map((row) => {
      const needs = SCOPE_ORDER.indexOf(row.scope);
      const marks = MATRIX.map((scope) => (SCOPE_ORDER.indexOf(scope) >= needs ? "Y" : "."));
      return `[ ${marks.join(" ")} ] ${row.name}${signature(row.args, row.required)}: ${row.type}`;
    });
}
