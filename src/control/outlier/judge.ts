/**
 * Which servers do so much worse than their peers that they are better left alone. Pure: from what
 * was measured over one span to an order of who should go first.
 *
 * A server is an outlier by errors when their share of its attempts exceeds `errors` while another
 * server's does not: where all fail, nobody is the better choice. It is one by latency when its
 * typical time to first byte exceeds `latency` percent of the median of the others', and by more
 * than our own noise.
 */
import { OUTLIER_LATENCY_MS_MIN } from "../../base/limits.ts";
import type { OutlierSpec } from "../../tables/spec.ts";

/** One server over one span. */
export type Measure<S> = {
  server: S;
  /** Connections begun, and those that failed, or were broken off before their first byte. */
  attempts: number;
  errors: number;
  /** Streams whose time to first byte is known, and what half of them did not exceed, ms. */
  firstBytes: number;
  firstByteMs: number;
};

/** Why a server is an outlier. */
export type Fault =
  | { kind: "errors"; errors: number; attempts: number; limitPercent: number }
  | { kind: "latency"; typicalMs: number; othersMs: number; limitPercent: number };

/** An outlier. */
export type Verdict<S> = { server: S; fault: Fault };

/** The outliers, worst first: those that fail, by their share, then those that are slow. */
export function findOutliers<S>(spec: OutlierSpec, measures: readonly Measure<S>[]): Verdict<S>[] {
  const failing = spec.errorPercent > 0 ? findFailing(spec, measures) : [];
  const known = new Set(failing.map(({ server }) => server));
  const slow = spec.latencyPercent > 0 ? findSlow(spec, measures) : [];
  return [...failing, ...slow.filter(({ server }) => !known.has(server))];
}

/** Connections to judge by: failures may end in a later span than their attempts began. */
export function ended({ attempts, errors }: Pick<Measure<unknown>, "attempts" | "errors">): number {
  return Math.max(attempts, errors);
}

/** Errors of all that ended, percent; 0 when nothing did. */
function errorShare<S>(measure: Measure<S>): number {
  const all = ended(measure);
  return all === 0 ? 0 : (measure.errors * 100) / all;
}

function findFailing<S>(spec: OutlierSpec, measures: readonly Measure<S>[]): Verdict<S>[] {
  const limitPercent = spec.errorPercent;
  // Somebody is there who does better, or was not asked at all.
  if (!measures.some((measure) => errorShare(measure) <= limitPercent)) return [];
  return measures
    .filter((one) => ended(one) >= spec.samplesMin && errorShare(one) > limitPercent)
    .toSorted((a, b) => errorShare(b) - errorShare(a))
    .map((one) => ({
      server: one.server,
      fault: { kind: "errors", errors: one.errors, attempts: ended(one), limitPercent },
    }));
}

function findSlow<S>(spec: OutlierSpec, measures: readonly Measure<S>[]): Verdict<S>[] {
  const sorted = measures
    .filter(({ firstBytes }) => firstBytes >= spec.samplesMin)
    .toSorted((a, b) => a.firstByteMs - b.firstByteMs);
  const limitPercent = spec.latencyPercent;
  const slow: { verdict: Verdict<S>; ratio: number }[] = [];
  for (const [place, { server, firstByteMs: typicalMs }] of sorted.entries()) {
    const othersMs = medianWithout(sorted, place);
    if (othersMs === undefined || typicalMs - othersMs < OUTLIER_LATENCY_MS_MIN) continue;
    if (typicalMs * 100 <= othersMs * limitPercent) continue;
    const fault = { kind: "latency" as const, typicalMs, othersMs, limitPercent };
    slow.push({ verdict: { server, fault }, ratio: typicalMs / othersMs });
  }
  return slow.toSorted((a, b) => b.ratio - a.ratio).map(({ verdict }) => verdict);
}

/** Median of a sorted list without the one at `place`; undefined when there is no other. O(1). */
function medianWithout<S>(sorted: readonly Measure<S>[], place: number): number | undefined {
  const count = sorted.length - 1;
  if (count <= 0) return undefined;
  const at = (index: number): number => sorted[index < place ? index : index + 1]!.firstByteMs;
  const middle = count >> 1;
  return count % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2;
}
