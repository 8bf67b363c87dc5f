/** Commands that change how others are run: all or nothing, not at all, only at a known version. */
import { freeOwnLocks } from "../../balance/guard.ts";
import type { Json } from "../../base/json.ts";
import { Refusal } from "../../base/refusals.ts";
import { Draft } from "../../control/draft.ts";
import { message, output, pieces } from "../command.ts";
import type { Call, Command, PlainCommand, Reply } from "../command.ts";
import { wanted } from "../find.ts";
import { applyAll, checkVersions, prepareAll, prepareCommand, versionsOf } from "../transaction.ts";
import type { Prepared } from "../transaction.ts";
import { refuseMore } from "./server.ts";

const TRANSACTION = "transaction";

const transaction: PlainCommand = {
  name: TRANSACTION,
  usage: "<<",
  summary: "make several changes, all or none, one a line",
  level: "operator",
  takesPayload: true,
  run(call) {
    refuseMore(call.args, 0);
    return make(call, prepareAll(call, call.payload ?? ""));
  },
};

async function make(call: Call, all: readonly Prepared[]): Promise<Reply> {
  const { model, shop } = call.control;
  const results = await applyAll(all, () => freeOwnLocks(shop.lb));
  const count = `${all.length} change${all.length === 1 ? "" : "s"} made.`;
  const commands = all.map(({ text }, index): Json => {
    const { text: answer, data } = results[index]!;
    return { command: text, text: answer, result: data ?? null };
  });
  return message("info", count, { commands, versions: versionsOf(model, all) });
}

const dryRun: PlainCommand = {
  name: "dry-run",
  usage: "{ <command> | transaction << }",
  summary: "say what a change would do, and change nothing",
  level: "operator",
  takesPayload: true,
  run(call) {
    const all = prepareWords(call, call.args);
    const effects = all.map(({ change }) => change.effect);
    const lines = effects.map((effect) => `would do: ${effect}`);
    const commands = all.map(({ text, change }): Json => ({
      command: text,
      effect: change.effect,
    }));
    return output(lines.join("\n"), { commands });
  },
};

/** Checks the command in `words`, which may be a transaction. @throws Refusal */
function prepareWords(call: Call, words: readonly string[]): Prepared[] {
  wanted(words[0], "A command that changes something is expected.");
  if (words[0] === TRANSACTION) {
    refuseMore(words, 1);
    return prepareAll(call, call.payload ?? "");
  }
  if (call.payload !== undefined) {
    throw new Refusal("BAD_ARGUMENT", `'${words.join(" ")}' takes no payload.`);
  }
  const raw = { words: [...words], payload: undefined, problem: undefined };
  return [prepareCommand(call, raw, new Draft(call.control.model))];
}

const ifVersion: PlainCommand = {
  name: "if-version",
  usage: "<object>=<version>[,…] { <command> | transaction << }",
  summary: "make a change only if objects have the versions that the caller knows",
  level: "operator",
  takesPayload: true,
  run(call) {
    const { control, args } = call;
    const versions = wanted(args[0], "<object>=<version> is expected.");
    checkVersions(control.model, versions);
    const words = args.slice(1);
    const all = prepareWords(call, words);
    return words[0] === TRANSACTION ? make(call, all) : makeOne(call, all[0]!);
  },
};

async function makeOne(call: Call, prepared: Prepared): Promise<Reply> {
  const made = prepared.change.apply();
  const result = made instanceof Promise ? await made : made;
  if (result.pieces !== undefined) return pieces(result.pieces);
  const versions = versionsOf(call.control.model, [prepared]);
  const [first] = Object.values(versions);
  const version = first === undefined ? {} : { version: first };
  return message("info", result.text, { ...version, versions, result: result.data ?? null });
}

/** The table. */
export const TRANSACTION_COMMANDS: readonly Command[] = [transaction, dryRun, ifVersion];
