/**
 * `show stat`: rows as CSV, typed lines or JSON, a piece at a time. Between two pieces anything may
 * happen to the objects: what is gone when its turn comes is left out, what came later too.
 */
import { PROXY_STATE_DISABLED, SERVER_STATE_DOWN } from "../../tables/generated/enums.ts";
import { PROXY_STATE } from "../../tables/generated/proxy.ts";
import { SERVER_ADMIN_STATE, SERVER_STATE } from "../../tables/generated/server.ts";
import type { Model, ProxyObject, ServerObject } from "../model.ts";
import { isInMaintenance } from "../state-notices.ts";
import { fillBackend, fillServer, isServerServing } from "./back-row.ts";
import { AT, makeStatRow, STAT_FIELDS, STAT_KINDS } from "./fields.ts";
import type { StatField, StatKind, StatRow } from "./fields.ts";
import { fillFrontend, fillListener } from "./front-row.ts";
import type { Statistics } from "./statistics.ts";
import { csvText } from "./words.ts";

/** Which objects: -1 = all of a kind. */
export type StatFilter = {
  /** Number of the proxy. */
  iid: number;
  /** Numbers of the only proxies; undefined = all. */
  iids?: ReadonlySet<number>;
  /** STAT_KINDS bits. */
  kinds: number;
  /** Number of the server or listener. */
  sid: number;
  /** Neither what is down nor what is in maintenance. */
  isUpOnly: boolean;
  /** Not what is in maintenance. */
  isWithoutMaint: boolean;
};

/** Everything. */
export const ALL_STATS: StatFilter = {
  iid: -1,
  kinds: -1,
  sid: -1,
  isUpOnly: false,
  isWithoutMaint: false,
};

/** How a row is written. `record`: one JSON object a row, names to values. */
export type StatFormat = "csv" | "typed" | "json" | "record";

/** Characters after which a piece goes out. */
const PIECE_CHARACTERS = 24 * 1024;

/** First line of the CSV. A column `-` ends those that stay in place. */
export const STAT_CSV_HEADER = `# ${STAT_FIELDS.map(({ name }) => name).join(",")},-,\n`;

/** Calls `visit` with each row of a filter; the row is filled again for the next. */
export function* statRows(
  statistics: Statistics,
  filter: StatFilter,
): Generator<{ kind: StatKind; row: StatRow }> {
  const item: { kind: StatKind; row: StatRow } = { kind: "frontend", row: makeStatRow() };
  const { model } = statistics.parts;
  for (const proxy of [...model.proxies]) {
    if (filter.iid !== -1 && proxy.spec.id !== filter.iid) continue;
    if (filter.iids !== undefined && !filter.iids.has(proxy.spec.id)) continue;
    yield* proxyRows(statistics, proxy, filter, item);
  }
}

/** A row and what it is of. */
type Item = { kind: StatKind; row: StatRow };

function* proxyRows(
  statistics: Statistics,
  proxy: ProxyObject,
  filter: StatFilter,
  item: Item,
): Generator<Item> {
  const { model } = statistics.parts;
  if (!isThere(model, proxy)) return;
  const { hasFront, hasBack, options } = proxy.spec;
  if (hasFront && wants(filter, "frontend")) {
    item.kind = "frontend";
    fillFrontend(statistics, proxy, item.row);
    yield item;
  }
  if (options.socketStats && wants(filter, "listener")) {
    item.kind = "listener";
    for (const listener of [...proxy.listeners]) {
      if (filter.sid !== -1 && listener.spec.id !== filter.sid) continue;
      if (model.listenerByRow.get(listener.row) !== listener) continue;
      fillListener(statistics, listener, item.row);
      yield item;
    }
  }
  let serving = 0;
  if (wants(filter, "server")) {
    item.kind = "server";
    for (const server of [...proxy.servers]) {
      if (model.serverByRow.get(server.row) !== server) continue;
      if (filter.sid !== -1 && server.spec.id !== filter.sid) continue;
      if (isHidden(statistics, server, filter)) continue;
      fillServer(statistics, server, item.row);
      yield item;
    }
  }
  if (!hasBack || !wants(filter, "backend") || !isThere(model, proxy)) return;
  item.kind = "backend";
  fillBackend(statistics, proxy, item.row);
  if (filter.isUpOnly || filter.isWithoutMaint) {
    for (const server of proxy.servers) if (isServerServing(statistics, server)) serving++;
    item.row[AT.status] = `${item.row[AT.status]} (${serving}/${proxy.servers.length})`;
  }
  yield item;
}

/** How it is told, besides the format. */
export type StatTelling = {
  /** Adds what each typed value means. */
  isDescribed?: boolean;
  /** Changes a row before it is written: names that are not to be seen. */
  veil?: (row: StatRow) => void;
};

/** Pieces of text. */
export function* dumpStats(
  statistics: Statistics,
  filter: StatFilter,
  format: StatFormat,
  { isDescribed = false, veil }: StatTelling = {},
): Generator<string> {
  statistics.begin();
  let text = format === "csv" ? STAT_CSV_HEADER : format === "typed" ? "" : "[";
  let isFirst = true;
  for (const { kind, row } of statRows(statistics, filter)) {
    if (!isFirst && (format === "json" || format === "record")) text += ",";
    isFirst = false;
    veil?.(row);
    text += WRITERS[format](kind, row, isDescribed);
    if (text.length < PIECE_CHARACTERS) continue;
    yield text;
    text = "";
    statistics.begin();
  }
  if (format === "json") text += "]\n";
  if (format === "record") text += "]";
  if (text !== "") yield text;
}

const WRITERS: Record<StatFormat, (kind: StatKind, row: StatRow, isDescribed: boolean) => string> =
  { csv: writeCsv, typed: writeTyped, json: writeJson, record: writeRecord };

function writeCsv(_kind: StatKind, row: StatRow): string {
  const said = row[AT.last_chk];
  // The one column with words from outside.
  if (typeof said === "string") row[AT.last_chk] = csvText(said);
  return `${row.join(",")},-,\n`;
}

function writeTyped(kind: StatKind, row: StatRow, isDescribed: boolean): string {
  const head = `${STAT_KINDS[kind].letter}.${row[AT.iid]}.${row[AT.sid]}`;
  let text = "";
  for (let at = 0; at < STAT_FIELDS.length; at++) {
    const value = row[at];
    if (value === undefined) continue;
    const { name, type, about } = STAT_FIELDS[at]!;
    text += `${head}.${at}.${name}.1:${tagsOf(at, kind)}:${type}:${value}`;
    text += isDescribed ? `:"${about}"\n` : "\n";
  }
  return text;
}

function writeJson(kind: StatKind, row: StatRow): string {
  const head =
    `{"objType":"${STAT_KINDS[kind].json}","proxyId":${row[AT.iid]},"id":${row[AT.sid]},` +
    `"field":{"pos":`;
  const items: string[] = [];
  for (let at = 0; at < STAT_FIELDS.length; at++) {
    const value = row[at];
    if (value === undefined) continue;
    const { name, type } = STAT_FIELDS[at]!;
    items.push(
      `${head}${at},"name":"${name}"},"processNum":1,"tags":${tagsJson(tagsOf(at, kind))},` +
        `"value":{"type":"${type}","value":${JSON.stringify(value)}}}`,
    );
  }
  return `[${items.join(",")}]`;
}

function writeRecord(_kind: StatKind, row: StatRow): string {
  const items: string[] = [];
  for (let at = 0; at < STAT_FIELDS.length; at++) {
    const value = row[at];
    if (value !== undefined) items.push(`"${STAT_FIELDS[at]!.name}":${JSON.stringify(value)}`);
  }
  return `{${items.join(",")}}`;
}

function tagsOf(at: number, kind: StatKind): string {
  const field: StatField = STAT_FIELDS[at]!;
  return kind === "server" ? (field.serverTags ?? field.tags) : field.tags;
}

const ORIGINS: Record<string, string> = {
  M: "Metric",
  S: "Status",
  K: "Key",
  C: "Config",
  P: "Product",
};
const NATURES: Record<string, string> = {
  G: "Gauge",
  L: "Limit",
  m: "Min",
  M: "Max",
  R: "Rate",
  C: "Counter",
  D: "Duration",
  A: "Age",
  T: "Time",
  N: "Name",
  O: "Output",
  a: "Avg",
};
const SCOPES: Record<string, string> = { C: "Cluster", P: "Process", S: "Service", s: "System" };

const tagTexts = new Map<string, string>();

/** Tags in words, as JSON (management manual 9.2). */
export function tagsJson(tags: string): string {
  const known = tagTexts.get(tags);
  if (known !== undefined) return known;
  const text = JSON.stringify({
    origin: ORIGINS[tags[0] ?? ""] ?? "Unknown",
    nature: NATURES[tags[1] ?? ""] ?? "Unknown",
    scope: SCOPES[tags[2] ?? ""] ?? "Unknown",
  });
  tagTexts.set(tags, text);
  return text;
}

function wants(filter: StatFilter, kind: StatKind): boolean {
  return filter.kinds === -1 || (filter.kinds & STAT_KINDS[kind].bit) !== 0;
}

/** Is it still in the model, and not `disabled` in the configuration? */
function isThere(model: Model, proxy: ProxyObject): boolean {
  if (model.proxyByRow.get(proxy.row) !== proxy) return false;
  return model.tables.proxies.words[proxy.row + PROXY_STATE] !== PROXY_STATE_DISABLED;
}

function isHidden(statistics: Statistics, { row }: ServerObject, filter: StatFilter): boolean {
  const { words } = statistics.tables.servers;
  const isMaint = isInMaintenance(words[row + SERVER_ADMIN_STATE]!);
  if ((filter.isUpOnly || filter.isWithoutMaint) && isMaint) return true;
  return filter.isUpOnly && words[row + SERVER_STATE] === SERVER_STATE_DOWN;
}
