/**
 * Statistics: `show stat`, `clear counters` (HAProxy management manual 9.3; columns: 9.1), and
 * `show schema json`.
 */
import { Refusal } from "../../base/refusals.ts";
import { serverName } from "../../control/model.ts";
import { controlNames } from "../../control/names/names.ts";
import { ALL_STATS, dumpStats } from "../../control/stats/dump.ts";
import type { StatFilter, StatFormat } from "../../control/stats/dump.ts";
import { AT } from "../../control/stats/fields.ts";
import type { StatRow } from "../../control/stats/fields.ts";
import { observersOf } from "../../control/stats/observers.ts";
import { makeSchema } from "../../control/stats/schema-json.ts";
import { statisticsOf } from "../../control/stats/statistics.ts";
import { anonymAddress, anonymName } from "../anonymize.ts";
import { message, output, pieces } from "../command.ts";
import type { Asker, Call, Command, Reply } from "../command.ts";
import { findBackend, findFrontend, serverOf } from "../find.ts";
import { resolversStat } from "./resolvers.ts";

/** Nothing to say. */
const DONE: Reply = { kind: "output", text: "" };

/** The commands. */
export const STAT_COMMANDS: readonly Command[] = [
  {
    name: "show stat",
    usage:
      "[domain <proxy|resolvers>] [<proxy|iid> <type> <sid>] [typed|json] [desc] [up|no-maint]",
    summary: "report counters for each proxy and server",
    level: "user",
    run: showStat,
  },
  {
    name: "show schema json",
    usage: "",
    summary: "report schema used for stats",
    level: "user",
    run: () => {
      const schema = makeSchema();
      return output(JSON.stringify(schema), schema);
    },
  },
  {
    name: "clear counters",
    usage: "[all]",
    summary: "clear max statistics counters (or all counters)",
    level: "operator",
    run: clearMaxima,
  },
  {
    name: "clear counters all",
    usage: "",
    summary: "clear all statistics counters",
    level: "admin",
    isHidden: true,
    run: (call) => {
      statisticsOf(call.control).clearAll();
      controlNames(call.control).clearCounters();
      return cleared(call, "all");
    },
  },
  {
    name: "clear counters server",
    usage: "<backend>/<server> [force]",
    summary: "clear the statistics counters of one server",
    level: "admin",
    run: clearServer,
  },
];

/** What a `show stat` line asks for. */
type Wish = { filter: StatFilter; format: StatFormat; isDescribed: boolean };

function showStat(call: Call): Reply {
  const statistics = statisticsOf(call.control);
  let words = call.args;
  if (words[0] === "domain") {
    const domain = words[1];
    if (domain === "resolvers") return resolversStat(call.control);
    if (domain !== "proxy") throw new Refusal("BAD_ARGUMENT", "Invalid statistics domain.");
    words = words.slice(2);
  }
  const { filter, format, isDescribed } = readWish(call, words);
  const telling = { isDescribed, ...veilOf(call.asker) };
  if (call.isJson) {
    const records = dumpStats(statistics, filter, "record", telling);
    return { kind: "pieces", pieces: records, isJson: true };
  }
  return pieces(dumpStats(statistics, filter, format, telling));
}

/** Rows as a connection with `set anon on` sees them. */
function veilOf(asker: Asker): { veil?: (row: StatRow) => void } {
  if (asker.anonymKey === 0) return {};
  return {
    veil(row) {
      for (const at of [AT.pxname, AT.svname, AT.tracked]) {
        const name = row[at];
        if (typeof name !== "string" || name === "FRONTEND" || name === "BACKEND") continue;
        const halves = name.split("/").map((half) => anonymName(asker, half));
        row[at] = halves.join("/");
      }
      const address = row[AT.addr];
      if (typeof address === "string") row[AT.addr] = anonymAddress(asker, address);
    },
  };
}

/** Words that say how, wherever they stand. */
const MODIFIERS: readonly string[] = ["typed", "json", "desc", "up", "no-maint"];

/** @throws Refusal */
function readWish(call: Call, words: readonly string[]): Wish {
  const wish: Wish = { filter: { ...ALL_STATS }, format: "csv", isDescribed: false };
  const [proxy = "", kinds = "", sid = ""] = words;
  // Like HAProxy: three words select, fewer do not. Names of modifiers are no proxies' here.
  const isSelected = sid !== "" && !MODIFIERS.includes(proxy);
  if (isSelected) {
    wish.filter.iid = proxyId(call, proxy);
    wish.filter.kinds = integerOf(kinds);
    wish.filter.sid = integerOf(sid);
  }
  for (const word of isSelected ? words.slice(3) : words) {
    if (word === "typed" || word === "json") wish.format = word;
    else if (word === "desc") wish.isDescribed = true;
    else if (word === "up") wish.filter.isUpOnly = true;
    else if (word === "no-maint") wish.filter.isWithoutMaint = true;
  }
  return wish;
}

/** The number of a proxy named by its number, name, `#<id>` or GUID; -1 = all. @throws Refusal */
function proxyId(call: Call, word: string): number {
  const { model } = call.control;
  const named = findFrontend(model, word) ?? findBackend(model, word);
  if (named !== undefined) return named.spec.id;
  const id = integerOf(word);
  if (id === 0) throw new Refusal("NO_PROXY", "No such proxy.");
  return id;
}

/** The number that a word begins with, 0 = none. */
function integerOf(word: string): number {
  return Number(/^[-+]?\d{1,10}/.exec(word)?.[0] ?? "0");
}

function clearMaxima(call: Call): Reply {
  statisticsOf(call.control).clearMaxima();
  return cleared(call, "maxima");
}

function clearServer(call: Call): Reply {
  const [path = ""] = call.args;
  const server = serverOf(call.control.model, path);
  statisticsOf(call.control).clearServer(server);
  const name = serverName(server);
  call.control.events.tell({ kind: "counters-cleared", server, proxy: server.backend, text: name });
  return message("notice", "Server counters cleared.");
}

function cleared({ control }: Call, text: string): Reply {
  observersOf(control).activity.clear();
  control.events.tell({ kind: "counters-cleared", text });
  return DONE;
}
