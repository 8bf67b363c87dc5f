/** Commands about what outlives the process: stats files and the state file (docs/state.md). */
import { Refusal } from "../../base/refusals.ts";
import type { Control } from "../../control/control.ts";
import type { SaverFacts, StateSaver } from "../../control/state/saver.ts";
import { dumpStatsFile } from "../../control/state/stats-file.ts";
import { statisticsOf } from "../../control/stats/statistics.ts";
import { message, output, pieces } from "../command.ts";
import type { Command, PlainCommand } from "../command.ts";

const dumpStats: PlainCommand = {
  name: "dump stats-file",
  usage: "",
  summary: "print counters by GUID, for 'stats-file' of a later start",
  level: "operator",
  run({ control, args }) {
    if (args.length > 0) throw new Refusal("BAD_ARGUMENT", "'dump stats-file' takes no argument.");
    const { shards, quic } = statisticsOf(control);
    const epochSeconds = (): number => control.clock.epochMicros() / 1e6;
    return pieces(dumpStatsFile(control.model, shards, epochSeconds, quic));
  },
};

/** The saver. @throws Refusal where there is no state file */
function saverOf({ saver }: Control): StateSaver {
  if (saver !== null) return saver;
  throw new Refusal("WRONG_STATE", "No state file is written (SLUICE_STATE_FILE).");
}

/** Facts as `name: value` lines, in order. */
function describe(facts: Readonly<SaverFacts>, epochMs: number): [string, string | number][] {
  const isWritten = facts.writtenEpochMs > 0;
  return [
    ["path", facts.path],
    ["dirty", facts.isDirty ? "yes" : "no"],
    ["written", isWritten ? new Date(facts.writtenEpochMs).toISOString() : "never"],
    ["age_ms", isWritten ? Math.max(0, Math.round(epochMs - facts.writtenEpochMs)) : -1],
    ["size_bytes", facts.bytes],
    ["writes", facts.writes],
    ["failures", facts.failures],
    ["last_failure", facts.lastFailure],
    ["interval_ms", facts.intervalMs],
    ["took_ms", Math.round(facts.tookMs)],
    ["busy_ms", Math.round(facts.busyMs)],
    ["longest_turn_ms", Math.round(facts.longestTurnMs)],
  ];
}

const showState: PlainCommand = {
  name: "show state",
  usage: "",
  summary: "tell when the state file was written, and whether it has all changes",
  level: "operator",
  run({ control, args }) {
    if (args.length > 0) throw new Refusal("BAD_ARGUMENT", "'show state' takes no argument.");
    const rows = describe(saverOf(control).facts, control.clock.epochMicros() / 1000);
    const text = rows.map(([name, value]) => `${name}: ${value}\n`).join("");
    return output(text, Object.fromEntries(rows));
  },
};

/** Names beside the state file: no folders, not those of refused and of unfinished files. */
const NAME = /^(?!\.)[A-Za-z0-9_.-]{1,128}$/u;
const TAKEN = /\.(?:rejected|new|last)-\d+$/u;

const saveState: PlainCommand = {
  name: "save state",
  usage: "[<name>]",
  summary: "write the state file now, or a copy beside it",
  level: "admin",
  async run({ control, args }) {
    const [name] = args;
    const saver = saverOf(control);
    if (args.length > 1) throw new Refusal("BAD_ARGUMENT", "'save state' expects [<name>].");
    if (name !== undefined && (!NAME.test(name) || TAKEN.test(name))) {
      throw new Refusal("BAD_ARGUMENT", `'${name}' is no name of a file beside the state file.`);
    }
    await saver.save(name);
    return message("info", "State saved.");
  },
};

/** The table. */
export const STATE_COMMANDS: readonly Command[] = [dumpStats, saveState, showState];
