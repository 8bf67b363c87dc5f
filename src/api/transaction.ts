/**
 * Changes that belong together, and what would happen: many commands are checked against one draft
 * before the first of them takes effect, and taken back in reverse order when one fails after all.
 *
 *   lines ─▶ commands ─▶ prepare all ─▶ apply, in order ─▶ versions
 *              └ refused: nothing has      └ fails: undo those before, last first
 *                changed
 */
import type { Json } from "../base/json.ts";
import { Refusal } from "../base/refusals.ts";
import { Draft } from "../control/draft.ts";
import type { Change } from "../control/draft.ts";
import type { Model } from "../control/model.ts";
import type { Call, ChangeCommand } from "./command.ts";
import { findBackend, findFrontend, serverOf } from "./find.ts";
import { splitLine } from "./lines.ts";
import type { RawCommand } from "./lines.ts";
import { denial, findCommand, unknownText } from "./registry.ts";

/** One command that was checked. */
export type Prepared = {
  /** Its words, as one line. */
  text: string;
  change: Change;
  /** Objects whose versions it moves on. */
  touched: readonly string[];
};

/** Refusals for objects that are no more. */
const GONE: ReadonlySet<string> = new Set(["NO_SERVER", "NO_BACKEND", "NO_FRONTEND"]);

/** Characters of a command that messages quote. */
const QUOTED_MAX = 200;

/** Names a frontend among objects with versions. */
const FRONTEND_PREFIX = "frontend:";

/** The commands of a text, one a line; empty lines and those that begin with `#` do not count. */
export function commandsOf(payload: string): { line: number; raw: RawCommand }[] {
  const found: { line: number; raw: RawCommand }[] = [];
  for (const [index, text] of payload.split("\n").entries()) {
    if (text.trim() === "" || text.trimStart().startsWith("#")) continue;
    for (const raw of splitLine(text).commands) {
      if (raw.words.length > 0 || raw.problem !== undefined) found.push({ line: index + 1, raw });
    }
  }
  return found;
}

/**
 * Checks one command against a draft, on which it leaves its effect.
 * @throws Refusal when it is no change, or is not possible
 */
export function prepareCommand(call: Call, raw: RawCommand, draft: Draft): Prepared {
  if (raw.problem !== undefined) throw new Refusal("BAD_ARGUMENT", raw.problem);
  const found = findCommand(raw.words);
  if (found === undefined) {
    throw new Refusal("UNKNOWN_COMMAND", unknownText(call.asker, raw.words));
  }
  const { command, args } = found;
  const denied = denial(call.asker, command);
  if (denied !== undefined) throw new Refusal("PERMISSION", denied);
  if (!("prepare" in command)) {
    throw new Refusal("BAD_ARGUMENT", `'${command.name}' is no command that changes objects.`);
  }
  const inner = innerCall(call, raw, args);
  const touched = touchedBy(command, inner);
  return { text: raw.words.join(" "), change: command.prepare(inner, draft), touched };
}

function innerCall(call: Call, raw: RawCommand, args: readonly string[]): Call {
  const { control, asker, isJson, gone } = call;
  return { control, asker, words: raw.words, args, payload: raw.payload, isJson, gone };
}

function touchedBy(command: ChangeCommand, call: Call): readonly string[] {
  return command.touches?.(call) ?? [];
}

/**
 * Checks all commands of a transaction. Those that take their time stand alone.
 * @throws Refusal that says which line, and why
 */
export function prepareAll(call: Call, payload: string): Prepared[] {
  const commands = commandsOf(payload);
  if (commands.length === 0) {
    throw new Refusal("BAD_ARGUMENT", "A transaction needs commands behind '<<', one a line.");
  }
  const draft = new Draft(call.control.model);
  return commands.map(({ line, raw }) => {
    try {
      const prepared = prepareCommand(call, raw, draft);
      if (prepared.change.isLong !== true) return prepared;
      throw new Refusal("BAD_ARGUMENT", "it takes its time, and cannot be part of a transaction.");
    } catch (error) {
      throw inLine(error, line, raw, "Nothing has changed.");
    }
  });
}

/** The same refusal, with the line that it is about. */
function inLine(error: unknown, line: number, { words }: RawCommand, tail: string): unknown {
  if (!(error instanceof Refusal)) return error;
  const text = `Line ${line}, '${shown(words)}': ${sentenceOf(error)} ${tail}`;
  return new Refusal(error.code, text, error.holders);
}

/** Words as a message quotes them. */
function shown(words: readonly string[]): string {
  const text = words.join(" ");
  return text.length <= QUOTED_MAX ? text : `${text.slice(0, QUOTED_MAX)}…`;
}

/** The sentence of a refusal, with a period; the list behind an unknown command is left out. */
function sentenceOf(refusal: Refusal): string {
  if (refusal.code === "UNKNOWN_COMMAND") return "Unknown command.";
  const [sentence = ""] = refusal.message.split("\n");
  return /[.:!?]$/.test(sentence) ? sentence : `${sentence}.`;
}

/**
 * Makes all changes, in order. When one fails, those before it are taken back, the last one first.
 * @param repair called after a failure that is none of the caller's: see `freeOwnLocks`
 * @returns what each answered
 * @throws Refusal that tells what was taken back, and what could not be
 */
export async function applyAll(
  all: readonly Prepared[],
  repair: () => void = () => undefined,
): Promise<{ text: string; data?: Json }[]> {
  const results: { text: string; data?: Json }[] = [];
  for (const [index, { text, change }] of all.entries()) {
    try {
      // Awaited only where it must be: else all are made in one turn, and nobody comes between.
      const made = change.apply();
      results.push(made instanceof Promise ? await made : made);
    } catch (error) {
      if (!(error instanceof Refusal)) repair();
      const told = await takeBack(all.slice(0, index), repair);
      if (!(error instanceof Refusal)) throw error;
      const sentence = `'${shown([text])}': ${sentenceOf(error)} ${told}`;
      throw new Refusal(error.code, sentence, error.holders);
    }
  }
  return results;
}

/** Takes changes back, the last one first. @returns what happened, for the answer */
async function takeBack(made: readonly Prepared[], repair: () => void): Promise<string> {
  const lost: string[] = [];
  for (const { text, change } of made.toReversed()) {
    const problem = await undoOf(change, repair);
    if (problem !== undefined) lost.push(`'${text}' (${problem})`);
  }
  const count = made.length - lost.length;
  const undone = `${count} change${count === 1 ? "" : "s"} before it taken back.`;
  return lost.length === 0 ? undone : `${undone} These stay made: ${lost.join(", ")}.`;
}

/** @returns why it stays made; undefined = it was taken back */
async function undoOf(change: Change, repair: () => void): Promise<string | undefined> {
  if (change.undo === undefined) return "it cannot be taken back";
  try {
    await change.undo();
    return undefined;
  } catch (error) {
    if (!(error instanceof Refusal)) repair();
    // What a later change has removed has nothing left to be taken back.
    else if (GONE.has(error.code)) return undefined;
    return error instanceof Error ? error.message : String(error);
  }
}

/** Versions of the objects that changes have touched; one that is gone has none. */
export function versionsOf(model: Model, all: readonly Prepared[]): Record<string, number> {
  const versions: Record<string, number> = {};
  for (const name of new Set(all.flatMap(({ touched }) => touched))) {
    const version = versionOf(model, name);
    if (version !== 0) versions[name] = version;
  }
  return versions;
}

/** Version of `<backend>/<server>`, `<backend>` or `frontend:<name>`; 0 = there is none. */
export function versionOf(model: Model, name: string): number {
  if (name.startsWith(FRONTEND_PREFIX)) {
    return findFrontend(model, name.slice(FRONTEND_PREFIX.length))?.version ?? 0;
  }
  if (!name.includes("/")) {
    const backend = findBackend(model, name);
    if (backend !== undefined) return backend.version;
    if (!name.startsWith("@")) return 0;
  }
  try {
    return serverOf(model, name).version;
  } catch {
    return 0;
  }
}

/**
 * Compares `<object>=<n>[,…]` with the versions that objects have now; 0 = there is no such object.
 * @throws Refusal VERSION that names the current ones
 */
export function checkVersions(model: Model, text: string): void {
  for (const one of text.split(",")) {
    const [, name, digits] = /^(.+)=(\d{1,15})$/su.exec(one) ?? [];
    if (name === undefined || digits === undefined) {
      throw new Refusal("BAD_ARGUMENT", `'${one}' is not <object>=<version>.`);
    }
    const [expected, current] = [Number(digits), versionOf(model, name)];
    if (current === expected) continue;
    const has = current === 0 ? `there is no ${name}` : `${name} is at version ${current}`;
    throw new Refusal("VERSION", `${has}, not at ${expected}.`);
  }
}
