/**
 * The text that Prometheus reads (its exposition format, version 0.0.4): all samples of a metric in
 * one group. Every object is read once, into columns of numbers, and the groups are written from
 * these: so a text is one look at the process, and reading costs what it costs `show stat`.
 * Main thread, in pieces.
 */
import { SLUICE_VERSION } from "../../base/version.ts";
import type { Control } from "../../control/control.ts";
import { ALL_STATS, statRows } from "../../control/stats/dump.ts";
import { AT } from "../../control/stats/fields.ts";
import type { StatRow } from "../../control/stats/fields.ts";
import { INFO_FIELDS, infoFacts } from "../../control/stats/info.ts";
import { observersOf } from "../../control/stats/observers.ts";
import { statisticsOf } from "../../control/stats/statistics.ts";
import type { Family, MetricScope } from "./families.ts";
import {
  AGENT_LABELS,
  CHECK_LABELS,
  FAMILIES,
  PROCESS_FAMILIES,
  SCOPES,
  STATUS_LABELS,
} from "./families.ts";
import { ownMetrics } from "./own.ts";
import type { MetricsQuery } from "./query.ts";
import { QuicSnapshot, quicText } from "./quic.ts";
import { escapeLabel, headText, numberText } from "./text.ts";

/** Rows after which other work may go on. */
const SLICE = 250;
/** Characters of a piece. */
const PIECE = 32_768;

/** The objects of one kind, read: labels and, by family, their numbers; NaN = it has none. */
class Snapshot {
  readonly families: readonly Family[];
  readonly labels: string[] = [];
  readonly columns: number[][];
  /** Place in STATUS_LABELS, in CHECK_LABELS, in AGENT_LABELS; -1 = none. */
  readonly status: number[] = [];
  readonly checks: number[] = [];
  readonly agents: number[] = [];

  constructor(scope: MetricScope) {
    this.families = FAMILIES[scope];
    this.columns = this.families.map(() => []);
  }

  add(labels: string, row: StatRow, status: number): void {
    this.labels.push(labels);
    this.status.push(status);
    this.checks.push(checkOf(row));
    this.agents.push(placeOf(AGENT_LABELS, row[AT.agent_status]));
    this.families.forEach(({ field, unit }, at) => {
      const value = row[AT[field]];
      this.columns[at]!.push(typeof value === "number" ? value / unit : NaN);
    });
  }
}

/** Servers of a backend, counted by what they are and how their checks ended. */
type Sums = { readonly status: number[]; readonly checks: number[] };

function newSums(): Sums {
  return { status: STATUS_LABELS.server.map(() => 0), checks: CHECK_LABELS.map(() => 0) };
}

/** The text in pieces; an empty piece is only a pause. */
export function* metricsText(control: Control, query: MetricsQuery): Generator<string> {
  if (query.scopes.has("global")) {
    yield processText(control, query);
    yield ownMetrics(control, query);
  }
  const shots = new Map<MetricScope, Snapshot>();
  for (const scope of SCOPES) if (query.scopes.has(scope)) shots.set(scope, new Snapshot(scope));
  if (shots.size === 0) return;
  const sums: Sums[] = [];
  const quic = new QuicSnapshot();
  yield* readAll(control, query, shots, sums, quic);
  for (const [scope, shot] of shots) {
    yield* scopeText(scope, shot, query);
    if (scope === "backend") yield* sumsText(shot, sums, query);
  }
  yield* quicText(quic, query);
}

function* readAll(
  control: Control,
  query: MetricsQuery,
  shots: ReadonlyMap<MetricScope, Snapshot>,
  sums: Sums[],
  quicShot: QuicSnapshot,
): Generator<string> {
  const statistics = statisticsOf(control);
  const filter = { ...ALL_STATS, isWithoutMaint: query.noMaint };
  statistics.begin();
  let count = 0;
  let ofBackend = newSums();
  for (const { kind, row, quic } of statRows(statistics, filter)) {
    if (++count % SLICE === 0) {
      yield "";
      statistics.begin();
    }
    if (kind === "server") {
      ofBackend.status[stateOf(kind, row)]!++;
      const check = checkOf(row);
      if (check >= 0) ofBackend.checks[check]!++;
    } else if (kind === "backend") {
      // A backend's row comes behind those of its servers.
      sums.push(ofBackend);
      ofBackend = newSums();
    }
    const shot = shots.get(kind);
    if (shot === undefined) continue;
    const labels = labelsOf(control, query, kind, row);
    shot.add(labels, row, stateOf(kind, row));
    if (quic !== null) quicShot.add(kind, labels, quic);
  }
}

function labelsOf(control: Control, query: MetricsQuery, kind: MetricScope, row: StatRow): string {
  const labels = [`proxy="${escapeLabel(String(row[AT.pxname]))}"`];
  if (kind === "server" || kind === "listener") {
    labels.push(`${kind}="${escapeLabel(String(row[AT.svname]))}"`);
  }
  if (query.withDescriptions) {
    const { description } = control.model.proxyById.get(Number(row[AT.iid]))?.spec ?? {};
    if (description !== undefined) labels.push(`desc="${escapeLabel(description)}"`);
  }
  return labels.join(",");
}

/** Place of a server's check result in CHECK_LABELS; -1 = none. */
function checkOf(row: StatRow): number {
  return placeOf(CHECK_LABELS, row[AT.check_status]);
}

/** Place of a result; -1 = none. That of a check which runs begins with `*`. */
function placeOf(labels: readonly string[], status: StatRow[number]): number {
  return labels.indexOf(String(status ?? "").replace(/^\* /, ""));
}

/** Place of a row's status among those of its kind. */
function stateOf(kind: MetricScope, row: StatRow): number {
  const status = String(row[AT.status] ?? "");
  const labels = STATUS_LABELS[kind];
  if (kind !== "server") {
    if (kind === "listener" && status !== "OPEN") return Math.max(0, labels.indexOf(status));
    return status === "OPEN" || status.startsWith("UP") ? 1 : 0;
  }
  const place = labels.findIndex((label) => status.startsWith(label));
  // `no check` counts as up.
  return place < 0 ? 1 : place;
}

function processText(control: Control, query: MetricsQuery): string {
  const facts = infoFacts(control, observersOf(control).sampler);
  let text = "";
  for (const { name, type, help, field } of PROCESS_FAMILIES) {
    if (!query.wants(name)) continue;
    const value = INFO_FIELDS.find((one) => one.name === field)?.read(facts);
    if (typeof value !== "number") continue;
    text += `${headText(name, type, help)}${name} ${numberText(value)}\n`;
  }
  const { node, description } = control.plan.global;
  const build = "haproxy_process_build_info";
  if (query.wants(build)) {
    text += headText(build, "gauge", "Version, always 1");
    text += `${build}{version="${escapeLabel(SLUICE_VERSION)}"} 1\n`;
  }
  text += wordText(query, "node", "Name of this machine, always 1", node);
  text += wordText(query, "description", "Words of the configuration, always 1", description);
  return text;
}

function wordText(query: MetricsQuery, key: string, help: string, word: string): string {
  const name = `haproxy_process_${key}`;
  if (word === "" || !query.wants(name)) return "";
  const label = key === "description" ? "desc" : key;
  return `${headText(name, "gauge", help)}${name}{${label}="${escapeLabel(word)}"} 1\n`;
}

function* scopeText(scope: MetricScope, shot: Snapshot, query: MetricsQuery): Generator<string> {
  let text = "";
  for (const [at, { name: short, type, help }] of shot.families.entries()) {
    const name = `haproxy_${scope}_${short}`;
    if (!query.wants(name)) continue;
    let isFirst = true;
    for (const [index, value] of shot.columns[at]!.entries()) {
      if (Number.isNaN(value)) continue;
      if (isFirst) text += headText(name, type, help);
      isFirst = false;
      text += `${name}{${shot.labels[index]}} ${numberText(value)}\n`;
      if (text.length < PIECE) continue;
      yield text;
      text = "";
    }
  }
  yield text;
  yield* statusText(scope, shot, query);
  if (scope !== "server") return;
  const check = "1 = the last health check ended so";
  yield* resultText("check_status", check, CHECK_LABELS, shot, shot.checks, query);
  const agent = "1 = the last answer of the agent was so";
  yield* resultText("agent_status", agent, AGENT_LABELS, shot, shot.agents, query);
}

/** One sample a state: 1 where it is, 0 elsewhere. */
function* statusText(scope: MetricScope, shot: Snapshot, query: MetricsQuery): Generator<string> {
  const name = `haproxy_${scope}_status`;
  if (!query.wants(name) || shot.labels.length === 0) return;
  let text = headText(name, "gauge", "1 = it is in this state");
  const states = STATUS_LABELS[scope];
  for (const [index, labels] of shot.labels.entries()) {
    for (const [place, state] of states.entries()) {
      text += `${name}{${labels},state="${state}"} ${shot.status[index] === place ? 1 : 0}\n`;
    }
    if (text.length < PIECE) continue;
    yield text;
    text = "";
  }
  yield text;
}

/** How many servers of each backend are in each state. */
function* sumsText(shot: Snapshot, sums: readonly Sums[], query: MetricsQuery): Generator<string> {
  const groups = [
    ["agg_server_status", "Servers in this state", STATUS_LABELS.server, "status"],
    ["agg_check_status", "Servers whose last health check ended so", CHECK_LABELS, "checks"],
  ] as const;
  for (const [short, help, states, part] of groups) {
    const name = `haproxy_backend_${short}`;
    if (!query.wants(name) || shot.labels.length === 0) continue;
    let text = headText(name, "gauge", help);
    for (const [index, labels] of shot.labels.entries()) {
      for (const [place, state] of states.entries()) {
        text += `${name}{${labels},state="${state}"} ${sums[index]?.[part][place] ?? 0}\n`;
      }
      if (text.length < PIECE) continue;
      yield text;
      text = "";
    }
    yield text;
  }
}

/** One sample a result, of the servers that have one. */
function* resultText(
  short: string,
  help: string,
  states: readonly string[],
  shot: Snapshot,
  results: readonly number[],
  query: MetricsQuery,
): Generator<string> {
  const name = `haproxy_server_${short}`;
  if (!query.wants(name)) return;
  let text = "";
  let isFirst = true;
  for (const [index, labels] of shot.labels.entries()) {
    const result = results[index]!;
    if (result < 0) continue;
    if (isFirst) text += headText(name, "gauge", help);
    isFirst = false;
    for (const [place, state] of states.entries()) {
      text += `${name}{${labels},state="${state}"} ${result === place ? 1 : 0}\n`;
    }
    if (text.length < PIECE) continue;
    yield text;
    text = "";
  }
  yield text;
}
