/** Commands that change limits of the process, and its environment (management manual 9.3). */
import { Refusal } from "../../base/refusals.ts";
import {
  prepareEnvironment,
  prepareGlobalMaxconn,
  prepareRate,
} from "../../control/change/globals.ts";
import type { Call, ChangeCommand, Command } from "../command.ts";
import { wanted } from "../find.ts";
import { refuseMore } from "./server.ts";

const NEEDS_VALUE = "Expects an integer value.";

const setMaxconn: ChangeCommand = {
  name: "set maxconn global",
  usage: "<value>",
  summary: "change how many connections the process takes",
  level: "admin",
  prepare(call) {
    const word = wanted(call.args[0], NEEDS_VALUE);
    refuseMore(call.args, 1);
    return prepareGlobalMaxconn(call.control, word);
  },
};

const RATES = `'set rate-limit' only supports :
   - 'connections global' to set the per-process maximum connection rate
   - 'sessions global' to set the per-process maximum session rate
   - 'ssl-sessions global' to set the per-process maximum SSL session rate
   - 'http-compression global' to set the per-process maximum compression speed in kB/s`;

const setRate: ChangeCommand = {
  name: "set rate-limit",
  usage: "{connections|sessions} global <value>",
  summary: "change how many connections the process takes in a second",
  level: "admin",
  prepare(call) {
    const rate = rateOf(call);
    const word = wanted(call.args[2], NEEDS_VALUE);
    refuseMore(call.args, 3);
    return prepareRate(call.control, rate, word);
  },
};

function rateOf({ args }: Call): "connections" | "sessions" {
  const [what, scope] = args;
  if (scope === "global" && (what === "connections" || what === "sessions")) return what;
  if (scope === "global" && (what === "ssl-sessions" || what === "http-compression")) {
    throw new Refusal(
      "NOT_HERE",
      `'${what}' does not apply: connections are passed on as they are.`,
    );
  }
  throw new Refusal("BAD_ARGUMENT", RATES);
}

const setEnvironment: ChangeCommand = {
  name: "set env",
  usage: "<name> <value>",
  summary: "set a variable of the environment",
  level: "admin",
  prepare(call) {
    const [name, value] = call.args;
    const text = "Usage: set env <name> <value>.";
    if (value === undefined) throw new Refusal("BAD_ARGUMENT", text);
    refuseMore(call.args, 2);
    return prepareEnvironment(call.control, wanted(name, text), value);
  },
};

/** The table. */
export const GLOBAL_COMMANDS: readonly Command[] = [setMaxconn, setRate, setEnvironment];
