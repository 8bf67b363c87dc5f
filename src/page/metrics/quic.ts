/**
 * Metrics of QUIC: of frontends and backends that speak it. Those that HAProxy's exporter has as
 * extra counters of its QUIC module bear its names and its label `mod`, and come when they are
 * asked for (`extra-counters`); sluice's own come always.
 */
import type { StatRow } from "../../control/stats/fields.ts";
import { AT_QUIC, QUIC_STAT_FIELDS } from "../../control/stats/quic-fields.ts";
import type { QuicField } from "../../control/stats/quic-fields.ts";
import type { MetricScope } from "./families.ts";
import type { MetricsQuery } from "./query.ts";
import { escapeLabel, headText, numberText } from "./text.ts";

/** Columns that are `name=count` words, as metrics with a label for the name. */
const LISTS: Readonly<Record<string, { name: string; label: string; help: string }>> = {
  quic_app_err_codes: {
    name: "quic_app_errors_total",
    label: "code",
    help: "Connections that the peer's application closed, by its code",
  },
  quic_transp_err_sent: {
    name: "quic_transp_errors_sent_total",
    label: "error",
    help: "Connections that we closed for a fault of the peer, by transport error",
  },
};

/** Times are told in µs, and shown in seconds as all metrics are. */
const MICROS = /^quic_rtt_/u;

/** The rows of one look, copied. */
export class QuicSnapshot {
  readonly rows: { scope: MetricScope; labels: string; values: StatRow }[] = [];

  add(scope: MetricScope, labels: string, values: StatRow): void {
    this.rows.push({ scope, labels, values: [...values] });
  }
}

/** Their text. */
export function* quicText({ rows }: QuicSnapshot, query: MetricsQuery): Generator<string> {
  for (const scope of ["frontend", "backend"] as const) {
    const ofScope = rows.filter((row) => row.scope === scope);
    if (ofScope.length === 0) continue;
    for (const field of QUIC_STAT_FIELDS) {
      const list = LISTS[field.name];
      if (list !== undefined) {
        yield listText(`sluice_${scope}_${list.name}`, list, field, ofScope, query);
      } else if (field.isHaproxys ? query.withExtra : true) {
        yield fieldText(scope, field, ofScope, query);
      }
    }
  }
}

function fieldText(
  scope: MetricScope,
  field: QuicField,
  rows: QuicSnapshot["rows"],
  query: MetricsQuery,
): string {
  const { isHaproxys, about, tags } = field;
  const type = tags[1] === "C" ? "counter" : "gauge";
  const isTime = MICROS.test(field.name);
  const ending = isHaproxys ? "" : isTime ? "_seconds" : type === "counter" ? "_total" : "";
  const name = `${isHaproxys ? "haproxy" : "sluice"}_${scope}_${field.name}${ending}`;
  if (!query.wants(name)) return "";
  const more = isHaproxys ? ',mod="quic"' : "";
  const at = AT_QUIC[field.name]!;
  let text = "";
  for (const { labels, values } of rows) {
    const value = values[at];
    if (typeof value !== "number") continue;
    if (text === "") text = headText(name, type, isTime ? about.replace(", µs", "") : about);
    text += `${name}{${labels}${more}} ${numberText(isTime ? value / 1e6 : value)}\n`;
  }
  return text;
}

function listText(
  name: string,
  { label, help }: { label: string; help: string },
  field: QuicField,
  rows: QuicSnapshot["rows"],
  query: MetricsQuery,
): string {
  if (!query.wants(name)) return "";
  let text = "";
  for (const { labels, values } of rows) {
    const words = values[AT_QUIC[field.name]!];
    if (typeof words !== "string") continue;
    if (text === "") text = headText(name, "counter", help);
    for (const word of words.split(" ")) {
      const [key = "", count = ""] = word.split("=");
      text += `${name}{${labels},${label}="${escapeLabel(key)}"} ${count}\n`;
    }
  }
  return text;
}
