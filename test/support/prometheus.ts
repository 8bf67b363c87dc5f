/**
 * A strict reader of Prometheus' text format (version 0.0.4): what it takes, Prometheus takes.
 * Source: the format's description in Prometheus' documentation, "Text-based format".
 */

/** One sample. */
export type Sample = { name: string; labels: Record<string, string>; value: number };

/** A metric with its samples. */
export type Metric = { name: string; type: string; help: string; samples: Sample[] };

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const VALUE = /^(?:NaN|[+-]Inf|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)$/;

/** Reads a whole text. @throws Error that names the line */
export function readMetrics(text: string): Map<string, Metric> {
  if (text !== "" && !text.endsWith("\n")) throw new Error("the last line has no end");
  const metrics = new Map<string, Metric>();
  const seen = new Set<string>();
  let current: Metric | undefined;
  text.split("\n").forEach((line, index) => {
    if (line === "" || /^#(?! (?:HELP|TYPE) )/.test(line)) return;
    const fail = (why: string): never => {
      throw new Error(`line ${index + 1}: ${why}: ${line.slice(0, 200)}`);
    };
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment !== null) {
      const [, word = "", name = "", rest = ""] = comment;
      if (!NAME.test(name)) fail("not a name");
      if (word === "HELP") {
        if (metrics.has(name)) fail("its samples stand in two groups");
        current = { name, type: "", help: rest, samples: [] };
        metrics.set(name, current);
        return;
      }
      if (current?.name !== name || current.type !== "") fail("TYPE without HELP, or twice");
      if (!/^(?:counter|gauge|histogram|summary|untyped)$/.test(rest)) fail("not a type");
      if (current !== undefined) current.type = rest;
      return;
    }
    const sample = readSample(line) ?? fail("not a sample");
    if (current === undefined || current.type === "" || current.name !== sample.name) {
      fail("outside its group");
    }
    const key = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).toSorted())}`;
    if (seen.has(key)) fail("twice");
    seen.add(key);
    if (current?.type === "counter" && sample.value < 0) fail("a counter below zero");
    current?.samples.push(sample);
  });
  for (const { name, samples } of metrics.values()) {
    if (samples.length === 0) throw new Error(`${name} has no samples`);
  }
  return metrics;
}

function readSample(line: string): Sample | undefined {
  const match = /^([^\s{]+)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) return undefined;
  const [, name = "", inside = "", value = ""] = match;
  const labels = readLabels(inside);
  if (!NAME.test(name) || labels === undefined || !VALUE.test(value)) return undefined;
  return { name, labels, value: Number(value.replace("Inf", "Infinity")) };
}

function readLabels(text: string): Record<string, string> | undefined {
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest !== "") {
    const match = /^([^=]+)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/.exec(rest);
    if (match === null) return undefined;
    const [whole, name = "", value = ""] = match;
    if (!LABEL_NAME.test(name) || Object.hasOwn(labels, name)) return undefined;
    labels[name] = value.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char));
    rest = rest.slice(whole.length);
  }
  return labels;
}
