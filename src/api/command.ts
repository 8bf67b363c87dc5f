/**
 * What a command of the runtime API is: words, level, help, and a function. The tables in
 * `commands/` hold all of them; `session.ts` reads lines, finds the command here and writes the
 * answer; `docs/runtime-api.md` is made of the same tables.
 */
import type { Json } from "../base/json.ts";
import type { Control } from "../control/control.ts";
import type { Change, Draft } from "../control/draft.ts";

/** What a connection may do: each level includes those before it. */
export const LEVELS = ["user", "operator", "admin"] as const;
export type Level = (typeof LEVELS)[number];

/** Syslog levels that `set severity-output` puts before messages. */
export const SEVERITY = { error: 3, warning: 4, notice: 5, info: 6 } as const;

/** Pieces of a long answer, made as the reader takes them: a piece ends where it likes. */
export type Pieces = Iterable<string> | AsyncIterable<string>;

/**
 * An answer. `message`: a sentence, which gets its severity in front when the connection wants it.
 * `output`: text as it stands. `pieces`: the same, streamed with the reader's pace; `close` is
 * called once when the reader has all or has gone. The session adds the empty line at the end.
 * `data` is the result for programs; where it is missing, the JSON form holds the text. Pieces with
 * `isJson` are themselves one JSON value, the result: for `json` before what is long.
 */
export type Reply =
  | { kind: "message"; severity: number; text: string; data?: Json }
  | { kind: "output"; text: string; data?: Json }
  | { kind: "pieces"; pieces: Pieces; close?: () => void; isJson?: boolean };

/** The connection that asks. Commands about the connection itself change it. */
export type Asker = {
  level: Level;
  isExpert: boolean;
  isExperimental: boolean;
  severityOutput: "none" | "number" | "string";
  /** Idle time after which it is closed, ms; 0 = never. */
  timeoutMs: number;
  prompt: "none" | "plain" | "timed" | "interactive";
  anonymKey: number;
  /** Closes the connection after this answer. */
  quits: boolean;
  /** Where it came from, for `show cli sockets` and the log. */
  readonly peer: string;
};

/** One call of a command. */
export type Call = {
  readonly control: Control;
  readonly asker: Asker;
  /** All words of the line; `name` of the command covers the first ones. */
  readonly words: readonly string[];
  /** The words after the command's own. */
  readonly args: readonly string[];
  /** What came behind `<<`; undefined = nothing. */
  readonly payload: string | undefined;
  /** The answer is wanted as JSON. */
  readonly isJson: boolean;
  /** Aborted when the client has gone, and by what the command's `endsAt` names. */
  readonly gone: AbortSignal;
};

/** What a command that waits or streams takes for the client's wish to end it. */
export type EndsAt = "half-close" | "any-input";

type CommandHead = {
  /** Its words: `show stat`. */
  name: string;
  /** Arguments as help shows them: `[<proxy>|*] [typed|json]`; "" = none. */
  usage: string;
  /** What it does, one line for `help`. */
  summary: string;
  level: Level;
  /** Needs `expert-mode on` or `experimental-mode on` on the connection. */
  mode?: "expert" | "experimental";
  /**
   * What aborts `gone` besides the client's leaving. `half-close`: the client has closed its side
   * and nothing that it sent waits (how socat and VTest send commands). `any-input`: that, or it
   * has sent something more. Left out: neither.
   */
  endsAt?: EndsAt | ((args: readonly string[]) => EndsAt | undefined);
  /** Its answer does not wait for the workers: what it makes is not used yet. */
  isUnused?: boolean;
  /** Takes a payload behind `<<`. */
  takesPayload?: boolean;
  /** Not listed by `help`. */
  isHidden?: boolean;
  /** Only answers that it is not here, and why. */
  isAbsent?: boolean;
  /** What `result` of its JSON form is, for the documentation; left out: null, or the version. */
  result?: string;
};

/** A command that shows something, or acts on what is no object. */
export type PlainCommand = CommandHead & { run(call: Call): Reply | Promise<Reply> };

/**
 * A command that changes objects: checked against a draft first, then made. `dry-run`, transactions
 * and `if-version` work on these.
 * @throws Refusal from both functions
 */
export type ChangeCommand = CommandHead & {
  prepare(call: Call, draft: Draft): Change;
  /** Objects whose versions it moves on: `<backend>/<server>`, `<backend>`. */
  touches?(call: Call): readonly string[];
};

export type Command = PlainCommand | ChangeCommand;

/** A sentence in HAProxy's way: severity, text without newline. */
export function message(severity: keyof typeof SEVERITY, text: string, data?: Json): Reply {
  const level = SEVERITY[severity];
  return { kind: "message", severity: level, text, ...(data === undefined ? {} : { data }) };
}

/** Text as it stands; a newline is added where it lacks one. */
export function output(text: string, data?: Json): Reply {
  return { kind: "output", text, ...(data === undefined ? {} : { data }) };
}

/** A long answer. */
export function pieces(made: Pieces, close?: () => void): Reply {
  return { kind: "pieces", pieces: made, ...(close === undefined ? {} : { close }) };
}
