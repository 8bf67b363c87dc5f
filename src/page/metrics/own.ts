/**
 * Metrics that HAProxy has none of: what its workers do, one by one, and how far changes have come.
 */
import { SLUICE_VERSION } from "../../base/version.ts";
import type { Control } from "../../control/control.ts";
import { PROCESS_WORKER_COUNT } from "../../tables/generated/process.ts";
import {
  WORKER_ACCEPTED,
  WORKER_APPLIED_SEQUENCE,
  WORKER_BYTES_OUT,
  WORKER_CPU_MICROS,
  WORKER_GENERATION,
  WORKER_STREAMS,
  WORKER_STRIDE,
} from "../../tables/generated/worker.ts";
import type { MetricType } from "./families.ts";
import { outlierMetrics } from "./outliers.ts";
import type { MetricsQuery } from "./query.ts";
import { escapeLabel, headText, numberText } from "./text.ts";

/** A metric of each worker. */
type WorkerFamily = {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  read(words: Int32Array, floats: Float64Array, row: number): number;
};

const WORKER_FAMILIES: readonly WorkerFamily[] = [
  {
    name: "sluice_worker_streams",
    type: "gauge",
    help: "Streams that live on the worker",
    read: (words, _, row) => words[row + WORKER_STREAMS]!,
  },
  {
    name: "sluice_worker_cpu_seconds_total",
    type: "counter",
    help: "Processor time of the worker's thread",
    read: (_, floats, row) => floats[(row + WORKER_CPU_MICROS) >> 1]! / 1e6,
  },
  {
    name: "sluice_worker_bytes_out_total",
    type: "counter",
    help: "Bytes that the worker sent to clients and servers",
    read: (_, floats, row) => floats[(row + WORKER_BYTES_OUT) >> 1]!,
  },
  {
    name: "sluice_worker_connections_total",
    type: "counter",
    help: "Client connections that became streams of the worker",
    read: (_, floats, row) => floats[(row + WORKER_ACCEPTED) >> 1]!,
  },
  {
    name: "sluice_worker_replaced_total",
    type: "counter",
    help: "Times that the thread was replaced",
    read: (words, _, row) => Math.max(0, words[row + WORKER_GENERATION]! - 1),
  },
  {
    name: "sluice_worker_applied_mutations",
    type: "gauge",
    help: "Number of the last change of objects that the worker has applied",
    read: (words, _, row) => words[row + WORKER_APPLIED_SEQUENCE]!,
  },
];

/** What each mail server was given, and what not. */
function mailMetrics({ mails }: Control, query: MetricsQuery): string {
  const name = "sluice_mails_total";
  const counts = mails.counts();
  if (!query.wants(name) || counts.length === 0) return "";
  let text = headText(name, "counter", "Mails about servers, by mail server and outcome");
  for (const { name: mailer, sent, lost } of counts) {
    const label = `mailer="${escapeLabel(mailer)}"`;
    text += `${name}{${label},outcome="sent"} ${sent}\n`;
    text += `${name}{${label},outcome="lost"} ${lost}\n`;
  }
  return text;
}

/** Their text. */
export function ownMetrics(control: Control, query: MetricsQuery): string {
  const { tables, shop, references, grace, hub, pump } = control;
  const { words, floats } = tables.workers;
  const count = tables.process.words[PROCESS_WORKER_COUNT]!;
  let text = "";
  const single = (name: string, type: MetricType, help: string, value: number): void => {
    if (query.wants(name)) text += `${headText(name, type, help)}${name} ${numberText(value)}\n`;
  };
  if (query.wants("sluice_build_info")) {
    text += headText("sluice_build_info", "gauge", "Versions, always 1");
    const bun = escapeLabel(Bun.version);
    text += `sluice_build_info{version="${escapeLabel(SLUICE_VERSION)}",bun="${bun}"} 1\n`;
  }
  for (const { name, type, help, read } of WORKER_FAMILIES) {
    if (!query.wants(name)) continue;
    text += headText(name, type, help);
    for (let worker = 1; worker <= count; worker++) {
      const value = read(words, floats, worker * WORKER_STRIDE);
      text += `${name}{worker="${worker}"} ${numberText(value)}\n`;
    }
  }
  single("sluice_mutations", "gauge", "Number of the last change of objects", shop.log.sequence);
  single("sluice_references", "gauge", "References that keep objects", references.total);
  single("sluice_grace_waiting", "gauge", "Changes that wait for all workers", grace.pending);
  single("sluice_log_lines_dropped_total", "counter", "Log lines lost", hub.dropped());
  single("sluice_log_records_dropped_total", "counter", "Log records lost", pump.dropped);
  return text + mailMetrics(control, query) + outlierMetrics(control, query);
}
