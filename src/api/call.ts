/**
 * One command that runs: finds it, checks level and mode, runs it, turns a refusal into its answer.
 * `transaction.ts` has the commands whose first word changes how the others are run.
 */
import { freeOwnLocks } from "../balance/guard.ts";
import { describeError } from "../base/assert.ts";
import type { Json } from "../base/json.ts";
import { Refusal } from "../base/refusals.ts";
import type { RefusalCode } from "../base/refusals.ts";
import type { Control } from "../control/control.ts";
import { Draft } from "../control/draft.ts";
import type { ChangeResult } from "../control/draft.ts";
import { message, pieces, SEVERITY } from "./command.ts";
import type { Asker, Call, ChangeCommand, Command, EndsAt, Reply } from "./command.ts";
import type { RawCommand } from "./lines.ts";
import { denial, findCommand, unknownText } from "./registry.ts";
import { versionOf } from "./transaction.ts";

/** What a command answered. `refusal`: it was turned down; `code` is then not OK. */
export type Outcome = {
  code: "OK" | RefusalCode;
  reply: Reply;
  refusal: Refusal | undefined;
};

/** The word before a command whose answer is wanted as JSON. */
const JSON_WORD = "json";

/** The answer to `@1 show info` and its kin. */
const NO_MASTER = "There is no master process whose workers '@' could name: leave the prefix out.";

/** A command as it runs, with the client's leaving. */
export class RunningCall implements Call {
  readonly control: Control;
  readonly asker: Asker;
  readonly words: readonly string[];
  readonly payload: string | undefined;
  readonly isJson: boolean;
  /** Empty until the command is found. */
  args: readonly string[] = [];
  /** What besides leaving ends it. */
  endsAt: EndsAt | undefined;
  /**
   * Whether its answer waits for the workers: a server that was added before and is enabled now
   * takes traffic once they know it. Undefined: if it changes anything.
   */
  settles: boolean | undefined;
  #gone: AbortController | undefined;
  #isGone = false;
  readonly #isLeft: (endsAt: EndsAt) => boolean;

  /** @param isLeft true when the client has done what ends a command of that kind */
  constructor(
    control: Control,
    asker: Asker,
    raw: RawCommand,
    isLeft: (endsAt: EndsAt) => boolean = () => false,
  ) {
    this.#isLeft = isLeft;
    this.control = control;
    this.asker = asker;
    this.isJson = raw.words[0] === JSON_WORD;
    this.words = this.isJson ? raw.words.slice(1) : raw.words;
    this.payload = raw.payload;
  }

  get gone(): AbortSignal {
    this.#gone ??= new AbortController();
    if (this.#isGone) this.#gone.abort();
    return this.#gone.signal;
  }

  /** The client has done something: it may be what ends this command. */
  abortIfLeft(): void {
    if (this.endsAt !== undefined && this.#isLeft(this.endsAt)) this.abort();
  }

  /** The client has gone, or wants an end. */
  abort(): void {
    this.#isGone = true;
    this.#gone?.abort();
  }
}

/**
 * Runs a command. Never throws. Synchronous where the command is.
 * @param work what is run: the command that the words name
 */
export function runCommand(
  call: RunningCall,
  raw: RawCommand,
  work: () => Reply | Promise<Reply> = () => findAndRun(call),
): Outcome | Promise<Outcome> {
  try {
    if (raw.problem !== undefined) throw new Refusal("BAD_ARGUMENT", raw.problem);
    const reply = work();
    return reply instanceof Promise
      ? reply.then(succeeded, (error: unknown) => failed(call, error))
      : succeeded(reply);
  } catch (error) {
    return failed(call, error);
  }
}

function succeeded(reply: Reply): Outcome {
  return { code: "OK", reply, refusal: undefined };
}

/** The answer of a command that was refused or has failed. */
export function failed(call: Call, error: unknown): Outcome {
  if (error instanceof Refusal) {
    // To HAProxy the list of commands is information, not an error.
    const severity = error.code === "UNKNOWN_COMMAND" ? "info" : "error";
    return { code: error.code, reply: message(severity, error.message), refusal: error };
  }
  freeOwnLocks(call.control.shop.lb);
  const text = describeError(error);
  const stack = error instanceof Error && error.stack !== undefined ? `\n${error.stack}` : "";
  call.control.say("alert", `runtime API : '${call.words.join(" ")}' failed: ${text}${stack}`);
  return {
    code: "INTERNAL",
    reply: message("error", `Internal error: ${text}`),
    refusal: undefined,
  };
}

function findAndRun(call: RunningCall): Reply | Promise<Reply> {
  const { asker, words } = call;
  const found = findCommand(words);
  if (found === undefined) {
    if (words[0]?.startsWith("@") === true) throw new Refusal("NOT_YET", NO_MASTER);
    throw new Refusal("UNKNOWN_COMMAND", unknownText(asker, words));
  }
  const { command } = found;
  const denied = denial(asker, command);
  if (denied !== undefined) throw new Refusal("PERMISSION", denied);
  if (call.payload !== undefined && command.takesPayload !== true) {
    throw new Refusal("BAD_ARGUMENT", `'${command.name}' takes no payload.`);
  }
  call.args = found.args;
  if (command.isUnused === true) call.settles = false;
  else if ("prepare" in command) call.settles = true;
  call.endsAt = typeof command.endsAt === "function" ? command.endsAt(call.args) : command.endsAt;
  call.abortIfLeft();
  return runFound(call, command);
}

/** Runs a command that was found and is allowed; a change is made at once. @throws Refusal */
export function runFound(call: Call, command: Command): Reply | Promise<Reply> {
  if ("run" in command) return command.run(call);
  const change = command.prepare(call, new Draft(call.control.model));
  const made = change.apply();
  const reply = (result: ChangeResult): Reply => changed(call, command, result);
  return made instanceof Promise ? made.then(reply) : reply(made);
}

function changed(call: Call, command: ChangeCommand, { text, data, ...more }: ChangeResult): Reply {
  if (more.pieces !== undefined) return pieces(more.pieces);
  const reply = { kind: "message", severity: SEVERITY.info, text } as const;
  const result = call.isJson ? withVersion(call, command, data) : data;
  return result === undefined ? reply : { ...reply, data: result };
}

/** The result of a change for programs, with the version that its object has now. */
function withVersion(call: Call, command: ChangeCommand, data: Json | undefined): Json | undefined {
  const [name] = command.touches?.(call) ?? [];
  const version = name === undefined ? 0 : versionOf(call.control.model, name);
  if (version === 0) return data;
  if (data === undefined || data === null) return { version };
  return typeof data === "object" && !Array.isArray(data) ? { ...data, version } : data;
}
