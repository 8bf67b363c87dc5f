/** Deliberately broken copies of the checks: see mutants.ts. */
import type { Mutant } from "./mutants.ts";

export const CHECK_MUTANTS: readonly Mutant[] = [
  {
    name: "news of another epoch count",
    file: "control/checks/desk.ts",
    find: "entry !== undefined && entry.epoch === news.epoch",
    replace: "entry !== undefined",
    caughtBy: /those of the model/,
  },
  {
    name: "a check that was given up may still answer",
    file: "check/checker.ts",
    find: "const isCurrent = (): boolean => round === entry.round && entry.isProbing;",
    replace: "const isCurrent = (): boolean => true;",
    caughtBy: /those of the model|one probe at a time|when they are due/,
  },
  {
    name: "an agent that is silent counts as ill",
    file: "check/checker.ts",
    find: 'schedule.kind === "agent" && !isGood && result.code !== "L7STS"',
    replace: "false",
    caughtBy: /those of the model/,
  },
  {
    name: "a server is up although its agent says no",
    file: "control/checks/desk.ts",
    find: "if (!hasPassed(result) || !this.isOtherWell(entry)) return;",
    replace: "if (!hasPassed(result)) return;",
    caughtBy: /changes are those of the model/,
  },
  {
    name: "one pass too few brings a server up",
    file: "check/health.ts",
    find: "return health + 1 >= check.rise ? full : health + 1;",
    replace: "return health + 2 >= check.rise ? full : health + 1;",
    caughtBy: /those of the model/,
  },
  {
    name: "a server that is coming up is asked at its slow pace",
    file: "check/health.ts",
    find: "return health === 0 ? check.downIntervalMs : check.fastIntervalMs;",
    replace: "return health < check.rise ? check.downIntervalMs : check.fastIntervalMs;",
    caughtBy: /when they are due/,
  },
  {
    name: "a thread goes on with counts that control has not heard of",
    file: "check/station.ts",
    find: "    this.checker.recount(post, order.health);\n",
    replace: "",
    caughtBy: /those of the model/,
  },
  {
    name: "timeout check is not looked at",
    file: "check/checker.ts",
    find: "if (isCurrent() && checkMs !== TIME_UNSET) this.#limit(entry, checkMs);",
    replace: "",
    caughtBy: /time limits/,
  },
  {
    name: "results that are found while it sleeps in maintenance count",
    file: "check/station.ts",
    find: "return post.isAgent || state !== SERVER_STATE_MAINT;",
    replace: "return true;",
    caughtBy: /those of the model|when they are due/,
  },
  {
    name: "a pause of the machine counts as silence of the servers",
    file: "check/checker.ts",
    find: "      entry.limitAtMs += this.#pausedMs - entry.pausedMs;\n",
    replace: "",
    caughtBy: /time limits/,
  },
];
