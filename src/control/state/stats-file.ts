/**
 * Stats files (HAProxy management manual 9.5): counters of the objects that have a GUID, as text
 * that a later process begins with (`stats-file`). Two sections, `#fe` for frontends and listeners
 * and `#be` for backends and servers; a header names the columns, so that files of other releases
 * and programs can be read: a column that is not known is passed over.
 *
 *     #fe guid,stot,bin,bout,ereq,conn_tot,
 *     my-frontend,1024,9000,80000,0,1030,
 *
 * Where a frontend or backend with a GUID speaks QUIC, its counters follow in columns of their own
 * (quic-counters.ts); codes of applications become one number.
 */
import * as back from "../../tables/generated/back-count.ts";
import * as front from "../../tables/generated/front-count.ts";
import { guidProblem } from "../../tables/guid-index.ts";
import type { Workshop } from "../build.ts";
import { preloadByGuid } from "../guids.ts";
import type { GuidBearer } from "../guids.ts";
import type { Model, ProxyObject } from "../model.ts";
import { QuicShards } from "../stats/quic-shards.ts";
import type { Shards } from "../stats/shards.ts";
import { countedOf, groupsOf, hasItsRow, presetCounter, readCounters } from "./counters.ts";
import type { Counted, CountedGroup, CounterField } from "./counters.ts";
import { countsQuic, presetQuic, QUIC_FIELDS, settleQuic } from "./quic-counters.ts";

/** Columns of a section by HAProxy's names, in HAProxy's order. */
const FRONT_COLUMNS: readonly CounterField[] = [
  ["stot", front.FRONT_COUNT_SESSIONS],
  ["bin", front.FRONT_COUNT_BYTES_IN],
  ["bout", front.FRONT_COUNT_BYTES_OUT],
  ["ereq", front.FRONT_COUNT_ERRORS_REQUEST],
  ["conn_tot", front.FRONT_COUNT_CONNECTIONS],
];

const BACK_COLUMNS: readonly CounterField[] = [
  ["stot", back.BACK_COUNT_SESSIONS],
  ["bin", back.BACK_COUNT_BYTES_IN],
  ["bout", back.BACK_COUNT_BYTES_OUT],
  ["econ", back.BACK_COUNT_ERRORS_CONNECT],
  ["eresp", back.BACK_COUNT_ERRORS_RESPONSE],
  ["wretr", back.BACK_COUNT_RETRIES],
  ["wredis", back.BACK_COUNT_REDISPATCHES],
  ["lbtot", back.BACK_COUNT_PICKS],
  ["cli_abrt", back.BACK_COUNT_CLIENT_ABORTS],
  ["srv_abrt", back.BACK_COUNT_SERVER_ABORTS],
  ["lastsess", back.BACK_COUNT_LAST_SESSION],
  ["connect", back.BACK_COUNT_CONNECT_ATTEMPTS],
];

/** The one column that is no sum: an age in seconds in the file, a time in the record. */
const AGE_COLUMN = "lastsess";

type Section = "fe" | "be";
const COLUMNS: Record<Section, readonly CounterField[]> = { fe: FRONT_COLUMNS, be: BACK_COLUMNS };

/** The column of QUIC_FIELDS that takes all codes of applications together. */
const CODES_COLUMN = "quic.codesOther";
const QUIC_NAMES: ReadonlySet<string> = new Set(QUIC_FIELDS.map(([name]) => name));

/** Characters after which a piece goes out. */
const PIECE_CHARACTERS = 16_384;
/** Columns of a header; the rest is passed over. */
const COLUMNS_MAX = 256;
/** Warnings about one file: a foreign file of a million lines must not fill a log. */
const WARNINGS_MAX = 20;

/**
 * The file as text, a piece at a time. Between two pieces anything may happen to the objects: what
 * is gone when its turn comes is left out, what came later too.
 * @param epochSeconds time by the wall clock
 */
export function* dumpStatsFile(
  model: Model,
  shards: Shards,
  epochSeconds: () => number,
  quic: QuicShards = new QuicShards(model.tables),
): Generator<string> {
  const groups = groupsOf(model.proxies);
  for (const section of ["fe", "be"] as const) {
    const hasQuic = groups.some((group) => tellsQuic(model, group, section));
    const more = hasQuic ? QUIC_FIELDS.map(([name]) => `${name},`).join("") : "";
    let text = `${section === "fe" ? "" : "\n"}#${section} guid,${headerOf(section)}${more}\n`;
    for (const counted of countedOf(groups)) {
      const { guid } = counted.object.spec;
      if (guid === undefined || sectionOf(counted) !== section) continue;
      if (!hasItsRow(model, counted)) continue;
      const values = valuesOf(shards, counted, section, epochSeconds());
      const quicValues = hasQuic ? quicValuesOf(model, quic, counted) : "";
      text += `${guid},${values}${quicValues}\n`;
      if (text.length < PIECE_CHARACTERS) continue;
      yield text;
      text = "";
    }
    yield text;
  }
}

/** Has the proxy of a group a line with QUIC in a section? */
function tellsQuic({ tables }: Model, { object }: CountedGroup, section: Section): boolean {
  return object.spec.guid !== undefined && countsQuic(tables, object, section === "fe");
}

const NO_QUIC = ",".repeat(QUIC_FIELDS.length);

function quicValuesOf({ tables }: Model, quic: QuicShards, counted: Counted): string {
  if (counted.kind !== "frontend" && counted.kind !== "backend") return NO_QUIC;
  const isFront = counted.kind === "frontend";
  if (!countsQuic(tables, counted.object, isFront)) return NO_QUIC;
  quic.read(counted.object, isFront);
  let text = "";
  for (const [name, offset] of QUIC_FIELDS) {
    let value = quic.cells[offset >> 1]!;
    if (name === CODES_COLUMN) for (const count of quic.codes.values()) value += count;
    text += `${Math.round(value)},`;
  }
  return text;
}

const headerOf = (section: Section): string =>
  COLUMNS[section].map(([name]) => `${name},`).join("");

const sectionOf = ({ kind }: Counted): Section =>
  kind === "frontend" || kind === "listener" ? "fe" : "be";

function valuesOf(
  shards: Shards,
  counted: Counted,
  section: Section,
  epochSeconds: number,
): string {
  const sums = readCounters(shards, counted);
  let text = "";
  for (const [name, offset] of COLUMNS[section]) {
    const value = sums[offset >> 1]!;
    if (name !== AGE_COLUMN) text += `${value},`;
    // Never used: no age. An empty value is passed over when the file is read.
    else text += value === 0 ? "," : `${Math.max(0, Math.floor(epochSeconds - value))},`;
  }
  return text;
}

/** One value for one object, found in a file. */
type Preset = { counted: Counted; name: string; offset: number; value: number };

/** Puts the values of a line into the tables. */
function setPresets({ tables }: Workshop, presets: readonly Preset[]): void {
  let quicOf: { object: ProxyObject; isFront: boolean } | undefined;
  for (const { counted, name, offset, value } of presets) {
    if (!QUIC_NAMES.has(name)) {
      presetCounter(tables, counted, offset, value);
    } else if (counted.kind === "frontend" || counted.kind === "backend") {
      quicOf = { object: counted.object, isFront: counted.kind === "frontend" };
      presetQuic(tables, quicOf.object, quicOf.isFront, name, value);
    }
  }
  if (quicOf !== undefined) settleQuic(tables, quicOf.object, quicOf.isFront);
}

/** What reading knows of the section it is in. */
type Place = { section: Section | undefined; columns: (CounterField | undefined)[] };

/**
 * Puts the counters of a file into the tables. Before the first worker is started: GUIDs are looked
 * up as the preload's, which asserts that. A damaged line is told and passed over.
 * @param name the file's, for warnings
 * @param epochSeconds time by the wall clock
 */
export function loadStatsFile(
  shop: Workshop,
  name: string,
  text: string,
  epochSeconds: number,
  warn: (text: string) => void,
): void {
  let warnings = 0;
  const tell = (sentence: string): void => {
    warnings++;
    if (warnings <= WARNINGS_MAX) warn(`config: ${sentence}`);
  };
  const place: Place = { section: undefined, columns: [] };
  let hasHeader = false;
  const lines = text.split("\n");
  for (const [index, raw] of lines.entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("//")) continue;
    const isHeader = line.startsWith("#");
    const what = isHeader ? "header line" : "line";
    const problem = isHeader ? readHeader(line, place) : undefined;
    if (!hasHeader && (problem !== undefined || !isHeader)) {
      tell(`Invalid stats-file format in file '${name}'.`);
      return;
    }
    hasHeader = true;
    const isCut = index === lines.length - 1;
    const wrong = isHeader
      ? problem
      : place.section === undefined
        ? undefined
        : isCut
          ? "it is cut off"
          : readLine(shop, line, place, epochSeconds);
    if (wrong === undefined) continue;
    tell(`Ignored stats-file ${what} ${index + 1} in file '${name}': ${wrong}.`);
  }
  const more = warnings - WARNINGS_MAX;
  if (more > 0) warn(`config: ${more} more lines of stats-file '${name}' were ignored.`);
}

/** Begins a section. @returns what is wrong */
function readHeader(line: string, place: Place): string | undefined {
  place.section = undefined;
  const [, word = "", names] = /^#(\S*)\s+(.*),$/u.exec(line) ?? [];
  if (names === undefined || word === "") return "it is no list of columns";
  const [first, ...rest] = names.split(",");
  // A section of another program's: its lines are passed over.
  if (word !== "fe" && word !== "be") return undefined;
  if (first !== "guid") return "its first column is not 'guid'";
  const known = new Map([...COLUMNS[word], ...QUIC_FIELDS].map((column) => [column[0], column]));
  place.section = word;
  place.columns = rest.slice(0, COLUMNS_MAX).map((column) => known.get(column.trim()));
  return undefined;
}

/** Puts a line into the tables, all of it or nothing. @returns what is wrong */
function readLine(
  shop: Workshop,
  line: string,
  { section, columns }: Place,
  epochSeconds: number,
): string | undefined {
  const [guid = "", ...values] = line.split(",");
  const problem = guidProblem(guid);
  if (problem !== "") return `its GUID is none (${problem})`;
  const bearer = preloadByGuid(shop, guid);
  // Objects come and go between releases of a configuration.
  if (bearer === undefined) return undefined;
  const counted = countedAs(bearer, section!);
  if (counted === undefined) return undefined;
  const presets: Preset[] = [];
  for (const [index, text] of values.entries()) {
    const column = columns[index];
    if (column === undefined || text === "") continue;
    const [name, offset] = column;
    const value = /^\d{1,16}$/u.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value)) return `'${name}' is not a number: '${text.slice(0, 40)}'`;
    const isAge = name === AGE_COLUMN;
    presets.push({ counted, name, offset, value: isAge ? epochSeconds - value : value });
  }
  setPresets(shop, presets);
  return undefined;
}

/** The record of what bears a GUID in a section; undefined where it has none there. */
function countedAs(object: GuidBearer, section: Section): Counted | undefined {
  if ("servers" in object) {
    if (section === "fe") return object.spec.hasFront ? { kind: "frontend", object } : undefined;
    return object.spec.hasBack ? { kind: "backend", object } : undefined;
  }
  if ("backend" in object) return section === "be" ? { kind: "server", object } : undefined;
  return section === "fe" ? { kind: "listener", object } : undefined;
}
