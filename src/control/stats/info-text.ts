/** The fields of `show info` as lines, typed lines, JSON, or one object for programs. */
import { tagsJson } from "./dump.ts";
import type { StatValue } from "./fields.ts";
import { INFO_FIELDS } from "./info.ts";
import type { InfoFacts, InfoField } from "./info.ts";

/** How it is written. */
export type InfoOptions = {
  format: "plain" | "typed" | "json";
  /** Adds what each value means (not in JSON). */
  isDescribed: boolean;
  /** Fractions stay fractions. */
  hasFractions: boolean;
};

/** All fields that have a value. */
export function infoText(facts: InfoFacts, options: InfoOptions): string {
  const lines: string[] = [];
  for (const field of INFO_FIELDS) {
    const value = field.read(facts);
    if (value === undefined) continue;
    lines.push(WRITERS[options.format](field, numberText(value, options), options));
  }
  return options.format === "json" ? `[${lines.join(",")}]` : lines.join("\n");
}

/** Names to values. */
export function infoRecord(facts: InfoFacts): Record<string, string | number> {
  const record: Record<string, string | number> = {};
  for (const { name, read } of INFO_FIELDS) {
    const value = read(facts);
    if (value !== undefined) record[name] = typeof value === "number" ? Math.floor(value) : value;
  }
  return record;
}

type Written = { text: string; isFraction: boolean };
type Writer = (field: InfoField, value: Written, options: InfoOptions) => string;

const WRITERS: Record<InfoOptions["format"], Writer> = {
  plain: ({ name, about }, { text }, { isDescribed }) =>
    `${name}: ${text}${isDescribed ? `:"${about}"` : ""}`,
  typed: ({ at, name, tags, about, type }, { text, isFraction }, { isDescribed }) =>
    `${at}.${name}.1:${tags}:${isFraction ? "flt" : type}:${text}` +
    (isDescribed ? `:"${about}"` : ""),
  json: ({ at, name, tags, type }, { text, isFraction }) =>
    `{"field":{"pos":${at},"name":"${name}"},"processNum":1,"tags":${tagsJson(tags)},` +
    `"value":{"type":"${isFraction ? "flt" : type}","value":` +
    `${type === "str" ? JSON.stringify(text) : text}}}`,
};

/** Whole where nobody asked for fractions; else as `%f` has them. */
function numberText(value: NonNullable<StatValue>, { hasFractions }: InfoOptions): Written {
  if (typeof value === "string") return { text: value, isFraction: false };
  const isFraction = hasFractions && !Number.isInteger(value);
  return { text: isFraction ? value.toFixed(6) : String(Math.floor(value)), isFraction };
}
