/**
 * What of the metrics is asked for: the parameters of HAProxy's exporter, in the order in which
 * they stand in the query.
 */
import { decode } from "../options.ts";
import type { MetricScope } from "./families.ts";
import { SCOPES } from "./families.ts";

/** A question. */
export type MetricsQuery = {
  readonly scopes: ReadonlySet<MetricScope | "global">;
  /** Servers in maintenance are left out. */
  readonly noMaint: boolean;
  /** Descriptions of sections become labels. */
  readonly withDescriptions: boolean;
  /** With the metrics of HAProxy's modules, of which QUIC is one. */
  readonly withExtra: boolean;
  /** Whether a metric is wanted. */
  wants(name: string): boolean;
};

const ALL: readonly (MetricScope | "global")[] = ["global", ...SCOPES];

/** Parses the query; an unknown scope is undefined, which is answered with 400. */
export function parseMetricsQuery(query: string): MetricsQuery | undefined {
  let scopes = new Set<MetricScope | "global">(ALL);
  let hasScope = false;
  const included = new Set<string>();
  const excluded = new Set<string>();
  let noMaint = false;
  let withDescriptions = false;
  let withExtra = false;
  for (const part of query.split("&")) {
    const equals = part.indexOf("=");
    const key = equals < 0 ? part : part.slice(0, equals);
    const value = equals < 0 ? "" : decode(part.slice(equals + 1));
    if (key === "scope") {
      if (!hasScope || value === "") scopes = new Set();
      hasScope = true;
      const wanted = scopesOf(value);
      if (wanted === undefined) return undefined;
      for (const scope of wanted) scopes.add(scope);
    } else if (key === "metrics" || key === "filter") {
      for (const name of value.split(",")) {
        if (name.startsWith("-")) excluded.add(name.slice(1));
        else if (name !== "") included.add(name);
      }
    } else if (key === "no-maint") noMaint = true;
    else if (key === "desc-labels") withDescriptions = true;
    else if (key === "extra-counters") withExtra = true;
  }
  const wants = (name: string): boolean =>
    !excluded.has(name) && (included.size === 0 || included.has(name));
  return { scopes, noMaint, withDescriptions, withExtra, wants };
}

/** Scopes of one parameter; those of what sluice does not have are known, and empty. */
function scopesOf(value: string): readonly (MetricScope | "global")[] | undefined {
  if (value === "*") return ALL;
  if (value === "" || value === "sticktable" || value === "resolver") return [];
  const known = ALL.find((scope) => scope === value);
  return known === undefined ? undefined : [known];
}
