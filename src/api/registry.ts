/**
 * Finding commands by their words, and what `help` and an unknown command answer: HAProxy's list,
 * one line a command, with the nearest ones first asked for. Commands are the tables of
 * `commands/index.ts`.
 */
import { editDistance } from "../config/suggest.ts";
import { LEVELS } from "./command.ts";
import type { Asker, Command, Level } from "./command.ts";
import { allCommands } from "./commands/index.ts";

/** A command and the words behind its own. */
export type FoundCommand = { command: Command; args: string[] };

/** Column at which help says what a command does. */
const SUMMARY_COLUMN = 40;
/** Commands that are named when the words are no command's. */
const NEAREST_MAX = 5;
/** Longest word that is compared with others. */
const COMPARED_LENGTH_MAX = 80;

/** What every list ends with. */
const ALWAYS = [
  helpLine("help [<command>]", "list matching or all commands"),
  helpLine("prompt [help | n | i | p | timed ]*", "toggle interactive mode with prompt"),
  helpLine("quit", "disconnect"),
];

type IndexEntry = { command: Command; count: number };

/** By name; made at the first look-up. */
let index: Map<string, IndexEntry> | undefined;
let wordsMax = 0;

/** The command whose name is the longest that the words begin with. */
export function findCommand(words: readonly string[]): FoundCommand | undefined {
  index ??= makeIndex();
  for (let count = Math.min(wordsMax, words.length); count > 0; count--) {
    const entry = index.get(count === 1 ? words[0]! : words.slice(0, count).join(" "));
    // A word may hold a blank of its own: it is no two words.
    if (entry?.count === count) return { command: entry.command, args: words.slice(count) };
  }
  return undefined;
}

function makeIndex(): Map<string, IndexEntry> {
  const made = new Map<string, IndexEntry>();
  for (const command of allCommands()) {
    const count = command.name.split(" ").length;
    made.set(command.name, { command, count });
    wordsMax = Math.max(wordsMax, count);
  }
  return made;
}

/** True when a connection of level `has` may do what needs level `needs`. */
export function allowsLevel(has: Level, needs: Level): boolean {
  return LEVELS.indexOf(has) >= LEVELS.indexOf(needs);
}

/** Why the connection may not run the command, in HAProxy's words; undefined: it may. */
export function denial(asker: Asker, command: Command): string | undefined {
  if (command.mode === "expert" && !asker.isExpert) {
    return "This command is restricted to expert mode only.";
  }
  if (command.mode === "experimental" && !asker.isExperimental) {
    return "This command is restricted to experimental mode only.";
  }
  return allowsLevel(asker.level, command.level) ? undefined : "Permission denied";
}

/** `help`: all commands of the connection's level, or those that are nearest to `words`. */
export function helpText(asker: Asker, words: readonly string[]): string {
  const head = "The following commands are valid at this level:";
  return [head, ...listing(asker, words), ...ALWAYS].join("\n");
}

/** The answer to words that are no command. */
export function unknownText(asker: Asker, words: readonly string[]): string {
  const [first = ""] = words;
  const lead = first === "" ? ". Please enter one of the following commands only:" : SUGGESTION;
  return [`Unknown command: '${first}'${lead}`, ...listing(asker, words), ...ALWAYS].join("\n");
}

const SUGGESTION = ", but maybe one of the following ones is a better match:";

/** Lines of help, sorted, for the commands that begin with the words, or are nearest to them. */
function listing(asker: Asker, words: readonly string[]): string[] {
  const visible = allCommands().filter((one) => one.isHidden !== true && isVisible(asker, one));
  const named = visible.map((command) => ({ command, name: command.name.split(" ") }));
  const matched = Math.max(0, ...named.map(({ name }) => commonCount(name, words)));
  const prefixed = named.filter(({ name }) => commonCount(name, words) >= matched);
  const rest = words.slice(matched).filter((word) => word !== "");
  const isWhole = rest.length === 0 || prefixed.some(({ name }) => name.length === matched);
  const chosen = isWhole
    ? prefixed.filter(({ name }) => rest.length === 0 || name.length === matched)
    : nearest(prefixed, matched, rest);
  const shown = chosen.length === 0 ? prefixed : chosen;
  return shown.map(({ command }) => lineOf(command)).sort();
}

type Named = { command: Command; name: string[] };

/** Commands whose further words are like `rest`, best first; few. */
function nearest(all: readonly Named[], from: number, rest: readonly string[]): Named[] {
  const scored = all.map((one) => {
    const further = one.name.slice(from, from + rest.length);
    const distance = rest.reduce((sum, word, i) => sum + likeness(word, further[i] ?? ""), 0);
    return { one, distance: distance / rest.length };
  });
  const near = scored.filter(({ distance }) => distance < 0.7);
  near.sort((a, b) => a.distance - b.distance);
  return near.slice(0, NEAREST_MAX).map(({ one }) => one);
}

/** 0: the same, or its beginning; 1: nothing in common. */
function likeness(word: string, known: string): number {
  if (word.length > COMPARED_LENGTH_MAX) return 1;
  if (known.startsWith(word)) return 0;
  const length = Math.max(word.length, known.length, 1);
  return editDistance(word.toLowerCase(), known) / length;
}

function commonCount(name: readonly string[], words: readonly string[]): number {
  let count = 0;
  while (count < name.length && name[count] === words[count]) count++;
  return count;
}

function isVisible(asker: Asker, command: Command): boolean {
  return denial(asker, command) === undefined;
}

function lineOf({ name, usage, summary }: Command): string {
  return helpLine(usage === "" ? name : `${name} ${usage}`, summary);
}

function helpLine(usage: string, summary: string): string {
  return `  ${usage.padEnd(SUMMARY_COLUMN)}: ${summary}`;
}
