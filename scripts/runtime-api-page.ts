/** `docs/runtime-api.md` from the tables of src/api/commands and src/base/refusals.ts. */
import type { Command } from "../src/api/command.ts";
import { allCommands } from "../src/api/commands/index.ts";
import {
  API_LINE_BYTES_MAX,
  API_PAYLOAD_BYTES_MAX,
  API_PAYLOAD_PATTERN_MAX,
  API_WORDS_MAX,
} from "../src/base/limits.ts";
import { REFUSALS } from "../src/base/refusals.ts";

const INTRODUCTION = `# The runtime API

This page is generated from src/api/commands (\`bun scripts/generate-docs.ts\`).

A \`stats socket\` line, or \`SLUICE_STATS_SOCKET\`, opens a socket that takes commands while
the process runs: the commands of HAProxy's management manual 9.3 with the same words and
answers, and more. \`sluice ctl\` is its client; \`socat\`, hatop, exporters and scripts made
for HAProxy work too.

    global
        stats socket /run/sluice.sock mode 600 level admin
        stats timeout 2m

    $ echo "show info; show stat" | socat /run/sluice.sock stdio
    $ sluice ctl disable server web/s1
    $ sluice ctl                        # a prompt; the tab key completes commands and names

A socket may be a path, \`abns@NAME\`, an address and port, or \`fd@N\`, a descriptor that is
inherited and already listens. \`level\` says what its clients may do: \`user\` sees what is not
sensitive, \`operator\` sees all and does what is harmless, \`admin\` changes everything.
\`stats maxconn\` (10) bounds the clients at a time: more wait. \`stats timeout\` (10s) ends a
connection whose client is idle.

## Lines and answers

- A line holds one command or several, parted by \`;\`. Answers come in order, each ended by an
  empty line; no answer holds one. A change that has nothing to say answers with the empty line
  alone.
- Without \`prompt\` the connection ends when what has come is answered. \`prompt i\` keeps it
  open, for programs; \`prompt\` does so with a prompt, for people.
- A client may close its side after its last line: it is answered to the end. A line without its
  newline is not run. What waits (\`wait\` with a condition) ends at the half close as it does
  with HAProxy, unless more commands follow.
- Words are parted by blanks. A backslash takes the next character as it is. Other than with
  HAProxy, a quote (\`"…"\`, \`'…'\`) that begins a word goes up to its like; in \`"…"\`
  backslashes work.
- \`<<\` as the last word: the lines that follow, up to an empty one, are the command's payload;
  \`<<MARK\`: up to a line MARK.
- Limits: a line ${API_LINE_BYTES_MAX} bytes, a command ${API_WORDS_MAX} words, a payload
  ${API_PAYLOAD_BYTES_MAX} bytes, a mark ${API_PAYLOAD_PATTERN_MAX} characters.
- Long answers are made as the client reads them: a slow reader costs no memory and delays
  nobody.
- \`set severity-output number\` (or \`string\`) puts \`[3]: \` before a message: 3 is a
  refusal.

## Names

A backend, frontend or proxy is named by its name or by \`#\` and its id; a server by
\`<backend>/<server>\`. Where a name is taken, \`@guid:<guid>\` names an object by its GUID.

## For programs: JSON, versions, transactions

\`json\` before a command makes its answer one line of JSON:

    > json set weight web/s1 50
    {"code":"OK","severity":6,"text":"","result":{"version":2},"version":2}

    > json del server web/s1
    {"code":"WRONG_STATE","severity":3,"text":"…","result":null,"holders":[…]}

- \`code\` is \`OK\` or a code of the table below, and stays the same between releases, as
  sentences may not. \`text\` is what people are told. \`result\` is the answer as data, or
  null. \`holders\` lists who keeps an object from being changed: \`kind\`, \`text\`, and where
  there is one the command that clears it.
- Of a long answer, \`text\` (or \`result\`) comes first and is streamed, \`code\` follows.
- \`version\` counts the changes that were asked for on the object. \`if-version web/s1=2
  COMMAND\` makes a change only if that is still its version, and refuses with \`VERSION\`
  otherwise.
- \`transaction <<\` takes commands that change objects, one a line: all are checked before the
  first takes effect, and all are made or none: when one fails after all, those before it are
  taken back, and the answer names what could not be. \`dry-run COMMAND\` and \`dry-run
  transaction <<\` say what would happen. The three can be combined: \`json if-version web=4
  transaction <<\`. Below, the commands that can stand there are marked as changes.

    $ printf 'json transaction <<\\nadd server web/s9 10.0.0.9:80\\nenable server web/s9\\n\\n' |
        socat - /run/sluice.sock

## Codes
`;

const OUTLINE: [first: string, title: string][] = [
  ["show", "Reading: `show`"],
  ["get", "Reading: `get`"],
  ["why", "Reading: `why`"],
  ["set", "Changing: `set`"],
  ["enable", "Changing: `enable`"],
  ["disable", "Changing: `disable`"],
  ["publish", "Lives: `publish`, `unpublish`"],
  ["add", "Lives: `add`"],
  ["del", "Lives: `del`"],
  ["wait", "Lives: `wait`"],
  ["shutdown", "Ending: `shutdown`"],
  ["clear", "Counters: `clear`"],
];
const SAME_SECTION: Record<string, string> = { unpublish: "publish" };
const OTHERS = "Others";

/** `docs/runtime-api.md`. */
export function runtimeApiPage(): string {
  const codes = Object.entries(REFUSALS).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`);
  const lines = [INTRODUCTION, "| code | why |", "|---|---|", ...codes];
  const absent = allCommands().filter(isAbsent);
  const present = allCommands().filter((command) => !isAbsent(command));
  for (const [first, title] of [...OUTLINE, ["", OTHERS] as [string, string]]) {
    const commands = present.filter((command) => sectionOf(command) === first);
    if (commands.length === 0) continue;
    lines.push("", `## ${title}`, "");
    for (const command of commands.toSorted(byName)) lines.push(...entryOf(command));
  }
  lines.push(
    "",
    "## What is not here",
    "",
    "These commands of HAProxy answer by name that they belong to a later release (`NOT_YET`), or",
    "do not apply to a layer-4 proxy (`NOT_HERE`):",
    "",
    ...absent.toSorted(byName).map((command) => `- \`${headOf(command)}\``),
  );
  return `${lines.join("\n")}\n`;
}

function isAbsent(command: Command): boolean {
  return command.isAbsent === true;
}

function byName(one: Command, other: Command): number {
  return one.name < other.name ? -1 : 1;
}

function sectionOf({ name }: Command): string {
  const first = name.split(" ", 1)[0] ?? "";
  const section = SAME_SECTION[first] ?? first;
  return OUTLINE.some(([known]) => known === section) ? section : "";
}

function headOf({ name, usage }: Command): string {
  return usage === "" ? name : `${name} ${usage}`;
}

function entryOf(command: Command): string[] {
  const notes = [`level ${command.level}`];
  if (command.mode !== undefined) notes.push(`${command.mode} mode`);
  if (command.takesPayload === true) notes.push("takes a payload");
  if ("prepare" in command) notes.push("change");
  const lines = [`- \`${headOf(command)}\``, `  (${notes.join("; ")}): ${command.summary}.`];
  if (command.result !== undefined) lines.push(`  JSON: ${command.result}.`);
  return lines;
}
