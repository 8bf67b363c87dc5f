/**
 * `complete WORDS…`: what the last word may become, one candidate a line. `sluice ctl` asks it for
 * the tab key: commands come from the table, names from the objects, words from the usage.
 */
import type { Control } from "../../control/control.ts";
import { output } from "../command.ts";
import type { Asker, Call, Command, Reply } from "../command.ts";
import { denial, findCommand } from "../registry.ts";
import { allCommands } from "./index.ts";

/** Candidates of one answer: more help nobody. */
const CANDIDATES_MAX = 1_000;

/** The commands. */
export const COMPLETE_COMMANDS: readonly Command[] = [
  {
    name: "complete",
    usage: "[<word>]*",
    summary: "list what the last word may become",
    level: "user",
    isHidden: true,
    run: complete,
  },
];

function complete({ control, asker, args }: Call): Reply {
  const words = args[0] === "json" ? args.slice(1) : args;
  const partial = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const found = new Set(commandWords(asker, before, partial));
  // Under `set anon on` no names of objects are told.
  const named = asker.anonymKey === 0 ? argumentWords(control, asker, before, partial) : [];
  for (const name of named) {
    if (found.size >= CANDIDATES_MAX) break;
    found.add(name);
  }
  const sorted = [...found].sort();
  return output(sorted.map((name) => `${name}\n`).join(""), sorted);
}

/** Next words of commands that begin with the words before. */
function commandWords(asker: Asker, before: readonly string[], partial: string): string[] {
  return allCommands().flatMap((command) => {
    if (command.isHidden === true || denial(asker, command) !== undefined) return [];
    const name = command.name.split(" ");
    const next = name[before.length];
    const isNext = next?.startsWith(partial) === true && before.every((w, i) => w === name[i]);
    return isNext ? [next] : [];
  });
}

/** What the usage of the command says about its argument at this place. */
function* argumentWords(
  control: Control,
  asker: Asker,
  before: readonly string[],
  partial: string,
): Generator<string> {
  const found = findCommand(before);
  if (found === undefined || denial(asker, found.command) !== undefined) return;
  const places = found.command.usage.split(" ").filter((place) => place !== "");
  // Behind the last place of the usage, options are repeated.
  const place = places[found.args.length] ?? places.at(-1) ?? "";
  const bare = place.replace(/[[\]{}*]/g, "");
  if (bare.includes("<backend>/<server>")) yield* serverNames(control, partial);
  for (const one of bare.split("|")) {
    if (one === "<backend>") yield* matching(control.model.backends.keys(), partial);
    else if (one === "<frontend>") yield* matching(control.model.frontends.keys(), partial);
    else if (one === "<proxy>") yield* proxyNames(control, partial);
    else if (one === "<defaults>") yield* matching(control.runtime.defaultsNames, partial);
    else if (/^\w[\w-]*$/.test(one) && one.startsWith(partial)) yield one;
  }
}

function* matching(names: Iterable<string>, partial: string): Generator<string> {
  for (const name of names) if (name.startsWith(partial)) yield name;
}

function* proxyNames({ model }: Control, partial: string): Generator<string> {
  yield* matching(model.backends.keys(), partial);
  yield* matching(model.frontends.keys(), partial);
}

/** Backends with a stroke, and the servers of the one that is named. */
function* serverNames({ model }: Control, partial: string): Generator<string> {
  const stroke = partial.indexOf("/");
  if (stroke < 0) {
    for (const name of matching(model.backends.keys(), partial)) yield `${name}/`;
    return;
  }
  const backend = partial.slice(0, stroke);
  const servers = model.backends.get(backend)?.serversByName.keys() ?? [];
  for (const name of matching(servers, partial.slice(stroke + 1))) yield `${backend}/${name}`;
}
