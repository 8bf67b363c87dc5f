/** Weight and limit of a server on an operator's request. */
import { refreshServer } from "../../balance/refresh.ts";
import { WEIGHT_MAX } from "../../base/limits.ts";
import { Refusal } from "../../base/refusals.ts";
import {
  SERVER_CONFIG_WEIGHT,
  SERVER_MAXCONN,
  SERVER_MINCONN,
  SERVER_WEIGHT,
} from "../../tables/generated/server.ts";
import { madeServer } from "../draft.ts";
import type { Change, DraftServer } from "../draft.ts";
import { isDynamicAlgorithm } from "../life/servers.ts";
import { serverName } from "../model.ts";
import type { ServerObject } from "../model.ts";
import { changed, draftName, unchanged } from "./change.ts";
import type { ServerControl } from "./change.ts";

/** Largest limit: a signed 32-bit word of the table. */
const MAXCONN_MAX = 2 ** 31 - 1;

/** What a word says of a weight; percent is of the configured weight. */
type WeightWord = { value: number; isPercent: boolean };

/** Reads `<weight>` or `<weight>%`, in HAProxy's words. @throws Refusal */
export function parseWeight(word: string): WeightWord {
  const [, digits, rest] = /^\s*([+-]?\d+)?(.*)$/su.exec(word) ?? [];
  if (digits === undefined) {
    throw new Refusal("BAD_ARGUMENT", "Empty weight string empty or preceded by garbage");
  }
  if (rest !== "" && rest !== "%") {
    throw new Refusal("BAD_ARGUMENT", "Trailing garbage in weight string");
  }
  const value = Number(digits);
  const isPercent = rest === "%";
  if (isPercent && value < 0) {
    throw new Refusal("BAD_ARGUMENT", "Relative weight must be positive.");
  }
  if (!isPercent && (value < 0 || value > WEIGHT_MAX)) {
    const text = "Absolute weight can only be between 0 and 256 inclusive.";
    throw new Refusal("BAD_ARGUMENT", text);
  }
  return { value, isPercent };
}

/** `set weight`, `set server … weight` (management manual 9.3). @throws Refusal */
export function prepareWeight(control: ServerControl, entry: DraftServer, word: string): Change {
  const { value, isPercent } = parseWeight(word);
  const words = control.tables.servers.words;
  const { object, spec } = entry;
  const initial = object === undefined ? spec.weight : words[object.row + SERVER_CONFIG_WEIGHT]!;
  const percent = Math.floor((initial * value) / 100);
  const weight = isPercent ? Math.min(percent, WEIGHT_MAX) : value;
  if (weight !== 0 && weight !== initial && !isDynamicAlgorithm(entry.proxy)) {
    const only = "only accepts weights '0%' and '100%'";
    throw new Refusal("NOT_DYNAMIC", `Backend is using a static LB algorithm and ${only}.`);
  }
  const write = (server: ServerObject, to: number): void => {
    words[server.row + SERVER_WEIGHT] = to;
    control.keeper.outliers?.settle(server);
    refreshServer(control.shop.lb, server.backend.row, server.row);
  };
  let before = weight;
  return {
    effect: `gives ${draftName(entry)} the weight ${weight}`,
    apply: () => {
      const server = madeServer(control, entry);
      before = words[server.row + SERVER_WEIGHT]!;
      if (before === weight) return unchanged(server);
      write(server, weight);
      return changed(control, "server-changed", server, `${serverName(server)} weight ${weight}`);
    },
    undo: () => {
      const server = madeServer(control, entry);
      if (before === weight) return;
      write(server, before);
      changed(control, "server-changed", server, `${serverName(server)} weight ${before}`);
    },
  };
}

/** Weight now and weight of the configuration, for `get weight`. */
export function weightsOf(
  { tables }: Pick<ServerControl, "tables">,
  { row }: ServerObject,
): { now: number; initial: number } {
  const words = tables.servers.words;
  return { now: words[row + SERVER_WEIGHT]!, initial: words[row + SERVER_CONFIG_WEIGHT]! };
}

/** A limit of streams, 0 = none. @throws Refusal */
export function parseMaxconn(word: string): number {
  const [, digits, rest] = /^\s*([+-]?\d+)?(.*)$/su.exec(word) ?? [];
  if (digits === undefined) {
    throw new Refusal("BAD_ARGUMENT", "maxconn string empty or preceded by garbage");
  }
  if (rest !== "") throw new Refusal("BAD_ARGUMENT", "Trailing garbage in maxconn string");
  const value = Number(digits);
  if (value < 0 || value > MAXCONN_MAX) throw new Refusal("BAD_ARGUMENT", "Value out of range.");
  return value;
}

/** `set maxconn server`. A raised limit lets waiters in at once. @throws Refusal */
export function prepareMaxconn(control: ServerControl, entry: DraftServer, word: string): Change {
  const maxconn = parseMaxconn(word);
  const words = control.tables.servers.words;
  const write = (server: ServerObject, limits: readonly [max: number, min: number]): void => {
    words[server.row + SERVER_MAXCONN] = limits[0];
    words[server.row + SERVER_MINCONN] = limits[1];
    refreshServer(control.shop.lb, server.backend.row, server.row);
  };
  let before: readonly [max: number, min: number] = [maxconn, maxconn];
  return {
    effect: `limits ${draftName(entry)} to ${maxconn === 0 ? "any number of" : maxconn} streams`,
    apply: () => {
      const server = madeServer(control, entry);
      before = [words[server.row + SERVER_MAXCONN]!, words[server.row + SERVER_MINCONN]!];
      if (before[0] === maxconn) return unchanged(server);
      // Without a range of its own the lower end goes with the upper.
      const { configured } = server;
      const isRanged = configured.minconn !== configured.maxconn;
      const minconn = isRanged ? Math.min(configured.minconn, maxconn) : maxconn;
      write(server, [maxconn, minconn]);
      return changed(control, "server-changed", server, `${serverName(server)} maxconn ${maxconn}`);
    },
    undo: () => {
      const server = madeServer(control, entry);
      if (before[0] === maxconn) return;
      write(server, before);
      changed(control, "server-changed", server, `${serverName(server)} maxconn ${before[0]}`);
    },
  };
}
