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
import { QUIC_STAT_FIELDS } from "./quic-fields.ts";
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

const statNames = STAT_FIELDS.map(({ name }) => `${name},`).join("");
const quicNames = QUIC_STAT_FIELDS.map(({ name }) => `${name},`).join("");

/** First line of the CSV. A column `-` ends those that stay in place. */
export const STAT_CSV_HEADER = `# ${statNames}-,${quicNames}\n`;

/** End of a line of the CSV without QUIC. */
const NO_QUIC = ",".repeat(QUIC_STAT_FIELDS.length);

/** A row and what it is of. */
export type StatItem = {
  kind: StatKind;
  row: StatRow;
  /** Values of QUIC_STAT_FIELDS; null = what the row is of speaks no QUIC. */
  quic: StatRow | null;
};

/** All rows of a filter; each is filled again for the next. */
export function* statRows(statistics: Statistics, filter: StatFilter): Generator<StatItem> {
  const item: StatItem = { kind: "frontend", row: makeStatRow(), quic: null };
  const quic: StatRow = QUIC_STAT_FIELDS.map(() => undefined);
  const { model } = statistics.parts;
  for (const proxy of [...model.proxies]) {
    if (filter.iid !== -1 && proxy.spec.id !== filter.iid) continue;
    if (filter.iids !== undefined && !filter.iids.has(proxy.spec.id)) continue;
    yield* proxyRows(statistics, proxy, filter, item, quic);
  }
}

function* proxyRows(
  statistics: Statistics,
  proxy: ProxyObject,
  filter: StatFilter,
  item: StatItem,
  quic: StatRow,
): Generator<StatItem> {
  const { model } = statistics.parts;
  if (!isThere(model, proxy)) return;
  const { hasFront, hasBack, options } = proxy.spec;
  if (hasFront && wants(filter, "frontend")) {
    item.kind = "frontend";
    fillFrontend(statistics, proxy, item.row);
    item.quic = statistics.fillQuic(proxy, true, quic) ? quic : null;
    yield item;
    item.quic = null;
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
  item.quic = statistics.fillQuic(proxy, false, quic) ? quic : null;
  if (filter.isUpOnly || filter.isWithoutMaint) {
    for (const server of proxy.servers) if (isServerServing(statistics, server)) serving++;
    item.row[AT.status] = `${item.row[AT.status]} (${serving}/${proxy.servers.length})`;
  }
  yield item;
  item.quic = null;
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
  for (const item of statRows(statistics, filter)) {
    if (!isFirst && (format === "json" || format === "record")) text += ",";
    isFirst = false;
    veil?.(item.row);
    text += WRITERS[format](item, isDescribed);
    if (text.length < PIECE_CHARACTERS) continue;
    yield text;
    text = "";
    statistics.begin();
  }
  if (format === "json") text += "]\n";
  if (format === "record") text += "]";
  if (text !== "") yield text;
}

const WRITERS: Record<StatFormat, (item: StatItem, isDescribed: boolean) => string> = {
  csv: writeCsv,
  typed: writeTyped,
  json: writeJson,
  record: writeRecord,
};

function writeCsv({ row, quic }: StatItem): string {
  // The columns with words from outside.
  for (const at of [AT.last_chk, AT.last_agt]) {
    const said = row[at];
    if (typeof said === "string") row[at] = csvText(said);
  }
  return `${row.join(",")},-,${quic === null ? NO_QUIC : `${quic.join(",")},`}\n`;
}

/** Calls `visit` with each value that there is, and its column. */
function eachValue(
  { row, quic }: StatItem,
  visit: (at: number, field: StatField, value: string | number) => void,
): void {
  for (let at = 0; at < STAT_FIELDS.length; at++) {
    const value = row[at];
    if (value !== undefined) visit(at, STAT_FIELDS[at]!, value);
  }
  if (quic === null) return;
  for (let at = 0; at < QUIC_STAT_FIELDS.length; at++) {
    const value = quic[at];
    // Places go on behind the others: `-` is a mark in the CSV, and no column.
    if (value !== undefined) visit(STAT_FIELDS.length + at, QUIC_STAT_FIELDS[at]!, value);
  }
}

function writeTyped(item: StatItem, isDescribed: boolean): string {
  const { kind, row } = item;
  const head = `${STAT_KINDS[kind].letter}.${row[AT.iid]}.${row[AT.sid]}`;
  let text = "";
  eachValue(item, (at, field, value) => {
    text += `${head}.${at}.${field.name}.1:${tagsOf(field, kind)}:${field.type}:${value}`;
    text += isDescribed ? `:"${field.about}"\n` : "\n";
  });
  return text;
}

function writeJson(item: StatItem): string {
  const { kind, row } = item;
  const head =
    `{"objType":"${STAT_KINDS[kind].json}","proxyId":${row[AT.iid]},"id":${row[AT.sid]},` +
    `"field":{"pos":`;
  const items: string[] = [];
  eachValue(item, (at, field, value) => {
    items.push(
      `${head}${at},"name":"${field.name}"},"processNum":1,` +
        `"tags":${tagsJson(tagsOf(field, kind))},` +
        `"value":{"type":"${field.type}","value":${JSON.stringify(value)}}}`,
    );
  });
  return `[${items.join(",")}]`;
}

function writeRecord(item: StatItem): string {
  const items: string[] = [];
  eachValue(item, (_at, { name }, value) => items.push(`"${name}":${JSON.stringify(value)}`));
  return `{${items.join(",")}}`;
}

const tagsOf = (field: StatField, kind: StatKind): string =>
  kind === "server" ? (field.serverTags ?? field.tags) : field.tags;

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
