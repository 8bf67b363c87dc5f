/**
 * The figures about the process: how each is made of the facts, on both sides.
 */
import type { ProcessFacts } from "./fields.ts";
import { formatBytes, formatCount, formatDuration, formatShort } from "./format.ts";

/** One figure. */
export type Tile = {
  readonly key: string;
  readonly label: string;
  /** It has a line that shows the last minute; `sample` is what it shows. */
  readonly hasTrend: boolean;
  text(facts: ProcessFacts): string;
  hint(facts: ProcessFacts): string;
  /** A total of bytes, whose growth a second the script shows instead; or a value as it is. */
  sample?(facts: ProcessFacts): { kind: "total" | "value"; value: number };
};

const value = (value: number): { kind: "value"; value: number } => ({ kind: "value", value });

/** All of them, in order. */
export const TILES: readonly Tile[] = [
  {
    key: "conns",
    label: "Connections",
    hasTrend: true,
    text: (facts) => formatCount(facts.connections),
    hint: (facts) => `of ${formatCount(facts.maxconn)}`,
    sample: (facts) => value(facts.connections),
  },
  {
    key: "rate",
    label: "Sessions a second",
    hasTrend: true,
    text: (facts) => formatCount(facts.sessionRate),
    hint: (facts) => `${formatShort(facts.connectionsTotal)} connections so far`,
    sample: (facts) => value(facts.sessionRate),
  },
  {
    key: "in",
    label: "From clients",
    hasTrend: true,
    text: (facts) => formatBytes(facts.bytesInTotal),
    hint: () => "so far",
    sample: (facts) => ({ kind: "total", value: facts.bytesInTotal }),
  },
  {
    key: "out",
    label: "To clients",
    hasTrend: true,
    text: (facts) => formatBytes(facts.bytesOutTotal),
    hint: () => "so far",
    sample: (facts) => ({ kind: "total", value: facts.bytesOutTotal }),
  },
  {
    key: "servers",
    label: "Servers up",
    hasTrend: false,
    text: (facts) => formatCount(facts.serversUp + facts.serversUnchecked),
    hint: serversHint,
  },
  {
    key: "idle",
    label: "Idle",
    hasTrend: true,
    text: (facts) => `${facts.idlePercent}%`,
    hint: () => "of the workers' time",
    sample: (facts) => value(facts.idlePercent),
  },
  {
    key: "uptime",
    label: "Uptime",
    hasTrend: false,
    text: (facts) => formatDuration(facts.uptimeSeconds),
    hint: (facts) => (facts.stopping ? "stopping" : ""),
  },
];

function serversHint(facts: ProcessFacts): string {
  const parts: string[] = [];
  if (facts.serversDown > 0) parts.push(`${formatCount(facts.serversDown)} down`);
  if (facts.serversOut > 0) parts.push(`${formatCount(facts.serversOut)} out`);
  if (facts.serversUnchecked > 0) parts.push(`${formatCount(facts.serversUnchecked)} not checked`);
  return parts.join(", ") || "all of them";
}
