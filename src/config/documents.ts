/** The generated documents: `docs/configuration.md` and `docs/environment.md`, as texts. */
import { COMPATIBLE_VERSION } from "../base/version.ts";
import { FLAGS } from "./flags.ts";
import { ACTIONS, RULE_SETS } from "./keywords/actions.ts";
import { BIND_KEYWORDS } from "./keywords/bind.ts";
import { PREDICATES } from "./keywords/cc.ts";
import { stateOf } from "./keywords/keyword.ts";
import type { Keyword, KeywordState } from "./keywords/keyword.ts";
import { OTHER_SECTIONS } from "./keywords/other-sections.ts";
import { SERVER_KEYWORDS } from "./keywords/server.ts";
import { GLOBAL_INDEX, PROXY_INDEX } from "./keywords/tables.ts";

/** A row of a page: what all keyword tables have in common. */
type Row = Omit<Keyword<unknown>, "parse">;

/** The state of a word, over QUIC beside TCP where they differ. */
function stateText({ state, quic }: Row): string {
  return quic === undefined || quic.state === state ? state : `${state}; QUIC: ${quic.state}`;
}

const STATES: readonly KeywordState[] = ["done", "inert", "coming"];

/** Text inside a cell of a table. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;").replaceAll("\n", " ");
}

function code(text: string): string {
  return text === "" ? "" : `\`${text.replaceAll("|", "\\|")}\``;
}

function sortedRows(rows: readonly Row[]): Row[] {
  return rows.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function countOf(rows: readonly Row[], state: KeywordState): number {
  return rows.filter((row) => stateOf(row) === state).length;
}

function keywordTable(rows: readonly Row[], withSections: boolean): string[] {
  const head = withSections
    ? ["| keyword | arguments | in | state | effect | manual |", "|---|---|---|---|---|---|"]
    : ["| keyword | arguments | state | effect | manual |", "|---|---|---|---|---|"];
  const lines = sortedRows(rows).map((row) => {
    const name = code(row.name.replaceAll("()", "(…)"));
    const where = withSections ? ` ${row.sections.map((word) => LETTERS[word]).join("")} |` : "";
    const rest = `${stateText(row)} | ${cell(row.effect)} | ${row.reference} |`;
    return `| ${name} | ${code(row.args)} |${where} ${rest}`;
  });
  return [...head, ...lines];
}

const LETTERS: Record<string, string> = { defaults: "D", frontend: "F", listen: "L", backend: "B" };

const CHAPTERS: readonly { title: string; intro: string; rows: readonly Row[]; sided: boolean }[] =
  [
    {
      title: "`global`",
      intro: "The process, its limits, its environment, its logs and its runtime socket.",
      rows: GLOBAL_INDEX.rows,
      sided: false,
    },
    {
      title: "`defaults`, `frontend`, `listen`, `backend`",
      intro: "D, F, L and B say in which sections a keyword may stand.",
      rows: PROXY_INDEX.rows,
      sided: true,
    },
    {
      title: "Options of `bind`",
      intro: "They follow the addresses, in any order.",
      rows: BIND_KEYWORDS,
      sided: false,
    },
    {
      title: "Options of `server`, `server-template` and `default-server`",
      intro: "They follow the address, in any order.",
      rows: SERVER_KEYWORDS,
      sided: false,
    },
  ];

/** `docs/configuration.md`. */
export function configurationPage(): string {
  const lines = [
    "# Configuration",
    "",
    "This page is generated from the keyword tables (`bun scripts/generate-docs.ts`).",
    "",
    `The language is that of \`haproxy.cfg\` (HAProxy ${COMPATIBLE_VERSION}): the column *manual*`,
    "names the section of HAProxy's configuration manual that defines a word. Every word of that",
    "manual is in one of three states:",
    "",
    "- **done**: read and acted upon;",
    "- **inert**: read, and without effect, because it is about HTTP, TLS or tuning of what this",
    "  program does not have. One warning line per file names all such words;",
    "- **coming**: would change traffic, safety or what operators see, and is not built yet. The",
    "  start is refused by name; `--skip-coming` or `SLUICE_SKIP_COMING=1` " +
      "goes on without them, with",
    "  a warning each.",
    "",
    "Options of `bind` and `server` may do something else, or something at all, on addresses of",
    "QUIC (`quic4@`, `quic6@`): the state then names both, TCP first. *refused* is said with the",
    "reason. See [quic.md](quic.md).",
    "",
    "A word that is in no table is refused, and the nearest known word is named.",
    "",
    ...countsTable(),
    "",
    ...syntaxLines(),
  ];
  for (const chapter of CHAPTERS) {
    lines.push("", `## ${chapter.title}`, "", chapter.intro, "");
    lines.push(...keywordTable(chapter.rows, chapter.sided));
  }
  lines.push("", ...otherSectionLines(), "", ...actionLines(), "", ...predicateLines());
  return `${lines.join("\n")}\n`;
}

function countsTable(): string[] {
  const lines = ["| chapter | done | inert | coming |", "|---|---:|---:|---:|"];
  for (const { title, rows } of CHAPTERS) {
    lines.push(`| ${title} | ${STATES.map((state) => countOf(rows, state)).join(" | ")} |`);
  }
  const others = STATES.map((state) => OTHER_SECTIONS.filter((s) => s.state === state).length);
  lines.push(`| other sections | ${others.join(" | ")} |`);
  const all = CHAPTERS.flatMap(({ rows }) => rows);
  const sums = STATES.map((state, index) => countOf(all, state) + (others[index] ?? 0));
  lines.push(`| **together** | ${sums.join(" | ")} |`);
  return lines;
}

function syntaxLines(): string[] {
  return [
    "## Beyond HAProxy",
    "",
    "Some files that HAProxy refuses are read:",
    "",
    "- the last line may lack its newline (a notice says so);",
    "- a frontend and a backend may have the same name;",
    "- `frontend NAME ADDRESS:PORT` and `listen NAME ADDRESS:PORT` listen there (a warning names",
    "  `bind`);",
    "- `nbproc`, `clitimeout`, `contimeout`, `srvtimeout` and `redispatch` " +
      "are read with a warning;",
    "- a line that ends in a backslash goes on in the next one;",
    "- headers and a body behind the version of `option httpchk` are taken with a warning;",
    "- `user` and `group` of accounts that do not exist are a warning unless the process is root.",
    "",
    "A `frontend` or `listen` in `mode http` that passes nothing on (no server, no backend) and",
    "shows statistics, answers a monitor or gives metrics is a page: the process itself answers",
    "there. Conditions on pages may ask about the request (`path`, `method`, `hdr(…)` etc.);",
    "rules that would let more or fewer requests in and are not built yet are refused by name.",
    "Sections that proxy HTTP are *coming*.",
    "",
    "All errors of all files are reported in one go, each with file, line and word.",
    "",
    "Host names of servers are looked up by the system at the start, all at once and within five",
    "seconds; `init-addr` says what happens when there is no answer.",
  ];
}

function otherSectionLines(): string[] {
  const intro = "Those that are not *done* are left out as a whole; their words are checked.";
  const lines = ["## Other sections", "", intro, ""];
  lines.push("| section | words | state | effect | manual |", "|---|---|---|---|---|");
  for (const section of OTHER_SECTIONS) {
    const words = section.words.map(([name]) => code(name)).join(" ");
    const name = code(`${section.name} ${section.args}`.trim());
    const rest = `${section.state} | ${cell(section.effect)} | ${section.reference} |`;
    lines.push(`| ${name} | ${words} | ${rest}`);
  }
  return lines;
}

function actionLines(): string[] {
  const lines = [
    "## Actions of rules",
    "",
    "TCP rules are *coming*; those of HTTP count on pages (`http-request`) or are *inert*;",
    "manual 4.3 and 4.4.",
    "",
    "| action | rules | effect |",
    "|---|---|---|",
  ];
  for (const action of ACTIONS) {
    const rules = [...action.ruleSets].map((letter) => code(RULE_SETS[letter] ?? letter));
    const name = code(action.name.replaceAll("()", "(…)"));
    lines.push(`| ${name} | ${rules.join(", ")} | ${cell(action.effect)} |`);
  }
  return lines;
}

function predicateLines(): string[] {
  const lines = ["## Predicates of `.if` and `-cc`", "", "| predicate | effect |", "|---|---|"];
  for (const { name, args, effect } of PREDICATES) {
    lines.push(`| ${code(`${name}(${args})`)} | ${cell(effect)} |`);
  }
  return lines;
}

/** `docs/environment.md`. */
export function environmentPage(): string {
  const lines = [
    "# Environment flags",
    "",
    "This page is generated from the registry of flags (`bun scripts/generate-docs.ts`).",
    "",
    "Precedence: command line, environment, file, default. A bad value stops " +
      "the start; a name that",
    "begins with `SLUICE_` and is not in this table is warned about. For every flag `X`, `X_FILE`",
    "reads the value from a file (for secrets); setting both is an error.",
    "",
    "| flag | value | default |",
    "|---|---|---|",
    ...FLAGS.map((flag) => {
      return `| \`${flag.name}\` | ${cell(flag.type)} | ${cell(flag.default)} |`;
    }),
  ];
  for (const flag of FLAGS) lines.push("", `## \`${flag.name}\``, "", ...wrap(flag.doc));
  lines.push("", ...exampleLines());
  return `${lines.join("\n")}\n`;
}

/** A paragraph in lines of at most 100 columns. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + word.length + 1 > 100) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  if (line !== "") lines.push(line);
  return lines;
}

function exampleLines(): string[] {
  return [
    "## Without a file",
    "",
    "```sh",
    "SLUICE_BIND=0.0.0.0:5432 \\",
    "SLUICE_SERVERS='a=10.0.0.1:5432;check,b=10.0.0.2:5432;check;backup' \\",
    "SLUICE_BALANCE=leastconn sluice",
    "```",
    "",
    "The frontend and the backend that this makes are both named `sluice`. " +
      "With a file as well, they",
    "stand beside the sections of the file, and the other flags win over what the file says.",
  ];
}
