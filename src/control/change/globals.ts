/** Limits of the process on an operator's request, and the environment that it shows. */
import { Refusal } from "../../base/refusals.ts";
import {
  PROCESS_MAXCONN,
  PROCESS_MAXCONNRATE,
  PROCESS_MAXSESSRATE,
} from "../../tables/generated/process.ts";
import type { Control } from "../control.ts";
import type { Change } from "../draft.ts";
import { wakeListeners } from "./wake.ts";

/** The part of control that changes of the process need. */
export type GlobalControl = Pick<Control, "tables" | "events" | "environment" | "maxconnHard">;

const WORD_MAX = 2 ** 31 - 1;

/** `set maxconn global`: at most what the start allowed, 0 = that. @throws Refusal */
export function prepareGlobalMaxconn(control: GlobalControl, word: string): Change {
  const value = parseValue(word, control.maxconnHard);
  const wanted = value === 0 ? control.maxconnHard : value;
  return cellChange(
    control,
    PROCESS_MAXCONN,
    wanted,
    `limits the process to ${wanted} connections`,
  );
}

/** `set rate-limit`: which rate. */
export type Rate = "connections" | "sessions";

/** `set rate-limit … global`: 0 = no limit. @throws Refusal */
export function prepareRate(control: GlobalControl, rate: Rate, word: string): Change {
  const value = parseValue(word, WORD_MAX);
  const cell = rate === "connections" ? PROCESS_MAXCONNRATE : PROCESS_MAXSESSRATE;
  const limit = value === 0 ? "any number of" : `${value}`;
  return cellChange(control, cell, value, `lets ${limit} ${rate} in a second`);
}

function parseValue(word: string, max: number): number {
  if (!/^[+-]?\d+$/u.test(word)) throw new Refusal("BAD_ARGUMENT", "Expects an integer value.");
  const value = Number(word);
  if (value < 0 || value > max) throw new Refusal("BAD_ARGUMENT", "Value out of range.");
  return value;
}

/** One number of the process's row; workers look at it again. */
function cellChange(control: GlobalControl, cell: number, value: number, effect: string): Change {
  const { tables, events } = control;
  const { words } = tables.process;
  const write = (to: number): void => {
    if (words[cell] === to) return;
    words[cell] = to;
    wakeListeners(tables, 0);
    events.tell({ kind: "globals-changed", text: effect });
  };
  let before = value;
  return {
    effect,
    apply: () => {
      before = words[cell]!;
      write(value);
      return { text: "" };
    },
    undo: () => write(before),
  };
}

/** Longest name and value of a variable, in characters. */
const NAME_LENGTH_MAX = 255;
const VALUE_LENGTH_MAX = 8192;

/** `set env <name> <value>`: what `show env` and log formats see. @throws Refusal */
export function prepareEnvironment(control: GlobalControl, name: string, value: string): Change {
  const { environment, events } = control;
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/u.test(name) || name.length > NAME_LENGTH_MAX) {
    throw new Refusal("BAD_ARGUMENT", `'${name}' is no name of a variable.`);
  }
  if (value.length > VALUE_LENGTH_MAX || value.includes("\0")) {
    throw new Refusal("BAD_ARGUMENT", "The value is too long, or no text.");
  }
  let before: string | undefined;
  return {
    effect: `sets the variable ${name}`,
    apply: () => {
      before = environment.get(name);
      environment.set(name, value);
      events.tell({ kind: "globals-changed", text: `variable ${name} set` });
      return { text: "" };
    },
    undo: () => {
      if (before === undefined) environment.delete(name);
      else environment.set(name, before);
      events.tell({ kind: "globals-changed", text: `variable ${name} as it was` });
    },
  };
}
