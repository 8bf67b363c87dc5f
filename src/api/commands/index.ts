/**
 * All commands of the runtime API: the tables of the topics, one line each. A name that stands in
 * two tables is a mistake that a test finds.
 */
import type { Command } from "../command.ts";
import { ABSENT_COMMANDS } from "./absent.ts";
import { COMPLETE_COMMANDS } from "./complete.ts";
import { CONNECTION_COMMANDS } from "./connection.ts";
import { GLOBAL_COMMANDS } from "./globals.ts";
import { INFO_COMMANDS } from "./info.ts";
import { LIFE_COMMANDS } from "./life.ts";
import { MACHINE_COMMANDS } from "./machine.ts";
import { OBSERVE_COMMANDS } from "./observe.ts";
import { OUTLIER_COMMANDS } from "./outliers.ts";
import { PROCESS_COMMANDS } from "./process.ts";
import { PROXY_COMMANDS } from "./proxy.ts";
import { QUIC_COMMANDS } from "./quic.ts";
import { RESOLVERS_COMMANDS } from "./resolvers.ts";
import { SERVER_COMMANDS } from "./server.ts";
import { SERVERS_STATE_COMMANDS } from "./servers-state.ts";
import { SESSION_COMMANDS } from "./sessions.ts";
import { STAT_COMMANDS } from "./stat.ts";
import { STATE_COMMANDS } from "./state.ts";
import { TRANSACTION_COMMANDS } from "./transaction.ts";

let joined: readonly Command[] | undefined;

/** Every command, in no particular order. Joined at the first call: tables may refer to it. */
export function allCommands(): readonly Command[] {
  joined ??= [
    ...ABSENT_COMMANDS,
    ...COMPLETE_COMMANDS,
    ...CONNECTION_COMMANDS,
    ...GLOBAL_COMMANDS,
    ...INFO_COMMANDS,
    ...LIFE_COMMANDS,
    ...MACHINE_COMMANDS,
    ...OBSERVE_COMMANDS,
    ...OUTLIER_COMMANDS,
    ...PROCESS_COMMANDS,
    ...PROXY_COMMANDS,
    ...QUIC_COMMANDS,
    ...RESOLVERS_COMMANDS,
    ...SERVER_COMMANDS,
    ...SERVERS_STATE_COMMANDS,
    ...SESSION_COMMANDS,
    ...STAT_COMMANDS,
    ...STATE_COMMANDS,
    ...TRANSACTION_COMMANDS,
  ];
  return joined;
}
